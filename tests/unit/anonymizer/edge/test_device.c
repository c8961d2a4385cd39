#include "anonymizer/edge/device.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const struct {
    const char *expected;
    const char *user_agent;
} devices[] = {
    {"other", NULL},
    {"other", ""},
    {"other", "curl/8.5.0"},
    {"other", "okhttp/4.12.0"},
    {"other", "python-requests/2.31.0"},
    {"desktop", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 "
                "Safari/537.36"},
    {"desktop", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
                "Version/17.5 Safari/605.1.15"},
    {"desktop", "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"},
    {"desktop", "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 Chrome/126.0.0.0 Safari/537.36"},
    {"desktop", "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0; Tablet PC 2.0)"},
    {"mobile", "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Version/17.5 "
               "Mobile/15E148 Safari/604.1"},
    {"mobile", "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 Chrome/126.0.0.0 Mobile Safari/537.36"},
    {"mobile", "Mozilla/5.0 (Android 14; Mobile; rv:127.0) Gecko/127.0 Firefox/127.0"},
    {"mobile",
        "Mozilla/5.0 (Windows Phone 10.0; Android 6.0.1; Microsoft; Lumia 950) Chrome/52 Mobile Safari/537.36"},
    {"mobile", "Dalvik/2.1.0 (Linux; U; Android 13; SM-G991B Build/TP1A)"},
    {"mobile", "Opera/9.80 (J2ME/MIDP; Opera Mini/9.80 (S60; SymbOS)/23.348; U; en) Presto/2.5.25"},
    {"tablet",
        "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 Version/16.6 Mobile/15E148 Safari/604.1"},
    {"tablet", "Mozilla/5.0 (Linux; Android 13; SM-X906C) AppleWebKit/537.36 Chrome/126.0.0.0 Safari/537.36"},
    {"tablet", "Mozilla/5.0 (Android 13; Tablet; rv:127.0) Gecko/127.0 Firefox/127.0"},
    {"tablet",
        "Mozilla/5.0 (Linux; Android 9; KFMAWI) AppleWebKit/537.36 Silk/126.2.1 like Chrome/126.0 Safari/537.36"},
    {"other", "Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0) AppleWebKit/537.36 Version/6.0 TV Safari/537.36"},
    {"other", "Mozilla/5.0 (Linux; Android 9; BRAVIA 4K UR2) AppleWebKit/537.36 Chrome/90.0 Safari/537.36"},
    {"other", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; Xbox; Xbox One) AppleWebKit/537.36 Edge/44.18363"},
    {"other", "Mozilla/5.0 (Linux; Android 7.1.2; AFTMM) AppleWebKit/537.36 Chrome/90.0 Safari/537.36"},
};

static const struct {
    bool bot;
    const char *user_agent;
} agents[] = {
    {false, NULL},
    {false, ""},
    {true, "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"},
    {true, "Mozilla/5.0 AppleWebKit/537.36 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm) Chrome/116.0"},
    {true, "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/126.0.0.0 "
           "Safari/537.36"},
    {true, "Mozilla/5.0 (Linux; Android 11; moto g power) Chrome/126.0.0.0 Mobile Safari/537.36 Chrome-Lighthouse"},
    {true, "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)"},
    {true, "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)"},
    {true, "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"},
    {true, "TelegramBot (like TwitterBot)"},
    {true, "Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)"},
    {true, "CCBot/2.0 (https://commoncrawl.org/faq/)"},
    {true, "Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/help/us/ysearch/slurp)"},
    {true, "some-crawler/0.1"},
    {true, "mybot"},
    {false, "curl/8.5.0"},
    {false, "python-requests/2.31.0"},
    {false, "okhttp/4.12.0"},
    {false, "Go-http-client/2.0"},
    {false, "node"},
    {false, "Mozilla/5.0 (Linux; Android 9; CUBOT X19 S) AppleWebKit/537.36 Chrome/126.0.0.0 Mobile Safari/537.36"},
    {false, "Mozilla/5.0 (Linux; Android 9; CUBOT_POWER) AppleWebKit/537.36 Chrome/126.0.0.0 Mobile Safari/537.36"},
    {false, "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 "
            "Safari/537.36"},
    {false, "BotswanaNews/3.1 (iPhone; iOS 17.5)"},
};

static void test_classes(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(devices); i++)
        assert_string_equal(device_name(device_classify(devices[i].user_agent)), devices[i].expected);
}

static void test_bots(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(agents); i++) {
        if (device_is_bot(agents[i].user_agent) != agents[i].bot)
            fail_msg("row %zu", i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_bots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
