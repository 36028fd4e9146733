/* vdev doubt: does nothing, and registers itself for another API than the one it was compiled for. */
#include <errno.h>

#include <qvm/vdev-core.h>

static int doubt_control(vdev_t *vdp, vdev_ctrl_options_t ctrl, const char *arg)
{
    (void)vdp, (void)ctrl, (void)arg;
    return EOK;
}

static struct vdev_factory doubt_factory = {.control = doubt_control, .factory_flags = VFF_INTR_NO | VFF_LOC_NO};

static void __attribute__((constructor)) doubt_register(void)
{
    vdev_register_factory(&doubt_factory, QVM_VDEV_ABI + 1);
}
