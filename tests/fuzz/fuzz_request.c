/*
 * Requests of events. The first byte chooses who sends and how; the rest is the body. Whatever is taken adds up, makes a
 * valid packet, and gives the same answer when it is sent again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/http/problem.h"
#include "service/ingest/request.h"

#define NOW 1767225600000LL

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct catalogue *catalogue;

static const char document[] =
    "{\"format\":1,\"version\":1,\"shards\":16,\"write_keys\":[],\"ingest_keys\":[],\"apps\":[{\"id\":1,\"version\":1,"
    "\"mode\":\"live\",\"sealed_until_ms\":0,\"definition\":{\"name\":\"a\",\"time_zone\":\"UTC\",\"anonymous_visitors\":true,"
    "\"routes\":[\"/\",\"/s/:id\",\"/s/new\"],\"events\":[{\"name\":\"view\",\"kind\":\"view\",\"properties\":["
    "{\"name\":\"page\",\"type\":\"route\"},{\"name\":\"device\",\"type\":\"enum\",\"from\":\"user_agent\"}]},"
    "{\"name\":\"buy\",\"properties\":[{\"name\":\"n\",\"type\":\"number\",\"min\":-5,\"max\":5,\"step\":0.1},"
    "{\"name\":\"c\",\"type\":\"entity\"},{\"name\":\"b\",\"type\":\"boolean\",\"required\":true},{\"name\":\"e\",\"type\":\"enum\",\"values\":[\"x\",\"y\"]}]}],"
    "\"goals\":[{\"name\":\"g\",\"event\":\"buy\",\"property\":\"b\",\"equals\":true}]}}]}";

static void require(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct failure why = {0};
    (void)argc;
    (void)argv;
    require(catalogue_parse(document, sizeof document - 1, &catalogue, &why) == RESULT_OK);
    request_wipe_parser();
    return 0;
}

static void check_event(const struct request *request, const struct request_event *event)
{
    static const struct packet_header header = {.type = PACKET_EVENTS};
    static const struct packet_part part = {.app = 1};
    static const struct packet_user user = {.names = 1};
    struct packet_writer writer;
    uint8_t bytes[2048];
    require(event->user < request->id_count);
    require((event->session < request->id_count) == ((event->record.flags & EVENT_SESSION) != 0));
    packet_begin(&writer, bytes, sizeof bytes, &header);
    require(packet_add_part(&writer, &part) == RESULT_OK && packet_add_user(&writer, &user) == RESULT_OK);
    require(packet_add_event(&writer, &event->record) == RESULT_OK);
    require(packet_check(bytes, writer.length, NULL) == RESULT_OK);
}

static char *check_request(struct request *request)
{
    for (size_t i = 0; i < request->event_count; i++)
        check_event(request, &request->events[i]);
    for (size_t i = 0; i < request->id_count; i++)
        require(request->ids[i].id.length >= 1 && request->ids[i].id.length <= RAW_ID_MAX_BYTES);
    size_t refused = 0;
    for (size_t i = 0; i < PACKET_REASONS; i++)
        refused += request->reasons[i];
    require(refused == request->rejected_count + request->dropped);
    char *answer = request_answer(request);
    require(answer != NULL);
    request_free(request);
    return answer;
}

/* A request may write to its body. */
static char *copy_body(const uint8_t *data, size_t size)
{
    char *body = malloc(size == 0 ? 1 : size);
    require(body != NULL);
    memcpy(body, data, size);
    return body;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct request request;
    struct failure why = {0};
    if (size == 0)
        return 0;
    struct request_context context = {.catalogue = catalogue, .received_at_ms = NOW, .address = "192.0.2.7",
        .admin_app = data[0] & 1 ? NULL : catalogue_app(catalogue, 1), .import = (data[0] & 2) != 0,
        .gpc = (data[0] & 4) != 0, .bot = (data[0] & 8) != 0};
    char *body = copy_body(data + 1, size - 1), *again = copy_body(data + 1, size - 1);
    char *first = NULL, *second = NULL;
    if (request_parse(&context, body, size - 1, &request, &why) == RESULT_OK) {
        first = check_request(&request);
        require(request_parse(&context, again, size - 1, &request, &why) == RESULT_OK);
        second = check_request(&request);
        require(strcmp(first, second) == 0);
    } else {
        require(why.text[0] != '\0');
        char *problem = problem_document(400, "invalid", &why);
        free(problem);
    }
    free(first);
    free(second);
    free(body);
    free(again);
    return 0;
}
