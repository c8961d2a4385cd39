#include "schema/packet.h"

#include <assert.h>
#include <string.h>

#define NOTICE_BYTES (1 + 4 + 8 + 4 + 8 + 16 + 3 * PACKET_HASH_BYTES)

static void put_u16(uint8_t *to, uint16_t value)
{
    to[0] = (uint8_t)value;
    to[1] = (uint8_t)(value >> 8);
}

static void put_u32(uint8_t *to, uint32_t value)
{
    put_u16(to, (uint16_t)value);
    put_u16(to + 2, (uint16_t)(value >> 16));
}

static void put_u64(uint8_t *to, uint64_t value)
{
    put_u32(to, (uint32_t)value);
    put_u32(to + 4, (uint32_t)(value >> 32));
}

static uint16_t get_u16(const uint8_t *from)
{
    return (uint16_t)(from[0] | from[1] << 8);
}

static uint32_t get_u32(const uint8_t *from)
{
    return get_u16(from) | (uint32_t)get_u16(from + 2) << 16;
}

static uint64_t get_u64(const uint8_t *from)
{
    return get_u32(from) | (uint64_t)get_u32(from + 4) << 32;
}

static size_t put_varint(uint8_t *to, uint64_t value)
{
    size_t length = 0;
    while (value >= 0x80) {
        to[length++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    to[length++] = (uint8_t)value;
    return length;
}

static uint64_t zigzag(int64_t value)
{
    return ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0);
}

static int64_t unzigzag(uint64_t value)
{
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

/* Writing */

static size_t write_header(uint8_t *bytes, const struct packet_header *header)
{
    bytes[0] = 'T';
    bytes[1] = 'H';
    bytes[2] = PACKET_VERSION;
    bytes[3] = (uint8_t)header->type;
    put_u64(bytes + 4, header->node);
    put_u16(bytes + 12, header->shard);
    put_u64(bytes + 14, header->n);
    return PACKET_HEADER_BYTES;
}

void packet_set_n(uint8_t *bytes, uint64_t n)
{
    put_u64(bytes + 14, n);
}

void packet_begin(struct packet_writer *writer, uint8_t *bytes, size_t size, const struct packet_header *header)
{
    assert(size >= 64);
    *writer = (struct packet_writer){.bytes = bytes, .size = size};
    writer->length = write_header(bytes, header);
}

static size_t append_pseudonym(uint8_t *to, const struct pseudonym *name)
{
    memcpy(to, name->bytes, PSEUDONYM_BYTES);
    return PSEUDONYM_BYTES;
}

enum result packet_add_part(struct packet_writer *writer, const struct packet_part *part)
{
    size_t need = 23u + (part->flags & PART_SOURCE ? PSEUDONYM_BYTES : 0u) +
        (part->flags & PART_SOURCE_BEFORE ? PSEUDONYM_BYTES : 0u);
    if (writer->size - writer->length < need)
        return RESULT_FULL;
    uint8_t *to = writer->bytes + writer->length;
    put_u32(to, part->app);
    put_u32(to + 4, part->definition);
    put_u32(to + 8, part->epoch);
    put_u64(to + 12, (uint64_t)part->received_at_ms);
    to[20] = part->flags;
    to += 21;
    if (part->flags & PART_SOURCE)
        to += append_pseudonym(to, &part->source);
    if (part->flags & PART_SOURCE_BEFORE)
        to += append_pseudonym(to, &part->source_before);
    put_u16(to, 0);
    writer->part_users = (size_t)(to - writer->bytes);
    writer->user_events = 0;
    writer->length += need;
    return RESULT_OK;
}

enum result packet_add_user(struct packet_writer *writer, const struct packet_user *user)
{
    size_t need = 4 + (size_t)user->names * PSEUDONYM_BYTES;
    assert(writer->part_users != 0 && user->names >= 1 && user->names <= NAMES_MAX);
    uint16_t users = get_u16(writer->bytes + writer->part_users);
    if (writer->size - writer->length < need || users == UINT16_MAX)
        return RESULT_FULL;
    put_u16(writer->bytes + writer->part_users, (uint16_t)(users + 1));
    uint8_t *to = writer->bytes + writer->length;
    to[0] = user->flags;
    to[1] = user->names;
    to += 2;
    for (size_t i = 0; i < user->names; i++)
        to += append_pseudonym(to, &user->name[i]);
    put_u16(to, 0);
    writer->user_events = (size_t)(to - writer->bytes);
    writer->length += need;
    return RESULT_OK;
}

static size_t encode_event(uint8_t *to, const struct packet_event *event)
{
    uint8_t *start = to;
    put_u16(to, event->name);
    to[2] = event->flags;
    put_u64(to + 3, (uint64_t)event->ts_ms);
    to += 11;
    to += put_varint(to, event->seq);
    if (event->flags & EVENT_SESSION)
        to += append_pseudonym(to, &event->session);
    if (event->flags & EVENT_SESSION_BEFORE)
        to += append_pseudonym(to, &event->session_before);
    if (event->flags & EVENT_ENGAGED)
        to += put_varint(to, event->engaged_ms);
    *to++ = event->props;
    for (size_t i = 0; i < event->props; i++) {
        *to++ = event->prop[i].index;
        to += put_varint(to, zigzag(event->prop[i].value));
    }
    return (size_t)(to - start);
}

enum result packet_add_event(struct packet_writer *writer, const struct packet_event *event)
{
    uint8_t encoded[64 + EVENT_PROPS_MAX * 11];
    assert(writer->user_events != 0 && event->props <= EVENT_PROPS_MAX);
    size_t need = encode_event(encoded, event);
    uint16_t events = get_u16(writer->bytes + writer->user_events);
    if (writer->size - writer->length < need || events == UINT16_MAX)
        return RESULT_FULL;
    put_u16(writer->bytes + writer->user_events, (uint16_t)(events + 1));
    memcpy(writer->bytes + writer->length, encoded, need);
    writer->length += need;
    return RESULT_OK;
}

enum result packet_write_watermark(const struct packet_header *header, const struct packet_watermark *watermark,
    uint8_t *bytes, size_t size, size_t *length)
{
    if (size < PACKET_HEADER_BYTES + 17)
        return RESULT_FULL;
    uint8_t *to = bytes + write_header(bytes, header);
    put_u64(to, (uint64_t)watermark->watermark_ms);
    put_u64(to + 8, watermark->next_n);
    to[16] = watermark->ended ? 1 : 0;
    *length = PACKET_HEADER_BYTES + 17;
    return RESULT_OK;
}

enum result packet_write_counts(const struct packet_header *header, int64_t at_ms, const struct packet_count *rows,
    size_t count, uint8_t *bytes, size_t size, size_t *length)
{
    if (count > UINT16_MAX || size < PACKET_HEADER_BYTES + 10 + count * 15)
        return RESULT_FULL;
    uint8_t *to = bytes + write_header(bytes, header);
    put_u64(to, (uint64_t)at_ms);
    put_u16(to + 8, (uint16_t)count);
    to += 10;
    for (size_t i = 0; i < count; i++) {
        put_u32(to, rows[i].app);
        to[4] = (uint8_t)rows[i].reason;
        to += 5;
        to += put_varint(to, rows[i].count);
    }
    *length = (size_t)(to - bytes);
    return RESULT_OK;
}

enum result packet_write_erase(const struct packet_header *header, const struct packet_erase *erase, uint8_t *bytes,
    size_t size, size_t *length)
{
    size_t seal = erase->kind == PACKET_ACCESS ? PACKET_SEAL_BYTES : 0;
    size_t need = PACKET_HEADER_BYTES + 30 + (size_t)erase->names * PSEUDONYM_BYTES + seal;
    assert(erase->names >= 1 && erase->names <= NAMES_MAX);
    if (size < need)
        return RESULT_FULL;
    uint8_t *to = bytes + write_header(bytes, header);
    put_u32(to, erase->app);
    memcpy(to + 4, erase->request, 16);
    to[20] = (uint8_t)erase->kind;
    put_u64(to + 21, (uint64_t)erase->at_ms);
    to[29] = erase->names;
    to += 30;
    for (size_t i = 0; i < erase->names; i++)
        to += append_pseudonym(to, &erase->name[i]);
    memcpy(to, erase->seal, seal);
    *length = need;
    return RESULT_OK;
}

enum result packet_write_purge(const struct packet_header *header, const struct packet_purge *purge, uint8_t *bytes,
    size_t size, size_t *length)
{
    if (size < PACKET_HEADER_BYTES + 28)
        return RESULT_FULL;
    uint8_t *to = bytes + write_header(bytes, header);
    put_u32(to, purge->app);
    memcpy(to + 4, purge->request, 16);
    put_u64(to + 20, (uint64_t)purge->at_ms);
    *length = PACKET_HEADER_BYTES + 28;
    return RESULT_OK;
}

enum result packet_write_notice(const struct packet_header *header, const struct packet_notice *notice, uint8_t *bytes,
    size_t size, size_t *length)
{
    size_t need = PACKET_HEADER_BYTES + NOTICE_BYTES;
    if (size < need)
        return RESULT_FULL;
    uint8_t *to = bytes + write_header(bytes, header);
    to[0] = (uint8_t)notice->act;
    put_u32(to + 1, notice->app);
    put_u64(to + 5, (uint64_t)notice->at_ms);
    put_u32(to + 13, notice->epoch);
    put_u64(to + 17, notice->count);
    memcpy(to + 25, notice->request, 16);
    memcpy(to + 41, notice->ring, PACKET_HASH_BYTES);
    memcpy(to + 73, notice->hash, PACKET_HASH_BYTES);
    memcpy(to + 105, notice->former, PACKET_HASH_BYTES);
    *length = need;
    return RESULT_OK;
}

/* Reading */

/* The next count bytes, or NULL with the reader marked corrupt. */
static const uint8_t *take(struct packet_reader *reader, size_t count)
{
    if (reader->state != RESULT_OK || reader->length - reader->at < count) {
        reader->state = RESULT_CORRUPT;
        return NULL;
    }
    const uint8_t *from = reader->bytes + reader->at;
    reader->at += count;
    return from;
}

static bool corrupt(struct packet_reader *reader)
{
    reader->state = RESULT_CORRUPT;
    return false;
}

static bool take_varint(struct packet_reader *reader, uint64_t *value)
{
    uint64_t sum = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        const uint8_t *byte = take(reader, 1);
        if (byte == NULL)
            return false;
        if (shift == 63 && *byte > 1)
            return corrupt(reader);
        sum |= (uint64_t)(*byte & 0x7f) << shift;
        if ((*byte & 0x80) == 0) {
            if (*byte == 0 && shift != 0)
                return corrupt(reader);
            *value = sum;
            return true;
        }
    }
    return corrupt(reader);
}

static bool take_pseudonym(struct packet_reader *reader, struct pseudonym *name)
{
    const uint8_t *from = take(reader, PSEUDONYM_BYTES);
    if (from == NULL)
        return false;
    memcpy(name->bytes, from, PSEUDONYM_BYTES);
    return true;
}

static bool time_is_sane(int64_t ms)
{
    return ms >= TS_MIN_MS && ms < TS_MAX_MS;
}

enum result packet_open(struct packet_reader *reader, const uint8_t *bytes, size_t length,
    struct packet_header *header)
{
    *reader = (struct packet_reader){.bytes = bytes, .length = length};
    const uint8_t *from = take(reader, PACKET_HEADER_BYTES);
    if (from == NULL)
        return RESULT_CORRUPT;
    if (from[0] != 'T' || from[1] != 'H' || from[2] != PACKET_VERSION || from[3] < PACKET_EVENTS ||
        from[3] > PACKET_NOTICE)
        return reader->state = RESULT_CORRUPT;
    header->type = (enum packet_type)from[3];
    header->node = get_u64(from + 4);
    header->shard = get_u16(from + 12);
    header->n = get_u64(from + 14);
    if (header->shard >= SHARDS_MAX || (header->n == PACKET_NO_N) != (header->type == PACKET_WATERMARK))
        return reader->state = RESULT_CORRUPT;
    return RESULT_OK;
}

bool packet_next_part(struct packet_reader *reader, struct packet_part *part)
{
    if (reader->state != RESULT_OK || reader->at == reader->length)
        return false;
    const uint8_t *from = take(reader, 21);
    if (from == NULL)
        return false;
    part->app = get_u32(from);
    part->definition = get_u32(from + 4);
    part->epoch = get_u32(from + 8);
    part->received_at_ms = (int64_t)get_u64(from + 12);
    part->flags = from[20];
    bool source = part->flags & PART_SOURCE;
    bool before = part->flags & PART_SOURCE_BEFORE;
    if (part->app == 0 || part->flags > 7 || (before && !source) || !time_is_sane(part->received_at_ms))
        return corrupt(reader);
    if ((source && !take_pseudonym(reader, &part->source)) || (before && !take_pseudonym(reader, &part->source_before)))
        return false;
    from = take(reader, 2);
    if (from == NULL)
        return false;
    part->users = get_u16(from);
    return true;
}

bool packet_next_user(struct packet_reader *reader, struct packet_user *user)
{
    const uint8_t *from = take(reader, 2);
    if (from == NULL)
        return false;
    user->flags = from[0];
    user->names = from[1];
    if (user->flags > USER_ANONYMOUS || user->names < 1 || user->names > NAMES_MAX)
        return corrupt(reader);
    for (size_t i = 0; i < user->names; i++) {
        if (!take_pseudonym(reader, &user->name[i]))
            return false;
    }
    from = take(reader, 2);
    if (from == NULL)
        return false;
    user->events = get_u16(from);
    return true;
}

static bool take_props(struct packet_reader *reader, struct packet_event *event)
{
    const uint8_t *from = take(reader, 1);
    if (from == NULL)
        return false;
    event->props = *from;
    if (event->props > EVENT_PROPS_MAX)
        return corrupt(reader);
    for (size_t i = 0; i < event->props; i++) {
        uint64_t value;
        from = take(reader, 1);
        if (from == NULL || !take_varint(reader, &value))
            return false;
        if (i > 0 && *from <= event->prop[i - 1].index)
            return corrupt(reader);
        event->prop[i] = (struct packet_prop){.index = *from, .value = unzigzag(value)};
    }
    return true;
}

bool packet_next_event(struct packet_reader *reader, struct packet_event *event)
{
    const uint8_t *from = take(reader, 11);
    if (from == NULL)
        return false;
    event->name = get_u16(from);
    event->flags = from[2];
    event->ts_ms = (int64_t)get_u64(from + 3);
    event->engaged_ms = 0;
    bool session = event->flags & EVENT_SESSION;
    bool before = event->flags & EVENT_SESSION_BEFORE;
    if (event->flags > 31 || (before && !session) || !time_is_sane(event->ts_ms))
        return corrupt(reader);
    if (!take_varint(reader, &event->seq) || (session && !take_pseudonym(reader, &event->session)) ||
        (before && !take_pseudonym(reader, &event->session_before)))
        return false;
    if (event->flags & EVENT_ENGAGED) {
        uint64_t engaged;
        if (!take_varint(reader, &engaged))
            return false;
        if (engaged > ENGAGED_MAX_MS)
            return corrupt(reader);
        event->engaged_ms = (uint32_t)engaged;
    }
    if (event->seq > SEQ_MAX)
        return corrupt(reader);
    return take_props(reader, event);
}

/* RESULT_OK only if the whole packet was read. */
static enum result at_end(struct packet_reader *reader)
{
    if (reader->state == RESULT_OK && reader->at != reader->length)
        reader->state = RESULT_CORRUPT;
    return reader->state;
}

enum result packet_read_watermark(struct packet_reader *reader, struct packet_watermark *watermark)
{
    const uint8_t *from = take(reader, 17);
    if (from == NULL)
        return RESULT_CORRUPT;
    watermark->watermark_ms = (int64_t)get_u64(from);
    watermark->next_n = get_u64(from + 8);
    watermark->ended = from[16] == 1;
    if (from[16] > 1 || watermark->watermark_ms < 0)
        return reader->state = RESULT_CORRUPT;
    return at_end(reader);
}

enum result packet_read_counts(struct packet_reader *reader, int64_t *at_ms, struct packet_count *rows,
    size_t capacity, size_t *count)
{
    const uint8_t *from = take(reader, 10);
    if (from == NULL)
        return RESULT_CORRUPT;
    *at_ms = (int64_t)get_u64(from);
    *count = get_u16(from + 8);
    if (!time_is_sane(*at_ms))
        return reader->state = RESULT_CORRUPT;
    if (*count > capacity)
        return RESULT_FULL;
    for (size_t i = 0; i < *count; i++) {
        from = take(reader, 5);
        if (from == NULL || !take_varint(reader, &rows[i].count))
            return RESULT_CORRUPT;
        if (from[4] >= PACKET_REASONS || rows[i].count == 0 || rows[i].count > INT64_MAX)
            return reader->state = RESULT_CORRUPT;
        rows[i].app = get_u32(from);
        rows[i].reason = (enum packet_reason)from[4];
    }
    return at_end(reader);
}

enum result packet_read_erase(struct packet_reader *reader, struct packet_erase *erase)
{
    const uint8_t *from = take(reader, 30);
    if (from == NULL)
        return RESULT_CORRUPT;
    erase->app = get_u32(from);
    memcpy(erase->request, from + 4, 16);
    erase->kind = (enum packet_erase_kind)from[20];
    erase->at_ms = (int64_t)get_u64(from + 21);
    erase->names = from[29];
    if (from[20] < PACKET_ERASURE || from[20] > PACKET_WITHDRAWAL || erase->app == 0 || erase->names < 1 ||
        erase->names > NAMES_MAX || !time_is_sane(erase->at_ms))
        return reader->state = RESULT_CORRUPT;
    for (size_t i = 0; i < erase->names; i++) {
        if (!take_pseudonym(reader, &erase->name[i]))
            return RESULT_CORRUPT;
    }
    memset(erase->seal, 0, sizeof erase->seal);
    if (erase->kind == PACKET_ACCESS) {
        const uint8_t *seal = take(reader, PACKET_SEAL_BYTES);
        if (seal == NULL)
            return RESULT_CORRUPT;
        memcpy(erase->seal, seal, PACKET_SEAL_BYTES);
    }
    return at_end(reader);
}

enum result packet_read_purge(struct packet_reader *reader, struct packet_purge *purge)
{
    const uint8_t *from = take(reader, 28);
    if (from == NULL)
        return RESULT_CORRUPT;
    purge->app = get_u32(from);
    memcpy(purge->request, from + 4, 16);
    purge->at_ms = (int64_t)get_u64(from + 20);
    if (purge->app == 0 || !time_is_sane(purge->at_ms))
        return reader->state = RESULT_CORRUPT;
    return at_end(reader);
}

enum result packet_read_notice(struct packet_reader *reader, struct packet_notice *notice)
{
    const uint8_t *from = take(reader, NOTICE_BYTES);
    if (from == NULL)
        return RESULT_CORRUPT;
    notice->act = (enum packet_notice_act)from[0];
    notice->app = get_u32(from + 1);
    notice->at_ms = (int64_t)get_u64(from + 5);
    notice->epoch = get_u32(from + 13);
    notice->count = get_u64(from + 17);
    memcpy(notice->request, from + 25, 16);
    memcpy(notice->ring, from + 41, PACKET_HASH_BYTES);
    memcpy(notice->hash, from + 73, PACKET_HASH_BYTES);
    memcpy(notice->former, from + 105, PACKET_HASH_BYTES);
    if (from[0] < PACKET_KEY_BORN || from[0] > PACKET_SELF_TEST_PASSED || !time_is_sane(notice->at_ms) ||
        notice->count >= UINT64_C(1) << 53)
        return reader->state = RESULT_CORRUPT;
    return at_end(reader);
}

static enum result check_events(struct packet_reader *reader)
{
    struct packet_part part;
    struct packet_user user;
    struct packet_event event;
    while (packet_next_part(reader, &part)) {
        for (unsigned u = 0; u < part.users; u++) {
            if (!packet_next_user(reader, &user))
                return RESULT_CORRUPT;
            for (unsigned e = 0; e < user.events; e++) {
                if (!packet_next_event(reader, &event))
                    return RESULT_CORRUPT;
            }
        }
    }
    return at_end(reader);
}

static enum result check_counts(struct packet_reader *reader)
{
    struct packet_count rows[ENTRY_MAX_BYTES / 6];
    size_t count;
    int64_t at_ms;
    enum result result = packet_read_counts(reader, &at_ms, rows, sizeof rows / sizeof rows[0], &count);
    return result == RESULT_FULL ? RESULT_CORRUPT : result;
}

static enum result check_body(struct packet_reader *reader, enum packet_type type)
{
    union {
        struct packet_watermark watermark;
        struct packet_erase erase;
        struct packet_purge purge;
        struct packet_notice notice;
    } body;
    switch (type) {
    case PACKET_EVENTS:
        return check_events(reader);
    case PACKET_WATERMARK:
        return packet_read_watermark(reader, &body.watermark);
    case PACKET_COUNTS:
        return check_counts(reader);
    case PACKET_ERASE:
        return packet_read_erase(reader, &body.erase);
    case PACKET_PURGE:
        return packet_read_purge(reader, &body.purge);
    case PACKET_NOTICE:
        return packet_read_notice(reader, &body.notice);
    }
    return RESULT_CORRUPT;
}

enum result packet_check(const uint8_t *bytes, size_t length, struct failure *why)
{
    struct packet_reader reader;
    struct packet_header header;
    enum result result = packet_open(&reader, bytes, length, &header);
    if (result == RESULT_OK)
        result = check_body(&reader, header.type);
    if (result != RESULT_OK)
        failure_set(why, "packet", "not a packet of version %d: stopped at byte %zu of %zu", PACKET_VERSION, reader.at,
            length);
    return result;
}

/* Reasons */

static const struct {
    const char *name;
    const char *kind;
} reasons[PACKET_REASONS] = {
#define REASON(id, name, kind) [PACKET_REASON_##id] = {name, kind},
#include "schema/reason.def"
#undef REASON
};

const char *packet_reason_name(enum packet_reason reason)
{
    return reasons[reason].name;
}

const char *packet_reason_kind(enum packet_reason reason)
{
    return reasons[reason].kind;
}
