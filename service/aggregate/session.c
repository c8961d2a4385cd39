#include "service/aggregate/session.h"

#include <stdlib.h>
#include <string.h>

static int compare_i64(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int compare_names(const struct session_fragment *a, const struct session_fragment *b)
{
    if (a->named != b->named)
        return a->named ? 1 : -1;
    return a->named ? memcmp(a->name.bytes, b->name.bytes, PSEUDONYM_BYTES) : 0;
}

static int by_name_and_start(const void *left, const void *right)
{
    const struct session_fragment *a = left;
    const struct session_fragment *b = right;
    int order = compare_names(a, b);
    if (order == 0)
        order = compare_i64(a->start_ms, b->start_ms);
    return order != 0 ? order : compare_i64(a->end_ms, b->end_ms);
}

static int by_group_and_start(const void *left, const void *right)
{
    const struct session_fragment *a = left;
    const struct session_fragment *b = right;
    int order = compare_i64(a->group, b->group);
    if (order == 0)
        order = compare_i64(a->start_ms, b->start_ms);
    return order != 0 ? order : compare_i64(a->end_ms, b->end_ms);
}

void session_add_entry(struct session_fragment *fragment, int64_t ms, uint8_t class)
{
    if (fragment->has_entry && (ms > fragment->entry_ms || (ms == fragment->entry_ms && class >= fragment->entry)))
        return;
    fragment->has_entry = true;
    fragment->entry_ms = ms;
    fragment->entry = class;
}

void session_add_exit(struct session_fragment *fragment, int64_t ms, uint8_t class)
{
    if (fragment->has_exit && (ms < fragment->exit_ms || (ms == fragment->exit_ms && class >= fragment->exit)))
        return;
    fragment->has_exit = true;
    fragment->exit_ms = ms;
    fragment->exit = class;
}

/* Of names that are of one session, those that know of both epochs count; of several such the smallest. */
static void take_names(struct session_fragment *into, const struct session_fragment *other)
{
    if (!other->named_before ||
        (into->named_before && memcmp(into->name.bytes, other->name.bytes, PSEUDONYM_BYTES) <= 0))
        return;
    into->name = other->name;
    into->named_before = true;
    into->name_before = other->name_before;
}

/* Nothing in here depends on which of the two came first. */
static void absorb(struct session_fragment *into, const struct session_fragment *other)
{
    into->start_ms = other->start_ms < into->start_ms ? other->start_ms : into->start_ms;
    into->end_ms = other->end_ms > into->end_ms ? other->end_ms : into->end_ms;
    into->events += other->events;
    into->views += other->views;
    into->goals += other->goals;
    into->engaged_ms += other->engaged_ms;
    into->goal_bits |= other->goal_bits;
    if (other->has_entry)
        session_add_entry(into, other->entry_ms, other->entry);
    if (other->has_exit)
        session_add_exit(into, other->exit_ms, other->exit);
    take_names(into, other);
}

/* Merge neighbours of a sorted list that are of one group and UTC hour, and within the timeout. */
static size_t merge_sorted(struct session_fragment *fragments, size_t count, int64_t timeout_ms, bool by_group)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        struct session_fragment *last = kept > 0 ? &fragments[kept - 1] : NULL;
        const struct session_fragment *next = &fragments[i];
        bool same = last != NULL &&
            (by_group ? last->group == next->group : compare_names(last, next) == 0) &&
            last->start_ms / SESSION_HOUR_MS == next->start_ms / SESSION_HOUR_MS &&
            next->start_ms - last->end_ms <= timeout_ms;
        if (same)
            absorb(last, next);
        else
            fragments[kept++] = *next;
    }
    return kept;
}

size_t session_merge(struct session_fragment *fragments, size_t count, int64_t timeout_ms)
{
    if (count > 1)
        qsort(fragments, count, sizeof *fragments, by_name_and_start);
    return merge_sorted(fragments, count, timeout_ms, false);
}

/* The representative of fragment i's group: groups are trees of indexes, the smallest at the root. */
static uint32_t root_of(struct session_fragment *fragments, uint32_t i)
{
    while (fragments[i].group != i) {
        fragments[i].group = fragments[fragments[i].group].group;
        i = fragments[i].group;
    }
    return i;
}

/* Index of the first fragment with that name in a list sorted by name; count if there is none. */
static size_t find_name(const struct session_fragment *fragments, size_t count, const struct pseudonym *name)
{
    const struct session_fragment wanted = {.named = true, .name = *name};
    size_t low = 0;
    size_t high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_names(&fragments[middle], &wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && compare_names(&fragments[low], &wanted) == 0 ? low : count;
}

/* Give fragments, sorted by name, their groups: one a name, but one for both names of a session around an epoch
 * change. */
static void group_by_name(struct session_fragment *fragments, size_t count)
{
    for (size_t i = 0; i < count; i++)
        fragments[i].group = i > 0 && compare_names(&fragments[i - 1], &fragments[i]) == 0 ? fragments[i - 1].group
                                                                                          : (uint32_t)i;
    for (size_t i = 0; i < count; i++) {
        size_t other = fragments[i].named_before ? find_name(fragments, count, &fragments[i].name_before) : count;
        if (other == count)
            continue;
        uint32_t a = root_of(fragments, (uint32_t)i);
        uint32_t b = root_of(fragments, (uint32_t)other);
        fragments[a > b ? a : b].group = a > b ? b : a;
    }
    for (size_t i = 0; i < count; i++)
        fragments[i].group = root_of(fragments, (uint32_t)i);
}

size_t session_assemble(struct session_fragment *fragments, size_t count, int64_t timeout_ms, struct session *out)
{
    if (count > 1)
        qsort(fragments, count, sizeof *fragments, by_name_and_start);
    group_by_name(fragments, count);
    if (count > 1)
        qsort(fragments, count, sizeof *fragments, by_group_and_start);
    count = merge_sorted(fragments, count, timeout_ms, true);
    size_t sessions = 0;
    for (size_t i = 0; i < count; i++) {
        struct session_fragment *open = sessions > 0 ? &out[sessions - 1].whole : NULL;
        const struct session_fragment *next = &fragments[i];
        if (open != NULL && open->group == next->group && next->start_ms - open->end_ms <= timeout_ms &&
            next->end_ms - open->start_ms <= SESSION_MAX_MS) {
            absorb(open, next);
        } else {
            out[sessions++].whole = *next;
        }
    }
    return sessions;
}

bool session_is_engaged(const struct session *session)
{
    const struct session_fragment *whole = &session->whole;
    return whole->engaged_ms >= SESSION_ENGAGED_MS || whole->goals > 0 || whole->views >= 2;
}

size_t session_duration_bin(const struct session *session)
{
    int64_t seconds = (session->whole.end_ms - session->whole.start_ms) / 1000;
    size_t bin = 0;
    while (seconds > 0 && bin < SESSION_DURATION_BINS - 1) {
        seconds >>= 1;
        bin++;
    }
    return bin;
}
