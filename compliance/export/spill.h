/*
 * Parts of a bundle that come before their turn: files without a name beside the bundle, gone when they are closed.
 *
 * Sees:     what the bundle holds.
 * Uses:     libc, compliance/report (it is a sink of reports).
 * Threads:  one.
 * Failure:  RESULT_FAILED (the disk).
 */
#ifndef THRONG_EXPORT_SPILL_H
#define THRONG_EXPORT_SPILL_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "compliance/audit/text.h"
#include "compliance/bundle/archive.h"
#include "compliance/report/report.h"
#include "schema/failure.h"

/* *out: a file to write and read, in the folder of the path beside; owned by the caller (fclose). */
enum result spill_open(const char *beside, FILE **out, struct failure *why);

/* *view: all that was written to file, mapped; spill_unmap ends it. An empty file is an empty view. */
enum result spill_map(FILE *file, struct text_view *view, struct failure *why);
/* See spill_map. */
void spill_unmap(struct text_view view);

/* Add the whole of file to the archive under name. */
enum result spill_put(struct archive_writer *archive, const char *name, FILE *file, struct failure *why);

#define SPILL_REPORTS_MAX 64

/* Reports, each in a file of its own until its place in the bundle comes. {.beside = …} is empty. */
struct spill {
    const char *beside; /* borrowed */
    size_t count;
    struct {
        const char *path; /* static */
        FILE *file;
    } reports[SPILL_REPORTS_MAX];
};

/* The sink whose reports go to spill. */
struct report_sink spill_sink(struct spill *spill);

/* Add those reports to the archive whose path lies in [from, to), in the order of their paths. */
enum result spill_reports(
    const struct spill *spill, const char *from, const char *to, struct archive_writer *archive, struct failure *why);

/* Close all. */
void spill_free(struct spill *spill);

#endif
