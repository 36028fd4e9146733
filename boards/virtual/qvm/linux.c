/*
 * Loads a bzImage as "The Linux/x86 Boot Protocol" (kernel documentation, x86/boot) says for a 32-bit entry.
 *
 * Invariant: everything the kernel is told about lies in RAM blocks, outside the area of the ACPI tables.
 */
#include "linux.h"

#include <asm/bootparam.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "acpi.h"
#include "diagnostics.h"
#include "guest_image.h"
#include "load.h"
#include "memory.h"
#include "memory_map.h"
#include "vcpu.h"
#include "vm.h"

#define MAGIC 0x53726448u /* "HdrS" */
#define BOOT_FLAG 0xaa55u
#define BOOT_FLAG_AT 0x1fe
#define HEADER_AT offsetof(struct boot_params, hdr)
#define KERNEL_AT UINT64_C(0x100000)
#define ZERO_PAGE_AT UINT64_C(0x10000)
#define CMDLINE_AT UINT64_C(0x20000)
#define LOADER_UNDEFINED 0xff
#define PROTOCOL_RSDP 0x020e /* acpi_rsdp_addr */

enum { PAGE = 4096, SECTOR = 512 };

/* RAM for something qvm itself places. */
static void *room(uint64_t address, uint64_t length, const struct load_entry *entry, const char *what)
{
    if (memory_at(address, length) == NULL)
        configuration_error(&entry->place, "no RAM at 0x%" PRIx64 ",0x%" PRIx64 " for %s; add it", address, length, what);
    return memory_claim(address, length, &entry->place, what);
}

bool linux_recognised(const struct load_entry *image)
{
    struct setup_header header;
    uint16_t flag = 0;

    if (image->size < HEADER_AT + sizeof header)
        return false;
    memcpy(&flag, image->content + BOOT_FLAG_AT, sizeof flag);
    memcpy(&header, image->content + HEADER_AT, sizeof header);
    return flag == BOOT_FLAG && header.header == MAGIC;
}

static void check_kernel(const struct load_entry *kernel, struct setup_header *header)
{
    memcpy(header, kernel->content + HEADER_AT, sizeof *header);
    if (!(header->loadflags & LOADED_HIGH))
        configuration_error(&kernel->place, "'%s' is a zImage; build a bzImage", kernel->file);
    if (header->version < PROTOCOL_RSDP)
        configuration_error(&kernel->place, "'%s' is too old: boot protocol %u.%u, and at least 2.14 is needed; load a newer kernel",
                            kernel->file, header->version >> 8, header->version & 0xff);
}

static void place_kernel(const struct load_entry *kernel, const struct setup_header *header)
{
    size_t setup = ((header->setup_sects != 0 ? header->setup_sects : 4) + 1u) * SECTOR;

    if (setup >= kernel->size)
        configuration_error(&kernel->place, "'%s' is cut off; copy it again", kernel->file);
    uint64_t size = kernel->size - setup;
    uint64_t needed = header->init_size > size ? header->init_size : size;
    if (acpi_area_start() < KERNEL_AT + needed)
        needed = UINT64_MAX / 2; /* it would grow into the tables: there is not enough RAM */
    room(KERNEL_AT, needed, kernel, "the kernel");
    memcpy(memory_at(KERNEL_AT, size), kernel->content + setup, size);
}

/* As high as the kernel allows, below the ACPI tables, in the block the kernel is in. */
static void place_initrd(const struct load_entry *kernel, struct setup_header *header)
{
    const struct load_entry *initrd = load_find(LOAD_INITRD);
    const struct memory_block *block = memory_overlap(KERNEL_AT, 1);

    if (initrd == NULL)
        return;
    uint64_t end = block->start + block->length;
    if (end > (uint64_t)header->initrd_addr_max + 1)
        end = (uint64_t)header->initrd_addr_max + 1;
    if (end > acpi_area_start() && acpi_area_start() > KERNEL_AT)
        end = acpi_area_start();
    uint64_t at = initrd->addressed ? initrd->address : (end - initrd->size) & ~(uint64_t)(PAGE - 1);
    if (initrd->size > end || at < KERNEL_AT + header->init_size || at + initrd->size > end)
        configuration_error(&initrd->place, "no RAM for '%s' behind the kernel '%s'; add some", initrd->file, kernel->file);
    memcpy(room(at, initrd->size, initrd, "the initrd"), initrd->content, initrd->size);
    header->ramdisk_image = (uint32_t)at;
    header->ramdisk_size = (uint32_t)initrd->size;
}

static void place_cmdline(const struct load_entry *kernel, struct setup_header *header)
{
    size_t length = strlen(vm.cmdline);

    if (length > header->cmdline_size)
        configuration_error(&vm.cmdline_place, "the cmdline has %zu bytes, and '%s' takes %u; shorten it", length, kernel->file,
                            header->cmdline_size);
    memcpy(room(CMDLINE_AT, length + 1, kernel, "the command line"), vm.cmdline, length + 1);
    header->cmd_line_ptr = (uint32_t)CMDLINE_AT;
}

static void fill_map(struct boot_params *zero_page)
{
    struct memory_range ranges[E820_MAX_ENTRIES_ZEROPAGE];
    size_t count = memory_map(ranges, E820_MAX_ENTRIES_ZEROPAGE);

    for (size_t n = 0; n < count; n++)
        zero_page->e820_table[n] = (struct boot_e820_entry){ranges[n].start, ranges[n].length, ranges[n].type};
    zero_page->e820_entries = (uint8_t)count;
}

void linux_load(const struct load_entry *kernel, uint64_t rsdp)
{
    struct setup_header header;

    check_kernel(kernel, &header);
    struct boot_params *zero_page = room(ZERO_PAGE_AT, sizeof *zero_page, kernel, "the zero page");
    place_kernel(kernel, &header);
    place_initrd(kernel, &header);
    place_cmdline(kernel, &header);
    header.type_of_loader = LOADER_UNDEFINED;
    header.vid_mode = 0xffff; /* "normal" */
    zero_page->hdr = header;
    zero_page->acpi_rsdp_addr = rsdp;
    fill_map(zero_page);
    vcpus_set_entry(&(struct vcpu_entry){
        .eip = header.code32_start,
        .esi = (uint32_t)ZERO_PAGE_AT,
        .gdt = flat_segments_place(),
    });
}
