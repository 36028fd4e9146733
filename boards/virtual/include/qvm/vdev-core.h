/*
 * Registration, lifecycle and structures of a vdev, 8.0 flavour.
 *
 * A vdev is a shared object `vdev-NAME.so`. Its constructor registers one
 * factory; qvm calls the factory's functions for every instance. The lifecycle
 * (which control code comes when) is documented in boards/virtual/README.md.
 */
#ifndef QVM_VDEV_CORE_H
#define QVM_VDEV_CORE_H

#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include <qvm/guest.h>
#include <qvm/types.h>

#pragma GCC visibility push(default)

#define QVM_VDEV_ABI 0x80000001u /* ours */

typedef struct vdev_s vdev_t;

/* Why `control` is called. 0..7 are documented; the rest are ours. */
typedef unsigned vdev_ctrl_options_t;
enum vdev_ctrl_options {
    VDEV_CTRL_OPTIONS_START = 0,    /* `vdev NAME` was read; initialise */
    VDEV_CTRL_OPTIONS_END = 1,      /* all options of this vdev were read */
    VDEV_CTRL_GUEST_CONFIGURED = 2, /* the VM is complete; threads may be made */
    VDEV_CTRL_BOOTUP = 2,
    VDEV_CTRL_TERMINATE = 3,        /* stop and join own threads */
    VDEV_CTRL_STATUS = 4,           /* report state with qvm_report() */
    VDEV_CTRL_GEN_ACPI = 5,
    VDEV_CTRL_GEN_FDT = 6,
    VDEV_CTRL_BUTTON = 7,           /* SIGTERM or SIGINT: power button */
    VDEV_CTRL_ASSIGN = 8,           /* assign loc/intr if none was given */
    VDEV_CTRL_PCI_BARS = 9,
    VDEV_CTRL_GUEST_STARTING = 10,
    VDEV_CTRL_FIRST_OPTIDX = 64,    /* + index in option_list; arg = argument */
};

/* Result of a register access. */
typedef unsigned vdev_ref_status_t;
enum vdev_ref_status {
    VRS_NORMAL = 0,
    VRS_NO_ADVANCE = 1,
    VRS_ABORT = 2,
    VRS_BUS_ERROR = 3,
    VRS_CONTINUE = 4,
    VRS_TERMINATE = 5,
    VRS_ERRNO = 0x100, /* + errno */
};

typedef uint32_t vdev_factory_flags_t;
#define VFF_NONE 0u
#define VFF_RESERVED 0x1u
#define VFF_INTR_NO 0x2u     /* takes no interrupt */
#define VFF_INTR_REQ 0x4u    /* `intr` is mandatory */
#define VFF_INTR_NONPCI 0x8u /* mandatory unless on PCI */
#define VFF_LOC_NO 0x10u     /* takes no location */
#define VFF_VDEV_MEM 0x20u
#define VFF_VDEV_X86_IO 0x40u
#define VFF_VDEV_PCI 0x80u
#define VFF_VDEV_LOC_TYPES 0xE0u
#define VFF_MUTEX 0x100u
#define VFF_MUTEX_RECURSIVE 0x200u
#define VFF_RC 0x400u
#define VFF_MANUAL_REGION 0x800u /* the vdev makes its regions itself */

#define QVM_OPTION_NO_ARG_PREFIX "0" /* option_list entry that takes no argument */

struct qvm_sched_info {
    int priority;
};

struct vdev_s {
    void *v_device;                       /* extra_space bytes, zeroed */
    const struct vdev_factory *v_factory;
    struct qvm_state_block v_block;       /* where the device is */
    guest_intr_t v_intr;                  /* .pic is NULL without `intr` */
    pthread_mutex_t v_mtx;                /* initialised with VFF_MUTEX */
    struct qvm_sched_info v_sched;
};

/* Interrupt controllers only. The structure's members are ours. */
struct vdev_pic_functions {
    unsigned (*num_pins)(const vdev_t *pic);
    errno_t (*signal)(vdev_t *pic, unsigned pin, unsigned src_id, guest_intr_state_t gis);
    void (*eoi)(vdev_t *pic, unsigned vector); /* end of a level interrupt */
};

struct vdev_factory {
    struct vdev_factory *next; /* set by qvm */
    int (*control)(vdev_t *vdp, vdev_ctrl_options_t ctrl, const char *arg);
    vdev_ref_status_t (*vread)(vdev_t *vdp, unsigned cookie, const struct qvm_state_block *vopnd,
                               const struct qvm_state_block *oopnd, struct guest_cpu *gcp);
    vdev_ref_status_t (*vwrite)(vdev_t *vdp, unsigned cookie, const struct qvm_state_block *vopnd,
                                const struct qvm_state_block *oopnd, struct guest_cpu *gcp);
    int (*pulse)(vdev_t *vdp, int8_t code);
    void (*timer)(vdev_t *vdp, void *data, const struct guest_timer_data *tdp,
                  struct guest_cpu *gcp);
    const struct vdev_pic_functions *pic;
    const char *const *option_list; /* NULL-terminated */
    const char *name;               /* NULL: from the file name */
    vdev_factory_flags_t factory_flags;
    unsigned acc_sizes;             /* bit n: n-byte accesses allowed */
    unsigned extra_space;
    unsigned safety;
};

/* Call once, from the object's constructor; `factory` must be static. */
void vdev_register_factory(struct vdev_factory *factory, unsigned abi_version);

typedef void *(*vdev_thread_create_func_t)(void *arg);

/* A named thread of this vdev; pthread_create()'s value. From GUEST_CONFIGURED on. */
int vdev_thread_create(const vdev_t *vdp, const char *name, pthread_t *thread,
                       pthread_attr_t *attr, vdev_thread_create_func_t start, void *arg);

/* Fills in an event that makes the factory's `pulse` run with `code`, on a thread of qvm, whatever it is given to: timer_create()
 * and its like. After OPTIONS_START; served from GUEST_STARTING on, the highest `priority` first. Here `coid` is not used. */
void vdev_pulse(vdev_t *vdp, int8_t code, int priority, struct sigevent *ev, int coid);

/* The name given by `name NAME`, else the type. Ours. */
const char *vdev_name(const vdev_t *vdp);

/* Turns a guest_cpu_read()/write() error into an access status. */
static inline vdev_ref_status_t guest_cpu_to_vrs(int errcode) {
    if (errcode == EOK) return VRS_NORMAL;
    return errcode == -1 ? (vdev_ref_status_t)VRS_BUS_ERROR
                         : (vdev_ref_status_t)(VRS_ERRNO + errcode);
}

#pragma GCC visibility pop

#endif
