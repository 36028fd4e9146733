#include "environment.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "allocate.h"
#include "diagnostics.h"
#include "memory.h"
#include "vdev.h"
#include "vm.h"

/* Whether `text` begins with a well-formed UTF-8 sequence of more than one byte; how long it is, or 0. */
static int utf8_length(const unsigned char *text)
{
    int length = text[0] >= 0xf0 && text[0] < 0xf5 ? 4 : text[0] >= 0xe0 && text[0] < 0xf0 ? 3 : text[0] >= 0xc2 && text[0] < 0xe0 ? 2 : 0;

    for (int n = 1; n < length; n++)
        if ((text[n] & 0xc0) != 0x80)
            return 0;
    return length;
}

/* A string of JSON (RFC 8259). Bytes that are no UTF-8 become U+FFFD. */
static void put_string(FILE *out, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;

    putc('"', out);
    while (*at != '\0') {
        int length = utf8_length(at);
        if (length > 0)
            fwrite(at, 1, (size_t)length, out);
        else if (*at >= 0x80)
            fputs("\\ufffd", out);
        else if (*at < 0x20 || *at == '"' || *at == '\\')
            fprintf(out, "\\u%04x", *at);
        else
            putc(*at, out);
        at += length > 0 ? length : 1;
    }
    putc('"', out);
}

static void put_vdev(FILE *out, const vdev_t *vdp)
{
    const struct qvm_state_block *block = &vdp->v_block;
    bool placed = block->location != QSL_NO_LOCATION && (block->qst_type == QST_MEMORY || block->qst_type == QST_X86_IO);

    fputs("{\"type\": ", out);
    put_string(out, vdev_type(vdp));
    fputs(", \"name\": ", out);
    put_string(out, vdev_name(vdp));
    if (placed)
        fprintf(out, ", \"loc\": \"%s:0x%" PRIx64 "\", \"length\": %" PRIu64, block->qst_type == QST_MEMORY ? "mem" : "io", block->location,
                block->length);
    if (vdp->v_intr.pic != NULL) {
        char line[96];
        snprintf(line, sizeof line, "%s:%u", vdev_name(vdp->v_intr.pic), vdp->v_intr.param);
        fputs(", \"intr\": ", out);
        put_string(out, line);
    }
    putc('}', out);
}

static void put_cpus(FILE *out)
{
    for (size_t n = 0; n < vm.cpu_count; n++) {
        const char *separator = "";
        fprintf(out, "%s{\"sched\": %d, \"runmask\": [", n > 0 ? ", " : "", vm.cpus[n].priority);
        for (unsigned bit = 0; bit < 64; bit++)
            if (vm.cpus[n].runmask & UINT64_C(1) << bit) {
                fprintf(out, "%s%u", separator, bit);
                separator = ", ";
            }
        fputs("]}", out);
    }
}

static void put_memory(FILE *out)
{
    static const char *const kinds[] = {"ram", "rom", "reserve"};
    size_t count;
    const struct memory_block *blocks = memory_blocks(&count);

    for (size_t n = 0; n < count; n++)
        fprintf(out, "%s{\"kind\": \"%s\", \"start\": %" PRIu64 ", \"length\": %" PRIu64 "}", n > 0 ? ", " : "", kinds[blocks[n].kind],
                blocks[n].start, blocks[n].length);
}

static void put_loads(FILE *out)
{
    static const char *const kinds[] = {"", "guest", "initrd", "data", "acpi"};

    for (size_t n = 0; n < vm.load_count; n++) {
        fprintf(out, "%s{\"blob\": \"%s\", \"file\": ", n > 0 ? ", " : "", kinds[vm.loads[n].kind]);
        put_string(out, vm.loads[n].file);
        putc('}', out);
    }
}

static void put_all(FILE *out)
{
    fputs("{\"system\": ", out);
    put_string(out, vm.name);
    fprintf(out, ", \"pid\": %ld, \"cpus\": [", (long)getpid());
    put_cpus(out);
    fputs("], \"memory\": [", out);
    put_memory(out);
    fputs("], \"loads\": [", out);
    put_loads(out);
    fputs("], \"cmdline\": ", out);
    put_string(out, vm.cmdline);
    fputs(", \"vdevs\": [", out);
    for (const vdev_t *vdp = vdev_next(NULL); vdp != NULL; vdp = vdev_next(vdp)) {
        put_vdev(out, vdp);
        fputs(vdev_next(vdp) != NULL ? ", " : "", out);
    }
    fputs("]}", out);
}

/* All of it, or one vdev. */
static void write_line(int file, const vdev_t *vdp)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    if (out == NULL)
        start_error(NULL, "out of memory");
    if (vdp != NULL)
        put_vdev(out, vdp);
    else
        put_all(out);
    putc('\n', out);
    if (fclose(out) != 0 || write(file, text, size) != (ssize_t)size)
        start_error(NULL, "Unable to write to /dev/qvm/%s: the host has no memory left", vm.name);
    release(text);
}

void environment_write(int file)
{
    write_line(file, NULL);
}

void environment_write_vdev(int file, const vdev_t *vdp)
{
    write_line(file, vdp);
}
