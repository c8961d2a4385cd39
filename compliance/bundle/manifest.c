#include "compliance/bundle/manifest.h"

#include <inttypes.h>
#include <string.h>

#include "compliance/bundle/archive.h"
#include "compliance/bundle/strict.h"

void manifest_hex(const uint8_t hash[32], char out[MANIFEST_HEX_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < 32; i++) {
        out[2 * i] = digits[hash[i] >> 4];
        out[2 * i + 1] = digits[hash[i] & 15];
    }
    out[MANIFEST_HEX_BYTES - 1] = '\0';
}

enum result manifest_put(FILE *list, const char *name, uint64_t size, const uint8_t hash[32], struct failure *why)
{
    char hex[MANIFEST_HEX_BYTES];
    manifest_hex(hash, hex);
    if (fprintf(list, "\"%s\":{\"bytes\":%" PRIu64 ",\"sha256\":\"%s\"},", name, size, hex) < 0) {
        failure_set(why, "bundle", "cannot be written: is the disk full?");
        return RESULT_FAILED;
    }
    return RESULT_OK;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool take_hash(struct text_view *rest, uint8_t hash[32])
{
    if (rest->length < 64)
        return false;
    for (size_t i = 0; i < 32; i++) {
        int high = digit(rest->bytes[2 * i]), low = digit(rest->bytes[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        hash[i] = (uint8_t)(high << 4 | low);
    }
    rest->bytes += 64;
    rest->length -= 64;
    return true;
}

static bool take_name(struct text_view *rest, struct text_view *name)
{
    if (!text_skip(rest, "\""))
        return false;
    const char *end = memchr(rest->bytes, '"', rest->length);
    if (end == NULL)
        return false;
    *name = (struct text_view){rest->bytes, (size_t)(end - rest->bytes)};
    rest->bytes += name->length + 1;
    rest->length -= name->length + 1;
    return archive_name_valid(*name);
}

static enum result refuse(struct failure *why)
{
    failure_set(why, MANIFEST_NAME, "it is not in the one form of a manifest");
    return RESULT_CORRUPT;
}

enum result manifest_next(struct text_view manifest, size_t *at, struct manifest_member *member, struct failure *why)
{
    struct text_view rest = {manifest.bytes + *at, manifest.length - *at};
    if (text_is(rest, "}") && *at > 0)
        return RESULT_NOT_FOUND;
    if (!text_skip(&rest, *at == 0 ? "{" : ",") || !take_name(&rest, &member->name) || !text_skip(&rest, ":{\"bytes\":") ||
        !strict_number(&rest, &member->size) || !text_skip(&rest, ",\"sha256\":\"") || !take_hash(&rest, member->hash) ||
        !text_skip(&rest, "\"}"))
        return refuse(why);
    *at = manifest.length - rest.length;
    return RESULT_OK;
}

void manifest_text(const struct checkpoint *checkpoint, const uint8_t hash[32], struct text_writer *out)
{
    char hex[MANIFEST_HEX_BYTES];
    manifest_hex(hash, hex);
    text_puts(out, checkpoint->origin);
    text_puts(out, "/bundle\n");
    text_put_decimal(out, checkpoint->size);
    text_puts(out, "\n");
    text_put_base64(out, checkpoint->root.bytes, TREE_HASH_BYTES);
    text_puts(out, "\n");
    text_puts(out, hex);
    text_puts(out, "\n");
}
