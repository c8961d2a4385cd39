#include "service/cli/ask.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "service/cli/poster.h"

static enum result result_of(long status)
{
    switch (status) {
    case 403:
        return RESULT_DENIED;
    case 404:
        return RESULT_NOT_FOUND;
    case 429:
    case 503:
        return RESULT_UNAVAILABLE;
    default:
        return status >= 400 && status < 500 ? RESULT_INVALID : RESULT_FAILED;
    }
}

/* Say what a problem document says. */
static void explain(long status, const json_t *problem, struct failure *why)
{
    const char *detail = json_string_value(json_object_get(problem, "detail"));
    const char *title = json_string_value(json_object_get(problem, "title"));
    const char *field = json_string_value(json_object_get(problem, "field"));
    const char *text = detail != NULL ? detail : title;
    failure_set(why, field != NULL ? field : "ingest", "ingest answered %ld: %s", status,
        text == NULL ? "without an explanation" : text);
}

enum result ask_ingest(const struct command_context *context, const char *method, const char *path, const json_t *body, json_t **out,
    struct failure *why)
{
    long status = 0;
    char *answer = NULL;
    char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
    enum result result = poster_send(command_admin_socket(context), method, path, text, &status, &answer, why);
    if (text != NULL)
        sodium_memzero(text, strlen(text));
    free(text);
    if (result != RESULT_OK)
        return result;
    json_t *document = json_loads(answer, 0, NULL);
    free(answer);
    if (status >= 200 && status < 300) {
        *out = document;
        return RESULT_OK;
    }
    explain(status, document, why);
    json_decref(document);
    return result_of(status);
}
