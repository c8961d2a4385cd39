/*
 * Closing days of an imported app and waiting until they are released.
 *
 * Sees:     nothing of a person.
 * Uses:     service/db, service/cli/act, apps, nodes, progress.
 * Threads:  one.
 * Failure:  RESULT_UNAVAILABLE when the time is over: the request stays, and the days close later. RESULT_INVALID: the
 *           day is not over, or the app is a test app.
 */
#ifndef THRONG_CLI_SEALING_H
#define THRONG_CLI_SEALING_H

#include <stdbool.h>
#include <stdint.h>

#include "service/cli/apps.h"
#include "service/cli/command.h"

struct sealing {
    struct command_context *context;
    struct db *owner;      /* throng_owner */
    struct apps_row *row;  /* its mode follows */
    int32_t through;       /* the last day to seal, days since 1970 */
    bool force;            /* close although nodes are silent or the day is not over; says what it abandons */
    int64_t timeout_s;
    /* out */
    bool was_sealed;       /* before; nothing was asked for */
    int64_t days, releases, values, suppressed; /* that were released for it */
};

/* Ask for the seal, wait until everything through that day is released, and put the app back to live. */
enum result sealing_run(struct sealing *sealing, struct failure *why);

#endif
