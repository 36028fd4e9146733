/*
 * The virtual host's first process: mounts, serial lines, disk, console shell, network, hypervisor support, SSH.
 *
 * Invariant: whoever gets the console's prompt has /usr and /data, whoever gets in by SSH has /dev/kvm, and so has a qvm. Nothing else stands before the
 * prompt: what is slow happens in a child, and this process reopens the console whenever its shell ends. Nothing is printed once
 * the shell has the console.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "injection.h"
#include "unkind.h"

#define CONSOLE "/dev/ser1"
#define SERIAL_LINES 4
#define MEMORY "/dev/shmem" /* /tmp is a link to it */
#define HOST_KEY "/etc/ssh/ssh_host_ed25519_key"
#define SHELL_ARGUMENTS "ksh", "+o", "emacs", "-i", (char *)NULL /* QNX's ksh edits lines only when asked to: the terminal driver does it */
#define BEHIND_THE_SHELL 10 /* nice value: there is one processor, and the prompt has it first */
#define HYPERVISOR_LOCK "/run/hypervisor" /* qvm waits for it; held until /dev/kvm is there or will never be */
#define CALIBRATED "Refined TSC clocksource calibration"
#define CALIBRATION_LIMIT 6 /* seconds; KVM is loaded without it when it never comes */

enum { KLOG_SILENT_LEVEL = 1, KLOG_CONSOLE_LEVEL = 8 }; /* only a panic reaches the console: syslog(2) */

/* What /etc/profile of a QNX 8.0 image sets; the console shell there has it from its start-up script. */
static char *const host_environment[] = {
    "PATH=/proc/boot:/sbin:/bin:/usr/bin:/usr/sbin:/usr/libexec",
    "LD_LIBRARY_PATH=/proc/boot:/lib:/usr/lib:/lib/dll:/lib/dll/pci",
    "TERM=qansi", "SYSNAME=nto", "HOME=/root", "SHELL=/bin/sh", NULL};

/* Says on the console what did not work; the board goes on as far as it can, as a board with a broken disk would. */
static void complain(const char *format, ...)
{
    va_list arguments;
    int console = open(CONSOLE, O_WRONLY | O_NOCTTY);

    if (console < 0)
        return;
    va_start(arguments, format);
    vdprintf(console, format, arguments);
    va_end(arguments);
    dprintf(console, ": %s\n", strerror(errno));
    close(console);
}

static void mount_or_complain(const char *what, const char *where, const char *type, unsigned long flags)
{
    mkdir(where, 0755);
    if (mount(what, where, type, MS_NOATIME | flags, strcmp(type, "tmpfs") == 0 ? "mode=1777" : NULL) != 0)
        complain("mount %s", where);
}

static void mount_memory(void)
{
    mount_or_complain("proc", "/proc", "proc", 0);
    mount_or_complain("sysfs", "/sys", "sysfs", 0);
    mount_or_complain("devtmpfs", "/dev", "devtmpfs", 0);
    mount_or_complain("devpts", "/dev/pts", "devpts", 0);
    mount_or_complain("shmem", MEMORY, "tmpfs", 0);
    mkdir(MEMORY "/slogger2", 01777); /* the buffers of slog2info */
    chmod(MEMORY "/slogger2", 01777);
}

/* What has to be so before anybody is let in. */
static void be_unkind(void)
{
    const char *failed = NULL;

    if (unkind("stty"))
        unlink("/bin/stty");
    if (unkind("dll") && (failed = unkind_make_read_only("/lib/dll")) != NULL)
        complain("read-only %s", failed);
    if (unkind("mkdir")) {
        mkdir("/dev/qvm", 0755); /* qvm's own, and beside the forbidden one */
        if ((failed = unkind_refuse_directories(MEMORY)) != NULL)
            complain("no directories in " MEMORY ": %s", failed);
    }
}

/* /dev/ser1 to /dev/ser4 in QNX's names, each at 115200 8N1 as `devc-ser8250 -b115200` leaves it. */
static void open_serial_lines(void)
{
    char name[32], node[32];
    struct termios settings;

    for (int line = 1; line <= SERIAL_LINES; line++) {
        snprintf(node, sizeof node, "ttyS%d", line - 1);
        snprintf(name, sizeof name, "/dev/ser%d", line);
        if (symlink(node, name) != 0)
            continue;
        int port = open(name, O_RDWR | O_NOCTTY | O_NONBLOCK);
        if (port < 0)
            continue;
        if (tcgetattr(port, &settings) == 0) {
            cfsetspeed(&settings, B115200);
            settings.c_cflag |= CLOCAL | CREAD;
            tcsetattr(port, TCSANOW, &settings);
        }
        close(port);
    }
}

static void greet(void)
{
    int console = open(CONSOLE, O_WRONLY | O_NOCTTY);

    if (console < 0)
        return;
    dprintf(console, "Welcome to QNX 8.0.0 on x86pc !\n"
                     "Starting serial driver (" CONSOLE ")\n"
                     "Starting networking ...\n"
                     "Starting SSH daemon ...\n"
                     "Starting shell ...\n");
    close(console);
}

/* The console shell: root, no login, a session of its own (`reopen /dev/ser1; +session ksh`). */
static pid_t start_shell(void)
{
    pid_t shell = fork();

    if (shell != 0)
        return shell;
    setsid();
    if (unkind("lines"))
        execle("/usr/lib/console-line", "console-line", CONSOLE, "/bin/ksh", SHELL_ARGUMENTS, host_environment);
    int console = open(CONSOLE, O_RDWR);
    if (console < 0)
        _exit(1);
    ioctl(console, TIOCSCTTY, 1);
    for (int fd = 0; fd <= 2; fd++)
        dup2(console, fd);
    if (console > 2)
        close(console);
    if (chdir("/") != 0)
        _exit(1);
    execle("/bin/ksh", SHELL_ARGUMENTS, host_environment);
    _exit(127);
}

static void load_module(const char *path)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);

    if (file < 0 || syscall(SYS_finit_module, file, "", 0) != 0)
        complain("%s", path);
    if (file >= 0)
        close(file);
}

/* Loads a group of /lib/modules/order: one line per group, `GROUP: PATH PATH ...`, prerequisites first. */
static void load_modules(const char *group)
{
    FILE *order = fopen("/lib/modules/order", "re");
    char line[1024];

    if (order == NULL) {
        complain("/lib/modules/order");
        return;
    }
    while (fgets(line, sizeof line, order) != NULL) {
        char *name = strtok(line, ": \n");
        if (name == NULL || strcmp(name, group) != 0)
            continue;
        for (char *path = strtok(NULL, " \n"); path != NULL; path = strtok(NULL, " \n"))
            load_module(path);
    }
    fclose(order);
}

static void set_address(int control, struct ifreq *request, unsigned long what, const char *address)
{
    struct sockaddr_in *in = (struct sockaddr_in *)(void *)&request->ifr_addr;

    memset(in, 0, sizeof *in);
    in->sin_family = AF_INET;
    inet_pton(AF_INET, address, &in->sin_addr);
    if (ioctl(control, what, request) != 0)
        complain("%s %s", request->ifr_name, address);
}

static void interface_up(int control, const char *name, const char *address, const char *netmask)
{
    struct ifreq request = {0};

    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    set_address(control, &request, SIOCSIFADDR, address);
    set_address(control, &request, SIOCSIFNETMASK, netmask);
    if (ioctl(control, SIOCGIFFLAGS, &request) != 0)
        return;
    request.ifr_flags |= IFF_UP | IFF_RUNNING;
    ioctl(control, SIOCSIFFLAGS, &request);
}

/* Lets the adapter take what is sent to a group's hardware address (six bytes). */
static void join_group(int control, const char *name, const char *address)
{
    struct ifreq request = {.ifr_hwaddr.sa_family = AF_UNSPEC};

    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    memcpy(request.ifr_hwaddr.sa_data, address, 6);
    if (ioctl(control, SIOCADDMULTI, &request) != 0)
        complain("%s group", name);
}

/* The addresses of QEMU's user network. There is no way out of it (`restrict=on`), hence no route and no name server.
 * The group address joined last is what the machine waits for before it opens the way in: everything before it is in force then. */
static void start_network(void)
{
    int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (control < 0) {
        complain("network");
        return;
    }
    interface_up(control, "lo", "127.0.0.1", "255.0.0.0");
    interface_up(control, "eth0", "10.0.2.15", "255.255.255.0");
    join_group(control, "eth0", "\x01\x00\x5e\x00\x00\xfb");
    close(control);
}

static pid_t start_daemon(char *const arguments[])
{
    pid_t child = fork();

    if (child != 0)
        return child;
    setsid();
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd <= 2; fd++)
        dup2(null, fd);
    execve(arguments[0], arguments, host_environment);
    _exit(127);
}

/* sshd starts while the network is still down; it listens on any address. -r: a connection goes on in the fork, without loading two
 * dozen shared objects once more. */
static void start_sshd(void)
{
    static char *const new_key[] = {"/usr/lib/ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", HOST_KEY, NULL};
    char *arguments[12] = {"/usr/sbin/sshd", "-D", "-r"};
    size_t count = 3;

    if (access(HOST_KEY, F_OK) != 0)
        waitpid(start_daemon(new_key), NULL, 0);
    if (!unkind("sftp")) {
        arguments[count++] = "-o";
        arguments[count++] = "Subsystem=sftp /usr/libexec/sftp-server";
    }
    if (unkind("environment")) {
        arguments[count++] = "-o";
        arguments[count++] = "SetEnv=PATH=";
    }
    arguments[count] = NULL;
    start_daemon(arguments);
}

/* KVM must come after the refined calibration of the TSC: loaded before it, a guest sees a TSC that is 650 ppm off. */
static void await_calibration(void)
{
    int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct timespec now, begin, pause = {.tv_nsec = 20 * 1000 * 1000};
    char record[8192];

    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (;;) {
        ssize_t length = read(log, record, sizeof record - 1);
        if (length > 0) {
            record[length] = '\0';
            if (strstr(record, CALIBRATED) != NULL)
                break;
            continue;
        }
        if (length < 0 && errno == EPIPE)
            continue; /* the log wrapped under us: go on with its oldest record */
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (log < 0 || now.tv_sec - begin.tv_sec >= CALIBRATION_LIMIT)
            break;
        nanosleep(&pause, NULL); /* the kernel offers no wake-up for one record */
    }
    if (log >= 0)
        close(log);
}

/* The way in opens last: whoever comes through it finds the hypervisor ready. */
static void start_services(int hypervisor)
{
    static char *const ptys[] = {"/usr/sbin/devc-pty", NULL};

    setpriority(PRIO_PROCESS, 0, BEHIND_THE_SHELL);
    load_modules("network");
    setpriority(PRIO_PROCESS, 0, 0);
    start_sshd();
    start_daemon(ptys);
    await_calibration();
    load_modules("hypervisor");
    if (injection_arrives_once() != 0)
        complain("interrupts of guests");
    close(hypervisor);
    start_network();
}

int main(void)
{
    pid_t shell, ended;
    int hypervisor;

    umask(022);
    mount_memory();
    klogctl(KLOG_CONSOLE_LEVEL, NULL, KLOG_SILENT_LEVEL);
    open_serial_lines();
    load_modules("disk");
    mount_or_complain("/dev/vda", "/usr", "ext4", MS_RDONLY);
    mount_or_complain("/dev/vdb", "/data", "ext4", 0);
    be_unkind();
    greet();
    sethostname("localhost", strlen("localhost"));
    hypervisor = open(HYPERVISOR_LOCK, O_CREAT | O_RDONLY | O_CLOEXEC, 0444);
    flock(hypervisor, LOCK_EX);
    shell = start_shell();
    if (fork() == 0) {
        start_services(hypervisor);
        for (;;)
            pause(); /* holds what injection_arrives_once() began */
    }
    close(hypervisor);
    for (;;) {
        ended = wait(NULL);
        if (ended == shell || ended < 0)
            shell = start_shell();
    }
}
