#include "service/ingest/selftest.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "service/base/clock.h"
#include "service/base/log.h"
#include "service/base/metrics.h"
#include "service/ingest/batch.h"
#include "service/ingest/keep.h"
#include "service/ingest/request.h"

#define TEXT_BYTES (2 * SELFTEST_CANARY_BYTES)
#define BLOCK_BYTES (256u * 1024)
#define OVERLAP_BYTES 128u
#define FILE_END_BYTES (16LL * 1024 * 1024) /* of a file that grows: what came since a canary was made lies at its end */
#define DEPTH_MAX 4
#define FIRST_AFTER_MS 5000 /* from the start: the catalogue is there then */

struct selftest {
    struct selftest_parts parts;
    pthread_mutex_t lock; /* one run at a time */
    struct batch *batch;
    int64_t next_ms;
    atomic_bool failed;
};

/* Forms */

static void add_form(struct selftest_forms *forms, const void *bytes, size_t length)
{
    if (forms->count == SELFTEST_FORMS_MAX || length > sizeof forms->form[0].bytes)
        return;
    forms->form[forms->count].length = length;
    memcpy(forms->form[forms->count++].bytes, bytes, length);
}

/* The characters of base64 that data gives wherever it begins, in both alphabets. */
static void add_base64(struct selftest_forms *forms, const uint8_t *data, size_t length)
{
    static const int variants[] = {sodium_base64_VARIANT_ORIGINAL_NO_PADDING, sodium_base64_VARIANT_URLSAFE_NO_PADDING};
    for (size_t shift = 0; shift < 3; shift++) {
        uint8_t shifted[TEXT_BYTES + 3] = {0};
        char text[2 * sizeof shifted];
        memcpy(shifted + shift, data, length);
        size_t first = (shift * 8 + 5) / 6, last = (shift + length) * 8 / 6;
        for (size_t v = 0; v < 2; v++) {
            (void)sodium_bin2base64(text, sizeof text, shifted, shift + length, variants[v]);
            add_form(forms, text + first, last - first);
        }
    }
}

void selftest_forms(const uint8_t canary[SELFTEST_CANARY_BYTES], struct selftest_forms *out)
{
    char text[TEXT_BYTES + 1], capitals[TEXT_BYTES + 1], twice[2 * TEXT_BYTES + 1];
    *out = (struct selftest_forms){0};
    sodium_bin2hex(text, sizeof text, canary, SELFTEST_CANARY_BYTES);
    for (size_t i = 0; i <= TEXT_BYTES; i++)
        capitals[i] = (char)toupper((unsigned char)text[i]);
    sodium_bin2hex(twice, sizeof twice, (const uint8_t *)text, TEXT_BYTES);
    add_form(out, canary, SELFTEST_CANARY_BYTES);
    add_form(out, text, TEXT_BYTES);
    add_form(out, capitals, TEXT_BYTES);
    add_form(out, twice, 2 * TEXT_BYTES);
    add_base64(out, canary, SELFTEST_CANARY_BYTES);
    add_base64(out, (const uint8_t *)text, TEXT_BYTES);
}

bool selftest_is_in(const struct selftest_forms *forms, const void *bytes, size_t length)
{
    for (size_t i = 0; i < forms->count; i++) {
        if (memmem(bytes, length, forms->form[i].bytes, forms->form[i].length) != NULL)
            return true;
    }
    return false;
}

/* Files */

/* Whether fd's end holds a form. */
static bool scan_file(const struct selftest_forms *forms, int fd, int64_t size)
{
    char *block = malloc(OVERLAP_BYTES + BLOCK_BYTES);
    off_t at = size > FILE_END_BYTES ? (off_t)(size - FILE_END_BYTES) : 0;
    size_t kept = 0;
    bool found = false;
    while (block != NULL && !found) {
        ssize_t got = pread(fd, block + kept, BLOCK_BYTES, at);
        if (got <= 0)
            break;
        size_t have = kept + (size_t)got;
        found = selftest_is_in(forms, block, have);
        kept = have < OVERLAP_BYTES ? have : OVERLAP_BYTES;
        memmove(block, block + have - kept, kept);
        at += got;
    }
    free(block);
    return found;
}

static size_t scan_path(const struct selftest_forms *forms, const char *path, int64_t since_s, size_t *places)
{
    struct stat about;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (fd < 0)
        return 0;
    bool wanted = fstat(fd, &about) == 0 && S_ISREG(about.st_mode) && about.st_mtim.tv_sec >= since_s;
    bool found = wanted && scan_file(forms, fd, about.st_size);
    *places += wanted;
    (void)close(fd);
    return found;
}

static size_t scan_folder(
    const struct selftest_forms *forms, const char *folder, int64_t since_s, unsigned depth, size_t *places)
{
    char path[KEEP_PATH_BYTES + 300];
    size_t found = 0;
    DIR *entries = depth == 0 ? NULL : opendir(folder);
    const struct dirent *entry;
    while (entries != NULL && (entry = readdir(entries)) != NULL) {
        struct stat about;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (lstat(path, &about) == 0 && S_ISDIR(about.st_mode))
            found += scan_folder(forms, path, since_s, depth - 1, places);
        else
            found += scan_path(forms, path, since_s, places);
    }
    if (entries != NULL)
        (void)closedir(entries);
    return found;
}

size_t selftest_scan(const struct selftest_forms *forms, const char *directory, int64_t since_s, size_t *places)
{
    return scan_folder(forms, directory, since_s, DEPTH_MAX, places);
}

/* The log, where it is a file that we may read. */
static size_t scan_log(const struct selftest_forms *forms, size_t *places)
{
    struct stat about;
    if (fstat(STDERR_FILENO, &about) != 0 || !S_ISREG(about.st_mode))
        return 0;
    int fd = open("/proc/self/fd/2", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    bool found = scan_file(forms, fd, about.st_size);
    (*places)++;
    (void)close(fd);
    return found;
}

/* The canary's way */

static const struct app *choose_app(const struct mirror_view *view)
{
    size_t count;
    const struct app *const *apps = catalogue_apps(mirror_catalogue(view), &count);
    for (size_t i = 0; i < count; i++) {
        if (!mirror_refuses(view, apps[i]->id) && apps[i]->event_count > 0)
            return apps[i];
    }
    return NULL;
}

/* Form the packets of request; how many of them hold a form. */
static enum result form(struct selftest *selftest, const struct request *request, const struct selftest_forms *forms,
    size_t *places, size_t *found)
{
    struct failure why = {0};
    size_t count = 0;
    struct keyd_id *ids = calloc(request->id_count + 1, sizeof *ids);
    struct keyd_name *names = calloc(request->id_count + 1, sizeof *names);
    for (size_t i = 0; ids != NULL && i < request->id_count; i++)
        ids[i] = (struct keyd_id){request->app->id, request->ids[i].kind, request->ids[i].id};
    enum result result = RESULT_UNAVAILABLE;
    if (ids != NULL && names != NULL)
        result = keyd_map(selftest->parts.keyd, clock_now_ms(), ids, request->id_count, names, &why);
    for (size_t i = 0; i < request->id_count && result == RESULT_OK; i++)
        result = names[i].result;
    const struct batch_request named = {request, names};
    if (result == RESULT_OK)
        result = batch_form(selftest->batch, &named, 1, &why);
    const struct batch_entry *entries = result == RESULT_OK ? batch_entries(selftest->batch, &count) : NULL;
    for (size_t i = 0; i < count; i++, (*places)++)
        *found += selftest_is_in(forms, entries[i].bytes, entries[i].length);
    free(ids);
    free(names);
    return result;
}

/* Send the canary as source, user and session of an event of app, as far as packets go. */
static enum result walk(struct selftest *selftest, const struct mirror_view *view, const char *canary,
    const struct selftest_forms *forms, size_t *places, size_t *found)
{
    char body[512];
    struct request request;
    struct failure why = {0};
    const struct app *app = choose_app(view);
    if (app == NULL)
        return RESULT_NOT_FOUND;
    const struct request_context context = {
        .catalogue = mirror_catalogue(view), .admin_app = app, .received_at_ms = clock_now_ms()};
    int length = snprintf(body, sizeof body,
        "{\"source\":\"%s\",\"events\":[{\"name\":\"%s\",\"ts\":%lld,\"user\":\"%s\",\"session\":\"%s\"}]}", canary,
        app->events[0].name, (long long)context.received_at_ms, canary, canary);
    enum result result = request_parse(&context, body, (size_t)length, &request, &why);
    if (result == RESULT_OK) {
        char *answer = request_answer(&request);
        if (answer != NULL)
            *found += selftest_is_in(forms, answer, strlen(answer));
        *places += answer != NULL;
        free(answer);
        if (request.event_count > 0)
            result = form(selftest, &request, forms, places, found);
        request_free(&request);
    }
    *found += selftest_is_in(forms, &why, sizeof why);
    (*places)++;
    sodium_memzero(body, sizeof body);
    return result;
}

static void conclude(struct selftest *selftest, size_t places, size_t found)
{
    const struct packet_notice notice = {.act = found == 0 ? PACKET_SELF_TEST_PASSED : PACKET_SELF_TEST_FAILED,
        .at_ms = clock_now_ms(),
        .count = found == 0 ? places : found};
    if (found > 0) {
        atomic_store(&selftest->failed, true);
        log_event(LOG_LEVEL_ERROR, "self_test.failed", LOG_UINT("places", found));
    }
    metrics_set(METRIC_SELFTEST_OK, !atomic_load(&selftest->failed));
    notices_add(selftest->parts.notices, &notice);
}

static enum result run_locked(struct selftest *selftest, size_t *places, size_t *found, struct failure *why)
{
    uint8_t canary[SELFTEST_CANARY_BYTES];
    char text[TEXT_BYTES + 1];
    struct selftest_forms forms;
    int64_t since_s = (int64_t)time(NULL) - 2; /* by the clock that dates files */
    struct mirror_view *view = mirror_hold(selftest->parts.mirror);
    randombytes_buf(canary, sizeof canary);
    selftest_forms(canary, &forms);
    sodium_bin2hex(text, sizeof text, canary, sizeof canary);
    enum result result = view == NULL ? RESULT_NOT_FOUND : walk(selftest, view, text, &forms, places, found);
    mirror_release(view);
    *found += selftest_scan(&forms, selftest->parts.directory, since_s, places) + scan_log(&forms, places);
    if (result != RESULT_OK && *found == 0) {
        failure_set(why, "self_test", "there is no app yet whose events the canary could be sent as, or no memory");
        return RESULT_UNAVAILABLE;
    }
    conclude(selftest, *places, *found);
    return RESULT_OK;
}

struct selftest *selftest_new(const struct selftest_parts *parts)
{
    struct selftest *selftest = calloc(1, sizeof *selftest);
    if (selftest == NULL)
        return NULL;
    selftest->parts = *parts;
    pthread_mutex_init(&selftest->lock, NULL);
    selftest->next_ms = clock_steady_ms() + FIRST_AFTER_MS;
    selftest->batch = batch_new(parts->node);
    if (selftest->batch != NULL)
        return selftest;
    selftest_free(selftest);
    return NULL;
}

void selftest_free(struct selftest *selftest)
{
    if (selftest == NULL)
        return;
    batch_free(selftest->batch);
    pthread_mutex_destroy(&selftest->lock);
    free(selftest);
}

enum result selftest_run(struct selftest *selftest, size_t *places, size_t *found, struct failure *why)
{
    *places = *found = 0;
    pthread_mutex_lock(&selftest->lock);
    enum result result = run_locked(selftest, places, found, why);
    pthread_mutex_unlock(&selftest->lock);
    return result;
}

void selftest_run_due(struct selftest *selftest, int64_t now_ms)
{
    size_t places, found;
    struct failure why = {0};
    if (now_ms < selftest->next_ms)
        return;
    /* With no app yet: looked at again soon. */
    bool done = selftest_run(selftest, &places, &found, &why) == RESULT_OK;
    selftest->next_ms = now_ms + (done ? selftest->parts.interval_ms : FIRST_AFTER_MS);
}

bool selftest_is_failed(const struct selftest *selftest)
{
    return atomic_load(&selftest->failed);
}
