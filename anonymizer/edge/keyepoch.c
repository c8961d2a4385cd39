#include "anonymizer/edge/keyepoch.h"

/* Year and month of a day since 1970-01-01 in the proleptic Gregorian calendar: Howard Hinnant, "chrono-compatible
 * low-level date algorithms", civil_from_days, for days >= 0. */
static void civil_from_days(int64_t days, int64_t *year, int64_t *month)
{
    int64_t shifted = days + 719468;
    int64_t era = shifted / 146097;
    int64_t of_era = shifted - era * 146097;
    int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t from_march = (5 * of_year + 2) / 153;
    *month = from_march < 10 ? from_march + 3 : from_march - 9;
    *year = year_of_era + era * 400 + (*month <= 2);
}

/* Days since 1970-01-01 of the first of a month: days_from_civil of the same source, for years >= 0. */
static int64_t days_from_month(int64_t year, int64_t month)
{
    if (month <= 2)
        year--;
    int64_t era = year / 400;
    int64_t year_of_era = year - era * 400;
    int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5;
    int64_t of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    return era * 146097 + of_era - 719468;
}

int64_t keyepoch_of(int64_t now_ms, uint32_t epoch_days)
{
    int64_t days = now_ms / KEYEPOCH_DAY_MS;
    if (epoch_days != KEYEPOCH_QUARTERS)
        return days / (int64_t)epoch_days;
    int64_t year, month;
    civil_from_days(days, &year, &month);
    return year * 4 + (month - 1) / 3;
}

int64_t keyepoch_start_ms(int64_t number, uint32_t epoch_days)
{
    if (epoch_days != KEYEPOCH_QUARTERS)
        return number * (int64_t)epoch_days * KEYEPOCH_DAY_MS;
    return days_from_month(number / 4, number % 4 * 3 + 1) * KEYEPOCH_DAY_MS;
}

static bool near(int64_t one_ms, int64_t other_ms)
{
    int64_t apart = one_ms - other_ms;
    return apart <= KEYEPOCH_CLOCKS_MS && apart >= -KEYEPOCH_CLOCKS_MS;
}

bool keyepoch_clocks_agree(int64_t wall_ms, int64_t expected_ms, int64_t redis_ms)
{
    if (!near(wall_ms, expected_ms))
        return false;
    return redis_ms < 0 || (near(wall_ms, redis_ms) && near(expected_ms, redis_ms));
}
