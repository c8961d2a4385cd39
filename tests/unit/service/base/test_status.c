#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "service/base/metrics.h"
#include "service/base/status.h"

static char directory[64];
static struct sockaddr_un address;

static int make_directory(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/throng-status-XXXXXX");
    if (mkdtemp(directory) == NULL)
        return -1;
    address.sun_family = AF_UNIX;
    snprintf(address.sun_path, sizeof address.sun_path, "%s/ingest.status", directory);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    status_stop();
    unlink(address.sun_path);
    return rmdir(directory);
}

static int dial(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static json_t *ask(void)
{
    char document[65536];
    size_t length = 0;
    ssize_t got;
    int fd = dial();
    while ((got = read(fd, document + length, sizeof document - length)) > 0)
        length += (size_t)got;
    close(fd);
    json_t *parsed = json_loadb(document, length, 0, NULL);
    assert_non_null(parsed);
    return parsed;
}

static void test_served(void **state)
{
    (void)state;
    struct failure why = {0};
    metrics_add(METRIC_EVENTS_ACCEPTED, 7);
    assert_int_equal(status_start(directory, "ingest", &why), RESULT_OK);
    struct stat about;
    assert_int_equal(lstat(address.sun_path, &about), 0);
    assert_int_equal(about.st_mode & 07777, 0600);

    json_t *document = ask();
    assert_string_equal(json_string_value(json_object_get(document, "daemon")), "ingest");
    assert_string_equal(json_string_value(json_object_get(document, "version")), THRONG_VERSION);
    assert_int_equal(json_integer_value(json_object_get(document, "pid")), getpid());
    assert_true(json_is_false(json_object_get(document, "ready")));
    const json_t *metrics = json_object_get(document, "metrics");
    assert_int_equal(json_array_size(metrics), 1);
    const json_t *metric = json_array_get(metrics, 0);
    assert_string_equal(json_string_value(json_object_get(metric, "name")), "throng_events_total");
    assert_string_equal(json_string_value(json_object_get(metric, "label")), "result=\"accepted\"");
    assert_int_equal(json_integer_value(json_object_get(metric, "value")), 7);
    json_decref(document);

    status_ready(true);
    document = ask();
    assert_true(json_is_true(json_object_get(document, "ready")));
    json_decref(document);
    status_stop();
    assert_int_not_equal(access(address.sun_path, F_OK), 0);
}

/* All metrics at their largest fit. */
static void test_full_document(void **state)
{
    (void)state;
    struct failure why = {0};
    for (enum metric_id id = 0; id < METRIC_COUNT; id++)
        metrics_set(id, INT64_MIN);
    assert_int_equal(status_start(directory, "ingest", &why), RESULT_OK);
    json_t *document = ask();
    assert_int_equal(json_array_size(json_object_get(document, "metrics")), METRIC_COUNT);
    json_decref(document);
}

static void test_rude_clients(void **state)
{
    (void)state;
    struct failure why = {0};
    assert_int_equal(status_start(directory, "ingest", &why), RESULT_OK);
    int silent[3];
    for (int i = 0; i < 3; i++)
        silent[i] = dial();
    close(dial());
    json_decref(ask());
    for (int i = 0; i < 3; i++)
        close(silent[i]);
}

static void test_stale_socket_is_replaced(void **state)
{
    (void)state;
    struct failure why = {0};
    int dead = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(dead, (const struct sockaddr *)&address, sizeof address), 0);
    close(dead);
    assert_int_equal(status_start(directory, "ingest", &why), RESULT_OK);
    json_decref(ask());
}

static void test_living_socket_is_kept(void **state)
{
    (void)state;
    struct failure why = {0};
    int other = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(other, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(other, 4), 0);
    assert_int_equal(status_start(directory, "ingest", &why), RESULT_FAILED);
    assert_int_equal(access(address.sun_path, F_OK), 0);
    close(other);
}

static void test_bad_directory(void **state)
{
    (void)state;
    struct failure why = {0};
    assert_int_equal(status_start("/nonexistent", "ingest", &why), RESULT_FAILED);
    assert_string_equal(why.field, "run.directory");
    char text[200];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_int_equal(status_start(text, "ingest", &(struct failure){0}), RESULT_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_served, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_full_document, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_rude_clients, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_stale_socket_is_replaced, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_living_socket_is_kept, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_bad_directory, make_directory, remove_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
