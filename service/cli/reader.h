/*
 * Records of a log file, plain or gzip, read as often as needed: lines, or CSV records that go over several lines.
 * Standard input and pipes are kept in memory first.
 *
 * Sees:     the file's content, raw identifiers included; keeps one record of it.
 * Uses:     zlib, libsodium.
 * Threads:  one.
 * Failure:  RESULT_NOT_FOUND (no such file; also the end of the records), RESULT_CORRUPT (a damaged or cut gzip file),
 *           RESULT_FAILED.
 */
#ifndef THRONG_CLI_READER_H
#define THRONG_CLI_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/failure.h"

#define READER_RECORD_MAX_BYTES (64 * 1024)
#define READER_HASH_BYTES 32

struct reader;

/* One record. text is NUL-terminated, without its line end, and may be changed; it is the reader's until the next call. */
struct reader_record {
    char *text;
    uint64_t line;   /* number of its first line, from 1 */
    bool unreadable; /* longer than READER_RECORD_MAX_BYTES, or with a NUL inside: text is empty */
};

/* Open path ("-": standard input); *out is the caller's until reader_free. */
enum result reader_open(const char *path, struct reader **out, struct failure *why);
/* See reader_open. NULL is allowed. */
void reader_free(struct reader *reader);

/* The next record; quoted: CSV, where a line end inside quotes does not end it. RESULT_NOT_FOUND after the last. */
enum result reader_next(struct reader *reader, bool quoted, struct reader_record *out, struct failure *why);

/* Start again. */
enum result reader_rewind(struct reader *reader, struct failure *why);

/* How much of the file was read, 0 to 1. */
double reader_fraction(const struct reader *reader);

/* BLAKE2b-256 of the (unpacked) content read since the start; meaningful after the last record. */
void reader_hash(struct reader *reader, uint8_t out[READER_HASH_BYTES]);

#endif
