/* Log lines: what each format takes, what it refuses, and that nothing of a line is in a failure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "service/cli/lines.h"
#include "service/cli/moment.h"

static struct line line;
static char buffer[4096];

static enum result parse(const struct lines_format *format, const char *text)
{
    lines_clear(&line);
    snprintf(buffer, sizeof buffer, "%s", text);
    return lines_parse(format, buffer, &line, NULL);
}

static struct lines_format csv(const char *map, const char *header)
{
    struct lines_format format = {.kind = LINES_CSV};
    assert_int_equal(lines_read_map(&format, map, NULL), RESULT_OK);
    snprintf(buffer, sizeof buffer, "%s", header);
    assert_int_equal(lines_read_header(&format, buffer, NULL), RESULT_OK);
    return format;
}

static void test_csv_usual_columns(void **state)
{
    (void)state;
    struct lines_format format = csv("", "\xef\xbb\xbfuser_id,ts,event");
    assert_int_equal(parse(&format, "9d744e5bf,2019-10-26 09:37:12,Course_view"), RESULT_OK);
    assert_string_equal(line.user, "9d744e5bf");
    assert_string_equal(line.name, "course_view");
    assert_int_equal(line.ts_ms, 1572082632000);
    assert_null(line.session);
}

static void test_csv_quotes(void **state)
{
    (void)state;
    struct lines_format format = csv("user=who,props.mood=m,session=s", "who,ts,name,m,s");
    assert_int_equal(parse(&format, "\"a,\"\"b\"\"\",1572082632000,\"x y\",\"so, so\","), RESULT_OK);
    assert_string_equal(line.user, "a,\"b\"");
    assert_string_equal(line.name, "x_y");
    assert_int_equal(line.prop_count, 1);
    assert_string_equal(line.props[0].name, "mood");
    assert_string_equal(line.props[0].text, "so, so");
    assert_null(line.session);
    assert_int_equal(parse(&format, "\"a,1572082632000,x"), RESULT_INVALID);
    assert_int_equal(line.fault, LINES_BAD_FORM);
    assert_int_equal(parse(&format, "\"a\"b,1572082632000,x"), RESULT_INVALID);
}

static void test_csv_faults(void **state)
{
    (void)state;
    struct lines_format format = csv("", "user,ts,name");
    assert_int_equal(parse(&format, ",1572082632000,x"), RESULT_INVALID);
    assert_int_equal(line.fault, LINES_BAD_USER);
    assert_int_equal(parse(&format, "a,yesterday,x"), RESULT_INVALID);
    assert_int_equal(line.fault, LINES_BAD_TS);
    assert_int_equal(parse(&format, "a,1572082632000"), RESULT_INVALID);
    assert_int_equal(line.fault, LINES_BAD_NAME);
    assert_int_equal(parse(&format, "a\x80,1572082632000,x"), RESULT_INVALID);
    assert_int_equal(line.fault, LINES_BAD_TEXT);
    assert_int_equal(parse(&format, "\xc3\xa4\xe2\x82\xac,1572082632000,x"), RESULT_OK);
    assert_int_equal(parse(&format, "\xed\xa0\x80,1572082632000,x"), RESULT_INVALID);
    assert_int_equal(parse(&format, " "), RESULT_NOT_FOUND);
    assert_int_equal(line.fault, LINES_EMPTY);
}

static void test_long_user_is_refused(void **state)
{
    (void)state;
    char text[512], user[258];
    struct lines_format format = csv("", "user,ts,name");
    memset(user, 'u', sizeof user);
    user[257] = '\0';
    snprintf(text, sizeof text, "%s,1572082632000,x", user);
    assert_int_equal(parse(&format, text), RESULT_INVALID);
    assert_int_equal(parse(&format, text + 1), RESULT_OK);
}

static void test_a_failure_holds_nothing_of_the_line(void **state)
{
    (void)state;
    struct failure why = {0};
    struct lines_format format = csv("", "user,ts,name");
    lines_clear(&line);
    snprintf(buffer, sizeof buffer, "%s", "canary-7f3,canary-7f3,x");
    assert_int_equal(lines_parse(&format, buffer, &line, &why), RESULT_INVALID);
    assert_null(strstr(why.text, "canary"));
    assert_null(strstr(why.field, "canary"));
}

static void test_header_names_what_is_missing(void **state)
{
    (void)state;
    struct failure why = {0};
    struct lines_format format = {.kind = LINES_CSV};
    snprintf(buffer, sizeof buffer, "user,when,name");
    assert_int_equal(lines_read_header(&format, buffer, &why), RESULT_NOT_FOUND);
    assert_string_equal(why.field, "ts");
    format = (struct lines_format){.kind = LINES_CSV, .event = "order"};
    snprintf(buffer, sizeof buffer, "user,ts");
    assert_int_equal(lines_read_header(&format, buffer, NULL), RESULT_OK);
}

static void test_map_faults(void **state)
{
    (void)state;
    struct lines_format format = {.kind = LINES_CSV};
    assert_int_equal(lines_read_map(&format, "colour=x", NULL), RESULT_INVALID);
    assert_int_equal(lines_read_map(&format, "user", NULL), RESULT_INVALID);
    assert_int_equal(lines_read_map(&format, "user=", NULL), RESULT_INVALID);
    format.kind = LINES_CLF;
    assert_int_equal(lines_read_map(&format, "user=referer", NULL), RESULT_INVALID);
}

static void test_jsonl(void **state)
{
    (void)state;
    struct lines_format format = {.kind = LINES_JSONL};
    assert_int_equal(lines_read_map(&format, "props.mood=props.mood,props.n=n", NULL), RESULT_OK);
    assert_int_equal(
        parse(&format, "{\"user\":17,\"ts\":1572082632000,\"event\":\"x\",\"n\":2.5,\"props\":{\"mood\":true}}"), RESULT_OK);
    assert_string_equal(line.user, "17");
    assert_int_equal(line.ts_ms, 1572082632000);
    assert_int_equal(line.prop_count, 2);
    assert_string_equal(line.props[0].text, "true");
    assert_string_equal(line.props[1].text, "2.5");
    assert_int_equal(parse(&format, "{\"user\":17"), RESULT_INVALID);
    assert_int_equal(parse(&format, "[]"), RESULT_INVALID);
    assert_int_equal(parse(&format, "{\"user\":\"a\\nb\",\"ts\":1572082632000,\"event\":\"x\"}"), RESULT_INVALID);
    assert_int_equal(line.fault, LINES_BAD_TEXT);
}

static const char *const page =
    "203.0.113.9 - ada [10/Oct/2000:13:55:36 -0700] \"GET /a/b?q=1 HTTP/1.0\" 200 2326 \"http://x/\" \"Mozilla \\\"5\\\"\"";

static void test_clf(void **state)
{
    (void)state;
    struct lines_format format = {.kind = LINES_CLF};
    assert_int_equal(parse(&format, page), RESULT_OK);
    assert_string_equal(line.user, "ada");
    assert_string_equal(line.name, "page_view");
    assert_string_equal(line.path, "/a/b");
    assert_int_equal(line.ts_ms, 971211336000);
    assert_int_equal(parse(&format, "1.2.3.4 - ada [10/Oct/2000:13:55:36 +0000] \"GET / HTTP/1.0\" 304 -"), RESULT_OK);
}

static void test_clf_passes_over(void **state)
{
    (void)state;
    struct lines_format format = {.kind = LINES_CLF};
    static const struct {
        const char *text;
        enum lines_fault fault;
    } cases[] = {
        {"1.2.3.4 - a [10/Oct/2000:13:55:36 +0000] \"POST / HTTP/1.0\" 200 1", LINES_NOT_A_PAGE},
        {"1.2.3.4 - a [10/Oct/2000:13:55:36 +0000] \"GET /x.CSS?v=1 HTTP/1.0\" 200 1", LINES_NOT_A_PAGE},
        {"1.2.3.4 - a [10/Oct/2000:13:55:36 +0000] \"GET / HTTP/1.0\" 404 1", LINES_NOT_ANSWERED},
        {"1.2.3.4 - - [10/Oct/2000:13:55:36 +0000] \"GET / HTTP/1.0\" 200 1", LINES_NO_USER},
        {"1.2.3.4 - a [10/Oct/2000:13:55:36 +0000] \"GET / HTTP/1.0\" 200 1 \"-\" \"Googlebot/2.1\"", LINES_AUTOMATON},
        {"1.2.3.4 - a [10/Foo/2000:13:55:36 +0000] \"GET / HTTP/1.0\" 200 1", LINES_BAD_TS},
        {"1.2.3.4 - a [10/Oct/2000:13:55:36 +0000] \"GET / HTTP/1.0", LINES_BAD_FORM},
        {"1.2.3.4 - a [10/Oct/2000:13:55:36 +0000] \"GET / HTTP/1.0\" 200 1 \"-", LINES_BAD_FORM},
        {"nonsense", LINES_BAD_FORM},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_not_equal(parse(&format, cases[i].text), RESULT_OK);
        assert_int_equal(line.fault, cases[i].fault);
    }
}

static void test_clf_visitor_is_a_hash_of_the_day(void **state)
{
    (void)state;
    char first[64];
    struct lines_format format = {.kind = LINES_CLF, .user_from_address = true};
    assert_int_equal(parse(&format, page), RESULT_OK);
    snprintf(first, sizeof first, "%s", line.user);
    assert_null(strstr(first, "203.0"));
    assert_int_equal(parse(&format, page), RESULT_OK);
    assert_string_equal(line.user, first);
    format.key[0] = 1;
    assert_int_equal(parse(&format, page), RESULT_OK);
    assert_string_not_equal(line.user, first);
}

static void test_event_names(void **state)
{
    (void)state;
    char name[NAME_MAX_BYTES + 1];
    assert_true(lines_event_name(" Applied Statistics ", name));
    assert_string_equal(name, "applied_statistics");
    assert_false(lines_event_name("  ", name));
    assert_false(lines_event_name("0123456789012345678901234567890123456789012345678901234567890123", name));
}

static int in_utc(void **state)
{
    (void)state;
    return moment_set_zone("UTC", NULL) == RESULT_OK ? 0 : -1;
}

static int done(void **state)
{
    (void)state;
    lines_clear(&line);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_csv_usual_columns),
        cmocka_unit_test(test_csv_quotes),
        cmocka_unit_test(test_csv_faults),
        cmocka_unit_test(test_long_user_is_refused),
        cmocka_unit_test(test_a_failure_holds_nothing_of_the_line),
        cmocka_unit_test(test_header_names_what_is_missing),
        cmocka_unit_test(test_map_faults),
        cmocka_unit_test(test_jsonl),
        cmocka_unit_test(test_clf),
        cmocka_unit_test(test_clf_passes_over),
        cmocka_unit_test(test_clf_visitor_is_a_hash_of_the_day),
        cmocka_unit_test(test_event_names),
    };
    return cmocka_run_group_tests(tests, in_utc, done);
}
