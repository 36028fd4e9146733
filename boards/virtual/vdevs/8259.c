/*
 * 8259: the boot dummy of the documentation, two ports that remember what was written.
 *
 * A kernel that looks for the pair writes an interrupt mask and reads it back; that must work. It cannot serve as an interrupt
 * controller.
 */
#include <qvm/vdev-core.h>

enum { PORTS = 2 };

struct dummy {
    uint8_t ports[PORTS]; /* the command port and the mask port */
};

static vdev_ref_status_t dummy_vread(vdev_t *vdp, unsigned cookie, const struct qvm_state_block *vopnd,
                                     const struct qvm_state_block *oopnd, struct guest_cpu *gcp)
{
    const struct dummy *dummy = vdp->v_device;

    (void)cookie;
    pthread_mutex_lock(&vdp->v_mtx);
    uint8_t value = dummy->ports[vopnd->location - vdp->v_block.location];
    pthread_mutex_unlock(&vdp->v_mtx);
    return guest_cpu_to_vrs(guest_cpu_write(gcp, GXF_NONE, oopnd, 1, &value, sizeof value));
}

static vdev_ref_status_t dummy_vwrite(vdev_t *vdp, unsigned cookie, const struct qvm_state_block *vopnd,
                                      const struct qvm_state_block *oopnd, struct guest_cpu *gcp)
{
    struct dummy *dummy = vdp->v_device;
    uint8_t value;
    int error = guest_cpu_read(gcp, GXF_NONE, oopnd, 1, &value, sizeof value);

    (void)cookie;
    if (error != EOK)
        return guest_cpu_to_vrs(error);
    pthread_mutex_lock(&vdp->v_mtx);
    dummy->ports[vopnd->location - vdp->v_block.location] = value;
    pthread_mutex_unlock(&vdp->v_mtx);
    return VRS_NORMAL;
}

static int dummy_control(vdev_t *vdp, vdev_ctrl_options_t ctrl, const char *arg)
{
    (void)arg;
    if (ctrl == VDEV_CTRL_OPTIONS_START) {
        vdp->v_block.qst_type = QST_X86_IO;
        vdp->v_block.length = PORTS;
    }
    return EOK;
}

static struct vdev_factory factory = {
    .control = dummy_control,
    .vread = dummy_vread,
    .vwrite = dummy_vwrite,
    .factory_flags = VFF_INTR_NO | VFF_VDEV_X86_IO | VFF_MUTEX,
    .acc_sizes = 1u << 1,
    .extra_space = sizeof(struct dummy),
};

static void __attribute__((constructor)) register_dummy(void)
{
    vdev_register_factory(&factory, QVM_VDEV_ABI);
}
