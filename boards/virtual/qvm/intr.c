/*
 * Interrupt lines: from the text `PIC:LINE` to a PIC vdev's pin, and from a PIC to the vCPUs.
 *
 * Invariant: each line that is bound to a pin has a src_id of its own there, so that a PIC can tell who holds a level.
 */
#include "intr.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include <qvm/utils.h>

#include "allocate.h"
#include "diagnostics.h"
#include "machine.h"
#include "running.h"
#include "stage.h"
#include "vdev.h"

static unsigned pins(const vdev_t *pic)
{
    const struct vdev_pic_functions *functions = pic->v_factory->pic;

    return functions != NULL && functions->num_pins != NULL ? functions->num_pins(pic) : 0;
}

/* Start-up is single-threaded, and nothing is bound after it. */
static void bind(guest_intr_t *line, vdev_t *pic, unsigned pin)
{
    static guest_intr_t *bound;
    static size_t count;
    unsigned sources = 0;

    for (size_t n = 0; n < count; n++)
        sources += bound[n].pic == pic && bound[n].param == pin;
    *line = (guest_intr_t){.pic = pic, .param = pin, .src_id = sources};
    bound = grow(bound, count + 1, sizeof *bound);
    bound[count++] = *line;
}

void intr_check(void)
{
    const vdev_t *first = NULL;

    for (vdev_t *pic = vdev_next(NULL); pic != NULL; pic = vdev_next(pic)) {
        if (pins(pic) != 0 && first != NULL)
            configuration_error(vdev_place(pic), "vdev %s is a second interrupt controller beside vdev %s, and would claim the same "
                                "lines; remove it", vdev_name(pic), vdev_name(first));
        first = pins(pic) != 0 ? pic : first;
    }
}

void intr_resolve(const vdev_t *vdp, guest_intr_t *line, const char *spec)
{
    const struct place *place = vdev_place(vdp);
    size_t length = strcspn(spec, ":");
    char *name = copy_text(spec, length);
    vdev_t *pic = vdev_find(name);
    uint64_t pin = 0;

    if (pic == NULL)
        configuration_error(place, "intr %s: no vdev has the name %s; give one to an interrupt controller with `name`", spec, name);
    if (pic->v_factory->pic == NULL)
        configuration_error(place, "intr %s: %s is no interrupt controller; give the `name` of one", spec, name);
    unsigned count = pins(pic);
    if (count == 0 && (spec[length] != '\0' || vdp->v_factory->pic == NULL))
        configuration_error(place, "intr %s: %s has no lines and is for interrupt controllers; a device takes PIC:LINE of one that has",
                            spec, name);
    if (count != 0 && (spec[length] == '\0' || qvm_parse_number(spec + length + 1, &pin) != EOK || pin >= count))
        configuration_error(place, "intr %s: %s:LINE was expected, with a line from 0 to %u", spec, name, count - 1);
    release(name);
    bind(line, pic, (unsigned)pin);
}

char *qvm_parse_intr(const vdev_t *vdp, const char *str, guest_intr_t *ip)
{
    size_t length = strcspn(str, ",");

    startup_only("qvm_parse_intr");
    if (!stage_reached(STAGE_ASSIGN))
        start_error(vdev_place(vdp), "vdev %s called qvm_parse_intr() before every vdev was read", vdev_name(vdp));
    char *spec = copy_text(str, length);
    intr_resolve(vdp, ip, spec);
    release(spec);
    return (char *)(uintptr_t)(str + length);
}

void intr_resolve_gsi(guest_intr_t *line, unsigned pin)
{
    for (vdev_t *pic = vdev_next(NULL); pic != NULL; pic = vdev_next(pic))
        if (pins(pic) > pin) {
            bind(line, pic, pin);
            return;
        }
}

errno_t guest_intr_signal(guest_intr_t *gip, guest_intr_state_t gis)
{
    running_only("guest_intr_signal");
    if (gip->pic == NULL || gip->pic->v_factory->pic->signal == NULL)
        return EOK;
    struct running before = running_enter(gip->pic);
    errno_t result = gip->pic->v_factory->pic->signal(gip->pic, gip->param, gip->src_id, gis);
    running_leave(before);
    return result;
}

/* Nobody here waits for an unmask or an acknowledgement: that is for passed-through interrupts. */
void guest_intr_notify(const struct vdev_s *vdp, unsigned param, enum guest_intr_notifications gin)
{
    (void)vdp, (void)param, (void)gin;
}

void guest_msi_signal(struct vdev_s *src, uint64_t addr, unsigned data)
{
    (void)src;
    running_only("guest_msi_signal");
    machine_signal_msi(addr, data);
}

void guest_intr_route(struct vdev_s *pic, unsigned pin, uint64_t msi_addr, uint32_t msi_data, bool level)
{
    (void)pic; /* there is one I/O APIC in a VM */
    running_only("guest_intr_route");
    machine_route(pin, msi_addr, msi_data, level);
}

void intr_eoi(unsigned vector)
{
    for (vdev_t *pic = vdev_next(NULL); pic != NULL; pic = vdev_next(pic)) {
        if (pic->v_factory->pic == NULL || pic->v_factory->pic->eoi == NULL)
            continue;
        struct running before = running_enter(pic);
        pic->v_factory->pic->eoi(pic, vector);
        running_leave(before);
    }
}

/* --- The local APICs ----------------------------------------------------- */

static int apic_control(vdev_t *vdp, vdev_ctrl_options_t ctrl, const char *arg)
{
    (void)vdp, (void)ctrl, (void)arg;
    return EOK;
}

void intr_add_local_apic(void)
{
    static const struct vdev_pic_functions no_pins;
    static struct vdev_factory factory = {.name = "apic", .control = apic_control, .pic = &no_pins};

    vdev_add_implicit(&factory);
}
