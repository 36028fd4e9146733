/*
 * Regions of the guest's address spaces, and the way of an access to the vdev that owns one.
 *
 * Invariant: regions of one space never overlap each other nor the VM's memory, and stay as they are once the guest runs, so
 * that looking one up needs no lock.
 */
#include "gasp.h"

#include <inttypes.h>
#include <string.h>

#include "allocate.h"
#include "diagnostics.h"
#include "end.h"
#include "memory.h"
#include "running.h"
#include "stage.h"
#include "unsupported.h"
#include "vdev.h"

#define LAPIC_PAGE 0xfee00000u
#define PORTS 0x10000u

struct space {
    struct gasp_region *regions; /* by address */
    size_t count;
};

static struct space ports, memory;

static struct space *space_of(qvm_state_types_t type)
{
    return type == QST_X86_IO ? &ports : &memory;
}

static const char *prefix(qvm_state_types_t type)
{
    return type == QST_X86_IO ? "io" : "mem";
}

/* The first region that ends behind `address`: the only one that can hold it, and the first that can overlap. */
static size_t index_of(const struct space *space, uint64_t address)
{
    size_t low = 0, high = space->count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct qvm_state_block *guest = &space->regions[middle].guest;
        if (guest->location + guest->length <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static const struct gasp_region *overlap(qvm_state_types_t type, uint64_t start, uint64_t length)
{
    const struct space *space = space_of(type);
    size_t n = index_of(space, start);

    return n < space->count && space->regions[n].guest.location < start + length ? &space->regions[n] : NULL;
}

bool gasp_taken(qvm_state_types_t space, uint64_t start, uint64_t length)
{
    return overlap(space, start, length) != NULL;
}

const struct gasp_region *gasp_find(qvm_state_types_t type, uint64_t start, uint64_t length)
{
    const struct space *space = space_of(type);
    size_t n = index_of(space, start);

    if (n == space->count)
        return NULL;
    const struct qvm_state_block *guest = &space->regions[n].guest;
    return start >= guest->location && length <= guest->length - (start - guest->location) ? &space->regions[n] : NULL;
}

static void check(const struct gasp_region *region)
{
    const struct qvm_state_block *guest = &region->guest;
    const char *name = vdev_name(region->vdev), *in = prefix(guest->qst_type);
    uint64_t last = guest->location + guest->length - 1;

    if (guest->qst_type != QST_MEMORY && guest->qst_type != QST_X86_IO)
        configuration_error(NULL, "vdev %s wants a region that is neither memory nor ports", name);
    if (guest->length == 0 || last < guest->location || (guest->qst_type == QST_X86_IO && last >= PORTS))
        configuration_error(NULL, "vdev %s does not fit at %s:0x%" PRIx64, name, in, guest->location);
    const struct gasp_region *other = overlap(guest->qst_type, guest->location, guest->length);
    if (other != NULL)
        configuration_error(NULL, "vdev %s at %s:0x%" PRIx64 " overlaps vdev %s at %s:0x%" PRIx64, name, in,
                            guest->location, vdev_name(other->vdev), in, other->guest.location);
    if (guest->qst_type == QST_MEMORY && memory_overlap(guest->location, guest->length) != NULL)
        configuration_error(NULL, "vdev %s at mem:0x%" PRIx64 " overlaps the VM's memory", name, guest->location);
    if (guest->qst_type == QST_MEMORY && guest->location < LAPIC_PAGE + 0x1000 && last >= LAPIC_PAGE)
        configuration_error(NULL, "vdev %s at mem:0x%" PRIx64 " overlaps the local APIC", name, guest->location);
}

void gasp_region_set(struct vdev_s *vdp, unsigned num, const struct gasp_region *regions)
{
    startup_only("gasp_region_set");
    for (unsigned n = 0; n < num; n++) {
        struct gasp_region region = regions[n];
        if (region.vdev == NULL)
            region.vdev = vdp;
        check(&region);
        struct space *space = space_of(region.guest.qst_type);
        size_t at = index_of(space, region.guest.location);
        space->regions = grow(space->regions, space->count + 1, sizeof region);
        memmove(space->regions + at + 1, space->regions + at, (space->count - at) * sizeof region);
        space->regions[at] = region;
        space->count++;
    }
}

/* --- Accesses ------------------------------------------------------------ */

/* What became of an access; all but VRS_NORMAL and VRS_BUS_ERROR end the VM. */
static void judge(const vdev_t *vdp, vdev_ref_status_t status)
{
    if (status == VRS_TERMINATE)
        end_request(GTC_NORMAL_EXIT);
    else if (status >= VRS_ERRNO)
        run_error(GTC_VDEV_ERROR, "vdev %s failed on a guest access: %s", vdev_name(vdp), strerror((int)(status - VRS_ERRNO)));
    else if (status != VRS_NORMAL && status != VRS_NO_ADVANCE)
        run_error(GTC_VDEV_ERROR, "vdev %s answered a guest access with status %u", vdev_name(vdp), status);
}

void gasp_access(struct guest_cpu *gcp, qvm_state_types_t space, uint64_t address, unsigned size, void *data,
                 bool is_write)
{
    const struct gasp_region *region = gasp_find(space, address, size);
    const struct vdev_factory *factory = region != NULL ? region->vdev->v_factory : NULL;
    vdev_ref_status_t (*access)(vdev_t *, unsigned, const struct qvm_state_block *, const struct qvm_state_block *,
                                struct guest_cpu *) = NULL;
    uint64_t value = 0; /* the operand: a copy, so that a vdev never holds a pointer into what the kernel shares with us */

    if (factory != NULL && (factory->acc_sizes & 1u << size))
        access = is_write ? factory->vwrite : factory->vread;
    if (access == NULL) {
        unsupported_reference(gcp, space, address, size, data, is_write);
        return;
    }
    memcpy(&value, data, size);
    const struct qvm_state_block device = {.location = address, .length = size, .qst_type = space};
    const struct qvm_state_block operand = {.location = (uintptr_t)&value, .length = size, .qst_type = QST_HOST};
    struct running before = running_enter(region->vdev);
    vdev_ref_status_t status = access(region->vdev, region->cookie, &device, &operand, gcp);
    running_leave(before);
    if (status == VRS_BUS_ERROR)
        unsupported_reference(gcp, space, address, size, data, is_write);
    else if (status != VRS_NORMAL)
        judge(region->vdev, status);
    if (status == VRS_NORMAL && !is_write)
        memcpy(data, &value, size);
}
