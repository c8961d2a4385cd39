/*
 * throng seal: close the days of an app through a date and wait until they are released.
 *
 * Sees:     nothing of a person.
 * Uses:     service/cli/sealing.
 * Threads:  one.
 * Failure:  exit status 1 when the time is over: the request stays.
 */
#include <inttypes.h>
#include <stdio.h>

#include "service/cli/apps.h"
#include "service/cli/command.h"
#include "service/cli/flags.h"
#include "service/cli/moment.h"
#include "service/cli/sealing.h"

static void print_outcome(const struct sealing *sealing, const char *app, const char *date)
{
    if (sealing->context->json) {
        printf("{\"app\":\"%s\",\"through\":\"%s\",\"was_sealed\":%s,\"days\":%" PRId64 ",\"releases\":%" PRId64
               ",\"values\":%" PRId64 ",\"suppressed\":%" PRId64 "}\n",
            app, date, sealing->was_sealed ? "true" : "false", sealing->days, sealing->releases, sealing->values,
            sealing->suppressed);
        return;
    }
    if (sealing->was_sealed) {
        printf("%s is sealed through %s already\n", app, date);
        return;
    }
    printf("sealed %s through %s: %" PRId64 " days, %" PRId64 " releases with %" PRId64 " values, %" PRId64
           " of them suppressed\n",
        app, date, sealing->days, sealing->releases, sealing->values, sealing->suppressed);
    printf("Events count live again, from the day after. See: throng query --app %s active_users\n", app);
}

int seal_command(struct command_context *context, int argc, char **argv)
{
    const char *app = NULL, *date = NULL;
    struct failure why = {0};
    struct apps_row row = {0};
    struct sealing sealing = {.context = context, .row = &row, .timeout_s = 600};
    const struct flag flags[] = {
        {.name = "app", .text = &app},
        {.name = "through", .text = &date},
        {.name = "force", .on = &sealing.force},
        {.name = "timeout", .number = &sealing.timeout_s, .least = 1, .most = 864000},
    };
    if (flags_parse(context, argc, argv, flags, sizeof flags / sizeof flags[0], NULL, 0) < 0)
        return 2;
    if (app == NULL || date == NULL || !moment_parse_date(date, &sealing.through))
        return command_usage("seal", "--app APP and --through YYYY-MM-DD are needed");
    sealing.owner = command_db(context, "seal", true);
    if (sealing.owner == NULL)
        return 1;
    enum result result = apps_find(sealing.owner, app, &row, &why);
    if (result == RESULT_OK)
        result = sealing_run(&sealing, &why);
    if (result == RESULT_OK)
        print_outcome(&sealing, app, date);
    apps_row_free(&row);
    db_free(sealing.owner);
    return result == RESULT_OK ? 0 : command_fail("seal", &why);
}
