/*
 * Verification of a bundle, offline: five levels, each with its verdict. Nothing but the bundle, and what the auditor brings,
 * is looked at; any bytes are survived.
 *
 *   1 signatures   the container is in its one form, the manifest is signed and has every file's hash, the checkpoint is signed
 *   2 tree         the checkpoint's root, recomputed from the entries; every tile and proof file
 *   3 consistency  the auditor's earlier checkpoint, and those in the bundle, are beginnings of this log
 *   4 witnesses    who cosigned the checkpoint
 *   5 meaning      what the leaves say is consistent, and the reports say what the leaves say, byte for byte
 *
 * Sees:     the bundle: audit leaves and what is said about them.
 * Uses:     compliance/bundle, compliance/meaning, compliance/report, libsodium; sodium_init() was called.
 * Threads:  one.
 * Failure:  findings.
 */
#ifndef THRONG_VERIFY_VERIFY_H
#define THRONG_VERIFY_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compliance/audit/checkpoint.h"
#include "compliance/audit/note.h"
#include "compliance/audit/text.h"

#define VERIFY_FINDINGS_MAX 100 /* told of a level; all are counted */
#define VERIFY_NOTE_BYTES 256

enum verify_level {
    VERIFY_SIGNATURES,
    VERIFY_TREE,
    VERIFY_CONSISTENCY,
    VERIFY_WITNESSES,
    VERIFY_MEANING,
    VERIFY_LEVELS
};

enum verify_verdict { VERIFY_OK, VERIFY_FAILED, VERIFY_NOT_JUDGED };

/* A thing that is wrong. Strings are plain text, borrowed during the call. */
struct verify_finding {
    enum verify_level level;
    const char *where;
    const char *what;
};

/* What is to be verified, and by what. Everything is borrowed. */
struct verify_request {
    struct text_view bundle;
    const struct text_view *since;    /* a signed checkpoint that the auditor kept, or NULL */
    const struct note_key *keys;      /* of the log, from elsewhere; none: the bundle's own are believed */
    size_t key_count;
    const struct note_key *witnesses; /* each of which must have cosigned; none: the policy's quorum is enough */
    size_t witness_count;
    void (*found)(void *context, const struct verify_finding *finding);
    void (*judged)(void *context, enum verify_level level); /* this level's verdict stands */
    void *context;
};

/* What came of a level. */
struct verify_judgement {
    enum verify_verdict verdict;
    uint64_t findings;
    char note[VERIFY_NOTE_BYTES]; /* what a reader should know of the verdict: a sentence, or empty */
};

struct verify_outcome {
    struct verify_judgement levels[VERIFY_LEVELS];
    bool opened; /* checkpoint is set */
    char origin[CHECKPOINT_ORIGIN_MAX_BYTES + 1];
    uint64_t size, pruned_below;
    struct tree_hash root;
};

/* Verify. Returns whether there is no finding; *outcome is always written. */
bool verify_run(const struct verify_request *request, struct verify_outcome *outcome);

/* The name of a level: "signatures", … A static string. */
const char *verify_level_name(enum verify_level level);

/* The name of a verdict: "ok", "failed", "not_judged". A static string. */
const char *verify_verdict_name(enum verify_verdict verdict);

#endif
