/*
 * A vdev that does one wrong thing, for the tests of qvm: which one is chosen when it is compiled (-DEXIT_IN_CONTROL and so on).
 * Without a choice it is a harmless device at port 0x300 with the options `value NUMBER` and `bare`.
 */
#include <stdlib.h>
#include <unistd.h>

#include <qvm/log.h>
#include <qvm/vdev-core.h>

#ifndef ABI
#define ABI QVM_VDEV_ABI
#endif

#ifdef TERMINATE_IN_READ
static int cause = GTC_CUSTOM_MIN + 8; /* `value` */
#endif

static void crash(void)
{
    raise(SIGSEGV);
}

static vdev_ref_status_t mischief_vread(vdev_t *vdp, unsigned cookie, const struct qvm_state_block *vopnd,
                                        const struct qvm_state_block *oopnd, struct guest_cpu *gcp)
{
    (void)cookie, (void)vopnd;
    pthread_mutex_lock(&vdp->v_mtx);
#ifdef CRASH_IN_READ
    crash();
#endif
#ifdef EXIT_IN_READ
    exit(0);
#endif
#ifdef LEAVE_IN_READ
    LEAVE_IN_READ(0);
#endif
#ifdef ANSWER_IN_READ
    pthread_mutex_unlock(&vdp->v_mtx);
    return ANSWER_IN_READ;
#endif
#ifdef TERMINATE_IN_READ
    guest_terminate(cause);
#endif
#ifdef FATAL_IN_READ
    qvm_fatal(QLS_QVM, "nothing works any more");
#endif
#ifdef STUCK_IN_READ
    for (;;)
        pause();
#endif
    pthread_mutex_unlock(&vdp->v_mtx);
    return guest_cpu_to_vrs(guest_write_all_ones(gcp, GXF_NONE, oopnd));
}

static int mischief_control(vdev_t *vdp, vdev_ctrl_options_t ctrl, const char *arg)
{
    (void)arg, (void)crash;
    switch (ctrl) {
    case VDEV_CTRL_OPTIONS_START:
        vdp->v_block = (struct qvm_state_block){.location = 0x300, .length = 4, .qst_type = QST_X86_IO};
        break;
    case VDEV_CTRL_ASSIGN:
#ifdef TALKATIVE
        for (unsigned level = QLV_FATAL; level <= QLV_VERBOSE; level++)
            vdev_logf(QLS_QVM | level, vdp, "level %u", level);
#endif
        break;
    case VDEV_CTRL_FIRST_OPTIDX:
#ifdef TERMINATE_IN_READ
        cause = atoi(arg);
#endif
#ifdef REFUSE_OPTION
        return EBUSY;
#endif
        break;
    case VDEV_CTRL_OPTIONS_END:
#ifdef EXIT_IN_CONTROL
        exit(0);
#endif
#ifdef CRASH_IN_CONTROL
        crash();
#endif
#ifdef EARLY_SIGNAL
        guest_intr_signal(&vdp->v_intr, GIS_ON);
#endif
#ifdef FATAL_IN_CONTROL
        qvm_fatal(QLS_QVM, "nothing works");
#endif
        break;
    case VDEV_CTRL_GUEST_STARTING:
#ifdef CRASH_WHEN_STARTING
        crash();
#endif
#ifdef EXIT_WHEN_STARTING
        exit(3);
#endif
#ifdef TERMINATE_WHEN_STARTING
        guest_terminate(GTC_CUSTOM_MIN + 8);
#endif
        break;
    case VDEV_CTRL_TERMINATE:
        vdev_logf(QL_QVM_INFO, vdp, "terminated");
        break;
    }
    return EOK;
}

static const char *const options[] = {"value", QVM_OPTION_NO_ARG_PREFIX "bare", NULL};

static struct vdev_factory factory = {
    .control = mischief_control,
    .vread = mischief_vread,
    .option_list = options,
#ifdef FIXED
    .factory_flags = VFF_LOC_NO | VFF_MUTEX,
#else
    .factory_flags = VFF_VDEV_X86_IO | VFF_MUTEX,
#endif
    .acc_sizes = 1u << 1,
};

static void __attribute__((constructor)) register_mischief(void)
{
#ifdef EXIT_IN_CONSTRUCTOR
    exit(0);
#endif
#ifdef CRASH_IN_CONSTRUCTOR
    crash();
#endif
#ifdef NO_FACTORY
    (void)factory;
#else
#ifdef NO_CONTROL
    factory.control = NULL;
#endif
    vdev_register_factory(&factory, ABI);
#endif
#ifdef TWO_FACTORIES
    vdev_register_factory(&factory, ABI);
#endif
}
