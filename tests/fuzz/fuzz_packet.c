/*
 * Packets: a byte string either is refused, or encodes again to the very same bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "schema/packet.h"

#define ROWS_MAX UINT16_MAX

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t again[1 << 20];
static size_t again_length;

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void copy_user(struct packet_reader *reader, struct packet_writer *writer)
{
    struct packet_user user;
    struct packet_event event;
    require(packet_next_user(reader, &user));
    require(packet_add_user(writer, &user) == RESULT_OK);
    for (size_t i = 0; i < user.events; i++) {
        require(packet_next_event(reader, &event));
        require(packet_add_event(writer, &event) == RESULT_OK);
    }
}

static void copy_events(struct packet_reader *reader, const struct packet_header *header)
{
    struct packet_part part;
    struct packet_writer writer;
    packet_begin(&writer, again, sizeof again, header);
    while (packet_next_part(reader, &part)) {
        require(packet_add_part(&writer, &part) == RESULT_OK);
        for (size_t i = 0; i < part.users; i++)
            copy_user(reader, &writer);
    }
    require(reader->state == RESULT_OK);
    again_length = writer.length;
}

static void copy_counts(struct packet_reader *reader, const struct packet_header *header)
{
    static struct packet_count rows[ROWS_MAX];
    int64_t at_ms;
    size_t count;
    require(packet_read_counts(reader, &at_ms, rows, ROWS_MAX, &count) == RESULT_OK);
    require(packet_write_counts(header, at_ms, rows, count, again, sizeof again, &again_length) == RESULT_OK);
}

static void copy(const uint8_t *data, size_t size)
{
    struct packet_reader reader;
    struct packet_header header;
    struct packet_watermark watermark;
    struct packet_erase erase;
    struct packet_purge purge;
    struct packet_notice notice;
    require(packet_open(&reader, data, size, &header) == RESULT_OK);
    switch (header.type) {
    case PACKET_EVENTS:
        copy_events(&reader, &header);
        break;
    case PACKET_WATERMARK:
        require(packet_read_watermark(&reader, &watermark) == RESULT_OK);
        require(packet_write_watermark(&header, &watermark, again, sizeof again, &again_length) == RESULT_OK);
        break;
    case PACKET_COUNTS:
        copy_counts(&reader, &header);
        break;
    case PACKET_ERASE:
        require(packet_read_erase(&reader, &erase) == RESULT_OK);
        require(packet_write_erase(&header, &erase, again, sizeof again, &again_length) == RESULT_OK);
        break;
    case PACKET_PURGE:
        require(packet_read_purge(&reader, &purge) == RESULT_OK);
        require(packet_write_purge(&header, &purge, again, sizeof again, &again_length) == RESULT_OK);
        break;
    case PACKET_NOTICE:
        require(packet_read_notice(&reader, &notice) == RESULT_OK);
        require(packet_write_notice(&header, &notice, again, sizeof again, &again_length) == RESULT_OK);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct failure why = {0};
    if (packet_check(data, size, &why) != RESULT_OK) {
        require(why.text[0] != '\0');
        return 0;
    }
    copy(data, size);
    require(again_length == size && memcmp(again, data, size) == 0);
    return 0;
}
