#include "anonymizer/release/cohort.h"

#define DAY_MS 86400000

bool cohort_matures(const struct app *app)
{
    int64_t lateness_days = (app->lateness_ms + DAY_MS - 1) / DAY_MS;
    return app->horizon_days >= COHORT_DAYS + lateness_days + 1;
}
