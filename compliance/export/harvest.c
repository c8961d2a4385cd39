#include "compliance/export/harvest.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compliance/audit/tile.h"
#include "compliance/bundle/bodies.h"
#include "compliance/bundle/manifest.h"
#include "compliance/export/spill.h"

#define NEWEST_PROOFS 100
#define FETCHED_ROWS "4096"
#define TILES_AT_ONCE 256
#define ENTRIES_AT_ONCE 1024 /* a multiple of TILE_WIDTH */
#define SIZE_MAX_LEAVES ((uint64_t)256000000) /* further on, paths of tiles are not in the order of their indexes */
#define LEVELS 8

static void tell(const struct harvest *harvest, double fraction, const char *what)
{
    if (harvest->progress != NULL)
        harvest->progress(harvest->context, fraction, what);
}

static enum result ask(struct harvest *harvest, const char *name, const char *sql, uint64_t one, PGresult **rows,
    struct failure *why)
{
    struct db_params *params = db_params_new();
    db_int8(params, (int64_t)one);
    enum result result = db_run(harvest->db, name, sql, params, rows, why);
    db_params_free(params);
    return result;
}

static enum result corrupt(struct failure *why, const char *field, const char *text)
{
    failure_set(why, field, "%s", text);
    return RESULT_CORRUPT;
}

/* --- the checkpoint and who signs ----------------------------------------------------------------------------------------- */

static enum result read_checkpoint(struct harvest *harvest, uint64_t size, struct failure *why)
{
    PGresult *rows = NULL;
    enum result result = ask(harvest, "export_checkpoint",
        "SELECT size, note FROM audit.checkpoint WHERE $1::bigint = 0 OR size = $1 ORDER BY size DESC, signed_at DESC LIMIT 1",
        size, &rows, why);
    if (result != RESULT_OK)
        return result;
    if (PQntuples(rows) == 0) {
        PQclear(rows);
        failure_set(why, "checkpoint", size == 0 ? "none is signed yet: is throng-audit running?" : "none of that size was published");
        return RESULT_NOT_FOUND;
    }
    const uint8_t *note = db_get_bytes(rows, 0, 1, &harvest->note_length);
    if (harvest->note_length <= sizeof harvest->note)
        memcpy(harvest->note, note, harvest->note_length);
    PQclear(rows);
    return harvest->note_length <= sizeof harvest->note ? RESULT_OK : corrupt(why, "checkpoint", "it is too long");
}

static enum result read_keys(struct harvest *harvest, struct failure *why)
{
    PGresult *rows = NULL;
    enum result result = db_run(harvest->db, "export_keys",
        "SELECT vkey FROM audit.log_key ORDER BY from_size, told_at, vkey COLLATE \"C\"", NULL, &rows, why);
    int count = result == RESULT_OK ? PQntuples(rows) : 0;
    if (result == RESULT_OK && (count == 0 || count > TERMS_KEYS_MAX))
        result = corrupt(why, "audit.log_key", "it has no key, or more than a bundle can name");
    for (int i = 0; i < count && result == RESULT_OK; i++)
        result = note_key_parse(db_get_text(rows, i, 0), &harvest->terms.keys[harvest->terms.key_count++], why);
    PQclear(rows);
    return result;
}

static int order_keys(const void *one, const void *other)
{
    const struct note_key *a = one, *b = other;
    return (a->id > b->id) - (a->id < b->id);
}

static enum result add_witness(struct terms *terms, char *line, struct failure *why)
{
    char *blank = strrchr(line, ' ');
    if (line[0] == '\0' || line[0] == '#')
        return RESULT_OK;
    if (terms->witness_count == TERMS_WITNESSES_MAX) {
        failure_set(why, "audit.witnesses", "more than %d", TERMS_WITNESSES_MAX);
        return RESULT_FULL;
    }
    return note_key_parse(blank == NULL ? line : blank + 1, &terms->witnesses[terms->witness_count++], why);
}

static enum result read_witnesses(struct terms *terms, const char *path, struct failure *why)
{
    char line[NOTE_KEY_MAX_BYTES + 1024];
    enum result result = RESULT_OK;
    if (path == NULL || path[0] == '\0')
        return RESULT_OK;
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        failure_set(why, "audit.witnesses", "the file cannot be read");
        return RESULT_FAILED;
    }
    while (result == RESULT_OK && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\r\n")] = '\0';
        result = add_witness(terms, line, why);
    }
    (void)fclose(file);
    qsort(terms->witnesses, terms->witness_count, sizeof *terms->witnesses, order_keys);
    return result;
}

static enum result read_pruned(struct harvest *harvest, struct failure *why)
{
    PGresult *rows = NULL;
    enum result result = db_run(harvest->db, "export_pruned", "SELECT below FROM audit.pruned", NULL, &rows, why);
    if (result != RESULT_OK)
        return result;
    uint64_t below = PQntuples(rows) == 0 ? 0 : (uint64_t)db_get_int8(rows, 0, 0);
    PQclear(rows);
    /* A bundle of entries is whole or not there. */
    below = (below + TILE_WIDTH - 1) / TILE_WIDTH * TILE_WIDTH;
    harvest->terms.pruned_below = below < harvest->checkpoint.size ? below : harvest->checkpoint.size;
    return RESULT_OK;
}

static enum result load_tile(void *context, const struct tile *tile, uint8_t *hashes, struct failure *why)
{
    struct harvest *harvest = context;
    PGresult *rows = NULL;
    size_t length = 0, wanted = tile->width * (size_t)TREE_HASH_BYTES;
    struct db_params *params = db_params_new();
    db_int4(params, tile->level);
    db_int8(params, (int64_t)tile->index);
    enum result result = db_run(harvest->db, "export_tile", "SELECT hashes FROM audit.tile WHERE level = $1 AND index = $2",
        params, &rows, why);
    db_params_free(params);
    if (result != RESULT_OK)
        return result;
    const uint8_t *bytes = PQntuples(rows) == 0 ? NULL : db_get_bytes(rows, 0, 0, &length);
    if (length >= wanted)
        memcpy(hashes, bytes, wanted);
    PQclear(rows);
    return length >= wanted ? RESULT_OK : corrupt(why, "audit.tile", "a tile of the log is missing or too short");
}

static enum result check_root(struct harvest *harvest, struct failure *why)
{
    struct tree_frontier frontier = {0};
    struct tree_hash root;
    struct tile_source source = {load_tile, harvest};
    struct tile_reader *tiles = tile_reader_open(&source, harvest->checkpoint.size);
    if (tiles == NULL)
        return RESULT_FAILED;
    struct tree_reader reader = {tile_read, tiles};
    enum result result = tree_restore(&reader, harvest->checkpoint.size, &frontier, why);
    tile_reader_close(tiles);
    if (result != RESULT_OK)
        return result;
    tree_root(&frontier, &root);
    return tree_equal(&root, &harvest->checkpoint.root)
               ? RESULT_OK
               : corrupt(why, "audit.tile", "the tiles do not have the root that was signed: the log was changed");
}

static enum result check_signed(struct harvest *harvest, struct failure *why)
{
    struct note note;
    struct note_seal seals[TERMS_KEYS_MAX];
    enum result result = note_parse(harvest->note, harvest->note_length, &note, why);
    if (result == RESULT_OK)
        result = checkpoint_parse(note.text, &harvest->checkpoint, why);
    if (result == RESULT_OK)
        result = note_verify(&note, harvest->terms.keys, harvest->terms.key_count, seals, why);
    if (result == RESULT_OK && harvest->checkpoint.size > SIZE_MAX_LEAVES) {
        failure_set(why, "log", "a bundle holds at most %" PRIu64 " entries", SIZE_MAX_LEAVES);
        return RESULT_FULL;
    }
    return result == RESULT_NOT_FOUND ? corrupt(why, "checkpoint", "it is not signed by the log's key") : result;
}

enum result harvest_begin(struct harvest *harvest, uint64_t size, const char *witnesses, struct failure *why)
{
    struct terms *terms = &harvest->terms;
    enum result result = read_checkpoint(harvest, size, why);
    if (result == RESULT_OK)
        result = read_keys(harvest, why);
    if (result == RESULT_OK)
        result = check_signed(harvest, why);
    if (result == RESULT_OK)
        result = read_witnesses(terms, witnesses, why);
    if (result == RESULT_OK)
        result = read_pruned(harvest, why);
    if (result != RESULT_OK)
        return result;
    memcpy(terms->origin, harvest->checkpoint.origin, sizeof terms->origin);
    terms->size = harvest->checkpoint.size;
    (void)snprintf(terms->version, sizeof terms->version, "%s", THRONG_VERSION);
    return check_root(harvest, why);
}

/* --- tables --------------------------------------------------------------------------------------------------------------- */

/* A definition in the form that its hash is of. */
static enum result put_definition(const PGresult *rows, int row, struct archive_writer *archive, struct failure *why)
{
    size_t length;
    uint8_t hash[crypto_hash_sha256_BYTES];
    char hex[MANIFEST_HEX_BYTES], name[ARCHIVE_NAME_MAX_BYTES];
    const uint8_t *wanted = db_get_bytes(rows, row, 0, &length);
    json_t *root = json_loads(db_get_text(rows, row, 1), JSON_REJECT_DUPLICATES, NULL);
    char *text = root == NULL ? NULL : json_dumps(root, JSON_SORT_KEYS | JSON_COMPACT | JSON_REAL_PRECISION(15));
    json_decref(root);
    if (text == NULL)
        return corrupt(why, "config.definition", "an app's definition cannot be read");
    crypto_hash_sha256(hash, (const unsigned char *)text, strlen(text));
    manifest_hex(hash, hex);
    (void)snprintf(name, sizeof name, "apps/%s.json", hex);
    enum result result = length == sizeof hash && memcmp(wanted, hash, sizeof hash) == 0
                             ? archive_put(archive, name, text, strlen(text), why)
                             : corrupt(why, "config.definition", "an app's definition is not what its hash is of");
    free(text);
    return result;
}

static enum result put_definitions(struct harvest *harvest, struct archive_writer *archive, struct failure *why)
{
    PGresult *rows = NULL;
    enum result result = ask(harvest, "export_definitions",
        "SELECT DISTINCT ON (d.hash) d.hash, d.body::text FROM config.definition AS d JOIN audit.entry AS e ON e.id = d.leaf "
        "WHERE e.index < $1 ORDER BY d.hash, e.index",
        harvest->checkpoint.size, &rows, why);
    int count = result == RESULT_OK ? PQntuples(rows) : 0;
    for (int i = 0; i < count && result == RESULT_OK; i++)
        result = put_definition(rows, i, archive, why);
    PQclear(rows);
    return result;
}

static enum result put_link(struct harvest *harvest, const struct tree_reader *tiles, const PGresult *rows, int row,
    struct archive_writer *archive, struct failure *why)
{
    size_t length;
    char name[ARCHIVE_NAME_MAX_BYTES];
    struct terms_link *link = &harvest->link;
    struct text_writer writer = {.bytes = harvest->text, .room = sizeof harvest->text};
    const uint8_t *note = db_get_bytes(rows, row, 1, &length);
    if (length >= sizeof link->note)
        return corrupt(why, "checkpoint", "an earlier one is too long");
    memcpy(link->note, note, length);
    link->note[length] = '\0';
    link->older = (uint64_t)db_get_int8(rows, row, 0);
    link->newer = harvest->checkpoint.size;
    enum result result = tree_prove_consistency(tiles, link->older, link->newer, &link->proof, why);
    if (result != RESULT_OK)
        return result;
    terms_link_print(link, &writer);
    if (writer.full)
        return corrupt(why, "checkpoint", "an earlier one is too long");
    (void)snprintf(name, sizeof name, "consistency/%" PRIu64 "-%" PRIu64 ".json", link->older, link->newer);
    return archive_put(archive, name, writer.bytes, writer.length, why);
}

/* Earlier checkpoints: the largest of each day. Sizes below a published one get no further rows, so that these stay. */
static enum result put_links(struct harvest *harvest, struct archive_writer *archive, struct failure *why)
{
    PGresult *rows = NULL;
    struct tile_source source = {load_tile, harvest};
    struct tile_reader *opened = tile_reader_open(&source, harvest->checkpoint.size);
    struct tree_reader tiles = {tile_read, opened};
    if (opened == NULL)
        return RESULT_FAILED;
    enum result result = ask(harvest, "export_links",
        "SELECT size, note FROM (SELECT DISTINCT ON (size) size, note FROM (SELECT DISTINCT ON (date_trunc('day', signed_at, 'UTC')) "
        "size, signed_at, note FROM audit.checkpoint WHERE size < $1 ORDER BY date_trunc('day', signed_at, 'UTC'), size DESC, signed_at) "
        "AS daily ORDER BY size, signed_at) AS one ORDER BY size::text COLLATE \"C\"",
        harvest->checkpoint.size, &rows, why);
    int count = result == RESULT_OK ? PQntuples(rows) : 0;
    for (int i = 0; i < count && result == RESULT_OK; i++)
        result = put_link(harvest, &tiles, rows, i, archive, why);
    PQclear(rows);
    tile_reader_close(opened);
    return result;
}

/* RFC 4180. */
static void put_field(FILE *file, const char *text)
{
    if (text[strcspn(text, ",\"\r\n")] == '\0') {
        (void)fputs(text, file);
        return;
    }
    (void)fputc('"', file);
    for (; *text != '\0'; text++) {
        if (*text == '"')
            (void)fputc('"', file);
        (void)fputc(*text, file);
    }
    (void)fputc('"', file);
}

static void put_rows(FILE *file, const PGresult *rows)
{
    for (int i = 0; i < PQntuples(rows); i++) {
        for (int k = 0; k < PQnfields(rows); k++) {
            if (k > 0)
                (void)fputc(',', file);
            put_field(file, db_get_text(rows, i, k));
        }
        (void)fputc('\n', file);
    }
}

/* A table as CSV: header, and what query (of texts; %s: the size) gives, read by a cursor. */
struct table {
    const char *path, *header;
    const char *cursor, *fetch, *query; /* names and text of statements: literals */
};

static enum result put_table(
    struct harvest *harvest, const struct table *table, struct archive_writer *archive, struct failure *why)
{
    char sql[2048];
    FILE *file = NULL;
    (void)snprintf(sql, sizeof sql,
        "DECLARE %s NO SCROLL CURSOR FOR %s WHERE e.index < %" PRIu64 " ORDER BY e.index, 1, 2, 3, 4, 5, 6", table->cursor,
        table->query, harvest->checkpoint.size);
    enum result result = db_script(harvest->db, sql, why);
    if (result == RESULT_OK)
        result = spill_open(harvest->beside, &file, why);
    if (result != RESULT_OK)
        return result;
    (void)fprintf(file, "%s\n", table->header);
    for (int count = 1; count > 0 && result == RESULT_OK;) {
        PGresult *rows = NULL;
        result = db_run(harvest->db, table->cursor, table->fetch, NULL, &rows, why);
        count = result == RESULT_OK ? PQntuples(rows) : 0;
        if (result == RESULT_OK)
            put_rows(file, rows);
        PQclear(rows);
    }
    if (result == RESULT_OK)
        result = ferror(file) == 0 ? spill_put(archive, table->path, file, why) : RESULT_FAILED;
    (void)fclose(file);
    return result;
}

enum result harvest_tables(struct harvest *harvest, struct archive_writer *archive, struct failure *why)
{
    static const struct table ledger = {"database/ledger.csv", "population,month,app,family,rho,leaf", "export_ledger",
        "FETCH " FETCHED_ROWS " FROM export_ledger",
        "SELECT l.population::text COLLATE \"C\", to_char(l.month, 'YYYY-MM-DD'), coalesce(a.name, '') COLLATE \"C\", "
        "l.family COLLATE \"C\", l.rho::numeric(24, 12)::text, l.leaf::text FROM release.ledger AS l "
        "JOIN audit.entry AS e ON e.id = l.leaf LEFT JOIN config.app AS a USING (app)"};
    static const struct table releases = {"database/releases.csv",
        "population,app,family,item,interval,period,definition,leaf", "export_releases",
        "FETCH " FETCHED_ROWS " FROM export_releases",
        "SELECT r.population::text COLLATE \"C\", coalesce(a.name, '') COLLATE \"C\", r.family COLLATE \"C\", "
        "r.item COLLATE \"C\", r.interval COLLATE \"C\", to_char(r.period, 'YYYY-MM-DD'), r.definition::text, r.leaf::text "
        "FROM release.release AS r JOIN audit.entry AS e ON e.id = r.leaf LEFT JOIN config.app AS a USING (app)"};
    enum result result = put_definitions(harvest, archive, why);
    if (result == RESULT_OK)
        result = put_links(harvest, archive, why);
    if (result == RESULT_OK)
        result = put_table(harvest, &ledger, archive, why);
    return result == RESULT_OK ? put_table(harvest, &releases, archive, why) : result;
}

enum result harvest_keys(struct harvest *harvest, struct archive_writer *archive, struct failure *why)
{
    const struct terms *terms = &harvest->terms;
    char line[NOTE_KEY_MAX_BYTES + 1], pem[TERMS_PEM_BYTES], name[ARCHIVE_NAME_MAX_BYTES];
    struct text_writer all = {.bytes = harvest->text, .room = sizeof harvest->text};
    for (size_t i = 0; i < terms->key_count; i++) {
        note_key_print(&terms->keys[i], line);
        text_puts(&all, line);
        text_puts(&all, "\n");
    }
    terms_pem(&terms->keys[terms->key_count - 1], pem);
    enum result result = archive_put(archive, "keys/log.pem", pem, strlen(pem), why);
    if (result == RESULT_OK)
        result = archive_put(archive, "keys/log.vkey", all.bytes, all.length, why);
    for (size_t i = 0; i < terms->witness_count && result == RESULT_OK; i++) {
        note_key_print(&terms->witnesses[i], line);
        size_t length = strlen(line);
        line[length++] = '\n';
        (void)snprintf(name, sizeof name, "keys/witness-%08" PRIx32 ".vkey", terms->witnesses[i].id);
        result = archive_put(archive, name, line, length, why);
    }
    return result;
}

/* --- the log -------------------------------------------------------------------------------------------------------------- */

static enum result put_tile(struct harvest *harvest, int level, uint64_t index, const uint8_t *hashes, size_t length,
    struct archive_writer *archive, struct failure *why)
{
    struct tile tile;
    char path[BODIES_PATH_MAX_BYTES];
    if (!bodies_path(harvest->checkpoint.size, level, index, &tile, path) || length < tile.width * (size_t)TREE_HASH_BYTES)
        return corrupt(why, "audit.tile", "a tile of the log is missing or too short");
    return archive_put(archive, path, hashes, tile.width * (size_t)TREE_HASH_BYTES, why);
}

/* Tiles first to end-1 of a level. */
static enum result put_some_tiles(struct harvest *harvest, int level, uint64_t first, uint64_t end,
    struct archive_writer *archive, struct failure *why)
{
    PGresult *rows = NULL;
    struct db_params *params = db_params_new();
    db_int4(params, level);
    db_int8(params, (int64_t)first);
    db_int8(params, (int64_t)end);
    enum result result = db_run(harvest->db, "export_tiles",
        "SELECT index, hashes FROM audit.tile WHERE level = $1 AND index >= $2 AND index < $3 ORDER BY index", params, &rows, why);
    db_params_free(params);
    if (result == RESULT_OK && (uint64_t)PQntuples(rows) != end - first)
        result = corrupt(why, "audit.tile", "a tile of the log is missing");
    for (int i = 0; result == RESULT_OK && i < PQntuples(rows); i++) {
        size_t length;
        const uint8_t *hashes = db_get_bytes(rows, i, 1, &length);
        result = put_tile(harvest, level, (uint64_t)db_get_int8(rows, i, 0), hashes, length, archive, why);
    }
    PQclear(rows);
    return result;
}

static enum result put_level(struct harvest *harvest, int level, struct archive_writer *archive, struct failure *why)
{
    enum result result = RESULT_OK;
    uint64_t nodes = harvest->checkpoint.size >> (TILE_HEIGHT * (unsigned)level);
    uint64_t tiles = (nodes + TILE_WIDTH - 1) / TILE_WIDTH;
    for (uint64_t first = 0; first < tiles && result == RESULT_OK; first += TILES_AT_ONCE) {
        uint64_t end = first + TILES_AT_ONCE < tiles ? first + TILES_AT_ONCE : tiles;
        result = put_some_tiles(harvest, level, first, end, archive, why);
    }
    return result;
}

/* One entry bundle of rows[from..from+width-1]; space has room for any. */
static enum result put_bundle(struct harvest *harvest, uint64_t index, const PGresult *rows, int from, uint8_t *space,
    struct archive_writer *archive, struct failure *why)
{
    struct tile tile;
    char path[BODIES_PATH_MAX_BYTES];
    size_t used = 0, length;
    enum result result = RESULT_OK;
    if (!bodies_path(harvest->checkpoint.size, TILE_ENTRIES, index, &tile, path))
        return corrupt(why, "audit.entry", "an entry of the log is missing");
    for (int i = from; i < from + (int)tile.width && result == RESULT_OK; i++) {
        if (i >= PQntuples(rows) || db_is_null(rows, i, 0))
            return corrupt(why, "audit.entry", "an entry of the log, or its body, is missing");
        const uint8_t *leaf = db_get_bytes(rows, i, 0, &length);
        result = tile_put_entry(space, TILE_BUNDLE_MAX_BYTES, &used, leaf, length, why);
    }
    return result == RESULT_OK ? archive_put(archive, path, space, used, why) : result;
}

static enum result put_some_entries(
    struct harvest *harvest, uint64_t first, uint8_t *space, struct archive_writer *archive, struct failure *why)
{
    PGresult *rows = NULL;
    uint64_t size = harvest->checkpoint.size, end = first + ENTRIES_AT_ONCE < size ? first + ENTRIES_AT_ONCE : size;
    struct db_params *params = db_params_new();
    db_int8(params, (int64_t)first);
    db_int8(params, (int64_t)end);
    enum result result = db_run(harvest->db, "export_entries",
        "SELECT o.leaf FROM audit.entry AS e JOIN audit.outbox AS o USING (id) WHERE e.index >= $1 AND e.index < $2 ORDER BY e.index",
        params, &rows, why);
    db_params_free(params);
    for (uint64_t index = first; index < end && result == RESULT_OK; index += TILE_WIDTH)
        result = put_bundle(harvest, index / TILE_WIDTH, rows, (int)(index - first), space, archive, why);
    PQclear(rows);
    return result;
}

enum result harvest_log(struct harvest *harvest, struct archive_writer *archive, struct failure *why)
{
    uint64_t size = harvest->checkpoint.size;
    enum result result = archive_put(archive, "log/checkpoint", harvest->note, harvest->note_length, why);
    for (int level = 0; level < LEVELS && result == RESULT_OK; level++)
        result = put_level(harvest, level, archive, why);
    uint8_t *space = malloc(TILE_BUNDLE_MAX_BYTES);
    if (result == RESULT_OK && space == NULL)
        result = RESULT_FAILED;
    for (uint64_t first = harvest->terms.pruned_below; first < size && result == RESULT_OK; first += ENTRIES_AT_ONCE) {
        tell(harvest, 0.4 * (double)first / (double)size, "entries");
        result = put_some_entries(harvest, first, space, archive, why);
    }
    free(space);
    return result;
}

/* --- proofs --------------------------------------------------------------------------------------------------------------- */

static enum result put_proof(struct harvest *harvest, const struct tree_reader *tiles, const PGresult *rows, int row,
    struct archive_writer *archive, struct failure *why)
{
    char name[ARCHIVE_NAME_MAX_BYTES];
    struct proof proof = {.index = (uint64_t)db_get_int8(rows, row, 0),
        .checkpoint = {harvest->note, harvest->note_length}};
    struct text_writer writer = {.bytes = harvest->text, .room = sizeof harvest->text};
    enum result result = tree_prove_inclusion(tiles, proof.index, harvest->checkpoint.size, &proof.path, why);
    if (result == RESULT_OK)
        result = proof_print(&proof, &writer, why);
    if (result != RESULT_OK)
        return result;
    (void)snprintf(name, sizeof name, "proofs/%s.tlog-proof", db_get_text(rows, row, 1));
    return archive_put(archive, name, writer.bytes, writer.length, why);
}

enum result harvest_proofs(struct harvest *harvest, const struct tree_reader *tiles, struct archive_writer *archive,
    struct failure *why)
{
    char sql[512];
    uint64_t size = harvest->checkpoint.size, newest = size < NEWEST_PROOFS ? 0 : size - NEWEST_PROOFS;
    (void)snprintf(sql, sizeof sql,
        "DECLARE export_proofs NO SCROLL CURSOR FOR SELECT index, id::text FROM audit.entry WHERE index < %" PRIu64
        " AND (index >= %" PRIu64 " OR act LIKE 'request\\_%%') ORDER BY id",
        size, newest);
    enum result result = db_script(harvest->db, sql, why);
    for (int count = 1; count > 0 && result == RESULT_OK;) {
        PGresult *rows = NULL;
        result = db_run(harvest->db, "export_proofs", "FETCH " FETCHED_ROWS " FROM export_proofs", NULL, &rows, why);
        count = result == RESULT_OK ? PQntuples(rows) : 0;
        for (int i = 0; i < count && result == RESULT_OK; i++)
            result = put_proof(harvest, tiles, rows, i, archive, why);
        PQclear(rows);
    }
    return result;
}
