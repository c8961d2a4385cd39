/*
 * The entries of the audit trail over HTTP: GET /v1/audit/entries, searched by act, tenant and time, and GET /v1/audit/entries/{index}.
 * A leaf stands in the answer byte for byte as it was hashed. Every read is itself counted for the trail.
 *
 * Sees:     audit leaves.
 * Uses:     compliance/audit, service/db, call, tenant.
 * Threads:  as call.
 * Failure:  problem documents.
 */
#ifndef THRONG_API_ENTRIES_H
#define THRONG_API_ENTRIES_H

#include "api/call.h"

/* GET /v1/audit/entries, in the order of the log. Parameters: act, tenant (exactly), from and to (days UTC, of the acts, both
 * included), after (only entries of a larger index), limit. */
enum MHD_Result entries_list(struct call *call);

/* GET /v1/audit/entries/{index}. */
enum MHD_Result entries_one(struct call *call, const char *index);

#endif
