/*
 * The rig: one vdev object without a VM, driven by a script. rig_vm.c is qvm's side of the API as
 * far as timer8254 and ser8250 use it, rig.c reads the script.
 *
 * Time stands still unless the script moves it, so every answer is exact and repeatable.
 */
#ifndef RIG_H
#define RIG_H

#include <qvm/cdev.h>
#include <qvm/gasp.h>
#include <qvm/guest.h>
#include <qvm/log.h>
#include <qvm/vdev-core.h>

#define MAX_INSTANCES 4

/* An edge on an instance's interrupt line. */
struct edge {
    uint64_t time;
    bool level;
};

struct edges {
    struct edge *list;
    size_t count, room;
};

/* A growing queue of bytes. */
struct bytes {
    uint8_t *data;
    size_t first, count, room;
};

/* The host device behind an instance's cdev. */
struct cdev_private {
    vdev_t *vdp;
    int8_t input_code, output_code;
    struct bytes input, output;
    size_t capacity; /* what the output queue still takes */
    unsigned inputs, outputs; /* modem lines */
    struct cdev_line line;
    unsigned line_calls, break_calls, modem_calls;
    bool line_break;
};

struct instance {
    vdev_t vdev;
    char name[32];
    struct edges edges;
    struct cdev_private cdev;
};

extern struct vdev_factory *rig_factory;
extern struct instance rig_instances[MAX_INSTANCES];
extern unsigned rig_count;
extern uint64_t rig_clock;     /* ns */
extern uint64_t rig_callbacks; /* timer callbacks so far */
extern uint64_t rig_late;      /* each callback comes this many ns after its deadline */

struct instance *rig_new(void);
int rig_option(struct instance *in, const char *name, const char *value);
void rig_start(void);

/* Moves the clock, running each callback at its time. */
void rig_advance(uint64_t ns);
/* Moves the clock, running callbacks only at the end. */
void rig_stall(uint64_t ns);

/* One access of `width` bytes; all ones where nobody answers. */
uint64_t rig_read(qvm_state_types_t space, uint64_t location, unsigned width);
void rig_write(qvm_state_types_t space, uint64_t location, unsigned width, uint64_t value);

void rig_feed(struct instance *in, const uint8_t *data, size_t length);
void rig_room(struct instance *in, size_t capacity);

/* What the vdev logged, and reported as its status, since the last call. */
const char *rig_log(void);
const char *rig_status(struct instance *in);

#endif
