#include "service/base/sandbox.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/socket.h>

struct rule {
    int profiles;
    uint32_t action;
    const char *call;
};

static const struct rule rules[] = {
#define SANDBOX_KILL(profiles, call) {profiles, SCMP_ACT_KILL_PROCESS, call},
#define SANDBOX_REFUSE(profiles, call) {profiles, SCMP_ACT_ERRNO(EPERM), call},
#include "service/base/sandbox.def"
#undef SANDBOX_KILL
#undef SANDBOX_REFUSE
};

static int add_listed(scmp_filter_ctx filter, enum sandbox_profile profile)
{
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        int call = seccomp_syscall_resolve_name(rules[i].call);
        if ((rules[i].profiles & (int)profile) == 0 || call == __NR_SCMP_ERROR)
            continue;
        int error = seccomp_rule_add(filter, rules[i].action, call, 0);
        if (error != 0 && error != -EDOM) /* -EDOM: this architecture has no such call */
            return error;
    }
    return 0;
}

/* Threads yes, processes no. clone3 hides its flags behind a pointer that no filter can follow: ENOSYS makes libc
 * fall back to clone. */
static int add_clone(scmp_filter_ctx filter)
{
    int error = seccomp_rule_add(
        filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
    return error != 0 ? error : seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

/* Address families: all but these are refused. A netlink socket is how getaddrinfo(3) orders addresses; it does
 * without. */
static int add_families(scmp_filter_ctx filter)
{
    int error = seccomp_rule_add(
        filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_GT, AF_INET6, 0));
    for (unsigned family = AF_INET + 1; family < AF_INET6 && error == 0; family++)
        error = seccomp_rule_add(
            filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, family, 0));
    return error;
}

enum result sandbox_enter(enum sandbox_profile profile, struct failure *why)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (filter == NULL) {
        failure_set(why, "run.sandbox", "seccomp is not available");
        return RESULT_FAILED;
    }
    int error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    if (error == 0)
        error = add_listed(filter, profile);
    if (error == 0)
        error = add_clone(filter);
    if (error == 0)
        error = add_families(filter);
    if (error == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        error = -errno;
    if (error == 0)
        error = seccomp_load(filter);
    seccomp_release(filter);
    if (error == 0)
        return RESULT_OK;
    failure_set(why, "run.sandbox", "the seccomp filter cannot be loaded (error %d)", -error);
    return RESULT_FAILED;
}
