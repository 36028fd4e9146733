/*
 * devc-pty: pairs of terminals, /dev/ptypN and /dev/ttypN, what goes into one coming out of the other.
 *
 * Linux names only one end of its own pty pairs, so two pairs stand back to back and this process carries the bytes. Nothing is lost while
 * one side is not read: the other side's bytes wait in its own queue. Both ends are raw, where QNX's slave is a terminal that edits.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

enum { PAIRS = 4, ENDS = 2, PIECE = 512 };

struct end {
    int ours;   /* the side of the Linux pty that has no name */
    int theirs; /* kept open, or the other side would see a hang-up whenever nobody has it open */
    char waiting[PIECE];
    size_t begin, length;
};

static struct end ends[PAIRS][ENDS];

static int fail(const char *what)
{
    perror(what);
    return 1;
}

static int open_end(struct end *end, const char *name)
{
    struct termios settings;
    const char *node;

    end->ours = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (end->ours < 0 || grantpt(end->ours) != 0 || unlockpt(end->ours) != 0 || (node = ptsname(end->ours)) == NULL)
        return fail("devc-pty");
    end->theirs = open(node, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (end->theirs < 0 || tcgetattr(end->theirs, &settings) != 0)
        return fail(node);
    cfmakeraw(&settings);
    tcsetattr(end->theirs, TCSANOW, &settings);
    unlink(name);
    return symlink(node, name) == 0 ? 0 : fail(name);
}

/* Moves what it can from one end to the other; a piece that the other does not take waits. */
static void carry(struct end *from, struct end *to)
{
    if (from->length == 0) {
        ssize_t got = read(from->ours, from->waiting, sizeof from->waiting);
        from->begin = 0;
        from->length = got > 0 ? (size_t)got : 0;
    }
    if (from->length > 0) {
        ssize_t put = write(to->ours, from->waiting + from->begin, from->length);
        if (put > 0) {
            from->begin += (size_t)put;
            from->length -= (size_t)put;
        }
    }
}

int main(void)
{
    static const char *const kinds[ENDS] = {"ptyp", "ttyp"};
    struct pollfd polls[PAIRS * ENDS];
    char name[32];

    for (int pair = 0; pair < PAIRS; pair++)
        for (int side = 0; side < ENDS; side++) {
            snprintf(name, sizeof name, "/dev/%s%d", kinds[side], pair);
            if (open_end(&ends[pair][side], name) != 0)
                return 1;
        }
    for (;;) {
        for (int n = 0; n < PAIRS * ENDS; n++) {
            struct end *this = &ends[n / ENDS][n % ENDS], *other = &ends[n / ENDS][1 - n % ENDS];
            polls[n].fd = this->ours;
            polls[n].events = (short)((this->length == 0 ? POLLIN : 0) | (other->length > 0 ? POLLOUT : 0));
        }
        if (poll(polls, PAIRS * ENDS, -1) < 0)
            return fail("devc-pty");
        for (int n = 0; n < PAIRS * ENDS; n++) {
            struct end *this = &ends[n / ENDS][n % ENDS], *other = &ends[n / ENDS][1 - n % ENDS];
            if (polls[n].revents & POLLIN)
                carry(this, other);
            if (polls[n].revents & POLLOUT)
                carry(other, this);
        }
    }
}
