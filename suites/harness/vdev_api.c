/*
 * A vdev that uses the API as a vdev's author would, for the tests of qvm: `act NAME` chooses what one instance does, once. It
 * says what it saw by vdev_logf(), and ends the VM by guest_terminate() when it has seen enough.
 *
 * Its ports: a byte written to 0x300 ends the VM with that custom cause; what is written to 0x304 is logged. With -DLINES it is an
 * interrupt controller of one line, too.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include <qvm/cdev.h>
#include <qvm/gasp.h>
#include <qvm/log.h>
#include <qvm/utils.h>
#include <qvm/vdev-core.h>

enum { PORT_END = 0x300, PORT_REPORT = 0x304, PORTS = 8, EDGES = 20 };
enum { RAM_AT = 0x200000, WINDOW_AT = 0xfb000000, OTHER_WINDOW_AT = 0xfb001000, WINDOW_COOKIE = 7 };
#define MS UINT64_C(1000000)
#ifndef PULSE
#define PULSE pulsed
#endif

struct api {
    const char *act;
    struct guest_timer *timer;
    unsigned expiries;
    uint64_t due;
    timer_t posix;
    struct sigevent events[3];
    unsigned pulses;
    pthread_t thread;
    bool has_thread, asked; /* by the guest */
    guest_intr_t line;
    unsigned edges;
    struct cdev_state cdev;
};

static bool acts(const vdev_t *vdp, const char *act)
{
    const struct api *api = vdp->v_device;

    return api->act != NULL && strcmp(api->act, act) == 0;
}

/* What follows `prefix` in the act, or NULL for another act. */
static const char *argument_of(const vdev_t *vdp, const char *prefix)
{
    const struct api *api = vdp->v_device;
    bool has = api->act != NULL && strncmp(api->act, prefix, strlen(prefix)) == 0;

    return has ? api->act + strlen(prefix) : NULL;
}

#define SAY(...) vdev_logf(QL_QVM_INFO, vdp, __VA_ARGS__)

/* --- Regions ---------------------------------------------------------------- */

static struct gasp_region window(uint64_t location, uint32_t flags)
{
    return (struct gasp_region){.flags = flags,
                                .cookie = WINDOW_COOKIE,
                                .guest = {.location = location, .length = 0x1000, .qst_type = QST_MEMORY}};
}

/* A window opens, moves and closes while the guest runs. */
static void move_window(vdev_t *vdp)
{
    struct gasp_region found, set[] = {window(WINDOW_AT, GRF_VDEV), window(OTHER_WINDOW_AT, GRF_VDEV), window(RAM_AT, GRF_VDEV)};
    uint32_t value = 0;
    const struct qvm_state_block at = {.location = WINDOW_AT + 4, .length = 4, .qst_type = QST_MEMORY};

    SAY("before %d", gasp_region_info(vdp, &at, &found));
    gasp_lock(vdp, QST_MEMORY);
    gasp_lock(vdp, QST_MEMORY);
    unsigned count = gasp_region_set_soft(vdp, 3, set);
    SAY("set %u, error %d", count, errno);
    int error = gasp_region_info(vdp, &at, &found);
    SAY("info %d, cookie %u", error, found.cookie);
    error = guest_cpu_read(NULL, GXF_NONE, &at, 1, &value, sizeof value);
    SAY("read %d, value 0x%x", error, value);
    set[0].flags = GRF_NONE;
    count = gasp_region_set_soft(vdp, 2, set); /* the second is there already: changed in place */
    SAY("set %u", count);
    SAY("after %d", gasp_region_info(vdp, &at, &found));
    count = gasp_region_set_soft(vdp, 1, set); /* gone already */
    SAY("set %u, error %d", count, errno);
    SAY("unlock %d", gasp_unlock(vdp, QST_MEMORY));
    SAY("unlock %d", gasp_unlock(vdp, QST_MEMORY));
    SAY("unlock %d", gasp_unlock(vdp, QST_MEMORY));
    SAY("lock %d", gasp_lock(vdp, QST_CPUREGS));
}

/* What the guest wrote is seen by the vdev, and the reverse. */
static void map_memory(vdev_t *vdp)
{
    const struct qvm_state_block block = {.location = RAM_AT, .length = 4, .qst_type = QST_MEMORY};
    uint32_t value = 0, *mapped = gasp_map_vdma(vdp, RAM_AT, 4096, GMF_READ | GMF_WRITE);

    SAY("mapped 0x%x", mapped != NULL ? *mapped : 0);
    if (mapped != NULL)
        *mapped = 0xfeedface;
    guest_cpu_read(NULL, GXF_NONE, &block, 1, &value, sizeof value);
    SAY("guest memory 0x%x", value);
    SAY("unmap %d", gasp_unmap(mapped, 4096, true));
    SAY("beyond %d", gasp_map_vdma(vdp, WINDOW_AT, 1, GMF_READ) == NULL ? errno : 0);
    SAY("rom %d", gasp_map_vdma(vdp, 0xc0000, 1, GMF_READ | GMF_WRITE) == NULL ? errno : 0);
    SAY("rom to read %d", gasp_map_vdma(vdp, 0xc0000, 1, GMF_READ) == NULL ? errno : 0);
}

/* --- Calls at the wrong time -------------------------------------------------- */

static void call_startup_only(vdev_t *vdp, const char *function)
{
    struct api *api = vdp->v_device;
    const struct gasp_region region = window(WINDOW_AT, GRF_VDEV);
    uint64_t resolution;

    if (strcmp(function, "gasp_region_set") == 0)
        gasp_region_set(vdp, 1, &region);
    else if (strcmp(function, "guest_timer_create") == 0)
        guest_timer_create(NULL, vdp, NULL, &resolution);
    else if (strcmp(function, "cdev_setup") == 0)
        cdev_setup(vdp, &api->cdev, 1, 2);
    else if (strcmp(function, "qvm_parse_intr") == 0)
        qvm_parse_intr(vdp, "apic", &api->line);
    else if (strcmp(function, "gasp_region_set_soft") == 0)
        gasp_region_set_soft(vdp, 1, &region); /* without the lock */
}

static void call_running_only(vdev_t *vdp, const char *function)
{
    const struct gasp_region region = window(WINDOW_AT, GRF_VDEV);
    struct sigevent event;

    if (strcmp(function, "guest_terminate") == 0)
        guest_terminate(GTC_CUSTOM_MIN);
    else if (strcmp(function, "guest_intr_signal") == 0)
        guest_intr_signal(&vdp->v_intr, GIS_ON);
    else if (strcmp(function, "guest_msi_signal") == 0)
        guest_msi_signal(vdp, 0xfee00000, 0x30);
    else if (strcmp(function, "guest_timer_notify") == 0)
        guest_timer_notify(NULL, NULL, MS);
    else if (strcmp(function, "gasp_region_set_soft") == 0)
        gasp_region_set_soft(vdp, 1, &region);
    else if (strcmp(function, "qvm_parse_intr") == 0)
        qvm_parse_intr(vdp, "apic", &vdp->v_intr);
    else if (strcmp(function, "vdev_pulse") == 0) /* of a factory without a pulse function */
        vdev_pulse(vdp, 1, 10, &event, -1);
}

/* --- Threads, timers, pulses ---------------------------------------------------- */

static void *work(void *arg)
{
    vdev_t *vdp = arg;
    const char *function = argument_of(vdp, "late:");
    char name[16] = "";

    pthread_getname_np(pthread_self(), name, sizeof name);
    SAY("thread %s", name);
    if (function != NULL) {
        call_startup_only(vdp, function);
        SAY("it returned");
    }
    return NULL;
}

static void begin_thread(vdev_t *vdp, const char *when)
{
    struct api *api = vdp->v_device;
    int error = vdev_thread_create(vdp, "api-worker", &api->thread, NULL, work, vdp);

    api->has_thread = error == EOK;
    SAY("vdev_thread_create %s: %d", when, error);
}

static void expired(vdev_t *vdp, void *data, const struct guest_timer_data *tdp, struct guest_cpu *gcp)
{
    struct api *api = vdp->v_device;

    (void)gcp;
    if (data != api || tdp->guest_notify_start != api->due || tdp->guest_current < api->due)
        SAY("expiry of 0x%llx instead of 0x%llx", (unsigned long long)tdp->guest_notify_start, (unsigned long long)api->due);
    if (++api->expiries == 5) {
        SAY("five expiries without drift");
        guest_timer_notify(api->timer, GUEST_TIMER_ABSOLUTE, api->due += 2 * MS);
    } else if (api->expiries == 6) {
        SAY("one at its absolute time");
        guest_terminate(GTC_CUSTOM_MIN + 3);
    } else {
        api->due += MS;
        guest_timer_notify(api->timer, tdp, MS);
    }
}

static void begin_timer(vdev_t *vdp)
{
    struct api *api = vdp->v_device;
    struct guest_timer_data now;

    guest_timer_notify(api->timer, NULL, MS); /* relative, then replaced */
    guest_timer_state(api->timer, &now);
    guest_timer_notify(api->timer, GUEST_TIMER_ABSOLUTE, api->due = now.guest_current + MS);
}

static int __attribute__((unused)) pulsed(vdev_t *vdp, int8_t code)
{
    struct api *api = vdp->v_device;

    pthread_mutex_lock(&vdp->v_mtx);
    SAY("pulse %d", code);
    api->pulses++;
    pthread_mutex_unlock(&vdp->v_mtx);
    if (!acts(vdp, "pulses") || api->pulses == 6)
        guest_terminate(GTC_CUSTOM_MIN + 2);
    return EOK;
}

/* An event goes to whatever takes one. */
static void begin_pulse(vdev_t *vdp)
{
    struct api *api = vdp->v_device;
    const struct itimerspec soon = {.it_value = {.tv_nsec = (long)MS}};

    timer_create(CLOCK_MONOTONIC, &api->events[0], &api->posix);
    timer_settime(api->posix, 0, &soon, NULL);
}

/* Six at once: whichever is taken first waits until all are there. */
static void begin_pulses(vdev_t *vdp)
{
    struct api *api = vdp->v_device;

    pthread_mutex_lock(&vdp->v_mtx);
    for (int n = 0; n < 6; n++)
        api->events[n % 3].sigev_notify_function(api->events[n % 3].sigev_value);
    pthread_mutex_unlock(&vdp->v_mtx);
}

/* --- Registers -------------------------------------------------------------------- */

static vdev_ref_status_t api_vread(vdev_t *vdp, unsigned cookie, const struct qvm_state_block *vopnd,
                                   const struct qvm_state_block *oopnd, struct guest_cpu *gcp)
{
    const uint32_t value = 0xab000000 | cookie << 16 | (uint32_t)(vopnd->location & 0xffff);

    (void)vdp;
    return guest_cpu_to_vrs(guest_cpu_write(gcp, GXF_NONE, oopnd, 1, &value, vopnd->length));
}

static vdev_ref_status_t api_vwrite(vdev_t *vdp, unsigned cookie, const struct qvm_state_block *vopnd,
                                    const struct qvm_state_block *oopnd, struct guest_cpu *gcp)
{
    struct api *api = vdp->v_device;
    uint32_t value = 0;
    int error = guest_cpu_read(gcp, GXF_NONE, oopnd, 1, &value, vopnd->length);

    (void)cookie;
    if (vopnd->location == PORT_END)
        guest_terminate(GTC_CUSTOM_MIN + (int)value);
    if (acts(vdp, "map") && !api->asked)
        map_memory(vdp);
    else if (acts(vdp, "window") && !api->asked)
        move_window(vdp);
    else if (acts(vdp, "cause"))
        guest_terminate((int)value);
    else
        SAY("guest 0x%x", value);
    api->asked = true;
    return guest_cpu_to_vrs(error);
}

static unsigned one_line(const vdev_t *pic)
{
    (void)pic;
    return 1;
}

static errno_t signalled(vdev_t *vdp, unsigned pin, unsigned src_id, guest_intr_state_t gis)
{
    struct api *api = vdp->v_device;

    (void)pin;
    if (gis != GIS_ON)
        return EOK;
    if (acts(vdp, "sources"))
        SAY("line on from source %u", src_id);
    else if (++api->edges == EDGES) /* not from here: the caller holds its lock */
        api->events[0].sigev_notify_function(api->events[0].sigev_value);
    return EOK;
}

/* --- Lifecycle -------------------------------------------------------------------- */

static const char *const names[] = {
    [VDEV_CTRL_OPTIONS_END] = "OPTIONS_END", [VDEV_CTRL_ASSIGN] = "ASSIGN", [VDEV_CTRL_GEN_ACPI] = "GEN_ACPI",
    [VDEV_CTRL_GUEST_CONFIGURED] = "GUEST_CONFIGURED", [VDEV_CTRL_GUEST_STARTING] = "GUEST_STARTING",
    [VDEV_CTRL_STATUS] = "STATUS", [VDEV_CTRL_BUTTON] = "BUTTON", [VDEV_CTRL_TERMINATE] = "TERMINATE",
};

static void options_ended(vdev_t *vdp)
{
    struct api *api = vdp->v_device;
    static const int8_t priorities[] = {9, 20, 21};
    const char *function = argument_of(vdp, "early:");
    uint64_t resolution = 0;

    if (acts(vdp, "thread"))
        begin_thread(vdp, "early");
    else if (acts(vdp, "timer"))
        api->timer = guest_timer_create(NULL, vdp, api, &resolution);
    else if (acts(vdp, "pulse") || acts(vdp, "pulses") || acts(vdp, "count"))
        for (int n = 0; n < 3; n++)
            vdev_pulse(vdp, (int8_t)-priorities[n], priorities[n], &api->events[n], -1);
    else if (function != NULL)
        call_running_only(vdp, function);
}

static void starting(vdev_t *vdp)
{
    struct api *api = vdp->v_device;

    if (acts(vdp, "timer"))
        begin_timer(vdp);
    else if (acts(vdp, "pulse"))
        begin_pulse(vdp);
    else if (acts(vdp, "pulses"))
        begin_pulses(vdp);
    else if (argument_of(vdp, "late:") != NULL)
        begin_thread(vdp, "late");
    else if (acts(vdp, "sources")) {
        guest_intr_signal(&vdp->v_intr, GIS_ON);
        guest_intr_signal(&api->line, GIS_ON);
    } else if (acts(vdp, "fatal"))
        qvm_fatal(QLS_QVM, "cannot go on");
}

static int api_control(vdev_t *vdp, vdev_ctrl_options_t ctrl, const char *arg)
{
    struct api *api = vdp->v_device;

    if (ctrl >= VDEV_CTRL_FIRST_OPTIDX)
        api->act = strdup(arg);
    if (acts(vdp, "tell"))
        SAY("%s", ctrl < VDEV_CTRL_FIRST_OPTIDX ? names[ctrl] : "option");
    switch (ctrl) {
    case VDEV_CTRL_OPTIONS_START:
        vdp->v_block = (struct qvm_state_block){.location = PORT_END, .length = PORTS, .qst_type = QST_X86_IO};
        break;
    case VDEV_CTRL_OPTIONS_END:
        options_ended(vdp);
        break;
    case VDEV_CTRL_ASSIGN:
        if (acts(vdp, "sources"))
            SAY("rest '%s'", qvm_parse_intr(vdp, "lines:0,more", &api->line));
        break;
    case VDEV_CTRL_GUEST_CONFIGURED:
        if (acts(vdp, "thread"))
            begin_thread(vdp, "in time");
        break;
    case VDEV_CTRL_GUEST_STARTING:
        starting(vdp);
        break;
    case VDEV_CTRL_STATUS:
        qvm_report("edges=%u ", api->edges);
        qvm_report("act=%s\nand a second line", api->act);
        break;
    case VDEV_CTRL_TERMINATE:
        if (api->has_thread)
            pthread_join(api->thread, NULL);
        break;
    }
    return EOK;
}

static const char *const options[] = {"act", NULL};
static const struct vdev_pic_functions __attribute__((unused)) pic = {.num_pins = one_line, .signal = signalled};

static struct vdev_factory factory = {
    .control = api_control,
    .vread = api_vread,
    .vwrite = api_vwrite,
    .pulse = PULSE,
    .timer = expired,
#ifdef LINES
    .pic = &pic,
#endif
    .option_list = options,
    .factory_flags = VFF_VDEV_X86_IO | VFF_VDEV_MEM | VFF_MUTEX,
    .acc_sizes = 1u << 1 | 1u << 4,
    .extra_space = sizeof(struct api),
};

static void __attribute__((constructor)) begin(void)
{
    vdev_register_factory(&factory, QVM_VDEV_ABI);
}
