#include "service/catalogue/shape.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "schema/limits.h"

#define TEXT_MAX_POINTS 200
#define WHOLE_MAX 9007199254740992.0

/* Paths */

/* Append place to path[0..size-1], which holds length bytes; returns the new length. Too long a path is cut. */
static size_t append_place(const struct shape_place *place, char *path, size_t size, size_t length)
{
    if (place == NULL)
        return length;
    length = append_place(place->above, path, size, length);
    if (length >= size)
        return length;
    int wrote = place->member == NULL
        ? snprintf(path + length, size - length, "[%zu]", place->index)
        : snprintf(path + length, size - length, "%s%s", length == 0 ? "" : ".", place->member);
    return wrote < 0 ? length : length + (size_t)wrote;
}

enum result shape_fail(const struct shape_place *at, const char *member, struct failure *why, const char *format, ...)
{
    char path[sizeof why->field] = "";
    char text[sizeof why->text];
    struct shape_place leaf = {.above = at, .member = member};
    (void)append_place(member == NULL ? at : &leaf, path, sizeof path, 0);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    failure_set(why, path, "%s", text);
    return RESULT_INVALID;
}

/* Kinds */

bool shape_is_name(const char *text, bool hyphens)
{
    if (text[0] < 'a' || text[0] > 'z')
        return false;
    size_t length = 1;
    for (; text[length] != '\0'; length++) {
        char c = text[length];
        bool fits = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || (hyphens && c == '-');
        if (!fits || length >= NAME_MAX_BYTES)
            return false;
    }
    return true;
}

bool shape_is_whole(const json_t *value, int64_t *out)
{
    if (json_is_integer(value)) {
        *out = json_integer_value(value);
        return true;
    }
    double real = json_real_value(value);
    if (!json_is_real(value) || !(fabs(real) <= WHOLE_MAX) || floor(real) < real)
        return false;
    *out = (int64_t)real;
    return true;
}

/* Code points of text, or -1 if it holds a control character. */
static int64_t count_points(const char *text)
{
    int64_t points = 0;
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte < 0x20 || byte == 0x7f)
            return -1;
        points += (byte & 0xc0) != 0x80;
    }
    return points;
}

static bool is_text(const json_t *value, int64_t least, int64_t most)
{
    if (!json_is_string(value))
        return false;
    int64_t points = count_points(json_string_value(value));
    return points >= least && points <= most;
}

static bool is_choice(const json_t *value, const char *const *choices)
{
    if (!json_is_string(value))
        return false;
    for (; *choices != NULL; choices++) {
        if (strcmp(json_string_value(value), *choices) == 0)
            return true;
    }
    return false;
}

static enum result check_name(const json_t *value, bool hyphens, const struct shape_place *at, struct failure *why)
{
    if (json_is_string(value) && shape_is_name(json_string_value(value), hyphens))
        return RESULT_OK;
    return shape_fail(at, NULL, why, "must be a name: a small letter, then small letters, digits%s or underscores, at most %d",
        hyphens ? ", hyphens" : "", NAME_MAX_BYTES);
}

static enum result check_text(const json_t *value, int64_t least, int64_t most, const struct shape_place *at,
    struct failure *why)
{
    if (is_text(value, least, most))
        return RESULT_OK;
    return shape_fail(at, NULL, why, "must be a text of %" PRId64 " to %" PRId64 " characters, none of them a control character",
        least, most);
}

static enum result check_integer(const json_t *value, const struct shape_member *row, const struct shape_place *at,
    struct failure *why)
{
    int64_t whole;
    if (shape_is_whole(value, &whole) && whole >= row->least && whole <= row->most)
        return RESULT_OK;
    return shape_fail(at, NULL, why, "must be an integer from %" PRId64 " to %" PRId64, row->least, row->most);
}

static enum result check_choice(const json_t *value, const struct shape_member *row, const struct shape_place *at,
    struct failure *why)
{
    if (is_choice(value, row->choices))
        return RESULT_OK;
    char list[160] = "";
    size_t length = 0;
    for (size_t i = 0; row->choices[i] != NULL && length < sizeof list; i++)
        length += (size_t)snprintf(list + length, sizeof list - length, "%s%s", i == 0 ? "" : ", ", row->choices[i]);
    return shape_fail(at, NULL, why, "must be one of: %s", list);
}

/* Whether the last of items 0 … index, a string, is among those before. Lists have at most a few hundred items. */
static bool is_repeated(const json_t *list, size_t index)
{
    const char *text = json_string_value(json_array_get(list, index));
    for (size_t i = 0; i < index; i++) {
        if (strcmp(text, json_string_value(json_array_get(list, i))) == 0)
            return true;
    }
    return false;
}

static enum result check_item(const json_t *list, size_t index, enum shape_kind kind, const struct shape_place *at,
    struct failure *why)
{
    const json_t *item = json_array_get(list, index);
    struct shape_place place = {.above = at, .index = index};
    enum result result = RESULT_OK;
    if (kind == SHAPE_LIST)
        return RESULT_OK;
    if (kind == SHAPE_OBJECTS)
        return json_is_object(item) ? RESULT_OK : shape_fail(&place, NULL, why, "must be an object");
    if (kind == SHAPE_NAMES)
        result = check_name(item, false, &place, why);
    else
        result = check_text(item, 1, TEXT_MAX_POINTS, &place, why);
    if (result == RESULT_OK && is_repeated(list, index))
        return shape_fail(&place, NULL, why, "is in the list twice");
    return result;
}

static enum result check_list(const json_t *value, const struct shape_member *row, const struct shape_place *at,
    struct failure *why)
{
    size_t count = json_array_size(value);
    if (!json_is_array(value) || (int64_t)count < row->least || (int64_t)count > row->most)
        return shape_fail(at, NULL, why, "must be a list of %" PRId64 " to %" PRId64 " items", row->least, row->most);
    for (size_t i = 0; i < count; i++) {
        enum result result = check_item(value, i, row->kind, at, why);
        if (result != RESULT_OK)
            return result;
    }
    return RESULT_OK;
}

static enum result check_kind(const json_t *value, const struct shape_member *row, const struct shape_place *at,
    struct failure *why)
{
    switch (row->kind) {
    case SHAPE_NAME:
        return check_name(value, false, at, why);
    case SHAPE_HYPHEN_NAME:
        return check_name(value, true, at, why);
    case SHAPE_TEXT:
        return check_text(value, row->least, row->most, at, why);
    case SHAPE_INTEGER:
        return check_integer(value, row, at, why);
    case SHAPE_NUMBER:
        return json_is_number(value) ? RESULT_OK : shape_fail(at, NULL, why, "must be a number");
    case SHAPE_BOOLEAN:
        return json_is_boolean(value) ? RESULT_OK : shape_fail(at, NULL, why, "must be true or false");
    case SHAPE_CHOICE:
        return check_choice(value, row, at, why);
    case SHAPE_SCALAR:
        if (json_is_boolean(value) || is_text(value, 1, TEXT_MAX_POINTS))
            return RESULT_OK;
        return shape_fail(at, NULL, why, "must be a text of 1 to %d characters, or true or false", TEXT_MAX_POINTS);
    case SHAPE_OBJECT:
        return json_is_object(value) ? RESULT_OK : shape_fail(at, NULL, why, "must be an object");
    case SHAPE_NAMES:
    case SHAPE_TEXTS:
    case SHAPE_OBJECTS:
    case SHAPE_LIST:
        return check_list(value, row, at, why);
    }
    return RESULT_INVALID;
}

/* Objects */

static const struct shape_member *find_row(const struct shape_member *members, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(members[i].name, name) == 0)
            return &members[i];
    }
    return NULL;
}

/* A member's name as it may stand in a message: what looks like a word. */
static const char *printable_name(const char *name)
{
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_$-");
    return name[length] == '\0' && length > 0 && length <= NAME_MAX_BYTES ? name : "(a name that is none)";
}

enum result shape_check(const json_t *value, const struct shape_member *members, size_t count,
    const struct shape_place *at, struct failure *why)
{
    if (!json_is_object(value))
        return shape_fail(at, NULL, why, "must be an object");
    for (size_t i = 0; i < count; i++) {
        if (members[i].required && json_object_get(value, members[i].name) == NULL)
            return shape_fail(at, members[i].name, why, "is required");
    }
    /* json_object_foreach wants a json_t that is not const; these calls only read. */
    for (void *iter = json_object_iter((json_t *)(uintptr_t)value); iter != NULL;
         iter = json_object_iter_next((json_t *)(uintptr_t)value, iter)) {
        const char *name = json_object_iter_key(iter);
        const struct shape_member *row = find_row(members, count, name);
        if (row == NULL)
            return shape_fail(at, printable_name(name), why, "is not a member that is known here");
        struct shape_place place = {.above = at, .member = row->name};
        enum result result = check_kind(json_object_iter_value(iter), row, &place, why);
        if (result != RESULT_OK)
            return result;
    }
    return RESULT_OK;
}

const char *shape_text(const json_t *object, const char *member, const char *fallback)
{
    const char *text = json_string_value(json_object_get(object, member));
    return text == NULL ? fallback : text;
}

int64_t shape_integer(const json_t *object, const char *member, int64_t fallback)
{
    int64_t whole;
    return shape_is_whole(json_object_get(object, member), &whole) ? whole : fallback;
}

double shape_number(const json_t *object, const char *member, double fallback)
{
    const json_t *value = json_object_get(object, member);
    return json_is_number(value) ? json_number_value(value) : fallback;
}

bool shape_boolean(const json_t *object, const char *member, bool fallback)
{
    const json_t *value = json_object_get(object, member);
    return value == NULL ? fallback : json_is_true(value);
}

int shape_choice(const json_t *object, const char *member, const char *const *choices, int fallback)
{
    const char *text = shape_text(object, member, NULL);
    for (int i = 0; text != NULL && choices[i] != NULL; i++) {
        if (strcmp(text, choices[i]) == 0)
            return i;
    }
    return fallback;
}
