#include "service/supervise/supervise.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/base/clock.h"
#include "service/base/log.h"
#include "service/supervise/orphans.h"

#define TURN_MS 100
#define ORPHAN_GRACE_MS 500 /* keyd and PostgreSQL's backends notice a dead parent by themselves, usually at once */
#define KILL_MS 5000

struct entry {
    struct supervise_service service;
    pid_t pid; /* 0: not running */
    bool steady;
    int status;
    int64_t started_ms;
    int64_t pause_ms;
    int64_t restart_at_ms; /* 0: no restart due */
};

struct supervise {
    int signals;
    int asked; /* how often an end was asked for */
    struct entry entries[SUPERVISE_SERVICES_MAX];
    size_t count;
    pid_t tool; /* 0: none runs */
    int tool_status;
};

struct supervise *supervise_new(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGCHLD);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGHUP);
    struct supervise *supervise = calloc(1, sizeof *supervise);
    if (supervise == NULL)
        return NULL;
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    supervise->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (supervise->signals < 0) {
        free(supervise);
        return NULL;
    }
    orphans_adopt();
    return supervise;
}

void supervise_free(struct supervise *supervise)
{
    if (supervise == NULL)
        return;
    for (size_t i = 0; i < supervise->count; i++) {
        words_free(&supervise->entries[i].service.plan.arguments);
        words_free(&supervise->entries[i].service.plan.environment);
    }
    (void)close(supervise->signals);
    free(supervise);
}

static size_t known_children(const struct supervise *supervise, pid_t known[SUPERVISE_SERVICES_MAX + 1])
{
    size_t count = 0;
    for (size_t i = 0; i < supervise->count; i++) {
        if (supervise->entries[i].pid != 0)
            known[count++] = supervise->entries[i].pid;
    }
    if (supervise->tool != 0)
        known[count++] = supervise->tool;
    return count;
}

static void end_orphans(const struct supervise *supervise, int64_t grace_ms)
{
    pid_t known[SUPERVISE_SERVICES_MAX + 1];
    size_t killed = orphans_end(known, known_children(supervise, known), grace_ms);
    if (killed > 0)
        log_event(LOG_LEVEL_WARN, "supervise.orphans_killed", LOG_UINT("count", killed));
}

static enum result launch(struct entry *entry, struct failure *why)
{
    if (entry->service.before != NULL)
        entry->service.before(entry->service.context);
    entry->restart_at_ms = 0;
    entry->started_ms = clock_steady_ms();
    return child_start(&entry->service.plan, &entry->pid, why);
}

static int shell_status(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void note_death(struct supervise *supervise, struct entry *entry, int status)
{
    int64_t now = clock_steady_ms();
    entry->pid = 0;
    entry->status = shell_status(status);
    if (supervise->asked > 0 || !entry->steady)
        return;
    if (entry->service.ended != NULL) {
        entry->service.ended(entry->service.context, entry->status == 0);
        return;
    }
    bool lived = now - entry->started_ms >= SUPERVISE_STEADY_MS;
    entry->pause_ms = lived || entry->pause_ms == 0 ? SUPERVISE_PAUSE_FIRST_MS : entry->pause_ms * 2;
    if (entry->pause_ms > SUPERVISE_PAUSE_MOST_MS)
        entry->pause_ms = SUPERVISE_PAUSE_MOST_MS;
    entry->restart_at_ms = now + entry->pause_ms;
    log_event(LOG_LEVEL_ERROR, "supervise.ended", LOG_NAME("name", entry->service.plan.name),
        LOG_INT("status", entry->status), LOG_INT("lived_ms", now - entry->started_ms),
        LOG_INT("restart_in_ms", entry->pause_ms));
}

static void reap(struct supervise *supervise)
{
    int status;
    for (pid_t pid = waitpid(-1, &status, WNOHANG); pid > 0; pid = waitpid(-1, &status, WNOHANG)) {
        if (pid == supervise->tool) {
            supervise->tool = 0;
            supervise->tool_status = shell_status(status);
            continue;
        }
        for (size_t i = 0; i < supervise->count; i++) {
            if (supervise->entries[i].pid == pid)
                note_death(supervise, &supervise->entries[i], status);
        }
    }
}

static void restart_due(struct supervise *supervise)
{
    for (size_t i = 0; i < supervise->count && supervise->asked == 0; i++) {
        struct entry *entry = &supervise->entries[i];
        if (entry->restart_at_ms == 0 || clock_steady_ms() < entry->restart_at_ms)
            continue;
        end_orphans(supervise, ORPHAN_GRACE_MS);
        struct failure why = {0};
        if (launch(entry, &why) != RESULT_OK) {
            entry->restart_at_ms = clock_steady_ms() + SUPERVISE_PAUSE_MOST_MS;
            log_event(LOG_LEVEL_ERROR, "supervise.restart_failed", LOG_FAILURE(RESULT_FAILED, &why));
            continue;
        }
        log_event(LOG_LEVEL_WARN, "supervise.restarted", LOG_NAME("name", entry->service.plan.name),
            LOG_INT("pid", entry->pid));
    }
}

/* One turn of the loop: wait up to ms for a signal, take note of deaths, restart what is due. */
static void turn(struct supervise *supervise, int ms)
{
    struct pollfd wait = {.fd = supervise->signals, .events = POLLIN};
    (void)poll(&wait, 1, ms);
    struct signalfd_siginfo info;
    while (read(supervise->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo != SIGCHLD)
            supervise->asked++;
    }
    reap(supervise);
    restart_due(supervise);
}

enum result supervise_start(struct supervise *supervise, struct supervise_service *service, struct failure *why)
{
    assert(supervise->count < SUPERVISE_SERVICES_MAX);
    struct entry *entry = &supervise->entries[supervise->count++];
    *entry = (struct entry){.service = *service, .steady = service->ended != NULL};
    service->plan.arguments = service->plan.environment = (struct words){0};
    return launch(entry, why);
}

enum result supervise_await(struct supervise *supervise, bool (*ready)(const void *, pid_t), const void *context,
    int64_t ms, struct failure *why)
{
    struct entry *entry = &supervise->entries[supervise->count - 1];
    int64_t until = clock_steady_ms() + ms;
    for (;;) {
        turn(supervise, TURN_MS / 4);
        if (supervise->asked > 0)
            return RESULT_DENIED;
        if (entry->pid == 0) {
            failure_set(why, entry->service.plan.name, "ended with status %d before it was ready; see %s", entry->status,
                entry->service.plan.log);
            return RESULT_UNAVAILABLE;
        }
        if (ready(context, entry->pid)) {
            entry->steady = true;
            return RESULT_OK;
        }
        if (clock_steady_ms() >= until) {
            failure_set(why, entry->service.plan.name, "not ready within %lld s; see %s", (long long)(ms / 1000),
                entry->service.plan.log);
            return RESULT_FAILED;
        }
    }
}

enum result supervise_tool(struct supervise *supervise, struct child_plan *plan, int *status, struct failure *why)
{
    enum result result = child_start(plan, &supervise->tool, why);
    int asked = supervise->asked;
    while (result == RESULT_OK && supervise->tool != 0) {
        turn(supervise, TURN_MS);
        if (supervise->asked > asked && supervise->tool != 0)
            (void)kill(supervise->tool, supervise->asked - asked > 1 ? SIGKILL : SIGTERM);
    }
    words_free(&plan->arguments);
    words_free(&plan->environment);
    if (result == RESULT_OK && supervise->asked > 0)
        return RESULT_DENIED;
    if (result == RESULT_OK)
        *status = supervise->tool_status;
    return result;
}

void supervise_run(struct supervise *supervise)
{
    while (supervise->asked == 0)
        turn(supervise, TURN_MS);
}

bool supervise_ending(const struct supervise *supervise)
{
    return supervise->asked > 0;
}

/* Whether the entry ended by itself. */
static bool stop_entry(struct supervise *supervise, struct entry *entry)
{
    if (entry->pid == 0)
        return true;
    int asked = supervise->asked;
    int64_t until = clock_steady_ms() + entry->service.stop_ms;
    (void)kill(entry->pid, entry->service.stop_signal);
    while (entry->pid != 0 && clock_steady_ms() < until && supervise->asked == asked)
        turn(supervise, TURN_MS / 4);
    if (entry->pid == 0)
        return true;
    log_event(LOG_LEVEL_ERROR, "supervise.killed", LOG_NAME("name", entry->service.plan.name));
    (void)kill(entry->pid, SIGKILL);
    until = clock_steady_ms() + KILL_MS;
    while (entry->pid != 0 && clock_steady_ms() < until)
        turn(supervise, TURN_MS / 4);
    return false;
}

bool supervise_stop(struct supervise *supervise)
{
    bool clean = true;
    if (supervise->asked == 0)
        supervise->asked = 1;
    for (size_t i = supervise->count; i-- > 0;)
        clean = stop_entry(supervise, &supervise->entries[i]) && clean;
    pid_t known[SUPERVISE_SERVICES_MAX + 1];
    return orphans_end(known, known_children(supervise, known), ORPHAN_GRACE_MS) == 0 && clean;
}
