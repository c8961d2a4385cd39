/*
 * Whether a month's cohort can be told when its people were active last: that is reckoned when the twelfth month after it is
 * closed, of the people who are known then, and an app forgets who was not there for its horizon.
 *
 * Sees:     a definition; nothing of a person.
 * Uses:     schema/; libc.
 * Threads:  pure functions.
 */
#ifndef THRONG_RELEASE_COHORT_H
#define THRONG_RELEASE_COHORT_H

#include <stdbool.h>

#include "schema/app.h"

#define COHORT_DAYS 397 /* of thirteen months at most: 366 days and a January */

/* Whether app still knows everyone who began in a month when the twelfth month after it is closed: its horizon is at least
 * COHORT_DAYS, its lateness in whole days, and one day more, as receipts are dated in UTC. */
bool cohort_matures(const struct app *app);

#endif
