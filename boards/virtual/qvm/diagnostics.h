/*
 * What qvm says about itself and about its configuration, and the ends that follow from it.
 */
#ifndef QVM_DIAGNOSTICS_H
#define QVM_DIAGNOSTICS_H

#include <stdarg.h>
#include <stdio.h>

#include <qvm/log.h>

#include "token.h"

enum {
    STATUS_FATAL_BEFORE_START = 64,
    STATUS_CONFIGURATION = 65,
    STATUS_FATAL_AFTER_START = 96,
};

/* `[FILE:LINE] text` on standard error, whatever the loggers say; then exit status 65 or 64. `place` may be NULL. */
void configuration_error(const struct place *place, const char *fmt, ...)
    __attribute__((format(printf, 2, 3), noreturn));
void start_error(const struct place *place, const char *fmt, ...) __attribute__((format(printf, 2, 3), noreturn));
/* Once the guest runs: text on standard error; the VM ends with `status`. Returns; the caller stops what it does. */
void run_error(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A line of qvm's own through the loggers. */
void qvm_log(enum qvm_log_severity severity, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* --- Loggers: a set of severities and where they go ---------------------- */

enum log_destination { LOG_TO_STDOUT, LOG_TO_STDERR, LOG_TO_SLOG, LOG_TO_NONE };

struct log_rule {
    unsigned severities; /* bit n: enum qvm_log_severity n */
    enum log_destination destination;
};

struct log_rules {
    struct log_rule *rules;
    size_t count;
};

/* The VM's `logger` lines; the first one replaces the default. */
extern struct log_rules vm_log_rules;

/* Adds what the two arguments of `option`, FILTER[,FILTER...] and DESTINATION, say; a wrong word ends qvm. */
void log_rules_add(struct log_rules *rules, const char *option, const char *const *arguments, const struct place *place);

/* Text that a VDEV_CTRL_STATUS callback gives to qvm_report(): logged line by line at info level as the vdev's. */
void report_to(FILE *text); /* not logged but written there, with the vdev's name; NULL: logged */
void report_begin(const struct vdev_s *vdp);
void report_end(void);

#endif
