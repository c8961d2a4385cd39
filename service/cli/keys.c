/*
 * throng keys: the pseudonymization keys, which only keyd holds, and their ordered changes. A change is an act outside the database:
 * the order goes into the trail first; its outcome comes as a notice of the ingest node, or as a failed order if the node refused.
 *
 * Sees:     commitments to keys, never keys.
 * Uses:     service/cli/ask (ingest's admin socket), act, uuid.
 * Threads:  one.
 * Failure:  exit status.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/clock.h"
#include "service/cli/act.h"
#include "service/cli/apps.h"
#include "service/cli/ask.h"
#include "service/cli/command.h"
#include "service/cli/flags.h"
#include "service/cli/grid.h"
#include "service/cli/sharing.h"
#include "service/cli/uuid.h"

#define COLUMNS 6 /* of the status */

/* What an operator may order, and what it means once it is done. */
static const struct change {
    const char *name, *meaning;
    bool confirm;
} changes[] = {
    {"ratchet", "has moved to its next epoch; the key of the last unlinked epoch is gone for good", false},
    {"rotate", "has a fresh key; other nodes answer 503 until they are given it (throng keys export, then join there)", false},
    {"destroy", "has no key any more: who is who can never be computed again, and whoever comes back is a new user", true},
};
#define CHANGES (sizeof changes / sizeof *changes)

static void time_cell(struct grid *grid, const json_t *row, const char *key)
{
    char text[32];
    json_int_t ms = json_integer_value(json_object_get(row, key));
    grid_cell(grid, ms == 0 ? "-" : clock_format(ms, text, sizeof text));
}

static void commitment_cell(struct grid *grid, const json_t *row)
{
    const char *commitment = json_string_value(json_object_get(row, "commitment"));
    grid_format(grid, "%.16s…", commitment == NULL ? "" : commitment);
}

/* A line for the present key, and one for each passed one that is still held. */
static void add_rows(struct grid *grid, const json_t *row)
{
    size_t index;
    json_t *passed;
    const char *app = json_string_value(json_object_get(row, "app"));
    grid_cell(grid, app == NULL ? "(removed)" : app);
    grid_format(grid, "%" JSON_INTEGER_FORMAT, json_integer_value(json_object_get(row, "epoch")));
    grid_cell(grid, "now");
    time_cell(grid, row, "ratcheted_at_ms");
    time_cell(grid, row, "next_ratchet_ms");
    commitment_cell(grid, row);
    json_array_foreach(json_object_get(row, "linked"), index, passed)
    {
        grid_cell(grid, "");
        grid_format(grid, "%" JSON_INTEGER_FORMAT, json_integer_value(json_object_get(passed, "epoch")));
        grid_cell(grid, "linked");
        grid_cell(grid, "");
        time_cell(grid, passed, "linkable_until_ms");
        commitment_cell(grid, passed);
    }
}

static void print_status(const json_t *keys)
{
    static const char *const heads[COLUMNS] = {"app", "epoch", "key is", "since", "until", "commitment"};
    size_t index;
    json_t *row;
    struct grid *grid = grid_new("lrllll");
    for (size_t i = 0; i < COLUMNS; i++)
        grid_cell(grid, heads[i]);
    json_array_foreach(keys, index, row)
    {
        add_rows(grid, row);
    }
    grid_print(grid, stdout);
    grid_free(grid);
    (void)puts("\n`now` names who comes today; `linked` recognises who was last here in that epoch, until the moment given.");
}

static int status(struct command_context *context)
{
    struct failure why = {0};
    json_t *document = NULL;
    if (ask_ingest(context, "GET", "/v1/keys", NULL, &document, &why) != RESULT_OK)
        return command_fail("keys", &why);
    json_t *keys = json_object_get(document, "keys");
    if (context->json)
        (void)json_dumpf(keys, stdout, JSON_COMPACT), (void)putchar('\n');
    else
        print_status(keys);
    json_decref(document);
    return 0;
}

/* The leaf of an order; with the order's id as ref once ingest has refused it. */
struct order {
    const char *app, *change;
    bool refused;
    uint8_t id[UUID_BYTES];
};

static enum result write_order(struct db *db, void *context, struct failure *why)
{
    struct order *order = context;
    struct act act;
    enum result result = act_begin_outcome(db, "key_change_ordered", order->app, order->refused ? LEAF_FAILED : LEAF_OK,
        order->refused ? order->id : NULL, &act, why);
    if (result == RESULT_OK) {
        leaf_text(act.leaf, "change", order->change);
        result = act_append(db, &act, why);
    }
    if (result == RESULT_OK && !order->refused)
        memcpy(order->id, act.head.id, sizeof order->id);
    act_free(&act);
    return result;
}

static enum result carry_out(struct command_context *context, struct db *db, struct order *order, struct failure *why)
{
    char path[NAME_MAX_BYTES + 96], id[UUID_TEXT_BYTES];
    struct apps_row row = {0};
    struct failure unsaid = {0};
    json_t *document = NULL;
    enum result result = apps_find(db, order->app, &row, why);
    apps_row_free(&row);
    if (result == RESULT_OK)
        result = db_transaction(db, write_order, order, why);
    if (result != RESULT_OK)
        return result;
    (void)snprintf(path, sizeof path, "/v1/keys/%s/%s?order=%s", order->app, order->change, uuid_format(order->id, id));
    result = ask_ingest(context, "POST", path, NULL, &document, why);
    json_decref(document);
    if (result == RESULT_OK)
        return RESULT_OK;
    order->refused = true;
    if (db_transaction(db, write_order, order, &unsaid) != RESULT_OK)
        (void)fprintf(stderr, "throng keys: the failure is not in the audit trail: %s\n", unsaid.text);
    return result;
}

static int run_change(struct command_context *context, const struct change *change, const char *app)
{
    struct failure why = {0};
    char id[UUID_TEXT_BYTES];
    struct order order = {.app = app, .change = change->name};
    struct db *db = command_db(context, "keys", true);
    if (db == NULL)
        return 1;
    enum result result = carry_out(context, db, &order, &why);
    db_free(db);
    if (result != RESULT_OK)
        return command_fail("keys", &why);
    if (context->json)
        (void)printf("{\"app\":\"%s\",\"change\":\"%s\",\"order\":\"%s\"}\n", app, change->name, uuid_format(order.id, id));
    else
        (void)printf("%s %s\norder %s in the audit trail; the node's own entry follows\n", app, change->meaning,
            uuid_format(order.id, id));
    return 0;
}

static int change(struct command_context *context, const char *verb, const char *app, bool yes)
{
    for (size_t i = 0; i < CHANGES; i++) {
        if (strcmp(verb, changes[i].name) != 0)
            continue;
        if (app == NULL)
            return command_usage("keys", "%s needs --app APP", verb);
        if (!changes[i].confirm || yes)
            return run_change(context, &changes[i], app);
        return command_usage("keys",
            "%s means: the keys of %s are overwritten and nobody who is in its state can be recognised again, erased or given access "
            "by id; what is counted stays until its horizon (throng purge deletes it too). It cannot be undone: repeat it with --yes",
            verb, app);
    }
    return command_usage("keys", "status, ratchet, rotate, destroy, export or join is needed");
}

int keys_command(struct command_context *context, int argc, char **argv)
{
    const char *app = NULL, *out = NULL, *passphrase = NULL;
    const char *operand[2] = {NULL, NULL};
    bool yes = false;
    const struct flag flags[] = {{.name = "app", .text = &app}, {.name = "yes", .on = &yes}, {.name = "out", .text = &out},
        {.name = "passphrase-file", .text = &passphrase}};
    int count = flags_parse(context, argc, argv, flags, sizeof flags / sizeof *flags, operand, 2);
    if (count < 0)
        return 2;
    const char *verb = count == 0 ? "" : operand[0];
    if (count == 1 && strcmp(verb, "status") == 0)
        return status(context);
    if (count == 1 && strcmp(verb, "export") == 0 && out != NULL && passphrase != NULL)
        return sharing_export(context, out, passphrase);
    if (strcmp(verb, "export") == 0)
        return command_usage("keys", "export needs --out FILE and --passphrase-file FILE");
    if (count == 2 && strcmp(verb, "join") == 0 && passphrase != NULL)
        return sharing_join(context, operand[1], passphrase);
    if (strcmp(verb, "join") == 0)
        return command_usage("keys", "join needs FILE and --passphrase-file FILE");
    return count == 1 ? change(context, verb, app, yes) : command_usage("keys", "too many arguments");
}
