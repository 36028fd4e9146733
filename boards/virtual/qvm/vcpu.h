/*
 * The vCPUs: one thread of the host each.
 */
#ifndef QVM_VCPU_H
#define QVM_VCPU_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "machine.h"

struct guest_cpu;

enum exit_kind { EXIT_ALL, EXIT_PORT, EXIT_MEMORY, EXIT_KINDS };

/* Makes one per `cpu` entry; the first boots. */
void vcpus_make(void);
/* Where the boot vCPU begins: see machine_set_entry(). */
void vcpus_set_entry(const struct vcpu_entry *entry);
void vcpus_start(void);
/* Stops and joins them all. A vCPU that is inside a vdev is waited for. */
void vcpus_stop(void);

/* Stops every vCPU between two instructions, and lets them go on; main thread only. One that is inside a vdev is not waited for long. */
void vcpus_pause(void);
void vcpus_resume(void);
size_t vcpus_count(void);
struct vcpu_registers {
    struct kvm_regs regs;
    struct kvm_sregs sregs;
};
/* Of a paused vCPU; false when it could not be paused. */
bool vcpus_registers(size_t number, struct vcpu_registers *registers);

enum { INVALID_OPCODE = 6, GENERAL_PROTECTION = 13 };

/* On the vCPU's own thread, while it serves an exit: the instruction it is at ends with this exception, error code 0 if it has one. */
void vcpu_raise(struct guest_cpu *vcpu, unsigned vector);
/* " (vcpu0: rip=... ...)" in `text`, for people; empty for NULL. On the vCPU's own thread. */
const char *vcpu_state(const struct guest_cpu *vcpu, char *text, size_t size);

/* How often guests left for qvm. */
unsigned long vcpus_exits(enum exit_kind kind);
/* The vdev in which a vCPU is that does not stop, or NULL. Async-signal-safe. */
const char *vcpus_stuck_in(void);

#endif
