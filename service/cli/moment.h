/*
 * Moments as people and logs write them: epoch milliseconds, RFC 3339, or a local date and time in one zone.
 *
 * Sees:     timestamps only.
 * Uses:     libc's time zones (TZ), service/base/clock.
 * Threads:  one: the zone is the process's.
 * Failure:  false, outputs untouched; moment_set_zone: RESULT_NOT_FOUND.
 */
#ifndef THRONG_CLI_MOMENT_H
#define THRONG_CLI_MOMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "schema/failure.h"
#include "service/base/clock.h"

#define MOMENT_DATE_BYTES CLOCK_DATE_BYTES

/* Local times mean zone (an IANA name) from now on in this process. RESULT_NOT_FOUND if this machine does not know it:
 * libc would silently take UTC. */
enum result moment_set_zone(const char *zone, struct failure *why);

/* Read text: epoch milliseconds (from 1973 on: shorter numbers are probably seconds and refused), RFC 3339, or
 * YYYY-MM-DD[ HH:MM[:SS[.fraction]]] (T or a space) as local time. *ms lies in [TS_MIN_MS, TS_MAX_MS). A time that the
 * zone skips is moved forward, the first of a doubled one is not preferred over the second: as mktime(3) decides. */
bool moment_parse(const char *text, int64_t *ms);

/* Read YYYY-MM-DD as days since 1970-01-01. */
bool moment_parse_date(const char *text, int32_t *days);

/* ms of a civil UTC time; month 1 to 12. False if no calendar has it. */
bool moment_from_utc(int year, unsigned month, unsigned day, unsigned hour, unsigned minute, unsigned second,
    int64_t *ms);

/* Write days since 1970 as YYYY-MM-DD to out. Returns out. */
char *moment_format_date(int32_t days, char out[MOMENT_DATE_BYTES]);

#endif
