#include "compliance/report/plain.h"

#include <string.h>

static const char *const acts[][2] = {
    {"app_added", "An app's definition was put in force for the first time"},
    {"app_changed", "A new version of an app's definition was put in force"},
    {"app_mode_changed", "An app began or ended importing its history, or its collection was stopped or resumed"},
    {"write_key_made", "A key was made with which an app's pages may send events"},
    {"write_key_revoked", "Such a key was revoked"},
    {"api_key_made", "A key was made with which a program may read or act"},
    {"api_key_revoked", "Such a key was revoked"},
    {"protection_lowered", "An app was set to release numbers with less protection"},
    {"seal_requested", "An operator asked to close periods and release them"},
    {"node_announced", "A collecting node joined"},
    {"node_retired", "A collecting node was given up"},
    {"month_planned", "What a month of an app's data may cost in privacy was fixed, before anything of it was released"},
    {"aggregates_released", "Anonymized numbers of one period were released, once and for all"},
    {"aggregates_refused", "Numbers were not released, because the budget did not hold them"},
    {"aggregates_read", "Released numbers were read (one entry a reader and hour)"},
    {"access_denied", "Somebody was denied access (one entry a reader and hour)"},
    {"ingestion", "How much came in on a day, in powers of two"},
    {"daemon_started", "A program of the service was started"},
    {"daemon_stopped", "A program of the service was stopped"},
    {"migration", "The database's structure was changed"},
    {"key_born", "A pseudonymization key was made"},
    {"key_ratcheted", "A pseudonymization key was replaced by the next epoch's"},
    {"key_rotated", "A pseudonymization key was replaced with fresh randomness"},
    {"key_destroyed", "A pseudonymization key was destroyed"},
    {"keys_joined", "Another node took over pseudonymization keys"},
    {"key_change_ordered", "An operator ordered a change of keys, or it failed"},
    {"request_received", "A person's request was received"},
    {"request_applied", "A person's request was carried out"},
    {"request_purged", "The last copy of what a person asked to erase is gone"},
    {"request_refused", "A person's request was refused"},
    {"mark_expired", "Tombstones of erased people ended, because nothing can bring them back any more"},
    {"state_expired", "Pseudonymous state was removed at the end of its time"},
    {"purge_ordered", "An emergency purge of an app was ordered"},
    {"purge_done", "An emergency purge of an app was finished"},
    {"self_test_passed", "The daily test found no raw identifier anywhere"},
    {"self_test_failed", "The test found a raw identifier where none may be"},
    {"backup_made", "A backup was made"},
    {"backup_gone", "A backup was destroyed"},
    {"restored", "The database was restored from a backup"},
    {"incident_opened", "An incident was recorded"},
    {"incident_closed", "An incident was closed"},
    {"spool_replayed", "Packets kept during an outage were handed in"},
    {"clock_stepped_back", "A node's clock went back"},
    {"export_made", "An evidence bundle like this one was made"},
    {"trail_read", "The audit trail was read"},
    {"log_key_rotated", "The log's signing key was made or changed"},
    {"trail_pruned", "Bodies of old entries were removed; their hashes stay"},
};

const char *plain_act(const char *act)
{
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++)
        if (strcmp(acts[i][0], act) == 0)
            return acts[i][1];
    return NULL;
}

const char *plain_listed(size_t n)
{
    return n < sizeof acts / sizeof *acts ? acts[n][0] : NULL;
}

const char *plain_preset(const char *preset)
{
    static const char *const presets[][2] = {
        {"strict", "strict: differential privacy, \xce\xb5 at most 3 a person and month"},
        {"standard", "standard: differential privacy, \xce\xb5 at most 8 a person and month"},
        {"small", "small: differential privacy, \xce\xb5 at most 16 a person and month"},
        {"threshold-only", "threshold-only: small groups are left out, no noise; no protection against whoever can send events"},
        {"exact", "exact: no protection; for tests, and for data that is public anyway"},
    };
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++)
        if (strcmp(presets[i][0], preset) == 0)
            return presets[i][1];
    return preset;
}

const char *plain_basis(const char *basis)
{
    static const char *const bases[][2] = {
        {"consent", "Consent (GDPR Art. 6(1)(a))"}, {"contract", "Contract (GDPR Art. 6(1)(b))"},
        {"legal_obligation", "Legal obligation (GDPR Art. 6(1)(c))"}, {"vital_interests", "Vital interests (GDPR Art. 6(1)(d))"},
        {"public_task", "Public task (GDPR Art. 6(1)(e))"}, {"legitimate_interests", "Legitimate interests (GDPR Art. 6(1)(f))"},
    };
    for (size_t i = 0; basis != NULL && i < sizeof bases / sizeof *bases; i++)
        if (strcmp(bases[i][0], basis) == 0)
            return bases[i][1];
    return NULL;
}
