/*
 * The running VM seen from the main thread: it waits for signals and for the request to end.
 *
 * Invariant: taking the VM down takes at most SHUTDOWN_LIMIT; then whoever does not return is named and the process ends.
 */
#include "run.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

#include <qvm/vdev-core.h>

#include "diagnostics.h"
#include "dump.h"
#include "end.h"
#include "pulse.h"
#include "running.h"
#include "stage.h"
#include "system_directory.h"
#include "timer.h"
#include "vcpu.h"
#include "vdev.h"
#include "vm.h"

enum { SHUTDOWN_LIMIT = 2 }; /* seconds */

static sigset_t waited_for(void)
{
    struct sigaction hang_up;
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGQUIT);
    if (sigaction(SIGHUP, NULL, &hang_up) == 0 && hang_up.sa_handler != SIG_IGN) /* not under nohup */
        sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigaddset(&set, end_signal());
    return set;
}

void run_block_signals(void)
{
    sigset_t set = waited_for();

    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

void run_report(FILE *text)
{
    report_to(text);
    qvm_report("system %s: %lu guest exits, %lu of them ports, %lu memory\n", vm.name, vcpus_exits(EXIT_ALL), vcpus_exits(EXIT_PORT),
               vcpus_exits(EXIT_MEMORY));
    vdevs_control_all(VDEV_CTRL_STATUS);
    report_to(NULL);
}

/* A vdev does not let us end: name it, and leave with the status that was asked for when a vdev asked for it. */
static void on_limit(int signal)
{
    const char *stuck = running.vdev != NULL ? running.vdev : vcpus_stuck_in();
    const char *text[] = {stuck != NULL ? "vdev " : "qvm", stuck != NULL ? stuck : "",
                          " does not return; the VM is ended without it", NULL};
    int status = end_requested();

    (void)signal;
    end_in_handler(status >= 0 && status != GTC_NORMAL_EXIT ? status : GTC_VDEV_ERROR, text);
}

void run_shutdown(int status)
{
    if (stage_reached(STAGE_ENDING))
        end_in_order(status); /* a vdev called guest_terminate() in VDEV_CTRL_TERMINATE */
    signal(SIGALRM, on_limit);
    alarm(SHUTDOWN_LIMIT);
    stage_enter(STAGE_ENDING);
    system_directory_state("ending");
    vcpus_stop();
    timers_stop();
    pulses_stop();
    vdevs_terminate();
    alarm(0);
    end_in_order(status);
}

void run(void)
{
    sigset_t set = waited_for();

    system_directory_make(vm.name);
    timers_start();
    pulses_start();
    stage_enter(STAGE_STARTING);
    vdevs_control_all(VDEV_CTRL_GUEST_STARTING);
    vcpus_start();
    system_directory_state("running");
    while (end_requested() < 0) {
        switch (sigwaitinfo(&set, NULL)) {
        case SIGTERM:
        case SIGINT:
            qvm_log(QLV_INFO, "power button");
            vdevs_control_all(VDEV_CTRL_BUTTON);
            break;
        case SIGQUIT:
        case SIGHUP:
            end_request(GTC_POWER_CUT);
            break;
        case SIGUSR1:
            run_report(NULL);
            break;
        case SIGUSR2:
            dump_write();
            break;
        }
    }
    run_shutdown(end_requested());
}
