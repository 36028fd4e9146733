/*
 * How far the VM of this process has come. Invariant: stages are entered in order, each at most once.
 */
#include "stage.h"

#include <assert.h>
#include <stdatomic.h>

#include <qvm/guest.h>

#include "diagnostics.h"
#include "end.h"
#include "running.h"

static atomic_int current = STAGE_OPTIONS;

void stage_enter(enum stage stage)
{
    assert(stage == STAGE_ENDING || (int)stage == atomic_load(&current) + 1);
    atomic_store(&current, (int)stage);
}

bool stage_reached(enum stage stage)
{
    return atomic_load(&current) >= (int)stage;
}

static const char *caller(void)
{
    return running.vdev != NULL ? running.vdev : "(a thread of its own)";
}

void startup_only(const char *function)
{
    if (!stage_reached(STAGE_STARTING))
        return;
    run_error(GTC_VDEV_ERROR, "vdev %s called %s() while the guest runs; it is for start-up only", caller(), function);
    end_thread();
}

void running_only(const char *function)
{
    if (stage_reached(STAGE_STARTING))
        return;
    start_error(running.place, "vdev %s called %s() before the guest was started", caller(), function);
}
