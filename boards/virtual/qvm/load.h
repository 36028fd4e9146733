/*
 * `[BLOB] load [ADDRESS,]FILE`: what is put into the guest's memory.
 */
#ifndef QVM_LOAD_H
#define QVM_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "token.h"
#include "vm.h"

/* Splits ADDRESS,REST; without a number in front of a comma all of it is REST. */
bool number_split(const char *text, uint64_t *address, const char **rest);

bool load_is_blob(const char *name);
/* `blob` is NULL for a bare `load`. Reads the file. */
void load_add(const char *blob, const char *argument, const struct place *place);
/* After the last option: says what each bare `load` is. There must be one guest image. */
void loads_complete(void);

/* The only entry of a kind, or NULL. */
const struct load_entry *load_find(enum load_kind kind);
/* Copies the data into the guest's memory: what has an address first, the rest where there is room. */
void loads_place_data(void);

#endif
