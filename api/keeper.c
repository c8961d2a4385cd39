#include "api/keeper.h"

#include <sodium.h>
#include <string.h>

#include "api/accept.h"

#define ARGUMENTS_MAX 16 /* more than any question has that is answered */

/* A request's query parameters by name; of the same name the first one first, which is the one that counts. */
struct arguments {
    struct {
        const char *name, *value; /* value NULL: it has none */
    } list[ARGUMENTS_MAX];
    size_t count;
    bool all;
};

static enum MHD_Result add_argument(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct arguments *arguments = context;
    (void)kind;
    arguments->all = arguments->count < ARGUMENTS_MAX;
    if (!arguments->all)
        return MHD_NO;
    size_t place = arguments->count++;
    for (; place > 0 && strcmp(arguments->list[place - 1].name, name) > 0; place--)
        arguments->list[place] = arguments->list[place - 1];
    arguments->list[place].name = name;
    arguments->list[place].value = value;
    return MHD_YES;
}

/* Each part with its end, so that two lists of parts never read alike. */
static void hash_text(crypto_generichash_state *state, const char *text)
{
    static const unsigned char none = 1, some = 2;
    (void)crypto_generichash_update(state, text == NULL ? &none : &some, 1);
    if (text != NULL)
        (void)crypto_generichash_update(state, (const unsigned char *)text, strlen(text) + 1);
}

/* False: the question has no key. What the answer depends on beside its edition: which app its reader may see, path, parameters,
 * and the one thing that Accept says. */
static bool make_key(const struct call *call, struct kept_key *key)
{
    struct arguments arguments = {.count = 0, .all = true};
    crypto_generichash_state state;
    (void)MHD_get_connection_values(call->connection, MHD_GET_ARGUMENT_KIND, add_argument, &arguments);
    if (!arguments.all)
        return false;
    const int32_t reader[] = {call->identity.app, accept_prefers_csv(call_header(call, "Accept"))};
    (void)crypto_generichash_init(&state, NULL, 0, sizeof key->bytes);
    (void)crypto_generichash_update(&state, (const unsigned char *)reader, sizeof reader);
    hash_text(&state, call->path);
    for (size_t i = 0; i < arguments.count; i++) {
        hash_text(&state, arguments.list[i].name);
        hash_text(&state, arguments.list[i].value);
    }
    (void)crypto_generichash_final(&state, key->bytes, sizeof key->bytes);
    return true;
}

static enum MHD_Result send_again(struct call *call, struct kept_entry *entry)
{
    const struct kept_answer *kept = kept_answer(entry);
    if (kept->app[0] != '\0')
        journal_count(call->service->journal, &call->identity, JOURNAL_READ, kept->app);
    metrics_add(METRIC_ANSWERS_KEPT, 1);
    enum MHD_Result answer = call_send_kept(call, kept);
    kept_give_back(entry);
    return answer;
}

bool keeper_serve(struct call *call, struct keeper_making *making, enum MHD_Result *answer)
{
    struct kept *kept = call->service->kept;
    struct failure why = {0};
    if (kept == NULL || !make_key(call, &making->key))
        return false;
    struct db *db = call_db(call, &why);
    enum result result = db == NULL ? RESULT_UNAVAILABLE : edition_read(db, &making->edition, &why);
    if (result == RESULT_UNAVAILABLE) {
        *answer = call_unavailable(call);
        return true;
    }
    if (result != RESULT_OK)
        return false;
    struct kept_entry *entry = kept_take(kept, &making->key, &making->edition);
    if (entry != NULL) {
        *answer = send_again(call, entry);
        return true;
    }
    making->answer = (struct kept_answer){.full = NULL};
    call->keep = &making->answer;
    return false;
}

/* What was read between two moments of the same edition is of it. */
static bool is_current(struct call *call, const struct edition *edition)
{
    struct failure why = {0};
    struct edition now;
    struct db *db = call_db(call, &why);
    return db != NULL && edition_read(db, &now, &why) == RESULT_OK && edition_equal(&now, edition);
}

void keeper_finish(struct call *call, struct keeper_making *making)
{
    struct kept *kept = call->service->kept;
    if (call->keep == NULL)
        return;
    call->keep = NULL;
    if (making->answer.full != NULL)
        metrics_add(METRIC_ANSWERS_MADE, 1);
    if (making->answer.full == NULL || !is_current(call, &making->edition)) {
        kept_drop(&making->answer);
        return;
    }
    kept_put(kept, &making->key, &making->edition, &making->answer);
    metrics_set(METRIC_ANSWERS_BYTES, (int64_t)kept_bytes(kept));
}
