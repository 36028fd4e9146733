/* Helpers for option values. Signatures without a documented page are ours. */
#ifndef QVM_UTILS_H
#define QVM_UTILS_H

#include <qvm/types.h>

/* A number as the configuration grammar has it: 0x hex, decimal, suffix k, m, g.
 * EOK or EINVAL; `*value` is untouched on error. */
int qvm_parse_number(const char *text, uint64_t *value);

#endif
