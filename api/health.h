/*
 * Health: /health/live and /health/ready for machines that restart or route, without key or detail; /health for people and
 * monitors, with a check of each thing that Throng needs.
 *
 * Sees:     nothing of a person.
 * Uses:     daemons, standing, call; /proc.
 * Threads:  as call.
 * Failure:  a check that cannot be made fails.
 */
#ifndef THRONG_API_HEALTH_H
#define THRONG_API_HEALTH_H

#include "api/call.h"

/* GET /health/live: the process answers. */
enum MHD_Result health_live(struct call *call);

/* GET /health/ready: 200 while the database answers, else 503. */
enum MHD_Result health_ready(struct call *call);

/* GET /health: 200, or 503 if a check fails. */
enum MHD_Result health_all(struct call *call);

#endif
