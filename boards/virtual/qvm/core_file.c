/*
 * Layout: headers, notes, then the memory, each block on a page. Invariant: the file position and the layout go together; nothing is
 * sought backwards, so that it can be a pipe.
 */
#include "core_file.h"

#include <elf.h>
#include <errno.h>
#include <linux/kvm.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/procfs.h>
#include <unistd.h>

#include "allocate.h"
#include "memory.h"
#include "vcpu.h"

enum { PAGE = 4096, CHUNK = 1 << 16, PATIENCE = 10000 }; /* ms that the reader of a pipe may do nothing */
enum { NOTE_SYSTEM_REGISTERS = 1, NOTE_REPORT = 2 };

struct text {
    char *bytes;
    size_t length;
};

struct output {
    int file;
    bool sparse;
    int error;
};

/* --- Notes ---------------------------------------------------------------- */

static void append(struct text *to, const void *data, size_t length)
{
    size_t padded = (length + 3) & ~(size_t)3;

    to->bytes = grow(to->bytes, to->length + padded, 1);
    memset(to->bytes + to->length, 0, padded);
    memcpy(to->bytes + to->length, data, length);
    to->length += padded;
}

static void add_note(struct text *notes, const char *name, uint32_t type, const void *data, size_t length)
{
    const Elf64_Nhdr header = {(uint32_t)strlen(name) + 1, (uint32_t)length, type};

    append(notes, &header, sizeof header);
    append(notes, name, strlen(name) + 1);
    append(notes, data, length);
}

static void add_vcpu(struct text *notes, size_t number, const struct vcpu_registers *from)
{
    struct elf_prstatus status = {.pr_pid = (pid_t)number + 1};
    const struct kvm_regs *regs = &from->regs;
    const struct kvm_sregs *sregs = &from->sregs;
    const struct user_regs_struct user = {
        .r15 = regs->r15, .r14 = regs->r14, .r13 = regs->r13, .r12 = regs->r12, .rbp = regs->rbp, .rbx = regs->rbx,
        .r11 = regs->r11, .r10 = regs->r10, .r9 = regs->r9,   .r8 = regs->r8,   .rax = regs->rax, .rcx = regs->rcx,
        .rdx = regs->rdx, .rsi = regs->rsi, .rdi = regs->rdi, .orig_rax = UINT64_MAX, .rip = regs->rip, .cs = sregs->cs.selector,
        .eflags = regs->rflags, .rsp = regs->rsp, .ss = sregs->ss.selector, .fs_base = sregs->fs.base, .gs_base = sregs->gs.base,
        .ds = sregs->ds.selector, .es = sregs->es.selector, .fs = sregs->fs.selector, .gs = sregs->gs.selector,
    };
    const struct core_system_registers system = {
        number, sregs->cr0, sregs->cr2, sregs->cr3, sregs->cr4, sregs->cr8, sregs->efer, sregs->apic_base,
        sregs->gdt.base, sregs->gdt.limit, sregs->idt.base, sregs->idt.limit,
    };

    _Static_assert(sizeof status.pr_reg == sizeof user, "the registers of NT_PRSTATUS");
    memcpy(&status.pr_reg, &user, sizeof user);
    add_note(notes, "CORE", NT_PRSTATUS, &status, sizeof status);
    add_note(notes, "QVM", NOTE_SYSTEM_REGISTERS, &system, sizeof system);
}

/* --- Output --------------------------------------------------------------- */

/* A pipe is written as its reader takes it; one that takes nothing for long ends the dump. */
static void put(struct output *out, const char *data, size_t length)
{
    while (length > 0 && out->error == 0) {
        ssize_t written = write(out->file, data, length);
        if (written >= 0) {
            data += written;
            length -= (size_t)written;
        } else if (errno == EAGAIN) {
            if (poll(&(struct pollfd){.fd = out->file, .events = POLLOUT}, 1, PATIENCE) == 0)
                out->error = ETIMEDOUT;
        } else if (errno != EINTR) {
            out->error = errno;
        }
    }
}

static bool is_zero(const uint8_t *data, size_t length)
{
    return data[0] == 0 && memcmp(data, data + 1, length - 1) == 0;
}

static void put_memory(struct output *out, const struct memory_block *block)
{
    for (uint64_t at = 0; at < block->length && out->error == 0; at += CHUNK) {
        size_t part = block->length - at < CHUNK ? (size_t)(block->length - at) : CHUNK;
        if (!out->sparse || !is_zero(block->host + at, part))
            put(out, (const char *)block->host + at, part);
        else if (lseek(out->file, (off_t)part, SEEK_CUR) < 0)
            out->error = errno;
    }
}

static Elf64_Phdr load_header(const struct memory_block *block, uint64_t offset)
{
    return (Elf64_Phdr){
        .p_type = PT_LOAD,
        .p_flags = block->kind == MEMORY_ROM ? PF_R | PF_X : PF_R | PF_W | PF_X,
        .p_offset = offset,
        .p_vaddr = block->start,
        .p_paddr = block->start,
        .p_filesz = block->length,
        .p_memsz = block->length,
        .p_align = PAGE,
    };
}

/* ELF header, program headers and notes, filled up to the page on which the memory begins. */
static struct text make_head(const struct text *notes, const struct memory_block *blocks, size_t count)
{
    Elf64_Ehdr header = {
        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_CORE,
        .e_machine = EM_X86_64,
        .e_version = EV_CURRENT,
        .e_phoff = sizeof header,
        .e_ehsize = sizeof header,
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = 1,
    };
    struct text head = {0};

    for (size_t n = 0; n < count; n++)
        header.e_phnum = (uint16_t)(header.e_phnum + (blocks[n].host != NULL));
    uint64_t notes_at = sizeof header + header.e_phnum * sizeof(Elf64_Phdr);
    uint64_t at = (notes_at + notes->length + PAGE - 1) & ~(uint64_t)(PAGE - 1), begin = at;
    append(&head, &header, sizeof header);
    append(&head, &(Elf64_Phdr){.p_type = PT_NOTE, .p_offset = notes_at, .p_filesz = notes->length, .p_align = 4}, sizeof(Elf64_Phdr));
    for (size_t n = 0; n < count; n++)
        if (blocks[n].host != NULL) {
            const Elf64_Phdr load = load_header(&blocks[n], at);
            append(&head, &load, sizeof load);
            at += blocks[n].length;
        }
    append(&head, notes->bytes, notes->length);
    head.bytes = grow(head.bytes, begin, 1);
    memset(head.bytes + head.length, 0, begin - head.length);
    head.length = begin;
    return head;
}

int core_file_write(int file, bool sparse, const char *report)
{
    struct output out = {.file = file, .sparse = sparse};
    struct vcpu_registers registers;
    struct text notes = {0};
    size_t count;
    const struct memory_block *blocks = memory_blocks(&count);

    for (size_t n = 0; n < vcpus_count(); n++)
        if (vcpus_registers(n, &registers))
            add_vcpu(&notes, n, &registers);
    add_note(&notes, "QVM", NOTE_REPORT, report, strlen(report));
    struct text head = make_head(&notes, blocks, count);
    put(&out, head.bytes, head.length);
    for (size_t n = 0; n < count; n++)
        if (blocks[n].host != NULL)
            put_memory(&out, &blocks[n]);
    if (sparse && out.error == 0 && ftruncate(file, lseek(file, 0, SEEK_CUR)) != 0)
        out.error = errno;
    release(head.bytes);
    release(notes.bytes);
    return out.error;
}
