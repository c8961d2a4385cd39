#include "service/base/lifecycle.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "service/base/clock.h"

static atomic_bool ending;
static _Atomic int end_fd = -1;

bool lifecycle_ending(void)
{
    return atomic_load(&ending);
}

/* Also runs in the signal handler: nothing here but atomics and write(2). */
void lifecycle_end(void)
{
    int error = errno;
    atomic_store(&ending, true);
    int fd = atomic_load(&end_fd);
    if (fd >= 0)
        (void)!write(fd, &(uint64_t){1}, sizeof(uint64_t));
    errno = error;
}

int lifecycle_fd(void)
{
    return atomic_load(&end_fd);
}

static void on_signal(int number)
{
    (void)number;
    lifecycle_end();
}

static void handle(int number, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler};
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(number, &action, NULL);
}

/* The parent may die before prctl(2) takes effect: then no signal comes, but the parent is another process. A
 * supervisor that gives its pid closes the gap before our first getppid(2), too. */
static void die_with_parent(void)
{
    const char *asked = getenv("THRONG_DIE_WITH_PARENT");
    long named = asked == NULL ? 0 : strtol(asked, NULL, 10);
    if (named <= 0)
        return;
    pid_t parent = named == 1 ? getppid() : (pid_t)named;
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        lifecycle_end();
}

void lifecycle_begin(bool private_memory)
{
    if (atomic_load(&end_fd) < 0) {
        int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (fd < 0) {
            perror("eventfd");
            exit(EXIT_FAILURE);
        }
        atomic_store(&end_fd, fd);
    }
    handle(SIGTERM, on_signal);
    handle(SIGINT, on_signal);
    handle(SIGPIPE, SIG_IGN);
    (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    if (private_memory)
        (void)prctl(PR_SET_DUMPABLE, 0);
    die_with_parent();
}

bool lifecycle_sleep_ms(int64_t ms)
{
    int64_t until = clock_steady_ms() + ms;
    for (int64_t left = ms; left > 0 && !lifecycle_ending(); left = until - clock_steady_ms()) {
        struct pollfd end = {.fd = lifecycle_fd(), .events = POLLIN};
        (void)poll(&end, 1, left > 60000 ? 60000 : (int)left);
    }
    return lifecycle_ending();
}
