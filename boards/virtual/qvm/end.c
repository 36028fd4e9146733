/*
 * How qvm ends.
 *
 * Invariant: only end_in_order() and end_in_handler() leave the process; an exit() or _exit() from anywhere else is a vdev's, and
 * is reported as its error. What runs in a signal handler calls nothing that is not async-signal-safe.
 */
#include "end.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <qvm/guest.h>

#include "diagnostics.h"
#include "run.h"
#include "running.h"
#include "stage.h"
#include "system_directory.h"
#include "terminal.h"

enum { HANDLER_STACK = 16384 };

static pthread_t main_thread;
static pid_t process;
static atomic_bool in_order;
static atomic_int requested = -1;

static void leave(int status) __attribute__((noreturn));
static void leave(int status)
{
    for (;;)
        syscall(SYS_exit_group, status);
}

static void undo(void)
{
    system_directory_remove();
    terminals_restore();
}

void end_in_order(int status)
{
    atomic_store(&in_order, true);
    undo();
    exit(status);
}

void end_in_handler(int status, const char *const *text)
{
    char line[256];
    size_t length = 0;

    for (; *text != NULL; text++)
        for (const char *c = *text; *c != '\0' && length < sizeof line - 1; c++)
            line[length++] = *c;
    line[length++] = '\n';
    if (write(STDERR_FILENO, line, length) < 0)
        status |= 0; /* nobody listens; the status still tells */
    undo();
    leave(status);
}

/* --- exit() and _exit() that are not ours --------------------------------- */

static void told(const char *function, int status) __attribute__((noreturn));
static void told(const char *function, int status)
{
    if (running.vdev != NULL)
        dprintf(STDERR_FILENO, "vdev %s called %s(%d)\n", running.vdev, function, status);
    else
        dprintf(STDERR_FILENO, "a vdev called %s(%d) on a thread of its own\n", function, status);
    undo();
    leave(GTC_VDEV_ERROR);
}

static void on_any_exit(int status, void *unused)
{
    (void)unused;
    if (atomic_load(&in_order))
        return;
    fflush(NULL);
    told("exit", status);
}

/* A vdev's call finds the program's function before the C library's. A child process may leave as it likes. */
__attribute__((visibility("default"))) void _exit(int status)
{
    if (getpid() != process)
        leave(status);
    told("_exit", status);
}

__attribute__((visibility("default"), alias("_exit"), noreturn)) void _Exit(int status);

/* --- Crashes and early signals ------------------------------------------- */

static const char *hexadecimal(unsigned long value, char text[2 + 2 * sizeof value + 1])
{
    char *at = text + 2 + 2 * sizeof value;

    *at = '\0';
    do
        *--at = "0123456789abcdef"[value & 0xf];
    while ((value >>= 4) != 0);
    *--at = 'x';
    *--at = '0';
    return at;
}

static void on_crash(int signal, siginfo_t *info, void *context)
{
    char address[2 + 2 * sizeof(unsigned long) + 1];
    const char *name = sigabbrev_np(signal);
    const char *where = hexadecimal((unsigned long)info->si_addr, address);
    bool has_address = info->si_code > 0; /* else somebody sent the signal, abort() among them */

    (void)context;
    const char *text[] = {running.vdev != NULL ? "vdev " : "qvm", running.vdev != NULL ? running.vdev : "",
                          " crashed: SIG", name, has_address ? " at address " : "", has_address ? where : "", NULL};
    if (running.vdev != NULL)
        end_in_handler(GTC_VDEV_ERROR, text);
    end_in_handler(stage_reached(STAGE_STARTING) ? STATUS_FATAL_AFTER_START : STATUS_FATAL_BEFORE_START, text);
}

static void on_early_signal(int signal)
{
    const char *text[] = {"ended by SIG", sigabbrev_np(signal), " before the guest was started", NULL};

    end_in_handler(GTC_POWER_CUT, text);
}

void end_prepare_thread(void)
{
    static _Thread_local char memory[HANDLER_STACK];
    const stack_t stack = {.ss_sp = memory, .ss_size = sizeof memory};

    sigaltstack(&stack, NULL);
}

void end_install(void)
{
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    static const int early[] = {SIGTERM, SIGINT, SIGQUIT};
    struct sigaction crash = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND};
    struct sigaction end = {.sa_handler = on_early_signal};

    main_thread = pthread_self();
    process = getpid();
    for (size_t n = 0; n < sizeof crashes / sizeof *crashes; n++)
        sigaction(crashes[n], &crash, NULL);
    for (size_t n = 0; n < sizeof early / sizeof *early; n++)
        sigaction(early[n], &end, NULL);
    signal(SIGPIPE, SIG_IGN);
    end_prepare_thread();
    on_exit(on_any_exit, NULL);
}

/* --- Ends on request ----------------------------------------------------- */

int end_signal(void)
{
    return SIGRTMIN + 1;
}

int end_requested(void)
{
    return atomic_load(&requested);
}

void end_request(int status)
{
    int none = -1;

    if (atomic_compare_exchange_strong(&requested, &none, status))
        kill(getpid(), end_signal());
}

void end_thread(void)
{
    if (pthread_equal(pthread_self(), main_thread))
        run_shutdown(end_requested());
    pthread_exit(NULL);
}

void end_now(int status)
{
    if (!stage_reached(STAGE_STARTING))
        end_in_order(status);
    end_request(status);
    end_thread();
}

void guest_terminate(guest_termination_cause_t cause)
{
    running_only("guest_terminate");
    if (cause < GTC_NORMAL_EXIT || cause > GTC_MAX)
        run_error(GTC_VDEV_ERROR, "vdev %s ended the VM for the cause %d; there are %d to %d",
                  running.vdev != NULL ? running.vdev : "(a thread of its own)", cause, GTC_NORMAL_EXIT, GTC_MAX);
    end_request(cause);
    end_thread();
}
