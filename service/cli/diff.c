#include "service/cli/diff.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_BYTES 512

static void compare(json_t *out, const char *path, json_t *old, json_t *new);

static void note(json_t *out, const char *path, json_t *old, json_t *new)
{
    json_t *row = json_object();
    json_object_set_new(row, "member", json_string(path));
    if (old != NULL)
        json_object_set(row, "old", old);
    if (new != NULL)
        json_object_set(row, "new", new);
    json_array_append_new(out, row);
}

/* The name that tells an element of an array from the others, or NULL. */
static const char *name_of(const json_t *element)
{
    const char *name = json_string_value(json_object_get(element, "name"));
    return name != NULL ? name : json_string_value(json_object_get(element, "id"));
}

static json_t *find_named(const json_t *array, const char *name)
{
    size_t index;
    json_t *element;
    json_array_foreach(array, index, element)
    {
        const char *own = name_of(element);
        if (own != NULL && strcmp(own, name) == 0)
            return element;
    }
    return NULL;
}

static bool all_named(const json_t *array)
{
    size_t index;
    json_t *element;
    json_array_foreach(array, index, element)
    {
        if (name_of(element) == NULL)
            return false;
    }
    return json_is_array(array);
}

static void join(char *out, const char *path, const char *name)
{
    snprintf(out, PATH_BYTES, "%s%s%s", path, path[0] == '\0' ? "" : ".", name);
}

static void compare_objects(json_t *out, const char *path, json_t *old, json_t *new)
{
    char member[PATH_BYTES];
    const char *key;
    json_t *value;
    json_object_foreach(old, key, value)
    {
        join(member, path, key);
        compare(out, member, value, json_object_get(new, key));
    }
    json_object_foreach(new, key, value)
    {
        join(member, path, key);
        if (json_object_get(old, key) == NULL)
            note(out, member, NULL, value);
    }
}

static void compare_named(json_t *out, const char *path, json_t *old, json_t *new)
{
    char member[PATH_BYTES];
    size_t index;
    json_t *element;
    size_t before = json_array_size(out);
    json_array_foreach(old, index, element)
    {
        join(member, path, name_of(element));
        compare(out, member, element, find_named(new, name_of(element)));
    }
    json_array_foreach(new, index, element)
    {
        join(member, path, name_of(element));
        if (find_named(old, name_of(element)) == NULL)
            note(out, member, NULL, element);
    }
    if (json_array_size(out) == before && !json_equal(old, new) && json_array_size(old) == json_array_size(new)) {
        json_array_foreach(old, index, element)
        {
            if (strcmp(name_of(element), name_of(json_array_get(new, index))) != 0) {
                note(out, path, old, new); /* the same elements in another order */
                return;
            }
        }
    }
}

static void compare(json_t *out, const char *path, json_t *old, json_t *new)
{
    if (new == NULL)
        note(out, path, old, NULL);
    else if (json_is_object(old) && json_is_object(new))
        compare_objects(out, path, old, new);
    else if (json_array_size(old) > 0 && json_array_size(new) > 0 && all_named(old) && all_named(new))
        compare_named(out, path, old, new);
    else if (json_is_number(old) && json_is_number(new)) {
        double difference = json_number_value(old) - json_number_value(new);
        if (difference < 0 || difference > 0)
            note(out, path, old, new);
    } else if (!json_equal(old, new))
        note(out, path, old, new);
}

json_t *diff_documents(json_t *old, json_t *new)
{
    json_t *out = json_array();
    compare(out, "", old, new);
    return out;
}

/* A value in at most a line. */
static void print_value(const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    if (text == NULL)
        return;
    if (strlen(text) > 160)
        printf("%.157s…", text);
    else
        fputs(text, stdout);
    free(text);
}

void diff_print(const json_t *differences)
{
    size_t index;
    json_t *row;
    json_array_foreach(differences, index, row)
    {
        const json_t *old = json_object_get(row, "old"), *new = json_object_get(row, "new");
        printf("  %c %s: ", old == NULL ? '+' : new == NULL ? '-' : '~', json_string_value(json_object_get(row, "member")));
        if (old != NULL)
            print_value(old);
        if (old != NULL && new != NULL)
            fputs(" -> ", stdout);
        if (new != NULL)
            print_value(new);
        putchar('\n');
    }
}
