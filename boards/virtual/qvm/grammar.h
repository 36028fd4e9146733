/*
 * The configuration language: a stream of options and arguments.
 */
#ifndef QVM_GRAMMAR_H
#define QVM_GRAMMAR_H

#include "token.h"

/* Takes every option in; vdevs are loaded and configured on the way. A mistake ends qvm. */
void grammar_read(const struct token_list *list);

#endif
