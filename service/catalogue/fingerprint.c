#include "service/catalogue/fingerprint.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

enum result fingerprint_binary(uint8_t out[FINGERPRINT_BYTES], struct failure *why)
{
    unsigned char block[16384];
    crypto_hash_sha256_state state;
    size_t length;
    FILE *file = fopen("/proc/self/exe", "rbe");
    if (file == NULL) {
        failure_set(why, "binary", "cannot be read: %s", strerror(errno));
        return RESULT_FAILED;
    }
    (void)crypto_hash_sha256_init(&state);
    while ((length = fread(block, 1, sizeof block, file)) > 0)
        (void)crypto_hash_sha256_update(&state, block, length);
    bool failed = ferror(file) != 0;
    (void)fclose(file);
    (void)crypto_hash_sha256_final(&state, out);
    if (failed)
        failure_set(why, "binary", "cannot be read");
    return failed ? RESULT_FAILED : RESULT_OK;
}

static void add_text(crypto_hash_sha256_state *state, const char *name, const char *value)
{
    (void)crypto_hash_sha256_update(state, (const unsigned char *)name, strlen(name));
    (void)crypto_hash_sha256_update(state, (const unsigned char *)"=", 1);
    (void)crypto_hash_sha256_update(state, (const unsigned char *)value, strlen(value));
    (void)crypto_hash_sha256_update(state, (const unsigned char *)"\n", 1);
}

static void add_int(crypto_hash_sha256_state *state, const char *name, int64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%lld", (long long)value);
    add_text(state, name, text);
}

void fingerprint_config(const struct config *config, uint8_t out[FINGERPRINT_BYTES])
{
    crypto_hash_sha256_state state;
    (void)crypto_hash_sha256_init(&state);
#define CONFIG_TEXT(section, key, initial, help) add_text(&state, #section "." #key, config->section##_##key);
#define CONFIG_INT(section, key, initial, least, most, help) add_int(&state, #section "." #key, config->section##_##key);
#define CONFIG_BOOL(section, key, initial, help) add_text(&state, #section "." #key, config->section##_##key ? "true" : "false");
#define CONFIG_SECRET(section, key, help)                                                                              \
    add_text(&state, #section "." #key, config->section##_##key[0] == '\0' ? "" : "(set)");
#include "service/base/config.def"
#undef CONFIG_TEXT
#undef CONFIG_INT
#undef CONFIG_BOOL
#undef CONFIG_SECRET
    (void)crypto_hash_sha256_final(&state, out);
}
