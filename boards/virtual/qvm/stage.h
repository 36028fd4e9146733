/*
 * How far a VM has come. Startup is single-threaded and ends with STAGE_STARTING; a call that is made in the wrong
 * stage is the calling vdev's mistake, and ends qvm with a sentence.
 */
#ifndef QVM_STAGE_H
#define QVM_STAGE_H

#include <stdbool.h>

enum stage {
    STAGE_OPTIONS,    /* reading the configuration */
    STAGE_ASSIGN,     /* every option was read */
    STAGE_TABLES,
    STAGE_CONFIGURED, /* the VM is complete: threads may be made */
    STAGE_STARTING,   /* from here on the guest may run */
    STAGE_ENDING,
};

void stage_enter(enum stage stage);
bool stage_reached(enum stage stage);

/* "S" and "R" functions of the API; `function` is named in the sentence. */
void startup_only(const char *function);
void running_only(const char *function);

#endif
