/*
 * How qvm ends: in order, by a vdev's exit() or crash, or by a signal before the guest runs.
 *
 * Whatever the way, what qvm made on the host (its directory, the settings of terminals) is undone.
 */
#ifndef QVM_END_H
#define QVM_END_H

/* Handlers for crashes, for exit() called by a vdev, and for the signals that end qvm before the guest runs. */
void end_install(void);
/* Every thread that runs a vdev's code: lets it report a stack that overflowed. */
void end_prepare_thread(void);

/* Ends qvm with `status`: at once before the guest runs, else through end_request(). */
void end_now(int status) __attribute__((noreturn));
/* The VM is to end; the first request decides the exit status. The main thread does the rest. */
void end_request(int status);
/* Ends the calling thread, which may hold a vdev's lock, after an end_request(). */
void end_thread(void) __attribute__((noreturn));
/* The exit status of the first request, or -1. */
int end_requested(void);

/* The signal that wakes the main thread for a request. */
int end_signal(void);
/* After the VM was taken down: undoes what is on the host and exits. */
void end_in_order(int status) __attribute__((noreturn));
/* From a signal handler: `text` on standard error, undo, and exit at once. */
void end_in_handler(int status, const char *const *text) __attribute__((noreturn));

#endif
