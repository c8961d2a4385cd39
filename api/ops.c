#include "api/ops.h"

#include <stdio.h>
#include <string.h>

#include "api/daemons.h"
#include "api/exposition.h"
#include "api/gauges.h"
#include "service/base/metrics.h"

#define OWN_LABELS (EXPOSITION_LABELS_MAX - 1)
#define LABEL_BYTES 64

/* The labels of one row of metrics.def. */
struct label_set {
    size_t count;
    const char *names[OWN_LABELS];
    char values[OWN_LABELS][LABEL_BYTES];
};

/* A label's name as a literal: it is one of few. */
static const char *label_name(const char *text, size_t length)
{
    static const char *const names[] = {"result", "endpoint", "code", "name", "peer", "le", "state", "reason"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strlen(names[i]) == length && strncmp(names[i], text, length) == 0)
            return names[i];
    }
    return NULL;
}

/* Split 'name="value",name="value"', as in metrics.def. */
static void split_labels(const char *text, struct label_set *out)
{
    out->count = 0;
    for (const char *equals; out->count < OWN_LABELS && (equals = strstr(text, "=\"")) != NULL;) {
        size_t length = strcspn(equals + 2, "\"");
        const char *name = label_name(text, (size_t)(equals - text));
        if (name == NULL || length >= LABEL_BYTES)
            return;
        out->names[out->count] = name;
        memcpy(out->values[out->count], equals + 2, length);
        out->values[out->count++][length] = '\0';
        text = equals + 2 + length + strspn(equals + 2 + length, "\",");
    }
}

/* The value of a metric in one daemon's status; false if it has none. */
static bool value_of(const json_t *status, const struct metric_info *info, double *value)
{
    size_t at;
    json_t *metric;
    json_array_foreach(json_object_get(status, "metrics"), at, metric)
    {
        const char *name = json_string_value(json_object_get(metric, "name"));
        const char *label = json_string_value(json_object_get(metric, "label"));
        if (name == NULL || label == NULL || strcmp(name, info->name) != 0 || strcmp(label, info->label) != 0)
            continue;
        *value = (double)json_integer_value(json_object_get(metric, "value"));
        return true;
    }
    return false;
}

static void add_sample(struct exposition *exposition, const struct daemons_one *daemon, const struct metric_info *info)
{
    struct label_set own;
    double value;
    struct exposition_label labels[EXPOSITION_LABELS_MAX] = {{"daemon", daemon->name}};
    if (!value_of(daemon->status, info, &value))
        return;
    split_labels(info->label, &own);
    for (size_t i = 0; i < own.count; i++)
        labels[1 + i] = (struct exposition_label){own.names[i], own.values[i]};
    exposition_sample(exposition, "", labels, 1 + own.count, value);
}

/* Rows first … next - 1 are a histogram: buckets, of which an exposition's each hold those before, and the sum, in ms. */
static void add_histogram(struct exposition *exposition, const struct daemons_one *daemon, enum metric_id first,
    enum metric_id next)
{
    double all = 0, value;
    if (!value_of(daemon->status, metrics_info(next - 1), &value))
        return;
    const struct exposition_label alone = {"daemon", daemon->name};
    for (enum metric_id id = first; id < next - 1; id++) {
        struct label_set own;
        double inside = 0;
        split_labels(metrics_info(id)->label, &own);
        (void)value_of(daemon->status, metrics_info(id), &inside);
        const struct exposition_label labels[] = {alone, {own.names[0], own.values[0]}};
        exposition_sample(exposition, "_bucket", labels, 2, all += inside);
    }
    exposition_sample(exposition, "_sum", &alone, 1, value / 1000);
    exposition_sample(exposition, "_count", &alone, 1, all);
}

/* The rows of one name, daemon by daemon: what belongs to one histogram stays together. */
static void add_metrics(struct exposition *exposition, const struct daemons *daemons)
{
    for (enum metric_id first = 0, next; first < METRIC_COUNT; first = next) {
        const struct metric_info *info = metrics_info(first);
        for (next = first + 1; next < METRIC_COUNT && strcmp(metrics_info(next)->name, info->name) == 0;)
            next++;
        exposition_family(exposition, info->name, info->type, info->help);
        for (size_t i = 0; i < daemons->count; i++) {
            if (strcmp(info->type, "histogram") == 0)
                add_histogram(exposition, &daemons->list[i], first, next);
            for (enum metric_id id = first; id < next && strcmp(info->type, "histogram") != 0; id++)
                add_sample(exposition, &daemons->list[i], metrics_info(id));
        }
    }
}

static void add_states(struct exposition *exposition, const struct daemons *daemons)
{
    exposition_family(exposition, "throng_daemon_up", "gauge", "1 if the daemon answers and does its work");
    for (size_t i = 0; i < daemons->count; i++) {
        const struct exposition_label label = {"daemon", daemons->list[i].name};
        exposition_sample(exposition, "", &label, 1, json_is_true(json_object_get(daemons->list[i].status, "ready")));
    }
    exposition_family(exposition, "throng_build_info", "gauge", "Version of each daemon; always 1");
    for (size_t i = 0; i < daemons->count; i++) {
        const char *version = json_string_value(json_object_get(daemons->list[i].status, "version"));
        if (version == NULL)
            continue;
        const struct exposition_label labels[] = {{"daemon", daemons->list[i].name}, {"version", version}};
        exposition_sample(exposition, "", labels, 2, 1);
    }
}

/* A member of struct daemons_process as a family. */
static const struct process_family {
    const char *name, *type, *help;
} process_families[] = {
    {"process_cpu_seconds_total", "counter", "User and system time spent"},
    {"process_start_time_seconds", "gauge", "Start of the process since 1970"},
    {"process_resident_memory_bytes", "gauge", "Resident memory"},
    {"process_virtual_memory_bytes", "gauge", "Virtual memory"},
    {"process_open_fds", "gauge", "Open file descriptors"},
    {"process_max_fds", "gauge", "Most file descriptors that may be open"},
};
#define PROCESS_FAMILIES (sizeof process_families / sizeof process_families[0])

static void read_processes(const struct daemons *daemons, double values[DAEMONS_MAX][PROCESS_FAMILIES])
{
    for (size_t i = 0; i < daemons->count; i++) {
        struct daemons_process process;
        daemons_process_read((long)json_integer_value(json_object_get(daemons->list[i].status, "pid")), &process);
        values[i][0] = process.cpu_seconds;
        values[i][1] = process.start_seconds;
        values[i][2] = (double)process.resident_bytes;
        values[i][3] = (double)process.virtual_bytes;
        values[i][4] = (double)process.open_fds;
        values[i][5] = (double)process.max_fds;
    }
}

static void add_processes(struct exposition *exposition, const struct daemons *daemons)
{
    double values[DAEMONS_MAX][PROCESS_FAMILIES];
    read_processes(daemons, values);
    for (size_t family = 0; family < PROCESS_FAMILIES; family++) {
        exposition_family(exposition, process_families[family].name, process_families[family].type,
            process_families[family].help);
        for (size_t i = 0; i < daemons->count; i++) {
            const struct exposition_label label = {"daemon", daemons->list[i].name};
            if (daemons->list[i].status != NULL && values[i][family] >= 0)
                exposition_sample(exposition, "", &label, 1, values[i][family]);
        }
    }
}

/* Witnesses have names of their own, so that the signer's status cannot label by them: the database says what each has seen. Without
 * it there is nothing to say. */
static void add_witnesses(struct exposition *exposition, struct call *call)
{
    struct failure why = {0};
    PGresult *rows = NULL;
    struct db *db = call_db(call, &why);
    if (db == NULL || db_run(db, "ops_witnesses", "SELECT name, size FROM audit.witness ORDER BY name", NULL, &rows, &why) != RESULT_OK)
        return;
    exposition_family(exposition, "throng_witness_size", "gauge", "Leaves of the log that a witness has seen, by the witness's name");
    for (int row = 0; row < PQntuples(rows); row++) {
        const struct exposition_label label = {"name", db_get_text(rows, row, 0)};
        exposition_sample(exposition, "", &label, 1, (double)db_get_int8(rows, row, 1));
    }
    PQclear(rows);
}

enum MHD_Result ops_answer(struct call *call)
{
    struct daemons daemons;
    const char *content_type;
    struct reply reply = {.cache_control = NULL};
    enum exposition_format format = gauges_format(call, &content_type);
    struct exposition *exposition = exposition_new();
    if (exposition == NULL)
        return call_unavailable(call);
    daemons_read(call->service->config->run_directory, &daemons);
    add_metrics(exposition, &daemons);
    add_states(exposition, &daemons);
    add_witnesses(exposition, call);
    add_processes(exposition, &daemons);
    enum MHD_Result answer = call_send(call, &reply, content_type, exposition_write(exposition, format));
    exposition_free(exposition);
    daemons_free(&daemons);
    return answer;
}
