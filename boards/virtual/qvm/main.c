/*
 * qvm: one process is one VM. `qvm @FILE [@FILE] [OPTION...]`
 *
 * The order of things: read the configuration (loading vdevs on the way), assign, make the machine, write the tables, load the
 * guest, run. A dryrun stops before the last step.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "acpi.h"
#include "diagnostics.h"
#include "end.h"
#include "grammar.h"
#include "guest_image.h"
#include "intr.h"
#include "load.h"
#include "machine.h"
#include "options.h"
#include "power.h"
#include "run.h"
#include "stage.h"
#include "vcpu.h"
#include "vdev.h"
#include "vm.h"

/* A standard stream that is closed stays unusable; no file opened later shall become the guest's console. */
static void occupy_closed_streams(void)
{
    for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; stream++)
        if (fcntl(stream, F_GETFD) < 0 && open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
            return; /* without /dev/null there is nothing to put there */
}

static void read_configuration(int count, char **words)
{
    static struct token_list list;

    for (int n = 1; n < count; n++) {
        if (words[n][0] == '@')
            tokens_add_file(&list, words[n] + 1);
        else
            tokens_add_word(&list, words[n], n);
    }
    grammar_read(&list);
    options_complete();
    intr_check();
    intr_add_local_apic();
    power_add();
}

int main(int argc, char **argv)
{
    occupy_closed_streams();
    end_install();
    if (argc < 2)
        configuration_error(NULL, "usage: qvm @FILE [@FILE] [OPTION...]");
    read_configuration(argc, argv);
    stage_enter(STAGE_ASSIGN);
    vdevs_assign();
    machine_make();
    vcpus_make();
    stage_enter(STAGE_TABLES);
    guest_image_load(acpi_make());
    loads_place_data();
    if (vm.dryrun) {
        puts("Exiting: dryrun complete");
        fflush(stdout);
        end_in_order(0);
    }
    run_block_signals();
    stage_enter(STAGE_CONFIGURED);
    vdevs_control_all(VDEV_CTRL_GUEST_CONFIGURED);
    run();
}
