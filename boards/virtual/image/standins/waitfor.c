/*
 * waitfor PATH [SECONDS]: waits until there is something at a path, 5 seconds unless told otherwise; see `use waitfor`.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_SECONDS "5"

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

int main(int argc, char *argv[])
{
    const struct timespec pause = {.tv_nsec = 50 * 1000 * 1000}; /* a path may appear in any file system: none tells of all */
    double end;

    if (argc < 2 || argc > 3) {
        fprintf(stderr, "waitfor: PATH and at most a number of seconds; see `use waitfor`\n");
        return 1;
    }
    end = now() + strtod(argc == 3 ? argv[2] : DEFAULT_SECONDS, NULL);
    while (access(argv[1], F_OK) != 0) {
        if (now() >= end) {
            fprintf(stderr, "waitfor: unable to access '%s'\n", argv[1]);
            return 1;
        }
        nanosleep(&pause, NULL);
    }
    return 0;
}
