/* A bounded queue of bytes. Its user holds the lock. */
#ifndef QVM_RING_H
#define QVM_RING_H

#include <stdint.h>
#include <string.h>

enum { RING_SIZE = 4096 };

/* Counters run on; their difference is what is in the queue. */
struct ring {
    uint64_t put, taken;
    uint8_t bytes[RING_SIZE];
};

static inline unsigned ring_length(const struct ring *ring)
{
    return (unsigned)(ring->put - ring->taken);
}

static inline unsigned ring_room(const struct ring *ring)
{
    return RING_SIZE - ring_length(ring);
}

/* Copies as much as there is room for; the number of bytes. */
static inline unsigned ring_put(struct ring *ring, const uint8_t *data, unsigned length)
{
    unsigned count = length < ring_room(ring) ? length : ring_room(ring);

    for (unsigned n = 0; n < count; n++)
        ring->bytes[ring->put++ % RING_SIZE] = data[n];
    return count;
}

/* Copies without taking. */
static inline unsigned ring_peek(const struct ring *ring, uint8_t *data, unsigned max)
{
    unsigned count = max < ring_length(ring) ? max : ring_length(ring);

    for (unsigned n = 0; n < count; n++)
        data[n] = ring->bytes[(ring->taken + n) % RING_SIZE];
    return count;
}

#endif
