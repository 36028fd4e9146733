/*
 * qvm's reading of a configuration without anything behind it, for many texts: each comes on standard input as a line with its size
 * and then its bytes, is read by a process of its own, and answered by a line with that process's status and the size of what it
 * said, and then what it said.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "end.h"
#include "grammar.h"
#include "intr.h"
#include "options.h"
#include "vdev.h"

enum { SAID_MAX = 65536 };

static void read_configuration(const char *text)
{
    static struct token_list list;

    end_install();
    tokens_add_text(&list, text, "trial.conf");
    grammar_read(&list);
    options_complete();
    intr_check();
    vdevs_assign();
    end_in_order(0);
}

static size_t hear(int from, char *said)
{
    size_t length = 0;
    ssize_t got;

    while (length < SAID_MAX && (got = read(from, said + length, SAID_MAX - length)) > 0)
        length += (size_t)got;
    return length;
}

int main(void)
{
    static char said[SAID_MAX];
    size_t size;

    while (scanf("%zu", &size) == 1 && getchar() == '\n') {
        char *text = calloc(1, size + 1);
        int ends[2], status = 0;
        if (text == NULL || fread(text, 1, size, stdin) != size || pipe(ends) != 0)
            return 1;
        pid_t child = fork();
        if (child == 0) {
            dup2(ends[1], STDERR_FILENO);
            close(ends[0]);
            read_configuration(text);
        }
        close(ends[1]);
        size_t length = hear(ends[0], said);
        close(ends[0]);
        waitpid(child, &status, 0);
        free(text);
        printf("%d %zu\n", WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), length);
        fwrite(said, 1, length, stdout);
        fflush(stdout);
    }
    return 0;
}
