#include "compliance/verify/container.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "compliance/bundle/manifest.h"

static void tell_defect(void *context, const struct archive_defect *defect)
{
    char what[256];
    (void)snprintf(what, sizeof what, "%s (byte %" PRIu64 " of the archive)", defect->what, defect->offset);
    evidence_find_in(context, defect->name.length > 0 ? defect->name : (struct text_view){"(archive)", 9}, what);
}

static bool is_outside(struct text_view name)
{
    return text_is(name, MANIFEST_NAME) || text_is(name, MANIFEST_NOTE);
}

static int compare(struct text_view one, struct text_view other)
{
    size_t length = one.length < other.length ? one.length : other.length;
    int order = length == 0 ? 0 : memcmp(one.bytes, other.bytes, length);
    return order != 0 ? order : (one.length > other.length) - (one.length < other.length);
}

static void tell_header(struct evidence *evidence, struct text_view name, const struct archive_file *file)
{
    char what[128];
    (void)snprintf(what, sizeof what, "its header, or where it ends, is not in the one form (byte %" PRIu64 " of the archive)",
        file->offset);
    evidence_find_in(evidence, name, what);
}

static void compare_file(struct evidence *evidence, const struct manifest_member *member, const struct archive_file *file)
{
    uint8_t hash[crypto_hash_sha256_BYTES];
    if (file->content.length != member->size) {
        evidence_find_in(evidence, member->name, "it has another length than in the manifest");
        return;
    }
    crypto_hash_sha256(hash, (const unsigned char *)file->content.bytes, file->content.length);
    if (memcmp(hash, member->hash, sizeof hash) != 0)
        evidence_find_in(evidence, member->name, "its content is not what the manifest has the hash of");
}

/* Go over the archive's files up to member, the next of the manifest, and compare it. A damaged file has the name that is
 * wanted at its place. */
static void match(struct evidence *evidence, const struct manifest_member *member, size_t *next)
{
    size_t count = archive_index_count(evidence->index);
    while (*next < count) {
        struct archive_file file = archive_index_file(evidence->index, *next);
        int order = file.damaged ? 0 : compare(file.name, member->name);
        if (order > 0)
            break;
        ++*next;
        if (file.damaged) {
            tell_header(evidence, member->name, &file);
            return;
        }
        if (order == 0) {
            compare_file(evidence, member, &file);
            return;
        }
        if (!is_outside(file.name))
            evidence_find_in(evidence, file.name, "the manifest does not have it");
    }
    evidence_find_in(evidence, member->name, "the manifest has it, and the bundle does not");
}

static void match_rest(struct evidence *evidence, size_t next)
{
    for (; next < archive_index_count(evidence->index); next++) {
        struct archive_file file = archive_index_file(evidence->index, next);
        if (file.damaged)
            tell_header(evidence, file.name, &file);
        else if (!is_outside(file.name))
            evidence_find_in(evidence, file.name, "the manifest does not have it");
    }
}

/* Files that the manifest cannot have: a damaged one where such a file should be is it. */
static bool require_outside(struct evidence *evidence, const char *name)
{
    struct text_view content;
    size_t place = archive_index_lower(evidence->index, name);
    if (evidence_file(evidence, name, true, &content))
        return true;
    if (place > 0) {
        struct archive_file before = archive_index_file(evidence->index, place - 1);
        if (before.damaged) {
            tell_header(evidence, (struct text_view){name, strlen(name)}, &before);
            return false;
        }
    }
    evidence_find(evidence, name, "the bundle has no such file");
    return false;
}

bool container_check(struct evidence *evidence)
{
    struct text_view bundle = evidence->request->bundle, manifest;
    struct manifest_member member;
    struct failure why = {0};
    evidence->index = archive_index_make(bundle.bytes, bundle.length, tell_defect, evidence);
    if (evidence->index == NULL) {
        evidence_find(evidence, "(archive)", "it has too many files, or there is no memory for their list");
        return false;
    }
    bool note = require_outside(evidence, MANIFEST_NOTE);
    if (!require_outside(evidence, MANIFEST_NAME) || !note || !evidence_file(evidence, MANIFEST_NAME, true, &manifest))
        return false;
    size_t at = 0, next = 0;
    enum result result;
    while ((result = manifest_next(manifest, &at, &member, &why)) == RESULT_OK)
        match(evidence, &member, &next);
    if (result == RESULT_NOT_FOUND)
        match_rest(evidence, next);
    else
        evidence_find(evidence, MANIFEST_NAME, "%s, from its byte %zu on", why.text, at);
    return true;
}
