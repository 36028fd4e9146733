/*
 * The virtual machine that /dev/kvm gives: the local APICs are the kernel's, all other interrupt hardware is a vdev
 * (split irqchip, no PIT).
 *
 * Invariant: once machine_make() returned, a failing KVM call is a fatal error that names the call.
 */
#include "machine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "allocate.h"
#include "cpuid.h"
#include "diagnostics.h"
#include "memory.h"
#include "vm.h"

/* Pages below 4 GiB that Intel processors need for real mode; nothing else is there. */
#define IDENTITY_MAP UINT64_C(0xfffbc000)
#define TASK_STATE 0xfffbd000ul

#define MSR_MTRR_DEFAULT_TYPE 0x2ffu
#define MTRR_ENABLED_WRITE_BACK 0x806u

static int kvm = -1, machine = -1;
static int run_size;

static int call(int file, unsigned long request, void *argument, const char *name)
{
    int result = ioctl(file, request, argument);

    if (result < 0)
        start_error(NULL, "the kernel refused %s: %s", name, strerror(errno));
    return result;
}

/* The host loads its hypervisor support behind the console's prompt and holds this lock meanwhile. */
static void await_hypervisor(void)
{
    int lock = open("/run/hypervisor", O_RDONLY | O_CLOEXEC);

    if (lock < 0)
        return;
    while (flock(lock, LOCK_SH) != 0 && errno == EINTR)
        ;
    close(lock);
}

static void open_kvm(void)
{
    await_hypervisor();
    kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (kvm >= 0 && ioctl(kvm, KVM_GET_API_VERSION, 0) == KVM_API_VERSION)
        machine = ioctl(kvm, KVM_CREATE_VM, 0);
    if (machine < 0)
        start_error(NULL, "QVM disabled: hypervisor support not available");
}

static void enable(unsigned capability, uint64_t argument, const char *name)
{
    struct kvm_enable_cap enable = {.cap = capability, .args = {argument}};

    call(machine, KVM_ENABLE_CAP, &enable, name);
}

static void map_memory(void)
{
    size_t count;
    const struct memory_block *blocks = memory_blocks(&count);

    for (size_t n = 0; n < count; n++) {
        struct kvm_userspace_memory_region region = {
            .slot = (uint32_t)n,
            .flags = blocks[n].kind == MEMORY_ROM ? KVM_MEM_READONLY : 0,
            .guest_phys_addr = blocks[n].start,
            .memory_size = blocks[n].length,
            .userspace_addr = (uintptr_t)blocks[n].host,
        };
        if (blocks[n].host != NULL)
            call(machine, KVM_SET_USER_MEMORY_REGION, &region, "KVM_SET_USER_MEMORY_REGION");
    }
}

void machine_make(void)
{
    uint64_t identity_map = IDENTITY_MAP;

    open_kvm();
    run_size = call(kvm, KVM_GET_VCPU_MMAP_SIZE, NULL, "KVM_GET_VCPU_MMAP_SIZE");
    call(machine, KVM_SET_TSS_ADDR, (void *)TASK_STATE, "KVM_SET_TSS_ADDR");
    call(machine, KVM_SET_IDENTITY_MAP_ADDR, &identity_map, "KVM_SET_IDENTITY_MAP_ADDR");
    enable(KVM_CAP_SPLIT_IRQCHIP, IOAPIC_PINS, "KVM_CAP_SPLIT_IRQCHIP");
    if (vm.unsupported_register != UNSUPPORTED_FAIL)
        enable(KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_UNKNOWN, "KVM_CAP_X86_USER_SPACE_MSR");
    enable(KVM_CAP_EXIT_ON_EMULATION_FAILURE, 1, "KVM_CAP_EXIT_ON_EMULATION_FAILURE");
    if (!vm.exit_on_halt)
        enable(KVM_CAP_X86_DISABLE_EXITS, KVM_X86_DISABLE_EXITS_HLT, "KVM_CAP_X86_DISABLE_EXITS");
    map_memory();
}

int machine_make_vcpu(unsigned number, struct kvm_run **run)
{
    struct {
        struct kvm_msrs head;
        struct kvm_msr_entry entry;
    } msrs = {.head.nmsrs = 1, .entry = {.index = MSR_MTRR_DEFAULT_TYPE, .data = MTRR_ENABLED_WRITE_BACK}};
    int vcpu = call(machine, KVM_CREATE_VCPU, (void *)(uintptr_t)number, "KVM_CREATE_VCPU");
    struct kvm_cpuid2 *cpuid = cpuid_for_guest(kvm, number);

    *run = mmap(NULL, (size_t)run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
    if (*run == MAP_FAILED)
        start_error(NULL, "no memory for a vCPU: %s", strerror(errno));
    call(vcpu, KVM_SET_CPUID2, cpuid, "KVM_SET_CPUID2");
    release(cpuid);
    call(vcpu, KVM_SET_MSRS, &msrs, "KVM_SET_MSRS");
    return vcpu;
}

void machine_set_entry(int vcpu, const struct vcpu_entry *entry)
{
    /* Selectors 0x10 and 0x18, as the Linux boot protocol asks; the table at `entry->gdt` says the same. */
    const struct kvm_segment code = {.limit = 0xffffffff, .selector = 0x10, .type = 11, .present = 1, .db = 1, .s = 1, .g = 1};
    const struct kvm_segment data = {.limit = 0xffffffff, .selector = 0x18, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1};
    const struct kvm_segment none = {.unusable = 1};
    struct kvm_regs regs = {.rip = entry->eip, .rax = entry->eax, .rbx = entry->ebx, .rsi = entry->esi, .rflags = 2};
    struct kvm_sregs sregs;

    call(vcpu, KVM_GET_SREGS, &sregs, "KVM_GET_SREGS");
    sregs.cs = code;
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
    sregs.ldt = none;
    sregs.gdt = (struct kvm_dtable){.base = entry->gdt, .limit = 4 * 8 - 1};
    sregs.idt = (struct kvm_dtable){.base = 0, .limit = 0};
    sregs.cr0 |= 1; /* PE */
    call(vcpu, KVM_SET_SREGS, &sregs, "KVM_SET_SREGS");
    call(vcpu, KVM_SET_REGS, &regs, "KVM_SET_REGS");
}

/* --- Interrupts ----------------------------------------------------------- */

void machine_signal_msi(uint64_t address, uint32_t data)
{
    struct kvm_msi msi = {.address_lo = (uint32_t)address, .address_hi = (uint32_t)(address >> 32), .data = data};

    ioctl(machine, KVM_SIGNAL_MSI, &msi); /* 0: no vCPU takes it, as on a bus without a listener */
}

void machine_route(unsigned pin, uint64_t address, uint32_t data, bool level)
{
    static struct kvm_irq_routing_entry routes[IOAPIC_PINS];
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    const struct kvm_irq_routing_entry route = {
        .gsi = pin,
        .type = level ? KVM_IRQ_ROUTING_MSI : 0,
        .u.msi = {.address_lo = (uint32_t)address, .address_hi = (uint32_t)(address >> 32), .data = data},
    };
    struct {
        struct kvm_irq_routing head;
        struct kvm_irq_routing_entry entries[IOAPIC_PINS];
    } table = {0};

    if (pin >= IOAPIC_PINS)
        return;
    pthread_mutex_lock(&lock);
    if (routes[pin].type != route.type || (level && memcmp(&routes[pin].u.msi, &route.u.msi, sizeof route.u.msi) != 0)) {
        routes[pin] = route;
        for (unsigned n = 0; n < IOAPIC_PINS; n++)
            if (routes[n].type != 0)
                table.entries[table.head.nr++] = routes[n];
        call(machine, KVM_SET_GSI_ROUTING, &table, "KVM_SET_GSI_ROUTING");
    }
    pthread_mutex_unlock(&lock);
}
