#include "compliance/export/spill.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 1024

static enum result disk(struct failure *why)
{
    failure_set(why, "out", "a file beside the bundle cannot be written: is the disk full?");
    return RESULT_FAILED;
}

enum result spill_open(const char *beside, FILE **out, struct failure *why)
{
    char path[PATH_BYTES];
    int length = snprintf(path, sizeof path, "%s.XXXXXX", beside);
    if (length < 0 || (size_t)length >= sizeof path) {
        failure_set(why, "out", "the path is longer than %d bytes", PATH_BYTES - 8);
        return RESULT_INVALID;
    }
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0) {
        failure_set(why, "out", "no file can be made in its folder");
        return RESULT_FAILED;
    }
    (void)unlink(path);
    *out = fdopen(fd, "w+");
    if (*out != NULL)
        return RESULT_OK;
    (void)close(fd);
    return disk(why);
}

enum result spill_map(FILE *file, struct text_view *view, struct failure *why)
{
    struct stat status;
    if (fflush(file) != 0 || fstat(fileno(file), &status) != 0)
        return disk(why);
    *view = (struct text_view){"", 0};
    if (status.st_size == 0)
        return RESULT_OK;
    void *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fileno(file), 0);
    if (bytes == MAP_FAILED)
        return disk(why);
    (void)madvise(bytes, (size_t)status.st_size, MADV_SEQUENTIAL);
    *view = (struct text_view){bytes, (size_t)status.st_size};
    return RESULT_OK;
}

void spill_unmap(struct text_view view)
{
    if (view.length > 0)
        (void)munmap((void *)(uintptr_t)view.bytes, view.length);
}

enum result spill_put(struct archive_writer *archive, const char *name, FILE *file, struct failure *why)
{
    struct text_view view;
    enum result result = spill_map(file, &view, why);
    if (result != RESULT_OK)
        return result;
    result = archive_put(archive, name, view.bytes, view.length, why);
    spill_unmap(view);
    return result;
}

static enum result open_report(void *context, const char *path, void **file, struct failure *why)
{
    struct spill *spill = context;
    FILE *opened = NULL;
    if (spill->count == SPILL_REPORTS_MAX) {
        failure_set(why, "report", "there are more reports than %d", SPILL_REPORTS_MAX);
        return RESULT_FULL;
    }
    enum result result = spill_open(spill->beside, &opened, why);
    if (result != RESULT_OK)
        return result;
    spill->reports[spill->count].path = path;
    spill->reports[spill->count++].file = opened;
    *file = opened;
    return RESULT_OK;
}

static enum result write_report(void *context, void *file, const char *bytes, size_t length, struct failure *why)
{
    (void)context;
    return length == 0 || fwrite(bytes, 1, length, file) == length ? RESULT_OK : disk(why);
}

static enum result close_report(void *context, void *file, struct failure *why)
{
    (void)context;
    return fflush(file) == 0 ? RESULT_OK : disk(why);
}

struct report_sink spill_sink(struct spill *spill)
{
    return (struct report_sink){spill, open_report, write_report, close_report};
}

static FILE *file_of(const struct spill *spill, const char *path)
{
    for (size_t i = 0; i < spill->count; i++) {
        if (strcmp(spill->reports[i].path, path) == 0)
            return spill->reports[i].file;
    }
    return NULL;
}

enum result spill_reports(
    const struct spill *spill, const char *from, const char *to, struct archive_writer *archive, struct failure *why)
{
    enum result result = RESULT_OK;
    for (const char *const *path = report_paths(); *path != NULL && result == RESULT_OK; path++) {
        if (strcmp(*path, from) < 0 || strcmp(*path, to) >= 0)
            continue;
        FILE *file = file_of(spill, *path);
        if (file == NULL) {
            failure_set(why, "report", "a report was not written");
            return RESULT_FAILED;
        }
        result = spill_put(archive, *path, file, why);
    }
    return result;
}

void spill_free(struct spill *spill)
{
    for (size_t i = 0; i < spill->count; i++)
        (void)fclose(spill->reports[i].file);
    spill->count = 0;
}
