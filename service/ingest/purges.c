#include "service/ingest/purges.h"

#include <inttypes.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema/packet.h"
#include "service/base/clock.h"
#include "service/base/log.h"
#include "service/ingest/keep.h"
#include "service/ingest/notices.h"
#include "service/ingest/writer.h"

#define PURGES_MAX 4096
#define LINE_MAX_BYTES 80

enum stage { ORDERED, SENT, RESUMED };
static const char *const stages[] = {"ordered", "sent", "resumed"};

struct purge {
    uint32_t app;
    uint8_t request[16];
    int64_t at_ms;
    enum stage stage;
};

struct purges {
    pthread_mutex_t lock;      /* of the list */
    pthread_mutex_t finishing; /* one at a time */
    char directory[512];
    size_t count;
    struct purge list[PURGES_MAX];
};

/* The file */

static bool parse_stage(const char *text, enum stage *stage)
{
    for (size_t i = 0; i < sizeof stages / sizeof stages[0]; i++) {
        if (strcmp(text, stages[i]) == 0) {
            *stage = (enum stage)i;
            return true;
        }
    }
    return false;
}

static bool parse_line(const char *line, struct purge *purge)
{
    char hex[33], stage[16];
    size_t length;
    if (sscanf(line, "%" SCNu32 " %32[0-9a-f] %" SCNd64 " %15[a-z]", &purge->app, hex, &purge->at_ms, stage) != 4)
        return false;
    return sodium_hex2bin(purge->request, sizeof purge->request, hex, strlen(hex), NULL, &length, NULL) == 0 &&
        length == sizeof purge->request && purge->app != 0 && parse_stage(stage, &purge->stage);
}

static enum result parse(struct purges *purges, char *text, struct failure *why)
{
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        if (purges->count == PURGES_MAX || !parse_line(line, &purges->list[purges->count])) {
            failure_set(why, "ingest.state", "holds a file `purged` that is damaged");
            return RESULT_CORRUPT;
        }
        purges->count++;
    }
    return RESULT_OK;
}

static enum result store(const struct purges *purges, struct failure *why)
{
    size_t length = 0, size = (purges->count + 1) * LINE_MAX_BYTES;
    char *text = malloc(size);
    if (text == NULL) {
        failure_set(why, "purged", "memory is short");
        return RESULT_FAILED;
    }
    for (size_t i = 0; i < purges->count; i++) {
        const struct purge *purge = &purges->list[i];
        char hex[33];
        sodium_bin2hex(hex, sizeof hex, purge->request, sizeof purge->request);
        length += (size_t)snprintf(text + length, size - length, "%" PRIu32 " %s %" PRId64 " %s\n", purge->app, hex,
            purge->at_ms, stages[purge->stage]);
    }
    enum result result = keep_store(purges->directory, "purged", text, length, why);
    free(text);
    return result;
}

enum result purges_open(const char *directory, struct purges **out, struct failure *why)
{
    struct purges *purges = calloc(1, sizeof *purges);
    char *text = NULL;
    if (purges == NULL || strlen(directory) >= sizeof purges->directory) {
        failure_set(why, "ingest.state", "is too long, or memory is short");
        free(purges);
        return RESULT_FAILED;
    }
    (void)snprintf(purges->directory, sizeof purges->directory, "%s", directory);
    pthread_mutex_init(&purges->lock, NULL);
    pthread_mutex_init(&purges->finishing, NULL);
    enum result result = keep_load(directory, "purged", PURGES_MAX * LINE_MAX_BYTES, &text, why);
    if (result == RESULT_OK)
        result = parse(purges, text, why);
    free(text);
    if (result != RESULT_OK && result != RESULT_NOT_FOUND) {
        purges_close(purges);
        return result;
    }
    *out = purges;
    return RESULT_OK;
}

void purges_close(struct purges *purges)
{
    if (purges == NULL)
        return;
    pthread_mutex_destroy(&purges->lock);
    pthread_mutex_destroy(&purges->finishing);
    free(purges);
}

/* The list */

static struct purge *find(struct purges *purges, uint32_t app)
{
    for (size_t i = 0; i < purges->count; i++) {
        if (purges->list[i].app == app)
            return &purges->list[i];
    }
    return NULL;
}

bool purges_holds(struct purges *purges, uint32_t app)
{
    pthread_mutex_lock(&purges->lock);
    const struct purge *purge = find(purges, app);
    bool holds = purge != NULL && purge->stage != RESUMED;
    pthread_mutex_unlock(&purges->lock);
    return holds;
}

/* Set app's line to *fresh, durably; as it was if that fails. Under the lock. */
static enum result replace(struct purges *purges, const struct purge *fresh, struct failure *why)
{
    struct purge *place = find(purges, fresh->app), before = {0};
    bool added = place == NULL;
    if (added && purges->count == PURGES_MAX) {
        failure_set(why, "purged", "there is room for %d apps", PURGES_MAX);
        return RESULT_FULL;
    }
    if (added)
        place = &purges->list[purges->count++];
    else
        before = *place;
    *place = *fresh;
    enum result result = store(purges, why);
    if (result == RESULT_OK)
        return RESULT_OK;
    *place = before;
    purges->count -= added;
    return result;
}

enum result purges_order(struct purges *purges, uint32_t app, const uint8_t request[16], struct failure *why)
{
    struct purge fresh = {.app = app, .at_ms = clock_now_ms(), .stage = ORDERED};
    enum result result = RESULT_OK;
    memcpy(fresh.request, request, sizeof fresh.request);
    pthread_mutex_lock(&purges->lock);
    const struct purge *known = find(purges, app);
    bool other = known == NULL || memcmp(known->request, request, sizeof fresh.request) != 0;
    if (other && (known == NULL || known->stage != ORDERED)) {
        result = replace(purges, &fresh, why);
    } else if (other) {
        failure_set(why, "app", "another purge of it is under way");
        result = RESULT_UNAVAILABLE;
    }
    pthread_mutex_unlock(&purges->lock);
    return result;
}

enum result purges_resume(struct purges *purges, uint32_t app, struct failure *why)
{
    enum result result = RESULT_NOT_FOUND;
    pthread_mutex_lock(&purges->lock);
    const struct purge *known = find(purges, app);
    if (known != NULL && known->stage == SENT) {
        struct purge fresh = *known;
        fresh.stage = RESUMED;
        result = replace(purges, &fresh, why);
    } else if (known != NULL && known->stage == ORDERED) {
        failure_set(why, "app", "its purge is not finished yet");
        result = RESULT_UNAVAILABLE;
    } else {
        failure_set(why, "app", "is not purged");
    }
    pthread_mutex_unlock(&purges->lock);
    return result;
}

/* Carrying out */

static bool next_ordered(struct purges *purges, struct purge *out)
{
    bool found = false;
    pthread_mutex_lock(&purges->lock);
    for (size_t i = 0; i < purges->count && !found; i++) {
        found = purges->list[i].stage == ORDERED;
        if (found)
            *out = purges->list[i];
    }
    pthread_mutex_unlock(&purges->lock);
    return found;
}

static enum result send_packets(struct writer *writer, const struct purge *purge, uint32_t shards)
{
    struct writer_packet *packets = calloc(shards, sizeof *packets);
    struct packet_purge ordered = {.app = purge->app, .at_ms = purge->at_ms};
    if (packets == NULL)
        return RESULT_UNAVAILABLE;
    memcpy(ordered.request, purge->request, sizeof ordered.request);
    for (uint32_t s = 0; s < shards; s++) {
        const struct packet_header header = writer_header(writer, PACKET_PURGE, (uint16_t)s);
        packets[s].shard = (uint16_t)s;
        (void)packet_write_purge(&header, &ordered, packets[s].bytes, sizeof packets[s].bytes, &packets[s].length);
    }
    enum result result = writer_send(writer, packets, shards);
    free(packets);
    return result;
}

static enum result finish_one(struct purges *purges, struct notices *notices, struct writer *writer, uint32_t shards,
    const struct purge *purge, struct failure *why)
{
    struct notices_change change = {.app = purge->app, .act = PACKET_KEY_DESTROYED};
    memcpy(change.request, purge->request, sizeof change.request);
    enum result result = notices_change_key(notices, &change, why);
    if (result != RESULT_OK && result != RESULT_NOT_FOUND)
        return result;
    result = send_packets(writer, purge, shards);
    if (result != RESULT_OK) {
        failure_set(why, "", "neither Redis nor the spool takes the order; it is tried again");
        return result;
    }
    struct purge sent = *purge;
    sent.stage = SENT;
    pthread_mutex_lock(&purges->lock);
    result = replace(purges, &sent, why);
    pthread_mutex_unlock(&purges->lock);
    log_event(LOG_LEVEL_WARN, "app.purged", LOG_UINT("app", purge->app));
    return result;
}

enum result purges_finish(
    struct purges *purges, struct notices *notices, struct writer *writer, uint32_t shards, struct failure *why)
{
    struct purge purge;
    enum result result = RESULT_OK;
    pthread_mutex_lock(&purges->finishing);
    while (result == RESULT_OK && next_ordered(purges, &purge))
        result = finish_one(purges, notices, writer, shards, &purge, why);
    pthread_mutex_unlock(&purges->finishing);
    return result;
}

/* The spool */

static bool is_empty(struct purges *purges)
{
    pthread_mutex_lock(&purges->lock);
    bool empty = purges->count == 0;
    pthread_mutex_unlock(&purges->lock);
    return empty;
}

static bool is_gone(struct purges *purges, const struct packet_part *part)
{
    pthread_mutex_lock(&purges->lock);
    const struct purge *purge = find(purges, part->app);
    bool gone = purge != NULL && part->received_at_ms <= purge->at_ms;
    pthread_mutex_unlock(&purges->lock);
    return gone;
}

/* Copy the part that reader has come to, or skip it. */
static bool copy_part(struct packet_reader *reader, struct packet_writer *writer, const struct packet_part *part, bool skip)
{
    struct packet_user user;
    struct packet_event event;
    bool good = skip || packet_add_part(writer, part) == RESULT_OK;
    for (unsigned u = 0; u < part->users && good; u++) {
        good = packet_next_user(reader, &user) && (skip || packet_add_user(writer, &user) == RESULT_OK);
        for (unsigned e = 0; good && e < user.events; e++)
            good = packet_next_event(reader, &event) && (skip || packet_add_event(writer, &event) == RESULT_OK);
    }
    return good;
}

void purges_strip(struct purges *purges, uint8_t *bytes, size_t *length)
{
    uint8_t kept[ENTRY_MAX_BYTES];
    struct packet_reader reader;
    struct packet_writer writer;
    struct packet_header header;
    struct packet_part part;
    bool skipped = false, good = true;
    if (is_empty(purges) || *length > sizeof kept ||
        packet_open(&reader, bytes, *length, &header) != RESULT_OK || header.type != PACKET_EVENTS)
        return;
    packet_begin(&writer, kept, sizeof kept, &header);
    while (good && packet_next_part(&reader, &part)) {
        bool skip = is_gone(purges, &part);
        skipped = skipped || skip;
        good = copy_part(&reader, &writer, &part, skip);
    }
    if (!skipped || !good || reader.state != RESULT_OK)
        return;
    memcpy(bytes, kept, writer.length);
    *length = writer.length;
}
