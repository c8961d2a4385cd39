#include "compliance/bundle/terms.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compliance/bundle/strict.h"

static void print_keys(const struct note_key *keys, size_t count, struct text_writer *out)
{
    char text[NOTE_KEY_MAX_BYTES];
    for (size_t i = 0; i < count; i++) {
        note_key_print(&keys[i], text);
        text_puts(out, i == 0 ? "" : ",");
        strict_put_string(out, text);
    }
}

void terms_print(const struct terms *terms, struct text_writer *out)
{
    text_puts(out, "{\"keys\":[");
    print_keys(terms->keys, terms->key_count, out);
    text_puts(out, "],\"origin\":");
    strict_put_string(out, terms->origin);
    text_puts(out, ",\"pruned_below\":");
    text_put_decimal(out, terms->pruned_below);
    text_puts(out, ",\"quorum\":");
    text_put_decimal(out, terms->quorum);
    text_puts(out, ",\"size\":");
    text_put_decimal(out, terms->size);
    text_puts(out, ",\"version\":");
    strict_put_string(out, terms->version);
    text_puts(out, ",\"witnesses\":[");
    print_keys(terms->witnesses, terms->witness_count, out);
    text_puts(out, "]}");
}

static bool is_twice(const struct note_key *keys, size_t last)
{
    for (size_t i = 0; i < last; i++) {
        if (keys[i].id == keys[last].id && strcmp(keys[i].name, keys[last].name) == 0)
            return true;
    }
    return false;
}

static bool take_keys(struct text_view *rest, struct note_key *keys, size_t room, size_t *count)
{
    char text[NOTE_KEY_MAX_BYTES];
    *count = 0;
    while (!text_skip(rest, "]")) {
        if (*count == room || (*count > 0 && !text_skip(rest, ",")) || !strict_string(rest, text, sizeof text) ||
            note_key_parse(text, &keys[*count], NULL) != RESULT_OK || is_twice(keys, *count))
            return false;
        ++*count;
    }
    return true;
}

static bool take_terms(struct text_view *rest, struct terms *terms)
{
    return text_skip(rest, "{\"keys\":[") && take_keys(rest, terms->keys, TERMS_KEYS_MAX, &terms->key_count) &&
           terms->key_count > 0 && text_skip(rest, ",\"origin\":") &&
           strict_string(rest, terms->origin, sizeof terms->origin) && text_skip(rest, ",\"pruned_below\":") &&
           strict_number(rest, &terms->pruned_below) && text_skip(rest, ",\"quorum\":") &&
           strict_number(rest, &terms->quorum) && text_skip(rest, ",\"size\":") && strict_number(rest, &terms->size) &&
           text_skip(rest, ",\"version\":") && strict_string(rest, terms->version, sizeof terms->version) &&
           text_skip(rest, ",\"witnesses\":[") &&
           take_keys(rest, terms->witnesses, TERMS_WITNESSES_MAX, &terms->witness_count) && text_is(*rest, "}");
}

enum result terms_parse(struct text_view text, struct terms *terms, struct failure *why)
{
    struct text_view rest = text;
    if (!take_terms(&rest, terms)) {
        failure_set(why, TERMS_NAME, "it is not in the one form of a policy");
        return RESULT_CORRUPT;
    }
    bool whole = terms->pruned_below % 256 == 0 || terms->pruned_below == terms->size;
    if (terms->size == 0 || terms->pruned_below > terms->size || !whole) {
        failure_set(why, TERMS_NAME, "what it says was pruned is not a part of the log");
        return RESULT_CORRUPT;
    }
    return RESULT_OK;
}

void terms_link_print(const struct terms_link *link, struct text_writer *out)
{
    text_puts(out, "{\"checkpoint\":");
    strict_put_string(out, link->note);
    text_puts(out, ",\"new\":");
    text_put_decimal(out, link->newer);
    text_puts(out, ",\"old\":");
    text_put_decimal(out, link->older);
    text_puts(out, ",\"proof\":[");
    for (size_t i = 0; i < link->proof.count; i++) {
        text_puts(out, i == 0 ? "\"" : ",\"");
        text_put_base64(out, link->proof.hashes[i].bytes, TREE_HASH_BYTES);
        text_puts(out, "\"");
    }
    text_puts(out, "]}");
}

static bool take_proof(struct text_view *rest, struct tree_proof *proof)
{
    char text[TEXT_BASE64_BYTES(TREE_HASH_BYTES) + 1];
    proof->count = 0;
    while (!text_skip(rest, "]")) {
        if (proof->count == TREE_PROOF_MAX || (proof->count > 0 && !text_skip(rest, ",")) ||
            !strict_string(rest, text, sizeof text) ||
            !text_base64_read(
                (struct text_view){text, strlen(text)}, proof->hashes[proof->count].bytes, TREE_HASH_BYTES))
            return false;
        proof->count++;
    }
    return true;
}

/* Whether printing link gives text: base64 has no characters that could be escaped, so only the note's own spelling is left. */
static bool prints_as(const struct terms_link *link, struct text_view text)
{
    struct text_writer again = {.bytes = malloc(text.length + 1), .room = text.length + 1};
    if (again.bytes == NULL)
        return false;
    terms_link_print(link, &again);
    bool equal = !again.full && again.length == text.length && memcmp(again.bytes, text.bytes, text.length) == 0;
    free(again.bytes);
    return equal;
}

enum result terms_link_parse(struct text_view text, struct terms_link *link, struct failure *why)
{
    struct text_view rest = text;
    if (!text_skip(&rest, "{\"checkpoint\":") || !strict_string(&rest, link->note, sizeof link->note) ||
        !text_skip(&rest, ",\"new\":") || !strict_number(&rest, &link->newer) || !text_skip(&rest, ",\"old\":") ||
        !strict_number(&rest, &link->older) || !text_skip(&rest, ",\"proof\":[") || !take_proof(&rest, &link->proof) ||
        !text_is(rest, "}") || !prints_as(link, text)) {
        failure_set(why, "consistency", "it is not in the one form of a consistency proof");
        return RESULT_CORRUPT;
    }
    link->note_length = strlen(link->note);
    return RESULT_OK;
}

void terms_pem(const struct note_key *key, char out[TERMS_PEM_BYTES])
{
    uint8_t der[12 + NOTE_PUBLIC_BYTES] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
    memcpy(der + 12, key->public_key, NOTE_PUBLIC_BYTES);
    struct text_writer writer = {.bytes = out, .room = TERMS_PEM_BYTES - 1};
    text_puts(&writer, "-----BEGIN PUBLIC KEY-----\n");
    text_put_base64(&writer, der, sizeof der);
    text_puts(&writer, "\n-----END PUBLIC KEY-----\n");
    out[writer.length] = '\0';
}
