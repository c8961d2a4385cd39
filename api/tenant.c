#include "api/tenant.h"

#include <stdlib.h>
#include <string.h>

#include "service/catalogue/definition.h"

#define SHORTEST_QUARTER_DAYS 90
#define QUARTERS 92 /* epoch_days of epochs that are calendar quarters */

static enum result compile(const PGresult *rows, int row, struct app *out, struct failure *why)
{
    const char *body = db_get_text(rows, row, 2);
    enum result result = definition_parse(body, strlen(body), out, why);
    if (result != RESULT_OK)
        return result;
    out->id = (uint32_t)db_get_int4(rows, row, 0);
    out->version = (uint32_t)db_get_int4(rows, row, 1);
    return RESULT_OK;
}

enum result tenant_find(struct db *db, const struct access_identity *identity, const char *name, struct app *out,
    struct failure *why)
{
    PGresult *rows = NULL;
    struct db_params *params = db_params_new();
    db_text(params, name);
    db_int4(params, identity->app);
    enum result result = db_run(db, "tenant_find",
        "SELECT a.app, a.version, d.body::text FROM config.app a JOIN config.definition d USING (app, version)"
        " WHERE a.name = $1::text AND a.twin_of IS NULL AND ($2 = 0 OR a.app = $2)",
        params, &rows, why);
    db_params_free(params);
    if (result != RESULT_OK)
        return result;
    result = PQntuples(rows) == 0 ? RESULT_NOT_FOUND : compile(rows, 0, out, why);
    PQclear(rows);
    return result;
}

enum result tenant_list_read(struct db *db, const struct access_identity *identity, struct tenant_list *out,
    struct failure *why)
{
    PGresult *rows = NULL;
    struct db_params *params = db_params_new();
    struct tenant_list list = {NULL, 0};
    db_int4(params, identity->app);
    enum result result = db_run(db, "tenant_list",
        "SELECT a.app, a.version, d.body::text FROM config.app a JOIN config.definition d USING (app, version)"
        " WHERE a.twin_of IS NULL AND ($1 = 0 OR a.app = $1) ORDER BY a.name",
        params, &rows, why);
    db_params_free(params);
    if (result != RESULT_OK)
        return result;
    size_t count = (size_t)PQntuples(rows);
    list.apps = calloc(count + 1, sizeof *list.apps);
    if (list.apps == NULL)
        result = RESULT_FAILED;
    while (result == RESULT_OK && list.count < count) {
        result = compile(rows, (int)list.count, &list.apps[list.count], why);
        list.count += result == RESULT_OK;
    }
    PQclear(rows);
    if (result == RESULT_OK)
        *out = list;
    else
        tenant_list_free(&list);
    return result;
}

void tenant_list_free(struct tenant_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        definition_free(&list->apps[i]);
    free(list->apps);
    *list = (struct tenant_list){NULL, 0};
}

int32_t tenant_linkable_days(const struct app *app)
{
    uint32_t epoch_days = app->epoch_days == QUARTERS ? SHORTEST_QUARTER_DAYS : app->epoch_days;
    return (int32_t)(epoch_days * app->link_epochs);
}
