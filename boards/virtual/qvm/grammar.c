/*
 * Reads options with their arguments and gives each to whom it belongs: the VM, or the context that is open.
 *
 * Invariant: an argument follows its option in the same file, and a diagnostic names the line of the option that opened the
 * context, or of the option itself when it belongs to none.
 */
#include "grammar.h"

#include <string.h>

#include "diagnostics.h"
#include "load.h"
#include "options.h"
#include "registry.h"
#include "vdev.h"
#include "vm.h"

enum { ARGUMENTS_MAX = 2, NAMES_LENGTH = 512 };

static struct {
    const struct token_list *list;
    size_t next;
} input;

static struct {
    const struct context_kind *kind; /* NULL: none is open */
    struct place place;
    vdev_t *vdev;
} context;

static const struct token *peek(void)
{
    return input.next < input.list->count ? &input.list->tokens[input.next] : NULL;
}

/* The arguments of `option`, in its own file. */
static void take_arguments(const struct token *option, int count, const char *arguments[], const struct place *place)
{
    for (int n = 0; n < count; n++) {
        const struct token *token = peek();
        if (token == NULL || token->place.file != option->place.file)
            configuration_error(place, "the option %s lacks its argument; it takes %d", option->text, count);
        arguments[n] = token->text;
        input.next++;
    }
}

static void close_context(void)
{
    if (context.vdev != NULL)
        vdev_close(context.vdev);
    else if (context.kind != NULL && context.kind->close != NULL)
        context.kind->close(&context.place);
    context.kind = NULL;
    context.vdev = NULL;
}

static void open_context(const struct context_kind *kind, const struct token *token)
{
    const char *arguments[ARGUMENTS_MAX];

    close_context();
    context.kind = kind;
    context.place = token->place;
    if (kind->open != NULL) {
        kind->open(&context.place);
        return;
    }
    take_arguments(token, 1, arguments, &context.place);
    context.vdev = vdev_open(arguments[0], &context.place);
}

/* The option of the open context, when that is one with a fixed set of them. */
static const struct option *context_option(const char *name)
{
    return context.kind != NULL && context.kind->options != NULL ? option_find(context.kind->options, name) : NULL;
}

static void read_context_option(const struct token *token)
{
    const char *arguments[ARGUMENTS_MAX];
    char names[NAMES_LENGTH];

    if (context.vdev != NULL) {
        int count = vdev_option_arguments(context.vdev, token->text);
        if (count < 0) {
            registry_option_names(context.vdev->v_factory, names, sizeof names);
            configuration_error(&context.place, "vdev %s has no option %s; it has %s", vdev_name(context.vdev), token->text, names);
        }
        take_arguments(token, count, arguments, &context.place);
        vdev_option(context.vdev, token->text, arguments);
        return;
    }
    const struct option *option = context_option(token->text);
    if (option == NULL) {
        option_names(context.kind->options, names, sizeof names);
        configuration_error(&context.place, "%s has no option %s; it has %s", context.kind->name, token->text, names);
    }
    take_arguments(token, option->arguments, arguments, &context.place);
    option_apply(option, arguments, &context.place);
}

/* `initrd load FILE` and its like; true when `token` began one. */
static bool read_blob(const struct token *token)
{
    const struct token *next = peek();
    const char *arguments[ARGUMENTS_MAX];

    if (next == NULL || next->quoted || strcmp(next->text, "load") != 0 || !load_is_blob(token->text))
        return false;
    input.next++;
    take_arguments(next, 1, arguments, &token->place);
    load_add(token->text, arguments[0], &token->place);
    return true;
}

static void refuse_unknown(const struct token *token)
{
    char names[NAMES_LENGTH];

    option_names(vm_options, names, sizeof names);
    configuration_error(&token->place, "%s is no option of a VM; there are %s, and cpu, vdev and reserve", token->text, names);
}

static void read_entry(const struct token *token)
{
    const struct context_kind *kind = context_find(token->text);
    const struct option *option = option_find(vm_options, token->text);
    const char *arguments[ARGUMENTS_MAX];

    if (token->quoted)
        configuration_error(&token->place, "an option was expected, not the string \"%s\"; each argument follows its option", token->text);
    if (read_blob(token))
        return;
    if (kind != NULL) {
        open_context(kind, token);
    } else if (option != NULL && context_option(token->text) == NULL) {
        if (strcmp(option->name, "system") == 0 && input.next != 1)
            configuration_error(&token->place, "system must be the first entry; move it there");
        take_arguments(token, option->arguments, arguments, &token->place);
        option_apply(option, arguments, &token->place);
    } else if (context.kind != NULL) {
        read_context_option(token);
    } else {
        refuse_unknown(token);
    }
}

void grammar_read(const struct token_list *list)
{
    const struct token *token;

    input.list = list;
    vm.place = list->count > 0 ? list->tokens[0].place : (struct place){"qvm", 0};
    while ((token = peek()) != NULL) {
        input.next++;
        read_entry(token);
    }
    close_context();
}
