/*
 * Terminals of the host by their ioctls; `struct termios2` has the arbitrary rates that a UART's divisor can ask for.
 *
 * Invariant: the settings found are kept before the first change, and put back when qvm ends, however it ends.
 */
#include "terminal.h"

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <errno.h>
#include <stdatomic.h>
#include <sys/ioctl.h>

#include <qvm/types.h>

/* From <asm/termios.h>, which cannot be had together with <sys/ioctl.h>. */
enum { MODEM_DTR = 0x002, MODEM_RTS = 0x004, MODEM_CTS = 0x020, MODEM_DCD = 0x040, MODEM_RI = 0x080, MODEM_DSR = 0x100 };
enum { SAVED_MAX = 32, DRAIN = 1 };

static struct {
    int file;
    struct termios2 settings;
} saved[SAVED_MAX];
static atomic_int saved_count;

bool terminal_is(int file)
{
    struct termios2 settings;

    return ioctl(file, TCGETS2, &settings) == 0;
}

void terminal_make_raw(int file, bool for_people)
{
    struct termios2 settings;
    int n = atomic_load(&saved_count);

    if (ioctl(file, TCGETS2, &settings) != 0)
        return;
    if (n < SAVED_MAX) {
        saved[n].file = file;
        saved[n].settings = settings;
        atomic_store(&saved_count, n + 1);
    }
    settings.c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON | IXOFF | INPCK);
    settings.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | IEXTEN);
    settings.c_cc[VMIN] = 1;
    settings.c_cc[VTIME] = 0;
    if (!for_people) {
        settings.c_oflag &= ~(tcflag_t)OPOST;
        settings.c_lflag &= ~(tcflag_t)ISIG;
        settings.c_iflag |= IGNBRK;
        settings.c_cflag &= ~(tcflag_t)CRTSCTS;
        settings.c_cflag |= CLOCAL | CREAD;
    }
    ioctl(file, TCSETS2, &settings);
}

void terminals_restore(void)
{
    for (int n = atomic_exchange(&saved_count, 0); n-- > 0;)
        ioctl(saved[n].file, TCSETS2, &saved[n].settings);
}

static tcflag_t parity_flags(enum cdev_parity parity)
{
    switch (parity) {
    case CDEV_PARITY_ODD:
        return PARENB | PARODD;
    case CDEV_PARITY_EVEN:
        return PARENB;
    case CDEV_PARITY_MARK:
        return PARENB | PARODD | CMSPAR;
    case CDEV_PARITY_SPACE:
        return PARENB | CMSPAR;
    default:
        return 0;
    }
}

int terminal_set_line(int file, const struct cdev_line *line)
{
    static const tcflag_t sizes[] = {CS5, CS6, CS7, CS8};
    struct termios2 settings;

    if (line->data_bits < 5 || line->data_bits > 8)
        return EINVAL;
    if (ioctl(file, TCGETS2, &settings) != 0)
        return errno;
    settings.c_cflag &= ~(tcflag_t)(CSIZE | CSTOPB | PARENB | PARODD | CMSPAR);
    settings.c_cflag |= sizes[line->data_bits - 5] | (line->stop_bits == 2 ? CSTOPB : 0) | parity_flags(line->parity);
    if (line->baud != 0) {
        settings.c_cflag &= ~(tcflag_t)(CBAUD | CBAUD << IBSHIFT);
        settings.c_cflag |= BOTHER;
        settings.c_ospeed = settings.c_ispeed = line->baud;
    }
    return ioctl(file, TCSETS2, &settings) == 0 ? EOK : errno;
}

int terminal_set_break(int file, bool on)
{
    return ioctl(file, on ? TIOCSBRK : TIOCCBRK, 0) == 0 ? EOK : errno;
}

int terminal_set_modem(int file, unsigned lines)
{
    int on = (lines & CDEV_MODEM_DTR ? MODEM_DTR : 0) | (lines & CDEV_MODEM_RTS ? MODEM_RTS : 0);
    int off = (MODEM_DTR | MODEM_RTS) & ~on;

    if (ioctl(file, TIOCMBIS, &on) != 0 || ioctl(file, TIOCMBIC, &off) != 0)
        return errno;
    return EOK;
}

int terminal_get_modem(int file, unsigned *lines)
{
    int bits;

    if (ioctl(file, TIOCMGET, &bits) != 0)
        return errno;
    *lines = (bits & MODEM_DTR ? CDEV_MODEM_DTR : 0u) | (bits & MODEM_RTS ? CDEV_MODEM_RTS : 0u) |
             (bits & MODEM_CTS ? CDEV_MODEM_CTS : 0u) | (bits & MODEM_DSR ? CDEV_MODEM_DSR : 0u) |
             (bits & MODEM_RI ? CDEV_MODEM_RI : 0u) | (bits & MODEM_DCD ? CDEV_MODEM_DCD : 0u);
    return EOK;
}

void terminal_drain(int file)
{
    ioctl(file, TCSBRK, DRAIN);
}
