/*
 * How a Linux host is made as unkind as a QNX one, where that takes more than leaving something out.
 */
#include "unkind.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

bool unkind(const char *name)
{
    const char *at = getenv(UNKIND_VARIABLE);
    size_t length = strlen(name);

    for (; at != NULL && *at != '\0'; at += strcspn(at, ","), at += *at == ',')
        if (strncmp(at, name, length) == 0 && (at[length] == ',' || at[length] == '\0'))
            return true;
    return false;
}

/* Allows `rights` below a directory; one that is a symbolic link, or not there, is passed over. */
static void allow(int rules, const char *path, unsigned long long rights)
{
    struct landlock_path_beneath_attr rule = {.allowed_access = rights};

    rule.parent_fd = open(path, O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC);
    if (rule.parent_fd < 0)
        return;
    syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    close(rule.parent_fd);
}

/* Allows making directories below every entry of `directory` but `except`. */
static void allow_entries(int rules, const char *directory, const char *except)
{
    char path[512];
    struct dirent *entry;
    DIR *entries = opendir(*directory != '\0' ? directory : "/");

    while (entries != NULL && (entry = readdir(entries)) != NULL) {
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        if (entry->d_name[0] != '.' && strcmp(path, except) != 0)
            allow(rules, path, LANDLOCK_ACCESS_FS_MAKE_DIR);
    }
    if (entries != NULL)
        closedir(entries);
}

/* From now on this process and all it starts make no directory below `path`, of the form /PARENT/NAME, nor directly in / and /PARENT. */
const char *unkind_refuse_directories(const char *path)
{
    struct landlock_ruleset_attr handled = {.handled_access_fs = LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REFER};
    int rules = (int)syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0);
    char parent[256];

    if (rules < 0)
        return "landlock";
    snprintf(parent, sizeof parent, "%s", path);
    *strrchr(parent, '/') = '\0';
    allow(rules, "/", LANDLOCK_ACCESS_FS_REFER); /* files may still be moved from one directory to another */
    allow_entries(rules, "", parent);
    allow_entries(rules, parent, path);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || syscall(SYS_landlock_restrict_self, rules, 0) != 0)
        return "landlock";
    close(rules);
    return NULL;
}

const char *unkind_make_read_only(const char *path)
{
    if (mount(path, path, NULL, MS_BIND, NULL) != 0)
        return path;
    return mount(NULL, path, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) == 0 ? NULL : path;
}
