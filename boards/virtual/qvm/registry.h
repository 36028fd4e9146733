/*
 * The types of vdevs: shared objects `vdev-NAME.so`, each loaded once.
 */
#ifndef QVM_REGISTRY_H
#define QVM_REGISTRY_H

#include <qvm/vdev-core.h>

#include "token.h"

struct vdev_type {
    struct vdev_type *next;
    const char *name;
    struct vdev_factory *factory;
    unsigned abi;
};

/* The type for `vdev NAME`. What cannot be loaded ends qvm with a configuration error. */
const struct vdev_type *registry_type(const char *name, const struct place *place);
/* "hostdev, batch, ..." in `text`: a factory's own options and the common ones it takes. */
void registry_option_names(const struct vdev_factory *factory, char *text, size_t size);

#endif
