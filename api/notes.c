#include "api/notes.h"

#include "api/series/annotation.h"
#include "api/tenant.h"
#include "service/base/clock.h"
#include "service/catalogue/definition.h"

#define FIRST_DAY (-25000)
#define LAST_DAY 100000

/* One answer under way. */
struct asked {
    const char *name;
    const struct access_identity *identity;
    struct app app;
    struct annotation_list list;
};

static enum result read_notes(struct db *db, void *context, struct failure *why)
{
    struct asked *asked = context;
    annotation_list_free(&asked->list);
    definition_free(&asked->app);
    asked->app = (struct app){0};
    enum result result = tenant_find(db, asked->identity, asked->name, &asked->app, why);
    return result == RESULT_OK
        ? annotation_list_read(db, (int32_t)asked->app.id, FIRST_DAY, LAST_DAY, &asked->list, why)
        : result;
}

static json_t *notes_json(const struct asked *asked)
{
    char date[CLOCK_DATE_BYTES];
    json_t *list = json_array();
    for (size_t i = 0; i < asked->list.count; i++) {
        const struct annotation *note = &asked->list.items[i];
        json_array_append_new(list, json_pack("{s:s,s:s,s:s}", "id", note->id, "day", clock_format_date(note->day, date), "text",
                                        note->text));
    }
    return json_pack("{s:s,s:s,s:o}", "app", asked->app.name, "time_zone", asked->app.time_zone, "notes", list);
}

enum MHD_Result notes_answer(struct call *call, const char *name)
{
    struct failure why = {0};
    struct asked asked = {.name = name, .identity = &call->identity};
    struct db *db = call_db(call, &why);
    enum MHD_Result answer;
    enum result result = db == NULL ? RESULT_UNAVAILABLE : db_transaction(db, read_notes, &asked, &why);
    if (result == RESULT_NOT_FOUND && call->identity.app != 0)
        journal_count(call->service->journal, &call->identity, JOURNAL_APP, "");
    if (result == RESULT_OK) {
        journal_count(call->service->journal, &call->identity, JOURNAL_READ, asked.app.name);
        answer = call_send_json(call, notes_json(&asked));
    } else {
        answer = result == RESULT_NOT_FOUND ? call_not_found(call) : call_unavailable(call);
    }
    annotation_list_free(&asked.list);
    definition_free(&asked.app);
    return answer;
}
