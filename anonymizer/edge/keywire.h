/*
 * The words between ingest and keyd on their socketpair. A frame is length u32le ‖ body; a request's body is
 * op u8 ‖ fields, an answer's is result u8 ‖ fields (or the explanation, if it is not RESULT_OK). Integers are
 * little-endian.
 *
 *   DECLARE       app u32 | epoch_days u32 | link_epochs u32            -> nothing
 *   MAP           now_ms i64 | count u32, then  app u32 | kind u8 | length u16 | bytes
 *                                                                       -> per id: result u8 | grace u8 | names u8 |
 *                                                                          shard u16 | epoch u32 | name 16 × names
 *   TICK          redis_ms i64                                          -> disagree u8 | ratcheted u32
 *   RATCHET       app u32 | fresh u8                                    -> nothing
 *   DESTROY       app u32                                               -> nothing
 *   STATUS        nothing                                               -> ring 32 | count u32, then  app u32 |
 *                                                                          epoch u32 | linked u32 | ratcheted i64 |
 *                                                                          next i64 | commitment 32 | until i64, then
 *                                                                          per linked: epoch u32 | until i64 |
 *                                                                          commitment 32
 *   SPOOL_KEY     segment u64                                           -> key 32
 *   SPOOL_FORGET  segment u64                                           -> nothing
 *   SPOOL_FIRST   nothing                                               -> segment u64
 *   EXPORT        salt 16 | key 32                                      -> a key file sealed under them
 *
 * Sees:     raw identifiers and spool keys pass through.
 * Uses:     libc, libsodium (wiping).
 * Threads:  a reader, writer or buffer belongs to one thread.
 * Failure:  a reader that runs over its end turns bad and reads zeros; sending and receiving return false when the
 * other end is gone or breaks the format.
 */
#ifndef THRONG_EDGE_KEYWIRE_H
#define THRONG_EDGE_KEYWIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "anonymizer/edge/keyd.h"

enum keywire_op {
    KEYWIRE_DECLARE = 1,
    KEYWIRE_MAP,
    KEYWIRE_TICK,
    KEYWIRE_RATCHET,
    KEYWIRE_DESTROY,
    KEYWIRE_STATUS,
    KEYWIRE_SPOOL_KEY,
    KEYWIRE_SPOOL_FORGET,
    KEYWIRE_SPOOL_FIRST,
    KEYWIRE_EXPORT,
    KEYWIRE_OPS,
};

/* No body is longer: KEYD_IDS_MAX identifiers of the greatest length. Answers are shorter. */
#define KEYWIRE_BODY_MAX (16u + KEYD_IDS_MAX * (7u + RAW_ID_MAX_BYTES))

/* Room for a frame: pages that appear when touched, never in a core dump. */
struct keywire_buffer {
    uint8_t *bytes; /* 4 of length, then the body */
    size_t size;
    size_t used; /* as far as bytes may differ from zero */
};

/* Get the room; false if there is none. keywire_release gives it back, wiped. */
bool keywire_acquire(struct keywire_buffer *buffer);
/* See keywire_acquire. */
void keywire_release(struct keywire_buffer *buffer);
/* Overwrite what was used with zeros. */
void keywire_wipe(struct keywire_buffer *buffer);

/* Writes a body; the caller keeps within KEYWIRE_BODY_MAX, which is asserted. */
struct keywire_writer {
    struct keywire_buffer *buffer;
    uint8_t *at;
};

/* Start a body in buffer. */
void keywire_begin(struct keywire_writer *writer, struct keywire_buffer *buffer);
/* Append an integer or bytes. */
void keywire_put_u8(struct keywire_writer *writer, uint8_t value);
/* See keywire_put_u8. */
void keywire_put_u16(struct keywire_writer *writer, uint16_t value);
/* See keywire_put_u8. */
void keywire_put_u32(struct keywire_writer *writer, uint32_t value);
/* See keywire_put_u8. */
void keywire_put_u64(struct keywire_writer *writer, uint64_t value);
/* See keywire_put_u8. bytes may be NULL if length is 0. */
void keywire_put_bytes(struct keywire_writer *writer, const void *bytes, size_t length);

/* Append length bytes that the caller fills at once: where they lie. */
uint8_t *keywire_room(struct keywire_writer *writer, size_t length);

/* Reads a body. */
struct keywire_reader {
    const uint8_t *at;
    const uint8_t *end;
    bool bad;
};

/* Take an integer, or length bytes that stay the buffer's (NULL when bad). */
uint8_t keywire_get_u8(struct keywire_reader *reader);
/* See keywire_get_u8. */
uint16_t keywire_get_u16(struct keywire_reader *reader);
/* See keywire_get_u8. */
uint32_t keywire_get_u32(struct keywire_reader *reader);
/* See keywire_get_u8. */
uint64_t keywire_get_u64(struct keywire_reader *reader);
/* See keywire_get_u8. */
const uint8_t *keywire_get_bytes(struct keywire_reader *reader, size_t length);
/* Whether everything was read and nothing was missing. */
bool keywire_ended(const struct keywire_reader *reader);

/* Send the body that writer holds as one frame. */
bool keywire_send(int socket, struct keywire_writer *writer);
/* Receive one frame into buffer and leave reader at its body. False also for an empty or too long one, and for more than one. */
bool keywire_receive(int socket, struct keywire_buffer *buffer, struct keywire_reader *reader);

#endif
