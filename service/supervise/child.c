#include "service/supervise/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_log(const char *path)
{
    struct stat status;
    char aside[512];
    if (stat(path, &status) == 0 && status.st_size > CHILD_LOG_MAX_BYTES) {
        (void)snprintf(aside, sizeof aside, "%s.1", path);
        (void)rename(path, aside);
    }
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* In the child: never returns. Blocked and ignored signals are inherited through exec, so both are set back. */
__attribute__((noreturn)) static void become(const struct child_plan *plan, pid_t supervisor)
{
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)setsid(); /* out of the terminal's reach: Ctrl-C is for the supervisor, who stops them in order */
    (void)prctl(PR_SET_PDEATHSIG, plan->death_signal);
    if (getppid() != supervisor)
        _exit(127);
    int input = open(plan->input == NULL ? "/dev/null" : plan->input, O_RDONLY);
    int errors = plan->log == NULL ? STDERR_FILENO : open_log(plan->log);
    if (input < 0 || errors < 0 || dup2(input, STDIN_FILENO) < 0 || dup2(errors, STDERR_FILENO) < 0)
        _exit(127);
    if (dup2(plan->output_fd < 0 ? STDERR_FILENO : plan->output_fd, STDOUT_FILENO) < 0)
        _exit(127);
    if (input != STDIN_FILENO)
        (void)close(input);
    if (plan->keep_fd >= 0)
        (void)fcntl(plan->keep_fd, F_SETFD, 0);
    if (plan->program_fd >= 0)
        (void)fexecve(plan->program_fd, plan->arguments.items, plan->environment.items);
    else
        (void)execve(plan->program, plan->arguments.items, plan->environment.items);
    (void)dprintf(STDERR_FILENO, "%s cannot be run: %s\n", plan->arguments.items[0], strerror(errno));
    _exit(127);
}

enum result child_start(const struct child_plan *plan, pid_t *pid, struct failure *why)
{
    pid_t supervisor = getpid();
    pid_t child = fork();
    if (child < 0) {
        failure_set(why, plan->name, "cannot fork: %s", strerror(errno));
        return RESULT_FAILED;
    }
    if (child == 0)
        become(plan, supervisor);
    *pid = child;
    return RESULT_OK;
}
