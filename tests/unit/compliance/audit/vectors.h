/*
 * The published vectors of transparency logs, and what the tests of the log share. The folder is ../shared beside the
 * source tree, or what THRONG_SHARED names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compliance/audit/text.h"
#include "compliance/audit/tree.h"

#define FOLDER "vectors/tlog"

static inline struct text_view view(const char *string)
{
    return (struct text_view){string, string == NULL ? 0 : strlen(string)};
}

static inline void vector_path(char *path, size_t room, const char *name)
{
    const char *shared = getenv("THRONG_SHARED");
    (void)snprintf(path, room, "%s/" FOLDER "/%s", shared == NULL ? "../shared" : shared, name);
}

/* The JSON of a file of vectors; skips the test if it is not here. */
static inline json_t *vector_json(const char *name)
{
    char path[1024];
    vector_path(path, sizeof path, name);
    json_t *json = json_load_file(path, 0, NULL);
    if (json == NULL) {
        print_message("skipped: vectors not at hand (THRONG_SHARED names their folder)\n");
        skip();
    }
    return json;
}

static inline const char *member_text(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* length bytes of hexadecimal text. */
static inline void from_hex(const char *hex, uint8_t *out, size_t length)
{
    assert_int_equal(strlen(hex), 2 * length);
    for (size_t i = 0; i < length; i++) {
        unsigned byte = 0;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
        out[i] = (uint8_t)byte;
    }
}

static inline struct tree_hash hash_of_hex(const char *hex)
{
    struct tree_hash hash;
    from_hex(hex, hash.bytes, sizeof hash.bytes);
    return hash;
}

static inline void assert_hash(const struct tree_hash *got, const struct tree_hash *want)
{
    assert_memory_equal(got->bytes, want->bytes, TREE_HASH_BYTES);
}

/* Leaf i of a tree of ours. */
static inline struct tree_hash leaf_number(uint64_t i)
{
    char text[32];
    struct tree_hash hash;
    int length = snprintf(text, sizeof text, "leaf %llu", (unsigned long long)i);
    tree_leaf(text, (size_t)length, &hash);
    return hash;
}
