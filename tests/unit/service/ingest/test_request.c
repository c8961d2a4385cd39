/*
 * Requests of events: who may write where, the envelope, every reason for which an event is not taken, identifiers kept
 * once and wiped, the answers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <sodium.h>

#include "service/ingest/request.h"

#define NOW 1767225600000LL /* 2026-01-01T00:00:00Z */
#define BEFORE "1767225599000"

static const char events[] =
    "\"events\":[{\"name\":\"view\",\"kind\":\"view\",\"properties\":[{\"name\":\"page\",\"type\":\"route\",\"required\":true},"
    "{\"name\":\"device\",\"type\":\"enum\",\"from\":\"user_agent\"}]},"
    "{\"name\":\"buy\",\"properties\":[{\"name\":\"price\",\"type\":\"number\",\"min\":10,\"max\":20,\"step\":0.5},"
    "{\"name\":\"gift\",\"type\":\"boolean\"},{\"name\":\"way\",\"type\":\"enum\",\"values\":[\"card\",\"cash\"]}]},"
    "{\"name\":\"roll\",\"properties\":[{\"name\":\"dice\",\"type\":\"number\",\"min\":1,\"max\":20,\"step\":1},"
    "{\"name\":\"campaign\",\"type\":\"entity\",\"required\":true},{\"name\":\"map\",\"type\":\"entity\"}]},"
    "{\"name\":\"end\"}],\"routes\":[\"/\",\"/story/:id\"],\"goals\":[{\"name\":\"g\",\"event\":\"buy\",\"property\":\"way\","
    "\"equals\":\"cash\"},{\"name\":\"h\",\"event\":\"end\"}]";

#define BODIES 8 /* kept from the last calls of parse_in */
static char *bodies[BODIES];

static struct catalogue *catalogue;

static void print_app(FILE *file, unsigned id, const char *name, const char *more)
{
    fprintf(file, "%s{\"id\":%u,\"version\":4,\"mode\":\"live\",\"sealed_until_ms\":1767139200000,\"definition\":"
        "{\"name\":\"%s\",\"time_zone\":\"UTC\",%s%s}}", id == 1 ? "" : ",", id, name, events, more);
}

static void print_key(FILE *file, const char *comma, const char *key, unsigned app)
{
    uint8_t hash[CATALOGUE_KEY_HASH_BYTES];
    char hex[65];
    catalogue_hash_key(key, strlen(key), hash);
    sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
    fprintf(file, "%s{\"hash\":\"%s\",\"app\":%u}", comma, hex, app);
}

static int set_up(void **state)
{
    (void)state;
    char *json;
    size_t size;
    struct failure why = {0};
    FILE *file = open_memstream(&json, &size);
    fputs("{\"format\":1,\"version\":1,\"shards\":16,\"apps\":[", file);
    print_app(file, 1, "web", ",\"origins\":[\"https://web.example\"]");
    print_app(file, 2, "closed", ",\"privacy\":{\"preset\":\"threshold-only\",\"allow_unprotected\":true}");
    print_app(file, 3, "asks", ",\"consent\":\"required\",\"respect_gpc\":false,\"respect_dnt\":false");
    print_app(file, 4, "anyone", ",\"anonymous_visitors\":true");
    fputs("],\"write_keys\":[", file);
    print_key(file, "", "wk_web", 1);
    print_key(file, ",", "wk_closed", 2);
    print_key(file, ",", "wk_asks", 3);
    print_key(file, ",", "wk_anyone", 4);
    fputs("],\"ingest_keys\":[", file);
    print_key(file, "", "ik_closed", 2);
    print_key(file, ",", "ik_any", 0);
    fputs("]}", file);
    fclose(file);
    request_wipe_parser();
    enum result result = catalogue_parse(json, strlen(json), &catalogue, &why);
    free(json);
    return result == RESULT_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    catalogue_release(catalogue);
    for (size_t i = 0; i < BODIES; i++)
        free(bodies[i]);
    return 0;
}

static struct request_context context_of(const char *bearer)
{
    return (struct request_context){.catalogue = catalogue, .bearer = bearer, .address = "192.0.2.7",
        .user_agent = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", .received_at_ms = NOW};
}

static enum result parse_in(const struct request_context *context, const char *body, struct request *request,
    struct failure *why)
{
    /* An exact copy on the heap: a sanitizer sees what reads beyond it. The request may lie in it as long as it is
     * looked at. */
    static size_t turn;
    char **copy = &bodies[turn++ % BODIES];
    size_t length = strlen(body);
    free(*copy);
    *copy = malloc(length);
    assert_non_null(*copy);
    memcpy(*copy, body, length);
    return request_parse(context, *copy, length, request, why);
}

static void check_refused(const struct request_context *context, const char *body, enum result expected,
    const char *field)
{
    struct request request;
    struct failure why = {0};
    enum result result = parse_in(context, body, &request, &why);
    if (result != expected || strcmp(why.field, field) != 0)
        fail_msg("%s: %s at \"%s\": %s", body, failure_name(result), why.field, why.text);
    assert_null(request.document);
    assert_null(request.ids);
}

/* The answer to one event, with a key of web unless body has it; freed by the next call. */
static const char *answer_to(const struct request_context *context, const char *body)
{
    static char *answer;
    struct request request;
    struct failure why = {0};
    free(answer);
    answer = NULL;
    if (body == NULL)
        return NULL;
    enum result result = parse_in(context, body, &request, &why);
    if (result != RESULT_OK)
        fail_msg("%s: %s at \"%s\": %s", body, failure_name(result), why.field, why.text);
    answer = request_answer(&request);
    request_free(&request);
    return answer;
}

static void test_contract_example(void **state)
{
    (void)state;
    struct request_context context = context_of(NULL);
    struct request request;
    struct failure why = {0};
    const char *body = "{\"key\":\"wk_web\",\"sent_at\":1767225600000,\"source\":\"k3J0123456789abcdef_-\",\"events\":["
        "{\"name\":\"view\",\"ts\":" BEFORE ",\"user\":\"u-123\",\"session\":\"s-1\",\"seq\":4,\"engaged_ms\":5300,"
        "\"props\":{\"page\":\"/story/17?x#y\"}},{\"name\":\"buy\",\"ts\":" BEFORE ",\"user\":\"u-123\",\"session\":\"s-1\","
        "\"props\":{\"way\":\"cash\",\"price\":12.7,\"gift\":false}}]}";
    assert_int_equal(parse_in(&context, body, &request, &why), RESULT_OK);
    assert_int_equal(request.app->id, 1);
    assert_int_equal(request.received_at_ms, NOW);
    assert_int_equal(request.event_count, 2);
    assert_int_equal(request.id_count, 3); /* a source, a user, a session */
    assert_true(request.has_source);
    assert_int_equal(request.ids[request.source].kind, PSEUDONYM_SOURCE);
    const struct request_event *view = &request.events[0], *buy = &request.events[1];
    assert_int_equal(view->user, buy->user);
    assert_int_equal(view->session, buy->session);
    assert_int_equal(request.ids[view->user].kind, PSEUDONYM_USER);
    assert_int_equal(request.ids[view->user].id.length, 5);
    assert_memory_equal(request.ids[view->user].id.bytes, "u-123", 5);
    assert_int_equal(request.ids[view->session].kind, PSEUDONYM_SESSION);
    assert_int_equal(view->record.name, 0);
    assert_int_equal(view->record.flags, EVENT_SESSION | EVENT_ENGAGED | EVENT_VIEW);
    assert_int_equal(view->record.ts_ms, NOW - 1000);
    assert_int_equal(view->record.seq, 4);
    assert_int_equal(view->record.engaged_ms, 5300);
    assert_int_equal(view->record.props, 2);
    assert_int_equal(view->record.prop[0].value, 1); /* /story/:id */
    assert_int_equal(view->record.prop[1].index, 1);
    assert_int_equal(view->record.prop[1].value, 0); /* desktop */
    assert_int_equal(buy->record.seq, 1);
    assert_int_equal(buy->record.flags, EVENT_SESSION | EVENT_GOAL);
    assert_int_equal(buy->record.props, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(buy->record.prop[i].index, i);
    assert_int_equal(buy->record.prop[0].value, 5); /* (12.7 - 10) / 0.5 = 5.4 */
    assert_int_equal(buy->record.prop[1].value, 0);
    assert_int_equal(buy->record.prop[2].value, 1);
    char *answer = request_answer(&request);
    assert_string_equal(answer, "{\"accepted\":2,\"rejected\":[],\"dropped\":0}");
    free(answer);
    request_free(&request);
    request_free(&request);
}

#define ONE(event) "{\"key\":\"wk_web\",\"events\":[" event "]}"
#define END "{\"name\":\"end\",\"ts\":" BEFORE ",\"user\":\"u\"}"
#define WITH(member) "{\"name\":\"end\",\"ts\":" BEFORE ",\"user\":\"u\"," member "}"
#define ROLL(props) "{\"name\":\"roll\",\"ts\":" BEFORE ",\"user\":\"u\",\"props\":{" props "}}"
#define BUY(props) "{\"name\":\"buy\",\"ts\":" BEFORE ",\"user\":\"u\",\"props\":{" props "}}"

static void test_rejections(void **state)
{
    (void)state;
    static const struct {
        const char *body, *type, *field;
    } rows[] = {
        {ONE("7"), "not_an_object", NULL},
        {ONE("[]"), "not_an_object", NULL},
        {ONE("{}"), "missing_field", "name"},
        {ONE("{\"name\":\"end\"}"), "missing_field", "ts"},
        {ONE("{\"name\":\"end\",\"ts\":1}"), "missing_field", "user"},
        {ONE("{\"name\":7,\"ts\":1,\"user\":\"u\"}"), "wrong_type", "name"},
        {ONE("{\"name\":\"nope\",\"ts\":1,\"user\":\"u\"}"), "unknown_event", "name"},
        {ONE("{\"name\":\"end\",\"ts\":\"1\",\"user\":\"u\"}"), "wrong_type", "ts"},
        {ONE("{\"name\":\"end\",\"ts\":1.5,\"user\":\"u\"}"), "wrong_type", "ts"},
        {ONE("{\"name\":\"end\",\"ts\":-1,\"user\":\"u\"}"), "out_of_range", "ts"},
        {ONE("{\"name\":\"end\",\"ts\":4102444800000,\"user\":\"u\"}"), "out_of_range", "ts"},
        {ONE("{\"name\":\"end\",\"ts\":1767225900001,\"user\":\"u\"}"), "in_the_future", "ts"},
        {ONE("{\"name\":\"end\",\"ts\":1,\"user\":7}"), "wrong_type", "user"},
        {ONE("{\"name\":\"end\",\"ts\":1,\"user\":null}"), "wrong_type", "user"},
        {ONE("{\"name\":\"end\",\"ts\":1,\"user\":\"\"}"), "missing_field", "user"},
        {ONE(WITH("\"session\":\"\"")), "missing_field", "session"},
        {ONE(WITH("\"session\":false")), "wrong_type", "session"},
        {ONE(WITH("\"seq\":-1")), "out_of_range", "seq"},
        {ONE(WITH("\"seq\":9007199254740992")), "out_of_range", "seq"},
        {ONE(WITH("\"seq\":1e300")), "out_of_range", "seq"},
        {ONE(WITH("\"seq\":\"1\"")), "wrong_type", "seq"},
        {ONE(WITH("\"engaged_ms\":86400001")), "out_of_range", "engaged_ms"},
        {ONE(WITH("\"engaged_ms\":1.5")), "wrong_type", "engaged_ms"},
        {ONE(WITH("\"mood\":1")), "unknown_field", "mood"},
        {ONE(WITH("\"Jane Doe\":1")), "unknown_field", NULL},
        {ONE(WITH("\"props\":[]")), "wrong_type", "props"},
        {ONE(WITH("\"props\":{\"mood\":1}")), "unknown_property", "props.mood"},
        {ONE(WITH("\"props\":{\"Jane Doe\":1}")), "unknown_property", "props"},
        {ONE(WITH("\"props\":{\"\":1}")), "unknown_property", "props"},
        {ONE("{\"name\":\"view\",\"ts\":1,\"user\":\"u\"}"), "missing_field", "props.page"},
        {ONE("{\"name\":\"view\",\"ts\":1,\"user\":\"u\",\"props\":{\"page\":\"/\",\"device\":\"mobile\"}}"), "unknown_property",
            "props.device"},
        {ONE("{\"name\":\"view\",\"ts\":1,\"user\":\"u\",\"props\":{\"page\":7}}"), "wrong_type", "props.page"},
        {ONE(BUY("\"price\":\"12\"")), "wrong_type", "props.price"},
        {ONE(BUY("\"price\":9.999")), "out_of_range", "props.price"},
        {ONE(BUY("\"price\":20.001")), "out_of_range", "props.price"},
        {ONE(BUY("\"gift\":1")), "wrong_type", "props.gift"},
        {ONE(BUY("\"way\":\"gold\"")), "undeclared_value", "props.way"},
        {ONE(BUY("\"way\":\"\"")), "undeclared_value", "props.way"},
        {ONE(BUY("\"way\":null")), "wrong_type", "props.way"},
        {ONE(ROLL("\"campaign\":7")), "wrong_type", "props.campaign"},
        {ONE(ROLL("\"campaign\":\"\"")), "missing_field", "props.campaign"},
        {ONE(ROLL("\"map\":\"m\"")), "missing_field", "props.campaign"},
        {ONE(ROLL("\"campaign\":\"c\",\"map\":null")), "wrong_type", "props.map"},
    };
    struct request_context context = context_of(NULL);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char expected[200], field[100] = "";
        if (rows[i].field != NULL)
            snprintf(field, sizeof field, ",\"field\":\"%s\"", rows[i].field);
        snprintf(expected, sizeof expected, "{\"accepted\":0,\"rejected\":[{\"index\":0,\"type\":\"%s\"%s}],\"dropped\":0}",
            rows[i].type, field);
        const char *answer = answer_to(&context, rows[i].body);
        if (strcmp(answer, expected) != 0)
            fail_msg("%s: %s", rows[i].body, answer);
    }
    answer_to(NULL, NULL);
}

static void test_taken(void **state)
{
    (void)state;
    static const char *const rows[] = {
        ONE(END),
        ONE("{\"name\":\"end\",\"ts\":1767225900000,\"user\":\"u\"}"), /* 5 min ahead */
        ONE("{\"name\":\"end\",\"ts\":0,\"user\":\"u\"}"),
        ONE("{\"name\":\"end\",\"ts\":1767225599000.0,\"user\":\"u\"}"),
        ONE(WITH("\"seq\":9007199254740991")),
        ONE(WITH("\"engaged_ms\":86400000")),
        ONE(WITH("\"props\":{}")),
        ONE(BUY("\"price\":10")),
        ONE(BUY("\"price\":20.0")),
        "{\"key\":\"wk_web\",\"app\":\"web\",\"consent\":true,\"events\":[" END "]}",
    };
    struct request_context context = context_of(NULL);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *answer = answer_to(&context, rows[i]);
        if (strcmp(answer, "{\"accepted\":1,\"rejected\":[],\"dropped\":0}") != 0)
            fail_msg("%s: %s", rows[i], answer);
    }
    answer_to(NULL, NULL);
}

static void test_lengths(void **state)
{
    (void)state;
    struct request_context context = context_of("wk_web");
    char body[600], id[258];
    memset(id, 'x', 257);
    id[257] = '\0';
    snprintf(body, sizeof body, "{\"events\":[{\"name\":\"end\",\"ts\":1,\"user\":\"%s\"}]}", id);
    assert_non_null(strstr(answer_to(&context, body), "\"too_long\",\"field\":\"user\""));
    snprintf(body, sizeof body, "{\"events\":[{\"name\":\"end\",\"ts\":1,\"user\":\"u\",\"session\":\"%s\"}]}", id);
    assert_non_null(strstr(answer_to(&context, body), "\"too_long\",\"field\":\"session\""));
    snprintf(body, sizeof body, "{\"events\":[{\"name\":\"end\",\"ts\":1,\"user\":\"%s\"}]}", id + 1);
    assert_non_null(strstr(answer_to(&context, body), "\"accepted\":1"));
    answer_to(NULL, NULL);
}

static void test_sequences(void **state)
{
    (void)state;
    struct request_context context = context_of("wk_web");
    const char *twice = "{\"source\":\"0123456789abcdef\",\"events\":[" END "," WITH("\"seq\":0") "," WITH("\"seq\":9") ","
        WITH("\"seq\":9") "," WITH("\"seq\":1,\"mood\":1") "," WITH("\"seq\":1") "]}";
    assert_string_equal(answer_to(&context, twice),
        "{\"accepted\":3,\"rejected\":[{\"index\":1,\"type\":\"duplicate_seq\",\"field\":\"seq\"},{\"index\":3,\"type\":"
        "\"duplicate_seq\",\"field\":\"seq\"},{\"index\":4,\"type\":\"unknown_field\",\"field\":\"mood\"}],\"dropped\":0}");
    assert_non_null(strstr(answer_to(&context, "{\"events\":[" END "," WITH("\"seq\":0") "]}"), "\"accepted\":2"));
    answer_to(NULL, NULL);
}

static int64_t corrected(const char *sent_at, const char *ts, bool import)
{
    char body[200];
    struct request request;
    struct failure why = {0};
    struct request_context context = context_of(NULL);
    context.admin_app = catalogue_app(catalogue, 1);
    context.import = import;
    snprintf(body, sizeof body, "{\"sent_at\":%s,\"events\":[{\"name\":\"end\",\"ts\":%s,\"user\":\"u\"}]}", sent_at, ts);
    assert_int_equal(parse_in(&context, body, &request, &why), RESULT_OK);
    int64_t ts_ms = request.event_count == 1 ? request.events[0].record.ts_ms : -(int64_t)request.rejected[0].reason;
    request_free(&request);
    return ts_ms;
}

static void test_clocks(void **state)
{
    (void)state;
    assert_int_equal(corrected("1767225540000", "1767225500000", false), 1767225500000); /* 60 s slow: nothing */
    assert_int_equal(corrected("1767225539999", "1767225500000", false), 1767225560001);
    assert_int_equal(corrected("1767225660000", "1767225659000", false), 1767225659000);
    assert_int_equal(corrected("1767225660001", "1767225659000", false), 1767225598999);
    assert_int_equal(corrected("1767229200000", "1767229199000", false), NOW - 1000); /* an hour fast: no longer future */
    assert_int_equal(corrected("1767229200000", "1767229199000", true), -PACKET_REASON_FUTURE);
    assert_int_equal(corrected("1767222000000", "1767225500000", false), -PACKET_REASON_FUTURE);
    assert_int_equal(corrected("1767229200000", "1000", false), -PACKET_REASON_OUT_OF_RANGE);
    assert_int_equal(corrected("0", "0", false), NOW);
}

static void test_keys(void **state)
{
    (void)state;
    struct request_context none = context_of(NULL), web = context_of("wk_web"), closed = context_of("wk_closed"),
        server = context_of("ik_closed"), any = context_of("ik_any"), wrong = context_of("wk_"), admin = context_of(NULL);
    const char *plain = "{\"events\":[" END "]}";
    admin.admin_app = catalogue_app(catalogue, 2);
    check_refused(&none, plain, RESULT_NOT_FOUND, "key");
    check_refused(&wrong, plain, RESULT_NOT_FOUND, "key");
    check_refused(&web, "{\"key\":\"wk_wrong\",\"events\":[" END "]}", RESULT_NOT_FOUND, "key");
    check_refused(&none, "{\"key\":7,\"events\":[" END "]}", RESULT_INVALID, "key");
    check_refused(&closed, plain, RESULT_DENIED, "key");
    check_refused(&any, plain, RESULT_INVALID, "app");
    check_refused(&any, "{\"app\":\"nope\",\"events\":[" END "]}", RESULT_INVALID, "app");
    check_refused(&any, "{\"app\":7,\"events\":[" END "]}", RESULT_INVALID, "app");
    check_refused(&web, "{\"app\":\"closed\",\"events\":[" END "]}", RESULT_DENIED, "app");
    check_refused(&server, "{\"app\":\"web\",\"events\":[" END "]}", RESULT_DENIED, "app");
    check_refused(&admin, "{\"app\":\"web\",\"events\":[" END "]}", RESULT_DENIED, "app");
    assert_non_null(strstr(answer_to(&server, plain), "\"accepted\":1"));
    assert_non_null(strstr(answer_to(&admin, plain), "\"accepted\":1"));
    assert_non_null(strstr(answer_to(&any, "{\"app\":\"closed\",\"events\":[" END "]}"), "\"accepted\":1"));
    assert_non_null(strstr(answer_to(&wrong, ONE(END)), "\"accepted\":1"));
    answer_to(NULL, NULL);
}

static void test_origins(void **state)
{
    (void)state;
    struct request_context web = context_of("wk_web"), server = context_of("ik_any");
    web.origin = "https://web.example";
    assert_non_null(strstr(answer_to(&web, "{\"events\":[" END "]}"), "\"accepted\":1"));
    web.origin = "https://other.example";
    check_refused(&web, "{\"events\":[" END "]}", RESULT_DENIED, "origin");
    server.origin = "https://other.example";
    assert_non_null(strstr(answer_to(&server, "{\"app\":\"web\",\"events\":[" END "]}"), "\"accepted\":1"));
    answer_to(NULL, NULL);
}

static void test_envelopes(void **state)
{
    (void)state;
    struct request_context context = context_of("wk_web");
    check_refused(&context, "", RESULT_INVALID, "");
    check_refused(&context, "{", RESULT_INVALID, "");
    check_refused(&context, "{} {}", RESULT_INVALID, "");
    check_refused(&context, "[]", RESULT_INVALID, "");
    check_refused(&context, "\"events\"", RESULT_INVALID, "");
    check_refused(&context, "{}", RESULT_INVALID, "events");
    check_refused(&context, "{\"events\":{}}", RESULT_INVALID, "events");
    check_refused(&context, "{\"events\":[]}", RESULT_INVALID, "events");
    check_refused(&context, "{\"events\":[" END "],\"mode\":1}", RESULT_INVALID, "mode");
    check_refused(&context, "{\"events\":[" END "],\"Jane Doe\":1}", RESULT_INVALID, "");
    check_refused(&context, "{\"events\":[" END "],\"events\":[]}", RESULT_INVALID, "");
    check_refused(&context, "{\"events\":[" END "],\"sent_at\":\"now\"}", RESULT_INVALID, "sent_at");
    check_refused(&context, "{\"events\":[" END "],\"sent_at\":-1}", RESULT_INVALID, "sent_at");
    check_refused(&context, "{\"events\":[" END "],\"source\":\"0123456789abcde\"}", RESULT_INVALID, "source");
    check_refused(&context, "{\"events\":[" END "],\"source\":\"0123456789abcde.\"}", RESULT_INVALID, "source");
    check_refused(&context, "{\"events\":[" END "],\"source\":7}", RESULT_INVALID, "source");
    check_refused(&context, "{\"events\":[" END "],\"consent\":\"yes\"}", RESULT_INVALID, "consent");
    check_refused(&context, ONE("{\"name\":\"end\",\"ts\":1,\"user\":\"a\\u0000b\"}"), RESULT_INVALID, "");
    check_refused(&context, ONE("{\"name\":\"end\",\"ts\":1,\"user\":\"\xff\"}"), RESULT_INVALID, "");
    check_refused(&context, ONE("{\"name\":\"end\",\"ts\":99999999999999999999,\"user\":\"u\"}"), RESULT_INVALID, "");
}

/* jansson's messages quote what they stumbled over. */
static void test_failures_keep_silent(void **state)
{
    (void)state;
    struct request_context context = context_of("wk_web");
    struct request request;
    struct failure why = {0};
    assert_int_equal(parse_in(&context, "{\"events\":[{\"user\":\"secret-id\" secret-id", &request, &why), RESULT_INVALID);
    assert_null(strstr(why.text, "secret"));
}

static void test_bounds(void **state)
{
    (void)state;
    struct request_context context = context_of("wk_web");
    struct request request;
    char *body;
    size_t size;
    for (unsigned count = 1000; count <= 20000; count = count == 1000 ? 1001 : count * 19) {
        struct failure why = {0};
        FILE *file = open_memstream(&body, &size);
        fputs("{\"events\":[" END, file);
        for (unsigned i = 1; i < count; i++)
            fprintf(file, ",{\"name\":\"end\",\"ts\":%u,\"user\":\"user %u\",\"session\":\"%u\"}", i, i % 700, i);
        fputs("]}", file);
        fclose(file);
        assert_int_equal(request_parse(&context, body, size, &request, &why), count == 1000 ? RESULT_OK : RESULT_FULL);
        if (count == 1000) {
            assert_int_equal(request.event_count, 1000);
            assert_int_equal(request.id_count, 701 + 999); /* "u" and 700 users, 999 sessions */
            request_free(&request);
        } else {
            assert_string_equal(why.field, "events");
        }
        free(body);
    }
}

static void test_hostile_bodies(void **state)
{
    (void)state;
    enum { BYTES = BODY_TRUSTED_MAX_BYTES };
    struct request_context context = context_of("wk_web");
    struct request request;
    char *body = malloc(BYTES);
    assert_non_null(body);
    struct failure deep = {0}, wide = {0}, many = {0};
    memset(body, '[', BYTES);
    assert_int_equal(request_parse(&context, body, BYTES, &request, &deep), RESULT_INVALID);
    for (size_t i = 0; i < BYTES; i++)
        body[i] = "[],"[i % 3];
    assert_int_equal(request_parse(&context, body, BYTES, &request, &wide), RESULT_FULL);
    memset(body, ',', BYTES);
    assert_int_equal(request_parse(&context, body, BYTES, &request, &many), RESULT_FULL);
    memset(body, '\\', BYTES);
    body[0] = '"';
    assert_int_equal(request_parse(&context, body, BYTES, &request, &many), RESULT_INVALID);
    free(body);
    check_refused(&context, "{\"events\":[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]}", RESULT_INVALID, "");
    /* brackets in a text are no nesting */
    assert_non_null(strstr(answer_to(&context, ONE(WITH("\"session\":\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[\""))), "\"accepted\":1"));
    answer_to(NULL, NULL);
}

static void check_drop(const struct request_context *context, const char *body, enum packet_reason reason)
{
    struct request request;
    struct failure why = {0};
    assert_int_equal(parse_in(context, body, &request, &why), RESULT_OK);
    assert_int_equal(request.dropped, 2);
    assert_int_equal(request.reasons[reason], 2);
    assert_int_equal(request.event_count + request.rejected_count + request.id_count, 0);
    request_free(&request);
    assert_string_equal(answer_to(context, body), "{\"accepted\":0,\"rejected\":[],\"dropped\":2}");
    answer_to(NULL, NULL);
}

static void test_drops(void **state)
{
    (void)state;
    struct request_context web = context_of("wk_web"), asks = context_of("wk_asks");
    const char *two = "{\"events\":[" END ",7]}";
    web.gpc = web.dnt = web.bot = true;
    check_drop(&web, two, PACKET_REASON_GPC);
    web.gpc = false;
    check_drop(&web, two, PACKET_REASON_DNT);
    web.dnt = false;
    check_drop(&web, two, PACKET_REASON_BOT);
    web.bot = false;
    check_drop(&web, "{\"consent\":false,\"events\":[" END ",7]}", PACKET_REASON_CONSENT);
    asks.gpc = asks.dnt = true; /* which this app's definition does not respect */
    check_drop(&asks, two, PACKET_REASON_CONSENT);
    assert_non_null(strstr(answer_to(&asks, "{\"consent\":true,\"events\":[" END "]}"), "\"accepted\":1"));
    asks.admin_app = catalogue_app(catalogue, 3); /* whoever imports answers for consent */
    assert_non_null(strstr(answer_to(&asks, "{\"events\":[" END "]}"), "\"accepted\":1"));
    answer_to(NULL, NULL);
}

static void check_visitor(const char *address, const char *agent, const char *expected)
{
    struct request_context context = context_of("wk_anyone");
    struct request request;
    struct failure why = {0};
    context.address = address;
    context.user_agent = agent;
    assert_int_equal(parse_in(&context, "{\"events\":[{\"name\":\"end\",\"ts\":1},{\"name\":\"end\",\"ts\":2}]}", &request, &why),
        RESULT_OK);
    assert_int_equal(request.event_count, 2);
    assert_int_equal(request.id_count, 1);
    assert_int_equal(request.ids[0].kind, PSEUDONYM_VISITOR);
    assert_true(request.ids[0].id.length <= RAW_ID_MAX_BYTES);
    assert_int_equal(request.ids[0].id.length, strlen(expected));
    assert_memory_equal(request.ids[0].id.bytes, expected, strlen(expected));
    request_free(&request);
    assert_int_equal(request.visitor[0], '\0');
}

static void test_visitors(void **state)
{
    (void)state;
    char agent[400], expected[RAW_ID_MAX_BYTES + 1];
    struct request_context server = context_of("ik_any"), known = context_of("wk_anyone");
    struct request request;
    struct failure why = {0};
    memset(agent, 'a', sizeof agent - 1);
    agent[sizeof agent - 1] = '\0';
    snprintf(expected, sizeof expected, "2001:db8::1 %.244s", agent);
    check_visitor("192.0.2.7", "Agent/1", "192.0.2.7 Agent/1");
    check_visitor("::ffff:192.0.2.7", "Agent/1", "192.0.2.7 Agent/1");
    check_visitor("192.0.2.7", NULL, "192.0.2.7 ");
    check_visitor("2001:0db8:0:0::1", agent, expected);
    assert_non_null(strstr(answer_to(&server, "{\"app\":\"anyone\",\"events\":[{\"name\":\"end\",\"ts\":1}]}"),
        "\"missing_field\",\"field\":\"user\""));
    assert_int_equal(parse_in(&known, "{\"events\":[" END "]}", &request, &why), RESULT_OK);
    assert_int_equal(request.ids[0].kind, PSEUDONYM_USER);
    request_free(&request);
    answer_to(NULL, NULL);
}

/* The same text as a user and as a session is two ids; wiping covers all of them. */
static void test_kinds_and_wiping(void **state)
{
    (void)state;
    struct request_context context = context_of("wk_web");
    struct request request;
    struct failure why = {0};
    assert_int_equal(parse_in(&context, "{\"source\":\"0123456789abcdef\",\"events\":[{\"name\":\"end\",\"ts\":1,\"user\":"
        "\"0123456789abcdef\",\"session\":\"0123456789abcdef\"}]}", &request, &why), RESULT_OK);
    assert_int_equal(request.id_count, 3);
    assert_null(request.document); /* the ids lie in the body, whose owner wipes it */
    request_free(&request);
    assert_int_equal(parse_in(&context, "{\"source\":\"0123456789abcdef\",\"events\":[{\"name\":\"end\",\"ts\":1,\"user\":"
        "\"0123456789\\u0061bcdef\",\"session\":\"0123456789abcdef\"}]}", &request, &why), RESULT_OK);
    assert_int_equal(request.id_count, 3);
    assert_non_null(request.document);
    const char *user = request.ids[request.events[0].user].id.bytes;
    json_t *document = json_incref(request.document); /* keeps the strings, so that they can be looked at */
    request_free(&request);
    for (size_t i = 0; i < 16; i++)
        assert_int_equal(user[i], 0);
    json_decref(document);
}

/* An entity is an identifier of its own kind, kept once however often it is named; what is refused leaves none. */
static void test_entities(void **state)
{
    (void)state;
    struct request_context context = context_of("wk_web");
    struct request request;
    struct failure why = {0};
    assert_int_equal(parse_in(&context, "{\"events\":[" ROLL("\"campaign\":\"u\",\"dice\":20") "," ROLL("\"campaign\":\"c-7\"") ","
        ROLL("\"map\":\"c-7\",\"campaign\":\"u\"") "," ROLL("\"campaign\":\"gone\",\"dice\":21") "," ROLL("\"campaign\":"
        "\"c\\u002d7\"") "]}", &request, &why), RESULT_OK);
    assert_int_equal(request.event_count, 4);
    assert_int_equal(request.rejected_count, 1);
    assert_int_equal(request.id_count, 3);
    assert_int_equal(request.ids[0].kind, PSEUDONYM_USER);
    for (size_t i = 1; i < 3; i++)
        assert_int_equal(request.ids[i].kind, PSEUDONYM_ENTITY);
    assert_memory_equal(request.ids[1].id.bytes, "u", 2);
    assert_memory_equal(request.ids[2].id.bytes, "c-7", 4);
    static const int64_t expected[4][3] = {{19, 1, -1}, {-1, 2, -1}, {-1, 1, 2}, {-1, 2, -1}};
    for (size_t e = 0; e < 4; e++) {
        const struct packet_event *record = &request.events[e].record;
        assert_true(request.events[e].entities);
        size_t found = 0;
        for (uint8_t p = 0; p < 3; p++) {
            if (expected[e][p] < 0)
                continue;
            assert_int_equal(record->prop[found].index, p);
            assert_int_equal(record->prop[found++].value, expected[e][p]);
        }
        assert_int_equal(record->props, found);
    }
    request_free(&request);
}

static void test_entity_lengths(void **state)
{
    (void)state;
    char body[700], id[300];
    struct request_context context = context_of("wk_web");
    memset(id, 'x', sizeof id);
    id[RAW_ID_MAX_BYTES + 1] = '\0';
    snprintf(body, sizeof body, "{\"events\":[" ROLL("\"campaign\":\"%s\"") "]}", id);
    assert_non_null(strstr(answer_to(&context, body), "\"too_long\",\"field\":\"props.campaign\""));
    id[RAW_ID_MAX_BYTES] = '\0';
    snprintf(body, sizeof body, "{\"events\":[" ROLL("\"campaign\":\"%s\"") "]}", id);
    assert_non_null(strstr(answer_to(&context, body), "\"accepted\":1"));
    answer_to(NULL, NULL);
}

/* As many events as a request may have, each with ids of its own: all tables at their fullest. */
static void test_every_id_its_own(void **state)
{
    (void)state;
    char *body;
    size_t size;
    struct request_context context = context_of("wk_web");
    struct request request;
    struct failure why = {0};
    FILE *file = open_memstream(&body, &size);
    fputs("{\"source\":\"0123456789abcdef\",\"events\":[", file);
    for (int i = 0; i < REQUEST_EVENTS_MAX; i++)
        fprintf(file, "%s{\"name\":\"roll\",\"ts\":1,\"user\":\"%d\",\"session\":\"%d\",\"props\":{\"campaign\":\"%d\",\"map\":"
            "\"m%d\"}}", i == 0 ? "" : ",", i, i, i, i);
    fputs("]}", file);
    fclose(file);
    assert_int_equal(parse_in(&context, body, &request, &why), RESULT_OK);
    free(body);
    assert_int_equal(request.event_count, REQUEST_EVENTS_MAX);
    assert_int_equal(request.id_count, 4 * REQUEST_EVENTS_MAX + 1);
    for (size_t i = 0; i < request.event_count; i++) {
        char text[24];
        snprintf(text, sizeof text, "m%zu", i);
        const struct request_event *event = &request.events[i];
        assert_string_equal(request.ids[event->record.prop[1].value].id.bytes, text);
        assert_string_equal(request.ids[event->user].id.bytes, text + 1);
        assert_int_equal(request.ids[event->session].kind, PSEUDONYM_SESSION);
    }
    request_free(&request);
}

static void test_import(void **state)
{
    (void)state;
    struct request_context context = context_of(NULL);
    context.admin_app = catalogue_app(catalogue, 1);
    const char *sealed = "{\"events\":[" END ",{\"name\":\"end\",\"ts\":1767139199999,\"user\":\"u\"}]}";
    assert_non_null(strstr(answer_to(&context, sealed), "\"accepted\":2"));
    context.import = true;
    check_refused(&context, sealed, RESULT_DENIED, "ts");
    assert_non_null(strstr(answer_to(&context, "{\"events\":[{\"name\":\"end\",\"ts\":1767139200000,\"user\":\"u\"}]}"),
        "\"accepted\":1"));
    assert_non_null(strstr(answer_to(&context, "{\"events\":[{\"name\":\"end\",\"ts\":1767225900001,\"user\":\"u\"}]}"),
        "in_the_future"));
    answer_to(NULL, NULL);
}

static void test_devices(void **state)
{
    (void)state;
    struct request_context context = context_of("wk_web");
    struct request request;
    struct failure why = {0};
    context.user_agent = NULL;
    assert_int_equal(parse_in(&context, "{\"events\":[{\"name\":\"view\",\"ts\":1,\"user\":\"u\",\"props\":{\"page\":\"x\"}}]}",
        &request, &why), RESULT_OK);
    assert_int_equal(request.events[0].record.prop[0].value, -1); /* no route */
    assert_int_equal(request.events[0].record.prop[1].value, 3);  /* other */
    request_free(&request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contract_example),
        cmocka_unit_test(test_taken),
        cmocka_unit_test(test_rejections),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_sequences),
        cmocka_unit_test(test_clocks),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_origins),
        cmocka_unit_test(test_envelopes),
        cmocka_unit_test(test_failures_keep_silent),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_hostile_bodies),
        cmocka_unit_test(test_drops),
        cmocka_unit_test(test_visitors),
        cmocka_unit_test(test_kinds_and_wiping),
        cmocka_unit_test(test_entities),
        cmocka_unit_test(test_entity_lengths),
        cmocka_unit_test(test_every_id_its_own),
        cmocka_unit_test(test_import),
        cmocka_unit_test(test_devices),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
