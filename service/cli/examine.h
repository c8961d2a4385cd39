/*
 * The examination behind `throng doctor`: whether an installation is as it must be. Each look finds one thing right, doubtful or
 * wrong, in words that say what to do.
 *
 *   daemons     all are there and ready                     schema    the database is this program's
 *   clock       PostgreSQL's is within a second of ours     grants    no role may do what it must not
 *   acls        Redis refuses what the programs do not need  linkage  no program is linked with what it must not use
 *   keys        ingest holds them; no epoch is overdue      trail     checkpoints are signed; no leaf waits; no act without an outcome
 *   requests    no deadline of a person's request passed    self_test the last canary was found nowhere
 *
 * Sees:     catalogues, counts and times; nothing of a person.
 * Uses:     service/db, jansson, libcurl (poster), the files of the programs.
 * Threads:  one.
 * Failure:  what cannot be looked at is a finding.
 */
#ifndef THRONG_CLI_EXAMINE_H
#define THRONG_CLI_EXAMINE_H

#include <stddef.h>

#include "service/cli/command.h"

enum examine_verdict { EXAMINE_OK, EXAMINE_DOUBTFUL, EXAMINE_WRONG };

struct examine_finding {
    const char *name; /* static */
    enum examine_verdict verdict;
    char text[400];
};

/* What an examination works on. Zero-initialise but for the first. */
struct examine {
    struct command_context *context;
    struct db *owner, *reader; /* as throng_owner and throng_read; NULL: not reachable */
    struct examine_finding *found;
    size_t count, room;
};

/* Look at everything. examine->found is owned by it. */
void examine_all(struct examine *examine);

/* Free what examine owns; the database connection is the caller's. */
void examine_free(struct examine *examine);

/* "ok", "doubtful", "wrong". */
const char *examine_verdict_name(enum examine_verdict verdict);

#endif
