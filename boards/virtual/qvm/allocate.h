/*
 * Memory of the qvm process itself: a failure ends qvm with exit status 64, so no caller checks.
 */
#ifndef QVM_ALLOCATE_H
#define QVM_ALLOCATE_H

#include <stddef.h>

void *allocate(size_t size);                            /* zeroed */
void *grow(void *array, size_t count, size_t size);     /* realloc() for `count` members */
char *copy_text(const char *text, size_t length);
void release(void *memory);

/* The content of a file with a zero byte behind it; NULL with errno when it cannot be read, which read_file_error() puts in words. */
char *read_file(const char *path, size_t *size);
const char *read_file_error(void);

#endif
