#include "service/aggregate/uses.h"

#include <stdlib.h>

/* Bits of marks. */
#define SEGMENT_BITS 32u
#define DIMENSION_BITS 64u
#define BITS_PER_DIMENSION 64u

/* The value of the property with that index; NULL: the event has none. */
static const int64_t *value_of(const struct packet_event *event, int prop)
{
    for (unsigned i = 0; i < event->props; i++) {
        if (event->prop[i].index == prop)
            return &event->prop[i].value;
    }
    return NULL;
}

static uint8_t class_of(const struct app_use *use, int64_t value)
{
    return value >= -1 && value < (int64_t)use->class_count - 1 ? use->classes[value + 1] : DIMENSION_VALUES_MAX;
}

/* The marks of a user's day; users come in order of time mostly, so the latest day stands first. */
static struct fold_marks *marks_of(struct fold *fold, uint32_t user, int32_t day)
{
    for (uint32_t at = fold->users[user].marks; at != FOLD_NONE; at = fold->marks[at].next) {
        if (fold->marks[at].day == day)
            return &fold->marks[at];
    }
    struct fold_marks *marks = FOLD_APPEND(fold, marks);
    marks->day = day;
    marks->next = fold->users[user].marks;
    fold->users[user].marks = (uint32_t)(fold->marks_count - 1);
    return marks;
}

static void mark(struct fold *fold, const struct fold_event *event, unsigned bit)
{
    marks_of(fold, event->user, event->day)->bits[bit / 8] |= (uint8_t)(0x80u >> bit % 8);
}

static void add_step(struct fold *fold, const struct fold_event *event, int track, int32_t value)
{
    struct fold_step *step = FOLD_APPEND(fold, steps);
    *step = (struct fold_step){.user = event->user, .day = event->day, .track = (int16_t)track, .value = value,
        .ts_ms = event->ts_ms};
}

/* An event that is several steps of one funnel is one row. first: where the event's own rows begin. */
static void add_funnel_step(struct fold *fold, const struct fold_event *event, const struct app_use *use, size_t first)
{
    int32_t bit = (int32_t)(1u << use->step);
    for (size_t i = first; i < fold->steps_count; i++) {
        if (fold->steps[i].track == use->item) {
            fold->steps[i].value |= bit;
            return;
        }
    }
    add_step(fold, event, use->item, bit);
}

static uint8_t bin_of(int64_t value)
{
    uint8_t bin = 0;
    for (; value > 0; value >>= 1)
        bin++;
    return bin;
}

/* Values outside the declared range do not count as what they say: what one person may add is bounded by it. */
static void add_measure(struct fold *fold, const struct fold_event *event, const struct app_measure *measure,
    uint8_t item, int64_t value)
{
    int64_t most = (int64_t)((measure->max - measure->min) / measure->step + 0.5);
    value = value < 0 ? 0 : value > most ? most : value;
    struct fold_measure *sample = FOLD_APPEND(fold, measures);
    *sample = (struct fold_measure){.user = event->user, .day = event->day, .measure = item, .bin = bin_of(value),
        .count = 1, .sum = value, .most = value, .last_ms = event->ts_ms, .last = value};
}

static void add_class(struct fold *fold, struct fold_event *event, enum app_scope scope, uint8_t item, uint8_t class)
{
    switch (scope) {
    case APP_SCOPE_EVENTS:
        mark(fold, event, DIMENSION_BITS + BITS_PER_DIMENSION * item + class);
        return;
    case APP_SCOPE_ENTRY:
        event->entry = class;
        return;
    case APP_SCOPE_EXIT:
        event->exit = class;
        return;
    }
}

/* The uses that read the value of a property. */
static void apply_value(struct fold *fold, const struct app *definition, struct fold_event *event,
    const struct app_use *use, int64_t value)
{
    switch (use->kind) {
    case APP_USE_DIMENSION:
        add_class(fold, event, definition->dimensions[use->item].scope, use->item, class_of(use, value));
        return;
    case APP_USE_MEASURE:
        add_measure(fold, event, &definition->measures[use->item], use->item, value);
        return;
    case APP_USE_PATH:
        add_step(fold, event, FOLD_PATH_TRACK + use->item, class_of(use, value));
        return;
    case APP_USE_ENTITY:
        *FOLD_APPEND(fold, entities) = (struct fold_entity){.user = event->user, .day = event->day, .class = use->item,
            .entity = value};
        return;
    case APP_USE_FEATURE:
    case APP_USE_SEGMENT:
    case APP_USE_GOAL:
    case APP_USE_START:
    case APP_USE_DONE:
    case APP_USE_STEP:
        return;
    }
}

/* The uses that an event has or has not. steps: where its own steps begin. */
static void apply_fact(struct fold *fold, struct fold_event *event, const struct app_use *use, size_t steps)
{
    switch (use->kind) {
    case APP_USE_FEATURE:
        mark(fold, event, use->item);
        return;
    case APP_USE_SEGMENT:
        mark(fold, event, SEGMENT_BITS + use->item);
        return;
    case APP_USE_GOAL:
        event->goal_bits |= 1ULL << use->item;
        return;
    case APP_USE_START:
        event->goal_bits |= SESSION_STARTED;
        return;
    case APP_USE_DONE:
        event->goal_bits |= SESSION_DONE;
        return;
    case APP_USE_STEP:
        add_funnel_step(fold, event, use, steps);
        return;
    case APP_USE_DIMENSION:
    case APP_USE_MEASURE:
    case APP_USE_PATH:
    case APP_USE_ENTITY:
        return;
    }
}

void uses_apply(struct fold *fold, const struct app *definition, const struct packet_event *event, size_t at)
{
    /* A version that this process has not read yet may have more events. */
    if (event->name >= definition->event_count)
        return;
    const struct app_event *declared = &definition->events[event->name];
    struct fold_event *counted = &fold->events[at];
    size_t steps = fold->steps_count;
    for (size_t i = 0; i < declared->use_count; i++) {
        const struct app_use *use = &declared->uses[i];
        const int64_t *value = use->prop < 0 ? NULL : value_of(event, use->prop);
        if (use->kind >= APP_USE_DIMENSION) {
            if (value != NULL)
                apply_value(fold, definition, counted, use, *value);
        } else if (use->prop < 0 || (value != NULL && *value == use->value)) {
            apply_fact(fold, counted, use, steps);
        }
    }
}

/* Digest */

#define COMPARE(a, b) (((a) > (b)) - ((a) < (b)))

static int by_track_and_time(const void *left, const void *right)
{
    const struct fold_step *a = left;
    const struct fold_step *b = right;
    int order = COMPARE(a->user, b->user);
    order = order != 0 ? order : COMPARE(a->track, b->track);
    order = order != 0 ? order : COMPARE(a->day, b->day);
    order = order != 0 ? order : COMPARE(a->ts_ms, b->ts_ms);
    return order != 0 ? order : COMPARE(a->value, b->value);
}

static void digest_steps(struct fold *fold)
{
    if (fold->steps_count < 2)
        return;
    qsort(fold->steps, fold->steps_count, sizeof *fold->steps, by_track_and_time);
    size_t kept = 0;
    size_t of_day = 0;
    for (size_t i = 0; i < fold->steps_count; i++) {
        const struct fold_step *last = kept > 0 ? &fold->steps[kept - 1] : NULL;
        const struct fold_step *next = &fold->steps[i];
        bool same = last != NULL && last->user == next->user && last->track == next->track && last->day == next->day;
        of_day = same ? of_day + 1 : 1;
        if (of_day <= FOLD_DAY_STEPS)
            fold->steps[kept++] = *next;
    }
    fold->steps_count = kept;
}

static int by_day_measure_bin(const void *left, const void *right)
{
    const struct fold_measure *a = left;
    const struct fold_measure *b = right;
    int order = COMPARE(a->user, b->user);
    order = order != 0 ? order : COMPARE(a->day, b->day);
    order = order != 0 ? order : COMPARE(a->measure, b->measure);
    return order != 0 ? order : COMPARE(a->bin, b->bin);
}

static void add_samples(struct fold_measure *into, const struct fold_measure *other)
{
    into->count += other->count;
    into->sum += other->sum;
    into->most = other->most > into->most ? other->most : into->most;
    if (other->last_ms < into->last_ms || (other->last_ms == into->last_ms && other->last <= into->last))
        return;
    into->last_ms = other->last_ms;
    into->last = other->last;
}

static void digest_measures(struct fold *fold)
{
    if (fold->measures_count < 2)
        return;
    qsort(fold->measures, fold->measures_count, sizeof *fold->measures, by_day_measure_bin);
    size_t kept = 1;
    for (size_t i = 1; i < fold->measures_count; i++) {
        if (by_day_measure_bin(&fold->measures[kept - 1], &fold->measures[i]) == 0)
            add_samples(&fold->measures[kept - 1], &fold->measures[i]);
        else
            fold->measures[kept++] = fold->measures[i];
    }
    fold->measures_count = kept;
}

static int by_day_class_entity(const void *left, const void *right)
{
    const struct fold_entity *a = left;
    const struct fold_entity *b = right;
    int order = COMPARE(a->user, b->user);
    order = order != 0 ? order : COMPARE(a->day, b->day);
    order = order != 0 ? order : COMPARE(a->class, b->class);
    return order != 0 ? order : COMPARE(a->entity, b->entity);
}

static void digest_entities(struct fold *fold)
{
    if (fold->entities_count < 2)
        return;
    qsort(fold->entities, fold->entities_count, sizeof *fold->entities, by_day_class_entity);
    size_t kept = 0;
    size_t of_day = 0;
    for (size_t i = 0; i < fold->entities_count; i++) {
        const struct fold_entity *last = kept > 0 ? &fold->entities[kept - 1] : NULL;
        const struct fold_entity *next = &fold->entities[i];
        bool same = last != NULL && last->user == next->user && last->day == next->day && last->class == next->class;
        if (same && last->entity == next->entity)
            continue;
        of_day = same ? of_day + 1 : 1;
        if (of_day <= FOLD_DAY_ENTITIES)
            fold->entities[kept++] = *next;
    }
    fold->entities_count = kept;
}

static void give_marks(struct fold *fold)
{
    for (size_t i = 0; i < fold->days_count; i++) {
        struct fold_day *day = &fold->days[i];
        day->marks = fold->users[day->user].marks;
        while (day->marks != FOLD_NONE && fold->marks[day->marks].day != day->day)
            day->marks = fold->marks[day->marks].next;
    }
}

void uses_digest(struct fold *fold)
{
    digest_steps(fold);
    digest_measures(fold);
    digest_entities(fold);
    give_marks(fold);
}
