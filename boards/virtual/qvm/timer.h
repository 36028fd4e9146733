/* The VM's timers: one thread that calls vdevs back. */
#ifndef QVM_TIMER_H
#define QVM_TIMER_H

void timers_start(void);
void timers_stop(void);

#endif
