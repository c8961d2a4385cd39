#include "service/aggregate/accounts.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "schema/packet.h"
#include "service/aggregate/acts.h"
#include "service/aggregate/rows.h"
#include "service/base/clock.h"

#define EXACT_BYTES 4096
#define DAY_BYTES 16

/* One app's day. */
struct account {
    uint32_t app;
    int32_t day;
    int64_t accepted, duplicate, late, dropped;
    int64_t refused[PACKET_REASONS];
};

static const char *format_day(int32_t day, char out[DAY_BYTES])
{
    int year;
    unsigned month;
    unsigned date;
    clock_civil_from_days(day, &year, &month, &date);
    (void)snprintf(out, DAY_BYTES, "%04d-%02u-%02u", year % 10000, month % 100, date % 100);
    return out;
}

/* The rejected reasons in the order of their names, as a canonical object has them. Returns how many. */
static size_t sort_reasons(enum packet_reason out[PACKET_REASONS])
{
    size_t count = 0;
    for (enum packet_reason reason = 0; reason < PACKET_REASONS; reason++) {
        if (strcmp(packet_reason_kind(reason), "rejected") != 0)
            continue;
        size_t at = count++;
        for (; at > 0 && strcmp(packet_reason_name(out[at - 1]), packet_reason_name(reason)) > 0; at--)
            out[at] = out[at - 1];
        out[at] = reason;
    }
    return count;
}

/* The exact numbers as canonical JSON (RFC 8785). */
static size_t write_exact(const struct account *account, char out[EXACT_BYTES])
{
    enum packet_reason reasons[PACKET_REASONS];
    size_t count = sort_reasons(reasons);
    size_t used = (size_t)snprintf(out, EXACT_BYTES,
        "{\"accepted\":%" PRId64 ",\"dropped\":%" PRId64 ",\"duplicate\":%" PRId64 ",\"late\":%" PRId64 ",\"rejected\":{",
        account->accepted, account->dropped, account->duplicate, account->late);
    bool first = true;
    for (size_t i = 0; i < count; i++) {
        if (account->refused[reasons[i]] == 0)
            continue;
        used += (size_t)snprintf(out + used, EXACT_BYTES - used, "%s\"%s\":%" PRId64, first ? "" : ",",
            packet_reason_name(reasons[i]), account->refused[reasons[i]]);
        first = false;
    }
    used += (size_t)snprintf(out + used, EXACT_BYTES - used, "}}");
    return used;
}

/* What proves the exact numbers to whom they are shown: HMAC-SHA-256 by the leaf's nonce. */
static void commit_exact(const struct account *account, const uint8_t nonce[16], uint8_t out[32])
{
    char text[EXACT_BYTES];
    crypto_auth_hmacsha256_state state;
    size_t length = write_exact(account, text);
    (void)crypto_auth_hmacsha256_init(&state, nonce, 16);
    (void)crypto_auth_hmacsha256_update(&state, (const unsigned char *)text, length);
    (void)crypto_auth_hmacsha256_final(&state, out);
}

static enum result append_account(struct db *db, const struct directory *directory, const struct account *account,
    struct failure *why)
{
    struct trail trail;
    char day[DAY_BYTES];
    uint8_t exact[32];
    enum packet_reason reasons[PACKET_REASONS];
    size_t count = sort_reasons(reasons);
    enum result result = acts_begin("ingestion", directory, account->app, LEAF_OK, NULL, &trail);
    if (result == RESULT_OK) {
        commit_exact(account, trail.head.nonce, exact);
        leaf_int(trail.leaf, "accepted", acts_power_of_two(account->accepted));
        leaf_text(trail.leaf, "day", format_day(account->day, day));
        /* Without those of who objected or was erased: one person's, they would say that this person is there. */
        leaf_int(trail.leaf, "dropped", acts_power_of_two(account->dropped - account->refused[PACKET_REASON_OBJECTION] -
            account->refused[PACKET_REASON_ERASED]));
        leaf_int(trail.leaf, "duplicate", acts_power_of_two(account->duplicate));
        acts_hash(trail.leaf, "exact", exact);
        leaf_int(trail.leaf, "late", acts_power_of_two(account->late));
        leaf_object(trail.leaf, "rejected");
        for (size_t i = 0; i < count; i++) {
            if (account->refused[reasons[i]] > 0)
                leaf_int(trail.leaf, packet_reason_name(reasons[i]), acts_power_of_two(account->refused[reasons[i]]));
        }
        leaf_close(trail.leaf);
        result = trail_append(db, &trail, why);
    }
    trail_free(&trail);
    return result;
}

static void add_refused(struct account *account, const char *name, int64_t count)
{
    for (enum packet_reason reason = 0; reason < PACKET_REASONS; reason++) {
        if (strcmp(packet_reason_name(reason), name) != 0)
            continue;
        account->refused[reason] += count;
        if (strcmp(packet_reason_kind(reason), "dropped") == 0)
            account->dropped += count;
    }
}

/* $1: the last day to tell. One row an app, day and reason; '' has what was acknowledged. */
static const char account_sql[] =
    "WITH days AS (SELECT $1::date AS last, (SELECT coalesce(through, '-infinity') FROM subject.account) AS told)"
    " SELECT app, day, '' AS reason, sum(counted + duplicate + late)::bigint, sum(duplicate)::bigint, sum(late)::bigint"
    "   FROM state.tally, days WHERE day > told AND day <= last GROUP BY app, day"
    " UNION ALL SELECT app, day, reason, sum(count)::bigint, 0, 0"
    "   FROM state.refused, days WHERE app > 0 AND day > told AND day <= last GROUP BY app, day, reason ORDER BY day, app, reason";

/* What the log has of the days after those that the database knows to be told: normally nothing. */
static const char told_sql[] =
    "SELECT t.day, coalesce(a.app, 0) FROM audit.ingestion_told((SELECT coalesce(through, '-infinity') FROM subject.account)) AS t"
    " LEFT JOIN config.app AS a ON a.name = t.tenant";

static bool is_told(const PGresult *told, const struct account *account)
{
    for (int i = 0; i < PQntuples(told); i++) {
        if (!db_is_null(told, i, 0) && db_get_date(told, i, 0) == account->day && (uint32_t)db_get_int4(told, i, 1) == account->app)
            return true;
    }
    return false;
}

static bool is_known(const PGresult *told)
{
    for (int i = 0; i < PQntuples(told); i++) {
        if (db_is_null(told, i, 0))
            return false;
    }
    return true;
}

/* Tell the days up to the one in params, but for those that are told. */
static enum result tell_days(struct db *db, const struct directory *directory, struct db_params *params, const PGresult *told,
    struct failure *why)
{
    PGresult *rows = NULL;
    enum result result = db_run(db, "accounts.days", account_sql, params, &rows, why);
    int count = result == RESULT_OK ? PQntuples(rows) : 0;
    for (int i = 0; result == RESULT_OK && i < count;) {
        struct account account = {.app = (uint32_t)db_get_int4(rows, i, 0), .day = db_get_date(rows, i, 1)};
        for (; i < count && (uint32_t)db_get_int4(rows, i, 0) == account.app && db_get_date(rows, i, 1) == account.day; i++) {
            const char *reason = db_get_text(rows, i, 2);
            if (reason[0] != '\0') {
                add_refused(&account, reason, db_get_int8(rows, i, 3));
                continue;
            }
            account.accepted = db_get_int8(rows, i, 3);
            account.duplicate = db_get_int8(rows, i, 4);
            account.late = db_get_int8(rows, i, 5);
        }
        if (!is_told(told, &account))
            result = append_account(db, directory, &account, why);
    }
    PQclear(rows);
    if (result == RESULT_OK)
        result = db_run(db, "accounts.told",
            "UPDATE subject.account SET through = $1::date WHERE through IS NULL OR through < $1::date", params, NULL, why);
    return result;
}

enum result accounts_tell_ingestion(struct db *db, const struct directory *directory, int32_t today, struct failure *why)
{
    PGresult *told = NULL;
    struct db_params *params = db_params_new();
    db_date(params, today - ACCOUNTS_AGE_DAYS);
    enum result result = db_run(db, "accounts.log", told_sql, NULL, &told, why);
    if (result == RESULT_OK && is_known(told))
        result = tell_days(db, directory, params, told, why);
    PQclear(told);
    db_params_free(params);
    return result;
}

enum result accounts_tell_expiry(struct db *db, const struct directory *directory, int32_t today, struct failure *why)
{
    PGresult *rows = NULL;
    struct db_params *params = db_params_new();
    db_date(params, today);
    enum result result = rows_run(db, "accounts.expired",
        "WITH gone AS (DELETE FROM subject.expired WHERE day < $1 RETURNING app, day, people)"
        " SELECT app, day, sum(people)::bigint FROM gone GROUP BY app, day ORDER BY day, app", params, &rows, why);
    for (int i = 0; result == RESULT_OK && i < PQntuples(rows); i++) {
        struct trail trail;
        char day[DAY_BYTES];
        result = acts_begin("state_expired", directory, (uint32_t)db_get_int4(rows, i, 0), LEAF_OK, NULL, &trail);
        if (result == RESULT_OK) {
            leaf_text(trail.leaf, "day", format_day(db_get_date(rows, i, 1), day));
            leaf_int(trail.leaf, "people", acts_power_of_two(db_get_int8(rows, i, 2)));
            result = trail_append(db, &trail, why);
        }
        trail_free(&trail);
    }
    PQclear(rows);
    return result;
}

enum result accounts_tell_tests(struct db *db, int32_t today, struct failure *why)
{
    PGresult *rows = NULL;
    struct db_params *params = db_params_new();
    db_date(params, today);
    enum result result = rows_run(db, "accounts.tests",
        "WITH gone AS (DELETE FROM subject.self_test WHERE day < $1 RETURNING day, runs, places)"
        " SELECT runs, places FROM gone ORDER BY day", params, &rows, why);
    for (int i = 0; result == RESULT_OK && i < PQntuples(rows); i++) {
        struct trail trail;
        result = trail_begin("self_test_passed", "", "ingest", LEAF_OK, NULL, &trail);
        if (result == RESULT_OK) {
            leaf_int(trail.leaf, "places", db_get_int8(rows, i, 1));
            leaf_int(trail.leaf, "runs", db_get_int8(rows, i, 0));
            result = trail_append(db, &trail, why);
        }
        trail_free(&trail);
    }
    PQclear(rows);
    return result;
}
