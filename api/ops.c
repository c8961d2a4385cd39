#include "api/ops.h"

#include <stdio.h>
#include <string.h>

#include "api/daemons.h"
#include "api/exposition.h"
#include "api/gauges.h"
#include "service/base/metrics.h"

/* Split 'name="value"', as in metrics.def, into value's buffer. The name is one of few. */
static bool split_label(const char *text, char value[64], const char **name)
{
    static const char *const names[] = {"result", "code", "name"};
    const char *equals = strstr(text, "=\"");
    if (equals == NULL)
        return false;
    (void)snprintf(value, 64, "%s", equals + 2);
    value[strcspn(value, "\"")] = '\0';
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strlen(names[i]) == (size_t)(equals - text) && strncmp(names[i], text, strlen(names[i])) == 0) {
            *name = names[i];
            return true;
        }
    }
    return false;
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

static void add_metric(struct exposition *exposition, const struct daemons *daemons, const struct metric_info *info)
{
    for (size_t i = 0; i < daemons->count; i++) {
        char text[64];
        double value;
        struct exposition_label labels[2] = {{"daemon", daemons->list[i].name}};
        size_t count = 1;
        if (split_label(info->label, text, &labels[1].name)) {
            labels[1].value = text;
            count = 2;
        }
        if (value_of(daemons->list[i].status, info, &value))
            exposition_sample(exposition, labels, count, value);
    }
}

static void add_metrics(struct exposition *exposition, const struct daemons *daemons)
{
    const char *open = "";
    for (enum metric_id id = 0; id < METRIC_COUNT; id++) {
        const struct metric_info *info = metrics_info(id);
        if (strcmp(open, info->name) != 0)
            exposition_family(exposition, info->name, info->type, info->help);
        open = info->name;
        add_metric(exposition, daemons, info);
    }
}

static void add_states(struct exposition *exposition, const struct daemons *daemons)
{
    exposition_family(exposition, "throng_daemon_up", "gauge", "1 if the daemon answers and does its work");
    for (size_t i = 0; i < daemons->count; i++) {
        const struct exposition_label label = {"daemon", daemons->list[i].name};
        exposition_sample(exposition, &label, 1, json_is_true(json_object_get(daemons->list[i].status, "ready")));
    }
    exposition_family(exposition, "throng_build_info", "gauge", "Version of each daemon; always 1");
    for (size_t i = 0; i < daemons->count; i++) {
        const char *version = json_string_value(json_object_get(daemons->list[i].status, "version"));
        if (version == NULL)
            continue;
        const struct exposition_label labels[] = {{"daemon", daemons->list[i].name}, {"version", version}};
        exposition_sample(exposition, labels, 2, 1);
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
                exposition_sample(exposition, &label, 1, values[i][family]);
        }
    }
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
    add_processes(exposition, &daemons);
    enum MHD_Result answer = call_send(call, &reply, content_type, exposition_write(exposition, format));
    exposition_free(exposition);
    daemons_free(&daemons);
    return answer;
}
