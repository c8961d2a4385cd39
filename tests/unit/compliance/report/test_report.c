/*
 * Reports of a small trail: every file is there, says what the trail says, escapes what it is given, and is the same again.
 *
 * With arguments it is a tool: LEAVES DEFINITIONS LEDGER RELEASES OUT checks the leaves of a file (one a line) and writes their
 * reports into the folder OUT; DEFINITIONS holds a file each, named by its SHA-256. It prints findings; exit status 1 if any.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>
#include <jansson.h>

#include "compliance/meaning/meaning.h"
#include "compliance/meaning/members.h"
#include "compliance/report/plain.h"
#include "compliance/report/report.h"
#include "tests/unit/compliance/trail.h"

#define FILES_MAX 32

struct kept {
    char path[64];
    char *bytes;
    size_t length;
    bool closed;
};

struct keeper {
    struct kept files[FILES_MAX];
    size_t count, refuse_after; /* refuse_after: bytes, 0: never */
};

static enum result keep_open(void *context, const char *path, void **file, struct failure *why)
{
    (void)why;
    struct keeper *keeper = context;
    struct kept *kept = &keeper->files[keeper->count++];
    (void)snprintf(kept->path, sizeof kept->path, "%s", path);
    *file = kept;
    return RESULT_OK;
}

static enum result keep_write(void *context, void *file, const char *bytes, size_t length, struct failure *why)
{
    struct keeper *keeper = context;
    struct kept *kept = file;
    if (keeper->refuse_after > 0 && kept->length + length > keeper->refuse_after) {
        failure_set(why, "file", "is full");
        return RESULT_FAILED;
    }
    kept->bytes = realloc(kept->bytes, kept->length + length + 1);
    memcpy(kept->bytes + kept->length, bytes, length);
    kept->length += length;
    kept->bytes[kept->length] = '\0';
    return RESULT_OK;
}

static enum result keep_close(void *context, void *file, struct failure *why)
{
    (void)context;
    (void)why;
    ((struct kept *)file)->closed = true;
    return RESULT_OK;
}

static void write_report(const struct trail_fixture *fixture, struct keeper *keeper)
{
    struct failure why = {0};
    const struct report_sink sink = {keeper, keep_open, keep_write, keep_close};
    *keeper = (struct keeper){.count = 0};
    assert_int_equal(report_write(&fixture->source, &sink, NULL, NULL, &why), RESULT_OK);
}

static void end_keeper(struct keeper *keeper)
{
    for (size_t i = 0; i < keeper->count; i++)
        free(keeper->files[i].bytes);
}

static const struct kept *file_named(const struct keeper *keeper, const char *path)
{
    for (size_t i = 0; i < keeper->count; i++)
        if (strcmp(keeper->files[i].path, path) == 0)
            return &keeper->files[i];
    print_error("%s was not written\n", path);
    abort();
}

static void has(const struct keeper *keeper, const char *path, const char *text)
{
    if (strstr(file_named(keeper, path)->bytes, text) == NULL)
        fail_msg("%s does not say: %s", path, text);
}

static void test_paths(void **state)
{
    (void)state;
    struct trail_fixture fixture;
    struct keeper keeper;
    size_t count = 0;
    const char *const *paths = report_paths();
    trail_begin_fixture(&fixture);
    write_report(&fixture, &keeper);
    for (; paths[count] != NULL; count++) {
        assert_true(count == 0 || strcmp(paths[count - 1], paths[count]) < 0);
        assert_true(file_named(&keeper, paths[count])->closed);
        assert_true(file_named(&keeper, paths[count])->length > 0);
    }
    assert_int_equal(count, keeper.count);
    end_keeper(&keeper);
    trail_end_fixture(&fixture);
}

static void test_says(void **state)
{
    (void)state;
    struct trail_fixture fixture;
    struct keeper keeper;
    trail_begin_fixture(&fixture);
    write_report(&fixture, &keeper);
    has(&keeper, "report/requests.csv", TRAIL_REQUEST ",erasure,story,2026-01-01T08:00:00.000Z,2026-01-31T08:00:00.000Z,"
                                                      "2026-02-15T08:00:00.000Z,2026-01-01T10:00:00.000Z,,yes,yes,");
    has(&keeper, "report/keys.csv", "story,4," TRAIL_B "," TRAIL_A "," TRAIL_RING ",ratcheted,2026-01-01T07:00:00.000Z,2026-01-01T08:00:00.000Z,0,6,7\r\n");
    has(&keeper, "report/keys.csv", "story,3," TRAIL_A ",," TRAIL_RING ",born,2026-01-01T05:00:00.000Z,2026-01-01T07:00:00.000Z,0,4,6\r\n");
    has(&keeper, "report/budget.csv", "people,2026-01-01,story,standard,goals,32,32,0.5,no,11\r\n");
    has(&keeper, "report/budget.html", "0.715 of 0.7328");
    has(&keeper, "report/budget.html", "7.");
    has(&keeper, "report/access.csv", "2026-01,read,key,44444444-4444-4444-8444-444444444444,story,7,1\r\n");
    has(&keeper, "report/access.csv", "2026-01,denied,key,44444444-4444-4444-8444-444444444444,scope,3,1\r\n");
    has(&keeper, "report/processing.csv", ",\"see how stories, and \"\"tales\"\", are used\",");
    has(&keeper, "report/processing.html", "Consent (GDPR Art. 6(1)(a))");
    has(&keeper, "report/processing.jsonld", "\"dpv:hasLegalBasis\": \"eu-gdpr:A6-1-a\"");
    has(&keeper, "report/assessment.html", "1 (50 %)");
    has(&keeper, "report/incidents.csv", "clock_stepped_back,,,,");
    has(&keeper, "report/retention.csv", "state_expired,story,2026-01-01,,,,8\r\n");
    has(&keeper, "events.csv", "\"{\"\"file\"\":\"\"0001_roles.sql\"\"");
    has(&keeper, "siem/ocsf.jsonl", "\"version\":\"1.3.0\"");
    has(&keeper, "oscal/assessment-results.json", "\"oscal-version\": \"1.2.2\"");
    end_keeper(&keeper);
    trail_end_fixture(&fixture);
}

static bool ends_with(const char *text, const char *end)
{
    return strlen(text) >= strlen(end) && strcmp(text + strlen(text) - strlen(end), end) == 0;
}

/* Pages are well made: nothing of a definition is markup, no script, nothing from outside, every tag of a table is closed. */
static void test_html(void **state)
{
    (void)state;
    static const char *const never[] = {"<script", "http://", "https://", "src=", "url(", "@import", "javascript:", "onload"};
    struct trail_fixture fixture;
    struct keeper keeper;
    trail_begin_fixture(&fixture);
    write_report(&fixture, &keeper);
    has(&keeper, "report/processing.html", "Example &amp; Sons &lt;script&gt;alert(1)&lt;/script&gt;");
    for (size_t i = 0; i < keeper.count; i++) {
        const struct kept *kept = &keeper.files[i];
        if (!ends_with(kept->path, ".html"))
            continue;
        for (size_t n = 0; n < sizeof never / sizeof *never; n++)
            if (strstr(kept->bytes, never[n]) != NULL)
                fail_msg("%s has %s", kept->path, never[n]);
        assert_true(strncmp(kept->bytes, "<!DOCTYPE html>\n<html lang=\"en\">", 32) == 0);
        assert_true(ends_with(kept->bytes, "</html>\n"));
        int depth = 0;
        for (const char *at = kept->bytes; (at = strstr(at, "<")) != NULL; at++)
            depth += strncmp(at, "<t", 2) == 0 ? 1 : strncmp(at, "</t", 3) == 0 ? -1 : 0;
        assert_int_equal(depth, 0);
    }
    end_keeper(&keeper);
    trail_end_fixture(&fixture);
}

static void test_json(void **state)
{
    (void)state;
    struct trail_fixture fixture;
    struct keeper keeper;
    trail_begin_fixture(&fixture);
    write_report(&fixture, &keeper);
    static const char *const whole[] = {"oscal/assessment-results.json", "report/processing.jsonld"};
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        json_t *root = json_loads(file_named(&keeper, whole[i])->bytes, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(root);
        json_decref(root);
    }
    static const char *const lines[] = {"siem/ocsf.jsonl", "events.jsonl"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        size_t count = 0;
        for (const char *at = file_named(&keeper, lines[i])->bytes; *at != '\0'; at += strcspn(at, "\n") + 1, count++) {
            json_t *root = json_loadb(at, strcspn(at, "\n"), JSON_REJECT_DUPLICATES, NULL);
            assert_non_null(root);
            json_decref(root);
        }
        assert_int_equal(count, fixture.count);
    }
    end_keeper(&keeper);
    trail_end_fixture(&fixture);
}

/* --- OCSF --------------------------------------------------------------------------------------------------------------- */

/* What class Entity Management of schema 1.3.0 with the profile Host has of what we write, as its compiled form says. */
struct attribute {
    const char *path;
    bool required;
    json_type type;
};

static const struct attribute attributes[] = {{"activity_id", true, JSON_INTEGER}, {"activity_name", false, JSON_STRING},
    {"actor", false, JSON_OBJECT}, {"category_uid", true, JSON_INTEGER}, {"class_uid", true, JSON_INTEGER},
    {"entity", true, JSON_OBJECT}, {"message", false, JSON_STRING}, {"metadata", true, JSON_OBJECT},
    {"severity_id", true, JSON_INTEGER}, {"status", false, JSON_STRING}, {"status_code", false, JSON_STRING},
    {"status_id", false, JSON_INTEGER}, {"time", true, JSON_INTEGER}, {"type_uid", true, JSON_INTEGER},
    {"unmapped", false, JSON_OBJECT}};
static const struct attribute actor_attributes[] = {{"app_name", false, JSON_STRING}, {"user", false, JSON_OBJECT}};
static const struct attribute user_attributes[] = {{"uid", true, JSON_STRING}};
static const struct attribute entity_attributes[] = {{"name", true, JSON_STRING}, {"type", false, JSON_STRING},
    {"type_id", false, JSON_INTEGER}};
static const struct attribute metadata_attributes[] = {{"correlation_uid", false, JSON_STRING}, {"event_code", false, JSON_STRING},
    {"log_name", false, JSON_STRING}, {"product", true, JSON_OBJECT}, {"profiles", true, JSON_ARRAY}, {"sequence", false, JSON_INTEGER},
    {"tenant_uid", false, JSON_STRING}, {"uid", false, JSON_STRING}, {"version", true, JSON_STRING}};
static const struct attribute product_attributes[] = {{"name", true, JSON_STRING}, {"vendor_name", true, JSON_STRING}};

/* Every member is one of the attributes, of its type, and none that is required is missing. */
static void conforms(json_t *object, const struct attribute *list, size_t count)
{
    const char *key;
    json_t *value;
    for (size_t i = 0; i < count; i++)
        if (list[i].required && json_object_get(object, list[i].path) == NULL)
            fail_msg("%s is missing", list[i].path);
    json_object_foreach(object, key, value) {
        size_t i = 0;
        while (i < count && strcmp(list[i].path, key) != 0)
            i++;
        if (i == count || json_typeof(value) != list[i].type)
            fail_msg("%s is not of the schema", key);
    }
}

#define CONFORMS(object, list) conforms(object, list, sizeof list / sizeof *list)

static json_int_t number_in(json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static const char *text_in(json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

/* Numbers are of the schema's enumerations, and what stands in words beside them are the captions. */
static void numbers_conform(json_t *event)
{
    static const char *const activities[] = {"Unknown", "Create", "Read", "Update", "Delete"};
    json_int_t activity = number_in(event, "activity_id"), status = number_in(event, "status_id");
    const char *name = text_in(event, "activity_name");
    assert_int_equal(number_in(event, "category_uid"), 3);
    assert_int_equal(number_in(event, "class_uid"), number_in(event, "category_uid") * 1000 + 4);
    assert_int_equal(number_in(event, "type_uid"), number_in(event, "class_uid") * 100 + activity);
    assert_true((activity >= 1 && activity <= 4) || activity == 99);
    assert_string_equal(name, activity == 99 ? text_in(json_object_get(event, "metadata"), "event_code") : activities[activity]);
    assert_true(number_in(event, "severity_id") >= 1 && number_in(event, "severity_id") <= 4);
    assert_true(status == 1 || status == 2);
    assert_string_equal(text_in(event, "status"), status == 1 ? "Success" : "Failure");
    assert_int_equal(strcmp(text_in(event, "status_code"), "ok") == 0, status == 1);
    assert_int_equal(number_in(json_object_get(event, "entity"), "type_id"), 99);
}

static void event_conforms(json_t *event)
{
    json_t *actor = json_object_get(event, "actor"), *metadata = json_object_get(event, "metadata");
    CONFORMS(event, attributes);
    CONFORMS(json_object_get(event, "entity"), entity_attributes);
    CONFORMS(metadata, metadata_attributes);
    CONFORMS(json_object_get(metadata, "product"), product_attributes);
    assert_string_equal(text_in(metadata, "version"), "1.3.0");
    /* The class has an actor only by this profile. */
    json_t *profiles = json_object_get(metadata, "profiles");
    assert_int_equal(json_array_size(profiles), 1);
    assert_string_equal(json_string_value(json_array_get(profiles, 0)), "host");
    if (actor != NULL) {
        CONFORMS(actor, actor_attributes);
        assert_int_equal(json_object_size(actor), 1);
        if (json_object_get(actor, "user") != NULL)
            CONFORMS(json_object_get(actor, "user"), user_attributes);
    }
    numbers_conform(event);
}

static void test_ocsf(void **state)
{
    (void)state;
    struct trail_fixture fixture;
    struct keeper keeper;
    size_t count = 0;
    trail_begin_fixture(&fixture);
    trail_add(&fixture, "moon_landed", "story", "denied", 0, "{\"where\":\"here\"}"); /* of a later version */
    write_report(&fixture, &keeper);
    for (const char *at = file_named(&keeper, "siem/ocsf.jsonl")->bytes; *at != '\0'; at += strcspn(at, "\n") + 1, count++) {
        json_t *event = json_loadb(at, strcspn(at, "\n"), JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(event);
        assert_int_equal(number_in(json_object_get(event, "metadata"), "sequence"), (json_int_t)count);
        event_conforms(event);
        json_decref(event);
    }
    assert_int_equal(count, fixture.count);
    end_keeper(&keeper);
    trail_end_fixture(&fixture);
}

static void test_same_again(void **state)
{
    (void)state;
    struct trail_fixture fixture;
    struct keeper one, two;
    trail_begin_fixture(&fixture);
    write_report(&fixture, &one);
    setenv("TZ", "Asia/Kathmandu", 1);
    tzset();
    write_report(&fixture, &two);
    for (size_t i = 0; i < one.count; i++) {
        assert_int_equal(one.files[i].length, two.files[i].length);
        assert_memory_equal(one.files[i].bytes, two.files[i].bytes, one.files[i].length);
    }
    end_keeper(&one);
    end_keeper(&two);
    trail_end_fixture(&fixture);
}

/* What is late, open or not said is told so. */
static void test_deadlines(void **state)
{
    (void)state;
    struct trail_fixture fixture;
    struct keeper keeper;
    trail_begin_fixture(&fixture);
    trail_drop(&fixture, trail_find(&fixture, "request_purged", 0));
    trail_drop(&fixture, trail_find(&fixture, "request_applied", 0));
    write_report(&fixture, &keeper);
    has(&keeper, "report/requests.csv", ",,,open,open,,,");
    end_keeper(&keeper);
    fixture.now_ms += 31 * TRAIL_DAY_MS;
    trail_add(&fixture, "daemon_stopped", "", "ok", 0, "{}");
    write_report(&fixture, &keeper);
    has(&keeper, "report/requests.csv", ",,,no,open,,,");
    has(&keeper, "oscal/assessment-results.json", "\"target-id\": \"requests-in-time\", \"status\": {\"state\": \"not-satisfied\"");
    end_keeper(&keeper);
    trail_drop(&fixture, trail_find(&fixture, "request_received", 0));
    trail_add(&fixture, "request_purged", "story", "ok", 0, "{\"request\":\"" TRAIL_REQUEST "\"}");
    write_report(&fixture, &keeper);
    has(&keeper, "report/requests.csv", ",,,unknown,unknown,");
    end_keeper(&keeper);
    trail_end_fixture(&fixture);
}

/* An empty trail, and leaves that a later version wrote, are reported as far as they go. */
static void test_little(void **state)
{
    (void)state;
    struct trail_fixture fixture = {.now_ms = TRAIL_START_MS};
    struct keeper keeper;
    fixture.source = (struct source){.context = &fixture, .leaf = trail_leaf, .definition = trail_definition, .ledger = trail_ledger,
        .release = trail_release};
    trail_add(&fixture, "moon_landed", "story", "ok", 0, "{\"where\":\"here\"}");
    trail_add(&fixture, "app_added", "story", "ok", 0, "{\"hash\":\"" TRAIL_HEX "\",\"preset\":\"exact\",\"version\":1}");
    write_report(&fixture, &keeper);
    has(&keeper, "report/index.html", "1 entries are of an act");
    has(&keeper, "report/processing.html", "The definition is not in the bundle");
    has(&keeper, "report/requests.html", "The trail records no request.");
    assert_null(strstr(file_named(&keeper, "oscal/assessment-results.json")->bytes, "findings"));
    end_keeper(&keeper);
    free(fixture.leaves[0]);
    fixture.leaves[0] = strdup("{}");
    struct failure why = {0};
    keeper = (struct keeper){.count = 0};
    const struct report_sink sink = {&keeper, keep_open, keep_write, keep_close};
    assert_int_equal(report_write(&fixture.source, &sink, NULL, NULL, &why), RESULT_CORRUPT);
    for (size_t i = 0; i < keeper.count; i++)
        assert_true(keeper.files[i].closed);
    end_keeper(&keeper);
    trail_end_fixture(&fixture);
}

static void test_full_sink(void **state)
{
    (void)state;
    struct trail_fixture fixture;
    struct keeper keeper = {.refuse_after = 9000};
    struct failure why = {0};
    const struct report_sink sink = {&keeper, keep_open, keep_write, keep_close};
    trail_begin_fixture(&fixture);
    assert_int_equal(report_write(&fixture.source, &sink, NULL, NULL, &why), RESULT_FAILED);
    assert_string_equal(why.text, "is full");
    for (size_t i = 0; i < keeper.count; i++)
        assert_true(keeper.files[i].closed);
    end_keeper(&keeper);
    trail_end_fixture(&fixture);
}

/* Every act has data in fields.def, in the order of acts.def, and words in the reports. */
static void test_acts(void **state)
{
    (void)state;
    static const char *const acts[] = {
#define ACT(name) name,
#include "compliance/audit/acts.def"
#undef ACT
    };
    size_t count = sizeof acts / sizeof *acts;
    for (size_t i = 0; i < count; i++) {
        assert_non_null(members_act(i));
        assert_string_equal(members_act(i), acts[i]);
        if (plain_act(acts[i]) == NULL)
            fail_msg("%s has no words in compliance/report/plain.c", acts[i]);
    }
    assert_null(members_act(count));
}

/* --- as a tool ---------------------------------------------------------------------------------------------------------- */

struct lines {
    char *bytes;
    struct text_view *line;
    size_t count;
};

struct tool {
    struct lines leaves, ledger, releases;
    const char *definitions, *out;
    char definition[262144];
};

static struct lines read_lines(const char *path, bool head)
{
    struct lines lines = {NULL, NULL, 0};
    struct stat info;
    FILE *file = fopen(path, "re");
    if (file == NULL || fstat(fileno(file), &info) != 0)
        exit(2);
    lines.bytes = malloc((size_t)info.st_size + 1);
    size_t length = fread(lines.bytes, 1, (size_t)info.st_size, file), room = 0;
    (void)fclose(file);
    for (size_t at = 0, end; at < length; at = end + 1) {
        const char *newline = memchr(lines.bytes + at, '\n', length - at);
        end = newline == NULL ? length : (size_t)(newline - lines.bytes);
        if (lines.count == room)
            lines.line = realloc(lines.line, (room = room == 0 ? 1024 : 2 * room) * sizeof *lines.line);
        if (!head)
            lines.line[lines.count++] = (struct text_view){lines.bytes + at, end - at};
        head = false;
    }
    return lines;
}

static enum result tool_leaf(void *context, uint64_t index, struct text_view *leaf, struct failure *why)
{
    (void)why;
    *leaf = ((struct tool *)context)->leaves.line[index];
    return RESULT_OK;
}

static enum result tool_line(const struct lines *lines, uint64_t row, struct text_view *line)
{
    if (row >= lines->count)
        return RESULT_NOT_FOUND;
    *line = lines->line[row];
    return RESULT_OK;
}

static enum result tool_ledger(void *context, uint64_t row, struct text_view *line, struct failure *why)
{
    (void)why;
    return tool_line(&((struct tool *)context)->ledger, row, line);
}

static enum result tool_release(void *context, uint64_t row, struct text_view *line, struct failure *why)
{
    (void)why;
    return tool_line(&((struct tool *)context)->releases, row, line);
}

static enum result tool_definition(void *context, const uint8_t hash[32], struct text_view *definition, struct failure *why)
{
    (void)why;
    struct tool *tool = context;
    char path[4096], hex[65];
    sodium_bin2hex(hex, sizeof hex, hash, 32);
    (void)snprintf(path, sizeof path, "%s/%s", tool->definitions, hex);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return RESULT_NOT_FOUND;
    *definition = (struct text_view){tool->definition, fread(tool->definition, 1, sizeof tool->definition, file)};
    (void)fclose(file);
    return RESULT_OK;
}

static enum result tool_open(void *context, const char *path, void **file, struct failure *why)
{
    char full[4096];
    (void)snprintf(full, sizeof full, "%s/%s", ((struct tool *)context)->out, path);
    *strrchr(full, '/') = '\0';
    (void)mkdir(full, 0755);
    (void)snprintf(full, sizeof full, "%s/%s", ((struct tool *)context)->out, path);
    *file = fopen(full, "we");
    failure_set(*file == NULL ? why : NULL, path, "cannot be made");
    return *file == NULL ? RESULT_FAILED : RESULT_OK;
}

static enum result tool_write(void *context, void *file, const char *bytes, size_t length, struct failure *why)
{
    (void)context;
    (void)why;
    return fwrite(bytes, 1, length, file) == length ? RESULT_OK : RESULT_FAILED;
}

static enum result tool_close(void *context, void *file, struct failure *why)
{
    (void)context;
    (void)why;
    return fclose(file) == 0 ? RESULT_OK : RESULT_FAILED;
}

static void tool_found(void *context, const struct meaning_finding *finding)
{
    (void)context;
    printf("%s: %s\n", finding->where, finding->what);
}

static double seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int run_tool(char **arguments)
{
    struct tool *tool = calloc(1, sizeof *tool);
    struct failure why = {0};
    struct rusage usage;
    uint64_t count = 0;
    tool->leaves = read_lines(arguments[0], false);
    tool->definitions = arguments[1];
    tool->ledger = read_lines(arguments[2], true);
    tool->releases = read_lines(arguments[3], true);
    tool->out = arguments[4];
    struct source source = {.context = tool, .leaf = tool_leaf, .definition = tool_definition, .ledger = tool_ledger,
        .release = tool_release};
    source.checkpoint.size = tool->leaves.count;
    (void)snprintf(source.checkpoint.origin, sizeof source.checkpoint.origin, "example.org/throng");
    const struct report_sink sink = {tool, tool_open, tool_write, tool_close};
    (void)mkdir(tool->out, 0755);
    double begin = seconds();
    enum result result = meaning_check(&source, tool_found, NULL, &count, &why);
    double checked = seconds();
    if (result == RESULT_OK)
        result = report_write(&source, &sink, NULL, NULL, &why);
    (void)getrusage(RUSAGE_SELF, &usage);
    printf("%zu leaves, %" PRIu64 " findings, checked in %.2f s, reported in %.2f s, %ld MiB with the leaves themselves%s%s %s\n",
        tool->leaves.count, count, checked - begin, seconds() - checked, usage.ru_maxrss / 1024, result == RESULT_OK ? "" : "; failed: ",
        why.field, why.text);
    return result == RESULT_OK && count == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (sodium_init() < 0)
        return 1;
    if (argc == 6)
        return run_tool(argv + 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_says),
        cmocka_unit_test(test_html),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_ocsf),
        cmocka_unit_test(test_same_again),
        cmocka_unit_test(test_deadlines),
        cmocka_unit_test(test_little),
        cmocka_unit_test(test_full_sink),
        cmocka_unit_test(test_acts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
