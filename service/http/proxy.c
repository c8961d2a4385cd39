#include "service/http/proxy.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const uint8_t v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool is_v4(const uint8_t *bytes)
{
    return memcmp(bytes, v4_prefix, sizeof v4_prefix) == 0;
}

/* Read a bare address; false if text is none. */
static bool read_address(const char *text, uint8_t *bytes)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, text, &v4) == 1) {
        memcpy(bytes, v4_prefix, sizeof v4_prefix);
        memcpy(bytes + 12, &v4, 4);
        return true;
    }
    if (inet_pton(AF_INET6, text, &v6) != 1)
        return false;
    memcpy(bytes, &v6, 16);
    return true;
}

static bool read_range(char *text, struct proxy_range *range)
{
    char *slash = strchr(text, '/');
    if (slash != NULL)
        *slash++ = '\0';
    if (!read_address(text, range->bytes))
        return false;
    unsigned offset = is_v4(range->bytes) && strchr(text, ':') == NULL ? 96 : 0;
    range->bits = 128;
    if (slash == NULL)
        return true;
    char *end;
    if (*slash < '0' || *slash > '9')
        return false;
    unsigned long bits = strtoul(slash, &end, 10);
    if (*end != '\0' || bits > 128 - offset)
        return false;
    range->bits = (unsigned)bits + offset;
    return true;
}

enum result proxy_parse(const char *text, const char *name, struct proxy *out, struct failure *why)
{
    struct proxy parsed = {.count = 0};
    while (*(text += strspn(text, " ,\t")) != '\0') {
        char word[64];
        size_t length = strcspn(text, " ,\t");
        if (parsed.count == PROXY_RANGES_MAX) {
            failure_set(why, name, "has more than %d ranges", PROXY_RANGES_MAX);
            return RESULT_INVALID;
        }
        if (length >= sizeof word) {
            failure_set(why, name, "has a word of %zu bytes that is no address", length);
            return RESULT_INVALID;
        }
        memcpy(word, text, length);
        word[length] = '\0';
        if (!read_range(word, &parsed.ranges[parsed.count])) {
            failure_set(why, name, "word %zu is no address or CIDR range", parsed.count + 1);
            return RESULT_INVALID;
        }
        parsed.count++;
        text += length;
    }
    *out = parsed;
    return RESULT_OK;
}

static bool within(const struct proxy_range *range, const uint8_t *bytes)
{
    size_t whole = range->bits / 8;
    unsigned rest = range->bits % 8;
    if (memcmp(range->bytes, bytes, whole) != 0)
        return false;
    return rest == 0 || ((range->bytes[whole] ^ bytes[whole]) >> (8 - rest)) == 0;
}

static bool trusted(const struct proxy *proxy, const uint8_t *bytes)
{
    for (size_t i = 0; i < proxy->count; i++) {
        if (within(&proxy->ranges[i], bytes))
            return true;
    }
    return false;
}

static struct proxy_address peer_address(const struct sockaddr *peer)
{
    struct proxy_address address = {{0}};
    if (peer != NULL && peer->sa_family == AF_INET) {
        memcpy(address.bytes, v4_prefix, sizeof v4_prefix);
        memcpy(address.bytes + 12, (const uint8_t *)peer + offsetof(struct sockaddr_in, sin_addr), 4);
    } else if (peer != NULL && peer->sa_family == AF_INET6) {
        memcpy(address.bytes, (const uint8_t *)peer + offsetof(struct sockaddr_in6, sin6_addr), 16);
    }
    return address;
}

bool proxy_trusts(const struct proxy *proxy, const struct sockaddr *peer)
{
    struct proxy_address address = peer_address(peer);
    return peer != NULL && trusted(proxy, address.bytes);
}

/* Read one element of the header, from[0..length-1]: an address, with or without a port or brackets. */
static bool read_element(const char *from, size_t length, uint8_t *bytes)
{
    char text[64];
    while (length > 0 && (*from == ' ' || *from == '\t')) {
        from++;
        length--;
    }
    while (length > 0 && (from[length - 1] == ' ' || from[length - 1] == '\t'))
        length--;
    if (length == 0 || length >= sizeof text)
        return false;
    memcpy(text, from, length);
    text[length] = '\0';
    char *colon = strchr(text, ':');
    if (text[0] == '[') {
        char *bracket = strchr(text, ']');
        if (bracket == NULL)
            return false;
        *bracket = '\0';
        return read_address(text + 1, bytes);
    }
    if (colon != NULL && strchr(colon + 1, ':') == NULL)
        *colon = '\0';
    return read_address(text, bytes);
}

struct proxy_address proxy_client(const struct proxy *proxy, const struct sockaddr *peer, const char *forwarded)
{
    struct proxy_address client = peer_address(peer);
    if (forwarded == NULL)
        return client;
    const char *end = forwarded + strlen(forwarded);
    while (end > forwarded && trusted(proxy, client.bytes)) {
        const char *start = end;
        while (start > forwarded && start[-1] != ',')
            start--;
        uint8_t next[16];
        if (!read_element(start, (size_t)(end - start), next))
            break;
        memcpy(client.bytes, next, sizeof next);
        end = start > forwarded ? start - 1 : forwarded;
    }
    return client;
}

/* As inet_ntop does, which takes a printf for it: every request needs one. */
static void write_v4(const uint8_t *bytes, char *out)
{
    for (size_t i = 0; i < 4; i++) {
        unsigned byte = bytes[i];
        if (byte >= 100)
            *out++ = (char)('0' + byte / 100);
        if (byte >= 10)
            *out++ = (char)('0' + byte / 10 % 10);
        *out++ = (char)('0' + byte % 10);
        *out++ = i < 3 ? '.' : '\0';
    }
}

const char *proxy_text(const struct proxy_address *address, char *out)
{
    out[0] = '\0';
    if (is_v4(address->bytes))
        write_v4(address->bytes + 12, out);
    else
        (void)inet_ntop(AF_INET6, address->bytes, out, PROXY_TEXT_BYTES);
    return out;
}
