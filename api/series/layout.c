#include "api/series/layout.h"

#include <string.h>

#include "api/series/items.h"
#include "service/base/clock.h"

const char *layout_period_name(const struct answer_question *question)
{
    return metric_has_cohorts(question->metric) ? "cohort" : "period";
}

/* The name of the point's item, and of its class or classes. */
static size_t item_keys(const struct answer_question *question, const struct series_point *point, struct layout_key *out)
{
    enum metric_list list = question->metric->list;
    size_t count = 0;
    const struct app_item *item = point == NULL ? NULL : items_at(question->declared, list, (size_t)point->item);
    const struct app_dimension *classes = point == NULL ? NULL : items_classes(question->declared, list, point->item);
    if (!question->by)
        out[count++] = (struct layout_key){.name = "item", .text = item == NULL ? "" : item->name};
    if (list == METRIC_LIST_DIMENSIONS || list == METRIC_LIST_SESSION_DIMENSIONS)
        out[count++] = (struct layout_key){.name = "class", .text = classes == NULL ? "" : items_class_name(classes, point->n)};
    if (list != METRIC_LIST_PATHS)
        return count;
    out[count++] = (struct layout_key){.name = "from", .text = classes == NULL ? "" : items_class_name(classes, point->n / 64)};
    out[count++] = (struct layout_key){.name = "to", .text = classes == NULL ? "" : items_class_name(classes, point->n % 64)};
    return count;
}

static size_t step_keys(const struct answer_question *question, const struct series_point *point, struct layout_key *out)
{
    int32_t step = point == NULL ? 0 : point->n;
    const struct app_funnel *funnel = point == NULL ? NULL : &question->declared->funnels[point->item];
    out[0] = (struct layout_key){.name = "step", .number = step + 1};
    out[1] = (struct layout_key){.name = "label", .text = funnel == NULL ? "" : funnel->labels[step]};
    return 2;
}

static size_t tier_keys(const struct answer_question *question, const struct series_point *point, struct layout_key *out)
{
    const struct app_outcome *outcome = point == NULL ? NULL : &question->declared->outcomes[point->item];
    const char *tier = point == NULL || point->n < 0 ? "all" : outcome->tiers[point->n].item.name;
    out[0] = (struct layout_key){.name = "tier", .text = tier};
    return 1;
}

size_t layout_keys(const struct answer_question *question, const struct series_point *point,
    struct layout_key out[LAYOUT_KEYS_MAX])
{
    int32_t n = point == NULL ? 0 : point->n;
    switch (question->metric->kind) {
    case METRIC_KIND_RETENTION:
    case METRIC_KIND_ON_OR_AFTER:
        out[0] = (struct layout_key){.name = "n", .number = n};
        return 1;
    case METRIC_KIND_HISTOGRAM:
        out[0] = (struct layout_key){.name = "bin", .number = n};
        return 1;
    case METRIC_KIND_FUNNEL:
        return step_keys(question, point, out);
    case METRIC_KIND_OUTCOME:
        return tier_keys(question, point, out);
    case METRIC_KIND_COUNT:
    case METRIC_KIND_RATIO:
        return items_are_named(question->metric->list) ? item_keys(question, point, out) : 0;
    case METRIC_KIND_RETURNING:
    case METRIC_KIND_STICKINESS:
    case METRIC_KIND_GROWTH:
    case METRIC_KIND_QUANTILE:
    case METRIC_KIND_MEASURE:
        break;
    }
    return 0;
}

const struct layout_detail *layout_details(const struct metric *metric)
{
    static const struct layout_detail measure[] = {{"count", true}, {"sum", false}, {"p50", false}, {"p90", false}, {"p99", false}};
    static const struct layout_detail funnel[] = {{"from_previous", false}, {"from_first", false}};
    static const struct layout_detail outcome[] = {{"users", true}, {"difference", false}};
    static const struct layout_detail cohort[] = {{"share", false}};
    if (metric->kind == METRIC_KIND_FUNNEL)
        return funnel;
    if (metric_has_cohorts(metric))
        return cohort;
    return metric->kind == METRIC_KIND_OUTCOME ? outcome : measure;
}

char *layout_uuid(const uint8_t id[16], char out[LAYOUT_UUID_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    size_t at = 0;
    for (size_t i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            out[at++] = '-';
        out[at++] = digits[id[i] >> 4];
        out[at++] = digits[id[i] & 15];
    }
    out[at] = '\0';
    return out;
}

/* --- CSV, RFC 4180 ------------------------------------------------------------------------------------------------- */

static void print_text(FILE *file, const char *text)
{
    if (strpbrk(text, ",\"\r\n") == NULL) {
        fputs(text, file);
        return;
    }
    fputc('"', file);
    for (; *text != '\0'; text++) {
        if (*text == '"')
            fputc('"', file);
        fputc(*text, file);
    }
    fputc('"', file);
}

static void print_number(FILE *file, bool whole, bool known, double value)
{
    fputc(',', file);
    if (known)
        fprintf(file, whole ? "%.0f" : "%.6g", value);
}

static void print_head(FILE *file, const struct answer_question *question, const struct answer *answer)
{
    struct layout_key keys[LAYOUT_KEYS_MAX];
    size_t count = layout_keys(question, NULL, keys);
    const struct layout_detail *details = layout_details(question->metric);
    fputs(layout_period_name(question), file);
    for (size_t i = 0; i < count; i++)
        fprintf(file, ",%s", keys[i].name);
    fputs(",value,low,high,reliability", file);
    for (size_t i = 0; i < answer->detail_count; i++)
        fprintf(file, ",%s,%s_low,%s_high", details[i].name, details[i].name, details[i].name);
    fputs(",k,sigma2,rho,sealed_at,audit_index,audit_leaf\n", file);
}

/* Of which release the row is. */
static void print_release(FILE *file, const struct series_release *release)
{
    char moment[32], leaf[LAYOUT_UUID_BYTES];
    fprintf(file, ",%d,%s,%s,%s,", (int)release->k, release->sigma2, release->rho,
        clock_format(release->sealed_at_ms, moment, sizeof moment));
    if (release->logged)
        fprintf(file, "%lld", (long long)release->index);
    fprintf(file, ",%s\n", layout_uuid(release->leaf, leaf));
}

static void print_point(FILE *file, const struct answer_question *question, const struct answer *answer, size_t index)
{
    char date[CLOCK_DATE_BYTES];
    struct layout_key keys[LAYOUT_KEYS_MAX];
    const struct series_point *point = &answer->points[index];
    const struct layout_detail *details = layout_details(question->metric);
    bool whole = metric_is_whole(question->metric);
    size_t count = layout_keys(question, point, keys);
    fputs(clock_format_date(point->period, date), file);
    for (size_t i = 0; i < count; i++) {
        fputc(',', file);
        if (keys[i].text != NULL)
            print_text(file, keys[i].text);
        else
            fprintf(file, "%d", (int)keys[i].number);
    }
    print_number(file, whole, point->known, point->value);
    print_number(file, whole, point->bounded, point->low);
    print_number(file, whole, point->bounded, point->high);
    fprintf(file, ",%s", point->reliability);
    for (size_t i = 0; i < answer->detail_count; i++) {
        const struct series_point *detail = &answer->details[index * answer->detail_count + i];
        print_number(file, details[i].whole, detail->known, detail->value);
        print_number(file, details[i].whole, detail->bounded, detail->low);
        print_number(file, details[i].whole, detail->bounded, detail->high);
    }
    print_release(file, &point->release);
}

void layout_csv(FILE *file, const struct answer_question *question, const struct answer *answer, size_t first, size_t count)
{
    print_head(file, question, answer);
    for (size_t i = first; i < first + count; i++)
        print_point(file, question, answer, i);
}
