#include "compliance/audit/checkpoint.h"

#include <stdbool.h>
#include <string.h>

static enum result refuse(struct failure *why, const char *text)
{
    failure_set(why, "checkpoint", "%s", text);
    return RESULT_INVALID;
}

static bool origin_valid(struct text_view origin)
{
    return origin.length > 0 && origin.length <= CHECKPOINT_ORIGIN_MAX_BYTES && text_plain(origin) &&
           memchr(origin.bytes, '\n', origin.length) == NULL;
}

static bool extension_valid(struct text_view extension)
{
    if (!text_plain(extension))
        return false;
    struct text_view line;
    while (text_line(&extension, &line))
        if (line.length == 0)
            return false;
    return extension.length == 0;
}

static bool root_valid(uint64_t size, const struct tree_hash *root)
{
    struct tree_hash empty;
    tree_empty(&empty);
    return size > 0 || tree_equal(root, &empty);
}

enum result checkpoint_parse(struct text_view text, struct checkpoint *checkpoint, struct failure *why)
{
    struct text_view origin, size, root;
    if (!text_line(&text, &origin) || !text_line(&text, &size) || !text_line(&text, &root))
        return refuse(why, "a checkpoint has at least three lines");
    struct checkpoint parsed = {.extension = text};
    if (!origin_valid(origin))
        return refuse(why, "the origin is not 1 to 255 bytes of plain text");
    memcpy(parsed.origin, origin.bytes, origin.length);
    if (!text_decimal(size, &parsed.size))
        return refuse(why, "the size is not a decimal number below 2^63");
    if (!text_base64_read(root, parsed.root.bytes, TREE_HASH_BYTES))
        return refuse(why, "the root is not the base64 of 32 bytes");
    if (!root_valid(parsed.size, &parsed.root))
        return refuse(why, "the empty tree has another root");
    if (!extension_valid(text))
        return refuse(why, "an extension line is empty, or not plain text");
    *checkpoint = parsed;
    return RESULT_OK;
}

enum result checkpoint_print(const struct checkpoint *checkpoint, struct text_writer *out, struct failure *why)
{
    const struct text_view origin = {checkpoint->origin, strlen(checkpoint->origin)};
    if (!origin_valid(origin) || checkpoint->size > TREE_SIZE_MAX || !extension_valid(checkpoint->extension) ||
        !root_valid(checkpoint->size, &checkpoint->root))
        return refuse(why, "the checkpoint has an origin, size, root or extension that none may have");
    struct text_writer tried = *out;
    text_put(&tried, origin.bytes, origin.length);
    text_puts(&tried, "\n");
    text_put_decimal(&tried, checkpoint->size);
    text_puts(&tried, "\n");
    text_put_base64(&tried, checkpoint->root.bytes, TREE_HASH_BYTES);
    text_puts(&tried, "\n");
    text_put(&tried, checkpoint->extension.bytes, checkpoint->extension.length);
    if (tried.full) {
        failure_set(why, "checkpoint", "no room for the checkpoint");
        return RESULT_FULL;
    }
    *out = tried;
    return RESULT_OK;
}

enum result checkpoint_open(const char *bytes, size_t length, const struct checkpoint_trust *trust,
    struct note_seal *seals, struct checkpoint *checkpoint, struct failure *why)
{
    struct note note;
    struct checkpoint parsed;
    enum result result = note_parse(bytes, length, &note, why);
    if (result == RESULT_OK)
        result = note_verify(&note, trust->keys, trust->count, seals, why);
    if (result != RESULT_OK)
        return result;
    if (!seals[0].valid) {
        failure_set(why, "checkpoint", "the log's own key has not signed the checkpoint");
        return RESULT_NOT_FOUND;
    }
    result = checkpoint_parse(note.text, &parsed, why);
    if (result != RESULT_OK)
        return result;
    if (strcmp(parsed.origin, trust->origin) != 0) {
        failure_set(why, "checkpoint", "the checkpoint is of another origin");
        return RESULT_DENIED;
    }
    *checkpoint = parsed;
    return RESULT_OK;
}
