/*
 * The ACPI tables of the VM.
 */
#ifndef QVM_ACPI_H
#define QVM_ACPI_H

#include <stdint.h>

enum { ACPI_AREA_SIZE = 0x10000 };

/* The area of the tables: the end of the highest RAM below 4 GiB. */
uint64_t acpi_area_start(void);
/* Asks the vdevs for their parts, writes the tables, and returns where the RSDP is, guest-physical. */
uint64_t acpi_make(void);

#endif
