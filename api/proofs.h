/*
 * Proofs over HTTP, made from tiles with O(log n) reads: GET /v1/audit/proof, that an entry is in the log, as a file to keep (C2SP
 * tlog-proof), and GET /v1/audit/consistency, that a smaller log is the beginning of a larger one (RFC 9162, section 2.1.4).
 *
 * Sees:     hashes.
 * Uses:     compliance/audit, logstore, call; jansson.
 * Threads:  as call.
 * Failure:  problem documents.
 */
#ifndef THRONG_API_PROOFS_H
#define THRONG_API_PROOFS_H

#include "api/call.h"
#include "api/logstore.h"
#include "compliance/audit/tree.h"

/* GET /v1/audit/proof?index=N: against the newest checkpoint. */
enum MHD_Result proofs_inclusion(struct call *call);

/* GET /v1/audit/consistency?from=N[&to=M]: M is the newest checkpoint's size unless it is given. */
enum MHD_Result proofs_consistency(struct call *call);

/* *proof: that leaf index is in the tree of the store's size. Fails as tree_prove_inclusion and logstore_load. */
enum result proofs_make_inclusion(struct logstore *store, uint64_t index, struct tree_proof *proof, struct failure *why);

/* Two sizes of the log, their roots and what proves that the one is the beginning of the other. */
struct proofs_pair {
    uint64_t from, to; /* 0 < from <= to <= the store's size */
    struct tree_hash from_root, to_root;
    struct tree_proof proof;
};

/* Fill the roots and the proof of pair, whose sizes are set. Fails as tree_prove_consistency and logstore_load. */
enum result proofs_make_consistency(struct logstore *store, struct proofs_pair *pair, struct failure *why);

#endif
