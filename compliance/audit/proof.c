#include "compliance/audit/proof.h"

#include <stdbool.h>

#define FIRST_LINE "c2sp.org/tlog-proof@v1"

static enum result refuse(struct failure *why, const char *text)
{
    failure_set(why, "proof", "%s", text);
    return RESULT_INVALID;
}

static enum result full(struct failure *why, const char *text)
{
    failure_set(why, "proof", "%s", text);
    return RESULT_FULL;
}

static bool extra_valid(struct text_view extra)
{
    size_t length = 0;
    return extra.length <= PROOF_EXTRA_MAX_BYTES && text_base64_length(extra, &length) && length > 0;
}

/* The hashes and the empty line behind them. */
static enum result parse_path(struct text_view *rest, struct tree_proof *path, struct failure *why)
{
    struct text_view line;
    path->count = 0;
    while (text_line(rest, &line)) {
        if (line.length == 0)
            return RESULT_OK;
        if (path->count == TREE_PROOF_MAX)
            return full(why, "the proof has more than 64 hashes");
        if (!text_base64_read(line, path->hashes[path->count++].bytes, TREE_HASH_BYTES))
            return refuse(why, "a hash is not the base64 of 32 bytes");
    }
    return refuse(why, "no empty line ends the hashes");
}

enum result proof_parse(const char *bytes, size_t length, struct proof *proof, struct failure *why)
{
    if (length > PROOF_MAX_BYTES)
        return full(why, "the proof is too long");
    struct text_view rest = {bytes, length}, line;
    if (!text_line(&rest, &line) || !text_is(line, FIRST_LINE) || !text_line(&rest, &line))
        return refuse(why, "the first line is not " FIRST_LINE);
    proof->extra = (struct text_view){bytes, 0};
    if (text_skip(&line, "extra ")) {
        if (!extra_valid(line))
            return refuse(why, "the extra line is not base64");
        proof->extra = line;
        if (!text_line(&rest, &line))
            return refuse(why, "the line of the index is missing");
    }
    if (!text_skip(&line, "index ") || !text_decimal(line, &proof->index))
        return refuse(why, "the index is not a decimal number below 2^63");
    enum result result = parse_path(&rest, &proof->path, why);
    if (result != RESULT_OK)
        return result;
    if (rest.length == 0)
        return refuse(why, "the checkpoint is missing");
    proof->checkpoint = rest;
    return RESULT_OK;
}

enum result proof_print(const struct proof *proof, struct text_writer *out, struct failure *why)
{
    if (proof->index > TREE_SIZE_MAX || proof->path.count > TREE_PROOF_MAX || proof->checkpoint.length == 0 ||
        (proof->extra.length > 0 && !extra_valid(proof->extra)))
        return refuse(why, "the proof has an index, extra data, path or checkpoint that none may have");
    struct text_writer tried = *out;
    text_puts(&tried, FIRST_LINE "\n");
    if (proof->extra.length > 0) {
        text_puts(&tried, "extra ");
        text_put(&tried, proof->extra.bytes, proof->extra.length);
        text_puts(&tried, "\n");
    }
    text_puts(&tried, "index ");
    text_put_decimal(&tried, proof->index);
    text_puts(&tried, "\n");
    for (size_t i = 0; i < proof->path.count; i++) {
        text_put_base64(&tried, proof->path.hashes[i].bytes, TREE_HASH_BYTES);
        text_puts(&tried, "\n");
    }
    text_puts(&tried, "\n");
    text_put(&tried, proof->checkpoint.bytes, proof->checkpoint.length);
    if (tried.full || tried.length - out->length > PROOF_MAX_BYTES)
        return full(why, "no room for the proof");
    *out = tried;
    return RESULT_OK;
}

enum result proof_verify(const struct proof *proof, const struct tree_hash *leaf, const struct checkpoint_trust *trust,
    struct note_seal *seals, struct checkpoint *checkpoint, struct failure *why)
{
    struct checkpoint opened;
    enum result result =
        checkpoint_open(proof->checkpoint.bytes, proof->checkpoint.length, trust, seals, &opened, why);
    if (result == RESULT_OK)
        result = tree_verify_inclusion(proof->index, 0, opened.size, leaf, &proof->path, &opened.root, why);
    if (result == RESULT_OK)
        *checkpoint = opened;
    return result;
}
