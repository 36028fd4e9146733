/*
 * uname: the name this host gives itself. QNX's fields, and `virtual-board` as the version, so that every record shows what it ran on.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char *argv[])
{
    static const char order[] = "snrvmp";
    char node[256] = "localhost", wanted[sizeof order] = "";
    const char *const values[] = {"QNX", node, "8.0.0", "virtual-board", "x86pc", "x86_64"};
    const char *separator = "";
    int option;

    gethostname(node, sizeof node - 1);
    while ((option = getopt(argc, argv, "asnrvmp")) != -1) {
        const char *field = strchr(order, option);
        if (option == 'a')
            memcpy(wanted, order, sizeof order);
        else if (field != NULL)
            wanted[field - order] = *field;
        else
            return 1;
    }
    if (argc == 1)
        wanted[0] = 's';
    for (size_t field = 0; field < sizeof order - 1; field++) {
        if (wanted[field] == '\0')
            continue;
        printf("%s%s", separator, values[field]);
        separator = " ";
    }
    putchar('\n');
    return 0;
}
