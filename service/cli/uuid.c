#include "service/cli/uuid.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

void uuid_make(uint8_t out[UUID_BYTES])
{
    randombytes_buf(out, UUID_BYTES);
    out[6] = (uint8_t)((out[6] & 0x0f) | 0x40);
    out[8] = (uint8_t)((out[8] & 0x3f) | 0x80);
}

char *uuid_format(const uint8_t id[UUID_BYTES], char out[UUID_TEXT_BYTES])
{
    char hex[2 * UUID_BYTES + 1];
    (void)sodium_bin2hex(hex, sizeof hex, id, UUID_BYTES);
    (void)snprintf(out, UUID_TEXT_BYTES, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
    return out;
}

bool uuid_parse(const char *text, uint8_t out[UUID_BYTES])
{
    char hex[2 * UUID_BYTES + 1];
    uint8_t bytes[UUID_BYTES];
    size_t used = 0;
    if (strlen(text) != UUID_TEXT_BYTES - 1)
        return false;
    for (size_t i = 0; i < UUID_TEXT_BYTES - 1; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash != (text[i] == '-'))
            return false;
        if (!dash)
            hex[used++] = text[i];
    }
    size_t length = 0;
    if (sodium_hex2bin(bytes, sizeof bytes, hex, used, NULL, &length, NULL) != 0 || length != sizeof bytes)
        return false;
    memcpy(out, bytes, sizeof bytes);
    return true;
}
