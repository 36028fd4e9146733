/*
 * ELF images (Tool Interface Standard, "Executable and Linking Format"), 32 and 64 bit, placed by their program headers.
 */
#ifndef QVM_ELF_IMAGE_H
#define QVM_ELF_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "vm.h"

bool elf_recognised(const struct load_entry *image);
/* Copies the segments to their physical addresses; the entry's physical address. A damaged or foreign file ends qvm. */
uint64_t elf_place(const struct load_entry *image);

#endif
