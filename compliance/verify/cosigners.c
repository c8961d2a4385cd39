#include "compliance/verify/cosigners.h"

#include <inttypes.h>
#include <stdio.h>

#define CHECKPOINT_NAME "log/checkpoint"

/* Verify by count keys, and count who signed to *valid; the rest are told if each of them must have. */
static void count_seals(struct evidence *evidence, const struct note *note, const struct note_key *keys, size_t count,
    bool each, uint64_t *valid)
{
    struct note_seal seals[TERMS_WITNESSES_MAX];
    struct failure why = {0};
    *valid = 0;
    enum result result = note_verify(note, keys, count, seals, &why);
    if (result != RESULT_OK && result != RESULT_NOT_FOUND) {
        evidence_find(evidence, CHECKPOINT_NAME, "a cosignature of a known witness is wrong: %s", why.text);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        bool signed_it = result == RESULT_OK && seals[i].valid;
        *valid += signed_it;
        if (each && !signed_it)
            evidence_find(evidence, CHECKPOINT_NAME, "the witness of key id %08" PRIx32 " has not cosigned it", keys[i].id);
    }
}

void cosigners_check(struct evidence *evidence)
{
    struct note note;
    uint64_t valid = 0, asked = 0;
    const struct terms *terms = &evidence->terms;
    const struct verify_request *request = evidence->request;
    struct verify_judgement *judgement = &evidence->outcome->levels[VERIFY_WITNESSES];
    if (note_parse(evidence->note.bytes, evidence->note.length, &note, NULL) != RESULT_OK)
        return;
    if (request->witness_count > 0)
        count_seals(evidence, &note, request->witnesses, request->witness_count, true, &asked);
    if (terms->witness_count > 0)
        count_seals(evidence, &note, terms->witnesses, terms->witness_count, false, &valid);
    if (valid < terms->quorum)
        evidence_find(evidence, CHECKPOINT_NAME, "%" PRIu64 " witnesses have cosigned it, the policy wants %" PRIu64, valid,
            terms->quorum);
    if (terms->witness_count == 0 && request->witness_count == 0) {
        judgement->verdict = VERIFY_NOT_JUDGED;
        (void)snprintf(judgement->note, sizeof judgement->note,
            "no witness is named: compare the checkpoint with another auditor's, against a split view");
        return;
    }
    (void)snprintf(judgement->note, sizeof judgement->note, "cosigned by %" PRIu64 " of %zu witnesses of the policy%s", valid,
        terms->witness_count, request->witness_count > 0 ? ", and those that were given were looked for" : "");
}
