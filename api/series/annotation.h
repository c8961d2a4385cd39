/*
 * Notes that an operator wrote beside an app's numbers, by day: a deployment, a campaign. Nothing is counted of them.
 *
 * Sees:     an operator's words.
 * Uses:     service/db (role throng_read).
 * Threads:  as struct db.
 * Failure:  as service/db; nothing is to be freed then.
 */
#ifndef THRONG_SERIES_ANNOTATION_H
#define THRONG_SERIES_ANNOTATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/db/db.h"

#define ANNOTATION_ID_BYTES 37        /* a UUID with its NUL */
#define ANNOTATION_CHARACTERS_MAX 200 /* of a text */
#define ANNOTATION_LIST_MAX 1000      /* the newest ones are read */

struct annotation {
    char id[ANNOTATION_ID_BYTES];
    int32_t day; /* days since 1970 */
    char *text;  /* UTF-8 without control characters */
};

struct annotation_list {
    struct annotation *items; /* ascending by day */
    size_t count;
};

/* Read the notes of app's days from … to to *out; annotation_list_free afterwards. */
enum result annotation_list_read(struct db *db, int32_t app, int32_t from, int32_t to, struct annotation_list *out,
    struct failure *why);
/* Free what list owns. */
void annotation_list_free(struct annotation_list *list);

/* Whether text may be a note: well-formed UTF-8 of 1 to ANNOTATION_CHARACTERS_MAX characters, none of which controls
 * anything: neither C0 and C1, nor line and paragraph separators, nor marks that turn the direction of writing. */
bool annotation_is_text(const char *text);

#endif
