#include "service/http/reply.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/metrics.h"

void reply_header(struct reply *reply, const char *name, const char *value)
{
    assert(reply->header_count < REPLY_HEADERS_MAX);
    reply->headers[reply->header_count].name = name;
    reply->headers[reply->header_count].value = value;
    reply->header_count++;
}

bool reply_has_tag(const char *list, const char *tag)
{
    size_t wanted = strlen(tag);
    while (*(list += strspn(list, ", \t")) != '\0') {
        size_t length = strcspn(list, ", \t");
        const char *found = strncmp(list, "W/", 2) == 0 ? list + 2 : list;
        size_t rest = length - (size_t)(found - list);
        if ((length == 1 && *list == '*') || (rest == wanted && memcmp(found, tag, wanted) == 0))
            return true;
        list += length;
    }
    return false;
}

static void add_headers(struct MHD_Response *response, const struct reply *reply)
{
    (void)MHD_add_response_header(response, "Cache-Control",
        reply->cache_control == NULL ? "no-store" : reply->cache_control);
    (void)MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (reply->content_type != NULL)
        (void)MHD_add_response_header(response, "Content-Type", reply->content_type);
    for (size_t i = 0; i < reply->header_count; i++)
        (void)MHD_add_response_header(response, reply->headers[i].name, reply->headers[i].value);
}

struct MHD_Response *reply_make(struct reply *reply)
{
    struct MHD_Response *response;
    if (reply->body != NULL)
        response = MHD_create_response_from_buffer(reply->body_length > 0 ? reply->body_length : strlen(reply->body), reply->body,
            MHD_RESPMEM_MUST_FREE);
    else
        response = MHD_create_response_from_buffer(reply->constant_length, (void *)(uintptr_t)reply->constant,
            MHD_RESPMEM_PERSISTENT);
    if (response == NULL)
        free(reply->body);
    else
        add_headers(response, reply);
    reply->body = NULL;
    return response;
}

enum MHD_Result reply_queue(struct MHD_Connection *connection, enum metrics_endpoint endpoint, unsigned status,
    struct MHD_Response *response)
{
    metrics_request(endpoint, status);
    return MHD_queue_response(connection, status, response);
}

enum MHD_Result reply_send(struct MHD_Connection *connection, struct reply *reply)
{
    struct MHD_Response *response = reply_make(reply);
    if (response == NULL)
        return MHD_NO;
    enum MHD_Result queued = reply_queue(connection, reply->endpoint, reply->status, response);
    MHD_destroy_response(response);
    return queued;
}
