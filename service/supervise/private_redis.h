/*
 * The private Redis: its configuration, its users with the least they need, and whether it answers.
 *
 * Sees:     the passwords of its users.
 * Uses:     libsodium (SHA-256 for the ACL file), no hiredis: the supervisor asks one PING.
 * Threads:  any.
 * Failure:  RESULT_NOT_FOUND (no redis-server), RESULT_FAILED.
 */
#ifndef THRONG_SUPERVISE_PRIVATE_REDIS_H
#define THRONG_SUPERVISE_PRIVATE_REDIS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "schema/failure.h"
#include "service/supervise/supervise.h"

/* Make the users' passwords if there are none, write redis.conf and users.acl to data/redis, and fill *service to run it.
 * strict: appendfsync always. */
enum result private_redis_plan(const char *data, int64_t memory_bytes, bool strict, struct supervise_service *service,
    struct failure *why);

/* Write the lines of an ACL file for a Redis of the operator's own to out: the programs' users, each with what it may do;
 * PASSWORD stands for what the operator puts there. */
void private_redis_print_users(FILE *out);

/* Whether it answers PING to its admin; for supervise_await, with the path of the data directory. */
bool private_redis_ready(const void *data, pid_t pid);

#endif
