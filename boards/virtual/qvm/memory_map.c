#include "memory_map.h"

#include "acpi.h"
#include "memory.h"

struct map {
    struct memory_range *ranges;
    size_t count, max;
};

static void add(struct map *map, uint64_t start, uint64_t end, uint32_t type)
{
    if (start < end && map->count < map->max)
        map->ranges[map->count++] = (struct memory_range){start, end - start, type};
}

size_t memory_map(struct memory_range *ranges, size_t max)
{
    struct map map = {.ranges = ranges, .max = max};
    size_t count;
    const struct memory_block *blocks = memory_blocks(&count);
    uint64_t tables = acpi_area_start(), behind = tables + ACPI_AREA_SIZE;

    for (size_t n = 0; n < count; n++) {
        uint64_t start = blocks[n].start, end = start + blocks[n].length;
        if (blocks[n].kind != MEMORY_RAM)
            continue;
        if (tables < start || tables >= end) {
            add(&map, start, end, RANGE_RAM);
            continue;
        }
        add(&map, start, tables, RANGE_RAM);
        add(&map, tables, behind, RANGE_NVS);
        add(&map, behind, end, RANGE_RAM);
    }
    return map.count;
}
