/*
 * Host devices that are terminals: raw mode, line settings, break and modem lines.
 */
#ifndef QVM_TERMINAL_H
#define QVM_TERMINAL_H

#include <stdbool.h>

#include <qvm/cdev.h>

bool terminal_is(int file);
/* Every byte passes as it is. `for_people`: qvm's own terminal, where Ctrl-C still ends qvm and lines still end right. */
void terminal_make_raw(int file, bool for_people);
/* All of them as they were found; async-signal-safe. */
void terminals_restore(void);

/* EOK or errno. */
int terminal_set_line(int file, const struct cdev_line *line);
int terminal_set_break(int file, bool on);
int terminal_set_modem(int file, unsigned lines);
int terminal_get_modem(int file, unsigned *lines);
/* Waits until everything written has left. */
void terminal_drain(int file);

#endif
