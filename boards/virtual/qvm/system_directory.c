/*
 * The directory that says a VM is there, and what it is. Its file `pid` is locked as long as the VM lives, so a directory that a killed
 * qvm left behind is known by a file without a lock, and is taken over.
 */
#include "system_directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "allocate.h"
#include "diagnostics.h"
#include "environment.h"
#include "vdev.h"

#define SYSTEMS "/dev/qvm"

enum { ENTRIES_MAX = 256 };

static char directory[256], pid_file[sizeof directory + 4], next_file[sizeof directory + 6];
static volatile bool made;

/* The other entries, to be removed with the directory. A file is complete before it has its name. */
static const char *const own_entries[] = {"pid", "state", "env"};
static char *entries[ENTRIES_MAX];
static volatile size_t entry_count;

static void make(const char *path)
{
    if (mkdir(path, 0755) != 0 && errno != EEXIST)
        start_error(NULL, "Unable to make '%s': %s", path, strerror(errno));
}

static void refuse_busy(int file, const char *name)
{
    char pid[16] = "";
    ssize_t length = pread(file, pid, sizeof pid - 1, 0);

    start_error(NULL, "a VM with the name %s is running already (pid %ld); end it, or take another name", name,
                length > 0 ? strtol(pid, NULL, 10) : 0);
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

/* --- The other entries ---------------------------------------------------- */

bool system_directory_own(const char *entry)
{
    for (size_t n = 0; n < sizeof own_entries / sizeof *own_entries; n++)
        if (strcmp(own_entries[n], entry) == 0)
            return true;
    return false;
}

/* Makes `entry` anew under another name, for entry_done(). */
static int entry_begin(void)
{
    int file = open(next_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0444);

    if (file < 0)
        start_error(NULL, "Unable to open '%s': %s", next_file, strerror(errno));
    return file;
}

static void entry_done(int file, const char *entry)
{
    char *path;
    bool known = false;

    close(file);
    if (asprintf(&path, "%s/%s", directory, entry) < 0 || entry_count == ENTRIES_MAX)
        start_error(NULL, "no room for %s in '%s': at most %d vdevs have a name", entry, directory, ENTRIES_MAX);
    for (size_t n = 0; n < entry_count; n++)
        known = known || strcmp(entries[n], path) == 0;
    if (!known) {
        entries[entry_count] = path;
        entry_count++;
    }
    if (rename(next_file, path) != 0)
        start_error(NULL, "Unable to make '%s': %s", path, strerror(errno));
    if (known)
        release(path);
}

/* What a killed qvm left. */
static void clear(void)
{
    DIR *list = opendir(directory);

    for (const struct dirent *entry; list != NULL && (entry = readdir(list)) != NULL;)
        if (strcmp(entry->d_name, "pid") != 0)
            unlinkat(dirfd(list), entry->d_name, 0);
    if (list != NULL)
        closedir(list);
}

static void add_vdevs(void)
{
    for (const vdev_t *vdp = vdev_next(NULL); vdp != NULL; vdp = vdev_next(vdp)) {
        if (!vdev_is_named(vdp))
            continue;
        int file = entry_begin();
        environment_write_vdev(file, vdp);
        entry_done(file, vdev_name(vdp));
    }
}

void system_directory_state(const char *state)
{
    int file = entry_begin();

    dprintf(file, "%s\n", state);
    entry_done(file, "state");
}

void system_directory_make(const char *name)
{
    int file;

    snprintf(directory, sizeof directory, SYSTEMS "/%s", name);
    snprintf(pid_file, sizeof pid_file, "%s/pid", directory);
    snprintf(next_file, sizeof next_file, "%s/.next", directory); /* no name of a vdev begins with a dot */
    make(SYSTEMS);
    do {
        make(directory);
        file = lock_pid_file(name);
    } while (file < 0);
    made = true;
    if (ftruncate(file, 0) != 0 || dprintf(file, "%ld\n", (long)getpid()) < 0)
        start_error(NULL, "Unable to write '%s': %s", pid_file, strerror(errno));
    /* The file stays open, and with it the lock, until the process is gone. */
    clear();
    system_directory_state("starting");
    file = entry_begin();
    environment_write(file);
    entry_done(file, "env");
    add_vdevs();
}

void system_directory_remove(void)
{
    if (!made)
        return;
    made = false;
    for (size_t n = 0; n < entry_count; n++)
        unlink(entries[n]);
    unlink(next_file);
    unlink(pid_file);
    rmdir(directory);
}
