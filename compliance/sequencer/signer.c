#include "compliance/sequencer/signer.h"

#include <stdio.h>
#include <string.h>

#include "compliance/audit/checkpoint.h"
#include "compliance/sequencer/files.h"

/* Parse the note by whichever of our keys signed it. */
static enum result open_note(
    const struct keystore *keys, const char *bytes, size_t length, struct checkpoint *checkpoint, struct failure *why)
{
    enum result result = RESULT_NOT_FOUND;
    for (size_t i = keys->count; i-- > 0 && result == RESULT_NOT_FOUND;) {
        struct note_seal seal;
        const struct checkpoint_trust trust = {.origin = keys->origin, .keys = &keys->keys[i].signer.key, .count = 1};
        result = checkpoint_open(bytes, length, &trust, &seal, checkpoint, NULL);
    }
    if (result == RESULT_OK)
        return RESULT_OK;
    failure_set(why, "audit.state", "its file `" SIGNER_FILE "` is not a checkpoint that its keys have signed");
    return RESULT_CORRUPT;
}

enum result signer_open(const char *directory, struct keystore *keys, struct signer *signer, struct failure *why)
{
    char path[FILES_PATH_BYTES], bytes[SIGNER_NOTE_BYTES];
    size_t length = 0;
    struct checkpoint checkpoint;
    struct failure absent = {0};
    *signer = (struct signer){.keys = keys};
    tree_empty(&signer->root);
    (void)snprintf(signer->directory, sizeof signer->directory, "%.500s", directory);
    enum result result =
        files_read(files_join(path, directory, SIGNER_FILE), bytes, sizeof bytes, &length, "audit.state", &absent);
    if (result == RESULT_NOT_FOUND)
        return RESULT_OK;
    if (result != RESULT_OK) {
        failure_set(why, absent.field, "%s", absent.text);
        return result;
    }
    result = open_note(keys, bytes, length, &checkpoint, why);
    if (result == RESULT_OK) {
        signer->ever = true;
        signer->size = checkpoint.size;
        signer->root = checkpoint.root;
    }
    return result;
}

/* The note over text by all keys that sign trees of this size now, the newest first. */
static enum result sign_text(const struct keystore *keys, uint64_t size, struct text_view text, int64_t now_ms,
    struct text_writer *out, struct failure *why)
{
    enum result result = RESULT_OK;
    bool begun = false;
    for (size_t i = keys->count; i-- > 0 && result == RESULT_OK;) {
        if (!keystore_signs(keys, i, size, now_ms))
            continue;
        const struct note_signer *key = &keys->keys[i].signer;
        result = begun ? note_sign(text, key, 0, out, why) : note_write(text, key, 0, out, why);
        begun = true;
    }
    return result;
}

static enum result deny(struct failure *why, const char *text)
{
    failure_set(why, "audit.state", "%s", text);
    return RESULT_DENIED;
}

enum result signer_sign(struct signer *signer, uint64_t size, const struct tree_hash *root, int64_t now_ms,
    struct text_writer *out, struct failure *why)
{
    if (size == 0 || (signer->ever && size < signer->size))
        return deny(why, "the tree is smaller than the one signed last");
    if (signer->ever && size == signer->size && !tree_equal(root, &signer->root))
        return deny(why, "the tree is not the one signed last, of the same size");
    char bytes[SIGNER_TEXT_BYTES];
    struct text_writer text = {.bytes = bytes, .room = sizeof bytes};
    struct checkpoint checkpoint = {.size = size, .root = *root};
    (void)strcpy(checkpoint.origin, signer->keys->origin);
    size_t start = out->length;
    enum result result = checkpoint_print(&checkpoint, &text, why);
    if (result == RESULT_OK)
        result = sign_text(signer->keys, size, (struct text_view){bytes, text.length}, now_ms, out, why);
    if (result == RESULT_OK)
        result = files_replace(signer->directory, SIGNER_FILE, out->bytes + start, out->length - start, why);
    if (result != RESULT_OK) {
        out->length = start;
        return result;
    }
    signer->ever = true;
    signer->size = size;
    signer->root = *root;
    return RESULT_OK;
}

enum result signer_sign_manifest(const struct signer *signer, uint64_t size, const struct tree_hash *root,
    const char hex[65], int64_t now_ms, struct text_writer *out, struct failure *why)
{
    char bytes[SIGNER_TEXT_BYTES];
    struct text_writer text = {.bytes = bytes, .room = sizeof bytes};
    if (!signer->ever || size > signer->size)
        return deny(why, "no checkpoint of that size was signed");
    text_puts(&text, signer->keys->origin);
    text_puts(&text, "/bundle\n");
    text_put_decimal(&text, size);
    text_puts(&text, "\n");
    text_put_base64(&text, root->bytes, sizeof root->bytes);
    text_puts(&text, "\n");
    text_puts(&text, hex);
    text_puts(&text, "\n");
    return sign_text(signer->keys, size, (struct text_view){bytes, text.length}, now_ms, out, why);
}
