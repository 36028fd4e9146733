/*
 * pidin: processes and their threads. `-F FORMAT`, `-P NAME`, `-p PID`, and the shorthands `args` and `info`; see `use pidin`.
 *
 * QNX's columns filled with what Linux knows. A thread's number is its place in the process, from 1; priority 10 is Linux's nice 0.
 */
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include "process.h"

#define DEFAULT_FORMAT "%a %b %28n %p %J %B"
#define ARGUMENTS_FORMAT "%a %A"

enum { PRIORITY = 10 };

struct row {
    int pid, thread;
    char name[NAME_SIZE], thread_name[32], priority[16];
    const char *state;
};

struct column {
    char letter;
    int width; /* negative: to the left */
    const char *title;
};

static const struct column columns[] = {
    {'a', 7, "pid"},      {'b', 3, "tid"},         {'n', -1, "name"},     {'N', -1, "name"},     {'h', -1, "thread name"},
    {'p', 4, "prio"},     {'J', -11, "STATE"},     {'B', -1, "Blocked"},  {'A', -1, "Arguments"}, {'#', 10, "memory"},
};

static const char *state_of(char letter)
{
    switch (letter) {
    case 'R':
        return "RUNNING";
    case 'T':
    case 't':
        return "STOPPED";
    case 'Z':
        return "DEAD";
    default:
        return "REPLY"; /* it waits in the kernel, for whatever */
    }
}

static const struct column *column_of(char letter)
{
    for (size_t n = 0; n < sizeof columns / sizeof *columns; n++)
        if (columns[n].letter == letter)
            return &columns[n];
    return NULL;
}

static const char *arguments_of(int pid, char *text, size_t size)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
    size_t length = process_read(path, text, size);
    for (size_t at = 0; at + 1 < length; at++)
        if (text[at] == '\0')
            text[at] = ' ';
    return text;
}

/* KiB of a process's address space: what a limit on it counts. */
static const char *memory_of(int pid, char *text, size_t size)
{
    char path[64], statm[128];

    snprintf(path, sizeof path, "/proc/%d/statm", pid);
    process_read(path, statm, sizeof statm);
    snprintf(text, size, "%luK", strtoul(statm, NULL, 10) * (unsigned long)sysconf(_SC_PAGESIZE) / 1024);
    return text;
}

static const char *value_of(char letter, const struct row *row, char *text, size_t size)
{
    switch (letter) {
    case 'a':
        snprintf(text, size, "%d", row->pid);
        return text;
    case 'b':
        snprintf(text, size, "%d", row->thread);
        return text;
    case 'n':
    case 'N':
        return row->name;
    case 'h':
        return row->thread_name;
    case 'p':
        return row->priority;
    case 'J':
        return row->state;
    case 'A':
        return arguments_of(row->pid, text, size);
    case '#':
        return memory_of(row->pid, text, size);
    default:
        return "";
    }
}

/* Prints one line; the titles when there is no row. False for a letter that is not known. */
static int print_line(const char *format, const struct row *row)
{
    char text[4096];

    for (const char *at = format; *at != '\0'; at++) {
        if (*at != '%') {
            putchar(*at);
            continue;
        }
        char *letter;
        int width = (int)strtol(at + 1, &letter, 10);
        const struct column *column = column_of(*letter);
        if (*letter == '\0' || column == NULL)
            return 0;
        if (width != 0)
            width = column->width < 0 ? -width : width;
        else
            width = column->width;
        printf("%*s", width, row == NULL ? column->title : value_of(*letter, row, text, sizeof text));
        at = letter;
    }
    putchar('\n');
    return 1;
}

static void print_process(const char *format, int pid, int each_thread)
{
    struct row row = {.pid = pid};
    struct dirent **threads;
    struct stat_line line;
    char path[64], file[96];

    if (!process_name(pid, row.name))
        return;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    int count = process_numbers(path, &threads);
    for (int n = 0; n < count; n++) {
        int id = atoi(threads[n]->d_name);
        free(threads[n]);
        snprintf(file, sizeof file, "%s/%d/stat", path, id);
        if ((n > 0 && !each_thread) || !process_stat(file, &line))
            continue;
        row.thread = n + 1;
        row.state = state_of(line.state);
        snprintf(row.priority, sizeof row.priority, "%dr", PRIORITY - line.nice);
        snprintf(file, sizeof file, "%s/%d/comm", path, id);
        process_read(file, row.thread_name, sizeof row.thread_name);
        row.thread_name[strcspn(row.thread_name, "\n")] = '\0';
        print_line(format, &row);
    }
    if (count > 0)
        free(threads);
}

static int is_wanted(int pid, const char *name, int only)
{
    char found[NAME_SIZE];

    if (only != 0 && pid != only)
        return 0;
    return process_name(pid, found) && (name == NULL || strcmp(name, found) == 0);
}

static int print_info(void)
{
    struct sysinfo memory;

    sysinfo(&memory);
    unsigned long unit = memory.mem_unit;
    printf("CPU:X86_64 Release:8.0.0 FreeMem:%luMB/%luMB\n", memory.freeram * unit >> 20, memory.totalram * unit >> 20);
    return 0;
}

int main(int argc, char *argv[])
{
    const char *format = DEFAULT_FORMAT, *name = NULL;
    struct dirent **processes;
    int option, only = 0, found = 0;

    while ((option = getopt(argc, argv, "F:P:p:")) != -1) {
        if (option == 'F')
            format = optarg;
        else if (option == 'P')
            name = optarg;
        else if (option == 'p')
            only = atoi(optarg);
        else
            return 1;
    }
    if (optind < argc && strcmp(argv[optind], "info") == 0)
        return print_info();
    if (optind < argc && strcmp(argv[optind], "args") == 0) {
        format = ARGUMENTS_FORMAT;
    } else if (optind < argc) {
        fprintf(stderr, "pidin: '%s' is not known here; see `use pidin`\n", argv[optind]);
        return 1;
    }
    if (!print_line(format, NULL)) {
        fprintf(stderr, "\npidin: a letter in the format '%s' is not known here; see `use pidin`\n", format);
        return 1;
    }
    int each_thread = strpbrk(format, "bhJ") != NULL;
    int count = process_numbers("/proc", &processes);
    for (int n = 0; n < count; n++) {
        int pid = atoi(processes[n]->d_name);
        if (is_wanted(pid, name, only)) {
            print_process(format, pid, each_thread);
            found++;
        }
    }
    return found > 0 || (name == NULL && only == 0) ? 0 : 1;
}
