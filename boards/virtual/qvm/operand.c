/*
 * Operands of guest accesses: `oopnd` is a block in this process (QST_HOST), but a vdev may name guest memory, a port or a
 * value as well.
 */
#include <string.h>

#include <qvm/vdev-core.h>

#include "gasp.h"
#include "memory.h"

enum { ACCESS_MAX = 8 };

/* Guest memory is RAM or ROM, or another vdev's registers. */
static int transfer_guest(struct guest_cpu *gcp, qvm_state_types_t space, uint64_t location, uint8_t *data, size_t length,
                          bool is_write)
{
    void *memory = space == QST_MEMORY ? memory_at(location, length) : NULL;
    struct gasp_region region;

    if (memory != NULL && is_write)
        memcpy(memory, data, length);
    else if (memory != NULL)
        memcpy(data, memory, length);
    else if (length == 0 || length > ACCESS_MAX || !gasp_find(space, location, length, &region))
        return -1;
    else
        gasp_access(gcp, space, location, (unsigned)length, data, is_write);
    return EOK;
}

static int transfer(struct guest_cpu *gcp, const struct qvm_state_block *block, uint8_t *data, size_t length, bool is_write)
{
    switch (block->qst_type) {
    case QST_HOST:
        if (is_write)
            memcpy((void *)(uintptr_t)block->location, data, length);
        else
            memcpy(data, (const void *)(uintptr_t)block->location, length);
        return EOK;
    case QST_MEMORY:
    case QST_X86_IO:
        return transfer_guest(gcp, block->qst_type, block->location, data, length, is_write);
    case QST_IMMEDIATE:
        if (is_write || length > sizeof block->location)
            return EINVAL;
        memcpy(data, &block->location, length);
        return EOK;
    default:
        return ENOTSUP;
    }
}

static int transfer_all(struct guest_cpu *gcp, const struct qvm_state_block *blk, unsigned nblks, uint8_t *data,
                        size_t length, bool is_write)
{
    for (unsigned n = 0; n < nblks && length > 0; n++) {
        size_t part = blk[n].length < length ? blk[n].length : length;
        int error = transfer(gcp, &blk[n], data, part, is_write);
        if (error != EOK)
            return error;
        data += part;
        length -= part;
    }
    if (!is_write)
        memset(data, 0, length);
    return EOK;
}

int guest_cpu_read(struct guest_cpu *gcp, guest_cpu_access_flags_t flags, const struct qvm_state_block *blk, unsigned nblks,
                   void *data, size_t data_len)
{
    (void)flags;
    return transfer_all(gcp, blk, nblks, data, data_len, false);
}

int guest_cpu_write(struct guest_cpu *gcp, guest_cpu_access_flags_t flags, const struct qvm_state_block *blk, unsigned nblks,
                    const void *data, size_t data_len)
{
    (void)flags;
    return transfer_all(gcp, blk, nblks, (uint8_t *)(uintptr_t)data, data_len, true);
}

int guest_write_all_ones(struct guest_cpu *gcp, guest_cpu_access_flags_t flags, const struct qvm_state_block *blk)
{
    uint64_t ones = UINT64_MAX;

    return guest_cpu_write(gcp, flags, blk, 1, &ones, blk->length < sizeof ones ? blk->length : sizeof ones);
}
