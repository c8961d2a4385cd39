/*
 * Reports: what a bundle says to people and to other programs, every byte a function of the source alone: no clock, no locale,
 * no environment. "As of" is the time of the newest leaf.
 *
 *   events.jsonl events.csv siem/ocsf.jsonl
 *   report/index.html            one page that prints well, with links to the others
 *   report/processing.html .csv .jsonld        record of processing activities (GDPR Art. 30; DPV 2.3 terms)
 *   report/assessment.html       annex to a data protection impact assessment, with measured figures
 *   report/requests.html .csv    people's requests with their deadlines
 *   report/keys.html .csv        life of the pseudonymization keys
 *   report/budget.html .csv      what was planned, spent and refused
 *   report/access.html .csv      who read, who was denied
 *   report/retention.html .csv   what was removed, and when
 *   report/incidents.html .csv
 *   oscal/assessment-results.json   OSCAL 1.2.2
 *
 * Sees:     leaves and definitions.
 * Uses:     jansson, libsodium, compliance/meaning.
 * Threads:  one.
 * Failure:  what source and sink return; RESULT_CORRUPT if a leaf is not one.
 */
#ifndef THRONG_REPORT_REPORT_H
#define THRONG_REPORT_REPORT_H

#include "compliance/meaning/source.h"

/* Where the files go. Several are open at once, each written in pieces and closed once. */
struct report_sink {
    void *context;
    enum result (*open)(void *context, const char *path, void **file, struct failure *why);
    enum result (*write)(void *context, void *file, const char *bytes, size_t length, struct failure *why);
    enum result (*close)(void *context, void *file, struct failure *why);
};

/* The paths that report_write opens, ascending by bytes, ended by NULL. Static. */
const char *const *report_paths(void);

/* Write all of them. progress (NULL: nobody asks) is told how many of how many leaves are done, now and then. Memory: not
 * with the number of leaves, but for what is summed up: days, months, keys, requests. */
enum result report_write(const struct source *source, const struct report_sink *sink,
    void (*progress)(void *context, uint64_t done, uint64_t of), void *progress_context, struct failure *why);

#endif
