/*
 * Guest address spaces: which vdev answers where, and guest memory in the vdev's own address space. 8.0 flavour: no
 * guest_system argument, the vdev stands for its VM.
 */
#ifndef QVM_GASP_H
#define QVM_GASP_H

#include <qvm/types.h>

#pragma GCC visibility push(default)

struct vdev_s;

/* Values and meaning ours. Without GRF_VDEV the region that the vdev has at just that place is taken away. */
#define GRF_NONE 0u
#define GRF_VDEV 1u /* accesses go to the vdev's vread/vwrite */

struct gasp_region {
    uint32_t flags;  /* GRF_* */
    uint32_t cookie; /* handed back to vread and vwrite */
    struct vdev_s *vdev;
    uint64_t host_location;
    struct qvm_state_block guest;
};

/* S: add, change (same place) or take away regions; ends qvm with a configuration error when one overlaps another. */
void gasp_region_set(struct vdev_s *vdp, unsigned num, const struct gasp_region *regions);

/* Keeps other threads from changing the regions of the space QST_MEMORY or QST_X86_IO; may be nested. EOK or errno. */
int gasp_lock(struct vdev_s *vdp, uint16_t type);
int gasp_unlock(struct vdev_s *vdp, uint16_t type);
/* R, with that lock held: the same while the guest runs. `num`, or the index of the first that could not be set, with errno. */
unsigned gasp_region_set_soft(struct vdev_s *vdp, unsigned num, const struct gasp_region *regions);
/* The region that holds all of `block`. EOK, ENOENT or EINVAL. */
errno_t gasp_region_info(struct vdev_s *vdp, const struct qvm_state_block *block, struct gasp_region *region);

#define GMF_READ 1u  /* values ours */
#define GMF_WRITE 2u

/* `length` bytes of the guest's memory in this process; NULL with errno when they are not all in one RAM or ROM, or are ROM
 * and are to be written. */
void *gasp_map_vdma(struct vdev_s *vdp, uint64_t guest_physical, size_t length, unsigned flags);
/* Ends a mapping; `flush` makes what was written visible to the guest. EOK. */
int gasp_unmap(void *address, size_t length, bool flush);

#pragma GCC visibility pop

#endif
