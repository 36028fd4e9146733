/*
 * The master's side of a pty on the board's host: `pty_watch NAME [ANSWER]` makes the link NAME to the slave, sends ANSWER once
 * something came, prints what each read() gave on a line of its own, and ends when the slave was closed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    char data[512];
    int master = posix_openpt(2 /* O_RDWR */);
    ssize_t length;

    if (argc < 2 || master < 0 || grantpt(master) != 0 || unlockpt(master) != 0 || symlink(ptsname(master), argv[1]) != 0)
        return 1;
    for (int reads = 0; (length = read(master, data, sizeof data)) > 0 || (errno == EIO && reads == 0);) {
        if (length <= 0) {
            usleep(1000); /* nobody has opened the slave yet; there is nothing to wait on for that */
            continue;
        }
        printf("%.*s\n", (int)length, data);
        fflush(stdout);
        if (reads++ == 0 && argc > 2 && write(master, argv[2], strlen(argv[2])) < 0)
            return 1;
    }
    return 0;
}
