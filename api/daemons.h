/*
 * The daemons of this machine, through their status sockets (service/base/status.h) and /proc.
 *
 * Sees:     nothing of a person.
 * Uses:     jansson; libc.
 * Threads:  any.
 * Failure:  a daemon that does not answer within a second is listed without a status.
 */
#ifndef THRONG_API_DAEMONS_H
#define THRONG_API_DAEMONS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DAEMONS_MAX 32

struct daemons_one {
    char name[32];
    json_t *status;       /* NULL: its socket is there, and nobody answers */
    int64_t answer_ms;    /* how long that took */
};

struct daemons {
    struct daemons_one list[DAEMONS_MAX];
    size_t count;
};

/* Ask all daemons whose sockets lie in directory, by name; daemons_free afterwards. */
void daemons_read(const char *directory, struct daemons *out);
/* See daemons_read. */
void daemons_free(struct daemons *daemons);

/* The sum of the metric called name, over the daemons that have it, where its label holds label (""); and whether any has. */
int64_t daemons_metric(const struct daemons *daemons, const char *name, const char *label, bool *any);

/* Numbers of a process on this machine; what cannot be told is negative. */
struct daemons_process {
    double cpu_seconds, start_seconds;
    int64_t resident_bytes, virtual_bytes, open_fds, max_fds;
};

/* Read them for process pid. */
void daemons_process_read(long pid, struct daemons_process *out);

#endif
