#include "service/supervise/orphans.h"

#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "service/base/clock.h"

#define KILLED_MS 5000 /* a killed process is gone by then, unless the kernel holds it */

void orphans_adopt(void)
{
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
}

/* The parent of process, 0 if it is gone. proc(5): the name in parentheses may hold any character. */
static long parent_of(const char *process)
{
    char path[320], text[512];
    (void)snprintf(path, sizeof path, "/proc/%s/stat", process);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    size_t length = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    text[length] = '\0';
    const char *after_name = strrchr(text, ')');
    char state;
    long parent;
    return after_name != NULL && sscanf(after_name, ") %c %ld", &state, &parent) == 2 ? parent : 0;
}

static bool is_known(pid_t pid, const pid_t *known, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (known[i] == pid)
            return true;
    }
    return false;
}

/* Reap the dead among the orphans; kill the others if asked. Returns how many live. */
static size_t visit(const pid_t *known, size_t count, bool end)
{
    DIR *folder = opendir("/proc");
    if (folder == NULL)
        return 0;
    size_t alive = 0;
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        char *rest;
        pid_t pid = (pid_t)strtol(entry->d_name, &rest, 10);
        if (*rest != '\0' || is_known(pid, known, count) || parent_of(entry->d_name) != getpid())
            continue;
        if (waitpid(pid, NULL, WNOHANG) == pid)
            continue;
        alive++;
        if (end)
            (void)kill(pid, SIGKILL);
    }
    (void)closedir(folder);
    return alive;
}

static size_t wait_gone(const pid_t *known, size_t count, int64_t ms)
{
    int64_t until = clock_steady_ms() + ms;
    size_t alive = visit(known, count, false);
    while (alive > 0 && clock_steady_ms() < until) {
        (void)nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
        alive = visit(known, count, false);
    }
    return alive;
}

size_t orphans_end(const pid_t *known, size_t count, int64_t grace_ms)
{
    if (wait_gone(known, count, grace_ms) == 0)
        return 0;
    size_t killed = visit(known, count, true);
    (void)wait_gone(known, count, KILLED_MS);
    return killed;
}
