/*
 * The export over HTTP: GET /v1/audit/export, the bundle of the log up to the newest checkpoint (compliance/export), made while the
 * client waits and sent from a file that has no name any more. A thread of its own makes it, one at a time; the connection is
 * suspended meanwhile, so that others are answered. That it was made is an act.
 *
 * Sees:     audit leaves, app definitions, rows of the ledger and of releases.
 * Uses:     compliance/export, call; a thread and a connection to the database of its own.
 * Threads:  bundles_answer and bundles_free: the connection's.
 * Failure:  problem documents; nothing is left in run.directory.
 */
#ifndef THRONG_API_BUNDLES_H
#define THRONG_API_BUNDLES_H

#include "api/call.h"

struct bundles_job;

/* Answer GET /v1/audit/export. *call->job is NULL at first: a job is made, owned by who owns *call->job, the connection is suspended,
 * and nothing is answered. Called again with the job, it answers. */
enum MHD_Result bundles_answer(struct call *call);

/* End and free a job whose request is over; NULL is allowed. */
void bundles_free(struct bundles_job *job);

#endif
