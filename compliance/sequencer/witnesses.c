#include "compliance/sequencer/witnesses.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compliance/audit/tree.h"
#include "compliance/sequencer/files.h"
#include "service/base/clock.h"

#define FILE_BYTES (64 * 1024)
#define URL_BYTES 512
#define ANSWER_BYTES 4096
#define REQUEST_BYTES (8 * 1024 + 64 * 1024)
#define PAUSE_FIRST_MS 1000
#define PAUSE_MOST_MS 60000

struct witness {
    char url[URL_BYTES + 16];
    struct note_key key;
    uint64_t size;
    bool cosigned, contradicts, answered;
    int64_t pause_ms, due_ms; /* steady; it did not answer */
    CURL *request;            /* under way, or NULL */
    uint64_t old;             /* size that it was asked to go on from */
    bool again;               /* ask once more in this round */
    char *body;
    size_t length;
    char answer[ANSWER_BYTES];
};

struct witnesses {
    size_t count;
    CURLM *multi;
    struct curl_slist *headers;
    struct witness list[WITNESSES_MAX];
};

static enum result bad_line(struct failure *why, size_t line, const char *text)
{
    failure_set(why, "audit.witnesses", "line %zu: %s", line, text);
    return RESULT_INVALID;
}

static enum result add_line(struct witnesses *witnesses, struct text_view line, size_t number, struct failure *why)
{
    char key[NOTE_KEY_MAX_BYTES];
    const char *space = memchr(line.bytes, ' ', line.length);
    if (space == NULL || witnesses->count == WITNESSES_MAX)
        return bad_line(why, number, space == NULL ? "is not a URL, a space and a verifier key" : "is one witness too many (16)");
    struct witness *witness = &witnesses->list[witnesses->count];
    size_t url = (size_t)(space - line.bytes), rest = line.length - url - 1;
    if (url >= URL_BYTES || rest >= sizeof key)
        return bad_line(why, number, "is too long");
    if (strncmp(line.bytes, "https://", 8) != 0 && strncmp(line.bytes, "http://", 7) != 0)
        return bad_line(why, number, "the URL does not begin with https:// or http://");
    (void)snprintf(witness->url, sizeof witness->url, "%.*s%sadd-checkpoint", (int)url, line.bytes,
        line.bytes[url - 1] == '/' ? "" : "/");
    memcpy(key, space + 1, rest);
    key[rest] = '\0';
    if (note_key_parse(key, &witness->key, NULL) != RESULT_OK || witness->key.kind != NOTE_COSIGNATURE)
        return bad_line(why, number, "has no verifier key of a witness (cosignature/v1)");
    witnesses->count++;
    return RESULT_OK;
}

static enum result read_file(struct witnesses *witnesses, const char *path, struct failure *why)
{
    char *text = malloc(FILE_BYTES + 1);
    size_t length = 0, number = 0;
    enum result result = text == NULL ? RESULT_FAILED : files_read(path, text, FILE_BYTES, &length, "audit.witnesses", why);
    if (result == RESULT_OK && (length == 0 || text[length - 1] != '\n'))
        text[length++] = '\n';
    struct text_view rest = {text, length}, line;
    while (result == RESULT_OK && text_line(&rest, &line)) {
        number++;
        if (line.length > 0 && line.bytes[0] != '#')
            result = add_line(witnesses, line, number, why);
    }
    free(text);
    return result;
}

enum result witnesses_open(const char *path, struct witnesses **out, struct failure *why)
{
    struct witnesses *witnesses = calloc(1, sizeof *witnesses);
    enum result result = witnesses == NULL ? RESULT_FAILED : RESULT_OK;
    if (result == RESULT_OK && path[0] != '\0')
        result = read_file(witnesses, path, why);
    if (result == RESULT_OK && witnesses->count > 0) {
        (void)curl_global_init(CURL_GLOBAL_DEFAULT);
        witnesses->multi = curl_multi_init();
        witnesses->headers = curl_slist_append(NULL, "Content-Type: text/plain; charset=utf-8");
        if (witnesses->multi == NULL || witnesses->headers == NULL)
            result = RESULT_FAILED;
    }
    if (result == RESULT_OK) {
        *out = witnesses;
        return RESULT_OK;
    }
    failure_set(why, "audit.witnesses", "out of memory");
    witnesses_close(witnesses);
    return result;
}

void witnesses_close(struct witnesses *witnesses)
{
    if (witnesses == NULL)
        return;
    if (witnesses->multi != NULL)
        (void)curl_multi_cleanup(witnesses->multi);
    curl_slist_free_all(witnesses->headers);
    free(witnesses);
}

size_t witnesses_count(const struct witnesses *witnesses)
{
    return witnesses->count;
}

struct witnesses_view witnesses_get(const struct witnesses *witnesses, size_t index)
{
    const struct witness *witness = &witnesses->list[index];
    return (struct witnesses_view){.name = witness->key.name, .size = witness->size, .cosigned = witness->cosigned,
        .contradicts = witness->contradicts, .answered = witness->answered};
}

void witnesses_know(struct witnesses *witnesses, size_t index, uint64_t size)
{
    witnesses->list[index].size = size;
}

static size_t on_answer(char *bytes, size_t one, size_t count, void *context)
{
    struct witness *witness = context;
    size_t length = one * count;
    if (length > sizeof witness->answer - witness->length)
        return 0; /* ends the transfer */
    memcpy(witness->answer + witness->length, bytes, length);
    witness->length += length;
    return length;
}

/* The request's body; false if the proof cannot be made. */
static bool write_body(
    const struct tile_source *tiles, uint64_t old, uint64_t size, const struct text_writer *note, struct text_writer *out)
{
    struct tree_proof proof = {.count = 0};
    if (old > 0 && old < size) {
        struct tile_reader *reader = tile_reader_open(tiles, size);
        if (reader == NULL)
            return false;
        const struct tree_reader nodes = {.read = tile_read, .context = reader};
        enum result result = tree_prove_consistency(&nodes, old, size, &proof, NULL);
        tile_reader_close(reader);
        if (result != RESULT_OK)
            return false;
    }
    text_puts(out, "old ");
    text_put_decimal(out, old);
    text_puts(out, "\n");
    for (size_t i = 0; i < proof.count; i++) {
        text_put_base64(out, proof.hashes[i].bytes, TREE_HASH_BYTES);
        text_puts(out, "\n");
    }
    text_puts(out, "\n");
    text_put(out, note->bytes, note->length);
    return !out->full;
}

static void begin(struct witnesses *witnesses, struct witness *witness, const struct tile_source *tiles, uint64_t size,
    const struct text_writer *note)
{
    witness->again = false;
    witness->length = 0;
    witness->old = witness->size < size ? witness->size : size;
    witness->body = malloc(REQUEST_BYTES);
    struct text_writer body = {.bytes = witness->body, .room = REQUEST_BYTES};
    CURL *request = witness->body == NULL || !write_body(tiles, witness->old, size, note, &body) ? NULL : curl_easy_init();
    if (request == NULL)
        return;
    (void)curl_easy_setopt(request, CURLOPT_URL, witness->url);
    (void)curl_easy_setopt(request, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(request, CURLOPT_POSTFIELDS, witness->body);
    (void)curl_easy_setopt(request, CURLOPT_POSTFIELDSIZE, (long)body.length);
    (void)curl_easy_setopt(request, CURLOPT_HTTPHEADER, witnesses->headers);
    (void)curl_easy_setopt(request, CURLOPT_WRITEFUNCTION, on_answer);
    (void)curl_easy_setopt(request, CURLOPT_WRITEDATA, witness);
    (void)curl_easy_setopt(request, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(request, CURLOPT_USERAGENT, "throng-audit/" THRONG_VERSION);
    (void)curl_easy_setopt(request, CURLOPT_TIMEOUT_MS, (long)WITNESSES_ASK_MS);
    if (curl_multi_add_handle(witnesses->multi, request) == CURLM_OK)
        witness->request = request;
    else
        curl_easy_cleanup(request);
}

static void run(const struct witnesses *witnesses)
{
    int64_t until_ms = clock_steady_ms() + WITNESSES_ASK_MS + 200;
    int running = 1;
    while (running > 0 && clock_steady_ms() < until_ms) {
        if (curl_multi_perform(witnesses->multi, &running) != CURLM_OK)
            return;
        if (running > 0)
            (void)curl_multi_poll(witnesses->multi, NULL, 0, 100, NULL);
    }
}

/* The lines of an answer are signatures under the note's text: append the one of its key. */
static bool take_cosignature(const struct witness *witness, struct text_writer *note)
{
    static const char dash[] = "\xe2\x80\x94 ";
    char bytes[2 * ANSWER_BYTES];
    struct note parsed;
    struct note_seal seal;
    struct text_writer whole = {.bytes = bytes, .room = sizeof bytes};
    if (note_parse(note->bytes, note->length, &parsed, NULL) != RESULT_OK)
        return false;
    text_put(&whole, parsed.text.bytes, parsed.text.length);
    text_puts(&whole, "\n");
    text_put(&whole, witness->answer, witness->length);
    if (whole.full || note_parse(bytes, whole.length, &parsed, NULL) != RESULT_OK ||
        note_verify(&parsed, &witness->key, 1, &seal, NULL) != RESULT_OK || seal.valid == 0)
        return false;
    for (size_t i = 0; i < parsed.count; i++) {
        const struct note_line *line = &parsed.lines[i];
        if (line->key_id != witness->key.id || !text_is(line->name, witness->key.name))
            continue;
        size_t before = note->length;
        text_puts(note, dash);
        text_put(note, line->name.bytes, line->name.length);
        text_puts(note, " ");
        text_put(note, line->base64.bytes, line->base64.length);
        text_puts(note, "\n");
        if (!note->full)
            return true;
        note->length = before;
        note->full = false;
        return false;
    }
    return false;
}

/* 409: the witness has seen another size than we thought. */
static void take_size(struct witness *witness, uint64_t size)
{
    struct text_view rest = {witness->answer, witness->length}, line;
    uint64_t seen = 0;
    if (!text_line(&rest, &line) || rest.length > 0 || !text_decimal(line, &seen))
        return;
    witness->again = seen != witness->old && seen <= size;
    witness->contradicts = seen > size || (seen == witness->old && seen == size);
    witness->size = seen;
}

static void finish(struct witnesses *witnesses, struct witness *witness, uint64_t size, struct text_writer *note)
{
    long status = 0;
    if (witness->request != NULL) {
        (void)curl_easy_getinfo(witness->request, CURLINFO_RESPONSE_CODE, &status);
        (void)curl_multi_remove_handle(witnesses->multi, witness->request);
        curl_easy_cleanup(witness->request);
        witness->request = NULL;
    }
    free(witness->body);
    witness->body = NULL;
    witness->answered = status != 0;
    witness->cosigned = status == 200 && take_cosignature(witness, note);
    if (witness->cosigned) {
        witness->size = size;
        witness->contradicts = false;
    } else if (status == 409) {
        take_size(witness, size);
    } else if (status == 422) {
        witness->contradicts = true;
    }
    if (witness->cosigned || witness->again) {
        witness->pause_ms = 0;
        return;
    }
    witness->pause_ms = witness->pause_ms == 0 ? PAUSE_FIRST_MS : witness->pause_ms * 2;
    if (witness->pause_ms > PAUSE_MOST_MS)
        witness->pause_ms = PAUSE_MOST_MS;
    witness->due_ms = clock_steady_ms() + witness->pause_ms;
}

void witnesses_ask(struct witnesses *witnesses, const struct tile_source *tiles, uint64_t size, struct text_writer *note)
{
    const struct text_writer own = *note; /* what witnesses get: our signatures alone */
    bool asked[WITNESSES_MAX];
    int64_t now_ms = clock_steady_ms();
    for (size_t i = 0; i < witnesses->count; i++) {
        struct witness *witness = &witnesses->list[i];
        witness->cosigned = false;
        asked[i] = witness->pause_ms == 0 || now_ms >= witness->due_ms;
    }
    for (int round = 0; round < 2; round++) {
        size_t begun = 0;
        for (size_t i = 0; i < witnesses->count; i++) {
            asked[i] = asked[i] && (round == 0 || witnesses->list[i].again);
            begun += asked[i];
            if (asked[i])
                begin(witnesses, &witnesses->list[i], tiles, size, &own);
        }
        if (begun == 0)
            return;
        run(witnesses);
        for (size_t i = 0; i < witnesses->count; i++) {
            if (asked[i])
                finish(witnesses, &witnesses->list[i], size, note);
        }
    }
}
