/*
 * ACPI fixed hardware (ACPI 6.x, chapter 4.8): the PM1 event and control registers with the power button, and the two ports by
 * which PCs are reset, 0xcf9 and the keyboard controller's pulse.
 *
 * Invariant: the SCI is asserted exactly while an enabled status bit is set.
 */
#include "power.h"

#include <errno.h>

#include <qvm/gasp.h>
#include <qvm/log.h>
#include <qvm/vdev-core.h>

#include "end.h"
#include "gasp.h"
#include "intr.h"
#include "vdev.h"

enum { PWRBTN_STS = 1 << 8, PM1_STS_BITS = 0x0531, WAK_STS = 1 << 15 };
enum { SCI_EN = 1 << 0, SLP_TYP_SHIFT = 10, SLP_TYP_MASK = 7, SLP_EN = 1 << 13 };
enum { RST_CPU = 1 << 2 };
enum { KEYBOARD_COMMAND_PORT = 0x64, PULSE_RESET = 0xfe, KEYBOARD_READY = 0 };
enum cookie { PM1, RESET, KEYBOARD };

struct power {
    uint16_t status, enable, control;
    uint8_t reset;
};

static void update_sci(vdev_t *vdp)
{
    const struct power *power = vdp->v_device;

    guest_intr_signal(&vdp->v_intr, power->status & power->enable ? GIS_ON : GIS_OFF);
}

/* --- PM1 ------------------------------------------------------------------ */

/* The six bytes of PM1a_STS, PM1a_EN and PM1a_CNT. */
static uint8_t pm1_byte(const struct power *power, unsigned offset)
{
    const uint16_t words[] = {power->status, power->enable, (uint16_t)(power->control | SCI_EN)};

    return (uint8_t)(words[offset / 2] >> 8 * (offset % 2));
}

static void pm1_write_byte(struct power *power, unsigned offset, uint8_t value)
{
    unsigned shift = 8 * (offset % 2);
    uint16_t bits = (uint16_t)(value << shift), others = (uint16_t)~(0xff << shift);

    if (offset / 2 == 0)
        power->status &= (uint16_t)~bits; /* write one to clear */
    else if (offset / 2 == 1)
        power->enable = (uint16_t)((power->enable & others) | (bits & PM1_STS_BITS));
    else
        power->control = (uint16_t)((power->control & others) | bits);
}

static void after_control_write(struct power *power)
{
    bool sleep = power->control & SLP_EN;

    power->control &= (uint16_t)~SLP_EN; /* reads as zero */
    if (sleep && (power->control >> SLP_TYP_SHIFT & SLP_TYP_MASK) == POWER_OFF_TYPE)
        end_request(GTC_NORMAL_EXIT);
    else if (sleep)
        power->status |= WAK_STS; /* no other state is offered: wake at once */
}

/* --- Accesses ------------------------------------------------------------- */

static uint8_t read_byte(const struct power *power, unsigned cookie, unsigned offset)
{
    if (cookie == PM1)
        return pm1_byte(power, offset);
    return cookie == RESET ? power->reset : KEYBOARD_READY;
}

static void write_byte(struct power *power, unsigned cookie, unsigned offset, uint8_t value)
{
    if (cookie == PM1) {
        pm1_write_byte(power, offset, value);
    } else if (cookie == RESET) {
        power->reset = value;
        if (value & RST_CPU)
            end_request(GTC_NORMAL_EXIT);
    } else if (value == PULSE_RESET) {
        end_request(GTC_NORMAL_EXIT);
    }
}

static unsigned offset_of(unsigned cookie, const struct qvm_state_block *vopnd)
{
    return cookie == PM1 ? (unsigned)(vopnd->location - POWER_EVENT_PORT) : 0;
}

static vdev_ref_status_t power_vread(vdev_t *vdp, unsigned cookie, const struct qvm_state_block *vopnd,
                                     const struct qvm_state_block *oopnd, struct guest_cpu *gcp)
{
    uint8_t value[4] = {0};

    pthread_mutex_lock(&vdp->v_mtx);
    for (unsigned n = 0; n < vopnd->length; n++)
        value[n] = read_byte(vdp->v_device, cookie, offset_of(cookie, vopnd) + n);
    pthread_mutex_unlock(&vdp->v_mtx);
    return guest_cpu_to_vrs(guest_cpu_write(gcp, GXF_NONE, oopnd, 1, value, vopnd->length));
}

static vdev_ref_status_t power_vwrite(vdev_t *vdp, unsigned cookie, const struct qvm_state_block *vopnd,
                                      const struct qvm_state_block *oopnd, struct guest_cpu *gcp)
{
    uint8_t value[4];
    int error = guest_cpu_read(gcp, GXF_NONE, oopnd, 1, value, vopnd->length);

    if (error != EOK)
        return guest_cpu_to_vrs(error);
    pthread_mutex_lock(&vdp->v_mtx);
    for (unsigned n = 0; n < vopnd->length; n++)
        write_byte(vdp->v_device, cookie, offset_of(cookie, vopnd) + n, value[n]);
    after_control_write(vdp->v_device);
    update_sci(vdp);
    pthread_mutex_unlock(&vdp->v_mtx);
    return VRS_NORMAL;
}

static void press_button(vdev_t *vdp)
{
    struct power *power = vdp->v_device;

    pthread_mutex_lock(&vdp->v_mtx);
    power->status |= PWRBTN_STS;
    update_sci(vdp);
    pthread_mutex_unlock(&vdp->v_mtx);
}

/* --- Configuration -------------------------------------------------------- */

/* The reset ports are left to a vdev that has them, such as a keyboard controller. */
static void add_region(vdev_t *vdp, enum cookie cookie, uint16_t port, uint16_t length)
{
    const struct gasp_region region = {
        .flags = GRF_VDEV,
        .cookie = cookie,
        .guest = {.location = port, .length = length, .qst_type = QST_X86_IO},
    };

    if (cookie == PM1 || !gasp_taken(QST_X86_IO, port, length))
        gasp_region_set(vdp, 1, &region);
}

static int power_control(vdev_t *vdp, vdev_ctrl_options_t ctrl, const char *arg)
{
    const struct power *power = vdp->v_device;

    (void)arg;
    switch (ctrl) {
    case VDEV_CTRL_ASSIGN:
        intr_resolve_gsi(&vdp->v_intr, POWER_SCI);
        add_region(vdp, PM1, POWER_EVENT_PORT, POWER_EVENT_LENGTH + POWER_CONTROL_LENGTH);
        add_region(vdp, RESET, POWER_RESET_PORT, 1);
        add_region(vdp, KEYBOARD, KEYBOARD_COMMAND_PORT, 1);
        break;
    case VDEV_CTRL_BUTTON:
        press_button(vdp);
        break;
    case VDEV_CTRL_STATUS:
        qvm_report("status=0x%x enable=0x%x control=0x%x\n", power->status, power->enable, power->control);
        break;
    }
    return EOK;
}

void power_add(void)
{
    static struct vdev_factory factory = {
        .name = "power",
        .control = power_control,
        .vread = power_vread,
        .vwrite = power_vwrite,
        .factory_flags = VFF_MUTEX | VFF_LOC_NO,
        .acc_sizes = 1u << 1 | 1u << 2 | 1u << 4,
        .extra_space = sizeof(struct power),
    };

    vdev_add_implicit(&factory);
}
