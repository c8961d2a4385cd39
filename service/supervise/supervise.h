/*
 * The supervisor's table of children: start in order, await readiness, restart what dies with growing pauses, stop in the
 * reverse order with deadlines, leave nothing behind.
 *
 * Sees:     nothing of a person.
 * Uses:     signalfd, service/base.
 * Threads:  one. SIGCHLD, SIGINT, SIGTERM and SIGHUP are blocked from supervise_new() on.
 * Failure:  RESULT_UNAVAILABLE (a child ended before it was ready), RESULT_FAILED (a deadline), RESULT_DENIED (an end was
 *           asked for meanwhile).
 */
#ifndef THRONG_SUPERVISE_SUPERVISE_H
#define THRONG_SUPERVISE_SUPERVISE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "schema/failure.h"
#include "service/supervise/child.h"

#define SUPERVISE_SERVICES_MAX 16
#define SUPERVISE_PAUSE_FIRST_MS 200
#define SUPERVISE_PAUSE_MOST_MS 10000
#define SUPERVISE_STEADY_MS 30000 /* a life this long sets the pause back */

struct supervise_service {
    struct child_plan plan;
    int stop_signal;
    int64_t stop_ms;             /* from the signal to SIGKILL */
    void (*before)(void *);      /* called before each start; NULL: nothing */
    void *context;               /* for before */
    void (*ended)(void *, bool); /* a background task ended by itself, successfully or not; NULL: a service, restarted */
};

struct supervise;

/* The process's one supervisor, owned by the caller; it adopts orphans from here on. NULL without a signalfd. */
struct supervise *supervise_new(void);
/* Free; nothing may run any more. NULL is allowed. */
void supervise_free(struct supervise *supervise);

/* Start service (copied; its plan's words are taken over) and keep it in the table under plan.name. Until it was awaited it
 * is not restarted. */
enum result supervise_start(struct supervise *supervise, struct supervise_service *service, struct failure *why);

/* Wait until ready(context, pid) is true for the service started last, at most ms. From then on it is restarted. */
enum result supervise_await(struct supervise *supervise, bool (*ready)(const void *, pid_t), const void *context,
    int64_t ms, struct failure *why);

/* Run plan (its words are freed) to its end and write its exit status, or 128 + signal, to *status. */
enum result supervise_tool(struct supervise *supervise, struct child_plan *plan, int *status, struct failure *why);

/* Serve until an end is asked for by SIGINT, SIGTERM or SIGHUP. */
void supervise_run(struct supervise *supervise);

/* Whether it was. */
bool supervise_ending(const struct supervise *supervise);

/* Stop everything, last started first; a second signal meanwhile cuts the deadlines short. Returns whether nothing had to
 * be killed. */
bool supervise_stop(struct supervise *supervise);

#endif
