/*
 * Out: one file of a report being written, piece by piece, to a sink. Also the two plain forms: CSV (RFC 4180) and JSON texts.
 *
 * Sees:     what a report says.
 * Uses:     compliance/report/report.h.
 * Threads:  one.
 * Failure:  the first failure of the sink is kept, everything after it does nothing, outfile_close tells it.
 */
#ifndef THRONG_REPORT_OUTFILE_H
#define THRONG_REPORT_OUTFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compliance/report/report.h"

#define OUTFILE_BUFFER_BYTES 65536

/* Large: not for the stack of a thread with a small one. */
struct outfile {
    const struct report_sink *sink;
    void *file;
    bool line; /* a CSV line has begun */
    size_t length;
    enum result result;
    struct failure why;
    char buffer[OUTFILE_BUFFER_BYTES];
};

/* Open path; borrows sink until outfile_close. */
void outfile_open(struct outfile *out, const struct report_sink *sink, const char *path);
/* Close. The first failure since outfile_open. */
enum result outfile_close(struct outfile *out, struct failure *why);

/* Append length bytes. */
void outfile_put(struct outfile *out, const char *bytes, size_t length);
/* Append a string. */
void outfile_text(struct outfile *out, const char *text);
/* Append a formatted string of at most 1 KiB; no user's text in it. */
void outfile_format(struct outfile *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Append a field of the CSV line; NULL is an empty one. */
void outfile_csv(struct outfile *out, const char *field);
/* See outfile_csv. length bytes, between quotation marks. */
void outfile_csv_quoted(struct outfile *out, const char *field, size_t length);
/* See outfile_csv. */
void outfile_csv_number(struct outfile *out, uint64_t number);
/* See outfile_csv. A time (RFC 3339, UTC); 0 is an empty field. */
void outfile_csv_time(struct outfile *out, int64_t at_ms);
/* End the CSV line. */
void outfile_csv_end(struct outfile *out);
/* A line of fields, ended by NULL. */
void outfile_csv_line(struct outfile *out, const char *const *fields);

/* Append text as a JSON string. */
void outfile_json(struct outfile *out, const char *text);

#endif
