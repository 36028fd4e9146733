/*
 * What a vdev may ask of the VM: CPU operands, interrupts, timers, the end.
 *
 * "S" functions are for start-up (before GUEST_STARTING), "R" functions for
 * the running VM; the others may be called at any time.
 */
#ifndef QVM_GUEST_H
#define QVM_GUEST_H

#include <stdarg.h>

#include <qvm/types.h>

#pragma GCC visibility push(default)

struct vdev_s;
struct guest_cpu;
struct guest_timer;

/* --- CPU operands ------------------------------------------------------- */

typedef unsigned guest_cpu_access_flags_t;
#define GXF_NONE 0u /* ours */

/* Read or write `data_len` bytes of an operand. EOK, -1 (exception due) or errno. */
int guest_cpu_read(struct guest_cpu *gcp, guest_cpu_access_flags_t flags,
                   const struct qvm_state_block *blk, unsigned nblks, void *data, size_t data_len);
int guest_cpu_write(struct guest_cpu *gcp, guest_cpu_access_flags_t flags,
                    const struct qvm_state_block *blk, unsigned nblks, const void *data,
                    size_t data_len);
/* Answer a read that means nothing with all ones. */
int guest_write_all_ones(struct guest_cpu *gcp, guest_cpu_access_flags_t flags,
                         const struct qvm_state_block *blk);

/* --- Interrupts --------------------------------------------------------- */

typedef unsigned guest_intr_state_t;
enum guest_intr_state { GIS_ON = 1, GIS_OFF = 2, GIS_ISR = 4 };

enum guest_intr_notifications { GIN_UNMASK = 1, GIN_ACK = 2 };

typedef struct guest_intr {
    struct vdev_s *pic;
    unsigned param; /* pin */
    unsigned src_id;
} guest_intr_t;

/* R: assert or de-assert a line. A line without a PIC is silently open. */
errno_t guest_intr_signal(guest_intr_t *gip, guest_intr_state_t gis);
/* R, PIC vdevs: the guest unmasked or acknowledged `param`. */
void guest_intr_notify(const struct vdev_s *vdp, unsigned param, enum guest_intr_notifications gin);
/* R: a message-signalled interrupt; on x86 the LAPIC's address and data. */
void guest_msi_signal(struct vdev_s *src, uint64_t addr, unsigned data);

/* PIC vdevs, ours: which vector a pin raises, so that qvm knows which end-of-interrupts
 * belong to it. `level` false withdraws the route. */
void guest_intr_route(struct vdev_s *pic, unsigned pin, uint64_t msi_addr, uint32_t msi_data,
                      bool level);

/* --- Timers ------------------------------------------------------------- */

/* host_* in ClockCycles() units, guest_* on the guest's own time line. Here both tick at the
 * frequency that guest_timer_create() reports. */
struct guest_timer_data {
    uint64_t host_notify_start;
    uint64_t host_current;
    uint64_t guest_notify_start;
    uint64_t guest_current;
};

#define GUEST_TIMER_ABSOLUTE ((const struct guest_timer_data *)1) /* value ours */
#define GUEST_TIMER_STOP UINT64_MAX /* ours: deadline that disarms the timer */

/* S: a timer that will call the factory's `timer` with `data`. Its frequency in Hz goes to
 * *resolutionp. NULL on failure, with the error there. */
struct guest_timer *guest_timer_create(const struct guest_cpu *gcp, const struct vdev_s *vdp,
                                       const void *data, uint64_t *resolutionp);
/* R: (re)arm. `tdp` NULL: `deadline` cycles from now. `tdp` as given to the callback: the next
 * shot, `deadline` cycles after the one that was due, without drift. GUEST_TIMER_ABSOLUTE:
 * at guest time `deadline`. A timer has one deadline; arming replaces it. EOK or errno. */
int guest_timer_notify(struct guest_timer *vtp, const struct guest_timer_data *tdp,
                       uint64_t deadline);
/* R: the current times, to compute a counter's value. */
void guest_timer_state(const struct guest_timer *vtp, struct guest_timer_data *tdp);

/* --- The end ------------------------------------------------------------ */

/* Becomes qvm's exit status. 1..31 system causes, 32..63 custom. */
typedef int guest_termination_cause_t;
enum guest_termination_cause {
    GTC_NORMAL_EXIT = 0,
    GTC_POWER_CUT = 3,
    GTC_WATCHDOG = 4,
    GTC_UNSUPPORTED = 5,
    GTC_VDEV_ERROR = 6,
    GTC_UNEXPECTED = 7,
    GTC_CUSTOM_MIN = 32,
    GTC_MAX = 63,
};
/* R: end guest and qvm at once with that exit status. Does not return. */
void guest_terminate(guest_termination_cause_t cause) __attribute__((noreturn));

/* --- Tables, ours ------------------------------------------------------- */

/* In VDEV_CTRL_GEN_ACPI: append one interrupt-controller structure to the MADT. */
void guest_acpi_madt_add(const struct vdev_s *vdp, const void *entry, size_t length);

#pragma GCC visibility pop

#endif
