/*
 * Loads `vdev-NAME.so` with the ordinary loader (LD_LIBRARY_PATH and its like apply) and takes the factory that the
 * object's constructor registers.
 *
 * Invariant: every type in the list has one factory of the right ABI, and was loaded once.
 */
#include "registry.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "allocate.h"
#include "diagnostics.h"
#include "running.h"
#include "stage.h"

static struct vdev_type *types;
static struct vdev_type *loading;

void vdev_register_factory(struct vdev_factory *factory, unsigned abi_version)
{
    if (loading == NULL)
        start_error(running.place, "vdev_register_factory() was called outside a vdev's constructor");
    if (loading->factory != NULL)
        configuration_error(NULL, "vdev-%s.so registers more than one factory; make a file of each", loading->name);
    factory->next = types != NULL ? types->factory : NULL;
    loading->factory = factory;
    loading->abi = abi_version;
}

static void check(const struct vdev_type *type, const struct place *place)
{
    if (type->factory == NULL)
        configuration_error(place, "vdev-%s.so is no vdev: it registers no factory; call vdev_register_factory() in a constructor",
                            type->name);
    if (type->abi != QVM_VDEV_ABI)
        configuration_error(place, "vdev-%s.so was built for another qvm: its ABI is 0x%x, this qvm has 0x%x; build it anew", type->name,
                            type->abi, QVM_VDEV_ABI);
    if (type->factory->control == NULL)
        configuration_error(place, "vdev-%s.so has a factory without a control function; give it one", type->name);
}

const struct vdev_type *registry_type(const char *name, const struct place *place)
{
    char file[128];

    for (const struct vdev_type *type = types; type != NULL; type = type->next)
        if (strcmp(type->name, name) == 0)
            return type;
    if (name[0] == '\0' || strchr(name, '/') != NULL || strlen(name) > 64)
        configuration_error(place, "'%s' is no name of a vdev; NAME of a file vdev-NAME.so was expected", name);
    struct vdev_type *type = allocate(sizeof *type);
    type->name = copy_text(name, strlen(name));
    snprintf(file, sizeof file, "vdev-%s.so", name);

    struct running before = running;
    running = (struct running){type->name, place};
    loading = type;
    void *object = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    loading = NULL;
    running = before;
    if (object == NULL)
        configuration_error(place, "vdev %s cannot be loaded: %s; LD_LIBRARY_PATH is %s", name, dlerror(),
                            getenv("LD_LIBRARY_PATH") != NULL ? getenv("LD_LIBRARY_PATH") : "not set");
    check(type, place);
    type->next = types;
    types = type;
    return type;
}

void registry_option_names(const struct vdev_factory *factory, char *text, size_t size)
{
    size_t prefix = strlen(QVM_OPTION_NO_ARG_PREFIX);
    int length = 0;

    for (const char *const *own = factory->option_list; own != NULL && *own != NULL && length < (int)size; own++)
        length += snprintf(text + length, size - (size_t)length, "%s, ",
                           *own + (strncmp(*own, QVM_OPTION_NO_ARG_PREFIX, prefix) == 0 ? prefix : 0));
    if (length < (int)size)
        snprintf(text + length, size - (size_t)length, "%s%s%sname, log", factory->factory_flags & VFF_LOC_NO ? "" : "loc, ",
                 factory->factory_flags & VFF_INTR_NO ? "" : "intr, ", factory->pulse == NULL ? "" : "sched, ");
}
