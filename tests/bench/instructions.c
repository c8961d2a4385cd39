/*
 * Fixed work, for counting its instructions: `instructions WORKLOAD [--planted]` does one workload and prints how many
 * events it was. What counts is only what the function of that workload does (callgrind's --toggle-collect): bodies and
 * packets are made beforehand. --planted repeats a tenth of the work, for the proof that this is noticed.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "anonymizer/edge/keyring.h"
#include "service/aggregate/fold.h"
#include "service/ingest/batch.h"
#include "service/ingest/request.h"

#define NOW 1767225600000LL /* 2026-01-01T00:00:00Z */
#define DAY_MS 86400000LL
#define EVENTS 1000u /* of each workload */
#define MANY 20u     /* events of a backend's request */
#define USERS 500u
#define SHARDS 16u
#define KEY "ik_instructions"

static struct catalogue *catalogue;
static const struct app *app;
static struct keyring ring;
static bool planted;

static void require(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "instructions: %s\n", what);
    exit(EXIT_FAILURE);
}

/* What is worked on */

static void load_catalogue(void)
{
    static const char format[] = "{\"format\":1,\"version\":1,\"shards\":%u,\"write_keys\":[],\"ingest_keys\":[{\"hash\":\"%s\",\"app\":"
        "1}],\"apps\":[{\"id\":1,\"version\":1,\"mode\":\"live\",\"sealed_until_ms\":0,\"definition\":{\"name\":\"a\",\"time_zone\":\"UTC\","
        "\"routes\":[\"/\",\"/story\",\"/story/:id\",\"/library\",\"/settings\"],\"events\":[{\"name\":\"page_view\",\"kind\":\"view\","
        "\"properties\":[{\"name\":\"page\",\"type\":\"route\"},{\"name\":\"device\",\"type\":\"enum\",\"values\":[\"desktop\",\"mobile\","
        "\"tablet\"]}]},{\"name\":\"played\"}],\"features\":[{\"name\":\"reading\",\"events\":[\"page_view\"]}],\"dimensions\":"
        "[{\"name\":\"page\",\"property\":\"page\"},{\"name\":\"device\",\"property\":\"device\"}]}}]}";
    char json[2048], hex[2 * CATALOGUE_KEY_HASH_BYTES + 1];
    uint8_t hash[CATALOGUE_KEY_HASH_BYTES];
    struct failure why = {0};
    catalogue_hash_key(KEY, strlen(KEY), hash);
    sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
    int length = snprintf(json, sizeof json, format, SHARDS, hex);
    require(catalogue_parse(json, (size_t)length, &catalogue, &why) == RESULT_OK, why.text);
    app = catalogue_app(catalogue, 1);
}

static void make_ring(void)
{
    struct keyring_seed seed;
    memset(&seed, 7, sizeof seed);
    keyring_init(&ring, NOW, &seed.root);
    require(keyring_add(&ring, 1, 92, 1, NOW, &seed) == RESULT_OK, "the keyring takes no app");
    (void)keyring_declare(&ring, 1, 92, 1);
}

static uint32_t draw(void)
{
    static uint64_t seed = 1;
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33);
}

struct body {
    char text[8192];
    size_t length;
};

/* A request of `events` events; awkward: with an escape, which only the slower reader of JSON takes. */
static void make_body(struct body *body, size_t number, size_t events, bool awkward)
{
    static const char *const pages[] = {"/", "/story", "/story/7", "/story/19", "/library", "/elsewhere"};
    static const char *const devices[] = {"desktop", "mobile", "tablet"};
    char *at = body->text, *end = body->text + sizeof body->text;
    at += snprintf(at, (size_t)(end - at), "{\"source\":\"bench-%010zu-abcdef\",\"events\":[", number);
    for (size_t e = 0; e < events; e++) {
        at += snprintf(at, (size_t)(end - at),
            "%s{\"name\":\"page_view\",\"ts\":%lld,\"user\":\"user%s-%u\",\"engaged_ms\":%u,\"props\":{\"page\":\"%s\",\"device\":\"%s\"}}",
            e == 0 ? "" : ",", NOW - (long long)(draw() % 600000), awkward ? "\\u002d" : "", draw() % USERS, draw() % 60000,
            pages[draw() % 6], devices[draw() % 3]);
    }
    at += snprintf(at, (size_t)(end - at), "]}");
    body->length = (size_t)(at - body->text);
    require(at < end - 1, "a body is too long");
}

static struct body *make_bodies(size_t events, bool awkward)
{
    struct body *bodies = calloc(EVENTS / events, sizeof *bodies);
    require(bodies != NULL, "memory is short");
    for (size_t i = 0; i < EVENTS / events; i++)
        make_body(&bodies[i], i, events, awkward);
    return bodies;
}

static const struct request_context *context(void)
{
    static struct request_context made;
    made = (struct request_context){.catalogue = catalogue, .bearer = KEY, .address = "192.0.2.7", .user_agent = "wrk/4",
        .received_at_ms = NOW};
    return &made;
}

/* Workloads: prepare, do (counted), finish. Each works on `count` requests. */

struct work {
    size_t count;
    struct body *bodies;
    struct request *requests;
    struct keyd_name *names;
    struct batch_request *named;
    struct batch *batch;
    struct fold fold;
    struct fold_app fold_app;
};

static void parse(struct work *work, size_t i, bool keep)
{
    struct failure why = {0};
    struct body copy;
    struct request *request = &work->requests[i];
    char *body = work->bodies[i].text;
    if (!keep) { /* a body is read once only */
        copy.length = work->bodies[i].length;
        memcpy(copy.text, body, copy.length);
        body = copy.text;
    }
    require(request_parse(context(), body, work->bodies[i].length, request, &why) == RESULT_OK, why.text);
    require(request->rejected_count == 0, "an event was rejected");
    if (keep)
        return;
    char *answer = request_answer(request);
    require(answer != NULL, "memory is short");
    free(answer);
    request_free(request);
}

/* Read and answer. */
static __attribute__((noinline)) void count_request(struct work *work)
{
    for (size_t i = 0; i < work->count; i++) {
        parse(work, i, false);
        if (planted && i % 10 == 0)
            parse(work, i, false);
    }
}

static void name(struct work *work, size_t i)
{
    const struct keyring_app *keys = keyring_find(&ring, 1);
    const struct request *request = &work->requests[i];
    for (size_t k = 0; k < request->id_count; k++)
        keyring_map(keys, NOW, SHARDS, request->ids[k].kind, request->ids[k].id, &work->names[i * (MANY + 1) + k]);
}

/* Name the ids: keyd's share. */
static __attribute__((noinline)) void count_names(struct work *work)
{
    for (size_t i = 0; i < work->count; i++) {
        name(work, i);
        if (planted && i % 10 == 0)
            name(work, i);
    }
}

/* Form packets, 10 requests a batch. */
static __attribute__((noinline)) void count_batch(struct work *work)
{
    struct failure why = {0};
    for (size_t i = 0; i + 10 <= work->count; i += 10) {
        size_t count = planted ? 11 : 10;
        struct batch_request requests[11];
        memcpy(requests, &work->named[i], 10 * sizeof *requests);
        requests[10] = work->named[i];
        require(batch_form(work->batch, requests, count, &why) == RESULT_OK, why.text);
    }
}

static struct fold_app *find_fold_app(void *argument, uint32_t number)
{
    struct work *work = argument;
    return number == 1 ? &work->fold_app : NULL;
}

static void fold_entries(struct work *work)
{
    size_t count;
    const struct batch_entry *entries = batch_entries(work->batch, &count);
    for (size_t i = 0; i < count; i++) {
        fold_prepare(&work->fold, entries[i].bytes, entries[i].length, find_fold_app, work);
        fold_apply(&work->fold, entries[i].bytes, entries[i].length, find_fold_app, work);
    }
}

/* Fold packets and digest what they add up to. */
static __attribute__((noinline)) void count_fold(struct work *work)
{
    fold_entries(work);
    if (planted)
        fold_entries(work);
    fold_digest(&work->fold, find_fold_app, work);
}

static void prepare(struct work *work, size_t events, bool awkward)
{
    work->count = EVENTS / events;
    work->bodies = make_bodies(events, awkward);
    work->requests = calloc(work->count, sizeof *work->requests);
    work->names = calloc(work->count * (MANY + 1), sizeof *work->names);
    work->named = calloc(work->count, sizeof *work->named);
    work->batch = batch_new(1);
    require(work->requests != NULL && work->names != NULL && work->named != NULL && work->batch != NULL, "memory is short");
}

static void read_all(struct work *work)
{
    for (size_t i = 0; i < work->count; i++)
        parse(work, i, true);
}

static void name_all(struct work *work)
{
    read_all(work);
    for (size_t i = 0; i < work->count; i++) {
        name(work, i);
        work->named[i] = (struct batch_request){&work->requests[i], &work->names[i * (MANY + 1)]};
    }
}

static void form_all(struct work *work)
{
    static struct calendar calendar;
    struct failure why = {0};
    name_all(work);
    require(batch_form(work->batch, work->named, work->count, &why) == RESULT_OK, why.text);
    for (int32_t day = CALENDAR_FIRST_DAY; day <= CALENDAR_LAST_DAY; day++)
        calendar.start_ms[day - CALENDAR_FIRST_DAY] = day * DAY_MS;
    work->fold_app = (struct fold_app){.app = 1, .definition = app, .calendar = &calendar, .activity_through = FOLD_NO_DAY,
        .sessions_through = FOLD_NO_DAY, .epoch = -1};
}

static void finish(struct work *work)
{
    for (size_t i = 0; i < work->count; i++)
        request_free(&work->requests[i]);
    fold_clear(&work->fold);
    batch_free(work->batch);
    free(work->bodies);
    free(work->requests);
    free(work->names);
    free(work->named);
}

static const struct {
    const char *name;
    size_t events; /* a request */
    bool awkward;
    void (*ready)(struct work *work);
    void (*count)(struct work *work);
} workloads[] = {
    {"request.one_event", 1, false, NULL, count_request},
    {"request.twenty_events", MANY, false, NULL, count_request},
    {"request.with_an_escape", 1, true, NULL, count_request},
    {"names", MANY, false, read_all, count_names},
    {"batch", 1, false, name_all, count_batch},
    {"fold", MANY, false, form_all, count_fold},
};

int main(int argc, char **argv)
{
    static struct work work;
    require(argc == 2 || (argc == 3 && strcmp(argv[2], "--planted") == 0), "usage: instructions WORKLOAD [--planted]");
    require(sodium_init() >= 0, "libsodium does not start");
    planted = argc == 3;
    request_wipe_parser();
    load_catalogue();
    make_ring();
    for (size_t i = 0; i < sizeof workloads / sizeof workloads[0]; i++) {
        if (strcmp(workloads[i].name, argv[1]) != 0)
            continue;
        prepare(&work, workloads[i].events, workloads[i].awkward);
        if (workloads[i].ready != NULL)
            workloads[i].ready(&work);
        workloads[i].count(&work);
        finish(&work);
        catalogue_release(catalogue);
        printf("%u\n", EVENTS);
        return EXIT_SUCCESS;
    }
    require(false, "there is no such workload");
}
