/*
 * A seccomp filter for daemons that talk to the network: once entered, none of the process's threads can start a
 * program, make a process, look into another one, change the machine or reach the kernel's riskiest interfaces.
 *
 * This is a list of what is forbidden (sandbox.def), not of what is allowed: libpq, libmicrohttpd, libcurl and the
 * resolver call too much that changes with their versions. It limits what a taken-over daemon can do next; it does
 * not hide files that the daemon's user may read, nor addresses that it may connect to. keyd, which holds the keys
 * and needs few calls, has a list of what is allowed instead.
 *
 * Sees:     nothing.
 * Uses:     libseccomp.
 * Threads:  applies to all threads of the process, those to come too. There is no way back.
 * Failure:  RESULT_FAILED; the process must then end, for the filter may be incomplete.
 */
#ifndef THRONG_BASE_SANDBOX_H
#define THRONG_BASE_SANDBOX_H

#include "schema/failure.h"

enum sandbox_profile {
    SANDBOX_INGEST = 1,    /* accepts connections; never looks up a name over a raw or netlink socket */
    SANDBOX_AGGREGATE = 2, /* opens no further listener */
    SANDBOX_RELEASE = 4,   /* opens no further listener */
    SANDBOX_API = 8,       /* opens no further listener */
    SANDBOX_AUDIT = 16,    /* opens no further listener */
    SANDBOX_WITNESS = 32,  /* opens no further listener */
};

/* Enter profile, after every child has been started and every listener is open. Sets no_new_privs. A forbidden call
 * ends the process with SIGSYS, or fails with EPERM where a library may try it in good faith (sandbox.def says
 * which). */
enum result sandbox_enter(enum sandbox_profile profile, struct failure *why);

#endif
