/*
 * Signed notes and keys: what parses is made of its own bytes and can be put together again; what verifies is signed by the
 * seeds' key; a key that parses prints as it was.
 */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "compliance/audit/note.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_note(const char *bytes, size_t size)
{
    struct note note;
    struct failure why = {0};
    enum result result = note_parse(bytes, size, &note, &why);
    require((result == RESULT_OK) == (why.text[0] == '\0'));
    if (result != RESULT_OK)
        return;
    require(note.text.bytes == bytes && note.text.bytes[note.text.length - 1] == '\n' && note.count > 0);
    const uint8_t seed[NOTE_SEED_BYTES] = {1};
    struct note_signer one, two;
    require(note_signer_make("example.com/log", NOTE_ED25519, seed, &one, NULL) == RESULT_OK);
    require(note_signer_make("witness.example", NOTE_COSIGNATURE, seed, &two, NULL) == RESULT_OK);
    const struct note_key keys[] = {one.key, two.key};
    struct note_seal seals[2];
    if (note_verify(&note, keys, 2, seals, &why) == RESULT_OK)
        require(seals[0].valid || seals[1].valid);
    else
        require(why.text[0] != '\0');
    char *again = malloc(size + NOTE_LINE_MAX_BYTES);
    require(again != NULL);
    struct text_writer out = {.bytes = again, .room = size + NOTE_LINE_MAX_BYTES};
    require(note_write(note.text, &one, 0, &out, NULL) == RESULT_OK);
    require(note_parse(again, out.length, &note, NULL) == RESULT_OK && note.count == 1);
    require(note_verify(&note, keys, 1, seals, NULL) == RESULT_OK);
    free(again);
}

static void check_key(const char *text)
{
    struct note_key key;
    struct note_signer signer;
    char again[NOTE_KEY_MAX_BYTES];
    if (note_key_parse(text, &key, NULL) == RESULT_OK) {
        note_key_print(&key, again);
        require(strcmp(again, text) == 0);
    }
    if (note_signer_parse(text, &signer, NULL) == RESULT_OK) {
        note_signer_print(&signer, again);
        require(strcmp(again, text) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    require(sodium_init() >= 0);
    char *text = malloc(size + 1);
    if (text == NULL)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    check_note((const char *)data, size);
    check_key(text);
    free(text);
    return 0;
}
