/*
 * The apps that an identity may see, with their compiled definitions. Test apps are not among them: api/live.h shows what is
 * in them.
 *
 * Sees:     app definitions.
 * Uses:     service/db, service/catalogue.
 * Threads:  as struct db.
 * Failure:  RESULT_NOT_FOUND: no such app, or not for this identity; else as service/db.
 */
#ifndef THRONG_API_TENANT_H
#define THRONG_API_TENANT_H

#include <stddef.h>

#include "api/access.h"
#include "schema/app.h"
#include "service/db/db.h"

/* Find the app called name as identity sees it; *out is to be freed with definition_free. */
enum result tenant_find(struct db *db, const struct access_identity *identity, const char *name, struct app *out,
    struct failure *why);

struct tenant_list {
    struct app *apps;
    size_t count;
};

/* All apps that identity sees, by name; *out is to be freed with tenant_list_free. */
enum result tenant_list_read(struct db *db, const struct access_identity *identity, struct tenant_list *out,
    struct failure *why);
/* See tenant_list_read. */
void tenant_list_free(struct tenant_list *list);

/* The days that a user may stay away and is still linked to the same pseudonym. */
int32_t tenant_linkable_days(const struct app *app);

#endif
