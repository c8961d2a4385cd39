/* The log's keys in their sealed file, and what the signer will not sign. */
#include "compliance/sequencer/keystore.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compliance/sequencer/signer.h"

static char directory[64];

__attribute__((format(printf, 1, 2))) static void shell(const char *format, ...)
{
    char command[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    assert_int_equal(system(command), 0);
}

static void test_sealed(void **state)
{
    (void)state;
    struct keystore *keys = NULL, *again = NULL;
    assert_int_equal(keystore_open(directory, "secret", "", &keys, NULL), RESULT_NOT_FOUND);
    assert_int_equal(keystore_create(directory, "", "", &keys, NULL), RESULT_INVALID);
    assert_int_equal(keystore_create(directory, "secret", "", &keys, NULL), RESULT_OK);
    assert_int_equal(strncmp(keys->origin, "throng.invalid/", 15), 0);
    assert_int_equal(strlen(keys->origin), 23);
    assert_int_equal(keystore_open(directory, "other", "", &again, NULL), RESULT_INVALID);
    assert_int_equal(keystore_open(directory, "secret", "example.org/log", &again, NULL), RESULT_INVALID);
    assert_int_equal(keystore_open(directory, "secret", keys->origin, &again, NULL), RESULT_OK);
    assert_memory_equal(&again->keys[0], &keys->keys[0], sizeof keys->keys[0]);
    keystore_close(again);
    keystore_close(keys);
    shell("! grep -q throng.invalid %s/key && chmod 644 %s/key", directory, directory);
    assert_int_equal(keystore_open(directory, "secret", "", &again, NULL), RESULT_INVALID);
    shell("chmod 600 %s/key", directory);
}

static void test_rotated(void **state)
{
    (void)state;
    struct keystore *keys = NULL, *again = NULL;
    assert_int_equal(keystore_open(directory, "secret", "", &keys, NULL), RESULT_OK);
    assert_int_equal(keystore_rotate(keys, 10, 5000, NULL), RESULT_OK);
    assert_int_equal(keystore_open(directory, "secret", "", &again, NULL), RESULT_OK);
    assert_int_equal(again->count, 2);
    assert_memory_equal(again->keys, keys->keys, 2 * sizeof keys->keys[0]);
    /* below its first size the new one does not sign, and the old one does, whatever the time */
    assert_true(keystore_signs(keys, 0, 9, 9000) && !keystore_signs(keys, 1, 9, 9000));
    assert_true(keystore_signs(keys, 0, 10, 4999) && keystore_signs(keys, 1, 10, 4999));
    assert_true(!keystore_signs(keys, 0, 10, 5000) && keystore_signs(keys, 1, 10, 5000));
    assert_int_equal(keystore_tell(keys, NULL), RESULT_OK);
    shell("test $(wc -l <%s/log.vkeys) = 2 && test \"10 $(cat %s/log.vkey)\" = \"$(tail -1 %s/log.vkeys)\"", directory, directory,
        directory);
    keystore_close(again);
    while (keys->count < KEYSTORE_MAX)
        assert_int_equal(keystore_rotate(keys, 10, 5000, NULL), RESULT_OK);
    assert_int_equal(keystore_rotate(keys, 10, 5000, NULL), RESULT_FULL);
    keystore_close(keys);
}

static void test_signs_once(void **state)
{
    (void)state;
    struct keystore *keys = NULL;
    struct signer signer, again;
    struct tree_hash one, other;
    char bytes[SIGNER_NOTE_BYTES], same[SIGNER_NOTE_BYTES];
    struct text_writer note = {.bytes = bytes, .room = sizeof bytes}, second = {.bytes = same, .room = sizeof same};
    tree_leaf("a", 1, &one);
    tree_leaf("b", 1, &other);
    assert_int_equal(keystore_open(directory, "secret", "", &keys, NULL), RESULT_OK);
    assert_int_equal(signer_open(directory, keys, &signer, NULL), RESULT_OK);
    assert_int_equal(signer_sign(&signer, 0, &one, 1, &note, NULL), RESULT_DENIED);
    assert_int_equal(signer_sign(&signer, 20, &one, 9000, &note, NULL), RESULT_OK);
    assert_int_equal(signer_sign(&signer, 20, &one, 9999, &second, NULL), RESULT_OK);
    assert_int_equal(note.length, second.length);
    assert_memory_equal(bytes, same, note.length);
    assert_int_equal(signer_sign(&signer, 20, &other, 1, &second, NULL), RESULT_DENIED);
    assert_int_equal(signer_open(directory, keys, &again, NULL), RESULT_OK);
    assert_int_equal(again.size, 20);
    assert_int_equal(signer_sign(&again, 19, &other, 1, &second, NULL), RESULT_DENIED);
    assert_int_equal(second.length, note.length); /* nothing was added */
    shell("sed -i s/^20$/21/ %s/signed", directory);
    assert_int_equal(signer_open(directory, keys, &again, NULL), RESULT_CORRUPT);
    keystore_close(keys);
}

static void test_damaged(void **state)
{
    (void)state;
    struct keystore *keys = NULL;
    shell("printf x | dd of=%s/key bs=1 seek=100 conv=notrunc status=none", directory);
    assert_int_equal(keystore_open(directory, "secret", "", &keys, NULL), RESULT_INVALID);
    shell("printf x >> %s/key", directory);
    assert_int_not_equal(keystore_open(directory, "secret", "", &keys, NULL), RESULT_OK);
}

static int start(void **state)
{
    (void)state;
    (void)strcpy(directory, "/tmp/throng-keys-XXXXXX");
    return sodium_init() < 0 || mkdtemp(directory) == NULL ? -1 : 0;
}

static int stop(void **state)
{
    (void)state;
    shell("rm -r %s", directory);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sealed),
        cmocka_unit_test(test_rotated),
        cmocka_unit_test(test_signs_once),
        cmocka_unit_test(test_damaged),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
