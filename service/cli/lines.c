#include "service/cli/lines.h"

#include <ctype.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "service/cli/moment.h"

#define DAY_MS 86400000LL

static const struct {
    const char *name, *text;
} faults[LINES_FAULTS] = {
    [LINES_GOOD] = {"good", "an event"},
    [LINES_BAD_FORM] = {"bad_form", "is not a line of this format"},
    [LINES_BAD_TEXT] = {"bad_text", "is not UTF-8, or has control characters in an id"},
    [LINES_BAD_LONG] = {"bad_long", "is longer than a record may be"},
    [LINES_BAD_USER] = {"bad_user", "has no user, or one longer than 256 bytes"},
    [LINES_BAD_TS] = {"bad_ts", "has no time that can be read (epoch ms, RFC 3339, or YYYY-MM-DD[ HH:MM:SS])"},
    [LINES_BAD_NAME] = {"bad_name", "has no event name, or one longer than 63 bytes"},
    [LINES_BAD_SESSION] = {"bad_session", "has a session longer than 256 bytes"},
    [LINES_EMPTY] = {"empty", "is empty"},
    [LINES_NOT_A_PAGE] = {"not_a_page", "is not a request for a page"},
    [LINES_NOT_ANSWERED] = {"not_answered", "was not answered with 2xx or 3xx"},
    [LINES_AUTOMATON] = {"automaton", "comes from an automaton"},
    [LINES_NO_USER] = {"no_user", "names no user"},
};

static const char *const user_names[] = {"user", "user_id", NULL};
static const char *const ts_names[] = {"ts", "timestamp", "time", NULL};
static const char *const name_names[] = {"name", "event", NULL};
static const char *const session_names[] = {"session", "session_id", NULL};

const char *lines_fault_text(enum lines_fault fault)
{
    return faults[fault].text;
}

const char *lines_fault_name(enum lines_fault fault)
{
    return faults[fault].name;
}

static enum result give_up(struct line *out, enum lines_fault fault, struct failure *why)
{
    out->fault = fault;
    failure_set(why, "line", "%s", faults[fault].text);
    return fault >= LINES_EMPTY ? RESULT_NOT_FOUND : RESULT_INVALID;
}

/* --- maps ---------------------------------------------------------------------------------------------------------- */

static enum result set_column(struct lines_column *column, const char *value, size_t length, struct failure *why)
{
    if (length == 0 || length >= sizeof column->name) {
        failure_set(why, "map", "a column's name has 1 to %zu bytes", sizeof column->name - 1);
        return RESULT_INVALID;
    }
    memcpy(column->name, value, length);
    column->name[length] = '\0';
    return RESULT_OK;
}

static enum result add_prop(struct lines_format *format, const char *name, size_t name_length, const char *value,
    size_t length, struct failure *why)
{
    if (format->prop_count == EVENT_PROPS_MAX || name_length == 0 || name_length > NAME_MAX_BYTES) {
        failure_set(why, "map", "props.NAME: a name has 1 to %d bytes, and there are at most %d", NAME_MAX_BYTES,
            EVENT_PROPS_MAX);
        return RESULT_INVALID;
    }
    struct lines_prop *prop = &format->props[format->prop_count];
    memcpy(prop->name, name, name_length);
    prop->name[name_length] = '\0';
    enum result result = set_column(&prop->column, value, length, why);
    if (result == RESULT_OK)
        format->prop_count++;
    return result;
}

static bool same(const char *text, size_t length, const char *name)
{
    return strlen(name) == length && memcmp(text, name, length) == 0;
}

static enum result map_clf(struct lines_format *format, const char *key, size_t key_length, const char *value,
    size_t length, struct failure *why)
{
    if (same(key, key_length, "user") && same(value, length, "authuser")) {
        format->user_from_address = false;
        return RESULT_OK;
    }
    if (same(key, key_length, "user") && same(value, length, "addr-agent")) {
        format->user_from_address = true;
        return RESULT_OK;
    }
    failure_set(why, "map", "clf knows user=authuser and user=addr-agent");
    return RESULT_INVALID;
}

static enum result map_one(struct lines_format *format, const char *key, size_t key_length, const char *value,
    size_t length, struct failure *why)
{
    if (format->kind == LINES_CLF)
        return map_clf(format, key, key_length, value, length, why);
    if (same(key, key_length, "user"))
        return set_column(&format->user, value, length, why);
    if (same(key, key_length, "ts"))
        return set_column(&format->ts, value, length, why);
    if (same(key, key_length, "name"))
        return set_column(&format->name, value, length, why);
    if (same(key, key_length, "session"))
        return set_column(&format->session, value, length, why);
    if (key_length > 6 && memcmp(key, "props.", 6) == 0)
        return add_prop(format, key + 6, key_length - 6, value, length, why);
    failure_set(why, "map", "knows user, ts, name, session and props.NAME");
    return RESULT_INVALID;
}

enum result lines_read_map(struct lines_format *format, const char *map, struct failure *why)
{
    while (*map != '\0') {
        size_t length = strcspn(map, ",");
        const char *equals = memchr(map, '=', length);
        if (equals == NULL) {
            failure_set(why, "map", "is written user=COL,ts=COL,name=COL");
            return RESULT_INVALID;
        }
        size_t key_length = (size_t)(equals - map);
        enum result result = map_one(format, map, key_length, equals + 1, length - key_length - 1, why);
        if (result != RESULT_OK)
            return result;
        map += length;
        map += *map == ',';
    }
    return RESULT_OK;
}

/* --- text ---------------------------------------------------------------------------------------------------------- */

/* The length of the UTF-8 sequence at text, 0 if it is none (Unicode 15, table 3-7). */
static size_t utf8_length(const unsigned char *text)
{
    if (text[0] < 0x80)
        return 1;
    if (text[0] >= 0xc2 && text[0] <= 0xdf)
        return (text[1] & 0xc0) == 0x80 ? 2 : 0;
    if ((text[0] & 0xf0) == 0xe0) {
        unsigned low = text[0] == 0xe0 ? 0xa0 : 0x80, high = text[0] == 0xed ? 0x9f : 0xbf;
        return text[1] >= low && text[1] <= high && (text[2] & 0xc0) == 0x80 ? 3 : 0;
    }
    if (text[0] >= 0xf0 && text[0] <= 0xf4) {
        unsigned low = text[0] == 0xf0 ? 0x90 : 0x80, high = text[0] == 0xf4 ? 0x8f : 0xbf;
        return text[1] >= low && text[1] <= high && (text[2] & 0xc0) == 0x80 && (text[3] & 0xc0) == 0x80 ? 4 : 0;
    }
    return 0;
}

/* Whether text is UTF-8 without control characters. */
static bool is_clean(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    while (*at != '\0') {
        size_t length = *at < 0x20 || *at == 0x7f ? 0 : utf8_length(at);
        if (length == 0)
            return false;
        at += length;
    }
    return true;
}

bool lines_event_name(const char *text, char out[NAME_MAX_BYTES + 1])
{
    while (*text == ' ')
        text++;
    size_t length = strlen(text);
    while (length > 0 && text[length - 1] == ' ')
        length--;
    if (length == 0 || length > NAME_MAX_BYTES)
        return false;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        out[i] = (char)(c < 0x80 && isalnum(c) ? tolower(c) : '_');
    }
    out[length] = '\0';
    return true;
}

/* Check what every format has in common. Strings of *out are set. */
static enum result finish(const struct lines_format *format, const char *ts, const char *name, struct line *out,
    struct failure *why)
{
    if (out->user == NULL || out->user[0] == '\0' || strlen(out->user) > RAW_ID_MAX_BYTES)
        return give_up(out, LINES_BAD_USER, why);
    if (out->session != NULL && out->session[0] == '\0')
        out->session = NULL;
    if (out->session != NULL && strlen(out->session) > RAW_ID_MAX_BYTES)
        return give_up(out, LINES_BAD_SESSION, why);
    if (!is_clean(out->user) || (out->session != NULL && !is_clean(out->session)))
        return give_up(out, LINES_BAD_TEXT, why);
    if (ts != NULL && !moment_parse(ts, &out->ts_ms))
        return give_up(out, LINES_BAD_TS, why);
    if (format->event != NULL)
        name = format->event;
    if (name == NULL || !lines_event_name(name, out->name_text))
        return give_up(out, LINES_BAD_NAME, why);
    out->name = out->name_text;
    for (size_t i = 0; i < out->prop_count; i++) {
        if (!is_clean(out->props[i].text))
            return give_up(out, LINES_BAD_TEXT, why);
    }
    return RESULT_OK;
}

/* --- csv ----------------------------------------------------------------------------------------------------------- */

bool lines_open_quote(const char *line, size_t length)
{
    bool open = false;
    for (const char *at = memchr(line, '"', length); at != NULL;
         at = memchr(at + 1, '"', length - (size_t)(at + 1 - line)))
        open = !open;
    return open;
}

/* Take the quoted field that begins at *at, unescaped in place. NULL if its quote is not closed, or text follows it. */
static char *quoted_field(char **at)
{
    char *from = *at + 1, *to = from, *field = from;
    for (;;) {
        if (*from == '\0')
            return NULL;
        if (*from == '"' && from[1] != '"')
            break;
        if (*from == '"')
            from++;
        *to++ = *from++;
    }
    from++;
    if (*from != ',' && *from != '\0')
        return NULL;
    *at = from;
    *to = '\0'; /* at most at the closing quote, so before *at */
    return field;
}

/* Split line into fields in place; their number, or -1. Fields from capacity on are passed over. */
static int split_csv(char *line, char **fields, int capacity)
{
    int count = 0;
    for (char *at = line;;) {
        char *field = at;
        if (*at == '"') {
            field = quoted_field(&at);
            if (field == NULL)
                return -1;
        } else {
            at += strcspn(at, ",");
        }
        bool last = *at == '\0';
        *at = '\0';
        if (count < capacity)
            fields[count++] = field;
        if (last)
            return count;
        at++;
    }
}

static int find_field(char **fields, int count, const char *name)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(fields[i], name) == 0)
            return i;
    }
    return -1;
}

static int find_column(const struct lines_column *column, const char *const *usual, char **fields, int count)
{
    if (column->name[0] != '\0')
        return find_field(fields, count, column->name);
    for (; *usual != NULL; usual++) {
        int index = find_field(fields, count, *usual);
        if (index >= 0)
            return index;
    }
    return -1;
}

static enum result missing(const char *what, struct failure *why)
{
    failure_set(why, what, "the header has no such column; --map says which one it is");
    return RESULT_NOT_FOUND;
}

enum result lines_read_header(struct lines_format *format, char *line, struct failure *why)
{
    static const char *const no_names[] = {NULL};
    char *fields[LINES_COLUMNS_MAX];
    if (strncmp(line, "\xef\xbb\xbf", 3) == 0)
        line += 3;
    int count = split_csv(line, fields, LINES_COLUMNS_MAX);
    if (count < 0) {
        failure_set(why, "header", "has a quote that is not closed");
        return RESULT_INVALID;
    }
    format->user.index = find_column(&format->user, user_names, fields, count);
    format->ts.index = find_column(&format->ts, ts_names, fields, count);
    format->name.index = find_column(&format->name, name_names, fields, count);
    format->session.index = find_column(&format->session, session_names, fields, count);
    if (format->user.index < 0)
        return missing("user", why);
    if (format->ts.index < 0)
        return missing("ts", why);
    if (format->name.index < 0 && format->event == NULL)
        return missing("name", why);
    if (format->session.index < 0 && format->session.name[0] != '\0')
        return missing("session", why);
    for (size_t i = 0; i < format->prop_count; i++) {
        struct lines_column *column = &format->props[i].column;
        column->index = find_column(column, no_names, fields, count);
        if (column->index < 0)
            return missing("props", why);
    }
    return RESULT_OK;
}

static const char *field_at(char **fields, int count, const struct lines_column *column)
{
    return column->index >= 0 && column->index < count ? fields[column->index] : NULL;
}

static enum result parse_csv(const struct lines_format *format, char *line, struct line *out, struct failure *why)
{
    char *fields[LINES_COLUMNS_MAX];
    int count = split_csv(line, fields, LINES_COLUMNS_MAX);
    if (count < 0)
        return give_up(out, LINES_BAD_FORM, why);
    const char *ts = field_at(fields, count, &format->ts);
    out->user = field_at(fields, count, &format->user);
    out->session = field_at(fields, count, &format->session);
    for (size_t i = 0; i < format->prop_count; i++) {
        const char *text = field_at(fields, count, &format->props[i].column);
        if (text != NULL && text[0] != '\0')
            out->props[out->prop_count++] = (struct line_prop){.name = format->props[i].name, .text = text};
    }
    if (ts == NULL)
        return give_up(out, LINES_BAD_TS, why);
    return finish(format, ts, field_at(fields, count, &format->name), out, why);
}

/* --- jsonl --------------------------------------------------------------------------------------------------------- */

/* The member at a dotted path; a member of that whole name goes first. */
static json_t *member(json_t *object, const char *path)
{
    json_t *value = json_object_get(object, path);
    const char *dot = strchr(path, '.');
    if (value != NULL || dot == NULL)
        return value;
    char head[128];
    size_t length = (size_t)(dot - path);
    if (length >= sizeof head)
        return NULL;
    memcpy(head, path, length);
    head[length] = '\0';
    return member(json_object_get(object, head), dot + 1);
}

static json_t *usual_member(json_t *object, const struct lines_column *column, const char *const *usual)
{
    if (column->name[0] != '\0')
        return member(object, column->name);
    for (; *usual != NULL; usual++) {
        json_t *value = json_object_get(object, *usual);
        if (value != NULL)
            return value;
    }
    return NULL;
}

/* A scalar as text, NULL for anything else. */
static const char *as_text(struct line *out, const json_t *value)
{
    if (json_is_string(value))
        return json_string_value(value);
    if (json_is_boolean(value))
        return json_is_true(value) ? "true" : "false";
    if (!json_is_number(value))
        return NULL;
    char *text = out->scratch[out->scratch_used++];
    if (json_is_integer(value))
        snprintf(text, sizeof out->scratch[0], "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else
        snprintf(text, sizeof out->scratch[0], "%.15g", json_real_value(value));
    return text;
}

static enum result parse_jsonl(const struct lines_format *format, char *line, struct line *out, struct failure *why)
{
    out->document = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(out->document))
        return give_up(out, LINES_BAD_FORM, why);
    json_t *root = out->document;
    const char *ts = as_text(out, usual_member(root, &format->ts, ts_names));
    out->user = as_text(out, usual_member(root, &format->user, user_names));
    out->session = as_text(out, usual_member(root, &format->session, session_names));
    const char *name = json_string_value(usual_member(root, &format->name, name_names));
    for (size_t i = 0; i < format->prop_count; i++) {
        const char *text = as_text(out, member(root, format->props[i].column.name));
        if (text != NULL && text[0] != '\0')
            out->props[out->prop_count++] = (struct line_prop){.name = format->props[i].name, .text = text};
    }
    if (ts == NULL)
        return give_up(out, LINES_BAD_TS, why);
    return finish(format, ts, name, out, why);
}

/* --- clf ----------------------------------------------------------------------------------------------------------- */

struct clf_line {
    char *address, *user, *time, *request, *status, *agent;
};

/* Take the quoted string at *at; backslash escapes are left as they are. NULL if there is none. */
static char *take_quoted(char **at)
{
    if (**at != '"')
        return NULL;
    char *text = ++*at;
    for (; **at != '"'; (*at)++) {
        if (**at == '\\' && (*at)[1] != '\0')
            (*at)++;
        if (**at == '\0')
            return NULL;
    }
    *(*at)++ = '\0';
    *at += strspn(*at, " ");
    return text;
}

static char *take_word(char **at)
{
    char *word = *at;
    *at += strcspn(*at, " ");
    if (**at == '\0')
        return NULL;
    *(*at)++ = '\0';
    return word;
}

static bool split_clf(char *line, struct clf_line *out)
{
    char *at = line;
    out->address = take_word(&at);
    if (out->address == NULL || take_word(&at) == NULL)
        return false;
    out->user = at;
    char *bracket = strstr(at, " [");
    if (bracket == NULL)
        return false;
    *bracket = '\0';
    out->time = bracket + 2;
    char *end = strchr(out->time, ']');
    if (end == NULL || end[1] != ' ')
        return false;
    *end = '\0';
    at = end + 2;
    out->request = take_quoted(&at);
    out->status = at;
    if (out->request == NULL || strspn(at, "0123456789") != 3 || at[3] != ' ')
        return false;
    at[3] = '\0';
    at += 4;
    at += strcspn(at, " ");
    at += strspn(at, " ");
    static char none[] = "";
    out->agent = none;
    if (*at == '\0')
        return true; /* the Common Log Format ends here */
    if (take_quoted(&at) == NULL)
        return false;
    out->agent = take_quoted(&at);
    return out->agent != NULL;
}

/* "10/Oct/2000:13:55:36 -0700" */
static bool clf_time(const char *text, int64_t *ms)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    unsigned day, hour, minute, second, zone;
    int year, length = 0;
    char month[4], sign;
    int found = sscanf(text, "%2u/%3[A-Za-z]/%4d:%2u:%2u:%2u %c%4u%n", &day, month, &year, &hour, &minute, &second,
        &sign, &zone, &length);
    if (found != 8 || text[length] != '\0' || (sign != '+' && sign != '-') || zone % 100 > 59 || zone > 2359)
        return false;
    const char *place = strstr(months, month);
    if (strlen(month) != 3 || place == NULL || (place - months) % 3 != 0)
        return false;
    if (!moment_from_utc(year, (unsigned)(place - months) / 3 + 1, day, hour, minute, second, ms))
        return false;
    int64_t offset_ms = (int64_t)(zone / 100 * 60 + zone % 100) * 60000;
    *ms += sign == '-' ? offset_ms : -offset_ms;
    return *ms >= TS_MIN_MS && *ms < TS_MAX_MS;
}

static bool is_asset(const char *path)
{
    static const char *const endings[] = {"css", "js", "mjs", "map", "png", "jpg", "jpeg", "gif", "svg", "webp", "avif",
        "ico", "woff", "woff2", "ttf", "otf", "eot", "mp4", "webm", "mp3", "json", "xml", "txt", "webmanifest"};
    const char *dot = strrchr(path, '.');
    if (dot == NULL || strchr(dot, '/') != NULL)
        return false;
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        if (strcasecmp(dot + 1, endings[i]) == 0)
            return true;
    }
    return false;
}

static bool is_automaton(const char *agent)
{
    static const char *const signs[] = {"bot", "crawl", "spider", "slurp", "curl/", "wget/", "python-", "monitor",
        "headless"};
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
        if (strcasestr(agent, signs[i]) != NULL)
            return true;
    }
    return false;
}

/* The path of "GET /path?query HTTP/1.1" in place, NULL if it is not a GET. */
static char *page_path(char *request)
{
    if (strncmp(request, "GET /", 5) != 0)
        return NULL;
    char *path = request + 4;
    path[strcspn(path, " ?#")] = '\0';
    return path;
}

/* One day's visitor: a keyed hash, so that neither address nor agent goes any further. */
static void hash_visitor(const struct lines_format *format, const struct clf_line *clf, struct line *out)
{
    uint8_t hash[24];
    int64_t day = out->ts_ms / DAY_MS;
    crypto_generichash_state state;
    crypto_generichash_init(&state, format->key, sizeof format->key, sizeof hash);
    crypto_generichash_update(&state, (const unsigned char *)&day, sizeof day);
    crypto_generichash_update(&state, (const unsigned char *)clf->address, strlen(clf->address) + 1);
    crypto_generichash_update(&state, (const unsigned char *)clf->agent, strlen(clf->agent) + 1);
    crypto_generichash_final(&state, hash, sizeof hash);
    sodium_bin2base64(out->user_text, sizeof out->user_text, hash, sizeof hash,
        sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    out->user = out->user_text;
}

static enum result parse_clf(const struct lines_format *format, char *line, struct line *out, struct failure *why)
{
    struct clf_line clf;
    if (!split_clf(line, &clf))
        return give_up(out, LINES_BAD_FORM, why);
    if (!clf_time(clf.time, &out->ts_ms))
        return give_up(out, LINES_BAD_TS, why);
    if (clf.status[0] != '2' && clf.status[0] != '3')
        return give_up(out, LINES_NOT_ANSWERED, why);
    char *path = page_path(clf.request);
    if (path == NULL || is_asset(path))
        return give_up(out, LINES_NOT_A_PAGE, why);
    if (is_automaton(clf.agent))
        return give_up(out, LINES_AUTOMATON, why);
    if (!is_clean(path))
        return give_up(out, LINES_BAD_TEXT, why);
    out->path = path;
    if (format->user_from_address)
        hash_visitor(format, &clf, out);
    else if (strcmp(clf.user, "-") == 0)
        return give_up(out, LINES_NO_USER, why);
    else
        out->user = clf.user;
    return finish(format, NULL, "page_view", out, why);
}

enum result lines_parse(const struct lines_format *format, char *line, struct line *out, struct failure *why)
{
    *out = (struct line){.fault = LINES_GOOD};
    if (line[strspn(line, " \t")] == '\0')
        return give_up(out, LINES_EMPTY, why);
    switch (format->kind) {
    case LINES_CSV:
        return parse_csv(format, line, out, why);
    case LINES_JSONL:
        return parse_jsonl(format, line, out, why);
    case LINES_CLF:
        return parse_clf(format, line, out, why);
    }
    return give_up(out, LINES_BAD_FORM, why);
}

void lines_clear(struct line *out)
{
    json_decref(out->document);
    out->document = NULL;
}
