/*
 * Regions of the guest's address spaces, and the way of an access to the vdev that owns one.
 *
 * Invariant: regions of one space never overlap each other nor the VM's memory. `table_lock` is held while a table is looked at
 * or changed and never while a vdev runs; a vdev that changes regions as the guest runs keeps others from it by gasp_lock().
 */
#include "gasp.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
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

enum { WHY_LENGTH = 512 };

struct space {
    struct gasp_region *regions; /* by address */
    size_t count;
    pthread_mutex_t lock; /* gasp_lock()'s */
};

static struct space ports = {.lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP},
                    memory = {.lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP};
static pthread_rwlock_t table_lock = PTHREAD_RWLOCK_INITIALIZER;
static _Thread_local unsigned ports_held, memory_held; /* by this thread, through gasp_lock() */

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

static struct gasp_region *overlap(qvm_state_types_t type, uint64_t start, uint64_t length)
{
    const struct space *space = space_of(type);
    size_t n = index_of(space, start);

    return n < space->count && space->regions[n].guest.location < start + length ? &space->regions[n] : NULL;
}

bool gasp_taken(qvm_state_types_t space, uint64_t start, uint64_t length)
{
    pthread_rwlock_rdlock(&table_lock);
    bool taken = overlap(space, start, length) != NULL;
    pthread_rwlock_unlock(&table_lock);
    return taken;
}

bool gasp_find(qvm_state_types_t type, uint64_t start, uint64_t length, struct gasp_region *found)
{
    pthread_rwlock_rdlock(&table_lock);
    const struct space *space = space_of(type);
    size_t n = index_of(space, start);
    bool inside = false;
    if (n < space->count) {
        *found = space->regions[n];
        inside = start >= found->guest.location && length <= found->guest.length - (start - found->guest.location);
    }
    pthread_rwlock_unlock(&table_lock);
    return inside;
}

/* --- Changes --------------------------------------------------------------- */

/* EOK when a region may be where it wants to be, beside `other` that overlaps it; else errno, and the reason in words. */
static errno_t check(const struct gasp_region *region, const struct gasp_region *other, char why[WHY_LENGTH])
{
    const struct qvm_state_block *guest = &region->guest;
    const char *name = vdev_name(region->vdev), *in = prefix(guest->qst_type);
    uint64_t start = guest->location, last = start + guest->length - 1;

    if (guest->length == 0 || last < start || (guest->qst_type == QST_X86_IO && last >= PORTS)) {
        snprintf(why, WHY_LENGTH, "vdev %s does not fit at %s:0x%" PRIx64 " with its length of %" PRIu64 "; give it another loc", name, in,
                 start, guest->length);
        return EINVAL;
    }
    if (other != NULL) {
        const struct place *place = vdev_place(other->vdev); /* qvm's own come last, so it has one */
        if (vdev_place(region->vdev) == NULL)
            configuration_error(place, "vdev %s at %s:0x%" PRIx64 " is where qvm has its own vdev %s; give it another loc",
                                vdev_name(other->vdev), in, other->guest.location, name);
        snprintf(why, WHY_LENGTH, "vdev %s at %s:0x%" PRIx64 " overlaps vdev %s of %s:%d at %s:0x%" PRIx64 "; give one another loc", name,
                 in, start, vdev_name(other->vdev), place->file, place->line, in, other->guest.location);
        return EADDRINUSE;
    }
    if (guest->qst_type == QST_MEMORY && memory_overlap(start, guest->length) != NULL) {
        snprintf(why, WHY_LENGTH, "vdev %s at mem:0x%" PRIx64 " overlaps the VM's memory; give it another loc", name, start);
        return EADDRINUSE;
    }
    if (guest->qst_type == QST_MEMORY && start < LAPIC_PAGE + 0x1000 && last >= LAPIC_PAGE) {
        snprintf(why, WHY_LENGTH, "vdev %s at mem:0x%" PRIx64 " overlaps the local APIC; give it another loc", name, start);
        return EADDRINUSE;
    }
    return EOK;
}

static void insert(struct space *space, const struct gasp_region *region)
{
    size_t at = index_of(space, region->guest.location);

    space->regions = grow(space->regions, space->count + 1, sizeof *region);
    memmove(space->regions + at + 1, space->regions + at, (space->count - at) * sizeof *region);
    space->regions[at] = *region;
    space->count++;
}

static void withdraw(struct space *space, struct gasp_region *region)
{
    size_t at = (size_t)(region - space->regions);

    memmove(region, region + 1, (--space->count - at) * sizeof *region);
}

/* Adds a region; changes the one that the vdev has at just that place; without GRF_VDEV takes that one away. */
static errno_t change(vdev_t *vdp, const struct gasp_region *wanted, char why[WHY_LENGTH])
{
    struct gasp_region region = *wanted;
    const struct qvm_state_block *guest = &region.guest;

    if (region.vdev == NULL)
        region.vdev = vdp;
    if (guest->qst_type != QST_MEMORY && guest->qst_type != QST_X86_IO) {
        snprintf(why, WHY_LENGTH, "vdev %s wants a region that is neither memory nor ports", vdev_name(region.vdev));
        return EINVAL;
    }
    struct space *space = space_of(guest->qst_type);
    struct gasp_region *present = overlap(guest->qst_type, guest->location, guest->length);
    bool is_own = present != NULL && present->vdev == region.vdev && present->guest.location == guest->location &&
                  present->guest.length == guest->length;
    if (!(region.flags & GRF_VDEV) && !is_own) {
        snprintf(why, WHY_LENGTH, "vdev %s has no region at %s:0x%" PRIx64, vdev_name(region.vdev), prefix(guest->qst_type),
                 guest->location);
        return ENOENT;
    }
    errno_t error = is_own ? EOK : check(&region, present, why);
    if (error != EOK)
        return error;
    if (is_own)
        withdraw(space, present);
    if (region.flags & GRF_VDEV)
        insert(space, &region);
    return EOK;
}

void gasp_region_set(struct vdev_s *vdp, unsigned num, const struct gasp_region *regions)
{
    char why[WHY_LENGTH];

    startup_only("gasp_region_set"); /* single-threaded: no lock */
    for (unsigned n = 0; n < num; n++)
        if (change(vdp, &regions[n], why) != EOK)
            configuration_error(NULL, "%s", why);
}

static unsigned *held(uint16_t type)
{
    return type == QST_X86_IO ? &ports_held : &memory_held;
}

int gasp_lock(struct vdev_s *vdp, uint16_t type)
{
    (void)vdp;
    if (type != QST_MEMORY && type != QST_X86_IO)
        return EINVAL;
    pthread_mutex_lock(&space_of(type)->lock);
    ++*held(type);
    return EOK;
}

int gasp_unlock(struct vdev_s *vdp, uint16_t type)
{
    (void)vdp;
    if (type != QST_MEMORY && type != QST_X86_IO)
        return EINVAL;
    if (*held(type) == 0)
        return EPERM;
    --*held(type);
    pthread_mutex_unlock(&space_of(type)->lock);
    return EOK;
}

unsigned gasp_region_set_soft(struct vdev_s *vdp, unsigned num, const struct gasp_region *regions)
{
    char why[WHY_LENGTH];
    unsigned n;

    running_only("gasp_region_set_soft");
    for (n = 0; n < num; n++) {
        if (*held(regions[n].guest.qst_type) == 0) {
            run_error(GTC_VDEV_ERROR, "vdev %s called gasp_region_set_soft() without gasp_lock()", vdev_name(vdp));
            end_thread();
        }
        pthread_rwlock_wrlock(&table_lock);
        errno_t error = change(vdp, &regions[n], why);
        pthread_rwlock_unlock(&table_lock);
        if (error != EOK) {
            vdev_logf(QL_QVM_DBG, vdp, "gasp_region_set_soft: %s", why);
            errno = error;
            return n;
        }
    }
    return n;
}

errno_t gasp_region_info(struct vdev_s *vdp, const struct qvm_state_block *block, struct gasp_region *region)
{
    (void)vdp;
    if (block->qst_type != QST_MEMORY && block->qst_type != QST_X86_IO)
        return EINVAL;
    return gasp_find(block->qst_type, block->location, block->length, region) ? EOK : ENOENT;
}

/* --- Guest memory in the vdev ---------------------------------------------- */

void *gasp_map_vdma(struct vdev_s *vdp, uint64_t guest_physical, size_t length, unsigned flags)
{
    size_t count;
    const struct memory_block *blocks = memory_blocks(&count);
    void *at = length > 0 ? memory_at(guest_physical, length) : NULL;

    (void)vdp;
    errno = at != NULL ? EOK : EFAULT;
    for (size_t n = 0; n < count && at != NULL; n++)
        if (blocks[n].kind == MEMORY_ROM && flags & GMF_WRITE && guest_physical - blocks[n].start < blocks[n].length) {
            errno = EACCES;
            at = NULL;
        }
    return at;
}

int gasp_unmap(void *address, size_t length, bool flush)
{
    (void)address, (void)length, (void)flush; /* what was mapped is the VM's memory itself, and coherent */
    return EOK;
}

/* --- Accesses ------------------------------------------------------------ */

/* An answer that ends the VM: any but VRS_NORMAL and VRS_BUS_ERROR. VRS_NO_ADVANCE is among them, for the kernel has gone on already. */
static void judge(const vdev_t *vdp, vdev_ref_status_t status)
{
    if (status == VRS_TERMINATE)
        end_request(GTC_NORMAL_EXIT);
    else if (status >= VRS_ERRNO)
        run_error(GTC_VDEV_ERROR, "vdev %s failed on a guest access: %s", vdev_name(vdp), strerror((int)(status - VRS_ERRNO)));
    else if (status == VRS_NO_ADVANCE)
        run_error(GTC_VDEV_ERROR, "vdev %s answered a guest access with VRS_NO_ADVANCE; here no instruction is done again, say VRS_NORMAL",
                  vdev_name(vdp));
    else
        run_error(GTC_VDEV_ERROR, "vdev %s answered a guest access with status %u", vdev_name(vdp), status);
}

void gasp_access(struct guest_cpu *gcp, qvm_state_types_t space, uint64_t address, unsigned size, void *data,
                 bool is_write)
{
    struct gasp_region region; /* a copy: another thread may change the table while the vdev runs */
    const struct vdev_factory *factory = gasp_find(space, address, size, &region) ? region.vdev->v_factory : NULL;
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
    struct running before = running_enter(region.vdev);
    vdev_ref_status_t status = access(region.vdev, region.cookie, &device, &operand, gcp);
    running_leave(before);
    if (status == VRS_BUS_ERROR) {
        unsupported_reference(gcp, space, address, size, data, is_write);
        return;
    }
    if (status != VRS_NORMAL)
        judge(region.vdev, status);
    if (!is_write)
        memcpy(data, &value, size);
}
