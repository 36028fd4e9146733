/*
 * ACPI tables (ACPI 6.x, chapter 5): RSDP, XSDT, FADT, FACS, MADT, a DSDT with \_S5, and what `acpi load` adds.
 *
 * Invariant: the VM is not "hardware-reduced", because a Linux that is never touches the 8254; it has the fixed-feature power
 * button and no PM timer.
 */
#include "acpi.h"

#include <stddef.h>
#include <string.h>

#include <qvm/vdev-core.h>

#include "diagnostics.h"
#include "gasp.h"
#include "memory.h"
#include "power.h"
#include "stage.h"
#include "vdev.h"
#include "vm.h"

#define BELOW UINT64_C(0x100000000)
#define BIOS_AREA UINT64_C(0xe0000)
#define LOCAL_APIC 0xfee00000u

enum { ALIGNMENT = 64, TABLES_MAX = 32, MADT_MAX = 4096 };

struct __attribute__((packed)) header {
    char signature[4];
    uint32_t length;
    uint8_t revision, checksum;
    char oem_id[6], oem_table_id[8];
    uint32_t oem_revision;
    char creator_id[4];
    uint32_t creator_revision;
};

struct __attribute__((packed)) address {
    uint8_t space, width, offset, access;
    uint64_t address;
};

struct __attribute__((packed)) rsdp {
    char signature[8];
    uint8_t checksum;
    char oem_id[6];
    uint8_t revision;
    uint32_t rsdt, length;
    uint64_t xsdt;
    uint8_t extended_checksum, reserved[3];
};

struct __attribute__((packed)) facs {
    char signature[4];
    uint32_t length, hardware_signature, waking_vector, global_lock, flags;
    uint64_t x_waking_vector;
    uint8_t version, reserved[31];
};

struct __attribute__((packed)) fadt {
    struct header header;
    uint32_t facs, dsdt;
    uint8_t reserved, profile;
    uint16_t sci;
    uint32_t smi_command;
    uint8_t acpi_enable, acpi_disable, s4bios, pstate;
    uint32_t pm1a_event, pm1b_event, pm1a_control, pm1b_control, pm2_control, pm_timer, gpe0, gpe1;
    uint8_t pm1_event_length, pm1_control_length, pm2_control_length, pm_timer_length;
    uint8_t gpe0_length, gpe1_length, gpe1_base, cst;
    uint16_t c2_latency, c3_latency, flush_size, flush_stride;
    uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
    uint16_t boot_flags;
    uint8_t reserved2;
    uint32_t flags;
    struct address reset;
    uint8_t reset_value;
    uint16_t arm_flags;
    uint8_t minor;
    uint64_t x_facs, x_dsdt;
    struct address x_pm1a_event, x_pm1b_event, x_pm1a_control, x_pm1b_control, x_pm2_control, x_pm_timer, x_gpe0, x_gpe1;
    struct address sleep_control, sleep_status;
    uint64_t hypervisor;
};
_Static_assert(sizeof(struct fadt) == 276, "FADT of revision 6");

/* FADT flags and boot architecture flags. */
enum { WBINVD = 1 << 0, PROC_C1 = 1 << 2, SLP_BUTTON = 1 << 5, FIX_RTC = 1 << 6, RESET_REG_SUP = 1 << 10 };
enum { LEGACY_DEVICES = 1 << 0, VGA_NOT_PRESENT = 1 << 2, CMOS_RTC_NOT_PRESENT = 1 << 5 };
enum { SPACE_IO = 1, ACCESS_BYTE = 1, ACCESS_WORD = 2 };
enum { PCAT_COMPAT = 1, ENABLED = 1, ACTIVE_HIGH_LEVEL = 0xd, LINT1 = 1 };

static struct {
    uint64_t start, next;
} area;

static struct {
    struct header header;
    uint32_t local_apic, flags;
    uint8_t entries[MADT_MAX];
} __attribute__((packed)) madt;
static size_t madt_length;

/* --- The area ------------------------------------------------------------- */

uint64_t acpi_area_start(void)
{
    size_t count;
    const struct memory_block *blocks = memory_blocks(&count);
    uint64_t end = 0;

    for (size_t n = 0; n < count; n++)
        if (blocks[n].kind == MEMORY_RAM && blocks[n].start < BELOW && blocks[n].length >= ACPI_AREA_SIZE)
            end = blocks[n].start + blocks[n].length < BELOW ? blocks[n].start + blocks[n].length : BELOW;
    if (end == 0)
        configuration_error(&vm.place, "the VM has no ram below 4 GiB that could hold its ACPI tables; add %d KiB", ACPI_AREA_SIZE / 1024);
    return end - ACPI_AREA_SIZE;
}

uint64_t acpi_area_place(const void *data, size_t length)
{
    uint64_t at = area.next;

    if (at + length > area.start + ACPI_AREA_SIZE)
        configuration_error(&vm.place, "the ACPI tables need more than %d bytes; load fewer of them", ACPI_AREA_SIZE);
    memcpy(memory_at(at, length), data, length);
    area.next = (at + length + ALIGNMENT - 1) & ~(uint64_t)(ALIGNMENT - 1);
    return at;
}

static uint8_t sum(const void *data, size_t length)
{
    const uint8_t *bytes = data;
    uint8_t total = 0;

    for (size_t n = 0; n < length; n++)
        total = (uint8_t)(total + bytes[n]);
    return total;
}

/* Fills the header in, with the checksum over `length` bytes, and places the table. */
static uint64_t place_table(struct header *header, const char *signature, uint8_t revision, size_t length)
{
    *header = (struct header){.length = (uint32_t)length, .revision = revision, .oem_revision = 1, .creator_revision = 1};
    memcpy(header->signature, signature, 4);
    memcpy(header->oem_id, "VBOARD", 6);
    memcpy(header->oem_table_id, "QVMGUEST", 8);
    memcpy(header->creator_id, "QVM ", 4);
    header->checksum = (uint8_t)-sum(header, length);
    return acpi_area_place(header, length);
}

/* --- The tables ----------------------------------------------------------- */

/* Name (\_S5, Package () { 5, 5, 0, 0 }): the sleep type that power.c takes for "off". */
static uint64_t make_dsdt(void)
{
    struct __attribute__((packed)) {
        struct header header;
        uint8_t code[14];
    } dsdt = {.code = {0x08, '_', 'S', '5', '_', 0x12, 0x08, 0x04, 0x0a, POWER_OFF_TYPE, 0x0a, POWER_OFF_TYPE, 0x00, 0x00}};

    return place_table(&dsdt.header, "DSDT", 2, sizeof dsdt);
}

static struct address port(uint16_t address, uint8_t bytes)
{
    return (struct address){SPACE_IO, (uint8_t)(8 * bytes), 0, bytes == 1 ? ACCESS_BYTE : ACCESS_WORD, address};
}

static uint64_t make_fadt(void)
{
    const struct facs facs = {.signature = "FACS", .length = sizeof facs, .version = 2};
    uint64_t facs_at = acpi_area_place(&facs, sizeof facs), dsdt_at = make_dsdt();
    bool has_clock = gasp_taken(QST_X86_IO, 0x70, 2);
    struct fadt fadt = {
        .facs = (uint32_t)facs_at,
        .dsdt = (uint32_t)dsdt_at,
        .sci = POWER_SCI,
        .pm1a_event = POWER_EVENT_PORT,
        .pm1a_control = POWER_CONTROL_PORT,
        .pm1_event_length = POWER_EVENT_LENGTH,
        .pm1_control_length = POWER_CONTROL_LENGTH,
        .c2_latency = 0xfff, /* no C2, no C3 */
        .c3_latency = 0xfff,
        .boot_flags = (uint16_t)(LEGACY_DEVICES | VGA_NOT_PRESENT | (has_clock ? 0 : CMOS_RTC_NOT_PRESENT)),
        .flags = WBINVD | PROC_C1 | SLP_BUTTON | FIX_RTC | RESET_REG_SUP,
        .reset = port(POWER_RESET_PORT, 1),
        .reset_value = POWER_RESET_VALUE,
        .x_dsdt = dsdt_at,
        .x_pm1a_event = port(POWER_EVENT_PORT, POWER_EVENT_LENGTH),
        .x_pm1a_control = port(POWER_CONTROL_PORT, POWER_CONTROL_LENGTH),
    };

    return place_table(&fadt.header, "FACP", 6, sizeof fadt);
}

static void madt_append(const void *entry, size_t length)
{
    if (madt_length + length > sizeof madt)
        configuration_error(&vm.place, "the MADT needs more than %zu bytes; remove a cpu", sizeof madt);
    memcpy((uint8_t *)&madt + madt_length, entry, length);
    madt_length += length;
}

void guest_acpi_madt_add(const struct vdev_s *vdp, const void *entry, size_t length)
{
    const uint8_t *bytes = entry;

    startup_only("guest_acpi_madt_add");
    if (length < 2 || bytes[1] != length)
        configuration_error(vdev_place(vdp), "vdev %s gave an entry for the MADT with a wrong length", vdev_name(vdp));
    madt_append(entry, length);
}

static uint64_t make_madt(void)
{
    const uint8_t sci_override[] = {2, 10, 0, POWER_SCI, POWER_SCI, 0, 0, 0, ACTIVE_HIGH_LEVEL, 0};
    const uint8_t local_nmi[] = {4, 6, 0xff, 0, 0, LINT1};

    madt_length = offsetof(__typeof__(madt), entries);
    madt.local_apic = LOCAL_APIC;
    madt.flags = gasp_taken(QST_X86_IO, 0x20, 2) && gasp_taken(QST_X86_IO, 0xa0, 2) ? PCAT_COMPAT : 0;
    for (size_t n = 0; n < vm.cpu_count; n++)
        madt_append((const uint8_t[]){0, 8, (uint8_t)n, (uint8_t)n, ENABLED, 0, 0, 0}, 8);
    vdevs_control_all(VDEV_CTRL_GEN_ACPI);
    madt_append(sci_override, sizeof sci_override);
    madt_append(local_nmi, sizeof local_nmi);
    return place_table(&madt.header, "APIC", 5, madt_length);
}

/* A table of the user's, as it is. */
static uint64_t place_loaded(const struct load_entry *load)
{
    struct header header;

    if (load->size >= sizeof header)
        memcpy(&header, load->content, sizeof header);
    if (load->size < sizeof header || header.length != load->size || sum(load->content, load->size) != 0)
        configuration_error(&load->place, "'%s' is no ACPI table: its length or checksum is wrong; compile it anew", load->file);
    return acpi_area_place(load->content, load->size);
}

/* Where a guest looks that is not told: on 16 bytes in the BIOS area (ACPI 6.x, 5.2.5.1). */
static void publish(const struct rsdp *rsdp)
{
    void *bios = memory_at(BIOS_AREA, sizeof *rsdp);

    if (bios != NULL)
        memcpy(bios, rsdp, sizeof *rsdp);
}

uint64_t acpi_make(void)
{
    struct __attribute__((packed)) {
        struct header header;
        uint64_t tables[TABLES_MAX];
    } xsdt = {0};
    struct rsdp rsdp = {.signature = "RSD PTR ", .oem_id = "VBOARD", .revision = 2, .length = sizeof rsdp};
    size_t count = 0;

    area.start = area.next = acpi_area_start();
    memory_claim(area.start, ACPI_AREA_SIZE, NULL, "the ACPI tables");
    xsdt.tables[count++] = make_fadt();
    xsdt.tables[count++] = make_madt();
    for (size_t n = 0; n < vm.load_count; n++) {
        if (vm.loads[n].kind != LOAD_ACPI)
            continue;
        if (count == TABLES_MAX)
            configuration_error(&vm.loads[n].place, "there are more than %d ACPI tables; remove this one", TABLES_MAX);
        xsdt.tables[count++] = place_loaded(&vm.loads[n]);
    }
    rsdp.xsdt = place_table(&xsdt.header, "XSDT", 1, sizeof xsdt.header + count * sizeof xsdt.tables[0]);
    rsdp.checksum = (uint8_t)-sum(&rsdp, offsetof(struct rsdp, length));
    rsdp.extended_checksum = (uint8_t)-sum(&rsdp, sizeof rsdp);
    publish(&rsdp);
    return acpi_area_place(&rsdp, sizeof rsdp);
}
