/*
 * Invariant: nothing outside the file is read, whatever its headers say, and nothing outside RAM and ROM is written.
 */
#include "elf_image.h"

#include <elf.h>
#include <inttypes.h>
#include <string.h>

#include "diagnostics.h"
#include "memory.h"

/* What both classes have in common. */
struct segment {
    uint32_t type;
    uint64_t offset, virtual, physical, file_size, memory_size;
};

struct headers {
    uint16_t type, machine;
    uint64_t entry, table;
    size_t entry_size, count;
    bool wide; /* 64 bit */
};

bool elf_recognised(const struct load_entry *image)
{
    return image->size >= EI_NIDENT && memcmp(image->content, ELFMAG, SELFMAG) == 0;
}

static struct headers read_headers(const struct load_entry *image)
{
    bool wide = image->content[EI_CLASS] == ELFCLASS64;
    Elf64_Ehdr header64 = {0};
    Elf32_Ehdr header32 = {0};

    if (image->size < (wide ? sizeof header64 : sizeof header32))
        configuration_error(&image->place, "'%s' is cut off; copy it again", image->file);
    memcpy(&header64, image->content, wide ? sizeof header64 : 0);
    memcpy(&header32, image->content, wide ? 0 : sizeof header32);
    return wide ? (struct headers){header64.e_type, header64.e_machine, header64.e_entry, header64.e_phoff, sizeof(Elf64_Phdr),
                                   header64.e_phnum, true}
                : (struct headers){header32.e_type, header32.e_machine, header32.e_entry, header32.e_phoff, sizeof(Elf32_Phdr),
                                   header32.e_phnum, false};
}

static void check(const struct load_entry *image, const struct headers *headers)
{
    if (image->content[EI_DATA] != ELFDATA2LSB || (headers->machine != EM_386 && headers->machine != EM_X86_64))
        configuration_error(&image->place, "'%s' is an ELF file for another machine; build it for x86", image->file);
    if (headers->type != ET_EXEC)
        configuration_error(&image->place, "'%s' is an ELF file without fixed addresses; link it as an executable", image->file);
    if (headers->table > image->size || headers->count > (image->size - headers->table) / headers->entry_size)
        configuration_error(&image->place, "'%s' is cut off; copy it again", image->file);
}

static struct segment read_segment(const struct load_entry *image, const struct headers *headers, size_t number)
{
    const char *at = image->content + headers->table + number * headers->entry_size;
    Elf64_Phdr segment64;
    Elf32_Phdr segment32;

    if (headers->wide) {
        memcpy(&segment64, at, sizeof segment64);
        return (struct segment){segment64.p_type,  segment64.p_offset, segment64.p_vaddr,
                                segment64.p_paddr, segment64.p_filesz, segment64.p_memsz};
    }
    memcpy(&segment32, at, sizeof segment32);
    return (struct segment){segment32.p_type,  segment32.p_offset, segment32.p_vaddr,
                            segment32.p_paddr, segment32.p_filesz, segment32.p_memsz};
}

static void place_segment(const struct load_entry *image, const struct segment *segment)
{
    if (segment->offset > image->size || segment->file_size > image->size - segment->offset ||
        segment->file_size > segment->memory_size)
        configuration_error(&image->place, "'%s' is cut off; copy it again", image->file);
    memcpy(memory_claim(segment->physical, segment->memory_size, &image->place, image->file), image->content + segment->offset,
           segment->file_size);
}

uint64_t elf_place(const struct load_entry *image)
{
    const struct headers headers = read_headers(image);
    uint64_t entry = UINT64_MAX;

    check(image, &headers);
    for (size_t n = 0; n < headers.count; n++) {
        const struct segment segment = read_segment(image, &headers, n);
        if (segment.type != PT_LOAD || segment.memory_size == 0)
            continue;
        place_segment(image, &segment);
        if (headers.entry >= segment.virtual && headers.entry - segment.virtual < segment.memory_size)
            entry = segment.physical + (headers.entry - segment.virtual);
    }
    if (entry > UINT32_MAX)
        configuration_error(&image->place, "the entry 0x%" PRIx64 " of '%s' is in none of its segments below 4 GiB; link it anew",
                            headers.entry, image->file);
    return entry;
}
