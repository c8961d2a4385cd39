/*
 * Pages: each function writes one file of the bundle from what was gathered (after gathered_end).
 *
 * Sees:     what was gathered.
 * Uses:     compliance/report.
 * Threads:  one.
 * Failure:  as outfile.
 */
#ifndef THRONG_REPORT_PAGES_H
#define THRONG_REPORT_PAGES_H

#include "compliance/report/gathered.h"
#include "compliance/report/outfile.h"

/* report/index.html: an overview, and what the pages are. */
void page_index_html(const struct gathered *all, struct outfile *out);
/* report/processing.*: the record of processing activities, of the definitions in force. */
void page_processing_html(const struct gathered *all, struct outfile *out);
/* See page_processing_html. */
void page_processing_csv(const struct gathered *all, struct outfile *out);
/* See page_processing_html. With terms of DPV 2.3. */
void page_processing_jsonld(const struct gathered *all, struct outfile *out);
/* report/assessment.html: measured figures for an impact assessment. */
void page_assessment_html(const struct gathered *all, struct outfile *out);
/* report/requests.*: people's requests and their deadlines. */
void page_requests_html(const struct gathered *all, struct outfile *out);
/* See page_requests_html. */
void page_requests_csv(const struct gathered *all, struct outfile *out);
/* report/keys.*: the lives of the pseudonymization keys. */
void page_keys_html(const struct gathered *all, struct outfile *out);
/* See page_keys_html. */
void page_keys_csv(const struct gathered *all, struct outfile *out);
/* report/budget.*: what was planned, spent and refused. */
void page_budget_html(const struct gathered *all, struct outfile *out);
/* See page_budget_html. */
void page_budget_csv(const struct gathered *all, struct outfile *out);
/* report/access.*: who read and who was denied; keys to the service. */
void page_access_html(const struct gathered *all, struct outfile *out);
/* See page_access_html. */
void page_access_csv(const struct gathered *all, struct outfile *out);
/* report/retention.*: what was removed and when. */
void page_retention_html(const struct gathered *all, struct outfile *out);
/* See page_retention_html. */
void page_retention_csv(const struct gathered *all, struct outfile *out);
/* report/incidents.*: incidents, and what was out of the ordinary. */
void page_incidents_html(const struct gathered *all, struct outfile *out);
/* See page_incidents_html. */
void page_incidents_csv(const struct gathered *all, struct outfile *out);
/* oscal/assessment-results.json: OSCAL 1.2.2. */
void page_oscal_json(const struct gathered *all, struct outfile *out);

/* How a request stands: what it says in one word. Static. */
enum page_requests_state { PAGE_REQUEST_DONE, PAGE_REQUEST_LATE, PAGE_REQUEST_OPEN, PAGE_REQUEST_OVERDUE, PAGE_REQUEST_REFUSED };

/* How a request stands against its deadline of 30 days, as of the newest entry. */
enum page_requests_state page_requests_state(const struct gathered *all, const struct gathered_request *request);

#endif
