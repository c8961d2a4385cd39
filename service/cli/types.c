#include "service/cli/types.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char *text_of(const json_t *object, const char *member)
{
    return json_string_value(json_object_get(object, member));
}

/* Text inside of a comment: it must not end it. */
static void put_comment(FILE *file, const char *text)
{
    for (; *text != '\0'; text++) {
        fputc(*text, file);
        if (text[0] == '*' && text[1] == '/')
            fputc(' ', file);
    }
}

static void put_literal(FILE *file, const json_t *value)
{
    char *literal = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    if (literal != NULL)
        fputs(literal, file);
    free(literal);
}

static bool is_type(const json_t *prop, const char *type)
{
    return strcmp(text_of(prop, "type"), type) == 0;
}

/* What the server makes itself is not the client's to send. */
static bool is_sent(const json_t *prop)
{
    return json_object_get(prop, "from") == NULL;
}

static void put_bounds(FILE *file, const json_t *prop)
{
    const json_t *step = json_object_get(prop, "step");
    put_literal(file, json_object_get(prop, "min"));
    fputs(" to ", file);
    put_literal(file, json_object_get(prop, "max"));
    if (text_of(prop, "unit") != NULL) {
        fputc(' ', file);
        put_comment(file, text_of(prop, "unit"));
    }
    if (step != NULL) {
        fputs(", counted in steps of ", file);
        put_literal(file, step);
    }
    fputc('.', file);
}

/* Its title, its bounds, what becomes of it; one line, or none. */
static void put_doc(FILE *file, const json_t *prop)
{
    const char *title = text_of(prop, "title");
    bool number = is_type(prop, "number"), route = is_type(prop, "route"), entity = is_type(prop, "entity");
    if (title == NULL && !number && !route && !entity)
        return;
    fputs("            /** ", file);
    if (title != NULL) {
        put_comment(file, title);
        fputs(number || route || entity ? ": " : "", file);
    }
    if (number)
        put_bounds(file, prop);
    else if (route)
        fputs("the path as the page has it; only the route that it fits is kept.", file);
    else if (entity)
        fputs("an id, which becomes a pseudonym on arrival.", file);
    fputs(" */\n", file);
}

static void put_values(FILE *file, const json_t *values)
{
    size_t index;
    json_t *value;
    json_array_foreach(values, index, value)
    {
        fputs(index == 0 ? "" : " | ", file);
        put_literal(file, value);
    }
}

static void put_prop(FILE *file, const json_t *prop)
{
    put_doc(file, prop);
    fprintf(file, "            %s%s: ", text_of(prop, "name"), json_is_true(json_object_get(prop, "required")) ? "" : "?");
    if (is_type(prop, "enum"))
        put_values(file, json_object_get(prop, "values"));
    else if (is_type(prop, "number"))
        fputs("number", file);
    else if (is_type(prop, "boolean"))
        fputs("boolean", file);
    else if (is_type(prop, "route"))
        fputs("`/${string}`", file);
    else
        fputs("string", file);
    fputs(";\n", file);
}

static void put_event(FILE *file, const json_t *event)
{
    const json_t *props = json_object_get(event, "properties");
    size_t index, sent = 0;
    json_t *prop;
    bool required = false;
    json_array_foreach(props, index, prop)
    {
        sent += is_sent(prop);
        required = required || (is_sent(prop) && json_is_true(json_object_get(prop, "required")));
    }
    if (text_of(event, "title") != NULL) {
        fputs("    /** ", file);
        put_comment(file, text_of(event, "title"));
        fputs(" */\n", file);
    }
    fprintf(file, "    | {\n        name: \"%s\";\n", text_of(event, "name"));
    if (sent == 0)
        fputs("        props?: Record<string, never>;\n", file);
    else {
        fprintf(file, "        props%s: {\n", required ? "" : "?");
        json_array_foreach(props, index, prop)
        {
            if (is_sent(prop))
                put_prop(file, prop);
        }
        fputs("        };\n", file);
    }
    fputs("    }", file);
}

void types_print(FILE *file, const json_t *root, int32_t version)
{
    size_t index;
    json_t *event;
    const char *name = text_of(root, "name");
    fprintf(file, "// The events of %s, definition version %d: made by `throng app types %s`.\n\n", name, (int)version, name);
    fputs("export type ThrongEvent =\n", file);
    json_array_foreach(json_object_get(root, "events"), index, event)
    {
        put_event(file, event);
        fputs(index + 1 == json_array_size(json_object_get(root, "events")) ? ";\n" : "\n", file);
    }
    fputs("\nexport type ThrongEventName = ThrongEvent[\"name\"];\n\n"
          "/** An event as it stands in `events` of a request. */\n"
          "export type ThrongEventSent = ThrongEvent & {\n"
          "    /** When it happened, ms since 1970. */\n"
          "    ts: number;\n"
          "    /** 1 to 256 bytes; becomes a pseudonym on arrival. */\n"
          "    user?: string;\n"
          "    /** 1 to 256 bytes, likewise. */\n"
          "    session?: string;\n"
          "    /** Unique within the request's `source`; without it, the position in `events`. */\n"
          "    seq?: number;\n"
          "    /** Time of attention since the event before, ms, at most 24 h. */\n"
          "    engaged_ms?: number;\n"
          "};\n",
        file);
}
