/*
 * Invariant: whatever becomes of a dump, the guest goes on; a file that is not complete does not stay.
 */
#include "dump.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "allocate.h"
#include "core_file.h"
#include "diagnostics.h"
#include "run.h"
#include "thread.h"
#include "vcpu.h"
#include "vm.h"

enum { NAMES_MAX = 10 }; /* the plain one, and -1 to -9 */

static const char *directory, *command;

extern char **environ;

void dump_set(const char *destination, const struct place *place)
{
    struct stat status;

    directory = command = NULL;
    if (destination[0] == '|') {
        command = destination + 1;
        if (command[strspn(command, " \t\n")] == '\0')
            configuration_error(place, "dump \"%s\": a command was expected behind the bar", destination);
        return;
    }
    directory = destination;
    if (stat(directory, &status) != 0 || !S_ISDIR(status.st_mode) || access(directory, W_OK | X_OK) != 0)
        configuration_error(place, "dump %s: that is no directory to write to; make it", destination);
}

/* --- To a file ------------------------------------------------------------ */

/* SYSTEM-YYYYMMDD-hhmmss.gcore, local time. The file, or -1 with errno. */
static int open_file(char *path, size_t size)
{
    char when[32];
    struct tm date;
    time_t now = time(NULL);
    int file = -1;

    strftime(when, sizeof when, "%Y%m%d-%H%M%S", localtime_r(&now, &date));
    errno = EEXIST;
    for (int n = 0; n < NAMES_MAX && file < 0 && errno == EEXIST; n++) {
        if (n == 0)
            snprintf(path, size, "%s/%s-%s.gcore", directory, vm.name, when);
        else
            snprintf(path, size, "%s/%s-%s-%d.gcore", directory, vm.name, when, n);
        file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    }
    return file;
}

static void write_file(const char *report)
{
    char path[4096];
    int file = open_file(path, sizeof path), error = file < 0 ? errno : core_file_write(file, true, report);

    if (file >= 0 && close(file) != 0 && error == 0)
        error = errno;
    if (error == 0) {
        qvm_log(QLV_INFO, "dump written to '%s'", path);
        return;
    }
    if (file >= 0)
        unlink(path);
    qvm_log(QLV_ERROR, "no dump, '%s': %s", path, strerror(error));
}

/* --- To a command --------------------------------------------------------- */

static void *await_command(void *arg)
{
    pid_t child = *(pid_t *)arg;
    int status = 0;

    release(arg);
    if (waitpid(child, &status, 0) == child && status != 0)
        qvm_log(QLV_ERROR, "the command of the dump ended with %s %d", WIFEXITED(status) ? "status" : "signal",
                WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    else
        qvm_log(QLV_INFO, "dump given to the command");
    return NULL;
}

/* Runs the command with `input` as its standard input and the signals as qvm found them. 0 or errno. */
static int spawn(int input, pid_t *child)
{
    char *const arguments[] = {"sh", "-c", (char *)(uintptr_t)command, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    int error = posix_spawn(child, "/bin/sh", &actions, &attributes, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return error;
}

static void write_command(const char *report)
{
    pid_t *child = allocate(sizeof *child);
    pthread_t waiting;
    int ends[2], error;

    if (pipe2(ends, O_CLOEXEC) != 0 || (error = spawn(ends[0], child)) != 0) {
        qvm_log(QLV_ERROR, "no dump: the command '%s' cannot be run", command);
        release(child);
        return;
    }
    close(ends[0]);
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    error = core_file_write(ends[1], false, report);
    close(ends[1]);
    if (error != 0)
        qvm_log(QLV_ERROR, "no dump: the command '%s' does not take it: %s", command, strerror(error));
    if (thread_create(&waiting, "dump", await_command, child) == 0)
        pthread_detach(waiting);
}

void dump_write(void)
{
    char *report = NULL;
    size_t size = 0;

    if (directory == NULL && command == NULL) {
        qvm_log(QLV_WARN, "no dump: the configuration does not say where; add dump DIRECTORY");
        return;
    }
    FILE *text = open_memstream(&report, &size);
    if (text == NULL)
        return;
    run_report(text);
    fclose(text);
    vcpus_pause();
    if (command != NULL)
        write_command(report);
    else
        write_file(report);
    vcpus_resume();
    release(report);
}
