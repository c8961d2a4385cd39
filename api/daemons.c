#include "api/daemons.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "service/base/clock.h"

#define DOCUMENT_BYTES (64 * 1024)
#define SUFFIX ".status"

static int dial(const char *directory, const char *daemon)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length = snprintf(address.sun_path, sizeof address.sun_path, "%s/%s" SUFFIX, directory, daemon);
    if (length < 0 || (size_t)length >= sizeof address.sun_path)
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct timeval patience = {.tv_sec = 1};
    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

static json_t *ask(const char *directory, const char *daemon)
{
    int fd = dial(directory, daemon);
    char *text = fd < 0 ? NULL : malloc(DOCUMENT_BYTES);
    json_t *status = NULL;
    size_t used = 0;
    ssize_t got = 1;
    while (text != NULL && got > 0 && used < DOCUMENT_BYTES) {
        got = read(fd, text + used, DOCUMENT_BYTES - used);
        used += got > 0 ? (size_t)got : 0;
    }
    if (text != NULL && got == 0)
        status = json_loadb(text, used, 0, NULL);
    free(text);
    if (fd >= 0)
        (void)close(fd);
    return status;
}

static int compare(const void *one, const void *other)
{
    const struct daemons_one *a = one, *b = other;
    return strcmp(a->name, b->name);
}

/* Add the daemon whose socket has this file name, if it is one. */
static void add(struct daemons *daemons, const char *file)
{
    size_t length = strlen(file), suffix = strlen(SUFFIX);
    struct daemons_one *one = &daemons->list[daemons->count];
    if (daemons->count == DAEMONS_MAX || length <= suffix || length - suffix >= sizeof one->name ||
        strcmp(file + length - suffix, SUFFIX) != 0)
        return;
    *one = (struct daemons_one){.status = NULL};
    memcpy(one->name, file, length - suffix);
    daemons->count++;
}

void daemons_read(const char *directory, struct daemons *out)
{
    *out = (struct daemons){.count = 0};
    DIR *entries = opendir(directory);
    if (entries == NULL)
        return;
    for (const struct dirent *entry = readdir(entries); entry != NULL; entry = readdir(entries))
        add(out, entry->d_name);
    (void)closedir(entries);
    if (out->count > 1)
        qsort(out->list, out->count, sizeof out->list[0], compare);
    for (size_t i = 0; i < out->count; i++) {
        int64_t before_ms = clock_steady_ms();
        out->list[i].status = ask(directory, out->list[i].name);
        out->list[i].answer_ms = clock_steady_ms() - before_ms;
    }
}

void daemons_free(struct daemons *daemons)
{
    for (size_t i = 0; i < daemons->count; i++)
        json_decref(daemons->list[i].status);
    daemons->count = 0;
}

int64_t daemons_metric(const struct daemons *daemons, const char *name, const char *label, bool *any)
{
    int64_t sum = 0;
    *any = false;
    for (size_t i = 0; i < daemons->count; i++) {
        size_t at;
        json_t *metric;
        json_array_foreach(json_object_get(daemons->list[i].status, "metrics"), at, metric)
        {
            const char *found = json_string_value(json_object_get(metric, "name"));
            const char *labels = json_string_value(json_object_get(metric, "label"));
            if (found == NULL || labels == NULL || strcmp(found, name) != 0 || strstr(labels, label) == NULL)
                continue;
            sum += json_integer_value(json_object_get(metric, "value"));
            *any = true;
        }
    }
    return sum;
}

/* --- /proc --------------------------------------------------------------------------------------------------------- */

static bool slurp(const char *path, char *out, size_t size)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    size_t length = fread(out, 1, size - 1, file);
    out[length] = '\0';
    (void)fclose(file);
    return length > 0;
}

static double boot_seconds(void)
{
    char text[16384];
    const char *line = slurp("/proc/stat", text, sizeof text) ? strstr(text, "\nbtime ") : NULL;
    return line == NULL ? -1 : strtod(line + 7, NULL);
}

/* proc(5), stat: fields are counted from 3, after the name in parentheses. */
static void read_stat(long pid, struct daemons_process *out)
{
    char path[64], text[1024];
    (void)snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    char *field = slurp(path, text, sizeof text) ? strrchr(text, ')') : NULL;
    char *rest = NULL;
    double values[25] = {0}, ticks = (double)sysconf(_SC_CLK_TCK), boot = boot_seconds();
    if (field == NULL)
        return;
    field = strtok_r(field + 1, " ", &rest);
    for (int number = 3; field != NULL && number < 25; number++, field = strtok_r(NULL, " ", &rest))
        values[number] = strtod(field, NULL);
    out->cpu_seconds = (values[14] + values[15]) / ticks;
    out->start_seconds = boot < 0 ? -1 : boot + values[22] / ticks;
    out->virtual_bytes = (int64_t)values[23];
    out->resident_bytes = (int64_t)values[24] * sysconf(_SC_PAGESIZE);
}

static int64_t count_fds(long pid)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%ld/fd", pid);
    DIR *entries = opendir(path);
    if (entries == NULL)
        return -1;
    int64_t count = 0;
    for (const struct dirent *entry = readdir(entries); entry != NULL; entry = readdir(entries))
        count += entry->d_name[0] != '.';
    (void)closedir(entries);
    return pid == (long)getpid() ? count - 1 : count;
}

static int64_t max_fds(long pid)
{
    char path[64], text[4096];
    (void)snprintf(path, sizeof path, "/proc/%ld/limits", pid);
    const char *line = slurp(path, text, sizeof text) ? strstr(text, "Max open files") : NULL;
    return line == NULL ? -1 : strtoll(line + strlen("Max open files"), NULL, 10);
}

void daemons_process_read(long pid, struct daemons_process *out)
{
    *out = (struct daemons_process){.cpu_seconds = -1, .start_seconds = -1, .resident_bytes = -1, .virtual_bytes = -1};
    read_stat(pid, out);
    out->open_fds = count_fds(pid);
    out->max_fds = max_fds(pid);
}
