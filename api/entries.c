#include "api/entries.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compliance/audit/text.h"
#include "compliance/audit/tree.h"
#include "service/base/clock.h"

#define LIMIT 100
#define LIMIT_MAX 1000
#define DAY_MS 86400000LL
#define LINK_BYTES 512
#define ANSWER_BYTES (4l * 1024 * 1024) /* a page ends behind so many bytes */

/* A request, and the answer under way. */
struct ask {
    struct call *call;
    const char *act, *tenant; /* NULL: any */
    const char *from_text, *to_text;
    int32_t from, to; /* days since 1970; meaningful if their texts are there */
    uint64_t after;   /* index; has_after */
    bool has_after;
    uint64_t limit;
    FILE *out;
    int64_t last; /* index of the last entry written */
    bool more;
};

/* --- the request --------------------------------------------------------------------------------------------------- */

static bool is_act(const char *text)
{
    static const char *const acts[] = {
#define ACT(name) name,
#include "compliance/audit/acts.def"
#undef ACT
    };
    for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++) {
        if (strcmp(acts[i], text) == 0)
            return true;
    }
    return false;
}

/* As the name of an app may be; "" asks for what concerns the installation. */
static bool is_tenant(const char *text)
{
    size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-");
    return length <= NAME_MAX_BYTES && text[length] == '\0';
}

static bool read_number(const char *text, uint64_t *out)
{
    return text_decimal((struct text_view){text, strlen(text)}, out);
}

/* NULL: the request is good. Else what is wrong with *field. */
static const char *read_request(struct ask *ask, const char **field)
{
    const char *after = call_argument(ask->call, "after"), *limit = call_argument(ask->call, "limit");
    ask->act = call_argument(ask->call, "act");
    ask->tenant = call_argument(ask->call, "tenant");
    ask->from_text = call_argument(ask->call, "from");
    ask->to_text = call_argument(ask->call, "to");
    ask->limit = LIMIT;
    ask->has_after = after != NULL;
    if (*field = "act", ask->act != NULL && !is_act(ask->act))
        return "no act has this name";
    if (*field = "tenant", ask->tenant != NULL && !is_tenant(ask->tenant))
        return "must be an app's name, or empty";
    if (*field = "from", ask->from_text != NULL && !clock_parse_date(ask->from_text, &ask->from))
        return "must be a date, YYYY-MM-DD";
    if (*field = "to", ask->to_text != NULL && !clock_parse_date(ask->to_text, &ask->to))
        return "must be a date, YYYY-MM-DD";
    if (*field = "after", after != NULL && !read_number(after, &ask->after))
        return "must be an entry's index";
    if (*field = "limit", limit != NULL && (!read_number(limit, &ask->limit) || ask->limit == 0))
        return "must be a positive number";
    if (ask->limit > LIMIT_MAX)
        ask->limit = LIMIT_MAX;
    return NULL;
}

/* --- the answer ---------------------------------------------------------------------------------------------------- */

/* The members of an entry, of a row: index, leaf (null: pruned), hash. The leaf is canonical JSON, and stands as it is. */
static void print_entry(FILE *out, const PGresult *rows, int row)
{
    size_t length = 0;
    char text[TEXT_BASE64_BYTES(TREE_HASH_BYTES)];
    struct text_writer hash = {.bytes = text, .room = sizeof text};
    const uint8_t *bytes = db_get_bytes(rows, row, 2, &length);
    text_put_base64(&hash, bytes, length);
    fprintf(out, "\"index\":%lld,\"hash\":\"%.*s\",\"leaf\":", (long long)db_get_int8(rows, row, 0), (int)hash.length, text);
    if (db_is_null(rows, row, 1)) {
        fputs("null", out);
        return;
    }
    bytes = db_get_bytes(rows, row, 1, &length);
    (void)fwrite(bytes, 1, length, out);
}

static enum result read_size(struct db *db, int64_t *size, struct failure *why)
{
    PGresult *rows = NULL;
    enum result result =
        db_run(db, "entries_size", "SELECT coalesce(max(size), 0) FROM audit.checkpoint", NULL, &rows, why);
    if (result == RESULT_OK)
        *size = db_get_int8(rows, 0, 0);
    PQclear(rows);
    return result;
}

static void put_day(struct db_params *params, const char *text, int32_t day)
{
    if (text == NULL)
        db_null(params);
    else
        db_time(params, day * DAY_MS);
}

/* One more than the limit, to know whether there is another page. */
static enum result read_rows(struct db *db, const struct ask *ask, PGresult **rows, struct failure *why)
{
    struct db_params *params = db_params_new();
    db_int8(params, ask->has_after ? (int64_t)ask->after : -1);
    db_text(params, ask->act);
    db_text(params, ask->tenant);
    put_day(params, ask->from_text, ask->from);
    put_day(params, ask->to_text, ask->to + 1);
    db_int8(params, (int64_t)ask->limit + 1);
    enum result result = db_run(db, "entries_list",
        "SELECT e.index, o.leaf, substr(t.hashes, (e.index % 256)::int * 32 + 1, 32) FROM audit.entry e"
        " JOIN audit.outbox o USING (id) JOIN audit.tile t ON t.level = 0 AND t.index = e.index / 256"
        " WHERE e.index > $1 AND ($2::text IS NULL OR e.act = $2::text) AND ($3::text IS NULL OR e.tenant = $3::text)"
        " AND ($4::timestamptz IS NULL OR e.at >= $4::timestamptz) AND ($5::timestamptz IS NULL OR e.at < $5::timestamptz)"
        " ORDER BY e.index LIMIT $6::bigint",
        params, rows, why);
    db_params_free(params);
    return result;
}

static void print_next(const struct ask *ask)
{
    if (!ask->more) {
        fputs("null", ask->out);
        return;
    }
    fprintf(ask->out, "\"/v1/audit/entries?limit=%llu&after=%lld", (unsigned long long)ask->limit, (long long)ask->last);
    const struct {
        const char *name, *value;
    } filters[] = {{"act", ask->act}, {"tenant", ask->tenant}, {"from", ask->from_text}, {"to", ask->to_text}};
    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
        if (filters[i].value != NULL)
            fprintf(ask->out, "&%s=%s", filters[i].name, filters[i].value);
    }
    fputc('"', ask->out);
}

static void print_rows(struct ask *ask, const PGresult *rows)
{
    int count = PQntuples(rows);
    ask->more = count > (int)ask->limit;
    if (ask->more)
        count = (int)ask->limit;
    for (int row = 0; row < count; row++) {
        if (ftell(ask->out) > ANSWER_BYTES) {
            ask->more = true;
            return;
        }
        fputs(row == 0 ? "{" : ",{", ask->out);
        print_entry(ask->out, rows, row);
        fputc('}', ask->out);
        ask->last = db_get_int8(rows, row, 0);
    }
}

static enum result write_page(struct db *db, struct ask *ask, struct failure *why)
{
    PGresult *rows = NULL;
    int64_t size = 0;
    enum result result = read_size(db, &size, why);
    if (result == RESULT_OK)
        result = read_rows(db, ask, &rows, why);
    if (result != RESULT_OK)
        return result;
    fprintf(ask->out, "{\"size\":%lld,\"entries\":[", (long long)size);
    print_rows(ask, rows);
    PQclear(rows);
    fputs("],\"next\":", ask->out);
    print_next(ask);
    fputc('}', ask->out);
    return RESULT_OK;
}

static enum result write_entry(struct db *db, struct ask *ask, struct failure *why)
{
    PGresult *rows = NULL;
    int64_t size = 0;
    enum result result = read_size(db, &size, why);
    if (result == RESULT_OK)
        result = read_rows(db, ask, &rows, why);
    if (result != RESULT_OK)
        return result;
    bool found = PQntuples(rows) > 0 && db_get_int8(rows, 0, 0) == ask->last;
    if (found) {
        fprintf(ask->out, "{\"size\":%lld,", (long long)size);
        print_entry(ask->out, rows, 0);
        fputc('}', ask->out);
    }
    PQclear(rows);
    return found ? RESULT_OK : RESULT_NOT_FOUND;
}

/* Have `write` write the body, and answer with it. */
static enum MHD_Result respond(struct ask *ask, enum result (*write)(struct db *, struct ask *, struct failure *), const char *what)
{
    struct failure why = {0};
    char *body = NULL;
    size_t length = 0;
    struct call *call = ask->call;
    struct reply reply = {.cache_control = NULL}; /* no-store */
    struct db *db = call_db(call, &why);
    ask->out = open_memstream(&body, &length);
    if (ask->out == NULL)
        return call_unavailable(call);
    enum result result = db == NULL ? RESULT_UNAVAILABLE : write(db, ask, &why);
    bool whole = fclose(ask->out) == 0 && result == RESULT_OK;
    if (!whole) {
        free(body);
        return result == RESULT_NOT_FOUND ? call_not_found(call) : call_unavailable(call);
    }
    journal_count(call->service->journal, &call->identity, JOURNAL_TRAIL, what);
    return call_send(call, &reply, REPLY_JSON, body);
}

enum MHD_Result entries_list(struct call *call)
{
    static const char *const arguments[] = {"act", "tenant", "from", "to", "after", "limit", NULL};
    const char *field = "";
    struct ask ask = {.call = call};
    if (!call_knows_arguments(call, arguments))
        return call_problem(call, MHD_HTTP_BAD_REQUEST, "invalid_parameter", "", "there is a parameter that is not known here");
    const char *wrong = read_request(&ask, &field);
    if (wrong != NULL)
        return call_problem(call, MHD_HTTP_BAD_REQUEST, "invalid_parameter", field, "%s", wrong);
    return respond(&ask, write_page, "entries");
}

enum MHD_Result entries_one(struct call *call, const char *index)
{
    uint64_t number;
    if (!read_number(index, &number))
        return call_not_found(call);
    struct ask ask = {.call = call, .has_after = number > 0, .after = number - 1, .limit = 1, .last = (int64_t)number};
    return respond(&ask, write_entry, "entries");
}
