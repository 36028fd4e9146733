/*
 * The guest's memory and registers for people who look for what it did: `dump DIRECTORY` and `dump "|COMMAND"`, on SIGUSR2.
 */
#ifndef QVM_DUMP_H
#define QVM_DUMP_H

#include "token.h"

/* The option's argument. A directory that is not there ends qvm. */
void dump_set(const char *destination, const struct place *place);
/* On the main thread: stops the guest, writes the dump, lets it go on. What fails is logged. */
void dump_write(void);

#endif
