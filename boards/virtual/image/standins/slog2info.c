/*
 * slog2info: prints the system log. Each buffer is a file of /dev/shmem/slogger2, one record per line, made by whoever writes first.
 *
 * `-b BUFFER` prints one buffer, `-w` goes on with what is written later; see `use slog2info`.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define BUFFERS "/dev/shmem/slogger2"

enum { MOST = 32 };

static struct buffer {
    char name[256];
    off_t printed;
} buffers[MOST];
static int known;

static struct buffer *buffer_named(const char *name)
{
    for (int n = 0; n < known; n++)
        if (strcmp(buffers[n].name, name) == 0)
            return &buffers[n];
    if (known == MOST)
        return NULL;
    snprintf(buffers[known].name, sizeof buffers[known].name, "%s", name);
    return &buffers[known++];
}

/* Prints the whole lines of a buffer that were not printed yet; -1 when there is no such buffer. */
static int print_new(const char *name)
{
    struct buffer *buffer = buffer_named(name);
    char path[512], *line = NULL;
    size_t size = 0;
    ssize_t length;

    snprintf(path, sizeof path, BUFFERS "/%s", name);
    FILE *file = fopen(path, "re");
    if (file == NULL || buffer == NULL) {
        if (file != NULL)
            fclose(file);
        return -1;
    }
    fseeko(file, buffer->printed, SEEK_SET);
    while ((length = getline(&line, &size, file)) > 0 && line[length - 1] == '\n') {
        fwrite(line, 1, (size_t)length, stdout);
        buffer->printed += length;
    }
    free(line);
    fclose(file);
    fflush(stdout);
    return 0;
}

static int print_all(void)
{
    struct dirent **entries;
    int count = scandir(BUFFERS, &entries, NULL, alphasort);

    for (int n = 0; n < count; n++) {
        if (entries[n]->d_name[0] != '.')
            print_new(entries[n]->d_name);
        free(entries[n]);
    }
    if (count >= 0)
        free(entries);
    return 0;
}

int main(int argc, char *argv[])
{
    char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    const char *only = NULL;
    int option, wait = 0, watch;

    while ((option = getopt(argc, argv, "b:w")) != -1) {
        if (option == 'b')
            only = optarg;
        else if (option == 'w')
            wait = 1;
        else
            return 1;
    }
    watch = inotify_init1(IN_CLOEXEC);
    if (wait && inotify_add_watch(watch, BUFFERS, IN_MODIFY) < 0) {
        fprintf(stderr, "slog2info: " BUFFERS ": %s\n", strerror(errno));
        return 1;
    }
    do {
        if ((only != NULL ? print_new(only) : print_all()) != 0 && !wait) {
            fprintf(stderr, "slog2info: there is no buffer '%s'\n", only);
            return 1;
        }
    } while (wait && read(watch, events, sizeof events) > 0);
    return 0;
}
