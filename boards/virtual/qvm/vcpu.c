/*
 * A vCPU's thread: runs the guest until it leaves for something the kernel does not do, does that, and goes on.
 *
 * Invariant: only a vCPU's own thread touches its file descriptor and its shared page, but for `immediate_exit`.
 */
#include "vcpu.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include <qvm/vdev-core.h>

#include "allocate.h"
#include "diagnostics.h"
#include "end.h"
#include "gasp.h"
#include "intr.h"
#include "machine.h"
#include "running.h"
#include "thread.h"
#include "unsupported.h"
#include "vm.h"

enum { PAUSE_LIMIT = 1 }; /* seconds */

struct guest_cpu {
    const struct cpu_entry *entry;
    int file;
    struct kvm_run *run;
    pthread_t thread;
    atomic_bool done;
    const struct running *running; /* the thread's own */
    atomic_ulong exits[EXIT_KINDS];
    int raised;         /* the exception to deliver, or -1 */
    struct kvm_regs at; /* the registers when it was raised */
    bool parked;        /* under `parking`; then its registers are in `registers` */
    struct vcpu_registers registers;
};

static struct guest_cpu *vcpus;
static size_t made, started;
static atomic_bool stopping, pausing;
static pthread_mutex_t parking = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t parked_or_not = PTHREAD_COND_INITIALIZER;

static int kick_signal(void)
{
    return SIGRTMIN;
}

static void on_kick(int signal)
{
    (void)signal; /* its only use is to make KVM_RUN return */
}

/* Makes every vCPU leave the guest. Set what it shall see then before. */
static void kick(void)
{
    for (size_t n = 0; n < started; n++)
        if (!atomic_load(&vcpus[n].done)) {
            vcpus[n].run->immediate_exit = 1;
            pthread_kill(vcpus[n].thread, kick_signal());
        }
}

/* --- Exits ---------------------------------------------------------------- */

static void count(struct guest_cpu *vcpu, enum exit_kind kind)
{
    atomic_fetch_add_explicit(&vcpu->exits[kind], 1, memory_order_relaxed);
}

static void on_port(struct guest_cpu *vcpu)
{
    const struct kvm_run *run = vcpu->run;
    uint8_t *data = (uint8_t *)vcpu->run + run->io.data_offset;

    count(vcpu, EXIT_PORT);
    for (uint32_t n = 0; n < run->io.count; n++) /* more than one with INS and OUTS */
        gasp_access(vcpu, QST_X86_IO, run->io.port, run->io.size, data + (size_t)n * run->io.size,
                    run->io.direction == KVM_EXIT_IO_OUT);
}

static void on_memory(struct guest_cpu *vcpu)
{
    struct kvm_run *run = vcpu->run;

    count(vcpu, EXIT_MEMORY);
    gasp_access(vcpu, QST_MEMORY, run->mmio.phys_addr, run->mmio.len, run->mmio.data, run->mmio.is_write);
}

/* Where its next instruction is, guest-physical; where nothing is when that is not known. */
static uint64_t instruction_at(const struct guest_cpu *vcpu)
{
    struct kvm_translation translation;
    struct kvm_sregs sregs;
    struct kvm_regs regs;

    if (ioctl(vcpu->file, KVM_GET_REGS, &regs) != 0 || ioctl(vcpu->file, KVM_GET_SREGS, &sregs) != 0)
        return UINT64_MAX;
    translation.linear_address = sregs.cs.base + regs.rip;
    return ioctl(vcpu->file, KVM_TRANSLATE, &translation) == 0 && translation.valid ? translation.physical_address : UINT64_MAX;
}

static void on_exit_reason(struct guest_cpu *vcpu)
{
    struct kvm_run *run = vcpu->run;

    count(vcpu, EXIT_ALL);
    switch (run->exit_reason) {
    case KVM_EXIT_IO:
        on_port(vcpu);
        break;
    case KVM_EXIT_MMIO:
        on_memory(vcpu);
        break;
    case KVM_EXIT_IOAPIC_EOI:
        intr_eoi(run->eoi.vector);
        break;
    case KVM_EXIT_X86_RDMSR:
    case KVM_EXIT_X86_WRMSR:
        unsupported_register(vcpu, run, run->exit_reason == KVM_EXIT_X86_WRMSR);
        break;
    case KVM_EXIT_SHUTDOWN: /* a triple fault: how a PC is reset when nothing else works */
        qvm_log(QLV_INFO, "the guest reset itself by a triple fault: it reboots that way, or had no handler for an exception");
        end_request(GTC_NORMAL_EXIT);
        break;
    case KVM_EXIT_INTR:
    case KVM_EXIT_IRQ_WINDOW_OPEN:
        break;
    case KVM_EXIT_FAIL_ENTRY:
        run_error(STATUS_FATAL_AFTER_START, "the processor refused to run the guest: reason 0x%llx",
                  (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
        break;
    case KVM_EXIT_INTERNAL_ERROR:
        if (run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION)
            unsupported_instruction(vcpu, instruction_at(vcpu));
        else
            run_error(GTC_UNEXPECTED, "the kernel cannot go on with the guest: internal error %u", run->internal.suberror);
        break;
    default:
        run_error(GTC_UNEXPECTED, "the guest left for an unknown reason: %u", run->exit_reason);
    }
}

/* --- Exceptions ----------------------------------------------------------- */

void vcpu_raise(struct guest_cpu *vcpu, unsigned vector)
{
    if (vcpu->raised < 0 && ioctl(vcpu->file, KVM_GET_REGS, &vcpu->at) == 0)
        vcpu->raised = (int)vector;
}

/*
 * The kernel completes the access first, and with it goes behind the instruction; the registers from before make it a fault. Of a
 * write to memory the kernel has gone on already when it asks: there the exception is behind the instruction.
 */
static void deliver_exception(struct guest_cpu *vcpu)
{
    struct kvm_vcpu_events events;

    vcpu->run->immediate_exit = 1;
    while (ioctl(vcpu->file, KVM_RUN, 0) == 0)
        ; /* the next part of the same access: it has what it gets */
    vcpu->run->immediate_exit = 0; /* whoever set it meanwhile has set `stopping` before */
    if (ioctl(vcpu->file, KVM_SET_REGS, &vcpu->at) == 0 && ioctl(vcpu->file, KVM_GET_VCPU_EVENTS, &events) == 0) {
        events.exception.injected = 1;
        events.exception.nr = (uint8_t)vcpu->raised;
        events.exception.has_error_code = vcpu->raised == GENERAL_PROTECTION;
        events.exception.error_code = 0;
        ioctl(vcpu->file, KVM_SET_VCPU_EVENTS, &events);
    }
    vcpu->raised = -1;
}

const char *vcpu_state(const struct guest_cpu *vcpu, char *text, size_t size)
{
    struct kvm_sregs sregs = {0};
    struct kvm_regs regs = {0};

    text[0] = '\0';
    if (vcpu == NULL || ioctl(vcpu->file, KVM_GET_REGS, &regs) != 0 || ioctl(vcpu->file, KVM_GET_SREGS, &sregs) != 0)
        return text;
    snprintf(text, size,
             " (vcpu%d: rip=0x%llx rsp=0x%llx rflags=0x%llx cs=0x%x cr0=0x%llx cr2=0x%llx cr3=0x%llx cr4=0x%llx"
             " rax=0x%llx rbx=0x%llx rcx=0x%llx rdx=0x%llx rsi=0x%llx rdi=0x%llx rbp=0x%llx)",
             (int)(vcpu - vcpus), regs.rip, regs.rsp, regs.rflags, sregs.cs.selector, sregs.cr0, sregs.cr2, sregs.cr3, sregs.cr4,
             regs.rax, regs.rbx, regs.rcx, regs.rdx, regs.rsi, regs.rdi, regs.rbp);
    return text;
}

/* --- Pauses --------------------------------------------------------------- */

/* The access that is under way is completed first, or the registers would not have its result. */
static void park(struct guest_cpu *vcpu)
{
    vcpu->run->immediate_exit = 1;
    while (ioctl(vcpu->file, KVM_RUN, 0) == 0)
        on_exit_reason(vcpu);
    if (vcpu->raised >= 0)
        deliver_exception(vcpu);
    vcpu->run->immediate_exit = 0; /* whoever set it meanwhile has set `stopping` before */
    pthread_mutex_lock(&parking);
    vcpu->parked = ioctl(vcpu->file, KVM_GET_REGS, &vcpu->registers.regs) == 0 &&
                   ioctl(vcpu->file, KVM_GET_SREGS, &vcpu->registers.sregs) == 0;
    pthread_cond_broadcast(&parked_or_not);
    while (atomic_load(&pausing))
        pthread_cond_wait(&parked_or_not, &parking);
    vcpu->parked = false;
    pthread_mutex_unlock(&parking);
}

void vcpus_pause(void)
{
    struct timespec limit;

    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += PAUSE_LIMIT;
    atomic_store(&pausing, true);
    kick();
    pthread_mutex_lock(&parking);
    for (size_t n = 0; n < started; n++) {
        int error = 0;
        while (!vcpus[n].parked && !atomic_load(&vcpus[n].done) && error == 0)
            error = pthread_cond_timedwait(&parked_or_not, &parking, &limit);
        if (error != 0)
            qvm_log(QLV_WARN, "vcpu%zu does not stop: it is in vdev %s", n, vcpus_stuck_in() != NULL ? vcpus_stuck_in() : "(none)");
    }
    pthread_mutex_unlock(&parking);
}

void vcpus_resume(void)
{
    pthread_mutex_lock(&parking);
    atomic_store(&pausing, false);
    pthread_cond_broadcast(&parked_or_not);
    pthread_mutex_unlock(&parking);
}

size_t vcpus_count(void)
{
    return made;
}

bool vcpus_registers(size_t number, struct vcpu_registers *registers)
{
    pthread_mutex_lock(&parking);
    bool parked = vcpus[number].parked;
    *registers = vcpus[number].registers;
    pthread_mutex_unlock(&parking);
    return parked;
}

/* --- Threads -------------------------------------------------------------- */

static void apply_entry(const struct cpu_entry *entry)
{
    cpu_set_t set;

    thread_priority(entry->priority);
    if (entry->runmask == 0)
        return;
    CPU_ZERO(&set);
    for (int n = 0; n < 64; n++)
        if (entry->runmask & UINT64_C(1) << n)
            CPU_SET(n, &set);
    pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

static void mark_done(void *vcpu)
{
    atomic_store(&((struct guest_cpu *)vcpu)->done, true);
}

static void *run_guest(void *arg)
{
    struct guest_cpu *vcpu = arg;

    vcpu->running = &running;
    apply_entry(vcpu->entry);
    pthread_cleanup_push(mark_done, vcpu); /* also when guest_terminate() ends this thread */
    while (!atomic_load(&stopping)) {
        if (ioctl(vcpu->file, KVM_RUN, 0) == 0)
            on_exit_reason(vcpu);
        else if (errno != EINTR && errno != EAGAIN)
            run_error(STATUS_FATAL_AFTER_START, "the kernel refused KVM_RUN: %s", strerror(errno));
        if (vcpu->raised >= 0)
            deliver_exception(vcpu);
        if (atomic_load(&pausing))
            park(vcpu);
        if (end_requested() >= 0)
            break;
    }
    pthread_cleanup_pop(1);
    return NULL;
}

void vcpus_make(void)
{
    vcpus = allocate(vm.cpu_count * sizeof *vcpus);
    for (made = 0; made < vm.cpu_count; made++) {
        vcpus[made].entry = &vm.cpus[made];
        vcpus[made].raised = -1;
        vcpus[made].file = machine_make_vcpu((unsigned)made, &vcpus[made].run);
    }
}

void vcpus_set_entry(const struct vcpu_entry *entry)
{
    machine_set_entry(vcpus[0].file, entry);
}

void vcpus_start(void)
{
    const struct sigaction kick = {.sa_handler = on_kick}; /* no SA_RESTART: KVM_RUN shall return */
    char name[16];

    sigaction(kick_signal(), &kick, NULL);
    for (started = 0; started < made; started++) {
        snprintf(name, sizeof name, "vcpu%u", (unsigned)started % 1000);
        if (thread_create(&vcpus[started].thread, name, run_guest, &vcpus[started]) != 0)
            start_error(NULL, "no thread for a vCPU");
    }
}

void vcpus_stop(void)
{
    atomic_store(&stopping, true);
    kick();
    for (size_t n = 0; n < started; n++)
        pthread_join(vcpus[n].thread, NULL);
    started = 0;
}

/* --- Facts ---------------------------------------------------------------- */

unsigned long vcpus_exits(enum exit_kind kind)
{
    unsigned long sum = 0;

    for (size_t n = 0; n < made; n++)
        sum += atomic_load_explicit(&vcpus[n].exits[kind], memory_order_relaxed);
    return sum;
}

const char *vcpus_stuck_in(void)
{
    for (size_t n = 0; n < started; n++)
        if (!atomic_load(&vcpus[n].done) && vcpus[n].running != NULL && vcpus[n].running->vdev != NULL)
            return vcpus[n].running->vdev;
    return NULL;
}
