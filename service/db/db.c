#include "service/db/db.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>


#define EPOCH_DAYS_2000 10957 /* PostgreSQL counts from 2000-01-01 */
#define EPOCH_MS_2000 946684800000LL
#define PREPARED_MAX 256
#define DB_PARAMS_MAX 24

struct db_param {
    Oid type;
    bool null;
    const void *borrowed; /* or NULL: at offset in bytes */
    size_t offset;
    size_t length;
};

struct db_params {
    struct db_param list[DB_PARAMS_MAX];
    int count;
    uint8_t *bytes;
    size_t length, size;
    bool in_array;
    enum db_element element;
    size_t elements;
    bool nulls;
};

struct db {
    char *conninfo;
    char *application;
    PGconn *connection;
    bool reconnected;
    const char *prepared[PREPARED_MAX]; /* names, literals of the callers */
    size_t prepared_count;
};

struct db *db_new(const char *conninfo, const char *application_name)
{
    struct db *db = calloc(1, sizeof *db);
    assert(db != NULL);
    db->conninfo = strdup(conninfo);
    db->application = strdup(application_name);
    assert(db->conninfo != NULL && db->application != NULL);
    return db;
}

void db_disconnect(struct db *db)
{
    if (db->connection != NULL)
        PQfinish(db->connection);
    db->connection = NULL;
    db->prepared_count = 0;
}

void db_free(struct db *db)
{
    if (db == NULL)
        return;
    db_disconnect(db);
    free(db->conninfo);
    free(db->application);
    free(db);
}

/* Notices would go to standard error with the server's words: drop them. */
static void ignore_notice(void *context, const PGresult *result)
{
    (void)context;
    (void)result;
}

/* Why there is no connection. libpq's message may name the address, which is configuration, but also a password's user:
 * it is looked at, never shown. */
static const char *refusal_of(const PGconn *connection)
{
    static const struct {
        const char *in_message;
        const char *text;
    } known[] = {
        {"certificate verify failed", "PostgreSQL's certificate is not trusted or not valid now: check sslrootcert, or renew "
                                      "the certificate"},
        {"does not match host name", "PostgreSQL's certificate is for another host name: use one that it bears as host"},
        {"root certificate file", "the file of CA certificates cannot be read: check sslrootcert"},
        {"SSL was required", "PostgreSQL offers no TLS, which sslmode asks for: set ssl = on in postgresql.conf"},
        {"no encryption", "PostgreSQL's pg_hba.conf has no line for this connection without TLS: check sslmode"},
        {"valid client certificate", "PostgreSQL asks for a client certificate: check sslcert and sslkey"},
    };
    const char *message = PQerrorMessage(connection);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strstr(message, known[i].in_message) != NULL)
            return known[i].text;
    }
    return PQconnectionNeedsPassword(connection) == 1 ? "PostgreSQL asks for a password" : "cannot connect to PostgreSQL";
}

enum result db_connect(struct db *db, struct failure *why)
{
    if (db->connection != NULL && PQstatus(db->connection) == CONNECTION_OK)
        return RESULT_OK;
    db_disconnect(db);
    const char *keys[] = {"dbname", "application_name", "connect_timeout", "client_encoding", NULL};
    const char *values[] = {db->conninfo, db->application, "5", "UTF8", NULL};
    db->connection = PQconnectdbParams(keys, values, 1);
    db->reconnected = true;
    if (PQstatus(db->connection) != CONNECTION_OK) {
        failure_set(why, "postgres.conninfo", "%s", refusal_of(db->connection));
        db_disconnect(db);
        return RESULT_UNAVAILABLE;
    }
    PQsetNoticeReceiver(db->connection, ignore_notice, NULL);
    return RESULT_OK;
}

bool db_was_reconnected(struct db *db)
{
    bool reconnected = db->reconnected;
    db->reconnected = false;
    return reconnected;
}

/* What a failed result means to the caller. */
static enum result explain(struct db *db, const char *name, const PGresult *result, struct failure *why)
{
    const char *state = result == NULL ? NULL : PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (PQstatus(db->connection) != CONNECTION_OK || state == NULL) {
        db_disconnect(db);
        failure_set(why, name, "PostgreSQL went away");
        return RESULT_UNAVAILABLE;
    }
    const char *table = PQresultErrorField(result, PG_DIAG_TABLE_NAME);
    const char *constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
    failure_set(why, name, "PostgreSQL refused the statement: SQLSTATE %s%s%s%s%s", state, table ? ", table " : "",
        table ? table : "", constraint ? ", constraint " : "", constraint ? constraint : "");
    if (strcmp(state, "42501") == 0)
        return RESULT_DENIED;
    if (strncmp(state, "23", 2) == 0 || strncmp(state, "22", 2) == 0)
        return RESULT_INVALID;
    if (strncmp(state, "57P", 3) == 0 || strncmp(state, "08", 2) == 0) {
        db_disconnect(db);
        return RESULT_UNAVAILABLE;
    }
    if (strncmp(state, "40", 2) == 0 || strncmp(state, "53", 2) == 0 || strncmp(state, "55P", 3) == 0)
        return RESULT_UNAVAILABLE;
    return RESULT_FAILED;
}

static enum result settle(struct db *db, const char *name, PGresult *result, PGresult **out, struct failure *why)
{
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        enum result code = explain(db, name, result, why);
        PQclear(result);
        return code;
    }
    if (out != NULL)
        *out = result;
    else
        PQclear(result);
    return RESULT_OK;
}

static enum result prepare(struct db *db, const char *name, const char *sql, const struct db_params *params,
    struct failure *why)
{
    for (size_t i = 0; i < db->prepared_count; i++) {
        if (strcmp(db->prepared[i], name) == 0)
            return RESULT_OK;
    }
    assert(db->prepared_count < PREPARED_MAX);
    Oid types[DB_PARAMS_MAX];
    int count = params == NULL ? 0 : params->count;
    for (int i = 0; i < count; i++)
        types[i] = params->list[i].type;
    enum result result = settle(db, name, PQprepare(db->connection, name, sql, count, types), NULL, why);
    if (result == RESULT_OK)
        db->prepared[db->prepared_count++] = name;
    return result;
}

enum result db_run(struct db *db, const char *name, const char *sql, const struct db_params *params, PGresult **out,
    struct failure *why)
{
    enum result result = db_connect(db, why);
    if (result == RESULT_OK)
        result = prepare(db, name, sql, params, why);
    if (result != RESULT_OK)
        return result;
    const char *values[DB_PARAMS_MAX];
    int lengths[DB_PARAMS_MAX];
    int formats[DB_PARAMS_MAX];
    int count = params == NULL ? 0 : params->count;
    for (int i = 0; i < count; i++) {
        const struct db_param *param = &params->list[i];
        values[i] = NULL;
        if (!param->null)
            values[i] = param->borrowed != NULL ? param->borrowed : (const char *)params->bytes + param->offset;
        lengths[i] = (int)param->length;
        formats[i] = 1;
    }
    return settle(db, name, PQexecPrepared(db->connection, name, count, values, lengths, formats, 1), out, why);
}

enum result db_script(struct db *db, const char *sql, struct failure *why)
{
    enum result result = db_connect(db, why);
    return result != RESULT_OK ? result : settle(db, "script", PQexec(db->connection, sql), NULL, why);
}

#define COPY_CHUNK_BYTES ((size_t)1 << 20)

enum result db_copy(struct db *db, const char *name, const char *sql, const void *bytes, size_t length,
    struct failure *why)
{
    enum result result = db_connect(db, why);
    if (result != RESULT_OK)
        return result;
    PGresult *begun = PQexec(db->connection, sql);
    if (PQresultStatus(begun) != PGRES_COPY_IN)
        return settle(db, name, begun, NULL, why);
    PQclear(begun);
    bool sent = true;
    for (size_t at = 0; sent && at < length; at += COPY_CHUNK_BYTES) {
        size_t chunk = length - at < COPY_CHUNK_BYTES ? length - at : COPY_CHUNK_BYTES;
        sent = PQputCopyData(db->connection, (const char *)bytes + at, (int)chunk) == 1;
    }
    /* What was wrong is told by the result, even if the server stopped listening before all was sent. */
    (void)PQputCopyEnd(db->connection, sent ? NULL : "incomplete");
    PGresult *done = PQgetResult(db->connection);
    for (PGresult *more; (more = PQgetResult(db->connection)) != NULL;)
        PQclear(more);
    return settle(db, name, done, NULL, why);
}

enum result db_transaction(struct db *db, enum result (*body)(struct db *, void *, struct failure *), void *context,
    struct failure *why)
{
    enum result result = db_script(db, "BEGIN", why);
    if (result != RESULT_OK)
        return result;
    result = body(db, context, why);
    if (result == RESULT_OK)
        return db_script(db, "COMMIT", why);
    if (db->connection != NULL)
        (void)db_script(db, "ROLLBACK", NULL);
    return result;
}

/* Parameters */

static const Oid element_oids[] = {
    [DB_ELEMENT_INT4] = 23,
    [DB_ELEMENT_INT8] = 20,
    [DB_ELEMENT_DATE] = 1082,
    [DB_ELEMENT_BYTEA] = 17,
    [DB_ELEMENT_TEXT] = 25,
    [DB_ELEMENT_INT2] = 21,
    [DB_ELEMENT_UUID] = 2950,
    [DB_ELEMENT_BITS] = 1562,
};

static const Oid array_oids[] = {
    [DB_ELEMENT_INT4] = 1007,
    [DB_ELEMENT_INT8] = 1016,
    [DB_ELEMENT_DATE] = 1182,
    [DB_ELEMENT_BYTEA] = 1001,
    [DB_ELEMENT_TEXT] = 1009,
    [DB_ELEMENT_INT2] = 1005,
    [DB_ELEMENT_UUID] = 2951,
    [DB_ELEMENT_BITS] = 1563,
};

/* Room for more bytes at the end of the buffer. */
static uint8_t *grow(struct db_params *params, size_t more)
{
    if (params->length + more > params->size) {
        size_t size = (params->length + more) * 2 + 256;
        uint8_t *bytes = realloc(params->bytes, size);
        assert(bytes != NULL);
        params->bytes = bytes;
        params->size = size;
    }
    uint8_t *to = params->bytes + params->length;
    params->length += more;
    return to;
}

static void put_big(uint8_t *to, uint64_t value, size_t length)
{
    for (size_t i = 0; i < length; i++)
        to[i] = (uint8_t)(value >> (8 * (length - 1 - i)));
}

static struct db_param *next_param(struct db_params *params, Oid type)
{
    assert(params->count < DB_PARAMS_MAX && !params->in_array);
    struct db_param *param = &params->list[params->count++];
    *param = (struct db_param){.type = type, .offset = params->length};
    return param;
}

struct db_params *db_params_new(void)
{
    struct db_params *params = calloc(1, sizeof *params);
    assert(params != NULL);
    return params;
}

void db_params_free(struct db_params *params)
{
    if (params == NULL)
        return;
    free(params->bytes);
    free(params);
}

void db_params_clear(struct db_params *params)
{
    params->count = 0;
    params->length = 0;
    params->in_array = false;
}

static void add_number(struct db_params *params, Oid type, uint64_t value, size_t length)
{
    struct db_param *param = next_param(params, type);
    put_big(grow(params, length), value, length);
    param->length = length;
}

void db_int4(struct db_params *params, int32_t value)
{
    add_number(params, 23, (uint32_t)value, 4);
}

void db_int8(struct db_params *params, int64_t value)
{
    add_number(params, 20, (uint64_t)value, 8);
}

void db_bool(struct db_params *params, bool value)
{
    add_number(params, 16, value ? 1 : 0, 1);
}

void db_date(struct db_params *params, int32_t days)
{
    add_number(params, 1082, (uint32_t)(days - EPOCH_DAYS_2000), 4);
}

void db_time(struct db_params *params, int64_t ms)
{
    add_number(params, 1184, (uint64_t)((ms - EPOCH_MS_2000) * 1000), 8);
}

static void add_borrowed(struct db_params *params, Oid type, const void *value, size_t length)
{
    struct db_param *param = next_param(params, type);
    param->borrowed = value;
    param->length = length;
    param->null = value == NULL;
}

void db_text(struct db_params *params, const char *value)
{
    add_borrowed(params, 25, value, value == NULL ? 0 : strlen(value));
}

void db_bytes(struct db_params *params, const void *value, size_t length)
{
    add_borrowed(params, 17, value, length);
}

void db_uuid(struct db_params *params, const uint8_t *uuid)
{
    add_borrowed(params, 2950, uuid, 16);
}

void db_null(struct db_params *params)
{
    next_param(params, 0)->null = true;
}

/* Binary arrays: ndim, has-null flag, element oid, then per dimension its size and lower bound (array_send). */
#define ARRAY_HEADER_BYTES 20

void db_array_begin(struct db_params *params, enum db_element element)
{
    (void)next_param(params, array_oids[element]);
    params->in_array = true;
    params->element = element;
    params->elements = 0;
    params->nulls = false;
    (void)grow(params, ARRAY_HEADER_BYTES);
}

void db_array_int(struct db_params *params, int64_t value)
{
    assert(params->in_array);
    size_t length = params->element == DB_ELEMENT_INT8 ? 8 : params->element == DB_ELEMENT_INT2 ? 2 : 4;
    if (params->element == DB_ELEMENT_DATE)
        value -= EPOCH_DAYS_2000;
    uint8_t *to = grow(params, 4 + length);
    put_big(to, length, 4);
    put_big(to + 4, (uint64_t)value, length);
    params->elements++;
}

void db_array_bytes(struct db_params *params, const void *value, size_t length)
{
    assert(params->in_array);
    params->elements++;
    if (value == NULL) {
        params->nulls = true;
        put_big(grow(params, 4), UINT32_MAX, 4);
        return;
    }
    size_t prefix = params->element == DB_ELEMENT_BITS ? 4 : 0; /* a bit string begins with its length in bits */
    uint8_t *to = grow(params, 4 + prefix + length);
    put_big(to, prefix + length, 4);
    if (prefix > 0)
        put_big(to + 4, length * 8, 4);
    memcpy(to + 4 + prefix, value, length);
}

void db_array_end(struct db_params *params)
{
    assert(params->in_array);
    params->in_array = false;
    struct db_param *param = &params->list[params->count - 1];
    uint8_t *header = params->bytes + param->offset;
    put_big(header, params->elements > 0 ? 1 : 0, 4);
    put_big(header + 4, params->nulls ? 1 : 0, 4);
    put_big(header + 8, element_oids[params->element], 4);
    put_big(header + 12, params->elements, 4);
    put_big(header + 16, 1, 4);
    /* An empty array has no dimension. */
    param->length = params->elements > 0 ? params->length - param->offset : 12;
}

/* Results */

static uint64_t get_big(const PGresult *result, int row, int column, int length)
{
    assert(PQgetlength(result, row, column) == length);
    const uint8_t *from = (const uint8_t *)PQgetvalue(result, row, column);
    uint64_t value = 0;
    for (int i = 0; i < length; i++)
        value = value << 8 | from[i];
    return value;
}

int32_t db_get_int4(const PGresult *result, int row, int column)
{
    return (int32_t)(uint32_t)get_big(result, row, column, 4);
}

int64_t db_get_int8(const PGresult *result, int row, int column)
{
    return (int64_t)get_big(result, row, column, 8);
}

bool db_get_bool(const PGresult *result, int row, int column)
{
    return get_big(result, row, column, 1) != 0;
}

int32_t db_get_date(const PGresult *result, int row, int column)
{
    int32_t days = db_get_int4(result, row, column);
    return days > INT32_MAX - EPOCH_DAYS_2000 ? INT32_MAX : days + EPOCH_DAYS_2000; /* 'infinity' is the largest */
}

int64_t db_get_time(const PGresult *result, int row, int column)
{
    return db_get_int8(result, row, column) / 1000 + EPOCH_MS_2000;
}

const char *db_get_text(const PGresult *result, int row, int column)
{
    return PQgetvalue(result, row, column);
}

const uint8_t *db_get_bytes(const PGresult *result, int row, int column, size_t *length)
{
    *length = (size_t)PQgetlength(result, row, column);
    return (const uint8_t *)PQgetvalue(result, row, column);
}

bool db_is_null(const PGresult *result, int row, int column)
{
    return PQgetisnull(result, row, column) == 1;
}
