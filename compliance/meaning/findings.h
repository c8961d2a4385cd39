/*
 * Findings: what is found wrong, counted, and told to whoever asked, the first hundred of them.
 *
 * Sees:     places in a bundle and sentences.
 * Uses:     libc.
 * Threads:  one.
 */
#ifndef THRONG_MEANING_FINDINGS_H
#define THRONG_MEANING_FINDINGS_H

#include <stdint.h>

#include "compliance/meaning/meaning.h"

#define FINDINGS_TOLD_MAX 100

struct findings {
    void (*found)(void *context, const struct meaning_finding *finding);
    void *context;
    uint64_t count;
};

/* Something is wrong with log entry index: format is a sentence. */
void findings_entry(struct findings *findings, uint64_t index, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Something is wrong with line number line (the header is line 1) of the file. */
void findings_line(struct findings *findings, const char *file, uint64_t line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Something is wrong with the log as a whole. */
void findings_log(struct findings *findings, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
