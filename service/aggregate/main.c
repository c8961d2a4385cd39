/*
 * throng-aggregate: Redis Streams to sessions and retention in PostgreSQL. See worker.h for the work, directory.h and
 * caretaker.h for what the main thread does meanwhile: it publishes the catalogue and sees requests to their end.
 */
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "service/aggregate/caretaker.h"
#include "service/aggregate/directory.h"
#include "service/aggregate/worker.h"
#include "service/base/clock.h"
#include "service/base/lifecycle.h"
#include "service/base/log.h"
#include "service/base/sandbox.h"
#include "service/base/status.h"
#include "service/catalogue/fingerprint.h"
#include "service/db/trail.h"

#define REFRESH_MS 1000

/* What the main thread works with. */
struct office {
    struct db *db;
    struct stream *stream;
    struct caretaker caretaker;
    uint8_t binary[FINGERPRINT_BYTES], configuration[FINGERPRINT_BYTES];
    bool announced; /* in the trail: that this program started */
};

static enum result take_care(struct office *office, struct failure *why)
{
    enum result result = RESULT_OK;
    if (!office->announced)
        result = trail_started(office->db, "aggregate", office->binary, office->configuration, why);
    office->announced = office->announced || result == RESULT_OK;
    if (result != RESULT_OK)
        return result;
    const struct directory *directory = directory_current();
    result = caretaker_turn(&office->caretaker, office->db, office->stream, directory, clock_steady_ms(), why);
    directory_release(directory);
    return result;
}

/* Refresh the directory each second, and do what is due beside it; say once when it cannot be, and once when it can again. */
static void serve_until_end(struct office *office)
{
    enum result refreshed = RESULT_OK;
    enum result cared = RESULT_OK;
    do {
        struct failure why = {0};
        enum result result = directory_refresh(office->db, office->stream, &why);
        if (result != refreshed)
            log_event(result == RESULT_OK ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "directory.refresh", LOG_FAILURE(result, &why));
        refreshed = result;
        status_ready(result == RESULT_OK);
        why = (struct failure){0};
        result = result == RESULT_NOT_FOUND ? RESULT_OK : take_care(office, &why);
        if (result != cared)
            log_event(result == RESULT_OK ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "aggregate.care", LOG_FAILURE(result, &why));
        cared = result;
    } while (!lifecycle_sleep_ms(REFRESH_MS));
}

int main(int argc, char **argv)
{
    struct config config;
    struct failure why = {0};
    config_from_arguments(argc, argv, "folds events into sessions and retention", &config);
    enum log_level level = LOG_LEVEL_INFO;
    (void)log_level_named(config.run_log_level, &level);
    log_init("aggregate", level);
    lifecycle_begin(false);
    struct office office = {0};
    enum result result = status_start(config.run_directory, "aggregate", &why);
    if (result == RESULT_OK)
        result = fingerprint_binary(office.binary, &why);
    fingerprint_config(&config, office.configuration);
    if (result == RESULT_OK && config.run_sandbox)
        result = sandbox_enter(SANDBOX_AGGREGATE, &why);
    if (result != RESULT_OK) {
        log_event(LOG_LEVEL_ERROR, "aggregate.start", LOG_FAILURE(result, &why));
        return EXIT_FAILURE;
    }
    unsigned count = (unsigned)config.aggregate_threads;
    count = count > (unsigned)config.stream_shards ? (unsigned)config.stream_shards : count;
    struct worker *workers = calloc(count, sizeof *workers);
    pthread_t *threads = calloc(count, sizeof *threads);
    assert(workers != NULL && threads != NULL);
    for (unsigned i = 0; i < count; i++) {
        workers[i] = (struct worker){.config = &config, .index = i, .count = count};
        int error = pthread_create(&threads[i], NULL, worker_run, &workers[i]);
        assert(error == 0);
    }
    office.db = db_new(config.postgres_conninfo, "throng-aggregate directory");
    office.stream = stream_new(&config);
    office.caretaker.period_ms = config.retention_check_s * 1000;
    office.caretaker.rewrite_period_ms = config.retention_redis_s * 1000;
    serve_until_end(&office);
    for (unsigned i = 0; i < count; i++)
        (void)pthread_join(threads[i], NULL);
    if (office.announced)
        (void)trail_stopped(office.db, "aggregate", NULL);
    stream_free(office.stream);
    db_free(office.db);
    free(threads);
    free(workers);
    status_stop();
    return EXIT_SUCCESS;
}
