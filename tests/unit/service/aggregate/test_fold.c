/*
 * The fold in memory: each event is counted, a duplicate or late; who leaves a trace and who does not; names over a change
 * of epoch; fragments and days that do not depend on order; declared things and their caps.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "service/aggregate/fold.h"

#define HOUR_MS 3600000LL
#define DAY_MS (24 * HOUR_MS)
#define DAY 20000
#define NOON (DAY * DAY_MS + 12 * HOUR_MS)

static struct calendar utc;
static struct app definition;
static struct fold_app app;
static struct fold fold;

static struct fold_app *find(void *context, uint32_t number)
{
    (void)context;
    return number == app.app ? &app : NULL;
}

static struct pseudonym name_of(char kind, uint32_t who, uint32_t epoch)
{
    struct pseudonym name = {{0}};
    name.bytes[0] = (uint8_t)(who * 31 + epoch);
    name.bytes[1] = (uint8_t)kind;
    memcpy(name.bytes + 2, &who, sizeof who);
    memcpy(name.bytes + 6, &epoch, sizeof epoch);
    return name;
}

struct single {
    uint32_t app, user, epoch, source, session;
    bool anonymous, links, imported;
    int64_t ts_ms, received_ms;
    uint64_t seq;
    uint16_t name;
    uint8_t props;
    int64_t value[2]; /* of props 0 and 1 */
};

static void receive(struct single single)
{
    uint8_t bytes[512];
    struct packet_writer writer;
    packet_begin(&writer, bytes, sizeof bytes, &(struct packet_header){.type = PACKET_EVENTS, .node = 1, .n = 0});
    uint32_t before = single.links ? single.epoch - 1 : single.epoch;
    struct packet_part part = {.app = single.app == 0 ? 1 : single.app, .epoch = single.epoch,
        .received_at_ms = single.received_ms == 0 ? single.ts_ms : single.received_ms,
        .flags = (uint8_t)((single.source > 0 ? PART_SOURCE : 0u) | (single.source > 0 && single.links ? PART_SOURCE_BEFORE : 0u) |
            (single.imported ? PART_IMPORT : 0u)),
        .source = name_of('s', single.source, single.epoch), .source_before = name_of('s', single.source, before)};
    struct packet_user user = {.flags = single.anonymous ? USER_ANONYMOUS : 0, .names = single.links ? 2 : 1,
        .name = {name_of('u', single.user, single.epoch), name_of('u', single.user, before)}};
    struct packet_event event = {.ts_ms = single.ts_ms, .seq = single.seq, .flags = single.session > 0 ? EVENT_SESSION : 0,
        .session = name_of('n', single.session, 0), .name = single.name, .props = single.props};
    for (uint8_t i = 0; i < single.props; i++)
        event.prop[i] = (struct packet_prop){.index = i, .value = single.value[i]};
    assert_int_equal(packet_add_part(&writer, &part), RESULT_OK);
    assert_int_equal(packet_add_user(&writer, &user), RESULT_OK);
    assert_int_equal(packet_add_event(&writer, &event), RESULT_OK);
    fold_prepare(&fold, bytes, writer.length, find, NULL);
    fold_apply(&fold, bytes, writer.length, find, NULL);
}

static void assert_account(int64_t counted, int64_t duplicate, int64_t late)
{
    struct fold_tally sum = {0};
    for (size_t i = 0; i < fold.tallies_count; i++) {
        sum.counted += fold.tallies[i].counted;
        sum.duplicate += fold.tallies[i].duplicate;
        sum.late += fold.tallies[i].late;
    }
    assert_int_equal(sum.counted, counted);
    assert_int_equal(sum.duplicate, duplicate);
    assert_int_equal(sum.late, late);
}

static int set_up(void **unused)
{
    (void)unused;
    for (int32_t day = CALENDAR_FIRST_DAY; day <= CALENDAR_LAST_DAY; day++)
        utc.start_ms[day - CALENDAR_FIRST_DAY] = day * DAY_MS;
    definition = (struct app){.id = 1, .session_timeout_ms = HOUR_MS / 2, .lateness_ms = 6 * HOUR_MS};
    app = (struct fold_app){.app = 1, .definition = &definition, .calendar = &utc, .activity_through = FOLD_NO_DAY,
        .sessions_through = FOLD_NO_DAY, .epoch = -1};
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    fold_clear(&fold);
    return 0;
}

static void every_event_is_counted_duplicate_or_late(void **unused)
{
    (void)unused;
    int64_t end_ms = (DAY + 1) * DAY_MS;
    receive((struct single){.user = 1, .epoch = 1, .source = 1, .ts_ms = NOON});
    receive((struct single){.user = 1, .epoch = 1, .source = 1, .ts_ms = NOON, .received_ms = NOON + 1});
    receive((struct single){.user = 1, .epoch = 1, .source = 1, .ts_ms = NOON, .seq = 1, .received_ms = end_ms + 6 * HOUR_MS});
    receive((struct single){.user = 1, .epoch = 1, .source = 1, .ts_ms = NOON, .seq = 2, .received_ms = end_ms + 6 * HOUR_MS + 1});
    receive((struct single){.user = 1, .epoch = 1, .ts_ms = NOON, .imported = true, .received_ms = end_ms + 99 * DAY_MS});
    assert_account(3, 1, 1);
    receive((struct single){.app = 77, .user = 1, .epoch = 1, .source = 1, .ts_ms = NOON});
    assert_account(3, 1, 2);
    app.activity_through = DAY;
    receive((struct single){.user = 1, .epoch = 1, .source = 1, .ts_ms = NOON, .seq = 9});
    receive((struct single){.user = 1, .epoch = 1, .ts_ms = NOON, .imported = true});
    receive((struct single){.user = 1, .epoch = 1, .source = 1, .ts_ms = end_ms, .seq = 9});
    assert_account(4, 1, 4);
}

static void who_is_late_leaves_no_trace(void **unused)
{
    (void)unused;
    receive((struct single){.user = 1, .epoch = 1, .source = 1, .session = 5, .ts_ms = NOON, .received_ms = NOON + 9 * DAY_MS});
    assert_int_equal(fold.users_count, 0);
    assert_int_equal(fold.sessions_count, 0);
    fold_digest(&fold, find, NULL);
    assert_int_equal(fold.fragments_count + fold.days_count, 0);
}

static void names_of_both_epochs_are_one_user(void **unused)
{
    (void)unused;
    receive((struct single){.user = 1, .epoch = 1, .ts_ms = NOON});
    receive((struct single){.user = 1, .epoch = 2, .links = true, .ts_ms = NOON + 5});
    receive((struct single){.user = 1, .epoch = 1, .ts_ms = NOON + 9});
    receive((struct single){.user = 2, .epoch = 2, .links = true, .ts_ms = NOON});
    receive((struct single){.user = 2, .epoch = 1, .ts_ms = NOON});
    assert_int_equal(fold.users_count, 2);
    for (uint32_t user = 1; user <= 2; user++) {
        struct pseudonym now = name_of('u', user, 2);
        struct pseudonym then = name_of('u', user, 1);
        assert_memory_equal(fold.users[user - 1].name.bytes, now.bytes, PSEUDONYM_BYTES);
        assert_int_equal(fold.users[user - 1].older, 1);
        assert_memory_equal(fold.users[user - 1].old[0].bytes, then.bytes, PSEUDONYM_BYTES);
    }
    /* After the aliases' life a passed epoch's names are refused. */
    receive((struct single){.user = 1, .epoch = 1, .ts_ms = NOON + (FOLD_ALIAS_DAYS + 1) * DAY_MS});
    assert_account(5, 0, 1);
}

static void visitors_and_users_of_one_name_are_two(void **unused)
{
    (void)unused;
    receive((struct single){.user = 1, .epoch = 1, .ts_ms = NOON});
    receive((struct single){.user = 1, .epoch = 1, .anonymous = true, .ts_ms = NOON});
    fold_digest(&fold, find, NULL);
    assert_int_equal(fold.users_count, 2);
    assert_int_equal(fold.days_count, 2);
    assert_int_equal(fold.fragments_count, 1);
}

static void digests_do_not_depend_on_order(void **unused)
{
    (void)unused;
    enum { EVENTS = 60, USERS = 3 };
    struct fold_day days[EVENTS + USERS];
    struct session_fragment pieces[EVENTS + USERS];
    size_t day_count = 0;
    size_t piece_count = 0;
    for (unsigned round = 0; round < 50; round++) {
        unsigned order[EVENTS];
        for (unsigned i = 0; i < EVENTS; i++) {
            unsigned j = (unsigned)rand() % (i + 1);
            order[i] = order[j];
            order[j] = i;
        }
        fold_clear(&fold);
        /* Users are numbered as they are met: meet them in one order. */
        for (unsigned i = 0; i < USERS; i++)
            receive((struct single){.user = i, .epoch = 1, .ts_ms = NOON});
        for (unsigned i = 0; i < EVENTS; i++)
            receive((struct single){.user = order[i] % USERS, .epoch = 1, .ts_ms = NOON + order[i] * 1234567LL});
        fold_digest(&fold, find, NULL);
        if (round == 0) {
            day_count = fold.days_count;
            piece_count = fold.fragments_count;
            memcpy(days, fold.days, day_count * sizeof days[0]);
        }
        assert_int_equal(fold.days_count, day_count);
        assert_int_equal(fold.fragments_count, piece_count);
        assert_memory_equal(fold.days, days, day_count * sizeof days[0]);
        for (size_t i = 0; i < piece_count; i++) {
            if (round == 0)
                memcpy(&pieces[i], &fold.fragments[i].piece, sizeof pieces[i]);
            assert_memory_equal(&fold.fragments[i].piece, &pieces[i], sizeof pieces[i]);
        }
    }
}

/* One of each kind; event 1 has none. */
static const uint8_t classes[] = {7, 0};
static struct app_use uses[] = {{.kind = APP_USE_FEATURE, .item = 31, .prop = 1, .value = 2},
    {.kind = APP_USE_GOAL, .item = 1, .prop = -1}, {.kind = APP_USE_STEP, .item = 3, .step = 2, .prop = -1},
    {.kind = APP_USE_STEP, .item = 3, .step = 5, .prop = 0, .value = 4},
    {.kind = APP_USE_DIMENSION, .item = 0, .prop = 0, .classes = classes, .class_count = 2},
    {.kind = APP_USE_MEASURE, .item = 0, .prop = 0},
    {.kind = APP_USE_PATH, .item = 2, .prop = 0, .classes = classes, .class_count = 2},
    {.kind = APP_USE_ENTITY, .item = 1, .prop = 0}};
static struct app_event events[] = {{.uses = uses, .use_count = sizeof uses / sizeof uses[0]}, {.use_count = 0}};
static struct app_dimension dimension;
static struct app_measure measure = {.min = -1, .max = 9, .step = 0.01};

static void declare(void)
{
    definition.events = events;
    definition.event_count = 2;
    definition.dimensions = &dimension;
    definition.measures = &measure;
}

static bool has_mark(const struct fold_day *day, unsigned bit)
{
    return fold.marks[day->marks].bits[bit / 8] >> (7 - bit % 8) & 1;
}

static void an_event_counts_for_what_is_declared(void **unused)
{
    (void)unused;
    declare();
    receive((struct single){.user = 1, .epoch = 1, .ts_ms = NOON, .props = 2, .value = {4, 2}});
    fold_digest(&fold, find, NULL);
    assert_true(has_mark(&fold.days[0], 31));
    assert_true(has_mark(&fold.days[0], 64 + DIMENSION_VALUES_MAX));
    assert_int_equal(fold.fragments[0].piece.goal_bits, 2);
    assert_int_equal(fold.steps_count, 2);
    assert_int_equal(fold.steps[0].track, 3);
    assert_int_equal(fold.steps[0].value, 1 << 2 | 1 << 5);
    assert_int_equal(fold.steps[1].track, FOLD_PATH_TRACK + 2);
    assert_int_equal(fold.steps[1].value, DIMENSION_VALUES_MAX);
    assert_int_equal(fold.measures[0].bin, 3);
    assert_int_equal(fold.measures[0].last, 4);
    assert_int_equal(fold.entities[0].class, 1);
}

static void what_nothing_is_declared_of_leaves_nothing(void **unused)
{
    (void)unused;
    declare();
    receive((struct single){.user = 1, .epoch = 1, .ts_ms = NOON, .name = 1, .props = 2, .value = {4, 2}});
    receive((struct single){.user = 2, .epoch = 1, .ts_ms = NOON, .name = 2, .props = 2, .value = {4, 2}});
    receive((struct single){.user = 3, .epoch = 1, .ts_ms = NOON, .anonymous = true, .props = 2, .value = {4, 2}});
    fold_digest(&fold, find, NULL);
    assert_int_equal(fold.marks_count + fold.steps_count + fold.measures_count + fold.entities_count, 0);
    for (size_t i = 0; i < fold.days_count; i++)
        assert_int_equal(fold.days[i].marks, FOLD_NONE);
    for (size_t i = 0; i < fold.fragments_count; i++)
        assert_int_equal(fold.fragments[i].piece.goal_bits, 0);
}

static void values_beyond_the_declared_count_as_the_bounds(void **unused)
{
    (void)unused;
    declare();
    receive((struct single){.user = 1, .epoch = 1, .ts_ms = NOON, .props = 1, .value = {INT64_MAX}});
    receive((struct single){.user = 1, .epoch = 1, .ts_ms = NOON, .props = 1, .value = {INT64_MIN}});
    fold_digest(&fold, find, NULL);
    assert_int_equal(fold.measures_count, 2);
    assert_int_equal(fold.measures[0].most, 0);
    assert_int_equal(fold.measures[1].most, 1000);
    assert_int_equal(fold.measures[1].bin, 10);
}

/* Too much of everything, forwards or backwards and digested in between or not: the earliest steps and the smallest
 * entities are left, and what waits is measured. */
static void a_day_is_capped_in_any_order(void **unused)
{
    (void)unused;
    enum { COUNT = 3 * FOLD_DAY_STEPS };
    for (int round = 0; round < 4; round++) {
        fold_clear(&fold);
        declare();
        size_t bytes = fold_bytes(&fold);
        for (int i = 0; i < COUNT; i++) {
            int at = round % 2 == 0 ? i : COUNT - 1 - i;
            receive((struct single){.user = 1, .epoch = 1, .ts_ms = NOON + at / 2, .props = 1, .value = {at}});
            if (round > 1 && i % 100 == 0)
                fold_digest(&fold, find, NULL);
        }
        if (round < 2)
            assert_true(fold_bytes(&fold) > bytes + COUNT * (2 * sizeof(struct fold_step) + sizeof(struct fold_measure)));
        fold_digest(&fold, find, NULL);
        assert_int_equal(fold.steps_count, 2 * FOLD_DAY_STEPS);
        for (size_t i = 0; i < fold.steps_count; i++)
            assert_int_equal(fold.steps[i].ts_ms, NOON + (int64_t)(i % FOLD_DAY_STEPS) / 2);
        assert_int_equal(fold.entities_count, FOLD_DAY_ENTITIES);
        for (int i = 0; i < FOLD_DAY_ENTITIES; i++)
            assert_int_equal(fold.entities[i].entity, i);
        assert_int_equal(fold.measures_count, 11);
        assert_int_equal(fold.measures[10].count, COUNT - 512);
    }
}

static void refusals_of_a_broken_node_are_bounded(void **unused)
{
    (void)unused;
    struct packet_count rows[] = {{.app = 1, .reason = (enum packet_reason)0, .count = INT64_MAX},
        {.app = 1, .reason = (enum packet_reason)0, .count = 3}};
    fold_refuse(&fold, NOON, rows, 2);
    assert_int_equal(fold.refusals[1].count, 3);
    assert_true(fold.refusals[0].count < INT64_MAX / 1000000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_event_is_counted_duplicate_or_late),
        TEST(who_is_late_leaves_no_trace),
        TEST(names_of_both_epochs_are_one_user),
        TEST(visitors_and_users_of_one_name_are_two),
        TEST(digests_do_not_depend_on_order),
        TEST(an_event_counts_for_what_is_declared),
        TEST(what_nothing_is_declared_of_leaves_nothing),
        TEST(values_beyond_the_declared_count_as_the_bounds),
        TEST(a_day_is_capped_in_any_order),
        TEST(refusals_of_a_broken_node_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
