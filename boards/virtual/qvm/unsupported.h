/*
 * What becomes of what the VM does not have: the option `unsupported reference|instruction|register abort|fail|ignore`.
 */
#ifndef QVM_UNSUPPORTED_H
#define QVM_UNSUPPORTED_H

#include <stdbool.h>
#include <stdint.h>

#include <qvm/types.h>

struct guest_cpu;
struct kvm_run;

/* An access that no vdev takes; `vcpu` is NULL for one that a vdev made on its own. A read finds all ones in `data`. */
void unsupported_reference(struct guest_cpu *vcpu, qvm_state_types_t space, uint64_t address, unsigned size, void *data, bool is_write);
/* A model-specific register that nobody has, when the option does not say `fail`. */
void unsupported_register(struct guest_cpu *vcpu, struct kvm_run *run, bool is_write);
/* An instruction at a guest-physical address that the kernel had to do for the guest and cannot; where nothing is, it is a reference. */
void unsupported_instruction(struct guest_cpu *vcpu, uint64_t address);

#endif
