/*
 * The guest's address spaces: which vdev answers an access.
 */
#ifndef QVM_GASP_INTERNAL_H
#define QVM_GASP_INTERNAL_H

#include <qvm/gasp.h>
#include <qvm/vdev-core.h>

/* Whether a region holds all of START to START+LENGTH in the space QST_MEMORY or QST_X86_IO; a copy of it in `*found`. */
bool gasp_find(qvm_state_types_t space, uint64_t start, uint64_t length, struct gasp_region *found);
/* Whether a region overlaps it. */
bool gasp_taken(qvm_state_types_t space, uint64_t start, uint64_t length);

/* A guest's access of `size` bytes on the thread of vCPU `gcp`; `data` is read or filled. */
void gasp_access(struct guest_cpu *gcp, qvm_state_types_t space, uint64_t address, unsigned size, void *data,
                 bool is_write);

#endif
