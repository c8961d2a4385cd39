/*
 * Notes of an app's days, as an operator wrote them with `throng note`: what charts show beside their numbers.
 *
 * Sees:     an operator's words.
 * Uses:     api/series/annotation, call, tenant; jansson.
 * Threads:  as call.
 * Failure:  problem documents.
 */
#ifndef THRONG_API_NOTES_H
#define THRONG_API_NOTES_H

#include "api/call.h"

/* GET /v1/apps/{app}/notes: the newest ones, ascending by day. */
enum MHD_Result notes_answer(struct call *call, const char *app);

#endif
