#include "service/ingest/admission.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define SETS 8192u
#define WAYS 8u
#define LOCKS 64u

struct bucket {
    uint64_t tag; /* keyed hash of the address; 0: empty */
    int64_t at_ms;
    int64_t milli; /* thousandths of a request that may come at at_ms */
};

struct admission {
    int64_t rate;
    int64_t burst_milli;
    uint8_t key[crypto_shorthash_KEYBYTES];
    pthread_mutex_t locks[LOCKS];
    struct bucket buckets[SETS][WAYS];
};

struct admission *admission_new(int64_t rate, int64_t burst)
{
    struct admission *admission = calloc(1, sizeof *admission);
    if (admission == NULL)
        return NULL;
    admission->rate = rate;
    admission->burst_milli = burst * 1000;
    randombytes_buf(admission->key, sizeof admission->key);
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_init(&admission->locks[i], NULL);
    return admission;
}

void admission_free(struct admission *admission)
{
    if (admission == NULL)
        return;
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_destroy(&admission->locks[i]);
    free(admission);
}

static uint64_t tag_of(const struct admission *admission, const struct proxy_address *address)
{
    static const uint8_t v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    size_t length = memcmp(address->bytes, v4_prefix, sizeof v4_prefix) == 0 ? 16 : 8;
    uint8_t hash[crypto_shorthash_BYTES];
    uint64_t tag;
    crypto_shorthash(hash, address->bytes, length, admission->key);
    memcpy(&tag, hash, sizeof tag);
    return tag == 0 ? 1 : tag;
}

static int64_t milli_now(const struct admission *admission, const struct bucket *bucket, int64_t now_ms)
{
    int64_t passed = now_ms > bucket->at_ms ? now_ms - bucket->at_ms : 0;
    if (passed > admission->burst_milli / admission->rate + 1)
        return admission->burst_milli;
    int64_t milli = bucket->milli + passed * admission->rate;
    return milli < admission->burst_milli ? milli : admission->burst_milli;
}

/* The bucket of tag in set; a new, full one in place of the least used if there is none. */
static struct bucket *find(const struct admission *admission, struct bucket *set, uint64_t tag, int64_t now_ms)
{
    struct bucket *oldest = &set[0];
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].tag == tag)
            return &set[i];
        if (set[i].tag == 0 || (oldest->tag != 0 && set[i].at_ms < oldest->at_ms))
            oldest = &set[i];
    }
    *oldest = (struct bucket){.tag = tag, .at_ms = now_ms, .milli = admission->burst_milli};
    return oldest;
}

bool admission_allow(struct admission *admission, const struct proxy_address *address, int64_t now_ms,
    unsigned *retry_after_s)
{
    if (admission->rate == 0)
        return true;
    uint64_t tag = tag_of(admission, address);
    size_t set = tag % SETS;
    pthread_mutex_t *lock = &admission->locks[set % LOCKS];
    pthread_mutex_lock(lock);
    struct bucket *bucket = find(admission, admission->buckets[set], tag, now_ms);
    bucket->milli = milli_now(admission, bucket, now_ms);
    bucket->at_ms = now_ms;
    int64_t missing = 1000 - bucket->milli;
    if (missing <= 0)
        bucket->milli -= 1000;
    pthread_mutex_unlock(lock);
    if (missing <= 0)
        return true;
    *retry_after_s = (unsigned)((missing + admission->rate * 1000 - 1) / (admission->rate * 1000));
    return false;
}
