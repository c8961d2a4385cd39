#include "service/ingest/mirror.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/log.h"
#include "service/base/metrics.h"
#include "service/ingest/purges.h"

struct mirror_view {
    atomic_int holders;
    struct catalogue *catalogue;
    size_t refused_count;
    uint32_t refused[]; /* app ids */
};

struct mirror {
    pthread_mutex_t lock; /* of view */
    struct mirror_view *view;
    struct keyd *keyd;
    struct purges *purges;
    uint32_t shards;
    bool seen;         /* version has been looked at, served or not */
    uint64_t version;
    char path[600];
};

struct mirror *mirror_new(const char *path, uint32_t shards, struct keyd *keyd, struct purges *purges)
{
    struct mirror *mirror = calloc(1, sizeof *mirror);
    if (mirror == NULL)
        return NULL;
    pthread_mutex_init(&mirror->lock, NULL);
    mirror->keyd = keyd;
    mirror->purges = purges;
    mirror->shards = shards;
    (void)snprintf(mirror->path, sizeof mirror->path, "%s", path);
    return mirror;
}

void mirror_free(struct mirror *mirror)
{
    if (mirror == NULL)
        return;
    mirror_release(mirror->view);
    pthread_mutex_destroy(&mirror->lock);
    free(mirror);
}

struct mirror_view *mirror_hold(struct mirror *mirror)
{
    pthread_mutex_lock(&mirror->lock);
    struct mirror_view *view = mirror->view;
    if (view != NULL)
        atomic_fetch_add(&view->holders, 1);
    pthread_mutex_unlock(&mirror->lock);
    return view;
}

void mirror_release(struct mirror_view *view)
{
    if (view == NULL || atomic_fetch_sub(&view->holders, 1) != 1)
        return;
    catalogue_release(view->catalogue);
    free(view);
}

const struct catalogue *mirror_catalogue(const struct mirror_view *view)
{
    return view->catalogue;
}

bool mirror_refuses(const struct mirror_view *view, uint32_t app)
{
    for (size_t i = 0; i < view->refused_count; i++) {
        if (view->refused[i] == app)
            return true;
    }
    return false;
}

/* Tell keyd of every app; those it may not make a key for are noted in view. */
static enum result declare(const struct mirror *mirror, struct mirror_view *view, const struct app *const *apps,
    size_t count, struct failure *why)
{
    for (size_t i = 0; i < count; i++) {
        struct failure one = {0};
        if (purges_holds(mirror->purges, apps[i]->id))
            continue;
        enum result result =
            keyd_declare(mirror->keyd, apps[i]->id, apps[i]->epoch_days, apps[i]->link_epochs, &one);
        if (result == RESULT_UNAVAILABLE) {
            failure_set(why, one.field, "%s", one.text);
            return result;
        }
        if (result == RESULT_OK)
            continue;
        view->refused[view->refused_count++] = apps[i]->id;
        log_event(LOG_LEVEL_ERROR, "keys.app_refused", LOG_NAME("app", apps[i]->name), LOG_FAILURE(result, &one));
    }
    return RESULT_OK;
}

/* Put catalogue (taken) into service. */
static enum result serve(struct mirror *mirror, struct catalogue *catalogue, struct failure *why)
{
    size_t count;
    const struct app *const *apps = catalogue_apps(catalogue, &count);
    struct mirror_view *view = calloc(1, sizeof *view + count * sizeof view->refused[0]);
    enum result result = RESULT_FAILED;
    if (view == NULL) {
        failure_set(why, "catalogue", "memory is short");
        goto refuse;
    }
    if (catalogue_shards(catalogue) != mirror->shards) {
        failure_set(why, "stream.shards", "is %u here, and %u in the catalogue", mirror->shards,
            catalogue_shards(catalogue));
        result = RESULT_INVALID;
        goto refuse;
    }
    result = declare(mirror, view, apps, count, why);
    if (result != RESULT_OK)
        goto refuse;
    atomic_init(&view->holders, 1);
    view->catalogue = catalogue;
    pthread_mutex_lock(&mirror->lock);
    struct mirror_view *before = mirror->view;
    mirror->view = view;
    pthread_mutex_unlock(&mirror->lock);
    mirror_release(before);
    metrics_set(METRIC_CATALOGUE_VERSION, (int64_t)catalogue_version(catalogue));
    return RESULT_OK;
refuse:
    free(view);
    catalogue_release(catalogue);
    return result;
}

enum result mirror_load(struct mirror *mirror, struct failure *why)
{
    struct catalogue *catalogue;
    enum result result = catalogue_load_copy(mirror->path, &catalogue, why);
    if (result != RESULT_OK)
        return result;
    uint64_t version = catalogue_version(catalogue);
    result = serve(mirror, catalogue, why);
    if (result != RESULT_OK)
        return result;
    mirror->seen = true;
    mirror->version = version;
    log_event(LOG_LEVEL_INFO, "catalogue.loaded", LOG_UINT("version", version));
    return RESULT_OK;
}

static enum result take_document(struct mirror *mirror, const char *json, size_t length, struct failure *why)
{
    struct catalogue *catalogue;
    enum result result = catalogue_parse(json, length, &catalogue, why);
    if (result != RESULT_OK)
        return result;
    uint64_t version = catalogue_version(catalogue);
    result = serve(mirror, catalogue, why);
    if (result != RESULT_OK)
        return result;
    log_event(LOG_LEVEL_INFO, "catalogue.changed", LOG_UINT("version", version));
    struct failure copy = {0};
    result = catalogue_store_copy(mirror->path, json, length, &copy);
    if (result != RESULT_OK)
        log_event(LOG_LEVEL_ERROR, "catalogue.copy_failed", LOG_FAILURE(result, &copy));
    return RESULT_OK;
}

enum result mirror_poll(struct mirror *mirror, struct stream *stream, struct failure *why)
{
    uint64_t version;
    enum result result = stream_catalogue_version(stream, &version, why);
    if (result != RESULT_OK)
        return result == RESULT_NOT_FOUND ? RESULT_OK : result;
    if (mirror->seen && version == mirror->version)
        return RESULT_OK;
    char *json;
    size_t length;
    result = stream_catalogue(stream, &json, &length, why);
    if (result != RESULT_OK)
        return result;
    result = take_document(mirror, json, length, why);
    free(json);
    /* A document that will not do is not fetched again each second. */
    if (result != RESULT_UNAVAILABLE) {
        mirror->seen = true;
        mirror->version = version;
    }
    return result;
}
