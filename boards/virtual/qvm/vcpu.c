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

#include <qvm/vdev-core.h>

#include "allocate.h"
#include "diagnostics.h"
#include "end.h"
#include "gasp.h"
#include "intr.h"
#include "machine.h"
#include "running.h"
#include "thread.h"
#include "vm.h"

struct guest_cpu {
    const struct cpu_entry *entry;
    int file;
    struct kvm_run *run;
    pthread_t thread;
    atomic_bool done;
    const struct running *running; /* the thread's own */
    atomic_ulong exits[EXIT_KINDS];
};

static struct guest_cpu *vcpus;
static size_t made, started;
static atomic_bool stopping;

static int kick_signal(void)
{
    return SIGRTMIN;
}

static void on_kick(int signal)
{
    (void)signal; /* its only use is to make KVM_RUN return */
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

/* A model-specific register nobody has: `unsupported register`, when it does not say `fail`. */
static void on_register(struct kvm_run *run, bool is_write)
{
    run->msr.error = 0;
    if (!is_write)
        run->msr.data = UINT64_MAX;
    if (vm.unsupported_register == UNSUPPORTED_ABORT)
        run_error(GTC_UNSUPPORTED, "unsupported register: %s of MSR 0x%" PRIx32, is_write ? "write" : "read", run->msr.index);
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
        on_register(run, run->exit_reason == KVM_EXIT_X86_WRMSR);
        break;
    case KVM_EXIT_SHUTDOWN: /* a triple fault: how a PC is reset when nothing else works */
        qvm_log(QLV_DEBUG, "the guest reset itself by a triple fault");
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
        run_error(GTC_UNEXPECTED, "the kernel cannot go on with the guest: internal error %u", run->internal.suberror);
        break;
    default:
        run_error(GTC_UNEXPECTED, "the guest left for an unknown reason: %u", run->exit_reason);
    }
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
    for (size_t n = 0; n < started; n++)
        if (!atomic_load(&vcpus[n].done)) {
            vcpus[n].run->immediate_exit = 1;
            pthread_kill(vcpus[n].thread, kick_signal());
        }
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
