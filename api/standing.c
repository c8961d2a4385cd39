#include "api/standing.h"

enum result standing_read(struct db *db, struct standing *out, struct failure *why)
{
    PGresult *rows = NULL;
    enum result result = db_run(db, "standing",
        "SELECT p.count, coalesce(extract(epoch FROM clock_timestamp() - p.first)::bigint, 0), coalesce(c.size, 0),"
        " coalesce(c.signed_at, 'epoch'), r.count, coalesce(r.first, 'epoch'),"
        " coalesce(r.applied < now() - interval '2 days' AND ((SELECT count(*) FROM subject.retention WHERE store <> 'backup'"
        "   AND clean_through > r.applied) < 2 OR NOT EXISTS (SELECT FROM subject.backup WHERE gone_at IS NULL AND made_at <= r.applied)"
        "   OR EXISTS (SELECT FROM subject.backup WHERE gone_at IS NULL AND expires_at < now() - interval '1 day')), false)"
        " FROM (SELECT count(*), min(written_at) AS first FROM audit.pending) p,"
        " (SELECT count(*), min(purge_due_at) AS first, min(applied_at) AS applied FROM subject.request WHERE purged_at IS NULL AND purge_due_at IS NOT NULL) r"
        " LEFT JOIN (SELECT size, signed_at FROM audit.checkpoint ORDER BY size DESC, signed_at DESC LIMIT 1) c ON true",
        NULL, &rows, why);
    if (result != RESULT_OK)
        return result;
    *out = (struct standing){
        .pending = db_get_int8(rows, 0, 0),
        .pending_s = db_get_int8(rows, 0, 1),
        .size = db_get_int8(rows, 0, 2),
        .signed_at_ms = db_get_time(rows, 0, 3),
        .open_requests = db_get_int8(rows, 0, 4),
        .first_deadline_ms = db_get_time(rows, 0, 5),
        .stalled = db_get_bool(rows, 0, 6),
    };
    PQclear(rows);
    return RESULT_OK;
}
