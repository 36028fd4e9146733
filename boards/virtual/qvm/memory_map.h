/*
 * The map of its memory that a guest is given: RAM and what qvm keeps of it. ROM and holes are kept out.
 */
#ifndef QVM_MEMORY_MAP_H
#define QVM_MEMORY_MAP_H

#include <stddef.h>
#include <stdint.h>

/* As in ACPI 6.x, chapter 15. */
enum { RANGE_RAM = 1, RANGE_NVS = 4 };

struct memory_range {
    uint64_t start, length;
    uint32_t type;
};

/* By address; how many there are, `max` at most. */
size_t memory_map(struct memory_range *ranges, size_t max);

#endif
