/*
 * What each option of the VM means. Of an option that is given again the last one counts, except for those that add something
 * (`ram`, `load`, `cpu`, `logger`).
 */
#include "options.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <qvm/utils.h>

#include "allocate.h"
#include "diagnostics.h"
#include "dump.h"
#include "load.h"
#include "memory.h"
#include "thread.h"
#include "vm.h"

enum { CPUS_MAX = 64, NAME_MAX_LENGTH = 64 };

struct vm vm = {
    .cmdline = "",
    .exit_on_halt = true,
    .tolerance = 100,
    .unsupported_reference = UNSUPPORTED_IGNORE,
    .unsupported_register = UNSUPPORTED_FAIL,
    .unsupported_instruction = UNSUPPORTED_FAIL,
};

static uint64_t number(const char *text, const char *option, const struct place *place)
{
    uint64_t value;

    if (qvm_parse_number(text, &value) != EOK)
        configuration_error(place, "%s: '%s' is no number; write 12, 0x1f or 64M", option, text);
    return value;
}

/* --- system, memory ------------------------------------------------------- */

static void set_system(const char *const *arguments, const struct place *place)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    const char *name = arguments[0];

    if (name[0] == '\0' || name[0] == '.' || strspn(name, allowed) != strlen(name) || strlen(name) > NAME_MAX_LENGTH)
        configuration_error(place, "system '%s': up to %d letters, digits, '-', '_' and '.' make a name, and the first is no '.'", name,
                            NAME_MAX_LENGTH);
    vm.name = name;
}

static void add_memory(enum memory_kind kind, const char *name, const char *text, const struct place *place)
{
    uint64_t start = 0;
    const char *length;
    bool has_start = number_split(text, &start, &length);

    if (!has_start && kind != MEMORY_RAM)
        configuration_error(place, "%s '%s': START,LENGTH was expected", name, text);
    memory_add(kind, has_start, start, number(length, name, place), place);
}

static void add_ram(const char *const *arguments, const struct place *place)
{
    add_memory(MEMORY_RAM, "ram", arguments[0], place);
}

static void add_rom(const char *const *arguments, const struct place *place)
{
    add_memory(MEMORY_ROM, "rom", arguments[0], place);
}

static const char *reserved;

static void open_reserve(const struct place *place)
{
    (void)place;
    reserved = NULL;
}

static void set_reserve_loc(const char *const *arguments, const struct place *place)
{
    (void)place;
    reserved = arguments[0];
}

static void close_reserve(const struct place *place)
{
    if (reserved == NULL)
        configuration_error(place, "reserve needs loc START,LENGTH");
    add_memory(MEMORY_HOLE, "reserve loc", reserved, place);
}

/* --- cpu ------------------------------------------------------------------ */

static struct cpu_entry *open_cpu_entry(void)
{
    return &vm.cpus[vm.cpu_count - 1];
}

static void open_cpu(const struct place *place)
{
    if (vm.cpu_count == CPUS_MAX)
        configuration_error(place, "a VM has at most %d vCPUs; remove this one", CPUS_MAX);
    vm.cpus = grow(vm.cpus, vm.cpu_count + 1, sizeof *vm.cpus);
    vm.cpus[vm.cpu_count++] = (struct cpu_entry){*place, DEFAULT_PRIORITY, 0};
}

static void set_cpu_sched(const char *const *arguments, const struct place *place)
{
    uint64_t priority = number(arguments[0], "sched", place);

    if (priority < 1 || priority > 255)
        configuration_error(place, "sched %s: a priority from 1 to 255 was expected", arguments[0]);
    open_cpu_entry()->priority = (int)priority;
}

static void set_cpu_runmask(const char *const *arguments, const struct place *place)
{
    uint64_t mask = 0;
    cpu_set_t host;

    if (sched_getaffinity(0, sizeof host, &host) != 0)
        CPU_ZERO(&host);
    for (const char *at = arguments[0];; at++) {
        size_t length = strcspn(at, ",");
        char *word = copy_text(at, length);
        uint64_t cpu = number(word, "runmask", place);
        release(word);
        if (cpu >= 64 || !CPU_ISSET((int)cpu, &host))
            configuration_error(place, "runmask %s: this host has no CPU %llu; it has %d, and the first is 0", arguments[0],
                                (unsigned long long)cpu, CPU_COUNT(&host));
        mask |= UINT64_C(1) << cpu;
        at += length;
        if (*at == '\0')
            break;
    }
    open_cpu_entry()->runmask = mask;
}

/* --- load, cmdline -------------------------------------------------------- */

static void add_load(const char *const *arguments, const struct place *place)
{
    load_add(NULL, arguments[0], place);
}

static void set_cmdline(const char *const *arguments, const struct place *place)
{
    vm.cmdline = arguments[0];
    vm.cmdline_place = *place;
}

/* --- The rest ------------------------------------------------------------- */

static void set_variable(const char *const *arguments, const struct place *place)
{
    const char *variable = arguments[0], *value = arguments[1];

    if (strcmp(variable, "fdt-dump-file") == 0)
        configuration_error(place, "set %s: a PC has no device tree; remove it", variable);
    if (strncmp(variable, "host-paddr-gic", 14) == 0 || strcmp(variable, "psci-supported") == 0)
        configuration_error(place, "set %s: that is for ARM VMs; remove it", variable);
    if (strcmp(variable, "exit-on-halt") != 0)
        configuration_error(place, "set: there is no variable %s; exit-on-halt is the only one", variable);
    if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0)
        configuration_error(place, "set %s: 'on' or 'off' was expected, not '%s'", variable, value);
    vm.exit_on_halt = strcmp(value, "on") == 0;
}

static void set_dryrun(const char *const *arguments, const struct place *place)
{
    (void)arguments, (void)place;
    vm.dryrun = true;
}

static void add_logger(const char *const *arguments, const struct place *place)
{
    log_rules_add(&vm_log_rules, "logger", arguments, place);
}

static void set_unsupported(const char *const *arguments, const struct place *place)
{
    static const char *const actions[] = {"abort", "fail", "ignore"};
    const char *what = arguments[0], *action = arguments[1];
    unsigned n = 0;

    while (n < 3 && strcmp(actions[n], action) != 0)
        n++;
    if (n == 3)
        configuration_error(place, "unsupported %s: 'abort', 'fail' or 'ignore' was expected, not '%s'", what, action);
    if (strcmp(what, "register") == 0)
        vm.unsupported_register = (enum unsupported_action)n;
    else if (strcmp(what, "reference") == 0)
        vm.unsupported_reference = (enum unsupported_action)n;
    else if (strcmp(what, "instruction") != 0)
        configuration_error(place, "unsupported: 'instruction', 'reference' or 'register' was expected, not '%s'", what);
    else if (n == UNSUPPORTED_IGNORE)
        configuration_error(place, "unsupported instruction ignore: how long such an instruction is, is not known; say 'fail' or 'abort'");
    else
        vm.unsupported_instruction = (enum unsupported_action)n;
}

static void set_tolerance(const char *const *arguments, const struct place *place)
{
    uint64_t microseconds = number(arguments[0], "tolerance", place);

    if (microseconds > 1000000)
        configuration_error(place, "tolerance %s: at most 1000000 microseconds were expected", arguments[0]);
    vm.tolerance = (unsigned)microseconds;
}

static void set_dump(const char *const *arguments, const struct place *place)
{
    dump_set(arguments[0], place);
}

static void refuse_pass(const struct place *place)
{
    configuration_error(place, "pass: this qvm passes no hardware through; give the VM a vdev instead");
}

/* --- Tables --------------------------------------------------------------- */

const struct option vm_options[] = {
    {"system", 1, set_system, NULL},
    {"ram", 1, add_ram, NULL},
    {"rom", 1, add_rom, NULL},
    {"load", 1, add_load, NULL},
    {"cmdline", 1, set_cmdline, NULL},
    {"set", 2, set_variable, NULL},
    {"dryrun", 0, set_dryrun, NULL},
    {"logger", 2, add_logger, NULL},
    {"unsupported", 2, set_unsupported, NULL},
    {"tolerance", 1, set_tolerance, NULL},
    {"dump", 1, set_dump, NULL},
    {"safety", 0, NULL, "there are no safety variants of vdevs here; remove it"},
    {NULL, 0, NULL, NULL},
};

static const struct option cpu_options[] = {
    {"sched", 1, set_cpu_sched, NULL},
    {"runmask", 1, set_cpu_runmask, NULL},
    {"partition", 1, NULL, "this host has no partitions; remove it"},
    /* The kernel knows how to halt for all vCPUs of a VM alike. */
    {"set", 2, NULL, "a vCPU has no variables of its own here; put it before the first cpu, for the whole VM"},
    {NULL, 0, NULL, NULL},
};

static const struct option reserve_options[] = {{"loc", 1, set_reserve_loc, NULL}, {NULL, 0, NULL, NULL}};

static const struct context_kind contexts[] = {
    {"cpu", open_cpu, NULL, cpu_options},
    {"vdev", NULL, NULL, NULL},
    {"reserve", open_reserve, close_reserve, reserve_options},
    {"pass", refuse_pass, NULL, NULL},
};

const struct option *option_find(const struct option *table, const char *name)
{
    for (; table->name != NULL; table++)
        if (strcmp(table->name, name) == 0)
            return table;
    return NULL;
}

void option_apply(const struct option *option, const char *const *arguments, const struct place *place)
{
    if (option->set == NULL)
        configuration_error(place, "%s: %s", option->name, option->refusal);
    option->set(arguments, place);
}

void option_names(const struct option *table, char *text, size_t size)
{
    size_t length = 0;

    text[0] = '\0';
    for (; table->name != NULL; table++)
        if (table->set != NULL && length < size)
            length += (size_t)snprintf(text + length, size - length, "%s%s", length > 0 ? ", " : "", table->name);
}

const struct context_kind *context_find(const char *name)
{
    for (size_t n = 0; n < sizeof contexts / sizeof *contexts; n++)
        if (strcmp(contexts[n].name, name) == 0)
            return &contexts[n];
    return NULL;
}

void options_complete(void)
{
    static char unnamed[32];
    size_t count;

    memory_blocks(&count);
    if (count == 0)
        configuration_error(&vm.place, "the VM has no ram; give it some with ram [START,]LENGTH");
    loads_complete();
    if (vm.cpu_count == 0)
        open_cpu(&(struct place){"qvm", 0});
    if (vm.name == NULL) {
        snprintf(unnamed, sizeof unnamed, "qvm-%ld", (long)getpid());
        vm.name = unnamed;
    }
}
