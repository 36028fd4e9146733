/*
 * The line side of ser8250: characters take the time that divisor and LCR say.
 *
 * Nothing is done per character when nobody looks. uart_advance() computes from time stamps what
 * the line did since the last call, so a callback that comes late does not slow it down.
 *
 * Rules where the data sheet ends. Out: a character goes to the host device when it has left the
 * shift register; while the host takes none, the shift register waits, and behind it the FIFO fills
 * up until THRE stays 0 (UART-030). In: the host device holds back what finds no room, so that only
 * loopback overruns (UART-034); a character that waited there comes in as soon as there is room,
 * the next one a character time later.
 */
#include "ser8250_uart.h"

#include "defect.h"

DEFECT(UART_DROP_BYTE, "uart.drop_byte", "every 4093rd transmitted character is dropped",
       "UART-028 UART-029");
#define DROP_INTERVAL 4093u

#define CLOCK 1843200u /* Hz; 16 clocks a bit with divisor 1 */
#define TIMEOUT_CHARACTERS 4u
/* Output may lag behind the line by this, so that a FIFO full needs one callback, not sixteen. */
#define OUTPUT_LAG_DIVIDER 500u /* 2 ms */

static uint64_t half_bits(const struct uart *u, unsigned number) {
    return (uint64_t)number * 8 * u->divisor * u->frequency / CLOCK;
}

static unsigned half_stop_bits(const struct uart *u) {
    return !(u->lcr & LCR_STB) ? 2 : u->lcr & LCR_WLS ? 4 : 3;
}

/* UART-014: start, data, parity and 1, 1.5 (5-bit words) or 2 stop bits. 0 with divisor 0. */
static uint64_t character_time(const struct uart *u) {
    unsigned data = 5 + (u->lcr & LCR_WLS);
    return half_bits(u, 2 * (1 + data + (u->lcr & LCR_PEN ? 1 : 0)) + half_stop_bits(u));
}

static uint8_t word_mask(const struct uart *u) {
    return (uint8_t)(0xffu >> (3 - (u->lcr & LCR_WLS)));
}

static bool looped(const struct uart *u) { return u->mcr & MCR_LOOP; }

static void fifo_put(struct fifo *f, uint8_t byte, uint8_t error) {
    unsigned tail = (f->head + f->count++) % FIFO_DEPTH;
    f->byte[tail] = byte;
    f->error[tail] = error;
}

static uint8_t fifo_take(struct fifo *f) {
    uint8_t byte = f->byte[f->head];
    f->head = (f->head + 1) % FIFO_DEPTH;
    f->count--;
    return byte;
}

/* --- Receiver ------------------------------------------------------------ */

/* UART-071: four character times without a character in or out. */
static void note_timeout(struct uart *u, uint64_t now) {
    uint64_t limit = TIMEOUT_CHARACTERS * character_time(u);
    if (u->fifo_mode && u->rx.count && limit && now >= u->rx_activity + limit) u->timeout = true;
}

static void receive_character(struct uart *u, uint64_t at, uint8_t byte, uint8_t error) {
    note_timeout(u, at);
    u->rx_activity = at;
    if (u->rx.count == depth(u)) {
        u->line_errors |= LSR_OE;
        if (u->fifo_mode) return; /* UART-035: the FIFO keeps what it has */
        fifo_take(&u->rx);        /* UART-036: the new character replaces the old */
    }
    fifo_put(&u->rx, byte & word_mask(u), error);
    if (u->rx.count == 1) u->line_errors |= error; /* UART-038: shown at the head */
}

uint8_t uart_receive(struct uart *u, uint64_t now) {
    if (u->rx.count == 0) return u->rbr; /* UART-037 */
    u->rbr = fifo_take(&u->rx);
    if (u->rx.count) u->line_errors |= u->rx.error[u->rx.head];
    u->timeout = false; /* UART-072 */
    u->rx_activity = now;
    return u->rbr;
}

void uart_clear_receiver(struct uart *u) {
    u->rx.count = 0;
    u->timeout = false;
    u->line_errors &= LSR_OE;
}

/* Characters from the host device. In loopback the line still brings them, but the receiver does
 * not hear them (UART-090). */
static void advance_receiver(struct uart *u, uint64_t now) {
    if (u->divisor == 0) return;
    for (;;) {
        bool room = looped(u) || u->rx.count < depth(u);
        if (!room || !cdev_input_available(&u->cdev)) {
            u->rx_idle = true;
            return;
        }
        if (u->rx_idle && u->rx_at < now) u->rx_at = now;
        u->rx_idle = false;
        uint8_t byte;
        if (u->rx_at > now || cdev_read(&u->cdev, &byte, 1) == 0) return;
        if (!looped(u)) receive_character(u, u->rx_at, byte, 0);
        u->rx_at += character_time(u);
    }
}

/* --- Transmitter ------------------------------------------------------------ */

/* A character has left the shift register. False: the host takes none now. */
static bool shift_out(struct uart *u) {
    if (u->lcr & LCR_BREAK) return true; /* SOUT was held low: nobody could read it */
    if (defect(u, UART_DROP_BYTE) && u->sent % DROP_INTERVAL == DROP_INTERVAL - 1) {
        u->sent++;
        return true;
    }
    if (looped(u)) /* UART-087 */
        receive_character(u, u->shift_end, u->shift_byte, 0);
    else if (cdev_write(&u->cdev, u->shift_byte) != EOK)
        return false;
    u->sent++;
    return true;
}

/* UART-075: a FIFO that took one character only since THRE was set last delays the interrupt, so
 * that one is not raised between two writes of a slow processor. */
static uint64_t thre_delay(const struct uart *u) {
    if (!u->fifo_mode || u->filled) return 0;
    return character_time(u) - half_bits(u, half_stop_bits(u));
}

/* UART-061: the THRE interrupt comes once per drain. */
static void shift_in(struct uart *u) {
    u->shift_byte = fifo_take(&u->tx) & word_mask(u);
    u->shifting = true;
    u->shift_end = u->start_at + character_time(u);
    if (u->tx.count) return;
    u->thre_at = u->start_at + thre_delay(u);
    u->filled = false;
}

static void advance_transmitter(struct uart *u, uint64_t now) {
    for (;;) {
        if (!u->shifting) {
            if (u->tx.count == 0 || u->divisor == 0 || u->start_at > now) return; /* UART-012 */
            shift_in(u);
        }
        if (u->shift_end > now) return;
        bool waited = u->stalled;
        u->stalled = !shift_out(u);
        if (u->stalled) return;
        u->shifting = false;
        u->start_at = waited ? now : u->shift_end;
    }
}

/* UART-025: the start bit comes within 8 to 24 clocks of the baud generator after the write; here
 * after 16, one bit. A write to a full FIFO is lost. */
void uart_transmit(struct uart *u, uint64_t now, uint8_t byte) {
    u->thre_pending = false; /* UART-049 */
    u->thre_at = NEVER;
    if (u->tx.count == depth(u)) {
        if (u->fifo_mode) return;
        fifo_take(&u->tx);
    } else if (u->tx.count == 0 && !u->shifting) {
        u->start_at = now + half_bits(u, 2);
    }
    fifo_put(&u->tx, byte, 0);
    if (u->tx.count > 1) u->filled = true;
}

/* UART-068: not the shift register. */
void uart_clear_transmitter(struct uart *u) {
    if (u->tx.count) u->thre_pending = true;
    u->tx.count = 0;
    u->filled = true; /* after a change of FCR bit 0 the first interrupt is not delayed */
}

/* --- Line settings ------------------------------------------------------------ */

static enum cdev_parity parity(uint8_t lcr) {
    if (!(lcr & LCR_PEN)) return CDEV_PARITY_NONE;
    if (lcr & LCR_STICK) return lcr & LCR_EPS ? CDEV_PARITY_SPACE : CDEV_PARITY_MARK;
    return lcr & LCR_EPS ? CDEV_PARITY_EVEN : CDEV_PARITY_ODD;
}

/* The host's port gets settings when they are complete (DLAB back at 0) and new. */
static void set_line(struct uart *u) {
    if (u->lcr & LCR_DLAB || u->divisor == 0) return;
    const struct cdev_line line = {
        .baud = (CLOCK / 16 + u->divisor / 2u) / u->divisor,
        .data_bits = 5 + (u->lcr & LCR_WLS),
        .stop_bits = u->lcr & LCR_STB ? 2 : 1,
        .parity = parity(u->lcr),
    };
    if (line.baud == u->line.baud && line.data_bits == u->line.data_bits &&
        line.stop_bits == u->line.stop_bits && line.parity == u->line.parity)
        return;
    u->line = line;
    cdev_line_set(&u->cdev, &line);
}

/* UART-086: in loopback the pins are inactive and SOUT marks. */
static void set_pins(struct uart *u) {
    unsigned pins = (u->mcr & MCR_DTR ? CDEV_MODEM_DTR : 0) | (u->mcr & MCR_RTS ? CDEV_MODEM_RTS : 0);
    if (looped(u)) pins = 0;
    if (pins != u->pins) cdev_modem_set(&u->cdev, pins);
    u->pins = pins;
}

/* UART-022: a break goes to the line or, in loopback, to the receiver, which knows it for one when
 * it has lasted a character. */
static void set_break(struct uart *u, uint64_t now) {
    bool line_break = u->lcr & LCR_BREAK && !looped(u);
    bool loop_break = u->lcr & LCR_BREAK && looped(u);
    if (line_break != u->line_break) cdev_line_break(&u->cdev, line_break);
    if (loop_break != u->loop_break) u->break_at = loop_break ? now + character_time(u) : NEVER;
    u->line_break = line_break;
    u->loop_break = loop_break;
}

void uart_line_changed(struct uart *u, uint64_t now) {
    set_line(u);
    set_pins(u);
    set_break(u, now);
    /* A transmitter that had no clock starts with the first one (UART-012). */
    if (!u->shifting && u->tx.count && u->start_at < now) u->start_at = now + half_bits(u, 2);
}

/* --- Time ---------------------------------------------------------------- */

void uart_advance(struct uart *u, uint64_t now) {
    advance_transmitter(u, now);
    if (u->thre_at <= now) {
        u->thre_pending = true;
        u->thre_at = NEVER;
    }
    advance_receiver(u, now);
    if (u->break_at <= now && u->divisor) {
        receive_character(u, u->break_at, 0, LSR_BI | LSR_FE);
        u->break_at = NEVER; /* UART-039: one character, however long it lasts */
    }
    note_timeout(u, now);
}

static uint64_t earlier(uint64_t a, uint64_t b) { return a < b ? a : b; }

static uint64_t transmitter_deadline(const struct uart *u) {
    uint64_t thre = u->ier & IER_ETBEI ? u->thre_at : NEVER;
    if ((!u->shifting && u->tx.count == 0) || u->stalled || u->divisor == 0) return thre;
    uint64_t character = character_time(u);
    uint64_t end = u->shifting ? u->shift_end : u->start_at + character; /* of the first character */
    unsigned behind = u->shifting ? u->tx.count : u->tx.count - 1;
    uint64_t deadline = end; /* loopback: the receiver wants each character */
    if (!looped(u)) {
        uint64_t together = u->frequency / OUTPUT_LAG_DIVIDER / character;
        deadline = end + earlier(behind, together) * character;
    }
    if (u->tx.count && u->ier & IER_ETBEI) /* THRE: the last one leaves the FIFO */
        deadline = earlier(deadline, end + behind * character - character + thre_delay(u));
    return earlier(deadline, thre);
}

static uint64_t receiver_deadline(const struct uart *u) {
    uint64_t deadline = u->divisor ? u->break_at : NEVER;
    if (!(u->ier & IER_ERBFI) || u->divisor == 0) return deadline;
    unsigned trigger = u->fifo_mode ? u->trigger : 1;
    if (u->rx.count >= trigger) return deadline;
    uint64_t character = character_time(u);
    unsigned coming = u->rx_idle || looped(u) ? 0 : cdev_input_num_available(&u->cdev);
    if (coming) {
        if (coming > trigger - u->rx.count) coming = trigger - u->rx.count;
        deadline = earlier(deadline, u->rx_at + (coming - 1) * character);
    } else if (u->fifo_mode && u->rx.count && !u->timeout) {
        deadline = earlier(deadline, u->rx_activity + TIMEOUT_CHARACTERS * character);
    }
    return deadline;
}

uint64_t uart_deadline(const struct uart *u) {
    uint64_t deadline = earlier(transmitter_deadline(u), receiver_deadline(u));
    return u->ier & IER_EDSSI ? earlier(deadline, u->modem_at) : deadline;
}
