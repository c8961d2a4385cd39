#include "service/ingest/batch.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "schema/packet.h"

#define NONE UINT32_MAX
/* What a part, a user and an event may take at most: room for all three is asked for before a part is opened, so that
 * no entry ends in an empty part or user. */
#define PART_MAX 64u
#define USER_MAX (4u + NAMES_MAX * PSEUDONYM_BYTES)
#define EVENT_MAX (64u + EVENT_PROPS_MAX * 11u)

struct link {
    uint32_t request;
    uint32_t entry;
};

struct batch {
    uint64_t node;
    struct batch_entry *entries;
    struct packet_writer *writers;
    size_t entry_count, entry_capacity; /* entries beyond entry_count keep their buffers */
    struct link *links;
    size_t link_count, link_capacity;
    uint32_t open[SHARDS_MAX];       /* the entry being filled, NONE */
    uint32_t shard_first[SHARDS_MAX]; /* of one request: its first user in the shard */
    uint32_t *scratch; /* of one request: see struct groups */
    size_t scratch_size;
};

/* A request's events by user and its users by shard, as linked lists of indexes in arrival order. */
struct groups {
    uint32_t *event_next;  /* by event */
    uint32_t *event_first; /* by id */
    uint32_t *event_last;  /* by id */
    uint32_t *user_next;   /* by id */
};

struct batch *batch_new(uint64_t node)
{
    struct batch *batch = calloc(1, sizeof *batch);
    if (batch == NULL)
        return NULL;
    batch->node = node;
    memset(batch->open, 0xff, sizeof batch->open);
    memset(batch->shard_first, 0xff, sizeof batch->shard_first);
    return batch;
}

void batch_free(struct batch *batch)
{
    if (batch == NULL)
        return;
    for (size_t i = 0; i < batch->entry_capacity; i++)
        free(batch->entries[i].bytes);
    free(batch->entries);
    free(batch->writers);
    free(batch->links);
    free(batch->scratch);
    free(batch);
}

/* Entries */

static bool grow_entries(struct batch *batch)
{
    size_t capacity = batch->entry_capacity * 2 + 32;
    struct batch_entry *entries = reallocarray(batch->entries, capacity, sizeof *entries);
    if (entries == NULL)
        return false;
    batch->entries = entries;
    struct packet_writer *writers = reallocarray(batch->writers, capacity, sizeof *writers);
    if (writers == NULL)
        return false;
    batch->writers = writers;
    memset(entries + batch->entry_capacity, 0, (capacity - batch->entry_capacity) * sizeof *entries);
    batch->entry_capacity = capacity;
    return true;
}

/* Begin an entry with a buffer; its writer is not begun. */
static struct batch_entry *new_entry(struct batch *batch, uint16_t shard)
{
    if (batch->entry_count == batch->entry_capacity && !grow_entries(batch))
        return NULL;
    struct batch_entry *entry = &batch->entries[batch->entry_count];
    if (entry->bytes == NULL && (entry->bytes = malloc(ENTRY_MAX_BYTES)) == NULL)
        return NULL;
    *entry = (struct batch_entry){.shard = shard, .bytes = entry->bytes, .received_at_ms = INT64_MAX};
    batch->entry_count++;
    return entry;
}

static bool start_entry(struct batch *batch, uint16_t shard)
{
    struct batch_entry *entry = new_entry(batch, shard);
    if (entry == NULL)
        return false;
    const struct packet_header header = {.type = PACKET_EVENTS, .node = batch->node, .shard = shard};
    batch->open[shard] = (uint32_t)(entry - batch->entries);
    packet_begin(&batch->writers[batch->open[shard]], entry->bytes, ENTRY_MAX_BYTES, &header);
    return true;
}

static bool add_link(struct batch *batch, size_t request, uint32_t entry)
{
    if (batch->link_count == batch->link_capacity) {
        size_t capacity = batch->link_capacity * 2 + 256;
        struct link *links = reallocarray(batch->links, capacity, sizeof *links);
        if (links == NULL)
            return false;
        batch->links = links;
        batch->link_capacity = capacity;
    }
    batch->links[batch->link_count++] = (struct link){.request = (uint32_t)request, .entry = entry};
    return true;
}

/* Forming */

/* Where one request's part in one shard is being written. */
struct place {
    struct batch *batch;
    size_t index; /* of the request */
    const struct batch_request *from;
    const struct packet_part *part;
    uint16_t shard;
};

static struct packet_writer *writer_of(const struct place *place)
{
    return &place->batch->writers[place->batch->open[place->shard]];
}

static bool has_room(const struct place *place, size_t need)
{
    if (place->batch->open[place->shard] == NONE)
        return false;
    const struct packet_writer *writer = writer_of(place);
    return writer->size - writer->length >= need;
}

/* Open the part in the shard's entry, or in a new one if it has no room for it, a user and an event. */
static bool open_part(const struct place *place)
{
    struct batch *batch = place->batch;
    if (!has_room(place, PART_MAX + USER_MAX + EVENT_MAX) && !start_entry(batch, place->shard))
        return false;
    struct batch_entry *entry = &batch->entries[batch->open[place->shard]];
    if (place->part->received_at_ms < entry->received_at_ms)
        entry->received_at_ms = place->part->received_at_ms;
    enum result result = packet_add_part(writer_of(place), place->part);
    assert(result == RESULT_OK);
    return add_link(batch, place->index, batch->open[place->shard]);
}

static bool open_user(const struct place *place, const struct packet_user *user)
{
    if (!has_room(place, USER_MAX + EVENT_MAX) && !open_part(place))
        return false;
    enum result result = packet_add_user(writer_of(place), user);
    assert(result == RESULT_OK);
    return true;
}

/* See struct packet_prop. */
static int64_t entity_value(const struct pseudonym *name)
{
    uint64_t value = 0;
    for (unsigned i = 8; i-- > 0;)
        value = value << 8 | name->bytes[i];
    return (int64_t)value;
}

static void name_session(struct packet_event *record, const struct keyd_name *name)
{
    record->session = name->name[0];
    record->flags |= EVENT_SESSION;
    if (name->names < 2)
        return;
    record->session_before = name->name[1];
    record->flags |= EVENT_SESSION_BEFORE;
}

/* A request's event as a packet's, under its names. */
static void name_event(const struct batch_request *from, const struct request_event *event, struct packet_event *record)
{
    memcpy(record, &event->record, offsetof(struct packet_event, prop) + event->record.props * sizeof *record->prop);
    if (event->session != REQUEST_NO_ID)
        name_session(record, &from->names[event->session]);
    const struct app_event *declared = event->entities ? &from->request->app->events[record->name] : NULL;
    for (size_t i = 0; declared != NULL && i < record->props; i++) {
        struct packet_prop *prop = &record->prop[i];
        if (declared->props[prop->index].type == APP_PROP_ENTITY)
            prop->value = entity_value(&from->names[prop->value].name[0]);
    }
}

static bool write_user(const struct place *place, const struct groups *groups, uint32_t id)
{
    const struct request *request = place->from->request;
    const struct keyd_name *name = &place->from->names[id];
    struct packet_user user = {.names = name->names};
    if (request->ids[id].kind == PSEUDONYM_VISITOR)
        user.flags |= USER_ANONYMOUS;
    memcpy(user.name, name->name, name->names * sizeof *user.name);
    if (!open_user(place, &user))
        return false;
    for (uint32_t e = groups->event_first[id]; e != NONE; e = groups->event_next[e]) {
        struct packet_event record;
        name_event(place->from, &request->events[e], &record);
        if (packet_add_event(writer_of(place), &record) == RESULT_OK)
            continue;
        if (!open_part(place) || !open_user(place, &user))
            return false;
        enum result result = packet_add_event(writer_of(place), &record);
        assert(result == RESULT_OK);
    }
    return true;
}

static bool reserve_groups(struct batch *batch, const struct request *request, struct groups *groups)
{
    size_t need = request->event_count + 3 * request->id_count;
    if (need > batch->scratch_size) {
        uint32_t *scratch = reallocarray(batch->scratch, need, sizeof *scratch);
        if (scratch == NULL)
            return false;
        batch->scratch = scratch;
        batch->scratch_size = need;
    }
    groups->event_first = batch->scratch;
    groups->event_last = groups->event_first + request->id_count;
    groups->user_next = groups->event_last + request->id_count;
    groups->event_next = groups->user_next + request->id_count;
    memset(groups->event_first, 0xff, request->id_count * sizeof *groups->event_first);
    return true;
}

/* Chain events by user, and users by shard in shard_first. Writes the shards touched to shards; returns their
 * number. */
static size_t group(struct batch *batch, const struct batch_request *from, const struct groups *groups, uint16_t *shards)
{
    const struct request *request = from->request;
    size_t count = 0;
    for (uint32_t e = 0; e < request->event_count; e++) {
        size_t id = request->events[e].user;
        groups->event_next[e] = NONE;
        if (groups->event_first[id] != NONE) {
            groups->event_next[groups->event_last[id]] = e;
            groups->event_last[id] = e;
            continue;
        }
        groups->event_first[id] = groups->event_last[id] = e;
        uint16_t shard = from->names[id].shard;
        if (batch->shard_first[shard] == NONE)
            shards[count++] = shard;
        groups->user_next[id] = batch->shard_first[shard];
        batch->shard_first[shard] = (uint32_t)id;
    }
    return count;
}

static struct packet_part describe(const struct batch_request *from)
{
    const struct request *request = from->request;
    struct packet_part part = {
        .app = request->app->id,
        .definition = request->app->version,
        .epoch = from->names[request->events[0].user].epoch,
        .received_at_ms = request->received_at_ms,
        .flags = request->import ? PART_IMPORT : 0,
    };
    for (size_t i = 0; i < request->id_count; i++) {
        if (request->ids[i].kind != PSEUDONYM_VISITOR) {
            part.epoch = from->names[i].epoch;
            break;
        }
    }
    if (!request->has_source)
        return part;
    const struct keyd_name *source = &from->names[request->source];
    part.flags |= PART_SOURCE;
    part.source = source->name[0];
    if (source->names >= 2) {
        part.flags |= PART_SOURCE_BEFORE;
        part.source_before = source->name[1];
    }
    return part;
}

static bool form_request(struct batch *batch, const struct batch_request *from, size_t index)
{
    uint16_t shards[SHARDS_MAX];
    struct groups groups;
    if (!reserve_groups(batch, from->request, &groups))
        return false;
    const struct packet_part part = describe(from);
    size_t shard_count = group(batch, from, &groups, shards);
    bool fits = true;
    for (size_t s = 0; s < shard_count; s++) {
        const struct place place = {batch, index, from, &part, shards[s]};
        uint32_t id = batch->shard_first[shards[s]];
        batch->shard_first[shards[s]] = NONE;
        fits = fits && open_part(&place);
        for (; id != NONE && fits; id = groups.user_next[id])
            fits = write_user(&place, &groups, id);
    }
    return fits;
}

enum result batch_form(struct batch *batch, const struct batch_request *requests, size_t count, struct failure *why)
{
    batch->entry_count = batch->link_count = 0;
    memset(batch->open, 0xff, sizeof batch->open);
    for (size_t i = 0; i < count; i++) {
        if (!form_request(batch, &requests[i], i)) {
            batch->entry_count = batch->link_count = 0;
            failure_set(why, "", "memory is short");
            return RESULT_UNAVAILABLE;
        }
    }
    for (size_t i = 0; i < batch->entry_count; i++)
        batch->entries[i].length = batch->writers[i].length;
    return RESULT_OK;
}

enum result batch_add(struct batch *batch, uint16_t shard, const uint8_t *bytes, size_t length, struct failure *why)
{
    struct batch_entry *entry = new_entry(batch, shard);
    if (entry == NULL) {
        failure_set(why, "", "memory is short");
        return RESULT_UNAVAILABLE;
    }
    assert(length <= ENTRY_MAX_BYTES);
    memcpy(entry->bytes, bytes, length);
    entry->length = length;
    return RESULT_OK;
}

struct batch_entry *batch_entries(struct batch *batch, size_t *count)
{
    *count = batch->entry_count;
    return batch->entries;
}

void batch_failed(const struct batch *batch, bool *failed, size_t count)
{
    if (count > 0)
        memset(failed, 0, count * sizeof *failed);
    for (size_t i = 0; i < batch->link_count; i++) {
        assert(batch->links[i].request < count);
        if (batch->entries[batch->links[i].entry].failed)
            failed[batch->links[i].request] = true;
    }
}
