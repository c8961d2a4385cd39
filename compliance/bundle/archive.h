/*
 * The container of a bundle: an uncompressed POSIX ustar archive (IEEE Std 1003.1 pax, "ustar Interchange Format") in one
 * form only, so that its bytes follow from names and contents, and no bit of it is without meaning.
 *
 *   per file   a header block, the content, zeros up to a multiple of 512
 *   header     name (1 to 99 bytes of [A-Za-z0-9._/-], no empty, "." or ".." segment), mode 0000644, uid, gid, device numbers and
 *              mtime 0, size as 11 octal digits and NUL (12 digits from 8 GiB on), checksum as 6 octal digits, NUL, blank,
 *              type '0', "ustar" NUL "00"; all other bytes NUL
 *   order      names ascending by bytes, none twice
 *   end        two zero blocks, and nothing behind them
 *
 * Sees:     what the bundle holds: audit leaves and what is said about them.
 * Uses:     libc, libsodium (SHA-256).
 * Threads:  a writer or an index belongs to one thread.
 * Failure:  result codes and a struct failure.
 */
#ifndef THRONG_BUNDLE_ARCHIVE_H
#define THRONG_BUNDLE_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <sodium.h>

#include "compliance/audit/text.h"
#include "schema/failure.h"

#define ARCHIVE_BLOCK_BYTES 512
#define ARCHIVE_END_BYTES 1024
#define ARCHIVE_NAME_MAX_BYTES 100              /* with a NUL */
#define ARCHIVE_SIZE_MAX (((uint64_t)1 << 36) - 1) /* of one file: what 12 octal digits hold */
#define ARCHIVE_HASH_BYTES 32
#define ARCHIVE_FILES_MAX ((size_t)1 << 22)

/* Whether name may be a file's. */
bool archive_name_valid(struct text_view name);

/* Write the one header of a file of size bytes (at most ARCHIVE_SIZE_MAX) with a valid name (a string) to block. */
void archive_header(const char *name, uint64_t size, uint8_t block[ARCHIVE_BLOCK_BYTES]);

/* Where files are written to, in order. The first two are borrowed. */
struct archive_writer {
    FILE *out;      /* the archive, or a part of one */
    FILE *manifest; /* members of the manifest (manifest.h) of what is written; NULL: none */
    char last[ARCHIVE_NAME_MAX_BYTES];
    uint64_t size, left; /* of the open file */
    crypto_hash_sha256_state content;
    crypto_hash_sha256_state whole; /* of every byte written to out */
    bool part;                      /* whole is not kept */
};

/* Begin. */
void archive_begin(struct archive_writer *writer, FILE *out, FILE *manifest);
/* Begin a part, which is to be spliced: it has no hash. */
void archive_begin_part(struct archive_writer *writer, FILE *out, FILE *manifest);

/* Open a file of size bytes. RESULT_INVALID: a name that none may have, or not behind the last one; RESULT_FULL: larger than
 * ARCHIVE_SIZE_MAX; RESULT_FAILED: writing failed. */
enum result archive_open(struct archive_writer *writer, const char *name, uint64_t size, struct failure *why);
/* Append to the open file, no more than the size that was told. */
enum result archive_write(struct archive_writer *writer, const void *bytes, size_t length, struct failure *why);
/* End the open file, all of which was written. */
enum result archive_close(struct archive_writer *writer, struct failure *why);
/* A whole file at once. */
enum result archive_put(
    struct archive_writer *writer, const char *name, const void *bytes, size_t length, struct failure *why);
/* Write bytes that are archived already: a part that another writer made. last is the last name in it, a string. */
enum result archive_splice(
    struct archive_writer *writer, const void *bytes, size_t length, const char *last, struct failure *why);
/* Write the two last blocks and flush. hash (may be NULL, and is of a part): SHA-256 of the whole archive. */
enum result archive_end(struct archive_writer *writer, uint8_t hash[ARCHIVE_HASH_BYTES], struct failure *why);

/* One file of an archive in memory. */
struct archive_file {
    struct text_view name;
    uint64_t offset; /* of its header */
    struct text_view content;
    bool damaged; /* its header is not in the one form: name and content are what can be told of them */
};

/* The files of an archive in memory, in their order. */
struct archive_index;

/* What is wrong with the container. name: of the file, or of the one before it if file is false; borrowed. */
struct archive_defect {
    struct text_view name;
    uint64_t offset;
    const char *what; /* a literal */
};

/* Look through bytes[0..length-1], which are borrowed until archive_index_free, and tell found of each thing that is not in
 * the one form. What stands behind a damaged header is found again by the next header that is in the one form. NULL if there
 * is no memory, or there are more than ARCHIVE_FILES_MAX files. Eight bytes of memory a file. */
struct archive_index *archive_index_make(const void *bytes, size_t length,
    void (*found)(void *context, const struct archive_defect *defect), void *context);
/* Free; NULL is allowed. */
void archive_index_free(struct archive_index *index);

/* How many files there are, damaged ones too. */
size_t archive_index_count(const struct archive_index *index);

/* File i. */
struct archive_file archive_index_file(const struct archive_index *index, size_t i);

/* Find an undamaged file; RESULT_NOT_FOUND if there is none. name is a string. */
enum result archive_index_find(const struct archive_index *index, const char *name, struct archive_file *file);

/* The place of the first file whose name is not below name, among the undamaged; the count if there is none. */
size_t archive_index_lower(const struct archive_index *index, const char *name);

#endif
