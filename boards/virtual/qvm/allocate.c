/*
 * Memory of the qvm process itself, and whole files read into it.
 */
#include "allocate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "diagnostics.h"

static void *checked(void *memory)
{
    if (memory == NULL)
        start_error(NULL, "out of memory");
    return memory;
}

void *allocate(size_t size)
{
    return checked(calloc(1, size));
}

void *grow(void *array, size_t count, size_t size)
{
    return checked(reallocarray(array, count, size));
}

char *copy_text(const char *text, size_t length)
{
    char *copy = checked(malloc(length + 1));

    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

void release(void *memory)
{
    free(memory);
}

const char *read_file_error(void)
{
    return errno == EINVAL ? "it is no regular file" : strerror(errno);
}

char *read_file(const char *path, size_t *size)
{
    struct stat status;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    char *content = NULL;
    size_t length = 0;
    ssize_t got = 0;

    if (file < 0)
        return NULL;
    if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) {
        close(file);
        errno = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
        return NULL;
    }
    content = allocate((size_t)status.st_size + 1);
    while (length < (size_t)status.st_size) {
        got = read(file, content + length, (size_t)status.st_size - length);
        if (got <= 0)
            break;
        length += (size_t)got;
    }
    int error = errno;
    close(file);
    if (got < 0) {
        free(content);
        errno = error;
        return NULL;
    }
    *size = length;
    return content;
}
