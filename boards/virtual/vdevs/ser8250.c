/*
 * vdev ser8250: a 16550A whose line is a host device.
 *
 * Eight byte-wide ports at 0x3f8 (`loc` moves them), the interrupt on the line that `intr` names,
 * `hostdev`, `batch` and `delayed` as every character vdev has them. Here are the registers, the
 * interrupts and the modem lines; transmitter and receiver are in ser8250_line.c.
 *
 * Invariant: the interrupt line is what the registers say, after every access and every callback.
 */
#include <qvm/guest.h>
#include <qvm/log.h>
#include <qvm/vdev-core.h>

#include "defect.h"
#include "ser8250_uart.h"

DEFECT(UART_THRE_LOST, "uart.thre_lost",
       "enabling the THRE interrupt while THR is empty already raises none", "UART-050 UART-099");
DEFECT(UART_THRE_EARLY, "uart.thre_early",
       "LSR shows THRE while the transmitter's FIFO still holds characters",
       "UART-026 UART-028 UART-029");
DEFECT(UART_TIMEOUT_LOST, "uart.timeout_lost",
       "characters below the trigger level raise no interrupt, however long they wait", "UART-071");

/* Registers, by offset from `loc`. */
enum { RBR_THR_DLL, IER_DLM, IIR_FCR, LCR, MCR, LSR, MSR, SCR, REGISTERS };

#define IER_MASK 0x0fu /* UART-004 */
#define MCR_MASK 0x1fu

/* Interrupt identification, in order of priority (UART-046). */
#define IIR_LINE_STATUS 0x06u
#define IIR_DATA_AVAILABLE 0x04u
#define IIR_TIMEOUT 0x0cu
#define IIR_THRE 0x02u
#define IIR_MODEM_STATUS 0x00u
#define IIR_NONE 0x01u
#define IIR_FIFOS_ENABLED 0xc0u

#define FCR_ENABLE 0x01u
#define FCR_CLEAR_RX 0x02u
#define FCR_CLEAR_TX 0x04u

#define MSR_TERI 0x04u
#define MSR_CTS 0x10u
#define MSR_DSR 0x20u
#define MSR_RI 0x40u
#define MSR_DCD 0x80u


/* While the modem interrupt is enabled the host's lines are looked at this often. */
#define MODEM_POLL_DIVIDER 100u /* 10 ms */

enum { PULSE_INPUT = 1, PULSE_OUTPUT = 2 };

enum { OPTION_DEFECT = CDEV_OPT_NUM_OPTS };
static const char *const options[] = {CDEV_OPTIONS, "defect", NULL};

struct ser8250 {
    struct uart uart;
    struct guest_timer *timer;
    uint64_t armed; /* the timer's deadline, or GUEST_TIMER_STOP */
    bool line;      /* the interrupt line as last signalled */
};

/* --- Interrupts ------------------------------------------------------------ */

static uint8_t interrupt_code(const struct uart *u) {
    unsigned trigger = u->fifo_mode ? u->trigger : 1;
    if (u->ier & IER_ELSI && u->line_errors) return IIR_LINE_STATUS;
    if (u->ier & IER_ERBFI && u->rx.count >= trigger) return IIR_DATA_AVAILABLE; /* UART-053 */
    if (u->ier & IER_ERBFI && u->timeout && !defect(u, UART_TIMEOUT_LOST)) return IIR_TIMEOUT;
    if (u->ier & IER_ETBEI && u->thre_pending) return IIR_THRE;
    if (u->ier & IER_EDSSI && u->modem_delta) return IIR_MODEM_STATUS;
    return IIR_NONE;
}

/* UART-058: a PC lets INTR through with OUT2 set; here also in loopback, where the pin is inactive
 * but the bit is set, so that drivers can test interrupts. */
static void update_interrupt(vdev_t *vdp) {
    struct ser8250 *dev = vdp->v_device;
    bool line = interrupt_code(&dev->uart) != IIR_NONE && dev->uart.mcr & MCR_OUT2;
    if (line == dev->line) return;
    dev->line = line;
    guest_intr_signal(&vdp->v_intr, line ? GIS_ON : GIS_OFF);
}

static void arm(struct ser8250 *dev) {
    uint64_t deadline = uart_deadline(&dev->uart);
    if (deadline == NEVER) deadline = GUEST_TIMER_STOP;
    if (deadline == dev->armed) return;
    dev->armed = deadline;
    guest_timer_notify(dev->timer, GUEST_TIMER_ABSOLUTE, deadline);
}

/* --- Modem lines ------------------------------------------------------------ */

static uint8_t modem_lines(const struct uart *u) {
    if (u->mcr & MCR_LOOP) /* UART-085 */
        return (uint8_t)((u->mcr & MCR_RTS ? MSR_CTS : 0) | (u->mcr & MCR_DTR ? MSR_DSR : 0) |
                         (u->mcr & MCR_OUT1 ? MSR_RI : 0) | (u->mcr & MCR_OUT2 ? MSR_DCD : 0));
    unsigned host = cdev_modem_get(&u->cdev);
    return (uint8_t)((host & CDEV_MODEM_CTS ? MSR_CTS : 0) | (host & CDEV_MODEM_DSR ? MSR_DSR : 0) |
                     (host & CDEV_MODEM_RI ? MSR_RI : 0) | (host & CDEV_MODEM_DCD ? MSR_DCD : 0));
}

static void look_at_modem(struct uart *u, uint64_t now) {
    uint8_t lines = modem_lines(u);
    uint8_t changed = lines ^ u->modem;
    u->modem_delta |= (uint8_t)((changed & ~MSR_RI) >> 4);
    if (changed & u->modem & MSR_RI) u->modem_delta |= MSR_TERI; /* UART-083 */
    u->modem = lines;
    u->modem_at = now + u->frequency / MODEM_POLL_DIVIDER;
}

/* --- Registers ------------------------------------------------------------ */

/* UART-050, -051, -052: the THRE interrupt is raised by THR becoming empty and by its own enabling
 * while it is. */
static void write_ier(struct uart *u, uint64_t now, uint8_t value) {
    uint8_t enabled = value & ~u->ier;
    u->ier = value & IER_MASK;
    if (enabled & IER_ETBEI && u->tx.count == 0) {
        u->thre_pending = !defect(u, UART_THRE_LOST);
        u->thre_at = NEVER;
    }
    if (enabled & IER_EDSSI) look_at_modem(u, now);
}

/* UART-066: a change of bit 0 empties both FIFOs, the other bits need it. Bit 3, DMA, has no pins. */
static void write_fcr(struct uart *u, uint8_t value) {
    static const uint8_t triggers[] = {1, 4, 8, 14}; /* UART-069 */
    bool enable = value & FCR_ENABLE;
    bool changed = enable != u->fifo_mode;
    u->fifo_mode = enable;
    if (changed || (enable && value & FCR_CLEAR_RX)) uart_clear_receiver(u);
    if (changed || (enable && value & FCR_CLEAR_TX)) uart_clear_transmitter(u);
    u->trigger = triggers[value >> 6]; /* means nothing until the FIFOs are on, which sets it anew */
}

static void write_mcr(struct uart *u, uint64_t now, uint8_t value) {
    u->mcr = value & MCR_MASK;
    uart_line_changed(u, now);
    look_at_modem(u, now);
}

static void write_divisor(struct uart *u, uint64_t now, uint16_t divisor) {
    u->divisor = divisor;
    uart_line_changed(u, now);
}

static uint8_t read_iir(struct uart *u) {
    uint8_t code = interrupt_code(u);
    if (code == IIR_THRE) u->thre_pending = false; /* UART-048 */
    return code | (u->fifo_mode ? IIR_FIFOS_ENABLED : 0);
}

static bool fifo_has_error(const struct uart *u) {
    for (unsigned i = 0; i < u->rx.count; i++)
        if (u->rx.error[(u->rx.head + i) % FIFO_DEPTH]) return true;
    return false;
}

/* UART-041: reading clears the errors it shows. */
static uint8_t read_lsr(struct uart *u) {
    uint8_t value = u->line_errors;
    if (u->rx.count) value |= LSR_DR;
    if (u->tx.count == 0) value |= u->shifting ? LSR_THRE : LSR_THRE | LSR_TEMT; /* UART-026 */
    if (defect(u, UART_THRE_EARLY)) value |= LSR_THRE;
    if (u->fifo_mode && fifo_has_error(u)) value |= LSR_FIFO_ERROR;
    u->line_errors = 0;
    u->rx.error[u->rx.head] = 0;
    return value;
}

static uint8_t read_msr(struct uart *u, uint64_t now) {
    look_at_modem(u, now);
    uint8_t value = u->modem | u->modem_delta;
    u->modem_delta = 0; /* UART-082 */
    return value;
}

static uint8_t read_register(struct uart *u, uint64_t now, uint64_t offset) {
    bool dlab = u->lcr & LCR_DLAB;
    switch (offset) {
    case RBR_THR_DLL: return dlab ? (uint8_t)u->divisor : uart_receive(u, now);
    case IER_DLM: return dlab ? (uint8_t)(u->divisor >> 8) : u->ier;
    case IIR_FCR: return read_iir(u);
    case LCR: return u->lcr;
    case MCR: return u->mcr;
    case LSR: return read_lsr(u);
    case MSR: return read_msr(u, now);
    case SCR: return u->scr;
    default: return 0xff;
    }
}

static void write_register(struct uart *u, uint64_t now, uint64_t offset, uint8_t value) {
    bool dlab = u->lcr & LCR_DLAB;
    switch (offset) {
    case RBR_THR_DLL:
        if (dlab) {
            write_divisor(u, now, (u->divisor & 0xff00) | value);
        } else {
            uart_line_changed(u, now); /* the first character needs a line that is set */
            uart_transmit(u, now, value);
        }
        break;
    case IER_DLM:
        if (dlab)
            write_divisor(u, now, (uint16_t)(value << 8 | (u->divisor & 0xff)));
        else
            write_ier(u, now, value);
        break;
    case IIR_FCR: write_fcr(u, value); break;
    case LCR:
        u->lcr = value;
        uart_line_changed(u, now);
        break;
    case MCR: write_mcr(u, now, value); break;
    case SCR: u->scr = value; break;
    default: break; /* UART-005: LSR and MSR */
    }
}

/* --- Bus ---------------------------------------------------------------- */

static uint64_t time_now(const struct ser8250 *dev) {
    struct guest_timer_data time;
    guest_timer_state(dev->timer, &time);
    return time.guest_current;
}

/* What the line did up to `now`. */
static void advance(struct ser8250 *dev, uint64_t now) {
    struct uart *u = &dev->uart;
    uart_advance(u, now);
    if (u->ier & IER_EDSSI && now >= u->modem_at) look_at_modem(u, now);
}

/* An access may have made room or started something: look again, then tell the outside. */
static void settle(vdev_t *vdp, uint64_t now) {
    struct ser8250 *dev = vdp->v_device;
    uart_advance(&dev->uart, now);
    update_interrupt(vdp);
    arm(dev);
}

static vdev_ref_status_t ser8250_vread(vdev_t *vdp, unsigned cookie,
                                       const struct qvm_state_block *vopnd,
                                       const struct qvm_state_block *oopnd, struct guest_cpu *gcp) {
    (void)cookie;
    struct ser8250 *dev = vdp->v_device;
    pthread_mutex_lock(&vdp->v_mtx);
    uint64_t now = time_now(dev);
    advance(dev, now);
    uint8_t value = read_register(&dev->uart, now, vopnd->location - vdp->v_block.location);
    settle(vdp, now);
    pthread_mutex_unlock(&vdp->v_mtx);
    return guest_cpu_to_vrs(guest_cpu_write(gcp, GXF_NONE, oopnd, 1, &value, sizeof value));
}

static vdev_ref_status_t ser8250_vwrite(vdev_t *vdp, unsigned cookie,
                                        const struct qvm_state_block *vopnd,
                                        const struct qvm_state_block *oopnd,
                                        struct guest_cpu *gcp) {
    (void)cookie;
    struct ser8250 *dev = vdp->v_device;
    uint8_t value;
    int error = guest_cpu_read(gcp, GXF_NONE, oopnd, 1, &value, sizeof value);
    if (error != EOK) return guest_cpu_to_vrs(error);
    pthread_mutex_lock(&vdp->v_mtx);
    uint64_t now = time_now(dev);
    advance(dev, now);
    write_register(&dev->uart, now, vopnd->location - vdp->v_block.location, value);
    settle(vdp, now);
    pthread_mutex_unlock(&vdp->v_mtx);
    return VRS_NORMAL;
}

static void ser8250_timer(vdev_t *vdp, void *data, const struct guest_timer_data *tdp,
                          struct guest_cpu *gcp) {
    (void)data, (void)tdp, (void)gcp;
    struct ser8250 *dev = vdp->v_device;
    pthread_mutex_lock(&vdp->v_mtx);
    dev->armed = GUEST_TIMER_STOP;
    uint64_t now = time_now(dev);
    advance(dev, now);
    settle(vdp, now);
    pthread_mutex_unlock(&vdp->v_mtx);
}

/* Input arrived, or the host takes output again. */
static int ser8250_pulse(vdev_t *vdp, int8_t code) {
    (void)code;
    struct ser8250 *dev = vdp->v_device;
    pthread_mutex_lock(&vdp->v_mtx);
    uint64_t now = time_now(dev);
    advance(dev, now);
    settle(vdp, now);
    pthread_mutex_unlock(&vdp->v_mtx);
    return EOK;
}

/* --- Lifecycle ------------------------------------------------------------ */

/* UART-002. The data sheet leaves the divisor open; ours is 115200 bit/s. */
static int start_options(vdev_t *vdp) {
    struct ser8250 *dev = vdp->v_device;
    vdp->v_block = (struct qvm_state_block){
        .location = 0x3f8,
        .length = REGISTERS,
        .qst_type = QST_X86_IO,
    };
    dev->uart.divisor = 1;
    dev->uart.trigger = 1;
    dev->uart.rx_idle = true;
    dev->uart.break_at = NEVER;
    dev->uart.thre_at = NEVER;
    dev->armed = GUEST_TIMER_STOP;
    return cdev_setup(vdp, &dev->uart.cdev, PULSE_INPUT, PULSE_OUTPUT);
}

static int create_timer(vdev_t *vdp) {
    struct ser8250 *dev = vdp->v_device;
    dev->timer = guest_timer_create(NULL, vdp, NULL, &dev->uart.frequency);
    return dev->timer ? EOK : (int)dev->uart.frequency;
}

/* Reset leaves DTR and RTS inactive and no deltas. */
static void start(struct uart *u) {
    cdev_modem_set(&u->cdev, 0);
    u->modem = modem_lines(u);
}

static void report(vdev_t *vdp) {
    const struct uart *u = &((struct ser8250 *)vdp->v_device)->uart;
    pthread_mutex_lock(&vdp->v_mtx);
    qvm_report("dlr=0x%x lcr=0x%x ier=0x%x mcr=0x%x\n", u->divisor, u->lcr, u->ier, u->mcr);
    pthread_mutex_unlock(&vdp->v_mtx);
}

static int ser8250_control(vdev_t *vdp, vdev_ctrl_options_t ctrl, const char *arg) {
    struct ser8250 *dev = vdp->v_device;
    int error = EOK;
    if (ctrl == VDEV_CTRL_OPTIONS_START) error = start_options(vdp);
    if (ctrl == VDEV_CTRL_FIRST_OPTIDX + OPTION_DEFECT) {
        defect_option(vdp, &dev->uart.defects, arg);
        return EOK;
    }
    if (error == EOK) error = cdev_control(&dev->uart.cdev, ctrl, arg);
    if (error != EOK) return error;
    switch (ctrl) {
    case VDEV_CTRL_GUEST_CONFIGURED: return create_timer(vdp);
    case VDEV_CTRL_GUEST_STARTING: start(&dev->uart); break;
    case VDEV_CTRL_STATUS: report(vdp); break;
    default: break;
    }
    return EOK;
}

static struct vdev_factory factory = {
    .control = ser8250_control,
    .vread = ser8250_vread,
    .vwrite = ser8250_vwrite,
    .timer = ser8250_timer,
    .pulse = ser8250_pulse,
    .option_list = options,
    .factory_flags = VFF_INTR_NONPCI | VFF_VDEV_MEM | VFF_VDEV_X86_IO | VFF_MUTEX,
    .acc_sizes = 1u << 1, /* UART-003: wider accesses are refused by qvm */
    .extra_space = sizeof(struct ser8250),
};

static void __attribute__((constructor)) ser8250_register(void) {
    vdev_register_factory(&factory, QVM_VDEV_ABI);
}
