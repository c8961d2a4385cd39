#include "anonymizer/edge/device.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* The first row whose word is in the User-Agent, and whose `unless` is not, decides: televisions and consoles call
 * themselves Android or Windows too, tablets call themselves Android without "Mobile". */
static const struct {
    const char *word;
    const char *unless;
    enum device_class device;
} classes[] = {
    {"SmartTV", NULL, DEVICE_OTHER},
    {"Smart-TV", NULL, DEVICE_OTHER},
    {"Smart TV", NULL, DEVICE_OTHER},
    {"HbbTV", NULL, DEVICE_OTHER},
    {"AppleTV", NULL, DEVICE_OTHER},
    {"Apple TV", NULL, DEVICE_OTHER},
    {"GoogleTV", NULL, DEVICE_OTHER},
    {"Android TV", NULL, DEVICE_OTHER},
    {"BRAVIA", NULL, DEVICE_OTHER},
    {"; AFT", NULL, DEVICE_OTHER}, /* Fire TV models */
    {"CrKey", NULL, DEVICE_OTHER},
    {"Roku", NULL, DEVICE_OTHER},
    {"Web0S", NULL, DEVICE_OTHER},
    {"PlayStation", NULL, DEVICE_OTHER},
    {"Xbox", NULL, DEVICE_OTHER},
    {"Nintendo", NULL, DEVICE_OTHER},
    {"iPad", NULL, DEVICE_TABLET},
    {"Tablet", "Tablet PC", DEVICE_TABLET}, /* old Windows says "Tablet PC" on any laptop */
    {"Kindle", NULL, DEVICE_TABLET},
    {"PlayBook", NULL, DEVICE_TABLET},
    {"Silk/", "Mobile", DEVICE_TABLET},
    {"Dalvik/", NULL, DEVICE_MOBILE}, /* an Android app's own requests, which never say "Mobile" */
    {"Android", "Mobi", DEVICE_TABLET},
    {"iPhone", NULL, DEVICE_MOBILE},
    {"iPod", NULL, DEVICE_MOBILE},
    {"Windows Phone", NULL, DEVICE_MOBILE},
    {"BlackBerry", NULL, DEVICE_MOBILE},
    {"Opera Mini", NULL, DEVICE_MOBILE},
    {"Mobi", NULL, DEVICE_MOBILE},
    {"Windows NT", NULL, DEVICE_DESKTOP},
    {"Macintosh", NULL, DEVICE_DESKTOP},
    {"X11", NULL, DEVICE_DESKTOP},
    {"CrOS", NULL, DEVICE_DESKTOP},
    {"Linux x86_64", NULL, DEVICE_DESKTOP},
};

/* What automata call themselves besides "…bot". */
static const char *const automata[] = {
    "crawl",
    "spider",
    "slurp",
    "scrapy",
    "HeadlessChrome",
    "PhantomJS",
    "Puppeteer",
    "Playwright",
    "Selenium",
    "Lighthouse",
    "PTST/",
    "GTmetrix",
    "Google Page Speed",
    "Mediapartners-Google",
    "APIs-Google",
    "Google-InspectionTool",
    "Google-Read-Aloud",
    "GoogleOther",
    "FeedFetcher",
    "BingPreview",
    "facebookexternalhit",
    "meta-externalagent",
    "WhatsApp/",
    "SkypeUriPreview",
    "Embedly",
    "link preview",
    "vkShare",
    "W3C_Validator",
    "ia_archiver",
    "ChatGPT-User",
    "Pingdom",
    "StatusCake",
    "Site24x7",
    "NewRelicPinger",
    "Datadog",
    "Uptime-Kuma",
    "Better Uptime",
};

enum device_class device_classify(const char *user_agent)
{
    if (user_agent == NULL)
        return DEVICE_OTHER;
    for (size_t i = 0; i < COUNT(classes); i++)
        if (strcasestr(user_agent, classes[i].word) != NULL &&
            (classes[i].unless == NULL || strcasestr(user_agent, classes[i].unless) == NULL))
            return classes[i].device;
    return DEVICE_OTHER;
}

const char *device_name(enum device_class device)
{
    static const char *const names[] = {
        [DEVICE_DESKTOP] = "desktop",
        [DEVICE_MOBILE] = "mobile",
        [DEVICE_TABLET] = "tablet",
        [DEVICE_OTHER] = "other",
    };
    return names[device];
}

/* "bot" at the end of a word, but for Cubot, which makes phones. */
static bool names_a_bot(const char *user_agent)
{
    for (const char *at = user_agent; (at = strcasestr(at, "bot")) != NULL; at += 3) {
        bool cubot = at - user_agent >= 2 && strncasecmp(at - 2, "cu", 2) == 0;
        if (!isalpha((unsigned char)at[3]) && !cubot)
            return true;
    }
    return false;
}

bool device_is_bot(const char *user_agent)
{
    if (user_agent == NULL)
        return false;
    for (size_t i = 0; i < COUNT(automata); i++)
        if (strcasestr(user_agent, automata[i]) != NULL)
            return true;
    return names_a_bot(user_agent);
}
