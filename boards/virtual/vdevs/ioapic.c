/*
 * ioapic: an I/O APIC after Intel's 82093AA data sheet, 24 pins, in guest-physical memory.
 *
 * A pin is asserted while at least one of its sources asserts it; polarity is stored and means nothing, since sources say
 * "asserted", not "high". Interrupts go to the local APICs as messages.
 */
#include <stddef.h>
#include <string.h>

#include <qvm/log.h>
#include <qvm/vdev-core.h>

#include "defect.h"

DEFECT(IOAPIC_MASK_IGNORED, "ioapic.mask_ignored", "an edge on a masked pin is delivered all the same", "PIT-112");

enum { OPTION_DEFECT };
static const char *const options[] = {"defect", NULL};

enum { PINS = 24, SOURCES_MAX = 64, REGION_LENGTH = 0x1000 };

/* The memory-mapped registers, and the indirect ones behind IOWIN. */
enum { IOREGSEL = 0x00, IOWIN = 0x10 };
enum { IOAPICID = 0x00, IOAPICVER = 0x01, IOAPICARB = 0x02, IOREDTBL = 0x10 };

#define VERSION (UINT32_C(0x11) | (uint32_t)(PINS - 1) << 16)
#define ID_MASK UINT32_C(0x0f000000)

/* IOREDTBL: bits of an entry. */
#define RTE_VECTOR UINT64_C(0xff)
#define RTE_DELIVERY_MODE UINT64_C(0x700)
#define RTE_LOGICAL (UINT64_C(1) << 11)
#define RTE_DELIVERY_STATUS (UINT64_C(1) << 12)
#define RTE_REMOTE_IRR (UINT64_C(1) << 14)
#define RTE_LEVEL (UINT64_C(1) << 15)
#define RTE_MASK (UINT64_C(1) << 16)
#define RTE_READ_ONLY (RTE_DELIVERY_STATUS | RTE_REMOTE_IRR)
#define RTE_USED (UINT64_C(0xff) << 56 | UINT64_C(0x1ffff))
#define RTE_DESTINATION_SHIFT 56

/* The message (Intel SDM, "Message Signalled Interrupts"). */
#define MSI_ADDRESS UINT64_C(0xfee00000)
enum { MSI_DESTINATION_SHIFT = 12, MSI_LOGICAL = 1 << 2, MSI_REDIRECTION = 1 << 3 };
enum { MSI_ASSERT = 1 << 14, MSI_LEVEL = 1 << 15, LOWEST_PRIORITY = 0x100 };

struct ioapic {
    uint32_t select, id;
    uint64_t entries[PINS];
    uint64_t sources[PINS]; /* bit n: source n asserts the pin */
    uint64_t defects;
};

/* --- Interrupts ----------------------------------------------------------- */

static uint64_t message_address(uint64_t entry)
{
    return MSI_ADDRESS | (entry >> RTE_DESTINATION_SHIFT) << MSI_DESTINATION_SHIFT | (entry & RTE_LOGICAL ? MSI_LOGICAL : 0) |
           ((entry & RTE_DELIVERY_MODE) == LOWEST_PRIORITY ? MSI_REDIRECTION : 0);
}

static uint32_t message_data(uint64_t entry)
{
    return (uint32_t)(entry & (RTE_VECTOR | RTE_DELIVERY_MODE)) | MSI_ASSERT | (entry & RTE_LEVEL ? MSI_LEVEL : 0);
}

static void deliver(vdev_t *vdp, uint64_t entry)
{
    guest_msi_signal(vdp, message_address(entry), message_data(entry));
}

/* A level pin delivers once, and again only after the end of interrupt: Remote IRR. */
static void deliver_level(vdev_t *vdp, unsigned pin)
{
    struct ioapic *ioapic = vdp->v_device;
    uint64_t entry = ioapic->entries[pin];

    if (!(entry & RTE_LEVEL) || entry & (RTE_MASK | RTE_REMOTE_IRR) || ioapic->sources[pin] == 0)
        return;
    ioapic->entries[pin] |= RTE_REMOTE_IRR;
    deliver(vdp, entry);
}

static unsigned ioapic_num_pins(const vdev_t *pic)
{
    (void)pic;
    return PINS;
}

static errno_t ioapic_signal(vdev_t *vdp, unsigned pin, unsigned src_id, guest_intr_state_t gis)
{
    struct ioapic *ioapic = vdp->v_device;

    if (pin >= PINS || src_id >= SOURCES_MAX)
        return EINVAL;
    pthread_mutex_lock(&vdp->v_mtx);
    bool was_asserted = ioapic->sources[pin] != 0;
    uint64_t entry = ioapic->entries[pin];
    if (gis & GIS_ON)
        ioapic->sources[pin] |= UINT64_C(1) << src_id;
    else
        ioapic->sources[pin] &= ~(UINT64_C(1) << src_id);
    if (entry & RTE_LEVEL)
        deliver_level(vdp, pin);
    else if (!was_asserted && ioapic->sources[pin] != 0 && (!(entry & RTE_MASK) || defect(ioapic, IOAPIC_MASK_IGNORED)))
        deliver(vdp, entry); /* an edge on a masked pin is ignored, not kept */
    pthread_mutex_unlock(&vdp->v_mtx);
    return EOK;
}

static void ioapic_eoi(vdev_t *vdp, unsigned vector)
{
    struct ioapic *ioapic = vdp->v_device;

    pthread_mutex_lock(&vdp->v_mtx);
    for (unsigned pin = 0; pin < PINS; pin++) {
        if ((ioapic->entries[pin] & RTE_VECTOR) != vector || !(ioapic->entries[pin] & RTE_REMOTE_IRR))
            continue;
        ioapic->entries[pin] &= ~RTE_REMOTE_IRR;
        deliver_level(vdp, pin); /* still asserted: again */
    }
    pthread_mutex_unlock(&vdp->v_mtx);
}

/* --- Registers ------------------------------------------------------------ */

static void write_entry(vdev_t *vdp, unsigned pin, unsigned half, uint32_t value)
{
    struct ioapic *ioapic = vdp->v_device;
    uint64_t old = ioapic->entries[pin];
    unsigned shift = 32 * half;
    uint64_t entry = (old & ~(UINT64_C(0xffffffff) << shift)) | (uint64_t)value << shift;

    entry = (entry & RTE_USED & ~RTE_READ_ONLY) | (old & RTE_READ_ONLY);
    if (!(entry & RTE_LEVEL))
        entry &= ~RTE_REMOTE_IRR; /* has no meaning for an edge; kernels clear a stuck one this way */
    ioapic->entries[pin] = entry;
    guest_intr_route(vdp, pin, message_address(entry), message_data(entry), entry & RTE_LEVEL);
    deliver_level(vdp, pin);
}

static uint32_t read_register(const struct ioapic *ioapic)
{
    unsigned index = ioapic->select - IOREDTBL;

    switch (ioapic->select) {
    case IOAPICID:
    case IOAPICARB:
        return ioapic->id;
    case IOAPICVER:
        return VERSION;
    default:
        return index < 2 * PINS ? (uint32_t)(ioapic->entries[index / 2] >> 32 * (index % 2)) : 0;
    }
}

static void write_register(vdev_t *vdp, uint32_t value)
{
    struct ioapic *ioapic = vdp->v_device;
    unsigned index = ioapic->select - IOREDTBL;

    if (ioapic->select == IOAPICID)
        ioapic->id = value & ID_MASK;
    else if (ioapic->select >= IOREDTBL && index < 2 * PINS)
        write_entry(vdp, index / 2, index % 2, value);
}

static vdev_ref_status_t ioapic_vread(vdev_t *vdp, unsigned cookie, const struct qvm_state_block *vopnd,
                                      const struct qvm_state_block *oopnd, struct guest_cpu *gcp)
{
    const struct ioapic *ioapic = vdp->v_device;
    uint64_t offset = vopnd->location - vdp->v_block.location;
    uint32_t value = 0;

    (void)cookie;
    pthread_mutex_lock(&vdp->v_mtx);
    if (offset == IOREGSEL)
        value = ioapic->select;
    else if (offset == IOWIN)
        value = read_register(ioapic);
    pthread_mutex_unlock(&vdp->v_mtx);
    return guest_cpu_to_vrs(guest_cpu_write(gcp, GXF_NONE, oopnd, 1, &value, vopnd->length));
}

static vdev_ref_status_t ioapic_vwrite(vdev_t *vdp, unsigned cookie, const struct qvm_state_block *vopnd,
                                       const struct qvm_state_block *oopnd, struct guest_cpu *gcp)
{
    struct ioapic *ioapic = vdp->v_device;
    uint64_t offset = vopnd->location - vdp->v_block.location;
    uint32_t value = 0;
    int error = guest_cpu_read(gcp, GXF_NONE, oopnd, 1, &value, vopnd->length);

    (void)cookie;
    if (error != EOK)
        return guest_cpu_to_vrs(error);
    pthread_mutex_lock(&vdp->v_mtx);
    if (offset == IOREGSEL)
        ioapic->select = value & 0xff;
    else if (offset == IOWIN)
        write_register(vdp, value);
    pthread_mutex_unlock(&vdp->v_mtx);
    return VRS_NORMAL;
}

/* --- Configuration -------------------------------------------------------- */

/* "I/O APIC structure" of the MADT (ACPI 6.x, 5.2.12.3). */
static void add_to_madt(const vdev_t *vdp)
{
    struct __attribute__((packed)) {
        uint8_t type, length, id, reserved;
        uint32_t address, first_interrupt;
    } entry = {1, sizeof entry, 0, 0, (uint32_t)vdp->v_block.location, 0};

    guest_acpi_madt_add(vdp, &entry, sizeof entry);
}

static void report(const struct ioapic *ioapic)
{
    qvm_report("id=0x%x select=0x%x\n", ioapic->id >> 24, ioapic->select);
    for (unsigned pin = 0; pin < PINS; pin++)
        if (!(ioapic->entries[pin] & RTE_MASK) || ioapic->sources[pin] != 0)
            qvm_report("pin %u: entry=0x%016llx sources=0x%llx\n", pin, (unsigned long long)ioapic->entries[pin],
                       (unsigned long long)ioapic->sources[pin]);
}

static int ioapic_control(vdev_t *vdp, vdev_ctrl_options_t ctrl, const char *arg)
{
    struct ioapic *ioapic = vdp->v_device;

    switch (ctrl) {
    case VDEV_CTRL_FIRST_OPTIDX + OPTION_DEFECT:
        defect_option(vdp, &ioapic->defects, arg);
        break;
    case VDEV_CTRL_OPTIONS_START:
        vdp->v_block.qst_type = QST_MEMORY;
        vdp->v_block.length = REGION_LENGTH;
        for (unsigned pin = 0; pin < PINS; pin++)
            ioapic->entries[pin] = RTE_MASK;
        break;
    case VDEV_CTRL_GEN_ACPI: /* the MADT has 32 bits for the address, and chip sets know multiples of 1 KiB */
        if (vdp->v_block.location & 0x3ff || vdp->v_block.location >> 32)
            qvm_fatal(QLS_CNF, "ioapic: loc must be a multiple of 0x400 below 4 GiB");
        add_to_madt(vdp);
        break;
    case VDEV_CTRL_STATUS:
        pthread_mutex_lock(&vdp->v_mtx);
        report(ioapic);
        pthread_mutex_unlock(&vdp->v_mtx);
        break;
    }
    return EOK;
}

static const struct vdev_pic_functions pic = {ioapic_num_pins, ioapic_signal, ioapic_eoi};

static struct vdev_factory factory = {
    .control = ioapic_control,
    .vread = ioapic_vread,
    .vwrite = ioapic_vwrite,
    .pic = &pic,
    .option_list = options,
    .factory_flags = VFF_INTR_REQ | VFF_VDEV_MEM | VFF_MUTEX,
    .acc_sizes = 1u << 1 | 1u << 2 | 1u << 4,
    .extra_space = sizeof(struct ioapic),
};

static void __attribute__((constructor)) register_ioapic(void)
{
    vdev_register_factory(&factory, QVM_VDEV_ABI);
}
