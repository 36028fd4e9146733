#include "running.h"

#include "vdev.h"

_Thread_local struct running running;

struct running running_enter(const struct vdev_s *vdp)
{
    struct running before = running;

    running = (struct running){vdev_name(vdp), vdev_place(vdp)};
    return before;
}
