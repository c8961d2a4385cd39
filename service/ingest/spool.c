#include "service/ingest/spool.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "schema/packet.h"

#define NONCE crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG crypto_aead_xchacha20poly1305_ietf_ABYTES
#define PREFIX (4u + NONCE)
#define RECORD_MAX (PREFIX + ENTRY_MAX_BYTES + TAG)

static_assert(KEYD_SPOOL_KEY_BYTES == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "the cipher takes keyd's keys");

struct segment {
    struct segment *next;
    uint64_t number;
    int fd;
    uint64_t bytes;     /* up to the last good record */
    uint64_t read_at;   /* replayed so far */
    bool inherited;
    bool has_key;
    uint8_t key[KEYD_SPOOL_KEY_BYTES];
    int64_t oldest_ms;
    uint64_t lowest_n[SHARDS_MAX];
};

struct spool {
    pthread_mutex_t lock;
    struct keyd *keyd;
    char directory[512];
    int directory_fd;
    uint64_t capacity;
    uint64_t segment_bytes; /* a segment takes no more once it has these */
    uint64_t bytes;
    uint64_t next_number;
    struct segment *first;  /* the oldest, being replayed */
    struct segment *last;   /* being written if `open` */
    bool open;
    uint8_t *buffer; /* of one append */
    size_t buffer_size;
};

/* Segments */

static void segment_path(const struct spool *spool, uint64_t number, char *path, size_t size)
{
    (void)snprintf(path, size, "%s/%016" PRIx64 ".spool", spool->directory, number);
}

static struct segment *segment_new(uint64_t number, int fd, bool inherited)
{
    struct segment *segment = calloc(1, sizeof *segment);
    if (segment == NULL)
        return NULL;
    segment->number = number;
    segment->fd = fd;
    segment->inherited = inherited;
    segment->oldest_ms = INT64_MAX;
    memset(segment->lowest_n, 0xff, sizeof segment->lowest_n);
    return segment;
}

static void segment_free(struct segment *segment)
{
    sodium_memzero(segment->key, sizeof segment->key);
    close(segment->fd);
    free(segment);
}

static enum result segment_key(struct spool *spool, struct segment *segment, struct failure *why)
{
    if (segment->has_key)
        return RESULT_OK;
    enum result result = keyd_spool_key(spool->keyd, segment->number, segment->key, why);
    segment->has_key = result == RESULT_OK;
    return result;
}

static void link_last(struct spool *spool, struct segment *segment)
{
    if (spool->first == NULL)
        spool->first = segment;
    else
        spool->last->next = segment;
    spool->last = segment;
}

/* Delete the oldest segment, its file before its key: a crash between the two leaves a key that nothing needs, and
 * the next segment's end destroys it. */
static enum result drop_first(struct spool *spool, struct failure *why)
{
    struct segment *segment = spool->first;
    char path[600];
    segment_path(spool, segment->number, path, sizeof path);
    if (unlink(path) != 0 && errno != ENOENT) {
        failure_set(why, "ingest.state", "a replayed spool segment cannot be deleted: %s", strerror(errno));
        return RESULT_FAILED;
    }
    if (segment == spool->last)
        spool->open = false;
    spool->bytes -= segment->bytes;
    spool->first = segment->next;
    if (spool->first == NULL)
        spool->last = NULL;
    uint64_t number = segment->number;
    segment_free(segment);
    return keyd_spool_forget(spool->keyd, number, why);
}

/* Opening */

static bool parse_name(const char *name, uint64_t *number)
{
    if (strlen(name) != 22 || strcmp(name + 16, ".spool") != 0 || strspn(name, "0123456789abcdef") != 16)
        return false;
    *number = strtoull(name, NULL, 16);
    return true;
}

static int by_number(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

/* The numbers of the segments on disk, ascending, owned by the caller. */
static enum result list_segments(const char *directory, uint64_t **numbers, size_t *count, struct failure *why)
{
    DIR *dir = opendir(directory);
    if (dir == NULL) {
        failure_set(why, "ingest.state", "the spool's directory cannot be read: %s", strerror(errno));
        return RESULT_FAILED;
    }
    size_t capacity = 0;
    *numbers = NULL;
    *count = 0;
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        uint64_t number;
        if (!parse_name(entry->d_name, &number))
            continue;
        if (*count == capacity) {
            capacity = capacity * 2 + 64;
            uint64_t *more = reallocarray(*numbers, capacity, sizeof *more);
            if (more == NULL) {
                failure_set(why, "ingest.state", "memory is short");
                closedir(dir);
                free(*numbers);
                return RESULT_FAILED;
            }
            *numbers = more;
        }
        (*numbers)[(*count)++] = number;
    }
    closedir(dir);
    if (*count > 0)
        qsort(*numbers, *count, sizeof **numbers, by_number);
    return RESULT_OK;
}

static enum result inherit(struct spool *spool, uint64_t number, struct failure *why)
{
    char path[600];
    struct stat info;
    segment_path(spool, number, path, sizeof path);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) != 0) {
        failure_set(why, "ingest.state", "a spool segment cannot be opened: %s", strerror(errno));
        if (fd >= 0)
            close(fd);
        return RESULT_FAILED;
    }
    struct segment *segment = segment_new(number, fd, true);
    if (segment == NULL) {
        failure_set(why, "ingest.state", "memory is short");
        close(fd);
        return RESULT_FAILED;
    }
    segment->bytes = (uint64_t)info.st_size;
    spool->bytes += segment->bytes;
    link_last(spool, segment);
    return RESULT_OK;
}

static enum result take_over(struct spool *spool, struct failure *why)
{
    uint64_t forgotten_below, *numbers;
    size_t count;
    enum result result = keyd_spool_first(spool->keyd, &forgotten_below, why);
    if (result == RESULT_OK)
        result = list_segments(spool->directory, &numbers, &count, why);
    if (result != RESULT_OK)
        return result;
    spool->next_number = forgotten_below;
    for (size_t i = 0; i < count && result == RESULT_OK; i++) {
        char path[600];
        segment_path(spool, numbers[i], path, sizeof path);
        if (numbers[i] < forgotten_below) {
            (void)unlink(path); /* its key is gone: it had been replayed */
            continue;
        }
        result = inherit(spool, numbers[i], why);
        spool->next_number = numbers[i] + 1;
    }
    free(numbers);
    return result;
}

enum result spool_open(const char *directory, uint64_t capacity_bytes, struct keyd *keyd, struct spool **out,
    struct failure *why)
{
    struct spool *spool = calloc(1, sizeof *spool);
    if (spool == NULL) {
        failure_set(why, "ingest.state", "memory is short");
        return RESULT_FAILED;
    }
    pthread_mutex_init(&spool->lock, NULL);
    spool->keyd = keyd;
    spool->capacity = capacity_bytes;
    spool->segment_bytes = capacity_bytes / 4 < SPOOL_SEGMENT_BYTES ? capacity_bytes / 4 : SPOOL_SEGMENT_BYTES;
    spool->directory_fd = -1;
    enum result result = RESULT_FAILED;
    if ((size_t)snprintf(spool->directory, sizeof spool->directory, "%s", directory) >= sizeof spool->directory) {
        failure_set(why, "ingest.state", "is longer than %zu bytes", sizeof spool->directory - 1);
        goto fail;
    }
    if ((mkdir(directory, 0700) != 0 && errno != EEXIST) ||
        (spool->directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
        failure_set(why, "ingest.state", "the spool's directory cannot be made: %s", strerror(errno));
        goto fail;
    }
    result = take_over(spool, why);
    if (result != RESULT_OK)
        goto fail;
    *out = spool;
    return RESULT_OK;
fail:
    spool_close(spool);
    return result;
}

void spool_close(struct spool *spool)
{
    if (spool == NULL)
        return;
    while (spool->first != NULL) {
        struct segment *segment = spool->first;
        spool->first = segment->next;
        segment_free(segment);
    }
    if (spool->directory_fd >= 0)
        close(spool->directory_fd);
    free(spool->buffer);
    pthread_mutex_destroy(&spool->lock);
    free(spool);
}

/* Appending */

static void put_le(uint8_t *to, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

static uint32_t get_u32(const uint8_t *from)
{
    return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

static void bind_place(uint8_t data[16], uint64_t segment, uint64_t offset)
{
    put_le(data, segment, 8);
    put_le(data + 8, offset, 8);
}

static enum result start_segment(struct spool *spool, struct failure *why)
{
    char path[600];
    uint64_t number = spool->next_number;
    segment_path(spool, number, path, sizeof path);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        failure_set(why, "ingest.state", "a spool segment cannot be made: %s", strerror(errno));
        return RESULT_FULL;
    }
    struct segment *segment = segment_new(number, fd, false);
    enum result result = segment == NULL ? RESULT_FULL : segment_key(spool, segment, why);
    if (result != RESULT_OK || fsync(spool->directory_fd) != 0) {
        failure_set(why, "ingest.state", "a spool segment cannot be made durable");
        (void)unlink(path);
        if (segment == NULL)
            close(fd);
        else
            segment_free(segment);
        return result == RESULT_OK ? RESULT_FULL : result;
    }
    spool->next_number++;
    link_last(spool, segment);
    spool->open = true;
    return RESULT_OK;
}

static enum result reserve_buffer(struct spool *spool, size_t size, struct failure *why)
{
    if (size <= spool->buffer_size)
        return RESULT_OK;
    uint8_t *more = realloc(spool->buffer, size);
    if (more == NULL) {
        failure_set(why, "ingest.state", "memory is short");
        return RESULT_FULL;
    }
    spool->buffer = more;
    spool->buffer_size = size;
    return RESULT_OK;
}

static void seal_records(struct spool *spool, const struct segment *segment, const struct spool_entry *entries,
    size_t count)
{
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        uint8_t *record = spool->buffer + at, place[16];
        size_t sealed = entries[i].length + TAG;
        put_le(record, sealed, 4);
        randombytes_buf(record + 4, NONCE);
        bind_place(place, segment->number, segment->bytes + at);
        (void)crypto_aead_xchacha20poly1305_ietf_encrypt(record + PREFIX, NULL, entries[i].bytes, entries[i].length, place,
            sizeof place, NULL, record + 4, segment->key);
        at += PREFIX + sealed;
    }
}

static bool write_all(int fd, const uint8_t *bytes, size_t size, uint64_t offset)
{
    while (size > 0) {
        ssize_t written = pwrite(fd, bytes, size, (off_t)offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        bytes += written;
        size -= (size_t)written;
        offset += (uint64_t)written;
    }
    return true;
}

static void note_entries(struct segment *segment, const struct spool_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (entries[i].received_at_ms < segment->oldest_ms)
            segment->oldest_ms = entries[i].received_at_ms;
        if (entries[i].n < segment->lowest_n[entries[i].shard])
            segment->lowest_n[entries[i].shard] = entries[i].n;
    }
}

static enum result append_locked(struct spool *spool, const struct spool_entry *entries, size_t count, size_t size,
    struct failure *why)
{
    if (spool->bytes + size > spool->capacity) {
        failure_set(why, "ingest.spool_bytes", "the spool holds %" PRIu64 " of %" PRIu64 " bytes", spool->bytes,
            spool->capacity);
        return RESULT_FULL;
    }
    if (spool->open && spool->last->bytes >= spool->segment_bytes)
        spool->open = false;
    enum result result = reserve_buffer(spool, size, why);
    if (result == RESULT_OK && !spool->open)
        result = start_segment(spool, why);
    if (result != RESULT_OK)
        return result;
    struct segment *segment = spool->last;
    seal_records(spool, segment, entries, count);
    if (!write_all(segment->fd, spool->buffer, size, segment->bytes) || fdatasync(segment->fd) != 0) {
        failure_set(why, "ingest.state", "the spool cannot be written: %s", strerror(errno));
        /* What a failed write or sync left behind is unknown: cut it off, or else never append to this file again. */
        spool->open = ftruncate(segment->fd, (off_t)segment->bytes) == 0;
        return spool->open ? RESULT_FULL : RESULT_FAILED;
    }
    segment->bytes += size;
    spool->bytes += size;
    note_entries(segment, entries, count);
    return RESULT_OK;
}

enum result spool_append(struct spool *spool, const struct spool_entry *entries, size_t count, struct failure *why)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += PREFIX + entries[i].length + TAG;
    if (count == 0)
        return RESULT_OK;
    pthread_mutex_lock(&spool->lock);
    enum result result = append_locked(spool, entries, count, size, why);
    pthread_mutex_unlock(&spool->lock);
    return result;
}

/* Replaying */

/* A window on a segment's file. */
struct window {
    const struct segment *segment;
    const uint8_t *bytes;
    uint64_t start; /* offset of bytes[0] */
    size_t length;
    bool last; /* the window reaches to the segment's end */
};

enum found { FOUND_RECORD, FOUND_DAMAGE, FOUND_UNFINISHED };

/* The record at offset, opened into out (ENTRY_MAX_BYTES) with its length; *behind is the offset after it if its
 * length is plausible. */
static enum found open_record(const struct window *window, uint64_t offset, uint8_t *out, size_t *length,
    uint64_t *behind)
{
    uint8_t place[16];
    size_t left = window->length - (size_t)(offset - window->start);
    const uint8_t *record = window->bytes + (offset - window->start);
    if (left < PREFIX)
        return FOUND_UNFINISHED;
    size_t sealed = get_u32(record);
    if (sealed <= TAG || sealed > ENTRY_MAX_BYTES + TAG || sealed > left - PREFIX)
        return FOUND_UNFINISHED;
    *behind = offset + PREFIX + sealed;
    bind_place(place, window->segment->number, offset);
    unsigned long long opened;
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(out, &opened, NULL, record + PREFIX, sealed, place, sizeof place,
            record + 4, window->segment->key) != 0)
        return FOUND_DAMAGE;
    *length = (size_t)opened;
    return FOUND_RECORD;
}

/* Whether a record may reach beyond the window, so that the file must be read on first. */
static bool near_end(const struct window *window, uint64_t offset)
{
    return !window->last && window->start + window->length - offset < RECORD_MAX;
}

/* The first offset after `offset` at which a whole record lies, or where the window has no more to say: a damaged
 * length must not hide the records behind it. */
static uint64_t resynchronise(const struct window *window, uint64_t offset, uint8_t *scratch)
{
    uint64_t end = window->start + window->length, behind;
    size_t length;
    for (offset++; offset < end && !near_end(window, offset); offset++) {
        if (open_record(window, offset, scratch, &length, &behind) == FOUND_RECORD)
            break;
    }
    return offset;
}

static void read_records(const struct window *window, struct spool_batch *batch)
{
    uint64_t offset = window->start, end = window->start + window->length;
    while (offset < end && batch->count < SPOOL_READ_MAX && !near_end(window, offset)) {
        uint64_t behind = 0;
        uint8_t *out = batch->records[batch->count].bytes;
        enum found found = open_record(window, offset, out, &batch->records[batch->count].length, &behind);
        if (found == FOUND_RECORD) {
            batch->count++;
            offset = behind;
            continue;
        }
        uint64_t next = resynchronise(window, offset, out);
        if (next == end && window->last && found == FOUND_UNFINISHED)
            batch->torn = true;
        else
            batch->damaged++;
        offset = next;
    }
    batch->until = offset;
}

static enum result read_window(const struct segment *segment, uint64_t end, uint8_t *bytes, size_t size,
    struct window *window, struct failure *why)
{
    uint64_t left = end - segment->read_at;
    size_t want = left < size ? (size_t)left : size;
    size_t have = 0;
    while (have < want) {
        ssize_t got = pread(segment->fd, bytes + have, want - have, (off_t)(segment->read_at + have));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            failure_set(why, "ingest.state", "the spool cannot be read: %s", got == 0 ? "it is shorter" : strerror(errno));
            return RESULT_FAILED;
        }
        have += (size_t)got;
    }
    *window = (struct window){
        .segment = segment, .bytes = bytes, .start = segment->read_at, .length = have, .last = have == left};
    return RESULT_OK;
}

enum result spool_read(struct spool *spool, struct spool_batch *batch, struct failure *why)
{
    const size_t size = 4 * RECORD_MAX + SPOOL_READ_MAX * 1024;
    batch->count = batch->damaged = 0;
    batch->torn = batch->waiting = batch->ends = false;
    pthread_mutex_lock(&spool->lock);
    struct segment *segment = spool->first;
    uint64_t end = segment == NULL ? 0 : segment->bytes;
    enum result result = segment == NULL ? RESULT_OK : segment_key(spool, segment, why);
    pthread_mutex_unlock(&spool->lock);
    if (segment == NULL || result != RESULT_OK)
        return result;
    /* Only spool_advance, of this same thread, frees the first segment; what lies below `end` does not change. */
    uint8_t *bytes = malloc(size);
    if (bytes == NULL) {
        failure_set(why, "ingest.state", "memory is short");
        return RESULT_FAILED;
    }
    struct window window;
    result = read_window(segment, end, bytes, size, &window, why);
    if (result == RESULT_OK) {
        batch->waiting = true;
        batch->segment = segment->number;
        read_records(&window, batch);
        batch->ends = batch->until >= end;
    }
    free(bytes);
    return result;
}

enum result spool_advance(struct spool *spool, const struct spool_batch *batch, struct failure *why)
{
    enum result result = RESULT_OK;
    pthread_mutex_lock(&spool->lock);
    struct segment *segment = spool->first;
    if (segment != NULL && batch->waiting && segment->number == batch->segment) {
        segment->read_at = batch->until;
        if (segment->read_at >= segment->bytes)
            result = drop_first(spool, why);
    }
    pthread_mutex_unlock(&spool->lock);
    return result;
}

/* State */

uint64_t spool_bytes(struct spool *spool)
{
    pthread_mutex_lock(&spool->lock);
    uint64_t bytes = spool->bytes;
    pthread_mutex_unlock(&spool->lock);
    return bytes;
}

size_t spool_inherited(struct spool *spool)
{
    size_t count = 0;
    pthread_mutex_lock(&spool->lock);
    for (const struct segment *segment = spool->first; segment != NULL && segment->inherited; segment = segment->next)
        count++;
    pthread_mutex_unlock(&spool->lock);
    return count;
}

int64_t spool_oldest_ms(struct spool *spool)
{
    int64_t oldest = INT64_MAX;
    pthread_mutex_lock(&spool->lock);
    for (const struct segment *segment = spool->first; segment != NULL; segment = segment->next) {
        if (segment->oldest_ms < oldest)
            oldest = segment->oldest_ms;
    }
    pthread_mutex_unlock(&spool->lock);
    return oldest;
}

uint64_t spool_lowest_n(struct spool *spool, uint16_t shard)
{
    uint64_t lowest = PACKET_NO_N;
    pthread_mutex_lock(&spool->lock);
    for (const struct segment *segment = spool->first; segment != NULL; segment = segment->next) {
        if (segment->lowest_n[shard] < lowest)
            lowest = segment->lowest_n[shard];
    }
    pthread_mutex_unlock(&spool->lock);
    return lowest;
}
