/*
 * The vdevs of the VM: made while the configuration is read, taken through the lifecycle afterwards.
 */
#ifndef QVM_VDEV_H
#define QVM_VDEV_H

#include <qvm/vdev-core.h>

#include "diagnostics.h"
#include "token.h"

/* --- While the configuration is read -------------------------------------- */

/* `vdev TYPE`: loads the type when it is its first, and calls OPTIONS_START. */
vdev_t *vdev_open(const char *type, const struct place *place);
/* How many arguments an option of this vdev takes, or -1 when neither qvm nor the vdev knows it. */
int vdev_option_arguments(const vdev_t *vdp, const char *option);
void vdev_option(vdev_t *vdp, const char *option, const char *const arguments[]);
/* The context ends: OPTIONS_END. */
void vdev_close(vdev_t *vdp);

/* A vdev that is part of qvm. `factory` must be static. */
vdev_t *vdev_add_implicit(struct vdev_factory *factory);

/* --- The lifecycle -------------------------------------------------------- */

/* After the last option: interrupts are resolved, locations assigned, regions made. */
void vdevs_assign(void);
/* A control call to every vdev; a refusal before the guest runs ends qvm. */
void vdevs_control_all(vdev_ctrl_options_t ctrl);
/* VDEV_CTRL_TERMINATE, in reverse order. */
void vdevs_terminate(void);

/* --- Facts ---------------------------------------------------------------- */

/* The next vdev in the order of the configuration, implicit ones last; NULL: the first. NULL after the last. */
vdev_t *vdev_next(const vdev_t *vdp);
/* By the `name` option; NULL when there is none. */
vdev_t *vdev_find(const char *name);
const struct place *vdev_place(const vdev_t *vdp);
const struct log_rules *vdev_log_rules(const vdev_t *vdp);

/* What `vdev TYPE` said, and whether it has a name of its own in /dev/qvm/SYSTEM. */
const char *vdev_type(const vdev_t *vdp);
bool vdev_is_named(const vdev_t *vdp);

#endif
