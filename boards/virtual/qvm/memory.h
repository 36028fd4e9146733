/*
 * The VM's memory: RAM, ROM and holes, guest-physical.
 */
#ifndef QVM_MEMORY_H
#define QVM_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "token.h"

enum memory_kind { MEMORY_RAM, MEMORY_ROM, MEMORY_HOLE };

struct memory_block {
    struct place place;
    enum memory_kind kind;
    uint64_t start, length;
    uint8_t *host; /* NULL for a hole */
};

/* The options `ram`, `rom` and `reserve loc`. A mistake in them ends qvm. */
void memory_add(enum memory_kind kind, bool has_start, uint64_t start, uint64_t length, const struct place *place);

/* All blocks, by address. */
const struct memory_block *memory_blocks(size_t *count);
/* The block that overlaps START to START+LENGTH, or NULL. */
const struct memory_block *memory_overlap(uint64_t start, uint64_t length);

/* `length` bytes of RAM or ROM at `address` in this process; NULL when they are not all in one block. */
void *memory_at(uint64_t address, uint64_t length);

/* --- What is put in before the guest runs -------------------------------- */

/* RAM or ROM for `what` alone, as in memory_at(). None there, or taken by something else, ends qvm. */
void *memory_claim(uint64_t address, uint64_t length, const struct place *place, const char *what);
/* The lowest RAM from `from` on, below 4 GiB, that nobody claimed; still to be claimed. */
uint64_t memory_find_free(uint64_t length, uint64_t alignment, uint64_t from, const struct place *place, const char *what);

#endif
