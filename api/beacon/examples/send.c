/*
 * Send one event with libcurl: cc send.c -lcurl. THRONG_EVENTS is the address of POST /v1/events, THRONG_KEY a key; the
 * argument is the user, of letters, digits, - and _. A request that is tried again keeps its source and seq, so each event
 * counts once; sent_at is set anew.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>

#define TRIES 6
#define SOURCE_BYTES 16

static long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool make_source(char out[2 * SOURCE_BYTES + 1])
{
    unsigned char bytes[SOURCE_BYTES];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return false;
    for (size_t i = 0; i < sizeof bytes; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    return true;
}

/* One try: the status of the answer, which is printed, or 0 if there was none. */
static long post(CURL *curl, const char *source, const char *user, long long ts_ms)
{
    char body[1024];
    long status = 0;
    int length = snprintf(body, sizeof body, "{\"sent_at\":%lld,\"source\":\"%s\",\"events\":[{\"name\":\"signup\","
        "\"ts\":%lld,\"user\":\"%s\",\"seq\":0,\"props\":{\"method\":\"email\"}}]}", now_ms(), source, ts_ms, user);
    if (length < 0 || (size_t)length >= sizeof body)
        return 400;
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    if (curl_easy_perform(curl) == CURLE_OK)
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

static bool send_signup(CURL *curl, const char *user)
{
    char source[2 * SOURCE_BYTES + 1];
    long long ts_ms = now_ms();
    if (!make_source(source))
        return false;
    for (unsigned n = 0; n < TRIES; n++) {
        long status = post(curl, source, user, ts_ms);
        if (status != 0 && status != 429 && status != 503)
            return status == 202;
        sleep(1u << n);
    }
    return false;
}

int main(int count, char **arguments)
{
    const char *key = getenv("THRONG_KEY"), *events = getenv("THRONG_EVENTS");
    char bearer[512];
    if (count != 2 || key == NULL || events == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return 2;
    (void)snprintf(bearer, sizeof bearer, "Authorization: Bearer %s", key);
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    headers = curl_slist_append(headers, bearer);
    curl_easy_setopt(curl, CURLOPT_URL, events);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, 10L);
    bool sent = curl != NULL && send_signup(curl, arguments[1]);
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    curl_global_cleanup();
    return sent ? 0 : 1;
}
