/*
 * What the boot vCPU runs: a Linux bzImage, a multiboot or an ELF image, or bytes of no known format.
 */
#ifndef QVM_GUEST_IMAGE_H
#define QVM_GUEST_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "vm.h"

/* Whether the content says what it is. */
bool guest_image_recognised(const struct load_entry *load);
/* Places the guest image and all that it is told, and points the boot vCPU at it. `rsdp` is guest-physical. */
void guest_image_load(uint64_t rsdp);

/* Puts the descriptor table of the flat segments that machine_set_entry() gives into the guest's memory; where it is. */
uint64_t flat_segments_place(void);

#endif
