#include "anonymizer/edge/keywire.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <sodium.h>

#define LENGTH_BYTES 4

bool keywire_acquire(struct keywire_buffer *buffer)
{
    size_t size = LENGTH_BYTES + KEYWIRE_BODY_MAX;
    void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pages == MAP_FAILED)
        return false;
    (void)madvise(pages, size, MADV_DONTDUMP);
    *buffer = (struct keywire_buffer){.bytes = pages, .size = size};
    return true;
}

void keywire_wipe(struct keywire_buffer *buffer)
{
    sodium_memzero(buffer->bytes, buffer->used);
    buffer->used = 0;
}

void keywire_release(struct keywire_buffer *buffer)
{
    if (buffer->bytes == NULL)
        return;
    keywire_wipe(buffer);
    (void)munmap(buffer->bytes, buffer->size);
    *buffer = (struct keywire_buffer){0};
}

void keywire_begin(struct keywire_writer *writer, struct keywire_buffer *buffer)
{
    *writer = (struct keywire_writer){.buffer = buffer, .at = buffer->bytes + LENGTH_BYTES};
}

void keywire_put_bytes(struct keywire_writer *writer, const void *bytes, size_t length)
{
    assert(length <= (size_t)(writer->buffer->bytes + writer->buffer->size - writer->at));
    if (length > 0)
        memcpy(writer->at, bytes, length);
    writer->at += length;
}

uint8_t *keywire_room(struct keywire_writer *writer, size_t length)
{
    assert(length <= (size_t)(writer->buffer->bytes + writer->buffer->size - writer->at));
    uint8_t *room = writer->at;
    writer->at += length;
    return room;
}

static void put_integer(struct keywire_writer *writer, uint64_t value, size_t length)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    keywire_put_bytes(writer, bytes, length);
}

void keywire_put_u8(struct keywire_writer *writer, uint8_t value)
{
    put_integer(writer, value, 1);
}

void keywire_put_u16(struct keywire_writer *writer, uint16_t value)
{
    put_integer(writer, value, 2);
}

void keywire_put_u32(struct keywire_writer *writer, uint32_t value)
{
    put_integer(writer, value, 4);
}

void keywire_put_u64(struct keywire_writer *writer, uint64_t value)
{
    put_integer(writer, value, 8);
}

const uint8_t *keywire_get_bytes(struct keywire_reader *reader, size_t length)
{
    if (length > (size_t)(reader->end - reader->at)) {
        reader->bad = true;
        return NULL;
    }
    const uint8_t *bytes = reader->at;
    reader->at += length;
    return bytes;
}

static uint64_t get_integer(struct keywire_reader *reader, size_t length)
{
    const uint8_t *bytes = keywire_get_bytes(reader, length);
    uint64_t value = 0;
    for (size_t i = length; bytes != NULL && i-- > 0;)
        value = value << 8 | bytes[i];
    return value;
}

uint8_t keywire_get_u8(struct keywire_reader *reader)
{
    return (uint8_t)get_integer(reader, 1);
}

uint16_t keywire_get_u16(struct keywire_reader *reader)
{
    return (uint16_t)get_integer(reader, 2);
}

uint32_t keywire_get_u32(struct keywire_reader *reader)
{
    return (uint32_t)get_integer(reader, 4);
}

uint64_t keywire_get_u64(struct keywire_reader *reader)
{
    return get_integer(reader, 8);
}

bool keywire_ended(const struct keywire_reader *reader)
{
    return !reader->bad && reader->at == reader->end;
}

bool keywire_send(int socket, struct keywire_writer *writer)
{
    struct keywire_buffer *buffer = writer->buffer;
    size_t length = (size_t)(writer->at - buffer->bytes);
    uint32_t body = (uint32_t)(length - LENGTH_BYTES);
    assert(body > 0 && body <= KEYWIRE_BODY_MAX);
    for (unsigned i = 0; i < LENGTH_BYTES; i++)
        buffer->bytes[i] = (uint8_t)(body >> (8 * i));
    if (length > buffer->used)
        buffer->used = length;
    for (size_t sent = 0; sent < length;) {
        ssize_t part = send(socket, buffer->bytes + sent, length - sent, MSG_NOSIGNAL);
        if (part < 0 && errno == EINTR)
            continue;
        if (part <= 0)
            return false;
        sent += (size_t)part;
    }
    return true;
}

/* Receive until *got is at least need; with more room than that, what is there of it comes along. */
static bool receive_until(int socket, struct keywire_buffer *buffer, size_t *got, size_t need, size_t room, int flags)
{
    while (*got < need) {
        ssize_t part = recv(socket, buffer->bytes + *got, room - *got, flags);
        if (part < 0 && errno == EINTR)
            continue;
        if (part <= 0)
            return false;
        *got += (size_t)part;
        if (*got > buffer->used)
            buffer->used = *got;
    }
    return true;
}

/* Nobody says more than one frame before it is answered, so the first receipt may take all that is there. */
bool keywire_receive(int socket, struct keywire_buffer *buffer, struct keywire_reader *reader)
{
    size_t got = 0;
    if (!receive_until(socket, buffer, &got, LENGTH_BYTES, buffer->size, 0))
        return false;
    uint32_t body = 0;
    for (unsigned i = LENGTH_BYTES; i-- > 0;)
        body = body << 8 | buffer->bytes[i];
    if (body == 0 || body > KEYWIRE_BODY_MAX || got > LENGTH_BYTES + body)
        return false;
    if (!receive_until(socket, buffer, &got, LENGTH_BYTES + body, LENGTH_BYTES + body, MSG_WAITALL))
        return false;
    *reader = (struct keywire_reader){.at = buffer->bytes + LENGTH_BYTES};
    reader->end = reader->at + body;
    return true;
}
