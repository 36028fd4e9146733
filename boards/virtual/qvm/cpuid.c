/*
 * CPUID of a vCPU: what the host can do, less what would let a guest pass our timers by.
 *
 * Invariant: a guest sees that it is in a VM, sees a local APIC, and sees neither KVM's own leaves (it would take kvm-clock),
 * nor the TSC deadline timer, nor x2APIC. Each vCPU is a package of its own.
 */
#include "cpuid.h"

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "allocate.h"
#include "diagnostics.h"

enum { ENTRIES = 256 };

#define HYPERVISOR_LEAVES 0x40000000u

/* Extended state and what needs it: under an emulated host processor (QEMU's TCG) a guest's AVX instruction is an illegal one,
 * whatever CPUID says. */
#define EXTENDED_STATE_1_ECX (1u << 12 | 1u << 26 | 1u << 27 | 1u << 28 | 1u << 29) /* FMA, XSAVE, OSXSAVE, AVX, F16C */
#define EXTENDED_STATE_7_EBX (1u << 5)                                             /* AVX2 */
#define EXTENDED_STATE_7_ECX (1u << 9 | 1u << 10)                                  /* VAES, VPCLMULQDQ */

static void adjust(struct kvm_cpuid_entry2 *entry, unsigned vcpu)
{
    switch (entry->function) {
    case 0x1:
        entry->ebx = (entry->ebx & 0x0000ffff) | 1u << 16 | vcpu << 24; /* one logical processor; initial APIC id */
        entry->ecx |= 1u << 31;                                        /* in a VM */
        entry->ecx &= ~(1u << 21 | 1u << 24);                          /* x2APIC, TSC deadline */
        entry->ecx &= ~EXTENDED_STATE_1_ECX;
        entry->edx |= 1u << 9;                                         /* local APIC */
        entry->edx &= ~(1u << 28);                                     /* HTT */
        break;
    case 0x4:
        entry->eax &= 0x3fff; /* nobody shares a cache, one core */
        break;
    case 0x7:
        entry->ebx &= ~EXTENDED_STATE_7_EBX;
        entry->ecx &= ~EXTENDED_STATE_7_ECX;
        break;
    case 0xd: /* extended state */
        entry->eax = entry->ebx = entry->ecx = entry->edx = 0;
        break;
    case 0xb: /* x2APIC topology */
    case 0x1f:
        entry->eax = entry->ebx = entry->ecx = entry->edx = 0;
        break;
    case 0x80000001:
        entry->ecx &= ~(1u << 1); /* CmpLegacy: there is one core */
        break;
    case 0x80000008:
        entry->ecx = 0;
        break;
    case 0x8000001d:
        entry->eax &= 0x3fff;
        break;
    case 0x8000001e:
        entry->eax = vcpu;
        entry->ebx = entry->ecx = 0;
        break;
    }
}

struct kvm_cpuid2 *cpuid_for_guest(int kvm, unsigned vcpu)
{
    struct kvm_cpuid2 *cpuid = allocate(sizeof *cpuid + ENTRIES * sizeof cpuid->entries[0]);
    unsigned kept = 0;

    cpuid->nent = ENTRIES;
    if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid) != 0)
        start_error(NULL, "the kernel refused KVM_GET_SUPPORTED_CPUID: %s", strerror(errno));
    for (unsigned n = 0; n < cpuid->nent; n++) {
        struct kvm_cpuid_entry2 entry = cpuid->entries[n];
        if (entry.function >> 28 == HYPERVISOR_LEAVES >> 28)
            continue;
        adjust(&entry, vcpu);
        cpuid->entries[kept++] = entry;
    }
    cpuid->nent = kept;
    return cpuid;
}
