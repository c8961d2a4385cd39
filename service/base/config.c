#include "service/base/config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/base/log.h"

#define FILE_MAX_BYTES (1024 * 1024)
#define SECRET_MAX_BYTES (64 * 1024)
#define LINE_MAX_BYTES 8192
#define DIRECTORY_MAX_BYTES 80 /* sun_path holds 107 and the socket's name */

extern char **environ;

enum key_type { KEY_TEXT, KEY_INT, KEY_BOOL, KEY_SECRET };

/* One row of config.def; place is its member of struct config. */
struct key {
    const char *section;
    const char *name;
    enum key_type type;
    size_t place;
    const char *initial;
    int64_t least;
    int64_t most;
    const char *help;
};

static const struct key keys[] = {
#define PLACE(section, key) offsetof(struct config, section##_##key)
#define CONFIG_TEXT(section, key, initial, help) {#section, #key, KEY_TEXT, PLACE(section, key), initial, 0, 0, help},
#define CONFIG_INT(section, key, initial, least, most, help)                                                         \
    {#section, #key, KEY_INT, PLACE(section, key), #initial, least, most, help},
#define CONFIG_BOOL(section, key, initial, help)                                                                     \
    {#section, #key, KEY_BOOL, PLACE(section, key), #initial, 0, 1, help},
#define CONFIG_SECRET(section, key, help) {#section, #key, KEY_SECRET, PLACE(section, key), "", 0, 0, help},
#include "service/base/config.def"
#undef CONFIG_TEXT
#undef CONFIG_INT
#undef CONFIG_BOOL
#undef CONFIG_SECRET
#undef PLACE
};

#define KEY_COUNT (sizeof keys / sizeof keys[0])

/* Where a value comes from, for the explanation: a line of the file (> 0), the environment (0) or neither (-1). */
struct source {
    int line;
};

/* One INI text being read. */
struct reading {
    struct config *config;
    struct failure *why;
    const char *next;
    int line;
    bool bad; /* a handler or the reader has explained */
    bool given[KEY_COUNT];
};

/* Text at the start of an explanation: "line 7: ", "environment: " or "". */
static const char *source_text(struct source source, char out[static 32])
{
    if (source.line > 0)
        (void)snprintf(out, 32, "line %d: ", source.line);
    else
        (void)snprintf(out, 32, "%s", source.line == 0 ? "environment: " : "");
    return out;
}

/* Explain what is wrong with key. Never shows the value: it may be a secret in the wrong place. */
static enum result refuse(struct failure *why, const struct key *key, struct source source, const char *text)
{
    char field[128];
    char from[32];
    (void)snprintf(field, sizeof field, "%s.%s", key->section, key->name);
    failure_set(why, field, "%s%s", source_text(source, from), text);
    return RESULT_INVALID;
}

static void *member(struct config *config, const struct key *key)
{
    return (char *)config + key->place;
}

/* Whether the member is an owned string. */
static bool holds_string(const struct key *key)
{
    return key->type == KEY_TEXT || key->type == KEY_SECRET;
}

static void drop_string(char **string)
{
    if (*string != NULL)
        explicit_bzero(*string, strlen(*string));
    free(*string);
    *string = NULL;
}

static enum result set_string(struct config *config, const struct key *key, const char *value, struct failure *why)
{
    char *copy = strdup(value);
    if (copy == NULL) {
        failure_set(why, "", "out of memory");
        return RESULT_FAILED;
    }
    char **string = member(config, key);
    drop_string(string);
    *string = copy;
    return RESULT_OK;
}

static enum result set_int(
    struct config *config, const struct key *key, const char *value, struct source source, struct failure *why)
{
    char text[96];
    (void)snprintf(
        text, sizeof text, "must be a whole number from %lld to %lld", (long long)key->least, (long long)key->most);
    char *end;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (!(isdigit((unsigned char)value[0]) || value[0] == '-') || end == value || *end != '\0' || errno != 0)
        return refuse(why, key, source, text);
    if (number < key->least || number > key->most)
        return refuse(why, key, source, text);
    *(int64_t *)member(config, key) = number;
    return RESULT_OK;
}

static enum result set_bool(
    struct config *config, const struct key *key, const char *value, struct source source, struct failure *why)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(value, words[i]) == 0) {
            *(bool *)member(config, key) = i % 2 == 1;
            return RESULT_OK;
        }
    }
    return refuse(why, key, source, "must be true or false (or yes, no, on, off, 1, 0)");
}

/* Texts that take only some values. */
static enum result check_text(const struct key *key, const char *value, struct source source, struct failure *why)
{
    enum log_level level;
    if (key->place == offsetof(struct config, run_log_level) && !log_level_named(value, &level))
        return refuse(why, key, source, "must be debug, info, warn or error");
    if (key->place == offsetof(struct config, run_directory) && strlen(value) > DIRECTORY_MAX_BYTES)
        return refuse(why, key, source, "must be at most 80 bytes: a unix socket's path is short");
    if (key->place == offsetof(struct config, ingest_durability) && strcmp(value, "process") != 0 &&
        strcmp(value, "strict") != 0)
        return refuse(why, key, source, "must be process or strict");
    return RESULT_OK;
}

static enum result set_value(
    struct config *config, const struct key *key, const char *value, struct source source, struct failure *why)
{
    switch (key->type) {
    case KEY_INT:
        return set_int(config, key, value, source, why);
    case KEY_BOOL:
        return set_bool(config, key, value, source, why);
    case KEY_TEXT: {
        enum result result = check_text(key, value, source, why);
        return result != RESULT_OK ? result : set_string(config, key, value, why);
    }
    case KEY_SECRET:
        return set_string(config, key, value, why);
    }
    return RESULT_FAILED;
}

/* Read the regular file path to an owned string. On failure returns NULL, with what is wrong in *text. */
static char *read_regular(const char *path, size_t most, const char **text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        *text = errno == ENOENT ? "the file does not exist" : "the file cannot be read: check its owner and mode";
        return NULL;
    }
    char *bytes = NULL;
    struct stat about;
    *text = "not a regular file";
    if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode))
        goto out;
    *text = "out of memory";
    bytes = malloc(most + 2);
    if (bytes == NULL)
        goto out;
    size_t length = 0;
    ssize_t got;
    while (length <= most && (got = read(fd, bytes + length, most + 1 - length)) > 0)
        length += (size_t)got;
    *text = "the file is too long or holds NUL bytes";
    bytes[length] = '\0';
    if (length > most || strlen(bytes) != length) {
        explicit_bzero(bytes, length);
        free(bytes);
        bytes = NULL;
    }
out:
    (void)close(fd);
    return bytes;
}

static enum result set_from_file(
    struct config *config, const struct key *key, const char *path, struct source source, struct failure *why)
{
    const char *text;
    char *secret = read_regular(path, SECRET_MAX_BYTES, &text);
    if (secret == NULL) {
        char full[160];
        (void)snprintf(full, sizeof full, "secret file: %s; name a file that holds nothing but the secret", text);
        return refuse(why, key, source, full);
    }
    size_t length = strlen(secret);
    if (length > 0 && secret[length - 1] == '\n')
        secret[--length] = '\0';
    if (length > 0 && secret[length - 1] == '\r')
        secret[--length] = '\0';
    enum result result = set_string(config, key, secret, why);
    drop_string(&secret);
    return result;
}

/* The key that section.name means: its row or, for NAME_file of a secret, that secret's with *in_file set. */
static const struct key *find(const char *section, const char *name, bool *in_file)
{
    for (const struct key *key = keys; key < keys + KEY_COUNT; key++) {
        size_t length = strlen(key->name);
        if (strcmp(key->section, section) != 0 || strncmp(key->name, name, length) != 0)
            continue;
        *in_file = name[length] != '\0';
        if (!*in_file || (key->type == KEY_SECRET && strcmp(name + length, "_file") == 0))
            return key;
    }
    return NULL;
}

/* Whether text is a name we may repeat in an explanation: a mistyped line may be a secret. */
static bool is_name(const char *text)
{
    return text[0] != '\0' && strlen(text) < 48 &&
           text[strspn(text, "abcdefghijklmnopqrstuvwxyz_0123456789")] == '\0';
}

static enum result refuse_name(struct reading *reading, const char *section, const char *name)
{
    char field[128];
    (void)snprintf(field, sizeof field, "%s.%s", is_name(section) ? section : "?", is_name(name) ? name : "?");
    failure_set(reading->why, field, "line %d: there is no such key", reading->line);
    return RESULT_INVALID;
}

static enum result take(struct reading *reading, const char *section, const char *name, const char *value)
{
    struct source source = {.line = reading->line};
    bool in_file;
    const struct key *key = find(section, name, &in_file);
    if (key == NULL)
        return refuse_name(reading, section, name);
    bool *given = &reading->given[key - keys];
    if (*given)
        return refuse(reading->why, key, source, "given twice");
    *given = true;
    return in_file ? set_from_file(reading->config, key, value, source, reading->why)
                   : set_value(reading->config, key, value, source, reading->why);
}

/* inih's handler: nonzero is success. */
static int on_pair(void *user, const char *section, const char *name, const char *value)
{
    struct reading *reading = user;
    if (reading->bad)
        return 0;
    reading->bad = take(reading, section, name, value) != RESULT_OK;
    return reading->bad ? 0 : 1;
}

/* inih's reader, as fgets(3). inih would split a line that is too long in silence; this refuses it. */
static char *next_line(char *out, int size, void *user)
{
    struct reading *reading = user;
    if (*reading->next == '\0' || reading->bad)
        return NULL;
    size_t length = strcspn(reading->next, "\n");
    reading->line++;
    if (length + 2 > (size_t)size) {
        failure_set(reading->why, "", "line %d: longer than %d bytes", reading->line, size - 2);
        reading->bad = true;
        return NULL;
    }
    if (reading->next[length] == '\n')
        length++;
    memcpy(out, reading->next, length);
    out[length] = '\0';
    reading->next += length;
    return out;
}

static enum result read_text(const char *text, struct config *config, struct failure *why)
{
    /* A ';' in a password is part of it, and an indented line is a line of its own. */
    ini_allow_inline_comments = false;
    ini_allow_multiline = false;
    ini_use_stack = false;
    ini_max_line = LINE_MAX_BYTES;
    ini_initial_alloc = LINE_MAX_BYTES;
    ini_stop_on_first_error = true;
    struct reading reading = {.config = config, .why = why, .next = text};
    int line = ini_parse_stream(next_line, &reading, on_pair, &reading);
    if (line == 0 && !reading.bad)
        return RESULT_OK;
    failure_set(why, "", "line %d: neither [section] nor key = value", reading.line);
    return RESULT_INVALID;
}

static enum result set_defaults(struct config *config, struct failure *why)
{
    memset(config, 0, sizeof *config);
    for (const struct key *key = keys; key < keys + KEY_COUNT; key++) {
        enum result result = set_value(config, key, key->initial, (struct source){-1}, why);
        if (result != RESULT_OK)
            return result;
    }
    return RESULT_OK;
}

/* Split "THRONG_REDIS_TIMEOUT_MS=50" into the section "redis", the name "timeout_ms" and a pointer to the value.
 * False if it does not begin with THRONG_ and one of our sections. */
static bool split_variable(const char *variable, char section[static 64], char name[static 64], const char **value)
{
    const char *equals = strchr(variable, '=');
    if (strncmp(variable, "THRONG_", 7) != 0 || equals == NULL || equals - variable > 60)
        return false;
    char lower[64] = "";
    for (size_t i = 0; variable + 7 + i < equals; i++)
        lower[i] = (char)tolower((unsigned char)variable[7 + i]);
    char *split = strchr(lower, '_');
    if (split == NULL)
        return false;
    *split = '\0';
    strcpy(section, lower);
    strcpy(name, split + 1);
    *value = equals + 1;
    for (const struct key *key = keys; key < keys + KEY_COUNT; key++) {
        if (strcmp(key->section, section) == 0)
            return true;
    }
    return false;
}

static enum result read_environment(struct config *config, struct failure *why)
{
    struct source source = {.line = 0};
    bool given[KEY_COUNT] = {false};
    for (char **variable = environ; variable != NULL && *variable != NULL; variable++) {
        char section[64];
        char name[64];
        const char *value;
        if (!split_variable(*variable, section, name, &value))
            continue;
        bool in_file;
        const struct key *key = find(section, name, &in_file);
        if (key == NULL) {
            char field[128];
            (void)snprintf(field, sizeof field, "%s.%s", section, is_name(name) ? name : "?");
            failure_set(why, field, "environment: there is no such key");
            return RESULT_INVALID;
        }
        if (given[key - keys])
            return refuse(why, key, source, "given both as a value and as a _FILE");
        given[key - keys] = true;
        enum result result =
            in_file ? set_from_file(config, key, value, source, why) : set_value(config, key, value, source, why);
        if (result != RESULT_OK)
            return result;
    }
    return RESULT_OK;
}

static enum result read_file(const char *path, struct config *config, struct failure *why)
{
    const char *text;
    char *bytes = read_regular(path, FILE_MAX_BYTES, &text);
    if (bytes == NULL) {
        failure_set(why, "", "configuration file: %s", text);
        return RESULT_INVALID;
    }
    enum result result = read_text(bytes, config, why);
    drop_string(&bytes);
    return result;
}

enum result config_load(const char *path, struct config *config, struct failure *why)
{
    enum result result = set_defaults(config, why);
    if (result == RESULT_OK && path != NULL)
        result = read_file(path, config, why);
    if (result == RESULT_OK)
        result = read_environment(config, why);
    if (result != RESULT_OK)
        config_free(config);
    return result;
}

enum result config_parse(const char *text, struct config *config, struct failure *why)
{
    enum result result = set_defaults(config, why);
    if (result == RESULT_OK)
        result = read_text(text, config, why);
    if (result != RESULT_OK)
        config_free(config);
    return result;
}

void config_free(struct config *config)
{
    for (const struct key *key = keys; key < keys + KEY_COUNT; key++) {
        if (holds_string(key))
            drop_string(member(config, key));
    }
}

static void print_key(FILE *file, const struct key *key)
{
    (void)fprintf(file, "# %s\n", key->help);
    if (key->type == KEY_INT)
        (void)fprintf(file, "# from %lld to %lld\n", (long long)key->least, (long long)key->most);
    if (key->type == KEY_SECRET)
        (void)fprintf(file, "#%s_file = /path/of/a/file/that/holds/it\n", key->name);
    (void)fprintf(file, "#%s =%s%s\n\n", key->name, key->initial[0] == '\0' ? "" : " ", key->initial);
}

void config_print_reference(FILE *file)
{
    (void)fputs(
        "# throng.conf: every key with its default. A line that begins with # or ; is a comment; nothing after a\n"
        "# value is. The environment overrides: THRONG_SECTION_KEY, and THRONG_SECTION_KEY_FILE for a secret.\n\n",
        file);
    const char *section = "";
    for (const struct key *key = keys; key < keys + KEY_COUNT; key++) {
        if (strcmp(section, key->section) != 0)
            (void)fprintf(file, "[%s]\n", key->section);
        section = key->section;
        print_key(file, key);
    }
}

static void print_help(const char *program, const char *summary)
{
    (void)printf("usage: %s [--config FILE] [--check-config] [--help] [--version]\n\n%s\n\n"
                 "  --config FILE    read FILE (default: $THRONG_CONFIG; none: defaults and environment only)\n"
                 "  --check-config   say whether the configuration is valid, and exit\n"
                 "  --help           this text and every configuration key\n"
                 "  --version        the version\n\n",
        program, summary);
    config_print_reference(stdout);
}

static _Noreturn void usage(const char *program, const char *text)
{
    (void)fprintf(stderr, "%s: %s; see %s --help\n", program, text, program);
    exit(2);
}

void config_from_arguments(int argc, char **argv, const char *summary, struct config *config)
{
    const char *program = argc > 0 ? argv[0] : "throng";
    const char *slash = strrchr(program, '/');
    program = slash == NULL ? program : slash + 1;
    const char *path = getenv("THRONG_CONFIG");
    bool check = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            print_help(program, summary);
            exit(0);
        }
        if (strcmp(argv[i], "--version") == 0) {
            (void)printf("%s " THRONG_VERSION "\n", program);
            exit(0);
        }
        if (strcmp(argv[i], "--check-config") == 0)
            check = true;
        else if (strncmp(argv[i], "--config=", 9) == 0)
            path = argv[i] + 9;
        else if (strcmp(argv[i], "--config") == 0 && i + 1 < argc)
            path = argv[++i];
        else
            usage(program, strcmp(argv[i], "--config") == 0 ? "--config needs a file" : "unknown option");
    }

    struct failure why = {0};
    if (config_load(path != NULL && path[0] != '\0' ? path : NULL, config, &why) != RESULT_OK) {
        (void)fprintf(stderr, "%s: %s%s%s\n", program, why.field, why.field[0] == '\0' ? "" : ": ", why.text);
        exit(2);
    }
    if (check) {
        (void)puts("ok");
        exit(0);
    }
}
