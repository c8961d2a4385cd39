#include "service/ingest/join.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "anonymizer/edge/keyd.h"
#include "service/base/log.h"
#include "service/ingest/keep.h"
#include "service/ingest/notices.h"

#define OPTION "--import-keys"
#define VARIABLE "THRONG_IMPORT_PASSPHRASE"

static void refuse(const char *text)
{
    (void)fprintf(stderr, "throng-ingest: %s\n", text);
    exit(2);
}

static void read_file(const char *path, struct join_order *order)
{
    FILE *file = fopen(path, "re");
    if (file == NULL || fgets(order->passphrase, sizeof order->passphrase, file) == NULL)
        refuse(VARIABLE "_FILE: cannot be read");
    (void)fclose(file);
    order->passphrase[strcspn(order->passphrase, "\r\n")] = '\0';
}

/* These variables are no keys of the configuration, which would refuse them. */
static void read_environment(struct join_order *order)
{
    const char *path = getenv(VARIABLE "_FILE"), *text = getenv(VARIABLE);
    if (path != NULL)
        read_file(path, order);
    else if (text != NULL && strlen(text) < sizeof order->passphrase)
        (void)snprintf(order->passphrase, sizeof order->passphrase, "%s", text);
    (void)unsetenv(VARIABLE);
    (void)unsetenv(VARIABLE "_FILE");
    if (order->passphrase[0] == '\0')
        refuse(OPTION " needs the passphrase of the export in " VARIABLE " or " VARIABLE "_FILE");
}

void join_take_arguments(int *argc, char **argv, struct join_order *out)
{
    int kept = 1;
    memset(out, 0, sizeof *out);
    for (int i = 1; i < *argc; i++) {
        if (strcmp(argv[i], OPTION) != 0) {
            argv[kept++] = argv[i];
            continue;
        }
        if (i + 1 == *argc)
            refuse(OPTION " needs a file");
        out->file = argv[++i];
    }
    *argc = kept;
    argv[kept] = NULL;
    if (out->file != NULL)
        read_environment(out);
}

int join_run(const struct config *config, struct join_order *order)
{
    char path[KEEP_PATH_BYTES];
    struct keyd *keyd = NULL;
    struct failure why = {0};
    (void)snprintf(path, sizeof path, "%s/keys", config->ingest_state);
    const struct keyd_options options = {
        .key_file = path,
        .passphrase = config->ingest_seal,
        .shards = (uint32_t)config->stream_shards,
        .sandbox = config->run_sandbox,
        .import_file = order->file,
        .import_passphrase = order->passphrase,
    };
    enum result result = keyd_start(&options, &keyd, &why);
    sodium_memzero(order->passphrase, sizeof order->passphrase);
    if (result == RESULT_OK)
        result = notices_note_joined(config->ingest_state, keyd, &why);
    keyd_stop(keyd);
    if (result != RESULT_OK) {
        log_event(LOG_LEVEL_ERROR, "keys.import_failed", LOG_FAILURE(result, &why));
        return EXIT_FAILURE;
    }
    log_event(LOG_LEVEL_INFO, "keys.imported");
    return EXIT_SUCCESS;
}
