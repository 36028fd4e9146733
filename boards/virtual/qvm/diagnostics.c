/*
 * Loggers, `[FILE:LINE]` diagnostics, and the API's logging calls.
 *
 * Invariant: each message is one write, so messages of several threads never mix within a line.
 */
#include "diagnostics.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <qvm/vdev-core.h>

#include "allocate.h"
#include "end.h"
#include "running.h"
#include "slog.h"
#include "stage.h"
#include "vdev.h"

enum { LINE_LENGTH = 1024 };

static const char *const severity_names[] = {"fatal", "internal", "error", "warn", "info", "debug", "verbose"};

static const struct log_rule default_rule = {
    1u << QLV_FATAL | 1u << QLV_INTERNAL | 1u << QLV_ERROR | 1u << QLV_WARN | 1u << QLV_INFO, LOG_TO_STDERR};

struct log_rules vm_log_rules;

static _Thread_local const struct vdev_s *reporting;
static _Thread_local char report_line[LINE_LENGTH];
static _Thread_local FILE *report_text;

/* --- Rules --------------------------------------------------------------- */

static unsigned severity_bit(const char *word, size_t length)
{
    for (unsigned n = 0; n < sizeof severity_names / sizeof *severity_names; n++)
        if (strlen(severity_names[n]) == length && memcmp(word, severity_names[n], length) == 0)
            return 1u << n;
    return length == 7 && memcmp(word, "warning", 7) == 0 ? 1u << QLV_WARN : 0; /* the spelling of the `log` option */
}

void log_rules_add(struct log_rules *rules, const char *option, const char *const *arguments, const struct place *place)
{
    static const char *const destinations[] = {"stdout", "stderr", "slog", "none"};
    struct log_rule rule = {0, LOG_TO_NONE};
    size_t to = 0;

    for (const char *word = arguments[0];; word += 1) {
        size_t length = strcspn(word, ",");
        unsigned bit = severity_bit(word, length);
        if (bit == 0)
            configuration_error(place, "%s: '%.*s' is no severity; there are fatal, internal, error, warn, info, debug and verbose",
                                option, (int)length, word);
        rule.severities |= bit;
        word += length;
        if (*word == '\0')
            break;
    }
    while (to < 4 && strcmp(arguments[1], destinations[to]) != 0)
        to++;
    if (to == 4)
        configuration_error(place, "%s: '%s' is no destination; there are stdout, stderr, slog and none", option, arguments[1]);
    rule.destination = (enum log_destination)to;
    rules->rules = grow(rules->rules, rules->count + 1, sizeof rule);
    rules->rules[rules->count++] = rule;
}

/* --- Lines --------------------------------------------------------------- */

static void put(enum log_destination destination, enum qvm_log_severity severity, const char *line, size_t length)
{
    if (destination == LOG_TO_NONE)
        return;
    if (destination == LOG_TO_SLOG)
        slog(severity_names[severity], line, length);
    else if (write(destination == LOG_TO_STDOUT ? STDOUT_FILENO : STDERR_FILENO, line, length) < 0)
        return; /* nobody listens there any more */
}

/* Internal errors go to slog in any case, so no rule needs to send them there. */
static void put_once(enum log_destination destination, enum qvm_log_severity severity, const char *line, size_t length)
{
    if (destination != LOG_TO_SLOG || severity != QLV_INTERNAL)
        put(destination, severity, line, length);
}

static void put_by_rules(const struct log_rules *own, enum qvm_log_severity severity, const char *line, size_t length)
{
    unsigned bit = 1u << severity;

    if (severity == QLV_INTERNAL)
        put(LOG_TO_SLOG, severity, line, length);
    for (size_t n = own != NULL ? own->count : 0; n-- > 0;) /* the rightmost of a vdev's own wins */
        if (own->rules[n].severities & bit) {
            put_once(own->rules[n].destination, severity, line, length);
            return;
        }
    if (vm_log_rules.count == 0 && (default_rule.severities & bit))
        put_once(default_rule.destination, severity, line, length);
    for (size_t n = 0; n < vm_log_rules.count; n++)
        if (vm_log_rules.rules[n].severities & bit)
            put_once(vm_log_rules.rules[n].destination, severity, line, length);
}

/* Makes one line that ends with a line break; a text that is too long is cut. */
static size_t compose(char line[LINE_LENGTH], const struct place *place, const char *vdev, const char *fmt, va_list list)
{
    int head = 0;

    line[0] = '\0';
    if (place != NULL)
        head = snprintf(line, LINE_LENGTH - 1, "[%s:%d] ", place->file, place->line);
    else if (vdev != NULL)
        head = snprintf(line, LINE_LENGTH - 1, "[vdev %s] ", vdev);
    if (head > LINE_LENGTH - 2)
        head = LINE_LENGTH - 2;
    vsnprintf(line + head, (size_t)(LINE_LENGTH - 1 - head), fmt, list);
    size_t length = strlen(line);
    while (length > 0 && line[length - 1] == '\n')
        length--;
    line[length++] = '\n';
    return length;
}

static void say(const struct place *place, const char *vdev, const char *fmt, va_list list)
{
    char line[LINE_LENGTH];

    put(LOG_TO_STDERR, QLV_FATAL, line, compose(line, place, vdev, fmt, list));
}

void qvm_log(enum qvm_log_severity severity, const char *fmt, ...)
{
    char line[LINE_LENGTH];
    va_list list;

    va_start(list, fmt);
    put_by_rules(NULL, severity, line, compose(line, NULL, NULL, fmt, list));
    va_end(list);
}

void vdev_logf(qvm_log_level_t level, const struct vdev_s *vdp, const char *fmt, ...)
{
    unsigned severity = level & 0xff;
    const struct place *place = level & QLS_CNF && vdp != NULL ? vdev_place(vdp) : NULL;
    char line[LINE_LENGTH];
    va_list list;

    if (severity > QLV_VERBOSE)
        severity = QLV_VERBOSE;
    va_start(list, fmt);
    size_t length = compose(line, place, vdp != NULL ? vdev_name(vdp) : NULL, fmt, list);
    va_end(list);
    put_by_rules(vdp != NULL ? vdev_log_rules(vdp) : NULL, (enum qvm_log_severity)severity, line, length);
}

/* --- Ends ---------------------------------------------------------------- */

void configuration_error(const struct place *place, const char *fmt, ...)
{
    va_list list;

    va_start(list, fmt);
    say(place != NULL ? place : running.place, NULL, fmt, list);
    va_end(list);
    end_now(STATUS_CONFIGURATION);
}

void start_error(const struct place *place, const char *fmt, ...)
{
    va_list list;

    va_start(list, fmt);
    say(place, NULL, fmt, list);
    va_end(list);
    end_now(stage_reached(STAGE_STARTING) ? STATUS_FATAL_AFTER_START : STATUS_FATAL_BEFORE_START);
}

void run_error(int status, const char *fmt, ...)
{
    va_list list;

    va_start(list, fmt);
    say(NULL, NULL, fmt, list);
    va_end(list);
    end_request(status);
}

void qvm_fatal(unsigned source, const char *fmt, ...)
{
    bool configuring = source & QLS_CNF;
    va_list list;

    va_start(list, fmt);
    say(configuring ? running.place : NULL, running.vdev, fmt, list);
    va_end(list);
    if (stage_reached(STAGE_STARTING))
        end_now(STATUS_FATAL_AFTER_START);
    end_now(configuring ? STATUS_CONFIGURATION : STATUS_FATAL_BEFORE_START);
}

/* --- Status reports ------------------------------------------------------ */

static void report_flush(void)
{
    if (report_line[0] != '\0' && report_text != NULL && reporting != NULL)
        fprintf(report_text, "[vdev %s] %s\n", vdev_name(reporting), report_line);
    else if (report_line[0] != '\0' && report_text != NULL)
        fprintf(report_text, "%s\n", report_line);
    else if (report_line[0] != '\0')
        vdev_logf(QL_QVM_INFO, reporting, "%s", report_line);
    report_line[0] = '\0';
}

void report_to(FILE *text)
{
    report_text = text;
}

void report_begin(const struct vdev_s *vdp)
{
    reporting = vdp;
}

void report_end(void)
{
    report_flush();
    reporting = NULL;
}

void qvm_report(const char *fmt, ...)
{
    char text[LINE_LENGTH];
    va_list list;

    va_start(list, fmt);
    vsnprintf(text, sizeof text, fmt, list);
    va_end(list);
    for (const char *at = text; *at != '\0';) {
        size_t length = strcspn(at, "\n"), have = strlen(report_line);
        if (have + length < sizeof report_line) {
            memcpy(report_line + have, at, length);
            report_line[have + length] = '\0';
        }
        at += length;
        if (*at == '\n') {
            report_flush();
            at++;
        }
    }
}
