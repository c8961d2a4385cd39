/*
 * The live view over HTTP: GET /v1/apps/{app}/live, what arrived at an app's test app, event by event, with numbers for people
 * and sessions. Nothing of the app itself is in it: those tables take rows of test apps only.
 *
 * Sees:     events of test apps, without pseudonyms.
 * Uses:     call, tenant; jansson.
 * Threads:  as call.
 * Failure:  problem documents.
 */
#ifndef THRONG_API_LIVE_H
#define THRONG_API_LIVE_H

#include "api/call.h"

/* Answer for the test app of the app called app; not to be stored. Parameters: after (an event's id: only later ones), limit (at
 * most so many events; the newest go first). */
enum MHD_Result live_answer(struct call *call, const char *app);

#endif
