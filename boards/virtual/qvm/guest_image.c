/*
 * Which loader a guest image gets. All but Linux and multiboot start alike: at their entry in 32-bit protected mode, flat segments,
 * paging and interrupts off, general registers zero.
 */
#include "guest_image.h"

#include <inttypes.h>
#include <string.h>

#include "acpi.h"
#include "diagnostics.h"
#include "elf_image.h"
#include "linux.h"
#include "load.h"
#include "memory.h"
#include "multiboot.h"
#include "vcpu.h"

enum { PAGE = 4096 };

bool guest_image_recognised(const struct load_entry *load)
{
    return linux_recognised(load) || multiboot_recognised(load) || elf_recognised(load);
}

/* Linux and multiboot have a way to be told; a VM that cannot do what it was asked is refused. */
static void refuse_what_it_is_not_told(const struct load_entry *image)
{
    const struct load_entry *initrd = load_find(LOAD_INITRD);

    if (initrd != NULL)
        configuration_error(&initrd->place, "'%s' is no Linux or multiboot image, which alone are told of an initrd; say data load",
                            image->file);
    if (vm.cmdline_place.file != NULL)
        configuration_error(&vm.cmdline_place, "'%s' is no Linux or multiboot image, which alone take a cmdline; remove it", image->file);
}

uint64_t flat_segments_place(void)
{
    static const uint64_t gdt[] = {0, 0, UINT64_C(0x00cf9b000000ffff), UINT64_C(0x00cf93000000ffff)};

    return acpi_area_place(gdt, sizeof gdt);
}

static uint64_t place_raw(const struct load_entry *image)
{
    uint64_t at = image->addressed ? image->address : memory_find_free(image->size, PAGE, 0, &image->place, image->file);

    memcpy(memory_claim(at, image->size, &image->place, image->file), image->content, image->size);
    if (at > UINT32_MAX)
        configuration_error(&image->place, "'%s' at 0x%" PRIx64 " starts beyond 4 GiB; give a lower address", image->file, at);
    return at;
}

void guest_image_load(uint64_t rsdp)
{
    const struct load_entry *image = load_find(LOAD_GUEST);

    if (image->addressed && guest_image_recognised(image))
        configuration_error(&image->place, "'%s' says itself where it goes; load it without an address", image->file);
    if (linux_recognised(image)) {
        linux_load(image, rsdp);
    } else if (multiboot_recognised(image)) {
        multiboot_load(image);
    } else {
        refuse_what_it_is_not_told(image);
        uint64_t entry = elf_recognised(image) ? elf_place(image) : place_raw(image);
        vcpus_set_entry(&(struct vcpu_entry){.eip = (uint32_t)entry, .gdt = flat_segments_place()});
    }
}
