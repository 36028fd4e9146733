/* One counter of an 8254: see the header. Specification lines are PIT-nnn. */
#include "timer8254_counter.h"

#define STATUS_OUT 0x80u
#define STATUS_NULL_COUNT 0x40u

#define CONTROL_ACCESS(control) ((control) >> 4 & 3)
#define CONTROL_MODE(control) ((control) >> 1 & 7)
#define CONTROL_BCD 0x01u

unsigned counter_mode(const struct counter *c) {
    unsigned mode = CONTROL_MODE(c->control);
    return mode > 5 ? mode - 4 : mode; /* PIT-011: 110 and 111 are 2 and 3 */
}

static uint32_t modulus(const struct counter *c) {
    return c->control & CONTROL_BCD ? 10000 : 65536;
}

static bool periodic(const struct counter *c) {
    return counter_mode(c) == 2 || counter_mode(c) == 3;
}

/* Only a rising gate starts modes 1 and 5; its level does not matter to them. */
static bool triggered(const struct counter *c) {
    return counter_mode(c) == 1 || counter_mode(c) == 5;
}

/* CR as a number of CLKs: 0 is the modulus (PIT-025, PIT-026). Nibbles above 9 weigh what they
 * are (PIT-029). A count of 1 in modes 2 and 3 is illegal and taken as 2 (PIT-027). */
static uint32_t cr_count(const struct counter *c) {
    uint32_t count = c->cr;
    if (c->control & CONTROL_BCD)
        count = (c->cr >> 12) * 1000u + (c->cr >> 8 & 15) * 100u + (c->cr >> 4 & 15) * 10u +
                (c->cr & 15);
    count %= modulus(c);
    if (count == 0) return modulus(c);
    return count == 1 && periodic(c) ? 2 : count;
}

static void set_out(struct counter *c, bool level) {
    if (level && !c->out) c->rises++;
    c->out = level;
}

/* Mode 3: OUT is high for (N+1)/2 and low for (N-1)/2 CLKs, N/2 each when N is even
 * (PIT-085, PIT-086). */
static uint32_t half_period(const struct counter *c) {
    return c->out ? (c->initial + 1) / 2 : c->initial / 2;
}

/* CE as a number in 0..modulus-1. */
static uint32_t element(const struct counter *c, uint64_t now) {
    uint32_t mod = modulus(c);
    uint32_t passed = c->counting ? (uint32_t)((now - c->since) % mod) : 0;
    if (c->counting && counter_mode(c) == 3) passed *= 2; /* PIT-031 */
    return (c->ce + mod - passed % mod) % mod;            /* PIT-032: wraps */
}

uint16_t counter_element(const struct counter *c, uint64_t now) {
    uint32_t value = element(c, now);
    if (!(c->control & CONTROL_BCD)) return (uint16_t)value;
    return (uint16_t)((value / 1000 % 10) << 12 | (value / 100 % 10) << 8 | (value / 10 % 10) << 4 |
                      value % 10);
}

uint32_t counter_period(const struct counter *c) {
    return periodic(c) && c->counting ? c->initial : 0;
}

static void freeze(struct counter *c, uint64_t now) {
    c->ce = element(c, now);
    c->since = now;
    c->counting = false;
}

/* CE takes the count in CR on CLK `now`. In mode 3 an odd count is loaded less one: CE steps by
 * two and only shows even values (PIT-088). */
static void load(struct counter *c, uint64_t now) {
    c->initial = cr_count(c);
    c->ce = counter_mode(c) == 3 ? c->initial & ~1u : c->initial;
    c->since = now;
    c->loaded = true;
    c->null_count = false;
    c->load_at = TICK_NEVER;
    c->counting = c->gate || triggered(c);
    c->armed = true;
}

/* The CLK that ends what CE is counting now: terminal count, or OUT's next change in modes 2, 3. */
static uint64_t expiry(const struct counter *c) {
    if (!c->counting) return TICK_NEVER;
    switch (counter_mode(c)) {
    case 2: return c->since + c->ce - (c->out ? 1 : 0); /* PIT-078: low while CE is 1 */
    case 3: return c->since + half_period(c);
    default: return c->armed ? c->since + c->ce : TICK_NEVER;
    }
}

static void expire(struct counter *c, uint64_t now) {
    switch (counter_mode(c)) {
    case 0: /* PIT-065, PIT-070: high, and stays */
    case 1: /* PIT-073: the end of the one-shot pulse */
        c->armed = false;
        set_out(c, true);
        break;
    case 2:
        if (c->out) {
            set_out(c, false);
        } else {
            load(c, now); /* PIT-080: a new count is taken at the end of the period */
            set_out(c, true);
        }
        break;
    case 3: { /* PIT-087: a new count is taken at the end of the half cycle */
        bool level = !c->out;
        load(c, now);
        set_out(c, level);
        break;
    }
    default: /* PIT-093: modes 4 and 5 strobe low for one CLK */
        c->armed = false;
        c->strobe_end = now + 1;
        set_out(c, false);
        break;
    }
}

static uint64_t next_event(const struct counter *c) {
    uint64_t event = expiry(c);
    if (c->strobe_end < event) event = c->strobe_end;
    return c->load_at < event ? c->load_at : event;
}

/* A CLK on which CE is loaded does not count, so a load comes before an expiry. */
static void apply_event(struct counter *c, uint64_t event) {
    if (event == c->strobe_end) {
        c->strobe_end = TICK_NEVER;
        set_out(c, true);
    } else if (event == c->load_at) {
        load(c, event);
        if (counter_mode(c) == 1) set_out(c, false);
        if (periodic(c)) set_out(c, true);
    } else {
        expire(c, event);
    }
}

/* Whole periods of an undisturbed rate generator pass at once (PIT-036). */
static void skip_periods(struct counter *c, uint64_t now) {
    if (!counter_period(c) || !c->out || c->null_count || c->load_at != TICK_NEVER) return;
    uint64_t periods = (now - c->since) / c->initial;
    c->since += periods * c->initial;
    c->rises += periods;
}

void counter_advance(struct counter *c, uint64_t now) {
    for (uint64_t event; skip_periods(c, now), (event = next_event(c)) <= now;)
        apply_event(c, event);
}

uint64_t counter_next_rise(const struct counter *c) {
    struct counter ahead = *c;
    while (ahead.rises == c->rises) {
        uint64_t event = next_event(&ahead);
        if (event == TICK_NEVER) return TICK_NEVER;
        apply_event(&ahead, event);
        if (ahead.rises != c->rises) return event;
    }
    return TICK_NEVER;
}

/* The data sheet leaves the state before the first control word open. Ours: OUT high, so that no
 * control word but mode 0's moves it, and nothing counts (PIT-006, PIT-111). */
void counter_reset(struct counter *c, bool gate) {
    *c = (struct counter){
        .control = ACCESS_LSB_MSB << 4 | 3 << 1,
        .gate = gate,
        .out = true,
        .null_count = true,
        .load_at = TICK_NEVER,
        .strobe_end = TICK_NEVER,
    };
}

void counter_control(struct counter *c, uint64_t now, uint8_t control) {
    counter_advance(c, now);
    freeze(c, now); /* PIT-013: waits for a count */
    c->control = control & 0x3f;
    c->programmed = true;
    c->cr = 0;
    c->cr_written = c->loaded = c->armed = false;
    c->null_count = true;
    c->write_msb = c->read_msb = false;          /* PIT-014 */
    c->ol_latched = c->status_latched = false;   /* PIT-015 */
    c->load_at = c->strobe_end = TICK_NEVER;
    set_out(c, counter_mode(c) != 0); /* PIT-012 */
}

/* A complete count reached CR. */
static void count_written(struct counter *c, uint64_t now, uint16_t count) {
    bool first = !c->cr_written;
    c->cr = count;
    c->cr_written = true;
    c->null_count = true;
    switch (counter_mode(c)) {
    case 0: /* PIT-066: restarts, OUT low at once */
        set_out(c, false);
        c->armed = false;
        c->load_at = now + 1; /* PIT-030 */
        break;
    case 4: /* PIT-095 */
        c->load_at = now + 1;
        break;
    case 2:
    case 3: /* PIT-081: at once only after a control word */
        if (first) c->load_at = now + 1;
        break;
    default: /* PIT-075: modes 1 and 5 at the next trigger */
        break;
    }
}

void counter_write(struct counter *c, uint64_t now, uint8_t byte) {
    counter_advance(c, now);
    if (!c->programmed) return;
    switch (CONTROL_ACCESS(c->control)) {
    case ACCESS_LSB: /* PIT-016 */
        count_written(c, now, byte);
        return;
    case ACCESS_MSB: /* PIT-017 */
        count_written(c, now, (uint16_t)(byte << 8));
        return;
    default: break;
    }
    c->write_msb = !c->write_msb; /* PIT-018 */
    if (!c->write_msb) {
        count_written(c, now, (uint16_t)(byte << 8 | c->write_lsb));
        return;
    }
    c->write_lsb = byte;
    if (counter_mode(c) == 0) { /* PIT-021: the first byte stops mode 0, nothing else */
        freeze(c, now);
        c->loaded = c->armed = false;
        c->load_at = TICK_NEVER;
        set_out(c, false);
    }
}

uint8_t counter_read(struct counter *c, uint64_t now) {
    counter_advance(c, now);
    if (c->status_latched) { /* PIT-052: status before count */
        c->status_latched = false;
        return c->status;
    }
    uint16_t value = c->ol_latched ? c->ol : counter_element(c, now);
    bool msb = CONTROL_ACCESS(c->control) == ACCESS_MSB;
    bool last = true;
    if (CONTROL_ACCESS(c->control) == ACCESS_LSB_MSB) { /* PIT-040 */
        msb = last = c->read_msb;
        c->read_msb = !c->read_msb;
    }
    if (last) c->ol_latched = false; /* PIT-044; PIT-046: the MSB releases the latch */
    return (uint8_t)(msb ? value >> 8 : value);
}

void counter_latch_count(struct counter *c, uint64_t now) {
    counter_advance(c, now);
    if (c->ol_latched) return; /* PIT-042 */
    c->ol = counter_element(c, now);
    c->ol_latched = true;
}

void counter_latch_status(struct counter *c, uint64_t now) {
    counter_advance(c, now);
    if (c->status_latched) return; /* PIT-054 */
    c->status = (uint8_t)((c->out ? STATUS_OUT : 0) | (c->null_count ? STATUS_NULL_COUNT : 0) |
                          c->control);
    c->status_latched = true;
}

void counter_gate(struct counter *c, uint64_t now, bool gate) {
    counter_advance(c, now);
    if (gate == c->gate) return;
    c->gate = gate;
    if (gate) {
        if (triggered(c) || periodic(c)) { /* PIT-072, PIT-082, PIT-090: a trigger */
            if (c->cr_written) c->load_at = now + 1;
        } else if (c->loaded) { /* PIT-068, PIT-094: goes on */
            c->since = now;
            c->counting = true;
        }
    } else if (!triggered(c)) {
        freeze(c, now);
        if (periodic(c)) set_out(c, true);
    }
}

bool counter_out(struct counter *c, uint64_t now) {
    counter_advance(c, now);
    return c->out;
}
