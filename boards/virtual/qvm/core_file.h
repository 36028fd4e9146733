/*
 * A dump as an ELF core file: 64 bit, PT_NOTE with NT_PRSTATUS per vCPU (its number + 1 as the process number), and ours of the name
 * "QVM": type 1 per vCPU, struct core_system_registers; type 2, what qvm and the vdevs report. PT_LOAD per RAM and ROM block,
 * addresses guest-physical.
 */
#ifndef QVM_CORE_FILE_H
#define QVM_CORE_FILE_H

#include <stdbool.h>
#include <stdint.h>

struct core_system_registers {
    uint64_t vcpu, cr0, cr2, cr3, cr4, cr8, efer, apic_base, gdt_base, gdt_limit, idt_base, idt_limit;
};

/* Writes it, with the vCPUs paused. `sparse`: zero pages become holes of the file. 0 or errno. */
int core_file_write(int file, bool sparse, const char *report);

#endif
