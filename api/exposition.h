/*
 * Prometheus expositions: families of samples with labels, written as text 0.0.4, OpenMetrics 1.0 or JSON. Samples may come in
 * any order; they are written family by family, and a sample with the labels of one before is left out.
 *
 * Sees:     numbers and declared names.
 * Uses:     jansson.
 * Threads:  one belongs to one thread.
 * Failure:  NULL if memory is short.
 */
#ifndef THRONG_API_EXPOSITION_H
#define THRONG_API_EXPOSITION_H

#include <stdbool.h>
#include <stddef.h>

#define EXPOSITION_LABELS_MAX 4
#define EXPOSITION_TEXT "text/plain; version=0.0.4; charset=utf-8"
#define EXPOSITION_OPENMETRICS "application/openmetrics-text; version=1.0.0; charset=utf-8"

enum exposition_format { EXPOSITION_AS_TEXT, EXPOSITION_AS_OPENMETRICS, EXPOSITION_AS_JSON };

struct exposition;

/* A label: its name is borrowed for ever, its value copied. */
struct exposition_label {
    const char *name;
    const char *value;
};

/* Make an empty one; NULL if memory is short. */
struct exposition *exposition_new(void);
/* Free; NULL is allowed. */
void exposition_free(struct exposition *exposition);

/* Open the family called name ("..._total" for a counter), of type "gauge", "counter" or "histogram" (all literals). Samples that
 * follow are its. */
void exposition_family(struct exposition *exposition, const char *name, const char *type, const char *help);

/* Add a sample of the open family with labels[0..count-1]; its name is the family's and suffix (a literal: "", or of a
 * histogram "_bucket", "_sum", "_count"). */
void exposition_sample(struct exposition *exposition, const char *suffix, const struct exposition_label *labels, size_t count,
    double value);

/* Write it; owned by the caller (free). Families without samples are left out. */
char *exposition_write(const struct exposition *exposition, enum exposition_format format);

#endif
