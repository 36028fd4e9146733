/*
 * An interrupt that KVM gives to a guest arrives once.
 *
 * QEMU's emulation of VMRUN (target/i386, 7.2) delivers an injected interrupt and leaves its number behind as the exception that is
 * pending, until the next exit or exception. When a slice of emulation ends meanwhile, the number is delivered once more, even to a
 * guest that has interrupts disabled: its kernel is lost in its own entry code, or a tick counts twice. Slices end at every timer of
 * the board when instructions are counted, and when the translator begins anew.
 *
 * Hence two programs in the host's kernel. One notes that an interrupt was injected (tracepoint kvm_inj_virq). The other, at the
 * entry that delivers it (kvm_entry, the host's interrupts disabled), has the kernel interrupt itself, by a sample in a ring that
 * nobody reads. So the guest exits before its first instruction, the number is forgotten, and the next entry has nothing to inject.
 */
#include "injection.h"

#include <cpuid.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Instructions (Linux, Documentation/bpf/instruction-set). */
#define INSN(what, dst, src, offset, value) \
    ((struct bpf_insn){.code = (what), .dst_reg = (dst), .src_reg = (src), .off = (offset), .imm = (value)})
#define SET(dst, value) INSN(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, value)
#define COPY(dst, src) INSN(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0)
#define ADD(dst, value) INSN(BPF_ALU64 | BPF_ADD | BPF_K, dst, 0, 0, value)
#define STORE(dst, off, value) INSN(BPF_ST | BPF_MEM | BPF_W, dst, 0, off, value)
#define LOAD(dst, src, off) INSN(BPF_LDX | BPF_MEM | BPF_W, dst, src, off, 0)
#define MAP(dst, file) INSN(BPF_LD | BPF_DW | BPF_IMM, dst, BPF_PSEUDO_MAP_FD, 0, file), INSN(0, 0, 0, 0, 0)
#define CALL(helper) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, helper)
#define SKIP_IF_ZERO(register, count) INSN(BPF_JMP | BPF_JEQ | BPF_K, register, 0, count, 0)
#define END INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

enum { R0, R1, R2, R3, R4, R5, R6, FRAME = 10 };
enum { KEY = -4 }; /* where on the program's stack */

static int bpf(int command, union bpf_attr *attributes)
{
    return (int)syscall(SYS_bpf, command, attributes, sizeof *attributes);
}

static int make_map(uint32_t type)
{
    union bpf_attr attributes = {.map_type = type, .key_size = sizeof(uint32_t), .value_size = sizeof(uint32_t), .max_entries = 1};

    return bpf(BPF_MAP_CREATE, &attributes);
}

static int attach(const char *tracepoint, const struct bpf_insn *program, size_t count)
{
    union bpf_attr load = {.prog_type = BPF_PROG_TYPE_RAW_TRACEPOINT, .insns = (uint64_t)(uintptr_t)program, .insn_cnt = (uint32_t)count,
                           .license = (uint64_t)(uintptr_t)"GPL"};
    int file = bpf(BPF_PROG_LOAD, &load);
    union bpf_attr open = {.raw_tracepoint = {.name = (uint64_t)(uintptr_t)tracepoint, .prog_fd = (uint32_t)file}};

    return file < 0 ? file : bpf(BPF_RAW_TRACEPOINT_OPEN, &open);
}

/* A ring in which each sample raises an interrupt; written over again and again, since nobody may write in its pages. */
static int make_ring(void)
{
    struct perf_event_attr what = {.type = PERF_TYPE_SOFTWARE, .size = sizeof what, .config = PERF_COUNT_SW_BPF_OUTPUT,
                                   .sample_period = 1, .sample_type = PERF_SAMPLE_RAW, .wakeup_events = 1};
    int file = (int)syscall(SYS_perf_event_open, &what, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
    size_t pages = 2 * (size_t)sysconf(_SC_PAGESIZE);

    return file < 0 || mmap(NULL, pages, PROT_READ, MAP_SHARED, file, 0) == MAP_FAILED ? -1 : file;
}

/* QEMU's emulation says so; under KVM the processor is a real one. */
static bool emulated(void)
{
    unsigned highest, name[3];

    __cpuid(0x40000000, highest, name[0], name[1], name[2]);
    return memcmp(name, "TCGTCGTCGTCG", sizeof name) == 0;
}

int injection_arrives_once(void)
{
    if (!emulated())
        return 0;
    int injected = make_map(BPF_MAP_TYPE_ARRAY), rings = make_map(BPF_MAP_TYPE_PERF_EVENT_ARRAY), ring = make_ring();
    uint32_t first = 0;
    union bpf_attr fill = {.map_fd = (uint32_t)rings, .key = (uint64_t)(uintptr_t)&first, .value = (uint64_t)(uintptr_t)&ring};
    const struct bpf_insn mark[] = {
        STORE(FRAME, KEY, 0), MAP(R1, injected), COPY(R2, FRAME), ADD(R2, KEY), CALL(BPF_FUNC_map_lookup_elem),
        SKIP_IF_ZERO(R0, 1), STORE(R0, 0, 1), SET(R0, 0), END,
    };
    const struct bpf_insn interrupt[] = {
        COPY(R6, R1), STORE(FRAME, KEY, 0), MAP(R1, injected), COPY(R2, FRAME), ADD(R2, KEY), CALL(BPF_FUNC_map_lookup_elem),
        SKIP_IF_ZERO(R0, 11), LOAD(R1, R0, 0), SKIP_IF_ZERO(R1, 9), STORE(R0, 0, 0),
        COPY(R1, R6), MAP(R2, rings), SET(R3, 0), COPY(R4, FRAME), ADD(R4, KEY), SET(R5, 4), CALL(BPF_FUNC_perf_event_output),
        SET(R0, 0), END,
    };

    if (injected < 0 || rings < 0 || ring < 0 || bpf(BPF_MAP_UPDATE_ELEM, &fill) != 0 ||
        attach("kvm_entry", interrupt, sizeof interrupt / sizeof *interrupt) < 0 ||
        attach("kvm_inj_virq", mark, sizeof mark / sizeof *mark) < 0)
        return -1;
    return 0;
}
