/*
 * The host's system log.
 */
#ifndef QVM_SLOG_H
#define QVM_SLOG_H

#include <stddef.h>

/* Adds a record: `line` has `length` bytes with its line break. A host without a log loses it. */
void slog(const char *severity, const char *line, size_t length);

#endif
