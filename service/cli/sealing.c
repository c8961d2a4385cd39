#include "service/cli/sealing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "service/base/clock.h"
#include "service/cli/act.h"
#include "service/cli/interrupt.h"
#include "service/cli/moment.h"
#include "service/cli/nodes.h"
#include "service/cli/progress.h"

#define POLL_MS 250
#define SILENT_MS 15000

/* How far releases are. */
struct reached {
    bool any;
    int32_t first, through; /* through: sessions, the later stage */
};

static enum result read_reached(struct db *db, const struct apps_row *row, struct reached *out, struct failure *why)
{
    PGresult *rows = NULL;
    struct db_params *params = db_params_new();
    db_int4(params, row->id);
    enum result result = db_run(db, "sealing_reached",
        "SELECT first_day, least(sessions_through, activity_through) FROM release.progress"
        " WHERE app = $1 AND sessions_through IS NOT NULL AND activity_through IS NOT NULL",
        params, &rows, why);
    db_params_free(params);
    if (result != RESULT_OK)
        return result;
    out->any = PQntuples(rows) == 1;
    if (out->any) {
        out->first = db_get_date(rows, 0, 0);
        out->through = db_get_date(rows, 0, 1);
    }
    PQclear(rows);
    return RESULT_OK;
}

static enum result insert_request(struct db *db, const struct sealing *sealing, const struct act *act,
    struct failure *why)
{
    struct db_params *params = db_params_new();
    db_int4(params, sealing->row->id);
    db_date(params, sealing->through);
    db_bool(params, sealing->force);
    db_uuid(params, act->head.id);
    enum result result = db_run(db, "sealing_request",
        "INSERT INTO config.seal_request (app, through, force, leaf) VALUES ($1, $2, $3, $4)", params, NULL, why);
    db_params_free(params);
    return result;
}

static enum result request_in_transaction(struct db *db, void *context, struct failure *why)
{
    const struct sealing *sealing = context;
    struct act act;
    char date[MOMENT_DATE_BYTES];
    enum result result = act_begin(db, "seal_requested", sealing->row->app.name, &act, why);
    if (result == RESULT_OK) {
        leaf_int(act.leaf, "force", sealing->force);
        leaf_text(act.leaf, "through", moment_format_date(sealing->through, date));
        result = act_append(db, &act, why);
    }
    if (result == RESULT_OK)
        result = insert_request(db, sealing, &act, why);
    act_free(&act);
    return result;
}

static enum result check_day(const struct sealing *sealing, struct failure *why)
{
    int32_t today;
    enum result result = apps_today(sealing->owner, sealing->row->app.time_zone, &today, why);
    if (result != RESULT_OK)
        return result;
    if (sealing->through > today) {
        failure_set(why, "through", "lies in the future");
        return RESULT_INVALID;
    }
    if (sealing->through == today && !sealing->force) {
        failure_set(why, "through", "is today, and today is not over: what comes later would be lost; --force seals it");
        return RESULT_INVALID;
    }
    return RESULT_OK;
}

/* Say which nodes hold the seal back; forced: what is abandoned with them. */
static enum result say_blocking(const struct sealing *sealing, int64_t at_ms, struct failure *why)
{
    struct nodes_row *nodes = NULL;
    size_t count = 0, blocking = 0;
    char id[NODES_ID_BYTES], heard[32];
    enum result result = nodes_list(sealing->owner, &nodes, &count, why);
    if (result != RESULT_OK)
        return result;
    for (size_t i = 0; i < count; i++) {
        if (!nodes_blocks(&nodes[i], at_ms))
            continue;
        blocking++;
        nodes_format_id(nodes[i].node, id);
        clock_format(nodes[i].heard_ms, heard, sizeof heard);
        if (sealing->force)
            fprintf(stderr, "abandoned: what node %s (last heard %s) still has for these days; it will count as late\n", id,
                heard);
        else
            fprintf(stderr, "waiting for node %s, last heard %s; if it will not come back: throng node retire %s\n", id,
                heard, id);
    }
    free(nodes);
    if (blocking == 0 && !sealing->force)
        fputs("waiting; no node is silent: `throng status` shows whether the aggregator and the release job run\n", stderr);
    else if (blocking == 0)
        fputs("--force abandons nothing: no node is behind\n", stderr);
    return RESULT_OK;
}

static double fraction_of(const struct sealing *sealing, const struct reached *reached)
{
    if (!reached->any || sealing->through <= reached->first)
        return 0;
    return (double)(reached->through - reached->first + 1) / (double)(sealing->through - reached->first + 1);
}

static enum result wait_released(const struct sealing *sealing, struct db *reader, struct failure *why)
{
    struct progress progress;
    struct reached reached = {0};
    struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
    char note[64], date[MOMENT_DATE_BYTES];
    enum result result;
    int64_t asked_ms = clock_now_ms(), begun_ms = clock_steady_ms(), moved_ms = begun_ms;
    int32_t last = INT32_MIN;
    bool said = false;
    interrupt_say("\ninterrupted: the request stays, and days go on closing; the same `throng seal` again waits on\n");
    progress_begin(&progress, sealing->context->terminal, "seal");
    while ((result = read_reached(reader, sealing->row, &reached, why)) == RESULT_OK) {
        int64_t now_ms = clock_steady_ms();
        if (reached.any && reached.through >= sealing->through)
            break;
        if (reached.any && reached.through != last) {
            last = reached.through;
            moved_ms = now_ms;
        }
        if (now_ms - begun_ms > sealing->timeout_s * 1000) {
            failure_set(why, "timeout", "not everything is released yet; the request stays, and `throng seal` again waits on");
            result = RESULT_UNAVAILABLE;
            break;
        }
        if (!said && now_ms - moved_ms > SILENT_MS) {
            progress_end(&progress);
            result = say_blocking(sealing, asked_ms, why);
            said = true;
        }
        if (result != RESULT_OK)
            break;
        snprintf(note, sizeof note, "released through %s", reached.any ? moment_format_date(reached.through, date) : "-");
        progress_update(&progress, fraction_of(sealing, &reached), note);
        nanosleep(&pause, NULL);
    }
    progress_end(&progress);
    return result;
}

static enum result count_released(struct sealing *sealing, struct db *reader, int32_t after, struct failure *why)
{
    PGresult *rows = NULL;
    struct db_params *params = db_params_new();
    db_int4(params, sealing->row->id);
    db_date(params, after);
    db_date(params, sealing->through);
    enum result result = db_run(reader, "sealing_count",
        "SELECT count(DISTINCT r.period) FILTER (WHERE r.interval = 'day'), count(DISTINCT r.leaf), count(v.metric),"
        " count(v.metric) FILTER (WHERE v.value IS NULL) FROM release.release r LEFT JOIN release.value v USING (leaf)"
        " WHERE r.app = $1 AND r.period > $2 AND r.period <= $3",
        params, &rows, why);
    db_params_free(params);
    if (result != RESULT_OK)
        return result;
    sealing->days = db_get_int8(rows, 0, 0);
    sealing->releases = db_get_int8(rows, 0, 1);
    sealing->values = db_get_int8(rows, 0, 2);
    sealing->suppressed = db_get_int8(rows, 0, 3);
    PQclear(rows);
    return RESULT_OK;
}

static enum result seal_with(struct sealing *sealing, struct db *reader, struct failure *why)
{
    struct reached before = {0};
    enum result result = read_reached(reader, sealing->row, &before, why);
    if (result != RESULT_OK)
        return result;
    sealing->was_sealed = before.any && before.through >= sealing->through;
    if (!sealing->was_sealed) {
        result = check_day(sealing, why);
        if (result == RESULT_OK && sealing->force)
            result = say_blocking(sealing, clock_now_ms() - 5000, why);
        if (result == RESULT_OK)
            result = db_transaction(sealing->owner, request_in_transaction, sealing, why);
        if (result == RESULT_OK)
            result = wait_released(sealing, reader, why);
        if (result == RESULT_OK)
            result = count_released(sealing, reader, before.any ? before.through : -25000, why);
    }
    if (result == RESULT_OK)
        result = apps_set_importing(sealing->owner, sealing->row, false, why);
    return result;
}

enum result sealing_run(struct sealing *sealing, struct failure *why)
{
    if (sealing->row->twin) {
        failure_set(why, "APP", "is a test app: nothing of it is released");
        return RESULT_INVALID;
    }
    struct db *reader = command_db(sealing->context, "seal", false);
    if (reader == NULL) {
        failure_set(why, "postgres.read_conninfo", "no connection as throng_read");
        return RESULT_UNAVAILABLE;
    }
    enum result result = seal_with(sealing, reader, why);
    db_free(reader);
    return result;
}
