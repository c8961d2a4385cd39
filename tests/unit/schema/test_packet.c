/*
 * Packets: known bytes, round trips at the extremes, and that a decoder takes exactly what an encoder writes: every
 * truncation and every flipped bit either is refused or is another packet, which encodes to the very same bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "schema/packet.h"

#define ROWS_MAX UINT16_MAX

struct bytes {
    uint8_t at[ENTRY_MAX_BYTES];
    size_t length;
};

static struct pseudonym name_of(uint8_t fill)
{
    struct pseudonym name;
    memset(name.bytes, fill, sizeof name.bytes);
    return name;
}

/* Encoding anew what was decoded */

static enum result copy_events(struct packet_reader *reader, struct packet_writer *writer)
{
    struct packet_part part;
    struct packet_user user;
    struct packet_event event;
    while (packet_next_part(reader, &part)) {
        assert_int_equal(packet_add_part(writer, &part), RESULT_OK);
        for (size_t i = 0; i < part.users; i++) {
            if (!packet_next_user(reader, &user))
                return RESULT_CORRUPT;
            assert_int_equal(packet_add_user(writer, &user), RESULT_OK);
            for (size_t j = 0; j < user.events; j++) {
                if (!packet_next_event(reader, &event))
                    return RESULT_CORRUPT;
                assert_int_equal(packet_add_event(writer, &event), RESULT_OK);
            }
        }
    }
    return reader->state;
}

static enum result copy_counts(struct packet_reader *reader, const struct packet_header *header, struct bytes *to)
{
    static struct packet_count rows[ROWS_MAX];
    int64_t at_ms;
    size_t count;
    enum result result = packet_read_counts(reader, &at_ms, rows, ROWS_MAX, &count);
    if (result != RESULT_OK)
        return result;
    return packet_write_counts(header, at_ms, rows, count, to->at, sizeof to->at, &to->length);
}

/* Decode from, encode what came out to *to. */
static enum result copy(const uint8_t *from, size_t length, struct bytes *to)
{
    struct packet_reader reader;
    struct packet_header header;
    struct packet_writer writer;
    struct packet_watermark watermark;
    struct packet_erase erase;
    struct packet_purge purge;
    struct packet_notice notice;
    enum result result = packet_open(&reader, from, length, &header);
    if (result != RESULT_OK)
        return result;
    switch (header.type) {
    case PACKET_EVENTS:
        packet_begin(&writer, to->at, sizeof to->at, &header);
        result = copy_events(&reader, &writer);
        to->length = writer.length;
        return result;
    case PACKET_WATERMARK:
        result = packet_read_watermark(&reader, &watermark);
        return result != RESULT_OK ? result
            : packet_write_watermark(&header, &watermark, to->at, sizeof to->at, &to->length);
    case PACKET_COUNTS:
        return copy_counts(&reader, &header, to);
    case PACKET_ERASE:
        result = packet_read_erase(&reader, &erase);
        return result != RESULT_OK ? result : packet_write_erase(&header, &erase, to->at, sizeof to->at, &to->length);
    case PACKET_PURGE:
        result = packet_read_purge(&reader, &purge);
        return result != RESULT_OK ? result : packet_write_purge(&header, &purge, to->at, sizeof to->at, &to->length);
    case PACKET_NOTICE:
        result = packet_read_notice(&reader, &notice);
        return result != RESULT_OK ? result : packet_write_notice(&header, &notice, to->at, sizeof to->at, &to->length);
    }
    return RESULT_CORRUPT;
}

/* from is a packet that encodes to itself, or no packet at all; whether it is one. packet_check must agree. */
static bool is_exact(const uint8_t *from, size_t length)
{
    static struct bytes again;
    struct failure why = {0};
    enum result checked = packet_check(from, length, &why);
    enum result copied = copy(from, length, &again);
    assert_int_equal(checked, copied);
    if (checked != RESULT_OK) {
        assert_int_equal(checked, RESULT_CORRUPT);
        assert_string_equal(why.field, "packet");
        return false;
    }
    assert_int_equal(again.length, length);
    assert_memory_equal(again.at, from, length);
    return true;
}

static void check_mutations(const struct bytes *packet)
{
    static uint8_t exact[ENTRY_MAX_BYTES + 1];
    assert_true(is_exact(packet->at, packet->length));
    for (size_t length = 0; length < packet->length; length++) {
        /* at the end of a buffer, so that a sanitizer sees a read behind it */
        uint8_t *end = exact + sizeof exact - length;
        memcpy(end, packet->at, length);
        (void)is_exact(end, length);
    }
    memcpy(exact, packet->at, packet->length);
    for (size_t bit = 0; bit < packet->length * 8; bit++) {
        exact[bit / 8] ^= (uint8_t)(1u << bit % 8);
        (void)is_exact(exact, packet->length);
        exact[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    exact[packet->length] = 0;
    (void)is_exact(exact, packet->length + 1);
}

/* Packets to test on */

static const struct packet_header least = {.type = PACKET_EVENTS};
static const struct packet_header most = {.type = PACKET_EVENTS, .node = UINT64_MAX, .shard = SHARDS_MAX - 1,
    .n = UINT64_MAX - 1};

static struct packet_header header_of(enum packet_type type, const struct packet_header *like)
{
    struct packet_header header = *like;
    header.type = type;
    if (type == PACKET_WATERMARK)
        header.n = PACKET_NO_N;
    return header;
}

static struct packet_event event_most(void)
{
    struct packet_event event = {.name = UINT16_MAX, .flags = 31, .ts_ms = TS_MAX_MS - 1, .seq = SEQ_MAX,
        .session = name_of(0xaa), .session_before = name_of(0xbb), .engaged_ms = ENGAGED_MAX_MS, .props = EVENT_PROPS_MAX};
    for (size_t i = 0; i < EVENT_PROPS_MAX; i++)
        event.prop[i] = (struct packet_prop){.index = (uint8_t)(255 - (EVENT_PROPS_MAX - 1) + i),
            .value = i % 3 == 0 ? INT64_MIN : i % 3 == 1 ? INT64_MAX : -1};
    return event;
}

static struct bytes events_packet(void)
{
    struct bytes packet;
    struct packet_writer writer;
    struct packet_event least_event = {0}, most_event = event_most();
    struct packet_part plain = {.app = 1}, full = {.app = UINT32_MAX, .definition = UINT32_MAX, .epoch = UINT32_MAX,
        .received_at_ms = TS_MAX_MS - 1, .flags = 7, .source = name_of(0xcc), .source_before = name_of(0xdd)};
    struct packet_user one = {.names = 1}, all = {.flags = USER_ANONYMOUS, .names = NAMES_MAX};
    for (size_t i = 0; i < NAMES_MAX; i++)
        all.name[i] = name_of((uint8_t)(i + 1));
    packet_begin(&writer, packet.at, sizeof packet.at, &most);
    assert_int_equal(packet_add_part(&writer, &plain), RESULT_OK);
    assert_int_equal(packet_add_user(&writer, &one), RESULT_OK);
    assert_int_equal(packet_add_event(&writer, &least_event), RESULT_OK);
    assert_int_equal(packet_add_part(&writer, &full), RESULT_OK);
    assert_int_equal(packet_add_user(&writer, &one), RESULT_OK); /* a user without events, */
    assert_int_equal(packet_add_user(&writer, &all), RESULT_OK);
    assert_int_equal(packet_add_event(&writer, &most_event), RESULT_OK);
    assert_int_equal(packet_add_event(&writer, &least_event), RESULT_OK);
    assert_int_equal(packet_add_part(&writer, &plain), RESULT_OK); /* and a part without users */
    packet.length = writer.length;
    return packet;
}

/* Tests */

static void test_known_events(void **state)
{
    (void)state;
    static const uint8_t known[] = {
        'T', 'H', 1, 1,                                                 /* events packet of version 1 */
        0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01,                 /* node */
        0x0f, 0x00,                                                     /* shard 15 */
        0x2a, 0, 0, 0, 0, 0, 0, 0,                                      /* n 42 */
        0x05, 0, 0, 0, 0x03, 0, 0, 0, 0xe8, 0x03, 0, 0,                 /* app 5, definition 3, epoch 1000 */
        0x00, 0xa8, 0xda, 0x76, 0x9b, 0x01, 0x00, 0x00,                 /* received 2026-01-01T00:00:00Z */
        0x02,                                                           /* with a source */
        0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc,
        0x01, 0x00,                                                     /* one user */
        0x01, 0x01,                                                     /* a day's visitor, one name */
        0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11,
        0x01, 0x00,                                                     /* one event */
        0x07, 0x00, 0x0c,                                               /* event 7, engaged, a view */
        0x18, 0xa4, 0xda, 0x76, 0x9b, 0x01, 0x00, 0x00,                 /* one second before receipt */
        0x80, 0x01,                                                     /* seq 128 */
        0xb4, 0x29,                                                     /* engaged 5300 ms */
        0x02, 0x00, 0x01, 0x03, 0x90, 0x03,                             /* property 0 = -1, property 3 = 200 */
    };
    uint8_t bytes[256];
    struct packet_writer writer;
    const struct packet_header header = {.type = PACKET_EVENTS, .node = 0x0102030405060708, .shard = 15, .n = 7};
    const struct packet_part part = {.app = 5, .definition = 3, .epoch = 1000, .received_at_ms = 1767225600000,
        .flags = PART_SOURCE, .source = name_of(0xcc)};
    const struct packet_user user = {.flags = USER_ANONYMOUS, .names = 1, .name = {name_of(0x11)}};
    const struct packet_event event = {.name = 7, .flags = EVENT_ENGAGED | EVENT_VIEW, .ts_ms = 1767225599000, .seq = 128,
        .engaged_ms = 5300, .props = 2, .prop = {{0, -1}, {3, 200}}};
    packet_begin(&writer, bytes, sizeof bytes, &header);
    assert_int_equal(packet_add_part(&writer, &part), RESULT_OK);
    assert_int_equal(packet_add_user(&writer, &user), RESULT_OK);
    assert_int_equal(packet_add_event(&writer, &event), RESULT_OK);
    packet_set_n(bytes, 42);
    assert_int_equal(writer.length, sizeof known);
    assert_memory_equal(bytes, known, sizeof known);
    assert_true(is_exact(known, sizeof known));
}

static void test_known_others(void **state)
{
    (void)state;
    static const uint8_t watermark[] = {'T', 'H', 1, 2, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 1};
    static const uint8_t counts[] = {'T', 'H', 1, 3, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 9, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0,
        0, 2, 0, 5, 0, 0, 0, 11, 1, 0, 0, 0, 0, 3, 0xac, 2};
    static const uint8_t erase[] = {'T', 'H', 1, 4, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 9, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 1, 2, 3,
        4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 2, 3, 0, 0, 0, 0, 0, 0, 0, 1, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
        7};
    static const uint8_t purge[] = {'T', 'H', 1, 5, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 9, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 1, 2, 3,
        4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 3, 0, 0, 0, 0, 0, 0, 0};
    struct packet_header header = {.node = 1, .shard = 2, .n = 9};
    const struct packet_count rows[] = {{5, PACKET_REASON_GPC, 1}, {0, PACKET_REASON_UNKNOWN_FIELD, 300}};
    struct bytes out;
    header = (struct packet_header){PACKET_WATERMARK, 1, 2, PACKET_NO_N};
    packet_write_watermark(&header, &(struct packet_watermark){3, 4, true}, out.at, sizeof out.at, &out.length);
    assert_int_equal(out.length, sizeof watermark);
    assert_memory_equal(out.at, watermark, sizeof watermark);
    header = (struct packet_header){PACKET_COUNTS, 1, 2, 9};
    packet_write_counts(&header, 3, rows, 2, out.at, sizeof out.at, &out.length);
    assert_int_equal(out.length, sizeof counts);
    assert_memory_equal(out.at, counts, sizeof counts);
    header.type = PACKET_ERASE;
    struct packet_erase wish = {.app = 5, .kind = PACKET_OBJECTION, .at_ms = 3, .names = 1, .name = {name_of(7)}};
    struct packet_purge end = {.app = 5, .at_ms = 3};
    for (uint8_t i = 0; i < 16; i++)
        wish.request[i] = end.request[i] = i;
    packet_write_erase(&header, &wish, out.at, sizeof out.at, &out.length);
    assert_int_equal(out.length, sizeof erase);
    assert_memory_equal(out.at, erase, sizeof erase);
    wish.kind = PACKET_WITHDRAWAL;
    packet_write_erase(&header, &wish, out.at, sizeof out.at, &out.length);
    assert_int_equal(out.length, sizeof erase);
    assert_int_equal(packet_check(out.at, out.length, NULL), RESULT_OK);
    out.at[PACKET_HEADER_BYTES + 20] = PACKET_WITHDRAWAL + 1;
    assert_int_equal(packet_check(out.at, out.length, NULL), RESULT_CORRUPT);
    header.type = PACKET_PURGE;
    packet_write_purge(&header, &end, out.at, sizeof out.at, &out.length);
    assert_int_equal(out.length, sizeof purge);
    assert_memory_equal(out.at, purge, sizeof purge);
}

static void test_extreme_events(void **state)
{
    (void)state;
    struct bytes packet = events_packet();
    struct packet_reader reader;
    struct packet_header header;
    struct packet_part part;
    struct packet_user user;
    struct packet_event event;
    const struct packet_event expected = event_most();
    assert_int_equal(packet_open(&reader, packet.at, packet.length, &header), RESULT_OK);
    assert_true(header.node == most.node && header.shard == most.shard && header.n == most.n);
    assert_true(packet_next_part(&reader, &part) && part.users == 1 && part.flags == 0);
    assert_true(packet_next_user(&reader, &user) && user.events == 1);
    assert_true(packet_next_event(&reader, &event) && event.props == 0 && event.seq == 0 && event.ts_ms == 0);
    assert_true(packet_next_part(&reader, &part) && part.users == 2 && part.app == UINT32_MAX);
    assert_memory_equal(part.source_before.bytes, name_of(0xdd).bytes, PSEUDONYM_BYTES);
    assert_true(packet_next_user(&reader, &user) && user.events == 0);
    assert_true(packet_next_user(&reader, &user) && user.events == 2 && user.names == NAMES_MAX);
    assert_int_equal(user.flags, USER_ANONYMOUS);
    assert_true(packet_next_event(&reader, &event));
    assert_true(event.seq == SEQ_MAX && event.engaged_ms == ENGAGED_MAX_MS && event.ts_ms == TS_MAX_MS - 1);
    for (size_t i = 0; i < EVENT_PROPS_MAX; i++)
        assert_true(event.prop[i].index == expected.prop[i].index && event.prop[i].value == expected.prop[i].value);
    assert_true(packet_next_event(&reader, &event));
    assert_true(packet_next_part(&reader, &part) && part.users == 0);
    assert_false(packet_next_part(&reader, &part));
    assert_int_equal(reader.state, RESULT_OK);
    check_mutations(&packet);
}

static void test_watermarks(void **state)
{
    (void)state;
    const struct packet_watermark rows[] = {{0, 0, false}, {INT64_MAX, PACKET_NO_N, true}, {1767225600000, 77, true}};
    for (size_t i = 0; i < 3; i++) {
        struct packet_header header = header_of(PACKET_WATERMARK, i == 1 ? &most : &least);
        struct bytes packet;
        assert_int_equal(packet_write_watermark(&header, &rows[i], packet.at, sizeof packet.at, &packet.length), RESULT_OK);
        check_mutations(&packet);
    }
}

static void test_counts(void **state)
{
    (void)state;
    static struct packet_count rows[PACKET_REASONS];
    struct packet_header header = header_of(PACKET_COUNTS, &most);
    struct bytes packet;
    for (size_t i = 0; i < PACKET_REASONS; i++)
        rows[i] = (struct packet_count){i % 2 == 0 ? 0 : UINT32_MAX, (enum packet_reason)i, i == 0 ? INT64_MAX : i};
    assert_int_equal(packet_write_counts(&header, TS_MAX_MS - 1, rows, PACKET_REASONS, packet.at, sizeof packet.at,
        &packet.length), RESULT_OK);
    check_mutations(&packet);
    assert_int_equal(packet_write_counts(&header, 0, rows, 0, packet.at, sizeof packet.at, &packet.length), RESULT_OK);
    check_mutations(&packet);
    assert_int_equal(packet_write_counts(&header, 0, rows, 3, packet.at, PACKET_HEADER_BYTES + 10 + 2 * 15, &packet.length),
        RESULT_FULL);
}

static void test_counts_capacity(void **state)
{
    (void)state;
    const struct packet_count rows[] = {{1, PACKET_REASON_GPC, 1}, {2, PACKET_REASON_DNT, 2}};
    struct packet_count room[2];
    struct packet_header header = header_of(PACKET_COUNTS, &least);
    struct packet_reader reader;
    struct bytes packet;
    int64_t at_ms;
    size_t count;
    packet_write_counts(&header, 5, rows, 2, packet.at, sizeof packet.at, &packet.length);
    packet_open(&reader, packet.at, packet.length, &header);
    assert_int_equal(packet_read_counts(&reader, &at_ms, room, 1, &count), RESULT_FULL);
    packet_open(&reader, packet.at, packet.length, &header);
    assert_int_equal(packet_read_counts(&reader, &at_ms, room, 2, &count), RESULT_OK);
    assert_true(count == 2 && at_ms == 5 && room[1].app == 2 && room[1].count == 2);
}

static void test_erasures_and_purges(void **state)
{
    (void)state;
    struct bytes packet;
    struct packet_erase erase = {.app = UINT32_MAX, .kind = PACKET_ACCESS, .at_ms = TS_MAX_MS - 1, .names = NAMES_MAX};
    struct packet_purge purge = {.app = 1, .at_ms = 0};
    memset(erase.request, 0xff, sizeof erase.request);
    for (size_t i = 0; i < NAMES_MAX; i++)
        erase.name[i] = name_of((uint8_t)i);
    struct packet_header header = header_of(PACKET_ERASE, &most);
    assert_int_equal(packet_write_erase(&header, &erase, packet.at, sizeof packet.at, &packet.length), RESULT_OK);
    check_mutations(&packet);
    assert_int_equal(packet_write_erase(&header, &erase, packet.at, packet.length - 1, &packet.length), RESULT_FULL);
    header = header_of(PACKET_PURGE, &least);
    assert_int_equal(packet_write_purge(&header, &purge, packet.at, sizeof packet.at, &packet.length), RESULT_OK);
    check_mutations(&packet);
    assert_int_equal(packet_write_purge(&header, &purge, packet.at, packet.length - 1, &packet.length), RESULT_FULL);
}

static void test_notices(void **state)
{
    (void)state;
    struct bytes packet;
    struct packet_notice notice = {.act = PACKET_SELF_TEST_PASSED, .app = UINT32_MAX, .at_ms = TS_MAX_MS - 1,
        .epoch = UINT32_MAX, .count = (UINT64_C(1) << 53) - 1};
    memset(notice.former, 0xff, sizeof notice.former);
    struct packet_header header = header_of(PACKET_NOTICE, &most);
    assert_int_equal(packet_write_notice(&header, &notice, packet.at, sizeof packet.at, &packet.length), RESULT_OK);
    check_mutations(&packet);
    assert_int_equal(packet_write_notice(&header, &notice, packet.at, packet.length - 1, &packet.length), RESULT_FULL);
    notice = (struct packet_notice){.act = PACKET_KEY_BORN};
    header = header_of(PACKET_NOTICE, &least);
    assert_int_equal(packet_write_notice(&header, &notice, packet.at, sizeof packet.at, &packet.length), RESULT_OK);
    check_mutations(&packet);
}

/* A counts packet of one row whose count is these bytes. */
static bool takes_varint(const uint8_t *varint, size_t length)
{
    struct packet_header header = header_of(PACKET_COUNTS, &least);
    struct bytes packet;
    packet_write_counts(&header, 0, &(struct packet_count){1, PACKET_REASON_GPC, 1}, 1, packet.at, sizeof packet.at,
        &packet.length);
    memcpy(packet.at + packet.length - 1, varint, length);
    return is_exact(packet.at, packet.length - 1 + length);
}

static void test_varints(void **state)
{
    (void)state;
    assert_true(takes_varint((const uint8_t[]){0x01}, 1));
    assert_true(takes_varint((const uint8_t[]){0x80, 0x01}, 2));
    assert_true(takes_varint((const uint8_t[]){0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, 9)); /* INT64_MAX */
    assert_false(takes_varint((const uint8_t[]){0x81, 0x00}, 2)); /* 1, longer than need be */
    assert_false(takes_varint((const uint8_t[]){0x80, 0x80, 0x00}, 3));
    assert_false(takes_varint((const uint8_t[]){0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00}, 10));
    assert_false(takes_varint((const uint8_t[]){0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02}, 10));
    assert_false(takes_varint((const uint8_t[]){0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, 11));
    assert_false(takes_varint((const uint8_t[]){0x80}, 1));
    assert_false(takes_varint((const uint8_t[]){0x00}, 1)); /* a count of 0 */
}

/* A packet of one event with two properties; bytes of it by their place from the end. */
static void test_bad_events(void **state)
{
    (void)state;
    static const struct {
        size_t from_end;
        uint8_t byte;
    } rows[] = {
        {2, 0},                     /* property 0 twice */
        {5, 3}, {5, 255},           /* more properties than there are */
        {15, 32}, {15, EVENT_SESSION_BEFORE}, {15, EVENT_SESSION}, /* flags: unknown; half of a pair; nothing follows */
        {7, 0xff},                  /* ts after 2100 */
        {19, 2},                    /* two events announced */
        {37, 4}, {36, 0}, {36, NAMES_MAX + 1}, /* a user's flags and names */
        {39, 2},                    /* two users announced */
    };
    struct packet_writer writer;
    struct bytes packet;
    const struct packet_part part = {.app = 1};
    const struct packet_user user = {.names = 1};
    const struct packet_event event = {.props = 2, .prop = {{0, 1}, {1, 1}}};
    packet_begin(&writer, packet.at, sizeof packet.at, &least);
    packet_add_part(&writer, &part);
    packet_add_user(&writer, &user);
    packet_add_event(&writer, &event);
    packet.length = writer.length;
    assert_true(is_exact(packet.at, packet.length));
    check_mutations(&packet);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bytes bad = packet;
        assert_int_not_equal(bad.at[bad.length - rows[i].from_end], rows[i].byte);
        bad.at[bad.length - rows[i].from_end] = rows[i].byte;
        if (is_exact(bad.at, bad.length))
            fail_msg("row %zu was taken", i);
    }
    struct bytes appless = packet;
    appless.at[PACKET_HEADER_BYTES] = 0;
    assert_false(is_exact(appless.at, appless.length));
}

static void test_bad_headers(void **state)
{
    (void)state;
    struct packet_header header = least;
    struct packet_writer writer;
    struct bytes packet;
    packet_begin(&writer, packet.at, sizeof packet.at, &header);
    assert_true(is_exact(packet.at, PACKET_HEADER_BYTES)); /* no part at all */
    packet.at[2] = 2;
    assert_false(is_exact(packet.at, PACKET_HEADER_BYTES));
    packet.at[2] = PACKET_VERSION;
    packet.at[13] = 1; /* shard 256 */
    assert_false(is_exact(packet.at, PACKET_HEADER_BYTES));
    packet.at[13] = 0;
    packet_set_n(packet.at, PACKET_NO_N);
    assert_false(is_exact(packet.at, PACKET_HEADER_BYTES));
    packet_set_n(packet.at, 0);
    packet.at[3] = 0;
    assert_false(is_exact(packet.at, PACKET_HEADER_BYTES));
    packet.at[3] = 6;
    assert_false(is_exact(packet.at, PACKET_HEADER_BYTES));
}

/* A full buffer refuses the next piece and stays a valid packet. */
static void test_full(void **state)
{
    (void)state;
    const struct packet_part part = {.app = 1, .flags = PART_SOURCE | PART_SOURCE_BEFORE};
    const struct packet_user user = {.names = NAMES_MAX};
    const struct packet_event event = event_most();
    for (size_t size = 64; size < 1200; size++) {
        struct packet_writer writer;
        static uint8_t bytes[1200];
        memset(bytes, 0xee, sizeof bytes);
        packet_begin(&writer, bytes, size, &most);
        enum result result = packet_add_part(&writer, &part);
        if (result == RESULT_OK)
            result = packet_add_user(&writer, &user);
        while (result == RESULT_OK)
            result = packet_add_event(&writer, &event);
        assert_int_equal(result, RESULT_FULL);
        assert_true(writer.length <= size && is_exact(bytes, writer.length));
        assert_int_equal(bytes[size], 0xee);
    }
}

static void test_reasons(void **state)
{
    (void)state;
    assert_string_equal(packet_reason_name(PACKET_REASON_UNKNOWN_PROPERTY), "unknown_property");
    assert_string_equal(packet_reason_kind(PACKET_REASON_UNKNOWN_PROPERTY), "rejected");
    assert_string_equal(packet_reason_name(PACKET_REASON_GPC), "gpc");
    assert_string_equal(packet_reason_kind(PACKET_REASON_OBJECTION), "dropped");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_events),
        cmocka_unit_test(test_known_others),
        cmocka_unit_test(test_extreme_events),
        cmocka_unit_test(test_watermarks),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_counts_capacity),
        cmocka_unit_test(test_erasures_and_purges),
        cmocka_unit_test(test_notices),
        cmocka_unit_test(test_varints),
        cmocka_unit_test(test_bad_events),
        cmocka_unit_test(test_bad_headers),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_reasons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
