/*
 * vdev timer8254: an Intel 8254 as a PC wires it.
 *
 * Ports 0x40..0x43 (`loc` moves them), port B of the system controller at 0x61 when the counters
 * are in port space, and OUT 0 on the line that `intr` names. The counters are in
 * timer8254_counter.c; here are the bus, port B, the clock and the interrupt.
 *
 * Invariant: everything is a function of guest time. A callback that comes late changes when an
 * interrupt is delivered, never what a counter shows.
 */
#include <inttypes.h>

#include <qvm/gasp.h>
#include <qvm/guest.h>
#include <qvm/log.h>
#include <qvm/vdev-core.h>

#include "defect.h"
#include "timer8254_counter.h"

DEFECT(PIT_RATE_1PCT, "pit.rate_1pct", "the input clock is 1 % fast", "PIT-034 PIT-079");
DEFECT(PIT_OVERFLOW64, "pit.overflow64", "elapsed time times frequency overflows after 4.29 h", "PIT-036");
DEFECT(PIT_INJECT_LOST, "pit.inject_lost", "every 1000th interrupt is lost", "PIT-110 PIT-112");
DEFECT(PIT_INJECT_DOUBLE, "pit.inject_double", "every 1000th interrupt comes twice", "PIT-079 PIT-114");
#define INJECT_INTERVAL 1000u

/* Registers, by offset from `loc`; 0..2 are the counters. */
#define CONTROL_WORD 3u

/* Control word. */
#define SELECT(control) ((control) >> 6)
#define SELECT_READ_BACK 3u
#define RW(control) ((control) >> 4 & 3)
#define RW_LATCH 0u
#define READ_BACK_NO_COUNT 0x20u
#define READ_BACK_NO_STATUS 0x10u
#define READ_BACK_SELECTS(control, channel) ((control) >> ((channel) + 1) & 1)

/* Port B of the system controller, 0x61. */
#define PORT_B 0x61u
#define PORT_B_COOKIE 1u
#define PORT_B_GATE2 0x01u
#define PORT_B_WRITABLE 0x0fu /* gate 2, speaker data, two NMI enables */
#define PORT_B_REFRESH 0x10u
#define PORT_B_OUT2 0x20u
#define REFRESH_TICKS 18u /* PIT-103: half period, 15.0857 us */

/* The input clock: 315/88/3 MHz = 13 125 000 / 11 Hz. */
#define CLOCK_NUMERATOR 13125000u
#define CLOCK_DENOMINATOR 11u
#define TICKS_PER_SECOND (CLOCK_NUMERATOR / CLOCK_DENOMINATOR)

/*
 * Delivery of OUT 0's rising edges (PIT-113, PIT-114). Policy: catchup. Edges that a late callback
 * missed are delivered one by one, half a period apart, until the backlog is gone; so their number
 * is exact over a long window. Two interrupts are never closer than MINIMUM_SPACING: edges that
 * come faster for good are merged. An edge behind a late one waits for an eighth of the period, up
 * to LONGEST_WAIT, since on an edge-triggered line the guest would take the two for one. A backlog
 * worth more than a second is cut to one second.
 */
#define MINIMUM_SPACING 120u /* ticks, 100.57 us */
#define LONGEST_WAIT 600u    /* ticks, 0.503 ms */
#define BACKLOG_LIMIT TICKS_PER_SECOND

enum { OPTION_DEFECT };
static const char *const options[] = {"defect", NULL};

struct interrupt {
    bool line;           /* as last signalled */
    uint64_t backlog;    /* rising edges not delivered yet */
    bool behind;         /* the last delivery left a backlog */
    uint64_t not_before; /* tick of the next delivery, at the earliest */
    uint64_t rises, delivered, merged, discarded;
};

struct pit {
    struct counter counter[3];
    uint8_t port_b; /* the writable bits */
    bool has_port_b;
    struct interrupt irq;
    struct guest_timer *timer;
    uint64_t frequency; /* of guest time, Hz */
    uint64_t armed;     /* the timer's deadline, or GUEST_TIMER_STOP */
    uint64_t defects;
};

/* --- Time ---------------------------------------------------------------- */

static unsigned clock_numerator(const struct pit *pit) {
    if (defect(pit, PIT_RATE_1PCT)) return CLOCK_NUMERATOR / 100 * 101;
    return CLOCK_NUMERATOR;
}

/* The number of CLK pulses so far. 128 bits: no overflow, no rounding that adds up
 * (PIT-035, PIT-036). */
static uint64_t ticks_now(const struct pit *pit) {
    struct guest_timer_data time;
    guest_timer_state(pit->timer, &time);
    if (defect(pit, PIT_OVERFLOW64)) time.guest_current %= UINT64_MAX / (TICKS_PER_SECOND + 1);
    return (uint64_t)((unsigned __int128)time.guest_current * clock_numerator(pit) /
                      ((unsigned __int128)CLOCK_DENOMINATOR * pit->frequency));
}

/* The first moment of guest time at which that CLK pulse has come. */
static uint64_t moment_of(const struct pit *pit, uint64_t tick) {
    unsigned __int128 units = (unsigned __int128)tick * CLOCK_DENOMINATOR * pit->frequency;
    return (uint64_t)((units + clock_numerator(pit) - 1) / clock_numerator(pit));
}

/* --- Interrupt ------------------------------------------------------------- */

static void signal_line(vdev_t *vdp, bool level) {
    struct pit *pit = vdp->v_device;
    if (pit->irq.line == level) return;
    pit->irq.line = level;
    guest_intr_signal(&vdp->v_intr, level ? GIS_ON : GIS_OFF);
}

/* What a full backlog loses is said once per instance: the guest decides how often it happens. */
static void limit_backlog(vdev_t *vdp, uint64_t period) {
    struct interrupt *irq = &((struct pit *)vdp->v_device)->irq;
    uint64_t limit = period >= MINIMUM_SPACING ? BACKLOG_LIMIT / period : 0;
    if (limit == 0) limit = 1;
    if (irq->backlog <= limit) return;
    uint64_t excess = irq->backlog - limit;
    irq->backlog = limit;
    if (period >= MINIMUM_SPACING) {
        if (irq->discarded == 0)
            vdev_logf(QL_QVM_WARN, vdp, "more than a second behind: interrupts are discarded");
        irq->discarded += excess;
    } else {
        if (irq->merged == 0)
            vdev_logf(QL_QVM_WARN, vdp, "channel 0 asks for interrupts %u ticks apart or closer: "
                      "they are merged to one in %u", MINIMUM_SPACING, MINIMUM_SPACING);
        irq->merged += excess;
    }
}

/* When the next one may come. Missed edges lie half a period apart, counted from when the last one
 * was planned, so that a host which is late each time catches up too. */
static void space_out(struct interrupt *irq, uint64_t now, uint64_t period) {
    uint64_t wait = period / 8 < LONGEST_WAIT ? period / 8 : LONGEST_WAIT;
    uint64_t soonest = now + (wait > MINIMUM_SPACING ? wait : MINIMUM_SPACING);
    uint64_t planned = irq->behind ? irq->not_before : now;
    irq->behind = irq->backlog > 0;
    irq->not_before = irq->behind ? planned + period / 2 : soonest;
    if (irq->not_before < soonest) irq->not_before = soonest;
}

/* The interrupts that so many edges are worth: one each. */
static uint64_t interrupts_of(struct pit *pit, uint64_t rises) {
    uint64_t before = pit->irq.rises / INJECT_INTERVAL;
    pit->irq.rises += rises;
    uint64_t wrong = pit->irq.rises / INJECT_INTERVAL - before;
    if (defect(pit, PIT_INJECT_LOST)) return rises - wrong;
    return defect(pit, PIT_INJECT_DOUBLE) ? rises + wrong : rises;
}

/* Takes note of OUT 0's edges up to `now` and delivers one if one is due. OUT's falling edge
 * means nothing to a PIC in edge mode, so it is worth no callback: the line goes low when the fall
 * is seen, at the latest before the next rise. */
static void deliver(vdev_t *vdp, uint64_t now) {
    struct pit *pit = vdp->v_device;
    struct interrupt *irq = &pit->irq;
    struct counter *c = &pit->counter[0];
    counter_advance(c, now);
    uint64_t period = counter_period(c);
    irq->backlog += interrupts_of(pit, c->rises);
    c->rises = 0;
    limit_backlog(vdp, period);
    if (irq->backlog > 0 && now >= irq->not_before) {
        signal_line(vdp, false);
        signal_line(vdp, true);
        irq->backlog--;
        irq->delivered++;
        space_out(irq, now, period);
    }
    if (!c->out) signal_line(vdp, false);
}

/* Arms the timer for the next moment at which there is something to deliver. */
static void arm(struct pit *pit) {
    const struct interrupt *irq = &pit->irq;
    uint64_t tick = irq->backlog ? irq->not_before : counter_next_rise(&pit->counter[0]);
    if (tick < irq->not_before) tick = irq->not_before;
    uint64_t deadline = tick == TICK_NEVER ? GUEST_TIMER_STOP : moment_of(pit, tick);
    if (deadline == pit->armed) return;
    pit->armed = deadline;
    guest_timer_notify(pit->timer, GUEST_TIMER_ABSOLUTE, deadline);
}

static void timer8254_timer(vdev_t *vdp, void *data, const struct guest_timer_data *tdp,
                            struct guest_cpu *gcp) {
    (void)data, (void)tdp, (void)gcp;
    struct pit *pit = vdp->v_device;
    pthread_mutex_lock(&vdp->v_mtx);
    pit->armed = GUEST_TIMER_STOP;
    deliver(vdp, ticks_now(pit));
    arm(pit);
    pthread_mutex_unlock(&vdp->v_mtx);
}

/* --- Registers --------------------------------------------------------------- */

static void read_back(struct pit *pit, uint64_t now, uint8_t command) {
    for (unsigned channel = 0; channel < 3; channel++) { /* PIT-053 */
        if (!READ_BACK_SELECTS(command, channel)) continue;
        if (!(command & READ_BACK_NO_COUNT)) counter_latch_count(&pit->counter[channel], now);
        if (!(command & READ_BACK_NO_STATUS)) counter_latch_status(&pit->counter[channel], now);
    }
}

static void write_control_word(struct pit *pit, uint64_t now, uint8_t control) {
    if (SELECT(control) == SELECT_READ_BACK) {
        read_back(pit, now, control);
    } else if (RW(control) == RW_LATCH) {
        counter_latch_count(&pit->counter[SELECT(control)], now); /* PIT-047 */
    } else {
        if (SELECT(control) == 0) pit->irq.backlog = 0; /* PIT-116: what was asked for is over */
        counter_control(&pit->counter[SELECT(control)], now, control);
    }
}

static void write_port_b(struct pit *pit, uint64_t now, uint8_t value) {
    pit->port_b = value & PORT_B_WRITABLE;
    counter_gate(&pit->counter[2], now, value & PORT_B_GATE2);
}

static uint8_t read_port_b(struct pit *pit, uint64_t now) {
    return (uint8_t)(pit->port_b | (now / REFRESH_TICKS % 2 ? PORT_B_REFRESH : 0) |
                     (counter_out(&pit->counter[2], now) ? PORT_B_OUT2 : 0));
}

static uint8_t read_register(struct pit *pit, uint64_t now, uint64_t offset) {
    return offset < CONTROL_WORD ? counter_read(&pit->counter[offset], now) : 0xff; /* PIT-002 */
}

static void write_register(struct pit *pit, uint64_t now, uint64_t offset, uint8_t value) {
    if (offset < CONTROL_WORD)
        counter_write(&pit->counter[offset], now, value);
    else
        write_control_word(pit, now, value);
}

static vdev_ref_status_t timer8254_vread(vdev_t *vdp, unsigned cookie,
                                         const struct qvm_state_block *vopnd,
                                         const struct qvm_state_block *oopnd,
                                         struct guest_cpu *gcp) {
    struct pit *pit = vdp->v_device;
    pthread_mutex_lock(&vdp->v_mtx);
    uint64_t now = ticks_now(pit);
    uint8_t value = cookie == PORT_B_COOKIE
                        ? read_port_b(pit, now)
                        : read_register(pit, now, vopnd->location - vdp->v_block.location);
    pthread_mutex_unlock(&vdp->v_mtx);
    return guest_cpu_to_vrs(guest_cpu_write(gcp, GXF_NONE, oopnd, 1, &value, sizeof value));
}

static vdev_ref_status_t timer8254_vwrite(vdev_t *vdp, unsigned cookie,
                                          const struct qvm_state_block *vopnd,
                                          const struct qvm_state_block *oopnd,
                                          struct guest_cpu *gcp) {
    struct pit *pit = vdp->v_device;
    uint8_t value;
    int error = guest_cpu_read(gcp, GXF_NONE, oopnd, 1, &value, sizeof value);
    if (error != EOK) return guest_cpu_to_vrs(error);
    pthread_mutex_lock(&vdp->v_mtx);
    uint64_t now = ticks_now(pit);
    deliver(vdp, now); /* edges before this access belong to what was programmed before it */
    if (cookie == PORT_B_COOKIE)
        write_port_b(pit, now, value);
    else
        write_register(pit, now, vopnd->location - vdp->v_block.location, value);
    deliver(vdp, now);
    arm(pit);
    pthread_mutex_unlock(&vdp->v_mtx);
    return VRS_NORMAL;
}

/* --- Lifecycle ---------------------------------------------------------------- */

static void start_options(vdev_t *vdp) {
    vdp->v_block = (struct qvm_state_block){
        .location = 0x40,
        .length = CONTROL_WORD + 1,
        .qst_type = QST_X86_IO,
    };
}

/* Without port B there is nothing that could hold gate 2 low: it is tied high like the others. */
static void assign(vdev_t *vdp) {
    struct pit *pit = vdp->v_device;
    pit->has_port_b = vdp->v_block.qst_type == QST_X86_IO;
    counter_reset(&pit->counter[0], true);
    counter_reset(&pit->counter[1], true);
    counter_reset(&pit->counter[2], !pit->has_port_b);
    if (!pit->has_port_b) return;
    const struct gasp_region port_b = {
        .flags = GRF_VDEV,
        .cookie = PORT_B_COOKIE,
        .vdev = vdp,
        .guest = {.location = PORT_B, .length = 1, .qst_type = QST_X86_IO},
    };
    struct gasp_region taken;
    if (gasp_region_info(vdp, &port_b.guest, &taken) == EOK)
        qvm_fatal(QLS_CNF,
                  "vdev %s wants port 0x61, which vdev %s has; give one loc mem:ADDRESS, or remove it",
                  vdev_name(vdp), vdev_name(taken.vdev));
    gasp_region_set(vdp, 1, &port_b);
}

static int create_timer(vdev_t *vdp) {
    struct pit *pit = vdp->v_device;
    pit->armed = GUEST_TIMER_STOP;
    pit->timer = guest_timer_create(NULL, vdp, NULL, &pit->frequency);
    return pit->timer ? EOK : (int)pit->frequency;
}

static void report(vdev_t *vdp) {
    struct pit *pit = vdp->v_device;
    pthread_mutex_lock(&vdp->v_mtx);
    uint64_t now = ticks_now(pit);
    for (unsigned i = 0; i < 3; i++) {
        struct counter *c = &pit->counter[i];
        counter_advance(c, now);
        qvm_report("channel %u: control=0x%02x mode=%u cr=0x%04x ce=0x%04x out=%d gate=%d null=%d\n", i,
                   c->control, counter_mode(c), c->cr, counter_element(c, now), c->out, c->gate,
                   c->null_count);
    }
    if (pit->has_port_b) qvm_report("port b: 0x%02x\n", read_port_b(pit, now));
    qvm_report("interrupts: delivered=%" PRIu64 " backlog=%" PRIu64 " merged=%" PRIu64
               " discarded=%" PRIu64 "\n",
               pit->irq.delivered, pit->irq.backlog, pit->irq.merged, pit->irq.discarded);
    pthread_mutex_unlock(&vdp->v_mtx);
}

static int timer8254_control(vdev_t *vdp, vdev_ctrl_options_t ctrl, const char *arg) {
    struct pit *pit = vdp->v_device;
    switch (ctrl) {
    case VDEV_CTRL_OPTIONS_START: start_options(vdp); break;
    case VDEV_CTRL_FIRST_OPTIDX + OPTION_DEFECT: defect_option(vdp, &pit->defects, arg); break;
    case VDEV_CTRL_ASSIGN: assign(vdp); break;
    case VDEV_CTRL_GUEST_CONFIGURED: return create_timer(vdp);
    case VDEV_CTRL_STATUS: report(vdp); break;
    default: break;
    }
    return EOK;
}

static struct vdev_factory factory = {
    .control = timer8254_control,
    .vread = timer8254_vread,
    .vwrite = timer8254_vwrite,
    .timer = timer8254_timer,
    .option_list = options,
    .factory_flags = VFF_INTR_NONPCI | VFF_VDEV_MEM | VFF_VDEV_X86_IO | VFF_MUTEX,
    .acc_sizes = 1u << 1, /* PIT-003, PIT-107: wider accesses are refused by qvm */
    .extra_space = sizeof(struct pit),
};

static void __attribute__((constructor)) timer8254_register(void) {
    vdev_register_factory(&factory, QVM_VDEV_ABI);
}
