/*
 * The state of one 16550A, and its two ends: ser8250.c is the side of the bus (registers,
 * interrupts, modem lines), ser8250_line.c the side of the line (transmitter, receiver, time).
 * Names are the data sheet's (National PC16550D).
 */
#ifndef SER8250_UART_H
#define SER8250_UART_H

#include <stdbool.h>
#include <stdint.h>

#include <qvm/cdev.h>

#define FIFO_DEPTH 16u
#define NEVER UINT64_MAX

#define IER_ERBFI 0x01u /* received data available */
#define IER_ETBEI 0x02u /* transmitter holding register empty */
#define IER_ELSI 0x04u  /* receiver line status */
#define IER_EDSSI 0x08u /* modem status */

#define LCR_WLS 0x03u
#define LCR_STB 0x04u
#define LCR_PEN 0x08u
#define LCR_EPS 0x10u
#define LCR_STICK 0x20u
#define LCR_BREAK 0x40u
#define LCR_DLAB 0x80u

#define MCR_DTR 0x01u
#define MCR_RTS 0x02u
#define MCR_OUT1 0x04u
#define MCR_OUT2 0x08u
#define MCR_LOOP 0x10u

#define LSR_DR 0x01u
#define LSR_OE 0x02u
#define LSR_PE 0x04u
#define LSR_FE 0x08u
#define LSR_BI 0x10u
#define LSR_THRE 0x20u
#define LSR_TEMT 0x40u
#define LSR_FIFO_ERROR 0x80u

/* A FIFO, or the single holding register it replaces. */
struct fifo {
    uint8_t byte[FIFO_DEPTH];
    uint8_t error[FIFO_DEPTH]; /* receiver: LSR bits PE, FE, BI of the character */
    unsigned head, count;
};

struct uart {
    struct cdev_state cdev;
    uint64_t frequency; /* units of time per second */

    uint16_t divisor;
    uint8_t ier, lcr, mcr, scr;
    bool fifo_mode;
    uint8_t trigger;     /* characters in the receiver FIFO that count as "data available" */
    uint8_t rbr;         /* the character read last */
    uint8_t line_errors; /* LSR bits 4..1 */
    uint8_t modem;       /* MSR bits 7..4 as seen last */
    uint8_t modem_delta; /* MSR bits 3..0 */
    bool thre_pending;   /* the THRE interrupt, enabled or not */
    bool timeout;        /* the character timeout interrupt */

    struct fifo tx, rx;
    bool shifting; /* the transmitter shift register holds a character */
    uint8_t shift_byte;
    uint64_t start_at;  /* shift register empty: start bit of the next character */
    uint64_t shift_end; /* end of the last stop bit */
    bool stalled;       /* the host takes nothing: the shift register waits */
    bool filled;        /* the transmitter FIFO held two characters since THRE was set */
    uint64_t thre_at;   /* the THRE interrupt comes then */
    unsigned sent;

    bool rx_idle;         /* no character is on its way in */
    uint64_t rx_at;       /* end of the next incoming character, at the earliest */
    uint64_t rx_activity; /* the last character in or out of the receiver FIFO */
    uint64_t break_at;    /* loopback: the transmitted break counts as received */
    uint64_t modem_at;    /* next look at the modem lines */

    struct cdev_line line; /* as the host device has it */
    bool line_break, loop_break;
    unsigned pins; /* CDEV_MODEM_DTR, _RTS */

    uint64_t defects;
};

/* Depth of both FIFOs in the present mode. */
static inline unsigned depth(const struct uart *u) { return u->fifo_mode ? FIFO_DEPTH : 1; }

/* What happened on the line up to `now`; comes before every access. */
void uart_advance(struct uart *u, uint64_t now);
/* The next moment at which something happens that nobody would see without a callback. */
uint64_t uart_deadline(const struct uart *u);

void uart_transmit(struct uart *u, uint64_t now, uint8_t byte);
void uart_clear_transmitter(struct uart *u);
void uart_clear_receiver(struct uart *u);
uint8_t uart_receive(struct uart *u, uint64_t now);
/* After a change of divisor, LCR or MCR. */
void uart_line_changed(struct uart *u, uint64_t now);

#endif
