/*
 * The VM's own power and reset: an implicit vdev.
 */
#ifndef QVM_POWER_H
#define QVM_POWER_H

/* Where the FADT says it is. */
enum {
    POWER_EVENT_PORT = 0x600, /* PM1a_EVT_BLK: status, then enable */
    POWER_EVENT_LENGTH = 4,
    POWER_CONTROL_PORT = 0x604, /* PM1a_CNT_BLK */
    POWER_CONTROL_LENGTH = 2,
    POWER_SCI = 9,
    POWER_OFF_TYPE = 5, /* SLP_TYP of \_S5 */
    POWER_RESET_PORT = 0xcf9,
    POWER_RESET_VALUE = 0x6,
};

void power_add(void);

#endif
