/*
 * The spool: entries that Redis could not take, on this machine's disk until it can.
 *
 * Files DIRECTORY/NNNNNNNNNNNNNNNN.spool (the segment's number in hexadecimal), each a run of records:
 *   length u32le | nonce 24 | XChaCha20-Poly1305 of one packet (libsodium, IETF construction), `length` bytes of it
 * under the segment's key from keyd, with the additional data  segment u64le | offset of the record in the file
 * u64le. A segment is written by one process only; a later process replays it and never appends. Its key is destroyed
 * when all of it has been replayed. A record whose bytes are damaged is skipped and counted; an unfinished last one
 * was never acknowledged and is cut off.
 *
 * Sees:     packets (pseudonyms); segment keys, in its own memory.
 * Uses:     libsodium, keyd.
 * Threads:  any; one lock inside. spool_read and spool_advance are for one replaying thread.
 * Failure:  RESULT_FULL: the bound is reached or the disk is full, and nothing was kept.
 */
#ifndef THRONG_INGEST_SPOOL_H
#define THRONG_INGEST_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "anonymizer/edge/keyd.h"
#include "schema/failure.h"
#include "schema/limits.h"

#define SPOOL_SEGMENT_BYTES (4u * 1024 * 1024)
#define SPOOL_READ_MAX 64

struct spool;

struct spool_entry {
    uint16_t shard;
    uint64_t n; /* or PACKET_NO_N */
    const uint8_t *bytes;
    size_t length; /* 1 to ENTRY_MAX_BYTES */
    int64_t received_at_ms; /* the oldest request in it; INT64_MAX: none */
};

/* Open directory (made if absent, mode 0700), taking over what earlier processes left; capacity bounds all segments'
 * bytes. keyd is borrowed for the spool's life. RESULT_FAILED, RESULT_UNAVAILABLE (keyd). */
enum result spool_open(const char *directory, uint64_t capacity_bytes, struct keyd *keyd, struct spool **out,
    struct failure *why);

/* Close; segments stay for the next process. Keys in memory are wiped. NULL is allowed. */
void spool_close(struct spool *spool);

/* Append all entries durably (one fdatasync), or none. RESULT_FULL; RESULT_UNAVAILABLE if keyd is gone; RESULT_FAILED
 * if they could neither be kept nor cut off: a later process may find and replay them. */
enum result spool_append(struct spool *spool, const struct spool_entry *entries, size_t count, struct failure *why);

/* What spool_read gives: records of one segment, oldest first, borrowed until the next spool_read. */
struct spool_batch {
    bool waiting; /* false: the spool is empty */
    size_t count;
    struct {
        uint8_t bytes[ENTRY_MAX_BYTES];
        size_t length;
    } records[SPOOL_READ_MAX];
    size_t damaged;    /* records skipped on the way */
    bool torn;         /* an unfinished last record was cut off */
    uint64_t segment;  /* where it was read */
    uint64_t until;    /* offset behind it */
    bool ends;         /* nothing was behind it: spool_advance may delete the segment */
};

/* Read the next records without removing them; count may be 0 where only damage was found. RESULT_FAILED for a read
 * error. */
enum result spool_read(struct spool *spool, struct spool_batch *batch, struct failure *why);

/* All records of batch are in the stream: go behind them. A segment that ends there is deleted and its key
 * destroyed. */
enum result spool_advance(struct spool *spool, const struct spool_batch *batch, struct failure *why);

/* Bytes of all segments, and how many segments of earlier processes are left. */
uint64_t spool_bytes(struct spool *spool);
/* See spool_bytes. */
size_t spool_inherited(struct spool *spool);

/* The oldest received_at of what this process spooled (INT64_MAX: nothing), and the smallest n of shard among it
 * (PACKET_NO_N: none); both may be too old by up to a segment, never too new. */
int64_t spool_oldest_ms(struct spool *spool);
/* See spool_oldest_ms. */
uint64_t spool_lowest_n(struct spool *spool, uint16_t shard);

#endif
