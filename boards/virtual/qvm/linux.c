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
#include "memory.h"
#include "vcpu.h"
#include "vm.h"

#define MAGIC 0x53726448u /* "HdrS" */
#define BOOT_FLAG 0xaa55u
#define BOOT_FLAG_AT 0x1fe
#define HEADER_AT offsetof(struct boot_params, hdr)
#define KERNEL_AT UINT64_C(0x100000)
#define ZERO_PAGE_AT UINT64_C(0x10000)
#define GDT_AT UINT64_C(0x18000)
#define CMDLINE_AT UINT64_C(0x20000)
#define LOADER_UNDEFINED 0xff
#define PROTOCOL_RSDP 0x020e /* acpi_rsdp_addr */

enum { PAGE = 4096, SECTOR = 512, E820_RAM_TYPE = 1, E820_NVS_TYPE = 4 };

static const struct load_entry *entry_of(enum load_kind kind)
{
    for (size_t n = 0; n < vm.load_count; n++)
        if (vm.loads[n].kind == kind)
            return &vm.loads[n];
    return NULL;
}

/* RAM for something qvm itself places. */
static void *room(uint64_t address, uint64_t length, const struct load_entry *entry, const char *what)
{
    void *at = memory_at(address, length);

    if (at == NULL)
        configuration_error(&entry->place, "no RAM at 0x%" PRIx64 ",0x%" PRIx64 " for %s", address, length, what);
    return at;
}

static void check_kernel(const struct load_entry *kernel, struct setup_header *header)
{
    uint16_t flag = 0;

    if (kernel->size >= HEADER_AT + sizeof *header) {
        memcpy(&flag, kernel->content + BOOT_FLAG_AT, sizeof flag);
        memcpy(header, kernel->content + HEADER_AT, sizeof *header);
    }
    if (flag != BOOT_FLAG || header->header != MAGIC || !(header->loadflags & LOADED_HIGH))
        configuration_error(&kernel->place, "'%s' is no Linux bzImage; this qvm starts nothing else", kernel->file);
    if (header->version < PROTOCOL_RSDP)
        configuration_error(&kernel->place, "'%s' is too old: boot protocol %u.%u, at least 2.14 is needed", kernel->file,
                            header->version >> 8, header->version & 0xff);
    if (kernel->addressed)
        configuration_error(&kernel->place, "'%s' says itself where it goes; load it without an address", kernel->file);
}

static void place_kernel(const struct load_entry *kernel, const struct setup_header *header)
{
    size_t setup = ((header->setup_sects != 0 ? header->setup_sects : 4) + 1u) * SECTOR;

    if (setup >= kernel->size)
        configuration_error(&kernel->place, "'%s' is cut off", kernel->file);
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
    const struct load_entry *initrd = entry_of(LOAD_INITRD);
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
        configuration_error(&initrd->place, "no RAM for '%s' behind the kernel '%s'", initrd->file, kernel->file);
    memcpy(room(at, initrd->size, initrd, "the initrd"), initrd->content, initrd->size);
    header->ramdisk_image = (uint32_t)at;
    header->ramdisk_size = (uint32_t)initrd->size;
}

static void place_cmdline(const struct load_entry *kernel, struct setup_header *header)
{
    size_t length = strlen(vm.cmdline);

    if (length > header->cmdline_size)
        configuration_error(&kernel->place, "the cmdline has %zu bytes, '%s' takes %u", length, kernel->file,
                            header->cmdline_size);
    memcpy(room(CMDLINE_AT, length + 1, kernel, "the command line"), vm.cmdline, length + 1);
    header->cmd_line_ptr = (uint32_t)CMDLINE_AT;
}

static void add_range(struct boot_params *zero_page, uint64_t start, uint64_t end, uint32_t type)
{
    if (start < end && zero_page->e820_entries < E820_MAX_ENTRIES_ZEROPAGE)
        zero_page->e820_table[zero_page->e820_entries++] = (struct boot_e820_entry){start, end - start, type};
}

/* RAM only: ROM and holes are kept out of the map. */
static void fill_map(struct boot_params *zero_page)
{
    size_t count;
    const struct memory_block *blocks = memory_blocks(&count);
    uint64_t tables = acpi_area_start(), behind = tables + ACPI_AREA_SIZE;

    for (size_t n = 0; n < count; n++) {
        uint64_t start = blocks[n].start, end = start + blocks[n].length;
        if (blocks[n].kind != MEMORY_RAM)
            continue;
        if (tables < start || tables >= end) {
            add_range(zero_page, start, end, E820_RAM_TYPE);
            continue;
        }
        add_range(zero_page, start, tables, E820_RAM_TYPE);
        add_range(zero_page, tables, behind, E820_NVS_TYPE);
        add_range(zero_page, behind, end, E820_RAM_TYPE);
    }
}

void linux_load(uint64_t rsdp)
{
    static const uint64_t gdt[] = {0, 0, UINT64_C(0x00cf9b000000ffff), UINT64_C(0x00cf93000000ffff)};
    const struct load_entry *kernel = entry_of(LOAD_GUEST);
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
    memcpy(room(GDT_AT, sizeof gdt, kernel, "the descriptor table"), gdt, sizeof gdt);
    vcpus_set_entry(header.code32_start, (uint32_t)ZERO_PAGE_AT, GDT_AT);
}
