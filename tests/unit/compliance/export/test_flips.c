/*
 * Every flipped bit of a small bundle is found, and the file that it lies in is named: a sample of the bits, and with
 * THRONG_LONG=1 all of them, by a process a core. The bundle has every kind of file, made of few leaves of several kinds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "compliance/bundle/archive.h"
#include "compliance/export/export.h"
#include "compliance/verify/verify.h"
#include "tests/unit/compliance/signedlog.h"
#include "tests/unit/compliance/trail.h"

#define SAMPLE_STEP 1009 /* bits; a prime, so that every bit of a byte has its turn */
#define FILES_MAX 128
#define FAULTS_TOLD 20
#define PROCESSES_MAX 64

/* A file of the bundle: its header, its content and what fills its last block up; of the last one the archive's end too. */
struct stretch {
    char name[ARCHIVE_NAME_MAX_BYTES];
    size_t begin, end;
};

static struct {
    char *bytes;
    size_t length;
    struct stretch files[FILES_MAX];
    size_t count;
} bundle;

static struct note_signer witness;

/* --- the log ------------------------------------------------------------------------------------------------------------ */

static bool is_kept(const char *leaf)
{
    static const char *const acts[] = {"app_added", "key_born", "request_received", "request_applied", "month_planned",
        "aggregates_released", "aggregates_read"};
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
        char text[80];
        (void)snprintf(text, sizeof text, "{\"act\":\"%s\",", acts[i]);
        if (strncmp(leaf, text, strlen(text)) == 0)
            return true;
    }
    return false;
}

static void append(const char *leaf)
{
    struct tree_hash hash;
    struct db_params *params = db_params_new();
    uint64_t index = signedlog.frontier.size;
    tree_leaf(leaf, strlen(leaf), &hash);
    signedlog_place(&hash);
    db_int8(params, (int64_t)index);
    db_text(params, leaf);
    signedlog_run("flips_append",
        "WITH n AS (SELECT convert_to($2, 'UTF8') AS leaf, ($2::json->>'id')::uuid AS id, $2::json->>'act' AS act, "
        "$2::json->>'tenant' AS tenant), o AS (INSERT INTO audit.outbox (id, act, leaf) SELECT id, act, leaf FROM n) "
        "INSERT INTO audit.entry (index, id, at, act, tenant) SELECT $1, id, now(), act, tenant FROM n", params);
}

/* The rows that the leaves speak of. */
static void put_rows(void)
{
    cluster_sql("SET session_replication_role = replica;"
        "INSERT INTO config.app (name, population, time_zone, leaf) "
        "SELECT 'story', 'people', 'Europe/Vienna', id FROM audit.outbox WHERE act = 'app_added';"
        "INSERT INTO config.definition (app, version, body, hash, leaf) SELECT app, 1, $$" TRAIL_DEFINITION "$$, "
        "sha256(convert_to($$" TRAIL_DEFINITION "$$, 'UTF8')), leaf FROM config.app;"
        "INSERT INTO release.ledger (population, month, app, family, rho, leaf) "
        "SELECT 'people', '2026-01-01', app, family, rho, o.id FROM config.app, audit.outbox AS o, "
        "(VALUES ('active', 0.475), ('new', 0.24)) AS f (family, rho) WHERE o.act = 'month_planned';"
        "INSERT INTO release.release (leaf, population, app, family, item, interval, period, definition, preset, protection, "
        "mechanism, k, sealed_at) SELECT o.id, 'people', app, 'active', '', 'day', '2026-01-01', 1, 'standard', 'dp', "
        "'discrete_gaussian', 11, now() FROM config.app, audit.outbox AS o WHERE o.act = 'aggregates_released';"
        "SET session_replication_role = origin");
}

/* The witness signs the newest checkpoint. */
static void cosign(const char *note)
{
    char bytes[4096];
    size_t text = (size_t)(strstr(note, "\n\n") - note) + 1;
    struct text_writer out = {.bytes = bytes, .room = sizeof bytes};
    text_puts(&out, note);
    assert_int_equal(note_sign((struct text_view){note, text}, &witness, 1767600000, &out, NULL), RESULT_OK);
    struct db_params *params = db_params_new();
    db_bytes(params, bytes, out.length);
    signedlog_run("flips_cosign",
        "INSERT INTO audit.checkpoint SELECT size, signed_at + interval '1 minute', $1 FROM audit.checkpoint "
        "ORDER BY size DESC LIMIT 1", params);
}

static void make_log(void)
{
    struct trail_fixture trail;
    char note[4096];
    trail_begin_fixture(&trail);
    for (size_t i = 0; i < trail.count; i++) {
        if (!is_kept(trail.leaves[i]))
            continue;
        append(trail.leaves[i]);
        if (signedlog.frontier.size == 3)
            signedlog_publish("2026-01-02 03:04:05Z", note, sizeof note);
    }
    trail_end_fixture(&trail);
    for (int level = 0; level < SIGNEDLOG_LEVELS; level++)
        signedlog_store(level);
    signedlog_publish("2026-01-05 03:04:05Z", note, sizeof note);
    cosign(note);
    put_rows();
}

/* --- the bundle --------------------------------------------------------------------------------------------------------- */

static void write_witnesses(const char *path)
{
    char key[NOTE_KEY_MAX_BYTES];
    const uint8_t seed[NOTE_SEED_BYTES] = {9};
    assert_int_equal(note_signer_make("witness.example", NOTE_COSIGNATURE, seed, &witness, NULL), RESULT_OK);
    note_key_print(&witness.key, key);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    (void)fprintf(file, "http://127.0.0.1:9/ %s\n", key);
    assert_int_equal(fclose(file), 0);
}

static void read_bundle(const char *path)
{
    struct stat status;
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_int_equal(fstat(fileno(file), &status), 0);
    bundle.length = (size_t)status.st_size;
    bundle.bytes = malloc(bundle.length);
    assert_int_equal(fread(bundle.bytes, 1, bundle.length, file), bundle.length);
    (void)fclose(file);
}

static void list_files(void)
{
    struct archive_index *index = archive_index_make(bundle.bytes, bundle.length, NULL, NULL);
    assert_non_null(index);
    bundle.count = archive_index_count(index);
    assert_in_range(bundle.count, 1, FILES_MAX);
    for (size_t i = 0; i < bundle.count; i++) {
        struct archive_file file = archive_index_file(index, i);
        struct stretch *stretch = &bundle.files[i];
        (void)snprintf(stretch->name, sizeof stretch->name, "%.*s", (int)file.name.length, file.name.bytes);
        stretch->begin = file.offset;
        stretch->end = i + 1 < bundle.count ? archive_index_file(index, i + 1).offset : bundle.length;
    }
    archive_index_free(index);
}

static int start(void **state)
{
    char out[128], witnesses[128];
    struct failure why = {0};
    struct export_made made;
    if (sodium_init() < 0 || cluster_start(state) != 0)
        return -1;
    (void)snprintf(out, sizeof out, "%s/bundle.tar", cluster.directory);
    (void)snprintf(witnesses, sizeof witnesses, "%s/witnesses", cluster.directory);
    signedlog_begin();
    write_witnesses(witnesses);
    make_log();
    struct db *db = cluster_connect("throng_read", "test");
    struct export_request request = {.db = db, .path = out, .signer = signedlog.socket, .witnesses = witnesses};
    if (export_make(&request, &made, &why) != RESULT_OK)
        fail_msg("%s: %s", why.field, why.text);
    db_free(db);
    read_bundle(out);
    list_files();
    return 0;
}

static int stop(void **state)
{
    free(bundle.bytes);
    signedlog_end();
    return cluster_stop(state);
}

/* --- verifying ---------------------------------------------------------------------------------------------------------- */

/* What a verification found. */
struct heard {
    const char *wanted; /* a name that some finding must have */
    bool named;
    char first[512];
};

static void hear(void *context, const struct verify_finding *finding)
{
    struct heard *heard = context;
    if (heard->first[0] == '\0')
        (void)snprintf(heard->first, sizeof heard->first, "%s: %s", finding->where, finding->what);
    if (heard->wanted != NULL && strcmp(finding->where, heard->wanted) == 0)
        heard->named = true;
}

static bool verify(struct heard *heard, struct verify_outcome *outcome)
{
    struct verify_request request = {.bundle = {bundle.bytes, bundle.length},
        .keys = &signedlog.signer.key,
        .key_count = 1,
        .found = hear,
        .context = heard};
    return verify_run(&request, outcome);
}

static void it_is_good(void **state)
{
    struct heard heard = {0};
    struct verify_outcome outcome;
    (void)state;
    if (!verify(&heard, &outcome))
        fail_msg("%s", heard.first);
    for (int i = 0; i < VERIFY_LEVELS; i++)
        assert_int_equal(outcome.levels[i].verdict, VERIFY_OK);
}

static void it_has_every_kind_of_file(void **state)
{
    static const char *const kinds[] = {"README", "apps/", "consistency/", "database/ledger.csv", "database/releases.csv",
        "keys/log.pem", "keys/log.vkey", "keys/witness-", "log/checkpoint", "log/tile/0/", "log/tile/entries/", "manifest.json",
        "manifest.note", "oscal/", "policy.json", "proofs/", "report/", "verify.sh"};
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t found = 0;
        for (size_t k = 0; k < bundle.count; k++)
            found += strncmp(bundle.files[k].name, kinds[i], strlen(kinds[i])) == 0;
        if (found == 0)
            fail_msg("there is no %s", kinds[i]);
    }
}

/* Flip one bit of the file and have it found. A fault is told, unless many were. */
static void flip(const struct stretch *file, size_t bit, size_t *faults)
{
    struct heard heard = {.wanted = file->name};
    struct verify_outcome outcome;
    char mask = (char)(1 << bit % 8);
    bundle.bytes[bit / 8] ^= mask;
    bool good = verify(&heard, &outcome);
    bundle.bytes[bit / 8] ^= mask;
    if ((good || !heard.named) && ++*faults <= FAULTS_TOLD)
        (void)fprintf(stderr, "bit %zu of byte %zu of %s: %s\n", bit % 8, bit / 8 - file->begin, file->name,
            good ? "not found" : heard.first);
}

/* Every step-th bit from `first` on. Returns how many were not found, or not named. */
static size_t flip_some(size_t first, size_t step)
{
    size_t faults = 0, bit = first;
    for (size_t i = 0; i < bundle.count; i++) {
        for (; bit < bundle.files[i].end * 8; bit += step)
            flip(&bundle.files[i], bit, &faults);
    }
    return faults;
}

static void flip_all(size_t processes)
{
    pid_t children[PROCESSES_MAX];
    size_t failed = 0;
    for (size_t i = 0; i < processes; i++) {
        children[i] = fork();
        if (children[i] == 0)
            _exit(flip_some(i, processes) == 0 ? 0 : 1);
        assert_true(children[i] > 0);
    }
    for (size_t i = 0; i < processes; i++) {
        int status = -1;
        (void)waitpid(children[i], &status, 0);
        failed += status != 0;
    }
    assert_int_equal(failed, 0);
}

static void every_flipped_bit_is_found_and_named(void **state)
{
    const char *longer = getenv("THRONG_LONG");
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    bool all = longer != NULL && strcmp(longer, "1") == 0;
    (void)state;
    print_message("%zu files, %zu bits, %s\n", bundle.count, bundle.length * 8, all ? "all" : "a sample");
    if (all)
        flip_all(cores < 1 ? 1 : cores > PROCESSES_MAX ? PROCESSES_MAX : (size_t)cores);
    else
        assert_int_equal(flip_some(0, SAMPLE_STEP), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(it_is_good), cmocka_unit_test(it_has_every_kind_of_file),
        cmocka_unit_test(every_flipped_bit_is_found_and_named)};
    return cmocka_run_group_tests(tests, start, stop);
}
