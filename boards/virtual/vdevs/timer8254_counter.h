/*
 * One counter of an 8254, as a function of time.
 *
 * Time is the number of CLK pulses of the input clock, `tick`; it never goes back. A counter does
 * no work between accesses: counter_advance() applies what happened since the last one, in a
 * number of steps that does not depend on how long ago that was. Names are the data sheet's:
 * CR count register, CE counting element, OL output latch.
 */
#ifndef TIMER8254_COUNTER_H
#define TIMER8254_COUNTER_H

#include <stdbool.h>
#include <stdint.h>

#define TICK_NEVER UINT64_MAX

/* RW bits of the control word. 0 is the counter latch command, never a counter's state. */
enum counter_access { ACCESS_LSB = 1, ACCESS_MSB = 2, ACCESS_LSB_MSB = 3 };

struct counter {
    uint8_t control; /* RW, mode and BCD bits as last written: status bits 5..0 */
    bool programmed; /* a control word was written since reset */
    bool gate;
    bool out;

    uint16_t cr;       /* the last complete count */
    bool cr_written;   /* ... was written since the control word */
    bool null_count;   /* CR holds a count that CE has not taken yet */
    uint8_t write_lsb; /* first byte of a two-byte count */
    bool write_msb;    /* write flip-flop: the MSB comes next */
    bool read_msb;     /* read flip-flop */

    bool ol_latched;
    uint16_t ol;
    bool status_latched;
    uint8_t status;

    uint32_t ce;         /* counting element at tick `since`; just loaded, the modulus stands for 0 */
    uint64_t since;
    uint32_t initial;    /* the count that CE was loaded with */
    bool loaded;         /* CE took a count since the control word */
    bool counting;       /* CE counts from `since` on */
    bool armed;          /* modes 0, 1, 4, 5: terminal count has not come yet */
    uint64_t load_at;    /* CR goes to CE on this CLK */
    uint64_t strobe_end; /* modes 4, 5: OUT goes high again on this CLK */
    uint64_t rises;      /* rising edges of OUT so far */
};

void counter_reset(struct counter *c, bool gate);
void counter_advance(struct counter *c, uint64_t now);

/* Accesses and the gate; each brings the counter to `now` first. */
void counter_control(struct counter *c, uint64_t now, uint8_t control);
void counter_write(struct counter *c, uint64_t now, uint8_t byte);
uint8_t counter_read(struct counter *c, uint64_t now);
void counter_latch_count(struct counter *c, uint64_t now);
void counter_latch_status(struct counter *c, uint64_t now);
void counter_gate(struct counter *c, uint64_t now, bool gate);
bool counter_out(struct counter *c, uint64_t now);

/* For an advanced counter. */
unsigned counter_mode(const struct counter *c);
uint16_t counter_element(const struct counter *c, uint64_t now); /* as read: BCD in BCD mode */
uint32_t counter_period(const struct counter *c); /* ticks between rising edges; 0: one-shot */
uint64_t counter_next_rise(const struct counter *c); /* tick, or TICK_NEVER */

#endif
