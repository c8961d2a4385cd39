#include "service/cli/sample.h"

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "service/base/clock.h"
#include "service/base/log.h"
#include "service/cli/embedded.h"

#define DEFINITION "schema/apps/" SAMPLE_APP ".json"
#define KEY "sample-key"
#define READ_KEY "sample-read-key"
#define WRITE_KEY "sample-write-key"
#define SENT "sample-sent" /* holds the last day to seal */
#define FILLED "sample-filled"

/* Run this program with the words of plan; its exit status goes to *status. */
static enum result run(struct supervise *supervise, struct child_plan *plan, char *log, int *status, struct failure *why)
{
    enum result result = supervise_tool(supervise, plan, status, why);
    free(log);
    return result;
}

static enum result is_there(const struct install *install, struct supervise *supervise, bool *there, struct failure *why)
{
    int status = 1;
    char *log = install_log(install, "sample");
    struct child_plan plan = install_command(install, "app", log);
    words_add(&plan.arguments, "app");
    words_add(&plan.arguments, "show");
    words_add(&plan.arguments, SAMPLE_APP);
    enum result result = run(supervise, &plan, log, &status, why);
    *there = status == 0;
    return result;
}

static enum result add_app(const struct install *install, struct supervise *supervise, struct failure *why)
{
    const struct embedded_file *file = embedded_find(DEFINITION);
    if (file == NULL) {
        failure_set(why, DEFINITION, "is not part of this build");
        return RESULT_NOT_FOUND;
    }
    enum result result = secrets_write(install->data, SAMPLE_APP ".json", file->text, why);
    if (result != RESULT_OK)
        return result;
    int status = 1;
    char *log = install_log(install, "sample");
    struct child_plan plan = install_command(install, "app", log);
    words_add(&plan.arguments, "app");
    words_add(&plan.arguments, "add");
    words_add(&plan.arguments, "%s/" SAMPLE_APP ".json", install->data);
    result = run(supervise, &plan, log, &status, why);
    if (result == RESULT_OK && status != 0) {
        failure_set(why, SAMPLE_APP, "`throng app add` failed; see %s/log/sample.log", install->data);
        result = RESULT_FAILED;
    }
    return result;
}

/* Keep the member "key" of the JSON document in file as the secret called name. */
static enum result keep_key(const struct install *install, const char *name, int fd, struct failure *why)
{
    json_t *root = lseek(fd, 0, SEEK_SET) == 0 ? json_loadfd(fd, 0, NULL) : NULL;
    const char *key = json_string_value(json_object_get(root, "key"));
    enum result result = RESULT_FAILED;
    if (key == NULL)
        failure_set(why, name, "`throng key add` did not make a key; see %s/log/sample.log", install->data);
    else
        result = secrets_write(install->secrets, name, key, why);
    json_decref(root);
    return result;
}

/* Make a key by this program's command of `count` words and keep it as the secret called name, unless it is there. */
static enum result add_key(const struct install *install, struct supervise *supervise, const char *name,
    const char *const *words, size_t count, struct failure *why)
{
    int status = 1;
    char path[DATADIR_PATH_BYTES];
    if (access(datadir_join(path, install->secrets, name), F_OK) == 0)
        return RESULT_OK;
    int fd = memfd_create(name, MFD_CLOEXEC);
    if (fd < 0) {
        failure_set(why, name, "no memory file: %s", strerror(errno));
        return RESULT_FAILED;
    }
    char *log = install_log(install, "sample");
    struct child_plan plan = install_command(install, words[0], log);
    plan.output_fd = fd;
    words_add(&plan.arguments, "--json");
    for (size_t i = 0; i < count; i++)
        words_add(&plan.arguments, "%s", words[i]);
    enum result result = run(supervise, &plan, log, &status, why);
    if (result == RESULT_OK)
        result = keep_key(install, name, fd, why);
    (void)close(fd);
    return result;
}

static enum result add_keys(const struct install *install, struct supervise *supervise, struct failure *why)
{
    static const char *const send[] = {"key", "add", "--scope", ("ingest:" SAMPLE_APP)};
    static const char *const read[] = {"key", "add", "--scope", ("read:" SAMPLE_APP)};
    static const char *const write[] = {"app", "key", SAMPLE_APP};
    struct failure none = {0};
    enum result result = add_key(install, supervise, KEY, send, sizeof send / sizeof *send, why);
    if (result == RESULT_OK)
        result = add_key(install, supervise, READ_KEY, read, sizeof read / sizeof *read, why);
    /* An app of an earlier start may be of a preset that has no keys for pages: it does without. */
    if (result == RESULT_OK)
        (void)add_key(install, supervise, WRITE_KEY, write, sizeof write / sizeof *write, &none);
    return result;
}

enum result sample_add(const struct install *install, struct supervise *supervise, struct failure *why)
{
    char key[SECRETS_MAX_BYTES];
    bool there = sample_key(install, key, NULL) == RESULT_OK;
    enum result result = there ? RESULT_OK : is_there(install, supervise, &there, why);
    if (result == RESULT_OK && !there)
        result = add_app(install, supervise, why);
    return result == RESULT_OK ? add_keys(install, supervise, why) : result;
}

/* The crowd comes in two steps, each with its mark, so that either may be interrupted: its events are sent, then the days
 * before yesterday are sealed. */
static struct filling {
    const struct install *install;
    struct supervise *supervise;
} filling;

static enum result start_task(const char *name, void (*ended)(void *, bool), const char *const *words, size_t count,
    struct failure *why)
{
    struct supervise_service task = {.stop_signal = SIGTERM, .stop_ms = 5000, .ended = ended};
    task.plan = install_command(filling.install, name, install_log(filling.install, "sample"));
    for (size_t i = 0; i < count; i++)
        words_add(&task.plan.arguments, "%s", words[i]);
    return supervise_start(filling.supervise, &task, why);
}

static void report(enum result result, const struct failure *why)
{
    if (result != RESULT_OK)
        log_event(LOG_LEVEL_ERROR, "sample.failed", LOG_FAILURE(result, why));
}

static void note_sealed(void *context, bool success)
{
    (void)context;
    struct failure why = {0};
    if (!success) {
        log_event(LOG_LEVEL_ERROR, "sample.seal_failed", LOG_STR("log", "log/sample.log"));
        return;
    }
    report(secrets_write(filling.install->data, FILLED, "by a simulated crowd\n", &why), &why);
    log_event(LOG_LEVEL_INFO, "sample.filled", LOG_STR("app", SAMPLE_APP));
}

static enum result start_seal(struct failure *why)
{
    char through[SECRETS_MAX_BYTES];
    enum result result = secrets_read(filling.install->data, SENT, through, why);
    if (result != RESULT_OK)
        return result;
    const char *const words[] = {"seal", "--app", SAMPLE_APP, "--through", through};
    return start_task("seal", note_sealed, words, sizeof words / sizeof *words, why);
}

static void note_sent(void *context, bool success)
{
    (void)context;
    char through[32];
    struct failure why = {0};
    if (!success) {
        log_event(LOG_LEVEL_ERROR, "sample.simulation_failed", LOG_STR("log", "log/sample.log"));
        return;
    }
    (void)clock_format(clock_now_ms() - 2LL * 24 * 3600 * 1000, through, sizeof through);
    through[strcspn(through, "T")] = '\0';
    enum result result = secrets_write(filling.install->data, SENT, through, &why);
    if (result == RESULT_OK)
        result = start_seal(&why);
    report(result, &why);
}

enum result sample_fill(const struct install *install, struct supervise *supervise, bool *started, struct failure *why)
{
    static const char *const words[] = {"simulate", "--app", SAMPLE_APP, "--users", "3000", "--days", "60", "--seed", "1",
        "--no-seal"};
    char path[DATADIR_PATH_BYTES];
    *started = access(datadir_join(path, install->data, FILLED), F_OK) != 0;
    if (!*started)
        return RESULT_OK;
    filling = (struct filling){.install = install, .supervise = supervise};
    if (access(datadir_join(path, install->data, SENT), F_OK) == 0)
        return start_seal(why);
    return start_task("simulate", note_sent, words, sizeof words / sizeof *words, why);
}

enum result sample_key(const struct install *install, char out[SECRETS_MAX_BYTES], struct failure *why)
{
    return secrets_read(install->secrets, KEY, out, why);
}

enum result sample_read_key(const struct install *install, char out[SECRETS_MAX_BYTES], struct failure *why)
{
    return secrets_read(install->secrets, READ_KEY, out, why);
}

enum result sample_write_key(const struct install *install, char out[SECRETS_MAX_BYTES], struct failure *why)
{
    return secrets_read(install->secrets, WRITE_KEY, out, why);
}
