#include "service/supervise/environment.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void environment_base(struct words *words)
{
    static const char *const names[] = {"PATH=", "TZ=", "ASAN_OPTIONS=", "LSAN_OPTIONS=", "TSAN_OPTIONS=",
        "UBSAN_OPTIONS=", "THRONG_TEST_"};
    for (char **entry = environ; *entry != NULL; entry++) {
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            if (strncmp(*entry, names[i], strlen(names[i])) == 0)
                words_add(words, "%s", *entry);
        }
    }
    words_add(words, "LC_ALL=C");
}

/* THRONG_SECTION_KEY, to out. */
static const char *variable(char out[128], const char *section, const char *key)
{
    (void)snprintf(out, 128, "THRONG_%s_%s", section, key);
    for (char *c = out; *c != '\0'; c++)
        *c = (char)toupper((unsigned char)*c);
    return out;
}

void environment_section(struct words *words, const struct config *config, const char *wanted)
{
    char name[128];
#define CONFIG_TEXT(section, key, initial, help)    \
    if (strcmp(#section, wanted) == 0)              \
        words_add(words, "%s=%s", variable(name, #section, #key), config->section##_##key);
#define CONFIG_INT(section, key, initial, least, most, help) \
    if (strcmp(#section, wanted) == 0)                       \
        words_add(words, "%s=%" PRId64, variable(name, #section, #key), config->section##_##key);
#define CONFIG_BOOL(section, key, initial, help)    \
    if (strcmp(#section, wanted) == 0)              \
        words_add(words, "%s=%s", variable(name, #section, #key), config->section##_##key ? "true" : "false");
#define CONFIG_SECRET(section, key, help)
#include "service/base/config.def"
#undef CONFIG_TEXT
#undef CONFIG_INT
#undef CONFIG_BOOL
#undef CONFIG_SECRET
}
