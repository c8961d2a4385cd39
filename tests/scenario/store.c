#include "tests/scenario/store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static bool same(const struct pseudonym *a, const struct pseudonym *b)
{
    return memcmp(a->bytes, b->bytes, PSEUDONYM_BYTES) == 0;
}

static fold_find_app find_app;
static struct fold_app *find_app(void *context, uint32_t app)
{
    struct store *store = context;
    return app == store->app.app ? &store->app : NULL;
}

void store_look_up(struct store *store)
{
    struct fold *fold = &store->fold;
    for (size_t i = fold->sources_loaded; i < fold->sources_count; i++) {
        struct fold_source *source = &fold->sources[i];
        for (size_t j = 0; j < store->seen_count; j++) {
            if (same(&store->seen[j].source, &source->name) ||
                (source->has_before && same(&store->seen[j].source, &source->before)))
                ranges_add_all(&source->known, &store->seen[j].seqs);
        }
    }
    fold->sources_loaded = fold->sources_count;
    for (size_t i = fold->strangers_loaded; i < fold->strangers_count; i++) {
        for (size_t j = 0; j < store->alias_count; j++) {
            if (same(&store->aliases[j].old, &fold->strangers[i].name)) {
                fold->strangers[i].known = true;
                fold->strangers[i].usr = store->aliases[j].usr;
            }
        }
    }
    fold->strangers_loaded = fold->strangers_count;
}

static struct store_person *person_of(struct store *store, const struct pseudonym *usr)
{
    for (size_t i = 0; i < store->person_count; i++) {
        if (same(&store->persons[i].usr, usr))
            return &store->persons[i];
    }
    return NULL;
}

static void keep_person(struct store *store, const struct pseudonym *usr, int32_t day)
{
    struct store_person *person = person_of(store, usr);
    if (person == NULL) {
        assert(store->person_count < STORE_MAX);
        store->persons[store->person_count++] = (struct store_person){*usr, day};
    } else if (day < person->first_day) {
        person->first_day = day;
    }
}

static void keep_day(struct store *store, const struct pseudonym *usr, int32_t day, int64_t events)
{
    for (size_t i = 0; i < store->day_count; i++) {
        if (store->days[i].day == day && same(&store->days[i].usr, usr)) {
            store->days[i].events += events;
            return;
        }
    }
    assert(store->day_count < STORE_MAX);
    store->days[store->day_count++] = (struct store_day){*usr, day, events};
}

static void keep_alias(struct store *store, const struct pseudonym *old, const struct pseudonym *usr)
{
    for (size_t i = 0; i < store->alias_count; i++) {
        if (same(&store->aliases[i].usr, old))
            store->aliases[i].usr = *usr;
    }
    assert(store->alias_count < STORE_MAX);
    store->aliases[store->alias_count++] = (struct store_alias){*old, *usr};
}

/* Everything known under old goes on under usr. */
static void move_person(struct store *store, const struct pseudonym *old, const struct pseudonym *usr)
{
    for (size_t i = 0; i < store->person_count; i++) {
        if (same(&store->persons[i].usr, old)) {
            int32_t first_day = store->persons[i].first_day;
            store->persons[i] = store->persons[--store->person_count];
            keep_person(store, usr, first_day);
            break;
        }
    }
    for (size_t i = 0; i < store->day_count;) {
        if (same(&store->days[i].usr, old)) {
            struct store_day day = store->days[i];
            store->days[i] = store->days[--store->day_count];
            keep_day(store, usr, day.day, day.events);
        } else {
            i++;
        }
    }
    for (size_t i = 0; i < store->fragment_count; i++) {
        if (same(&store->fragments[i].usr, old))
            store->fragments[i].usr = *usr;
    }
    keep_alias(store, old, usr);
}

static void link_users(struct store *store)
{
    const struct fold *fold = &store->fold;
    for (size_t i = 0; i < fold->users_count; i++) {
        const struct fold_user *user = &fold->users[i];
        if (user->older == 0 || person_of(store, &user->name) != NULL)
            continue;
        for (size_t j = 0; j < user->older; j++)
            move_person(store, &user->old[j], &user->name);
    }
}

/* Merge one user's fragments with those that stand in the hours touched. */
static void keep_fragment(struct store *store, const struct pseudonym *usr, const struct session_fragment *piece)
{
    struct session_fragment pieces[STORE_MAX];
    size_t count = 0;
    pieces[count++] = *piece;
    for (size_t i = 0; i < store->fragment_count;) {
        const struct store_fragment *stored = &store->fragments[i];
        if (same(&stored->usr, usr) && stored->piece.start_ms / SESSION_HOUR_MS == piece->start_ms / SESSION_HOUR_MS) {
            pieces[count++] = stored->piece;
            store->fragments[i] = store->fragments[--store->fragment_count];
        } else {
            i++;
        }
    }
    count = session_merge(pieces, count, store->app.definition->session_timeout_ms);
    for (size_t i = 0; i < count; i++) {
        assert(store->fragment_count < STORE_MAX);
        store->fragments[store->fragment_count++] = (struct store_fragment){*usr, pieces[i]};
    }
}

static void keep_seen(struct store *store, const struct pseudonym *name, const struct ranges *added)
{
    for (size_t i = 0; i < store->seen_count; i++) {
        if (same(&store->seen[i].source, name)) {
            ranges_add_all(&store->seen[i].seqs, added);
            return;
        }
    }
    assert(store->seen_count < STORE_MAX);
    struct store_seen *seen = &store->seen[store->seen_count++];
    *seen = (struct store_seen){.source = *name};
    ranges_add_all(&seen->seqs, added);
}

void store_flush(struct store *store)
{
    struct fold *fold = &store->fold;
    fold_digest(fold, find_app, store);
    link_users(store);
    for (size_t i = 0; i < fold->fragments_count; i++)
        keep_fragment(store, &fold->users[fold->fragments[i].user].name, &fold->fragments[i].piece);
    for (size_t i = 0; i < fold->days_count; i++) {
        const struct pseudonym *usr = &fold->users[fold->days[i].user].name;
        keep_person(store, usr, fold->days[i].day);
        keep_day(store, usr, fold->days[i].day, fold->days[i].events);
    }
    for (size_t i = 0; i < fold->sources_count; i++) {
        const struct fold_source *source = &fold->sources[i];
        if (source->added.count == 0)
            continue;
        keep_seen(store, &source->name, &source->added);
        if (source->has_before)
            keep_seen(store, &source->before, &source->added);
    }
    for (size_t i = 0; i < fold->tallies_count; i++) {
        store->counted += fold->tallies[i].counted;
        store->duplicate += fold->tallies[i].duplicate;
        store->late += fold->tallies[i].late;
    }
    fold_clear(fold);
}

size_t store_sessions(const struct store *store, struct session *out, size_t capacity)
{
    size_t total = 0;
    for (size_t i = 0; i < store->person_count; i++) {
        struct session_fragment pieces[STORE_MAX];
        size_t count = 0;
        for (size_t j = 0; j < store->fragment_count; j++) {
            if (same(&store->fragments[j].usr, &store->persons[i].usr))
                pieces[count++] = store->fragments[j].piece;
        }
        assert(total + count <= capacity);
        total += session_assemble(pieces, count, store->app.definition->session_timeout_ms, out + total);
    }
    return total;
}

void store_reset(struct store *store)
{
    for (size_t i = 0; i < store->seen_count; i++)
        ranges_clear(&store->seen[i].seqs);
    fold_clear(&store->fold);
    struct fold fold = store->fold;
    struct fold_app app = store->app;
    app.epoch = -1;
    app.epoch_changed = false;
    app.activity_through = FOLD_NO_DAY;
    memset(store, 0, sizeof *store);
    store->fold = fold;
    store->app = app;
}
