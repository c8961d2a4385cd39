#include "compliance/meaning/spending.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "compliance/meaning/civil.h"
#include "compliance/meaning/decimal.h"

#define LEDGER "database/ledger.csv"
#define RELEASES "database/releases.csv"
#define KEY uint8_t key[HASHED_KEY_BYTES]

struct plan {
    KEY;
    uint64_t index;
    bool noise;
};

struct debit {
    KEY;
    decimal_units rho;
    uint8_t leaf[16];
    uint64_t index;
    bool reserved, seen;
};

struct release {
    KEY; /* the leaf's id */
    uint64_t index;
    uint8_t said[HASHED_KEY_BYTES]; /* of what its line must say */
    bool seen, anywhere;            /* anywhere: of which population is not known, what added the app having no body */
};

struct period {
    KEY;
    uint64_t index;
};

void spending_begin(struct spending *spending, const struct source *source, struct findings *findings)
{
    *spending = (struct spending){.source = source, .findings = findings, .plans.size = sizeof(struct plan),
        .debits.size = sizeof(struct debit), .releases.size = sizeof(struct release), .periods.size = sizeof(struct period)};
}

void spending_free(struct spending *spending)
{
    hashed_free(&spending->plans);
    hashed_free(&spending->debits);
    hashed_free(&spending->releases);
    hashed_free(&spending->periods);
}

static enum result no_memory(struct failure *why)
{
    failure_set(why, "", "no memory to check what was spent");
    return RESULT_FULL;
}

/* --- plans ------------------------------------------------------------------------------------------------------------- */

/* One row of a plan's families. */
struct family {
    const char *name;
    json_int_t l2;
    const char *sigma2;
    decimal_units rho;
    bool reserved;
};

static bool read_family(const json_t *row, struct family *out)
{
    const char *rho = json_string_value(json_array_get(row, 3));
    *out = (struct family){.name = json_string_value(json_array_get(row, 0)), .l2 = json_integer_value(json_array_get(row, 1)),
        .sigma2 = json_string_value(json_array_get(row, 2)), .reserved = json_integer_value(json_array_get(row, 4)) == 1};
    return decimal_parse(rho, strlen(rho), &out->rho);
}

/* rho is at least L2^2/(2 sigma^2): 2 rho sigma^2 >= L2^2, in units of 10^-12 each, so of 10^-24 together. What is too large
 * to be reckoned so (sigma^2 above 18 million) is cheap beyond doubt, and left alone. */
static bool costs_enough(const struct family *family)
{
    __extension__ typedef unsigned __int128 wide;
    decimal_units sigma2;
    if (!decimal_parse(family->sigma2, strlen(family->sigma2), &sigma2))
        return true;
    wide twice = (wide)family->rho * 2 * sigma2;
    return twice >= (wide)(uint64_t)family->l2 * DECIMAL_ONE * DECIMAL_ONE;
}

static enum result put_debit(struct spending *spending, const struct parsed *leaf, uint64_t index, const struct family *family,
    struct failure *why)
{
    bool fresh;
    struct debit *debit = hashed_put(&spending->debits,
        hashed_texts(parsed_text(leaf, "population"), parsed_text(leaf, "month"), leaf->tenant, family->name), &fresh);
    if (debit == NULL)
        return no_memory(why);
    if (!fresh) {
        findings_entry(spending->findings, index, "Family %.63s was planned before in this month.", family->name);
        return RESULT_OK;
    }
    debit->rho = family->rho;
    debit->reserved = family->reserved;
    debit->index = index;
    memcpy(debit->leaf, leaf->id, sizeof debit->leaf);
    return RESULT_OK;
}

static enum result take_families(struct spending *spending, const struct parsed *leaf, uint64_t index, decimal_units *sum,
    struct failure *why)
{
    size_t at;
    json_t *row;
    json_array_foreach(json_object_get(leaf->data, "families"), at, row) {
        struct family family;
        if (!read_family(row, &family))
            continue;
        if (!costs_enough(&family))
            findings_entry(spending->findings, index, "Family %.63s costs more than the entry says (L2\302\262 / 2\317\203\302\262).",
                family.name);
        if (family.reserved && !decimal_add(sum, family.rho))
            *sum = UINT64_MAX;
        enum result result = put_debit(spending, leaf, index, &family, why);
        if (result != RESULT_OK)
            return result;
    }
    return RESULT_OK;
}

static enum result take_plan(struct spending *spending, const struct parsed *leaf, uint64_t index, const char *population,
    struct failure *why)
{
    bool fresh;
    decimal_units sum = 0, total = 0;
    const char *rho = parsed_text(leaf, "rho"), *own = parsed_text(leaf, "population");
    struct plan *plan
        = hashed_put(&spending->plans, hashed_texts(own, parsed_text(leaf, "month"), leaf->tenant, NULL), &fresh);
    if (plan == NULL)
        return no_memory(why);
    if (!fresh) {
        findings_entry(spending->findings, index, "The month was planned before, with entry %" PRIu64 ".", plan->index);
        return RESULT_OK;
    }
    plan->index = index;
    plan->noise = rho != NULL;
    if (population != NULL && strcmp(own, population) != 0)
        findings_entry(spending->findings, index, "The month is charged to another population than the app's.");
    enum result result = take_families(spending, leaf, index, &sum, why);
    if (result == RESULT_OK && rho != NULL && (!decimal_parse(rho, strlen(rho), &total) || sum > total))
        findings_entry(spending->findings, index, "What is reserved in this month is more than it may cost in all.");
    else if (result == RESULT_OK && rho == NULL && sum > 0)
        findings_entry(spending->findings, index, "A month without a budget has reserved something.");
    return result;
}

/* --- releases ----------------------------------------------------------------------------------------------------------- */

/* What a line of the database's releases says of a leaf. */
static struct hashed_key said(const char *population, const struct parsed *leaf)
{
    char line[2048];
    const char *item = parsed_text(leaf, "item");
    int length = snprintf(line, sizeof line, "%s\n%s\n%s\n%s\n%s\n%s\n%" PRId64, population, leaf->tenant,
        parsed_text(leaf, "family"), item == NULL ? "" : item, parsed_text(leaf, "interval"), parsed_text(leaf, "period"),
        parsed_int(leaf, "definition"));
    return hashed_bytes(line, (size_t)length < sizeof line ? (size_t)length : sizeof line - 1);
}

static enum result check_once(struct spending *spending, const struct parsed *leaf, uint64_t index, const char *population,
    struct failure *why)
{
    char what[1200];
    bool fresh;
    const char *item = parsed_text(leaf, "item");
    (void)snprintf(what, sizeof what, "%s\n%s\n%s\n%s", parsed_text(leaf, "family"), parsed_text(leaf, "interval"),
        parsed_text(leaf, "period"), item == NULL ? "" : item);
    struct period *period = hashed_put(&spending->periods, hashed_texts(population, leaf->tenant, what, NULL), &fresh);
    if (period == NULL)
        return no_memory(why);
    if (fresh)
        period->index = index;
    else
        findings_entry(spending->findings, index, "What entry %" PRIu64 " released or refused was decided a second time.",
            period->index);
    return RESULT_OK;
}

/* A release with noise must have been paid for in the month it is of. A week belongs to the month of its first day or of its
 * last: the app may be younger than the other. */
static void check_paid(struct spending *spending, const struct parsed *leaf, uint64_t index, const char *population)
{
    char month[CIVIL_DATE_BYTES];
    int32_t day;
    if (!parsed_has(leaf, "rho") || !civil_parse(parsed_text(leaf, "period"), &day))
        return;
    for (int32_t end = 0; end <= 6; end += 6) {
        const struct debit *debit = hashed_find(&spending->debits,
            hashed_texts(population, civil_format(civil_month(day + end), month), leaf->tenant, parsed_text(leaf, "family")));
        if (debit != NULL && debit->reserved)
            return;
    }
    if (spending->source->pruned_below == 0)
        findings_entry(spending->findings, index, "It released what no plan of its month has reserved.");
}

static enum result take_release(struct spending *spending, const struct parsed *leaf, uint64_t index, const char *population,
    struct failure *why)
{
    struct hashed_key key;
    uint64_t place = (uint64_t)parsed_int(leaf, "place");
    memcpy(key.bytes, leaf->id, sizeof key.bytes);
    bool fresh;
    struct release *release = hashed_put(&spending->releases, key, &fresh);
    if (release == NULL)
        return no_memory(why);
    if (!fresh) {
        findings_entry(spending->findings, index, "The same entry is in the log twice.");
        return RESULT_OK;
    }
    release->index = index;
    release->anywhere = population[0] == '\0';
    memcpy(release->said, said(population, leaf).bytes, sizeof release->said);
    if (spending->place_least == 0 || place < spending->place_least)
        spending->place_least = place;
    if (place > spending->place_most)
        spending->place_most = place;
    check_paid(spending, leaf, index, population);
    return check_once(spending, leaf, index, population, why);
}

enum result spending_take(struct spending *spending, const struct parsed *leaf, uint64_t index, const char *population,
    struct failure *why)
{
    const char *known = population == NULL ? "" : population;
    if (strcmp(leaf->act, "month_planned") == 0)
        return take_plan(spending, leaf, index, population, why);
    if (strcmp(leaf->act, "aggregates_released") == 0)
        return take_release(spending, leaf, index, known, why);
    if (strcmp(leaf->act, "aggregates_refused") == 0)
        return check_once(spending, leaf, index, known, why);
    return RESULT_OK;
}

/* --- the database's rows ------------------------------------------------------------------------------------------------ */

#define COLUMNS_MAX 8
#define COLUMN_BYTES 1100

struct columns {
    char text[COLUMNS_MAX][COLUMN_BYTES];
};

/* Take a field of RFC 4180 off the line, unquoted. */
static bool take_column(struct text_view *line, char out[COLUMN_BYTES])
{
    size_t length = 0, at = 0;
    bool quoted = line->length > 0 && line->bytes[0] == '"';
    for (at = quoted; at < line->length; at++) {
        char c = line->bytes[at];
        if (!quoted && c == ',')
            break;
        if (quoted && c == '"') {
            if (at + 1 == line->length || line->bytes[at + 1] != '"') {
                quoted = false;
                continue;
            }
            at++;
        }
        if (length + 1 == COLUMN_BYTES)
            return false;
        out[length++] = c;
    }
    out[length] = '\0';
    line->bytes += at;
    line->length -= at;
    return !quoted;
}

static bool split(struct text_view line, size_t count, struct columns *out)
{
    for (size_t i = 0; i < count; i++) {
        if (!take_column(&line, out->text[i]))
            return false;
        if (i + 1 < count && line.length == 0)
            return false;
        if (i + 1 < count) {
            line.bytes++;
            line.length--;
        }
    }
    return line.length == 0;
}

/* What is wrong with a line of the ledger; NULL: nothing. */
static const char *check_debit(struct spending *spending, const struct columns *columns)
{
    decimal_units rho;
    uint8_t leaf[16];
    struct debit *debit = hashed_find(&spending->debits,
        hashed_texts(columns->text[0], columns->text[1], columns->text[2], columns->text[3]));
    if (!decimal_parse(columns->text[4], strlen(columns->text[4]), &rho) || !parsed_uuid(columns->text[5], leaf))
        return "is not a line of the ledger";
    if (debit == NULL)
        return spending->source->pruned_below > 0 ? NULL : "debits what no entry of the log planned";
    if (debit->seen)
        return "debits what was debited before";
    debit->seen = true;
    if (!debit->reserved)
        return "debits what the plan did not reserve";
    if (debit->rho != rho)
        return "debits another cost than the log's entry says";
    return memcmp(debit->leaf, leaf, sizeof leaf) != 0 ? "names another entry than the one that planned it" : NULL;
}

static const char *check_release(struct spending *spending, const struct columns *columns)
{
    char line[2048];
    struct hashed_key key;
    if (!parsed_uuid(columns->text[7], key.bytes))
        return "is not a line of the releases";
    struct release *release = hashed_find(&spending->releases, key);
    if (release == NULL)
        return spending->source->pruned_below > 0 ? NULL : "is a release that no entry of the log tells of";
    if (release->seen)
        return "is a release that an earlier line has";
    release->seen = true;
    int length = snprintf(line, sizeof line, "%s\n%s\n%s\n%s\n%s\n%s\n%s", release->anywhere ? "" : columns->text[0], columns->text[1], columns->text[2],
        columns->text[3], columns->text[4], columns->text[5], columns->text[6]);
    key = hashed_bytes(line, (size_t)length < sizeof line ? (size_t)length : sizeof line - 1);
    return memcmp(release->said, key.bytes, sizeof key.bytes) != 0 ? "is another release than its entry of the log says" : NULL;
}

static enum result check_rows(struct spending *spending, const char *file, size_t count,
    enum result (*read)(void *context, uint64_t row, struct text_view *line, struct failure *why),
    const char *(*check)(struct spending *spending, const struct columns *columns), struct failure *why)
{
    struct columns columns;
    for (uint64_t row = 0;; row++) {
        struct text_view line;
        struct failure wrong = {0};
        enum result result = read(spending->source->context, row, &line, &wrong);
        if (result == RESULT_NOT_FOUND)
            return RESULT_OK;
        if (result != RESULT_OK) {
            failure_set(why, wrong.field, "%s", wrong.text);
            return result;
        }
        const char *what = split(line, count, &columns) ? check(spending, &columns) : "has not the columns it must have";
        if (what != NULL)
            findings_line(spending->findings, file, row + 2, "The line %s.", what);
    }
}

enum result spending_end(struct spending *spending, struct failure *why)
{
    enum result result = check_rows(spending, LEDGER, 6, spending->source->ledger, check_debit, why);
    if (result == RESULT_OK)
        result = check_rows(spending, RELEASES, 8, spending->source->release, check_release, why);
    if (result != RESULT_OK)
        return result;
    for (size_t i = 0; i < spending->debits.count; i++) {
        const struct debit *debit = hashed_at(&spending->debits, i);
        if (debit->reserved && !debit->seen)
            findings_entry(spending->findings, debit->index, "It reserved a cost that is not in the database's ledger.");
    }
    for (size_t i = 0; i < spending->releases.count; i++) {
        const struct release *release = hashed_at(&spending->releases, i);
        if (!release->seen)
            findings_entry(spending->findings, release->index, "It released what the database's releases do not have.");
    }
    uint64_t first = spending->source->pruned_below > 0 ? spending->place_least : 1;
    if (spending->releases.count > 0 && spending->place_most - first + 1 != spending->releases.count)
        findings_log(spending->findings, "Releases are numbered to %" PRIu64 " from %" PRIu64 ", but there are %zu: some lack, or"
            " are numbered twice.", spending->place_most, first, spending->releases.count);
    return RESULT_OK;
}
