/*
 * Pages for people, of released numbers: the report of a period, a public page, and a small one to embed in another.
 *
 * Sees:     released numbers, an operator's notes.
 * Uses:     the other files of this layer.
 * Threads:  as struct db.
 * Failure:  as service/db.
 */
#ifndef THRONG_PAPER_PAPER_H
#define THRONG_PAPER_PAPER_H

#include <stdbool.h>
#include <stdio.h>

#include "api/series/annotation.h"
#include "schema/app.h"
#include "service/paper/anchor.h"
#include "service/paper/reading.h"

#define PAPER_LETTERS 26

/* A page under way. */
struct paper {
    FILE *out;
    struct reading_desk desk;
    const struct annotation_list *notes;
    const struct anchor *anchor;
    const char *const *files; /* of a public page's data, ended by NULL; NULL: none */
};

/* What a page is made of. Everything is borrowed. */
struct paper_order {
    struct db *db; /* within a transaction that sees one state */
    const struct app *app;
    struct span span;
    const struct annotation_list *notes; /* of the periods that charts show, ascending */
    const struct anchor *anchor;
    const char *const *files;
};

/* Write the report of order's period. RESULT_NOT_FOUND: nothing of the period is released. */
enum result paper_report(const struct paper_order *order, FILE *out, struct failure *why);

/* Write the public page, whose data lie at order's files. As paper_report. */
enum result paper_public(const struct paper_order *order, FILE *out, struct failure *why);

/* Write the small page: the newest number and its trend. As paper_report. */
enum result paper_embed(const struct paper_order *order, FILE *out, struct failure *why);

/* The first day that a chart of a page about span shows. */
int32_t paper_first_day(const struct span *span);

#endif
