/*
 * Gathered: what the reports say, summed up from one pass over the leaves. Grows with apps, months, keys, requests and the like,
 * not with leaves.
 *
 * Sees:     leaves and definitions.
 * Uses:     compliance/meaning, jansson.
 * Threads:  one.
 * Failure:  RESULT_FULL without memory, what the source returns.
 */
#ifndef THRONG_REPORT_GATHERED_H
#define THRONG_REPORT_GATHERED_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "compliance/meaning/civil.h"
#include "compliance/meaning/decimal.h"
#include "compliance/meaning/hashed.h"
#include "compliance/meaning/parsed.h"
#include "compliance/meaning/source.h"

#define GATHERED_NAME 64
#define GATHERED_KEY uint8_t key[HASHED_KEY_BYTES]

/* Times are ms since 1970; 0: it did not happen, or no entry says so. An entry is its index + 1; 0: none. */

struct gathered_act {
    GATHERED_KEY;
    char name[GATHERED_NAME];
    uint64_t ok, denied, failed;
    int64_t first_ms, last_ms;
};

struct gathered_app {
    GATHERED_KEY;
    char name[GATHERED_NAME], preset[16], mode[12];
    char hash[65], population[GATHERED_NAME];
    int64_t version, added_ms, changed_ms;
    uint64_t entry; /* that put the newest definition in force */
    bool twin;
    json_t *definition; /* owned; NULL: not there */
};

struct gathered_month {
    GATHERED_KEY;
    char population[GATHERED_NAME], month[CIVIL_DATE_BYTES], app[GATHERED_NAME], preset[16];
    int64_t k;
    bool planned, noise;
    decimal_units total, reserved; /* what it may cost; what it costs */
    uint64_t families, unreserved; /* with noise; of them without a reservation */
    uint64_t entry;
};

struct gathered_family {
    GATHERED_KEY;
    char population[GATHERED_NAME], month[CIVIL_DATE_BYTES], app[GATHERED_NAME], family[GATHERED_NAME], sigma2[48], preset[16];
    int64_t l2;
    decimal_units rho;
    bool reserved;
    uint64_t entry;
};

/* Releases of an app by the month that their periods begin in. */
struct gathered_released {
    GATHERED_KEY;
    char app[GATHERED_NAME], month[CIVIL_DATE_BYTES];
    uint64_t releases, dp, threshold, unprotected, refused, cells, suppressed;
    int64_t k_least, k_most;
};

struct gathered_key {
    GATHERED_KEY;
    char app[GATHERED_NAME], commitment[65], ring[65], former[65];
    const char *origin; /* static: "born", "ratcheted", "rotated", "joined" */
    int64_t epoch, born_ms, ended_ms;
    uint64_t born, ended, joined; /* entries; joined: how many nodes took it over */
};

struct gathered_request {
    GATHERED_KEY;
    char id[PARSED_UUID_BYTES], kind[12], app[GATHERED_NAME];
    int64_t received_ms, due_ms, applied_ms, purge_due_ms, purged_ms, refused_ms;
    uint64_t received, applied, purged, refused;
};

/* Who read, or was denied, what in which month. */
struct gathered_access {
    GATHERED_KEY;
    char month[8], type[20], actor[201], what[GATHERED_NAME];
    bool denied, trail;
    uint64_t count, entries;
};

/* A key to the service itself. */
struct gathered_credential {
    GATHERED_KEY;
    char id[PARSED_UUID_BYTES], app[GATHERED_NAME], scope[12], hint[17];
    int64_t made_ms, revoked_ms;
};

struct gathered_backup {
    GATHERED_KEY;
    char id[PARSED_UUID_BYTES], hash[65];
    int64_t made_ms, expires_ms, gone_ms;
};

struct gathered_purge {
    GATHERED_KEY;
    char app[GATHERED_NAME];
    int64_t ordered_ms, done_ms, shards;
    uint64_t entry;
};

struct gathered_incident {
    GATHERED_KEY;
    char id[PARSED_UUID_BYTES], app[GATHERED_NAME], kind[20];
    int64_t opened_ms, closed_ms;
    uint64_t entry;
};

/* An app's month: what came in, what went. Numbers of events are powers of two in the trail: so these are sums of lower bounds. */
struct gathered_flow {
    GATHERED_KEY;
    char app[GATHERED_NAME], month[CIVIL_DATE_BYTES];
    uint64_t days, accepted, rejected, dropped, duplicate, late;
    uint64_t expired_people, expired_days, marks; /* of state and tombstones that went at their end */
    uint64_t tests, test_places, tests_failed;
};

/* Something out of the ordinary that is no incident somebody opened. */
struct gathered_notable {
    GATHERED_KEY;
    uint64_t entry;
    int64_t at_ms;
    char act[GATHERED_NAME], app[GATHERED_NAME], detail[160];
};

struct gathered_daemon {
    GATHERED_KEY;
    char name[201], version[65], binary[65], configuration[65];
    int64_t first_ms, last_ms;
    uint64_t starts;
};

struct gathered {
    const struct source *source;
    uint64_t leaves, unknown; /* unknown: of an act or form that this version does not know */
    int64_t oldest_ms, newest_ms;
    char log_key[501];
    uint64_t pruned_said;
    struct hashed acts, apps, months, families, released, keys, requests, access, credentials, backups, purges, incidents, flows,
        notables, daemons;
};

/* Begin; borrows source until gathered_free. */
void gathered_begin(struct gathered *gathered, const struct source *source);
/* Take a leaf, number index. Leaves come in ascending order. */
enum result gathered_take(struct gathered *gathered, const struct parsed *leaf, uint64_t index, struct failure *why);
/* After the last leaf: everything in the order in which it is shown. */
void gathered_end(struct gathered *gathered);
/* Free what gathered owns. */
void gathered_free(struct gathered *gathered);

/* The app of that name; NULL if there is none. Before and after gathered_end. */
const struct gathered_app *gathered_app(const struct gathered *gathered, const char *name);
/* How often an act was recorded with outcome ok. */
uint64_t gathered_count(const struct gathered *gathered, const char *act);

#endif
