#include "anonymizer/edge/keyring.h"

#include <assert.h>
#include <string.h>

#include <sodium.h>

#include "anonymizer/edge/keyepoch.h"

/* out = BLAKE2b-256(key, label ‖ extra); out may be key itself. */
static void derive(
    const struct pseudonym_key *key, const char *label, const struct pseudonym_key *extra, uint8_t *out)
{
    crypto_generichash_state state;
    struct pseudonym_key derived;
    crypto_generichash_init(&state, key->bytes, sizeof key->bytes, sizeof derived.bytes);
    crypto_generichash_update(&state, (const uint8_t *)label, strlen(label));
    if (extra != NULL)
        crypto_generichash_update(&state, extra->bytes, sizeof extra->bytes);
    crypto_generichash_final(&state, derived.bytes, sizeof derived.bytes);
    memcpy(out, derived.bytes, sizeof derived.bytes);
    sodium_memzero(&derived, sizeof derived);
    sodium_memzero(&state, sizeof state);
}

static size_t index_of(const struct keyring *ring, uint32_t app)
{
    size_t at = 0;
    while (at < ring->count && ring->apps[at].app != app)
        at++;
    return at;
}

void keyring_init(struct keyring *ring, int64_t now_ms, const struct pseudonym_key *chain)
{
    sodium_memzero(ring, sizeof *ring);
    ring->visitor_day = now_ms / KEYEPOCH_DAY_MS;
    ring->spool_chain = *chain;
}

void keyring_new_chain(struct keyring *ring, const struct pseudonym_key *chain)
{
    ring->spool_chain = *chain;
    ring->spool_first = 0;
}

const struct keyring_app *keyring_find(const struct keyring *ring, uint32_t app)
{
    size_t at = index_of(ring, app);
    return at < ring->count ? &ring->apps[at] : NULL;
}

enum result keyring_add(struct keyring *ring, uint32_t app, uint32_t epoch_days, uint32_t link_epochs, int64_t now_ms,
    const struct keyring_seed *seed)
{
    assert(index_of(ring, app) == ring->count);
    if (ring->count == KEYRING_APPS_MAX)
        return RESULT_FULL;
    struct keyring_app *added = &ring->apps[ring->count++];
    int64_t calendar = keyepoch_of(now_ms, epoch_days);
    *added = (struct keyring_app){.app = app,
        .epoch = (uint32_t)calendar,
        .epoch_days = epoch_days,
        .link_epochs = link_epochs,
        .held = 1,
        .calendar = calendar,
        .wanted_days = epoch_days};
    added->key[0] = seed->root;
    added->shard = seed->shard;
    added->visitor = seed->visitor;
    return RESULT_OK;
}

static void wipe_unheld(struct keyring_app *app)
{
    sodium_memzero(&app->key[app->held], (NAMES_MAX - app->held) * sizeof app->key[0]);
}

bool keyring_declare(struct keyring *ring, uint32_t app, uint32_t epoch_days, uint32_t link_epochs)
{
    size_t at = index_of(ring, app);
    assert(at < ring->count);
    struct keyring_app *found = &ring->apps[at];
    found->declared = true;
    found->wanted_days = epoch_days;
    if (found->link_epochs == link_epochs)
        return false;
    found->link_epochs = link_epochs;
    if (found->held > link_epochs + 1) {
        found->held = link_epochs + 1;
        wipe_unheld(found);
    }
    return true;
}

enum result keyring_remove(struct keyring *ring, uint32_t app)
{
    size_t at = index_of(ring, app);
    if (at == ring->count)
        return RESULT_NOT_FOUND;
    ring->apps[at] = ring->apps[--ring->count];
    sodium_memzero(&ring->apps[ring->count], sizeof ring->apps[0]);
    return RESULT_OK;
}

static void step(struct keyring_app *app, int64_t now_ms, const struct pseudonym_key *fresh)
{
    if (app->held < app->link_epochs + 1)
        app->held++;
    for (uint32_t i = app->held - 1; i > 0; i--)
        app->key[i] = app->key[i - 1];
    if (fresh == NULL)
        pseudonym_ratchet(&app->key[0]);
    else
        derive(&app->key[0], "throng rotate 1", fresh, app->key[0].bytes);
    app->epoch++;
    app->ratcheted_at_ms = now_ms;
}

enum result keyring_step(struct keyring *ring, uint32_t app, int64_t now_ms, const struct pseudonym_key *fresh)
{
    size_t at = index_of(ring, app);
    if (at == ring->count)
        return RESULT_NOT_FOUND;
    step(&ring->apps[at], now_ms, fresh);
    return RESULT_OK;
}

bool keyring_advance(struct keyring *ring, int64_t now_ms, uint32_t *ratcheted)
{
    bool changed = false;
    *ratcheted = 0;
    for (size_t i = 0; i < ring->count; i++) {
        struct keyring_app *app = &ring->apps[i];
        int64_t calendar = keyepoch_of(now_ms, app->epoch_days);
        *ratcheted += calendar > app->calendar;
        for (; app->calendar < calendar; app->calendar++)
            step(app, now_ms, NULL);
        if (app->wanted_days == app->epoch_days)
            continue;
        app->epoch_days = app->wanted_days;
        app->calendar = keyepoch_of(now_ms, app->epoch_days);
        changed = true;
    }
    return changed || *ratcheted > 0;
}

bool keyring_set_day(struct keyring *ring, int64_t now_ms)
{
    int64_t day = now_ms / KEYEPOCH_DAY_MS;
    if (day <= ring->visitor_day)
        return false;
    for (; ring->visitor_day < day; ring->visitor_day++)
        for (size_t i = 0; i < ring->count; i++)
            pseudonym_ratchet(&ring->apps[i].visitor);
    return true;
}

static bool in_grace(const struct keyring_app *app, int64_t now_ms)
{
    return app->ratcheted_at_ms != 0 && now_ms - app->ratcheted_at_ms < KEYD_GRACE_MS;
}

static uint8_t count_names(const struct keyring_app *app, enum pseudonym_kind kind, bool grace)
{
    if (kind == PSEUDONYM_USER)
        return (uint8_t)app->held;
    bool linked = kind == PSEUDONYM_SESSION || kind == PSEUDONYM_SOURCE;
    return linked && grace && app->held > 1 ? 2 : 1;
}

void keyring_map(const struct keyring_app *app, int64_t now_ms, uint32_t shards, enum pseudonym_kind kind,
    struct raw_id id, struct keyd_name *out)
{
    *out = (struct keyd_name){.result = RESULT_NOT_FOUND};
    if (app == NULL || !app->declared)
        return;
    out->epoch = app->epoch;
    out->grace = in_grace(app, now_ms);
    out->result = RESULT_OK;
    if (kind == PSEUDONYM_USER || kind == PSEUDONYM_VISITOR)
        out->result = pseudonym_shard(&app->shard, id, shards, &out->shard);
    uint8_t names = count_names(app, kind, out->grace);
    const struct pseudonym_key *keys = kind == PSEUDONYM_VISITOR ? &app->visitor : app->key;
    for (uint8_t i = 0; i < names && out->result == RESULT_OK; i++)
        out->result = pseudonym_make(&keys[i], kind, id, &out->name[i]);
    out->names = out->result == RESULT_OK ? names : 0;
}

static void commit_to(const struct pseudonym_key *key, uint8_t out[32])
{
    static const char label[] = "throng key commitment 1";
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, 32);
    crypto_generichash_update(&state, (const uint8_t *)label, sizeof label - 1);
    crypto_generichash_update(&state, key->bytes, sizeof key->bytes);
    crypto_generichash_final(&state, out, 32);
    sodium_memzero(&state, sizeof state);
}

/* When the calendar's steps push key[index] out. */
static int64_t held_until_ms(const struct keyring_app *app, uint32_t index)
{
    return keyepoch_start_ms(app->calendar + 1 + app->link_epochs - index, app->epoch_days);
}

void keyring_status(const struct keyring_app *app, struct keyd_status *out)
{
    *out = (struct keyd_status){.app = app->app,
        .epoch = app->epoch,
        .linked_epochs = app->held - 1,
        .ratcheted_at_ms = app->ratcheted_at_ms,
        .next_ratchet_ms = keyepoch_start_ms(app->calendar + 1, app->epoch_days),
        .until_ms = held_until_ms(app, 0)};
    commit_to(&app->key[0], out->commitment);
    for (uint32_t i = 1; i < app->held; i++) {
        out->linked[i - 1].epoch = app->epoch - i;
        out->linked[i - 1].until_ms = held_until_ms(app, i);
        commit_to(&app->key[i], out->linked[i - 1].commitment);
    }
}

static void step_chain(struct pseudonym_key *chain, uint64_t steps)
{
    while (steps-- > 0)
        derive(chain, "throng spool chain 1", NULL, chain->bytes);
}

enum result keyring_spool_key(const struct keyring *ring, uint64_t segment, uint8_t out[KEYD_SPOOL_KEY_BYTES])
{
    if (segment < ring->spool_first)
        return RESULT_NOT_FOUND;
    if (segment - ring->spool_first >= KEYRING_SPOOL_AHEAD_MAX)
        return RESULT_INVALID;
    struct pseudonym_key chain = ring->spool_chain;
    step_chain(&chain, segment - ring->spool_first);
    derive(&chain, "throng spool key 1", NULL, out);
    sodium_memzero(&chain, sizeof chain);
    return RESULT_OK;
}

enum result keyring_spool_forget(struct keyring *ring, uint64_t segment)
{
    if (segment < ring->spool_first)
        return RESULT_OK;
    if (segment - ring->spool_first >= KEYRING_SPOOL_AHEAD_MAX)
        return RESULT_INVALID;
    step_chain(&ring->spool_chain, segment + 1 - ring->spool_first);
    ring->spool_first = segment + 1;
    return RESULT_OK;
}

static uint8_t *put(uint8_t *at, uint64_t value, unsigned length)
{
    for (unsigned i = 0; i < length; i++)
        at[i] = (uint8_t)(value >> (8 * i));
    return at + length;
}

static uint8_t *put_key(uint8_t *at, const struct pseudonym_key *key)
{
    memcpy(at, key->bytes, sizeof key->bytes);
    return at + sizeof key->bytes;
}

static uint8_t *pack_app(const struct keyring_app *app, uint8_t *at)
{
    at = put(at, app->app, 4);
    at = put(at, app->epoch, 4);
    at = put(at, app->epoch_days, 4);
    at = put(at, app->link_epochs, 4);
    at = put(at, app->held, 4);
    at = put(at, (uint64_t)app->calendar, 8);
    at = put(at, (uint64_t)app->ratcheted_at_ms, 8);
    for (size_t i = 0; i < NAMES_MAX; i++)
        at = put_key(at, &app->key[i]);
    at = put_key(at, &app->shard);
    return put_key(at, &app->visitor);
}

void keyring_pack(const struct keyring *ring, uint8_t out[KEYRING_PACKED_BYTES])
{
    uint8_t *at = put(out, ring->count, 4);
    at = put(at, (uint64_t)ring->visitor_day, 8);
    at = put(at, ring->spool_first, 8);
    at = put_key(at, &ring->spool_chain);
    for (size_t i = 0; i < ring->count; i++)
        at = pack_app(&ring->apps[i], at);
    memset(at, 0, (size_t)(out + KEYRING_PACKED_BYTES - at));
}

static uint64_t get(const uint8_t **at, unsigned length)
{
    uint64_t value = 0;
    for (unsigned i = length; i-- > 0;)
        value = value << 8 | (*at)[i];
    *at += length;
    return value;
}

static void get_key(const uint8_t **at, struct pseudonym_key *key)
{
    memcpy(key->bytes, *at, sizeof key->bytes);
    *at += sizeof key->bytes;
}

static enum result unpack_app(const uint8_t **at, struct keyring_app *app)
{
    *app = (struct keyring_app){0};
    app->app = (uint32_t)get(at, 4);
    app->epoch = (uint32_t)get(at, 4);
    app->epoch_days = (uint32_t)get(at, 4);
    app->link_epochs = (uint32_t)get(at, 4);
    app->held = (uint32_t)get(at, 4);
    app->calendar = (int64_t)get(at, 8);
    app->ratcheted_at_ms = (int64_t)get(at, 8);
    for (size_t i = 0; i < NAMES_MAX; i++)
        get_key(at, &app->key[i]);
    get_key(at, &app->shard);
    get_key(at, &app->visitor);
    app->wanted_days = app->epoch_days;
    bool sound = app->epoch_days >= KEYEPOCH_DAYS_MIN && app->epoch_days <= KEYEPOCH_DAYS_MAX &&
                 app->link_epochs >= 1 && app->link_epochs <= LINK_EPOCHS_MAX && app->held >= 1 &&
                 app->held <= app->link_epochs + 1;
    return sound ? RESULT_OK : RESULT_CORRUPT;
}

enum result keyring_unpack(const uint8_t in[KEYRING_PACKED_BYTES], struct keyring *ring)
{
    const uint8_t *at = in;
    uint64_t count = get(&at, 4);
    if (count > KEYRING_APPS_MAX)
        return RESULT_CORRUPT;
    sodium_memzero(ring, sizeof *ring);
    ring->count = (uint32_t)count;
    ring->visitor_day = (int64_t)get(&at, 8);
    ring->spool_first = get(&at, 8);
    get_key(&at, &ring->spool_chain);
    for (size_t i = 0; i < ring->count; i++)
        if (unpack_app(&at, &ring->apps[i]) != RESULT_OK)
            return RESULT_CORRUPT;
    return RESULT_OK;
}
