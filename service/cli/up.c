#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "service/base/log.h"
#include "service/catalogue/definition.h"
#include "service/cli/command.h"
#include "service/cli/embedded.h"
#include "service/cli/flags.h"
#include "service/cli/install.h"
#include "service/cli/probe.h"
#include "service/cli/sample.h"
#include "service/cli/snippet.h"
#include "service/supervise/postgres.h"
#include "service/supervise/private_redis.h"

#define NAME "up"
#define REDIS_READY_MS 120000    /* a long append-only file is read back */
#define POSTGRES_READY_MS 300000 /* recovery after a crash */
#define DAEMON_READY_MS 60000
#define LOG_TAIL_BYTES 4096

static void say(const char *text)
{
    (void)printf("%s\n", text);
    (void)fflush(stdout);
}

static enum result start_redis(const struct install *install, struct supervise *supervise, struct failure *why)
{
    struct supervise_service service;
    bool strict = strcmp(install->config->ingest_durability, "strict") == 0;
    enum result result = private_redis_plan(install->data, install->config->up_redis_memory_bytes, strict, &service, why);
    if (result != RESULT_OK)
        return result;
    for (size_t i = 0; i < install->environment.count; i++)
        words_add(&service.plan.environment, "%s", install->environment.items[i]);
    service.plan.keep_fd = install->lock_fd;
    service.plan.log = install_log(install, service.plan.name);
    result = supervise_start(supervise, &service, why);
    return result == RESULT_OK ? supervise_await(supervise, private_redis_ready, install->data, REDIS_READY_MS, why) : result;
}

static enum result start_postgres(const struct install *install, struct supervise *supervise, struct failure *why)
{
    struct supervise_service service;
    enum result result = postgres_make(supervise, install->data, &install->environment, why);
    if (result == RESULT_OK)
        result = postgres_plan(install->data, &service, why);
    if (result != RESULT_OK)
        return result;
    for (size_t i = 0; i < install->environment.count; i++)
        words_add(&service.plan.environment, "%s", install->environment.items[i]);
    service.plan.keep_fd = install->lock_fd;
    service.plan.log = install_log(install, service.plan.name);
    result = supervise_start(supervise, &service, why);
    return result == RESULT_OK ? supervise_await(supervise, postgres_ready, install->data, POSTGRES_READY_MS, why)
                               : result;
}

static enum result migrate(const struct install *install, struct supervise *supervise, struct failure *why)
{
    int status = 0;
    struct child_plan plan = install_command(install, "migrate", NULL);
    plan.output_fd = STDOUT_FILENO;
    words_add(&plan.arguments, "migrate");
    enum result result = supervise_tool(supervise, &plan, &status, why);
    if (result == RESULT_OK && status != 0) {
        failure_set(why, "migrate", "failed; see %s/log/postgres.log", install->data);
        result = RESULT_FAILED;
    }
    return result;
}

/* What the last line of a daemon's log complains of: NULL, or owned by the caller. */
static json_t *last_complaint(const char *path)
{
    char tail[LOG_TAIL_BYTES + 1];
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return NULL;
    if (fseek(file, -LOG_TAIL_BYTES, SEEK_END) != 0)
        rewind(file);
    size_t length = fread(tail, 1, LOG_TAIL_BYTES, file);
    (void)fclose(file);
    while (length > 0 && tail[length - 1] == '\n')
        length--;
    tail[length] = '\0';
    const char *line = strrchr(tail, '\n');
    json_t *root = json_loads(line == NULL ? tail : line + 1, 0, NULL);
    if (json_is_string(json_object_get(root, "field")) && json_is_string(json_object_get(root, "why")))
        return root;
    json_decref(root);
    return NULL;
}

/* A daemon that could not start said in its log why; say it here. */
static void explain(const struct install *install, enum install_program daemon, struct failure *why)
{
    char *log = install_log(install, install_name(daemon));
    json_t *said = last_complaint(log);
    if (said != NULL) {
        *why = (struct failure){0};
        failure_set(why, json_string_value(json_object_get(said, "field")), "%s (throng-%s; %s)",
            json_string_value(json_object_get(said, "why")), install_name(daemon), log);
    }
    json_decref(said);
    free(log);
}

static enum result start_daemon(const struct install *install, struct supervise *supervise, enum install_program daemon,
    struct failure *why)
{
    struct supervise_service service;
    const struct probe probe = {.directory = install->config->run_directory, .daemon = install_name(daemon)};
    install_service(install, daemon, &service);
    (void)printf("starting %s\n", install_name(daemon));
    (void)fflush(stdout);
    enum result result = supervise_start(supervise, &service, why);
    if (result == RESULT_OK)
        result = supervise_await(supervise, probe_ready, &probe, DAEMON_READY_MS, why);
    if (result == RESULT_UNAVAILABLE)
        explain(install, daemon, why);
    return result;
}

static enum result start_services(const struct install *install, struct supervise *supervise, struct failure *why)
{
    say("starting redis");
    enum result result = start_redis(install, supervise, why);
    if (result != RESULT_OK)
        return result;
    say("starting postgres");
    result = start_postgres(install, supervise, why);
    if (result == RESULT_OK)
        result = migrate(install, supervise, why);
    for (enum install_program daemon = 0; daemon < INSTALL_DAEMONS && result == RESULT_OK; daemon++)
        result = start_daemon(install, supervise, daemon, why);
    return result;
}

static bool is_started(const void *context, pid_t pid)
{
    (void)context;
    return pid > 0;
}

/* What has to be done from time to time: see retain.c. */
static enum result start_retain(const struct install *install, struct supervise *supervise, struct failure *why)
{
    struct supervise_service service = {.stop_signal = SIGTERM, .stop_ms = 5000};
    service.plan = install_command(install, "retain", install_log(install, "retain"));
    words_add(&service.plan.arguments, "retain");
    enum result result = supervise_start(supervise, &service, why);
    return result == RESULT_OK ? supervise_await(supervise, is_started, NULL, DAEMON_READY_MS, why) : result;
}

/* Where released numbers are looked at, and how programs read them. */
static void print_reading(const struct install *install)
{
    char key[SECRETS_MAX_BYTES] = "";
    const char *listen = install->config->api_listen;
    (void)printf("\nThe dashboard is http://%s/dashboard/", listen);
    if (sample_read_key(install, key, NULL) == RESULT_OK)
        (void)printf("; this key opens it, and the numbers over HTTP:\n\n  %s\n\n"
                     "  curl -sS -H 'Authorization: Bearer %s' http://%s/v1/apps/" SAMPLE_APP "/metrics/active_users\n", key, key, listen);
    else
        say("; it takes a key: `throng key add --scope read`.");
}

/* The tag with what the example's definition declares. */
static bool print_tag(const struct config *config, const char *key)
{
    const struct embedded_file *file = embedded_find("schema/apps/" SAMPLE_APP ".json");
    struct app app;
    char url[512];
    if (file == NULL || definition_parse(file->text, file->length, &app, NULL) != RESULT_OK)
        return false;
    json_t *root = json_loads(file->text, 0, NULL);
    struct snippet snippet = {.app = &app, .root = root, .url = url, .beacon = config->ingest_beacon_path,
        .events = config->ingest_events_path, .key = key, .user = "me"};
    (void)snprintf(url, sizeof url, "http://%s", config->ingest_listen);
    (void)fputs("  ", stdout);
    snippet_print(stdout, &snippet);
    json_decref(root);
    definition_free(&app);
    return true;
}

/* How a page counts its views. */
static void print_snippet(const struct install *install)
{
    char key[SECRETS_MAX_BYTES];
    if (install->config->ingest_beacon_path[0] == '\0' || sample_write_key(install, key, NULL) != RESULT_OK)
        return;
    (void)printf("Pages of the app's origins (http://localhost:8000 is one) count their views with this in their <head>, which\n"
                 "`throng app snippet " SAMPLE_APP "` prints. Its write key, %s, may be seen by anybody:\n\n", key);
    if (print_tag(install->config, key))
        say("\n");
}

/* What a newcomer can do now. */
static void print_banner(const struct install *install, bool crowd)
{
    char key[SECRETS_MAX_BYTES], self[4096];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    self[length > 0 ? length : 0] = '\0';
    (void)printf("\nThrong is up. Events go to http://%s%s\n", install->config->ingest_listen,
        install->config->ingest_events_path);
    if (sample_key(install, key, NULL) == RESULT_OK) {
        if (crowd)
            say("A simulated crowd is filling the app `" SAMPLE_APP "` in the background.");
        (void)printf("\nSend a first event:\n\n"
                     "  curl -sS http://%s%s -H 'Authorization: Bearer %s' -H 'Content-Type: application/json' \\\n"
                     "    -d '{\"events\":[{\"name\":\"page_view\",\"ts\":'$(date +%%s)'000,\"user\":\"me\",\"props\":{\"page\":\"/\"}}]}'\n\n",
            install->config->ingest_listen, install->config->ingest_events_path, key);
        print_snippet(install);
        (void)printf("See what was released about the (simulated) crowd:\n\n"
                     "  %s --data %s query --app " SAMPLE_APP " active_users\n",
            self[0] == '\0' ? "throng" : self, install->data);
    }
    print_reading(install);
    (void)printf("\nHow it is doing: %s --data %s status\nStop it: Ctrl-C, or SIGTERM to process %ld. Started again, it goes "
                 "on where it was.\n\n", self[0] == '\0' ? "throng" : self, install->data, (long)getpid());
    (void)fflush(stdout);
}

static enum result serve(const struct install *install, struct supervise *supervise, bool sample, struct failure *why)
{
    bool crowd = false;
    enum result result = start_services(install, supervise, why);
    if (result == RESULT_OK)
        result = start_retain(install, supervise, why);
    if (result == RESULT_OK && sample) {
        result = sample_add(install, supervise, why);
        if (result == RESULT_OK)
            result = sample_fill(install, supervise, &crowd, why);
    }
    if (result != RESULT_OK)
        return result;
    print_banner(install, crowd);
    supervise_run(supervise);
    return RESULT_OK;
}

static int supervise_all(struct install *install, bool sample)
{
    struct failure why = {0};
    struct supervise *supervise = supervise_new();
    if (supervise == NULL) {
        failure_set(&why, "", "no signalfd");
        return command_fail(NAME, &why);
    }
    enum result result = serve(install, supervise, sample, &why);
    bool asked = supervise_ending(supervise);
    if (result != RESULT_OK && !asked)
        (void)command_fail(NAME, &why);
    say("\nstopping");
    bool clean = supervise_stop(supervise);
    say(clean ? "stopped" : "stopped, but some processes had to be killed");
    supervise_free(supervise);
    return asked && clean ? 0 : 1;
}

int up_command(struct command_context *context, int argc, char **argv)
{
    const char *listen = getenv("THRONG_LISTEN"), *admin = getenv("THRONG_ADMIN_LISTEN");
    bool without_sample = false;
    const struct flag flags[] = {{.name = "listen", .text = &listen}, {.name = "admin", .text = &admin},
        {.name = "no-sample", .on = &without_sample}};
    if (flags_parse(context, argc, argv, flags, sizeof flags / sizeof *flags, NULL, 0) < 0)
        return 2;
    if (listen != NULL && listen[0] != '\0')
        install_set(&context->config.ingest_listen, "%s", listen);
    if (admin != NULL && admin[0] != '\0')
        install_set(&context->config.api_listen, "%s", admin);
    log_init(NAME, LOG_LEVEL_INFO);
    static struct install install;
    struct failure why = {0};
    install.config = &context->config;
    enum result result = install_open_programs(&install, &why);
    if (result == RESULT_OK)
        result = datadir_open(context->data, context->config.up_user, install.data, &install.lock_fd, &why);
    if (result == RESULT_OK)
        result = install_write(&install, &why);
    if (result != RESULT_OK)
        return command_fail(NAME, &why);
    return supervise_all(&install, !without_sample);
}
