/*
 * throng import: history from log files, through the same path as live events. Two passes over the file: the first reads
 * every line and sends nothing, so that a file that cannot be imported is refused whole; the second sends.
 *
 * Sees:     raw identifiers: hands them to ingest's admin socket, prints line numbers and reasons only.
 * Uses:     service/cli/reader, lines, sender, progress, apps.
 * Threads:  one.
 * Failure:  exit status; what was sent stays sent, and importing the same file again counts it once.
 */
#include <inttypes.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "service/base/clock.h"
#include "service/catalogue/definition.h"
#include "service/cli/apps.h"
#include "service/cli/command.h"
#include "service/cli/flags.h"
#include "service/cli/interrupt.h"
#include "service/cli/lines.h"
#include "service/cli/moment.h"
#include "service/cli/poster.h"
#include "service/cli/progress.h"
#include "service/cli/reader.h"
#include "service/cli/sender.h"

#define CHUNK_LINES 1000
#define SHOWN 20

struct options {
    const char *app, *format, *map, *zone, *event, *file;
    int64_t parallel;
    bool allow_bad, dry_run;
};

struct import {
    struct command_context *context;
    struct options options;
    struct lines_format format;
    struct apps_row row;
    struct reader *reader;
    struct sender *sender;
    struct progress progress;
    uint8_t hash[READER_HASH_BYTES];
    /* of the first pass */
    uint64_t records, good, declared;
    uint64_t faults[LINES_FAULTS];
    int64_t first_ms, last_ms;
    size_t shown_count;
    struct {
        uint64_t line;
        enum lines_fault fault;
    } shown[SHOWN];
    int64_t started_ms, finished_ms;
};

/* What a pass does with a good line. */
typedef enum result visit(struct import *import, const struct line *line, uint64_t number, struct failure *why);

/* Go through the file; count says whether faults are counted and shown. */
static enum result pass(struct import *import, bool count, visit *use, struct failure *why)
{
    struct reader_record record;
    bool quoted = import->format.kind == LINES_CSV;
    enum result result = reader_rewind(import->reader, why);
    if (result == RESULT_OK && quoted)
        result = reader_next(import->reader, true, &record, why);
    if (result == RESULT_OK && quoted)
        result = lines_read_header(&import->format, record.text, why);
    if (result != RESULT_OK) {
        failure_set(why, "FILE", "has no header line");
        return RESULT_INVALID;
    }
    while ((result = reader_next(import->reader, quoted, &record, why)) == RESULT_OK) {
        struct line line = {.fault = LINES_BAD_LONG};
        if (!record.unreadable)
            lines_parse(&import->format, record.text, &line, NULL);
        if (line.fault == LINES_GOOD)
            result = use(import, &line, record.line, why);
        if (count) {
            import->records++;
            import->faults[line.fault]++;
            if (line.fault != LINES_GOOD && line.fault < LINES_EMPTY && import->shown_count < SHOWN) {
                import->shown[import->shown_count].line = record.line;
                import->shown[import->shown_count++].fault = line.fault;
            }
        }
        lines_clear(&line);
        if (result != RESULT_OK)
            return result;
    }
    return result == RESULT_NOT_FOUND ? RESULT_OK : result;
}

static enum result survey_line(struct import *import, const struct line *line, uint64_t number, struct failure *why)
{
    (void)why;
    if (import->good++ == 0)
        import->first_ms = import->last_ms = line->ts_ms;
    if (line->ts_ms < import->first_ms)
        import->first_ms = line->ts_ms;
    if (line->ts_ms > import->last_ms)
        import->last_ms = line->ts_ms;
    import->declared += definition_find_event(&import->row.app, line->name) >= 0;
    if (number % 4096 == 0)
        progress_update(&import->progress, reader_fraction(import->reader), "reading");
    return RESULT_OK;
}

/* The chunk's source depends on the content, the app and how lines are read, and on nothing else: the same import again
 * counts once. */
static void source_of(const struct import *import, uint64_t number, char out[SENDER_SOURCE_BYTES])
{
    char what[1024];
    const struct options *options = &import->options;
    snprintf(what, sizeof what, "%s\n%s\n%s\n%s", options->app, options->format, options->map == NULL ? "" : options->map,
        options->event == NULL ? "" : options->event);
    sender_make_source("throng import 1", what, import->hash, (number - 1) / CHUNK_LINES, out);
}

/* The page of a web server's log, if the app wants to know it. */
static bool wants_page(const struct import *import, const struct line *line)
{
    int event = definition_find_event(&import->row.app, line->name);
    if (line->path == NULL || event < 0)
        return false;
    const struct app_event *declared = &import->row.app.events[event];
    int prop = definition_find_prop(declared, "page");
    return prop >= 0 && declared->props[prop].type == APP_PROP_ROUTE;
}

static enum result send_line(struct import *import, const struct line *line, uint64_t number, struct failure *why)
{
    char source[SENDER_SOURCE_BYTES], note[64];
    struct sender_prop props[EVENT_PROPS_MAX + 1];
    size_t count = 0;
    for (; count < line->prop_count; count++)
        props[count] = (struct sender_prop){.name = line->props[count].name, .text = line->props[count].text};
    if (wants_page(import, line))
        props[count++] = (struct sender_prop){.name = "page", .text = line->path};
    struct sender_event event = {.name = line->name,
        .user = line->user,
        .session = line->session,
        .ts_ms = line->ts_ms,
        .seq = number,
        .engaged_ms = -1,
        .props = props,
        .prop_count = count};
    source_of(import, number, source);
    if (number % 256 == 0) {
        snprintf(note, sizeof note, "%" PRIu64 " events accepted", sender_tally(import->sender)->accepted);
        progress_update(&import->progress, reader_fraction(import->reader), note);
    }
    return sender_add(import->sender, source, &event, why);
}

/* --- before anything is sent --------------------------------------------------------------------------------------- */

static enum result set_format(struct import *import, struct failure *why)
{
    static const char *const names[] = {"csv", "jsonl", "clf"};
    const struct options *options = &import->options;
    size_t kind = 0;
    while (kind < 3 && strcmp(options->format, names[kind]) != 0)
        kind++;
    if (kind == 3) {
        failure_set(why, "format", "is csv, jsonl or clf");
        return RESULT_INVALID;
    }
    import->format = (struct lines_format){.kind = (enum lines_kind)kind, .event = options->event};
    if (options->map == NULL)
        return RESULT_OK;
    if (strlen(options->map) > 512) {
        failure_set(why, "map", "has at most 512 bytes");
        return RESULT_INVALID;
    }
    return lines_read_map(&import->format, options->map, why);
}

/* What makes the names of day visitors is derived from the file, so that importing it again finds the same ones: who has
 * the file has their addresses anyway, and who has not cannot compute a name. It is never written. */
static void set_visitor_key(struct import *import)
{
    static const unsigned char purpose[] = "throng import visitor 1";
    crypto_generichash(import->format.key, sizeof import->format.key, purpose, sizeof purpose, import->hash,
        sizeof import->hash);
}

static enum result survey(struct import *import, struct failure *why)
{
    progress_begin(&import->progress, import->context->terminal, "check");
    enum result result = pass(import, true, survey_line, why);
    progress_end(&import->progress);
    if (result != RESULT_OK)
        return result;
    reader_hash(import->reader, import->hash);
    if (import->good == 0) {
        failure_set(why, "FILE", "holds no line that is an event: %" PRIu64 " lines read", import->records);
        return RESULT_INVALID;
    }
    if (import->declared == 0) {
        failure_set(why, "FILE", "names no event that the app declares; see `throng app show`, --map name=COL and --event");
        return RESULT_INVALID;
    }
    return RESULT_OK;
}

static enum result refuse_sealed(struct import *import, struct db *db, struct failure *why)
{
    int64_t sealed_until_ms;
    char at[32];
    enum result result = apps_sealed_until_ms(db, &import->row, &sealed_until_ms, why);
    if (result != RESULT_OK || import->first_ms >= sealed_until_ms)
        return result;
    clock_format(sealed_until_ms, at, sizeof at);
    failure_set(why, "ts", "the file begins before %s, and days up to then are sealed: nothing was sent", at);
    return RESULT_DENIED;
}

static enum result prepare(struct import *import, struct db *db, struct failure *why)
{
    const struct options *options = &import->options;
    enum result result = set_format(import, why);
    if (result == RESULT_OK)
        result = apps_find(db, options->app, &import->row, why);
    if (result == RESULT_OK)
        result = moment_set_zone(options->zone != NULL ? options->zone : import->row.app.time_zone, why);
    if (result == RESULT_OK)
        result = reader_open(options->file, &import->reader, why);
    if (result == RESULT_OK)
        result = survey(import, why);
    if (result == RESULT_OK)
        result = refuse_sealed(import, db, why);
    return result;
}

static enum result send_file(struct import *import, struct failure *why)
{
    enum result result;
    set_visitor_key(import);
    progress_begin(&import->progress, import->context->terminal, "import");
    result = pass(import, false, send_line, why);
    if (result == RESULT_OK)
        result = sender_finish(import->sender, why);
    progress_end(&import->progress);
    uint8_t hash[READER_HASH_BYTES];
    reader_hash(import->reader, hash);
    if (result == RESULT_OK && memcmp(hash, import->hash, sizeof hash) != 0) {
        failure_set(why, "FILE", "changed while it was imported");
        return RESULT_FAILED;
    }
    return result;
}

static enum result send_all(struct import *import, struct db *db, struct failure *why)
{
    const char *socket = command_admin_socket(import->context);
    if (access(socket, F_OK) != 0) {
        failure_set(why, "ingest", "is not running here: it has no admin socket");
        return RESULT_UNAVAILABLE;
    }
    bool was_live = !import->row.importing;
    interrupt_say("\ninterrupted: the app stays in import mode; importing the file again goes on, and counts events once\n");
    enum result result = apps_set_importing(db, &import->row, true, why);
    if (result == RESULT_OK)
        result = sender_new(socket, &import->row.app, (size_t)import->options.parallel, &import->sender, why);
    if (result == RESULT_OK)
        result = send_file(import, why);
    /* A refused import leaves a live app live; one that was cut off may hold events, and waits for another try. */
    if ((result == RESULT_DENIED || result == RESULT_INVALID) && was_live && sender_tally(import->sender)->accepted == 0)
        apps_set_importing(db, &import->row, false, NULL);
    return result;
}

/* --- the account --------------------------------------------------------------------------------------------------- */

static uint64_t bad_lines(const struct import *import)
{
    uint64_t sum = 0;
    for (int fault = LINES_BAD_FORM; fault < LINES_EMPTY; fault++)
        sum += import->faults[fault];
    return sum;
}

static void print_faults(const struct import *import)
{
    for (int fault = LINES_BAD_FORM; fault < LINES_FAULTS; fault++) {
        if (import->faults[fault] > 0)
            printf("  %-8s %10" PRIu64 "  %s\n", fault < LINES_EMPTY ? "bad" : "skipped", import->faults[fault],
                lines_fault_text((enum lines_fault)fault));
    }
    for (size_t i = 0; i < import->shown_count; i++)
        printf("    line %" PRIu64 " %s\n", import->shown[i].line, lines_fault_text(import->shown[i].fault));
    if (bad_lines(import) > import->shown_count)
        printf("    … and %" PRIu64 " more\n", bad_lines(import) - import->shown_count);
}

static void print_rejections(const struct sender_tally *tally)
{
    for (size_t i = 0; i < PACKET_REASONS; i++) {
        if (tally->reasons[i] > 0)
            printf("  rejected %10" PRIu64 "  %s\n", tally->reasons[i], sender_reason_name((enum packet_reason)i));
    }
    for (size_t i = 0; i < tally->shown_count; i++)
        printf("    line %" PRIu64 " %s %s\n", tally->shown[i].seq, tally->shown[i].reason, tally->shown[i].field);
    if (tally->rejected > tally->shown_count)
        printf("    … and %" PRIu64 " more\n", tally->rejected - tally->shown_count);
}

static void print_text(const struct import *import, const struct sender_tally *tally)
{
    char first[32], last[32];
    double seconds = (double)(import->finished_ms - import->started_ms) / 1000;
    printf("%" PRIu64 " lines, %" PRIu64 " events from %s to %s\n", import->records, import->good,
        clock_format(import->first_ms, first, sizeof first), clock_format(import->last_ms, last, sizeof last));
    print_faults(import);
    if (tally == NULL) {
        puts("nothing was sent (--dry-run)");
        return;
    }
    printf("accepted %" PRIu64 " of %" PRIu64 " events in %.1f s (%.0f a second)\n", tally->accepted, tally->sent, seconds,
        (double)tally->sent / (seconds > 0.001 ? seconds : 0.001));
    print_rejections(tally);
    printf("The app stays in import mode, where no day closes by itself. When everything is imported:\n"
           "  throng seal --app %s --through YYYY-MM-DD\n",
        import->options.app);
}

static void add_count(json_t *object, const char *key, uint64_t count)
{
    json_object_set_new(object, key, json_integer((json_int_t)count));
}

static json_t *faults_json(const struct import *import)
{
    json_t *faults = json_object();
    for (int fault = LINES_BAD_FORM; fault < LINES_FAULTS; fault++) {
        if (import->faults[fault] > 0)
            add_count(faults, lines_fault_name((enum lines_fault)fault), import->faults[fault]);
    }
    return faults;
}

static json_t *rejections_json(const struct sender_tally *tally)
{
    json_t *reasons = json_object();
    for (size_t i = 0; i < PACKET_REASONS; i++) {
        if (tally->reasons[i] > 0)
            add_count(reasons, sender_reason_name((enum packet_reason)i), tally->reasons[i]);
    }
    return reasons;
}

static void print_json(const struct import *import, const struct sender_tally *tally)
{
    json_t *root = json_object(), *places = json_array();
    add_count(root, "lines", import->records);
    add_count(root, "events", import->good);
    add_count(root, "bad", bad_lines(import));
    json_object_set_new(root, "first_ms", json_integer(import->first_ms));
    json_object_set_new(root, "last_ms", json_integer(import->last_ms));
    json_object_set_new(root, "not_events", faults_json(import));
    for (size_t i = 0; i < import->shown_count; i++)
        json_array_append_new(places, json_pack("{s:I,s:s}", "line", (json_int_t)import->shown[i].line, "reason",
                                          lines_fault_name(import->shown[i].fault)));
    for (size_t i = 0; tally != NULL && i < tally->shown_count; i++)
        json_array_append_new(places, json_pack("{s:I,s:s,s:s}", "line", (json_int_t)tally->shown[i].seq, "reason",
                                          tally->shown[i].reason, "field", tally->shown[i].field));
    json_object_set_new(root, "places", places);
    if (tally != NULL) {
        add_count(root, "sent", tally->sent);
        add_count(root, "accepted", tally->accepted);
        add_count(root, "rejected", tally->rejected);
        add_count(root, "dropped", tally->dropped);
        json_object_set_new(root, "reasons", rejections_json(tally));
        json_object_set_new(root, "seconds", json_real((double)(import->finished_ms - import->started_ms) / 1000));
    }
    json_dumpf(root, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(root);
}

static int report(const struct import *import)
{
    const struct sender_tally *tally = import->sender == NULL ? NULL : sender_tally(import->sender);
    if (import->context->json)
        print_json(import, tally);
    else
        print_text(import, tally);
    bool clean = bad_lines(import) == 0 && (tally == NULL || tally->rejected == 0);
    return clean || import->options.allow_bad ? 0 : 1;
}

static int read_options(struct command_context *context, int argc, char **argv, struct options *options)
{
    const struct flag flags[] = {
        {.name = "app", .text = &options->app},
        {.name = "format", .text = &options->format},
        {.name = "map", .text = &options->map},
        {.name = "time-zone", .text = &options->zone},
        {.name = "event", .text = &options->event},
        {.name = "parallel", .number = &options->parallel, .least = 1, .most = POSTER_PARALLEL_MAX},
        {.name = "allow-bad", .on = &options->allow_bad},
        {.name = "dry-run", .on = &options->dry_run},
    };
    options->parallel = 4;
    int count = flags_parse(context, argc, argv, flags, sizeof flags / sizeof flags[0], &options->file, 1);
    if (count < 0)
        return 2;
    if (options->app == NULL || options->format == NULL || count != 1)
        return command_usage("import", "--app, --format and a FILE (- for standard input) are needed");
    return 0;
}

int import_command(struct command_context *context, int argc, char **argv)
{
    static struct import import;
    struct failure why = {0};
    import = (struct import){.context = context};
    int status = read_options(context, argc, argv, &import.options);
    if (status != 0)
        return status;
    struct db *db = command_db(context, "import", true);
    if (db == NULL)
        return 1;
    import.started_ms = clock_steady_ms();
    enum result result = prepare(&import, db, &why);
    if (result == RESULT_OK && !import.options.dry_run)
        result = send_all(&import, db, &why);
    import.finished_ms = clock_steady_ms();
    status = result == RESULT_OK ? report(&import) : command_fail("import", &why);
    if (result != RESULT_OK && import.good == 0 && !context->json)
        print_faults(&import);
    if (result != RESULT_OK && import.sender != NULL)
        fprintf(stderr, "%" PRIu64 " events were accepted before; importing the file again counts them once\n",
            sender_tally(import.sender)->accepted);
    sender_free(import.sender);
    reader_free(import.reader);
    apps_row_free(&import.row);
    db_free(db);
    return status;
}
