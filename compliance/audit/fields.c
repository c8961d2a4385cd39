#include "compliance/audit/fields.h"

#include <assert.h>
#include <string.h>

#define NAME_MAX_BYTES 63
#define ITEM_MAX_BYTES 1000
#define WHOLE_MAX_DIGITS 7    /* of a decimal */
#define PLACES_MAX 12         /* of a decimal */
#define FRACTION_MAX_DIGITS 20

enum whose { APP = 1, OURS, EITHER };
enum outcome { OK = 1 << LEAF_OK, DENIED = 1 << LEAF_DENIED, FAILED = 1 << LEAF_FAILED };
enum reference { NO_REF, MAY_REF, MUST_REF };
enum presence { ALWAYS, MAYBE };
enum type {
    TYPE_HEX, TYPE_UUID, TYPE_NAME, TYPE_NAME_OR_EMPTY, TYPE_ONE_OF, TYPE_TEXT, TYPE_ITEM, TYPE_DATE, TYPE_MONTH,
    TYPE_DECIMAL, TYPE_FRACTION, TYPE_INTEGER, TYPE_COUNT, TYPE_FLAG, TYPE_POWER, TYPE_TIME, TYPE_LIST, TYPE_TUPLE, TYPE_MAP
};

struct fields_shape {
    enum type type;
    bool nullable;
    size_t bytes;                  /* HEX, TEXT */
    const char *words;             /* ONE_OF */
    const struct fields_shape *of; /* LIST and MAP: each of their elements; TUPLE: one after another */
    size_t least, most;            /* TUPLE: how many elements */
};

/* A row of fields.def: an act (act is set), or a member of the one before. */
struct fields_row {
    const char *act;
    enum whose whose;
    unsigned outcomes;
    enum reference reference;
    const char *name;
    enum presence presence;
    struct fields_shape shape;
};

#define TUPLE_OF(list, fewest) {.type = TYPE_TUPLE, .of = (list), .least = (fewest), .most = sizeof(list) / sizeof *(list)}

static const struct fields_shape count_elements[] = {{.type = TYPE_ITEM}, {.type = TYPE_COUNT}};
static const struct fields_shape family_elements[] = {
    {.type = TYPE_NAME}, {.type = TYPE_COUNT}, {.type = TYPE_FRACTION}, {.type = TYPE_DECIMAL}, {.type = TYPE_FLAG}};
static const struct fields_shape cell_elements[] = {{.type = TYPE_INTEGER}, {.type = TYPE_INTEGER, .nullable = true}};
static const struct fields_shape a_cell = TUPLE_OF(cell_elements, 2);
static const struct fields_shape row_elements[] = {
    {.type = TYPE_NAME}, {.type = TYPE_ITEM}, {.type = TYPE_LIST, .of = &a_cell}, {.type = TYPE_FRACTION, .nullable = true}};
static const struct fields_shape a_count = TUPLE_OF(count_elements, 2);
static const struct fields_shape a_family = TUPLE_OF(family_elements, 5);
static const struct fields_shape a_row = TUPLE_OF(row_elements, 3);
static const struct fields_shape a_power = {.type = TYPE_POWER};

#define HEX(n) {.type = TYPE_HEX, .bytes = (n)}
#define NULLABLE_HEX(n) {.type = TYPE_HEX, .bytes = (n), .nullable = true}
#define UUID {.type = TYPE_UUID}
#define NAME {.type = TYPE_NAME}
#define NAME_OR_EMPTY {.type = TYPE_NAME_OR_EMPTY}
#define ONE_OF(list) {.type = TYPE_ONE_OF, .words = (list)}
#define TEXT(n) {.type = TYPE_TEXT, .bytes = (n)}
#define NULLABLE_TEXT(n) {.type = TYPE_TEXT, .bytes = (n), .nullable = true}
#define DATE {.type = TYPE_DATE}
#define MONTH {.type = TYPE_MONTH}
#define COUNT {.type = TYPE_COUNT}
#define FLAG {.type = TYPE_FLAG}
#define POWER {.type = TYPE_POWER}
#define TIME {.type = TYPE_TIME}
#define NULLABLE_TIME {.type = TYPE_TIME, .nullable = true}
#define DECIMAL {.type = TYPE_DECIMAL}
#define FRACTION {.type = TYPE_FRACTION}
#define COUNTS {.type = TYPE_LIST, .of = &a_count}
#define POWERS {.type = TYPE_MAP, .of = &a_power}
#define FAMILIES {.type = TYPE_LIST, .of = &a_family}
#define ROWS {.type = TYPE_LIST, .of = &a_row}
#define ACT_DATA(title, who, outs, ref) {.act = (title), .whose = (who), .outcomes = (outs), .reference = (ref)},
#define MEMBER(key, kind, there) {.name = (key), .presence = (there), .shape = kind},

/* The last row is the end of the last act. */
static const struct fields_row rows[] = {
#include "compliance/audit/fields.def"
    {.act = ""}};

#undef ACT_DATA
#undef MEMBER

/* Texts */

static size_t digits(const char *text)
{
    return strspn(text, "0123456789");
}

static bool is_hex(const char *text, size_t bytes)
{
    return strspn(text, "0123456789abcdef") == 2 * bytes && text[2 * bytes] == '\0';
}

static bool is_uuid(const char *text)
{
    for (size_t i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (text[i] == '\0' || (dash ? text[i] != '-' : strchr("0123456789abcdef", text[i]) == NULL))
            return false;
    }
    return text[36] == '\0';
}

static bool is_name(const char *text)
{
    size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-");
    return length >= 1 && length <= NAME_MAX_BYTES && text[length] == '\0' && text[0] >= 'a' && text[0] <= 'z';
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

/* YYYY-MM-DD of the Gregorian calendar, from 1970 on. */
static bool is_date(const char *text)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (digits(text) != 4 || text[4] != '-' || digits(text + 5) != 2 || text[7] != '-' || digits(text + 8) != 2 || text[10] != '\0')
        return false;
    int year = (text[0] - '0') * 1000 + (text[1] - '0') * 100 + (text[2] - '0') * 10 + text[3] - '0';
    int month = (text[5] - '0') * 10 + text[6] - '0', day = (text[8] - '0') * 10 + text[9] - '0';
    if (year < 1970 || month < 1 || month > 12 || day < 1)
        return false;
    bool leaps = month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return day <= lengths[month - 1] + leaps;
}

static bool is_decimal(const char *text)
{
    size_t whole = digits(text);
    if (whole == 0 || whole > WHOLE_MAX_DIGITS || (text[0] == '0' && whole > 1))
        return false;
    if (text[whole] == '\0')
        return true;
    size_t places = text[whole] == '.' ? digits(text + whole + 1) : 0;
    return places >= 1 && places <= PLACES_MAX && text[whole + 1 + places] == '\0';
}

static bool is_fraction(const char *text)
{
    size_t whole = digits(text);
    if (whole == 0 || whole > FRACTION_MAX_DIGITS || (text[0] == '0' && whole > 1))
        return false;
    if (text[whole] == '\0')
        return true;
    const char *rest = text + whole + 1;
    size_t more = digits(rest);
    if (more == 0 || more > FRACTION_MAX_DIGITS || rest[more] != '\0')
        return false;
    return text[whole] == '.' || (text[whole] == '/' && rest[0] != '0');
}

static bool fits_text(const char *text, const struct fields_shape *shape)
{
    switch (shape->type) {
    case TYPE_HEX:
        return is_hex(text, shape->bytes);
    case TYPE_UUID:
        return is_uuid(text);
    case TYPE_NAME:
        return is_name(text);
    case TYPE_NAME_OR_EMPTY:
        return text[0] == '\0' || is_name(text);
    case TYPE_ONE_OF:
        return is_one_of(text, shape->words);
    case TYPE_TEXT:
        return text[0] != '\0' && strnlen(text, shape->bytes + 1) <= shape->bytes;
    case TYPE_ITEM:
        return strnlen(text, ITEM_MAX_BYTES + 1) <= ITEM_MAX_BYTES;
    case TYPE_DATE:
        return is_date(text);
    case TYPE_MONTH:
        return is_date(text) && strcmp(text + 8, "01") == 0;
    case TYPE_DECIMAL:
        return is_decimal(text);
    case TYPE_FRACTION:
        return is_fraction(text);
    case TYPE_INTEGER:
    case TYPE_COUNT:
    case TYPE_FLAG:
    case TYPE_POWER:
    case TYPE_TIME:
    case TYPE_LIST:
    case TYPE_TUPLE:
    case TYPE_MAP:
        break;
    }
    return false;
}

/* Values */

static bool fits_number(int64_t number, enum type type)
{
    if (type == TYPE_INTEGER)
        return true;
    if (number < 0)
        return false;
    if (type == TYPE_FLAG)
        return number <= 1;
    if (type == TYPE_POWER)
        return (number & (number - 1)) == 0;
    return type == TYPE_COUNT || (type == TYPE_TIME && number <= FIELDS_TIME_MAX_MS);
}

static bool fits(const struct fields_value *value, const struct fields_shape *shape)
{
    switch (value->kind) {
    case FIELDS_INT:
        return fits_number(value->number, shape->type);
    case FIELDS_TEXT:
        return value->text != NULL && fits_text(value->text, shape);
    case FIELDS_NULL:
        return shape->nullable;
    case FIELDS_ARRAY:
        return shape->type == TYPE_LIST || shape->type == TYPE_TUPLE;
    case FIELDS_OBJECT:
        return shape->type == TYPE_MAP;
    }
    return false;
}

/* Members */

static const struct fields_row *find_act(const char *act)
{
    for (const struct fields_row *row = rows; act != NULL && row < rows + sizeof rows / sizeof *rows - 1; row++)
        if (row->act != NULL && strcmp(row->act, act) == 0)
            return row;
    return NULL;
}

const char *fields_begin(struct fields *fields, const struct leaf_head *head)
{
    const struct fields_row *act = find_act(head->act);
    *fields = (struct fields){.member = "act", .depth = 1};
    if (act == NULL)
        return "is not in compliance/audit/fields.def";
    fields->next = act + 1;
    fields->member = "tenant";
    if (head->tenant != NULL && head->tenant[0] != '\0' && (act->whose == OURS || !is_name(head->tenant)))
        return "is not what this act is about";
    fields->member = "out";
    if ((act->outcomes & 1u << head->out) == 0)
        return "is no outcome of this act";
    fields->member = "ref";
    if (head->ref == NULL && act->reference == MUST_REF)
        return "is missing";
    return head->ref != NULL && act->reference == NO_REF ? "is not what this act has" : NULL;
}

/* The act's next member, up to the one with that key; NULL: up to the end. What may be absent is passed over. */
static const char *skip_to(struct fields *fields, const char *key)
{
    for (; fields->next->act == NULL; fields->next++) {
        if (key != NULL && strcmp(fields->next->name, key) >= 0)
            break;
        if (fields->next->presence == ALWAYS) {
            fields->member = fields->next->name;
            return "is missing";
        }
    }
    return NULL;
}

static const char *take_member(struct fields *fields, const char *key, const struct fields_shape **shape)
{
    const char *wrong = skip_to(fields, key);
    if (wrong != NULL)
        return wrong;
    fields->member = key;
    if (fields->next->act != NULL || strcmp(fields->next->name, key) != 0)
        return "is no member of this act";
    *shape = &fields->next++->shape;
    return NULL;
}

static const struct fields_shape *element_shape(const struct fields_shape *open, size_t count, const char *key)
{
    if (open->type == TYPE_TUPLE)
        return count < open->most ? &open->of[count] : NULL;
    return open->type == TYPE_LIST || is_name(key) ? open->of : NULL;
}

const char *fields_take(struct fields *fields, const char *key, const struct fields_value *value)
{
    const struct fields_shape *shape = NULL;
    size_t top = fields->depth - 1;
    const char *wrong = top == 0 ? take_member(fields, key, &shape) : NULL;
    if (wrong != NULL)
        return wrong;
    if (top > 0)
        shape = element_shape(fields->levels[top].shape, fields->levels[top].count++, key);
    if (shape == NULL || !fits(value, shape))
        return "is not of its type";
    if (value->kind == FIELDS_ARRAY || value->kind == FIELDS_OBJECT) {
        assert(fields->depth < FIELDS_DEPTH_MAX);
        fields->levels[fields->depth].shape = shape;
        fields->levels[fields->depth++].count = 0;
    }
    return NULL;
}

const char *fields_close(struct fields *fields)
{
    size_t top = --fields->depth;
    const struct fields_shape *shape = fields->levels[top].shape;
    return shape->type == TYPE_TUPLE && fields->levels[top].count < shape->least ? "is not of its type" : NULL;
}

const char *fields_end(struct fields *fields)
{
    return skip_to(fields, NULL);
}
