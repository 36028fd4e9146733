/*
 * The directory that says a VM is there. Its file `pid` is locked as long as the VM lives, so a directory that a killed
 * qvm left behind is known by a file without a lock, and is taken over.
 */
#include "system_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "diagnostics.h"

#define SYSTEMS "/dev/qvm"

static char directory[256], pid_file[sizeof directory + 4];
static volatile bool made;

static void make(const char *path)
{
    if (mkdir(path, 0755) != 0 && errno != EEXIST)
        start_error(NULL, "Unable to make '%s': %s", path, strerror(errno));
}

static void refuse_busy(int file, const char *name)
{
    char pid[16] = "";
    ssize_t length = pread(file, pid, sizeof pid - 1, 0);

    start_error(NULL, "a VM with the name %s is running already (pid %ld)", name, length > 0 ? strtol(pid, NULL, 10) : 0);
}

/* The locked file, or -1 when its former owner removed it between our two steps. */
static int lock_pid_file(const char *name)
{
    struct stat ours, there;
    int file = open(pid_file, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

    if (file < 0 && errno == ENOENT)
        return -1;
    if (file < 0)
        start_error(NULL, "Unable to open '%s': %s", pid_file, strerror(errno));
    if (flock(file, LOCK_EX | LOCK_NB) != 0)
        refuse_busy(file, name);
    if (fstat(file, &ours) == 0 && stat(pid_file, &there) == 0 && ours.st_ino == there.st_ino)
        return file;
    close(file);
    return -1;
}

void system_directory_make(const char *name)
{
    int file;

    snprintf(directory, sizeof directory, SYSTEMS "/%s", name);
    snprintf(pid_file, sizeof pid_file, "%s/pid", directory);
    make(SYSTEMS);
    do {
        make(directory);
        file = lock_pid_file(name);
    } while (file < 0);
    made = true;
    if (ftruncate(file, 0) != 0 || dprintf(file, "%ld\n", (long)getpid()) < 0)
        start_error(NULL, "Unable to write '%s': %s", pid_file, strerror(errno));
    /* The file stays open, and with it the lock, until the process is gone. */
}

void system_directory_remove(void)
{
    if (!made)
        return;
    made = false;
    unlink(pid_file);
    rmdir(directory);
}
