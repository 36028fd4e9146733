/*
 * Types shared by every part of the documented vdev API, 8.0 flavour.
 *
 * Names and meanings follow the public API reference; values the reference
 * does not print are ours and are listed in boards/virtual/README.md. The API
 * is source compatible only: a vdev is compiled against these headers.
 */
#ifndef QVM_TYPES_H
#define QVM_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EOK 0
typedef int errno_t;

/* What a state block describes. The order from QST_MEMORY is documented. */
typedef uint16_t qvm_state_types_t;
enum qvm_state_types {
    QST_MEMORY,   /* guest-physical memory */
    QST_VIRTUAL,  /* guest-virtual memory */
    QST_CPUREGS,  /* location is the register number */
    QST_FPUREGS,
    QST_HOST,     /* location is a pointer in the qvm process */
    QST_PCI,
    QST_PCI_IO,
    QST_IMMEDIATE, /* location is the value itself */
    QST_ARCH_SPECIFIC = 0x8000,
    QST_X86_IO = 0x8000, /* x86 port space */
    QST_X86_SEGREGS,
    QST_X86_CTRLREGS,
    QST_X86_DBGREGS,
    QST_X86_MSR,
    QST_ARM_SR = 0x8000,
    QST_NO_TYPE = 0xffff,
};

typedef uint16_t qvm_state_flags_t;
#define QSF_NONE 0
#define QSF_SEXT_SHIFT 0
#define QSF_ZEXT_SHIFT 4
#define QSF_EXT_MASK 0xf
#define QSF_REPORT_EXCEPTION 0x8000

#define QSL_NO_LOCATION UINT64_MAX /* ours */

/* One operand: where it is and how many bytes it has. */
struct qvm_state_block {
    uint64_t location;
    uint64_t length;
    qvm_state_types_t qst_type;
    qvm_state_flags_t qst_flags;
    uint32_t spare;
};

#endif
