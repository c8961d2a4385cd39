/*
 * The tag by which an app's pages count: the beacon's script, with all that the app's definition has to say to it, ready to be pasted.
 *
 * Sees:     a definition; a write key, if it is given; nothing of a person.
 * Uses:     jansson, service/catalogue.
 * Threads:  pure.
 * Failure:  as stdio; short of memory: an attribute too few.
 */
#ifndef THRONG_CLI_SNIPPET_H
#define THRONG_CLI_SNIPPET_H

#include <jansson.h>
#include <stdio.h>

#include "schema/app.h"

/* What the tag is made of. Everything is borrowed. */
struct snippet {
    const struct app *app;
    const json_t *root;             /* its definition */
    const char *url;                /* where pages reach ingest: "https://stats.example.org"; a slash at its end is dropped */
    const char *beacon, *events;    /* paths there */
    const char *key;                /* NULL: "wk_…" stands in its place */
    const char *user, *nonce;       /* values of their attributes, written as they are, an expression of the page's
                                     * templates say: not with both kinds of quotes; NULL: none */
    const char *integrity;          /* "sha384-…" and perhaps an end of line; NULL: none */
};

/* Write the tag to file, without an end of line. */
void snippet_print(FILE *file, const struct snippet *snippet);

/* What keeps the tag from counting all that it could, and what to do about it: a list of sentences, owned by the caller. */
json_t *snippet_remarks(const struct snippet *snippet);

#endif
