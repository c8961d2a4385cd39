#include "compliance/meaning/meaning.h"

#include "compliance/meaning/findings.h"
#include "compliance/meaning/lives.h"
#include "compliance/meaning/parsed.h"
#include "compliance/meaning/spending.h"

/* A check under way. */
struct check {
    const struct source *source;
    struct findings findings;
    struct lives lives;
    struct spending spending;
    int64_t newest_ms;
};

static enum result take_known(struct check *check, const struct parsed *leaf, uint64_t index, struct failure *why)
{
    enum result result = lives_take(&check->lives, leaf, index, why);
    if (result != RESULT_OK)
        return result;
    return spending_take(&check->spending, leaf, index, lives_population(&check->lives, leaf->tenant), why);
}

static enum result take_leaf(struct check *check, uint64_t index, struct failure *why)
{
    struct text_view bytes;
    struct parsed leaf;
    struct failure wrong = {0};
    enum result result = check->source->leaf(check->source->context, index, &bytes, why);
    if (result != RESULT_OK)
        return result;
    result = parsed_read(bytes, &leaf, &wrong);
    if (result == RESULT_CORRUPT) {
        findings_entry(&check->findings, index, "It is not a leaf: %s %s.", wrong.field, wrong.text);
        return RESULT_OK;
    }
    if (result != RESULT_OK) {
        failure_set(why, wrong.field, "%s", wrong.text);
        return result;
    }
    if (leaf.at_ms > check->newest_ms)
        check->newest_ms = leaf.at_ms;
    if (leaf.known)
        result = take_known(check, &leaf, index, why);
    else
        findings_entry(&check->findings, index, "It is not as its act must be: %s %s.", leaf.why.field, leaf.why.text);
    parsed_free(&leaf);
    return result;
}

enum result meaning_check(const struct source *source, void (*found)(void *context, const struct meaning_finding *finding),
    void *context, uint64_t *count, struct failure *why)
{
    struct check check = {.source = source, .findings = {.found = found, .context = context}};
    enum result result = RESULT_OK;
    lives_begin(&check.lives, source, &check.findings);
    spending_begin(&check.spending, source, &check.findings);
    for (uint64_t index = source->pruned_below; index < source->checkpoint.size && result == RESULT_OK; index++)
        result = take_leaf(&check, index, why);
    if (result == RESULT_OK) {
        lives_end(&check.lives, check.newest_ms);
        result = spending_end(&check.spending, why);
    }
    lives_free(&check.lives);
    spending_free(&check.spending);
    if (result == RESULT_OK)
        *count = check.findings.count;
    return result;
}
