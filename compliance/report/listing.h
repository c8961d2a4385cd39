/*
 * Listing: every leaf, one a line: as it is (events.jsonl), as a table (events.csv), as OCSF for a SIEM (siem/ocsf.jsonl).
 *
 * Sees:     leaves.
 * Uses:     compliance/report/outfile.
 * Threads:  one.
 * Failure:  as outfile.
 */
#ifndef THRONG_REPORT_LISTING_H
#define THRONG_REPORT_LISTING_H

#include "compliance/meaning/parsed.h"
#include "compliance/report/outfile.h"

/* The OCSF schema that siem/ocsf.jsonl follows (github.com/ocsf/ocsf-schema, tag 1.3.0): class Entity Management (3004), which
 * needs no network address, with the profile Host, which has the actor. */
#define LISTING_OCSF_VERSION "1.3.0"

/* The head of events.csv. */
void listing_csv_head(struct outfile *out);
/* Leaf number index in events.csv. */
void listing_csv(struct outfile *out, const struct parsed *leaf, uint64_t index);
/* Leaf number index of the log called origin, as OCSF. */
void listing_ocsf(struct outfile *out, const struct parsed *leaf, uint64_t index, const char *origin);

#endif
