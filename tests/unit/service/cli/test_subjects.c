/* Receipts: stages, deadlines, their JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "service/cli/subjects.h"

#define DAY_MS (24LL * 3600 * 1000)
#define RECEIVED_MS 1775037600000LL

static struct subjects_request make_request(void)
{
    return (struct subjects_request){.id = "0189c0de-1a2b-4c3d-8e4f-5a6b7c8d9e0f", .kind = "erasure", .app = "shop",
        .received_ms = RECEIVED_MS, .due_ms = RECEIVED_MS + 30 * DAY_MS, .last_due_ms = RECEIVED_MS + 45 * DAY_MS};
}

static void the_stage_follows_the_times(void **state)
{
    (void)state;
    struct subjects_request request = make_request();
    assert_string_equal(subjects_stage(&request), "received");
    request.applied_ms = RECEIVED_MS + 5;
    assert_string_equal(subjects_stage(&request), "applied");
    request.purged_ms = RECEIVED_MS + 6;
    assert_string_equal(subjects_stage(&request), "purged");
}

static void a_missed_deadline_stays_missed(void **state)
{
    (void)state;
    struct subjects_request request = make_request();
    assert_false(subjects_overdue(&request, request.due_ms));
    assert_true(subjects_overdue(&request, request.due_ms + 1));
    request.applied_ms = request.due_ms + 1;
    assert_true(subjects_overdue(&request, RECEIVED_MS + 100 * DAY_MS));
    request.applied_ms = request.due_ms;
    assert_false(subjects_overdue(&request, RECEIVED_MS + 100 * DAY_MS));
    request.purge_due_ms = RECEIVED_MS + 37 * DAY_MS;
    assert_false(subjects_overdue(&request, request.purge_due_ms));
    assert_true(subjects_overdue(&request, request.purge_due_ms + 1));
    request.purged_ms = request.purge_due_ms;
    assert_false(subjects_overdue(&request, RECEIVED_MS + 100 * DAY_MS));
}

static void the_receipt_has_every_time_and_leaf(void **state)
{
    (void)state;
    struct subjects_request request = make_request();
    memcpy(request.leaves[0], request.id, sizeof request.id);
    json_t *document = subjects_json(&request, RECEIVED_MS);
    assert_non_null(document);
    assert_string_equal(json_string_value(json_object_get(document, "request")), request.id);
    assert_int_equal(json_integer_value(json_object_get(document, "due_at")), request.due_ms);
    assert_true(json_is_null(json_object_get(document, "purged_at")));
    const json_t *leaves = json_object_get(document, "leaves");
    assert_string_equal(json_string_value(json_object_get(leaves, "received")), request.id);
    assert_true(json_is_null(json_object_get(leaves, "purged")));
    json_decref(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_stage_follows_the_times),
        cmocka_unit_test(a_missed_deadline_stays_missed),
        cmocka_unit_test(the_receipt_has_every_time_and_leaf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
