#include "service/cli/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "service/cli/lines.h"

#define BUFFER_BYTES (256 * 1024)

struct reader {
    int fd;
    off_t size;
    gzFile gz;
    crypto_generichash_state hash;
    size_t at, end; /* of what is unread in buffer */
    uint64_t line;  /* of the last line read */
    char buffer[BUFFER_BYTES];
    char record[READER_RECORD_MAX_BYTES + 2];
};

/* Copy what cannot be read twice into an anonymous file in memory. */
static int keep_in_memory(int from)
{
    char part[65536];
    int fd = memfd_create("import", MFD_CLOEXEC);
    if (fd < 0)
        return -1;
    for (;;) {
        ssize_t got = read(from, part, sizeof part);
        if (got == 0)
            return fd;
        if (got < 0 && errno == EINTR)
            continue;
        for (ssize_t done = 0; got > 0 && done < got;) {
            ssize_t put = write(fd, part + done, (size_t)(got - done));
            if (put < 0 && errno != EINTR)
                got = -1;
            else if (put > 0)
                done += put;
        }
        if (got < 0)
            break;
    }
    close(fd);
    return -1;
}

static int open_seekable(const char *path)
{
    struct stat status;
    if (strcmp(path, "-") == 0)
        return keep_in_memory(STDIN_FILENO);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
        return fd;
    int copy = keep_in_memory(fd);
    int failed = errno;
    close(fd);
    errno = failed;
    return copy;
}

enum result reader_open(const char *path, struct reader **out, struct failure *why)
{
    int fd = open_seekable(path);
    if (fd < 0) {
        failure_set(why, "FILE", "cannot be read: %s", strerror(errno));
        return RESULT_NOT_FOUND;
    }
    struct stat status;
    struct reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL || fstat(fd, &status) != 0) {
        free(reader);
        close(fd);
        return RESULT_FAILED;
    }
    reader->fd = fd;
    reader->size = status.st_size;
    enum result result = reader_rewind(reader, why);
    if (result != RESULT_OK) {
        reader_free(reader);
        return result;
    }
    *out = reader;
    return RESULT_OK;
}

void reader_free(struct reader *reader)
{
    if (reader == NULL)
        return;
    if (reader->gz != NULL)
        gzclose_r(reader->gz);
    close(reader->fd);
    sodium_memzero(reader, sizeof *reader);
    free(reader);
}

enum result reader_rewind(struct reader *reader, struct failure *why)
{
    if (reader->gz != NULL)
        gzclose_r(reader->gz);
    reader->gz = NULL;
    int fd = dup(reader->fd);
    if (fd >= 0 && lseek(fd, 0, SEEK_SET) == 0)
        reader->gz = gzdopen(fd, "rb");
    if (reader->gz == NULL) {
        if (fd >= 0)
            close(fd);
        failure_set(why, "FILE", "cannot be read from its start");
        return RESULT_FAILED;
    }
    gzbuffer(reader->gz, BUFFER_BYTES);
    reader->at = reader->end = 0;
    reader->line = 0;
    crypto_generichash_init(&reader->hash, NULL, 0, READER_HASH_BYTES);
    return RESULT_OK;
}

/* Fill the empty buffer. RESULT_NOT_FOUND at the end. */
static enum result fill(struct reader *reader, struct failure *why)
{
    int code = Z_OK;
    int got = gzread(reader->gz, reader->buffer, BUFFER_BYTES);
    gzerror(reader->gz, &code);
    /* A gzip file that is cut off gives what it holds, and then Z_BUF_ERROR. */
    if (got < 0 || (got == 0 && code != Z_OK && code != Z_STREAM_END)) {
        failure_set(why, "FILE", "cannot be read on: the file or its compression is damaged, or it is cut off");
        return RESULT_CORRUPT;
    }
    reader->at = 0;
    reader->end = (size_t)got;
    crypto_generichash_update(&reader->hash, (const unsigned char *)reader->buffer, reader->end);
    return got == 0 ? RESULT_NOT_FOUND : RESULT_OK;
}

/* Append a line to the record, its '\n' included; what is too long is passed over. *length grows by the line's length. */
static enum result append_line(struct reader *reader, size_t *length, struct failure *why)
{
    size_t before = *length;
    for (;;) {
        if (reader->at == reader->end) {
            enum result result = fill(reader, why);
            if (result == RESULT_NOT_FOUND && *length > before)
                return RESULT_OK; /* the last line has no end */
            if (result != RESULT_OK)
                return result;
        }
        const char *from = reader->buffer + reader->at;
        const char *newline = memchr(from, '\n', reader->end - reader->at);
        size_t count = newline != NULL ? (size_t)(newline - from) + 1 : reader->end - reader->at;
        if (*length + count <= READER_RECORD_MAX_BYTES + 1)
            memcpy(reader->record + *length, from, count);
        *length += count;
        reader->at += count;
        if (newline != NULL)
            return RESULT_OK;
    }
}

enum result reader_next(struct reader *reader, bool quoted, struct reader_record *out, struct failure *why)
{
    size_t length = 0;
    out->line = reader->line + 1;
    do {
        enum result result = append_line(reader, &length, why);
        if (result == RESULT_NOT_FOUND && length > 0)
            break; /* the file ends inside quotes */
        if (result != RESULT_OK)
            return result;
        reader->line++;
    } while (quoted && length <= READER_RECORD_MAX_BYTES && lines_open_quote(reader->record, length));
    out->text = reader->record;
    out->unreadable = length > READER_RECORD_MAX_BYTES || memchr(reader->record, '\0', length) != NULL;
    if (out->unreadable)
        length = 0;
    if (length > 0 && reader->record[length - 1] == '\n')
        length--;
    if (length > 0 && reader->record[length - 1] == '\r')
        length--;
    reader->record[length] = '\0';
    return RESULT_OK;
}

double reader_fraction(const struct reader *reader)
{
    return reader->size > 0 ? (double)gzoffset(reader->gz) / (double)reader->size : 1.0;
}

void reader_hash(struct reader *reader, uint8_t out[READER_HASH_BYTES])
{
    crypto_generichash_state copy = reader->hash;
    crypto_generichash_final(&copy, out, READER_HASH_BYTES);
}
