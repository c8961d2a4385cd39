#include "anonymizer/edge/keyguard.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <seccomp.h>
#include <sodium.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static enum result refuse(struct failure *why, const char *what)
{
    failure_set(why, "keyd", "%s: %s", what, strerror(errno));
    return RESULT_FAILED;
}

enum result keyguard_harden(pid_t parent, struct failure *why)
{
    static const int ignored[] = {
        SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2, SIGALRM, SIGCHLD, SIGXFSZ};
    const struct rlimit none = {0};
    if (prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L) != 0)
        return refuse(why, "cannot refuse tracing");
    if (setrlimit(RLIMIT_CORE, &none) != 0)
        return refuse(why, "cannot refuse core dumps");
    if (prctl(PR_SET_PDEATHSIG, (long)SIGKILL, 0L, 0L, 0L) != 0 || getppid() != parent)
        return refuse(why, "cannot follow the parent");
    (void)prctl(PR_SET_NAME, "throng-keyd", 0L, 0L, 0L);
    for (size_t i = 0; i < COUNT(ignored); i++)
        (void)signal(ignored[i], SIG_IGN);
    return RESULT_OK;
}

enum result keyguard_close_others(int socket, bool quiet, struct failure *why)
{
    if (socket != KEYGUARD_SOCKET && dup2(socket, KEYGUARD_SOCKET) < 0)
        return refuse(why, "cannot keep the socket");
    if (close_range(KEYGUARD_SOCKET + 1, ~0U, 0) != 0)
        return refuse(why, "cannot close inherited descriptors");
    int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (nowhere < 0)
        return refuse(why, "cannot open /dev/null");
    for (int fd = 0; fd <= (quiet ? 2 : 1); fd++)
        if (dup2(nowhere, fd) < 0)
            return refuse(why, "cannot leave the terminal");
    (void)close(nowhere);
    return RESULT_OK;
}

void *keyguard_locked_pages(size_t size, struct failure *why)
{
    struct rlimit lockable;
    if (getrlimit(RLIMIT_MEMLOCK, &lockable) == 0) {
        lockable.rlim_cur = lockable.rlim_max;
        (void)setrlimit(RLIMIT_MEMLOCK, &lockable);
    }
    void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED || sodium_mlock(pages, size) != 0 || madvise(pages, size, MADV_DONTDUMP) != 0) {
        failure_set(why, "keyd", "cannot lock %zu bytes of memory (raise LimitMEMLOCK): %s", size, strerror(errno));
        return NULL;
    }
    return pages;
}

/* System calls whose first argument is a descriptor, with the one it must be. */
static bool allow_on(scmp_filter_ctx filter, int fd, const int *calls, size_t count)
{
    const struct scmp_arg_cmp is_fd = {.arg = 0, .op = SCMP_CMP_EQ, .datum_a = (scmp_datum_t)fd};
    for (size_t i = 0; i < count; i++)
        if (seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, calls[i], 1, &is_fd) != 0)
            return false;
    return true;
}

enum result keyguard_filter(int key_file, struct failure *why)
{
    static const int any[] = {SCMP_SYS(clock_gettime), SCMP_SYS(getrandom), SCMP_SYS(exit_group),
        SCMP_SYS(rt_sigreturn), SCMP_SYS(restart_syscall)};
    static const int on_socket[] = {SCMP_SYS(recvfrom), SCMP_SYS(sendto)};
    static const int on_file[] = {SCMP_SYS(pread64), SCMP_SYS(pwrite64), SCMP_SYS(fdatasync)};
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    bool built = filter != NULL && allow_on(filter, KEYGUARD_SOCKET, on_socket, COUNT(on_socket)) &&
                 allow_on(filter, key_file, on_file, COUNT(on_file));
    for (size_t i = 0; built && i < COUNT(any); i++)
        built = seccomp_rule_add(filter, SCMP_ACT_ALLOW, any[i], 0) == 0;
    /* The filter's own memory stays: freeing it could take a call that it forbids. */
    if (built && seccomp_load(filter) == 0)
        return RESULT_OK;
    failure_set(why, "keyd", "cannot enter the seccomp filter");
    return RESULT_FAILED;
}
