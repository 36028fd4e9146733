/*
 * Threads. Invariant: a thread made here knows from its first instruction on whose code it runs.
 */
#include "thread.h"

#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <qvm/vdev-core.h>

#include "allocate.h"
#include "end.h"
#include "running.h"
#include "stage.h"

enum { NAME_LENGTH = 16 }; /* what the kernel keeps, with its zero */

struct beginning {
    const vdev_t *vdev; /* NULL: qvm's own thread */
    void *(*start)(void *);
    void *arg;
    char name[NAME_LENGTH];
};

static void *begin(void *arg)
{
    const struct beginning beginning = *(struct beginning *)arg;

    release(arg);
    end_prepare_thread();
    pthread_setname_np(pthread_self(), beginning.name);
    if (beginning.vdev != NULL) {
        running_enter(beginning.vdev);
        thread_priority(beginning.vdev->v_sched.priority);
    }
    return beginning.start(beginning.arg);
}

static int create(pthread_t *thread, const pthread_attr_t *attributes, const struct beginning *with, const char *name)
{
    struct beginning *beginning = allocate(sizeof *beginning);

    *beginning = *with;
    snprintf(beginning->name, sizeof beginning->name, "%s", name);
    int error = pthread_create(thread, attributes, begin, beginning);
    if (error != 0)
        release(beginning);
    return error;
}

int thread_create(pthread_t *thread, const char *name, void *(*start)(void *), void *arg)
{
    return create(thread, NULL, &(struct beginning){.start = start, .arg = arg}, name);
}

int vdev_thread_create(const vdev_t *vdp, const char *name, pthread_t *thread, pthread_attr_t *attr,
                       vdev_thread_create_func_t start, void *arg)
{
    if (!stage_reached(STAGE_CONFIGURED))
        return EAGAIN;
    return create(thread, attr, &(struct beginning){.vdev = vdp, .start = start, .arg = arg}, name);
}

void thread_priority(int priority)
{
    int nice = DEFAULT_PRIORITY - priority;

    nice = nice < -20 ? -20 : nice > 19 ? 19 : nice;
    if (nice != 0)
        setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), nice);
}
