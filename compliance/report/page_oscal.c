#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "compliance/report/cost.h"
#include "compliance/report/pages.h"

#define OSCAL_VERSION "1.2.2"

/* What is looked at: a figure that the trail has, and what it has to be. */
struct objective {
    const char *id;
    const char *title;
    const char *expected; /* in words */
    const char *page;     /* where the figures are */
};

static const struct objective objectives[] = {
    {"requests-in-time", "People's requests are answered within 30 days", "No request was answered, or is open, after 30 days.",
        "../report/requests.html"},
    {"copies-gone-in-time", "The last copy is gone by when it was said to be", "No copy is past its time.",
        "../report/requests.html"},
    {"budget-kept", "No month costs more than was planned for it", "No month has reserved more than its total.",
        "../report/budget.html"},
    {"releases-protected", "Whatever is released is protected", "No release is without protection.", "../report/assessment.html"},
    {"no-raw-identifier", "No raw identifier is kept", "The self-test ran, and never failed.", "../report/assessment.html"},
    {"backups-expire", "Backups are destroyed when they expire", "No backup is past its time.", "../report/retention.html"},
    {"purges-finished", "Emergency purges are finished", "No emergency purge is open.", "../report/retention.html"},
};

enum { REQUESTS, COPIES, BUDGET, PROTECTED, RAW, BACKUPS, PURGES, OBJECTIVES };
_Static_assert((size_t)OBJECTIVES == sizeof objectives / sizeof *objectives, "every objective has its count");

/* Of how many things, and how many are not as expected. */
struct measured {
    uint64_t of, wrong;
};

static void measure_requests(const struct gathered *all, struct measured *measured)
{
    for (size_t i = 0; i < all->requests.count; i++) {
        const struct gathered_request *request = hashed_at(&all->requests, i);
        enum page_requests_state state = page_requests_state(all, request);
        bool late = request->refused_ms != 0 && request->received_ms != 0
            && request->refused_ms > request->received_ms + 30 * CIVIL_DAY_MS;
        measured[REQUESTS].of++;
        measured[REQUESTS].wrong += state == PAGE_REQUEST_LATE || state == PAGE_REQUEST_OVERDUE || late;
        if (request->purge_due_ms == 0)
            continue;
        int64_t end = request->purged_ms != 0 ? request->purged_ms : all->newest_ms;
        measured[COPIES].of++;
        measured[COPIES].wrong += end > request->purge_due_ms;
    }
}

static void measure(const struct gathered *all, struct measured *measured)
{
    measure_requests(all, measured);
    for (size_t i = 0; i < all->months.count; i++) {
        const struct gathered_month *month = hashed_at(&all->months, i);
        measured[BUDGET].of++;
        measured[BUDGET].wrong += month->reserved > month->total;
    }
    for (size_t i = 0; i < all->released.count; i++) {
        const struct gathered_released *released = hashed_at(&all->released, i);
        measured[PROTECTED].of += released->releases;
        measured[PROTECTED].wrong += released->unprotected;
    }
    for (size_t i = 0; i < all->flows.count; i++) {
        const struct gathered_flow *flow = hashed_at(&all->flows, i);
        measured[RAW].of += flow->tests + flow->tests_failed;
        measured[RAW].wrong += flow->tests_failed;
    }
    for (size_t i = 0; i < all->backups.count; i++) {
        const struct gathered_backup *backup = hashed_at(&all->backups, i);
        int64_t end = backup->gone_ms != 0 ? backup->gone_ms : all->newest_ms;
        measured[BACKUPS].of++;
        measured[BACKUPS].wrong += backup->expires_ms != 0 && end > backup->expires_ms + CIVIL_DAY_MS;
    }
    for (size_t i = 0; i < all->purges.count; i++) {
        measured[PURGES].of++;
        measured[PURGES].wrong += ((const struct gathered_purge *)hashed_at(&all->purges, i))->done_ms == 0;
    }
}

/* A uuid that is a function of the log's root and a name: SHA-256, with version 5 and the variant set. Returns out. */
static const char *derived(const struct gathered *all, const char *name, const char *part, char out[PARSED_UUID_BYTES])
{
    uint8_t hash[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, all->source->checkpoint.root.bytes, sizeof all->source->checkpoint.root.bytes);
    crypto_hash_sha256_update(&state, (const unsigned char *)name, strlen(name) + 1);
    crypto_hash_sha256_update(&state, (const unsigned char *)part, strlen(part) + 1);
    crypto_hash_sha256_final(&state, hash);
    hash[6] = (uint8_t)((hash[6] & 0x0f) | 0x50);
    hash[8] = (uint8_t)((hash[8] & 0x3f) | 0x80);
    return parsed_format_uuid(hash, out);
}

static void put_observation(const struct gathered *all, struct outfile *out, size_t n, const struct measured *measured)
{
    char uuid[PARSED_UUID_BYTES], time[CIVIL_TIME_BYTES];
    outfile_format(out, "%s\n          {\"uuid\": \"%s\", \"title\": \"%s\", \"description\": \"Counted in the trail: %" PRIu64
                        " in all, %" PRIu64 " of them not as expected. Expected: %s\", \"methods\": [\"EXAMINE\"], \"types\": "
                        "[\"control-objective\"], \"relevant-evidence\": [{\"href\": \"%s\", \"description\": \"The figures, by item.\"}, "
                        "{\"href\": \"../events.jsonl\", \"description\": \"The entries that they are computed from.\"}], \"collected\": \"%s\"}",
        n == 0 ? "" : ",", derived(all, "observation", objectives[n].id, uuid), objectives[n].title, measured->of, measured->wrong,
        objectives[n].expected, objectives[n].page, civil_time(all->newest_ms, time));
}

static void put_finding(const struct gathered *all, struct outfile *out, bool first, size_t n, const struct measured *measured)
{
    char uuid[PARSED_UUID_BYTES], observation[PARSED_UUID_BYTES];
    outfile_format(out, "%s\n          {\"uuid\": \"%s\", \"title\": \"%s\", \"description\": \"%s\", \"target\": {\"type\": "
                        "\"objective-id\", \"target-id\": \"%s\", \"status\": {\"state\": \"%s\", \"reason\": \"%s\"}}, "
                        "\"related-observations\": [{\"observation-uuid\": \"%s\"}]}",
        first ? "" : ",", derived(all, "finding", objectives[n].id, uuid), objectives[n].title, objectives[n].expected,
        objectives[n].id, measured->wrong == 0 ? "satisfied" : "not-satisfied", measured->wrong == 0 ? "pass" : "fail",
        derived(all, "observation", objectives[n].id, observation));
}

static void put_head(const struct gathered *all, struct outfile *out)
{
    char uuid[PARSED_UUID_BYTES], time[CIVIL_TIME_BYTES], start[CIVIL_TIME_BYTES];
    outfile_format(out, "{\n  \"assessment-results\": {\n    \"uuid\": \"%s\",\n    \"metadata\": {\"title\": \"What an audit trail says of "
                        "the privacy of an engagement analytics service\", \"last-modified\": \"%s\", \"version\": \"%" PRIu64
                        "\", \"oscal-version\": \"" OSCAL_VERSION "\", \"remarks\": \"Computed from the entries of a log by a program. No "
                        "assessor's judgement, no certification.\"},\n",
        derived(all, "results", "", uuid), civil_time(all->newest_ms, time), all->source->checkpoint.size);
    outfile_text(out, "    \"import-ap\": {\"href\": \"../README\", \"remarks\": \"There is no assessment plan; the README says how the "
                      "evidence can be checked.\"},\n");
    outfile_format(out, "    \"results\": [\n      {\"uuid\": \"%s\", \"title\": \"Measured in the trail\", \"description\": \"Each objective is "
                        "a statement that the trail can contradict. What it says nothing of has no finding.\", \"start\": \"%s\", \"end\": "
                        "\"%s\",\n",
        derived(all, "result", "", uuid), civil_time(all->oldest_ms, start), time);
    outfile_text(out, "        \"reviewed-controls\": {\"control-selections\": [{\"description\": \"Objectives of this report, no catalogue's.\", "
                      "\"include-controls\": [");
    for (size_t n = 0; n < OBJECTIVES; n++)
        outfile_format(out, "%s{\"control-id\": \"%s\"}", n == 0 ? "" : ", ", objectives[n].id);
    outfile_text(out, "]}]},\n        \"observations\": [");
}

void page_oscal_json(const struct gathered *all, struct outfile *out)
{
    struct measured measured[OBJECTIVES] = {{0, 0}};
    bool first = true;
    measure(all, measured);
    put_head(all, out);
    for (size_t n = 0; n < OBJECTIVES; n++)
        put_observation(all, out, n, &measured[n]);
    outfile_text(out, "\n        ]");
    for (size_t n = 0; n < OBJECTIVES; n++) {
        if (measured[n].of == 0)
            continue;
        if (first)
            outfile_text(out, ",\n        \"findings\": [");
        put_finding(all, out, first, n, &measured[n]);
        first = false;
    }
    outfile_text(out, first ? "\n      }\n    ]\n  }\n}\n" : "\n        ]\n      }\n    ]\n  }\n}\n");
}
