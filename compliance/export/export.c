#include "compliance/export/export.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compliance/bundle/bodies.h"
#include "compliance/bundle/manifest.h"
#include "compliance/export/harvest.h"
#include "compliance/export/notary.h"
#include "compliance/export/papers.h"
#include "compliance/export/spill.h"

#define PATH_BYTES 1024

/* A run of files that stand together in the bundle, with their members of the manifest. */
struct part {
    FILE *archive, *manifest;
    struct archive_writer writer;
    struct text_view view; /* mapped, once it is finished */
    struct archive_index *index;
};

/* A bundle being made. In their order: front (README to database/), events and keys, log, the manifest, back (oscal/ on). */
struct making {
    const struct export_request *request;
    struct harvest *harvest;
    struct part front, log, back;
    struct spill reports;
    struct bodies bodies;
    struct bodies_lines ledger, releases;
    FILE *out, *middle, *manifest;
    char temporary[PATH_BYTES];
    struct archive_writer writer;
    struct export_made made;
};

static void tell(const struct making *making, double fraction, const char *what)
{
    if (making->request->progress != NULL)
        making->request->progress(making->request->context, fraction, what);
}

/* --- parts ---------------------------------------------------------------------------------------------------------------- */

static enum result begin_part(struct making *making, struct part *part, struct failure *why)
{
    enum result result = spill_open(making->request->path, &part->archive, why);
    if (result == RESULT_OK)
        result = spill_open(making->request->path, &part->manifest, why);
    if (result == RESULT_OK)
        archive_begin_part(&part->writer, part->archive, part->manifest);
    return result;
}

/* The end blocks make it an archive that can be read; they do not go into the bundle. */
static enum result finish_part(struct part *part, struct failure *why)
{
    enum result result = archive_end(&part->writer, NULL, why);
    if (result == RESULT_OK)
        result = spill_map(part->archive, &part->view, why);
    if (result != RESULT_OK)
        return result;
    part->index = archive_index_make(part->view.bytes, part->view.length, NULL, NULL);
    return part->index == NULL ? RESULT_FAILED : RESULT_OK;
}

static enum result splice_part(struct making *making, const struct part *part, struct failure *why)
{
    return archive_splice(
        &making->writer, part->view.bytes, part->view.length - ARCHIVE_END_BYTES, part->writer.last, why);
}

static void free_part(struct part *part)
{
    archive_index_free(part->index);
    spill_unmap(part->view);
    if (part->archive != NULL)
        (void)fclose(part->archive);
    if (part->manifest != NULL)
        (void)fclose(part->manifest);
}

/* --- what is said of the leaves --------------------------------------------------------------------------------------------- */

static enum result read_leaf(void *context, uint64_t index, struct text_view *leaf, struct failure *why)
{
    struct making *making = context;
    return bodies_read(&making->bodies, index, leaf, why);
}

static enum result read_definition(
    void *context, const uint8_t hash[32], struct text_view *definition, struct failure *why)
{
    struct making *making = context;
    struct archive_file file;
    char hex[MANIFEST_HEX_BYTES], name[ARCHIVE_NAME_MAX_BYTES];
    manifest_hex(hash, hex);
    (void)snprintf(name, sizeof name, "apps/%s.json", hex);
    if (archive_index_find(making->front.index, name, &file) != RESULT_OK) {
        failure_set(why, "definition", "there is no definition of that hash");
        return RESULT_NOT_FOUND;
    }
    *definition = file.content;
    return RESULT_OK;
}

static enum result read_ledger(void *context, uint64_t row, struct text_view *line, struct failure *why)
{
    struct making *making = context;
    (void)why;
    return bodies_line(&making->ledger, row, line);
}

static enum result read_release(void *context, uint64_t row, struct text_view *line, struct failure *why)
{
    struct making *making = context;
    (void)why;
    return bodies_line(&making->releases, row, line);
}

static void report_progress(void *context, uint64_t done, uint64_t of)
{
    tell(context, 0.4 + 0.4 * (double)done / (double)(of == 0 ? 1 : of), "reports");
}

static enum result write_reports(struct making *making, struct failure *why)
{
    struct archive_file file;
    struct harvest *harvest = making->harvest;
    struct source source = {.context = making,
        .checkpoint = harvest->checkpoint,
        .pruned_below = harvest->terms.pruned_below,
        .leaf = read_leaf,
        .definition = read_definition,
        .ledger = read_ledger,
        .release = read_release};
    struct report_sink sink = spill_sink(&making->reports);
    making->bodies = (struct bodies){
        .index = making->log.index, .size = harvest->checkpoint.size, .pruned_below = harvest->terms.pruned_below};
    if (archive_index_find(making->front.index, "database/ledger.csv", &file) == RESULT_OK)
        making->ledger.table = file.content;
    if (archive_index_find(making->front.index, "database/releases.csv", &file) == RESULT_OK)
        making->releases.table = file.content;
    return report_write(&source, &sink, report_progress, making, why);
}

/* --- putting it together ------------------------------------------------------------------------------------------------------ */

static enum result write_front(struct making *making, struct failure *why)
{
    struct part *part = &making->front;
    enum result result = begin_part(making, part, why);
    if (result == RESULT_OK)
        result = papers_put("README", &part->writer, why);
    if (result == RESULT_OK)
        result = harvest_tables(making->harvest, &part->writer, why);
    return result == RESULT_OK ? finish_part(part, why) : result;
}

static enum result write_log(struct making *making, struct failure *why)
{
    enum result result = begin_part(making, &making->log, why);
    if (result == RESULT_OK)
        result = harvest_log(making->harvest, &making->log.writer, why);
    return result == RESULT_OK ? finish_part(&making->log, why) : result;
}

static enum result write_proofs(struct making *making, struct failure *why)
{
    struct bodies bodies = making->bodies;
    struct tile_source source = {bodies_tile, &bodies};
    struct tile_reader *opened = tile_reader_open(&source, bodies.size);
    struct tree_reader tiles = {tile_read, opened};
    if (opened == NULL)
        return RESULT_FAILED;
    enum result result = harvest_proofs(making->harvest, &tiles, &making->back.writer, why);
    tile_reader_close(opened);
    return result;
}

static enum result write_back(struct making *making, struct failure *why)
{
    struct part *part = &making->back;
    struct text_writer text = {.bytes = making->harvest->text, .room = sizeof making->harvest->text};
    enum result result = begin_part(making, part, why);
    if (result == RESULT_OK)
        result = spill_reports(&making->reports, MANIFEST_NOTE, TERMS_NAME, &part->writer, why);
    terms_print(&making->harvest->terms, &text);
    if (result == RESULT_OK)
        result = archive_put(&part->writer, TERMS_NAME, text.bytes, text.length, why);
    if (result == RESULT_OK)
        result = write_proofs(making, why);
    if (result == RESULT_OK)
        result = spill_reports(&making->reports, "proofs0", "verify.sh", &part->writer, why);
    if (result == RESULT_OK)
        result = papers_put("verify.sh", &part->writer, why);
    return result == RESULT_OK ? finish_part(part, why) : result;
}

/* The bundle up to its manifest. */
static enum result join_front(struct making *making, struct failure *why)
{
    archive_begin(&making->writer, making->out, making->middle);
    enum result result = splice_part(making, &making->front, why);
    if (result == RESULT_OK)
        result = spill_reports(&making->reports, "database0", "keys/", &making->writer, why);
    if (result == RESULT_OK)
        result = harvest_keys(making->harvest, &making->writer, why);
    making->writer.manifest = NULL;
    return result == RESULT_OK ? splice_part(making, &making->log, why) : result;
}

static enum result copy_list(FILE *from, FILE *to, struct failure *why)
{
    struct text_view view;
    enum result result = spill_map(from, &view, why);
    if (result != RESULT_OK)
        return result;
    bool written = view.length == 0 || fwrite(view.bytes, 1, view.length, to) == view.length;
    spill_unmap(view);
    return written ? RESULT_OK : RESULT_FAILED;
}

static enum result write_manifest(struct making *making, struct failure *why)
{
    FILE *const lists[] = {making->front.manifest, making->middle, making->log.manifest, making->back.manifest};
    struct text_view view;
    uint8_t hash[crypto_hash_sha256_BYTES];
    struct text_writer note = {.bytes = making->harvest->text, .room = sizeof making->harvest->text};
    enum result result = fputc('{', making->manifest) == '{' ? RESULT_OK : RESULT_FAILED;
    for (size_t i = 0; i < sizeof lists / sizeof *lists && result == RESULT_OK; i++)
        result = copy_list(lists[i], making->manifest, why);
    /* There is a file, so the last byte is a comma. */
    if (result == RESULT_OK && (fseek(making->manifest, -1, SEEK_CUR) != 0 || fputc('}', making->manifest) != '}'))
        result = RESULT_FAILED;
    if (result == RESULT_OK)
        result = spill_map(making->manifest, &view, why);
    if (result != RESULT_OK)
        return result;
    crypto_hash_sha256(hash, (const unsigned char *)view.bytes, view.length);
    result = archive_put(&making->writer, MANIFEST_NAME, view.bytes, view.length, why);
    spill_unmap(view);
    if (result == RESULT_OK)
        result = notary_sign(making->request->signer, making->harvest->checkpoint.size, hash, &note, why);
    return result == RESULT_OK ? archive_put(&making->writer, MANIFEST_NOTE, note.bytes, note.length, why) : result;
}

static enum result join(struct making *making, struct failure *why)
{
    struct stat status;
    tell(making, 0.8, "writing");
    enum result result = join_front(making, why);
    if (result == RESULT_OK)
        result = write_manifest(making, why);
    if (result == RESULT_OK)
        result = splice_part(making, &making->back, why);
    if (result == RESULT_OK)
        result = archive_end(&making->writer, making->made.hash, why);
    if (result != RESULT_OK)
        return result;
    if (fsync(fileno(making->out)) != 0 || fstat(fileno(making->out), &status) != 0 ||
        rename(making->temporary, making->request->path) != 0) {
        failure_set(why, "out", "the bundle cannot be put in its place");
        return RESULT_FAILED;
    }
    making->temporary[0] = '\0';
    making->made.bytes = (uint64_t)status.st_size;
    making->made.size = making->harvest->checkpoint.size;
    memcpy(making->made.origin, making->harvest->checkpoint.origin, sizeof making->made.origin);
    return RESULT_OK;
}

static enum result open_out(struct making *making, struct failure *why)
{
    int length = snprintf(making->temporary, sizeof making->temporary, "%s.XXXXXX", making->request->path);
    int fd = length > 0 && (size_t)length < sizeof making->temporary ? mkstemp(making->temporary) : -1;
    if (fd < 0) {
        making->temporary[0] = '\0';
        failure_set(why, "out", "no file can be made there");
        return RESULT_FAILED;
    }
    making->out = fdopen(fd, "w");
    if (making->out == NULL) {
        (void)close(fd);
        return RESULT_FAILED;
    }
    enum result result = spill_open(making->request->path, &making->middle, why);
    return result == RESULT_OK ? spill_open(making->request->path, &making->manifest, why) : result;
}

/* All that needs the snapshot. */
static enum result collect(struct db *db, void *context, struct failure *why)
{
    struct making *making = context;
    enum result result = db_script(db, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY", why);
    if (result == RESULT_OK)
        result = harvest_begin(making->harvest, making->request->size, making->request->witnesses, why);
    if (result == RESULT_OK)
        result = write_front(making, why);
    if (result == RESULT_OK)
        result = write_log(making, why);
    if (result == RESULT_OK)
        result = write_reports(making, why);
    return result == RESULT_OK ? write_back(making, why) : result;
}

static void free_making(struct making *making)
{
    FILE *const files[] = {making->out, making->middle, making->manifest};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (files[i] != NULL)
            (void)fclose(files[i]);
    }
    if (making->temporary[0] != '\0')
        (void)unlink(making->temporary);
    free_part(&making->front);
    free_part(&making->log);
    free_part(&making->back);
    spill_free(&making->reports);
    free(making->harvest);
    free(making);
}

enum result export_make(const struct export_request *request, struct export_made *made, struct failure *why)
{
    struct making *making = calloc(1, sizeof *making);
    if (making == NULL)
        return RESULT_FAILED;
    making->request = request;
    making->reports.beside = request->path;
    making->harvest = calloc(1, sizeof *making->harvest);
    enum result result = making->harvest == NULL ? RESULT_FAILED : open_out(making, why);
    if (result == RESULT_OK) {
        making->harvest->db = request->db;
        making->harvest->beside = request->path;
        making->harvest->progress = request->progress;
        making->harvest->context = request->context;
        result = db_transaction(request->db, collect, making, why);
    }
    if (result == RESULT_OK)
        result = join(making, why);
    if (result == RESULT_OK)
        *made = making->made;
    else
        failure_set(why, "bundle", "cannot be made: no memory, or the disk is full");
    free_making(making);
    return result;
}
