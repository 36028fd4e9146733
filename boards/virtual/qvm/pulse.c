/*
 * Pulses of vdevs: whatever takes a struct sigevent (a POSIX timer, a message queue) makes the factory's `pulse` run.
 *
 * Invariant: pulses are served on one thread, one at a time, the highest priority first and in order within one; none is lost or
 * merged as long as the VM runs.
 */
#include "pulse.h"

#include <pthread.h>
#include <string.h>

#include <qvm/vdev-core.h>

#include "allocate.h"
#include "diagnostics.h"
#include "running.h"
#include "thread.h"
#include "vdev.h"

struct pulse {
    struct pulse *next; /* the highest priority first */
    vdev_t *vdev;
    int8_t code;
    int priority;
    unsigned long pending;
};

static struct pulse *pulses;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t arrived = PTHREAD_COND_INITIALIZER;
static pthread_t thread;
static bool started, stopping;

static void deliver(union sigval value)
{
    struct pulse *pulse = value.sival_ptr;

    pthread_mutex_lock(&lock);
    pulse->pending++;
    pthread_cond_signal(&arrived);
    pthread_mutex_unlock(&lock);
}

void vdev_pulse(vdev_t *vdp, int8_t code, int priority, struct sigevent *ev, int coid)
{
    struct pulse *pulse = allocate(sizeof *pulse), **place = &pulses;

    (void)coid;
    if (vdp->v_factory->pulse == NULL)
        start_error(vdev_place(vdp), "vdev %s called vdev_pulse() and has no pulse function", vdev_name(vdp));
    *pulse = (struct pulse){NULL, vdp, code, priority, 0};
    pthread_mutex_lock(&lock);
    while (*place != NULL && (*place)->priority >= priority)
        place = &(*place)->next;
    pulse->next = *place;
    *place = pulse;
    pthread_mutex_unlock(&lock);
    memset(ev, 0, sizeof *ev);
    ev->sigev_notify = SIGEV_THREAD;
    ev->sigev_notify_function = deliver;
    ev->sigev_value.sival_ptr = pulse;
}

/* With the lock held. */
static struct pulse *next_pending(void)
{
    struct pulse *pulse = pulses;

    while (pulse != NULL && pulse->pending == 0)
        pulse = pulse->next;
    return pulse;
}

static void *serve(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&lock);
    while (!stopping) {
        struct pulse *pulse = next_pending();
        if (pulse == NULL) {
            pthread_cond_wait(&arrived, &lock);
            continue;
        }
        pulse->pending--;
        pthread_mutex_unlock(&lock);
        struct running before = running_enter(pulse->vdev);
        pulse->vdev->v_factory->pulse(pulse->vdev, pulse->code);
        running_leave(before);
        pthread_mutex_lock(&lock);
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

void pulses_start(void)
{
    started = thread_create(&thread, "pulses", serve, NULL) == 0;
    if (!started)
        start_error(NULL, "no thread for the pulses");
}

void pulses_stop(void)
{
    if (!started)
        return;
    pthread_mutex_lock(&lock);
    stopping = true;
    pthread_cond_signal(&arrived);
    pthread_mutex_unlock(&lock);
    pthread_join(thread, NULL);
    started = false;
}
