/*
 * The host side of a character vdev: one thread reads the host device, one writes it.
 *
 * Invariant: only these threads wait for a host device. A thread with nothing to do sleeps in poll() on its `wake`; one whose
 * device hung up looks again every HUNG_UP ms.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "cdev_private.h"
#include "diagnostics.h"
#include "running.h"
#include "terminal.h"

enum { PIECE = 256, HUNG_UP = 200, RETRY = 500, LAST_WORDS = 500 /* ms */ };
enum { BREATH = 1000 /* us */ };

/* --- Opening -------------------------------------------------------------- */

static void use_own(struct host_device *device, int file)
{
    device->file = file;
    device->is_own = true;
    device->is_terminal = false; /* its speed and modem lines are not ours to set */
    if (file == STDIN_FILENO)
        terminal_make_raw(file, true);
}

static int open_device(struct host_device *device, int mode)
{
    device->file = open(device->name, mode | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (device->file < 0)
        return errno;
    device->is_terminal = terminal_is(device->file);
    if (!device->is_terminal && mode != O_WRONLY) { /* input must be a terminal; output may be anything */
        close(device->file);
        device->file = -1;
        return ENOTTY;
    }
    terminal_make_raw(device->file, false);
    return EOK;
}

int cdev_host_open(struct cdev_private *cd, const char **name)
{
    struct host_device *in = &cd->in, *out = &cd->out;
    bool shared = in->name != NULL && out->name != NULL && strcmp(in->name, out->name) == 0;
    int error = EOK;

    if (in->name != NULL && in->file < 0) {
        *name = in->name;
        if (strcmp(in->name, "-") == 0)
            use_own(in, STDIN_FILENO);
        else
            error = open_device(in, shared ? O_RDWR : O_RDONLY);
    }
    if (error != EOK || out->name == NULL || out->file >= 0)
        return error;
    *name = out->name;
    if (strcmp(out->name, "-") == 0) {
        use_own(out, STDOUT_FILENO);
    } else if (shared) {
        out->file = in->file;
        out->is_terminal = in->is_terminal;
    } else {
        error = open_device(out, O_WRONLY);
    }
    return error;
}

/* --- Waiting -------------------------------------------------------------- */

void cdev_host_wake(struct host_device *device)
{
    const uint64_t one = 1;

    if (device->wake >= 0 && write(device->wake, &one, sizeof one) < 0)
        return; /* it is awake already */
}

/* Sleeps until woken, or until `events` of `file` (-1: none), at most `timeout` ms (-1: for ever); the events. */
static short await(struct host_device *device, int file, short events, int timeout)
{
    struct pollfd fds[] = {{.fd = device->wake, .events = POLLIN}, {.fd = file, .events = events}};
    uint64_t count;

    if (poll(fds, 2, timeout) > 0 && (fds[0].revents & POLLIN) && read(device->wake, &count, sizeof count) < 0)
        return 0;
    return fds[1].revents;
}

static void pulse(struct cdev_private *cd, int8_t code)
{
    pthread_mutex_lock(&cd->lock);
    bool stopping = cd->stopping; /* then the vdev may hold its lock and wait for this thread */
    pthread_mutex_unlock(&cd->lock);
    if (!stopping && cd->vdev->v_factory->pulse != NULL)
        cd->vdev->v_factory->pulse(cd->vdev, code);
}

/* --- Reading -------------------------------------------------------------- */

/* What may be read now: 0 when the queue is full or the vdev wants nothing. */
static unsigned wanted(struct cdev_private *cd, bool *stopping)
{
    pthread_mutex_lock(&cd->lock);
    unsigned room = cd->receive && (cd->delayed == DELAYED_NOT || cd->referenced) ? ring_room(&cd->received) : 0;
    cd->reader_waits = room == 0;
    *stopping = cd->stopping;
    pthread_mutex_unlock(&cd->lock);
    return room < PIECE ? room : PIECE;
}

static void received(struct cdev_private *cd, const uint8_t *data, unsigned length)
{
    pthread_mutex_lock(&cd->lock);
    bool was_empty = ring_length(&cd->received) == 0;
    ring_put(&cd->received, data, length);
    pthread_mutex_unlock(&cd->lock);
    if (was_empty)
        pulse(cd, cd->input_code);
}

static void *read_device(void *arg)
{
    struct cdev_private *cd = arg;
    uint8_t data[PIECE];
    bool stopping, ended = false;

    for (;;) {
        unsigned room = wanted(cd, &stopping);
        if (stopping)
            return NULL;
        if (room == 0 || ended || cd->in.file < 0) {
            await(&cd->in, -1, 0, -1);
            continue;
        }
        if (await(&cd->in, cd->in.file, POLLIN, -1) == 0)
            continue;
        ssize_t length = read(cd->in.file, data, room);
        if (length > 0)
            received(cd, data, (unsigned)length);
        else if (length == 0 && !cd->in.is_terminal)
            ended = true; /* qvm's own input is at its end */
        else if (length == 0 || (errno != EAGAIN && errno != EINTR))
            await(&cd->in, -1, 0, HUNG_UP);
    }
}

/* --- Writing -------------------------------------------------------------- */

enum work { NOTHING, WRITE, COMMAND, STOP };

/* What is to do next: `*length` bytes into `data`, or a command whose time has come. */
static enum work next_work(struct cdev_private *cd, uint8_t data[PIECE], unsigned *length, struct command *command)
{
    enum work work = NOTHING;
    unsigned max = PIECE;

    pthread_mutex_lock(&cd->lock);
    if (cd->command_count > 0 && cd->commands[0].at - cd->pending.taken < max)
        max = (unsigned)(cd->commands[0].at - cd->pending.taken);
    *length = ring_peek(&cd->pending, data, max);
    if (*length > 0) {
        work = WRITE;
    } else if (cd->command_count > 0) {
        work = COMMAND;
        *command = cd->commands[0];
        memmove(cd->commands, cd->commands + 1, --cd->command_count * sizeof cd->commands[0]);
    } else if (cd->stopping) {
        work = STOP;
    }
    cd->writer_waits = work == NOTHING;
    pthread_mutex_unlock(&cd->lock);
    return work;
}

static void apply(struct cdev_private *cd, const struct command *command)
{
    terminal_drain(cd->out.file);
    if (command->is_break)
        terminal_set_break(cd->out.file, command->on);
    else
        terminal_set_line(cd->out.file, &command->line);
}

static void written(struct cdev_private *cd, ssize_t length)
{
    pthread_mutex_lock(&cd->lock);
    cd->busy = length <= 0;
    if (length > 0)
        cd->pending.taken += (uint64_t)length;
    bool has_room = cd->was_full && length > 0;
    if (has_room)
        cd->was_full = false;
    pthread_mutex_unlock(&cd->lock);
    if (has_room)
        pulse(cd, cd->output_code);
}

/* Output has nowhere to go and never will: drop it, so that the guest is not held for ever. */
static void give_up(struct cdev_private *cd)
{
    pthread_mutex_lock(&cd->lock);
    cd->broken = true;
    unsigned length = ring_length(&cd->pending);
    pthread_mutex_unlock(&cd->lock);
    written(cd, length);
}

/* A terminal that hung up may come back; a full disk, a closed stream or a pipe without a reader is the end of output. */
static bool may_come_back(const struct cdev_private *cd, int error)
{
    return error == EAGAIN || error == EINTR || (error == EIO && cd->out.is_terminal);
}

static void write_some(struct cdev_private *cd, const uint8_t *data, unsigned length)
{
    if (!(await(&cd->out, cd->out.file, POLLOUT, HUNG_UP) & (POLLOUT | POLLERR | POLLHUP))) {
        written(cd, 0);
        return;
    }
    ssize_t count = write(cd->out.file, data, length);
    int error = count < 0 ? errno : EOK;
    if (error != EOK && !may_come_back(cd, error)) {
        vdev_logf(QL_QVM_ERR, cd->vdev, "Unable to write to '%s': %s; what the guest sends from here on is lost",
                  strcmp(cd->out.name, "-") == 0 ? "standard output" : cd->out.name, strerror(error));
        give_up(cd);
        return;
    }
    written(cd, count);
    if (error == EIO)
        await(&cd->out, -1, 0, HUNG_UP);
}

static void pause_for(unsigned microseconds)
{
    const struct timespec pause = {.tv_sec = microseconds / 1000000, .tv_nsec = 1000l * (microseconds % 1000000)};

    clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
}

/* `batch`: waits until no character came for that long, or a good many did. */
static void collect(struct cdev_private *cd, unsigned length)
{
    bool stopping = false;

    for (unsigned before = 0; before != length && length < PIECE && !stopping;) {
        before = length;
        pause_for(cd->batch);
        pthread_mutex_lock(&cd->lock);
        length = ring_length(&cd->pending);
        stopping = cd->stopping;
        pthread_mutex_unlock(&cd->lock);
    }
}

/* `delayed`: opens the device once the guest has touched it, and goes on trying for as long as it was told to. */
static bool open_delayed(struct cdev_private *cd)
{
    struct timespec begin, now;
    const char *name = "";
    int error = EAGAIN;
    bool stopping = false, referenced = false;

    while (!referenced && !stopping) {
        pthread_mutex_lock(&cd->lock);
        referenced = cd->referenced;
        stopping = cd->stopping;
        pthread_mutex_unlock(&cd->lock);
        if (!referenced && !stopping)
            await(&cd->out, -1, 0, -1);
    }
    clock_gettime(CLOCK_MONOTONIC, &begin);
    while (!stopping) {
        error = cdev_host_open(cd, &name);
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (error == EOK || (cd->delayed != DELAYED_FOREVER && now.tv_sec - begin.tv_sec >= cd->delayed))
            break;
        await(&cd->out, -1, 0, RETRY);
        pthread_mutex_lock(&cd->lock);
        stopping = cd->stopping;
        pthread_mutex_unlock(&cd->lock);
    }
    if (error != EOK && !stopping)
        vdev_logf(QL_QVM_ERR, cd->vdev, "Unable to open '%s': %s", name, strerror(error));
    cdev_host_wake(&cd->in);
    return error == EOK && cd->out.file >= 0;
}

static void *write_device(void *arg)
{
    struct cdev_private *cd = arg;
    uint8_t data[PIECE];
    struct command command;
    unsigned length;

    if (cd->out.file < 0 && !open_delayed(cd)) {
        give_up(cd);
        return NULL;
    }
    for (;;) {
        switch (next_work(cd, data, &length, &command)) {
        case WRITE:
            if (cd->batch > 0) {
                collect(cd, length);
                next_work(cd, data, &length, &command);
            }
            write_some(cd, data, length);
            pause_for(BREATH); /* a stream of characters leaves in handfuls: each wake-up interrupts the guest */
            break;
        case COMMAND:
            apply(cd, &command);
            break;
        case NOTHING:
            await(&cd->out, -1, 0, -1);
            break;
        case STOP:
            return NULL;
        }
    }
}

/* --- Modem lines ---------------------------------------------------------- */

int cdev_modem_set(struct cdev_state *cdp, unsigned lines)
{
    struct cdev_private *cd = cdp->cd_private;

    return cd->out.is_terminal ? terminal_set_modem(cd->out.file, lines) : ENOTTY;
}

unsigned cdev_modem_get(const struct cdev_state *cdp)
{
    struct cdev_private *cd = cdp->cd_private;
    unsigned lines;

    if (!cd->in.is_terminal || atomic_load(&cd->modem_missing))
        return MODEM_CONSTANT;
    if (terminal_get_modem(cd->in.file, &lines) == EOK)
        return lines;
    atomic_store(&cd->modem_missing, true);
    return MODEM_CONSTANT;
}

/* --- Threads -------------------------------------------------------------- */

static void start_thread(struct cdev_private *cd, struct host_device *device, const char *what, void *(*body)(void *))
{
    char name[16];

    device->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    snprintf(name, sizeof name, "%.11s:%s", vdev_name(cd->vdev), what);
    device->has_thread = vdev_thread_create(cd->vdev, name, &device->thread, NULL, body, cd) == 0;
    if (device->wake < 0 || !device->has_thread)
        start_error(running.place, "no thread for host device '%s'", device->name);
}

void cdev_host_start(struct cdev_private *cd)
{
    if (cd->out.name != NULL || cd->delayed != DELAYED_NOT)
        start_thread(cd, &cd->out, "out", write_device);
    if (cd->in.name != NULL)
        start_thread(cd, &cd->in, "in", read_device);
    if (cd->out.name == NULL && cd->delayed == DELAYED_NOT)
        give_up(cd); /* input only: output has nowhere to go */
}

static void end_thread_of(struct host_device *device, bool last_words)
{
    struct timespec limit;

    if (!device->has_thread)
        return;
    clock_gettime(CLOCK_MONOTONIC, &limit);
    limit.tv_nsec += last_words ? LAST_WORDS * 1000000l : 0;
    limit.tv_sec += limit.tv_nsec / 1000000000;
    limit.tv_nsec %= 1000000000;
    if (pthread_clockjoin_np(device->thread, NULL, CLOCK_MONOTONIC, &limit) != 0) {
        pthread_cancel(device->thread); /* it waits in write() or for a line to drain, and holds no lock there */
        pthread_join(device->thread, NULL);
    }
    device->has_thread = false;
}

void cdev_host_stop(struct cdev_private *cd)
{
    pthread_mutex_lock(&cd->lock);
    cd->stopping = true;
    pthread_mutex_unlock(&cd->lock);
    cdev_host_wake(&cd->in);
    cdev_host_wake(&cd->out);
    end_thread_of(&cd->out, true);
    end_thread_of(&cd->in, true);
}
