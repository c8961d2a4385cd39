#include "service/cli/notice.h"

#include <string.h>

#include "anonymizer/release/plan.h"
#include "anonymizer/release/policy.h"

static const char *text_of(const json_t *definition, const char *member)
{
    const char *text = json_string_value(json_object_get(definition, member));
    return text == NULL ? "" : text;
}

static const char *title_of(const struct app *app)
{
    return app->title == NULL || app->title[0] == '\0' ? app->name : app->title;
}

/* The texts of a list as "a, b and c". */
static void print_list(const json_t *list, FILE *out)
{
    size_t count = json_array_size(list);
    for (size_t i = 0; i < count; i++)
        (void)fprintf(out, "%s%s", i == 0 ? "" : i + 1 == count ? " and " : ", ", json_string_value(json_array_get(list, i)));
}

static void print_purpose(const json_t *definition, FILE *out)
{
    static const struct {
        const char *name, *text;
    } bases[] = {
        {"consent", "your consent (GDPR Art. 6(1)(a)), which you can withdraw at any time"},
        {"contract", "the performance of our contract with you (GDPR Art. 6(1)(b))"},
        {"legal_obligation", "a legal obligation (GDPR Art. 6(1)(c))"},
        {"vital_interests", "vital interests (GDPR Art. 6(1)(d))"},
        {"public_task", "a task in the public interest (GDPR Art. 6(1)(e)); you can object"},
        {"legitimate_interests", "our legitimate interest in knowing how many people use it and how (GDPR Art. 6(1)(f)); you can object"},
    };
    if (json_array_size(json_object_get(definition, "purposes")) > 0) {
        (void)fprintf(out, "We do this to ");
        print_list(json_object_get(definition, "purposes"), out);
        (void)fprintf(out, ". ");
    }
    for (size_t i = 0; i < sizeof bases / sizeof *bases; i++)
        if (strcmp(text_of(definition, "legal_basis"), bases[i].name) == 0)
            (void)fprintf(out, "The legal basis is %s.", bases[i].text);
    (void)fprintf(out, "\n");
}

static void print_property(const struct app_prop *property, FILE *out)
{
    (void)fprintf(out, "    - `%s`: ", property->name);
    switch (property->type) {
    case APP_PROP_ENUM:
        (void)fprintf(out, "one of ");
        for (size_t i = 0; i < property->count; i++)
            (void)fprintf(out, "%s%s", i == 0 ? "" : ", ", property->values[i]);
        break;
    case APP_PROP_NUMBER:
        (void)fprintf(out, "a number from %g to %g in steps of %g", property->min, property->max, property->step);
        break;
    case APP_PROP_BOOLEAN:
        (void)fprintf(out, "yes or no");
        break;
    case APP_PROP_ROUTE:
        (void)fprintf(out, "which kind of page, out of a fixed list; an address itself is not kept");
        break;
    case APP_PROP_ENTITY:
        (void)fprintf(out, "which thing, as a keyed hash, to count how many different ones there are");
        break;
    }
    (void)fprintf(out, "\n");
}

static void print_collected(const struct app *app, FILE *out)
{
    (void)fprintf(out, "\n## What is recorded\n\nThat one of these things happened, and when:\n\n");
    for (size_t i = 0; i < app->event_count; i++) {
        (void)fprintf(out, "- `%s`\n", app->events[i].name);
        for (size_t j = 0; j < app->events[i].prop_count; j++)
            print_property(&app->events[i].props[j], out);
    }
    (void)fprintf(out, "\nNothing else can be recorded: what is not on this list is refused. There is no free text, no location and no\n"
                       "profile. Your user id is replaced by a keyed hash (a pseudonym) while your request is being read; the id\n"
                       "itself, your network address and your browser's description are used for the length of that request, to\n"
                       "keep out automata and abuse, and are never stored.");
    if (app->anonymous_visitors)
        (void)fprintf(out, " If you are not signed in, you\nare counted as a visitor of the day, under a name made from your network "
                           "address and browser's description\nwith a key of that day, which is overwritten the next day.");
    (void)fprintf(out, "\n");
}

static void print_retention(const struct app *app, FILE *out)
{
    char epoch[32] = "calendar quarter";
    if (app->epoch_days != 92)
        (void)snprintf(epoch, sizeof epoch, "%u days", app->epoch_days);
    (void)fprintf(out,
        "\n## For how long\n\n"
        "Pseudonymous records are deleted when you have not been there for %u days; what is only needed for a day, a\n"
        "session or a month is deleted when that is over. The key behind the pseudonyms is replaced every %s;\n"
        "after %u such changes without a visit nobody, we included, can connect you with your earlier use.\n"
        "Pseudonymous records are personal data, and we treat them so. Only numbers about many people are kept longer.\n",
        app->horizon_days, epoch, app->link_epochs + 1);
}

static void print_numbers(const struct app *app, const json_t *definition, FILE *out)
{
    (void)fprintf(out, "\n## Who sees what\n\n");
    if (policy_is_private(app->preset)) {
        struct rational epsilon = plan_epsilon(app->preset);
        (void)fprintf(out,
            "Only numbers about many people leave the system. Random noise is added to each of them (differential privacy),\n"
            "so that what is seen would be nearly the same without you: the privacy loss of everything that one month of\n"
            "your use can ever change is at most epsilon = %llu (delta = 10^-9), per pseudonym. Numbers that are too small\n"
            "to be told reliably (about fewer than %u people) are not shown.\n",
            (unsigned long long)(epsilon.numerator / epsilon.denominator), app->k);
    } else {
        (void)fprintf(out,
            "Only counts leave the system%s. They are exact%s: differential privacy is not used here.\n",
            app->k > 1 ? ", and none about fewer people than a threshold" : "",
            app->preset == APP_PRESET_THRESHOLD ? " but for rounding to five" : "");
    }
    if (json_array_size(json_object_get(definition, "recipients")) > 0) {
        (void)fprintf(out, "\nThese numbers are seen by ");
        print_list(json_object_get(definition, "recipients"), out);
        (void)fprintf(out, ".\n");
    }
}

static void print_rights(const struct app *app, const json_t *definition, FILE *out)
{
    (void)fprintf(out, "\n## Your choices and rights\n\n");
    if (app->consent_required)
        (void)fprintf(out, "- Nothing is recorded unless you agreed.\n");
    if (app->respect_gpc || app->respect_dnt)
        (void)fprintf(out, "- If your browser sends %s, nothing of you is recorded.\n",
            app->respect_gpc && app->respect_dnt ? "Global Privacy Control or Do Not Track"
                : app->respect_gpc               ? "Global Privacy Control"
                                                 : "Do Not Track");
    (void)fprintf(out,
        "- You can ask what is stored about you, have it erased, or object to it. Tell us the user id that you use. We\n"
        "  answer within a month. What is under a key that was destroyed cannot be found any more, by anybody.\n"
        "- Erased records are gone from the running system at once, and from every copy and backup by the day that your\n"
        "  receipt names. Numbers that were published before stay: they are about many, and noise or thresholds keep them\n"
        "  from telling of you.\n"
        "- You can complain to a data protection authority.\n");
    if (text_of(definition, "dpo_contact")[0] != '\0')
        (void)fprintf(out, "\nOur data protection contact: %s\n", text_of(definition, "dpo_contact"));
}

void notice_print(const struct app *app, const json_t *definition, FILE *out)
{
    const char *controller = text_of(definition, "controller");
    (void)fprintf(out, "# How the use of %s is counted\n\n", title_of(app));
    (void)fprintf(out, "%s%scount%s how %s is used, with Throng, a program that keeps numbers about crowds and no records of\nwho did "
                       "what by name. ",
        controller[0] == '\0' ? "We" : controller, controller[0] == '\0' ? " " : " ", controller[0] == '\0' ? "" : "s", title_of(app));
    print_purpose(definition, out);
    print_collected(app, out);
    print_retention(app, out);
    print_numbers(app, definition, out);
    print_rights(app, definition, out);
    (void)fprintf(out, "\nThrong keeps a tamper-evident record of what it does with keys, requests and numbers, which an auditor can\n"
                       "verify.\n");
}

size_t notice_print_open(const struct app *app, const json_t *definition, FILE *out)
{
    static const struct {
        const char *member, *text;
    } wanted[] = {
        {"controller", "who answers for the processing"},
        {"dpo_contact", "how to reach the data protection officer"},
        {"purposes", "what the counting is for"},
        {"legal_basis", "the legal basis"},
        {"recipients", "who sees the numbers"},
    };
    size_t open = 0;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (json_object_get(definition, wanted[i].member) == NULL) {
            (void)fprintf(out, "the definition does not say %s: `%s`\n", wanted[i].text, wanted[i].member);
            open++;
        }
    if (strcmp(text_of(definition, "legal_basis"), "consent") == 0 && !app->consent_required) {
        (void)fprintf(out, "the legal basis is consent, but `consent` is not \"required\": events are taken without it\n");
        open++;
    }
    (void)fprintf(out, "only you know: who hosts it and where, whether anyone processes it for you, and for how long the user\n"
                       "id that your pages pass in stays the same\n");
    return open + 1;
}
