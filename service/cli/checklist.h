/*
 * Checklists of data protection authorities, held against one app and the running configuration: met by design, met or not met by
 * configuration, or a matter for a person. It says what is so; it is no certificate and claims none.
 *
 * Sees:     a definition and the configuration.
 * Uses:     jansson.
 * Threads:  one.
 * Failure:  none.
 */
#ifndef THRONG_CLI_CHECKLIST_H
#define THRONG_CLI_CHECKLIST_H

#include <jansson.h>
#include <stdbool.h>

#include "schema/app.h"
#include "service/base/config.h"

enum checklist_verdict { CHECKLIST_BY_DESIGN, CHECKLIST_BY_CONFIGURATION, CHECKLIST_NOT_MET, CHECKLIST_NEEDS_PERSON };

/* What the checks look at. Borrowed. */
struct checklist_facts {
    const struct app *app;
    const json_t *definition;
    const struct config *config; /* of the installation: ingest's and audit's sections are looked at */
};

/* One criterion, judged. Static texts. */
struct checklist_item {
    const char *list, *id, *source, *text;
    enum checklist_verdict verdict;
    const char *why; /* how it is met, or what to do */
};

/* How many criteria there are. */
size_t checklist_count(void);

/* Judge criterion at (0 to checklist_count() - 1). */
struct checklist_item checklist_judge(const struct checklist_facts *facts, size_t at);

/* "met by design", "met by configuration", "not met", "needs a person". */
const char *checklist_verdict_name(enum checklist_verdict verdict);

#endif
