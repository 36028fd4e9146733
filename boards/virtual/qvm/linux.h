/*
 * A Linux kernel image (bzImage) started by the 32-bit boot protocol.
 */
#ifndef QVM_LINUX_H
#define QVM_LINUX_H

#include <stdbool.h>
#include <stdint.h>

#include "vm.h"

bool linux_recognised(const struct load_entry *image);
/* Places kernel, initrd, command line and zero page, and points the boot vCPU at them. `rsdp` is guest-physical. */
void linux_load(const struct load_entry *kernel, uint64_t rsdp);

#endif
