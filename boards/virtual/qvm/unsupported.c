#include "unsupported.h"

#include <inttypes.h>
#include <linux/kvm.h>
#include <string.h>

#include <qvm/guest.h>

#include "diagnostics.h"
#include "memory.h"
#include "vcpu.h"
#include "vm.h"

enum { STATE_LENGTH = 512 };

void unsupported_reference(struct guest_cpu *vcpu, qvm_state_types_t space, uint64_t address, unsigned size, void *data, bool is_write)
{
    const char *prefix = space == QST_X86_IO ? "io" : "mem", *what = is_write ? "write" : "read";
    char state[STATE_LENGTH];

    if (!is_write)
        memset(data, 0xff, size);
    if (vm.unsupported_reference == UNSUPPORTED_ABORT)
        run_error(GTC_UNSUPPORTED, "unsupported reference: %u-byte %s at %s:0x%" PRIx64 "%s", size, what, prefix, address,
                  vcpu_state(vcpu, state, sizeof state));
    else if (vm.unsupported_reference == UNSUPPORTED_FAIL && vcpu != NULL)
        vcpu_raise(vcpu, GENERAL_PROTECTION);
}

void unsupported_register(struct guest_cpu *vcpu, struct kvm_run *run, bool is_write)
{
    char state[STATE_LENGTH];

    run->msr.error = 0;
    if (!is_write)
        run->msr.data = UINT64_MAX;
    if (vm.unsupported_register == UNSUPPORTED_ABORT)
        run_error(GTC_UNSUPPORTED, "unsupported register: %s of MSR 0x%" PRIx32 "%s", is_write ? "write" : "read", run->msr.index,
                  vcpu_state(vcpu, state, sizeof state));
}

void unsupported_instruction(struct guest_cpu *vcpu, uint64_t address)
{
    bool is_reference = memory_at(address, 1) == NULL && vm.unsupported_reference != UNSUPPORTED_IGNORE;
    enum unsupported_action action = is_reference ? vm.unsupported_reference : vm.unsupported_instruction;
    char state[STATE_LENGTH];

    if (action == UNSUPPORTED_FAIL)
        vcpu_raise(vcpu, is_reference ? GENERAL_PROTECTION : INVALID_OPCODE);
    else if (is_reference)
        run_error(GTC_UNSUPPORTED, "unsupported reference: an instruction at mem:0x%" PRIx64 "%s", address,
                  vcpu_state(vcpu, state, sizeof state));
    else
        run_error(GTC_UNSUPPORTED, "unsupported instruction%s", vcpu_state(vcpu, state, sizeof state));
}
