/*
 * Guest address spaces: which vdev answers where. 8.0 flavour: no guest_system
 * argument, the vdev stands for its VM.
 */
#ifndef QVM_GASP_H
#define QVM_GASP_H

#include <qvm/types.h>

struct vdev_s;

#define GRF_NONE 0u
#define GRF_VDEV 1u /* ours: accesses go to the vdev's vread/vwrite */

struct gasp_region {
    uint32_t flags;  /* GRF_* */
    uint32_t cookie; /* handed back to vread and vwrite */
    struct vdev_s *vdev;
    uint64_t host_location;
    struct qvm_state_block guest;
};

/* S: add regions; ends qvm with a configuration error when one overlaps another. */
void gasp_region_set(struct vdev_s *vdp, unsigned num, const struct gasp_region *regions);

#endif
