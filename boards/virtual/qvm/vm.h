/*
 * What the configuration says of the VM, beside its vdevs. One process is one VM.
 */
#ifndef QVM_VM_H
#define QVM_VM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "token.h"

struct cpu_entry {
    struct place place;
    int priority;      /* `sched` */
    uint64_t runmask;  /* bit n: may run on processor n of the host; 0: on any */
};

/* LOAD_BARE: without a blob; what it is shows when all options were read. */
enum load_kind { LOAD_BARE, LOAD_GUEST, LOAD_INITRD, LOAD_DATA, LOAD_ACPI };

struct load_entry {
    struct place place;
    enum load_kind kind;
    const char *file;
    bool addressed;
    uint64_t address; /* guest-physical */
    char *content;
    size_t size;
};

enum unsupported_action { UNSUPPORTED_ABORT, UNSUPPORTED_FAIL, UNSUPPORTED_IGNORE };

struct vm {
    struct place place; /* of the first entry, for what is wrong with the VM as a whole */
    const char *name;
    struct cpu_entry *cpus;
    size_t cpu_count;
    struct load_entry *loads;
    size_t load_count;
    const char *cmdline;
    struct place cmdline_place; /* of the option; no file when there is none */
    bool dryrun;
    bool exit_on_halt;
    unsigned tolerance; /* microseconds */
    enum unsupported_action unsupported_reference, unsupported_register, unsupported_instruction;
};

extern struct vm vm;

#endif
