#include "api/kept.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 4096u
#define SHARE 4 /* an answer that needs more than this part of the whole room is not kept */

struct kept_entry {
    struct kept_answer answer;
    struct kept_key key;
    struct edition edition;
    atomic_uint holders; /* the table, while the entry is in it, and who has taken it */
    struct kept_entry *next;            /* of its bucket */
    struct kept_entry *newer, *older;   /* by the time it was last asked for */
};

struct kept {
    pthread_mutex_t lock; /* of all that follows, and of entries' links */
    size_t most, bytes;
    struct kept_entry *newest, *oldest;
    struct kept_entry *buckets[BUCKETS];
};

struct kept *kept_new(size_t bytes)
{
    struct kept *kept = calloc(1, sizeof *kept);
    if (kept == NULL)
        return NULL;
    pthread_mutex_init(&kept->lock, NULL);
    kept->most = bytes;
    return kept;
}

static size_t room_of(const struct kept_answer *answer)
{
    return answer->bytes + KEPT_ROOM_BYTES;
}

/* The key is a hash already. */
static struct kept_entry **bucket_of(struct kept *kept, const struct kept_key *key)
{
    uint32_t place;
    memcpy(&place, key->bytes, sizeof place);
    return &kept->buckets[place % BUCKETS];
}

/* --- under the lock ------------------------------------------------------------------------------------------------ */

static struct kept_entry *find(struct kept *kept, const struct kept_key *key)
{
    struct kept_entry *entry = *bucket_of(kept, key);
    while (entry != NULL && memcmp(entry->key.bytes, key->bytes, sizeof key->bytes) != 0)
        entry = entry->next;
    return entry;
}

static void unlink_age(struct kept *kept, struct kept_entry *entry)
{
    *(entry->newer == NULL ? &kept->newest : &entry->newer->older) = entry->older;
    *(entry->older == NULL ? &kept->oldest : &entry->older->newer) = entry->newer;
}

static void link_newest(struct kept *kept, struct kept_entry *entry)
{
    entry->newer = NULL;
    entry->older = kept->newest;
    *(entry->older == NULL ? &kept->oldest : &entry->older->newer) = entry;
    kept->newest = entry;
}

/* The table's hold on the entry goes with it. */
static void forget(struct kept *kept, struct kept_entry *entry)
{
    struct kept_entry **link = bucket_of(kept, &entry->key);
    while (*link != entry)
        link = &(*link)->next;
    *link = entry->next;
    unlink_age(kept, entry);
    kept->bytes -= room_of(&entry->answer);
    kept_give_back(entry);
}

static void insert(struct kept *kept, struct kept_entry *entry)
{
    struct kept_entry **bucket = bucket_of(kept, &entry->key), *former = find(kept, &entry->key);
    if (former != NULL)
        forget(kept, former);
    while (kept->oldest != NULL && kept->bytes + room_of(&entry->answer) > kept->most)
        forget(kept, kept->oldest);
    entry->next = *bucket;
    *bucket = entry;
    link_newest(kept, entry);
    kept->bytes += room_of(&entry->answer);
}

/* --- the table ----------------------------------------------------------------------------------------------------- */

struct kept_entry *kept_take(struct kept *kept, const struct kept_key *key, const struct edition *edition)
{
    pthread_mutex_lock(&kept->lock);
    struct kept_entry *entry = find(kept, key);
    if (entry != NULL && !edition_equal(&entry->edition, edition))
        entry = NULL;
    if (entry != NULL) {
        atomic_fetch_add(&entry->holders, 1);
        unlink_age(kept, entry);
        link_newest(kept, entry);
    }
    pthread_mutex_unlock(&kept->lock);
    return entry;
}

const struct kept_answer *kept_answer(const struct kept_entry *entry)
{
    return &entry->answer;
}

void kept_give_back(struct kept_entry *entry)
{
    if (atomic_fetch_sub(&entry->holders, 1) != 1)
        return;
    kept_drop(&entry->answer);
    free(entry);
}

void kept_put(struct kept *kept, const struct kept_key *key, const struct edition *edition, struct kept_answer *answer)
{
    struct kept_entry *entry = room_of(answer) > kept->most / SHARE ? NULL : calloc(1, sizeof *entry);
    if (entry == NULL) {
        kept_drop(answer);
        return;
    }
    entry->answer = *answer;
    entry->key = *key;
    entry->edition = *edition;
    atomic_init(&entry->holders, 1);
    *answer = (struct kept_answer){.full = NULL};
    pthread_mutex_lock(&kept->lock);
    insert(kept, entry);
    pthread_mutex_unlock(&kept->lock);
}

void kept_drop(struct kept_answer *answer)
{
    if (answer->full != NULL)
        MHD_destroy_response(answer->full);
    if (answer->unchanged != NULL)
        MHD_destroy_response(answer->unchanged);
    *answer = (struct kept_answer){.full = NULL};
}

size_t kept_bytes(struct kept *kept)
{
    pthread_mutex_lock(&kept->lock);
    size_t bytes = kept->bytes;
    pthread_mutex_unlock(&kept->lock);
    return bytes;
}

void kept_clear(struct kept *kept)
{
    pthread_mutex_lock(&kept->lock);
    while (kept->oldest != NULL)
        forget(kept, kept->oldest);
    pthread_mutex_unlock(&kept->lock);
}

void kept_free(struct kept *kept)
{
    if (kept == NULL)
        return;
    kept_clear(kept);
    pthread_mutex_destroy(&kept->lock);
    free(kept);
}
