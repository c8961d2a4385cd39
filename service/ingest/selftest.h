/*
 * The self-test: a random canary takes an identifier's way (parsing, keyd, the forming of packets) up to where it would be
 * sent, and then must be nowhere: not in the packet, nor in the answer, nor in a file of the state directory or the log. It is
 * looked for as bytes, in hexadecimal and in base64. No event of an app comes of it.
 *
 * Sees:     the canary, which is nobody's.
 * Uses:     request, keyd, batch, mirror; files.
 * Threads:  selftest_run in any, one at a time; selftest_is_failed in any.
 * Failure:  RESULT_UNAVAILABLE: it could not be run now.
 */
#ifndef THRONG_INGEST_SELFTEST_H
#define THRONG_INGEST_SELFTEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "anonymizer/edge/keyd.h"
#include "schema/failure.h"
#include "service/ingest/mirror.h"
#include "service/ingest/notices.h"

#define SELFTEST_CANARY_BYTES 16
#define SELFTEST_FORMS_MAX 24

struct selftest;

struct selftest_parts {
    const char *directory; /* ingest.state */
    struct keyd *keyd;
    struct mirror *mirror;
    struct notices *notices;
    uint64_t node;
    int64_t interval_ms;
};

/* Parts are borrowed. NULL if memory is short. */
struct selftest *selftest_new(const struct selftest_parts *parts);
/* Free; NULL is allowed. */
void selftest_free(struct selftest *selftest);

/* Run it now and tell notices. *places: where it was looked for; *found: where it was (0: passed). After one that failed
 * selftest_is_failed() is true as long as the process lives. */
enum result selftest_run(struct selftest *selftest, size_t *places, size_t *found, struct failure *why);

/* Run it if interval_ms have passed, at now_ms (steady). */
void selftest_run_due(struct selftest *selftest, int64_t now_ms);

/* Whether one has failed: no event may be taken. */
bool selftest_is_failed(const struct selftest *selftest);

/* What gives a canary away. */
struct selftest_forms {
    size_t count;
    struct {
        size_t length;
        char bytes[4 * SELFTEST_CANARY_BYTES + 8];
    } form[SELFTEST_FORMS_MAX];
};

/* All forms of canary, and of it as the text of hexadecimal digits that is sent. */
void selftest_forms(const uint8_t canary[SELFTEST_CANARY_BYTES], struct selftest_forms *out);

/* Whether one of them is in bytes[0..length-1]. */
bool selftest_is_in(const struct selftest_forms *forms, const void *bytes, size_t length);

/* How many regular files in directory and below, changed since since_s (seconds since 1970), hold one; *places grows by
 * those looked at. Of a long file, the end. */
size_t selftest_scan(const struct selftest_forms *forms, const char *directory, int64_t since_s, size_t *places);

#endif
