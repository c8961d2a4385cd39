#include "service/stream/stream.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema/limits.h"
#include "service/base/clock.h"
#include "service/stream/link.h"

#define KEY_BYTES 24 /* "throng:{65535}" */
#define CATALOGUE_KEY "throng:catalogue"
#define DEAD_KEY "throng:dead"
#define DEAD_ENTRIES "10000"
#define MARKS_KEY_BYTES 32 /* "throng:{65535}:marks" */
#define MARKS_AT_ONCE 200
#define READ_HEAD 6 /* XREAD COUNT n BLOCK ms STREAMS */

struct stream {
    const struct config *config;
    struct link *link; /* NULL: not connected */
    redisReply *read;  /* what entries borrow from */
    struct stream_entry *entries;
    size_t capacity;
};

/* One command, its arguments borrowed. */
struct command {
    size_t count;
    const char *arguments[READ_HEAD + 2 * SHARDS_MAX];
    size_t lengths[READ_HEAD + 2 * SHARDS_MAX];
};

struct stream *stream_new(const struct config *config)
{
    struct stream *stream = calloc(1, sizeof *stream);
    if (stream != NULL)
        stream->config = config;
    return stream;
}

static void disconnect(struct stream *stream)
{
    link_close(stream->link);
    stream->link = NULL;
}

static void free_reply(redisReply *reply)
{
    if (reply != NULL)
        freeReplyObject(reply);
}

void stream_free(struct stream *stream)
{
    if (stream == NULL)
        return;
    disconnect(stream);
    free_reply(stream->read);
    free(stream->entries);
    free(stream);
}

static enum result gone(struct stream *stream, struct failure *why, const char *text)
{
    disconnect(stream);
    failure_set(why, "redis", "%s", text);
    return RESULT_UNAVAILABLE;
}

static void key_of(uint16_t shard, char key[static KEY_BYTES])
{
    (void)snprintf(key, KEY_BYTES, "throng:{%u}", (unsigned)shard);
}

static void push_bytes(struct command *command, const void *bytes, size_t length)
{
    assert(command->count < sizeof command->lengths / sizeof command->lengths[0]);
    command->arguments[command->count] = bytes;
    command->lengths[command->count] = length;
    command->count++;
}

static void push(struct command *command, const char *text)
{
    push_bytes(command, text, strlen(text));
}

static int64_t deadline(const struct stream *stream, int64_t more_ms)
{
    return clock_steady_ms() + stream->config->redis_timeout_ms + more_ms;
}

/* After any failure of the link it is closed: the next call connects anew. */
static enum result keep(struct stream *stream, enum result result)
{
    if (result != RESULT_OK)
        disconnect(stream);
    return result;
}

static enum result flush(struct stream *stream, int64_t deadline_ms, struct failure *why)
{
    return keep(stream, link_flush(stream->link, deadline_ms, why));
}

/* The next reply, owned by the caller. */
static enum result next_reply(struct stream *stream, int64_t deadline_ms, redisReply **out, struct failure *why)
{
    return keep(stream, link_reply(stream->link, deadline_ms, out, why));
}

/* An error reply's first word, its code. Only that may be shown: the rest can repeat arguments. */
static void code_of(const redisReply *reply, char code[static 32])
{
    size_t length = strspn(reply->str, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    (void)snprintf(code, 32, "%.*s", length > 31 ? 31 : (int)length, reply->str);
}

static bool among(const char *code, const char *const *codes)
{
    while (*codes != NULL && strcmp(code, *codes) != 0)
        codes++;
    return *codes != NULL;
}

/* What an error reply means. `name` is the command's, for the explanation. Does not touch the connection. */
static enum result judge(const redisReply *reply, const char *name, struct failure *why)
{
    static const char *const passing[] = {"LOADING", "MISCONF", "OOM", "READONLY", "CLUSTERDOWN", "TRYAGAIN",
        "MASTERDOWN", "BUSY", "NOREPLICAS", "UNBLOCKED", NULL};
    static const char *const denied[] = {"NOAUTH", "NOPERM", "WRONGPASS", NULL};
    if (reply->type != REDIS_REPLY_ERROR)
        return RESULT_OK;
    char code[32];
    code_of(reply, code);
    if (among(code, passing) || strncmp(reply->str, "ERR max number of clients", 25) == 0) {
        failure_set(why, "redis", "%s is refused for now: %s", name, code);
        return RESULT_UNAVAILABLE;
    }
    if (among(code, denied)) {
        failure_set(
            why, "redis", "%s is not allowed (%s): check redis.user, redis.password and the user's ACL", name, code);
        return RESULT_DENIED;
    }
    failure_set(why, "redis", "%s failed: %s", name, code);
    return RESULT_FAILED;
}

/* After RESULT_UNAVAILABLE another server may answer at the same address; without authentication nothing will go. */
static void drop_if_useless(struct stream *stream, enum result result, const redisReply *reply)
{
    char code[32] = "";
    if (reply->type == REDIS_REPLY_ERROR)
        code_of(reply, code);
    if (result == RESULT_UNAVAILABLE || strcmp(code, "NOAUTH") == 0 || strcmp(code, "WRONGPASS") == 0)
        disconnect(stream);
}

/* Send command on an open connection and take its reply, owned by the caller: never an error. */
static enum result exchange(
    struct stream *stream, struct command *command, int64_t deadline_ms, redisReply **out, struct failure *why)
{
    redisReply *reply = NULL;
    enum result result =
        keep(stream, link_append(stream->link, command->count, command->arguments, command->lengths, why));
    if (result == RESULT_OK)
        result = flush(stream, deadline_ms, why);
    if (result == RESULT_OK)
        result = next_reply(stream, deadline_ms, &reply, why);
    if (result != RESULT_OK)
        return result;
    result = judge(reply, command->arguments[0], why);
    if (result == RESULT_OK) {
        *out = reply;
        return RESULT_OK;
    }
    drop_if_useless(stream, result, reply);
    free_reply(reply);
    return result;
}

static enum result authenticate(struct stream *stream, int64_t deadline_ms, struct failure *why)
{
    const struct config *config = stream->config;
    if (config->redis_user[0] == '\0' && config->redis_password[0] == '\0')
        return RESULT_OK;
    struct command command = {0};
    push(&command, "AUTH");
    if (config->redis_user[0] != '\0')
        push(&command, config->redis_user);
    push(&command, config->redis_password);
    redisReply *reply = NULL;
    enum result result = exchange(stream, &command, deadline_ms, &reply, why);
    free_reply(reply);
    if (result != RESULT_OK)
        disconnect(stream);
    return result;
}

static enum result open_connection(struct stream *stream, int64_t deadline_ms, struct failure *why)
{
    /* Nothing is sent yet, so a new connection is safe. */
    if (stream->link != NULL && link_stale(stream->link))
        disconnect(stream);
    if (stream->link != NULL)
        return RESULT_OK;
    enum result result = link_open(stream->config, deadline_ms, &stream->link, why);
    return result != RESULT_OK ? result : authenticate(stream, deadline_ms, why);
}

/* Connect if need be, send command, take its reply (owned by the caller), which must be of type, or nil. */
static enum result call(
    struct stream *stream, struct command *command, int type, int64_t more_ms, redisReply **out, struct failure *why)
{
    redisReply *reply = NULL;
    int64_t until_ms = deadline(stream, more_ms);
    enum result result = open_connection(stream, deadline(stream, 0), why);
    if (result == RESULT_OK)
        result = exchange(stream, command, until_ms, &reply, why);
    if (result != RESULT_OK)
        return result;
    if (reply->type != type && reply->type != REDIS_REPLY_NIL) {
        free_reply(reply);
        return gone(stream, why, "an answer of an unexpected type");
    }
    *out = reply;
    return RESULT_OK;
}

/* As call, when the reply's arrival is all that matters. */
static enum result tell(struct stream *stream, struct command *command, int type, struct failure *why)
{
    redisReply *reply = NULL;
    enum result result = call(stream, command, type, 0, &reply, why);
    free_reply(reply);
    return result;
}

enum result stream_connect(struct stream *stream, struct failure *why)
{
    struct command command = {0};
    push(&command, "PING");
    return tell(stream, &command, REDIS_REPLY_STATUS, why);
}

enum result stream_time_ms(struct stream *stream, int64_t *ms, struct failure *why)
{
    struct command command = {0};
    push(&command, "TIME");
    redisReply *reply = NULL;
    enum result result = call(stream, &command, REDIS_REPLY_ARRAY, 0, &reply, why);
    if (result != RESULT_OK)
        return result;
    if (reply->elements == 2 && reply->element[0]->type == REDIS_REPLY_STRING &&
        reply->element[1]->type == REDIS_REPLY_STRING)
        *ms = strtoll(reply->element[0]->str, NULL, 10) * 1000 + strtoll(reply->element[1]->str, NULL, 10) / 1000;
    else
        result = gone(stream, why, "TIME answered in an unexpected form");
    free_reply(reply);
    return result;
}

static enum result append_entry(struct stream *stream, const struct stream_append *entry, struct failure *why)
{
    char key[KEY_BYTES];
    key_of(entry->shard, key);
    const char *arguments[] = {"XADD", key, "*", "p", (const char *)entry->bytes};
    const size_t lengths[] = {4, strlen(key), 1, 1, entry->length};
    return keep(stream, link_append(stream->link, 5, arguments, lengths, why));
}

enum result stream_add(struct stream *stream, struct stream_append *entries, size_t count, struct failure *why)
{
    for (size_t i = 0; i < count; i++)
        entries[i].done = false;
    if (count == 0)
        return RESULT_OK;
    int64_t until_ms = deadline(stream, 0);
    enum result result = open_connection(stream, until_ms, why);
    for (size_t i = 0; i < count && result == RESULT_OK; i++)
        result = append_entry(stream, &entries[i], why);
    if (result == RESULT_OK)
        result = flush(stream, until_ms, why);
    if (result != RESULT_OK)
        return result;

    enum result first = RESULT_OK; /* of the entries that Redis refused; all replies are read nevertheless */
    bool close_after = false;
    for (size_t i = 0; i < count; i++) {
        redisReply *reply = NULL;
        result = next_reply(stream, until_ms, &reply, why);
        if (result != RESULT_OK)
            return result;
        result = judge(reply, "XADD", why);
        entries[i].done = result == RESULT_OK && reply->type == REDIS_REPLY_STRING;
        close_after = close_after || result == RESULT_UNAVAILABLE;
        if (first == RESULT_OK)
            first = result == RESULT_OK && !entries[i].done ? RESULT_FAILED : result;
        free_reply(reply);
    }
    if (close_after)
        disconnect(stream);
    return first;
}

/* The array's element i if it is of type, else NULL. */
static const redisReply *element(const redisReply *array, size_t i, int type)
{
    if (array->type != REDIS_REPLY_ARRAY || i >= array->elements || array->element[i]->type != type)
        return NULL;
    return array->element[i];
}

static bool shard_of(const redisReply *key, uint16_t *shard)
{
    unsigned number;
    int end = 0;
    if (sscanf(key->str, "throng:{%5u}%n", &number, &end) != 1 || (size_t)end != key->len || number > UINT16_MAX)
        return false;
    *shard = (uint16_t)number;
    return true;
}

static bool make_room(struct stream *stream, size_t count)
{
    if (count <= stream->capacity)
        return true;
    struct stream_entry *grown = realloc(stream->entries, count * sizeof *grown);
    if (grown == NULL)
        return false;
    stream->entries = grown;
    stream->capacity = count;
    return true;
}

/* Entry is [id, [field, value, …]]. One that is not our form keeps its id, so that the reader can step over it. */
static bool unpack_entry(const redisReply *entry, uint16_t shard, struct stream_entry *out)
{
    const redisReply *id = element(entry, 0, REDIS_REPLY_STRING);
    const redisReply *fields = element(entry, 1, REDIS_REPLY_ARRAY);
    if (id == NULL || id->len >= STREAM_ID_BYTES)
        return false;
    *out = (struct stream_entry){.shard = shard, .id = id->str};
    if (fields == NULL || fields->elements != 2)
        return true;
    const redisReply *name = element(fields, 0, REDIS_REPLY_STRING);
    const redisReply *value = element(fields, 1, REDIS_REPLY_STRING);
    if (name == NULL || value == NULL || name->len != 1 || name->str[0] != 'p')
        return true;
    out->bytes = (const uint8_t *)value->str;
    out->length = value->len;
    return true;
}

/* Append the entries of one shard, [key, [entry, …]], to stream->entries at *used. */
static bool unpack_shard(struct stream *stream, const redisReply *pair, size_t *used)
{
    const redisReply *key = element(pair, 0, REDIS_REPLY_STRING);
    const redisReply *list = element(pair, 1, REDIS_REPLY_ARRAY);
    uint16_t shard;
    if (key == NULL || list == NULL || !shard_of(key, &shard) || !make_room(stream, *used + list->elements))
        return false;
    for (size_t i = 0; i < list->elements; i++) {
        if (!unpack_entry(list->element[i], shard, &stream->entries[*used]))
            return false;
        (*used)++;
    }
    return true;
}

/* XREAD COUNT n [BLOCK ms] STREAMS key … id …; numbers and keys are the caller's room for text. */
static void compose_read(struct command *command, const struct stream_position *positions, size_t count,
    char numbers[static 2][24], char (*keys)[KEY_BYTES])
{
    push(command, "XREAD");
    push(command, "COUNT");
    push(command, numbers[0]);
    if (numbers[1][0] != '\0') {
        push(command, "BLOCK");
        push(command, numbers[1]);
    }
    push(command, "STREAMS");
    for (size_t i = 0; i < count; i++) {
        key_of(positions[i].shard, keys[i]);
        push(command, keys[i]);
    }
    for (size_t i = 0; i < count; i++)
        push(command, positions[i].after);
}

enum result stream_read(struct stream *stream, const struct stream_position *positions, size_t position_count,
    size_t per_shard, int64_t block_ms, const struct stream_entry **entries, size_t *count, struct failure *why)
{
    if (position_count == 0 || position_count > SHARDS_MAX || per_shard == 0) {
        failure_set(why, "positions", "from 1 to %d shards, and at least one entry of each", SHARDS_MAX);
        return RESULT_INVALID;
    }
    free_reply(stream->read);
    stream->read = NULL;
    char keys[SHARDS_MAX][KEY_BYTES];
    char numbers[2][24] = {"", ""};
    (void)snprintf(numbers[0], sizeof numbers[0], "%zu", per_shard);
    if (block_ms > 0) /* BLOCK 0 would wait for ever */
        (void)snprintf(numbers[1], sizeof numbers[1], "%" PRId64, block_ms);
    struct command command = {0};
    compose_read(&command, positions, position_count, numbers, keys);
    enum result result = call(stream, &command, REDIS_REPLY_ARRAY, block_ms > 0 ? block_ms : 0, &stream->read, why);
    if (result != RESULT_OK)
        return result;

    size_t used = 0;
    size_t shards = stream->read->type == REDIS_REPLY_NIL ? 0 : stream->read->elements;
    for (size_t i = 0; i < shards; i++) {
        if (!unpack_shard(stream, stream->read->element[i], &used))
            return gone(stream, why, "XREAD answered in an unexpected form");
    }
    *entries = stream->entries;
    *count = used;
    return RESULT_OK;
}

enum result stream_has(struct stream *stream, uint16_t shard, const char *id, bool *has, struct failure *why)
{
    char key[KEY_BYTES];
    key_of(shard, key);
    struct command command = {0};
    push(&command, "XRANGE");
    push(&command, key);
    push(&command, id);
    push(&command, id);
    redisReply *reply = NULL;
    enum result result = call(stream, &command, REDIS_REPLY_ARRAY, 0, &reply, why);
    if (result == RESULT_OK)
        *has = reply->elements > 0;
    free_reply(reply);
    return result;
}

enum result stream_trim(struct stream *stream, uint16_t shard, const char *id, struct failure *why)
{
    char key[KEY_BYTES];
    key_of(shard, key);
    struct command command = {0};
    push(&command, "XTRIM");
    push(&command, key);
    push(&command, "MINID");
    push(&command, "=");
    push(&command, id);
    return tell(stream, &command, REDIS_REPLY_INTEGER, why);
}

enum result stream_length(struct stream *stream, uint16_t shard, uint64_t *length, struct failure *why)
{
    char key[KEY_BYTES];
    key_of(shard, key);
    struct command command = {0};
    push(&command, "XLEN");
    push(&command, key);
    redisReply *reply = NULL;
    enum result result = call(stream, &command, REDIS_REPLY_INTEGER, 0, &reply, why);
    if (result == RESULT_OK)
        *length = (uint64_t)reply->integer;
    free_reply(reply);
    return result;
}

enum result stream_first_ms(struct stream *stream, uint16_t shard, int64_t *ms, struct failure *why)
{
    char key[KEY_BYTES];
    key_of(shard, key);
    const char *const words[] = {"XRANGE", key, "-", "+", "COUNT", "1"};
    struct command command = {0};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        push(&command, words[i]);
    redisReply *reply = NULL;
    enum result result = call(stream, &command, REDIS_REPLY_ARRAY, 0, &reply, why);
    if (result != RESULT_OK)
        return result;
    const redisReply *entry = element(reply, 0, REDIS_REPLY_ARRAY);
    const redisReply *id = entry == NULL ? NULL : element(entry, 0, REDIS_REPLY_STRING);
    *ms = id == NULL ? INT64_MAX : strtoll(id->str, NULL, 10);
    free_reply(reply);
    return RESULT_OK;
}

static void push_marks_key(struct command *command, uint16_t shard, char key[static MARKS_KEY_BYTES])
{
    (void)snprintf(key, MARKS_KEY_BYTES, "throng:{%u}:marks", (unsigned)shard);
    push(command, key);
}

enum result stream_marks_set(
    struct stream *stream, uint16_t shard, const struct stream_mark *marks, size_t count, struct failure *why)
{
    char key[MARKS_KEY_BYTES];
    enum result result = RESULT_OK;
    for (size_t at = 0; at < count && result == RESULT_OK;) {
        struct command command = {0};
        push(&command, "HSET");
        push_marks_key(&command, shard, key);
        for (size_t end = at + MARKS_AT_ONCE < count ? at + MARKS_AT_ONCE : count; at < end; at++) {
            push(&command, marks[at].field);
            push(&command, marks[at].value);
        }
        result = tell(stream, &command, REDIS_REPLY_INTEGER, why);
    }
    return result;
}

enum result stream_marks_delete(
    struct stream *stream, uint16_t shard, const char *const *fields, size_t count, struct failure *why)
{
    char key[MARKS_KEY_BYTES];
    enum result result = RESULT_OK;
    for (size_t at = 0; at < count && result == RESULT_OK;) {
        struct command command = {0};
        push(&command, "HDEL");
        push_marks_key(&command, shard, key);
        for (size_t end = at + MARKS_AT_ONCE < count ? at + MARKS_AT_ONCE : count; at < end; at++)
            push(&command, fields[at]);
        result = tell(stream, &command, REDIS_REPLY_INTEGER, why);
    }
    return result;
}

enum result stream_marks_read(struct stream *stream, uint16_t shard,
    void (*take)(void *context, const struct stream_mark *mark), void *context, struct failure *why)
{
    char key[MARKS_KEY_BYTES];
    struct command command = {0};
    push(&command, "HGETALL");
    push_marks_key(&command, shard, key);
    redisReply *reply = NULL;
    enum result result = call(stream, &command, REDIS_REPLY_ARRAY, 0, &reply, why);
    if (result != RESULT_OK)
        return result;
    for (size_t i = 0; i + 1 < reply->elements; i += 2) {
        const redisReply *field = element(reply, i, REDIS_REPLY_STRING);
        const redisReply *value = element(reply, i + 1, REDIS_REPLY_STRING);
        if (field != NULL && value != NULL)
            take(context, &(struct stream_mark){field->str, value->str});
    }
    free_reply(reply);
    return RESULT_OK;
}

enum result stream_set_aside(
    struct stream *stream, const struct stream_entry *entry, const char *reason, struct failure *why)
{
    char shard[8], length[24];
    (void)snprintf(shard, sizeof shard, "%u", (unsigned)entry->shard);
    (void)snprintf(length, sizeof length, "%zu", entry->bytes == NULL ? (size_t)0 : entry->length);
    const char *const words[] = {"XADD", DEAD_KEY, "MAXLEN", "=", DEAD_ENTRIES, "*", "shard", shard, "id", entry->id, "reason",
        reason, "bytes", length};
    struct command command = {0};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        push(&command, words[i]);
    return tell(stream, &command, REDIS_REPLY_STRING, why);
}

enum result stream_publish_catalogue(
    struct stream *stream, uint64_t version, const char *json, size_t length, struct failure *why)
{
    char number[24];
    (void)snprintf(number, sizeof number, "%" PRIu64, version);
    struct command command = {0};
    push(&command, "HSET");
    push(&command, CATALOGUE_KEY);
    push(&command, "version");
    push(&command, number);
    push(&command, "json");
    push_bytes(&command, json, length);
    return tell(stream, &command, REDIS_REPLY_INTEGER, why);
}

/* A member of the catalogue's hash, owned by the caller. */
static enum result get_catalogue(struct stream *stream, const char *name, redisReply **out, struct failure *why)
{
    struct command command = {0};
    push(&command, "HGET");
    push(&command, CATALOGUE_KEY);
    push(&command, name);
    redisReply *reply = NULL;
    enum result result = call(stream, &command, REDIS_REPLY_STRING, 0, &reply, why);
    if (result != RESULT_OK)
        return result;
    if (reply->type == REDIS_REPLY_NIL) {
        free_reply(reply);
        failure_set(why, "catalogue", "Redis has none yet: the aggregator publishes it");
        return RESULT_NOT_FOUND;
    }
    *out = reply;
    return RESULT_OK;
}

enum result stream_catalogue_version(struct stream *stream, uint64_t *version, struct failure *why)
{
    redisReply *reply = NULL;
    enum result result = get_catalogue(stream, "version", &reply, why);
    if (result != RESULT_OK)
        return result;
    char *end;
    errno = 0;
    unsigned long long number = strtoull(reply->str, &end, 10);
    if (reply->len == 0 || *end != '\0' || errno != 0 || reply->str[0] == '-') {
        failure_set(why, "catalogue", "its version in Redis is no number");
        result = RESULT_CORRUPT;
    } else {
        *version = number;
    }
    free_reply(reply);
    return result;
}

enum result stream_catalogue(struct stream *stream, char **json, size_t *length, struct failure *why)
{
    redisReply *reply = NULL;
    enum result result = get_catalogue(stream, "json", &reply, why);
    if (result != RESULT_OK)
        return result;
    char *copy = malloc(reply->len + 1);
    if (copy == NULL) {
        failure_set(why, "catalogue", "out of memory");
        result = RESULT_FAILED;
    } else {
        memcpy(copy, reply->str, reply->len);
        copy[reply->len] = '\0';
        *json = copy;
        *length = reply->len;
    }
    free_reply(reply);
    return result;
}

/* One of Redis's own settings, to value. */
static enum result get_setting(struct stream *stream, const char *name, char value[static 32], struct failure *why)
{
    struct command command = {0};
    push(&command, "CONFIG");
    push(&command, "GET");
    push(&command, name);
    redisReply *reply = NULL;
    enum result result = call(stream, &command, REDIS_REPLY_ARRAY, 0, &reply, why);
    if (result != RESULT_OK)
        return result;
    const redisReply *text = element(reply, 1, REDIS_REPLY_STRING);
    (void)snprintf(value, 32, "%s", text == NULL ? "" : text->str);
    free_reply(reply);
    return RESULT_OK;
}

enum result stream_check_durability(struct stream *stream, const char *durability, struct failure *why)
{
    static const struct {
        const char *name;
        const char *wanted; /* the value, or its start if it ends with '*' */
        bool strict_only;
    } settings[] = {
        {"appendonly", "yes", false},
        {"appendfsync", "always", true},
        {"no-appendfsync-on-rewrite", "no", true},
    };
    char value[32];
    bool strict = strcmp(durability, "strict") == 0;
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        if (settings[i].strict_only && !strict)
            continue;
        enum result result = get_setting(stream, settings[i].name, value, why);
        if (result != RESULT_OK)
            return result;
        if (strcmp(value, settings[i].wanted) != 0) {
            failure_set(why, "ingest.durability", "%s needs Redis to run with `%s %s`: set it in redis.conf",
                strict ? "strict" : "process", settings[i].name, settings[i].wanted);
            return RESULT_INVALID;
        }
    }
    /* While a background fsync runs, `everysec` answers before it has written: a killed Redis then forgets. */
    enum result result = get_setting(stream, "appendfsync", value, why);
    if (result != RESULT_OK)
        return result;
    if (strcmp(value, "everysec") == 0) {
        failure_set(why, "ingest.durability", "process needs Redis to run with `appendfsync no` or `always`: with "
            "`everysec` it may answer before it has written; set it in redis.conf");
        return RESULT_INVALID;
    }
    result = get_setting(stream, "maxmemory-policy", value, why);
    if (result != RESULT_OK || strncmp(value, "allkeys", 7) != 0)
        return result;
    failure_set(why, "ingest.durability", "Redis may evict streams: set `maxmemory-policy noeviction` in redis.conf");
    return RESULT_INVALID;
}

/* Whether the line `name:value` is in INFO's text. */
static bool says(const char *info, const char *line)
{
    const char *at = strstr(info, line);
    return at != NULL && (at == info || at[-1] == '\n') && (at[strlen(line)] == '\r' || at[strlen(line)] == '\0');
}

enum result stream_disk(struct stream *stream, struct stream_disk *disk, struct failure *why)
{
    char save[32];
    char together[32];
    enum result result = get_setting(stream, "save", save, why);
    if (result == RESULT_OK)
        result = get_setting(stream, "stream-node-max-entries", together, why);
    if (result != RESULT_OK)
        return result;
    struct command command = {0};
    push(&command, "INFO");
    push(&command, "persistence");
    redisReply *reply = NULL;
    result = call(stream, &command, REDIS_REPLY_STRING, 0, &reply, why);
    if (result != RESULT_OK)
        return result;
    const char *info = reply->type == REDIS_REPLY_STRING ? reply->str : "";
    *disk = (struct stream_disk){.appends = says(info, "aof_enabled:1"),
        .rewriting = says(info, "aof_rewrite_in_progress:1") || says(info, "aof_rewrite_scheduled:1"),
        .rewrite_failed = !says(info, "aof_last_bgrewrite_status:ok"),
        .saves = save[0] != '\0',
        .saving = says(info, "rdb_bgsave_in_progress:1"),
        .save_failed = !says(info, "rdb_last_bgsave_status:ok"),
        .lingers = strcmp(together, "1") != 0};
    free_reply(reply);
    return RESULT_OK;
}

enum result stream_rewrite(struct stream *stream, bool snapshot, struct failure *why)
{
    struct command command = {0};
    push(&command, snapshot ? "BGSAVE" : "BGREWRITEAOF");
    if (snapshot)
        push(&command, "SCHEDULE");
    return tell(stream, &command, REDIS_REPLY_STATUS, why);
}
