/*
 * The words of a configuration, each with the place it stood at.
 */
#ifndef QVM_TOKEN_H
#define QVM_TOKEN_H

#include <stdbool.h>
#include <stddef.h>

/* Where a word stood: a file and its line, or the command line and the number of the word. */
struct place {
    const char *file;
    int line;
};

struct token {
    const char *text;
    struct place place;
    bool quoted;
};

struct token_list {
    struct token *tokens;
    size_t count;
};

/* Appends the words of a file. A file that cannot be read, or holds an open string, ends qvm. */
void tokens_add_file(struct token_list *list, const char *path);
/* Appends one word of the command line, as it is. `number` counts from 1. */
void tokens_add_word(struct token_list *list, const char *word, int number);

/* Splits `text`, which must stay; its words are copied. */
void tokens_add_text(struct token_list *list, const char *text, const char *file);

#endif
