/* What a stock QNX image does to whoever takes the comforts of another for granted; each is switched on by `unkind=NAME,NAME`. */
#ifndef UNKIND_H
#define UNKIND_H

#include <stdbool.h>

#define UNKIND_VARIABLE "unkind"

/* Whether the kernel's command line has this name in `unkind=`; the kernel hands such words to the first process as variables. */
bool unkind(const char *name);

/* Both return the name of the step that failed, with errno, or NULL. */
const char *unkind_refuse_directories(const char *path);
const char *unkind_make_read_only(const char *path);

#endif
