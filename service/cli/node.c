/*
 * throng node: the ingest nodes and how far each is; retiring one that will not come back.
 *
 * Sees:     nothing of a person.
 * Uses:     service/cli/nodes, act.
 * Threads:  one.
 * Failure:  exit status; nothing is changed.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/clock.h"
#include "service/cli/act.h"
#include "service/cli/command.h"
#include "service/cli/flags.h"
#include "service/cli/nodes.h"
#include "service/cli/grid.h"

static const char *state_of(const struct nodes_row *node)
{
    if (node->retired)
        return "retired";
    return node->ended ? "ended" : "active";
}

static void print_json(const struct nodes_row *nodes, size_t count)
{
    char id[NODES_ID_BYTES];
    putchar('[');
    for (size_t i = 0; i < count; i++)
        printf("%s{\"node\":\"%s\",\"state\":\"%s\",\"shards\":%d,\"heard_ms\":%" PRId64 ",\"watermark_ms\":%" PRId64 "}",
            i == 0 ? "" : ",", nodes_format_id(nodes[i].node, id), state_of(&nodes[i]), (int)nodes[i].shards,
            nodes[i].heard_ms, nodes[i].watermark_ms);
    puts("]");
}

static void print_nodes(const struct nodes_row *nodes, size_t count)
{
    char id[NODES_ID_BYTES], time[32];
    struct grid *grid = grid_new("llrrl");
    int64_t now_ms = clock_now_ms();
    static const char *const heads[] = {"node", "state", "shards", "silent for", "counted up to"};
    for (size_t i = 0; i < 5; i++)
        grid_cell(grid, heads[i]);
    for (size_t i = 0; i < count; i++) {
        grid_cell(grid, nodes_format_id(nodes[i].node, id));
        grid_cell(grid, state_of(&nodes[i]));
        grid_format(grid, "%d", (int)nodes[i].shards);
        grid_format(grid, "%" PRId64 " s", (now_ms - nodes[i].heard_ms) / 1000);
        grid_cell(grid, nodes[i].watermark_ms == 0 ? "-" : clock_format(nodes[i].watermark_ms, time, sizeof time));
    }
    grid_print(grid, stdout);
    grid_free(grid);
}

static int list(struct command_context *context)
{
    struct failure why = {0};
    struct nodes_row *nodes = NULL;
    size_t count = 0;
    struct db *db = command_db(context, "node", true);
    if (db == NULL)
        return 1;
    enum result result = nodes_list(db, &nodes, &count, &why);
    if (result == RESULT_OK && context->json)
        print_json(nodes, count);
    else if (result == RESULT_OK)
        print_nodes(nodes, count);
    free(nodes);
    db_free(db);
    return result == RESULT_OK ? 0 : command_fail("node", &why);
}

static enum result insert_retired(struct db *db, uint64_t node, const struct act *act, struct failure *why)
{
    struct db_params *params = db_params_new();
    db_int8(params, (int64_t)node);
    db_uuid(params, act->head.id);
    enum result result = db_run(db, "node_retire", "INSERT INTO config.node_retired (node, leaf) VALUES ($1, $2)", params,
        NULL, why);
    db_params_free(params);
    return result;
}

static enum result retire_in_transaction(struct db *db, void *context, struct failure *why)
{
    const uint64_t *node = context;
    struct act act;
    char id[NODES_ID_BYTES];
    enum result result = act_begin(db, "node_retired", "", &act, why);
    if (result == RESULT_OK) {
        leaf_text(act.leaf, "node", nodes_format_id(*node, id));
        result = act_append(db, &act, why);
    }
    if (result == RESULT_OK)
        result = insert_retired(db, *node, &act, why);
    act_free(&act);
    return result;
}

/* Find the node; a typing error must not retire another one. */
static enum result find(struct db *db, uint64_t id, struct nodes_row *out, struct failure *why)
{
    struct nodes_row *nodes = NULL;
    size_t count = 0;
    enum result result = nodes_list(db, &nodes, &count, why);
    if (result != RESULT_OK)
        return result;
    result = RESULT_NOT_FOUND;
    for (size_t i = 0; i < count; i++) {
        if (nodes[i].node == id) {
            *out = nodes[i];
            result = RESULT_OK;
        }
    }
    free(nodes);
    if (result != RESULT_OK)
        failure_set(why, "NODE", "there is no such node; `throng node list` shows them");
    return result;
}

static int retire(struct command_context *context, const char *text)
{
    struct failure why = {0};
    struct nodes_row node = {0};
    uint64_t id;
    if (!nodes_parse_id(text, &id))
        return command_usage("node", "retire needs a node's 16 hexadecimal digits, as `throng node list` shows them");
    struct db *db = command_db(context, "node", true);
    if (db == NULL)
        return 1;
    enum result result = find(db, id, &node, &why);
    if (result == RESULT_OK && !node.retired)
        result = db_transaction(db, retire_in_transaction, &id, &why);
    db_free(db);
    if (result != RESULT_OK)
        return command_fail("node", &why);
    if (context->json)
        printf("{\"node\":\"%s\",\"state\":\"retired\"}\n", text);
    else if (node.retired)
        printf("%s was retired before\n", text);
    else
        printf("%s is retired: it holds back no day any more, and what its spool still holds counts as late\n", text);
    return 0;
}

int node_command(struct command_context *context, int argc, char **argv)
{
    const char *operand[2] = {NULL, NULL};
    int count = flags_parse(context, argc, argv, NULL, 0, operand, 2);
    if (count < 0)
        return 2;
    if (count == 1 && strcmp(operand[0], "list") == 0)
        return list(context);
    if (count == 2 && strcmp(operand[0], "retire") == 0)
        return retire(context, operand[1]);
    return command_usage("node", "list or retire NODE is needed");
}
