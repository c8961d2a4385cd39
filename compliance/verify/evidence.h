/*
 * What is known of a bundle while it is verified, level by level, and the findings: what is wrong, and where.
 *
 * Sees:     the bundle: audit leaves and what is said about them.
 * Uses:     libc, compliance/bundle.
 * Threads:  one.
 * Failure:  a finding is no failure.
 */
#ifndef THRONG_VERIFY_EVIDENCE_H
#define THRONG_VERIFY_EVIDENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compliance/bundle/archive.h"
#include "compliance/bundle/bodies.h"
#include "compliance/bundle/terms.h"
#include "compliance/verify/verify.h"

/* Everything is borrowed but index, which verify_run owns. */
struct evidence {
    const struct verify_request *request;
    struct verify_outcome *outcome;
    enum verify_level level; /* being judged */
    struct archive_index *index;
    struct terms terms;
    const struct note_key *keys; /* of the log, that are believed: the auditor's own, or the policy's */
    size_t key_count;
    struct text_view note; /* log/checkpoint */
    struct checkpoint checkpoint;
    bool opened; /* policy and checkpoint are there and fit each other: the levels above the first can be judged */
};

/* A finding: where, a path in the bundle and what in it, and what is wrong (printf). */
void evidence_find(struct evidence *evidence, const char *where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A finding about the file of this name, which is no string. */
void evidence_find_in(struct evidence *evidence, struct text_view name, const char *what);

/* The content of a file. False, with a finding unless quiet, if it is not there or its header is damaged. */
bool evidence_file(struct evidence *evidence, const char *name, bool quiet, struct text_view *content);

/* A reader of the log's tiles and entries; borrows evidence->index. */
struct bodies evidence_bodies(const struct evidence *evidence);

#endif
