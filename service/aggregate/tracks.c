#include "service/aggregate/tracks.h"

#include <assert.h>
#include <stdbool.h>

/* Events of one millisecond, and which of them is which step. */
struct run {
    const struct tracks_step *steps;
    size_t count;
    uint32_t first, next;           /* steps [first, next) have an event of the run each */
    size_t owner[FUNNEL_STEPS_MAX]; /* index of that event */
};

static uint32_t step_of(const struct run *run, size_t event)
{
    uint32_t step = run->first;
    while (step < run->next && run->owner[step] != event)
        step++;
    return step;
}

/* Find an event for step, if need be by giving the steps before it others: an augmenting path of a matching (Kuhn).
 * *visited: bit mask of steps that were asked to move. */
static bool place(struct run *run, uint32_t step, uint32_t *visited)
{
    *visited |= 1u << step;
    for (size_t i = 0; i < run->count; i++) {
        if (((uint32_t)run->steps[i].value >> step & 1u) == 0)
            continue;
        uint32_t taken = step_of(run, i);
        if (taken < run->next && ((*visited >> taken & 1u) != 0 || !place(run, taken, visited)))
            continue;
        run->owner[step] = i;
        return true;
    }
    return false;
}

/* How many steps are reached after the run, if `reached` were before it. */
static uint32_t advance(const struct tracks_step *steps, size_t count, uint32_t reached, uint32_t step_count)
{
    struct run run = {.steps = steps, .count = count, .first = reached, .next = reached};
    uint32_t visited = 0;
    while (run.next < step_count && place(&run, run.next, &visited)) {
        run.next++;
        visited = 0;
    }
    return run.next;
}

uint32_t tracks_furthest(const struct tracks_step *steps, size_t count, uint32_t step_count, int64_t window_ms)
{
    uint32_t reached = 0;
    assert(count > 0 && step_count <= FUNNEL_STEPS_MAX);
    for (size_t i = 0; i < count && reached < step_count && steps[i].at_ms - steps[0].at_ms <= window_ms;) {
        size_t end = i + 1;
        while (end < count && steps[end].at_ms == steps[i].at_ms)
            end++;
        reached = advance(steps + i, end - i, reached, step_count);
        i = end;
    }
    assert(reached > 0);
    return reached - 1;
}

size_t tracks_pairs(const struct tracks_step *steps, size_t count, int64_t timeout_ms, struct tracks_pair *out)
{
    size_t pairs = 0;
    for (size_t i = 1; i < count; i++) {
        const struct tracks_step *from = &steps[i - 1];
        const struct tracks_step *to = &steps[i];
        if (from->value != to->value && to->at_ms - from->at_ms <= timeout_ms)
            out[pairs++] = (struct tracks_pair){.at_ms = to->at_ms, .from = from->value, .to = to->value};
    }
    return pairs;
}
