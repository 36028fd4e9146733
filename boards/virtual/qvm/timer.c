/*
 * Timers of vdevs. Guest time is the host's CLOCK_MONOTONIC in nanoseconds.
 *
 * Invariant: a callback runs on the timer thread, without a lock of ours, once per expiry of a deadline; its data says which
 * deadline was due, so a periodic timer that is re-armed from it never drifts. The thread is preferred to the vCPUs.
 */
#include "timer.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <qvm/vdev-core.h>

#include "allocate.h"
#include "diagnostics.h"
#include "running.h"
#include "stage.h"
#include "thread.h"
#include "vm.h"

#define FREQUENCY UINT64_C(1000000000)

enum { TIMER_PRIORITY = 20 }; /* of SCHED_FIFO */

/* Who is this late was not kept waiting by us: the whole host stood still, vCPUs included. They get a moment to take the interrupts
 * they had when it did; at this thread's priority the next one would come first, and on an edge the two would be one. */
#define STOOD_STILL (FREQUENCY / 1000)
#define MOMENT (FREQUENCY / 1000)

struct guest_timer {
    struct guest_timer *next;
    vdev_t *vdev;
    void *data;
    uint64_t deadline; /* GUEST_TIMER_STOP: not armed */
};

static struct guest_timer *timers;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t alarm_at = GUEST_TIMER_STOP; /* what `alarm_file` is set to */
static int alarm_file = -1;
static pthread_t thread;
static bool started, stopping;

static uint64_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * FREQUENCY + (uint64_t)time.tv_nsec;
}

/* The API's arguments are const; the timer thread calls the vdev, which is not. */
static void *without_const(const void *pointer)
{
    return (void *)(uintptr_t)pointer;
}

struct guest_timer *guest_timer_create(const struct guest_cpu *gcp, const struct vdev_s *vdp, const void *data,
                                       uint64_t *resolutionp)
{
    (void)gcp;
    startup_only("guest_timer_create");
    if (vdp->v_factory->timer == NULL) {
        *resolutionp = EINVAL;
        return NULL;
    }
    struct guest_timer *timer = allocate(sizeof *timer);
    *timer = (struct guest_timer){timers, without_const(vdp), without_const(data), GUEST_TIMER_STOP};
    timers = timer; /* start-up is single-threaded */
    *resolutionp = FREQUENCY;
    return timer;
}

static uint64_t saturated(uint64_t from, uint64_t distance)
{
    return distance >= GUEST_TIMER_STOP - from ? GUEST_TIMER_STOP : from + distance;
}

/* The timer that is next, with the lock held. */
static struct guest_timer *earliest(void)
{
    struct guest_timer *found = NULL;

    for (struct guest_timer *timer = timers; timer != NULL; timer = timer->next)
        if (timer->deadline != GUEST_TIMER_STOP && (found == NULL || timer->deadline < found->deadline))
            found = timer;
    return found;
}

/* Sets the alarm, so that whoever arms a timer wakes nobody before its time. With the lock held. */
static void set_alarm(uint64_t deadline)
{
    const struct itimerspec setting = {
        .it_value = {(time_t)(deadline / FREQUENCY), (long)(deadline % FREQUENCY)},
    };

    if (deadline == alarm_at)
        return;
    alarm_at = deadline;
    timerfd_settime(alarm_file, TFD_TIMER_ABSTIME, deadline != GUEST_TIMER_STOP ? &setting : &(struct itimerspec){0}, NULL);
}

static void set_next_alarm(void)
{
    const struct guest_timer *next = earliest();

    set_alarm(next != NULL ? next->deadline : GUEST_TIMER_STOP);
}

int guest_timer_notify(struct guest_timer *vtp, const struct guest_timer_data *tdp, uint64_t deadline)
{
    running_only("guest_timer_notify");
    if (deadline != GUEST_TIMER_STOP && tdp != GUEST_TIMER_ABSOLUTE)
        deadline = saturated(tdp != NULL ? tdp->guest_notify_start : now(), deadline);
    pthread_mutex_lock(&lock);
    vtp->deadline = deadline;
    if (!(started && pthread_equal(pthread_self(), thread))) /* that thread sets the alarm when it has served them all */
        set_next_alarm();
    pthread_mutex_unlock(&lock);
    return EOK;
}

void guest_timer_state(const struct guest_timer *vtp, struct guest_timer_data *tdp)
{
    uint64_t time = now();

    (void)vtp;
    *tdp = (struct guest_timer_data){time, time, time, time};
}

static void expire(struct guest_timer *timer, uint64_t time)
{
    const struct guest_timer_data data = {timer->deadline, time, timer->deadline, time};

    timer->deadline = GUEST_TIMER_STOP;
    pthread_mutex_unlock(&lock);
    struct running before = running_enter(timer->vdev);
    timer->vdev->v_factory->timer(timer->vdev, timer->data, &data, NULL);
    running_leave(before);
    pthread_mutex_lock(&lock);
}

static void prefer_this_thread(void)
{
    const struct sched_param parameters = {.sched_priority = TIMER_PRIORITY};
    int error = pthread_setschedparam(pthread_self(), SCHED_FIFO, &parameters);

    if (error != 0) /* an ordinary thread may be this late anyway; the default of 50 us would come on top */
        prctl(PR_SET_TIMERSLACK, 1000ul * vm.tolerance / 100, 0, 0, 0);
}

static void give_a_moment(void)
{
    pthread_mutex_unlock(&lock);
    nanosleep(&(struct timespec){.tv_nsec = MOMENT}, NULL);
    pthread_mutex_lock(&lock);
}

static void *serve(void *unused)
{
    uint64_t waited_for = GUEST_TIMER_STOP, expiries;

    (void)unused;
    prefer_this_thread();
    pthread_mutex_lock(&lock);
    while (!stopping) {
        struct guest_timer *timer = earliest();
        uint64_t time = now();
        if (timer != NULL && timer->deadline < time - STOOD_STILL && timer->deadline != waited_for) {
            waited_for = timer->deadline;
            give_a_moment();
            continue;
        }
        if (timer != NULL && timer->deadline <= time) {
            expire(timer, time);
            continue;
        }
        alarm_at = GUEST_TIMER_STOP; /* it may have gone off */
        set_next_alarm();
        pthread_mutex_unlock(&lock);
        if (read(alarm_file, &expiries, sizeof expiries) < 0 && errno != EINTR)
            run_error(GTC_UNEXPECTED, "the timers cannot go on: %s", strerror(errno));
        pthread_mutex_lock(&lock);
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

void timers_start(void)
{
    alarm_file = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    if (alarm_file < 0 || thread_create(&thread, "timers", serve, NULL) != 0)
        start_error(NULL, "no thread for the timers");
    started = true;
}

void timers_stop(void)
{
    if (!started)
        return;
    pthread_mutex_lock(&lock);
    stopping = true;
    set_alarm(1); /* long ago: at once */
    pthread_mutex_unlock(&lock);
    pthread_join(thread, NULL);
    started = false;
}
