/*
 * HTML being written: whatever is not written here in so many words goes through markup_text, the one place where it is escaped.
 *
 * Sees:     what a page says.
 * Uses:     libc.
 * Threads:  one a stream.
 * Failure:  that of the stream: who opened it asks ferror.
 */
#ifndef THRONG_PAPER_MARKUP_H
#define THRONG_PAPER_MARKUP_H

#include <stdio.h>

/* Write text, escaped: good between tags and within quotation marks. */
void markup_text(FILE *out, const char *text);

/* Write text within an element of that name and class (literals; class NULL: none), escaped. */
void markup_element(FILE *out, const char *name, const char *class, const char *text);

/* Begin a page: title is escaped. */
void markup_begin(FILE *out, const char *title, const char *body_class);
/* End it. */
void markup_end(FILE *out);

#endif
