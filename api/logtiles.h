/*
 * The log over HTTP as any client of tiled logs reads it (C2SP tlog-tiles, "APIs"): GET /log/checkpoint, /log/tile/LEVEL/INDEX[.p/WIDTH],
 * /log/tile/entries/INDEX[.p/WIDTH]; and /log/vkey, the keys that checkpoints are verified with. A tile is served in any width up to
 * the one that it has in the tree of the newest published checkpoint.
 *
 * Hashes give nothing away: every leaf has a random nonce. They need a key of scope read or audit, or none if api.public_log says so;
 * entries always need scope audit.
 *
 * Sees:     hashes and audit leaves.
 * Uses:     logstore, call.
 * Threads:  as call.
 * Failure:  problem documents; entries that were pruned are 404 of type pruned.
 */
#ifndef THRONG_API_LOGTILES_H
#define THRONG_API_LOGTILES_H

#include "api/call.h"

/* GET /log/checkpoint: the newest one, with the cosignatures that came. */
enum MHD_Result logtiles_checkpoint(struct call *call);

/* GET /log/vkey: verifier keys (C2SP signed-note), the newest first, one a line. */
enum MHD_Result logtiles_keys(struct call *call);

/* GET /log/tile/…: the tile or bundle that call->path names; its scope was checked. */
enum MHD_Result logtiles_tile(struct call *call);

#endif
