/*
 * Packets: the byte-exact form of what travels from ingest through Redis and the spool to the aggregator.
 *
 * A packet is one stream entry. All integers are little-endian; varint is LEB128, at most 10 bytes, shortest form only.
 *
 *   header   "TH" | version u8 = 1 | type u8 | node u64 | shard u16 | n u64                                  22 bytes
 *   events   part*: app u32 | definition u32 | epoch u32 | received_at_ms i64 | flags u8 | [source 16] |
 *                   [source_before 16] | users u16, then
 *              user: flags u8 | names u8 | name 16 × names | events u16, then
 *                event: name u16 | flags u8 | ts_ms i64 | seq varint | [session 16] | [session_before 16] |
 *                       [engaged_ms varint] | props u8, then  prop: index u8 | value zigzag varint
 *   watermark  watermark_ms i64 | next_n u64 | ended u8
 *   counts     at_ms i64 | rows u16, then  row: app u32 | reason u8 | count varint
 *   erase      app u32 | request 16 | kind u8 | at_ms i64 | names u8 | name 16 × names | [seal 32]
 *   purge      app u32 | request 16 | at_ms i64
 *   notice     act u8 | app u32 | at_ms i64 | epoch u32 | count u64 | request 16 | ring 32 | hash 32 | former 32
 *
 * n counts the packets of one (node, shard) from 0 without gaps; a watermark carries PACKET_NO_N: it is harmless to
 * repeat. A decoder accepts exactly what an encoder can write: any other byte string is RESULT_CORRUPT.
 *
 * Sees:     pseudonyms, never raw ids or keys.
 * Uses:     libc.
 * Threads:  a writer or reader belongs to one thread; different ones are independent.
 * Failure:  RESULT_FULL when the next piece does not fit (the packet stays as it was), RESULT_CORRUPT when decoding.
 */
#ifndef THRONG_SCHEMA_PACKET_H
#define THRONG_SCHEMA_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/failure.h"
#include "schema/limits.h"

#define PACKET_VERSION 1
#define PACKET_HEADER_BYTES 22
#define PACKET_NO_N UINT64_MAX
#define PACKET_SEAL_BYTES 32 /* of an X25519 public key */
#define PACKET_HASH_BYTES 32

enum packet_type {
    PACKET_EVENTS = 1,
    PACKET_WATERMARK = 2,
    PACKET_COUNTS = 3,
    PACKET_ERASE = 4,
    PACKET_PURGE = 5,
    PACKET_NOTICE = 6,
};

/* A keyed hash of an identifier. Not a raw id: the types keep them apart. */
struct pseudonym {
    uint8_t bytes[PSEUDONYM_BYTES];
};

struct packet_header {
    enum packet_type type;
    uint64_t node;  /* random, one per start of an ingest process */
    uint16_t shard; /* 0 to SHARDS_MAX - 1 */
    uint64_t n;
};

/* flags of a part */
#define PART_IMPORT 0x01u        /* history: no lateness */
#define PART_SOURCE 0x02u        /* source is set */
#define PART_SOURCE_BEFORE 0x04u /* source_before too: the epoch changed a short while ago */

/* What one request says to one shard. */
struct packet_part {
    uint32_t app;
    uint32_t definition; /* version of the app definition it was checked against */
    uint32_t epoch;      /* of the app's key, at receipt */
    int64_t received_at_ms;
    uint8_t flags;
    struct pseudonym source;
    struct pseudonym source_before; /* the same source under the key of the epoch before */
    uint16_t users;
};

/* flags of a user */
#define USER_ANONYMOUS 0x01u /* a day's visitor without a user id: one name, day metrics only */

struct packet_user {
    uint8_t flags;
    uint8_t names;                   /* 1 to NAMES_MAX */
    struct pseudonym name[NAMES_MAX]; /* [0] of this epoch, [1] of the last, … */
    uint16_t events;
};

/* flags of an event */
#define EVENT_SESSION 0x01u        /* session is set */
#define EVENT_SESSION_BEFORE 0x02u /* session_before too */
#define EVENT_ENGAGED 0x04u        /* engaged_ms is set */
#define EVENT_VIEW 0x08u           /* declared as a page or screen view */
#define EVENT_GOAL 0x10u           /* counts as a goal */

struct packet_prop {
    uint8_t index; /* in the event's declaration */
    int64_t value; /* enum, route: index of the value (routes: -1 = other); boolean: 0 or 1; number: steps from min;
                    * entity: the first 8 bytes of its pseudonym, little-endian */
};

struct packet_event {
    uint16_t name; /* index in the app definition's events */
    uint8_t flags;
    int64_t ts_ms;
    uint64_t seq; /* 0 to SEQ_MAX */
    struct pseudonym session;
    struct pseudonym session_before;
    uint32_t engaged_ms; /* 0 to ENGAGED_MAX_MS */
    uint8_t props;
    struct packet_prop prop[EVENT_PROPS_MAX]; /* ascending index */
};

struct packet_watermark {
    int64_t watermark_ms; /* everything this node received before is in the stream ahead of this packet */
    uint64_t next_n;      /* every n below is in the stream, PACKET_NO_N: not known (its process ended abruptly) */
    bool ended;           /* the node sends nothing after this */
};

/* Why something was not counted. Closed; the names are in reason.def. */
enum packet_reason {
#define REASON(id, name, kind) PACKET_REASON_##id,
#include "schema/reason.def"
#undef REASON
    PACKET_REASONS
};

struct packet_count {
    uint32_t app; /* 0: no app could be told */
    enum packet_reason reason;
    uint64_t count; /* at least 1 */
};

/* A withdrawal ends an objection: events of the person count again. */
enum packet_erase_kind { PACKET_ERASURE = 1, PACKET_OBJECTION = 2, PACKET_ACCESS = 3, PACKET_WITHDRAWAL = 4 };

struct packet_erase {
    uint32_t app;
    uint8_t request[16]; /* the subject request's uuid */
    enum packet_erase_kind kind;
    int64_t at_ms;
    uint8_t names;
    struct pseudonym name[NAMES_MAX];
    uint8_t seal[PACKET_SEAL_BYTES]; /* PACKET_ACCESS alone: whom the answer is sealed to (crypto_box_seal) */
};

struct packet_purge {
    uint32_t app;
    uint8_t request[16];
    int64_t at_ms;
};

/* What happened at an ingest node and belongs in the audit trail; ingest itself has no database. Append only. */
enum packet_notice_act {
    PACKET_KEY_BORN = 1,          /* hash: commitment to the new root's key */
    PACKET_KEY_RATCHETED = 2,     /* hash: of the new key; former: of the key that was overwritten, if one was */
    PACKET_KEY_ROTATED = 3,       /* likewise, with fresh randomness */
    PACKET_KEY_DESTROYED = 4,     /* hash: of the key that is gone; one notice a key */
    PACKET_KEYS_JOINED = 5,       /* the node took over another's key file; hash: of a key in it; one notice a key */
    PACKET_SPOOL_REPLAYED = 6,    /* count: entries */
    PACKET_CLOCK_STEPPED_BACK = 7, /* count: ms */
    PACKET_STARTED = 8,           /* hash: of the binary; former: of the configuration without its secrets */
    PACKET_STOPPED = 9,
    PACKET_SELF_TEST_FAILED = 10, /* count: how many places the canary was found in */
    PACKET_SELF_TEST_PASSED = 11, /* count: how many places were looked at */
};

struct packet_notice {
    enum packet_notice_act act;
    uint32_t app; /* 0: the installation */
    int64_t at_ms;
    uint32_t epoch;                    /* of keys, else 0 */
    uint64_t count;                    /* below 2^53 */
    uint8_t request[16];               /* the order of an operator that it carries out; zeros: none */
    uint8_t ring[PACKET_HASH_BYTES];   /* which key file; zeros unless it is about keys */
    uint8_t hash[PACKET_HASH_BYTES];   /* zeros: none */
    uint8_t former[PACKET_HASH_BYTES]; /* zeros: none */
};

/* Writes one packet into a buffer of the caller's. */
struct packet_writer {
    uint8_t *bytes;
    size_t size;       /* of the buffer */
    size_t length;     /* written so far: a valid packet after each successful call, but for open counts */
    size_t part_users; /* where the open part's and user's counts lie; 0: none open */
    size_t user_events;
};

/* Start a packet in bytes[0..size-1], which the writer borrows; size >= 64. */
void packet_begin(struct packet_writer *writer, uint8_t *bytes, size_t size, const struct packet_header *header);

/* Append a part to an events packet; part->users is ignored and counted by packet_add_user. RESULT_FULL if it does not
 * fit; an empty part is harmless. */
enum result packet_add_part(struct packet_writer *writer, const struct packet_part *part);

/* Append a user to the open part; user->events is ignored and counted by packet_add_event. RESULT_FULL. */
enum result packet_add_user(struct packet_writer *writer, const struct packet_user *user);

/* Append an event to the open user. RESULT_FULL. */
enum result packet_add_event(struct packet_writer *writer, const struct packet_event *event);

/* Write a whole packet of another type into bytes[0..size-1] and its length to *length. RESULT_FULL if size is too
 * small (ENTRY_MAX_BYTES suffices for 500 rows). */
enum result packet_write_watermark(const struct packet_header *header, const struct packet_watermark *watermark,
    uint8_t *bytes, size_t size, size_t *length);
/* As packet_write_watermark, with rows[0..count-1]; count is at most 65535. */
enum result packet_write_counts(const struct packet_header *header, int64_t at_ms, const struct packet_count *rows,
    size_t count, uint8_t *bytes, size_t size, size_t *length);
/* As packet_write_watermark. */
enum result packet_write_erase(const struct packet_header *header, const struct packet_erase *erase, uint8_t *bytes,
    size_t size, size_t *length);
/* As packet_write_watermark. */
enum result packet_write_purge(const struct packet_header *header, const struct packet_purge *purge, uint8_t *bytes,
    size_t size, size_t *length);

/* As packet_write_watermark. */
enum result packet_write_notice(const struct packet_header *header, const struct packet_notice *notice, uint8_t *bytes,
    size_t size, size_t *length);

/* Set the header's n in a finished packet: bytes holds at least PACKET_HEADER_BYTES. */
void packet_set_n(uint8_t *bytes, uint64_t n);

/* Reads one packet; borrows its bytes. */
struct packet_reader {
    const uint8_t *bytes;
    size_t length;
    size_t at;
    enum result state; /* RESULT_CORRUPT once anything was wrong: later calls return false */
};

/* Check bytes[0..length-1] from the first to the last byte against the format; RESULT_CORRUPT with the place in why.
 * After RESULT_OK every reading function succeeds on them. */
enum result packet_check(const uint8_t *bytes, size_t length, struct failure *why);

/* Read the header into *header and leave reader behind it. RESULT_CORRUPT (reader unusable) if it is none. */
enum result packet_open(struct packet_reader *reader, const uint8_t *bytes, size_t length,
    struct packet_header *header);

/* The next part, user of the part, event of the user. packet_next_part is false at the end of the packet or when it is
 * corrupt (reader->state tells); the caller reads exactly part.users users, and user.events events of each. */
bool packet_next_part(struct packet_reader *reader, struct packet_part *part);
/* See packet_next_part. */
bool packet_next_user(struct packet_reader *reader, struct packet_user *user);
/* See packet_next_part. */
bool packet_next_event(struct packet_reader *reader, struct packet_event *event);

/* The body of a packet of the type named. RESULT_CORRUPT, and outputs undefined, if it is not one. */
enum result packet_read_watermark(struct packet_reader *reader, struct packet_watermark *watermark);
/* Read up to capacity rows to rows and their number to *count, the time to *at_ms. RESULT_FULL if there are more. */
enum result packet_read_counts(struct packet_reader *reader, int64_t *at_ms, struct packet_count *rows,
    size_t capacity, size_t *count);
/* As packet_read_watermark. */
enum result packet_read_erase(struct packet_reader *reader, struct packet_erase *erase);
/* As packet_read_watermark. */
enum result packet_read_purge(struct packet_reader *reader, struct packet_purge *purge);

/* As packet_read_watermark. */
enum result packet_read_notice(struct packet_reader *reader, struct packet_notice *notice);

/* The stable name of reason ("gpc", "unknown_property", …) and whether it is a rejection ("rejected") or a drop
 * ("dropped"). Static strings. */
const char *packet_reason_name(enum packet_reason reason);
/* See packet_reason_name. */
const char *packet_reason_kind(enum packet_reason reason);

#endif
