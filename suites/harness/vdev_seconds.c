/*
 * A vdev that gives a guest seconds to wait for, and takes what it read: a read of port 0x308 takes until the host's clock has gone
 * on by a second, a write of 4 bytes to 0x30c is a reading. Each is a line of the file `readings`: CLOCK_MONOTONIC in ns when the
 * wait ended and when the reading came, then its value. After `number` readings the VM ends.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <qvm/guest.h>
#include <qvm/log.h>
#include <qvm/utils.h>
#include <qvm/vdev-core.h>

enum { PORT_WAIT = 0x308, PORTS = 8 };

struct seconds {
    long wanted;
    FILE *file;
    struct timespec due;
    uint64_t before;
};

static uint64_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static vdev_ref_status_t seconds_vread(vdev_t *vdp, unsigned cookie, const struct qvm_state_block *vopnd,
                                       const struct qvm_state_block *oopnd, struct guest_cpu *gcp)
{
    (void)cookie, (void)vopnd;
    struct seconds *seconds = vdp->v_device;
    uint8_t value = 0;

    seconds->due.tv_sec++;
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &seconds->due, NULL) == EINTR) {
    }
    seconds->before = now();
    return guest_cpu_to_vrs(guest_cpu_write(gcp, GXF_NONE, oopnd, 1, &value, sizeof value));
}

static vdev_ref_status_t seconds_vwrite(vdev_t *vdp, unsigned cookie, const struct qvm_state_block *vopnd,
                                        const struct qvm_state_block *oopnd, struct guest_cpu *gcp)
{
    (void)cookie, (void)vopnd;
    struct seconds *seconds = vdp->v_device;
    uint64_t after = now();
    uint32_t value;
    int error = guest_cpu_read(gcp, GXF_NONE, oopnd, 1, &value, sizeof value);

    if (error != EOK)
        return guest_cpu_to_vrs(error);
    fprintf(seconds->file, "%" PRIu64 " %" PRIu64 " %" PRIu32 "\n", seconds->before, after, value);
    if (--seconds->wanted == 0) {
        fclose(seconds->file);
        guest_terminate(GTC_CUSTOM_MIN);
    }
    return VRS_NORMAL;
}

static int seconds_control(vdev_t *vdp, vdev_ctrl_options_t ctrl, const char *arg)
{
    struct seconds *seconds = vdp->v_device;

    if (ctrl == VDEV_CTRL_OPTIONS_START) {
        vdp->v_block = (struct qvm_state_block){.location = PORT_WAIT, .length = PORTS, .qst_type = QST_X86_IO};
    } else if (ctrl == VDEV_CTRL_FIRST_OPTIDX) {
        seconds->wanted = atol(arg);
    } else if (ctrl == VDEV_CTRL_GUEST_STARTING) {
        seconds->file = fopen("readings", "we");
        if (seconds->file == NULL)
            qvm_fatal(QLS_QVM, "readings cannot be written");
        clock_gettime(CLOCK_MONOTONIC, &seconds->due);
    }
    return EOK;
}

static const char *const options[] = {"number", NULL};

static struct vdev_factory factory = {
    .control = seconds_control,
    .vread = seconds_vread,
    .vwrite = seconds_vwrite,
    .option_list = options,
    .factory_flags = VFF_VDEV_X86_IO,
    .acc_sizes = 1u << 1 | 1u << 4,
    .extra_space = sizeof(struct seconds),
};

static void __attribute__((constructor)) begin(void)
{
    vdev_register_factory(&factory, QVM_VDEV_ABI);
}
