/*
 * throng simulate: a simulated crowd (its model: service/cli/crowd.h) sent as history through ingest's admin socket, the
 * days before yesterday sealed.
 *
 * Sees:     invented ids.
 * Uses:     service/cli/crowd, sender, sealing, apps.
 * Threads:  one.
 * Failure:  exit status; run again on the same day, it goes on: what was sent counts once.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "service/base/clock.h"
#include "service/cli/apps.h"
#include "service/cli/command.h"
#include "service/cli/crowd.h"
#include "service/cli/flags.h"
#include "service/cli/interrupt.h"
#include "service/cli/moment.h"
#include "service/cli/progress.h"
#include "service/cli/sealing.h"
#include "service/cli/sender.h"

#define DAY_MS 86400000LL
#define CHUNK_EVENTS 1000

struct simulation {
    struct command_context *context;
    const char *app;
    int64_t users, days, seed, rate, timeout_s;
    bool no_seal;
    struct apps_row row;
    struct crowd_plan plan;
    struct sender *sender;
    struct sealing sealing;
    uint64_t events;
    int64_t started_ms;
};

static enum result make_plan(struct simulation *simulation, struct db *db, struct failure *why)
{
    int64_t sealed_until_ms;
    int64_t now_ms = clock_now_ms();
    enum result result = apps_find(db, simulation->app, &simulation->row, why);
    if (result != RESULT_OK)
        return result;
    int32_t today = (int32_t)(now_ms / DAY_MS);
    simulation->plan = (struct crowd_plan){.app = &simulation->row.app,
        .seed = (uint64_t)simulation->seed,
        .users = (uint32_t)simulation->users,
        .days = (uint32_t)simulation->days,
        .first_day = today - (int32_t)simulation->days + 1,
        .until_ms = now_ms};
    if (simulation->row.app.event_count == 0) {
        failure_set(why, "app", "declares no event");
        return RESULT_INVALID;
    }
    result = apps_sealed_until_ms(db, &simulation->row, &sealed_until_ms, why);
    if (result == RESULT_OK && simulation->plan.first_day * DAY_MS < sealed_until_ms) {
        failure_set(why, "days", "some of these days are sealed already; a crowd needs an app without released days");
        return RESULT_DENIED;
    }
    return result;
}

static void source_of(const struct simulation *simulation, uint64_t chunk, char out[SENDER_SOURCE_BYTES])
{
    static const uint8_t none[32] = {0};
    char what[256];
    snprintf(what, sizeof what, "%s\n%" PRId64 "\n%" PRId64 "\n%" PRId64 "\n%" PRId32, simulation->app, simulation->users,
        simulation->days, simulation->seed, simulation->plan.first_day);
    sender_make_source("throng simulate 1", what, none, chunk, out);
}

static enum result send_event(struct simulation *simulation, const struct crowd_event *from, struct failure *why)
{
    char source[SENDER_SOURCE_BYTES];
    struct sender_prop props[EVENT_PROPS_MAX];
    for (size_t i = 0; i < from->prop_count; i++)
        props[i] = (struct sender_prop){.name = from->props[i].name, .text = from->props[i].text};
    struct sender_event event = {.name = from->event->name,
        .user = from->user,
        .ts_ms = from->ts_ms,
        .seq = from->number,
        .engaged_ms = from->engaged_ms,
        .props = props,
        .prop_count = from->prop_count};
    source_of(simulation, from->number / CHUNK_EVENTS, source);
    simulation->events++;
    return sender_add(simulation->sender, source, &event, why);
}

/* Keep to the rate, if there is one. */
static void slow_down(const struct simulation *simulation)
{
    if (simulation->rate == 0)
        return;
    int64_t due_ms = simulation->started_ms + (int64_t)simulation->events * 1000 / simulation->rate;
    int64_t left_ms = due_ms - clock_steady_ms();
    if (left_ms < 20)
        return;
    struct timespec pause = {.tv_sec = left_ms / 1000, .tv_nsec = left_ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

static enum result send_crowd(struct simulation *simulation, struct failure *why)
{
    struct crowd crowd;
    struct crowd_event event;
    struct progress progress;
    char note[64];
    enum result result = RESULT_OK;
    crowd_begin(&crowd, &simulation->plan);
    progress_begin(&progress, simulation->context->terminal, "simulate");
    while (result == RESULT_OK && crowd_next(&crowd, &event)) {
        result = send_event(simulation, &event, why);
        slow_down(simulation);
        if (simulation->events % 256 == 0) {
            snprintf(note, sizeof note, "%" PRIu64 " events", simulation->events);
            progress_update(&progress, (double)crowd.user / (double)simulation->plan.users, note);
        }
    }
    if (result == RESULT_OK)
        result = sender_finish(simulation->sender, why);
    progress_end(&progress);
    return result;
}

static enum result send_all(struct simulation *simulation, struct db *db, struct failure *why)
{
    const char *socket = command_admin_socket(simulation->context);
    if (access(socket, F_OK) != 0) {
        failure_set(why, "ingest", "is not running here: it has no admin socket");
        return RESULT_UNAVAILABLE;
    }
    interrupt_say("\ninterrupted: the app stays in import mode; the same command again goes on, and counts events once\n");
    enum result result = apps_set_importing(db, &simulation->row, true, why);
    if (result == RESULT_OK)
        result = sender_new(socket, &simulation->row.app, 4, &simulation->sender, why);
    return result == RESULT_OK ? send_crowd(simulation, why) : result;
}

/* Yesterday stays open: sessions of the day before may reach into it. */
static enum result seal_past(struct simulation *simulation, struct db *db, struct failure *why)
{
    int32_t today;
    enum result result = apps_today(db, simulation->row.app.time_zone, &today, why);
    if (result != RESULT_OK)
        return result;
    simulation->sealing = (struct sealing){.context = simulation->context,
        .owner = db,
        .row = &simulation->row,
        .through = today - 2,
        .timeout_s = simulation->timeout_s};
    if (simulation->sealing.through < simulation->plan.first_day)
        return apps_set_importing(db, &simulation->row, false, why);
    return sealing_run(&simulation->sealing, why);
}

static int report(const struct simulation *simulation)
{
    const struct sender_tally *tally = sender_tally(simulation->sender);
    double seconds = (double)(clock_steady_ms() - simulation->started_ms) / 1000;
    if (simulation->context->json)
        printf("{\"app\":\"%s\",\"simulated\":true,\"users\":%" PRId64 ",\"sent\":%" PRIu64 ",\"accepted\":%" PRIu64
               ",\"rejected\":%" PRIu64 ",\"days_sealed\":%" PRId64 ",\"seconds\":%.3f}\n",
            simulation->app, simulation->users, tally->sent, tally->accepted, tally->rejected, simulation->sealing.days,
            seconds);
    else
        printf("simulated: %" PRId64 " invented users of %s over %" PRId64 " days (seed %" PRId64 "): %" PRIu64 " of %" PRIu64
               " events accepted, %" PRId64 " days released, %.1f s\n",
            simulation->users, simulation->app, simulation->days, simulation->seed, tally->accepted, tally->sent,
            simulation->sealing.days, seconds);
    for (size_t i = 0; i < PACKET_REASONS && !simulation->context->json; i++) {
        if (tally->reasons[i] > 0)
            printf("  rejected %" PRIu64 ": %s\n", tally->reasons[i], sender_reason_name((enum packet_reason)i));
    }
    return tally->rejected == 0 ? 0 : 1;
}

static int read_options(struct simulation *simulation, int argc, char **argv)
{
    const struct flag flags[] = {
        {.name = "app", .text = &simulation->app},
        {.name = "users", .number = &simulation->users, .least = 1, .most = 10000000},
        {.name = "days", .number = &simulation->days, .least = 1, .most = 3650},
        {.name = "seed", .number = &simulation->seed, .least = 0, .most = INT64_MAX},
        {.name = "rate", .number = &simulation->rate, .least = 1, .most = 10000000},
        {.name = "timeout", .number = &simulation->timeout_s, .least = 1, .most = 864000},
        {.name = "no-seal", .on = &simulation->no_seal},
    };
    if (flags_parse(simulation->context, argc, argv, flags, sizeof flags / sizeof flags[0], NULL, 0) < 0)
        return 2;
    if (simulation->app == NULL || simulation->users == 0 || simulation->days == 0)
        return command_usage("simulate", "--app APP, --users N and --days D are needed");
    return 0;
}

int simulate_command(struct command_context *context, int argc, char **argv)
{
    static struct simulation simulation;
    struct failure why = {0};
    simulation = (struct simulation){.context = context, .seed = 1, .timeout_s = 600, .started_ms = clock_steady_ms()};
    int status = read_options(&simulation, argc, argv);
    if (status != 0)
        return status;
    struct db *db = command_db(context, "simulate", true);
    if (db == NULL)
        return 1;
    enum result result = make_plan(&simulation, db, &why);
    if (result == RESULT_OK)
        result = send_all(&simulation, db, &why);
    if (result == RESULT_OK && !simulation.no_seal)
        result = seal_past(&simulation, db, &why);
    status = result == RESULT_OK ? report(&simulation) : command_fail("simulate", &why);
    sender_free(simulation.sender);
    apps_row_free(&simulation.row);
    db_free(db);
    return status;
}
