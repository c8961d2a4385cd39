/*
 * HTML: pages that people read and print. Whatever is not written here in so many words is escaped in one place, html_text.
 * No script, nothing from outside.
 *
 * Sees:     what a report says.
 * Uses:     compliance/report/outfile.
 * Threads:  one.
 * Failure:  as outfile.
 */
#ifndef THRONG_REPORT_HTML_H
#define THRONG_REPORT_HTML_H

#include "compliance/report/gathered.h"
#include "compliance/report/outfile.h"

/* How a thing stands; each has a word of its own too, so that nothing hangs on a colour. */
enum html_mark { HTML_GOOD, HTML_BAD, HTML_OPEN, HTML_PLAIN };

struct html_column {
    const char *title;
    bool number; /* set to the right */
};

/* A table being written: cells row by row. */
struct html_table {
    struct outfile *out;
    const struct html_column *columns;
    size_t count;
    size_t cell; /* of the row */
    uint64_t rows;
};

/* Begin a page: its file's name in report/, title, and a paragraph on what it is. */
void html_begin(struct outfile *out, const struct gathered *all, const char *file, const char *title, const char *lead);
/* End the page: which log it is made of, as of when. */
void html_end(struct outfile *out, const struct gathered *all);

/* Append text, escaped. */
void html_text(struct outfile *out, const char *text);
/* A heading of a part. */
void html_heading(struct outfile *out, const char *text);
/* A paragraph; the formatted text of at most 2 KiB is escaped. */
void html_paragraph(struct outfile *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A paragraph set apart: what must not be overlooked. */
void html_note(struct outfile *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Figures side by side: begin, any number of figures with what they count, end. */
void html_figures_begin(struct outfile *out);
/* See html_figures_begin. */
void html_figure(struct outfile *out, enum html_mark mark, const char *value, const char *what);
/* See html_figures_begin. */
void html_figures_end(struct outfile *out);

/* Begin a table of count columns (borrowed) with a caption. */
struct html_table html_table_begin(struct outfile *out, const char *caption, const struct html_column *columns, size_t count);
/* The next cell: text (NULL or "": a dash). */
void html_cell(struct html_table *table, const char *text);
/* See html_cell. A text in fixed width, of which the first shown bytes (all: 0) are seen. */
void html_cell_code(struct html_table *table, const char *text, size_t shown);
/* See html_cell. A number, its thousands apart. */
void html_cell_number(struct html_table *table, uint64_t number);
/* See html_cell. A moment in UTC, to the minute; 0: a dash. */
void html_cell_time(struct html_table *table, int64_t at_ms);
/* See html_cell. A day in UTC; 0: a dash. */
void html_cell_day(struct html_table *table, int64_t at_ms);
/* See html_cell. The month of a date YYYY-MM-DD. */
void html_cell_month(struct html_table *table, const char *first_day);
/* See html_cell. A word with a mark. */
void html_cell_mark(struct html_table *table, enum html_mark mark, const char *word);
/* See html_cell. A text and how full a bar is, 0 to 100. */
void html_cell_bar(struct html_table *table, unsigned percent, const char *text);
/* End the table; none says so if it has no row. */
void html_table_end(struct html_table *table, const char *none);

/* number with its thousands apart. Returns out. */
const char *html_number(uint64_t number, char out[40]);

#endif
