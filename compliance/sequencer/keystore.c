#include "compliance/sequencer/keystore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "compliance/sequencer/files.h"

#define WHAT "audit.state"
#define FILE_NAME "key"
#define MAGIC "THLOGK1\n"
#define MAGIC_BYTES 8
#define NONCE_BYTES crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define ORIGIN_BYTES 256
#define KEY_BYTES (NOTE_SEED_BYTES + 8 + 8)
#define PLAIN_BYTES (ORIGIN_BYTES + 8 + KEYSTORE_MAX * KEY_BYTES)
#define ASSOCIATED_BYTES (MAGIC_BYTES + crypto_pwhash_SALTBYTES)
#define SEALED_BYTES (ASSOCIATED_BYTES + NONCE_BYTES + PLAIN_BYTES + crypto_aead_xchacha20poly1305_ietf_ABYTES)

_Static_assert(sizeof((struct keystore *)0)->salt == crypto_pwhash_SALTBYTES, "salt");
_Static_assert(sizeof((struct keystore *)0)->sealing == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "key");
_Static_assert(CHECKPOINT_ORIGIN_MAX_BYTES < ORIGIN_BYTES, "origin");

static void put_number(uint8_t *at, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get_number(const uint8_t *at)
{
    uint64_t value = 0;
    for (unsigned i = 8; i-- > 0;)
        value = value << 8 | at[i];
    return value;
}

static enum result derive(struct keystore *store, const char *passphrase, struct failure *why)
{
    if (crypto_pwhash(store->sealing, sizeof store->sealing, passphrase, strlen(passphrase), store->salt,
            crypto_pwhash_OPSLIMIT_INTERACTIVE, crypto_pwhash_MEMLIMIT_INTERACTIVE, crypto_pwhash_ALG_ARGON2ID13) == 0)
        return RESULT_OK;
    failure_set(why, WHAT, "not enough memory to derive the sealing key (64 MiB)");
    return RESULT_FAILED;
}

static void pack(const struct keystore *store, uint8_t plain[PLAIN_BYTES])
{
    memset(plain, 0, PLAIN_BYTES);
    memcpy(plain, store->origin, strlen(store->origin));
    put_number(plain + ORIGIN_BYTES, store->count);
    uint8_t *at = plain + ORIGIN_BYTES + 8;
    for (size_t i = 0; i < store->count; i++, at += KEY_BYTES) {
        memcpy(at, store->keys[i].signer.secret, NOTE_SEED_BYTES);
        put_number(at + NOTE_SEED_BYTES, store->keys[i].from_size);
        put_number(at + NOTE_SEED_BYTES + 8, (uint64_t)store->keys[i].until_ms);
    }
}

static enum result unpack(struct keystore *store, const uint8_t plain[PLAIN_BYTES], struct failure *why)
{
    memcpy(store->origin, plain, sizeof store->origin);
    store->origin[sizeof store->origin - 1] = '\0';
    uint64_t count = get_number(plain + ORIGIN_BYTES);
    if (count == 0 || count > KEYSTORE_MAX) {
        failure_set(why, WHAT, "its file `" FILE_NAME "` is of another version");
        return RESULT_CORRUPT;
    }
    const uint8_t *at = plain + ORIGIN_BYTES + 8;
    for (size_t i = 0; i < count; i++, at += KEY_BYTES) {
        enum result result = note_signer_make(store->origin, NOTE_ED25519, at, &store->keys[i].signer, why);
        if (result != RESULT_OK)
            return result;
        store->keys[i].from_size = get_number(at + NOTE_SEED_BYTES);
        store->keys[i].until_ms = (int64_t)get_number(at + NOTE_SEED_BYTES + 8);
    }
    store->count = (size_t)count;
    return RESULT_OK;
}

static enum result save(const struct keystore *store, struct failure *why)
{
    uint8_t sealed[SEALED_BYTES];
    uint8_t *plain = sodium_malloc(PLAIN_BYTES);
    if (plain == NULL) {
        failure_set(why, WHAT, "out of memory");
        return RESULT_FAILED;
    }
    pack(store, plain);
    memcpy(sealed, MAGIC, MAGIC_BYTES);
    memcpy(sealed + MAGIC_BYTES, store->salt, sizeof store->salt);
    uint8_t *nonce = sealed + ASSOCIATED_BYTES;
    randombytes_buf(nonce, NONCE_BYTES);
    (void)crypto_aead_xchacha20poly1305_ietf_encrypt(
        nonce + NONCE_BYTES, NULL, plain, PLAIN_BYTES, sealed, ASSOCIATED_BYTES, NULL, nonce, store->sealing);
    sodium_free(plain);
    return files_replace(store->directory, FILE_NAME, sealed, sizeof sealed, why);
}

static enum result new_store(const char *directory, const char *passphrase, struct keystore **out, struct failure *why)
{
    if (passphrase[0] == '\0') {
        failure_set(why, "audit.seal", "is not set: it seals the log's signing key");
        return RESULT_INVALID;
    }
    struct keystore *store = strlen(directory) > FILES_DIRECTORY_MAX_BYTES ? NULL : sodium_malloc(sizeof *store);
    if (store == NULL) {
        failure_set(why, WHAT, "is longer than %d bytes, or there is no memory", FILES_DIRECTORY_MAX_BYTES);
        return RESULT_FAILED;
    }
    sodium_memzero(store, sizeof *store);
    (void)snprintf(store->directory, sizeof store->directory, "%s", directory);
    *out = store;
    return RESULT_OK;
}

static enum result unseal(struct keystore *store, const char *passphrase, struct failure *why)
{
    char path[FILES_PATH_BYTES];
    uint8_t sealed[SEALED_BYTES];
    size_t length = 0;
    enum result result =
        files_read(files_join(path, store->directory, FILE_NAME), sealed, sizeof sealed, &length, WHAT, why);
    if (result != RESULT_OK)
        return result;
    if (length != sizeof sealed || memcmp(sealed, MAGIC, MAGIC_BYTES) != 0) {
        failure_set(why, WHAT, "its file `" FILE_NAME "` is damaged");
        return RESULT_CORRUPT;
    }
    memcpy(store->salt, sealed + MAGIC_BYTES, sizeof store->salt);
    result = derive(store, passphrase, why);
    uint8_t *plain = sodium_malloc(PLAIN_BYTES);
    if (result != RESULT_OK || plain == NULL) {
        sodium_free(plain);
        return result == RESULT_OK ? RESULT_FAILED : result;
    }
    const uint8_t *nonce = sealed + ASSOCIATED_BYTES;
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(plain, NULL, NULL, nonce + NONCE_BYTES,
            sizeof sealed - ASSOCIATED_BYTES - NONCE_BYTES, sealed, ASSOCIATED_BYTES, nonce, store->sealing) == 0) {
        result = unpack(store, plain, why);
    } else {
        failure_set(why, "audit.seal", "does not open the file `" FILE_NAME "` in audit.state, or that is damaged");
        result = RESULT_INVALID;
    }
    sodium_free(plain);
    return result;
}

static enum result check_mode(const char *directory, struct failure *why)
{
    char path[FILES_PATH_BYTES];
    struct stat about;
    if (lstat(files_join(path, directory, FILE_NAME), &about) != 0) {
        failure_set(why, WHAT, "its file `" FILE_NAME "`: %s", strerror(errno));
        return errno == ENOENT ? RESULT_NOT_FOUND : RESULT_FAILED;
    }
    if (S_ISREG(about.st_mode) && (about.st_mode & 077) == 0)
        return RESULT_OK;
    failure_set(why, WHAT, "its file `" FILE_NAME "` must be a regular file that only its owner may read (mode 0600)");
    return RESULT_INVALID;
}

enum result keystore_open(
    const char *directory, const char *passphrase, const char *origin, struct keystore **out, struct failure *why)
{
    struct keystore *store = NULL;
    enum result result = new_store(directory, passphrase, &store, why);
    if (result == RESULT_OK)
        result = check_mode(directory, why);
    if (result == RESULT_OK)
        result = unseal(store, passphrase, why);
    if (result == RESULT_OK && origin[0] != '\0' && strcmp(origin, store->origin) != 0) {
        failure_set(why, "audit.origin", "is not the name that the log was begun with; a log cannot be renamed");
        result = RESULT_INVALID;
    }
    if (result == RESULT_OK)
        *out = store;
    else
        keystore_close(store);
    return result;
}

static enum result make_key(struct keystore *store, struct keystore_key *key, struct failure *why)
{
    uint8_t seed[NOTE_SEED_BYTES], public_key[32], secret[64];
    randombytes_buf(seed, sizeof seed);
    (void)crypto_sign_ed25519_seed_keypair(public_key, secret, seed);
    if (store->origin[0] == '\0')
        (void)snprintf(store->origin, sizeof store->origin, "throng.invalid/%02x%02x%02x%02x", public_key[0], public_key[1],
            public_key[2], public_key[3]);
    enum result result = note_signer_make(store->origin, NOTE_ED25519, seed, &key->signer, why);
    sodium_memzero(seed, sizeof seed);
    sodium_memzero(secret, sizeof secret);
    return result;
}

enum result keystore_create(
    const char *directory, const char *passphrase, const char *origin, struct keystore **out, struct failure *why)
{
    struct keystore *store = NULL;
    enum result result = new_store(directory, passphrase, &store, why);
    if (result != RESULT_OK)
        return result;
    if (strlen(origin) > CHECKPOINT_ORIGIN_MAX_BYTES) {
        failure_set(why, "audit.origin", "is longer than %d bytes", CHECKPOINT_ORIGIN_MAX_BYTES);
        result = RESULT_INVALID;
    }
    if (result == RESULT_OK) {
        (void)strcpy(store->origin, origin);
        randombytes_buf(store->salt, sizeof store->salt);
        store->count = 1;
        result = make_key(store, &store->keys[0], why);
    }
    if (result == RESULT_OK)
        result = derive(store, passphrase, why);
    if (result == RESULT_OK)
        result = save(store, why);
    if (result == RESULT_OK)
        *out = store;
    else
        keystore_close(store);
    return result;
}

void keystore_close(struct keystore *store)
{
    sodium_free(store);
}

enum result keystore_rotate(struct keystore *store, uint64_t from_size, int64_t until_ms, struct failure *why)
{
    if (store->count == KEYSTORE_MAX) {
        failure_set(why, WHAT, "its file `" FILE_NAME "` holds %d keys and takes no more", KEYSTORE_MAX);
        return RESULT_FULL;
    }
    struct keystore_key *former = &store->keys[store->count - 1], *key = &store->keys[store->count];
    int64_t until_before = former->until_ms;
    enum result result = make_key(store, key, why);
    if (result != RESULT_OK)
        return result;
    key->from_size = from_size;
    key->until_ms = 0;
    former->until_ms = until_ms;
    store->count++;
    result = save(store, why);
    if (result == RESULT_OK)
        return RESULT_OK;
    store->count--;
    former->until_ms = until_before;
    note_signer_wipe(&key->signer);
    return result;
}

const struct keystore_key *keystore_newest(const struct keystore *store)
{
    return &store->keys[store->count - 1];
}

bool keystore_signs(const struct keystore *store, size_t index, uint64_t size, int64_t now_ms)
{
    if (store->keys[index].from_size > size)
        return false;
    bool newest = index + 1 == store->count || store->keys[index + 1].from_size > size;
    return newest || now_ms < store->keys[index].until_ms;
}

enum result keystore_tell(const struct keystore *store, struct failure *why)
{
    char text[NOTE_KEY_MAX_BYTES], line[NOTE_KEY_MAX_BYTES + 32], all[KEYSTORE_MAX * sizeof line];
    size_t used = 0;
    for (size_t i = 0; i < store->count; i++) {
        note_key_print(&store->keys[i].signer.key, text);
        int length = snprintf(line, sizeof line, "%llu %s\n", (unsigned long long)store->keys[i].from_size, text);
        memcpy(all + used, line, (size_t)length);
        used += (size_t)length;
    }
    enum result result = files_replace(store->directory, "log.vkeys", all, used, why);
    if (result != RESULT_OK)
        return result;
    int length = snprintf(line, sizeof line, "%s\n", text);
    return files_replace(store->directory, "log.vkey", line, (size_t)length, why);
}
