#include "api/bundles.h"

#include <fcntl.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compliance/audit/leaf.h"
#include "compliance/export/export.h"
#include "service/base/clock.h"
#include "service/base/log.h"

#define TAR "application/x-tar"
#define PATH_BYTES 512

struct bundles_job {
    struct call_service *service;
    struct MHD_Connection *connection;
    struct access_identity identity;
    pthread_t thread;
    enum result result;
    struct export_made made;
    int fd; /* of the bundle; -1: none */
};

/* {"hash":…,"size":…} by who asked. */
static enum result append_leaf(struct bundles_job *job, struct db *db, struct failure *why)
{
    char hash[2 * sizeof job->made.hash + 1];
    const char *bytes = NULL;
    size_t length = 0;
    struct leaf_head head = {.at_ms = clock_now_ms(), .act = "export_made", .actor_type = job->identity.type,
        .actor_id = job->identity.actor, .tenant = "", .out = LEAF_OK};
    randombytes_buf(head.id, sizeof head.id);
    randombytes_buf(head.nonce, sizeof head.nonce);
    struct leaf *leaf = leaf_begin(&head);
    struct db_params *params = db_params_new();
    enum result result = leaf == NULL ? RESULT_FAILED : RESULT_OK;
    if (result == RESULT_OK) {
        leaf_text(leaf, "hash", sodium_bin2hex(hash, sizeof hash, job->made.hash, sizeof job->made.hash));
        leaf_int(leaf, "size", (int64_t)job->made.size);
        result = leaf_finish(leaf, &bytes, &length, why);
    }
    if (result == RESULT_OK) {
        db_uuid(params, head.id);
        db_text(params, head.act);
        db_bytes(params, bytes, length);
        result = db_run(db, "bundles_append", "SELECT audit.append($1, $2, $3)", params, NULL, why);
    }
    db_params_free(params);
    leaf_free(leaf);
    return result;
}

/* Make the file, record it, and keep it open without its name. */
static enum result make_bundle(struct bundles_job *job, struct failure *why)
{
    char path[PATH_BYTES], signer[PATH_BYTES];
    const struct config *config = job->service->config;
    struct db *db = db_new(config->postgres_conninfo, "throng-api export");
    (void)snprintf(path, sizeof path, "%s/api-export", config->run_directory);
    (void)snprintf(signer, sizeof signer, "%s/audit.sign", config->run_directory);
    const struct export_request request = {.db = db, .path = path, .signer = signer, .witnesses = config->audit_witnesses};
    enum result result = export_make(&request, &job->made, why);
    if (result == RESULT_OK) {
        job->fd = open(path, O_RDONLY | O_CLOEXEC);
        (void)unlink(path);
        if (job->fd < 0) {
            failure_set(why, "run.directory", "the bundle cannot be opened again");
            result = RESULT_FAILED;
        }
    }
    if (result == RESULT_OK)
        result = append_leaf(job, db, why);
    db_free(db);
    return result;
}

/* What the job holds is read once the connection goes on. */
static void *run(void *context)
{
    struct bundles_job *job = context;
    struct call_service *service = job->service;
    struct failure why = {0};
    job->result = make_bundle(job, &why);
    if (job->result != RESULT_OK)
        log_event(LOG_LEVEL_WARN, "export.not_made", LOG_FAILURE(job->result, &why));
    MHD_resume_connection(job->connection);
    atomic_store(&service->exporting, false);
    return NULL;
}

void bundles_free(struct bundles_job *job)
{
    if (job == NULL)
        return;
    (void)pthread_join(job->thread, NULL);
    if (job->fd >= 0)
        (void)close(job->fd);
    free(job);
}

static enum MHD_Result begin(struct call *call)
{
    struct call_service *service = call->service;
    if (atomic_exchange(&service->exporting, true))
        return call_problem(call, MHD_HTTP_SERVICE_UNAVAILABLE, "busy", "", "another export is being made; try again");
    struct bundles_job *job = malloc(sizeof *job);
    if (job != NULL) {
        *job = (struct bundles_job){.service = service, .connection = call->connection, .identity = call->identity, .fd = -1};
        MHD_suspend_connection(call->connection);
        if (pthread_create(&job->thread, NULL, run, job) == 0) {
            *call->job = job;
            return MHD_YES;
        }
        MHD_resume_connection(call->connection);
    }
    free(job);
    atomic_store(&service->exporting, false);
    return call_problem(call, MHD_HTTP_INTERNAL_SERVER_ERROR, "internal", "", "the export cannot be begun");
}

static enum MHD_Result send_bundle(struct call *call, struct bundles_job *job)
{
    char name[80];
    struct MHD_Response *response = MHD_create_response_from_fd64(job->made.bytes, job->fd);
    if (response == NULL)
        return MHD_NO;
    job->fd = -1; /* the response's */
    (void)snprintf(name, sizeof name, "attachment; filename=\"throng-%llu.tar\"", (unsigned long long)job->made.size);
    (void)MHD_add_response_header(response, "Cache-Control", "no-store");
    (void)MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    (void)MHD_add_response_header(response, "Content-Type", TAR);
    (void)MHD_add_response_header(response, "Content-Disposition", name);
    enum MHD_Result queued = reply_queue(call->connection, call->endpoint, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return queued;
}

enum MHD_Result bundles_answer(struct call *call)
{
    struct bundles_job *job = *call->job;
    if (job == NULL)
        return begin(call);
    if (job->result == RESULT_NOT_FOUND)
        return call_problem(call, MHD_HTTP_NOT_FOUND, "no_checkpoint", "",
            "the log has no checkpoint yet: throng-audit signs the first one");
    if (job->result == RESULT_UNAVAILABLE)
        return call_problem(call, MHD_HTTP_SERVICE_UNAVAILABLE, "unavailable", "", "the database or throng-audit does not answer; try again");
    if (job->result != RESULT_OK)
        return call_problem(call, MHD_HTTP_INTERNAL_SERVER_ERROR, "internal", "", "the export cannot be made; the program's log says why");
    return send_bundle(call, job);
}
