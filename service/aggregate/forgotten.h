/*
 * Whom a shard must forget: marks of people who were erased or who objected, and apps that were purged. A mark is a keyed
 * hash of a pseudonym, so that what remembers them names nobody.
 *
 * Sees:     pseudonyms, and the key of the marks.
 * Uses:     libsodium, schema/.
 * Threads:  belongs to the thread of its shard.
 * Failure:  out of memory ends the process.
 */
#ifndef THRONG_AGGREGATE_FORGOTTEN_H
#define THRONG_AGGREGATE_FORGOTTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/packet.h"

#define FORGOTTEN_TAG_BYTES 32
#define FORGOTTEN_KEY_BYTES 32
#define FORGOTTEN_FIELD_BYTES 72 /* a tag in hexadecimal, its kind, a NUL */
#define FORGOTTEN_NO_END INT32_MAX

struct forgotten_mark {
    uint32_t app;
    uint8_t tag[FORGOTTEN_TAG_BYTES]; /* HMAC-SHA-256(key, app big-endian || pseudonym) */
    bool objection;                   /* else an erasure */
    uint8_t request[16];
    int64_t since_ms;                 /* receipt of the request: an erasure is about what was received until then */
    int32_t dies_on;                  /* day since 1970, UTC; FORGOTTEN_NO_END */
    bool told;                        /* the database and Redis have it */
};

struct forgotten_purge {
    uint32_t app;
    uint8_t request[16];
    int64_t since_ms;
    bool told;
};

/* Of one shard. All zero is empty. */
struct forgotten {
    uint8_t key[FORGOTTEN_KEY_BYTES];
    struct forgotten_mark *marks; /* ascending by app, tag, kind */
    size_t count, size;
    struct forgotten_purge *purges;
    size_t purge_count;
    char (*gone)[FORGOTTEN_FIELD_BYTES]; /* fields of Redis's copy to delete before the next commit */
    size_t gone_count;
};

enum forgotten_verdict { FORGOTTEN_NOT, FORGOTTEN_ERASED, FORGOTTEN_OBJECTS };

/* Write the tag of name within app. */
void forgotten_tag(const struct forgotten *forgotten, uint32_t app, const struct pseudonym *name,
    uint8_t tag[FORGOTTEN_TAG_BYTES]);

/* Add a copy of mark; of two of one tag and kind the later request holds. False if there was one as late. */
bool forgotten_add(struct forgotten *forgotten, const struct forgotten_mark *mark);

/* Add a mark of each of names[0..count-1]: pattern with its tag, not told yet. */
void forgotten_add_names(struct forgotten *forgotten, const struct forgotten_mark *pattern, const struct pseudonym *names,
    size_t count);

/* The mark with that tag and kind, NULL if there is none. Borrowed until the next change. */
const struct forgotten_mark *forgotten_find(const struct forgotten *forgotten, uint32_t app,
    const uint8_t tag[FORGOTTEN_TAG_BYTES], bool objection);

/* Drop the marks that match says, and note their fields in `gone`. Returns how many. */
size_t forgotten_drop(struct forgotten *forgotten, bool (*match)(const struct forgotten_mark *mark, const void *context),
    const void *context);

/* Add a purge of app. False if it was there. */
bool forgotten_add_purge(struct forgotten *forgotten, const struct forgotten_purge *purge);

/* Whether nothing is to be forgotten of any app. */
static inline bool forgotten_is_empty(const struct forgotten *forgotten)
{
    return forgotten->count + forgotten->purge_count == 0;
}

/* Whether anything of app is to be forgotten. */
bool forgotten_concerns(const struct forgotten *forgotten, uint32_t app);

/* Whether what user did in part must not be counted. An objection moves on to the names that were not marked yet. */
enum forgotten_verdict forgotten_judge(struct forgotten *forgotten, const struct packet_part *part,
    const struct packet_user *user);

/* The field under which Redis has the mark. */
void forgotten_field(const struct forgotten_mark *mark, char out[FORGOTTEN_FIELD_BYTES]);

/* Note that all was told. */
void forgotten_settle(struct forgotten *forgotten);

/* Forget even this, and free its memory. */
void forgotten_clear(struct forgotten *forgotten);

#endif
