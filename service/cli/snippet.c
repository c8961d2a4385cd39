#include "service/cli/snippet.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "service/catalogue/definition.h"

#define UTM "utm_source="
#define HOST_BYTES 1024 /* a declared text has at most 200 characters */
#define UTM_BYTES 2560

/* --- attributes ---------------------------------------------------------------------------------------------------- */

/* In single quotes if the value has double ones, as JSON does. */
static void put_attribute(FILE *file, const char *name, const char *value)
{
    char quote = strchr(value, '"') == NULL ? '"' : '\'';
    fprintf(file, " %s=%c", name, quote);
    for (; *value != '\0' && *value != '\n'; value++) {
        if (*value == '&')
            fputs("&amp;", file);
        else if (*value == '<')
            fputs("&lt;", file);
        else if (*value == quote)
            fputs("&#39;", file);
        else
            fputc(*value, file);
    }
    fputc(quote, file);
}

/* As it is: an expression of a template is no text of HTML yet. */
static void put_verbatim(FILE *file, const char *name, const char *value)
{
    char quote = strchr(value, '"') == NULL ? '"' : '\'';
    fprintf(file, " %s=%c%s%c", name, quote, value, quote);
}

static void put_address(FILE *file, const char *name, const char *url, const char *path)
{
    char address[2048];
    size_t length = strlen(url);
    (void)snprintf(address, sizeof address, "%.*s%s", (int)(length > 0 && url[length - 1] == '/' ? length - 1 : length), url, path);
    put_attribute(file, name, address);
}

/* Whether the beacon, which sends to `events` beside its own address, needs no telling where to. */
static bool is_beside(const char *beacon, const char *events)
{
    const char *name = strrchr(beacon, '/');
    size_t folder = name == NULL ? 0 : (size_t)(name + 1 - beacon);
    return strncmp(beacon, events, folder) == 0 && strcmp(events + folder, "events") == 0;
}

/* --- what the definition declares ---------------------------------------------------------------------------------- */

static const struct app_event *find_event(const struct app *app, const char *name)
{
    int index = definition_find_event(app, name);
    return index < 0 ? NULL : &app->events[index];
}

static const struct app_prop *find_prop(const struct app_event *event, const char *name, enum app_prop_type type)
{
    int index = event == NULL ? -1 : definition_find_prop(event, name);
    return index < 0 || event->props[index].type != type ? NULL : &event->props[index];
}

/* The event that the beacon tells views by; NULL: there is none. */
static const struct app_event *find_view(const struct app *app)
{
    const struct app_event *usual = find_event(app, "page_view");
    for (size_t i = 0; usual == NULL && i < app->event_count; i++)
        usual = app->events[i].view ? &app->events[i] : NULL;
    return usual;
}

/* The first property of event that must be there besides the one that the beacon always sends; NULL: there is none. */
static const char *find_missing(const struct app_event *event, const char *sent)
{
    for (size_t i = 0; i < event->prop_count; i++) {
        const char *name = event->props[i].name;
        if (event->props[i].required && !event->props[i].from_user_agent && strcmp(name, sent) != 0)
            return name;
    }
    return NULL;
}

static bool has_sources(const struct snippet *snippet)
{
    return json_array_size(json_object_get(snippet->root, "sources")) > 0;
}

/* Whether the view event takes all that the beacon may say of a source. */
static bool takes_sources(const struct snippet *snippet)
{
    const struct app_prop *source = find_prop(find_view(snippet->app), "source", APP_PROP_ENUM);
    return source != NULL && definition_find_value(source, "direct") >= 0 && definition_find_value(source, "other") >= 0;
}

/* --- sources ------------------------------------------------------------------------------------------------------- */

/* The first source that declares it has it. */
static void put_class(json_t *classes, const char *sign, const char *class)
{
    if (json_object_get(classes, sign) == NULL)
        (void)json_object_set_new(classes, sign, json_string(class));
}

/* Percent-encode all of text but letters, digits and the characters of kept, behind UTM. */
static void encode(const char *text, const char *kept, const char *space, char out[UTM_BYTES])
{
    size_t length = (size_t)snprintf(out, UTM_BYTES, UTM);
    for (; *text != '\0' && length + 4 < UTM_BYTES; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == ' ')
            length += (size_t)snprintf(out + length, UTM_BYTES - length, "%s", space);
        else if (byte < 128 && (isalnum(byte) || strchr(kept, byte) != NULL))
            length += (size_t)snprintf(out + length, UTM_BYTES - length, "%c", byte);
        else
            length += (size_t)snprintf(out + length, UTM_BYTES - length, "%%%02X", byte);
    }
}

/* As links have it: made by encodeURIComponent, by a form, or typed (URL Standard, percent-encode sets). */
static void put_utm(json_t *classes, const char *text, const char *class)
{
    static const struct {
        const char *kept, *space;
    } ways[] = {{"-_.!~*'()", "%20"}, {"-_.*", "+"}, {"-_.!~*()$+,/:;=?@[\\]^`{|}%", "%20"}};
    char sign[UTM_BYTES];
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        encode(text, ways[i].kept, ways[i].space, sign);
        put_class(classes, sign, class);
    }
}

static void put_host(json_t *classes, const char *text, const char *class)
{
    char host[HOST_BYTES];
    size_t length = 0;
    for (; length < sizeof host - 1 && text[length] != '\0'; length++)
        host[length] = (char)tolower((unsigned char)text[length]);
    host[length] = '\0';
    put_class(classes, host, class);
}

/* {"google.com": "search", "utm_source=spring": "newsletter"}, as text that the caller owns. */
static char *sources_text(const struct snippet *snippet)
{
    json_t *classes = json_object(), *source, *value;
    size_t i, j;
    json_array_foreach(json_object_get(snippet->root, "sources"), i, source)
    {
        const char *class = json_string_value(json_object_get(source, "name"));
        json_array_foreach(json_object_get(source, "hosts"), j, value)
        {
            put_host(classes, json_string_value(value), class);
        }
        json_array_foreach(json_object_get(source, "utm_sources"), j, value)
        {
            put_utm(classes, json_string_value(value), class);
        }
    }
    char *text = json_dumps(classes, JSON_COMPACT | JSON_ENSURE_ASCII);
    json_decref(classes);
    return text;
}

static void put_sources(FILE *file, const struct snippet *snippet)
{
    if (!has_sources(snippet) || !takes_sources(snippet))
        return;
    char *text = sources_text(snippet);
    if (text != NULL)
        put_attribute(file, "data-sources", text);
    free(text);
}

/* --- scroll and the rest ------------------------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b)
{
    const long *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

/* The depths that the event scroll takes, if it takes nothing but per cents. */
static void put_scroll(FILE *file, const struct app *app)
{
    const struct app_event *event = find_event(app, "scroll");
    const struct app_prop *depth = find_prop(event, "depth", APP_PROP_ENUM);
    long values[100];
    if (depth == NULL || depth->count > 100 || find_missing(event, "depth") != NULL)
        return;
    for (size_t i = 0; i < depth->count; i++) {
        char *end;
        values[i] = strtol(depth->values[i], &end, 10);
        if (!isdigit((unsigned char)depth->values[i][0]) || *end != '\0' || values[i] < 1 || values[i] > 100)
            return;
    }
    qsort(values, depth->count, sizeof *values, ascending);
    for (size_t i = 0; i < depth->count; i++)
        fprintf(file, "%s%ld", i == 0 ? " data-scroll=\"" : ",", values[i]);
    fputc('"', file);
}

static void put_view(FILE *file, const struct app *app)
{
    const struct app_event *view = find_view(app), *engaged = find_event(app, "engaged");
    if (view == NULL)
        put_attribute(file, "data-routing", "manual");
    else if (strcmp(view->name, "page_view") != 0)
        put_attribute(file, "data-view", view->name);
    if (engaged != NULL && find_missing(engaged, "") == NULL)
        put_attribute(file, "data-engaged", "engaged");
}

void snippet_print(FILE *file, const struct snippet *snippet)
{
    fputs("<script async", file);
    if (snippet->nonce != NULL)
        put_verbatim(file, "nonce", snippet->nonce);
    put_address(file, "src", snippet->url, snippet->beacon);
    if (snippet->integrity != NULL) {
        put_attribute(file, "integrity", snippet->integrity);
        put_attribute(file, "crossorigin", "anonymous");
    }
    put_attribute(file, "data-key", snippet->key == NULL ? "wk_…" : snippet->key);
    if (snippet->user != NULL)
        put_verbatim(file, "data-user", snippet->user);
    if (!is_beside(snippet->beacon, snippet->events))
        put_address(file, "data-events", snippet->url, snippet->events);
    put_view(file, snippet->app);
    put_scroll(file, snippet->app);
    put_sources(file, snippet);
    if (snippet->app->consent_required)
        put_attribute(file, "data-consent", "required");
    fputs("></script>", file);
}

/* --- remarks ------------------------------------------------------------------------------------------------------- */

static void remark(json_t *list, const char *text)
{
    (void)json_array_append_new(list, json_string(text));
}

static void remark_on_views(json_t *list, const struct snippet *snippet)
{
    const struct app_event *view = find_view(snippet->app);
    if (view == NULL) {
        remark(list, "The app declares no event of kind view: pages are not counted, only what they track.");
        return;
    }
    const char *missing = find_missing(view, "page");
    if (find_prop(view, "page", APP_PROP_ROUTE) == NULL)
        (void)json_array_append_new(list, json_sprintf("The event %s has no property \"page\" of type route, so views are rejected: "
            "declare it, and the app's routes.", view->name));
    else if (missing != NULL)
        (void)json_array_append_new(list, json_sprintf("The event %s requires \"%s\", which the beacon does not send with every view: "
            "without it they are rejected.", view->name, missing));
    if (has_sources(snippet) && !takes_sources(snippet))
        (void)json_array_append_new(list, json_sprintf("Sources are left out: the property \"source\" of the event %s must have the "
            "values \"direct\" and \"other\", too.", view->name));
}

json_t *snippet_remarks(const struct snippet *snippet)
{
    json_t *list = json_array();
    if (snippet->key == NULL)
        (void)json_array_append_new(list, json_sprintf("`throng app key %s` makes the key that belongs in the place of wk_….",
            snippet->app->name));
    if (snippet->user == NULL && !snippet->app->anonymous_visitors)
        remark(list, "Events without a user are rejected: give the page's expression for it with --user, call throng.user(id) before "
            "anything is tracked, or let the app declare anonymous_visitors.");
    if (snippet->app->origin_count == 0)
        remark(list, "The app lists no origins: browsers' events are refused until it names those of its pages.");
    if (snippet->app->consent_required)
        remark(list, "Nothing is sent before the page calls throng.consent(true).");
    remark_on_views(list, snippet);
    return list;
}
