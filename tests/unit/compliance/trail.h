/*
 * A trail for tests: leaves that are written down here, definitions, and rows of the database, as a source.
 */
#ifndef THRONG_TESTS_TRAIL_H
#define THRONG_TESTS_TRAIL_H

#include <inttypes.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compliance/meaning/source.h"

#define TRAIL_LEAVES 128
#define TRAIL_START_MS INT64_C(1767225600000) /* 2026-01-01 */
#define TRAIL_DAY_MS INT64_C(86400000)
#define TRAIL_DEFINITION \
    "{\"controller\":\"Example & Sons <script>alert(1)</script>\",\"dpo_contact\":\"privacy@example.org\",\"events\":[{\"name\":" \
    "\"view\"}],\"horizon_days\":400,\"legal_basis\":\"consent\",\"name\":\"story\",\"population\":\"people\",\"purposes\":[\"see how " \
    "stories, and \\\"tales\\\", are used\"],\"recipients\":[\"the team\"],\"time_zone\":\"Europe/Vienna\",\"title\":\"Story\"}"
#define TRAIL_HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define TRAIL_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define TRAIL_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define TRAIL_RING "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
#define TRAIL_NODE "00000000000000aa"
#define TRAIL_REQUEST "11111111-1111-4111-8111-111111111111"
#define TRAIL_BACKUP "22222222-2222-4222-8222-222222222222"
#define TRAIL_INCIDENT "33333333-3333-4333-8333-333333333333"

struct trail_fixture {
    struct source source;
    char *leaves[TRAIL_LEAVES];
    size_t count;
    char *ledger[8], *releases[8];
    size_t ledger_count, release_count;
    const char *definition; /* NULL: it is not there */
    int64_t now_ms;
};

__attribute__((unused)) static enum result trail_leaf(void *context, uint64_t index, struct text_view *leaf, struct failure *why)
{
    (void)why;
    const struct trail_fixture *fixture = context;
    *leaf = (struct text_view){fixture->leaves[index], strlen(fixture->leaves[index])};
    return RESULT_OK;
}

__attribute__((unused)) static enum result trail_definition(void *context, const uint8_t hash[32], struct text_view *definition,
    struct failure *why)
{
    (void)hash;
    const struct trail_fixture *fixture = context;
    failure_set(why, "", "no such definition");
    if (fixture->definition == NULL)
        return RESULT_NOT_FOUND;
    *definition = (struct text_view){fixture->definition, strlen(fixture->definition)};
    return RESULT_OK;
}

static enum result trail_line(char *const *lines, size_t count, uint64_t row, struct text_view *line, struct failure *why)
{
    failure_set(why, "", "no more rows");
    if (row >= count)
        return RESULT_NOT_FOUND;
    *line = (struct text_view){lines[row], strlen(lines[row])};
    return RESULT_OK;
}

__attribute__((unused)) static enum result trail_ledger(void *context, uint64_t row, struct text_view *line, struct failure *why)
{
    const struct trail_fixture *fixture = context;
    return trail_line(fixture->ledger, fixture->ledger_count, row, line, why);
}

__attribute__((unused)) static enum result trail_release(void *context, uint64_t row, struct text_view *line, struct failure *why)
{
    const struct trail_fixture *fixture = context;
    return trail_line(fixture->releases, fixture->release_count, row, line, why);
}

/* The id of leaf n, 1 and so on, as it is written. */
static const char *trail_id(size_t n, char out[40])
{
    (void)snprintf(out, 40, "00000000-0000-4000-8000-%012u", (unsigned)n % 1000);
    return out;
}

/* Append a leaf, an hour after the one before: data is canonical JSON; ref 0: none, else the number of a leaf. Returns its
 * number. */
static size_t trail_add(struct trail_fixture *fixture, const char *act, const char *tenant, const char *out, size_t ref,
    const char *data)
{
    char id[40], ref_id[40], reference[64] = "";
    size_t room = strlen(data) + 700;
    char *leaf = malloc(room);
    bool denied = strcmp(act, "access_denied") == 0 || strcmp(act, "aggregates_read") == 0;
    if (ref > 0)
        (void)snprintf(reference, sizeof reference, "\"ref\":\"%s\",", trail_id(ref, ref_id));
    fixture->now_ms += 3600000;
    (void)snprintf(leaf, room, "{\"act\":\"%s\",\"actor\":{\"id\":\"%s\",\"type\":\"%s\"},\"at\":%" PRId64 ",\"data\":%s,\"id\":\"%s\","
                               "\"nonce\":\"%s\",\"out\":\"%s\",%s\"tenant\":\"%s\",\"v\":1}",
        act, denied ? "44444444-4444-4444-8444-444444444444" : "throng_state", denied ? "key" : "daemon", fixture->now_ms, data,
        trail_id(fixture->count + 1, id), "000102030405060708090a0b0c0d0e0f", out, reference, tenant);
    fixture->leaves[fixture->count++] = leaf;
    fixture->source.checkpoint.size = fixture->count;
    return fixture->count;
}

static void trail_requests(struct trail_fixture *fixture)
{
    char data[400];
    int64_t now = fixture->now_ms;
    (void)snprintf(data, sizeof data, "{\"due_at\":%" PRId64 ",\"kind\":\"erasure\",\"received_at\":%" PRId64 ",\"request\":\"" TRAIL_REQUEST
        "\"}", now + 30 * TRAIL_DAY_MS, now);
    size_t received = trail_add(fixture, "request_received", "story", "ok", 0, data);
    (void)snprintf(data, sizeof data, "{\"kind\":\"erasure\",\"purge_due_at\":%" PRId64 ",\"request\":\"" TRAIL_REQUEST "\"}",
        now + 32 * TRAIL_DAY_MS);
    trail_add(fixture, "request_applied", "story", "ok", received, data);
    trail_add(fixture, "request_purged", "story", "ok", 0, "{\"request\":\"" TRAIL_REQUEST "\"}");
}

static void trail_keys(struct trail_fixture *fixture)
{
    trail_add(fixture, "key_born", "story", "ok", 0,
        "{\"commitment\":\"" TRAIL_A "\",\"epoch\":3,\"node\":\"" TRAIL_NODE "\",\"ring\":\"" TRAIL_RING "\"}");
    size_t order = trail_add(fixture, "key_change_ordered", "story", "ok", 0, "{\"change\":\"ratchet\"}");
    trail_add(fixture, "key_ratcheted", "story", "ok", order,
        "{\"commitment\":\"" TRAIL_B "\",\"epoch\":4,\"former\":\"" TRAIL_A "\",\"node\":\"" TRAIL_NODE "\",\"ring\":\"" TRAIL_RING "\"}");
    trail_add(fixture, "key_destroyed", "story", "ok", 0,
        "{\"commitment\":\"" TRAIL_B "\",\"epoch\":4,\"node\":\"" TRAIL_NODE "\",\"ring\":\"" TRAIL_RING "\"}");
}

static void trail_released(struct trail_fixture *fixture)
{
    char id[40], line[300];
    size_t plan = trail_add(fixture, "month_planned", "story", "ok", 0,
        "{\"definition\":1,\"families\":[[\"active\",38,\"40\",\"0.475\",1],[\"new\",6,\"12.5\",\"0.24\",1],[\"goals\",32,\"32\",\"0.5\",0]],"
        "\"k\":11,\"month\":\"2026-01-01\",\"population\":\"people\",\"preset\":\"standard\",\"rho\":\"0.7328\"}");
    size_t released = trail_add(fixture, "aggregates_released", "story", "ok", 0,
        "{\"day\":\"2026-01-02\",\"definition\":1,\"family\":\"active\",\"first_day\":\"2026-01-01\",\"interval\":\"day\",\"k\":11,"
        "\"mechanism\":\"discrete_gaussian\",\"period\":\"2026-01-01\",\"place\":1,\"preset\":\"standard\",\"protection\":\"dp\",\"rho\":"
        "\"0.475\",\"rows\":[[\"active_users\",\"\",[[-1,120],[0,null]]]],\"sealed_at\":1767333600000,\"sigma_squared\":\"40\",\"stage\":"
        "\"activity\"}");
    trail_add(fixture, "aggregates_refused", "story", "denied", 0,
        "{\"day\":\"2026-01-02\",\"definition\":1,\"family\":\"goals\",\"first_day\":\"2026-01-01\",\"interval\":\"week\",\"period\":"
        "\"2026-01-05\",\"preset\":\"standard\",\"reason\":\"not_reserved\",\"sealed_at\":1767333600000,\"stage\":\"sessions\"}");
    (void)snprintf(line, sizeof line, "people,2026-01-01,story,active,0.475000000000,%s", trail_id(plan, id));
    fixture->ledger[fixture->ledger_count++] = strdup(line);
    (void)snprintf(line, sizeof line, "people,2026-01-01,story,new,0.240000000000,%s", trail_id(plan, id));
    fixture->ledger[fixture->ledger_count++] = strdup(line);
    (void)snprintf(line, sizeof line, "people,story,active,,day,2026-01-01,1,%s", trail_id(released, id));
    fixture->releases[fixture->release_count++] = strdup(line);
}

static void trail_service(struct trail_fixture *fixture)
{
    trail_add(fixture, "aggregates_read", "", "ok", 0, "{\"counts\":[[\"story\",7],[\"*\",2]],\"hour_ms\":1767333600000}");
    trail_add(fixture, "access_denied", "", "denied", 0, "{\"counts\":[[\"scope\",3]],\"hour_ms\":1767333600000}");
    trail_add(fixture, "ingestion", "story", "ok", 0, "{\"accepted\":1024,\"day\":\"2026-01-02\",\"dropped\":0,\"duplicate\":4,\"exact\":\""
        TRAIL_HEX "\",\"late\":1,\"rejected\":{\"missing_field\":8}}");
    size_t purge = trail_add(fixture, "purge_ordered", "story", "ok", 0, "{\"reason\":\"" TRAIL_HEX "\"}");
    trail_add(fixture, "purge_done", "story", "ok", purge, "{\"shards\":16}");
    trail_add(fixture, "backup_made", "", "ok", 0, "{\"backup\":\"" TRAIL_BACKUP "\",\"expires_at\":1769904000000,\"hash\":\"" TRAIL_HEX "\"}");
    trail_add(fixture, "backup_gone", "", "ok", 0, "{\"backup\":\"" TRAIL_BACKUP "\"}");
    trail_add(fixture, "incident_opened", "", "ok", 0, "{\"incident\":\"" TRAIL_INCIDENT "\",\"kind\":\"availability\"}");
    trail_add(fixture, "incident_closed", "", "ok", 0, "{\"incident\":\"" TRAIL_INCIDENT "\"}");
    trail_add(fixture, "self_test_passed", "", "ok", 0, "{\"places\":120,\"runs\":24}");
    trail_add(fixture, "state_expired", "story", "ok", 0, "{\"day\":\"2026-01-02\",\"people\":8}");
    trail_add(fixture, "mark_expired", "", "ok", 0, "{\"count\":1}");
    trail_add(fixture, "export_made", "", "ok", 0, "{\"hash\":\"" TRAIL_HEX "\",\"size\":3}");
    trail_add(fixture, "restored", "", "ok", 0, "{\"from_size\":2,\"to_size\":2}");
    trail_add(fixture, "trail_read", "", "ok", 0, "{\"counts\":[[\"entries\",5]],\"hour_ms\":1767333600000,\"reads\":5}");
    trail_add(fixture, "log_key_rotated", "", "ok", 0, "{\"new\":\"log+1+one\",\"old\":null}");
    trail_add(fixture, "log_key_rotated", "", "ok", 0, "{\"new\":\"log+2+two\",\"old\":\"log+1+one\"}");
    trail_add(fixture, "trail_pruned", "", "ok", 0, "{\"below\":2}");
    trail_add(fixture, "clock_stepped_back", "", "ok", 0, "{\"ms\":1500,\"node\":\"" TRAIL_NODE "\"}");
    trail_add(fixture, "spool_replayed", "", "ok", 0, "{\"entries\":12,\"node\":\"" TRAIL_NODE "\"}");
    trail_add(fixture, "daemon_started", "", "ok", 0, "{\"binary\":\"" TRAIL_HEX "\",\"configuration\":\"" TRAIL_A "\",\"version\":\"0.1.0\"}");
    trail_add(fixture, "daemon_stopped", "", "ok", 0, "{}");
}

/* A trail in which everything is right. */
__attribute__((unused)) static void trail_begin_fixture(struct trail_fixture *fixture)
{
    char hash[65], data[400];
    uint8_t bytes[32];
    *fixture = (struct trail_fixture){.now_ms = TRAIL_START_MS, .definition = TRAIL_DEFINITION};
    fixture->source = (struct source){.context = fixture, .leaf = trail_leaf, .definition = trail_definition,
        .ledger = trail_ledger, .release = trail_release};
    (void)snprintf(fixture->source.checkpoint.origin, sizeof fixture->source.checkpoint.origin, "example.org/throng");
    memset(fixture->source.checkpoint.root.bytes, 7, sizeof fixture->source.checkpoint.root.bytes);
    crypto_hash_sha256(bytes, (const unsigned char *)TRAIL_DEFINITION, strlen(TRAIL_DEFINITION));
    sodium_bin2hex(hash, sizeof hash, bytes, sizeof bytes);
    trail_add(fixture, "migration", "", "ok", 0, "{\"file\":\"0001_roles.sql\",\"hash\":\"" TRAIL_HEX "\"}");
    (void)snprintf(data, sizeof data, "{\"hash\":\"%s\",\"preset\":\"standard\",\"version\":1}", hash);
    trail_add(fixture, "app_added", "story", "ok", 0, data);
    size_t key = trail_add(fixture, "api_key_made", "story", "ok", 0, "{\"hint\":\"ak_1234\",\"scope\":\"read\"}");
    char id[40];
    (void)snprintf(data, sizeof data, "{\"key\":\"%s\"}", trail_id(key, id));
    trail_add(fixture, "api_key_revoked", "", "ok", 0, data);
    trail_keys(fixture);
    trail_requests(fixture);
    trail_released(fixture);
    trail_service(fixture);
    (void)snprintf(data, sizeof data, "{\"hash\":\"%s\",\"hash_before\":\"%s\",\"preset\":\"standard\",\"version\":2}", hash, hash);
    trail_add(fixture, "app_changed", "story", "ok", 0, data);
}

__attribute__((unused)) static void trail_end_fixture(struct trail_fixture *fixture)
{
    for (size_t i = 0; i < fixture->count; i++)
        free(fixture->leaves[i]);
    for (size_t i = 0; i < fixture->ledger_count; i++)
        free(fixture->ledger[i]);
    for (size_t i = 0; i < fixture->release_count; i++)
        free(fixture->releases[i]);
}

/* The place of the first leaf of an act, from `from` on. */
__attribute__((unused)) static size_t trail_find(const struct trail_fixture *fixture, const char *act, size_t from)
{
    char text[80];
    (void)snprintf(text, sizeof text, "{\"act\":\"%s\",", act);
    for (size_t i = from; i < fixture->count; i++)
        if (strncmp(fixture->leaves[i], text, strlen(text)) == 0)
            return i;
    abort();
}

/* Replace the first `old` in *text, which is allocated, by `new`; it must be there. */
__attribute__((unused)) static void trail_replace(char **text, const char *old, const char *new)
{
    const char *at = strstr(*text, old);
    if (at == NULL)
        abort();
    size_t room = strlen(*text) + strlen(new) + 1;
    char *changed = malloc(room);
    (void)snprintf(changed, room, "%.*s%s%s", (int)(at - *text), *text, new, at + strlen(old));
    free(*text);
    *text = changed;
}

/* Take leaf number place away. */
__attribute__((unused)) static void trail_drop(struct trail_fixture *fixture, size_t place)
{
    free(fixture->leaves[place]);
    memmove(fixture->leaves + place, fixture->leaves + place + 1, (fixture->count - place - 1) * sizeof *fixture->leaves);
    fixture->source.checkpoint.size = --fixture->count;
}

#endif
