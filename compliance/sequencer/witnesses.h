/*
 * Witnesses: others who keep the newest checkpoint that they saw, and sign only what goes on from it (C2SP tlog-witness,
 * add-checkpoint). They are asked all at once and for a bounded time; one that is missing is asked again later and blocks
 * nothing.
 *
 * Sees:     public texts.
 * Uses:     libcurl, compliance/audit.
 * Threads:  one.
 * Failure:  RESULT_INVALID with the line of the file; a witness that does not answer is no failure.
 */
#ifndef THRONG_SEQUENCER_WITNESSES_H
#define THRONG_SEQUENCER_WITNESSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compliance/audit/note.h"
#include "compliance/audit/text.h"
#include "compliance/audit/tile.h"

#define WITNESSES_MAX 16
#define WITNESSES_ASK_MS 2000 /* for one round of questions; a witness that is elsewhere than we thought gets a second */

struct witnesses;

/* What is known of a witness. */
struct witnesses_view {
    const char *name; /* of its key */
    uint64_t size;    /* that it has seen */
    bool cosigned;    /* the newest checkpoint that it was asked for */
    bool contradicts; /* it has seen a tree that ours does not go on from, or a larger one: this log was set back */
    bool answered;    /* in the last round */
};

/* Read the file at path, a witness a line: URL prefix, space, verifier key ("" and lines that begin with # are passed over). path "": no
 * witnesses. Owned by the caller until witnesses_close. */
enum result witnesses_open(const char *path, struct witnesses **out, struct failure *why);
/* Free; NULL is allowed. */
void witnesses_close(struct witnesses *witnesses);

/* How many there are. */
size_t witnesses_count(const struct witnesses *witnesses);

/* What is known of witness index; borrowed. */
struct witnesses_view witnesses_get(const struct witnesses *witnesses, size_t index);

/* Set what witness index has seen, from an earlier life. */
void witnesses_know(struct witnesses *witnesses, size_t index, uint64_t size);

/* Ask those that are due for a cosignature of the signed checkpoint in note, of the tree of size leaves that tiles has, and
 * append those that come in time to note. */
void witnesses_ask(struct witnesses *witnesses, const struct tile_source *tiles, uint64_t size, struct text_writer *note);

#endif
