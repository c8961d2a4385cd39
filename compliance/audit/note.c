#include "compliance/audit/note.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#define DASH "\xe2\x80\x94 "
#define SIGNER_PREFIX "PRIVATE+KEY+"
#define KEY_ID_BYTES 4
#define TIME_BYTES 8
#define PAYLOAD_MAX_BYTES (KEY_ID_BYTES + TIME_BYTES + crypto_sign_BYTES)
#define COSIGNED_HEAD_MAX_BYTES 64

_Static_assert(sizeof DASH - 1 == 4, "NOTE_LINE_MAX_BYTES counts four bytes before the name");
_Static_assert(crypto_sign_SECRETKEYBYTES == 64 && crypto_sign_PUBLICKEYBYTES == NOTE_PUBLIC_BYTES &&
                   crypto_sign_SEEDBYTES == NOTE_SEED_BYTES,
    "the signature is Ed25519");

static enum result refuse(struct failure *why, const char *field, const char *text)
{
    failure_set(why, field, "%s", text);
    return RESULT_INVALID;
}

static uint32_t read_id(const uint8_t bytes[KEY_ID_BYTES])
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void write_id(uint32_t id, uint8_t bytes[KEY_ID_BYTES])
{
    for (unsigned i = 0; i < KEY_ID_BYTES; i++)
        bytes[i] = (uint8_t)(id >> (24 - 8 * i));
}

enum result note_key_make(const char *name, enum note_kind kind, const uint8_t public_key[NOTE_PUBLIC_BYTES],
    struct note_key *key, struct failure *why)
{
    size_t length = strlen(name);
    if (length > NOTE_NAME_MAX_BYTES || !text_name((struct text_view){name, length}))
        return refuse(why, "key", "a key's name is 1 to 255 bytes without spaces, '+' and control characters");
    if (kind != NOTE_ED25519 && kind != NOTE_COSIGNATURE)
        return refuse(why, "key", "the key is not of a kind that is known");
    struct note_key made = {.kind = kind};
    memcpy(made.name, name, length);
    memcpy(made.public_key, public_key, NOTE_PUBLIC_BYTES);
    uint8_t hash[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, (const unsigned char *)name, length);
    crypto_hash_sha256_update(&state, (const unsigned char[]){'\n', (unsigned char)kind}, 2);
    crypto_hash_sha256_update(&state, public_key, NOTE_PUBLIC_BYTES);
    crypto_hash_sha256_final(&state, hash);
    made.id = read_id(hash);
    *key = made;
    return RESULT_OK;
}

/* A key's text taken apart: NAME+hex+base64. */
struct key_text {
    char name[NOTE_NAME_MAX_BYTES + 1];
    char id[9];
    uint8_t bytes[33]; /* kind ‖ key */
};

static enum result split_key(const char *text, struct key_text *parts, struct failure *why)
{
    const char *plus = strchr(text, '+');
    const char *second = plus == NULL ? NULL : strchr(plus + 1, '+');
    if (second == NULL || (size_t)(plus - text) > NOTE_NAME_MAX_BYTES || second - plus != 9)
        return refuse(why, "key", "a key is a name, '+', eight hex digits, '+' and base64");
    memset(parts, 0, sizeof *parts);
    memcpy(parts->name, text, (size_t)(plus - text));
    memcpy(parts->id, plus + 1, 8);
    if (!text_base64_read((struct text_view){second + 1, strlen(second + 1)}, parts->bytes, sizeof parts->bytes))
        return refuse(why, "key", "a key is not the base64 of 33 bytes");
    return RESULT_OK;
}

static enum result check_id(const struct key_text *parts, const struct note_key *key, struct failure *why)
{
    char id[9];
    (void)snprintf(id, sizeof id, "%08x", (unsigned)key->id);
    return strcmp(id, parts->id) == 0 ? RESULT_OK : refuse(why, "key", "a key's id is not that of its name and bytes");
}

enum result note_key_parse(const char *text, struct note_key *key, struct failure *why)
{
    struct key_text parts;
    struct note_key made;
    enum result result = split_key(text, &parts, why);
    if (result == RESULT_OK)
        result = note_key_make(parts.name, (enum note_kind)parts.bytes[0], parts.bytes + 1, &made, why);
    if (result == RESULT_OK)
        result = check_id(&parts, &made, why);
    if (result == RESULT_OK)
        *key = made;
    return result;
}

static void print_key(
    const char *prefix, const struct note_key *key, const uint8_t bytes[NOTE_PUBLIC_BYTES], char out[NOTE_KEY_MAX_BYTES])
{
    uint8_t typed[1 + NOTE_PUBLIC_BYTES];
    typed[0] = (uint8_t)key->kind;
    memcpy(typed + 1, bytes, NOTE_PUBLIC_BYTES);
    char base64[TEXT_BASE64_BYTES(33) + 1];
    (void)sodium_bin2base64(base64, sizeof base64, typed, sizeof typed, sodium_base64_VARIANT_ORIGINAL);
    (void)snprintf(out, NOTE_KEY_MAX_BYTES, "%s%s+%08x+%s", prefix, key->name, (unsigned)key->id, base64);
    sodium_memzero(typed, sizeof typed);
    sodium_memzero(base64, sizeof base64);
}

void note_key_print(const struct note_key *key, char out[NOTE_KEY_MAX_BYTES])
{
    print_key("", key, key->public_key, out);
}

enum result note_signer_make(const char *name, enum note_kind kind, const uint8_t seed[NOTE_SEED_BYTES],
    struct note_signer *signer, struct failure *why)
{
    struct note_signer made;
    uint8_t public_key[NOTE_PUBLIC_BYTES];
    (void)crypto_sign_seed_keypair(public_key, made.secret, seed);
    enum result result = note_key_make(name, kind, public_key, &made.key, why);
    if (result == RESULT_OK)
        *signer = made;
    note_signer_wipe(&made);
    return result;
}

enum result note_signer_parse(const char *text, struct note_signer *signer, struct failure *why)
{
    if (strncmp(text, SIGNER_PREFIX, strlen(SIGNER_PREFIX)) != 0)
        return refuse(why, "key", "a signing key begins with PRIVATE+KEY+");
    struct key_text parts;
    struct note_signer made = {0};
    enum result result = split_key(text + strlen(SIGNER_PREFIX), &parts, why);
    if (result == RESULT_OK)
        result = note_signer_make(parts.name, (enum note_kind)parts.bytes[0], parts.bytes + 1, &made, why);
    if (result == RESULT_OK)
        result = check_id(&parts, &made.key, why);
    if (result == RESULT_OK)
        *signer = made;
    sodium_memzero(&parts, sizeof parts);
    note_signer_wipe(&made);
    return result;
}

void note_signer_print(const struct note_signer *signer, char out[NOTE_KEY_MAX_BYTES])
{
    print_key(SIGNER_PREFIX, &signer->key, signer->secret, out);
}

void note_signer_wipe(struct note_signer *signer)
{
    sodium_memzero(signer->secret, sizeof signer->secret);
}

/* — NAME base64, without the newline. */
static enum result parse_line(struct text_view line, struct note_line *out, struct failure *why)
{
    if (!text_skip(&line, DASH))
        return refuse(why, "note", "a signature line does not begin with an em dash and a space");
    const char *space = memchr(line.bytes, ' ', line.length);
    if (space == NULL)
        return refuse(why, "note", "a signature line has no signature");
    struct text_view name = {line.bytes, (size_t)(space - line.bytes)};
    struct text_view base64 = {space + 1, line.length - name.length - 1};
    struct text_view start = {base64.bytes, 8}; /* five or six bytes */
    size_t length = 0;
    uint8_t id[6];
    if (!text_name(name))
        return refuse(why, "note", "a signature line has a name that no key may have");
    if (!text_base64_length(base64, &length) || length <= KEY_ID_BYTES ||
        !text_base64_read(start, id, length < sizeof id ? length : sizeof id))
        return refuse(why, "note", "a signature is not the base64 of a key id and more");
    *out = (struct note_line){.name = name, .base64 = base64, .key_id = read_id(id)};
    return RESULT_OK;
}

/* The place behind the last empty line, or NULL. */
static const char *last_empty_line(const char *bytes, size_t length)
{
    for (size_t at = length; at >= 2; at--)
        if (bytes[at - 1] == '\n' && bytes[at - 2] == '\n')
            return bytes + at;
    return NULL;
}

enum result note_parse(const char *bytes, size_t length, struct note *note, struct failure *why)
{
    if (length > NOTE_MAX_BYTES) {
        failure_set(why, "note", "the note has %zu bytes, more than %d", length, NOTE_MAX_BYTES);
        return RESULT_FULL;
    }
    if (!text_plain((struct text_view){bytes, length}))
        return refuse(why, "note", "the note is not UTF-8, or has a control character");
    const char *signatures = last_empty_line(bytes, length);
    if (signatures == NULL || bytes[length - 1] != '\n' || signatures == bytes + length)
        return refuse(why, "note", "the note is not a text, an empty line and signature lines");
    note->text = (struct text_view){bytes, (size_t)(signatures - bytes) - 1};
    note->count = 0;
    struct text_view rest = {signatures, length - note->text.length - 1}, line;
    while (text_line(&rest, &line)) {
        if (note->count == NOTE_SIGNATURES_MAX) {
            failure_set(why, "note", "the note has more than %d signatures", NOTE_SIGNATURES_MAX);
            return RESULT_FULL;
        }
        enum result result = parse_line(line, &note->lines[note->count], why);
        if (result != RESULT_OK)
            return result;
        note->count++;
    }
    return RESULT_OK;
}

/* What an Ed25519 key of this kind signs: *message is text itself, or *owned, to be freed. */
static enum result message_of(enum note_kind kind, uint64_t time_s, struct text_view text, char **owned,
    struct text_view *message, struct failure *why)
{
    *owned = NULL;
    *message = text;
    if (kind == NOTE_ED25519)
        return RESULT_OK;
    struct text_writer writer = {.room = COSIGNED_HEAD_MAX_BYTES + text.length};
    writer.bytes = *owned = malloc(writer.room);
    if (*owned == NULL) {
        failure_set(why, "note", "no memory for the text to cosign");
        return RESULT_FULL;
    }
    text_puts(&writer, "cosignature/v1\ntime ");
    text_put_decimal(&writer, time_s);
    text_puts(&writer, "\n");
    text_put(&writer, text.bytes, text.length);
    *message = (struct text_view){writer.bytes, writer.length};
    return RESULT_OK;
}

static enum result bad_signature(struct failure *why)
{
    failure_set(why, "note", "a signature of a known key does not verify");
    return RESULT_CORRUPT;
}

static enum result verify_line(struct text_view text, const struct note_line *line, const struct note_key *key,
    struct note_seal *seal, struct failure *why)
{
    uint8_t payload[PAYLOAD_MAX_BYTES];
    size_t stamp = key->kind == NOTE_COSIGNATURE ? TIME_BYTES : 0;
    if (!text_base64_read(line->base64, payload, KEY_ID_BYTES + stamp + crypto_sign_BYTES))
        return bad_signature(why);
    uint64_t time_s = 0;
    for (size_t i = 0; i < stamp; i++)
        time_s = time_s << 8 | payload[KEY_ID_BYTES + i];
    if (time_s > INT64_MAX)
        return bad_signature(why);
    char *owned = NULL;
    struct text_view message;
    enum result result = message_of(key->kind, time_s, text, &owned, &message, why);
    if (result != RESULT_OK)
        return result;
    int bad = crypto_sign_verify_detached(
        payload + KEY_ID_BYTES + stamp, (const unsigned char *)message.bytes, message.length, key->public_key);
    free(owned);
    if (bad != 0)
        return bad_signature(why);
    if (!seal->valid)
        *seal = (struct note_seal){.valid = 1, .time_s = time_s};
    return RESULT_OK;
}

enum result note_verify(const struct note *note, const struct note_key *keys, size_t count, struct note_seal *seals,
    struct failure *why)
{
    size_t known = 0;
    memset(seals, 0, count * sizeof *seals);
    for (size_t pair = 0; pair < note->count * count; pair++) {
        const struct note_line *line = &note->lines[pair / count];
        const struct note_key *key = &keys[pair % count];
        if (line->key_id != key->id || !text_is(line->name, key->name))
            continue;
        enum result result = verify_line(note->text, line, key, &seals[pair % count], why);
        if (result != RESULT_OK)
            return result;
        known++;
    }
    if (known > 0)
        return RESULT_OK;
    failure_set(why, "note", "no known key has signed the note");
    return RESULT_NOT_FOUND;
}

static enum result check_text(struct text_view text, struct failure *why)
{
    if (text.length > NOTE_MAX_BYTES) {
        failure_set(why, "note", "the text has %zu bytes, more than %d", text.length, NOTE_MAX_BYTES);
        return RESULT_FULL;
    }
    if (text.length == 0 || text.bytes[text.length - 1] != '\n' || !text_plain(text))
        return refuse(why, "note", "the text does not end in a newline, is not UTF-8, or has a control character");
    return RESULT_OK;
}

/* Append all of it or nothing. */
static enum result commit(struct text_writer *out, struct text_writer tried, struct failure *why)
{
    if (tried.full || tried.length > NOTE_MAX_BYTES) {
        failure_set(why, "note", "no room for the note");
        return RESULT_FULL;
    }
    *out = tried;
    return RESULT_OK;
}

enum result note_sign(struct text_view text, const struct note_signer *signer, uint64_t time_s, struct text_writer *out,
    struct failure *why)
{
    enum result result = check_text(text, why);
    if (result != RESULT_OK)
        return result;
    uint8_t payload[PAYLOAD_MAX_BYTES];
    size_t stamp = signer->key.kind == NOTE_COSIGNATURE ? TIME_BYTES : 0;
    if (stamp > 0 && time_s > INT64_MAX)
        return refuse(why, "time", "the time of a cosignature is above 2^63 - 1");
    char *owned = NULL;
    struct text_view message;
    result = message_of(signer->key.kind, time_s, text, &owned, &message, why);
    if (result != RESULT_OK)
        return result;
    write_id(signer->key.id, payload);
    for (size_t i = 0; i < stamp; i++)
        payload[KEY_ID_BYTES + i] = (uint8_t)(time_s >> (56 - 8 * i));
    (void)crypto_sign_detached(payload + KEY_ID_BYTES + stamp, NULL, (const unsigned char *)message.bytes, message.length,
        signer->secret);
    free(owned);
    struct text_writer tried = *out;
    text_puts(&tried, DASH);
    text_puts(&tried, signer->key.name);
    text_puts(&tried, " ");
    text_put_base64(&tried, payload, KEY_ID_BYTES + stamp + crypto_sign_BYTES);
    text_puts(&tried, "\n");
    return commit(out, tried, why);
}

enum result note_write(struct text_view text, const struct note_signer *signer, uint64_t time_s, struct text_writer *out,
    struct failure *why)
{
    struct text_writer tried = *out;
    text_put(&tried, text.bytes, text.length);
    text_puts(&tried, "\n");
    enum result result = note_sign(text, signer, time_s, &tried, why);
    return result == RESULT_OK ? commit(out, tried, why) : result;
}
