/*
 * on: runs a command on a terminal, with a priority, on some processors, under limits, or detached; see `use on`.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PRIORITY = 10, HIGHEST = 255, QNX_RLIMIT_AS = 6 };

static int refuse(const char *what, const char *value)
{
    fprintf(stderr, "on: %s '%s': %s\n", what, value, errno != 0 ? strerror(errno) : "not known here; see `use on`");
    return 1;
}

/* QNX's 10 is Linux's nice 0; a scheduling policy behind the number is read and has no effect. */
static int set_priority(const char *text)
{
    char *policy;
    long priority = strtol(text, &policy, 10);

    errno = 0;
    if (priority < 1 || priority > HIGHEST || strlen(policy) > 1 || (*policy != '\0' && strchr("rfos", *policy) == NULL))
        return refuse("priority", text);
    return setpriority(PRIO_PROCESS, 0, (int)(PRIORITY - priority)) == 0 ? 0 : refuse("priority", text);
}

static int set_runmask(const char *text)
{
    char *end;
    unsigned long mask = strtoul(text, &end, 0);
    cpu_set_t processors;

    errno = 0;
    CPU_ZERO(&processors);
    for (unsigned bit = 0; bit < 8 * sizeof mask; bit++)
        if (mask >> bit & 1)
            CPU_SET(bit, &processors);
    if (*end != '\0' || mask == 0)
        return refuse("runmask", text);
    return sched_setaffinity(0, sizeof processors, &processors) == 0 ? 0 : refuse("runmask", text);
}

/* RESOURCE:SOFT[:HARD] by QNX's number of the resource. */
static int set_limit(const char *text)
{
    struct rlimit limit;
    unsigned resource;
    unsigned long long soft, hard;
    int fields = sscanf(text, "%u:%llu:%llu", &resource, &soft, &hard);

    errno = 0;
    if (fields < 2 || resource != QNX_RLIMIT_AS)
        return refuse("limit", text);
    limit.rlim_cur = soft;
    limit.rlim_max = fields == 3 ? hard : soft;
    return setrlimit(RLIMIT_AS, &limit) == 0 ? 0 : refuse("limit", text);
}

static int use_terminal(const char *path)
{
    int terminal;

    errno = 0;
    setsid();
    if ((terminal = open(path, O_RDWR)) < 0)
        return refuse("terminal", path);
    ioctl(terminal, TIOCSCTTY, 0);
    for (int fd = 0; fd <= 2; fd++)
        dup2(terminal, fd);
    if (terminal > 2)
        close(terminal);
    return 0;
}

int main(int argc, char *argv[])
{
    const char *terminal = NULL;
    int option, detached = 0, status = 0;

    while (status == 0 && (option = getopt(argc, argv, "+p:R:L:t:d")) != -1) {
        if (option == 'p')
            status = set_priority(optarg);
        else if (option == 'R')
            status = set_runmask(optarg);
        else if (option == 'L')
            status = set_limit(optarg);
        else if (option == 't')
            terminal = optarg;
        else if (option == 'd')
            detached = 1;
        else
            status = 1;
    }
    if (status != 0)
        return status;
    if (optind == argc) {
        fprintf(stderr, "on: no command; see `use on`\n");
        return 1;
    }
    pid_t child = fork();
    if (child == 0) {
        if (detached)
            setsid();
        if (terminal != NULL && use_terminal(terminal) != 0)
            _exit(1);
        execvp(argv[optind], &argv[optind]);
        fprintf(stderr, "on: %s: %s\n", argv[optind], strerror(errno));
        _exit(127);
    }
    if (child < 0 || detached)
        return child < 0;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
