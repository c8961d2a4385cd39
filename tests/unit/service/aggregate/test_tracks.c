/* Funnels and paths: first the plain case, then each rule's edge. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/aggregate/tracks.h"

#define COUNT(steps) (sizeof(steps) / sizeof(steps)[0])

static void a_funnel_goes_as_far_as_its_steps_come_in_order(void **unused)
{
    (void)unused;
    static const struct tracks_step all[] = {{10, 1}, {20, 2}, {30, 4}};
    static const struct tracks_step reversed[] = {{10, 1}, {20, 4}, {30, 2}};
    static const struct tracks_step between[] = {{10, 1}, {11, 1}, {20, 8}, {21, 2}, {22, 1}, {30, 4}};
    assert_int_equal(tracks_furthest(all, 1, 3, 100), 0);
    assert_int_equal(tracks_furthest(all, COUNT(all), 3, 100), 2);
    assert_int_equal(tracks_furthest(reversed, COUNT(reversed), 3, 100), 1);
    assert_int_equal(tracks_furthest(between, COUNT(between), 3, 100), 2);
}

static void the_end_of_the_window_is_inside(void **unused)
{
    (void)unused;
    static const struct tracks_step steps[] = {{1000, 1}, {1100, 2}, {1101, 4}};
    assert_int_equal(tracks_furthest(steps, COUNT(steps), 3, 99), 0);
    assert_int_equal(tracks_furthest(steps, COUNT(steps), 3, 100), 1);
    assert_int_equal(tracks_furthest(steps, COUNT(steps), 3, 101), 2);
}

static void an_event_is_one_step_at_most(void **unused)
{
    (void)unused;
    static const struct tracks_step one[] = {{10, 7}};
    static const struct tracks_step two[] = {{10, 7}, {10, 7}};
    static const struct tracks_step three[] = {{10, 7}, {10, 7}, {20, 7}};
    assert_int_equal(tracks_furthest(one, COUNT(one), 3, 0), 0);
    assert_int_equal(tracks_furthest(two, COUNT(two), 3, 0), 1);
    assert_int_equal(tracks_furthest(three, COUNT(three), 3, 10), 2);
}

static void events_of_one_millisecond_count_in_declared_order(void **unused)
{
    (void)unused;
    static const struct tracks_step backwards[] = {{10, 4}, {10, 2}, {10, 1}};
    /* The event that can be steps 0 and 1 must leave step 0 to the one that can be nothing else. */
    static const struct tracks_step shared[] = {{10, 3}, {10, 1}};
    /* Step 1 must go to the event that can also be step 3, so that step 2 has one. */
    static const struct tracks_step moved[] = {{5, 1}, {10, 6}, {10, 10}, {20, 8}};
    assert_int_equal(tracks_furthest(backwards, COUNT(backwards), 3, 0), 2);
    assert_int_equal(tracks_furthest(shared, COUNT(shared), 2, 0), 1);
    assert_int_equal(tracks_furthest(moved, COUNT(moved), 4, 15), 3);
}

static void pairs_are_of_neighbours_within_the_timeout(void **unused)
{
    (void)unused;
    static const struct tracks_step steps[] = {{0, 5}, {100, 5}, {200, 3}, {301, 5}, {301, 7}, {401, 50}};
    struct tracks_pair out[COUNT(steps)];
    assert_int_equal(tracks_pairs(steps, 1, 100, out), 0);
    assert_int_equal(tracks_pairs(steps, COUNT(steps), 100, out), 3);
    static const struct tracks_pair want[] = {{200, 5, 3}, {301, 5, 7}, {401, 7, 50}};
    for (size_t i = 0; i < COUNT(want); i++) {
        assert_int_equal(out[i].at_ms, want[i].at_ms);
        assert_int_equal(out[i].from, want[i].from);
        assert_int_equal(out[i].to, want[i].to);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_funnel_goes_as_far_as_its_steps_come_in_order),
        cmocka_unit_test(the_end_of_the_window_is_inside),
        cmocka_unit_test(an_event_is_one_step_at_most),
        cmocka_unit_test(events_of_one_millisecond_count_in_declared_order),
        cmocka_unit_test(pairs_are_of_neighbours_within_the_timeout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
