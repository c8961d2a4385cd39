/* Sessions: the rules one by one, then the promise that order and batches never matter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "service/aggregate/session.h"

#define MINUTE 60000LL
#define HOUR (60 * MINUTE)
#define TIMEOUT (30 * MINUTE)
#define MOST 400

static uint32_t state = 99;

static uint32_t draw(uint32_t below)
{
    state = state * 1664525u + 1013904223u;
    return (state >> 8) % below;
}

static struct session_fragment at(int64_t ms)
{
    return (struct session_fragment){.start_ms = ms, .end_ms = ms, .events = 1};
}

static struct pseudonym name(uint8_t byte)
{
    struct pseudonym made;
    memset(made.bytes, byte, sizeof made.bytes);
    return made;
}

static struct session_fragment named_at(int64_t ms, uint8_t session)
{
    struct session_fragment made = at(ms);
    made.named = true;
    made.name = name(session);
    return made;
}

static size_t assemble(const struct session_fragment *events, size_t count, struct session *out)
{
    struct session_fragment copy[MOST];
    memcpy(copy, events, count * sizeof *copy);
    return session_assemble(copy, count, TIMEOUT, out);
}

static void a_gap_of_exactly_the_timeout_continues(void **unused)
{
    (void)unused;
    struct session out[4];
    const struct session_fragment exactly[] = {at(HOUR), at(HOUR + TIMEOUT)};
    assert_int_equal(assemble(exactly, 2, out), 1);
    assert_int_equal(out[0].whole.events, 2);
    assert_int_equal(out[0].whole.end_ms - out[0].whole.start_ms, TIMEOUT);
    const struct session_fragment longer[] = {at(HOUR), at(HOUR + TIMEOUT + 1)};
    assert_int_equal(assemble(longer, 2, out), 2);
}

static void midnight_does_not_cut(void **unused)
{
    (void)unused;
    struct session out[4];
    const struct session_fragment events[] = {at(24 * HOUR - MINUTE), at(24 * HOUR + MINUTE)};
    assert_int_equal(assemble(events, 2, out), 1);
}

static void a_day_of_activity_is_cut_at_24_hours(void **unused)
{
    (void)unused;
    struct session_fragment events[120];
    struct session out[120];
    for (int i = 0; i < 120; i++)
        events[i] = at(i * 25 * MINUTE);
    size_t count = assemble(events, 120, out);
    assert_int_equal(count, 3);
    int64_t total = 0;
    for (size_t i = 0; i < count; i++) {
        assert_true(out[i].whole.end_ms - out[i].whole.start_ms <= SESSION_MAX_MS);
        total += out[i].whole.events;
    }
    assert_int_equal(total, 120);
}

static void names_separate_and_the_timeout_still_cuts(void **unused)
{
    (void)unused;
    struct session out[8];
    const struct session_fragment events[] = {named_at(0, 1), named_at(MINUTE, 2), at(2 * MINUTE), named_at(3 * MINUTE, 1),
        named_at(HOUR, 1)};
    assert_int_equal(assemble(events, 5, out), 4);
}

static void both_names_around_an_epoch_change_are_one_session(void **unused)
{
    (void)unused;
    struct session out[8];
    struct session_fragment events[] = {named_at(0, 9), named_at(5 * MINUTE, 4), named_at(10 * MINUTE, 9),
        named_at(7 * MINUTE, 3)};
    events[1].named_before = true;
    events[1].name_before = name(9);
    assert_int_equal(assemble(events, 4, out), 2);
}

/* The later name, which knows the earlier one, is the session's, wherever in it an event bears it. */
static void a_session_of_two_names_has_both(void **unused)
{
    (void)unused;
    for (int at_name = 0; at_name < 3; at_name++) {
        struct session out[3];
        struct session_fragment events[] = {named_at(HOUR - 9 * MINUTE, 4), named_at(HOUR - 5 * MINUTE, 4),
            named_at(HOUR + 20 * MINUTE, 4)};
        events[at_name].name = name(9);
        events[at_name].named_before = true;
        events[at_name].name_before = name(4);
        assert_int_equal(assemble(events, 3, out), 1);
        assert_true(out[0].whole.named_before);
        assert_memory_equal(out[0].whole.name.bytes, name(9).bytes, PSEUDONYM_BYTES);
        assert_memory_equal(out[0].whole.name_before.bytes, name(4).bytes, PSEUDONYM_BYTES);
    }
}

static void the_first_entry_and_the_last_exit_count(void **unused)
{
    (void)unused;
    struct session_fragment piece = at(0);
    session_add_entry(&piece, 20, 3);
    session_add_entry(&piece, 10, 5);
    session_add_entry(&piece, 10, 4);
    session_add_entry(&piece, 10, 6);
    session_add_entry(&piece, 30, 0);
    assert_true(piece.has_entry && piece.entry_ms == 10 && piece.entry == 4);
    session_add_exit(&piece, 20, 3);
    session_add_exit(&piece, 30, 5);
    session_add_exit(&piece, 30, 4);
    session_add_exit(&piece, 30, 6);
    session_add_exit(&piece, 10, 0);
    assert_true(piece.has_exit && piece.exit_ms == 30 && piece.exit == 4);
}

static void bins_double(void **unused)
{
    (void)unused;
    static const struct {
        int64_t seconds;
        size_t bin;
    } cases[] = {{0, 0}, {1, 1}, {2, 2}, {3, 2}, {4, 3}, {7, 3}, {8, 4}, {65535, 16}, {65536, 17}, {86400, 17}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct session session = {.whole = {.end_ms = cases[i].seconds * 1000}};
        assert_int_equal(session_duration_bin(&session), cases[i].bin);
    }
}

static void engaged_by_time_goal_or_two_views(void **unused)
{
    (void)unused;
    struct session session = {.whole = {.engaged_ms = 9999, .views = 1}};
    assert_false(session_is_engaged(&session));
    session.whole.views = 2;
    assert_true(session_is_engaged(&session));
    session.whole = (struct session_fragment){.engaged_ms = 10000};
    assert_true(session_is_engaged(&session));
    session.whole = (struct session_fragment){.goals = 1};
    assert_true(session_is_engaged(&session));
}

/* Fold events[order[0..count-1]] in batches of random size, as flushes do: merge those of a batch and, but for one time in
 * two, what is stored with them. */
static size_t in_batches(const struct session_fragment *events, const size_t *order, size_t count,
    struct session_fragment *stored)
{
    size_t kept = 0;
    for (size_t i = 0; i < count;) {
        size_t batch = 1 + draw(20);
        size_t first = kept;
        for (; batch > 0 && i < count; batch--, i++)
            stored[kept++] = events[order[i]];
        first = draw(2) == 0 ? 0 : first;
        kept = first + session_merge(stored + first, kept - first, TIMEOUT);
    }
    return kept;
}

static int by_start(const void *left, const void *right)
{
    const struct session *a = left;
    const struct session *b = right;
    if (a->whole.start_ms != b->whole.start_ms)
        return a->whole.start_ms < b->whole.start_ms ? -1 : 1;
    return (int)a->whole.named - (int)b->whole.named;
}

static void order_and_batches_never_matter(void **unused)
{
    (void)unused;
    for (int round = 0; round < 300; round++) {
        struct session_fragment events[MOST];
        size_t order[MOST];
        size_t count = 20 + draw(MOST - 20);
        int64_t now = (int64_t)draw(1000000);
        for (size_t i = 0; i < count; i++) {
            now += draw(9) == 0 ? 0 : draw(3) == 0 ? (int64_t)draw(100) * MINUTE / 2 : (int64_t)draw(20) * MINUTE;
            events[i] = draw(5) == 0 ? named_at(now, 7) : at(now);
            events[i].engaged_ms = draw(3000);
            events[i].goal_bits = draw(4) == 0 ? 1ULL << draw(64) : 0;
            if (draw(3) == 0)
                session_add_entry(&events[i], now, (uint8_t)draw(4));
            if (draw(3) == 0)
                session_add_exit(&events[i], now, (uint8_t)draw(4));
            order[i] = i;
        }
        struct session expected[MOST];
        size_t sessions = assemble(events, count, expected);
        for (size_t i = count; i > 1; i--) {
            size_t j = draw((uint32_t)i);
            size_t swap = order[i - 1];
            order[i - 1] = order[j];
            order[j] = swap;
        }
        struct session_fragment stored[MOST];
        size_t kept = in_batches(events, order, count, stored);
        struct session got[MOST];
        assert_int_equal(session_assemble(stored, kept, TIMEOUT, got), sessions);
        qsort(expected, sessions, sizeof *expected, by_start);
        qsort(got, sessions, sizeof *got, by_start);
        for (size_t i = 0; i < sessions; i++) {
            got[i].whole.group = expected[i].whole.group = 0;
            assert_memory_equal(&got[i], &expected[i], sizeof got[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gap_of_exactly_the_timeout_continues),
        cmocka_unit_test(midnight_does_not_cut),
        cmocka_unit_test(a_day_of_activity_is_cut_at_24_hours),
        cmocka_unit_test(names_separate_and_the_timeout_still_cuts),
        cmocka_unit_test(both_names_around_an_epoch_change_are_one_session),
        cmocka_unit_test(a_session_of_two_names_has_both),
        cmocka_unit_test(the_first_entry_and_the_last_exit_count),
        cmocka_unit_test(bins_double),
        cmocka_unit_test(engaged_by_time_goal_or_two_views),
        cmocka_unit_test(order_and_batches_never_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
