/*
 * throng-api: the read side. It answers from released rows, as a role that sees nothing else of numbers about use, and has no
 * code that could draw noise, make a pseudonym or reach Redis.
 *
 * Sees:     released numbers, the audit trail, receipts, app definitions, hashes of keys.
 * Uses:     service/base, http, db, catalogue; PostgreSQL by role throng_read.
 * Threads:  the HTTP pool, the journal's, the status socket's.
 * Failure:  ends with 2 on a configuration error, 1 if a socket or the sandbox cannot be had. Without database: 503.
 */
#include <sodium.h>
#include <stdlib.h>

#include "api/gateway.h"
#include "api/receipt.h"
#include "service/base/clock.h"
#include "service/base/lifecycle.h"
#include "service/base/log.h"
#include "service/base/sandbox.h"
#include "service/base/status.h"
#include "service/catalogue/fingerprint.h"
#include "service/db/trail.h"
#include "service/http/listen.h"

static void require(const char *step, enum result result, const struct failure *why)
{
    if (result == RESULT_OK)
        return;
    log_event(LOG_LEVEL_ERROR, "api.cannot_start", LOG_NAME("step", step), LOG_FAILURE(result, why));
    exit(EXIT_FAILURE);
}

static void open_service(struct call_service *service)
{
    struct failure why = {0};
    service->started_ms = clock_steady_ms();
    require("access", access_open(service->config, &service->access, &why), &why);
    require("threads", pthread_key_create(&service->db, call_db_free) == 0 ? RESULT_OK : RESULT_FAILED, &why);
    service->receipts = limiter_new(RECEIPT_RATE, RECEIPT_BURST);
    require("memory", service->receipts != NULL ? RESULT_OK : RESULT_FAILED, &why);
    service->kept = service->config->api_answers_bytes > 0 ? kept_new((size_t)service->config->api_answers_bytes) : NULL;
    require("memory", service->kept != NULL || service->config->api_answers_bytes == 0 ? RESULT_OK : RESULT_FAILED, &why);
    service->journal = journal_start(service->config);
    require("journal", service->journal != NULL ? RESULT_OK : RESULT_FAILED, &why);
}

static void close_service(struct call_service *service)
{
    journal_stop(service->journal);
    limiter_free(service->receipts);
    kept_free(service->kept);
    access_close(service->access);
    (void)pthread_key_delete(service->db);
}

/* Serve until an end is asked for. The trail has start and end, as soon as the database answers. */
static void serve(const struct config *config, const uint8_t binary[FINGERPRINT_BYTES])
{
    uint8_t configuration[FINGERPRINT_BYTES];
    struct db *db = db_new(config->postgres_conninfo, "throng-api start");
    bool told = false;
    fingerprint_config(config, configuration);
    do {
        if (!told)
            told = trail_started(db, "api", binary, configuration, NULL) == RESULT_OK;
        if (told)
            db_disconnect(db);
    } while (!lifecycle_sleep_ms(told ? 60000 : 1000));
    if (told)
        (void)trail_stopped(db, "api", NULL);
    db_free(db);
}

int main(int argc, char **argv)
{
    static struct config config;
    static uint8_t binary[FINGERPRINT_BYTES];
    static struct call_service service = {.config = &config};
    struct failure why = {0};
    struct gateway *gateway = NULL;
    enum log_level level = LOG_LEVEL_INFO;
    int fd = -1;
    config_from_arguments(argc, argv, "serves released numbers over HTTP", &config);
    (void)log_level_named(config.run_log_level, &level);
    log_init("api", level);
    lifecycle_begin(true);
    require("libsodium", sodium_init() < 0 ? RESULT_FAILED : RESULT_OK, &(struct failure){.text = "does not start"});
    require("binary", fingerprint_binary(binary, &why), &why);
    require("listen", listen_tcp(config.api_listen, "api.listen", &fd, &why), &why);
    require("status", status_start(config.run_directory, "api", &why), &why);
    if (config.run_sandbox)
        require("sandbox", sandbox_enter(SANDBOX_API, &why), &why);
    open_service(&service);
    require("server", gateway_start(&service, fd, &gateway, &why), &why);
    log_event(LOG_LEVEL_INFO, "api.started", LOG_NAME("listen", config.api_listen));
    serve(&config, binary);
    status_ready(false);
    gateway_stop(gateway);
    close_service(&service);
    status_stop();
    log_event(LOG_LEVEL_INFO, "api.ended");
    return EXIT_SUCCESS;
}
