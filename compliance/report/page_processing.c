#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "compliance/report/html.h"
#include "compliance/report/pages.h"
#include "compliance/report/plain.h"

#define UNSAID "The definition does not say."

static const char *text_of(const struct gathered_app *app, const char *name)
{
    return json_string_value(json_object_get(app->definition, name));
}

static int64_t days_of(const struct gathered_app *app, const char *name, int64_t otherwise)
{
    const json_t *value = json_object_get(app->definition, name);
    return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

/* The texts of an array, or its members' names, one after the other. */
static void join(struct outfile *out, const json_t *list, const char *between, void (*put)(struct outfile *out, const char *text))
{
    for (size_t at = 0; at < json_array_size(list); at++) {
        const json_t *item = json_array_get(list, at);
        const char *text = json_is_object(item) ? json_string_value(json_object_get(item, "name")) : json_string_value(item);
        if (at > 0)
            put(out, between);
        put(out, text == NULL ? "" : text);
    }
}

static void term(struct outfile *out, const char *name, const char *text)
{
    outfile_text(out, "<dt>");
    html_text(out, name);
    outfile_text(out, "</dt><dd>");
    html_text(out, text == NULL || text[0] == '\0' ? UNSAID : text);
    outfile_text(out, "</dd>\n");
}

static void term_list(struct outfile *out, const char *name, const json_t *list, const char *none)
{
    if (json_array_size(list) == 0) {
        term(out, name, none);
        return;
    }
    outfile_text(out, "<dt>");
    html_text(out, name);
    outfile_text(out, "</dt><dd>");
    join(out, list, "; ", html_text);
    outfile_text(out, "</dd>\n");
}

static bool is_true(const struct gathered_app *app, const char *name, bool otherwise)
{
    const json_t *value = json_object_get(app->definition, name);
    return value == NULL ? otherwise : json_is_true(value);
}

static void wishes(struct outfile *out, const struct gathered_app *app)
{
    const char *consent = text_of(app, "consent");
    char text[300];
    (void)snprintf(text, sizeof text, "%s%s%s",
        consent != NULL && strcmp(consent, "required") == 0 ? "Only events sent with consent are kept. " : "",
        is_true(app, "respect_gpc", true) ? "Nothing is kept of browsers that send Global Privacy Control. "
                                          : "Global Privacy Control is not heeded. ",
        is_true(app, "respect_dnt", true) ? "Nothing is kept of browsers that send Do Not Track." : "Do Not Track is not heeded.");
    term(out, "People\xe2\x80\x99s wishes", text);
}

static void app_terms(struct outfile *out, const struct gathered_app *app)
{
    char text[400];
    outfile_text(out, "<dl>\n");
    term(out, "Controller", text_of(app, "controller"));
    term(out, "Data protection officer", text_of(app, "dpo_contact"));
    term_list(out, "Purposes", json_object_get(app->definition, "purposes"), UNSAID);
    term(out, "Legal basis", plain_basis(text_of(app, "legal_basis")));
    term(out, "Categories of people", is_true(app, "anonymous_visitors", false)
        ? "Users of the app, and visitors without a user id, for one day at a time" : "Users of the app");
    term(out, "Categories of data", "Pseudonymous events: which declared event, when, with which declared properties. Identifiers become "
                                    "pseudonyms while a request is being read and are not kept; nor are addresses and browsers\xe2\x80\x99 names.");
    term_list(out, "Events declared", json_object_get(app->definition, "events"), "None.");
    wishes(out, app);
    term_list(out, "Recipients", json_object_get(app->definition, "recipients"), UNSAID);
    term(out, "Transfers to third countries", "The definition has no member for them, so this report does not know.");
    (void)snprintf(text, sizeof text, "Pseudonymous state ends %" PRId64 " days after a person was last seen. A pseudonymization key lives %" PRId64
        " days. Released numbers are anonymized and kept.", days_of(app, "horizon_days", 400), days_of(app, "epoch_days", 92));
    term(out, "Time limits", text);
    term(out, "Protection of what is released", plain_preset(app->preset));
    term(out, "Security measures", "Keys in a process of their own and one sealed file; a role for each program with no more rights than it needs; "
                                   "an append-only, signed log of every act. See the other pages for what was measured.");
    outfile_text(out, "</dl>\n");
}

static void app_part(struct outfile *out, const struct gathered_app *app)
{
    const char *title = text_of(app, "title");
    char day[CIVIL_DATE_BYTES];
    int64_t since = app->changed_ms != 0 ? app->changed_ms : app->added_ms;
    html_heading(out, title == NULL ? app->name : title);
    html_paragraph(out, "App %s, version %" PRId64 " of its definition, in force since %s.", app->name, app->version,
        civil_format((int32_t)(since / CIVIL_DAY_MS), day));
    if (app->definition == NULL) {
        html_note(out, "The definition is not in the bundle. What it says is not known to this report.");
        return;
    }
    app_terms(out, app);
}

void page_processing_html(const struct gathered *all, struct outfile *out)
{
    uint64_t shown = 0;
    html_begin(out, all, "processing.html", "Record of processing",
        "The record of processing activities of GDPR Art. 30(1), as far as the definitions of the apps say it.");
    html_paragraph(out, "It is made of the definitions in force as of the newest entry. Whoever is responsible has to complete what they do "
                        "not say. Test apps, which live a day, are left out.");
    for (size_t i = 0; i < all->apps.count; i++) {
        const struct gathered_app *app = hashed_at(&all->apps, i);
        if (app->twin)
            continue;
        app_part(out, app);
        shown++;
    }
    if (shown == 0)
        html_note(out, "The trail records no app.");
    html_end(out, all);
}

/* A list as one CSV field: its texts, a semicolon between. */
static void csv_list(struct outfile *out, const json_t *list)
{
    char text[16384];
    size_t length = 0;
    text[0] = '\0';
    for (size_t at = 0; at < json_array_size(list); at++) {
        const json_t *item = json_array_get(list, at);
        const char *one = json_is_object(item) ? json_string_value(json_object_get(item, "name")) : json_string_value(item);
        int more = snprintf(text + length, sizeof text - length, "%s%s", at == 0 ? "" : "; ", one == NULL ? "" : one);
        if (more < 0 || (size_t)more >= sizeof text - length)
            break;
        length += (size_t)more;
    }
    outfile_csv(out, text);
}

void page_processing_csv(const struct gathered *all, struct outfile *out)
{
    static const char *const head[] = {"app", "title", "version", "in_force_since", "controller", "dpo_contact", "purposes",
        "legal_basis", "recipients", "events", "horizon_days", "epoch_days", "consent", "preset", "definition_sha256", NULL};
    outfile_csv_line(out, head);
    for (size_t i = 0; i < all->apps.count; i++) {
        const struct gathered_app *app = hashed_at(&all->apps, i);
        if (app->twin)
            continue;
        bool known = app->definition != NULL;
        outfile_csv(out, app->name);
        outfile_csv(out, text_of(app, "title"));
        outfile_csv_number(out, (uint64_t)app->version);
        outfile_csv_time(out, app->changed_ms != 0 ? app->changed_ms : app->added_ms);
        outfile_csv(out, text_of(app, "controller"));
        outfile_csv(out, text_of(app, "dpo_contact"));
        csv_list(out, json_object_get(app->definition, "purposes"));
        outfile_csv(out, text_of(app, "legal_basis"));
        csv_list(out, json_object_get(app->definition, "recipients"));
        csv_list(out, json_object_get(app->definition, "events"));
        if (known) {
            outfile_csv_number(out, (uint64_t)days_of(app, "horizon_days", 400));
            outfile_csv_number(out, (uint64_t)days_of(app, "epoch_days", 92));
            outfile_csv(out, text_of(app, "consent") == NULL ? "none" : text_of(app, "consent"));
        } else
            for (int blank = 0; blank < 3; blank++)
                outfile_csv(out, NULL);
        outfile_csv(out, app->preset);
        outfile_csv(out, app->hash);
        outfile_csv_end(out);
    }
}

/* --- DPV ------------------------------------------------------------------------------------------------------------------ */

static const char *gdpr_basis(const char *basis)
{
    static const char *const bases[][2] = {{"consent", "eu-gdpr:A6-1-a"}, {"contract", "eu-gdpr:A6-1-b"},
        {"legal_obligation", "eu-gdpr:A6-1-c"}, {"vital_interests", "eu-gdpr:A6-1-d"}, {"public_task", "eu-gdpr:A6-1-e"},
        {"legitimate_interests", "eu-gdpr:A6-1-f"}};
    for (size_t i = 0; basis != NULL && i < sizeof bases / sizeof *bases; i++)
        if (strcmp(bases[i][0], basis) == 0)
            return bases[i][1];
    return NULL;
}

/* An array of things of a type, each with a text, as a member; nothing if there are none. */
static void ld_list(struct outfile *out, const char *member, const char *type, const char *label, const json_t *list)
{
    if (json_array_size(list) == 0)
        return;
    outfile_format(out, ",\n      \"%s\": [", member);
    for (size_t at = 0; at < json_array_size(list); at++) {
        outfile_format(out, "%s{\"@type\": \"%s\", \"%s\": ", at == 0 ? "" : ", ", type, label);
        outfile_json(out, json_string_value(json_array_get(list, at)));
        outfile_text(out, "}");
    }
    outfile_text(out, "]");
}

static void ld_text(struct outfile *out, const char *member, const char *type, const char *label, const char *text)
{
    if (text == NULL)
        return;
    outfile_format(out, ",\n      \"%s\": {\"@type\": \"%s\", \"%s\": ", member, type, label);
    outfile_json(out, text);
    outfile_text(out, "}");
}

static void ld_measures(struct outfile *out, const struct gathered_app *app)
{
    bool noise = strcmp(app->preset, "exact") != 0 && strcmp(app->preset, "threshold-only") != 0;
    outfile_format(out, ",\n      \"dpv:hasTechnicalOrganisationalMeasure\": [\"dpv:Pseudonymisation\", \"dpv:CryptographicKeyManagement\", "
                        "\"dpv:AccessControlMethod\", \"dpv:RecordsOfActivities\"%s]", noise ? ", \"dpv:DifferentialPrivacy\"" : "");
}

static void ld_app(struct outfile *out, const struct gathered_app *app)
{
    const char *basis = gdpr_basis(text_of(app, "legal_basis"));
    outfile_format(out, "    {\n      \"@id\": \"urn:throng:app:%s:%" PRId64 "\",\n      \"@type\": \"dpv:Process\",\n      \"dct:title\": ",
        app->name, app->version);
    outfile_json(out, text_of(app, "title") == NULL ? app->name : text_of(app, "title"));
    outfile_format(out, ",\n      \"dct:identifier\": \"sha256:%s\"", app->hash);
    if (app->definition != NULL) {
        ld_text(out, "dpv:hasDataController", "dpv:DataController", "dpv:hasName", text_of(app, "controller"));
        ld_text(out, "dpv:hasDataProtectionOfficer", "dpv:DataProtectionOfficer", "dpv:hasContact", text_of(app, "dpo_contact"));
        ld_list(out, "dpv:hasPurpose", "dpv:ServiceUsageAnalytics", "dct:description", json_object_get(app->definition, "purposes"));
        ld_list(out, "dpv:hasRecipient", "dpv:Recipient", "dpv:hasName", json_object_get(app->definition, "recipients"));
        if (basis != NULL)
            outfile_format(out, ",\n      \"dpv:hasLegalBasis\": \"%s\"", basis);
        outfile_format(out, ",\n      \"dpv:hasStorageCondition\": {\"@type\": \"dpv:StorageDuration\", \"dpv:hasDuration\": {\"@type\": "
                            "\"dpv:TemporalDuration\", \"dct:extent\": {\"@type\": \"xsd:duration\", \"@value\": \"P%" PRId64 "D\"}}}",
            days_of(app, "horizon_days", 400));
    }
    outfile_text(out, ",\n      \"dpv:hasDataSubject\": \"dpv:User\",\n      \"dpv:hasPersonalData\": \"dpv:PseudonymisedData\",\n"
                      "      \"dpv:hasProcessing\": [\"dpv:Collect\", \"dpv:Pseudonymise\", \"dpv:Store\", \"dpv:Aggregate\", "
                      "\"dpv:Anonymise\", \"dpv:Erase\"]");
    ld_measures(out, app);
    outfile_text(out, "\n    }");
}

void page_processing_jsonld(const struct gathered *all, struct outfile *out)
{
    char time[CIVIL_TIME_BYTES];
    bool first = true;
    outfile_text(out, "{\n  \"@context\": {\n    \"dpv\": \"https://w3id.org/dpv#\",\n"
                      "    \"eu-gdpr\": \"https://w3id.org/dpv/legal/eu/gdpr#\",\n    \"dct\": \"http://purl.org/dc/terms/\",\n"
                      "    \"xsd\": \"http://www.w3.org/2001/XMLSchema#\"");
    static const char *const references[] = {"hasLegalBasis", "hasDataSubject", "hasPersonalData", "hasProcessing",
        "hasTechnicalOrganisationalMeasure"};
    for (size_t i = 0; i < sizeof references / sizeof *references; i++)
        outfile_format(out, ",\n    \"dpv:%s\": {\"@type\": \"@id\"}", references[i]);
    outfile_text(out, "\n  },\n  \"@id\": \"urn:throng:record:");
    char root[65];
    for (size_t i = 0; i < 32; i++)
        (void)snprintf(root + 2 * i, 3, "%02x", all->source->checkpoint.root.bytes[i]);
    outfile_text(out, root);
    outfile_format(out, "\",\n  \"@type\": \"dpv:DataProcessingRecord\",\n  \"dct:issued\": {\"@type\": \"xsd:dateTime\", \"@value\": \"%s\"},\n"
                        "  \"dpv:hasProcess\": [\n", civil_time(all->newest_ms, time));
    for (size_t i = 0; i < all->apps.count; i++) {
        const struct gathered_app *app = hashed_at(&all->apps, i);
        if (app->twin)
            continue;
        outfile_text(out, first ? "" : ",\n");
        ld_app(out, app);
        first = false;
    }
    outfile_text(out, "\n  ]\n}\n");
}
