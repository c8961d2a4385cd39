#include "service/cli/storescan.h"

#include <ctype.h>
#include <errno.h>
#include <fts.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATTERNS_MAX 32
#define CHUNK_BYTES ((size_t)4 * 1024 * 1024)
#define ID_MAX_BYTES 256
#define PATTERN_MAX_BYTES (3 * ID_MAX_BYTES + 4)

struct pattern {
    const char *form; /* static */
    size_t length;
    uint8_t bytes[PATTERN_MAX_BYTES];
};

struct storescan {
    size_t count, longest;
    struct pattern patterns[PATTERNS_MAX];
};

static void add(struct storescan *scan, const char *form, const void *bytes, size_t length)
{
    struct pattern *pattern = &scan->patterns[scan->count];
    if (scan->count == PATTERNS_MAX || length < STORESCAN_LEAST_BYTES || length > sizeof pattern->bytes)
        return;
    for (size_t i = 0; i < scan->count; i++)
        if (scan->patterns[i].length == length && memcmp(scan->patterns[i].bytes, bytes, length) == 0)
            return;
    pattern->form = form;
    pattern->length = length;
    memcpy(pattern->bytes, bytes, length);
    scan->count++;
    scan->longest = length > scan->longest ? length : scan->longest;
}

static void add_hex(struct storescan *scan, const char *form, const uint8_t *bytes, size_t length)
{
    char text[2 * ID_MAX_BYTES + 1];
    (void)sodium_bin2hex(text, sizeof text, bytes, length);
    add(scan, form, text, 2 * length);
    for (size_t i = 0; i < 2 * length; i++)
        text[i] = (char)toupper((unsigned char)text[i]);
    add(scan, form, text, 2 * length);
    sodium_memzero(text, sizeof text);
}

/* In base64 a text looks different at each of three places; of the ends only what the text alone decides. */
static void add_base64(struct storescan *scan, const char *form, const uint8_t *bytes, size_t length, int variant)
{
    uint8_t shifted[ID_MAX_BYTES + 3] = {0};
    char text[PATTERN_MAX_BYTES];
    for (size_t shift = 0; shift < 3; shift++) {
        memcpy(shifted + shift, bytes, length);
        (void)sodium_bin2base64(text, sizeof text, shifted, shift + length, variant);
        size_t first = (shift * 8 + 5) / 6, end = (shift + length) * 8 / 6;
        add(scan, form, text + first, end - first);
    }
    sodium_memzero(shifted, sizeof shifted);
    sodium_memzero(text, sizeof text);
}

static void add_text(struct storescan *scan, const char *id, size_t length)
{
    uint8_t text[2 * ID_MAX_BYTES] = {0};
    add(scan, "as it is", id, length);
    for (size_t i = 0; i < length; i++)
        text[i] = (uint8_t)tolower((unsigned char)id[i]);
    add(scan, "in small letters", text, length);
    for (size_t i = 0; i < length; i++)
        text[i] = (uint8_t)toupper((unsigned char)id[i]);
    add(scan, "in capitals", text, length);
    for (size_t i = 0; i < length; i++) {
        text[2 * i] = (uint8_t)id[i];
        text[2 * i + 1] = 0;
    }
    add(scan, "in UTF-16", text, 2 * length);
    sodium_memzero(text, sizeof text);
}

static void add_escaped(struct storescan *scan, const char *id, size_t length)
{
    char text[3 * ID_MAX_BYTES + 1] = "";
    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        bool plain = isalnum((unsigned char)id[i]) || strchr("-._~", id[i]) != NULL;
        used += (size_t)snprintf(text + used, sizeof text - used, plain ? "%c" : "%%%02X", (unsigned char)id[i]);
    }
    add(scan, "percent-encoded", text, used);
    sodium_memzero(text, sizeof text);
}

enum result storescan_new(const char *id, size_t length, struct storescan **out, struct failure *why)
{
    uint8_t hash[crypto_hash_sha256_BYTES];
    if (length < STORESCAN_LEAST_BYTES || length > ID_MAX_BYTES) {
        failure_set(why, "id", "has %s: 6 to 256 bytes can be looked for", length < STORESCAN_LEAST_BYTES ? "too few bytes" : "too many");
        return RESULT_INVALID;
    }
    struct storescan *scan = calloc(1, sizeof *scan);
    if (scan == NULL)
        return RESULT_FULL;
    const uint8_t *bytes = (const uint8_t *)id;
    (void)crypto_hash_sha256(hash, bytes, length);
    add_text(scan, id, length);
    add_escaped(scan, id, length);
    add_hex(scan, "in hexadecimal", bytes, length);
    add_base64(scan, "in base64", bytes, length, sodium_base64_VARIANT_ORIGINAL);
    add_base64(scan, "in base64", bytes, length, sodium_base64_VARIANT_URLSAFE);
    add(scan, "as a plain SHA-256", hash, sizeof hash);
    add_hex(scan, "as a plain SHA-256 in hexadecimal", hash, sizeof hash);
    add_base64(scan, "as a plain SHA-256 in base64", hash, sizeof hash, sodium_base64_VARIANT_ORIGINAL);
    sodium_memzero(hash, sizeof hash);
    *out = scan;
    return RESULT_OK;
}

void storescan_free(struct storescan *scan)
{
    if (scan != NULL)
        sodium_memzero(scan, sizeof *scan);
    free(scan);
}

/* Where a scan is. */
struct walk {
    const struct storescan *scan;
    void (*found)(void *context, const char *path, const char *form);
    void (*progress)(void *context, const struct storescan_count *count);
    void *context;
    struct storescan_count *count;
    uint8_t *chunk; /* CHUNK_BYTES and the longest pattern */
};

/* Tell of patterns in chunk[0..length-1]; told: by pattern, whether this file has it already. */
static void search(const struct walk *walk, const char *path, size_t length, bool told[PATTERNS_MAX])
{
    for (size_t i = 0; i < walk->scan->count; i++) {
        const struct pattern *pattern = &walk->scan->patterns[i];
        if (told[i] || memmem(walk->chunk, length, pattern->bytes, pattern->length) == NULL)
            continue;
        told[i] = true;
        walk->count->found++;
        walk->found(walk->context, path, pattern->form);
    }
}

/* What one chunk ends with is looked at again with the next. */
static void scan_file(const struct walk *walk, const char *path)
{
    bool told[PATTERNS_MAX] = {false};
    size_t kept = 0, more;
    FILE *file = fopen(path, "rbe");
    if (file == NULL) {
        walk->count->unreadable += errno != ENOENT;
        return;
    }
    while ((more = fread(walk->chunk + kept, 1, CHUNK_BYTES, file)) > 0) {
        size_t length = kept + more;
        search(walk, path, length, told);
        walk->count->bytes += more;
        kept = length < walk->scan->longest - 1 ? length : walk->scan->longest - 1;
        memmove(walk->chunk, walk->chunk + length - kept, kept);
        if (walk->progress != NULL)
            walk->progress(walk->context, walk->count);
    }
    walk->count->files++;
    walk->count->unreadable += ferror(file) != 0;
    (void)fclose(file);
}

enum result storescan_run(const struct storescan *scan, const char *directory,
    void (*found)(void *context, const char *path, const char *form), void (*progress)(void *context, const struct storescan_count *),
    void *context, struct storescan_count *count, struct failure *why)
{
    char *paths[] = {(char *)(uintptr_t)directory, NULL};
    struct walk walk = {.scan = scan, .found = found, .progress = progress, .context = context, .count = count,
        .chunk = malloc(CHUNK_BYTES + PATTERN_MAX_BYTES)};
    FTS *tree = walk.chunk == NULL ? NULL : fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    if (tree == NULL) {
        failure_set(why, "scan", "%s", walk.chunk == NULL ? "memory is short" : strerror(errno));
        free(walk.chunk);
        return RESULT_FAILED;
    }
    for (FTSENT *entry; (entry = fts_read(tree)) != NULL;) {
        if (entry->fts_info == FTS_F)
            scan_file(&walk, entry->fts_path);
        else if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR)
            count->unreadable++;
    }
    (void)fts_close(tree);
    sodium_memzero(walk.chunk, CHUNK_BYTES + PATTERN_MAX_BYTES);
    free(walk.chunk);
    return RESULT_OK;
}
