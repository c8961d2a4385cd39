/*
 * Whose request is it: the peer's address, or behind trusted proxies the rightmost address of X-Forwarded-For that is not
 * a trusted proxy's. What lies left of it was written by the client and counts for nothing.
 *
 * Sees:     client addresses, while a request lasts.
 * Uses:     libc.
 * Threads:  a struct proxy is read-only after proxy_parse.
 * Failure:  RESULT_INVALID for a range that is none.
 */
#ifndef THRONG_HTTP_PROXY_H
#define THRONG_HTTP_PROXY_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "schema/failure.h"

#define PROXY_RANGES_MAX 64
#define PROXY_TEXT_BYTES INET6_ADDRSTRLEN

/* An address; IPv4 as ::ffff:a.b.c.d. A unix peer is all zero. */
struct proxy_address {
    uint8_t bytes[16];
};

struct proxy_range {
    uint8_t bytes[16];
    unsigned bits; /* of 128 that must agree */
};

struct proxy {
    struct proxy_range ranges[PROXY_RANGES_MAX];
    size_t count;
};

/* Read addresses and CIDR ranges separated by spaces into *out; name is the configuration key for why. RESULT_INVALID; at
 * most PROXY_RANGES_MAX. */
enum result proxy_parse(const char *text, const char *name, struct proxy *out, struct failure *why);

/* Whether peer itself is a trusted proxy. */
bool proxy_trusts(const struct proxy *proxy, const struct sockaddr *peer);

/* The client of a request from peer with that X-Forwarded-For (several headers joined by commas; NULL: none). */
struct proxy_address proxy_client(const struct proxy *proxy, const struct sockaddr *peer, const char *forwarded);

/* Write address as text to out[0..PROXY_TEXT_BYTES-1], IPv4 in its own form. Returns out. */
const char *proxy_text(const struct proxy_address *address, char *out);

#endif
