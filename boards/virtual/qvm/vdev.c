/*
 * The vdevs of the VM, their common options and their lifecycle.
 *
 * Invariant: every vdev sees OPTIONS_START, its options, OPTIONS_END, ASSIGN, GEN_ACPI, GUEST_CONFIGURED, GUEST_STARTING and
 * TERMINATE in this order, each at most once; a vdev's code only ever runs between running_enter() and running_leave().
 */
#include "vdev.h"

#include <assert.h>
#include <string.h>
#include <time.h>

#include <qvm/gasp.h>
#include <qvm/utils.h>

#include "allocate.h"
#include "intr.h"
#include "registry.h"
#include "running.h"
#include "stage.h"
#include "system_directory.h"

enum { LOCK_PATIENCE = 100 * 1000 * 1000 }; /* ns that TERMINATE waits for a lock somebody may have died with */

struct instance {
    struct vdev_s vdev; /* first, so that a vdev_t * is a struct instance * */
    struct instance *next;
    struct place place;
    const char *type;
    const char *name;
    const char *intr;
    bool implicit;
    unsigned stage; /* how far it is in the lifecycle */
    struct log_rules log_rules;
};

static struct instance *first, **last = &first;

static struct instance *instance_of(const vdev_t *vdp)
{
    return (struct instance *)(uintptr_t)vdp;
}

/* --- Facts ---------------------------------------------------------------- */

vdev_t *vdev_next(const vdev_t *vdp)
{
    struct instance *next = vdp != NULL ? instance_of(vdp)->next : first;

    return next != NULL ? &next->vdev : NULL;
}

const char *vdev_name(const vdev_t *vdp)
{
    const struct instance *instance = instance_of(vdp);

    return instance->name != NULL ? instance->name : instance->type;
}

const char *vdev_type(const vdev_t *vdp)
{
    return instance_of(vdp)->type;
}

bool vdev_is_named(const vdev_t *vdp)
{
    return instance_of(vdp)->name != NULL && !instance_of(vdp)->implicit;
}

const struct place *vdev_place(const vdev_t *vdp)
{
    return instance_of(vdp)->implicit ? NULL : &instance_of(vdp)->place;
}

const struct log_rules *vdev_log_rules(const vdev_t *vdp)
{
    return &instance_of(vdp)->log_rules;
}

vdev_t *vdev_find(const char *name)
{
    for (struct instance *instance = first; instance != NULL; instance = instance->next)
        if (instance->name != NULL && strcmp(instance->name, name) == 0)
            return &instance->vdev;
    return NULL;
}

/* --- Calls into a vdev ---------------------------------------------------- */

/* Its place in the lifecycle; what has the same place may come again. */
static unsigned order(vdev_ctrl_options_t ctrl)
{
    static const unsigned char orders[] = {
        [VDEV_CTRL_OPTIONS_START] = 0,    [VDEV_CTRL_OPTIONS_END] = 2,    [VDEV_CTRL_ASSIGN] = 3, [VDEV_CTRL_GEN_ACPI] = 4,
        [VDEV_CTRL_GUEST_CONFIGURED] = 5, [VDEV_CTRL_GUEST_STARTING] = 6, [VDEV_CTRL_STATUS] = 7, [VDEV_CTRL_BUTTON] = 7,
        [VDEV_CTRL_TERMINATE] = 8,
    };

    return ctrl >= VDEV_CTRL_FIRST_OPTIDX ? 1 : orders[ctrl];
}

static int control(struct instance *instance, vdev_ctrl_options_t ctrl, const char *arg)
{
    assert(order(ctrl) >= instance->stage);
    instance->stage = order(ctrl);
    struct running before = running_enter(&instance->vdev);
    int error = instance->vdev.v_factory->control(&instance->vdev, ctrl, arg);

    running_leave(before);
    return error;
}

static void control_or_refuse(struct instance *instance, vdev_ctrl_options_t ctrl, const char *what)
{
    int error = control(instance, ctrl, NULL);

    if (error != EOK)
        configuration_error(&instance->place, "vdev %s refused %s: %s; its documentation says what it needs",
                            vdev_name(&instance->vdev), what, strerror(error));
}

/* --- Making one ----------------------------------------------------------- */

static void make_lock(struct instance *instance)
{
    vdev_factory_flags_t flags = instance->vdev.v_factory->factory_flags;
    pthread_mutexattr_t attributes;

    pthread_mutexattr_init(&attributes);
    if (flags & VFF_MUTEX_RECURSIVE)
        pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT); /* timers run at a higher priority than vCPUs */
    if (flags & VFF_MUTEX)
        pthread_mutex_init(&instance->vdev.v_mtx, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

static struct instance *make(const struct vdev_factory *factory, const char *type, const struct place *place)
{
    struct instance *instance = allocate(sizeof *instance);

    instance->place = *place;
    instance->type = type;
    instance->vdev.v_factory = factory;
    instance->vdev.v_device = allocate(factory->extra_space + 1);
    instance->vdev.v_block.location = QSL_NO_LOCATION;
    instance->vdev.v_block.qst_type = QST_NO_TYPE;
    instance->vdev.v_sched.priority = 10;
    make_lock(instance);
    *last = instance;
    last = &instance->next;
    control_or_refuse(instance, VDEV_CTRL_OPTIONS_START, "to be made");
    return instance;
}

vdev_t *vdev_open(const char *type, const struct place *place)
{
    const struct vdev_type *found = registry_type(type, place);

    return &make(found->factory, found->factory->name != NULL ? found->factory->name : found->name, place)->vdev;
}

void vdev_close(vdev_t *vdp)
{
    struct instance *instance = instance_of(vdp);

    if (vdp->v_factory->pic != NULL && instance->name != NULL && strchr(instance->name, ':') != NULL)
        configuration_error(&instance->place, "name %s: the name of an interrupt controller holds no colon", instance->name);
    control_or_refuse(instance, VDEV_CTRL_OPTIONS_END, "its options");
}

vdev_t *vdev_add_implicit(struct vdev_factory *factory)
{
    static const struct place nowhere = {"qvm", 0};
    struct instance *instance = make(factory, factory->name, &nowhere);

    instance->implicit = true;
    instance->name = factory->name;
    vdev_close(&instance->vdev);
    return &instance->vdev;
}

/* --- Options -------------------------------------------------------------- */

static void set_loc(struct instance *instance, const char *const *arguments)
{
    struct qvm_state_block *block = &instance->vdev.v_block;
    const char *text = arguments[0], *number = text;
    qvm_state_types_t space = block->qst_type;
    uint64_t location;

    if (instance->vdev.v_factory->factory_flags & VFF_LOC_NO)
        configuration_error(&instance->place, "vdev %s takes no loc; remove it", instance->type);
    if (strncmp(text, "mem:", 4) == 0 || strncmp(text, "io:", 3) == 0) {
        space = text[0] == 'm' ? QST_MEMORY : QST_X86_IO;
        number = strchr(text, ':') + 1;
    } else if (strncmp(text, "pci:", 4) == 0) {
        configuration_error(&instance->place, "loc %s: this qvm has no PCI; give [mem:]ADDRESS or [io:]PORT", text);
    }
    if (qvm_parse_number(number, &location) != EOK || (space == QST_X86_IO && location > 0xffff))
        configuration_error(&instance->place, "loc %s: [mem:]ADDRESS was expected, or [io:]PORT up to 0xffff", text);
    block->location = location;
    block->qst_type = space;
}

static void set_intr(struct instance *instance, const char *const *arguments)
{
    if (instance->vdev.v_factory->factory_flags & VFF_INTR_NO)
        configuration_error(&instance->place, "vdev %s takes no intr; remove it", instance->type);
    instance->intr = arguments[0];
}

static void set_name(struct instance *instance, const char *const *arguments)
{
    const vdev_t *other = vdev_find(arguments[0]);

    if (arguments[0][0] == '\0' || arguments[0][0] == '.' || strchr(arguments[0], '/') != NULL)
        configuration_error(&instance->place, "'%s' is no name for a vdev; take one without '/' that does not begin with '.'", arguments[0]);
    if ((other != NULL && other != &instance->vdev) || strcmp(arguments[0], "apic") == 0)
        configuration_error(&instance->place, "the name %s is taken by another vdev; take another", arguments[0]);
    if (system_directory_own(arguments[0]))
        configuration_error(&instance->place, "the name %s is qvm's own in /dev/qvm; take another", arguments[0]);
    instance->name = arguments[0];
}

static void set_sched(struct instance *instance, const char *const *arguments)
{
    uint64_t priority;

    if (instance->vdev.v_factory->pulse == NULL)
        configuration_error(&instance->place, "sched: vdev %s sends itself no pulses that could have a priority; remove it",
                            instance->type);
    if (qvm_parse_number(arguments[0], &priority) != EOK || priority < 1 || priority > 255)
        configuration_error(&instance->place, "sched %s: a priority from 1 to 255 was expected", arguments[0]);
    instance->vdev.v_sched.priority = (int)priority;
}

static void set_log(struct instance *instance, const char *const *arguments)
{
    log_rules_add(&instance->log_rules, "log", arguments, &instance->place);
}

/* Host vectors are those of passed-through interrupts. */
static void refuse_hostvector(struct instance *instance, const char *const *arguments)
{
    configuration_error(&instance->place, "hostvector %s: this qvm passes no interrupts through; remove it", arguments[0]);
}

static const struct common_option {
    const char *name;
    int arguments;
    void (*set)(struct instance *, const char *const *arguments);
} common_options[] = {
    {"loc", 1, set_loc},     {"intr", 1, set_intr}, {"name", 1, set_name},
    {"sched", 1, set_sched}, {"log", 2, set_log},   {"hostvector", 1, refuse_hostvector},
};

static const struct common_option *common_option(const char *option)
{
    for (size_t n = 0; n < sizeof common_options / sizeof *common_options; n++)
        if (strcmp(common_options[n].name, option) == 0)
            return &common_options[n];
    return NULL;
}

/* The place of an option in the vdev's own list and how many arguments it takes there; -1 when it is not in it. */
static int own_option(const vdev_t *vdp, const char *option, int *arguments)
{
    const char *const *list = vdp->v_factory->option_list;
    size_t prefix = strlen(QVM_OPTION_NO_ARG_PREFIX);

    for (int n = 0; list != NULL && list[n] != NULL; n++) {
        bool bare = strncmp(list[n], QVM_OPTION_NO_ARG_PREFIX, prefix) == 0;
        *arguments = bare ? 0 : 1;
        if (strcmp(bare ? list[n] + prefix : list[n], option) == 0)
            return n;
    }
    return -1;
}

int vdev_option_arguments(const vdev_t *vdp, const char *option)
{
    const struct common_option *common = common_option(option);
    int arguments;

    if (own_option(vdp, option, &arguments) >= 0)
        return arguments;
    return common != NULL ? common->arguments : -1;
}

void vdev_option(vdev_t *vdp, const char *option, const char *const arguments[])
{
    struct instance *instance = instance_of(vdp);
    int count, own = own_option(vdp, option, &count);

    if (own < 0) {
        common_option(option)->set(instance, arguments);
        return;
    }
    const char *argument = count > 0 ? arguments[0] : NULL;
    int error = control(instance, VDEV_CTRL_FIRST_OPTIDX + (unsigned)own, argument);
    if (error != EOK)
        configuration_error(&instance->place, "vdev %s refused the option %s%s%s: %s; its documentation says what it takes",
                            instance->type, option, argument != NULL ? " " : "", argument != NULL ? argument : "", strerror(error));
}

/* --- The lifecycle -------------------------------------------------------- */

static void check_complete(const struct instance *instance)
{
    const struct vdev_s *vdev = &instance->vdev;
    vdev_factory_flags_t flags = vdev->v_factory->factory_flags;
    vdev_factory_flags_t space = vdev->v_block.qst_type == QST_MEMORY   ? VFF_VDEV_MEM
                                 : vdev->v_block.qst_type == QST_X86_IO ? VFF_VDEV_X86_IO
                                                                        : VFF_NONE;

    if ((flags & (VFF_INTR_REQ | VFF_INTR_NONPCI)) && vdev->v_intr.pic == NULL)
        configuration_error(&instance->place, "vdev %s needs intr PIC:LINE", instance->type);
    if (!(flags & VFF_VDEV_LOC_TYPES) || flags & VFF_LOC_NO)
        return;
    if (vdev->v_block.location == QSL_NO_LOCATION)
        configuration_error(&instance->place, "vdev %s needs loc %s", instance->type,
                            flags & VFF_VDEV_MEM ? flags & VFF_VDEV_X86_IO ? "mem:ADDRESS or io:PORT" : "mem:ADDRESS" : "io:PORT");
    if (!(flags & space))
        configuration_error(&instance->place, "vdev %s cannot be in %s space; its loc is %s", instance->type,
                            vdev->v_block.qst_type == QST_MEMORY ? "memory" : "port",
                            vdev->v_block.qst_type == QST_MEMORY ? "io:PORT" : "mem:ADDRESS");
}

static void assign(struct instance *instance)
{
    const struct vdev_s *vdev = &instance->vdev;

    control_or_refuse(instance, VDEV_CTRL_ASSIGN, "what was assigned to it");
    check_complete(instance);
    if (vdev->v_factory->factory_flags & VFF_MANUAL_REGION || vdev->v_block.location == QSL_NO_LOCATION)
        return;
    struct running before = running_enter(&instance->vdev);
    gasp_region_set(&instance->vdev, 1, &(struct gasp_region){.flags = GRF_VDEV, .guest = vdev->v_block});
    running_leave(before);
}

void vdevs_assign(void)
{
    for (struct instance *instance = first; instance != NULL; instance = instance->next)
        if (instance->intr != NULL)
            intr_resolve(&instance->vdev, &instance->vdev.v_intr, instance->intr);
    for (struct instance *instance = first; instance != NULL; instance = instance->next)
        assign(instance);
}

void vdevs_control_all(vdev_ctrl_options_t ctrl)
{
    for (struct instance *instance = first; instance != NULL; instance = instance->next) {
        if (ctrl == VDEV_CTRL_STATUS)
            report_begin(&instance->vdev);
        if (stage_reached(STAGE_STARTING))
            control(instance, ctrl, NULL);
        else
            control_or_refuse(instance, ctrl, "to be completed");
        if (ctrl == VDEV_CTRL_STATUS)
            report_end();
    }
}

/* False when a thread that ended inside the vdev still holds its lock, so that TERMINATE could not take it. */
static bool lock_is_free(struct vdev_s *vdev)
{
    struct timespec limit;

    if (!(vdev->v_factory->factory_flags & VFF_MUTEX))
        return true;
    clock_gettime(CLOCK_MONOTONIC, &limit);
    limit.tv_nsec += LOCK_PATIENCE;
    limit.tv_sec += limit.tv_nsec / 1000000000;
    limit.tv_nsec %= 1000000000;
    if (pthread_mutex_clocklock(&vdev->v_mtx, CLOCK_MONOTONIC, &limit) != 0)
        return false;
    pthread_mutex_unlock(&vdev->v_mtx);
    return true;
}

static void terminate_from(struct instance *instance)
{
    if (instance == NULL)
        return;
    terminate_from(instance->next);
    if (lock_is_free(&instance->vdev))
        control(instance, VDEV_CTRL_TERMINATE, NULL);
    else
        qvm_log(QLV_WARN, "vdev %s is ended as it is: a thread of it ended with its lock held", vdev_name(&instance->vdev));
}

void vdevs_terminate(void)
{
    terminate_from(first);
}
