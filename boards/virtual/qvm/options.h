/*
 * The VM's options and its contexts, as tables.
 */
#ifndef QVM_OPTIONS_H
#define QVM_OPTIONS_H

#include "token.h"

struct option {
    const char *name;
    int arguments;
    void (*set)(const char *const *arguments, const struct place *place);
    const char *refusal; /* instead of `set`: why it makes no sense here, and what to do */
};

/* A context with a fixed set of options. `open` is NULL for `vdev`, whose argument says which options there are. */
struct context_kind {
    const char *name;
    void (*open)(const struct place *place);
    void (*close)(const struct place *place);
    const struct option *options;
};

/* Tables end with a NULL name. */
extern const struct option vm_options[];
const struct option *option_find(const struct option *table, const char *name);
void option_apply(const struct option *option, const char *const *arguments, const struct place *place);
/* "system, ram, ..." in `text`: those that make sense here. */
void option_names(const struct option *table, char *text, size_t size);
const struct context_kind *context_find(const char *name);

/* After the last option: defaults, and what every VM needs. */
void options_complete(void);

#endif
