/*
 * Whose code a thread is running: named when it crashes, when it calls exit(), when it does not return, and where
 * a configuration error has no better place.
 */
#ifndef QVM_RUNNING_H
#define QVM_RUNNING_H

#include "token.h"

struct vdev_s;

struct running {
    const char *vdev; /* NULL: qvm's own code */
    const struct place *place;
};

extern _Thread_local struct running running;

/* From here on this thread runs `vdp`'s code. Give what it returns to running_leave(). */
struct running running_enter(const struct vdev_s *vdp);

static inline void running_leave(struct running before)
{
    running = before;
}

#endif
