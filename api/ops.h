/*
 * GET /metrics/ops: how the daemons of this machine do, for Prometheus. It has no app label and lies outside the privacy claim.
 *
 * Sees:     nothing of a person.
 * Uses:     daemons, exposition, call, service/db.
 * Threads:  as call.
 * Failure:  problem documents; a daemon that does not answer is shown as down.
 */
#ifndef THRONG_API_OPS_H
#define THRONG_API_OPS_H

#include "api/call.h"

/* Answer it. */
enum MHD_Result ops_answer(struct call *call);

#endif
