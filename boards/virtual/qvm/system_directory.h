/* /dev/qvm/NAME/: there exactly while the VM is. */
#ifndef QVM_SYSTEM_DIRECTORY_H
#define QVM_SYSTEM_DIRECTORY_H

/* Makes it, with the file `pid` in it. A live VM of the same name ends this qvm with exit status 64. */
void system_directory_make(const char *name);
/* Async-signal-safe; does nothing when none was made. */
void system_directory_remove(void);

#endif
