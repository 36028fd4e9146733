/*
 * The ACPI tables of the VM.
 */
#ifndef QVM_ACPI_H
#define QVM_ACPI_H

#include <stddef.h>
#include <stdint.h>

enum { ACPI_AREA_SIZE = 0x10000 };

/* The area of the tables, and of what else a guest is told: the end of the highest RAM below 4 GiB. */
uint64_t acpi_area_start(void);
/* Copies `length` bytes into the area; where they are, guest-physical. */
uint64_t acpi_area_place(const void *data, size_t length);
/* Asks the vdevs for their parts, writes the tables, and returns where the RSDP is, guest-physical. */
uint64_t acpi_make(void);

#endif
