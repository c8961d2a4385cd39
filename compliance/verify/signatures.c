#include "compliance/verify/signatures.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "compliance/bundle/manifest.h"

#define CHECKPOINT_NAME "log/checkpoint"
#define KEYS_MAX (TERMS_KEYS_MAX + TERMS_WITNESSES_MAX)

/* The file's content must be the string. */
static void require_text(struct evidence *evidence, const char *name, const char *text)
{
    struct text_view content;
    if (evidence_file(evidence, name, false, &content) && !text_is(content, text))
        evidence_find(evidence, name, "it does not hold the key that policy.json tells");
}

static void check_key_files(struct evidence *evidence)
{
    const struct terms *terms = &evidence->terms;
    char line[NOTE_KEY_MAX_BYTES + 1], pem[TERMS_PEM_BYTES], name[64];
    char all[TERMS_KEYS_MAX * (NOTE_KEY_MAX_BYTES + 1)];
    size_t length = 0;
    for (size_t i = 0; i < terms->key_count; i++) {
        note_key_print(&terms->keys[i], line);
        length += (size_t)snprintf(all + length, sizeof all - length, "%s\n", line);
    }
    require_text(evidence, "keys/log.vkey", all);
    terms_pem(&terms->keys[terms->key_count - 1], pem);
    require_text(evidence, "keys/log.pem", pem);
    for (size_t i = 0; i < terms->witness_count; i++) {
        note_key_print(&terms->witnesses[i], line);
        (void)snprintf(line + strlen(line), 2, "\n");
        (void)snprintf(name, sizeof name, "keys/witness-%08" PRIx32 ".vkey", terms->witnesses[i].id);
        require_text(evidence, name, line);
    }
}

static bool read_policy(struct evidence *evidence)
{
    struct text_view content;
    struct failure why = {0};
    if (!evidence_file(evidence, TERMS_NAME, false, &content))
        return false;
    if (terms_parse(content, &evidence->terms, &why) != RESULT_OK) {
        evidence_find(evidence, TERMS_NAME, "%s", why.text);
        return false;
    }
    evidence->keys = evidence->terms.keys;
    evidence->key_count = evidence->terms.key_count;
    if (evidence->request->key_count > 0) {
        evidence->keys = evidence->request->keys;
        evidence->key_count = evidence->request->key_count;
    }
    return true;
}

/* Verify note by the keys that are believed: no bad signature of one of them, and one good. */
static void check_signed(struct evidence *evidence, const char *name, const struct note *note)
{
    struct note_seal seals[KEYS_MAX];
    struct failure why = {0};
    enum result result = note_verify(note, evidence->keys, evidence->key_count, seals, &why);
    if (result == RESULT_NOT_FOUND)
        evidence_find(evidence, name, "it is not signed by the log's key%s",
            evidence->request->key_count > 0 ? " that was given" : "");
    else if (result != RESULT_OK)
        evidence_find(evidence, name, "%s", why.text);
}

static bool read_checkpoint(struct evidence *evidence)
{
    struct note note;
    struct failure why = {0};
    if (!evidence_file(evidence, CHECKPOINT_NAME, false, &evidence->note))
        return false;
    if (note_parse(evidence->note.bytes, evidence->note.length, &note, &why) != RESULT_OK ||
        checkpoint_parse(note.text, &evidence->checkpoint, &why) != RESULT_OK) {
        evidence_find(evidence, CHECKPOINT_NAME, "%s", why.text);
        return false;
    }
    check_signed(evidence, CHECKPOINT_NAME, &note);
    const struct checkpoint *checkpoint = &evidence->checkpoint;
    if (strcmp(checkpoint->origin, evidence->terms.origin) == 0 && checkpoint->size == evidence->terms.size)
        return true;
    evidence_find(evidence, CHECKPOINT_NAME, "it is of another log or size than policy.json tells");
    return false;
}

static bool is_key_of(const struct note_line *line, const struct note_key *keys, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (keys[i].id == line->key_id && text_is(line->name, keys[i].name))
            return true;
    }
    return false;
}

/* Nothing covers the note but the signatures in it: a line that none of them can be held against is refused. */
static void check_lines(struct evidence *evidence, const struct note *note)
{
    for (size_t i = 0; i < note->count; i++) {
        if (!is_key_of(&note->lines[i], evidence->terms.keys, evidence->terms.key_count) &&
            !is_key_of(&note->lines[i], evidence->keys, evidence->key_count))
            evidence_find(evidence, MANIFEST_NOTE, "a signature in it is of a key that is not the log's");
    }
    struct note_seal seals[KEYS_MAX];
    struct failure why = {0};
    if (note_verify(note, evidence->terms.keys, evidence->terms.key_count, seals, &why) != RESULT_OK)
        evidence_find(evidence, MANIFEST_NOTE, "%s", why.text[0] == '\0' ? "no key of the policy has signed it" : why.text);
}

static void check_manifest_note(struct evidence *evidence)
{
    struct text_view content, manifest;
    struct note note;
    struct failure why = {0};
    uint8_t hash[crypto_hash_sha256_BYTES];
    char text[MANIFEST_TEXT_MAX_BYTES + 1];
    struct text_writer writer = {.bytes = text, .room = sizeof text};
    if (!evidence_file(evidence, MANIFEST_NOTE, false, &content) || !evidence_file(evidence, MANIFEST_NAME, false, &manifest))
        return;
    if (note_parse(content.bytes, content.length, &note, &why) != RESULT_OK) {
        evidence_find(evidence, MANIFEST_NOTE, "%s", why.text);
        return;
    }
    crypto_hash_sha256(hash, (const unsigned char *)manifest.bytes, manifest.length);
    manifest_text(&evidence->checkpoint, hash, &writer);
    if (writer.full || note.text.length != writer.length || memcmp(note.text.bytes, text, writer.length) != 0) {
        evidence_find(evidence, MANIFEST_NOTE, "it is not about this manifest.json and checkpoint");
        evidence_find(evidence, MANIFEST_NAME, "it is not what manifest.note was signed for");
    }
    check_signed(evidence, MANIFEST_NOTE, &note);
    check_lines(evidence, &note);
}

static void say_trust(struct evidence *evidence)
{
    struct verify_judgement *judgement = &evidence->outcome->levels[VERIFY_SIGNATURES];
    if (evidence->request->key_count > 0)
        return;
    (void)snprintf(judgement->note, sizeof judgement->note,
        "the log's key was taken from the bundle itself (id %08" PRIx32 "): compare it with one from elsewhere, by --key",
        evidence->keys[evidence->key_count - 1].id);
}

void signatures_check(struct evidence *evidence)
{
    if (!read_policy(evidence))
        return;
    say_trust(evidence);
    check_key_files(evidence);
    evidence->opened = read_checkpoint(evidence);
    if (evidence->opened)
        check_manifest_note(evidence);
}
