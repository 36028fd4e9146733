/*
 * /dev/qvm/NAME/: there exactly while the VM is. In it: `pid`, `state` (`starting`, `running`, `ending`), `env`, which tells in JSON
 * what the VM is made of, and one entry per vdev that has a name, with its part of `env`.
 */
#ifndef QVM_SYSTEM_DIRECTORY_H
#define QVM_SYSTEM_DIRECTORY_H

#include <stdbool.h>

/* Makes it. A live VM of the same name ends this qvm with exit status 64. */
void system_directory_make(const char *name);
void system_directory_state(const char *state);
/* Async-signal-safe; does nothing when none was made. */
void system_directory_remove(void);

/* Whether an entry of this name is qvm's own, so that no vdev can have it. */
bool system_directory_own(const char *entry);

#endif
