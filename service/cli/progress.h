/*
 * A progress bar on standard error, for people: nothing is written if it is not a terminal.
 *
 * Sees:     nothing of a person.
 * Uses:     libc, service/base/clock.
 * Threads:  one.
 */
#ifndef THRONG_CLI_PROGRESS_H
#define THRONG_CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
    const char *label; /* borrowed */
    bool shown;
    int64_t drawn_at_ms;
};

/* Start; terminal as in struct command_context. */
void progress_begin(struct progress *progress, bool terminal, const char *label);

/* Show fraction (0 to 1; below 0: not known) and a short note. Draws ten times a second at most. */
void progress_update(struct progress *progress, double fraction, const char *note);

/* Remove the bar. */
void progress_end(struct progress *progress);

/* Write the bar's text, "import [=====     ]  50 %  note", to out[0..size-1]. */
void progress_format(const char *label, double fraction, const char *note, char *out, size_t size);

#endif
