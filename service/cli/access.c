/*
 * throng access: what is stored about a person in an app. The answer is sealed to a key pair that is made here, lives in locked
 * memory and is gone when this program ends; nobody else can read it.
 *
 * Sees:     the raw id and what is stored about the person.
 * Uses:     service/cli/subjects, libsodium (crypto_box_seal).
 * Threads:  one.
 * Failure:  exit status 1; an answer that was not read can only be asked for again.
 */
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/clock.h"
#include "service/cli/command.h"
#include "service/cli/flags.h"
#include "service/cli/grid.h"
#include "service/cli/subjects.h"
#include "service/db/db.h"

#define NAME "access"

struct pair {
    unsigned char public[crypto_box_PUBLICKEYBYTES];
    unsigned char secret[crypto_box_SECRETKEYBYTES];
};

static enum result read_sealed(struct db *db, const uint8_t id[UUID_BYTES], PGresult **out, struct failure *why)
{
    struct db_params *params = db_params_new();
    db_uuid(params, id);
    enum result result =
        db_run(db, "access_answer", "SELECT sealed FROM subject.answer WHERE request = $1", params, out, why);
    db_params_free(params);
    if (result == RESULT_OK && PQntuples(*out) == 0) {
        PQclear(*out);
        failure_set(why, "answer", "is not there");
        result = RESULT_NOT_FOUND;
    }
    return result;
}

/* The answer as JSON, owned by the caller. */
static enum result open_answer(struct db *db, const char *request, const struct pair *pair, json_t **out, struct failure *why)
{
    uint8_t id[UUID_BYTES];
    size_t length = 0;
    PGresult *rows = NULL;
    if (!uuid_parse(request, id))
        return RESULT_FAILED;
    enum result result = read_sealed(db, id, &rows, why);
    if (result != RESULT_OK)
        return result;
    const uint8_t *sealed = db_get_bytes(rows, 0, 0, &length);
    unsigned char *opened = length < crypto_box_SEALBYTES ? NULL : malloc(length);
    if (opened != NULL && crypto_box_seal_open(opened, sealed, length, pair->public, pair->secret) == 0) {
        *out = json_loadb((const char *)opened, length - crypto_box_SEALBYTES, 0, NULL);
        sodium_memzero(opened, length);
    }
    free(opened);
    PQclear(rows);
    if (*out != NULL)
        return RESULT_OK;
    failure_set(why, "answer", "cannot be opened: it is damaged");
    return RESULT_CORRUPT;
}

static void print_cell(struct grid *grid, const json_t *value)
{
    if (json_is_string(value)) {
        grid_cell(grid, json_string_value(value));
        return;
    }
    char *text = value == NULL ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    grid_cell(grid, text == NULL || json_is_null(value) ? "-" : text);
    free(text);
}

/* The rows of one table; its columns are the members of the first row. */
static void print_rows(const char *table, json_t *rows)
{
    char align[GRID_COLUMNS_MAX + 1] = "";
    const char *columns[GRID_COLUMNS_MAX], *key;
    size_t count = 0, index;
    json_t *value, *row;
    (void)printf("\n%s (%zu)\n", table, json_array_size(rows));
    json_object_foreach(json_array_get(rows, 0), key, value)
    {
        if (count < GRID_COLUMNS_MAX) {
            align[count] = 'l';
            columns[count++] = key;
        }
    }
    align[count] = '\0';
    if (count == 0)
        return;
    struct grid *grid = grid_new(align);
    for (size_t i = 0; i < count; i++)
        grid_cell(grid, columns[i]);
    json_array_foreach(rows, index, row)
    {
        for (size_t i = 0; i < count; i++)
            print_cell(grid, json_object_get(row, columns[i]));
    }
    grid_print(grid, stdout);
    grid_free(grid);
}

/* For people: arrays of objects as tables, what lies around them as lines. */
static void print_answer(const char *name, json_t *value)
{
    const char *key;
    json_t *member;
    if (json_is_array(value) && json_array_size(value) > 0 && json_is_object(json_array_get(value, 0))) {
        print_rows(name, value);
        return;
    }
    if (!json_is_object(value)) {
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        (void)printf("%s: %s\n", name, text == NULL ? "" : text);
        free(text);
        return;
    }
    json_object_foreach(value, key, member)
    {
        print_answer(key, member);
    }
}

static void print_outcome(const struct subjects_request *request, json_t *answer, bool json)
{
    if (json) {
        json_t *document = subjects_json(request, clock_now_ms());
        (void)json_object_set(document, "answer", answer);
        (void)json_dumpf(document, stdout, JSON_COMPACT);
        (void)putchar('\n');
        json_decref(document);
        return;
    }
    subjects_print(request, false);
    (void)putchar('\n');
    print_answer("answer", answer);
}

static enum result run(struct command_context *context, struct db *db, struct subjects_order *order, struct failure *why)
{
    struct pair *pair = sodium_malloc(sizeof *pair);
    char seal_to[sodium_base64_ENCODED_LEN(sizeof pair->public, sodium_base64_VARIANT_ORIGINAL)];
    struct subjects_request request = {0};
    json_t *answer = NULL;
    if (pair == NULL) {
        failure_set(why, "", "no locked memory for a key");
        return RESULT_FAILED;
    }
    (void)crypto_box_keypair(pair->public, pair->secret);
    order->seal_to = sodium_bin2base64(seal_to, sizeof seal_to, pair->public, sizeof pair->public, sodium_base64_VARIANT_ORIGINAL);
    enum result result = subjects_place(context, db, order, &request, why);
    if (result == RESULT_OK)
        result = open_answer(db, request.id, pair, &answer, why);
    if (result == RESULT_OK)
        print_outcome(&request, answer, context->json);
    else if (request.id[0] != '\0')
        subjects_print(&request, context->json);
    sodium_free(pair);
    json_decref(answer);
    return result;
}

int access_command(struct command_context *context, int argc, char **argv)
{
    struct failure why = {0};
    struct subjects_order order = {.kind = "access", .timeout_s = SUBJECTS_TIMEOUT_S};
    const struct flag flags[] = {{.name = "app", .text = &order.app}, {.name = "user", .text = &order.user},
        {.name = "timeout", .number = &order.timeout_s, .least = 1, .most = 86400}};
    if (flags_parse(context, argc, argv, flags, sizeof flags / sizeof *flags, NULL, 0) < 0)
        return 2;
    if (order.app == NULL || order.user == NULL)
        return command_usage(NAME, "--app APP and --user ID are needed; --user - reads the id from standard input");
    if (sodium_init() < 0)
        return command_usage(NAME, "no source of randomness");
    struct db *db = command_db(context, NAME, true);
    if (db == NULL)
        return 1;
    enum result result = run(context, db, &order, &why);
    db_free(db);
    if (result == RESULT_UNAVAILABLE)
        (void)fputs("throng access: its key ends with this program: ask again with a larger --timeout to read the answer\n", stderr);
    return result == RESULT_OK ? 0 : command_fail(NAME, &why);
}
