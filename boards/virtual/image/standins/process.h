/*
 * Processes of this host as QNX's tools name them: by the last part of the program's name.
 */
#ifndef PROCESS_H
#define PROCESS_H

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAME_SIZE = 128, KERNEL_THREAD = 0x00200000 /* stat's flags: a part of the Linux kernel, which QNX has no process for */ };

struct stat_line {
    char state;
    unsigned long flags;
    int nice;
};

/* Reads at most `size` - 1 bytes of a file under /proc; their number, 0 when it is not there. */
static inline size_t process_read(const char *path, char *text, size_t size)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? -1 : read(file, text, size - 1);

    if (file >= 0)
        close(file);
    text[length > 0 ? length : 0] = '\0';
    return length > 0 ? (size_t)length : 0;
}

/* State, flags and nice value from a `stat` file of /proc (proc(5), fields 3, 9 and 19); whether it was there. */
static inline int process_stat(const char *path, struct stat_line *line)
{
    char text[1024];
    const char *rest;

    if (process_read(path, text, sizeof text) == 0 || (rest = strrchr(text, ')')) == NULL)
        return 0;
    return sscanf(rest + 1, " %c %*d %*d %*d %*d %*d %lu %*u %*u %*u %*u %*u %*u %*d %*d %*d %d", &line->state, &line->flags,
                  &line->nice) == 3;
}

/* The name of a process without directories; whether there is such a process. */
static inline int process_name(int pid, char name[NAME_SIZE])
{
    char path[64], text[512];
    struct stat_line line;

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if (!process_stat(path, &line) || line.flags & KERNEL_THREAD)
        return 0;
    snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
    if (process_read(path, text, sizeof text) == 0) { /* it ended, and nobody has waited for it yet */
        snprintf(path, sizeof path, "/proc/%d/comm", pid);
        text[0] = '\0';
        process_read(path, text, sizeof text);
        text[strcspn(text, "\n")] = '\0';
    }
    text[strcspn(text, " ")] = '\0'; /* sshd writes its state behind its name */
    const char *last = strrchr(text, '/');
    snprintf(name, NAME_SIZE, "%s", last != NULL ? last + 1 : text + (text[0] == '-'));
    name[strcspn(name, ":")] = '\0';
    return 1;
}

static inline int process_is_number(const struct dirent *entry)
{
    return entry->d_name[strspn(entry->d_name, "0123456789")] == '\0';
}

static inline int process_order(const struct dirent **a, const struct dirent **b)
{
    return atoi((*a)->d_name) - atoi((*b)->d_name);
}

/* The numbered entries of a directory of /proc in ascending order; how many. */
static inline int process_numbers(const char *directory, struct dirent ***entries)
{
    int count = scandir(directory, entries, process_is_number, process_order);

    return count < 0 ? 0 : count;
}

#endif
