#include "api/series/notice.h"

#include <stdio.h>
#include <string.h>

#include "api/series/explain.h"

/* What a bound on each person's part, under differentially private presets, makes of a released number. */
static const struct bound {
    const char *number, *text;
} bounds[] = {
    {"sessions", "Of each person at most seven sessions a week count."},
    {"engaged_sessions", "Of each person at most seven sessions a week count."},
    {"session_durations", "Of each person the first session of a week counts: these are durations of first sessions."},
    {"feature_users", "Each person counts in the first four of their features a week, as they are declared."},
    {"goal_sessions", "Of each person one session a week and goal counts, of the first four goals as they are declared: a rate by"
                      " sessions is lower than it was."},
    {"outcome_sum", "Each person's value is bounded by the measure's range."},
};

static void add(char out[NOTICE_BYTES], const char *text)
{
    size_t used = strlen(out);
    (void)snprintf(out + used, NOTICE_BYTES - used, "%s%s", used == 0 ? "" : " ", text);
}

static void add_suppressed(const struct answer *answer, char out[NOTICE_BYTES])
{
    char text[256];
    size_t suppressed = 0;
    for (size_t i = 0; i < answer->count; i++)
        suppressed += !answer->points[i].known;
    if (2 * suppressed <= answer->count || strcmp(answer->protection, "none") == 0)
        return;
    bool noise = strcmp(answer->protection, "dp") == 0;
    (void)snprintf(text, sizeof text, "%zu of %zu values are not shown: too few people are behind them%s.", suppressed,
        answer->count, noise ? " to tell them from the noise that protects each one" : ", fewer than the threshold k");
    add(out, text);
    add(out, explain_help(answer->preset));
}

static void add_clamped(const struct answer *answer, char out[NOTICE_BYTES])
{
    size_t clamped = 0;
    for (size_t i = 0; i < answer->count; i++)
        clamped += answer->points[i].clamped;
    for (size_t i = 0; answer->details != NULL && i < answer->count * answer->detail_count; i++)
        clamped += answer->details[i].clamped;
    if (clamped > 0)
        add(out, "Where `clamped` stands, noise had moved a value out of what can be, below 0 say: it is shown at the edge.");
}

bool notice_write(const struct answer_question *question, const struct answer *answer, char out[NOTICE_BYTES])
{
    out[0] = '\0';
    add_suppressed(answer, out);
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        bool noise = answer->count > 0 && answer->sigma2[0] != '\0';
        if (noise && strcmp(bounds[i].number, question->metric->above) == 0)
            add(out, bounds[i].text);
    }
    add_clamped(answer, out);
    return out[0] != '\0';
}
