/*
 * throng object: a person does not want to be counted in an app any more, or again does.
 *
 * Sees:     the raw id; see subjects.h.
 * Uses:     service/cli/subjects.
 * Threads:  one.
 * Failure:  exit status 1 too when the request is taken and not applied within the time: it will be.
 */
#include "service/cli/command.h"
#include "service/cli/flags.h"
#include "service/cli/subjects.h"

int object_command(struct command_context *context, int argc, char **argv)
{
    struct subjects_order order = {.kind = "objection", .timeout_s = SUBJECTS_TIMEOUT_S};
    const struct flag flags[] = {{.name = "app", .text = &order.app}, {.name = "user", .text = &order.user},
        {.name = "withdraw", .on = &order.withdraw},
        {.name = "timeout", .number = &order.timeout_s, .least = 1, .most = 86400}};
    if (flags_parse(context, argc, argv, flags, sizeof flags / sizeof *flags, NULL, 0) < 0)
        return 2;
    if (order.app == NULL || order.user == NULL)
        return command_usage("object", "--app APP and --user ID are needed; --user - reads the id from standard input");
    return subjects_command(context, "object", &order);
}
