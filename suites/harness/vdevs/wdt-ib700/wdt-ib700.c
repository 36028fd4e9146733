/*
 * vdev wdt-ib700: an IB700 watchdog that bites once, written after what Linux's driver does with one. A write of N to port 0x443
 * starts it with 30 - 2 N seconds, one to 0x441 stops it. As on QNX nobody can read from it.
 *
 *     vdev wdt-ib700 action terminate
 */
#include <errno.h>
#include <string.h>

#include <qvm/guest.h>
#include <qvm/vdev-core.h>

enum { STOP = 0x441, START = 0x443, LONGEST = 30, STEP = 2 };

struct watchdog {
    struct guest_timer *timer;
    uint64_t second;
};

static vdev_ref_status_t watchdog_vwrite(vdev_t *vdp, unsigned cookie, const struct qvm_state_block *vopnd,
                                         const struct qvm_state_block *oopnd, struct guest_cpu *gcp)
{
    struct watchdog *watchdog = vdp->v_device;
    uint8_t value = 0;
    int error = guest_cpu_read(gcp, GXF_NONE, oopnd, 1, &value, sizeof value);

    (void)cookie;
    if (error != EOK)
        return guest_cpu_to_vrs(error);
    if (vopnd->location == START)
        guest_timer_notify(watchdog->timer, NULL, (LONGEST - STEP * (value & 0xf)) * watchdog->second);
    else if (vopnd->location == STOP)
        guest_timer_notify(watchdog->timer, NULL, GUEST_TIMER_STOP);
    return VRS_NORMAL;
}

static void watchdog_timer(vdev_t *vdp, void *data, const struct guest_timer_data *tdp, struct guest_cpu *gcp)
{
    (void)vdp, (void)data, (void)tdp, (void)gcp;
    guest_terminate(GTC_WATCHDOG);
}

static int watchdog_control(vdev_t *vdp, vdev_ctrl_options_t ctrl, const char *arg)
{
    struct watchdog *watchdog = vdp->v_device;

    switch (ctrl) {
    case VDEV_CTRL_OPTIONS_START:
        vdp->v_block = (struct qvm_state_block){.location = STOP, .length = START - STOP + 1, .qst_type = QST_X86_IO};
        break;
    case VDEV_CTRL_FIRST_OPTIDX:
        return strcmp(arg, "terminate") == 0 ? EOK : EINVAL;
    case VDEV_CTRL_GUEST_CONFIGURED:
        watchdog->timer = guest_timer_create(NULL, vdp, NULL, &watchdog->second);
        return watchdog->timer ? EOK : ENOMEM;
    }
    return EOK;
}

static const char *const options[] = {"action", NULL};

static struct vdev_factory factory = {
    .control = watchdog_control,
    .vwrite = watchdog_vwrite,
    .timer = watchdog_timer,
    .option_list = options,
    .factory_flags = VFF_INTR_NO | VFF_VDEV_X86_IO,
    .acc_sizes = 1u << 1,
    .extra_space = sizeof(struct watchdog),
};

static void __attribute__((constructor)) begin(void)
{
    vdev_register_factory(&factory, QVM_VDEV_ABI);
}
