/*
 * Signed notes: published notes and keys verify and are written again byte for byte; one changed bit anywhere fails;
 * unknown signatures are passed over; what is not in the one form is refused.
 */
#include "tests/unit/compliance/audit/vectors.h"

#include <sodium.h>

#include "compliance/audit/note.h"

#define TEXT "example.com/log\n1\nbjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=\n"

static struct note_signer signer_of(const char *name, enum note_kind kind, uint8_t byte)
{
    uint8_t seed[NOTE_SEED_BYTES];
    struct note_signer signer;
    memset(seed, byte, sizeof seed);
    assert_int_equal(note_signer_make(name, kind, seed, &signer, NULL), RESULT_OK);
    return signer;
}

static enum result verify(const char *bytes, size_t length, const struct note_key *keys, size_t count,
    struct note_seal *seals)
{
    struct note note;
    struct failure why = {0};
    enum result result = note_parse(bytes, length, &note, &why);
    if (result == RESULT_OK)
        result = note_verify(&note, keys, count, seals, &why);
    assert_int_equal(result == RESULT_OK, why.text[0] == '\0');
    return result;
}

static enum result verify_text(const char *text, const struct note_key *key)
{
    struct note_seal seal;
    return verify(text, strlen(text), key, 1, &seal);
}

static void test_round(void **state)
{
    (void)state;
    struct note_signer log = signer_of("example.com/log", NOTE_ED25519, 1);
    struct note_signer witness = signer_of("w.example/\xc3\xa9", NOTE_COSIGNATURE, 2);
    struct note_signer other = signer_of("other", NOTE_ED25519, 3);
    char bytes[4096];
    struct text_writer out = {.bytes = bytes, .room = sizeof bytes};
    assert_int_equal(note_write(view(TEXT), &log, 0, &out, NULL), RESULT_OK);
    size_t alone = out.length;
    assert_int_equal(note_sign(view(TEXT), &witness, 1679315147, &out, NULL), RESULT_OK);
    assert_true(out.length - alone <= NOTE_LINE_MAX_BYTES);

    const struct note_key keys[] = {log.key, witness.key, other.key};
    struct note_seal seals[3];
    assert_int_equal(verify(bytes, out.length, keys, 3, seals), RESULT_OK);
    assert_true(seals[0].valid && seals[0].time_s == 0);
    assert_true(seals[1].valid && seals[1].time_s == 1679315147);
    assert_false(seals[2].valid);
    assert_int_equal(verify(bytes, alone, keys + 1, 2, seals), RESULT_NOT_FOUND);
    assert_int_equal(verify(bytes, out.length, keys + 1, 1, seals), RESULT_OK);
}

/* Any of the bits of a note with one signature, and any cut. */
static void test_changed_bits(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        struct note_signer signer = signer_of("example.com/log", kind == 0 ? NOTE_ED25519 : NOTE_COSIGNATURE, 9);
        char bytes[1024], changed[1025];
        struct text_writer out = {.bytes = bytes, .room = sizeof bytes};
        struct note_seal seal;
        assert_int_equal(note_write(view(TEXT), &signer, 1700000000, &out, NULL), RESULT_OK);
        assert_int_equal(verify(bytes, out.length, &signer.key, 1, &seal), RESULT_OK);
        for (size_t bit = 0; bit < out.length * 8; bit++) {
            memcpy(changed, bytes, out.length);
            changed[bit / 8] = (char)(changed[bit / 8] ^ 1 << bit % 8);
            assert_int_not_equal(verify(changed, out.length, &signer.key, 1, &seal), RESULT_OK);
        }
        for (size_t length = 0; length < out.length; length++)
            assert_int_not_equal(verify(bytes, length, &signer.key, 1, &seal), RESULT_OK);
        for (int byte = 0; byte < 256; byte++) {
            memcpy(changed, bytes, out.length);
            changed[out.length] = (char)byte;
            assert_int_not_equal(verify(changed, out.length + 1, &signer.key, 1, &seal), RESULT_OK);
        }
    }
}

static void test_signatures_known_and_unknown(void **state)
{
    (void)state;
    struct note_signer one = signer_of("one", NOTE_ED25519, 1), two = signer_of("two", NOTE_ED25519, 2);
    char bytes[2048];
    struct text_writer out = {.bytes = bytes, .room = sizeof bytes};
    struct note_seal seals[2];
    const struct note_key keys[] = {one.key, two.key};
    /* A line of another key, of another kind, with a longer signature. */
    text_puts(&out, TEXT "\n\xe2\x80\x94 nobody AAAAAAAA\n\xe2\x80\x94 one AAAAAAAAAAAAAAAAAAAAAAAAAAA=\n");
    assert_int_equal(note_sign(view(TEXT), &two, 0, &out, NULL), RESULT_OK);
    assert_int_equal(verify(bytes, out.length, keys, 2, seals), RESULT_OK);
    assert_true(!seals[0].valid && seals[1].valid);
    assert_int_equal(verify(bytes, out.length, keys, 1, seals), RESULT_NOT_FOUND);
    /* The same line twice is the same signature. */
    size_t before = out.length;
    assert_int_equal(note_sign(view(TEXT), &two, 0, &out, NULL), RESULT_OK);
    assert_int_equal(verify(bytes, out.length, keys, 2, seals), RESULT_OK);
    /* A bad one of a known key beside a good one. */
    out.length = before;
    assert_int_equal(note_sign(view("another text\n"), &one, 0, &out, NULL), RESULT_OK);
    assert_int_equal(verify(bytes, out.length, keys, 2, seals), RESULT_CORRUPT);
    assert_int_equal(verify(bytes, out.length, keys + 1, 1, seals), RESULT_OK);
    /* A cosignature of a key is none of its other kind. */
    struct note_signer witness = signer_of("one", NOTE_COSIGNATURE, 1);
    assert_int_not_equal(witness.key.id, one.key.id);
    assert_memory_equal(witness.key.public_key, one.key.public_key, NOTE_PUBLIC_BYTES);
}

/* A cosignature that verifies but for its time, which is 2^63. */
static void test_time_out_of_range(void **state)
{
    (void)state;
    struct note_signer witness = signer_of("w", NOTE_COSIGNATURE, 4);
    char bytes[1024], message[512];
    for (int late = 0; late < 2; late++) {
        uint8_t payload[4 + 8 + crypto_sign_BYTES] = {0};
        int length = snprintf(message, sizeof message, "cosignature/v1\ntime %s\n" TEXT, late ? "9223372036854775808" : "0");
        for (unsigned i = 0; i < 4; i++)
            payload[i] = (uint8_t)(witness.key.id >> (24 - 8 * i));
        payload[4] = late ? 0x80 : 0;
        assert_int_equal(crypto_sign_detached(payload + 12, NULL, (const unsigned char *)message,
                             (unsigned long long)length, witness.secret), 0);
        struct text_writer out = {.bytes = bytes, .room = sizeof bytes};
        struct note_seal seal;
        text_puts(&out, TEXT "\n\xe2\x80\x94 w ");
        text_put_base64(&out, payload, sizeof payload);
        text_puts(&out, "\n");
        assert_int_equal(verify(bytes, out.length, &witness.key, 1, &seal), late ? RESULT_CORRUPT : RESULT_OK);
    }
}

static void test_malformed(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "\n", "\n\n", "text\n", "text\n\n", "text\n\n\xe2\x80\x94 a AAAAAAAA", "text\n\n\n\xe2\x80\x94 a AAAAAAAA\n\n",
        "text\n\xe2\x80\x94 a AAAAAAAA\n", "text\n\n- a AAAAAAAA\n", "text\n\n\xe2\x80\x94  AAAAAAAA\n",
        "text\n\n\xe2\x80\x94 a\n", "text\n\n\xe2\x80\x94 a \n", "text\n\n\xe2\x80\x94 a AAAAAA==\n",
        "text\n\n\xe2\x80\x94 a AAAAAAAA \n", "text\n\n\xe2\x80\x94 a  AAAAAAAA\n", "text\n\n\xe2\x80\x94 a AAAAAAAB=\n",
        "text\n\n\xe2\x80\x94 a AAAAAAB=\n", "text\n\n\xe2\x80\x94 a+b AAAAAAAA\n", "text\n\n\xe2\x80\x94 a b AAAAAAAA\n",
        "text\n\n\xe2\x80\x94 a\xc2\xa0 AAAAAAAA\n", "te\txt\n\n\xe2\x80\x94 a AAAAAAAA\n", "te\xffxt\n\n\xe2\x80\x94 a AAAAAAAA\n",
        "text\r\n\r\n\xe2\x80\x94 a AAAAAAAA\r\n", "text\n\n\xe2\x80\x94 a AAAAAAAA\nmore\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct note note;
        struct failure why = {0};
        assert_int_equal(note_parse(bad[i], strlen(bad[i]), &note, &why), RESULT_INVALID);
        assert_true(why.text[0] != '\0');
    }
    static const char *const good[] = {"text\n\n\xe2\x80\x94 a AAAAAAA=\n", "\n\n\xe2\x80\x94 a AAAAAAAA\n",
        "a\n\nb\n\n\xe2\x80\x94 a AAAAAAAA\n\xe2\x80\x94 b AAAAAAAA\n"};
    static const size_t texts[] = {5, 1, 5};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct note note;
        assert_int_equal(note_parse(good[i], strlen(good[i]), &note, NULL), RESULT_OK);
        if (i < 2)
            assert_int_equal(note.text.length, texts[i]);
        assert_int_equal(note.count, i == 2 ? 2 : 1);
    }
}

static void test_bounds(void **state)
{
    (void)state;
    static const char line[] = "\xe2\x80\x94 a AAAAAAAA\n";
    static char bytes[NOTE_MAX_BYTES + 1];
    struct text_writer out = {.bytes = bytes, .room = sizeof bytes};
    struct note note;
    text_puts(&out, "text\n\n");
    for (int i = 0; i < NOTE_SIGNATURES_MAX; i++)
        text_puts(&out, line);
    assert_int_equal(note_parse(bytes, out.length, &note, NULL), RESULT_OK);
    text_puts(&out, line);
    assert_int_equal(note_parse(bytes, out.length, &note, NULL), RESULT_FULL);
    memset(bytes, 'a', sizeof bytes);
    assert_int_equal(note_parse(bytes, sizeof bytes, &note, NULL), RESULT_FULL);

    struct note_signer signer = signer_of("a", NOTE_COSIGNATURE, 1);
    char small[200];
    out = (struct text_writer){.bytes = small, .room = sizeof small};
    while (note_sign(view(TEXT), &signer, 1, &out, NULL) == RESULT_OK)
        ;
    assert_true(!out.full && out.length == 111);
    assert_int_equal(note_write(view("x\n"), &signer, 1, &out, NULL), RESULT_FULL);
    assert_int_equal(out.length, 111);
    out.length = 0;
    assert_int_equal(note_sign(view(""), &signer, 1, &out, NULL), RESULT_INVALID);
    assert_int_equal(note_sign(view("no newline"), &signer, 1, &out, NULL), RESULT_INVALID);
    assert_int_equal(note_sign((struct text_view){bytes, sizeof bytes}, &signer, 1, &out, NULL), RESULT_FULL);
    assert_int_equal(note_sign(view("a\tb\n"), &signer, 1, &out, NULL), RESULT_INVALID);
    assert_int_equal(note_sign(view(TEXT), &signer, (uint64_t)INT64_MAX + 1, &out, NULL), RESULT_INVALID);
    assert_int_equal(out.length, 0);
}

static void test_keys(void **state)
{
    (void)state;
    struct note_signer signer = signer_of("example.com/log", NOTE_COSIGNATURE, 7), parsed;
    struct note_key key;
    char text[NOTE_KEY_MAX_BYTES], again[NOTE_KEY_MAX_BYTES];
    note_key_print(&signer.key, text);
    assert_int_equal(note_key_parse(text, &key, NULL), RESULT_OK);
    assert_int_equal(key.kind, NOTE_COSIGNATURE);
    note_key_print(&key, again);
    assert_string_equal(text, again);
    for (size_t bit = 0; bit < strlen(text) * 8; bit++) {
        memcpy(again, text, sizeof again);
        again[bit / 8] = (char)(again[bit / 8] ^ 1 << bit % 8);
        assert_int_equal(note_key_parse(again, &key, NULL), RESULT_INVALID);
    }
    note_signer_print(&signer, text);
    assert_int_equal(note_signer_parse(text, &parsed, NULL), RESULT_OK);
    assert_memory_equal(parsed.secret, signer.secret, sizeof signer.secret);
    note_signer_print(&parsed, again);
    assert_string_equal(text, again);
    for (size_t bit = 0; bit < strlen(text) * 8; bit++) {
        memcpy(again, text, sizeof again);
        again[bit / 8] = (char)(again[bit / 8] ^ 1 << bit % 8);
        assert_int_equal(note_signer_parse(again, &parsed, NULL), RESULT_INVALID);
    }
    note_signer_wipe(&parsed);
    assert_true(sodium_is_zero(parsed.secret, sizeof parsed.secret));
    char name[NOTE_NAME_MAX_BYTES + 2];
    memset(name, 'n', sizeof name);
    name[NOTE_NAME_MAX_BYTES] = '\0';
    assert_int_equal(note_key_make(name, NOTE_ED25519, signer.key.public_key, &key, NULL), RESULT_OK);
    note_key_print(&key, text);
    assert_int_equal(note_key_parse(text, &key, NULL), RESULT_OK);
    name[NOTE_NAME_MAX_BYTES] = 'n';
    name[NOTE_NAME_MAX_BYTES + 1] = '\0';
    assert_int_equal(note_key_make(name, NOTE_ED25519, signer.key.public_key, &key, NULL), RESULT_INVALID);
    assert_int_equal(note_key_make("", NOTE_ED25519, signer.key.public_key, &key, NULL), RESULT_INVALID);
    assert_int_equal(note_key_make("a", (enum note_kind)2, signer.key.public_key, &key, NULL), RESULT_INVALID);
}

/* Write again what a published signing key has signed. */
static void check_signer(const json_t *row, struct note_signer *signer)
{
    const char *note = member_text(row, "note"), *end = strstr(note, "\n\n");
    struct text_view text = {note, (size_t)(end - note) + 1};
    char bytes[4096], public_text[NOTE_KEY_MAX_BYTES];
    struct text_writer out = {.bytes = bytes, .room = sizeof bytes};
    note_key_print(&signer->key, public_text);
    assert_string_equal(public_text, member_text(row, "vkey"));
    while (strstr(end + 1, "\n\n") != NULL) {
        end = strstr(end + 1, "\n\n");
        text.length = (size_t)(end - note) + 1;
    }
    assert_int_equal(note_write(text, signer, 0, &out, NULL), RESULT_OK);
    assert_true(text_is((struct text_view){bytes, out.length}, note));
}

static void test_published_notes(void **state)
{
    (void)state;
    json_t *all = vector_json("note/notes.json"), *row;
    size_t i, verified = 0, signers = 0, cosigned = 0;
    json_array_foreach(json_object_get(all, "notes"), i, row)
    {
        const char *text = member_text(row, "note"), *vkey = member_text(row, "vkey");
        struct note note;
        assert_int_equal(note_parse(text, strlen(text), &note, NULL), RESULT_OK);
        if (vkey == NULL)
            continue;
        struct note_key key, other = {0};
        struct note_seal seal;
        char again[NOTE_KEY_MAX_BYTES];
        assert_int_equal(note_key_parse(vkey, &key, NULL), RESULT_OK);
        note_key_print(&key, again);
        assert_string_equal(again, vkey);
        assert_int_equal(note_verify(&note, &key, 1, &seal, NULL), RESULT_OK);
        assert_true(seal.valid);
        assert_int_equal(seal.time_s > 0, key.kind == NOTE_COSIGNATURE);
        cosigned += key.kind == NOTE_COSIGNATURE;
        verified++;
        other = key;
        other.public_key[0] ^= 1;
        assert_int_equal(note_verify(&note, &other, 1, &seal, NULL), RESULT_CORRUPT);
        other = key;
        other.id ^= 1;
        assert_int_equal(note_verify(&note, &other, 1, &seal, NULL), RESULT_NOT_FOUND);

        struct note_signer signer;
        uint8_t seed[NOTE_SEED_BYTES];
        if (member_text(row, "skey") != NULL)
            assert_int_equal(note_signer_parse(member_text(row, "skey"), &signer, NULL), RESULT_OK);
        else if (member_text(row, "seed_hex") != NULL) {
            from_hex(member_text(row, "seed_hex"), seed, sizeof seed);
            assert_int_equal(note_signer_make(key.name, NOTE_ED25519, seed, &signer, NULL), RESULT_OK);
        } else
            continue;
        check_signer(row, &signer);
        signers++;
    }
    assert_true(verified > 20 && signers == 2 && cosigned == 3);
    json_decref(all);
}

static void test_published_keys(void **state)
{
    (void)state;
    json_t *all = vector_json("note/notes.json"), *row;
    size_t i;
    struct note_key key;
    json_array_foreach(json_object_get(all, "vkeys"), i, row)
        assert_int_equal(note_key_parse(member_text(row, "vkey"), &key, NULL), RESULT_OK);
    assert_int_equal(i, 3);
    json_array_foreach(json_object_get(all, "bad_vkeys"), i, row)
        assert_int_equal(note_key_parse(member_text(row, "vkey"), &key, NULL), RESULT_INVALID);
    assert_int_equal(i, 2);
    json_decref(all);
}

/* The example of C2SP signed-note: without the vectors too. */
static void test_example(void **state)
{
    (void)state;
    static const char note[] = "This is an example message.\n\n\xe2\x80\x94 example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi"
                               "2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
    struct note_key key;
    assert_int_equal(note_key_parse("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", &key, NULL),
        RESULT_OK);
    assert_int_equal(verify_text(note, &key), RESULT_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_example),
        cmocka_unit_test(test_round),
        cmocka_unit_test(test_changed_bits),
        cmocka_unit_test(test_signatures_known_and_unknown),
        cmocka_unit_test(test_time_out_of_range),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_published_notes),
        cmocka_unit_test(test_published_keys),
    };
    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
