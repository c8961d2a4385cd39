/*
 * What the tests of the samplers share: a deterministic stream as a source, published vectors, and tests of fit.
 *
 * Every statistical test here rejects a sound sampler with a chance of 10^-6 (LIMIT_Z, two-sided 10^-6; LIMIT_CHI, one-sided).
 * The streams are seeded, so that a run gives the same answer as the one before: only a changed sampler can change it.
 */
#ifndef THRONG_TESTS_RELEASE_SAMPLES_H
#define THRONG_TESTS_RELEASE_SAMPLES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <sodium.h>

#include "anonymizer/release/noise.h"
#include "anonymizer/release/rational.h"

#define LIMIT_Z 4.892
#define LIMIT_CHI 4.753

/* One byte stream from one seed: the first STREAM_BYTES as libsodium gives them, then those of seeds counted on. */
#define STREAM_BYTES 65536u
struct stream {
    unsigned char seed[randombytes_SEEDBYTES];
    unsigned char bytes[STREAM_BYTES];
    uint64_t chunk;
    size_t used;
    uint64_t consumed;
    uint64_t fails_after; /* bytes; 0: never */
};

static inline void stream_fill(struct stream *stream)
{
    unsigned char seed[randombytes_SEEDBYTES];
    memcpy(seed, stream->seed, sizeof seed);
    for (size_t i = 0; i < sizeof stream->chunk; i++)
        seed[24 + i] ^= (unsigned char)(stream->chunk >> (8 * i));
    randombytes_buf_deterministic(stream->bytes, sizeof stream->bytes, seed);
    stream->chunk++;
    stream->used = 0;
}

static inline enum result stream_bytes(void *context, void *out, size_t n)
{
    struct stream *stream = context;
    if (stream->fails_after != 0 && stream->consumed + n > stream->fails_after)
        return RESULT_UNAVAILABLE;
    for (size_t i = 0; i < n; i++) {
        if (stream->used == STREAM_BYTES)
            stream_fill(stream);
        ((unsigned char *)out)[i] = stream->bytes[stream->used++];
    }
    stream->consumed += n;
    return RESULT_OK;
}

/* A source of a stream of its own, from seed 0, 1, 2, … repeated but for its last byte. Lives to the next call. */
static inline struct noise_source stream_source(unsigned char last)
{
    static struct stream stream;
    memset(&stream, 0, sizeof stream);
    for (size_t i = 0; i < sizeof stream.seed; i++)
        stream.seed[i] = (unsigned char)i;
    stream.seed[31] = last;
    stream_fill(&stream);
    return (struct noise_source){stream_bytes, &stream};
}

/* A source of one byte over and over. */
static inline enum result stuck_bytes(void *context, void *out, size_t n)
{
    memset(out, *(const unsigned char *)context, n);
    return RESULT_OK;
}

/* How many samples: 10^5, or 10^6 where there is time. */
static inline size_t sample_count(void)
{
    const char *longer = getenv("THRONG_LONG");
    return longer != NULL && strcmp(longer, "1") == 0 ? 1000000 : 100000;
}

/* The published values, or the test is skipped. The caller decrefs. */
static inline json_t *golden_values(void)
{
    const char *shared = getenv("THRONG_SHARED");
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/vectors/dp/golden.json", shared == NULL ? "../shared" : shared);
    json_t *values = json_load_file(path, 0, NULL);
    if (values == NULL) {
        print_message("skipped: the published vectors are not here (THRONG_SHARED names their folder)\n");
        skip();
    }
    return values;
}

/* The number params.name of a row of golden_values. */
static inline double golden_number(const json_t *row, const char *name)
{
    const json_t *value = json_object_get(json_object_get(row, "params"), name);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

/* A sampler under test, or a planted wrong one; parameter: the scale or variance. */
typedef enum result (*sampler)(const struct noise_source *source, struct rational parameter, int64_t *out, struct failure *why);

/* Compare a sampler with every golden sequence of kind, byte for byte. */
static inline size_t check_sequences(const char *kind, sampler draw)
{
    json_t *golden = golden_values();
    size_t checked = 0;
    size_t i;
    const json_t *row;
    json_array_foreach(json_object_get(json_object_get(golden, "sample_vectors"), "rows"), i, row) {
        if (strcmp(json_string_value(json_object_get(row, "kind")), kind) != 0)
            continue;
        struct rational parameter = {(uint64_t)json_integer_value(json_object_get(row, "num")),
            (uint64_t)json_integer_value(json_object_get(row, "den"))};
        struct noise_source source = stream_source(31);
        char seed[2 * randombytes_SEEDBYTES + 1];
        struct stream *stream = source.context;
        sodium_bin2hex(seed, sizeof seed, stream->seed, sizeof stream->seed);
        assert_string_equal(seed, json_string_value(json_object_get(row, "seed")));
        const json_t *samples = json_object_get(row, "samples");
        for (size_t j = 0; j < json_array_size(samples); j++) {
            int64_t sample;
            assert_int_equal(draw(&source, parameter, &sample, NULL), RESULT_OK);
            assert_int_equal(sample, json_integer_value(json_array_get(samples, j)));
            checked++;
        }
        assert_int_equal(stream->consumed, json_integer_value(json_object_get(row, "bytes_consumed")));
    }
    json_decref(golden);
    return checked;
}

/* P[Z >= t] of a distribution over the integers that is symmetric about 0. */
typedef double (*tail)(int64_t t, double parameter);

/* Χ² of n samples against a distribution, over cells width wide out to reach, those that expect fewer than 10 merged with
 * the next one inwards. Writes the degrees of freedom. */
static inline double chi_squared(const int64_t *samples, size_t n, tail upper, double parameter, int64_t width, int64_t reach,
    size_t *freedom)
{
    int64_t half = reach / width + 1;
    size_t cells = (size_t)(2 * half + 1);
    double *expected = calloc(cells, sizeof *expected);
    double *seen = calloc(cells, sizeof *seen);
    assert_true(expected != NULL && seen != NULL);
    for (size_t c = 0; c < cells; c++) {
        int64_t low = ((int64_t)c - half) * width - width / 2;
        double from = c == 0 ? 1 : upper(low, parameter);
        double to = c + 1 == cells ? 0 : upper(low + width, parameter);
        expected[c] = (double)n * (from - to);
    }
    for (size_t i = 0; i < n; i++) {
        int64_t at = samples[i] + width / 2;
        int64_t c = (at >= 0 ? at / width : -((-at + width - 1) / width)) + half;
        seen[c < 0 ? 0 : c >= (int64_t)cells ? (int64_t)cells - 1 : c]++;
    }
    for (size_t c = 0; c < (size_t)half; c++) {
        size_t mirrored = cells - 1 - c;
        if (expected[c] < 10) {
            expected[c + 1] += expected[c];
            seen[c + 1] += seen[c];
            expected[c] = 0;
        }
        if (expected[mirrored] < 10) {
            expected[mirrored - 1] += expected[mirrored];
            seen[mirrored - 1] += seen[mirrored];
            expected[mirrored] = 0;
        }
    }
    double sum = 0;
    size_t used = 0;
    for (size_t c = 0; c < cells; c++) {
        if (expected[c] <= 0)
            continue;
        sum += (seen[c] - expected[c]) * (seen[c] - expected[c]) / expected[c];
        used++;
    }
    free(expected);
    free(seen);
    assert_true(used >= 2);
    *freedom = used - 1;
    return sum;
}

/* Wilson and Hilferty's bound of Χ² at LIMIT_CHI. */
static inline double chi_limit(size_t freedom)
{
    double f = (double)freedom;
    double root = 1 - 2 / (9 * f) + LIMIT_CHI * sqrt(2 / (9 * f));
    return f * root * root * root;
}

/* How far a count of n trials of chance p lies from its mean, in its standard deviations. */
static inline double z_of(double count, size_t n, double p)
{
    return (count - (double)n * p) / sqrt((double)n * p * (1 - p));
}

static inline int64_t *draw_samples(sampler draw, struct rational parameter, size_t n, unsigned char seed)
{
    int64_t *samples = calloc(n, sizeof *samples);
    assert_non_null(samples);
    struct noise_source source = stream_source(seed);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(draw(&source, parameter, &samples[i], NULL), RESULT_OK);
    return samples;
}

/* Every way a source can fail: at each byte; all 0; all ones. The output stays, and no sample comes. Returns how many. */
static inline size_t check_failing(sampler draw, struct rational parameter, bool zeros_fail, bool ones_fail)
{
    struct noise_source source = stream_source(3);
    struct stream *stream = source.context;
    int64_t sample = 77;
    assert_int_equal(draw(&source, parameter, &sample, NULL), RESULT_OK);
    uint64_t needed = stream->consumed;
    assert_true(needed > 1);
    for (uint64_t bytes = 1; bytes < needed; bytes++) {
        struct failure why = {0};
        source = stream_source(3);
        stream->fails_after = bytes;
        sample = 77;
        assert_int_equal(draw(&source, parameter, &sample, &why), RESULT_UNAVAILABLE);
        assert_int_equal(sample, 77);
        assert_string_equal(why.field, "noise");
    }
    const struct { unsigned char byte; bool fails; } stuck[] = {{0, zeros_fail}, {0xff, ones_fail}};
    for (size_t i = 0; i < 2; i++) {
        unsigned char byte = stuck[i].byte;
        struct noise_source broken = {stuck_bytes, &byte};
        sample = 77;
        enum result result = draw(&broken, parameter, &sample, NULL);
        assert_int_equal(result, stuck[i].fails ? RESULT_FAILED : RESULT_OK);
        assert_true(stuck[i].fails == (sample == 77));
    }
    return (size_t)needed;
}

#endif
