#include "compliance/verify/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compliance/verify/ancestry.h"
#include "compliance/verify/container.h"
#include "compliance/verify/contents.h"
#include "compliance/verify/cosigners.h"
#include "compliance/verify/evidence.h"
#include "compliance/verify/regrown.h"
#include "compliance/verify/signatures.h"

const char *verify_level_name(enum verify_level level)
{
    static const char *const names[VERIFY_LEVELS] = {"signatures", "tree", "consistency", "witnesses", "meaning"};
    return names[level];
}

const char *verify_verdict_name(enum verify_verdict verdict)
{
    static const char *const names[] = {"ok", "failed", "not_judged"};
    return names[verdict];
}

static void not_judged(struct evidence *evidence, const char *because)
{
    struct verify_judgement *judgement = &evidence->outcome->levels[evidence->level];
    judgement->verdict = VERIFY_NOT_JUDGED;
    (void)snprintf(judgement->note, sizeof judgement->note, "%s", because);
}

static void judge(struct evidence *evidence, enum verify_level level)
{
    static void (*const checks[VERIFY_LEVELS])(struct evidence *) = {
        [VERIFY_TREE] = regrown_check,
        [VERIFY_CONSISTENCY] = ancestry_check,
        [VERIFY_WITNESSES] = cosigners_check,
        [VERIFY_MEANING] = contents_check};
    evidence->level = level;
    if (level == VERIFY_SIGNATURES) {
        if (container_check(evidence))
            signatures_check(evidence);
    } else if (!evidence->opened) {
        not_judged(evidence, "the checkpoint or the policy cannot be read");
    } else if (level == VERIFY_MEANING && evidence->outcome->levels[VERIFY_TREE].verdict != VERIFY_OK) {
        not_judged(evidence, "the entries are not those that were signed");
    } else {
        checks[level](evidence);
    }
    if (evidence->request->judged != NULL)
        evidence->request->judged(evidence->request->context, level);
}

bool verify_run(const struct verify_request *request, struct verify_outcome *outcome)
{
    bool good = true;
    struct evidence *evidence = calloc(1, sizeof *evidence);
    *outcome = (struct verify_outcome){0};
    if (evidence == NULL) {
        outcome->levels[VERIFY_SIGNATURES] = (struct verify_judgement){VERIFY_FAILED, 1, "there is no memory"};
        return false;
    }
    evidence->request = request;
    evidence->outcome = outcome;
    for (int level = 0; level < VERIFY_LEVELS; level++) {
        judge(evidence, (enum verify_level)level);
        good = good && outcome->levels[level].findings == 0;
        if (level == VERIFY_SIGNATURES && evidence->opened) {
            outcome->opened = true;
            memcpy(outcome->origin, evidence->checkpoint.origin, sizeof outcome->origin);
            outcome->size = evidence->checkpoint.size;
            outcome->root = evidence->checkpoint.root;
            outcome->pruned_below = evidence->terms.pruned_below;
        }
    }
    archive_index_free(evidence->index);
    free(evidence);
    return good;
}
