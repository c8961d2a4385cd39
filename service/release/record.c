#include "service/release/record.h"

#include <sodium.h>
#include <string.h>

#include "service/base/clock.h"
#include "service/release/declared.h"
#include "service/release/period.h"

#define ACTOR "throng_release" /* the daemon and role that a leaf names as its actor */
#define SIGMA2_PLACES 3        /* accounting_sigma2 */

const char *record_item(const struct app *app, const struct sheet_release *release)
{
    enum family_number number = 0;
    while (family_number(number)->family != release->family)
        number++;
    return declared_name(app, number, release->item);
}

int32_t record_k(const struct policy *policy, const struct sheet_release *release)
{
    return policy->protection == PROTECTION_DP ? release->grant.k : policy->k;
}

const char *record_protection(const struct policy *policy, const struct sheet_release *release)
{
    return policy_protection_name(release->grant.unprotected ? PROTECTION_NONE : policy->protection);
}

const char *record_sigma2(struct rational sigma2, char out[RATIONAL_TEXT_MAX])
{
    if (sigma2.numerator == 0)
        return NULL;
    rational_decimal(sigma2, SIGMA2_PLACES, RATIONAL_UP, out);
    return out;
}

const char *record_rho(struct rational rho, char out[RATIONAL_TEXT_MAX])
{
    if (rho.numerator == 0)
        return NULL;
    rational_decimal(rho, ACCOUNTING_PLACES, RATIONAL_UP, out);
    return out;
}

const char *record_stage(enum family_stage stage)
{
    return stage == STAGE_ACTIVITY ? "activity" : "sessions";
}

struct rational record_common(const struct sheet *sheet, const struct sheet_release *release)
{
    return release->count == 0 ? (struct rational){0, 1} : sheet->rows[release->first].sigma2;
}

static struct leaf *begin(const struct app *app, const char *act, enum leaf_out out, uint8_t id[16])
{
    struct leaf_head head = {.at_ms = clock_now_ms(), .act = act, .actor_type = "daemon", .actor_id = ACTOR,
        .tenant = app->name, .out = out};
    randombytes_buf(head.id, sizeof head.id);
    randombytes_buf(head.nonce, sizeof head.nonce);
    struct leaf *leaf = leaf_begin(&head);
    memcpy(id, head.id, sizeof head.id);
    return leaf;
}

/* The rows from `from` on that are of the same number and thing, as one element. Returns how many. */
static size_t leaf_group(struct leaf *leaf, const struct app *app, const struct sheet *sheet, size_t from, size_t end,
    struct rational common)
{
    const struct sheet_row *first = &sheet->rows[from];
    size_t at = from;
    char text[RATIONAL_TEXT_MAX];
    leaf_array(leaf, NULL);
    leaf_text(leaf, NULL, family_number(first->number)->metric);
    leaf_text(leaf, NULL, declared_name(app, first->number, first->item));
    leaf_array(leaf, NULL);
    for (; at < end && sheet->rows[at].number == first->number && sheet->rows[at].item == first->item; at++) {
        const struct sheet_row *row = &sheet->rows[at];
        leaf_array(leaf, NULL);
        leaf_int(leaf, NULL, row->n);
        if (row->released.suppressed)
            leaf_null(leaf, NULL);
        else
            leaf_int(leaf, NULL, row->released.value);
        leaf_close(leaf);
    }
    leaf_close(leaf);
    if (rational_compare(first->sigma2, common) != 0)
        leaf_text(leaf, NULL, record_sigma2(first->sigma2, text));
    leaf_close(leaf);
    return at - from;
}

static void leaf_rows(struct leaf *leaf, const struct app *app, const struct sheet *sheet, const struct sheet_release *release)
{
    const struct rational common = record_common(sheet, release);
    const size_t end = release->first + release->count;
    leaf_array(leaf, "rows");
    for (size_t at = release->first; at < end;)
        at += leaf_group(leaf, app, sheet, at, end, common);
    leaf_close(leaf);
}

static void leaf_day(struct leaf *leaf, const char *key, int32_t day)
{
    char text[PERIOD_TEXT_BYTES];
    leaf_text(leaf, key, period_format(day, text));
}

struct leaf *record_release(const struct app *app, const struct policy *policy, const struct sheet *sheet,
    const struct sheet_release *release, const struct record_closing *closing, uint8_t id[16])
{
    char text[RATIONAL_TEXT_MAX];
    struct leaf *leaf = begin(app, "aggregates_released", LEAF_OK, id);
    leaf_day(leaf, "day", closing->day);
    leaf_int(leaf, "definition", app->version);
    leaf_text(leaf, "family", family_name(release->family));
    leaf_day(leaf, "first_day", closing->first_day);
    leaf_text(leaf, "interval", family_interval_name(release->interval));
    if (release->item >= 0)
        leaf_text(leaf, "item", record_item(app, release));
    leaf_int(leaf, "k", record_k(policy, release));
    leaf_text(leaf, "mechanism", policy_mechanism(policy));
    leaf_day(leaf, "period", release->period);
    leaf_int(leaf, "place", closing->place);
    leaf_text(leaf, "preset", policy_preset_name(policy->preset));
    leaf_text(leaf, "protection", record_protection(policy, release));
    if (record_rho(release->grant.rho, text) != NULL)
        leaf_text(leaf, "rho", text);
    leaf_rows(leaf, app, sheet, release);
    leaf_int(leaf, "sealed_at", closing->sealed_at_ms);
    if (record_sigma2(record_common(sheet, release), text) != NULL)
        leaf_text(leaf, "sigma_squared", text);
    leaf_text(leaf, "stage", record_stage(closing->stage));
    return leaf;
}

struct leaf *record_refused(const struct app *app, const struct policy *policy, const struct sheet_release *refused,
    const struct record_closing *closing, uint8_t id[16])
{
    struct leaf *leaf = begin(app, "aggregates_refused", LEAF_DENIED, id);
    leaf_day(leaf, "day", closing->day);
    leaf_int(leaf, "definition", app->version);
    leaf_text(leaf, "family", family_name(refused->family));
    leaf_day(leaf, "first_day", closing->first_day);
    leaf_text(leaf, "interval", family_interval_name(refused->interval));
    if (refused->item >= 0)
        leaf_text(leaf, "item", record_item(app, refused));
    leaf_day(leaf, "period", refused->period);
    leaf_text(leaf, "preset", policy_preset_name(policy->preset));
    leaf_text(leaf, "reason", "not_reserved");
    leaf_int(leaf, "sealed_at", closing->sealed_at_ms);
    leaf_text(leaf, "stage", record_stage(closing->stage));
    return leaf;
}
