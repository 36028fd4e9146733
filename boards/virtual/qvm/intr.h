/*
 * Interrupt lines between vdevs and PICs.
 */
#ifndef QVM_INTR_H
#define QVM_INTR_H

#include <qvm/vdev-core.h>

/* After the last option: a VM has one interrupt controller with lines; a second one ends qvm. */
void intr_check(void);
/* Makes `line` of a vdev the one that `PIC:LINE` or `apic` names; what does not exist, or is not for it, ends qvm. */
void intr_resolve(const vdev_t *vdp, guest_intr_t *line, const char *spec);
/* Makes `line` pin `pin` of the VM's I/O APIC; without one it stays open. */
void intr_resolve_gsi(guest_intr_t *line, unsigned pin);

/* The guest ended an interrupt of `vector` that was raised as a level. */
void intr_eoi(unsigned vector);

/* The local APICs as a PIC that `intr apic` names. */
void intr_add_local_apic(void);

#endif
