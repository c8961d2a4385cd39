/* The simulated crowd: the same seed gives the same events, whenever it is asked, and all of them are well-formed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "service/cli/crowd.h"

static char *values[] = {(char[]){"one"}, (char[]){"two"}};
static char *routes[] = {(char[]){"/story/:id/end"}};
static struct app_prop props[] = {
    {.name = "kind", .type = APP_PROP_ENUM, .values = values, .count = 2, .required = true},
    {.name = "page", .type = APP_PROP_ROUTE, .required = true},
    {.name = "n", .type = APP_PROP_NUMBER, .min = 1, .max = 5, .step = 1},
    {.name = "table", .type = APP_PROP_ENTITY, .required = true},
};
static struct app_event events[] = {
    {.name = "done", .goal = true},
    {.name = "page_view", .view = true, .props = props, .prop_count = 4},
};
static const struct app app = {.events = events, .event_count = 2, .routes = routes, .route_count = 1};
static const struct crowd_plan plan = {
    .app = &app, .seed = 5, .users = 50, .days = 20, .first_day = 20000, .until_ms = 20019LL * 86400000 + 43200000};

static void test_same_seed_same_events(void **state)
{
    (void)state;
    struct crowd a, b;
    struct crowd_event x = {0}, y = {0};
    crowd_begin(&a, &plan);
    crowd_begin(&b, &plan);
    size_t count = 0;
    while (crowd_next(&a, &x)) {
        assert_true(crowd_next(&b, &y));
        assert_string_equal(x.user, y.user);
        assert_int_equal(x.ts_ms, y.ts_ms);
        assert_int_equal(x.number, y.number);
        assert_true(x.ts_ms >= 20000LL * 86400000 && x.ts_ms <= plan.until_ms);
        count++;
    }
    assert_false(crowd_next(&b, &y));
    assert_true(count > 500);
}

static void test_numbers_do_not_depend_on_the_hour(void **state)
{
    (void)state;
    struct crowd early, late;
    struct crowd_event x = {0}, y = {0};
    struct crowd_plan longer = plan;
    longer.until_ms += 86400000;
    crowd_begin(&early, &plan);
    crowd_begin(&late, &longer);
    while (crowd_next(&early, &x)) {
        do
            assert_true(crowd_next(&late, &y));
        while (y.number < x.number);
        assert_int_equal(x.number, y.number);
        assert_int_equal(x.ts_ms, y.ts_ms);
        assert_string_equal(x.user, y.user);
    }
}

static void test_routes_are_filled(void **state)
{
    (void)state;
    struct crowd crowd;
    struct crowd_event event = {0};
    crowd_begin(&crowd, &plan);
    assert_true(crowd_next(&crowd, &event));
    assert_string_equal(event.event->name, "page_view");
    assert_true(event.engaged_ms > 0);
    assert_string_equal(event.props[1].name, "page");
    assert_null(strchr(event.props[1].text, ':'));
    assert_int_equal(strncmp(event.props[1].text, "/story/", 7), 0);
}

/* Entities are few, so that people meet in them. */
static void test_entities_are_shared(void **state)
{
    (void)state;
    struct crowd crowd;
    struct crowd_event event = {0};
    size_t first = 0, all = 0;
    crowd_begin(&crowd, &plan);
    while (crowd_next(&crowd, &event)) {
        if (event.prop_count == 0)
            continue;
        const char *table = event.props[event.prop_count - 1].text;
        assert_int_equal(strncmp(table, "sim-5-table-", 12), 0);
        assert_true(strlen(table) <= 14);
        first += strcmp(table, "sim-5-table-0") == 0;
        all++;
    }
    assert_true(first > all / 6 && first < all / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_seed_same_events),
        cmocka_unit_test(test_numbers_do_not_depend_on_the_hour),
        cmocka_unit_test(test_routes_are_filled),
        cmocka_unit_test(test_entities_are_shared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
