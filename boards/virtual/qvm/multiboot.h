/*
 * Images after the Multiboot Specification, version 0.6.96.
 */
#ifndef QVM_MULTIBOOT_H
#define QVM_MULTIBOOT_H

#include <stdbool.h>

#include "vm.h"

bool multiboot_recognised(const struct load_entry *image);
/* Places the image and the Multiboot information, and points the boot vCPU at it. An initrd is its only module. */
void multiboot_load(const struct load_entry *image);

#endif
