#include "service/aggregate/stage.h"

#include "service/aggregate/rows.h"
#include "service/base/clock.h"

#define NEVER (CALENDAR_FIRST_DAY - 400) /* no week or month of a calendar ends at or before it */

struct stage stage_of(struct db *db, const struct shard *shard, const struct fold_app *app, int32_t before,
    int32_t through)
{
    return (struct stage){.db = db, .shard = shard, .app = app, .before = before == FOLD_NO_DAY ? NEVER : before,
        .through = through};
}

struct db_params *stage_params(const struct stage *stage)
{
    struct db_params *params = rows_params(stage->shard);
    db_int4(params, (int32_t)stage->app->app);
    db_date(params, stage->before);
    db_date(params, stage->through);
    return params;
}

enum result stage_run(const struct stage *stage, const char *name, const char *sql, struct db_params *params,
    struct failure *why)
{
    return rows_run(stage->db, name, sql, params, NULL, why);
}

int32_t stage_week(int32_t day)
{
    /* 1970-01-01 was a Thursday. */
    int32_t weekday = (day + 3) % 7;
    return day - (weekday < 0 ? weekday + 7 : weekday);
}

int32_t stage_month(int32_t day, int32_t *length)
{
    int year;
    unsigned month;
    unsigned date;
    clock_civil_from_days(day, &year, &month, &date);
    int32_t first = day - (int32_t)date + 1;
    int32_t next = month == 12 ? clock_days_from_civil(year + 1, 1, 1) : clock_days_from_civil(year, month + 1, 1);
    *length = next - first;
    return first;
}

bool stage_ends_week(const struct stage *stage)
{
    /* The first Sunday after `before`. */
    return stage_week(stage->before + 1) + 6 <= stage->through;
}

bool stage_ends_month(const struct stage *stage)
{
    int32_t length;
    int32_t first = stage_month(stage->before + 1, &length);
    return first + length - 1 <= stage->through;
}
