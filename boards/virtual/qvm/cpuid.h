/* What a vCPU says of itself. */
#ifndef QVM_CPUID_H
#define QVM_CPUID_H

struct kvm_cpuid2;

/* To be released by the caller. `kvm` is the open /dev/kvm. */
struct kvm_cpuid2 *cpuid_for_guest(int kvm, unsigned vcpu);

#endif
