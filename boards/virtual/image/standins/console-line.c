/*
 * console-line DEVICE PROGRAM [ARGUMENT...]: runs a shell on a terminal of its own behind a serial port, and takes from the port what
 * a serial driver in edited mode takes: of a line longer than its 256 bytes the rest is lost.
 *
 * Linux's own limit is 4096 and cannot be set. It ends when the shell ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum { CANONICAL = 256, PIECE = 256 };

static int port, shell;
static size_t line; /* bytes of the present line */
static char pending[PIECE]; /* what the shell has not taken yet; until it has, nothing more is read from the port */
static size_t begin, length;

static int is_edited(void)
{
    struct termios settings;

    return tcgetattr(shell, &settings) == 0 && settings.c_lflag & ICANON;
}

/* What an edited line keeps of some input, in place: the last byte of the buffer is for the newline. */
static size_t cut(char *data, size_t size)
{
    size_t kept = 0;

    for (size_t at = 0; at < size; at++) {
        if (data[at] == '\n' || data[at] == '\r' || data[at] == '\003')
            line = 0;
        else if (data[at] == '\b' || data[at] == '\177')
            line -= line > 0;
        else if (line < CANONICAL - 1)
            line++;
        else
            continue;
        data[kept++] = data[at];
    }
    return kept;
}

static int from_port(void)
{
    ssize_t got = read(port, pending, sizeof pending);

    begin = 0;
    length = got > 0 ? (size_t)got : 0;
    if (is_edited())
        length = cut(pending, length);
    else
        line = 0;
    return got < 0 && errno != EINTR ? -1 : 0;
}

static int to_shell(void)
{
    ssize_t put = write(shell, pending + begin, length);

    if (put < 0)
        return errno == EINTR || errno == EAGAIN ? 0 : -1;
    begin += (size_t)put;
    length -= (size_t)put;
    return 0;
}

static int from_shell(void)
{
    char data[PIECE];
    ssize_t got = read(shell, data, sizeof data);

    for (ssize_t at = 0, put = 0; at < got; at += put)
        if ((put = write(port, data + at, (size_t)(got - at))) < 0)
            return -1;
    return got > 0 || errno == EINTR || errno == EAGAIN ? 0 : -1;
}

int main(int argc, char *argv[])
{
    struct termios found, raw;

    if (argc < 3 || (port = open(argv[1], O_RDWR | O_NOCTTY)) < 0 || tcgetattr(port, &found) != 0)
        return 1;
    pid_t child = forkpty(&shell, NULL, &found, NULL);
    if (child == 0) {
        execv(argv[2], &argv[3]);
        _exit(127);
    }
    raw = found;
    cfmakeraw(&raw);
    raw.c_cflag |= CLOCAL | CREAD;
    tcsetattr(port, TCSANOW, &raw);
    fcntl(shell, F_SETFL, O_RDWR | O_NONBLOCK);
    for (int status = 0; child > 0 && status == 0;) {
        struct pollfd polls[] = {{.fd = port, .events = (short)(length == 0 ? POLLIN : 0)},
                                 {.fd = shell, .events = (short)(length == 0 ? POLLIN : POLLIN | POLLOUT)}};
        if (poll(polls, 2, -1) < 0)
            break;
        if (polls[1].revents & (POLLIN | POLLHUP | POLLERR))
            status = from_shell();
        if (status == 0 && polls[1].revents & POLLOUT)
            status = to_shell();
        if (status == 0 && polls[0].revents != 0)
            status = from_port();
    }
    tcsetattr(port, TCSANOW, &found);
    waitpid(child, NULL, 0);
    return 0;
}
