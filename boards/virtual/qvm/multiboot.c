/*
 * The header in the first 8 KiB says what the image wants; the information structure (chapter 3.3) is what it gets: sizes of memory,
 * command line, modules, memory map, name of the loader.
 *
 * Invariant: an image that demands what is not given is refused, as chapter 3.1.2 asks.
 */
#include "multiboot.h"

#include <inttypes.h>
#include <string.h>

#include "acpi.h"
#include "diagnostics.h"
#include "elf_image.h"
#include "guest_image.h"
#include "load.h"
#include "memory.h"
#include "memory_map.h"
#include "vcpu.h"

#define HEADER_MAGIC 0x1badb002u
#define LOADER_MAGIC 0x2badb002u

enum { SEARCH = 8192, PAGE = 4096, KIB = 1024, MIB = 1 << 20, MAP_ENTRIES = 64 };

/* Header flags: modules on pages, memory sizes, video mode; the low half is demanded. */
enum { WANTS_PAGES = 1 << 0, WANTS_MEMORY = 1 << 1, DEMANDS = 0xffff, HAS_ADDRESSES = 1 << 16 };
/* Information flags. */
enum { INFO_MEMORY = 1 << 0, INFO_CMDLINE = 1 << 2, INFO_MODULES = 1 << 3, INFO_MAP = 1 << 6, INFO_LOADER = 1 << 9 };

struct header {
    uint32_t magic, flags, checksum;
    uint32_t header_address, load_address, load_end, bss_end, entry; /* with HAS_ADDRESSES */
};

struct information {
    uint32_t flags, lower, upper, boot_device, cmdline, module_count, modules, symbols[4], map_length, map, drive_length, drives;
    uint32_t configuration, loader;
};

struct module {
    uint32_t start, end, text, reserved;
};

struct __attribute__((packed)) map_entry {
    uint32_t size;
    uint64_t start, length;
    uint32_t type;
};

/* Where the header is in the file, -1 without one. */
static long find_header(const struct load_entry *image, struct header *header)
{
    size_t end = image->size < SEARCH ? image->size : SEARCH;

    for (size_t at = 0; at + 3 * sizeof(uint32_t) <= end; at += 4) {
        size_t rest = image->size - at;
        memset(header, 0, sizeof *header);
        memcpy(header, image->content + at, rest < sizeof *header ? rest : sizeof *header);
        if (header->magic == HEADER_MAGIC && header->magic + header->flags + header->checksum == 0)
            return (long)at;
    }
    return -1;
}

bool multiboot_recognised(const struct load_entry *image)
{
    struct header header;

    return find_header(image, &header) >= 0;
}

/* --- The image ------------------------------------------------------------ */

/* By the addresses in the header ("a.out kludge"); its entry. */
static uint64_t place_by_addresses(const struct load_entry *image, const struct header *header, size_t header_at)
{
    uint64_t before = header->header_address - (uint64_t)header->load_address;
    uint64_t from = header_at - before;

    if (header->header_address < header->load_address || before > header_at)
        configuration_error(&image->place, "the multiboot header of '%s' names addresses before the file begins; link it anew", image->file);
    uint64_t size = header->load_end != 0 ? header->load_end - (uint64_t)header->load_address : image->size - from;
    if (size > image->size - from)
        configuration_error(&image->place, "'%s' is cut off; copy it again", image->file);
    uint64_t needed = header->bss_end > header->load_address + size ? header->bss_end - (uint64_t)header->load_address : size;
    memcpy(memory_claim(header->load_address, needed, &image->place, image->file), image->content + from, size);
    return header->entry;
}

static uint64_t place_image(const struct load_entry *image)
{
    struct header header;
    size_t at = (size_t)find_header(image, &header);

    if (header.flags & DEMANDS & ~(WANTS_PAGES | WANTS_MEMORY))
        configuration_error(&image->place, "'%s' demands what this qvm does not give (multiboot flags 0x%" PRIx32 "); build it without",
                            image->file, header.flags);
    if (header.flags & HAS_ADDRESSES)
        return place_by_addresses(image, &header, at);
    if (!elf_recognised(image))
        configuration_error(&image->place, "'%s' is neither ELF nor does its multiboot header give addresses; link it anew", image->file);
    return elf_place(image);
}

/* --- The information ------------------------------------------------------ */

static void add_module(struct information *information)
{
    const struct load_entry *initrd = load_find(LOAD_INITRD);

    if (initrd == NULL)
        return;
    uint64_t at = initrd->addressed ? initrd->address : memory_find_free(initrd->size, PAGE, MIB, &initrd->place, initrd->file);
    memcpy(memory_claim(at, initrd->size, &initrd->place, initrd->file), initrd->content, initrd->size);
    const struct module module = {
        .start = (uint32_t)at,
        .end = (uint32_t)(at + initrd->size),
        .text = (uint32_t)acpi_area_place(initrd->file, strlen(initrd->file) + 1),
    };
    information->flags |= INFO_MODULES;
    information->module_count = 1;
    information->modules = (uint32_t)acpi_area_place(&module, sizeof module);
}

static void add_map(struct information *information)
{
    struct memory_range ranges[MAP_ENTRIES];
    struct map_entry map[MAP_ENTRIES];
    size_t count = memory_map(ranges, MAP_ENTRIES);

    for (size_t n = 0; n < count; n++) {
        map[n] = (struct map_entry){sizeof map[n] - sizeof map[n].size, ranges[n].start, ranges[n].length, ranges[n].type};
        if (ranges[n].type != RANGE_RAM)
            continue;
        if (ranges[n].start == 0)
            information->lower = (uint32_t)(ranges[n].length / KIB);
        if (ranges[n].start <= MIB && ranges[n].start + ranges[n].length > MIB)
            information->upper = (uint32_t)((ranges[n].start + ranges[n].length - MIB) / KIB);
    }
    information->flags |= INFO_MAP | INFO_MEMORY;
    information->map_length = (uint32_t)(count * sizeof map[0]);
    information->map = (uint32_t)acpi_area_place(map, count * sizeof map[0]);
}

void multiboot_load(const struct load_entry *image)
{
    struct information information = {.flags = INFO_CMDLINE | INFO_LOADER};
    uint64_t entry = place_image(image);

    information.cmdline = (uint32_t)acpi_area_place(vm.cmdline, strlen(vm.cmdline) + 1);
    information.loader = (uint32_t)acpi_area_place("qvm", sizeof "qvm");
    add_module(&information);
    add_map(&information);
    vcpus_set_entry(&(struct vcpu_entry){
        .eip = (uint32_t)entry,
        .eax = LOADER_MAGIC,
        .ebx = (uint32_t)acpi_area_place(&information, sizeof information),
        .gdt = flat_segments_place(),
    });
}
