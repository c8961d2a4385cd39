#include "service/cli/sample.h"

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "service/base/log.h"
#include "service/cli/embedded.h"

#define DEFINITION "schema/apps/" SAMPLE_APP ".json"
#define KEY "sample-key"
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

/* Keep the member "key" of the JSON document in file as the secret. */
static enum result keep_key(const struct install *install, int fd, struct failure *why)
{
    json_t *root = lseek(fd, 0, SEEK_SET) == 0 ? json_loadfd(fd, 0, NULL) : NULL;
    const char *key = json_string_value(json_object_get(root, "key"));
    enum result result = RESULT_FAILED;
    if (key == NULL)
        failure_set(why, KEY, "`throng key add` did not make a key; see %s/log/sample.log", install->data);
    else
        result = secrets_write(install->secrets, KEY, key, why);
    json_decref(root);
    return result;
}

static enum result add_key(const struct install *install, struct supervise *supervise, struct failure *why)
{
    int status = 1;
    int fd = memfd_create(KEY, MFD_CLOEXEC);
    if (fd < 0) {
        failure_set(why, KEY, "no memory file: %s", strerror(errno));
        return RESULT_FAILED;
    }
    char *log = install_log(install, "sample");
    struct child_plan plan = install_command(install, "key", log);
    plan.output_fd = fd;
    words_add(&plan.arguments, "--json");
    words_add(&plan.arguments, "key");
    words_add(&plan.arguments, "add");
    words_add(&plan.arguments, "--scope");
    words_add(&plan.arguments, "ingest:" SAMPLE_APP);
    enum result result = run(supervise, &plan, log, &status, why);
    if (result == RESULT_OK)
        result = keep_key(install, fd, why);
    (void)close(fd);
    return result;
}

enum result sample_add(const struct install *install, struct supervise *supervise, struct failure *why)
{
    char key[SECRETS_MAX_BYTES];
    if (sample_key(install, key, NULL) == RESULT_OK)
        return RESULT_OK;
    bool there = false;
    enum result result = is_there(install, supervise, &there, why);
    if (result == RESULT_OK && !there)
        result = add_app(install, supervise, why);
    return result == RESULT_OK ? add_key(install, supervise, why) : result;
}

static void note_end(void *context, bool success)
{
    const struct install *install = context;
    struct failure why = {0};
    if (!success)
        log_event(LOG_LEVEL_ERROR, "sample.simulation_failed", LOG_STR("log", "log/sample.log"));
    else if (secrets_write(install->data, FILLED, "by a simulated crowd\n", &why) == RESULT_OK)
        log_event(LOG_LEVEL_INFO, "sample.simulation_done", LOG_STR("app", SAMPLE_APP));
    else
        log_event(LOG_LEVEL_ERROR, "sample.mark_failed", LOG_FAILURE(RESULT_FAILED, &why));
}

enum result sample_fill(const struct install *install, struct supervise *supervise, bool *started, struct failure *why)
{
    char path[DATADIR_PATH_BYTES];
    *started = access(datadir_join(path, install->data, FILLED), F_OK) != 0;
    if (!*started)
        return RESULT_OK;
    static struct install kept;
    kept = *install;
    struct supervise_service task = {.stop_signal = SIGTERM, .stop_ms = 5000, .ended = note_end, .context = &kept};
    task.plan = install_command(install, "simulate", install_log(install, "sample"));
    static const char *const arguments[] = {"simulate", "--app", SAMPLE_APP, "--users", "400", "--days", "60", "--seed", "1"};
    for (size_t i = 0; i < sizeof arguments / sizeof *arguments; i++)
        words_add(&task.plan.arguments, "%s", arguments[i]);
    return supervise_start(supervise, &task, why);
}

enum result sample_key(const struct install *install, char out[SECRETS_MAX_BYTES], struct failure *why)
{
    return secrets_read(install->secrets, KEY, out, why);
}
