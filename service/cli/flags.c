#include "service/cli/flags.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct flag *find(const struct flag *flags, size_t count, const char *name, size_t length)
{
    for (size_t i = 0; i < count; i++) {
        if (strlen(flags[i].name) == length && memcmp(flags[i].name, name, length) == 0)
            return &flags[i];
    }
    return NULL;
}

static bool read_number(const struct flag *flag, const char *value)
{
    char *end;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (errno != 0 || end == value || *end != '\0' || number < flag->least || number > flag->most)
        return false;
    *flag->number = number;
    return true;
}

/* Take the option at argv[*at], and its value, which may be the next argument. 0, or -1 after saying why not. */
static int take(char **argv, int argc, int *at, const struct flag *flags, size_t count)
{
    const char *name = argv[*at] + 2;
    const char *value = strchr(name, '=');
    size_t length = value == NULL ? strlen(name) : (size_t)(value - name);
    const struct flag *flag = find(flags, count, name, length);
    if (flag == NULL)
        return command_usage(argv[0], "unknown option --%.*s", (int)length, name), -1;
    if (flag->on != NULL) {
        if (value != NULL)
            return command_usage(argv[0], "--%s takes no value", flag->name), -1;
        *flag->on = true;
        return 0;
    }
    if (value != NULL)
        value++;
    else if (*at + 1 < argc)
        value = argv[++*at];
    else
        return command_usage(argv[0], "--%s needs a value", flag->name), -1;
    if (flag->text != NULL) {
        *flag->text = value;
        return 0;
    }
    if (!read_number(flag, value))
        return command_usage(argv[0], "--%s needs a whole number from %lld to %lld", flag->name,
                   (long long)flag->least, (long long)flag->most),
               -1;
    return 0;
}

int flags_parse(struct command_context *context, int argc, char **argv, const struct flag *flags, size_t count,
    const char **operand, size_t capacity)
{
    size_t operands = 0;
    bool options = true;
    for (int i = 1; i < argc; i++) {
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
            continue;
        }
        if (options && strcmp(argv[i], "--json") == 0) {
            context->json = true;
            continue;
        }
        if (options && argv[i][0] == '-' && argv[i][1] != '\0') {
            if (argv[i][1] != '-')
                return command_usage(argv[0], "options begin with two dashes"), -1;
            if (take(argv, argc, &i, flags, count) != 0)
                return -1;
            continue;
        }
        if (operands == capacity)
            return command_usage(argv[0], "too many arguments"), -1;
        operand[operands++] = argv[i];
    }
    return (int)operands;
}
