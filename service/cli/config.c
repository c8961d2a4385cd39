#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "service/cli/command.h"
#include "service/cli/flags.h"
#include "service/supervise/private_redis.h"

/* Begin the section of a row if it is a new one. */
static void begin(const char **section, const char *name)
{
    if (*section == NULL || strcmp(*section, name) != 0)
        (void)printf("%s[%s]\n", *section == NULL ? "" : "\n", name);
    *section = name;
}

static void print_in_force(const struct config *config)
{
    const char *section_now = NULL;
#define CONFIG_TEXT(section, key, initial, help) \
    begin(&section_now, #section);               \
    (void)printf("%s = %s\n", #key, config->section##_##key);
#define CONFIG_INT(section, key, initial, least, most, help) \
    begin(&section_now, #section);                           \
    (void)printf("%s = %" PRId64 "\n", #key, config->section##_##key);
#define CONFIG_BOOL(section, key, initial, help) \
    begin(&section_now, #section);               \
    (void)printf("%s = %s\n", #key, config->section##_##key ? "true" : "false");
#define CONFIG_SECRET(section, key, help) \
    begin(&section_now, #section);        \
    (void)printf("# %s (%s)\n", #key, config->section##_##key[0] == '\0' ? "not set" : "set");
#include "service/base/config.def"
#undef CONFIG_TEXT
#undef CONFIG_INT
#undef CONFIG_BOOL
#undef CONFIG_SECRET
}

static void print_document(const struct config *config)
{
    json_t *root = json_object();
#define CONFIG_TEXT(section, key, initial, help) \
    (void)json_object_set_new(root, #section "." #key, json_string(config->section##_##key));
#define CONFIG_INT(section, key, initial, least, most, help) \
    (void)json_object_set_new(root, #section "." #key, json_integer(config->section##_##key));
#define CONFIG_BOOL(section, key, initial, help) \
    (void)json_object_set_new(root, #section "." #key, json_boolean(config->section##_##key));
#define CONFIG_SECRET(section, key, help)              \
    (void)json_object_set_new(root, #section "." #key, \
        json_string(config->section##_##key[0] == '\0' ? "(not set)" : "(set)"));
#include "service/base/config.def"
#undef CONFIG_TEXT
#undef CONFIG_INT
#undef CONFIG_BOOL
#undef CONFIG_SECRET
    (void)json_dumpf(root, stdout, JSON_INDENT(2));
    (void)puts("");
    json_decref(root);
}

int config_command(struct command_context *context, int argc, char **argv)
{
    bool reference = false, users = false;
    const struct flag flags[] = {{.name = "reference", .on = &reference}, {.name = "redis-users", .on = &users}};
    if (flags_parse(context, argc, argv, flags, 2, NULL, 0) < 0)
        return 2;
    if (users)
        private_redis_print_users(stdout);
    else if (reference)
        config_print_reference(stdout);
    else if (context->json)
        print_document(&context->config);
    else
        print_in_force(&context->config);
    return 0;
}
