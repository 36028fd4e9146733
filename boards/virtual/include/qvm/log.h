/*
 * Logging and the ways to end before the guest runs, 8.0 flavour.
 * Line format (ours): `[vdev NAME] text` for vdevs, `text` for qvm itself.
 */
#ifndef QVM_LOG_H
#define QVM_LOG_H

#include <qvm/types.h>

#pragma GCC visibility push(default)

struct vdev_s;

/* Severity in the low byte; the source (QL_CNF_*: while configuring, gets the
 * `[FILE:LINE]` prefix; QL_QVM_*: otherwise) above it. Values ours. */
typedef unsigned qvm_log_level_t;
enum qvm_log_severity {
    QLV_FATAL,
    QLV_INTERNAL,
    QLV_ERROR,
    QLV_WARN,
    QLV_INFO,
    QLV_DEBUG,
    QLV_VERBOSE,
};
#define QLS_CNF 0x100u
#define QLS_QVM 0x200u
#define QL_CNF_ERR (QLS_CNF | QLV_ERROR)
#define QL_CNF_WARN (QLS_CNF | QLV_WARN)
#define QL_CNF_INFO (QLS_CNF | QLV_INFO)
#define QL_QVM_ERR (QLS_QVM | QLV_ERROR)
#define QL_QVM_WARN (QLS_QVM | QLV_WARN)
#define QL_QVM_INFO (QLS_QVM | QLV_INFO)
#define QL_QVM_DBG (QLS_QVM | QLV_DEBUG)

/* Never terminates. */
void vdev_logf(qvm_log_level_t level, const struct vdev_s *vdp, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Before the guest starts: log as fatal and end qvm. QLS_CNF: exit status 65 with the
 * `[FILE:LINE]` of the open context; QLS_QVM: 64. */
void qvm_fatal(unsigned source, const char *fmt, ...)
    __attribute__((format(printf, 2, 3), noreturn));

/* Text of a VDEV_CTRL_STATUS callback. */
void qvm_report(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#pragma GCC visibility pop

#endif
