/*
 * Deliberate mistakes of a reference vdev, by which suites show that they can fail.
 *
 * DEFECT() stands once per mistake in a source file of the vdev; the mistake itself is one
 * `if (defect(device, IDENT))` at the place where such a bug would sit. The option `defect NAME`
 * switches it on in one instance. Name, summary and the specification lines it breaks are an ELF
 * note of the object, so that a reader needs nothing but the file.
 *
 * A device that has defects keeps the ones switched on in a member `uint64_t defects`.
 */
#ifndef VDEVS_DEFECT_H
#define VDEVS_DEFECT_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <qvm/log.h>
#include <qvm/vdev-core.h>

struct defect {
    const char *name;
};

/* All defects of the object: the linker brackets the section. */
extern const struct defect __start_vdev_defects[] __attribute__((visibility("hidden")));
extern const struct defect __stop_vdev_defects[] __attribute__((visibility("hidden")));

#define DEFECT_NOTE_OWNER "vdev-defect"

/* ELF note: sizes, type, owner (12 bytes with its NUL), description of three C strings. Notes lie
 * on multiples of four bytes, hence the explicit alignment. */
#define DEFECT(ident, name_, summary_, lines_)                                                      \
    static const struct {                                                                           \
        uint32_t namesz, descsz, type;                                                              \
        char owner[sizeof DEFECT_NOTE_OWNER];                                                       \
        char desc[sizeof(name_ "\0" summary_ "\0" lines_)];                                         \
    } ident##_NOTE __attribute__((used, section(".note.vdev.defects"), aligned(4))) = {             \
        sizeof DEFECT_NOTE_OWNER, sizeof(name_ "\0" summary_ "\0" lines_), 1, DEFECT_NOTE_OWNER,    \
        name_ "\0" summary_ "\0" lines_};                                                           \
    static const struct defect ident __attribute__((used, section("vdev_defects"), aligned(8))) = { \
        name_}

/* Is this defect switched on in this instance? */
#define defect(device, ident) ((device)->defects >> (&(ident) - __start_vdev_defects) & 1)

/* The option `defect NAME`: adds it to the instance's defects, refuses a name that is unknown. */
static inline void defect_option(const vdev_t *vdp, uint64_t *defects, const char *name) {
    char known[2048] = "";
    for (const struct defect *d = __start_vdev_defects; d < __stop_vdev_defects; d++) {
        if (strcmp(d->name, name) == 0) {
            *defects |= UINT64_C(1) << (d - __start_vdev_defects);
            return;
        }
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", d->name);
    }
    qvm_fatal(QLS_CNF, "vdev %s has no defect '%s'; it has: %s", vdev_name(vdp), name, known);
}

#endif
