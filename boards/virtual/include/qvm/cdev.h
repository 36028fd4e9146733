/*
 * The base of character vdevs (ser8250, pl011, virtio-console): a host device
 * behind an emulated port. The function names are documented, the signatures
 * and everything about line settings are ours.
 *
 * A vdev embeds `struct cdev_state`, puts CDEV_OPTIONS first in its
 * option_list, and passes every control call on to cdev_control(). All
 * functions are thread safe and none blocks.
 */
#ifndef QVM_CDEV_H
#define QVM_CDEV_H

#include <qvm/types.h>

#pragma GCC visibility push(default)

struct vdev_s;
struct cdev_private;

enum cdev_opt {
    CDEV_OPT_HOSTDEV_IDX, /* hostdev [<|>]NAME, `-`: qvm's own stdin and stdout */
    CDEV_OPT_DELAYED_IDX, /* delayed SECONDS|forever */
    CDEV_OPT_BATCH_IDX,   /* batch MICROSECONDS */
    CDEV_OPT_NUM_OPTS,
};
#define CDEV_OPTIONS "hostdev", "delayed", "batch"

struct cdev_state {
    struct cdev_private *cd_private;
};

enum cdev_parity { CDEV_PARITY_NONE, CDEV_PARITY_ODD, CDEV_PARITY_EVEN, CDEV_PARITY_MARK,
                   CDEV_PARITY_SPACE };

/* Line settings as a data sheet gives them. */
struct cdev_line {
    unsigned baud;      /* bit/s, rounded; 0: leave */
    unsigned data_bits; /* 5..8 */
    unsigned stop_bits; /* 1 or 2 */
    enum cdev_parity parity;
};

/* Modem lines, true = asserted. */
#define CDEV_MODEM_DTR 0x1u
#define CDEV_MODEM_RTS 0x2u
#define CDEV_MODEM_CTS 0x4u
#define CDEV_MODEM_DSR 0x8u
#define CDEV_MODEM_RI 0x10u
#define CDEV_MODEM_DCD 0x20u

/* S, in OPTIONS_START. The factory's `pulse` is called with `input_code` when input arrived
 * while the queue was empty, with `output_code` when a full output queue has room again. */
int cdev_setup(struct vdev_s *vdp, struct cdev_state *cdp, int8_t input_code, int8_t output_code);
/* S, R: for every control call of the vdev. EOK, or errno for an option it refuses. */
int cdev_control(struct cdev_state *cdp, unsigned ctrl, const char *arg);

bool cdev_input_available(const struct cdev_state *cdp);
unsigned cdev_input_num_available(const struct cdev_state *cdp);
/* Takes up to `max` bytes; the number taken. */
unsigned cdev_read(struct cdev_state *cdp, void *data, unsigned max);
/* Stop (false) or go on (true) reading the host device. */
void cdev_input_receive(struct cdev_state *cdp, bool enable);

/* EOK or EAGAIN when the queue is full. */
int cdev_write(struct cdev_state *cdp, uint8_t byte);
/* The number taken. */
unsigned cdev_write_buffer(struct cdev_state *cdp, const void *data, unsigned length);
bool cdev_output_full(const struct cdev_state *cdp);
bool cdev_output_empty(const struct cdev_state *cdp);
bool cdev_output_busy(const struct cdev_state *cdp); /* bytes pending and the host takes none */
unsigned cdev_output_num_pending(const struct cdev_state *cdp);

/* Ours: the programmed line reaches a host device that is a serial port. ENOTTY elsewhere. */
int cdev_line_set(struct cdev_state *cdp, const struct cdev_line *line);
int cdev_line_break(struct cdev_state *cdp, bool on);
/* Ours: DTR and RTS out; all inputs. Without a modem on the host side the inputs read as
 * CTS, DSR and DCD asserted (MSR 0xB0). */
int cdev_modem_set(struct cdev_state *cdp, unsigned lines);
unsigned cdev_modem_get(const struct cdev_state *cdp);

#pragma GCC visibility pop

#endif
