/*
 * The dashboard: a page, its script, style, font and icon, carried by this program as they are and compressed, and served to
 * anybody who reaches the private listener. There is no number in them: the page asks for those with its reader's key.
 *
 * Sees:     nothing but paths and which forms a client takes.
 * Uses:     the build, which writes embedded.inc from api/dashboard/embedded; libsodium (the tags), service/http.
 * Threads:  any.
 * Failure:  MHD_NO closes the connection.
 */
#ifndef THRONG_API_DASHBOARD_H
#define THRONG_API_DASHBOARD_H

#include "api/call.h"

/* Answer a request for call->path, which is /dashboard, /dashboard/ or one of the files below it; 404 otherwise. */
enum MHD_Result dashboard_answer(struct call *call);

#endif
