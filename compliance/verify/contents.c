#include "compliance/verify/contents.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "compliance/bundle/manifest.h"
#include "compliance/meaning/meaning.h"
#include "compliance/report/report.h"

#define LEDGER_NAME "database/ledger.csv"
#define RELEASES_NAME "database/releases.csv"

/* A bundle as a source of leaves. */
struct material {
    struct evidence *evidence;
    struct bodies bodies;
    struct bodies_lines ledger, releases;
};

static enum result read_leaf(void *context, uint64_t index, struct text_view *leaf, struct failure *why)
{
    struct material *material = context;
    return bodies_read(&material->bodies, index, leaf, why);
}

static enum result read_definition(
    void *context, const uint8_t hash[32], struct text_view *definition, struct failure *why)
{
    struct material *material = context;
    char hex[MANIFEST_HEX_BYTES], name[ARCHIVE_NAME_MAX_BYTES];
    manifest_hex(hash, hex);
    (void)snprintf(name, sizeof name, "apps/%s.json", hex);
    if (evidence_file(material->evidence, name, true, definition))
        return RESULT_OK;
    failure_set(why, "definition", "there is no definition of that hash");
    return RESULT_NOT_FOUND;
}

static enum result read_ledger(void *context, uint64_t row, struct text_view *line, struct failure *why)
{
    struct material *material = context;
    (void)why;
    return bodies_line(&material->ledger, row, line);
}

static enum result read_release(void *context, uint64_t row, struct text_view *line, struct failure *why)
{
    struct material *material = context;
    (void)why;
    return bodies_line(&material->releases, row, line);
}

static void tell_meaning(void *context, const struct meaning_finding *finding)
{
    evidence_find(context, finding->where, "%s", finding->what);
}

static void check_meaning(struct evidence *evidence, const struct source *source)
{
    uint64_t count = 0;
    struct failure why = {0};
    if (meaning_check(source, tell_meaning, evidence, &count, &why) != RESULT_OK)
        evidence_find(evidence, "log", "the meaning of the entries cannot be judged: %s", why.text);
    if (count > VERIFY_FINDINGS_MAX)
        evidence->outcome->levels[VERIFY_MEANING].findings += count - VERIFY_FINDINGS_MAX;
}

/* --- reports ------------------------------------------------------------------------------------------------------------ */

/* A report being written again: what is in the bundle, and how far it is the same. */
struct retold {
    struct evidence *evidence;
    const char *path;
    struct text_view content;
    size_t at;
    bool differs;
};

static enum result open_report(void *context, const char *path, void **file, struct failure *why)
{
    struct retold *retold = calloc(1, sizeof *retold);
    if (retold == NULL) {
        failure_set(why, "report", "there is no memory");
        return RESULT_FAILED;
    }
    *retold = (struct retold){.evidence = context, .path = path};
    retold->differs = !evidence_file(context, path, false, &retold->content);
    *file = retold;
    return RESULT_OK;
}

static void find_difference(struct retold *retold, size_t at)
{
    uint64_t line = 1;
    for (size_t i = 0; i < at; i++)
        line += retold->content.bytes[i] == '\n';
    evidence_find(retold->evidence, retold->path,
        "line %" PRIu64 " (byte %zu) is not what the entries say%s", line, at,
        strcmp(retold->evidence->terms.version, THRONG_VERSION) == 0 ? "" : "; another version of Throng made this bundle");
    retold->differs = true;
}

static enum result write_report(void *context, void *file, const char *bytes, size_t length, struct failure *why)
{
    struct retold *retold = file;
    (void)context;
    (void)why;
    size_t left = retold->content.length - retold->at;
    if (retold->differs || length == 0)
        return RESULT_OK;
    if (length <= left && memcmp(retold->content.bytes + retold->at, bytes, length) == 0) {
        retold->at += length;
        return RESULT_OK;
    }
    size_t same = 0;
    while (same < length && same < left && retold->content.bytes[retold->at + same] == bytes[same])
        same++;
    find_difference(retold, retold->at + same);
    return RESULT_OK;
}

static enum result close_report(void *context, void *file, struct failure *why)
{
    struct retold *retold = file;
    (void)context;
    (void)why;
    if (!retold->differs && retold->at != retold->content.length)
        find_difference(retold, retold->at);
    free(retold);
    return RESULT_OK;
}

static void check_reports(struct evidence *evidence, const struct source *source)
{
    struct failure why = {0};
    struct report_sink sink = {evidence, open_report, write_report, close_report};
    if (report_write(source, &sink, NULL, NULL, &why) != RESULT_OK)
        evidence_find(evidence, "report", "the reports cannot be made from the entries: %s", why.text);
}

/* --- names -------------------------------------------------------------------------------------------------------------- */

static bool is_report(struct text_view name)
{
    for (const char *const *path = report_paths(); *path != NULL; path++) {
        if (text_is(name, *path))
            return true;
    }
    return false;
}

static bool is_known(struct text_view name)
{
    static const char *const files[] = {"README", LEDGER_NAME, RELEASES_NAME, "keys/log.pem", "keys/log.vkey",
        "manifest.json", "manifest.note", "policy.json", "verify.sh"};
    static const char *const folders[] = {"apps/", "consistency/", "keys/witness-", "log/", "proofs/"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (text_is(name, files[i]))
            return true;
    }
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        struct text_view rest = name;
        if (text_skip(&rest, folders[i]))
            return true;
    }
    return is_report(name);
}

/* apps/SHA256.json is what its name says. */
static void check_definition(struct evidence *evidence, const struct archive_file *file)
{
    uint8_t hash[crypto_hash_sha256_BYTES];
    char hex[MANIFEST_HEX_BYTES], name[ARCHIVE_NAME_MAX_BYTES];
    crypto_hash_sha256(hash, (const unsigned char *)file->content.bytes, file->content.length);
    manifest_hex(hash, hex);
    (void)snprintf(name, sizeof name, "apps/%s.json", hex);
    if (!text_is(file->name, name))
        evidence_find_in(evidence, file->name, "its content has another hash than its name");
}

static void check_names(struct evidence *evidence)
{
    uint64_t witnesses = 0;
    for (size_t i = 0; i < archive_index_count(evidence->index); i++) {
        struct archive_file file = archive_index_file(evidence->index, i);
        struct text_view app = file.name, witness = file.name;
        if (file.damaged)
            continue;
        if (!is_known(file.name))
            evidence_find_in(evidence, file.name, "no file of this name belongs to a bundle");
        if (text_skip(&app, "apps/"))
            check_definition(evidence, &file);
        witnesses += text_skip(&witness, "keys/witness-");
    }
    if (witnesses != evidence->terms.witness_count)
        evidence_find(evidence, "keys", "there are keys of witnesses that policy.json does not have");
}

void contents_check(struct evidence *evidence)
{
    struct material material = {.evidence = evidence, .bodies = evidence_bodies(evidence)};
    struct source source = {.context = &material,
        .checkpoint = evidence->checkpoint,
        .pruned_below = evidence->terms.pruned_below,
        .leaf = read_leaf,
        .definition = read_definition,
        .ledger = read_ledger,
        .release = read_release};
    check_names(evidence);
    if (!evidence_file(evidence, LEDGER_NAME, false, &material.ledger.table) ||
        !evidence_file(evidence, RELEASES_NAME, false, &material.releases.table))
        return;
    check_meaning(evidence, &source);
    check_reports(evidence, &source);
}
