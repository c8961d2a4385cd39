#include "compliance/report/report.h"

#include <stdlib.h>

#include "compliance/report/gathered.h"
#include "compliance/report/listing.h"
#include "compliance/report/outfile.h"
#include "compliance/report/pages.h"

#define PROGRESS_EVERY 4096

/* Files made of what was gathered; those without a function are written while it is. */
static const struct {
    const char *path;
    void (*write)(const struct gathered *all, struct outfile *out);
} files[] = {
    {"events.csv", NULL},
    {"events.jsonl", NULL},
    {"oscal/assessment-results.json", page_oscal_json},
    {"report/access.csv", page_access_csv},
    {"report/access.html", page_access_html},
    {"report/assessment.html", page_assessment_html},
    {"report/budget.csv", page_budget_csv},
    {"report/budget.html", page_budget_html},
    {"report/incidents.csv", page_incidents_csv},
    {"report/incidents.html", page_incidents_html},
    {"report/index.html", page_index_html},
    {"report/keys.csv", page_keys_csv},
    {"report/keys.html", page_keys_html},
    {"report/processing.csv", page_processing_csv},
    {"report/processing.html", page_processing_html},
    {"report/processing.jsonld", page_processing_jsonld},
    {"report/requests.csv", page_requests_csv},
    {"report/requests.html", page_requests_html},
    {"report/retention.csv", page_retention_csv},
    {"report/retention.html", page_retention_html},
    {"siem/ocsf.jsonl", NULL},
};

#define FILES (sizeof files / sizeof *files)

/* The three listings, open while the leaves pass. */
struct listings {
    struct outfile csv, jsonl, ocsf;
};

const char *const *report_paths(void)
{
    static const char *const paths[] = {"events.csv", "events.jsonl", "oscal/assessment-results.json", "report/access.csv",
        "report/access.html", "report/assessment.html", "report/budget.csv", "report/budget.html", "report/incidents.csv",
        "report/incidents.html", "report/index.html", "report/keys.csv", "report/keys.html", "report/processing.csv",
        "report/processing.html", "report/processing.jsonld", "report/requests.csv", "report/requests.html",
        "report/retention.csv", "report/retention.html", "siem/ocsf.jsonl", NULL};
    _Static_assert(sizeof paths / sizeof *paths == FILES + 1, "report_paths names every file");
    return paths;
}

static enum result take_leaf(const struct source *source, struct gathered *all, struct listings *to, uint64_t index,
    struct failure *why)
{
    struct text_view bytes;
    struct parsed leaf;
    enum result result = source->leaf(source->context, index, &bytes, why);
    if (result != RESULT_OK)
        return result;
    outfile_put(&to->jsonl, bytes.bytes, bytes.length);
    outfile_put(&to->jsonl, "\n", 1);
    result = parsed_read(bytes, &leaf, why);
    if (result != RESULT_OK)
        return result;
    listing_csv(&to->csv, &leaf, index);
    listing_ocsf(&to->ocsf, &leaf, index, source->checkpoint.origin);
    result = gathered_take(all, &leaf, index, why);
    parsed_free(&leaf);
    return result;
}

static enum result take_leaves(const struct source *source, struct gathered *all, struct listings *to,
    void (*progress)(void *context, uint64_t done, uint64_t of), void *progress_context, struct failure *why)
{
    const uint64_t of = source->checkpoint.size - source->pruned_below;
    enum result result = RESULT_OK;
    for (uint64_t index = source->pruned_below; index < source->checkpoint.size && result == RESULT_OK; index++) {
        uint64_t done = index - source->pruned_below;
        if (progress != NULL && done % PROGRESS_EVERY == 0)
            progress(progress_context, done, of);
        result = take_leaf(source, all, to, index, why);
    }
    if (progress != NULL && result == RESULT_OK)
        progress(progress_context, of, of);
    return result;
}

/* The first pass: the listings, and what the pages say. */
static enum result gather(const struct source *source, const struct report_sink *sink, struct gathered *all,
    void (*progress)(void *context, uint64_t done, uint64_t of), void *progress_context, struct failure *why)
{
    struct listings *to = malloc(sizeof *to);
    if (to == NULL) {
        failure_set(why, "", "no memory for a report");
        return RESULT_FULL;
    }
    outfile_open(&to->csv, sink, "events.csv");
    outfile_open(&to->jsonl, sink, "events.jsonl");
    outfile_open(&to->ocsf, sink, "siem/ocsf.jsonl");
    listing_csv_head(&to->csv);
    enum result result = take_leaves(source, all, to, progress, progress_context, why);
    struct outfile *const open[] = {&to->csv, &to->jsonl, &to->ocsf};
    for (size_t i = 0; i < sizeof open / sizeof *open; i++) {
        enum result closed = outfile_close(open[i], result == RESULT_OK ? why : NULL);
        result = result == RESULT_OK ? closed : result;
    }
    free(to);
    return result;
}

static enum result write_pages(const struct gathered *all, const struct report_sink *sink, struct failure *why)
{
    struct outfile *out = malloc(sizeof *out);
    if (out == NULL) {
        failure_set(why, "", "no memory for a report");
        return RESULT_FULL;
    }
    enum result result = RESULT_OK;
    for (size_t i = 0; i < FILES && result == RESULT_OK; i++) {
        if (files[i].write == NULL)
            continue;
        outfile_open(out, sink, files[i].path);
        files[i].write(all, out);
        result = outfile_close(out, why);
    }
    free(out);
    return result;
}

enum result report_write(const struct source *source, const struct report_sink *sink,
    void (*progress)(void *context, uint64_t done, uint64_t of), void *progress_context, struct failure *why)
{
    struct gathered all;
    gathered_begin(&all, source);
    enum result result = gather(source, sink, &all, progress, progress_context, why);
    if (result == RESULT_OK) {
        gathered_end(&all);
        result = write_pages(&all, sink, why);
    }
    gathered_free(&all);
    return result;
}
