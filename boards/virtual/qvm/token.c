/*
 * Splits configuration text into words: blanks and line breaks separate, `#` starts a comment, double quotes hold
 * blanks and may span lines. Inside quotes a backslash at a line's end joins the two lines.
 *
 * Invariant: a token's line is the one on which it began.
 */
#include "token.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "allocate.h"
#include "diagnostics.h"

static void add(struct token_list *list, char *text, const char *file, int line, bool quoted)
{
    list->tokens = grow(list->tokens, list->count + 1, sizeof *list->tokens);
    list->tokens[list->count++] = (struct token){text, {file, line}, quoted};
}

void tokens_add_word(struct token_list *list, const char *word, int number)
{
    add(list, copy_text(word, strlen(word)), "command line", number, false);
}

static bool ends_word(char c)
{
    return c == '\0' || isspace((unsigned char)c) || c == '"' || c == '#';
}

/* `at` stands behind the opening quote; returns where to go on. */
static const char *add_string(struct token_list *list, const char *at, const char *file, int *line)
{
    const char *end = strchr(at, '"');
    int began = *line;

    if (end == NULL)
        configuration_error(&(struct place){file, began}, "the string that begins here has no closing quote");
    char *text = copy_text(at, (size_t)(end - at)), *to = text;
    for (const char *from = text; *from != '\0'; from++) {
        *line += *from == '\n';
        if (from[0] == '\\' && from[1] == '\n') {
            from++;
            ++*line;
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
    add(list, text, file, began, true);
    return end + 1;
}

void tokens_add_text(struct token_list *list, const char *text, const char *file)
{
    int line = 1;

    for (const char *at = text; *at != '\0';) {
        if (isspace((unsigned char)*at)) {
            line += *at++ == '\n';
        } else if (*at == '#') {
            at += strcspn(at, "\n");
        } else if (*at == '"') {
            at = add_string(list, at + 1, file, &line);
        } else {
            const char *begin = at;
            while (!ends_word(*at))
                at++;
            add(list, copy_text(begin, (size_t)(at - begin)), file, line, false);
        }
    }
}

void tokens_add_file(struct token_list *list, const char *path)
{
    size_t size;
    char *text = read_file(path, &size);

    if (text == NULL)
        start_error(NULL, "Unable to open '%s': %s", path, read_file_error());
    const char *zero = memchr(text, '\0', size);
    if (zero != NULL)
        configuration_error(&(struct place){path, 1}, "the file is no text, for it holds a zero byte; give a VM configuration");
    tokens_add_text(list, text, path);
    release(text);
}
