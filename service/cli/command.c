#include "service/cli/command.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COMMAND_PATH_BYTES 512

static const struct command {
    const char *name, *synopsis, *summary, *help;
    int (*run)(struct command_context *, int, char **);
} commands[] = {
#define COMMAND(name, synopsis, summary, help) {#name, synopsis, summary, help, name##_command},
#include "service/cli/commands.def"
#undef COMMAND
};
#define COMMANDS (sizeof commands / sizeof *commands)

/* What stands on the line besides the subcommand and its own arguments. */
struct line {
    const char *config;
    bool help, version, man_page;
};

int command_fail(const char *name, const struct failure *why)
{
    (void)fprintf(stderr, "throng %s: %s%s%s\n", name, why->field, why->field[0] == '\0' ? "" : ": ",
        why->text[0] == '\0' ? "failed" : why->text);
    return 1;
}

int command_usage(const char *name, const char *format, ...)
{
    va_list arguments;
    (void)fprintf(stderr, "throng %s: ", name);
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    (void)fprintf(stderr, "\nsee: throng %s --help\n", name);
    return 2;
}

struct db *command_db(struct command_context *context, const char *name, bool owner)
{
    const char *conninfo = owner ? context->config.postgres_conninfo : context->config.postgres_read_conninfo;
    struct failure why = {0};
    if (conninfo == NULL || conninfo[0] == '\0') {
        failure_set(&why, owner ? "postgres.conninfo" : "postgres.read_conninfo",
            "not set: no throng.conf was found, or it lacks it (--data DIR or --config FILE says where)");
        (void)command_fail(name, &why);
        return NULL;
    }
    struct db *db = db_new(conninfo, "throng");
    if (db_connect(db, &why) != RESULT_OK) {
        (void)command_fail(name, &why);
        db_free(db);
        return NULL;
    }
    return db;
}

const char *command_admin_socket(const struct command_context *context)
{
    static char path[COMMAND_PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/ingest.admin", context->config.run_directory);
    return path;
}

static void print_overview(FILE *file)
{
    (void)fputs("usage: throng [--config FILE] [--data DIR] [--json] COMMAND ...\n\n", file);
    for (size_t i = 0; i < COMMANDS; i++)
        (void)fprintf(file, "  %-10s %s\n", commands[i].name, commands[i].summary);
    (void)fputs("\n  throng COMMAND --help   what it takes\n  throng --version        the version\n\n"
                "--config FILE  default: $THRONG_CONFIG, DATA/throng.conf, /etc/throng/throng.conf\n"
                "--data DIR     the data directory of `throng up`; default: $THRONG_DATA, as root /var/lib/throng, else\n"
                "               $XDG_DATA_HOME/throng or ~/.local/share/throng\n"
                "--json         for machines\n\n"
                "Exit status: 0, 1 (failed) or 2 (usage).\n",
        file);
}

static int print_help(const struct command *command)
{
    (void)printf("usage: throng %s%s%s\n\n%s\n", command->name, command->synopsis[0] == '\0' ? "" : " ", command->synopsis,
        command->summary);
    if (command->help[0] != '\0')
        (void)printf("\n%s\n", command->help);
    return 0;
}

/* Print text as roff: a backslash, and a dot or quote that begins a line, would be read as commands. */
static void print_roff(const char *text)
{
    bool begins = true;
    for (const char *c = text; *c != '\0'; c++) {
        if (begins && (*c == '.' || *c == '\''))
            (void)fputs("\\&", stdout);
        if (*c == '\\')
            (void)fputs("\\e", stdout);
        else if (*c == '-')
            (void)fputs("\\-", stdout);
        else
            (void)putchar(*c);
        begins = *c == '\n';
    }
    (void)putchar('\n');
}

/* service/packaging/throng.1 is this, kept by a test. */
static int print_man_page(void)
{
    (void)puts(".TH THRONG 1 \"\" \"throng " THRONG_VERSION "\" \"Throng\"\n.SH NAME\n"
               "throng \\- engagement analytics that can show a crowd and is built not to show a person\n"
               ".SH SYNOPSIS\n.B throng\n[\\-\\-config FILE] [\\-\\-data DIR] [\\-\\-json] COMMAND ...\n.SH COMMANDS");
    for (size_t i = 0; i < COMMANDS; i++) {
        (void)printf(".TP\n.B throng %s\n", commands[i].name);
        if (commands[i].synopsis[0] != '\0') {
            print_roff(commands[i].synopsis);
            (void)puts(".br");
        }
        print_roff(commands[i].summary);
        if (commands[i].help[0] != '\0') {
            (void)puts(".IP");
            print_roff(commands[i].help);
        }
    }
    (void)puts(".SH FILES\n.TP\n.I DATA/throng.conf\nwritten by throng up for the other commands\n.TP\n"
               ".I DATA/local.conf, /etc/throng/throng.conf\nsettings; throng config \\-\\-reference explains each\n"
               ".SH ENVIRONMENT\nTHRONG_CONFIG, THRONG_DATA, THRONG_LISTEN; THRONG_SECTION_KEY overrides a key of the\n"
               "configuration, THRONG_SECTION_KEY_FILE names a file that holds a secret.\n"
               ".SH EXIT STATUS\n0, 1 (failed) or 2 (usage).");
    return 0;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Edit distance (Levenshtein 1966) of two short words. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[32];
    size_t length = strlen(b);
    if (length >= 32)
        return 99;
    for (unsigned j = 0; j <= length; j++)
        row[j] = j;
    for (unsigned i = 1; a[i - 1] != '\0'; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= length; j++) {
            unsigned replace = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = least(replace, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[length];
}

static int refuse_unknown(const char *name)
{
    const struct command *nearest = NULL;
    unsigned best = 3; /* further off is another word */
    for (size_t i = 0; i < COMMANDS; i++) {
        unsigned away = distance(name, commands[i].name);
        if (away < best) {
            best = away;
            nearest = &commands[i];
        }
    }
    (void)fprintf(stderr, "throng: there is no command of that name");
    if (nearest != NULL)
        (void)fprintf(stderr, "; did you mean `throng %s`?", nearest->name);
    (void)fputs("\nsee: throng --help\n", stderr);
    return 2;
}

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(name, commands[i].name) == 0)
            return &commands[i];
    }
    return NULL;
}

/* If argv[*at] is option, with its value there or in the next argument, set *value and step over it. */
static bool take_value(int argc, char **argv, int *at, const char *option, const char **value)
{
    size_t length = strlen(option);
    if (strncmp(argv[*at], option, length) != 0)
        return false;
    if (argv[*at][length] == '=')
        *value = argv[*at] + length + 1;
    else if (argv[*at][length] == '\0' && *at + 1 < argc)
        *value = argv[++*at];
    else
        return false;
    return true;
}

/* Take the options that are common to all out of argv, wherever they stand; returns the new argc. */
static int take_common(int argc, char **argv, struct command_context *context, struct line *line)
{
    int kept = 1;
    bool options = true;
    for (int i = 1; i < argc; i++) {
        options = options && strcmp(argv[i], "--") != 0;
        if (options && strcmp(argv[i], "--json") == 0)
            context->json = true;
        else if (options && (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0))
            line->help = true;
        else if (options && strcmp(argv[i], "--version") == 0)
            line->version = true;
        else if (options && kept == 1 && strcmp(argv[i], "--man-page") == 0)
            line->man_page = true;
        else if (!options || (!take_value(argc, argv, &i, "--config", &line->config) &&
                                 !take_value(argc, argv, &i, "--data", &context->data)))
            argv[kept++] = argv[i];
    }
    argv[kept] = NULL;
    return kept;
}

static const char *default_data(char out[COMMAND_PATH_BYTES])
{
    const char *home = getenv("HOME"), *share = getenv("XDG_DATA_HOME");
    if (geteuid() == 0)
        (void)snprintf(out, COMMAND_PATH_BYTES, "/var/lib/throng");
    else if (share != NULL && share[0] == '/')
        (void)snprintf(out, COMMAND_PATH_BYTES, "%s/throng", share);
    else
        (void)snprintf(out, COMMAND_PATH_BYTES, "%s/.local/share/throng", home == NULL ? "" : home);
    return out;
}

/* `throng up` writes DATA/throng.conf, so it reads DATA/local.conf in its place. */
static enum result load_configuration(struct command_context *context, const struct command *command, const char *given,
    struct failure *why)
{
    char data[COMMAND_PATH_BYTES], path[COMMAND_PATH_BYTES + 16];
    bool up = command->run == up_command;
    if (given == NULL || given[0] == '\0') {
        const char *place = context->data != NULL ? context->data : default_data(data);
        (void)snprintf(path, sizeof path, "%.511s/%s", place, up ? "local.conf" : "throng.conf");
        given = path;
        if (access(path, F_OK) != 0 && context->data != NULL && !up) {
            failure_set(why, "data", "no throng.conf there, or no permission to see it; `throng up` makes it");
            return RESULT_NOT_FOUND;
        }
        if (access(path, F_OK) != 0)
            given = "/etc/throng/throng.conf";
        if (access(given, F_OK) != 0)
            given = NULL;
    }
    enum result result = config_load(given, &context->config, why);
    static char kept[COMMAND_PATH_BYTES];
    if (result == RESULT_OK && context->data == NULL && up)
        context->data = context->config.up_data[0] != '\0' ? context->config.up_data : default_data(kept);
    return result;
}

int command_run(int argc, char **argv)
{
    static struct command_context context;
    struct line line = {.config = getenv("THRONG_CONFIG")};
    struct failure why = {0};
    context.data = getenv("THRONG_DATA");
    if (context.data != NULL && context.data[0] == '\0')
        context.data = NULL;
    context.terminal = isatty(STDERR_FILENO) == 1;
    argc = take_common(argc, argv, &context, &line);
    if (line.version)
        return puts("throng " THRONG_VERSION) < 0;
    if (line.man_page)
        return print_man_page();
    if (argc < 2) {
        print_overview(line.help ? stdout : stderr);
        return line.help ? 0 : 2;
    }
    const struct command *command = find(argv[1]);
    if (command == NULL)
        return refuse_unknown(argv[1]);
    if (line.help)
        return print_help(command);
    if (load_configuration(&context, command, line.config, &why) != RESULT_OK) {
        (void)command_fail(command->name, &why);
        return 2;
    }
    int status = command->run(&context, argc - 1, argv + 1);
    config_free(&context.config);
    return status;
}
