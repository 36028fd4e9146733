/* The VM from its start to its end, on the main thread. */
#ifndef QVM_RUN_H
#define QVM_RUN_H

#include <stdio.h>

/* Blocks the signals that the main thread waits for, before any other thread is made. */
void run_block_signals(void);
/* Starts the guest, serves signals, and ends qvm. */
void run(void) __attribute__((noreturn));
/* What qvm and its vdevs say of their state: to `text`, or, when that is NULL, through the loggers. */
void run_report(FILE *text);
/* Takes the VM down and ends qvm with `status`; on the main thread. */
void run_shutdown(int status) __attribute__((noreturn));

#endif
