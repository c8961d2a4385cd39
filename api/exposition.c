#include "api/exposition.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAMILIES_MAX 128
#define VALUE_BYTES 80
#define WHOLE_MOST 9007199254740992.0

struct label {
    const char *name;
    char value[VALUE_BYTES];
};

struct sample {
    size_t family, label_count;
    const char *suffix;
    struct label labels[EXPOSITION_LABELS_MAX];
    double value;
};

struct exposition {
    struct {
        const char *name, *type, *help;
    } families[FAMILIES_MAX];
    size_t family_count;
    struct sample *samples;
    size_t count, capacity;
    bool failed;
};

struct exposition *exposition_new(void)
{
    return calloc(1, sizeof(struct exposition));
}

void exposition_free(struct exposition *exposition)
{
    if (exposition == NULL)
        return;
    free(exposition->samples);
    free(exposition);
}

void exposition_family(struct exposition *exposition, const char *name, const char *type, const char *help)
{
    if (exposition->family_count == FAMILIES_MAX) {
        exposition->failed = true;
        return;
    }
    exposition->families[exposition->family_count].name = name;
    exposition->families[exposition->family_count].type = type;
    exposition->families[exposition->family_count].help = help;
    exposition->family_count++;
}

static bool same_labels(const struct sample *a, const struct sample *b)
{
    if (a->family != b->family || strcmp(a->suffix, b->suffix) != 0 || a->label_count != b->label_count)
        return false;
    for (size_t i = 0; i < a->label_count; i++) {
        if (strcmp(a->labels[i].name, b->labels[i].name) != 0 || strcmp(a->labels[i].value, b->labels[i].value) != 0)
            return false;
    }
    return true;
}

/* Whether a sample of the same family and labels is there; families are filled one after the other. */
static bool is_there(const struct exposition *exposition, const struct sample *sample)
{
    for (size_t i = exposition->count; i-- > 0 && exposition->samples[i].family == sample->family;) {
        if (same_labels(&exposition->samples[i], sample))
            return true;
    }
    return false;
}

static bool grow(struct exposition *exposition)
{
    if (exposition->count < exposition->capacity)
        return true;
    size_t capacity = exposition->capacity == 0 ? 128 : exposition->capacity * 2;
    struct sample *samples = realloc(exposition->samples, capacity * sizeof *samples);
    if (samples == NULL)
        return false;
    exposition->samples = samples;
    exposition->capacity = capacity;
    return true;
}

void exposition_sample(struct exposition *exposition, const char *suffix, const struct exposition_label *labels, size_t count,
    double value)
{
    struct sample sample = {.family = exposition->family_count - 1, .label_count = count, .suffix = suffix, .value = value};
    if (exposition->family_count == 0 || count > EXPOSITION_LABELS_MAX || !grow(exposition)) {
        exposition->failed = true;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        sample.labels[i].name = labels[i].name;
        (void)snprintf(sample.labels[i].value, VALUE_BYTES, "%s", labels[i].value);
    }
    if (!is_there(exposition, &sample))
        exposition->samples[exposition->count++] = sample;
}

static bool is_whole(double value)
{
    return value > -WHOLE_MOST && value < WHOLE_MOST && value - (double)(long long)value == 0.0;
}

/* Whole numbers as such; of ratios nine digits are enough, of seconds since 1970 the milliseconds are kept. */
static int digits_of(double value)
{
    return value > 1e6 || value < -1e6 ? 13 : 9;
}

static void print_value(FILE *file, double value)
{
    if (is_whole(value))
        fprintf(file, "%lld", (long long)value);
    else
        fprintf(file, "%.*g", digits_of(value), value);
}

static void print_escaped(FILE *file, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\n') {
            fputs("\\n", file);
            continue;
        }
        if (*text == '"' || *text == '\\')
            fputc('\\', file);
        fputc(*text, file);
    }
}

static void print_sample(FILE *file, const char *name, const struct sample *sample)
{
    fprintf(file, "%s%s", name, sample->suffix);
    for (size_t i = 0; i < sample->label_count; i++) {
        fprintf(file, "%c%s=\"", i == 0 ? '{' : ',', sample->labels[i].name);
        print_escaped(file, sample->labels[i].value);
        fputc('"', file);
    }
    fputs(sample->label_count > 0 ? "} " : " ", file);
    print_value(file, sample->value);
    fputc('\n', file);
}

/* OpenMetrics names the family of a counter without the suffix of its samples. */
static int family_length(const char *name, const char *type, bool openmetrics)
{
    size_t length = strlen(name);
    if (openmetrics && strcmp(type, "counter") == 0 && length > 6 && strcmp(name + length - 6, "_total") == 0)
        length -= 6;
    return (int)length;
}

static void print_family(FILE *file, const struct exposition *exposition, size_t family, bool openmetrics)
{
    const char *name = exposition->families[family].name, *type = exposition->families[family].type;
    bool begun = false;
    for (size_t i = 0; i < exposition->count; i++) {
        if (exposition->samples[i].family != family)
            continue;
        int length = family_length(name, type, openmetrics);
        if (!begun)
            fprintf(file, "# HELP %.*s %s\n# TYPE %.*s %s\n", length, name, exposition->families[family].help, length, name,
                type);
        begun = true;
        print_sample(file, name, &exposition->samples[i]);
    }
}

static char *write_text(const struct exposition *exposition, bool openmetrics)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    if (file == NULL)
        return NULL;
    for (size_t i = 0; i < exposition->family_count; i++)
        print_family(file, exposition, i, openmetrics);
    if (openmetrics)
        fputs("# EOF\n", file);
    if (fclose(file) == 0)
        return text;
    free(text);
    return NULL;
}

static json_t *sample_json(const struct sample *sample)
{
    json_t *labels = json_object();
    for (size_t i = 0; i < sample->label_count; i++)
        json_object_set_new(labels, sample->labels[i].name, json_string(sample->labels[i].value));
    json_t *value = is_whole(sample->value) ? json_integer((json_int_t)sample->value) : json_real(sample->value);
    json_t *object = json_pack("{s:o,s:o}", "labels", labels, "value", value);
    if (sample->suffix[0] != '\0')
        json_object_set_new(object, "suffix", json_string(sample->suffix));
    return object;
}

static char *write_json(const struct exposition *exposition)
{
    json_t *list = json_array();
    for (size_t family = 0; family < exposition->family_count; family++) {
        json_t *samples = json_array();
        for (size_t i = 0; i < exposition->count; i++) {
            if (exposition->samples[i].family == family)
                json_array_append_new(samples, sample_json(&exposition->samples[i]));
        }
        if (json_array_size(samples) == 0) {
            json_decref(samples);
            continue;
        }
        json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:o}", "name", exposition->families[family].name, "type",
                                        exposition->families[family].type, "help", exposition->families[family].help,
                                        "samples", samples));
    }
    json_t *root = json_pack("{s:o}", "metrics", list);
    char *text = json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(13));
    json_decref(root);
    return text;
}

char *exposition_write(const struct exposition *exposition, enum exposition_format format)
{
    if (exposition->failed)
        return NULL;
    switch (format) {
    case EXPOSITION_AS_TEXT:
        return write_text(exposition, false);
    case EXPOSITION_AS_OPENMETRICS:
        return write_text(exposition, true);
    case EXPOSITION_AS_JSON:
        break;
    }
    return write_json(exposition);
}
