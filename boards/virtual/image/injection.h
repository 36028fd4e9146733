#ifndef INJECTION_H
#define INJECTION_H

/* To be called once KVM is there; in force while the calling process lives. -1 with errno when the kernel refuses. */
int injection_arrives_once(void);

#endif
