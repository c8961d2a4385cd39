/* A directory of its own for each test that needs a key file, and the vectors' helpers. */
#ifndef THRONG_TESTS_KEYDIR_H
#define THRONG_TESTS_KEYDIR_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "anonymizer/edge/keyd.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KEYDIR_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define KEYDIR_SANITIZED 1
#endif
#endif
#ifndef KEYDIR_SANITIZED
#define KEYDIR_SANITIZED 0
#endif

#define PASSPHRASE "correct horse"

struct keydir {
    char directory[64];
    char path[80];
};

/* cmocka set-up and tear-down: *state is a struct keydir. */
static inline int keydir_make(void **state)
{
    struct keydir *made = calloc(1, sizeof *made);
    if (made == NULL || sodium_init() < 0)
        return -1;
    (void)snprintf(made->directory, sizeof made->directory, "/tmp/throng-keydir-XXXXXX");
    if (mkdtemp(made->directory) == NULL)
        return -1;
    (void)snprintf(made->path, sizeof made->path, "%s/keys", made->directory);
    *state = made;
    return 0;
}

static inline int keydir_remove(void **state)
{
    struct keydir *made = *state;
    (void)unlink(made->path);
    int left = rmdir(made->directory); /* fails if anything else was left behind */
    free(made);
    return left;
}

static inline struct raw_id raw(const char *text)
{
    return (struct raw_id){.bytes = text, .length = strlen(text)};
}

static inline void assert_hex(const uint8_t *bytes, size_t length, const char *hex)
{
    char text[2 * 64 + 1];
    assert_true(length <= 64);
    sodium_bin2hex(text, sizeof text, bytes, length);
    assert_string_equal(text, hex);
}

#endif
