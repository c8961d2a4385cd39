/*
 * Plays a scenario. A line is a command; times are YYYY-MM-DDTHH:MM[:SS], UTC; '#' starts a comment.
 *
 *   timeout MINUTES | lateness MINUTES     of the app (30, 360)
 *   event USER TIME [source=S seq=N] [session=X] [received=TIME] [epoch=N] [view] [goal] [engaged=MS] [import]
 *                                          one event; it names USER by epoch N (1) and by the epoch before, if N > 1
 *   flush                                  what came so far goes to the store (the end does too)
 *   close DAY                              days up to DAY are closed: later arrivals are late
 *   shuffle TIMES                          play all events again so often, in random order, cut into random packets and
 *                                          flushes (without `flush` and `close`): every expectation must hold each time
 *   expect WHAT NUMBER                     counted, duplicate, late, persons, sessions, single, engaged, duration_s,
 *                                          events_in_sessions; or active=DAY, new=DAY
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/clock.h"
#include "tests/scenario/store.h"

#define LINES_MAX 2000
#define SESSIONS_MAX 4096
#define GRACE_EPOCHS 1

struct step {
    enum { STEP_EVENT, STEP_FLUSH, STEP_CLOSE } kind;
    char user[32], source[32], session[32];
    uint32_t epoch;
    int64_t received_at_ms;
    int32_t day;
    bool import;
    struct packet_event event;
};

struct expectation {
    int line;
    char what[64];
    int64_t number;
};

static struct step steps[LINES_MAX];
static size_t step_count;
static struct expectation expectations[LINES_MAX];
static size_t expectation_count;
static unsigned shuffles;
static struct app definition = {.id = 1, .session_timeout_ms = 30 * 60000, .lateness_ms = 360 * 60000};
static struct calendar calendar;
static struct store store;
static uint64_t randomness = 1;

static uint32_t draw(uint32_t below)
{
    randomness = randomness * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(randomness >> 33) % below;
}

static void fail(int line, const char *what)
{
    fprintf(stderr, "line %d: %s\n", line, what);
    exit(EXIT_FAILURE);
}

/* A stand-in for a keyed hash: FNV-1a over kind, epoch and text. */
static struct pseudonym name_of(char kind, uint32_t epoch, const char *text)
{
    struct pseudonym name;
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < PSEUDONYM_BYTES; i++) {
        hash = (hash ^ (uint64_t)kind ^ (epoch << 8)) * 1099511628211u;
        for (const char *at = text; *at != '\0'; at++)
            hash = (hash ^ (uint8_t)*at) * 1099511628211u;
        name.bytes[i] = (uint8_t)(hash >> 40);
    }
    return name;
}

static int64_t parse_time(int line, const char *text)
{
    int year;
    unsigned month;
    unsigned day;
    int hour = 0;
    int minute = 0;
    int second = 0;
    if (sscanf(text, "%d-%u-%uT%d:%d:%d", &year, &month, &day, &hour, &minute, &second) < 3)
        fail(line, "not a time");
    int64_t seconds = (int64_t)clock_days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
    return seconds * 1000;
}

static void parse_option(int line, struct step *step, const char *word)
{
    const char *value = strchr(word, '=');
    value = value == NULL ? "" : value + 1;
    if (strncmp(word, "source=", 7) == 0)
        (void)snprintf(step->source, sizeof step->source, "%s", value);
    else if (strncmp(word, "session=", 8) == 0)
        (void)snprintf(step->session, sizeof step->session, "%s", value);
    else if (strncmp(word, "seq=", 4) == 0)
        step->event.seq = strtoull(value, NULL, 10);
    else if (strncmp(word, "received=", 9) == 0)
        step->received_at_ms = parse_time(line, value);
    else if (strncmp(word, "epoch=", 6) == 0)
        step->epoch = (uint32_t)strtoul(value, NULL, 10);
    else if (strncmp(word, "engaged=", 8) == 0)
        step->event.engaged_ms = (uint32_t)strtoul(value, NULL, 10);
    else if (strcmp(word, "view") == 0)
        step->event.flags |= EVENT_VIEW;
    else if (strcmp(word, "goal") == 0)
        step->event.flags |= EVENT_GOAL;
    else if (strcmp(word, "import") == 0)
        step->import = true;
    else
        fail(line, "unknown option of event");
}

static void parse_event(int line, char *rest)
{
    struct step *step = &steps[step_count++];
    *step = (struct step){.kind = STEP_EVENT, .epoch = 1};
    char *user = strtok(rest, " ");
    char *time = strtok(NULL, " ");
    if (user == NULL || time == NULL)
        fail(line, "event needs a user and a time");
    (void)snprintf(step->user, sizeof step->user, "%s", user);
    step->event.ts_ms = parse_time(line, time);
    step->received_at_ms = step->event.ts_ms;
    for (char *word = strtok(NULL, " "); word != NULL; word = strtok(NULL, " "))
        parse_option(line, step, word);
    if (step->event.engaged_ms > 0)
        step->event.flags |= EVENT_ENGAGED;
    if (step->session[0] != '\0')
        step->event.flags |= EVENT_SESSION | (step->epoch > 1 ? EVENT_SESSION_BEFORE : 0);
}

static void parse_line(int line, char *text)
{
    text[strcspn(text, "#\n")] = '\0';
    char *rest = text + strcspn(text, " ");
    if (*rest != '\0')
        *rest++ = '\0';
    struct expectation *expectation = &expectations[expectation_count];
    if (text[0] == '\0')
        return;
    if (strcmp(text, "event") == 0)
        parse_event(line, rest);
    else if (strcmp(text, "flush") == 0)
        steps[step_count++] = (struct step){.kind = STEP_FLUSH};
    else if (strcmp(text, "close") == 0)
        steps[step_count++] = (struct step){.kind = STEP_CLOSE, .day = (int32_t)(parse_time(line, rest) / 86400000)};
    else if (strcmp(text, "timeout") == 0)
        definition.session_timeout_ms = strtoll(rest, NULL, 10) * 60000;
    else if (strcmp(text, "lateness") == 0)
        definition.lateness_ms = strtoll(rest, NULL, 10) * 60000;
    else if (strcmp(text, "shuffle") == 0)
        shuffles = (unsigned)strtoul(rest, NULL, 10);
    else if (strcmp(text, "expect") == 0 && sscanf(rest, "%63s %" SCNd64, expectation->what, &expectation->number) == 2)
        expectations[expectation_count++].line = line;
    else
        fail(line, "unknown command");
}

static struct fold_app *find_app(void *context, uint32_t app)
{
    return app == 1 ? &((struct store *)context)->app : NULL;
}

/* The packet of one event. */
static size_t encode(const struct step *step, uint8_t *bytes)
{
    static uint64_t n;
    struct packet_writer writer;
    const struct packet_header header = {.type = PACKET_EVENTS, .node = 1, .n = n++};
    struct packet_part part = {.app = 1, .definition = 1, .epoch = step->epoch, .received_at_ms = step->received_at_ms,
        .flags = step->import ? PART_IMPORT : 0};
    if (step->source[0] != '\0') {
        part.flags |= PART_SOURCE | (step->epoch > 1 ? PART_SOURCE_BEFORE : 0);
        part.source = name_of('R', step->epoch, step->source);
        part.source_before = name_of('R', step->epoch - 1, step->source);
    }
    struct packet_user user = {.names = (uint8_t)(step->epoch > 1 ? 1 + GRACE_EPOCHS : 1)};
    for (uint32_t i = 0; i < user.names; i++)
        user.name[i] = name_of('U', step->epoch - i, step->user);
    struct packet_event event = step->event;
    event.session = name_of('S', step->epoch, step->session);
    event.session_before = name_of('S', step->epoch - 1, step->session);
    packet_begin(&writer, bytes, ENTRY_MAX_BYTES, &header);
    enum result result = packet_add_part(&writer, &part);
    result = result == RESULT_OK ? packet_add_user(&writer, &user) : result;
    result = result == RESULT_OK ? packet_add_event(&writer, &event) : result;
    assert(result == RESULT_OK && packet_check(bytes, writer.length, NULL) == RESULT_OK);
    return writer.length;
}

static void take(const struct step *step)
{
    uint8_t bytes[ENTRY_MAX_BYTES];
    size_t length = encode(step, bytes);
    fold_prepare(&store.fold, bytes, length, find_app, &store);
    store_look_up(&store);
    fold_apply(&store.fold, bytes, length, find_app, &store);
}

static int64_t count_days(int32_t day, bool only_new)
{
    int64_t count = 0;
    for (size_t i = 0; i < store.day_count; i++) {
        for (size_t j = 0; store.days[i].day == day && j < store.person_count; j++) {
            if (memcmp(&store.persons[j].usr, &store.days[i].usr, sizeof store.days[i].usr) == 0)
                count += !only_new || store.persons[j].first_day == day;
        }
    }
    return count;
}

static int64_t count_sessions(const char *what)
{
    static struct session sessions[SESSIONS_MAX];
    size_t count = store_sessions(&store, sessions, SESSIONS_MAX);
    int64_t single = 0;
    int64_t engaged = 0;
    int64_t duration_ms = 0;
    int64_t events = 0;
    for (size_t i = 0; i < count; i++) {
        single += sessions[i].whole.events == 1;
        engaged += session_is_engaged(&sessions[i]);
        duration_ms += sessions[i].whole.end_ms - sessions[i].whole.start_ms;
        events += sessions[i].whole.events;
    }
    return strcmp(what, "sessions") == 0 ? (int64_t)count : strcmp(what, "single") == 0 ? single :
        strcmp(what, "engaged") == 0 ? engaged : strcmp(what, "duration_s") == 0 ? duration_ms / 1000 :
        strcmp(what, "events_in_sessions") == 0 ? events : -1;
}

static int64_t measure(const struct expectation *expectation)
{
    const char *what = expectation->what;
    if (strcmp(what, "counted") == 0)
        return store.counted;
    if (strcmp(what, "duplicate") == 0)
        return store.duplicate;
    if (strcmp(what, "late") == 0)
        return store.late;
    if (strcmp(what, "persons") == 0)
        return (int64_t)store.person_count;
    if (strncmp(what, "active=", 7) == 0)
        return count_days((int32_t)(parse_time(expectation->line, what + 7) / 86400000), false);
    if (strncmp(what, "new=", 4) == 0)
        return count_days((int32_t)(parse_time(expectation->line, what + 4) / 86400000), true);
    int64_t number = count_sessions(what);
    if (number < 0)
        fail(expectation->line, "unknown expectation");
    return number;
}

static void check_expectations(const char *when)
{
    for (size_t i = 0; i < expectation_count; i++) {
        int64_t got = measure(&expectations[i]);
        if (got == expectations[i].number)
            continue;
        fprintf(stderr, "line %d, %s: expected %s %" PRId64 ", got %" PRId64 "\n", expectations[i].line, when,
            expectations[i].what, expectations[i].number, got);
        exit(EXIT_FAILURE);
    }
}

static void play_as_written(void)
{
    for (size_t i = 0; i < step_count; i++) {
        if (steps[i].kind == STEP_EVENT)
            take(&steps[i]);
        else
            store_flush(&store);
        if (steps[i].kind == STEP_CLOSE)
            store.app.activity_through = steps[i].day;
    }
    store_flush(&store);
    check_expectations("as written");
}

static void play_shuffled(void)
{
    size_t order[LINES_MAX];
    size_t count = 0;
    store_reset(&store);
    for (size_t i = 0; i < step_count; i++) {
        if (steps[i].kind == STEP_EVENT)
            order[count++] = i;
    }
    for (size_t i = count; i > 1; i--) {
        size_t j = draw((uint32_t)i);
        size_t swap = order[i - 1];
        order[i - 1] = order[j];
        order[j] = swap;
    }
    for (size_t i = 0; i < count; i++) {
        take(&steps[order[i]]);
        if (draw(4) == 0)
            store_flush(&store);
    }
    store_flush(&store);
    check_expectations("shuffled");
}

int main(int argc, char **argv)
{
    FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;
    char text[512];
    if (file == NULL) {
        fprintf(stderr, "usage: play FILE.scenario\n");
        return 2;
    }
    for (int line = 1; fgets(text, sizeof text, file) != NULL; line++) {
        if (step_count >= LINES_MAX - 1 || expectation_count >= LINES_MAX - 1)
            fail(line, "too long");
        parse_line(line, text);
    }
    (void)fclose(file);
    for (int32_t day = CALENDAR_FIRST_DAY; day <= CALENDAR_LAST_DAY; day++)
        calendar.start_ms[day - CALENDAR_FIRST_DAY] = (int64_t)day * 86400000;
    store.app = (struct fold_app){.app = 1, .definition = &definition, .calendar = &calendar};
    store_reset(&store);
    play_as_written();
    for (unsigned i = 0; i < shuffles; i++)
        play_shuffled();
    printf("%s: %zu steps, %zu expectations, %u shuffles\n", argv[1], step_count, expectation_count, shuffles);
    return EXIT_SUCCESS;
}
