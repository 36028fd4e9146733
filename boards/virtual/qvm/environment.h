/*
 * The VM as JSON text: what `/dev/qvm/NAME/env` and the entries of the vdevs beside it hold. The members are ours.
 */
#ifndef QVM_ENVIRONMENT_H
#define QVM_ENVIRONMENT_H

#include <qvm/vdev-core.h>

/* Each writes one line to a file. */
void environment_write(int file);
void environment_write_vdev(int file, const vdev_t *vdp);

#endif
