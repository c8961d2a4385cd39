#include "service/cli/install.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "service/supervise/environment.h"
#include "service/supervise/postgres.h"
#include "service/supervise/secrets.h"

#define CONNINFO_BYTES 384

/* What each daemon is given; empty: nothing of the kind. */
static const struct daemon {
    const char *name, *program, *redis_user, *role;
    const char *sections[6]; /* NULL after the last */
    int64_t stop_ms;
} daemons[INSTALL_DAEMONS] = {
    [INSTALL_AUDIT] = {"audit", "throng-audit", "", "throng_audit", {"run", "audit"}, 15000},
    [INSTALL_AGGREGATE] = {"aggregate", "throng-aggregate", "aggregate", "throng_state",
        {"run", "redis", "stream", "aggregate", "backup", "retention"}, 30000},
    [INSTALL_RELEASE] = {"release", "throng-release", "", "throng_release", {"run", "stream", "release"}, 15000},
    [INSTALL_INGEST] = {"ingest", "throng-ingest", "ingest", "", {"run", "redis", "stream", "ingest", "self_test"}, 20000},
    [INSTALL_API] = {"api", "throng-api", "", "throng_read", {"run", "api"}, 15000},
};

static const char *const roles[] = {"throng_owner", "throng_state", "throng_release", "throng_read", "throng_audit"};

const char *install_name(enum install_program daemon)
{
    return daemons[daemon].name;
}

enum result install_open_programs(struct install *install, struct failure *why)
{
    char self[4096], path[4200];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length <= 0) {
        failure_set(why, "", "cannot tell where this program lies: is /proc mounted?");
        return RESULT_FAILED;
    }
    self[length] = '\0';
    install->programs[INSTALL_THRONG] = open("/proc/self/exe", O_PATH | O_CLOEXEC);
    *strrchr(self, '/') = '\0';
    for (int i = 0; i < INSTALL_DAEMONS; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", self, daemons[i].program);
        install->programs[i] = open(path, O_PATH | O_CLOEXEC);
        if (install->programs[i] < 0) {
            failure_set(why, daemons[i].program, "is not beside throng: %s", strerror(errno));
            return RESULT_NOT_FOUND;
        }
    }
    return RESULT_OK;
}

void install_set(const char **member, const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0)
        abort();
    void *place = member;
    char **owned = place;
    free(*owned);
    *owned = text;
}

static void set_places(struct install *install)
{
    struct config *config = install->config;
    install_set(&config->up_data, "%s", install->data);
    install_set(&config->run_directory, "%s/run", install->data);
    install_set(&config->redis_socket, "%s/run/redis.sock", install->data);
    install_set(&config->redis_user, "%s", "");
    install_set(&config->ingest_state, "%s/ingest", install->data);
    install_set(&config->release_state, "%s/release", install->data);
    install_set(&config->audit_state, "%s/audit", install->data);
}

static enum result write_conninfo(struct install *install, const char *role, const char *secret, const char *name,
    struct failure *why)
{
    char text[CONNINFO_BYTES + SECRETS_MAX_BYTES], password[SECRETS_MAX_BYTES];
    enum result result = secrets_make(install->secrets, secret, why);
    if (result == RESULT_OK)
        result = secrets_read(install->secrets, secret, password, why);
    if (result != RESULT_OK)
        return result;
    (void)snprintf(text, sizeof text, "host=%s/run port=5432 dbname=" POSTGRES_DATABASE " user=%s password=%s",
        install->data, role, password);
    result = secrets_write(install->secrets, name, text, why);
    sodium_memzero(text, sizeof text);
    sodium_memzero(password, sizeof password);
    return result;
}

static void print_configuration(FILE *file, const struct install *install)
{
    const struct config *config = install->config;
    (void)fputs("# Written by `throng up` at each start, for the other commands. Your own settings go to local.conf beside\n"
                "# this file; `throng config --reference` explains each.\n", file);
    const char *now = "";
#define BEGIN(section)                             \
    if (strcmp(now, #section) != 0)                \
        (void)fprintf(file, "\n[%s]\n", #section); \
    now = #section;
#define CONFIG_TEXT(section, key, initial, help) \
    BEGIN(section)                               \
    (void)fprintf(file, "%s = %s\n", #key, config->section##_##key);
#define CONFIG_INT(section, key, initial, least, most, help) \
    BEGIN(section)                                           \
    (void)fprintf(file, "%s = %" PRId64 "\n", #key, config->section##_##key);
#define CONFIG_BOOL(section, key, initial, help) \
    BEGIN(section)                               \
    (void)fprintf(file, "%s = %s\n", #key, config->section##_##key ? "true" : "false");
#define CONFIG_SECRET(section, key, help)
#include "service/base/config.def"
#undef CONFIG_TEXT
#undef CONFIG_INT
#undef CONFIG_BOOL
#undef CONFIG_SECRET
#undef BEGIN
    (void)fprintf(file, "\n[postgres]\nconninfo_file = %s/throng_owner.conninfo\n", install->secrets);
    (void)fprintf(file, "read_conninfo_file = %s/throng_read.conninfo\n", install->secrets);
}

static enum result write_configuration(const struct install *install, struct failure *why)
{
    char *text = NULL;
    size_t length = 0;
    FILE *file = open_memstream(&text, &length);
    if (file == NULL) {
        failure_set(why, "", "out of memory");
        return RESULT_FAILED;
    }
    print_configuration(file, install);
    (void)fclose(file);
    enum result result = secrets_write(install->data, "throng.conf", text, why);
    free(text);
    return result;
}

enum result install_write(struct install *install, struct failure *why)
{
    (void)datadir_join(install->secrets, install->data, "secrets");
    environment_base(&install->environment);
    set_places(install);
    enum result result = secrets_make(install->secrets, "seal", why);
    if (result == RESULT_OK)
        result = secrets_make(install->secrets, "audit.seal", why);
    if (result == RESULT_OK)
        result = write_conninfo(install, POSTGRES_SUPERUSER, "postgres-super", "superuser.conninfo", why);
    for (size_t i = 0; i < sizeof roles / sizeof *roles && result == RESULT_OK; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "%s.conninfo", roles[i]);
        result = write_conninfo(install, roles[i], roles[i], name, why);
    }
    return result == RESULT_OK ? write_configuration(install, why) : result;
}

char *install_log(const struct install *install, const char *name)
{
    char *path = NULL;
    if (asprintf(&path, "%s/log/%s.log", install->data, name) < 0)
        abort();
    return path;
}

static void copy_environment(struct words *words, const struct install *install)
{
    for (size_t i = 0; i < install->environment.count; i++)
        words_add(words, "%s", install->environment.items[i]);
}

void install_service(const struct install *install, enum install_program which, struct supervise_service *service)
{
    const struct daemon *daemon = &daemons[which];
    *service = (struct supervise_service){.stop_signal = SIGTERM, .stop_ms = daemon->stop_ms};
    service->plan = (struct child_plan){.name = daemon->name, .program_fd = install->programs[which], .output_fd = -1,
        .keep_fd = -1, .death_signal = SIGTERM, .log = install_log(install, daemon->name)};
    words_add(&service->plan.arguments, "%s", daemon->program);
    struct words *environment = &service->plan.environment;
    copy_environment(environment, install);
    install_set(&install->config->redis_user, "%s", daemon->redis_user);
    for (size_t i = 0; i < sizeof daemon->sections / sizeof *daemon->sections && daemon->sections[i] != NULL; i++)
        environment_section(environment, install->config, daemon->sections[i]);
    words_add(environment, "THRONG_DIE_WITH_PARENT=%ld", (long)getpid());
    if (daemon->redis_user[0] != '\0')
        words_add(environment, "THRONG_REDIS_PASSWORD_FILE=%s/redis-%s", install->secrets, daemon->redis_user);
    if (daemon->role[0] != '\0')
        words_add(environment, "THRONG_POSTGRES_CONNINFO_FILE=%s/%s.conninfo", install->secrets, daemon->role);
    if (which == INSTALL_INGEST)
        words_add(environment, "THRONG_INGEST_SEAL_FILE=%s/seal", install->secrets);
    if (which == INSTALL_AUDIT)
        words_add(environment, "THRONG_AUDIT_SEAL_FILE=%s/audit.seal", install->secrets);
}

struct child_plan install_command(const struct install *install, const char *name, const char *log)
{
    struct child_plan plan = {.name = name, .program_fd = install->programs[INSTALL_THRONG], .log = log, .output_fd = -1,
        .keep_fd = -1, .death_signal = SIGTERM};
    copy_environment(&plan.environment, install);
    words_add(&plan.environment, "THRONG_DATA=%s", install->data);
    words_add(&plan.arguments, "throng");
    return plan;
}
