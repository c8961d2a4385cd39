/*
 * Fields: for every act of fields.def a leaf with all its members is made, and the verifier knows it; without a member that must
 * be there, with one that is none of the act's, with a value of another type or range it is refused, and the failure names it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "compliance/audit/leaf.h"
#include "compliance/meaning/parsed.h"

#define HASH "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define LONG_64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* Values in a small notation of this test: 'text, a number, null, or [ ] { } with elements apart by a blank; a member of an
 * object is its name and a value. */
struct kind {
    const char *good[8], *bad[16];
};

static const struct kind hex_32 = {{"'" HASH}, {"5", "null", "'", "'0", "'" HASH "0", "[ ]"}};
static const struct kind nullable_hex_32 = {{"'" HASH, "null"}, {"5", "'00"}};
static const struct kind hex_8 = {{"'00000000000000ff"}, {"'00000000000000FF", "'00000000000000f", "'00000000000000ff0", "255"}};
static const struct kind uuid = {{"'00000000-0000-4000-8000-000000000001"},
    {"'00000000-0000-4000-8000-00000000000", "'00000000-0000-4000-8000-0000000000011", "'00000000-0000-4000-8000-00000000000A",
        "'0000000000000-4000-8000-00000000000ab", "1", "null"}};
static const struct kind name = {{"'a", "'b-9_"}, {"'", "'9a", "'A", "'a.b", "'" LONG_64, "1", "null", "{ }"}};
static const struct kind date = {{"'2024-02-29", "'1970-01-01", "'9999-12-31", "'2000-02-29"},
    {"'2023-02-29", "'1969-12-31", "'2026-13-01", "'2026-00-01", "'2026-04-31", "'2026-04-00", "'26-04-01", "'2026-4-01",
        "'2026-04-011", "'2026-04-0x", "'2100-02-29", "20260401", "null", "'"}};
static const struct kind month = {{"'2026-04-01"}, {"'2026-04-02", "'2026-13-01", "null"}};
static const struct kind count = {{"0", "9007199254740991"}, {"-1", "'1", "null", "[ ]"}};
static const struct kind flag = {{"0", "1"}, {"2", "-1", "'1", "null"}};
static const struct kind power = {{"0", "1", "2", "1048576"}, {"3", "-2", "6", "'2", "null"}};
static const struct kind moment = {{"0", "253402300799999"}, {"253402300800000", "-1", "'0", "null"}};
static const struct kind nullable_moment = {{"0", "null"}, {"-1", "'0"}};
static const struct kind decimal = {{"'0", "'0.5", "'12.000000000001", "'9999999.5"},
    {"'", "'.5", "'1.", "'01", "'1.0000000000001", "'10000000", "'1/2", "'-1", "'1e3", "1", "null"}};
static const struct kind fraction = {{"'0", "'0.5", "'1/3", "'18446744073709551615/1000"}, {"'1/0", "'1/", "'/2", "'1/2/3", "'1.2.3", "1"}};
static const struct kind counts = {{"[ ]", "[ [ 'a 1 ] [ ' 0 ] ]"},
    {"{ }", "null", "1", "[ 1 ]", "[ [ ] ]", "[ [ 'a ] ]", "[ [ 'a 1 1 ] ]", "[ [ 1 1 ] ]", "[ [ 'a -1 ] ]", "[ [ 'a 'b ] ]", "[ { } ]"}};
static const struct kind powers = {{"{ }", "{ a 1 b_c 1024 }"}, {"[ ]", "null", "{ a 3 }", "{ a 'x }", "{ _a 1 }", "{ a [ ] }"}};
static const struct kind families = {{"[ ]", "[ [ 'goals 32 '64 '0.5 1 ] ]"},
    {"[ [ 'goals 32 '64 '0.5 ] ]", "[ [ 'goals 32 '64 '0.5 1 1 ] ]", "[ [ 'goals 32 '64 '0.5 2 ] ]", "[ [ 'goals 32 64 '0.5 1 ] ]",
        "[ [ ' 32 '64 '0.5 1 ] ]", "{ }", "null"}};
static const struct kind cells = {{"[ ]", "[ [ 'sessions ' [ ] ] ]", "[ [ 'a 'b [ [ -1 null ] [ 2 -3 ] ] '1/3 ] [ 'c 'd [ ] null ] ]"},
    {"[ [ 'a 'b ] ]", "[ [ 'a 'b [ [ 1 ] ] ] ]", "[ [ 'a 'b [ [ 1 2 3 ] ] ] ]", "[ [ 'a 'b [ [ null 1 ] ] ] ]", "[ [ 'a 'b [ 1 ] ] ]",
        "[ [ 'a 'b [ ] 5 ] ]", "[ [ 'a 'b [ ] '1 '1 ] ]", "[ [ 'A 'b [ ] ] ]", "[ [ 'a 1 [ ] ] ]", "null", "{ }"}};

/* Of TEXT and ONE_OF, by what is written in fields.def. */
struct row {
    const char *act;
    unsigned whose, outcomes;
    int reference;
    const char *name;
    int always;
    const struct kind *kind;
    size_t bytes;      /* TEXT */
    const char *words; /* ONE_OF */
    int nullable;      /* TEXT */
};

enum { APP = 1, OURS, EITHER };
enum { OK = 1 << LEAF_OK, DENIED = 1 << LEAF_DENIED, FAILED = 1 << LEAF_FAILED };
enum { NO_REF, MAY_REF, MUST_REF };
enum { MAYBE, ALWAYS };

#define HEX(n) .kind = (n) == 32 ? &hex_32 : &hex_8
#define NULLABLE_HEX(n) .kind = &nullable_hex_32
#define UUID .kind = &uuid
#define NAME .kind = &name
#define ONE_OF(list) .words = (list)
#define TEXT(n) .bytes = (n)
#define NULLABLE_TEXT(n) .bytes = (n), .nullable = 1
#define DATE .kind = &date
#define MONTH .kind = &month
#define COUNT .kind = &count
#define FLAG .kind = &flag
#define POWER .kind = &power
#define TIME .kind = &moment
#define NULLABLE_TIME .kind = &nullable_moment
#define DECIMAL .kind = &decimal
#define FRACTION .kind = &fraction
#define COUNTS .kind = &counts
#define POWERS .kind = &powers
#define FAMILIES .kind = &families
#define ROWS .kind = &cells
#define ACT_DATA(title, who, outs, ref) {.act = (title), .whose = (who), .outcomes = (outs), .reference = (ref)},
#define MEMBER(key, kind_, there) {.name = (key), .always = (there), kind_},

static const struct row rows[] = {
#include "compliance/audit/fields.def"
};
static const size_t row_count = sizeof rows / sizeof *rows;

static void put_one(struct leaf *leaf, const char *key, const char *word)
{
    if (word[0] == '\'')
        leaf_text(leaf, key, word + 1);
    else if (strcmp(word, "null") == 0)
        leaf_null(leaf, key);
    else if (word[0] == '[')
        leaf_array(leaf, key);
    else if (word[0] == '{')
        leaf_object(leaf, key);
    else if (word[0] == ']' || word[0] == '}')
        leaf_close(leaf);
    else
        leaf_int(leaf, key, strtoll(word, NULL, 10));
}

static void put(struct leaf *leaf, const char *key, const char *value)
{
    char text[1200], *rest = NULL;
    (void)snprintf(text, sizeof text, "%s", value);
    put_one(leaf, key, strtok_r(text, " ", &rest));
    for (char *word = strtok_r(NULL, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        bool named = value[0] == '{' && word[0] != '}';
        const char *own = named ? word : NULL;
        put_one(leaf, own, named ? strtok_r(NULL, " ", &rest) : word);
    }
}

/* The first value that a member may have, in the test's notation. */
static const char *good_value(const struct row *row, char out[1200])
{
    if (row->kind != NULL)
        (void)snprintf(out, 1200, "%s", row->kind->good[0]);
    else if (row->words != NULL)
        (void)snprintf(out, 1200, "'%.*s", (int)strcspn(row->words, "|"), row->words);
    else
        (void)snprintf(out, 1200, "'a");
    return out;
}

static struct leaf *begin(const struct row *act)
{
    static const uint8_t ref[16] = {1};
    struct leaf_head head = {.at_ms = 1767225600000, .act = act->act, .actor_type = "daemon", .actor_id = "throng_state",
        .tenant = act->whose == OURS ? "" : "story", .ref = act->reference == MUST_REF ? ref : NULL};
    while ((act->outcomes & 1u << head.out) == 0)
        head.out++;
    return leaf_begin(&head);
}

enum change { AS_IT_IS, LEFT_OUT, ONE_MORE_BEFORE };

/* The act's leaf: with `value` in the place of changed's own, or without it, or with a foreign member before it; changed may be
 * NULL. */
static struct leaf *make(const struct row *act, const struct row *changed, enum change change, const char *value)
{
    char usual[1200], foreign[64];
    struct leaf *leaf = begin(act);
    for (const struct row *row = act + 1; row < rows + row_count && row->act == NULL; row++) {
        (void)snprintf(foreign, sizeof foreign, "%s_", row == act + 1 ? "a" : row[-1].name);
        if (row == changed && change == ONE_MORE_BEFORE)
            leaf_int(leaf, foreign, 1);
        if (row == changed && change == LEFT_OUT)
            continue;
        put(leaf, row->name, row == changed && change == AS_IT_IS ? value : good_value(row, usual));
    }
    return leaf;
}

static void expect_made(struct leaf *leaf, const char *what)
{
    struct failure why = {0};
    struct parsed parsed;
    const char *bytes = NULL;
    size_t length = 0;
    if (leaf_finish(leaf, &bytes, &length, &why) != RESULT_OK)
        fail_msg("%s: %s %s", what, why.field, why.text);
    if (parsed_read((struct text_view){bytes, length}, &parsed, &why) != RESULT_OK || !parsed.known)
        fail_msg("%s is none to the verifier: %s %s", what, parsed.why.field, parsed.why.text);
    parsed_free(&parsed);
    leaf_free(leaf);
}

static void expect_refused(struct leaf *leaf, const char *act, const char *member, const char *what)
{
    struct failure why = {0};
    const char *bytes = NULL;
    size_t length = 0;
    char field[200];
    (void)snprintf(field, sizeof field, "%s.%s", act, member);
    if (leaf_finish(leaf, &bytes, &length, &why) != RESULT_INVALID)
        fail_msg("%s with %s is made", field, what);
    assert_string_equal(why.field, field);
    assert_null(bytes);
    leaf_free(leaf);
}

static void check_text(const struct row *act, const struct row *row)
{
    char text[1200];
    memset(text, 'a', sizeof text);
    text[0] = '\'';
    text[row->bytes + 1] = '\0';
    expect_made(make(act, row, AS_IT_IS, text), row->name);
    text[row->bytes + 1] = 'a';
    text[row->bytes + 2] = '\0';
    expect_refused(make(act, row, AS_IT_IS, text), act->act, row->name, "too long a text");
    expect_refused(make(act, row, AS_IT_IS, "'"), act->act, row->name, "no text");
    expect_refused(make(act, row, AS_IT_IS, "1"), act->act, row->name, "1");
    if (row->nullable)
        expect_made(make(act, row, AS_IT_IS, "null"), row->name);
    else
        expect_refused(make(act, row, AS_IT_IS, "null"), act->act, row->name, "null");
}

static void check_words(const struct row *act, const struct row *row)
{
    char text[100];
    for (const char *at = row->words; at != NULL; at = strchr(at, '|')) {
        at += *at == '|';
        (void)snprintf(text, sizeof text, "'%.*s", (int)strcspn(at, "|"), at);
        expect_made(make(act, row, AS_IT_IS, text), row->name);
        text[strlen(text) - 1] = '\0';
        expect_refused(make(act, row, AS_IT_IS, text), act->act, row->name, text);
    }
    static const char *const bad[] = {"'", "'|", "'nothing", "1", "null"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_refused(make(act, row, AS_IT_IS, bad[i]), act->act, row->name, bad[i]);
}

static void check_member(const struct row *act, const struct row *row)
{
    if (row->always)
        expect_refused(make(act, row, LEFT_OUT, NULL), act->act, row->name, "nothing");
    else
        expect_made(make(act, row, LEFT_OUT, NULL), row->name);
    char foreign[64];
    (void)snprintf(foreign, sizeof foreign, "%s_", row == act + 1 ? "a" : row[-1].name);
    if (strcmp(foreign, row->name) < 0)
        expect_refused(make(act, row, ONE_MORE_BEFORE, NULL), act->act, foreign, "one more");
    if (row->words != NULL)
        check_words(act, row);
    else if (row->kind == NULL)
        check_text(act, row);
    for (size_t i = 0; row->kind != NULL && row->kind->good[i] != NULL; i++)
        expect_made(make(act, row, AS_IT_IS, row->kind->good[i]), row->name);
    for (size_t i = 0; row->kind != NULL && row->kind->bad[i] != NULL; i++)
        expect_refused(make(act, row, AS_IT_IS, row->kind->bad[i]), act->act, row->name, row->kind->bad[i]);
}

static void test_every_act(void **state)
{
    (void)state;
    size_t acts = 0;
    for (const struct row *act = rows; act < rows + row_count; act++) {
        if (act->act == NULL)
            continue;
        acts++;
        expect_made(make(act, NULL, AS_IT_IS, NULL), act->act);
        struct leaf *more = make(act, NULL, AS_IT_IS, NULL);
        leaf_int(more, "zz", 1);
        expect_refused(more, act->act, "zz", "one more");
        for (const struct row *row = act + 1; row < rows + row_count && row->act == NULL; row++)
            check_member(act, row);
    }
    assert_int_equal(acts, 47);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_act)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
