/* Forming packets: every event of every request lands once, under its user's names, in its shard's entries, which are
 * valid, bounded, and free of empty parts and users. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "service/ingest/batch.h"

#define NODE 77u
#define USERS 40u

static const struct app app = {.id = 9, .version = 4};

struct made {
    struct request request;
    struct keyd_name *names;
};

/* A request of `events` events: ids are a source, a session, then users; event e belongs to user e mod users. */
static struct made make(size_t events, size_t users, uint8_t props, unsigned shards, bool grace)
{
    struct made made = {.request = {.app = &app, .received_at_ms = 5000, .has_source = true}};
    struct request *request = &made.request;
    request->id_count = users + 2;
    request->event_count = events;
    request->ids = calloc(request->id_count, sizeof *request->ids);
    request->events = calloc(events, sizeof *request->events);
    made.names = calloc(request->id_count, sizeof *made.names);
    assert_true(request->ids != NULL && request->events != NULL && made.names != NULL);
    for (size_t i = 0; i < request->id_count; i++) {
        struct keyd_name *name = &made.names[i];
        request->ids[i].kind = i == 0 ? PSEUDONYM_SOURCE : i == 1 ? PSEUDONYM_SESSION : PSEUDONYM_USER;
        *name = (struct keyd_name){.grace = grace, .names = grace ? 2 : 1, .epoch = 8000};
        name->shard = (uint16_t)(i < 2 ? 0 : i % shards);
        memset(name->name[0].bytes, (int)(i + 1), PSEUDONYM_BYTES);
        memset(name->name[1].bytes, (int)(i + 101), PSEUDONYM_BYTES);
    }
    for (size_t e = 0; e < events; e++) {
        struct request_event *event = &request->events[e];
        event->user = 2 + e % users;
        event->session = e % 3 == 0 ? 1 : REQUEST_NO_ID;
        event->record = (struct packet_event){.ts_ms = 4000 + (int64_t)e, .seq = e, .props = props};
        if (event->session != REQUEST_NO_ID)
            event->record.flags = EVENT_SESSION;
        for (uint8_t p = 0; p < props; p++)
            event->record.prop[p] = (struct packet_prop){.index = p, .value = INT64_MIN};
    }
    return made;
}

static void drop(struct made *made)
{
    free(made->request.ids);
    free(made->request.events);
    free(made->names);
}

/* Check entry and note which events it holds in seen[seq]. Returns the number of parts. */
static size_t read_entry(const struct batch_entry *entry, const struct made *made, unsigned *seen)
{
    struct packet_reader reader;
    struct packet_header header;
    struct packet_part part;
    struct failure why = {0};
    size_t parts = 0;
    assert_true(entry->length <= ENTRY_MAX_BYTES);
    assert_int_equal(packet_check(entry->bytes, entry->length, &why), RESULT_OK);
    assert_int_equal(packet_open(&reader, entry->bytes, entry->length, &header), RESULT_OK);
    assert_true(header.node == NODE && header.shard == entry->shard && header.type == PACKET_EVENTS);
    while (packet_next_part(&reader, &part)) {
        parts++;
        assert_true(part.app == 9 && part.definition == 4 && part.epoch == 8000 && part.received_at_ms == 5000);
        assert_int_equal(part.flags, made->names[0].grace ? PART_SOURCE | PART_SOURCE_BEFORE : PART_SOURCE);
        assert_memory_equal(&part.source, &made->names[0].name[0], PSEUDONYM_BYTES);
        assert_true(part.users > 0);
        for (unsigned u = 0; u < part.users; u++) {
            struct packet_user user;
            assert_true(packet_next_user(&reader, &user));
            assert_true(user.events > 0);
            for (unsigned e = 0; e < user.events; e++) {
                struct packet_event event;
                assert_true(packet_next_event(&reader, &event));
                const struct request_event *sent = &made->request.events[event.seq];
                assert_memory_equal(&user.name[0], &made->names[sent->user].name[0], PSEUDONYM_BYTES);
                assert_int_equal(entry->shard, made->names[sent->user].shard);
                assert_true(event.ts_ms == sent->record.ts_ms && event.props == sent->record.props);
                assert_int_equal((event.flags & EVENT_SESSION) != 0, sent->session != REQUEST_NO_ID);
                assert_int_equal((event.flags & EVENT_SESSION_BEFORE) != 0,
                    sent->session != REQUEST_NO_ID && made->names[0].grace);
                seen[event.seq]++;
            }
        }
    }
    return parts;
}

static void each_event_lands_once(void **state)
{
    static const struct {
        size_t events, users;
        uint8_t props;
        unsigned shards;
    } shapes[] = {{1, 1, 0, 1}, {20, 3, 2, 16}, {1000, USERS, 1, 16}, {1000, USERS, EVENT_PROPS_MAX, 16}, {1000, 1, 4, 1},
        {1000, USERS, EVENT_PROPS_MAX, 1}};
    (void)state;
    struct batch *batch = batch_new(NODE);
    for (size_t s = 0; s < 2 * sizeof shapes / sizeof shapes[0]; s++) {
        const size_t shape = s / 2;
        struct made made =
            make(shapes[shape].events, shapes[shape].users, shapes[shape].props, shapes[shape].shards, s % 2 == 1);
        struct batch_request request = {&made.request, made.names};
        struct failure why = {0};
        unsigned *seen = calloc(shapes[shape].events, sizeof *seen);
        size_t count;
        assert_non_null(seen);
        assert_int_equal(batch_form(batch, &request, 1, &why), RESULT_OK);
        const struct batch_entry *entries = batch_entries(batch, &count);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(read_entry(&entries[i], &made, seen), 1);
            assert_true(entries[i].received_at_ms == 5000);
        }
        for (size_t e = 0; e < shapes[shape].events; e++)
            assert_int_equal(seen[e], 1);
        free(seen);
        drop(&made);
    }
    batch_free(batch);
}

static void requests_share_an_entry_and_its_failure(void **state)
{
    enum { REQUESTS = 500 };
    static struct made made[REQUESTS];
    static struct batch_request requests[REQUESTS];
    static bool failed[REQUESTS];
    struct failure why = {0};
    size_t count, expected = 0, found = 0;
    (void)state;
    struct batch *batch = batch_new(NODE);
    for (size_t i = 0; i < REQUESTS; i++) {
        made[i] = make(2, 2, 2, 4, false);
        made[i].names[2].shard = (uint16_t)(i % 4);
        requests[i] = (struct batch_request){&made[i].request, made[i].names};
    }
    assert_int_equal(batch_form(batch, requests, REQUESTS, &why), RESULT_OK);
    struct batch_entry *entries = batch_entries(batch, &count);
    assert_true(count > 4 && count < REQUESTS / 10);
    for (size_t i = 0; i < count; i++)
        entries[i].failed = entries[i].shard == 2;
    batch_failed(batch, failed, REQUESTS);
    for (size_t i = 0; i < REQUESTS; i++) {
        expected += made[i].names[2].shard == 2 || made[i].names[3].shard == 2;
        found += failed[i];
        drop(&made[i]);
    }
    assert_int_equal(found, expected);
    batch_free(batch);
}

/* An entity's value in the packet is the first half of its pseudonym, whatever its bits; other properties keep theirs. */
static void entities_are_named(void **state)
{
    static const int64_t expected[] = {0x0706050403020100, -2};
    static struct app_prop props[] = {{.name = "n", .type = APP_PROP_NUMBER}, {.name = "e", .type = APP_PROP_ENTITY}};
    static struct app_event declared[] = {{.name = "roll", .props = props, .prop_count = 2}};
    static const struct app with_entities = {.id = 9, .version = 4, .events = declared, .event_count = 1};
    (void)state;
    struct made made = make(2, 1, 2, 1, false);
    made.request.app = &with_entities;
    struct request_id ids[] = {made.request.ids[0], made.request.ids[1], made.request.ids[2],
        {.kind = PSEUDONYM_ENTITY}, {.kind = PSEUDONYM_ENTITY}};
    struct keyd_name names[] = {made.names[0], made.names[1], made.names[2], {.names = 1, .epoch = 8000},
        {.names = 1, .epoch = 8000}};
    struct request request = made.request;
    request.ids = ids;
    request.id_count = 5;
    for (uint8_t i = 0; i < PSEUDONYM_BYTES; i++) {
        names[3].name[0].bytes[i] = i;
        names[4].name[0].bytes[i] = i == 0 ? 0xfe : i < 8 ? 0xff : i;
    }
    for (size_t e = 0; e < 2; e++) {
        request.events[e].entities = true;
        request.events[e].record.prop[1].value = (int64_t)(3 + e);
    }
    struct batch *batch = batch_new(NODE);
    struct batch_request wanted = {&request, names};
    struct failure why = {0};
    size_t count;
    assert_int_equal(batch_form(batch, &wanted, 1, &why), RESULT_OK);
    const struct batch_entry *entry = batch_entries(batch, &count);
    assert_int_equal(count, 1);
    assert_int_equal(packet_check(entry->bytes, entry->length, &why), RESULT_OK);
    struct packet_reader reader;
    struct packet_header header;
    struct packet_part part;
    struct packet_user user;
    struct packet_event event;
    assert_int_equal(packet_open(&reader, entry->bytes, entry->length, &header), RESULT_OK);
    assert_true(packet_next_part(&reader, &part) && packet_next_user(&reader, &user));
    for (size_t e = 0; e < 2; e++) {
        assert_true(packet_next_event(&reader, &event));
        assert_true(event.prop[0].value == INT64_MIN && event.prop[1].value == expected[e]);
        assert_true(request.events[e].record.prop[1].value == (int64_t)(3 + e)); /* the request keeps its index */
    }
    batch_free(batch);
    drop(&made);
}

static void other_packets_come_behind(void **state)
{
    (void)state;
    struct batch *batch = batch_new(NODE);
    struct failure why = {0};
    const uint8_t bytes[] = "packet";
    bool failed[1] = {true};
    size_t count;
    assert_int_equal(batch_form(batch, NULL, 0, &why), RESULT_OK);
    assert_int_equal(batch_add(batch, 5, bytes, sizeof bytes, &why), RESULT_OK);
    const struct batch_entry *entries = batch_entries(batch, &count);
    assert_int_equal(count, 1);
    assert_int_equal(entries[0].shard, 5);
    assert_memory_equal(entries[0].bytes, bytes, sizeof bytes);
    batch_failed(batch, failed, 1);
    assert_false(failed[0]);
    batch_free(batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_event_lands_once),
        cmocka_unit_test(requests_share_an_entry_and_its_failure),
        cmocka_unit_test(entities_are_named),
        cmocka_unit_test(other_packets_come_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
