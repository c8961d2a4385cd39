/*
 * A private PostgreSQL for one test program, with our schema in its database "throng": in a fresh folder, on a unix socket,
 * gone afterwards. The program includes this once; cluster_start and cluster_stop are its group's set-up and tear-down, or
 * their first and last acts.
 */
#ifndef THRONG_TESTS_CLUSTER_H
#define THRONG_TESTS_CLUSTER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "service/db/db.h"

static struct {
    char directory[64];
    const char *as;   /* prefix of commands that must not run as root */
    struct db *owner; /* the superuser */
    PGconn *reader;   /* for what a test asks */
} cluster;

__attribute__((format(printf, 1, 2))) static inline void cluster_shell(const char *format, ...)
{
    char command[2048];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    assert_int_equal(system(command), 0);
}

/* Run statements as the superuser. */
static inline void cluster_sql(const char *text)
{
    PGresult *result = PQexec(cluster.reader, text);
    if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
        fail_msg("%s", PQerrorMessage(cluster.reader));
    PQclear(result);
}

/* The only value of query. */
static inline int64_t cluster_number(const char *query)
{
    PGresult *result = PQexec(cluster.reader, query);
    if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1)
        fail_msg("%s", PQerrorMessage(cluster.reader));
    int64_t value = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    return value;
}

/* The first column of query's rows, one a line; owned by the caller. */
static inline char *cluster_rows(const char *query)
{
    PGresult *result = PQexec(cluster.reader, query);
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        fail_msg("%s", PQerrorMessage(cluster.reader));
    size_t length = 0;
    char *text = calloc(1, 1);
    for (int i = 0; i < PQntuples(result); i++) {
        const char *row = PQgetvalue(result, i, 0);
        size_t more = strlen(row);
        text = realloc(text, length + more + 2);
        memcpy(text + length, row, more);
        text[length + more] = '\n';
        length += more + 1;
        text[length] = '\0';
    }
    PQclear(result);
    return text;
}

/* Fail unless two queries have the same rows. */
static inline void cluster_compare(const char *what, const char *have, const char *want)
{
    char query[8192];
    (void)snprintf(query, sizeof query, "SELECT x FROM (SELECT 'have ' || h::text AS x FROM (%s EXCEPT ALL %s) h UNION ALL"
        " SELECT 'want ' || w::text FROM (%s EXCEPT ALL %s) w) d ORDER BY 1 LIMIT 10", have, want, want, have);
    char *rows = cluster_rows(query);
    if (rows[0] != '\0')
        fail_msg("%s:\n%s", what, rows);
    free(rows);
}

/* An installation of four shards with the app "crowd", which has views of pages and preset exact. */
static inline void cluster_add_crowd(const char *zone, const char *created_at)
{
    char text[2048];
    (void)snprintf(text, sizeof text, "INSERT INTO config.installation (shards) VALUES (4);"
        "INSERT INTO audit.outbox (id, act, leaf) VALUES (gen_random_uuid(), 'app_added', '{}');"
        "INSERT INTO config.app (name, population, time_zone, created_at, leaf)"
        " SELECT 'crowd', 'everyone', '%s', '%s', id FROM audit.outbox LIMIT 1;"
        "INSERT INTO config.definition (app, version, body, hash, leaf) SELECT app, 1, '{\"name\":\"crowd\","
        "\"population\":\"everyone\",\"time_zone\":\"%s\",\"events\":[{\"name\":\"page_view\",\"kind\":\"view\"}],"
        "\"privacy\":{\"preset\":\"exact\",\"allow_unprotected\":true,\"k\":1}}', decode(repeat('00', 32), 'hex'), leaf"
        " FROM config.app", zone, created_at, zone);
    cluster_sql(text);
}

/* A new connection as role; owned by the caller. */
static inline struct db *cluster_connect(const char *role, const char *application)
{
    char conninfo[256];
    (void)snprintf(conninfo, sizeof conninfo, "host=%s dbname=throng user=%s", cluster.directory, role);
    return db_new(conninfo, application);
}

static inline int cluster_start(void **state)
{
    (void)state;
    (void)strcpy(cluster.directory, "/tmp/throng-test-XXXXXX");
    if (mkdtemp(cluster.directory) == NULL)
        return -1;
    const char *at = cluster.directory;
    cluster.as = geteuid() == 0 ? "setpriv --reuid=nobody --regid=nogroup --clear-groups" : "";
    if (geteuid() == 0)
        cluster_shell("chown nobody:nogroup %s", at);
    cluster_shell(
        "cd %s && PATH=$(ls -d /usr/lib/postgresql/*/bin | tail -1):$PATH && %s initdb -A trust -U postgres -E UTF8 --locale=C "
        "--no-sync -D %s/data >%s/log 2>&1 && %s pg_ctl -w -D %s/data -l %s/server.log -o \"-k %s -c listen_addresses='' "
        "-c fsync=${THRONG_TEST_FSYNC:-off} -c dynamic_shared_memory_type=mmap -c shared_memory_type=mmap\" start >>%s/log 2>&1",
        at, cluster.as, at, at, cluster.as, at, at, at, at);
    cluster_shell("psql -q -h %s -U postgres -d postgres -c 'CREATE DATABASE throng'", at);
    cluster_shell("for f in schema/sql/*.sql; do psql -q -h %s -U postgres -d throng -v ON_ERROR_STOP=1 -f $f || exit 1; done",
        at);
    char conninfo[256];
    (void)snprintf(conninfo, sizeof conninfo, "host=%s dbname=throng user=postgres", at);
    cluster.owner = db_new(conninfo, "test");
    cluster.reader = PQconnectdb(conninfo);
    PQclear(PQexec(cluster.reader, "SET client_min_messages = warning"));
    return 0;
}

static inline int cluster_stop(void **state)
{
    (void)state;
    const char *at = cluster.directory;
    db_free(cluster.owner);
    PQfinish(cluster.reader);
    cluster_shell("cd %s && PATH=$(ls -d /usr/lib/postgresql/*/bin | tail -1):$PATH && %s pg_ctl -m immediate -D %s/data stop "
                  ">>%s/log 2>&1", at, cluster.as, at, at);
    cluster_shell("rm -rf %s", at);
    return 0;
}

#endif
