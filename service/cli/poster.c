#include "service/cli/poster.h"

#include <curl/curl.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/clock.h"

#define ANSWER_MAX_BYTES (4 * 1024 * 1024)
#define RETRY_MS 500
#define SETTLE_MS 250
#define TIMEOUT_MS 60000L

struct buffer {
    char *bytes;
    size_t length;
};

enum slot_state { SLOT_FREE, SLOT_FLYING, SLOT_WAITING };

struct slot {
    CURL *easy;
    enum slot_state state;
    char *body;
    size_t length;
    void *ticket;
    struct buffer answer;
    int64_t first_try_ms, retry_at_ms;
};

struct poster {
    CURLM *multi;
    struct curl_slist *headers;
    struct poster_listener listener;
    enum result state;
    struct failure why;
    size_t parallel;
    struct slot slots[POSTER_PARALLEL_MAX];
};

static size_t receive(char *bytes, size_t one, size_t count, void *context)
{
    struct buffer *buffer = context;
    if (buffer->length + count > ANSWER_MAX_BYTES)
        return 0;
    char *grown = realloc(buffer->bytes, buffer->length + count + 1);
    if (grown == NULL)
        return 0;
    memcpy(grown + buffer->length, bytes, count * one);
    buffer->bytes = grown;
    buffer->length += count;
    grown[buffer->length] = '\0';
    return count;
}

/* A handle for target and path; NULL if there is no memory or the path is too long. */
static CURL *make_easy(const char *target, const char *path, struct buffer *answer)
{
    char url[512];
    bool local = target[0] == '/';
    CURL *easy = curl_easy_init();
    if (easy == NULL)
        return NULL;
    int length = snprintf(url, sizeof url, "%s%s", local ? "http://localhost" : target, path);
    if (length >= (int)sizeof url) {
        curl_easy_cleanup(easy);
        return NULL;
    }
    if (local)
        curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, target);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, answer);
    return easy;
}

static struct curl_slist *make_headers(void)
{
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    return curl_slist_append(headers, "Expect:"); /* else curl waits a second before each larger body */
}

enum result poster_new(const char *target, const char *path, size_t parallel, const struct poster_listener *listener,
    struct poster **out, struct failure *why)
{
    struct poster *poster = calloc(1, sizeof *poster);
    if (poster == NULL)
        return RESULT_FAILED;
    poster->listener = *listener;
    poster->parallel = parallel;
    poster->multi = curl_multi_init();
    poster->headers = make_headers();
    for (size_t i = 0; i < parallel; i++) {
        struct slot *slot = &poster->slots[i];
        slot->easy = make_easy(target, path, &slot->answer);
        if (slot->easy == NULL) {
            poster_free(poster);
            failure_set(why, "admin socket", "libcurl cannot make a request");
            return RESULT_FAILED;
        }
        curl_easy_setopt(slot->easy, CURLOPT_HTTPHEADER, poster->headers);
        curl_easy_setopt(slot->easy, CURLOPT_PRIVATE, slot);
    }
    *out = poster;
    return RESULT_OK;
}

static void empty_slot(struct slot *slot)
{
    if (slot->body != NULL)
        sodium_memzero(slot->body, slot->length);
    free(slot->body);
    free(slot->answer.bytes);
    slot->body = NULL;
    slot->answer = (struct buffer){0};
    slot->state = SLOT_FREE;
}

void poster_free(struct poster *poster)
{
    if (poster == NULL)
        return;
    for (size_t i = 0; i < poster->parallel; i++) {
        struct slot *slot = &poster->slots[i];
        if (slot->state == SLOT_FLYING)
            curl_multi_remove_handle(poster->multi, slot->easy);
        curl_easy_cleanup(slot->easy);
        empty_slot(slot);
    }
    curl_multi_cleanup(poster->multi);
    curl_slist_free_all(poster->headers);
    free(poster);
}

static void launch(struct poster *poster, struct slot *slot)
{
    slot->answer.length = 0;
    curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDS, slot->body);
    curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)slot->length);
    slot->state = SLOT_FLYING;
    curl_multi_add_handle(poster->multi, slot->easy);
}

static void stop(struct poster *poster, enum result result, const char *text)
{
    if (poster->state != RESULT_OK)
        return;
    poster->state = result;
    failure_set(&poster->why, "ingest", "%s", text);
}

/* Put slot aside for delay_ms, or stop everything if it was tried for longer than patience_ms. */
static void try_again(struct poster *poster, struct slot *slot, int64_t delay_ms, int64_t patience_ms, const char *text)
{
    int64_t now_ms = clock_steady_ms();
    slot->state = SLOT_WAITING;
    slot->retry_at_ms = now_ms + delay_ms;
    if (now_ms - slot->first_try_ms > patience_ms)
        stop(poster, RESULT_UNAVAILABLE, text);
}

static int64_t retry_after_ms(CURL *easy)
{
    curl_off_t seconds = 0;
    curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &seconds);
    if (seconds < 1)
        return 1000;
    return (seconds > 60 ? 60 : (int64_t)seconds) * 1000;
}

/* Whether 404 or 409 may pass by itself: sealed days never do. */
static bool is_settling(const struct slot *slot, long status)
{
    if (clock_steady_ms() - slot->first_try_ms > POSTER_SETTLING_MS)
        return false;
    if (status == 404)
        return true;
    return status == 409 && (slot->answer.bytes == NULL || strstr(slot->answer.bytes, "not_importing") != NULL);
}

static void finished(struct poster *poster, struct slot *slot, CURLcode code)
{
    long status = 0;
    curl_easy_getinfo(slot->easy, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK) {
        try_again(poster, slot, RETRY_MS, POSTER_PATIENCE_MS, "does not answer on its admin socket");
        return;
    }
    if (status == 503 || status == 429) {
        try_again(poster, slot, retry_after_ms(slot->easy), POSTER_BUSY_MS, "takes no more events (503): see `throng status`");
        return;
    }
    if (is_settling(slot, status)) {
        try_again(poster, slot, SETTLE_MS, POSTER_PATIENCE_MS, "does not know the app yet");
        return;
    }
    if (slot->answer.bytes == NULL)
        receive(NULL, 1, 0, &slot->answer);
    struct poster_answer answer = {.ticket = slot->ticket,
        .status = status,
        .body = slot->answer.bytes == NULL ? "" : slot->answer.bytes,
        .length = slot->answer.length};
    enum result result = poster->listener.answered(poster->listener.context, &answer, &poster->why);
    if (result != RESULT_OK && poster->state == RESULT_OK)
        poster->state = result;
    empty_slot(slot);
}

/* Let things move, waiting up to wait_ms for something to happen. */
static void pump(struct poster *poster, int wait_ms)
{
    int running = 0, left = 0;
    int64_t now_ms = clock_steady_ms();
    for (size_t i = 0; i < poster->parallel; i++) {
        struct slot *slot = &poster->slots[i];
        if (slot->state == SLOT_WAITING && slot->retry_at_ms <= now_ms)
            launch(poster, slot);
    }
    curl_multi_perform(poster->multi, &running);
    for (CURLMsg *message; (message = curl_multi_info_read(poster->multi, &left)) != NULL;) {
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result;
        CURL *easy = message->easy_handle;
        struct slot *slot = NULL;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&slot);
        curl_multi_remove_handle(poster->multi, easy);
        finished(poster, slot, code);
        wait_ms = 0;
    }
    if (wait_ms > 0)
        curl_multi_poll(poster->multi, NULL, 0, wait_ms, NULL);
}

static struct slot *free_slot(struct poster *poster)
{
    for (size_t i = 0; i < poster->parallel; i++) {
        if (poster->slots[i].state == SLOT_FREE)
            return &poster->slots[i];
    }
    return NULL;
}

static enum result state_of(const struct poster *poster, struct failure *why)
{
    if (poster->state != RESULT_OK)
        failure_set(why, poster->why.field, "%s", poster->why.text);
    return poster->state;
}

enum result poster_submit(struct poster *poster, char *body, size_t length, void *ticket, struct failure *why)
{
    struct slot *slot;
    while ((slot = free_slot(poster)) == NULL && poster->state == RESULT_OK)
        pump(poster, 100);
    if (poster->state != RESULT_OK) {
        sodium_memzero(body, length);
        free(body);
        return state_of(poster, why);
    }
    slot->body = body;
    slot->length = length;
    slot->ticket = ticket;
    slot->first_try_ms = clock_steady_ms();
    launch(poster, slot);
    pump(poster, 0);
    return state_of(poster, why);
}

enum result poster_finish(struct poster *poster, struct failure *why)
{
    for (size_t i = 0; i < poster->parallel; i++) {
        while (poster->slots[i].state != SLOT_FREE && poster->state == RESULT_OK)
            pump(poster, 100);
    }
    return state_of(poster, why);
}

enum result poster_send(const char *target, const char *method, const char *path, const char *body, long *status, char **answer,
    struct failure *why)
{
    struct buffer buffer = {0};
    CURL *easy = make_easy(target, path, &buffer);
    if (easy == NULL)
        return RESULT_FAILED;
    struct curl_slist *headers = make_headers();
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    if (strcmp(method, "POST") == 0)
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body == NULL ? "" : body);
    CURLcode code = curl_easy_perform(easy);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, status);
    curl_easy_cleanup(easy);
    curl_slist_free_all(headers);
    if (code != CURLE_OK) {
        free(buffer.bytes);
        failure_set(why, "ingest", "does not answer on its admin socket (%s); is it running here, and may this user open it?",
            curl_easy_strerror(code));
        return RESULT_UNAVAILABLE;
    }
    *answer = buffer.bytes != NULL ? buffer.bytes : strdup("");
    return *answer == NULL ? RESULT_FAILED : RESULT_OK;
}
