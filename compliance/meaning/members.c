#include "compliance/meaning/members.h"

#include <string.h>

#include "compliance/meaning/civil.h"
#include "compliance/meaning/decimal.h"

#define DEPTH_TEXT_MAX 1000

enum whose { APP = 1, OURS, EITHER };
enum outcome { OK = 1 << LEAF_OK, DENIED = 1 << LEAF_DENIED, FAILED = 1 << LEAF_FAILED };
enum reference { NO_REF, MAY_REF, MUST_REF };
enum presence { ALWAYS, MAYBE };
enum type {
    TYPE_HEX, TYPE_UUID, TYPE_NAME, TYPE_NAME_OR_EMPTY, TYPE_ONE_OF, TYPE_TEXT, TYPE_DATE, TYPE_MONTH, TYPE_COUNT, TYPE_FLAG,
    TYPE_POWER, TYPE_TIME, TYPE_DECIMAL, TYPE_FRACTION, TYPE_COUNTS, TYPE_POWERS, TYPE_FAMILIES, TYPE_ROWS
};

/* A row of fields.def: an act (act is set), or a member of the one before. */
struct row {
    const char *act;
    enum whose whose;
    unsigned outcomes;
    enum reference reference;
    const char *name;
    enum presence presence;
    enum type type;
    bool nullable;
    size_t bytes;
    const char *words;
};

#define HEX(n) .type = TYPE_HEX, .bytes = (n)
#define NULLABLE_HEX(n) .type = TYPE_HEX, .bytes = (n), .nullable = true
#define UUID .type = TYPE_UUID
#define NAME .type = TYPE_NAME
#define NAME_OR_EMPTY .type = TYPE_NAME_OR_EMPTY
#define ONE_OF(list) .type = TYPE_ONE_OF, .words = (list)
#define TEXT(n) .type = TYPE_TEXT, .bytes = (n)
#define NULLABLE_TEXT(n) .type = TYPE_TEXT, .bytes = (n), .nullable = true
#define DATE .type = TYPE_DATE
#define MONTH .type = TYPE_MONTH
#define COUNT .type = TYPE_COUNT
#define FLAG .type = TYPE_FLAG
#define POWER .type = TYPE_POWER
#define TIME .type = TYPE_TIME
#define NULLABLE_TIME .type = TYPE_TIME, .nullable = true
#define DECIMAL .type = TYPE_DECIMAL
#define FRACTION .type = TYPE_FRACTION
#define COUNTS .type = TYPE_COUNTS
#define POWERS .type = TYPE_POWERS
#define FAMILIES .type = TYPE_FAMILIES
#define ROWS .type = TYPE_ROWS
#define ACT_DATA(name, who, outs, ref) {.act = (name), .whose = (who), .outcomes = (outs), .reference = (ref)},
#define MEMBER(member, kind, there) {.name = (member), kind, .presence = (there)},

static const struct row rows[] = {
#include "compliance/audit/fields.def"
};

#undef ACT_DATA
#undef MEMBER

/* An act without data of its own here does not compile. */
enum { ACTS = 0
#define ACT(name) + 1
#include "compliance/audit/acts.def"
#undef ACT
};
enum { ACTS_WITH_DATA = 0
#define ACT_DATA(name, who, outs, ref) + 1
#define MEMBER(member, kind, there)
#include "compliance/audit/fields.def"
#undef ACT_DATA
#undef MEMBER
};
_Static_assert((int)ACTS == (int)ACTS_WITH_DATA, "compliance/audit/fields.def has data for every act of acts.def");

static const size_t row_count = sizeof rows / sizeof *rows;

static bool is_digits(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (text[i] < '0' || text[i] > '9')
            return false;
    return length > 0;
}

static bool is_hex(const char *text, size_t bytes)
{
    return strlen(text) == 2 * bytes && strspn(text, "0123456789abcdef") == 2 * bytes;
}

static bool is_name(const char *text)
{
    size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-");
    return length >= 1 && length <= 63 && text[length] == '\0' && text[0] >= 'a' && text[0] <= 'z';
}

static bool is_one_of(const char *text, const char *words)
{
    size_t length = strlen(text);
    for (const char *at = words; length > 0 && at != NULL; at = strchr(at, '|')) {
        at += *at == '|';
        if (strncmp(at, text, length) == 0 && (at[length] == '|' || at[length] == '\0'))
            return true;
    }
    return false;
}

/* Digits without a needless 0 before them; after the sign, if there is one, more digits. */
static bool is_fraction(const char *text)
{
    size_t whole = strspn(text, "0123456789");
    if (whole == 0 || whole > 20 || (text[0] == '0' && whole > 1))
        return false;
    if (text[whole] == '\0')
        return true;
    const char *rest = text + whole + 1;
    if (!is_digits(rest, strlen(rest)) || strlen(rest) > 20)
        return false;
    return text[whole] == '.' || (text[whole] == '/' && rest[0] != '0');
}

static bool is_text(const json_t *value, enum type type, size_t bytes, const char *words)
{
    const char *text = json_string_value(value);
    int32_t day;
    uint8_t uuid[16];
    decimal_units units;
    if (text == NULL || strlen(text) != json_string_length(value))
        return false;
    if (type == TYPE_HEX)
        return is_hex(text, bytes);
    if (type == TYPE_UUID)
        return parsed_uuid(text, uuid);
    if (type == TYPE_NAME || type == TYPE_NAME_OR_EMPTY)
        return is_name(text) || (type == TYPE_NAME_OR_EMPTY && text[0] == '\0');
    if (type == TYPE_ONE_OF)
        return is_one_of(text, words);
    if (type == TYPE_DATE || type == TYPE_MONTH)
        return civil_parse(text, &day) && (type == TYPE_DATE || strcmp(text + 8, "01") == 0);
    if (type == TYPE_DECIMAL)
        return decimal_parse(text, strlen(text), &units);
    return type == TYPE_FRACTION ? is_fraction(text) : text[0] != '\0' && strlen(text) <= bytes;
}

static bool is_number(const json_t *value, enum type type)
{
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 0)
        return false;
    if (type == TYPE_FLAG)
        return number <= 1;
    if (type == TYPE_POWER)
        return (number & (number - 1)) == 0;
    return type != TYPE_TIME || number <= MEMBERS_TIME_MAX_MS;
}

static bool is_short_text(const json_t *value)
{
    return json_is_string(value) && json_string_length(value) <= DEPTH_TEXT_MAX;
}

static bool are_counts(const json_t *list)
{
    size_t at;
    const json_t *pair;
    json_array_foreach((json_t *)(uintptr_t)list, at, pair)
        if (json_array_size(pair) != 2 || !is_short_text(json_array_get(pair, 0))
            || !is_number(json_array_get(pair, 1), TYPE_COUNT))
            return false;
    return json_is_array(list);
}

static bool are_powers(json_t *object)
{
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
        if (!is_name(name) || !is_number(value, TYPE_POWER))
            return false;
    return json_is_object(object);
}

static bool are_families(json_t *list)
{
    size_t at;
    json_t *row;
    json_array_foreach(list, at, row)
        if (json_array_size(row) != 5 || !is_text(json_array_get(row, 0), TYPE_NAME, 0, NULL)
            || !is_number(json_array_get(row, 1), TYPE_COUNT) || !is_text(json_array_get(row, 2), TYPE_FRACTION, 0, NULL)
            || !is_text(json_array_get(row, 3), TYPE_DECIMAL, 0, NULL) || !is_number(json_array_get(row, 4), TYPE_FLAG))
            return false;
    return json_is_array(list);
}

static bool are_cells(json_t *list)
{
    size_t at;
    json_t *cell;
    json_array_foreach(list, at, cell) {
        const json_t *value = json_array_get(cell, 1);
        if (json_array_size(cell) != 2 || !json_is_integer(json_array_get(cell, 0))
            || !(json_is_null(value) || json_is_integer(value)))
            return false;
    }
    return json_is_array(list);
}

static bool are_rows(json_t *list)
{
    size_t at;
    json_t *row;
    json_array_foreach(list, at, row) {
        size_t size = json_array_size(row);
        if (size < 3 || size > 4 || !is_text(json_array_get(row, 0), TYPE_NAME, 0, NULL)
            || !is_short_text(json_array_get(row, 1)) || !are_cells(json_array_get(row, 2))
            || (size == 4 && !is_text(json_array_get(row, 3), TYPE_FRACTION, 0, NULL)
                && !json_is_null(json_array_get(row, 3))))
            return false;
    }
    return json_is_array(list);
}

static bool fits(json_t *value, const struct row *row)
{
    if (json_is_null(value))
        return row->nullable;
    switch (row->type) {
    case TYPE_COUNT:
    case TYPE_FLAG:
    case TYPE_POWER:
    case TYPE_TIME:
        return is_number(value, row->type);
    case TYPE_COUNTS:
        return are_counts(value);
    case TYPE_POWERS:
        return are_powers(value);
    case TYPE_FAMILIES:
        return are_families(value);
    case TYPE_ROWS:
        return are_rows(value);
    case TYPE_HEX:
    case TYPE_UUID:
    case TYPE_NAME:
    case TYPE_NAME_OR_EMPTY:
    case TYPE_ONE_OF:
    case TYPE_TEXT:
    case TYPE_DATE:
    case TYPE_MONTH:
    case TYPE_DECIMAL:
    case TYPE_FRACTION:
        return is_text(value, row->type, row->bytes, row->words);
    }
    return false;
}

static bool check_head(const struct parsed *leaf, const struct row *act, struct failure *why)
{
    bool ours = leaf->tenant[0] == '\0';
    if ((act->whose == APP && ours) || (act->whose == OURS && !ours) || (!ours && !is_name(leaf->tenant))) {
        failure_set(why, "tenant", "is not what this act is about");
        return false;
    }
    if ((act->outcomes & 1u << leaf->out) == 0) {
        failure_set(why, "out", "is no outcome of this act");
        return false;
    }
    if (leaf->has_ref ? act->reference == NO_REF : act->reference == MUST_REF) {
        failure_set(why, "ref", leaf->has_ref ? "must not be there" : "is missing");
        return false;
    }
    return true;
}

static const struct row *find_act(const char *act)
{
    for (size_t i = 0; i < row_count; i++)
        if (rows[i].act != NULL && strcmp(rows[i].act, act) == 0)
            return &rows[i];
    return NULL;
}

bool members_check(const struct parsed *leaf, struct failure *why)
{
    const struct row *act = find_act(leaf->act);
    if (act == NULL) {
        failure_set(why, "act", "is not a known one");
        return false;
    }
    if (!check_head(leaf, act, why))
        return false;
    size_t seen = 0;
    for (const struct row *row = act + 1; row < rows + row_count && row->act == NULL; row++) {
        json_t *value = json_object_get(leaf->data, row->name);
        if (value == NULL && row->presence == MAYBE)
            continue;
        if (value == NULL || !fits(value, row)) {
            failure_set(why, row->name, value == NULL ? "is missing" : "is not of its type");
            return false;
        }
        seen++;
    }
    if (seen != json_object_size(leaf->data)) {
        failure_set(why, "data", "has a member that this act does not have");
        return false;
    }
    return true;
}

const char *members_act(size_t n)
{
    for (size_t i = 0; i < row_count; i++)
        if (rows[i].act != NULL && n-- == 0)
            return rows[i].act;
    return NULL;
}
