/*
 * A bundle of a real database, and what the verifier says of it: good as it is made; made twice the same; and every change is
 * found, and named: a sample of them, test_flips.c has all of a smaller bundle.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "compliance/bundle/archive.h"
#include "compliance/export/export.h"
#include "compliance/verify/verify.h"
#include "tests/unit/compliance/signedlog.h"

#define SIZE 700
#define OUT_BYTES 256

/* What a verification found. */
struct heard {
    const char *wanted; /* a name that some finding must have */
    bool named;
    size_t count;
    char first[512];
};

static struct {
    struct db *db;
    char out[OUT_BYTES];
    char *bytes;
    size_t length;
    char earlier[4096], newest[4096]; /* checkpoints */
} bundle;

static void hear(void *context, const struct verify_finding *finding)
{
    struct heard *heard = context;
    if (heard->count++ == 0)
        (void)snprintf(heard->first, sizeof heard->first, "%s: %s", finding->where, finding->what);
    if (heard->wanted != NULL && strcmp(finding->where, heard->wanted) == 0)
        heard->named = true;
}

static bool verify(const char *bytes, size_t length, const char *since, struct heard *heard, struct verify_outcome *outcome)
{
    struct text_view kept = {since, since == NULL ? 0 : strlen(since)};
    struct verify_request request = {.bundle = {bytes, length},
        .since = since == NULL ? NULL : &kept,
        .keys = &signedlog.signer.key,
        .key_count = 1,
        .found = hear,
        .context = heard};
    return verify_run(&request, outcome);
}

static char *read_all(const char *path, size_t *length)
{
    struct stat status;
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_int_equal(fstat(fileno(file), &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    char *bytes = malloc((size_t)status.st_size);
    *length = fread(bytes, 1, (size_t)status.st_size, file);
    assert_int_equal(*length, status.st_size);
    (void)fclose(file);
    return bytes;
}

static char *export_once(uint64_t size, size_t *length)
{
    struct failure why = {0};
    struct export_made made;
    uint8_t hash[32];
    struct export_request request = {
        .db = bundle.db, .path = bundle.out, .size = size, .signer = signedlog.socket, .witnesses = ""};
    if (export_make(&request, &made, &why) != RESULT_OK)
        fail_msg("%s: %s", why.field, why.text);
    char *bytes = read_all(bundle.out, length);
    assert_int_equal(made.bytes, *length);
    assert_int_equal(made.size, signedlog.size);
    crypto_hash_sha256(hash, (const unsigned char *)bytes, *length);
    assert_memory_equal(hash, made.hash, sizeof hash);
    return bytes;
}

static int start(void **state)
{
    if (sodium_init() < 0 || cluster_start(state) != 0)
        return -1;
    signedlog_begin();
    bundle.db = cluster_connect("throng_read", "test");
    (void)snprintf(bundle.out, sizeof bundle.out, "%s/bundle.tar", cluster.directory);
    signedlog_grow(300);
    signedlog_publish("2026-01-02 03:04:05Z", bundle.earlier, sizeof bundle.earlier);
    signedlog_grow(SIZE);
    signedlog_publish("2026-01-05 03:04:05Z", bundle.newest, sizeof bundle.newest);
    bundle.bytes = export_once(0, &bundle.length);
    return 0;
}

static int stop(void **state)
{
    free(bundle.bytes);
    db_free(bundle.db);
    signedlog_end();
    return cluster_stop(state);
}

static void a_bundle_is_good(void **state)
{
    struct heard heard = {0};
    struct verify_outcome outcome;
    (void)state;
    if (!verify(bundle.bytes, bundle.length, bundle.earlier, &heard, &outcome))
        fail_msg("%s", heard.first);
    assert_int_equal(outcome.size, SIZE);
    assert_string_equal(outcome.origin, SIGNEDLOG_ORIGIN);
    for (int i = 0; i < VERIFY_LEVELS; i++)
        assert_int_equal(outcome.levels[i].verdict, i == VERIFY_WITNESSES ? VERIFY_NOT_JUDGED : VERIFY_OK);
}

static void made_twice_it_is_the_same(void **state)
{
    size_t length;
    (void)state;
    char *again = export_once(SIZE, &length);
    assert_int_equal(length, bundle.length);
    assert_memory_equal(again, bundle.bytes, length);
    free(again);
}

static void without_a_signer_nothing_is_left(void **state)
{
    struct failure why = {0};
    struct export_made made;
    char out[OUT_BYTES];
    (void)state;
    (void)snprintf(out, sizeof out, "%s/other.tar", cluster.directory);
    struct export_request request = {.db = bundle.db, .path = out, .signer = "/nonexistent/audit.sign", .witnesses = ""};
    assert_int_equal(export_make(&request, &made, &why), RESULT_UNAVAILABLE);
    assert_int_equal(access(out, F_OK), -1);
    request.size = SIZE - 1;
    assert_int_equal(export_make(&request, &made, &why), RESULT_NOT_FOUND);
    cluster_shell("test -z \"$(ls %s | grep other)\"", cluster.directory);
}

/* Flip a bit of the byte at offset, which belongs to name, and have it found. */
static void flip(size_t offset, unsigned bit, const char *name)
{
    struct heard heard = {.wanted = name};
    struct verify_outcome outcome;
    bundle.bytes[offset] = (char)(bundle.bytes[offset] ^ (1 << bit));
    bool good = verify(bundle.bytes, bundle.length, NULL, &heard, &outcome);
    bundle.bytes[offset] = (char)(bundle.bytes[offset] ^ (1 << bit));
    if (good || !heard.named)
        fail_msg("bit %u of byte %zu, of %s: %s", bit, offset, name, good ? "not found" : heard.first);
}

/* Every file: its header, its content, its padding; and the end. */
static void flipped_bits_are_found(void **state)
{
    size_t flips = 0, last = 0;
    char name[ARCHIVE_NAME_MAX_BYTES] = "";
    (void)state;
    struct archive_index *index = archive_index_make(bundle.bytes, bundle.length, NULL, NULL);
    assert_non_null(index);
    for (size_t i = 0; i < archive_index_count(index); i++) {
        struct archive_file file = archive_index_file(index, i);
        size_t end = i + 1 < archive_index_count(index) ? archive_index_file(index, i + 1).offset
                                                        : bundle.length - ARCHIVE_END_BYTES;
        size_t step = (end - file.offset) / 4 + 1;
        (void)snprintf(name, sizeof name, "%.*s", (int)file.name.length, file.name.bytes);
        if (i % 8 != 0 && strncmp(name, "proofs/", 7) == 0)
            continue; /* they are many, and alike */
        for (size_t at = file.offset; at < end; at += step, flips++)
            flip(at, (unsigned)(at % 8), name);
        flip(file.offset + 1, 0, name);
        flip(file.offset + 130, 2, name);
        flip(end - 1, 7, name);
        last = end;
    }
    archive_index_free(index);
    flip(last, 0, name);
    flip(bundle.length - 1, 5, name);
    assert_true(flips > 100);
}

static void shorter_and_longer_files_are_found(void **state)
{
    (void)state;
    for (size_t length = 0; length < bundle.length; length += bundle.length / 97 + 1) {
        struct heard heard = {0};
        struct verify_outcome outcome;
        assert_false(verify(bundle.bytes, length, NULL, &heard, &outcome));
        assert_true(heard.count > 0);
    }
    struct heard heard = {0};
    struct verify_outcome outcome;
    char *longer = calloc(1, bundle.length + 512);
    memcpy(longer, bundle.bytes, bundle.length);
    assert_false(verify(longer, bundle.length + 512, NULL, &heard, &outcome));
    free(longer);
}

/* Somebody who owns database and signing key removes the newest leaves, and lets the log grow anew. */
static void another_past_is_found(void **state)
{
    char note[4096];
    size_t length;
    struct verify_outcome outcome;
    struct heard shorter = {0}, other = {0}, fine = {0};
    (void)state;
    cluster_sql("SET session_replication_role = replica; ALTER TABLE audit.tile DISABLE TRIGGER ALL;"
                "ALTER TABLE audit.entry DISABLE TRIGGER ALL; ALTER TABLE audit.checkpoint DISABLE TRIGGER ALL;"
                "DELETE FROM audit.entry; DELETE FROM audit.tile; DELETE FROM audit.checkpoint;");
    signedlog.frontier = (struct tree_frontier){0};
    signedlog.seed = 1;
    signedlog_grow(SIZE - 50);
    signedlog_publish("2026-01-06 03:04:05Z", note, sizeof note);
    char *bytes = export_once(0, &length);
    assert_true(verify(bytes, length, NULL, &fine, &outcome));
    assert_false(verify(bytes, length, bundle.newest, &shorter, &outcome));
    assert_non_null(strstr(shorter.first, "with size 700 is not the beginning of this one: this one is shorter"));
    assert_int_equal(outcome.levels[VERIFY_CONSISTENCY].verdict, VERIFY_FAILED);
    assert_int_equal(outcome.levels[VERIFY_TREE].verdict, VERIFY_OK);
    free(bytes);
    signedlog_grow(SIZE + 50);
    signedlog_publish("2026-01-07 03:04:05Z", note, sizeof note);
    bytes = export_once(0, &length);
    assert_false(verify(bytes, length, bundle.earlier, &other, &outcome));
    assert_non_null(strstr(other.first, "with size 300 is not the beginning of this one: entries that it had are others"));
    free(bytes);
}

static void pruned_bodies_stay_in_the_tree(void **state)
{
    size_t length;
    struct heard heard = {0};
    struct verify_outcome outcome;
    (void)state;
    cluster_sql("ALTER TABLE audit.outbox ALTER leaf DROP NOT NULL; ALTER TABLE audit.outbox DISABLE TRIGGER ALL;"
                "UPDATE audit.outbox AS o SET leaf = NULL FROM audit.entry AS e WHERE e.id = o.id AND e.index < 300;"
                "UPDATE audit.pruned SET below = 300");
    char *bytes = export_once(0, &length);
    (void)verify(bytes, length, NULL, &heard, &outcome);
    assert_int_equal(outcome.pruned_below, 512);
    assert_int_equal(outcome.levels[VERIFY_SIGNATURES].verdict, VERIFY_OK);
    assert_int_equal(outcome.levels[VERIFY_TREE].verdict, VERIFY_OK);
    assert_int_equal(outcome.levels[VERIFY_CONSISTENCY].verdict, VERIFY_OK);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_bundle_is_good), cmocka_unit_test(made_twice_it_is_the_same),
        cmocka_unit_test(without_a_signer_nothing_is_left), cmocka_unit_test(flipped_bits_are_found),
        cmocka_unit_test(shorter_and_longer_files_are_found), cmocka_unit_test(another_past_is_found),
        cmocka_unit_test(pruned_bodies_stay_in_the_tree)};
    return cmocka_run_group_tests(tests, start, stop);
}
