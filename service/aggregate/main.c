/*
 * throng-aggregate: Redis Streams to sessions and retention in PostgreSQL. See worker.h for the work, directory.h for what
 * the main thread does meanwhile: it publishes the catalogue.
 */
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "service/aggregate/directory.h"
#include "service/aggregate/worker.h"
#include "service/base/lifecycle.h"
#include "service/base/log.h"
#include "service/base/sandbox.h"
#include "service/base/status.h"

#define REFRESH_MS 1000

/* Refresh the directory each second; say once when it cannot be, and once when it can again. */
static void refresh_until_end(const struct config *config)
{
    struct db *db = db_new(config->postgres_conninfo, "throng-aggregate directory");
    struct stream *stream = stream_new(config);
    enum result last = RESULT_OK;
    do {
        struct failure why = {0};
        enum result result = directory_refresh(db, stream, &why);
        if (result != last)
            log_event(result == RESULT_OK ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "directory.refresh",
                LOG_FAILURE(result, &why));
        last = result;
        status_ready(result == RESULT_OK);
    } while (!lifecycle_sleep_ms(REFRESH_MS));
    stream_free(stream);
    db_free(db);
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
    enum result result = status_start(config.run_directory, "aggregate", &why);
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
    refresh_until_end(&config);
    for (unsigned i = 0; i < count; i++)
        (void)pthread_join(threads[i], NULL);
    free(threads);
    free(workers);
    status_stop();
    return EXIT_SUCCESS;
}
