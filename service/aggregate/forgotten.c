#include "service/aggregate/forgotten.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static_assert(FORGOTTEN_TAG_BYTES == crypto_auth_hmacsha256_BYTES && FORGOTTEN_KEY_BYTES == crypto_auth_hmacsha256_KEYBYTES,
    "a tag is an HMAC-SHA-256");

void forgotten_tag(const struct forgotten *forgotten, uint32_t app, const struct pseudonym *name,
    uint8_t tag[FORGOTTEN_TAG_BYTES])
{
    uint8_t text[4 + PSEUDONYM_BYTES] = {(uint8_t)(app >> 24), (uint8_t)(app >> 16), (uint8_t)(app >> 8), (uint8_t)app};
    memcpy(text + 4, name->bytes, PSEUDONYM_BYTES);
    (void)crypto_auth_hmacsha256(tag, text, sizeof text, forgotten->key);
}

static int compare(const struct forgotten_mark *mark, uint32_t app, const uint8_t *tag, bool objection)
{
    if (mark->app != app)
        return mark->app < app ? -1 : 1;
    int order = memcmp(mark->tag, tag, FORGOTTEN_TAG_BYTES);
    return order != 0 ? order : (int)mark->objection - (int)objection;
}

/* The place of the first mark that is not before. */
static size_t place_of(const struct forgotten *forgotten, uint32_t app, const uint8_t *tag, bool objection)
{
    size_t low = 0;
    size_t high = forgotten->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(&forgotten->marks[middle], app, tag, objection) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct forgotten_mark *forgotten_find(const struct forgotten *forgotten, uint32_t app,
    const uint8_t tag[FORGOTTEN_TAG_BYTES], bool objection)
{
    size_t at = place_of(forgotten, app, tag, objection);
    bool found = at < forgotten->count && compare(&forgotten->marks[at], app, tag, objection) == 0;
    return found ? &forgotten->marks[at] : NULL;
}

bool forgotten_add(struct forgotten *forgotten, const struct forgotten_mark *mark)
{
    size_t at = place_of(forgotten, mark->app, mark->tag, mark->objection);
    if (at < forgotten->count && compare(&forgotten->marks[at], mark->app, mark->tag, mark->objection) == 0) {
        if (forgotten->marks[at].since_ms >= mark->since_ms)
            return false;
        forgotten->marks[at] = *mark;
        return true;
    }
    if (forgotten->count == forgotten->size) {
        size_t size = forgotten->size == 0 ? 16 : forgotten->size * 2;
        struct forgotten_mark *marks = realloc(forgotten->marks, size * sizeof *marks);
        assert(marks != NULL);
        forgotten->marks = marks;
        forgotten->size = size;
    }
    memmove(forgotten->marks + at + 1, forgotten->marks + at, (forgotten->count - at) * sizeof *forgotten->marks);
    forgotten->marks[at] = *mark;
    forgotten->count++;
    return true;
}

void forgotten_add_names(struct forgotten *forgotten, const struct forgotten_mark *pattern, const struct pseudonym *names,
    size_t count)
{
    struct forgotten_mark mark = *pattern;
    mark.told = false;
    for (size_t i = 0; i < count; i++) {
        forgotten_tag(forgotten, mark.app, &names[i], mark.tag);
        (void)forgotten_add(forgotten, &mark);
    }
}

void forgotten_field(const struct forgotten_mark *mark, char out[FORGOTTEN_FIELD_BYTES])
{
    (void)sodium_bin2hex(out, FORGOTTEN_FIELD_BYTES, mark->tag, sizeof mark->tag);
    strcat(out, mark->objection ? ":o" : ":e");
}

size_t forgotten_drop(struct forgotten *forgotten, bool (*match)(const struct forgotten_mark *mark, const void *context),
    const void *context)
{
    size_t kept = 0;
    for (size_t i = 0; i < forgotten->count; i++) {
        const struct forgotten_mark *mark = &forgotten->marks[i];
        if (!match(mark, context)) {
            forgotten->marks[kept++] = *mark;
            continue;
        }
        void *gone = realloc(forgotten->gone, (forgotten->gone_count + 1) * sizeof *forgotten->gone);
        assert(gone != NULL);
        forgotten->gone = gone;
        forgotten_field(mark, forgotten->gone[forgotten->gone_count++]);
    }
    size_t dropped = forgotten->count - kept;
    forgotten->count = kept;
    return dropped;
}

bool forgotten_add_purge(struct forgotten *forgotten, const struct forgotten_purge *purge)
{
    for (size_t i = 0; i < forgotten->purge_count; i++) {
        if (memcmp(forgotten->purges[i].request, purge->request, sizeof purge->request) == 0)
            return false;
    }
    struct forgotten_purge *purges = realloc(forgotten->purges, (forgotten->purge_count + 1) * sizeof *purges);
    assert(purges != NULL);
    forgotten->purges = purges;
    purges[forgotten->purge_count++] = *purge;
    return true;
}

bool forgotten_concerns(const struct forgotten *forgotten, uint32_t app)
{
    static const uint8_t least[FORGOTTEN_TAG_BYTES];
    for (size_t i = 0; i < forgotten->purge_count; i++) {
        if (forgotten->purges[i].app == app)
            return true;
    }
    size_t at = place_of(forgotten, app, least, false);
    return at < forgotten->count && forgotten->marks[at].app == app;
}

static bool is_purged(const struct forgotten *forgotten, const struct packet_part *part)
{
    for (size_t i = 0; i < forgotten->purge_count; i++) {
        if (forgotten->purges[i].app == part->app && part->received_at_ms <= forgotten->purges[i].since_ms)
            return true;
    }
    return false;
}

enum forgotten_verdict forgotten_judge(struct forgotten *forgotten, const struct packet_part *part,
    const struct packet_user *user)
{
    uint8_t tag[FORGOTTEN_TAG_BYTES];
    bool erased = is_purged(forgotten, part);
    if (erased || user->flags & USER_ANONYMOUS)
        return erased ? FORGOTTEN_ERASED : FORGOTTEN_NOT;
    for (size_t i = 0; i < user->names; i++) {
        forgotten_tag(forgotten, part->app, &user->name[i], tag);
        const struct forgotten_mark *objection = forgotten_find(forgotten, part->app, tag, true);
        if (objection != NULL) {
            struct forgotten_mark pattern = *objection;
            forgotten_add_names(forgotten, &pattern, user->name, user->names);
            return FORGOTTEN_OBJECTS;
        }
        const struct forgotten_mark *erasure = forgotten_find(forgotten, part->app, tag, false);
        erased = erased || (erasure != NULL && part->received_at_ms <= erasure->since_ms);
    }
    return erased ? FORGOTTEN_ERASED : FORGOTTEN_NOT;
}

void forgotten_settle(struct forgotten *forgotten)
{
    for (size_t i = 0; i < forgotten->count; i++)
        forgotten->marks[i].told = true;
    for (size_t i = 0; i < forgotten->purge_count; i++)
        forgotten->purges[i].told = true;
    free(forgotten->gone);
    forgotten->gone = NULL;
    forgotten->gone_count = 0;
}

void forgotten_clear(struct forgotten *forgotten)
{
    free(forgotten->marks);
    free(forgotten->purges);
    free(forgotten->gone);
    sodium_memzero(forgotten, sizeof *forgotten);
}
