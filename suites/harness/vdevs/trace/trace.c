/*
 * vdev trace: the Virtual Device Developer's Guide's first example, written from its description. One 32-bit location of guest
 * memory that the guest may read and write; a thread adds 1 to it every second.
 *
 *     vdev trace loc 0xfa000000 emit-logger emit-trace 12
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include <qvm/guest.h>
#include <qvm/log.h>
#include <qvm/vdev-core.h>

enum { OPTION_EMIT_LOGGER, OPTION_EMIT_TRACE };

struct trace {
    uint32_t value; /* v_mtx is held */
    bool emit_logger;
    int event; /* of the kernel's trace, -1: none */
    bool counting;
    pthread_t counter;
};

static void emit(const vdev_t *vdp, const char *what, uint32_t value)
{
    const struct trace *trace = vdp->v_device;

    if (trace->emit_logger)
        vdev_logf(QL_QVM_INFO, vdp, "%s %u", what, value);
}

/* Is only ever cancelled in its sleep, where it holds no lock. */
static void *count(void *arg)
{
    vdev_t *vdp = arg;
    struct trace *trace = vdp->v_device;
    const struct timespec second = {.tv_sec = 1};

    for (;;) {
        clock_nanosleep(CLOCK_MONOTONIC, 0, &second, NULL);
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
        pthread_mutex_lock(&vdp->v_mtx);
        emit(vdp, "counted to", ++trace->value);
        pthread_mutex_unlock(&vdp->v_mtx);
        pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    }
    return NULL;
}

static vdev_ref_status_t trace_vread(vdev_t *vdp, unsigned cookie, const struct qvm_state_block *vopnd,
                                     const struct qvm_state_block *oopnd, struct guest_cpu *gcp)
{
    const struct trace *trace = vdp->v_device;

    (void)cookie;
    pthread_mutex_lock(&vdp->v_mtx);
    uint32_t value = trace->value;
    emit(vdp, "read", value);
    pthread_mutex_unlock(&vdp->v_mtx);
    return guest_cpu_to_vrs(guest_cpu_write(gcp, GXF_NONE, oopnd, 1, &value, vopnd->length));
}

static vdev_ref_status_t trace_vwrite(vdev_t *vdp, unsigned cookie, const struct qvm_state_block *vopnd,
                                      const struct qvm_state_block *oopnd, struct guest_cpu *gcp)
{
    struct trace *trace = vdp->v_device;
    uint32_t value;
    int error = guest_cpu_read(gcp, GXF_NONE, oopnd, 1, &value, vopnd->length);

    (void)cookie;
    if (error != EOK)
        return guest_cpu_to_vrs(error);
    pthread_mutex_lock(&vdp->v_mtx);
    trace->value = value;
    emit(vdp, "written", value);
    pthread_mutex_unlock(&vdp->v_mtx);
    return VRS_NORMAL;
}

static int trace_control(vdev_t *vdp, vdev_ctrl_options_t ctrl, const char *arg)
{
    struct trace *trace = vdp->v_device;
    char *end;
    int error = EOK;

    switch (ctrl) {
    case VDEV_CTRL_OPTIONS_START:
        vdp->v_block.qst_type = QST_MEMORY;
        vdp->v_block.location = QSL_NO_LOCATION;
        vdp->v_block.length = sizeof trace->value;
        trace->event = -1;
        break;
    case VDEV_CTRL_FIRST_OPTIDX + OPTION_EMIT_LOGGER:
        trace->emit_logger = true;
        break;
    case VDEV_CTRL_FIRST_OPTIDX + OPTION_EMIT_TRACE:
        trace->event = (int)strtol(arg, &end, 0);
        error = *arg == '\0' || *end != '\0' || trace->event < 0 ? EINVAL : EOK;
        break;
    case VDEV_CTRL_GUEST_CONFIGURED:
        vdev_logf(QL_QVM_INFO, vdp, "GUEST_CONFIGURED");
        error = vdev_thread_create(vdp, "trace-counter", &trace->counter, NULL, count, vdp);
        trace->counting = error == EOK;
        break;
    case VDEV_CTRL_STATUS:
        qvm_report("value=%u event=%d\n", trace->value, trace->event);
        break;
    case VDEV_CTRL_TERMINATE:
        if (trace->counting) {
            pthread_cancel(trace->counter);
            pthread_join(trace->counter, NULL);
        }
        break;
    }
    return error;
}

static const char *const options[] = {QVM_OPTION_NO_ARG_PREFIX "emit-logger", "emit-trace", NULL};

static struct vdev_factory factory = {
    .control = trace_control,
    .vread = trace_vread,
    .vwrite = trace_vwrite,
    .option_list = options,
    .factory_flags = VFF_INTR_NO | VFF_VDEV_MEM | VFF_MUTEX,
    .acc_sizes = 1u << 4,
    .extra_space = sizeof(struct trace),
};

static void __attribute__((constructor)) begin(void)
{
    vdev_register_factory(&factory, QVM_VDEV_ABI);
}
