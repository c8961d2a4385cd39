#include "compliance/witness/witness.h"

#include <stdbool.h>
#include <string.h>

#include "compliance/audit/tree.h"
#include "compliance/witness/memory.h"

#define PROOF_LINES_MAX 63 /* tlog-witness, "add-checkpoint" */

/* A request taken apart; views borrow its body. */
struct request {
    uint64_t old;
    struct tree_proof proof;
    struct text_view note;
};

enum result witness_add_log(struct witness *witness, const char *text, struct failure *why)
{
    if (witness->count == WITNESS_LOGS_MAX) {
        failure_set(why, "log", "more than %d logs", WITNESS_LOGS_MAX);
        return RESULT_FULL;
    }
    struct witness_log *log = &witness->logs[witness->count];
    const char *space = strchr(text, ' ');
    enum result result = note_key_parse(space == NULL ? text : space + 1, &log->key, why);
    if (result != RESULT_OK)
        return result;
    struct text_view origin = space == NULL ? (struct text_view){log->key.name, strlen(log->key.name)}
                                            : (struct text_view){text, (size_t)(space - text)};
    if (log->key.kind != NOTE_ED25519 || origin.length == 0 || origin.length > CHECKPOINT_ORIGIN_MAX_BYTES) {
        failure_set(why, "log", "is not an origin and an Ed25519 verifier key");
        return RESULT_INVALID;
    }
    memcpy(log->origin, origin.bytes, origin.length);
    log->origin[origin.length] = '\0';
    witness->count++;
    return RESULT_OK;
}

static bool parse(const char *body, size_t length, struct request *out)
{
    struct text_view rest = {body, length}, line;
    if (!text_line(&rest, &line) || !text_skip(&line, "old ") || !text_decimal(line, &out->old))
        return false;
    out->proof.count = 0;
    while (text_line(&rest, &line)) {
        if (line.length == 0) {
            out->note = rest;
            return true;
        }
        if (out->proof.count == PROOF_LINES_MAX ||
            !text_base64_read(line, out->proof.hashes[out->proof.count].bytes, TREE_HASH_BYTES))
            return false;
        out->proof.count++;
    }
    return false;
}

static unsigned say(struct text_writer *answer, unsigned status, const char *text)
{
    text_puts(answer, text);
    text_puts(answer, "\n");
    return status;
}

/* 200: a log of ours that signed it, *checkpoint is what it says. */
static unsigned open_checkpoint(
    const struct witness *witness, struct text_view note, struct checkpoint *checkpoint, struct text_writer *answer)
{
    struct note parsed;
    struct note_seal seal;
    bool known = false;
    if (note_parse(note.bytes, note.length, &parsed, NULL) != RESULT_OK ||
        checkpoint_parse(parsed.text, checkpoint, NULL) != RESULT_OK)
        return say(answer, 400, "not a signed checkpoint");
    for (size_t i = 0; i < witness->count; i++) {
        if (strcmp(witness->logs[i].origin, checkpoint->origin) != 0)
            continue;
        known = true;
        if (note_verify(&parsed, &witness->logs[i].key, 1, &seal, NULL) == RESULT_OK && seal.valid != 0)
            return 200;
    }
    return known ? say(answer, 403, "not signed by a key of that log") : say(answer, 404, "no such log here");
}

static unsigned conflict(struct text_writer *answer, uint64_t size)
{
    text_put_decimal(answer, size);
    text_puts(answer, "\n");
    return 409;
}

/* 200: the checkpoint goes on from what was signed last. */
static unsigned examine(
    const struct witness *witness, const struct request *request, const struct checkpoint *checkpoint, struct text_writer *answer)
{
    uint64_t size = 0;
    struct tree_hash root;
    if (request->old > checkpoint->size)
        return say(answer, 400, "the old size is larger than the checkpoint's");
    if (memory_read(witness->directory, checkpoint->origin, &size, &root, NULL) != RESULT_OK)
        return say(answer, 500, "the state cannot be read");
    if (request->old != size)
        return conflict(answer, size);
    if (size == checkpoint->size && size > 0 && !tree_equal(&root, &checkpoint->root))
        return conflict(answer, size);
    if (size == 0 || size == checkpoint->size)
        return request->proof.count == 0 ? 200 : say(answer, 422, "a proof where there is nothing to prove");
    if (tree_verify_consistency(size, checkpoint->size, &root, &checkpoint->root, &request->proof, NULL) != RESULT_OK)
        return say(answer, 422, "the proof does not lead from the old tree to the new");
    return 200;
}

unsigned witness_decide(
    const struct witness *witness, const char *body, size_t length, uint64_t time_s, struct text_writer *answer)
{
    struct request request;
    struct checkpoint checkpoint;
    struct note parsed;
    if (!parse(body, length, &request))
        return say(answer, 400, "not an add-checkpoint request");
    unsigned status = open_checkpoint(witness, request.note, &checkpoint, answer);
    if (status == 200)
        status = examine(witness, &request, &checkpoint, answer);
    if (status != 200)
        return status;
    if (memory_write(witness->directory, checkpoint.origin, checkpoint.size, &checkpoint.root, NULL) != RESULT_OK)
        return say(answer, 500, "the state cannot be written");
    if (note_parse(request.note.bytes, request.note.length, &parsed, NULL) != RESULT_OK ||
        note_sign(parsed.text, &witness->signer, time_s, answer, NULL) != RESULT_OK)
        return say(answer, 500, "cannot sign");
    return 200;
}
