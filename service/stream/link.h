/*
 * One connection to Redis: a unix socket, TCP, or TLS over TCP (redis.tls). Commands are gathered and written at
 * once, replies are read into hiredis's parser; nothing else of hiredis is used, as Debian's cannot do TLS.
 *
 * TLS is 1.2 or later, and the server's certificate must be trusted and bear the name or address in redis.host: there
 * is no switch for less. The files named by redis.tls_* are read at each connection: a renewed one needs no restart.
 * A connection that stands tells when the server's certificate ends: metric throng_tls_not_after_timestamp_seconds.
 *
 * Sees:     packets and the password of an ACL user; never raw ids or keys.
 * Uses:     hiredis (parser), OpenSSL, service/base; SIGPIPE must be ignored.
 * Threads:  one struct link belongs to one thread; use several.
 * Failure:  RESULT_UNAVAILABLE for whatever another try, or another server, may mend: a certificate that is not
 *           trusted too. RESULT_INVALID for configuration that cannot be used. The failure names the key to look at.
 *           After any failure the link is good for link_close only: later replies would be taken for earlier ones.
 */
#ifndef THRONG_STREAM_LINK_H
#define THRONG_STREAM_LINK_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/failure.h"
#include "service/base/config.h"

struct link;

/* Connect, and shake hands if redis.tls, until deadline_ms on the steady clock; looking up redis.host may take
 * longer. *out is owned by the caller. */
enum result link_open(const struct config *config, int64_t deadline_ms, struct link **out, struct failure *why);

/* Close at once, without waiting for anything, and free. NULL is allowed. */
void link_close(struct link *link);

/* Whether an idle link is of no more use: the server closed it, or said something unasked, after which its replies
 * would be out of step. Never waits. */
bool link_stale(struct link *link);

/* Gather one command of count arguments, copied; link_flush sends it. Fails without memory. */
enum result link_append(struct link *link, size_t count, const char *const *arguments, const size_t *lengths,
    struct failure *why);

/* Write all that was gathered, until deadline_ms on the steady clock. */
enum result link_flush(struct link *link, int64_t deadline_ms, struct failure *why);

/* The next reply to *out, owned by the caller (freeReplyObject), waiting until deadline_ms on the steady clock. */
enum result link_reply(struct link *link, int64_t deadline_ms, redisReply **out, struct failure *why);

#endif
