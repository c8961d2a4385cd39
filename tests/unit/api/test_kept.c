/* Kept answers: what is found again, what goes when room is needed, and that an answer which is being sent outlives its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>

#include "api/kept.h"

#define ROOM (1000 + KEPT_ROOM_BYTES) /* of an answer of a thousand bytes */
#define THREADS 4
#define ROUNDS 3000
#define QUESTIONS 24

static atomic_int made, gone; /* answers */

static void count_gone(void *body)
{
    atomic_fetch_add(&gone, 1);
    free(body);
}

static struct kept_answer answer_of(size_t bytes)
{
    struct kept_answer answer = {.bytes = bytes, .tag = "\"tag\"", .app = "shop"};
    char *body = calloc(1, bytes);
    assert_non_null(body);
    answer.full = MHD_create_response_from_buffer_with_free_callback(bytes, body, count_gone);
    assert_non_null(answer.full);
    atomic_fetch_add(&made, 1);
    return answer;
}

static struct kept_key key_of(unsigned n)
{
    struct kept_key key = {.bytes = {0}};
    key.bytes[0] = (uint8_t)n;
    key.bytes[31] = (uint8_t)(n >> 8);
    return key;
}

static struct edition edition_of(int64_t releases)
{
    return (struct edition){.releases = releases, .catalogue = 3, .last_index = 9};
}

static void put(struct kept *kept, unsigned n, int64_t releases, size_t bytes)
{
    struct kept_key key = key_of(n);
    struct edition edition = edition_of(releases);
    struct kept_answer answer = answer_of(bytes);
    kept_put(kept, &key, &edition, &answer);
    assert_null(answer.full);
}

static struct kept_entry *take(struct kept *kept, unsigned n, int64_t releases)
{
    struct kept_key key = key_of(n);
    struct edition edition = edition_of(releases);
    return kept_take(kept, &key, &edition);
}

static int has(struct kept *kept, unsigned n, int64_t releases)
{
    struct kept_entry *entry = take(kept, n, releases);
    if (entry != NULL)
        kept_give_back(entry);
    return entry != NULL;
}

static int living(void)
{
    return atomic_load(&made) - atomic_load(&gone);
}

static void found_by_key_and_edition(void **unused)
{
    (void)unused;
    struct kept *kept = kept_new((size_t)100 * ROOM);
    assert_non_null(kept);
    assert_false(has(kept, 1, 1));
    put(kept, 1, 1, 1000);
    struct kept_entry *entry = take(kept, 1, 1);
    assert_non_null(entry);
    assert_string_equal(kept_answer(entry)->tag, "\"tag\"");
    assert_string_equal(kept_answer(entry)->app, "shop");
    kept_give_back(entry);
    assert_false(has(kept, 2, 1));
    assert_false(has(kept, 257, 1)); /* another key whose first bytes are the same */
    assert_false(has(kept, 1, 2));
    assert_true(has(kept, 1, 1));
    kept_free(kept);
    kept_free(NULL);
    assert_int_equal(living(), 0);
}

static void a_new_edition_takes_the_place(void **unused)
{
    (void)unused;
    struct kept *kept = kept_new((size_t)100 * ROOM);
    put(kept, 1, 1, 1000);
    put(kept, 1, 2, 500);
    assert_false(has(kept, 1, 1));
    assert_true(has(kept, 1, 2));
    assert_int_equal(kept_bytes(kept), 500 + KEPT_ROOM_BYTES);
    assert_int_equal(living(), 1);
    put(kept, 1, 1, 1000); /* by one who was slower */
    assert_true(has(kept, 1, 1));
    assert_false(has(kept, 1, 2));
    kept_free(kept);
    assert_int_equal(living(), 0);
}

static void the_longest_unasked_goes(void **unused)
{
    (void)unused;
    struct kept *kept = kept_new((size_t)5 * ROOM);
    for (unsigned n = 0; n < 5; n++)
        put(kept, n, 1, 1000);
    assert_int_equal(kept_bytes(kept), 5 * ROOM);
    assert_true(has(kept, 0, 1));
    put(kept, 5, 1, 1000);
    assert_false(has(kept, 1, 1));
    assert_true(has(kept, 0, 1) && has(kept, 2, 1) && has(kept, 3, 1) && has(kept, 4, 1) && has(kept, 5, 1));
    put(kept, 6, 1, 1100); /* needs the room of two */
    assert_false(has(kept, 0, 1) || has(kept, 2, 1));
    assert_true(has(kept, 3, 1) && has(kept, 4, 1) && has(kept, 5, 1) && has(kept, 6, 1));
    assert_true(kept_bytes(kept) <= (size_t)5 * ROOM);
    kept_free(kept);
    assert_int_equal(living(), 0);
}

static void one_that_is_too_large_is_not_kept(void **unused)
{
    (void)unused;
    struct kept *kept = kept_new((size_t)4 * ROOM);
    put(kept, 1, 1, 1000);
    put(kept, 2, 1, 1001);
    assert_true(has(kept, 1, 1));
    assert_false(has(kept, 2, 1));
    assert_int_equal(living(), 1);
    kept_free(kept);
    assert_int_equal(living(), 0);
}

static void cleared_it_keeps_nothing(void **unused)
{
    (void)unused;
    struct kept *kept = kept_new((size_t)10 * ROOM);
    put(kept, 1, 1, 1000);
    put(kept, 2, 1, 1000);
    struct kept_entry *entry = take(kept, 2, 1);
    kept_clear(kept);
    assert_int_equal(kept_bytes(kept), 0);
    assert_false(has(kept, 1, 1) || has(kept, 2, 1));
    assert_int_equal(living(), 1);
    kept_give_back(entry);
    put(kept, 2, 1, 1000);
    assert_true(has(kept, 2, 1));
    kept_clear(kept);
    assert_int_equal(living(), 0);
    kept_free(kept);
}

static void what_is_taken_outlives_its_place(void **unused)
{
    (void)unused;
    struct kept *kept = kept_new((size_t)4 * ROOM);
    put(kept, 1, 1, 1000);
    struct kept_entry *first = take(kept, 1, 1), *second = take(kept, 1, 1);
    assert_ptr_equal(first, second);
    put(kept, 1, 2, 1000);
    assert_int_equal(living(), 2);
    kept_give_back(first);
    assert_non_null(kept_answer(second)->full);
    assert_int_equal(living(), 2);
    kept_give_back(second);
    assert_int_equal(living(), 1);
    kept_free(kept);
    assert_int_equal(living(), 0);
}

static void both_forms_are_dropped(void **unused)
{
    (void)unused;
    struct kept_answer answer = answer_of(10), other = answer_of(20), none = {.full = NULL};
    answer.unchanged = other.full;
    kept_drop(&answer);
    assert_null(answer.full);
    assert_null(answer.unchanged);
    assert_int_equal(answer.tag[0], 0);
    assert_int_equal(living(), 0);
    kept_drop(&none);
}

/* Each thread asks for what is there, makes what is not, and moves the edition on now and then. */
static void *ask(void *context)
{
    struct kept *kept = context;
    unsigned seed = 1;
    for (unsigned round = 0; round < ROUNDS; round++) {
        seed = seed * 1103515245u + 12345u;
        unsigned n = (seed >> 16) % QUESTIONS;
        int64_t releases = round / 500;
        struct kept_entry *entry = take(kept, n, releases);
        if (entry == NULL) {
            put(kept, n, releases, 900);
            continue;
        }
        if (kept_answer(entry)->full == NULL || strcmp(kept_answer(entry)->app, "shop") != 0)
            return kept;
        kept_give_back(entry);
    }
    return NULL;
}

static void threads_share_it(void **unused)
{
    (void)unused;
    struct kept *kept = kept_new((size_t)QUESTIONS / 2 * ROOM);
    pthread_t threads[THREADS];
    void *failed = NULL;
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask, kept), 0);
    for (size_t i = 0; i < THREADS; i++) {
        void *result = NULL;
        assert_int_equal(pthread_join(threads[i], &result), 0);
        failed = result != NULL ? result : failed;
    }
    assert_null(failed);
    assert_true(kept_bytes(kept) <= (size_t)QUESTIONS / 2 * ROOM);
    assert_true(kept_bytes(kept) > 0);
    assert_int_equal(living(), (int)(kept_bytes(kept) / (900 + KEPT_ROOM_BYTES)));
    kept_free(kept);
    assert_int_equal(living(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(found_by_key_and_edition),
        cmocka_unit_test(a_new_edition_takes_the_place),
        cmocka_unit_test(the_longest_unasked_goes),
        cmocka_unit_test(one_that_is_too_large_is_not_kept),
        cmocka_unit_test(cleared_it_keeps_nothing),
        cmocka_unit_test(what_is_taken_outlives_its_place),
        cmocka_unit_test(both_forms_are_dropped),
        cmocka_unit_test(threads_share_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
