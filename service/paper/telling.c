#include "service/paper/telling.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Metrics whose name with blanks does not say enough. */
static const char *const titles[][2] = {
    {"engaged_time", "Engaged time a session"},
    {"engagement_rate", "Engaged sessions, share"},
    {"session_duration", "Session length, mean"},
    {"session_duration_p50", "Session length, median"},
    {"interaction_frequency", "Events a session"},
    {"page_views", "Page views"},
    {"dimension_users", "Active users"},
    {"session_dimension_users", "Active users"},
};

char *telling_metric(const char *name, char out[TELLING_BYTES])
{
    for (size_t i = 0; i < sizeof titles / sizeof titles[0]; i++) {
        if (strcmp(titles[i][0], name) == 0)
            name = titles[i][1];
    }
    (void)snprintf(out, TELLING_BYTES, "%s", name);
    for (char *at = out; *at != '\0'; at++) {
        if (*at == '_')
            *at = ' ';
    }
    if (out[0] >= 'a' && out[0] <= 'z')
        out[0] = (char)(out[0] - 'a' + 'A');
    return out;
}

const char *telling_item(const struct app_item *item)
{
    return item->title == NULL ? item->name : item->title;
}

static bool overlap(const struct series_point *now, const struct series_point *before)
{
    return now->bounded && before->bounded && now->low <= before->high && before->low <= now->high;
}

/* Shares move by points, everything else by per cent. */
static void write_move(double now, double before, enum numeral_kind kind, char out[NUMERAL_BYTES])
{
    const char *sign = now < before ? "−" : "+";
    if (kind == NUMERAL_PERCENT)
        (void)snprintf(out, NUMERAL_BYTES, "%s%.1f points", sign, fabs(100 * (now - before)));
    else
        (void)snprintf(out, NUMERAL_BYTES, "%s%.1f %%", sign, fabs(100 * (now / before - 1)));
}

enum telling_change telling_change(const struct series_point *now, const struct series_point *before, enum numeral_kind kind,
    enum span_interval interval, char out[TELLING_BYTES])
{
    char move[NUMERAL_BYTES], was[NUMERAL_BYTES];
    const char *name = span_name(interval);
    out[0] = '\0';
    if (now == NULL || !now->known)
        return TELLING_NONE;
    if (before == NULL || !before->known) {
        (void)snprintf(out, TELLING_BYTES, "the %s before: %s", name, before == NULL ? "not released" : "suppressed");
        return TELLING_NONE;
    }
    (void)numeral_write(before->value, kind, was);
    bool equal = now->value >= before->value && now->value <= before->value;
    if (equal || overlap(now, before)) {
        bool exact = equal && !now->noisy && !before->noisy;
        (void)snprintf(out, TELLING_BYTES, "%s the %s before (%s)", exact ? "as in" : "within noise of", name, was);
        return TELLING_NOISE;
    }
    if (kind != NUMERAL_PERCENT && before->value <= 0) {
        (void)snprintf(out, TELLING_BYTES, "the %s before: %s", name, was);
    } else {
        write_move(now->value, before->value, kind, move);
        (void)snprintf(out, TELLING_BYTES, "%s since the %s before (%s)", move, name, was);
    }
    return now->value > before->value ? TELLING_UP : TELLING_DOWN;
}
