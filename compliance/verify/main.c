/*
 * throng-verify FILE: whether a bundle is what it says, without network, database or anything of an installation.
 *
 * Sees:     the bundle: audit leaves and what is said about them.
 * Uses:     libc, jansson, compliance/verify.
 * Threads:  one.
 * Failure:  exit status 0: nothing is wrong; 1: findings, or the file cannot be read; 2: usage.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compliance/bundle/terms.h"
#include "compliance/verify/verify.h"

static const char usage[] =
    "usage: throng-verify FILE [--since CHECKPOINT] [--key VKEY]... [--witness VKEY]... [--json]\n"
    "\n"
    "FILE             a bundle that `throng compliance export` made\n"
    "--since FILE     a signed checkpoint that you kept: it must be of a beginning of this log\n"
    "--key VKEY       the log's verifier key, from elsewhere; else the bundle's own is believed\n"
    "--witness VKEY   this witness must have cosigned the checkpoint\n"
    "--json           for machines\n"
    "\n"
    "Exit status: 0 nothing is wrong, 1 findings, 2 usage.\n";

struct options {
    const char *bundle, *since;
    bool json, help;
    size_t key_count, witness_count;
    struct note_key keys[TERMS_KEYS_MAX], witnesses[TERMS_WITNESSES_MAX];
};

/* Where findings and verdicts go while they come. */
struct listener {
    bool json;
    json_t *findings;
};

static int complain(const char *what, const char *because)
{
    (void)fprintf(stderr, "throng-verify: %s%s%s\n", what, because[0] == '\0' ? "" : ": ", because);
    return 2;
}

static bool is_twice(const struct note_key *keys, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (keys[i].id == keys[count].id && strcmp(keys[i].name, keys[count].name) == 0)
            return true;
    }
    return false;
}

static int take_key(const char *text, struct note_key *keys, size_t room, size_t *count)
{
    struct failure why = {0};
    if (*count == room)
        return complain("too many keys", "");
    if (note_key_parse(text, &keys[*count], &why) != RESULT_OK)
        return complain("that is not a verifier key", why.text);
    *count += !is_twice(keys, *count);
    return 0;
}

static int read_options(int argc, char **argv, struct options *options)
{
    static const struct option table[] = {{"since", required_argument, NULL, 's'}, {"key", required_argument, NULL, 'k'},
        {"witness", required_argument, NULL, 'w'}, {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0}};
    int option, status = 0;
    while (status == 0 && (option = getopt_long(argc, argv, "", table, NULL)) != -1) {
        if (option == 's')
            options->since = optarg;
        else if (option == 'k')
            status = take_key(optarg, options->keys, TERMS_KEYS_MAX, &options->key_count);
        else if (option == 'w')
            status = take_key(optarg, options->witnesses, TERMS_WITNESSES_MAX, &options->witness_count);
        else if (option == 'j')
            options->json = true;
        else if (option == 'h')
            options->help = true;
        else
            status = 2;
    }
    if (status != 0 || options->help)
        return status;
    if (optind + 1 != argc)
        return complain("one bundle is needed", "see throng-verify --help");
    options->bundle = argv[optind];
    return 0;
}

/* Somebody cut the file short while it was read. */
static void file_shrank(int number)
{
    static const char text[] = "throng-verify: the file changed while it was read\n";
    (void)number;
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    _exit(1);
}

static bool map_file(const char *path, struct text_view *out)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool good = fd >= 0 && fstat(fd, &status) == 0;
    if (good && !S_ISREG(status.st_mode)) {
        errno = EINVAL;
        good = false;
    }
    *out = (struct text_view){"", 0};
    if (good && status.st_size > 0) {
        void *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        good = bytes != MAP_FAILED;
        if (good)
            *out = (struct text_view){bytes, (size_t)status.st_size};
    }
    if (!good)
        (void)fprintf(stderr, "throng-verify: %s: %s\n", path, strerror(errno));
    if (fd >= 0)
        (void)close(fd);
    return good;
}

static void hear_finding(void *context, const struct verify_finding *finding)
{
    struct listener *listener = context;
    if (listener->json)
        json_array_append_new(listener->findings, json_pack("{s:i, s:s, s:s, s:s}", "level", (int)finding->level + 1, "name",
            verify_level_name(finding->level), "where", finding->where, "what", finding->what));
    else
        (void)printf("finding: %s: %s: %s\n", verify_level_name(finding->level), finding->where, finding->what);
}

static void print_document(const struct verify_outcome *outcome, bool good, json_t *findings)
{
    char root[TEXT_BASE64_BYTES(TREE_HASH_BYTES) + 1] = "";
    struct text_writer writer = {.bytes = root, .room = sizeof root - 1};
    json_t *levels = json_array();
    for (int i = 0; i < VERIFY_LEVELS; i++) {
        const struct verify_judgement *level = &outcome->levels[i];
        json_array_append_new(levels, json_pack("{s:i, s:s, s:s, s:I, s:s}", "level", i + 1, "name",
            verify_level_name((enum verify_level)i), "verdict", verify_verdict_name(level->verdict), "findings",
            (json_int_t)level->findings, "note", level->note));
    }
    json_t *document = json_pack("{s:b, s:o, s:O}", "ok", (int)good, "levels", levels, "findings", findings);
    if (outcome->opened) {
        text_put_base64(&writer, outcome->root.bytes, TREE_HASH_BYTES);
        json_object_set_new(document, "log", json_pack("{s:s, s:I, s:s, s:I}", "origin", outcome->origin, "size",
            (json_int_t)outcome->size, "root", root, "pruned_below", (json_int_t)outcome->pruned_below));
    }
    json_dumpf(document, stdout, JSON_COMPACT);
    (void)putchar('\n');
    json_decref(document);
}

static void print_text(const struct verify_outcome *outcome, bool good)
{
    char root[TEXT_BASE64_BYTES(TREE_HASH_BYTES) + 1] = "";
    struct text_writer writer = {.bytes = root, .room = sizeof root - 1};
    text_put_base64(&writer, outcome->root.bytes, TREE_HASH_BYTES);
    if (outcome->opened)
        (void)printf("log %s, %" PRIu64 " entries, root %s\n", outcome->origin, outcome->size, root);
    for (int i = 0; i < VERIFY_LEVELS; i++) {
        const struct verify_judgement *level = &outcome->levels[i];
        const char *verdict = level->verdict == VERIFY_NOT_JUDGED ? "not judged" : verify_verdict_name(level->verdict);
        (void)printf("%d %-12s %-12s", i + 1, verify_level_name((enum verify_level)i), verdict);
        if (level->findings > 0)
            (void)printf("%" PRIu64 " finding%s%s", level->findings, level->findings == 1 ? "" : "s",
                level->note[0] == '\0' ? "" : "; ");
        (void)printf("%s\n", level->note);
    }
    (void)puts(good ? "The bundle is good." : "The bundle is NOT good.");
}

int main(int argc, char **argv)
{
    static struct options options;
    static struct verify_outcome outcome;
    struct text_view bundle, since;
    int status = read_options(argc, argv, &options);
    if (status != 0 || options.help) {
        (void)fputs(options.help ? usage : "", stdout);
        return status;
    }
    if (sodium_init() < 0 || signal(SIGBUS, file_shrank) == SIG_ERR)
        return 1;
    if (!map_file(options.bundle, &bundle) || (options.since != NULL && !map_file(options.since, &since)))
        return 1;
    struct listener listener = {options.json, json_array()};
    struct verify_request request = {.bundle = bundle,
        .since = options.since != NULL ? &since : NULL,
        .keys = options.keys,
        .key_count = options.key_count,
        .witnesses = options.witnesses,
        .witness_count = options.witness_count,
        .found = hear_finding,
        .context = &listener};
    bool good = verify_run(&request, &outcome);
    if (options.json)
        print_document(&outcome, good, listener.findings);
    else
        print_text(&outcome, good);
    json_decref(listener.findings);
    return good ? 0 : 1;
}
