/*
 * The log is a text file that `slog2info` on the virtual host shows: one record a line, made by whoever writes first.
 *
 * Invariant: each record is one write to a file opened for appending, so records of several processes never mix.
 */
#include "slog.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DIRECTORY "/dev/shmem/slogger2"

enum { RECORD_LENGTH = 1200 };

void slog(const char *severity, const char *line, size_t length)
{
    char when[32], record[RECORD_LENGTH];
    struct timespec now;
    struct tm date;

    if (mkdir(DIRECTORY, 0755) != 0 && access(DIRECTORY, W_OK) != 0)
        return;
    int file = open(DIRECTORY "/qvm", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (file < 0)
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    strftime(when, sizeof when, "%b %d %H:%M:%S", localtime_r(&now.tv_sec, &date));
    int size = snprintf(record, sizeof record, "%s.%03ld qvm.%ld %s %.*s", when, now.tv_nsec / 1000000, (long)getpid(), severity,
                        (int)length, line);
    if (write(file, record, size < RECORD_LENGTH ? (size_t)size : sizeof record) < 0)
        record[0] = '\0'; /* the memory behind the log is full: the record is lost */
    close(file);
}
