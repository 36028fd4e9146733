/*
 * The inside of a character vdev's base, shared by its two halves: cdev.c (what the vdev calls) and cdev_host.c (the threads
 * on the host device).
 */
#ifndef QVM_CDEV_PRIVATE_H
#define QVM_CDEV_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include <qvm/cdev.h>
#include <qvm/vdev-core.h>

#include "ring.h"

enum { DELAYED_NOT = -2, DELAYED_FOREVER = -1 };
enum { COMMANDS_MAX = 64, MODEM_CONSTANT = CDEV_MODEM_CTS | CDEV_MODEM_DSR | CDEV_MODEM_DCD };

/* One direction's host device. */
struct host_device {
    const char *name; /* `-`: qvm's own stream; NULL: none */
    int file;         /* -1: not open */
    bool is_terminal, is_own;
    int wake;         /* eventfd */
    pthread_t thread;
    bool has_thread;
};

/* A change of the line, due when `at` bytes have been written. */
struct command {
    uint64_t at;
    bool is_break, on;
    struct cdev_line line;
};

struct cdev_private {
    vdev_t *vdev;
    int8_t input_code, output_code;
    int delayed;        /* seconds, or DELAYED_* */
    unsigned batch;     /* microseconds */
    struct host_device in, out;

    pthread_mutex_t lock; /* of everything below */
    struct ring received, pending;
    struct command commands[COMMANDS_MAX];
    unsigned command_count;
    bool receive;         /* the vdev wants input */
    bool reader_waits;    /* for room or for `receive` */
    bool writer_waits;    /* for something to do */
    bool was_full;        /* the vdev met a full queue */
    bool busy;            /* the host device takes nothing */
    bool broken;          /* nobody will ever take output again */
    bool referenced;      /* by the guest, for `delayed` */
    bool stopping;
    atomic_bool modem_missing;
};

/* Opens what is named and not open yet; EOK, or errno with the name in *name. */
int cdev_host_open(struct cdev_private *cd, const char **name);
void cdev_host_start(struct cdev_private *cd);
/* Lets pending output leave for a moment, then ends the threads. */
void cdev_host_stop(struct cdev_private *cd);
void cdev_host_wake(struct host_device *device);

#endif
