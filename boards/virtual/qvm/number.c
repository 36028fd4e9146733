#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include <qvm/utils.h>

/* The suffix as a power of two, or -1. */
static int shift(const char *suffix)
{
    if (suffix[0] == '\0')
        return 0;
    if (suffix[1] != '\0')
        return -1;
    switch (tolower((unsigned char)suffix[0])) {
    case 'k':
        return 10;
    case 'm':
        return 20;
    case 'g':
        return 30;
    default:
        return -1;
    }
}

int qvm_parse_number(const char *text, uint64_t *value)
{
    bool hexadecimal = text[0] == '0' && tolower((unsigned char)text[1]) == 'x';
    const char *digits = hexadecimal ? text + 2 : text;
    char *end;

    if (hexadecimal ? !isxdigit((unsigned char)*digits) : !isdigit((unsigned char)*digits))
        return EINVAL;
    errno = 0;
    unsigned long long number = strtoull(digits, &end, hexadecimal ? 16 : 10);
    int bits = shift(end);
    if (errno != 0 || bits < 0 || number > UINT64_MAX >> bits)
        return EINVAL;
    *value = (uint64_t)number << bits;
    return EOK;
}
