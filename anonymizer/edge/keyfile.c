#include "anonymizer/edge/keyfile.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

#define MAGIC "THKEYS1\n"
#define MAGIC_BYTES 8
#define HASH_BYTES 32
#define NONCE_BYTES crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define HOLD_TRIES 200 /* of 50 ms: a keyd that is ending may still be writing */

static_assert(sizeof((struct keyfile *)0)->salt == crypto_pwhash_SALTBYTES, "salt");
static_assert(sizeof((struct keyfile *)0)->key == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "key");
static_assert(
    KEYFILE_SEALED_BYTES == 8 + NONCE_BYTES + KEYRING_PACKED_BYTES + crypto_aead_xchacha20poly1305_ietf_ABYTES,
    "slot");

struct header {
    uint8_t magic[MAGIC_BYTES];
    uint8_t salt[crypto_pwhash_SALTBYTES];
    uint8_t proof[HASH_BYTES];
    uint8_t sum[HASH_BYTES];
};

static off_t slot_offset(int slot)
{
    return KEYFILE_HEADER_BYTES + (off_t)slot * KEYFILE_SLOT_BYTES;
}

static bool write_all(int fd, const uint8_t *bytes, size_t length, off_t at)
{
    while (length > 0) {
        ssize_t part = pwrite(fd, bytes, length, at);
        if (part < 0 && errno == EINTR)
            continue;
        if (part <= 0)
            return false;
        bytes += part;
        length -= (size_t)part;
        at += part;
    }
    return true;
}

/* What lies beyond the end of a file that was cut reads as zeros. */
static bool read_all(int fd, uint8_t *bytes, size_t length, off_t at)
{
    memset(bytes, 0, length);
    while (length > 0) {
        ssize_t part = pread(fd, bytes, length, at);
        if (part < 0 && errno == EINTR)
            continue;
        if (part <= 0)
            return part == 0;
        bytes += part;
        length -= (size_t)part;
        at += part;
    }
    return true;
}

static enum result derive(uint8_t key[32], const uint8_t salt[16], const char *passphrase, struct failure *why)
{
    if (crypto_pwhash(key, 32, passphrase, strlen(passphrase), salt, crypto_pwhash_OPSLIMIT_INTERACTIVE,
            crypto_pwhash_MEMLIMIT_INTERACTIVE, crypto_pwhash_ALG_ARGON2ID13) == 0)
        return RESULT_OK;
    failure_set(why, "key_file", "not enough memory to derive the sealing key (64 MiB)");
    return RESULT_FAILED;
}

static enum result derive_key(struct keyfile *file, const char *passphrase, struct failure *why)
{
    return derive(file->key, file->salt, passphrase, why);
}

enum result keyfile_new_seal(const char *passphrase, struct keyfile_seal *out, struct failure *why)
{
    randombytes_buf(out->salt, sizeof out->salt);
    return derive(out->key, out->salt, passphrase, why);
}

void keyfile_ring(const struct keyfile *file, uint8_t out[32])
{
    static const char label[] = "throng key ring 1";
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, 32);
    crypto_generichash_update(&state, (const uint8_t *)label, sizeof label - 1);
    crypto_generichash_update(&state, file->salt, sizeof file->salt);
    crypto_generichash_final(&state, out, 32);
}

static void prove_key(const struct keyfile *file, uint8_t out[HASH_BYTES])
{
    static const char label[] = "throng key file 1";
    crypto_generichash_state state;
    crypto_generichash_init(&state, file->key, sizeof file->key, HASH_BYTES);
    crypto_generichash_update(&state, (const uint8_t *)label, sizeof label - 1);
    crypto_generichash_update(&state, file->salt, sizeof file->salt);
    crypto_generichash_final(&state, out, HASH_BYTES);
    sodium_memzero(&state, sizeof state);
}

static void sum_header(const struct header *header, uint8_t out[HASH_BYTES])
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, HASH_BYTES);
    crypto_generichash_update(&state, header->magic, sizeof header->magic);
    crypto_generichash_update(&state, header->salt, sizeof header->salt);
    crypto_generichash_update(&state, header->proof, sizeof header->proof);
    crypto_generichash_final(&state, out, HASH_BYTES);
}

static void put_generation(uint8_t *at, uint64_t generation)
{
    for (unsigned i = 0; i < 8; i++)
        at[i] = (uint8_t)(generation >> (8 * i));
}

static size_t associate(const struct keyfile *file, uint64_t generation, uint8_t out[64])
{
    memcpy(out, MAGIC, MAGIC_BYTES);
    memcpy(out + MAGIC_BYTES, file->salt, sizeof file->salt);
    put_generation(out + MAGIC_BYTES + sizeof file->salt, generation);
    return MAGIC_BYTES + sizeof file->salt + 8;
}

/* Leave ring as generation, sealed, in file->slot. */
static void seal_slot(struct keyfile *file, uint64_t generation, const struct keyring *ring)
{
    uint8_t data[64];
    size_t data_length = associate(file, generation, data);
    uint8_t *nonce = file->slot + 8;
    memset(file->slot, 0, sizeof file->slot);
    put_generation(file->slot, generation);
    randombytes_buf(nonce, NONCE_BYTES);
    keyring_pack(ring, file->packed);
    crypto_aead_xchacha20poly1305_ietf_encrypt(
        nonce + NONCE_BYTES, NULL, file->packed, sizeof file->packed, data, data_length, NULL, nonce, file->key);
    sodium_memzero(file->packed, sizeof file->packed);
}

enum result keyfile_write_slot(
    struct keyfile *file, int slot, uint64_t generation, const struct keyring *ring, struct failure *why)
{
    seal_slot(file, generation, ring);
    if (write_all(file->fd, file->slot, sizeof file->slot, slot_offset(slot)) && fdatasync(file->fd) == 0)
        return RESULT_OK;
    failure_set(why, "key_file", "cannot write slot %d: %s", slot, strerror(errno));
    return RESULT_FAILED;
}

enum result keyfile_read_slot(struct keyfile *file, int slot, uint64_t *generation, struct keyring *ring)
{
    if (!read_all(file->fd, file->slot, sizeof file->slot, slot_offset(slot)))
        return RESULT_CORRUPT;
    uint64_t number = 0;
    for (unsigned i = 8; i-- > 0;)
        number = number << 8 | file->slot[i];
    uint8_t data[64];
    size_t data_length = associate(file, number, data);
    const uint8_t *nonce = file->slot + 8;
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(file->packed, NULL, NULL, nonce + NONCE_BYTES,
            sizeof file->packed + crypto_aead_xchacha20poly1305_ietf_ABYTES, data, data_length, nonce,
            file->key) != 0)
        return RESULT_CORRUPT;
    enum result result = keyring_unpack(file->packed, ring);
    sodium_memzero(file->packed, sizeof file->packed);
    if (result == RESULT_OK)
        *generation = number;
    return result;
}

enum result keyfile_store(struct keyfile *file, const struct keyring *ring, struct failure *why)
{
    int older = 1 - file->newest;
    enum result result = keyfile_write_slot(file, older, file->generation + 1, ring, why);
    if (result == RESULT_OK)
        result = keyfile_write_slot(file, file->newest, file->generation + 1, ring, why);
    if (result != RESULT_OK)
        return result;
    file->generation++;
    file->newest = older;
    return RESULT_OK;
}

void keyfile_close(struct keyfile *file)
{
    if (file->fd >= 0)
        (void)close(file->fd);
    sodium_memzero(file, sizeof *file);
    file->fd = -1;
}

/* Open path's directory. path is not empty. */
static int open_directory(const char *path)
{
    char directory[PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    size_t length = slash == path ? 1 : (size_t)(slash - path);
    if (length >= sizeof directory)
        return -1;
    memcpy(directory, path, length);
    directory[length] = '\0';
    return open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static bool sync_directory(const char *path)
{
    int fd = open_directory(path);
    if (fd < 0)
        return false;
    bool synced = fsync(fd) == 0;
    (void)close(fd);
    return synced;
}

static enum result hold(struct keyfile *file, struct failure *why)
{
    const struct timespec pause = {.tv_nsec = 50 * 1000 * 1000};
    for (int i = 0; i < HOLD_TRIES; i++) {
        if (flock(file->fd, LOCK_EX | LOCK_NB) == 0)
            return RESULT_OK;
        (void)nanosleep(&pause, NULL);
    }
    failure_set(why, "key_file", "another process holds it");
    return RESULT_UNAVAILABLE;
}

static struct header make_header(const struct keyfile *file)
{
    struct header header = {.magic = MAGIC};
    memcpy(header.salt, file->salt, sizeof header.salt);
    prove_key(file, header.proof);
    sum_header(&header, header.sum);
    return header;
}

void keyfile_export(struct keyfile *file, const struct keyfile_seal *seal, const struct keyring *ring,
    uint8_t out[KEYFILE_BYTES])
{
    struct keyfile_seal own;
    memcpy(own.salt, file->salt, sizeof own.salt);
    memcpy(own.key, file->key, sizeof own.key);
    memcpy(file->salt, seal->salt, sizeof file->salt);
    memcpy(file->key, seal->key, sizeof file->key);
    struct header header = make_header(file);
    memset(out, 0, KEYFILE_BYTES);
    memcpy(out, &header, sizeof header);
    for (int i = 0; i < KEYFILE_SLOTS; i++) {
        seal_slot(file, 1, ring);
        memcpy(out + slot_offset(i), file->slot, sizeof file->slot);
    }
    memcpy(file->salt, own.salt, sizeof file->salt);
    memcpy(file->key, own.key, sizeof file->key);
    sodium_memzero(&own, sizeof own);
}

static enum result write_new(
    struct keyfile *file, const char *passphrase, const struct keyring *ring, struct failure *why)
{
    struct header header;
    randombytes_buf(file->salt, sizeof file->salt);
    enum result result = derive_key(file, passphrase, why);
    if (result != RESULT_OK)
        return result;
    header = make_header(file);
    if (!write_all(file->fd, (const uint8_t *)&header, sizeof header, 0)) {
        failure_set(why, "key_file", "cannot write: %s", strerror(errno));
        return RESULT_FAILED;
    }
    file->newest = 1;
    result = keyfile_store(file, ring, why);
    if (result == RESULT_OK && fsync(file->fd) != 0) {
        failure_set(why, "key_file", "cannot sync: %s", strerror(errno));
        return RESULT_FAILED;
    }
    return result;
}

/* Give the whole file its name; link() never replaces another. */
static enum result publish(const char *made, const char *path, struct failure *why)
{
    if (link(made, path) != 0) {
        bool exists = errno == EEXIST;
        failure_set(why, "key_file", "cannot name it: %s", strerror(errno));
        return exists ? RESULT_DENIED : RESULT_FAILED;
    }
    if (sync_directory(path))
        return RESULT_OK;
    failure_set(why, "key_file", "cannot sync its directory: %s", strerror(errno));
    return RESULT_FAILED;
}

enum result keyfile_create(
    struct keyfile *file, const char *path, const char *passphrase, const struct keyring *ring, struct failure *why)
{
    char made[PATH_MAX];
    int length = snprintf(made, sizeof made, "%s.%08x.new", path, (unsigned)randombytes_random());
    if (length < 0 || (size_t)length >= sizeof made) {
        failure_set(why, "key_file", "path is longer than %d bytes", PATH_MAX - 14);
        return RESULT_INVALID;
    }
    file->fd = open(made, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file->fd < 0) {
        failure_set(why, "key_file", "cannot create: %s", strerror(errno));
        return RESULT_FAILED;
    }
    enum result result = hold(file, why);
    if (result == RESULT_OK)
        result = write_new(file, passphrase, ring, why);
    if (result == RESULT_OK)
        result = publish(made, path, why);
    (void)unlink(made);
    if (result != RESULT_OK)
        keyfile_close(file);
    return result;
}

static enum result open_file(struct keyfile *file, const char *path, struct failure *why)
{
    file->fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (file->fd < 0) {
        bool absent = errno == ENOENT;
        failure_set(why, "key_file", "cannot open: %s", strerror(errno));
        return absent ? RESULT_NOT_FOUND : RESULT_FAILED;
    }
    struct stat about;
    if (fstat(file->fd, &about) != 0 || !S_ISREG(about.st_mode) || (about.st_mode & 077) != 0) {
        failure_set(why, "key_file", "must be a regular file that only its owner may read (mode 0600)");
        return RESULT_INVALID;
    }
    return hold(file, why);
}

static enum result unlock(struct keyfile *file, const char *passphrase, struct failure *why)
{
    struct header header;
    uint8_t sum[HASH_BYTES];
    uint8_t proof[HASH_BYTES];
    if (!read_all(file->fd, (uint8_t *)&header, sizeof header, 0)) {
        failure_set(why, "key_file", "cannot read: %s", strerror(errno));
        return RESULT_FAILED;
    }
    sum_header(&header, sum);
    if (memcmp(header.magic, MAGIC, MAGIC_BYTES) != 0 || memcmp(sum, header.sum, sizeof sum) != 0) {
        failure_set(why, "key_file", "the header is damaged, or this is no key file");
        return RESULT_CORRUPT;
    }
    memcpy(file->salt, header.salt, sizeof file->salt);
    enum result result = derive_key(file, passphrase, why);
    if (result != RESULT_OK)
        return result;
    prove_key(file, proof);
    if (sodium_memcmp(proof, header.proof, sizeof proof) == 0)
        return RESULT_OK;
    failure_set(why, "passphrase", "does not open the key file");
    return RESULT_INVALID;
}

static enum result read_newest(struct keyfile *file, struct keyring *ring, struct failure *why)
{
    uint64_t generation[KEYFILE_SLOTS] = {0};
    bool valid[KEYFILE_SLOTS];
    for (int i = 0; i < KEYFILE_SLOTS; i++)
        valid[i] = keyfile_read_slot(file, i, &generation[i], ring) == RESULT_OK;
    if (!valid[0] && !valid[1]) {
        failure_set(why, "key_file", "both slots are damaged");
        return RESULT_CORRUPT;
    }
    file->newest = valid[1] && (!valid[0] || generation[1] > generation[0]) ? 1 : 0;
    file->generation = generation[file->newest];
    if (keyfile_read_slot(file, file->newest, &generation[0], ring) != RESULT_OK) {
        failure_set(why, "key_file", "reads differently a second time");
        return RESULT_CORRUPT;
    }
    /* Always, not only when they differ: the other may hold a passed key. */
    return keyfile_write_slot(file, 1 - file->newest, file->generation, ring, why);
}

enum result keyfile_open(
    struct keyfile *file, const char *path, const char *passphrase, struct keyring *ring, struct failure *why)
{
    enum result result = open_file(file, path, why);
    if (result == RESULT_OK)
        result = unlock(file, passphrase, why);
    if (result == RESULT_OK)
        result = read_newest(file, ring, why);
    if (result != RESULT_OK)
        keyfile_close(file);
    return result;
}
