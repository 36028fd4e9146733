/*
 * The virtual machine of the host's kernel: memory, local APICs, vCPUs.
 */
#ifndef QVM_MACHINE_H
#define QVM_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

struct kvm_run;

enum { IOAPIC_PINS = 24 };

/* Makes the machine with the VM's memory in it. Without usable hypervisor support it ends qvm. */
void machine_make(void);
/* Makes vCPU `number`; its file descriptor, and the page it shares with the kernel in *run. */
int machine_make_vcpu(unsigned number, struct kvm_run **run);
/* How a boot vCPU begins: 32-bit protected mode, flat segments as in the table at `gdt`, other registers zero. */
struct vcpu_entry {
    uint32_t eip, eax, ebx, esi;
    uint64_t gdt; /* guest-physical */
};
void machine_set_entry(int vcpu, const struct vcpu_entry *entry);

void machine_signal_msi(uint64_t address, uint32_t data);
/* Tells the kernel which vector a level-triggered pin raises, so that its end-of-interrupt comes back to us. */
void machine_route(unsigned pin, uint64_t address, uint32_t data, bool level);

#endif
