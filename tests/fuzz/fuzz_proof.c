/*
 * Proof files: any bytes either are refused with a reason, or are printed again byte for byte; whatever is in them, they
 * prove nothing of a leaf that is not in the log.
 */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "compliance/audit/proof.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_verify(const struct proof *proof)
{
    const uint8_t seed[NOTE_SEED_BYTES] = {1};
    struct note_signer log;
    require(note_signer_make("example.com/log", NOTE_ED25519, seed, &log, NULL) == RESULT_OK);
    const struct checkpoint_trust trust = {.origin = "example.com/log", .keys = &log.key, .count = 1};
    struct tree_hash leaf;
    struct note_seal seal;
    struct checkpoint checkpoint;
    struct failure why = {0};
    tree_leaf("never logged", 12, &leaf);
    require(proof_verify(proof, &leaf, &trust, &seal, &checkpoint, &why) != RESULT_OK && why.text[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    require(sodium_init() >= 0);
    struct proof proof;
    struct failure why = {0};
    if (proof_parse((const char *)data, size, &proof, &why) != RESULT_OK) {
        require(why.text[0] != '\0');
        return 0;
    }
    char *again = malloc(size);
    require(again != NULL);
    struct text_writer out = {.bytes = again, .room = size};
    require(proof_print(&proof, &out, &why) == RESULT_OK);
    require(out.length == size && memcmp(again, data, size) == 0);
    check_verify(&proof);
    free(again);
    return 0;
}
