/*
 * The base of character vdevs: their options, and the queues between the vdev and the host device.
 *
 * Invariant: nothing here waits for a host device. A full queue refuses bytes; the vdev's `pulse` says when there is room.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <qvm/utils.h>

#include "allocate.h"
#include "cdev_private.h"
#include "diagnostics.h"
#include "stage.h"
#include "vdev.h"

int cdev_setup(struct vdev_s *vdp, struct cdev_state *cdp, int8_t input_code, int8_t output_code)
{
    startup_only("cdev_setup");
    struct cdev_private *cd = allocate(sizeof *cd);

    cd->vdev = vdp;
    cd->input_code = input_code;
    cd->output_code = output_code;
    cd->delayed = DELAYED_NOT;
    cd->in.file = cd->out.file = cd->in.wake = cd->out.wake = -1;
    cd->receive = true;
    pthread_mutex_init(&cd->lock, NULL);
    cdp->cd_private = cd;
    return EOK;
}

enum { BATCH_MAX = 1000000 };

/* --- Options -------------------------------------------------------------- */

/* Each end has a copy of its own; the last `hostdev` for it counts. */
static void name_end(struct host_device *end, const char *text)
{
    free((char *)end->name);
    end->name = copy_text(text, strlen(text));
}

static void set_hostdev(struct cdev_private *cd, const char *text)
{
    const char *all = text;
    char direction = *text == '<' || *text == '>' ? *text++ : '\0';

    if (*text == '\0')
        configuration_error(vdev_place(cd->vdev), "hostdev %s: [<|>]NAME was expected", all);
    if (direction != '>')
        name_end(&cd->in, text);
    if (direction != '<')
        name_end(&cd->out, text);
}

static void set_delayed(struct cdev_private *cd, const char *text)
{
    uint64_t seconds;

    if (strcmp(text, "forever") == 0) {
        cd->delayed = DELAYED_FOREVER;
        return;
    }
    if (qvm_parse_number(text, &seconds) != EOK || seconds > INT32_MAX)
        configuration_error(vdev_place(cd->vdev), "delayed %s: seconds, or `forever`, were expected", text);
    cd->delayed = (int)seconds;
}

static void set_batch(struct cdev_private *cd, const char *text)
{
    uint64_t microseconds;

    if (qvm_parse_number(text, &microseconds) != EOK || microseconds > BATCH_MAX)
        configuration_error(vdev_place(cd->vdev), "batch %s: microseconds from 0 to %d were expected", text, BATCH_MAX);
    cd->batch = (unsigned)microseconds;
}

static void open_now(struct cdev_private *cd)
{
    const char *name;

    if (cd->in.name == NULL && cd->out.name == NULL)
        cd->in.name = cd->out.name = "-";
    if (cd->delayed != DELAYED_NOT)
        return;
    int error = cdev_host_open(cd, &name);
    if (error != EOK)
        start_error(vdev_place(cd->vdev), "Unable to open '%s': %s%s", name, strerror(error),
                    error == ENOTTY ? "; input needs a terminal" : "");
}

int cdev_control(struct cdev_state *cdp, unsigned ctrl, const char *arg)
{
    struct cdev_private *cd = cdp->cd_private;

    switch (ctrl) {
    case VDEV_CTRL_FIRST_OPTIDX + CDEV_OPT_HOSTDEV_IDX:
        set_hostdev(cd, arg);
        break;
    case VDEV_CTRL_FIRST_OPTIDX + CDEV_OPT_DELAYED_IDX:
        set_delayed(cd, arg);
        break;
    case VDEV_CTRL_FIRST_OPTIDX + CDEV_OPT_BATCH_IDX:
        set_batch(cd, arg);
        break;
    case VDEV_CTRL_OPTIONS_END:
        open_now(cd);
        break;
    case VDEV_CTRL_GUEST_STARTING:
        cdev_host_start(cd);
        break;
    case VDEV_CTRL_TERMINATE:
        cdev_host_stop(cd);
        break;
    }
    return EOK;
}

/* --- Input ---------------------------------------------------------------- */

/* The guest touched the device: the time for a `delayed` one to be opened. Called with the lock held. */
static void reference(struct cdev_private *cd)
{
    if (cd->referenced)
        return;
    cd->referenced = true;
    cdev_host_wake(&cd->out);
}

unsigned cdev_input_num_available(const struct cdev_state *cdp)
{
    struct cdev_private *cd = cdp->cd_private;

    pthread_mutex_lock(&cd->lock);
    reference(cd);
    unsigned length = ring_length(&cd->received);
    pthread_mutex_unlock(&cd->lock);
    return length;
}

bool cdev_input_available(const struct cdev_state *cdp)
{
    return cdev_input_num_available(cdp) > 0;
}

unsigned cdev_read(struct cdev_state *cdp, void *data, unsigned max)
{
    struct cdev_private *cd = cdp->cd_private;

    pthread_mutex_lock(&cd->lock);
    reference(cd);
    unsigned count = ring_peek(&cd->received, data, max);
    cd->received.taken += count;
    bool wake = cd->reader_waits && cd->receive && ring_room(&cd->received) >= RING_SIZE / 2;
    pthread_mutex_unlock(&cd->lock);
    if (wake)
        cdev_host_wake(&cd->in);
    return count;
}

void cdev_input_receive(struct cdev_state *cdp, bool enable)
{
    struct cdev_private *cd = cdp->cd_private;

    pthread_mutex_lock(&cd->lock);
    bool wake = enable && !cd->receive;
    cd->receive = enable;
    pthread_mutex_unlock(&cd->lock);
    if (wake)
        cdev_host_wake(&cd->in);
}

/* --- Output --------------------------------------------------------------- */

unsigned cdev_write_buffer(struct cdev_state *cdp, const void *data, unsigned length)
{
    struct cdev_private *cd = cdp->cd_private;

    pthread_mutex_lock(&cd->lock);
    reference(cd);
    unsigned count = cd->broken ? length : ring_put(&cd->pending, data, length);
    cd->was_full |= count < length;
    bool wake = cd->writer_waits;
    cd->writer_waits = false;
    pthread_mutex_unlock(&cd->lock);
    if (wake)
        cdev_host_wake(&cd->out);
    return count;
}

int cdev_write(struct cdev_state *cdp, uint8_t byte)
{
    return cdev_write_buffer(cdp, &byte, 1) == 1 ? EOK : EAGAIN;
}

unsigned cdev_output_num_pending(const struct cdev_state *cdp)
{
    struct cdev_private *cd = cdp->cd_private;

    pthread_mutex_lock(&cd->lock);
    unsigned length = ring_length(&cd->pending);
    pthread_mutex_unlock(&cd->lock);
    return length;
}

bool cdev_output_full(const struct cdev_state *cdp)
{
    struct cdev_private *cd = cdp->cd_private;

    pthread_mutex_lock(&cd->lock);
    bool full = ring_room(&cd->pending) == 0;
    cd->was_full |= full; /* whoever saw it full is told when it no longer is */
    pthread_mutex_unlock(&cd->lock);
    return full;
}

bool cdev_output_empty(const struct cdev_state *cdp)
{
    return cdev_output_num_pending(cdp) == 0;
}

bool cdev_output_busy(const struct cdev_state *cdp)
{
    struct cdev_private *cd = cdp->cd_private;

    pthread_mutex_lock(&cd->lock);
    bool busy = cd->busy && ring_length(&cd->pending) > 0;
    pthread_mutex_unlock(&cd->lock);
    return busy;
}

/* --- The line ------------------------------------------------------------- */

/* Queued behind the bytes written so far, so that none of them leaves with the new settings. */
static int queue_command(struct cdev_private *cd, const struct command *command)
{
    if (!cd->out.is_terminal)
        return ENOTTY;
    pthread_mutex_lock(&cd->lock);
    if (cd->command_count == COMMANDS_MAX) { /* the latest state is what counts */
        memmove(cd->commands, cd->commands + 1, sizeof cd->commands - sizeof cd->commands[0]);
        cd->command_count--;
    }
    cd->commands[cd->command_count] = *command;
    cd->commands[cd->command_count++].at = cd->pending.put;
    cd->writer_waits = false;
    pthread_mutex_unlock(&cd->lock);
    cdev_host_wake(&cd->out);
    return EOK;
}

int cdev_line_set(struct cdev_state *cdp, const struct cdev_line *line)
{
    if (line->data_bits < 5 || line->data_bits > 8)
        return EINVAL;
    return queue_command(cdp->cd_private, &(struct command){.line = *line});
}

int cdev_line_break(struct cdev_state *cdp, bool on)
{
    return queue_command(cdp->cd_private, &(struct command){.is_break = true, .on = on});
}
