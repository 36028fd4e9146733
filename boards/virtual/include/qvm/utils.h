/* Helpers for option values. Signatures without a documented page are ours. */
#ifndef QVM_UTILS_H
#define QVM_UTILS_H

#include <qvm/guest.h>
#include <qvm/types.h>

#pragma GCC visibility push(default)

/* A number as the configuration grammar has it: 0x hex, decimal, suffix k, m, g.
 * EOK or EINVAL; `*value` is untouched on error. */
int qvm_parse_number(const char *text, uint64_t *value);

/* S, from ASSIGN on: fills in the line that `PIC:LINE` names; what does not exist ends qvm. The rest of the text, from the comma
 * or the end that closed it. */
char *qvm_parse_intr(const struct vdev_s *vdp, const char *str, guest_intr_t *ip);

#pragma GCC visibility pop

#endif
