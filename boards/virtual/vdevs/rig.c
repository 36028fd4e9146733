/*
 * rig VDEV.so: reads a script from standard input, answers each line with one line.
 *
 *   vdev                         a new instance; its number
 *   option NAME VALUE            of the newest instance; `ok` or the errno
 *   loc io:ADDRESS|mem:ADDRESS   of the newest instance
 *   start                        the guest starts
 *   in ADDRESS [WIDTH]           a read; ADDRESS is a port, or mem:ADDRESS
 *   out ADDRESS VALUE [WIDTH]    a write
 *   sample ADDRESS COUNT NS      byte reads with NS between them, as hex
 *   advance NS | stall NS | now  time; a stall holds callbacks up until its end
 *   late NS                      from now on callbacks come that late
 *   use N                        which instance the following commands mean
 *   edges                        TIME:LEVEL of each edge on the interrupt line since the last time
 *   rises                        number of rising edges since the last time, times of first and last
 *   callbacks                    timer callbacks since the last time
 *   feed HEX | waiting           the host device sends; bytes the vdev has not taken yet
 *   taken                        bytes the vdev sent since the last time, as hex
 *   room N|-                     the host device takes N more bytes, or any number
 *   modem MASK | line            set CDEV_MODEM_* inputs; line settings, break and outputs
 *   status | log                 texts of the vdev
 *   race COUNT SEED ADDRESS N    two threads, COUNT random accesses each to N ports, time passing
 *
 * Numbers in C notation. Exits 0 at the end of the script.
 */
#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rig.h"

#define MAX_WORDS 6
#define LINE 70000

static struct instance *current;

struct address {
    qvm_state_types_t space;
    uint64_t location;
};

static struct address address(const char *text) {
    bool memory = strncmp(text, "mem:", 4) == 0;
    if (memory) text += 4;
    if (strncmp(text, "io:", 3) == 0) text += 3;
    return (struct address){memory ? QST_MEMORY : QST_X86_IO, strtoull(text, NULL, 0)};
}

static uint64_t number(const char *text) { return strtoull(text, NULL, 0); }

static void print_hex(const uint8_t *data, size_t length) {
    for (size_t i = 0; i < length; i++) printf("%02x", data[i]);
    putchar('\n');
}

static void ok(void) { puts("ok"); }

static void do_vdev(char **w) {
    (void)w;
    current = rig_new();
    printf("%u\n", rig_count - 1);
}

static void do_option(char **w) {
    int error = rig_option(current, w[1], w[2]);
    if (error == EOK) ok();
    else printf("%d\n", error);
}

static void do_loc(char **w) {
    struct address at = address(w[1]);
    current->vdev.v_block.qst_type = at.space;
    current->vdev.v_block.location = at.location;
    ok();
}

static void do_start(char **w) {
    (void)w;
    rig_start();
    ok();
}

static unsigned width(const char *word) { return word ? (unsigned)number(word) : 1; }

static void do_in(char **w) {
    struct address at = address(w[1]);
    printf("0x%" PRIx64 "\n", rig_read(at.space, at.location, width(w[2])));
}

static void do_out(char **w) {
    struct address at = address(w[1]);
    rig_write(at.space, at.location, width(w[3]), number(w[2]));
    ok();
}

static void do_sample(char **w) {
    struct address at = address(w[1]);
    uint64_t count = number(w[2]), ns = number(w[3]);
    for (uint64_t i = 0; i < count; i++) {
        printf("%02x", (unsigned)rig_read(at.space, at.location, 1));
        rig_advance(ns);
    }
    putchar('\n');
}

static void do_advance(char **w) {
    rig_advance(number(w[1]));
    ok();
}

static void do_stall(char **w) {
    rig_stall(number(w[1]));
    ok();
}

static void do_late(char **w) {
    rig_late = number(w[1]);
    ok();
}

static void do_now(char **w) {
    (void)w;
    printf("%" PRIu64 "\n", rig_clock);
}

static void do_use(char **w) {
    current = &rig_instances[number(w[1]) % MAX_INSTANCES];
    ok();
}

static void do_edges(char **w) {
    (void)w;
    for (size_t i = 0; i < current->edges.count; i++)
        printf("%s%" PRIu64 ":%d", i ? " " : "", current->edges.list[i].time,
               current->edges.list[i].level);
    putchar('\n');
    current->edges.count = 0;
}

static void do_rises(char **w) {
    (void)w;
    uint64_t count = 0, first = 0, last = 0;
    for (size_t i = 0; i < current->edges.count; i++) {
        if (!current->edges.list[i].level) continue;
        last = current->edges.list[i].time;
        if (count++ == 0) first = last;
    }
    current->edges.count = 0;
    printf("%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", count, first, last);
}

static void do_callbacks(char **w) {
    (void)w;
    static uint64_t seen;
    printf("%" PRIu64 "\n", rig_callbacks - seen);
    seen = rig_callbacks;
}

static void do_feed(char **w) {
    static uint8_t data[LINE / 2];
    size_t length = strlen(w[1]) / 2;
    for (size_t i = 0; i < length; i++) {
        const char digits[] = {w[1][2 * i], w[1][2 * i + 1], 0};
        data[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    rig_feed(current, data, length);
    ok();
}

static void do_waiting(char **w) {
    (void)w;
    printf("%zu\n", current->cdev.input.count);
}

static void do_taken(char **w) {
    (void)w;
    print_hex(current->cdev.output.data, current->cdev.output.count);
    current->cdev.output.count = 0;
}

static void do_room(char **w) {
    rig_room(current, *w[1] == '-' ? SIZE_MAX : number(w[1]));
    ok();
}

static void do_modem(char **w) {
    current->cdev.inputs = (unsigned)number(w[1]);
    ok();
}

static void do_line(char **w) {
    (void)w;
    const struct cdev_private *c = &current->cdev;
    printf("baud=%u data=%u stop=%u parity=%d settings=%u break=%d breaks=%u pins=%u pin_calls=%u\n", c->line.baud,
           c->line.data_bits, c->line.stop_bits, (int)c->line.parity, c->line_calls, c->line_break,
           c->break_calls, c->outputs, c->modem_calls);
}

static void do_status(char **w) {
    (void)w;
    puts(rig_status(current));
}

static void do_log(char **w) {
    (void)w;
    puts(rig_log());
}

struct racer {
    uint64_t count, state;
    struct address first;
    uint64_t ports;
};

static void *race(void *arg) {
    struct racer *r = arg;
    for (uint64_t i = 0; i < r->count; i++) {
        r->state = r->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint64_t random = r->state >> 32;
        uint64_t location = r->first.location + (random >> 9) % r->ports;
        if (random & 256) rig_write(r->first.space, location, 1, random & 255);
        else rig_read(r->first.space, location, 1);
    }
    return NULL;
}

static void do_race(char **w) {
    struct racer racers[2];
    pthread_t threads[2];
    for (unsigned i = 0; i < 2; i++) {
        racers[i] = (struct racer){number(w[1]), number(w[2]) + i, address(w[3]), number(w[4])};
        if (pthread_create(&threads[i], NULL, race, &racers[i]) != 0) abort();
    }
    for (unsigned i = 0; i < 1000; i++) rig_advance(10000);
    for (unsigned i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    ok();
}

static const struct {
    const char *name;
    unsigned words;
    void (*run)(char **words);
} commands[] = {
    {"vdev", 1, do_vdev},         {"option", 3, do_option}, {"loc", 2, do_loc},
    {"start", 1, do_start},       {"in", 2, do_in},         {"out", 3, do_out},
    {"sample", 4, do_sample},     {"advance", 2, do_advance}, {"stall", 2, do_stall},
    {"late", 2, do_late},         {"now", 1, do_now},       {"use", 2, do_use},       {"edges", 1, do_edges},
    {"rises", 1, do_rises},       {"callbacks", 1, do_callbacks}, {"feed", 2, do_feed},
    {"waiting", 1, do_waiting},   {"taken", 1, do_taken},   {"room", 2, do_room},
    {"modem", 2, do_modem},       {"line", 1, do_line},     {"status", 1, do_status},
    {"log", 1, do_log},           {"race", 5, do_race},
};

static void run(char *text) {
    char *words[MAX_WORDS + 1] = {NULL};
    unsigned count = 0;
    for (char *word = strtok(text, " \n"); word && count < MAX_WORDS; word = strtok(NULL, " \n"))
        words[count++] = word;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (count >= commands[i].words && strcmp(commands[i].name, words[0]) == 0) {
            commands[i].run(words);
            return;
        }
    printf("error: %s\n", count ? words[0] : "empty line");
}

int main(int argc, char **argv) {
    static char line[LINE];
    if (argc != 2 || !dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) || !rig_factory) {
        fprintf(stderr, "usage: rig VDEV.so (%s)\n", argc == 2 ? dlerror() : "no file given");
        return 2;
    }
    while (fgets(line, sizeof line, stdin)) {
        run(line);
        fflush(stdout);
    }
    return 0;
}
