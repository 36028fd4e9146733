/* The rig's VM: see rig.h. One lock around its own state, never held while the vdev runs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rig.h"

#define MAX_REGIONS 16
#define MAX_TIMERS 16
#define TEXT 4096
#define STORM 100000 /* callbacks without progress of time */

struct guest_timer {
    vdev_t *vdp;
    const void *data;
    uint64_t deadline;
};

struct vdev_factory *rig_factory;
struct instance rig_instances[MAX_INSTANCES];
unsigned rig_count;
uint64_t rig_clock, rig_callbacks, rig_late;

static struct gasp_region regions[MAX_REGIONS];
static unsigned region_count;
static struct guest_timer timers[MAX_TIMERS];
static unsigned timer_count;
static char log_text[TEXT], status_text[TEXT];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *grow(void *list, size_t *room, size_t wanted, size_t size) {
    if (wanted <= *room) return list;
    *room = wanted * 2;
    list = realloc(list, *room * size);
    if (!list) abort();
    return list;
}

static void append(char *text, const char *separator, const char *fmt, va_list args) {
    size_t used = strlen(text);
    if (used) used += (size_t)snprintf(text + used, TEXT - used, "%s", separator);
    if (used < TEXT) vsnprintf(text + used, TEXT - used, fmt, args);
}

/* --- Registration and lifecycle ------------------------------------------------ */

void vdev_register_factory(struct vdev_factory *factory, unsigned abi_version) {
    if (abi_version == QVM_VDEV_ABI) rig_factory = factory;
}

const char *vdev_name(const vdev_t *vdp) { return ((const struct instance *)vdp)->name; }

static int control(struct instance *in, unsigned ctrl, const char *arg) {
    return rig_factory->control(&in->vdev, ctrl, arg);
}

struct instance *rig_new(void) {
    struct instance *in = &rig_instances[rig_count];
    snprintf(in->name, sizeof in->name, "vdev%u", rig_count++);
    in->vdev.v_factory = rig_factory;
    in->vdev.v_device = calloc(1, rig_factory->extra_space);
    in->vdev.v_intr.pic = &in->vdev; /* any: signals are told apart by their guest_intr */
    if (rig_factory->factory_flags & VFF_MUTEX) pthread_mutex_init(&in->vdev.v_mtx, NULL);
    in->cdev.capacity = SIZE_MAX;
    in->cdev.inputs = CDEV_MODEM_CTS | CDEV_MODEM_DSR | CDEV_MODEM_DCD;
    control(in, VDEV_CTRL_OPTIONS_START, NULL);
    return in;
}

int rig_option(struct instance *in, const char *name, const char *value) {
    for (unsigned i = 0; rig_factory->option_list[i]; i++)
        if (strcmp(rig_factory->option_list[i], name) == 0)
            return control(in, VDEV_CTRL_FIRST_OPTIDX + i, value);
    return ENOENT;
}

void gasp_region_set(vdev_t *vdp, unsigned num, const struct gasp_region *set) {
    (void)vdp;
    for (unsigned i = 0; i < num; i++) regions[region_count++] = set[i];
}

void rig_start(void) {
    static const unsigned stages[] = {VDEV_CTRL_OPTIONS_END, VDEV_CTRL_ASSIGN,
                                      VDEV_CTRL_GUEST_CONFIGURED, VDEV_CTRL_GUEST_STARTING};
    for (unsigned stage = 0; stage < 4; stage++)
        for (unsigned i = 0; i < rig_count; i++)
            if (control(&rig_instances[i], stages[stage], NULL) != EOK) abort();
    for (unsigned i = 0; i < rig_count; i++) {
        vdev_t *vdp = &rig_instances[i].vdev;
        const struct gasp_region own = {.flags = GRF_VDEV, .vdev = vdp, .guest = vdp->v_block};
        gasp_region_set(vdp, 1, &own);
    }
}

/* --- CPU and address spaces ------------------------------------------------------ */

int guest_cpu_read(struct guest_cpu *gcp, guest_cpu_access_flags_t flags,
                   const struct qvm_state_block *blk, unsigned nblks, void *data, size_t data_len) {
    (void)gcp, (void)flags;
    if (nblks != 1 || blk->qst_type != QST_HOST || data_len > blk->length) return EINVAL;
    memcpy(data, (const void *)(uintptr_t)blk->location, data_len);
    return EOK;
}

int guest_cpu_write(struct guest_cpu *gcp, guest_cpu_access_flags_t flags,
                    const struct qvm_state_block *blk, unsigned nblks, const void *data,
                    size_t data_len) {
    (void)gcp, (void)flags;
    if (nblks != 1 || blk->qst_type != QST_HOST || data_len > blk->length) return EINVAL;
    memcpy((void *)(uintptr_t)blk->location, data, data_len);
    return EOK;
}

/* The region that takes an access of this width, as the factory's acc_sizes allow. */
static const struct gasp_region *find(qvm_state_types_t space, uint64_t location, unsigned width) {
    if (!(rig_factory->acc_sizes >> width & 1)) return NULL;
    for (unsigned i = 0; i < region_count; i++) {
        const struct qvm_state_block *block = &regions[i].guest;
        if (block->qst_type == space && location >= block->location &&
            location - block->location < block->length)
            return &regions[i];
    }
    return NULL;
}

errno_t gasp_region_info(vdev_t *vdp, const struct qvm_state_block *at,
                         struct gasp_region *region) {
    (void)vdp;
    const struct gasp_region *found = find(at->qst_type, at->location, 1);
    if (!found) return ENOENT;
    *region = *found;
    return EOK;
}

static struct qvm_state_block block(qvm_state_types_t type, uint64_t location, unsigned width) {
    return (struct qvm_state_block){.location = location, .length = width, .qst_type = type};
}

uint64_t rig_read(qvm_state_types_t space, uint64_t location, unsigned width) {
    uint64_t value = width == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * width) - 1;
    const struct gasp_region *region = find(space, location, width);
    if (!region) return value;
    const struct qvm_state_block device = block(space, location, width);
    const struct qvm_state_block cpu = block(QST_HOST, (uintptr_t)&value, width);
    if (rig_factory->vread(region->vdev, region->cookie, &device, &cpu, NULL) != VRS_NORMAL) abort();
    return value;
}

void rig_write(qvm_state_types_t space, uint64_t location, unsigned width, uint64_t value) {
    const struct gasp_region *region = find(space, location, width);
    if (!region) return;
    const struct qvm_state_block device = block(space, location, width);
    const struct qvm_state_block cpu = block(QST_HOST, (uintptr_t)&value, width);
    if (rig_factory->vwrite(region->vdev, region->cookie, &device, &cpu, NULL) != VRS_NORMAL)
        abort();
}

/* --- Interrupts and time ----------------------------------------------------------- */

errno_t guest_intr_signal(guest_intr_t *gip, guest_intr_state_t gis) {
    struct instance *in = (struct instance *)gip->pic;
    pthread_mutex_lock(&lock);
    struct edges *edges = &in->edges;
    edges->list = grow(edges->list, &edges->room, edges->count + 1, sizeof *edges->list);
    edges->list[edges->count++] = (struct edge){rig_clock, gis == GIS_ON};
    pthread_mutex_unlock(&lock);
    return EOK;
}

struct guest_timer *guest_timer_create(const struct guest_cpu *gcp, const vdev_t *vdp,
                                       const void *data, uint64_t *resolutionp) {
    (void)gcp;
    struct guest_timer *timer = &timers[timer_count++];
    *timer = (struct guest_timer){(vdev_t *)(uintptr_t)vdp, data, GUEST_TIMER_STOP};
    *resolutionp = 1000000000;
    return timer;
}

int guest_timer_notify(struct guest_timer *vtp, const struct guest_timer_data *tdp,
                       uint64_t deadline) {
    if (tdp != GUEST_TIMER_ABSOLUTE) return ENOTSUP; /* no vdev here asks for anything else */
    pthread_mutex_lock(&lock);
    vtp->deadline = deadline;
    pthread_mutex_unlock(&lock);
    return EOK;
}

void guest_timer_state(const struct guest_timer *vtp, struct guest_timer_data *tdp) {
    (void)vtp;
    pthread_mutex_lock(&lock);
    *tdp = (struct guest_timer_data){.host_current = rig_clock, .guest_current = rig_clock};
    pthread_mutex_unlock(&lock);
}

/* Disarms and returns the timer that is due first, not later than `limit`. */
static struct guest_timer *take_due(uint64_t limit) {
    struct guest_timer *due = NULL;
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < timer_count; i++)
        if (timers[i].deadline != GUEST_TIMER_STOP && timers[i].deadline + rig_late <= limit &&
            (!due || timers[i].deadline < due->deadline))
            due = &timers[i];
    if (due) {
        if (due->deadline + rig_late > rig_clock) rig_clock = due->deadline + rig_late;
        due->deadline = GUEST_TIMER_STOP;
        rig_callbacks++;
    }
    pthread_mutex_unlock(&lock);
    return due;
}

void rig_advance(uint64_t ns) {
    uint64_t end = rig_clock + ns, before = rig_clock;
    unsigned standstill = 0;
    for (struct guest_timer *due; (due = take_due(end));) {
        struct guest_timer_data time = {.host_current = rig_clock, .guest_current = rig_clock};
        rig_factory->timer(due->vdp, (void *)(uintptr_t)due->data, &time, NULL);
        standstill = rig_clock == before ? standstill + 1 : 0;
        before = rig_clock;
        if (standstill > STORM) {
            fprintf(stderr, "the vdev's timer is due again and again at %llu ns\n",
                    (unsigned long long)rig_clock);
            exit(1);
        }
    }
    pthread_mutex_lock(&lock);
    rig_clock = end;
    pthread_mutex_unlock(&lock);
}

void rig_stall(uint64_t ns) {
    pthread_mutex_lock(&lock);
    rig_clock += ns;
    pthread_mutex_unlock(&lock);
    rig_advance(0);
}

/* --- Texts ------------------------------------------------------------------ */

void vdev_logf(qvm_log_level_t level, const vdev_t *vdp, const char *fmt, ...) {
    (void)level, (void)vdp;
    va_list args;
    va_start(args, fmt);
    append(log_text, " | ", fmt, args);
    va_end(args);
}

void qvm_fatal(unsigned source, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    exit(source == QLS_CNF ? 65 : 64);
}

void qvm_report(const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    append(status_text, "", fmt, args);
    va_end(args);
}

const char *rig_log(void) {
    static char text[TEXT];
    memcpy(text, log_text, TEXT);
    log_text[0] = 0;
    return text;
}

const char *rig_status(struct instance *in) {
    status_text[0] = 0;
    control(in, VDEV_CTRL_STATUS, NULL);
    for (char *end; (end = strchr(status_text, '\n'));) *end = ' ';
    return status_text;
}

/* --- Character devices ------------------------------------------------------------ */

static void put(struct bytes *b, const uint8_t *data, size_t length) {
    b->data = grow(b->data, &b->room, b->first + b->count + length, 1);
    memcpy(b->data + b->first + b->count, data, length);
    b->count += length;
}

int cdev_setup(vdev_t *vdp, struct cdev_state *cdp, int8_t input_code, int8_t output_code) {
    struct cdev_private *cdev = &((struct instance *)vdp)->cdev;
    cdev->vdp = vdp;
    cdev->input_code = input_code;
    cdev->output_code = output_code;
    cdp->cd_private = cdev;
    return EOK;
}

int cdev_control(struct cdev_state *cdp, unsigned ctrl, const char *arg) {
    (void)cdp, (void)ctrl, (void)arg;
    return EOK;
}

unsigned cdev_input_num_available(const struct cdev_state *cdp) {
    pthread_mutex_lock(&lock);
    size_t count = cdp->cd_private->input.count;
    pthread_mutex_unlock(&lock);
    return (unsigned)count;
}

bool cdev_input_available(const struct cdev_state *cdp) { return cdev_input_num_available(cdp) > 0; }

unsigned cdev_read(struct cdev_state *cdp, void *data, unsigned max) {
    pthread_mutex_lock(&lock);
    struct bytes *input = &cdp->cd_private->input;
    unsigned length = max < input->count ? max : (unsigned)input->count;
    if (length) memcpy(data, input->data + input->first, length);
    input->first += length;
    input->count -= length;
    pthread_mutex_unlock(&lock);
    return length;
}

int cdev_write(struct cdev_state *cdp, uint8_t byte) {
    struct cdev_private *cdev = cdp->cd_private;
    pthread_mutex_lock(&lock);
    bool room = cdev->capacity > 0;
    if (room) {
        cdev->capacity -= cdev->capacity != SIZE_MAX;
        put(&cdev->output, &byte, 1);
    }
    pthread_mutex_unlock(&lock);
    return room ? EOK : EAGAIN;
}

void rig_feed(struct instance *in, const uint8_t *data, size_t length) {
    bool empty = in->cdev.input.count == 0;
    put(&in->cdev.input, data, length);
    if (empty && length) rig_factory->pulse(&in->vdev, in->cdev.input_code);
}

void rig_room(struct instance *in, size_t capacity) {
    bool full = in->cdev.capacity == 0;
    in->cdev.capacity = capacity;
    if (full && capacity) rig_factory->pulse(&in->vdev, in->cdev.output_code);
}

int cdev_line_set(struct cdev_state *cdp, const struct cdev_line *line) {
    cdp->cd_private->line = *line;
    cdp->cd_private->line_calls++;
    return EOK;
}

int cdev_line_break(struct cdev_state *cdp, bool on) {
    cdp->cd_private->line_break = on;
    cdp->cd_private->break_calls++;
    return EOK;
}

int cdev_modem_set(struct cdev_state *cdp, unsigned lines) {
    cdp->cd_private->outputs = lines;
    cdp->cd_private->modem_calls++;
    return EOK;
}

unsigned cdev_modem_get(const struct cdev_state *cdp) { return cdp->cd_private->inputs; }
