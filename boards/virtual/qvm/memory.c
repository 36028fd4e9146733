/*
 * The VM's memory. Invariant: blocks never overlap and begin and end on pages; RAM and ROM are backed by zeroed memory of
 * this process from the moment they are configured.
 */
#include "memory.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "allocate.h"
#include "diagnostics.h"

#define BELOW UINT64_C(0x100000000)
#define LOCAL_APIC UINT64_C(0xfee00000)
#define RESERVED UINT64_C(0xfffbc000) /* machine.c: identity map and task state */

enum { PAGE = 4096, LARGE_PAGE = 2 << 20 };

static struct memory_block *blocks;
static size_t block_count;

static const char *const kind_names[] = {"ram", "rom", "reserve"};

/* Backs a block so that large pages of guest and host coincide: that saves most of the nested page faults. */
static void back(struct memory_block *block)
{
    size_t room = block->length + LARGE_PAGE;
    uint8_t *host = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (host == MAP_FAILED)
        start_error(&block->place, "no memory for %s 0x%" PRIx64 ",0x%" PRIx64 ": %s", kind_names[block->kind],
                    block->start, block->length, strerror(errno));
    size_t skip = (block->start - (uintptr_t)host) & (LARGE_PAGE - 1);
    block->host = host + skip;
    madvise(block->host, block->length, MADV_HUGEPAGE);
}

static uint64_t highest_end(void)
{
    uint64_t end = 0;

    for (size_t n = 0; n < block_count; n++)
        if (blocks[n].kind != MEMORY_HOLE && blocks[n].start + blocks[n].length > end)
            end = blocks[n].start + blocks[n].length;
    return end;
}

static bool overlaps(const struct memory_block *block, uint64_t start, uint64_t length)
{
    return start < block->start + block->length && block->start < start + length;
}

void memory_add(enum memory_kind kind, bool has_start, uint64_t start, uint64_t length, const struct place *place)
{
    struct memory_block block = {*place, kind, has_start ? start : highest_end(), length, NULL};
    size_t n = block_count;

    if (length == 0 || length % PAGE != 0 || block.start % PAGE != 0)
        configuration_error(place, "%s: start and length must be multiples of 4 KiB, and the length not zero", kind_names[kind]);
    if (block.start + length < length || block.start + length > UINT64_C(1) << 40)
        configuration_error(place, "%s 0x%" PRIx64 ",0x%" PRIx64 " is beyond the 1 TiB that a guest can address; lower it",
                            kind_names[kind], block.start, length);
    const struct memory_block *other = memory_overlap(block.start, length);
    if (other != NULL)
        configuration_error(place, "%s 0x%" PRIx64 ",0x%" PRIx64 " overlaps %s 0x%" PRIx64 ",0x%" PRIx64 "; move one", kind_names[kind],
                            block.start, length, kind_names[other->kind], other->start, other->length);
    if (kind != MEMORY_HOLE && (overlaps(&block, LOCAL_APIC, PAGE) || overlaps(&block, RESERVED, 4 * PAGE)))
        configuration_error(place, "%s 0x%" PRIx64 ",0x%" PRIx64 " overlaps the local APIC or the pages at 0x%" PRIx64
                            " that qvm needs; leave them out", kind_names[kind], block.start, length, RESERVED);
    if (kind != MEMORY_HOLE)
        back(&block);
    blocks = grow(blocks, block_count + 1, sizeof *blocks);
    for (; n > 0 && blocks[n - 1].start > block.start; n--)
        blocks[n] = blocks[n - 1];
    blocks[n] = block;
    block_count++;
}

const struct memory_block *memory_blocks(size_t *count)
{
    *count = block_count;
    return blocks;
}

const struct memory_block *memory_overlap(uint64_t start, uint64_t length)
{
    for (size_t n = 0; n < block_count; n++)
        if (overlaps(&blocks[n], start, length))
            return &blocks[n];
    return NULL;
}

void *memory_at(uint64_t address, uint64_t length)
{
    for (size_t n = 0; n < block_count; n++) {
        const struct memory_block *block = &blocks[n];
        if (block->host != NULL && address >= block->start && address - block->start <= block->length &&
            length <= block->length - (address - block->start))
            return block->host + (address - block->start);
    }
    return NULL;
}

/* --- Claims --------------------------------------------------------------- */

static struct claim {
    uint64_t start, length;
    const char *what;
} *claims;
static size_t claim_count;

static const struct claim *claimed(uint64_t start, uint64_t length)
{
    for (size_t n = 0; n < claim_count; n++)
        if (start < claims[n].start + claims[n].length && claims[n].start < start + length)
            return &claims[n];
    return NULL;
}

void *memory_claim(uint64_t address, uint64_t length, const struct place *place, const char *what)
{
    void *at = memory_at(address, length);

    if (at == NULL)
        configuration_error(place, "no ram or rom at 0x%" PRIx64 " for the %" PRIu64 " bytes of '%s'; add it", address, length, what);
    const struct claim *other = claimed(address, length);
    if (other != NULL)
        configuration_error(place, "'%s' at 0x%" PRIx64 " overlaps '%s' at 0x%" PRIx64 "; move it", what, address, other->what,
                            other->start);
    claims = grow(claims, claim_count + 1, sizeof *claims);
    claims[claim_count++] = (struct claim){address, length, what};
    return at;
}

uint64_t memory_find_free(uint64_t length, uint64_t alignment, uint64_t from, const struct place *place, const char *what)
{
    for (size_t n = 0; n < block_count; n++) {
        uint64_t end = blocks[n].start + blocks[n].length;
        uint64_t at = from > blocks[n].start ? from : blocks[n].start;
        if (blocks[n].kind != MEMORY_RAM)
            continue;
        while ((at = (at + alignment - 1) & ~(alignment - 1)) < end && length <= end - at && at + length <= BELOW) {
            const struct claim *other = claimed(at, length);
            if (other == NULL)
                return at;
            at = other->start + other->length;
        }
    }
    configuration_error(place, "no ram for the %" PRIu64 " bytes of '%s'; add some", length, what);
}
