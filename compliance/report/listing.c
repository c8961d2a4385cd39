#include "compliance/report/listing.h"

#include <inttypes.h>
#include <string.h>

#include "compliance/meaning/civil.h"
#include "compliance/report/plain.h"

#define CLASS_UID 3004
#define CATEGORY_UID 3
#define TYPE_OTHER 99 /* an entity is none of those that the schema knows: its `type` says what */

enum activity { CREATE = 1, READ = 2, UPDATE = 3, DELETE = 4, OTHER = 99 };
enum severity { INFORMATIONAL = 1, LOW = 2, MEDIUM = 3, HIGH = 4 };

/* What an act is in OCSF: the last word of an act that is not here is its activity, "Other". */
static const struct {
    const char *act;
    enum activity activity;
    const char *entity;
    enum severity severity;
} kinds[] = {
    {"app_added", CREATE, "App", INFORMATIONAL}, {"app_changed", UPDATE, "App", INFORMATIONAL},
    {"app_mode_changed", UPDATE, "App", INFORMATIONAL}, {"write_key_made", CREATE, "Write key", INFORMATIONAL},
    {"write_key_revoked", DELETE, "Write key", INFORMATIONAL}, {"api_key_made", CREATE, "API key", INFORMATIONAL},
    {"api_key_revoked", DELETE, "API key", INFORMATIONAL}, {"protection_lowered", UPDATE, "App", MEDIUM},
    {"month_planned", CREATE, "Privacy budget", INFORMATIONAL}, {"aggregates_released", CREATE, "Released numbers", INFORMATIONAL},
    {"aggregates_refused", CREATE, "Released numbers", LOW}, {"aggregates_read", READ, "Released numbers", INFORMATIONAL},
    {"access_denied", READ, "Released numbers", MEDIUM}, {"key_born", CREATE, "Pseudonymization key", INFORMATIONAL},
    {"key_ratcheted", UPDATE, "Pseudonymization key", INFORMATIONAL}, {"key_rotated", UPDATE, "Pseudonymization key", LOW},
    {"key_destroyed", DELETE, "Pseudonymization key", LOW}, {"keys_joined", CREATE, "Pseudonymization key", LOW},
    {"request_received", CREATE, "Subject request", INFORMATIONAL}, {"request_applied", UPDATE, "Subject request", INFORMATIONAL},
    {"request_purged", UPDATE, "Subject request", INFORMATIONAL}, {"request_refused", UPDATE, "Subject request", LOW},
    {"mark_expired", DELETE, "Tombstone", INFORMATIONAL}, {"state_expired", DELETE, "Pseudonymous state", INFORMATIONAL},
    {"purge_ordered", DELETE, "App", HIGH}, {"purge_done", DELETE, "App", HIGH}, {"self_test_failed", OTHER, "Self-test", HIGH},
    {"backup_made", CREATE, "Backup", INFORMATIONAL}, {"backup_gone", DELETE, "Backup", INFORMATIONAL},
    {"restored", UPDATE, "Database", HIGH}, {"migration", UPDATE, "Database", INFORMATIONAL},
    {"incident_opened", CREATE, "Incident", HIGH}, {"incident_closed", UPDATE, "Incident", INFORMATIONAL},
    {"clock_stepped_back", OTHER, "Node", MEDIUM}, {"node_announced", CREATE, "Node", INFORMATIONAL},
    {"node_retired", DELETE, "Node", MEDIUM}, {"export_made", CREATE, "Evidence bundle", INFORMATIONAL},
    {"trail_read", READ, "Audit trail", INFORMATIONAL}, {"trail_pruned", DELETE, "Audit trail", MEDIUM},
    {"log_key_rotated", UPDATE, "Log signing key", MEDIUM},
};

void listing_csv_head(struct outfile *out)
{
    static const char *const head[] = {"entry", "id", "at", "act", "actor_type", "actor", "tenant", "outcome", "ref", "data", NULL};
    outfile_csv_line(out, head);
}

void listing_csv(struct outfile *out, const struct parsed *leaf, uint64_t index)
{
    char ref[PARSED_UUID_BYTES];
    outfile_csv_number(out, index);
    outfile_csv(out, leaf->id_text);
    outfile_csv_time(out, leaf->at_ms);
    outfile_csv(out, leaf->act);
    outfile_csv(out, leaf->actor_type);
    outfile_csv(out, leaf->actor_id);
    outfile_csv(out, leaf->tenant);
    outfile_csv(out, parsed_out_name(leaf->out));
    outfile_csv(out, leaf->has_ref ? parsed_format_uuid(leaf->ref, ref) : NULL);
    outfile_csv_quoted(out, leaf->data_text.bytes, leaf->data_text.length);
    outfile_csv_end(out);
}

/* The schema's captions of what it numbers: a number's words are these, and the source's own only for "Other". */
static const char *activity_name(enum activity activity, const char *act)
{
    static const char *const captions[] = {[CREATE] = "Create", [READ] = "Read", [UPDATE] = "Update", [DELETE] = "Delete"};
    return activity == OTHER ? act : captions[activity];
}

/* The profile Host is where the schema has the actor: without its name there the actor would be an unknown attribute. */
static void ocsf_metadata(struct outfile *out, const struct parsed *leaf, uint64_t index, const char *origin)
{
    char ref[PARSED_UUID_BYTES];
    outfile_text(out, "\"metadata\":{");
    if (leaf->has_ref)
        outfile_format(out, "\"correlation_uid\":\"%s\",", parsed_format_uuid(leaf->ref, ref));
    outfile_text(out, "\"event_code\":");
    outfile_json(out, leaf->act);
    outfile_text(out, ",\"log_name\":");
    outfile_json(out, origin);
    outfile_format(out, ",\"product\":{\"name\":\"Throng\",\"vendor_name\":\"Throng\"},\"profiles\":[\"host\"],\"sequence\":%" PRIu64,
        index);
    if (leaf->tenant[0] != '\0') {
        outfile_text(out, ",\"tenant_uid\":");
        outfile_json(out, leaf->tenant);
    }
    outfile_format(out, ",\"uid\":\"%s\",\"version\":\"" LISTING_OCSF_VERSION "\"}", leaf->id_text);
}

void listing_ocsf(struct outfile *out, const struct parsed *leaf, uint64_t index, const char *origin)
{
    size_t kind = 0;
    while (kind < sizeof kinds / sizeof *kinds && strcmp(kinds[kind].act, leaf->act) != 0)
        kind++;
    bool listed = kind < sizeof kinds / sizeof *kinds, daemon = strcmp(leaf->actor_type, "daemon") == 0;
    enum activity activity = listed ? kinds[kind].activity : OTHER;
    const char *message = plain_act(leaf->act);
    outfile_format(out, "{\"activity_id\":%d,\"activity_name\":", (int)activity);
    outfile_json(out, activity_name(activity, leaf->act));
    outfile_text(out, daemon ? ",\"actor\":{\"app_name\":" : ",\"actor\":{\"user\":{\"uid\":");
    outfile_json(out, leaf->actor_id);
    outfile_text(out, daemon ? "}" : "}}");
    outfile_format(out, ",\"category_uid\":%d,\"class_uid\":%d,\"entity\":{\"name\":", CATEGORY_UID, CLASS_UID);
    outfile_json(out, leaf->tenant[0] == '\0' ? "installation" : leaf->tenant);
    outfile_format(out, ",\"type\":\"%s\",\"type_id\":%d}", listed ? kinds[kind].entity : "Service", TYPE_OTHER);
    if (message != NULL) {
        outfile_text(out, ",\"message\":");
        outfile_json(out, message);
    }
    outfile_text(out, ",");
    ocsf_metadata(out, leaf, index, origin);
    outfile_format(out, ",\"severity_id\":%d,\"status\":\"%s\",\"status_code\":\"%s\",\"status_id\":%d,\"time\":%" PRId64
                        ",\"type_uid\":%d,\"unmapped\":",
        listed ? (int)kinds[kind].severity : INFORMATIONAL, leaf->out == LEAF_OK ? "Success" : "Failure", parsed_out_name(leaf->out),
        leaf->out == LEAF_OK ? 1 : 2, leaf->at_ms, CLASS_UID * 100 + (int)activity);
    outfile_put(out, leaf->data_text.bytes, leaf->data_text.length);
    outfile_text(out, "}\n");
}
