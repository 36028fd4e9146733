/*
 * Files for the guest's memory. A bare `load` is the guest image when its format is known or when it is the first image, and data
 * otherwise.
 *
 * Invariant: once loads_complete() returned, there is exactly one guest image, at most one initrd, and no LOAD_BARE.
 */
#include "load.h"

#include <string.h>

#include <qvm/utils.h>

#include "allocate.h"
#include "diagnostics.h"
#include "guest_image.h"
#include "memory.h"

enum { PAGE = 4096 };

static const struct {
    const char *name;
    enum load_kind kind;
} blobs[] = {{"guest", LOAD_GUEST}, {"initrd", LOAD_INITRD}, {"data", LOAD_DATA}, {"acpi", LOAD_ACPI}};

enum { BLOBS = sizeof blobs / sizeof *blobs };

bool number_split(const char *text, uint64_t *address, const char **rest)
{
    const char *comma = strchr(text, ',');

    *rest = text;
    if (comma == NULL)
        return false;
    char *head = copy_text(text, (size_t)(comma - text));
    bool found = qvm_parse_number(head, address) == EOK;
    release(head);
    if (found)
        *rest = comma + 1;
    return found;
}

bool load_is_blob(const char *name)
{
    for (int n = 0; n < BLOBS; n++)
        if (strcmp(blobs[n].name, name) == 0)
            return true;
    return strcmp(name, "fdt") == 0;
}

static enum load_kind blob_kind(const char *blob, const struct place *place)
{
    if (blob == NULL)
        return LOAD_BARE;
    for (int n = 0; n < BLOBS; n++)
        if (strcmp(blobs[n].name, blob) == 0)
            return blobs[n].kind;
    configuration_error(place, "%s load: a PC has no device tree; remove it", blob);
}

void load_add(const char *blob, const char *argument, const struct place *place)
{
    struct load_entry load = {.place = *place, .kind = blob_kind(blob, place)};

    load.addressed = number_split(argument, &load.address, &load.file);
    load.content = read_file(load.file, &load.size);
    if (load.content == NULL)
        start_error(place, "Unable to open '%s': %s", load.file, read_file_error());
    if (load.size == 0)
        configuration_error(place, "'%s' is empty; copy it again", load.file);
    if (load.kind == LOAD_ACPI && load.addressed)
        configuration_error(place, "acpi load %s: the tables are placed by qvm; give no address", argument);
    vm.loads = grow(vm.loads, vm.load_count + 1, sizeof *vm.loads);
    vm.loads[vm.load_count++] = load;
}

const struct load_entry *load_find(enum load_kind kind)
{
    for (size_t n = 0; n < vm.load_count; n++)
        if (vm.loads[n].kind == kind)
            return &vm.loads[n];
    return NULL;
}

static void refuse_second(enum load_kind kind, const char *what)
{
    const struct load_entry *first = load_find(kind);

    for (size_t n = 0; n < vm.load_count; n++)
        if (vm.loads[n].kind == kind && &vm.loads[n] != first)
            configuration_error(&vm.loads[n].place, "'%s' is a second %s beside '%s'; remove one, or say data load ADDRESS,FILE",
                                vm.loads[n].file, what, first->file);
}

void loads_complete(void)
{
    bool first = true;

    for (size_t n = 0; n < vm.load_count; n++) {
        struct load_entry *load = &vm.loads[n];
        if (load->kind == LOAD_BARE)
            load->kind = first || guest_image_recognised(load) ? LOAD_GUEST : LOAD_DATA;
        first = first && load->kind != LOAD_GUEST;
    }
    if (load_find(LOAD_GUEST) == NULL)
        configuration_error(&vm.place, "nothing is loaded that could run: load FILE is missing");
    refuse_second(LOAD_GUEST, "guest image");
    refuse_second(LOAD_INITRD, "initrd");
}

static void place_data(struct load_entry *load)
{
    if (!load->addressed)
        load->address = memory_find_free(load->size, PAGE, 0, &load->place, load->file);
    memcpy(memory_claim(load->address, load->size, &load->place, load->file), load->content, load->size);
}

void loads_place_data(void)
{
    for (int addressed = 1; addressed >= 0; addressed--)
        for (size_t n = 0; n < vm.load_count; n++)
            if (vm.loads[n].kind == LOAD_DATA && vm.loads[n].addressed == addressed)
                place_data(&vm.loads[n]);
}
