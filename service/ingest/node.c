#include "service/ingest/node.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "service/base/clock.h"
#include "service/base/durable.h"

#define EARLIER_MAX 1024 /* incarnations that crashed one after the other, with Redis away all the time */
#define LINE_BYTES 17

struct node {
    pthread_mutex_t lock;
    char directory[512];
    uint64_t id;
    bool listed; /* id stands in the file */
    uint64_t earlier[EARLIER_MAX];
    size_t earlier_count;
    struct node_ticket tickets; /* a ring, ascending by received_at; this is its anchor */
    int64_t given_ms;           /* the latest watermark given out */
    uint64_t next[SHARDS_MAX];
    uint64_t under_way[SHARDS_MAX]; /* the smallest n under way, UINT64_MAX: none */
    struct node_hole *holes;
    size_t hole_count, hole_capacity;
};

/* The file */

static enum result parse_ids(struct node *node, const char *text, struct failure *why)
{
    for (; *text != '\0'; text += LINE_BYTES) {
        size_t digits = strspn(text, "0123456789abcdef");
        if (digits < LINE_BYTES && text[digits] == '\0')
            break; /* unfinished: that process never got further */
        if (digits != LINE_BYTES - 1 || text[LINE_BYTES - 1] != '\n' ||
            node->earlier_count == EARLIER_MAX) {
            failure_set(why, "ingest.state", "holds a file `nodes` that is damaged or has over %d lines", EARLIER_MAX);
            return RESULT_CORRUPT;
        }
        node->earlier[node->earlier_count++] = strtoull(text, NULL, 16);
    }
    return RESULT_OK;
}

static enum result read_ids(struct node *node, struct failure *why)
{
    char path[600], text[EARLIER_MAX * LINE_BYTES + 2];
    (void)snprintf(path, sizeof path, "%s/nodes", node->directory);
    FILE *file = fopen(path, "re");
    if (file == NULL && errno == ENOENT)
        return RESULT_OK;
    if (file == NULL) {
        failure_set(why, "ingest.state", "its file `nodes` cannot be read: %s", strerror(errno));
        return RESULT_FAILED;
    }
    size_t length = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    text[length] = '\0';
    if (strlen(text) != length)
        text[0] = 'x';
    return parse_ids(node, text, why);
}

/* Replace the file by what node knows, durably. */
static enum result write_ids(const struct node *node, struct failure *why)
{
    char path[600], fresh[600], text[(EARLIER_MAX + 1) * LINE_BYTES + 1];
    size_t length = 0;
    (void)snprintf(path, sizeof path, "%s/nodes", node->directory);
    (void)snprintf(fresh, sizeof fresh, "%s/nodes.new", node->directory);
    for (size_t i = 0; i < node->earlier_count; i++, length += LINE_BYTES)
        (void)snprintf(text + length, LINE_BYTES + 1, "%016" PRIx64 "\n", node->earlier[i]);
    if (node->listed) {
        (void)snprintf(text + length, LINE_BYTES + 1, "%016" PRIx64 "\n", node->id);
        length += LINE_BYTES;
    }
    if (!durable_put(fresh, path, text, length) || !durable_sync(node->directory)) {
        failure_set(why, "ingest.state", "its file `nodes` cannot be written: %s", strerror(errno));
        return RESULT_FAILED;
    }
    return RESULT_OK;
}

/* Add node's own id behind the earlier ones, durably. In place, which takes no room on most file systems: a disk that
 * the spool has filled must not keep the next process from replaying it. */
static enum result append_id(struct node *node, struct failure *why)
{
    char path[600], line[LINE_BYTES + 1];
    const off_t end = (off_t)(node->earlier_count * LINE_BYTES); /* of the whole lines */
    (void)snprintf(path, sizeof path, "%s/nodes", node->directory);
    (void)snprintf(line, sizeof line, "%016" PRIx64 "\n", node->id);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    bool done = fd >= 0 && ftruncate(fd, end) == 0 && lseek(fd, end, SEEK_SET) == end &&
        durable_write(fd, line, LINE_BYTES) && fsync(fd) == 0 && durable_sync(node->directory);
    if (!done)
        failure_set(why, "ingest.state", "its file `nodes` cannot be written: %s", strerror(errno));
    if (fd >= 0)
        close(fd);
    node->listed = done;
    return done ? RESULT_OK : RESULT_FAILED;
}

static uint64_t draw_id(void)
{
    uint64_t id;
    do {
        randombytes_buf(&id, sizeof id);
        id &= INT64_MAX;
    } while (id == 0);
    return id;
}

enum result node_open(const char *directory, struct node **out, struct failure *why)
{
    struct node *node = calloc(1, sizeof *node);
    if (node == NULL || strlen(directory) >= sizeof node->directory) {
        failure_set(why, "ingest.state", "is longer than %zu bytes, or memory is short", sizeof node->directory - 1);
        free(node);
        return RESULT_FAILED;
    }
    (void)snprintf(node->directory, sizeof node->directory, "%s", directory);
    pthread_mutex_init(&node->lock, NULL);
    node->tickets = (struct node_ticket){&node->tickets, &node->tickets, INT64_MIN};
    node->given_ms = INT64_MIN;
    memset(node->under_way, 0xff, sizeof node->under_way);
    node->id = draw_id();
    enum result result = read_ids(node, why);
    if (result == RESULT_OK)
        result = append_id(node, why);
    if (result != RESULT_OK) {
        node_close(node);
        return result;
    }
    *out = node;
    return RESULT_OK;
}

void node_close(struct node *node)
{
    if (node == NULL)
        return;
    pthread_mutex_destroy(&node->lock);
    free(node->holes);
    free(node);
}

uint64_t node_id(const struct node *node)
{
    return node->id;
}

uint64_t node_earlier(struct node *node, size_t i)
{
    pthread_mutex_lock(&node->lock);
    uint64_t id = i < node->earlier_count ? node->earlier[i] : 0;
    pthread_mutex_unlock(&node->lock);
    return id;
}

enum result node_forget(struct node *node, uint64_t id, struct failure *why)
{
    pthread_mutex_lock(&node->lock);
    size_t kept = 0;
    for (size_t i = 0; i < node->earlier_count; i++) {
        if (node->earlier[i] != id)
            node->earlier[kept++] = node->earlier[i];
    }
    node->earlier_count = kept;
    if (id == node->id)
        node->listed = false;
    enum result result = write_ids(node, why);
    pthread_mutex_unlock(&node->lock);
    return result;
}

/* Requests */

int64_t node_receive(struct node *node, struct node_ticket *ticket)
{
    pthread_mutex_lock(&node->lock);
    int64_t now_ms = clock_now_ms();
    int64_t at_ms = now_ms > node->given_ms ? now_ms : node->given_ms;
    struct node_ticket *before = node->tickets.before;
    while (before->received_at_ms > at_ms)
        before = before->before;
    *ticket = (struct node_ticket){.before = before, .after = before->after, .received_at_ms = at_ms};
    before->after->before = ticket;
    before->after = ticket;
    pthread_mutex_unlock(&node->lock);
    return at_ms;
}

void node_settle(struct node *node, struct node_ticket *ticket)
{
    pthread_mutex_lock(&node->lock);
    ticket->before->after = ticket->after;
    ticket->after->before = ticket->before;
    pthread_mutex_unlock(&node->lock);
}

static int64_t oldest_locked(const struct node *node)
{
    return node->tickets.after == &node->tickets ? INT64_MAX : node->tickets.after->received_at_ms;
}

int64_t node_oldest_ms(struct node *node)
{
    pthread_mutex_lock(&node->lock);
    int64_t oldest = oldest_locked(node);
    pthread_mutex_unlock(&node->lock);
    return oldest;
}

int64_t node_watermark(struct node *node, int64_t (*spool_oldest)(void *), void *argument)
{
    pthread_mutex_lock(&node->lock);
    int64_t watermark = clock_now_ms();
    int64_t oldest = oldest_locked(node);
    if (oldest < watermark)
        watermark = oldest;
    int64_t spooled = spool_oldest(argument);
    if (spooled < watermark)
        watermark = spooled;
    if (watermark > node->given_ms)
        node->given_ms = watermark;
    pthread_mutex_unlock(&node->lock);
    return watermark;
}

/* Numbers */

uint64_t node_assign(struct node *node, uint16_t shard)
{
    pthread_mutex_lock(&node->lock);
    uint64_t n = node->next[shard]++;
    if (n < node->under_way[shard])
        node->under_way[shard] = n;
    pthread_mutex_unlock(&node->lock);
    return n;
}

void node_unassign(struct node *node, uint16_t shard, uint64_t n)
{
    pthread_mutex_lock(&node->lock);
    assert(node->next[shard] == n + 1);
    node->next[shard] = n;
    pthread_mutex_unlock(&node->lock);
}

void node_arrived(struct node *node)
{
    pthread_mutex_lock(&node->lock);
    memset(node->under_way, 0xff, sizeof node->under_way);
    pthread_mutex_unlock(&node->lock);
}

void node_add_hole(struct node *node, uint16_t shard, uint64_t n)
{
    pthread_mutex_lock(&node->lock);
    if (node->hole_count == node->hole_capacity) {
        size_t capacity = node->hole_capacity * 2 + 64;
        struct node_hole *more = reallocarray(node->holes, capacity, sizeof *more);
        /* Without memory for 16 bytes nothing else goes on either; a gap would be reported as a loss that is none. */
        assert(more != NULL);
        node->holes = more;
        node->hole_capacity = capacity;
    }
    node->holes[node->hole_count++] = (struct node_hole){.shard = shard, .n = n};
    pthread_mutex_unlock(&node->lock);
}

size_t node_holes(struct node *node, struct node_hole *out, size_t capacity)
{
    pthread_mutex_lock(&node->lock);
    size_t count = node->hole_count < capacity ? node->hole_count : capacity;
    if (count > 0)
        memcpy(out, node->holes, count * sizeof *out);
    pthread_mutex_unlock(&node->lock);
    return count;
}

void node_fill_holes(struct node *node, size_t count)
{
    pthread_mutex_lock(&node->lock);
    assert(count <= node->hole_count);
    node->hole_count -= count;
    if (node->hole_count > 0)
        memmove(node->holes, node->holes + count, node->hole_count * sizeof *node->holes);
    pthread_mutex_unlock(&node->lock);
}

uint64_t node_next_n(struct node *node, uint16_t shard)
{
    pthread_mutex_lock(&node->lock);
    uint64_t n = node->next[shard] < node->under_way[shard] ? node->next[shard] : node->under_way[shard];
    for (size_t i = 0; i < node->hole_count; i++) {
        if (node->holes[i].shard == shard && node->holes[i].n < n)
            n = node->holes[i].n;
    }
    pthread_mutex_unlock(&node->lock);
    return n;
}
