/* Pulses that vdevs send themselves: the thread on which they arrive. */
#ifndef QVM_PULSE_H
#define QVM_PULSE_H

void pulses_start(void);
/* Waits for the one that is being served; later ones go nowhere. */
void pulses_stop(void);

#endif
