/* Threads of qvm, named and prepared so that what runs on them can be named. */
#ifndef QVM_THREAD_H
#define QVM_THREAD_H

#include <pthread.h>

/* QNX's default priority, and what the calling thread gets here for another one: a nice value. */
enum { DEFAULT_PRIORITY = 10 };
void thread_priority(int priority);

/* pthread_create() with a name (cut to 15 bytes) and a stack on which a crash can be reported. */
int thread_create(pthread_t *thread, const char *name, void *(*start)(void *), void *arg);

#endif
