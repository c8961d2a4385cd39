#include "compliance/bundle/archive.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "compliance/bundle/manifest.h"

#define SIZE_AT 124
#define SIZE_BYTES 12
#define CHECKSUM_AT 148
#define CHECKSUM_BYTES 8
#define SHORT_SIZE_LIMIT ((uint64_t)1 << 33)
#define DAMAGED ((uint64_t)1 << 63)
#define CHUNK_BYTES ((size_t)64 * 1024) /* hashed twice and written while it is in a near cache */

static bool name_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

/* No segment is empty, "." or "..". */
static bool segment_valid(const char *segment, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (!name_character(segment[i]))
            return false;
    }
    return length > 0 && !(length == 1 && segment[0] == '.') && !(length == 2 && segment[0] == '.' && segment[1] == '.');
}

bool archive_name_valid(struct text_view name)
{
    if (name.length == 0 || name.length >= ARCHIVE_NAME_MAX_BYTES)
        return false;
    size_t start = 0;
    for (size_t i = 0; i <= name.length; i++) {
        if (i < name.length && name.bytes[i] != '/')
            continue;
        if (!segment_valid(name.bytes + start, i - start))
            return false;
        start = i + 1;
    }
    return true;
}

static void put_octal(uint8_t *field, size_t digits, uint64_t value)
{
    for (size_t i = digits; i-- > 0; value >>= 3)
        field[i] = (uint8_t)('0' + (value & 7));
}

void archive_header(const char *name, uint64_t size, uint8_t block[ARCHIVE_BLOCK_BYTES])
{
    assert(strlen(name) < ARCHIVE_NAME_MAX_BYTES && size <= ARCHIVE_SIZE_MAX);
    memset(block, 0, ARCHIVE_BLOCK_BYTES);
    memcpy(block, name, strlen(name));
    memcpy(block + 100, "0000644\0" "0000000\0" "0000000", 23); /* mode, uid, gid */
    put_octal(block + SIZE_AT, size < SHORT_SIZE_LIMIT ? SIZE_BYTES - 1 : SIZE_BYTES, size);
    memcpy(block + 136, "00000000000", 11); /* mtime */
    block[156] = '0';
    memcpy(block + 257, "ustar\0" "00", 8);
    memcpy(block + 329, "0000000\0" "0000000", 15); /* device numbers */
    memset(block + CHECKSUM_AT, ' ', CHECKSUM_BYTES);
    uint64_t sum = 0;
    for (size_t i = 0; i < ARCHIVE_BLOCK_BYTES; i++)
        sum += block[i];
    put_octal(block + CHECKSUM_AT, 6, sum);
    block[CHECKSUM_AT + 6] = 0;
}

/* --- writing ------------------------------------------------------------------------------------------------------------ */

/* content: these bytes are of the open file. */
static enum result emit(struct archive_writer *writer, const void *bytes, size_t length, bool content, struct failure *why)
{
    const uint8_t *at = bytes;
    for (size_t chunk; length > 0; at += chunk, length -= chunk) {
        chunk = length < CHUNK_BYTES ? length : CHUNK_BYTES;
        if (fwrite(at, 1, chunk, writer->out) != chunk) {
            failure_set(why, "bundle", "cannot be written: is the disk full?");
            return RESULT_FAILED;
        }
        if (content)
            crypto_hash_sha256_update(&writer->content, at, chunk);
        if (!writer->part)
            crypto_hash_sha256_update(&writer->whole, at, chunk);
    }
    return RESULT_OK;
}

void archive_begin(struct archive_writer *writer, FILE *out, FILE *manifest)
{
    *writer = (struct archive_writer){.out = out, .manifest = manifest};
    crypto_hash_sha256_init(&writer->whole);
}

void archive_begin_part(struct archive_writer *writer, FILE *out, FILE *manifest)
{
    archive_begin(writer, out, manifest);
    writer->part = true;
}

enum result archive_open(struct archive_writer *writer, const char *name, uint64_t size, struct failure *why)
{
    uint8_t block[ARCHIVE_BLOCK_BYTES];
    if (!archive_name_valid((struct text_view){name, strlen(name)}) || strcmp(writer->last, name) >= 0) {
        failure_set(why, "bundle", "a file's name is not behind the last one's, or none that a file may have");
        return RESULT_INVALID;
    }
    if (size > ARCHIVE_SIZE_MAX) {
        failure_set(why, "bundle", "a file is larger than 64 GiB");
        return RESULT_FULL;
    }
    memcpy(writer->last, name, strlen(name) + 1);
    writer->size = writer->left = size;
    crypto_hash_sha256_init(&writer->content);
    archive_header(name, size, block);
    return emit(writer, block, sizeof block, false, why);
}

enum result archive_write(struct archive_writer *writer, const void *bytes, size_t length, struct failure *why)
{
    assert(length <= writer->left);
    writer->left -= length;
    return emit(writer, bytes, length, true, why);
}

static size_t padding(uint64_t size)
{
    return (size_t)((ARCHIVE_BLOCK_BYTES - size % ARCHIVE_BLOCK_BYTES) % ARCHIVE_BLOCK_BYTES);
}

enum result archive_close(struct archive_writer *writer, struct failure *why)
{
    static const uint8_t zeros[ARCHIVE_BLOCK_BYTES];
    uint8_t hash[ARCHIVE_HASH_BYTES];
    assert(writer->left == 0);
    crypto_hash_sha256_final(&writer->content, hash);
    enum result result = emit(writer, zeros, padding(writer->size), false, why);
    if (result != RESULT_OK || writer->manifest == NULL)
        return result;
    return manifest_put(writer->manifest, writer->last, writer->size, hash, why);
}

enum result archive_put(
    struct archive_writer *writer, const char *name, const void *bytes, size_t length, struct failure *why)
{
    enum result result = archive_open(writer, name, length, why);
    if (result == RESULT_OK)
        result = archive_write(writer, bytes, length, why);
    return result == RESULT_OK ? archive_close(writer, why) : result;
}

enum result archive_splice(
    struct archive_writer *writer, const void *bytes, size_t length, const char *last, struct failure *why)
{
    assert(strlen(last) < sizeof writer->last);
    memcpy(writer->last, last, strlen(last) + 1);
    return emit(writer, bytes, length, false, why);
}

enum result archive_end(struct archive_writer *writer, uint8_t hash[ARCHIVE_HASH_BYTES], struct failure *why)
{
    static const uint8_t zeros[ARCHIVE_END_BYTES];
    enum result result = emit(writer, zeros, sizeof zeros, false, why);
    if (result == RESULT_OK && fflush(writer->out) != 0) {
        failure_set(why, "bundle", "cannot be written: is the disk full?");
        result = RESULT_FAILED;
    }
    assert(hash == NULL || !writer->part);
    if (result == RESULT_OK && hash != NULL)
        crypto_hash_sha256_final(&writer->whole, hash);
    return result;
}

/* --- reading ------------------------------------------------------------------------------------------------------------ */

struct archive_index {
    const uint8_t *bytes;
    size_t length;
    size_t count, room;
    uint64_t *offsets; /* of headers; DAMAGED is set if that one is not in the one form */
    void (*found)(void *context, const struct archive_defect *defect);
    void *context;
};

static struct text_view name_of(const uint8_t *block)
{
    const char *name = (const char *)block;
    return (struct text_view){name, strnlen(name, ARCHIVE_NAME_MAX_BYTES)};
}

/* The size in the header's field; false if it is not in octal digits. */
static bool size_of(const uint8_t *block, uint64_t *size)
{
    uint64_t value = 0;
    size_t digits = block[SIZE_AT + SIZE_BYTES - 1] == 0 ? SIZE_BYTES - 1 : SIZE_BYTES;
    for (size_t i = 0; i < digits; i++) {
        uint8_t c = block[SIZE_AT + i];
        if (c < '0' || c > '7')
            return false;
        value = value << 3 | (uint64_t)(c - '0');
    }
    *size = value;
    return true;
}

/* Whether block is the one header of what it says. */
static bool header_valid(const uint8_t *block, uint64_t *size)
{
    char name[ARCHIVE_NAME_MAX_BYTES];
    uint8_t again[ARCHIVE_BLOCK_BYTES];
    struct text_view view = name_of(block);
    if (!archive_name_valid(view) || !size_of(block, size))
        return false;
    memcpy(name, view.bytes, view.length);
    name[view.length] = '\0';
    archive_header(name, *size, again);
    return memcmp(again, block, sizeof again) == 0;
}

static int compare(struct text_view one, struct text_view other)
{
    size_t length = one.length < other.length ? one.length : other.length;
    int order = length == 0 ? 0 : memcmp(one.bytes, other.bytes, length);
    return order != 0 ? order : (one.length > other.length) - (one.length < other.length);
}

static bool is_damaged(const struct archive_index *index, size_t i)
{
    return (index->offsets[i] & DAMAGED) != 0;
}

static void tell(struct archive_index *index, struct text_view name, uint64_t offset, const char *what)
{
    struct archive_defect defect = {name, offset, what};
    if (index->found != NULL)
        index->found(index->context, &defect);
}

static bool add(struct archive_index *index, uint64_t offset)
{
    if (index->count == ARCHIVE_FILES_MAX)
        return false;
    if (index->count == index->room) {
        size_t room = index->room == 0 ? 64 : index->room * 2;
        uint64_t *more = realloc(index->offsets, room * sizeof *more);
        if (more == NULL)
            return false;
        index->offsets = more;
        index->room = room;
    }
    index->offsets[index->count++] = offset;
    return true;
}

/* The end of a file of size bytes with its header at offset, or 0 if the archive ends before. */
static uint64_t end_of(const struct archive_index *index, uint64_t offset, uint64_t size)
{
    uint64_t end = offset + ARCHIVE_BLOCK_BYTES + size + padding(size);
    return size <= ARCHIVE_SIZE_MAX && end <= index->length ? end : 0;
}

/* The next header in the one form at or behind offset, or where the last two blocks begin. */
static uint64_t resume(const struct archive_index *index, uint64_t offset)
{
    uint64_t size;
    uint64_t end = index->length < ARCHIVE_END_BYTES ? index->length : index->length - ARCHIVE_END_BYTES;
    while (offset < end) {
        if (memcmp(index->bytes + offset + 257, "ustar", 6) == 0 && header_valid(index->bytes + offset, &size))
            return offset;
        offset += ARCHIVE_BLOCK_BYTES;
    }
    return end > offset ? end : offset;
}

static struct text_view last_name(const struct archive_index *index)
{
    for (size_t i = index->count; i-- > 0;) {
        if (!is_damaged(index, i))
            return name_of(index->bytes + index->offsets[i]);
    }
    return (struct text_view){"", 0};
}

static void check_padding(struct archive_index *index, uint64_t offset, uint64_t size)
{
    const uint8_t *at = index->bytes + offset + ARCHIVE_BLOCK_BYTES + size;
    for (size_t i = 0; i < padding(size); i++) {
        if (at[i] != 0) {
            tell(index, name_of(index->bytes + offset), (uint64_t)(at + i - index->bytes),
                "the bytes between its end and the next file are not zero");
            return;
        }
    }
}

/* Take the file at *offset, and set *offset behind it. False if there is no memory. */
static bool take(struct archive_index *index, uint64_t *offset)
{
    uint64_t size = 0, here = *offset;
    const uint8_t *block = index->bytes + here;
    if (!header_valid(block, &size)) {
        *offset = resume(index, here + ARCHIVE_BLOCK_BYTES);
        return add(index, here | DAMAGED);
    }
    uint64_t end = end_of(index, here, size);
    if (end == 0) {
        tell(index, name_of(block), here, "the archive ends before this file does");
        *offset = index->length;
        return add(index, here | DAMAGED);
    }
    if (compare(last_name(index), name_of(block)) >= 0)
        tell(index, name_of(block), here, "it is not behind the file before it in the order of names, or is there twice");
    check_padding(index, here, size);
    *offset = end;
    return add(index, here);
}

static void check_end(struct archive_index *index, uint64_t offset)
{
    if (index->length - offset != ARCHIVE_END_BYTES) {
        tell(index, last_name(index), offset, "the archive does not end with two zero blocks behind its last file");
        return;
    }
    for (; offset < index->length; offset++) {
        if (index->bytes[offset] != 0) {
            tell(index, last_name(index), offset, "the two blocks at the end of the archive are not zero");
            return;
        }
    }
}

struct archive_index *archive_index_make(const void *bytes, size_t length,
    void (*found)(void *context, const struct archive_defect *defect), void *context)
{
    struct archive_index *index = calloc(1, sizeof *index);
    if (index == NULL)
        return NULL;
    *index = (struct archive_index){.bytes = bytes, .length = length, .found = found, .context = context};
    uint64_t offset = 0;
    while (length - offset >= ARCHIVE_BLOCK_BYTES && length - offset > ARCHIVE_END_BYTES) {
        if (!take(index, &offset)) {
            archive_index_free(index);
            return NULL;
        }
    }
    check_end(index, offset);
    return index;
}

void archive_index_free(struct archive_index *index)
{
    if (index == NULL)
        return;
    free(index->offsets);
    free(index);
}

size_t archive_index_count(const struct archive_index *index)
{
    return index->count;
}

struct archive_file archive_index_file(const struct archive_index *index, size_t i)
{
    uint64_t size = 0, offset = index->offsets[i] & ~DAMAGED;
    const uint8_t *block = index->bytes + offset;
    struct archive_file file = {.name = name_of(block), .offset = offset, .damaged = is_damaged(index, i)};
    if (!file.damaged && size_of(block, &size))
        file.content = (struct text_view){(const char *)block + ARCHIVE_BLOCK_BYTES, (size_t)size};
    return file;
}

/* The nearest undamaged file from i on, below end; end if there is none. */
static size_t undamaged(const struct archive_index *index, size_t i, size_t end)
{
    while (i < end && is_damaged(index, i))
        i++;
    return i;
}

size_t archive_index_lower(const struct archive_index *index, const char *name)
{
    struct text_view wanted = {name, strlen(name)};
    size_t low = 0, high = index->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        size_t probe = undamaged(index, middle, high);
        if (probe == high)
            high = middle;
        else if (compare(name_of(index->bytes + index->offsets[probe]), wanted) < 0)
            low = probe + 1;
        else
            high = middle;
    }
    return undamaged(index, low, index->count);
}

enum result archive_index_find(const struct archive_index *index, const char *name, struct archive_file *file)
{
    size_t i = archive_index_lower(index, name);
    if (i == index->count)
        return RESULT_NOT_FOUND;
    struct archive_file at = archive_index_file(index, i);
    if (!text_is(at.name, name))
        return RESULT_NOT_FOUND;
    *file = at;
    return RESULT_OK;
}
