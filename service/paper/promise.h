/*
 * How people are protected, in plain words, and the checkpoint of the audit log at a page's foot.
 *
 * Sees:     a definition and the log's public side.
 * Uses:     anonymizer/release/plan (no sampler), api/series/explain, service/paper/paper.
 * Threads:  one.
 * Failure:  none but the stream's.
 */
#ifndef THRONG_PAPER_PROMISE_H
#define THRONG_PAPER_PROMISE_H

#include "service/paper/paper.h"

/* Write what the app's preset promises to whom. */
void promise_write(struct paper *paper);

/* Write the foot: what the page is made of, and the checkpoint. */
void promise_foot(struct paper *paper);

/* Write the foot of a small page. */
void promise_small_foot(struct paper *paper);

#endif
