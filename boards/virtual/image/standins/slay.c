/*
 * slay: sends a signal (SIGTERM) to every process of a name, or to one by its number; see `use slay`.
 *
 * The exit status is how many got it. `slay qvm` ends every VM: whoever means one uses its number.
 */
#include <signal.h>

#include "process.h"

/* A signal by number or name, with or without SIG; 0 when there is none such. */
static int signal_of(const char *text)
{
    if (text[strspn(text, "0123456789")] == '\0')
        return atoi(text);
    if (strncmp(text, "SIG", 3) == 0)
        text += 3;
    for (int number = 1; number < 32; number++)
        if (strcmp(text, sigabbrev_np(number)) == 0)
            return number;
    return 0;
}

/* Signals what `target` names, never this process; how many. */
static int slay(const char *target, int number)
{
    struct dirent **processes;
    char name[NAME_SIZE];
    int slain = 0, count = process_numbers("/proc", &processes);

    for (int n = 0; n < count; n++) {
        int pid = atoi(processes[n]->d_name);
        if (pid == getpid() || !process_name(pid, name))
            continue;
        if ((strcmp(target, name) == 0 || strcmp(target, processes[n]->d_name) == 0) && kill(pid, number) == 0)
            slain++;
    }
    return slain;
}

int main(int argc, char *argv[])
{
    int option, number = SIGTERM, slain = 0;

    while ((option = getopt(argc, argv, "fs:")) != -1) {
        if (option == 's' && (number = signal_of(optarg)) == 0) {
            fprintf(stderr, "slay: '%s' is no signal\n", optarg);
            return 0;
        }
        if (option == '?')
            return 0;
    }
    for (; optind < argc; optind++) {
        int hit = slay(argv[optind], number);
        if (hit == 0)
            fprintf(stderr, "slay: unable to find process '%s'\n", argv[optind]);
        slain += hit;
    }
    return slain;
}
