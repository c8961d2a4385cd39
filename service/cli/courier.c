#include "service/cli/courier.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/base/durable.h"
#include "service/cli/trees.h"

#define PATH_BYTES 4096
#define LINE_BYTES 57 /* whose base64 is a line of a mail: 76 characters */
#define PAGE_NAME "report.html"

/* --- programs ------------------------------------------------------------------------------------------------------ */

/* The path of an executable called name, in the folders of $PATH and of system programs; false if there is none. */
static bool find_program(const char *name, char out[PATH_BYTES])
{
    char folders[PATH_BYTES], *rest = folders;
    struct stat there;
    const char *path = getenv("PATH");
    (void)snprintf(folders, sizeof folders, "%s:/usr/sbin:/usr/lib", path == NULL ? "/usr/local/bin:/usr/bin:/bin" : path);
    for (const char *folder = strsep(&rest, ":"); folder != NULL; folder = strsep(&rest, ":")) {
        int length = snprintf(out, PATH_BYTES, "%s/%s", folder, name);
        if (folder[0] == '/' && length < PATH_BYTES && stat(out, &there) == 0 && S_ISREG(there.st_mode) && access(out, X_OK) == 0)
            return true;
    }
    return false;
}

/* Run arguments[0] with input as its standard input (-1: none); quiet: what it says is dropped. */
static enum result run(char *const *arguments, int input, bool quiet, struct failure *why)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        int nowhere = open("/dev/null", O_RDWR);
        if (nowhere < 0 || dup2(input < 0 ? nowhere : input, 0) < 0 || (quiet && (dup2(nowhere, 1) < 0 || dup2(nowhere, 2) < 0)))
            _exit(127);
        (void)execv(arguments[0], arguments);
        _exit(127);
    }
    pid_t waited;
    do
        waited = pid < 0 ? -1 : waitpid(pid, &status, 0);
    while (waited < 0 && pid >= 0 && errno == EINTR);
    if (waited >= 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return RESULT_OK;
    failure_set(why, "", "the program that the page was handed to failed");
    return RESULT_FAILED;
}

/* --- files --------------------------------------------------------------------------------------------------------- */

static enum result unwritable(const char *field, struct failure *why)
{
    failure_set(why, field, "cannot be written: %s", strerror(errno));
    return RESULT_FAILED;
}

/* Beside it first, then in its place. */
static enum result replace(const char *path, const char *bytes, size_t length, struct failure *why)
{
    char beside[PATH_BYTES];
    if (snprintf(beside, sizeof beside, "%s.XXXXXX", path) >= (int)sizeof beside) {
        errno = ENAMETOOLONG;
        return unwritable("--out", why);
    }
    int fd = mkostemp(beside, O_CLOEXEC);
    if (fd < 0)
        return unwritable("--out", why);
    bool good = durable_write(fd, bytes, length) && fchmod(fd, 0644) == 0;
    good = close(fd) == 0 && good;
    if (good && rename(beside, path) == 0)
        return RESULT_OK;
    enum result result = unwritable("--out", why);
    (void)unlink(beside);
    return result;
}

enum result courier_write(const char *path, const char *bytes, size_t length, struct failure *why)
{
    struct stat there;
    if (strcmp(path, "-") == 0)
        return fwrite(bytes, 1, length, stdout) == length && fflush(stdout) == 0 ? RESULT_OK : unwritable("standard output", why);
    if (stat(path, &there) != 0 || S_ISREG(there.st_mode))
        return replace(path, bytes, length, why);
    /* a pipe or a device is written to as it is */
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return unwritable("--out", why);
    bool good = durable_write(fd, bytes, length);
    return close(fd) == 0 && good ? RESULT_OK : unwritable("--out", why);
}

/* --- paper --------------------------------------------------------------------------------------------------------- */

static bool find_chromium(char out[PATH_BYTES])
{
    static const char *const names[] = {"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (find_program(names[i], out))
            return true;
    }
    return false;
}

/* All of a file, owned by the caller; NULL if it cannot be read or is empty. */
static char *read_file(const char *path, size_t *length)
{
    struct stat there;
    FILE *file = fopen(path, "rbe");
    if (file == NULL)
        return NULL;
    size_t size = fstat(fileno(file), &there) == 0 && there.st_size > 0 ? (size_t)there.st_size : 0;
    char *bytes = size == 0 ? NULL : malloc(size);
    if (bytes != NULL && fread(bytes, 1, size, file) != size) {
        free(bytes);
        bytes = NULL;
    }
    (void)fclose(file);
    *length = size;
    return bytes;
}

/* It prints into a folder of its own, so that what it leaves goes with it. */
static enum result print_in(const char *folder, char *chromium, const char *path, const char *page, size_t length, struct failure *why)
{
    char html[PATH_BYTES], url[PATH_BYTES + 8], made[PATH_BYTES], print[PATH_BYTES + 24], profile[PATH_BYTES + 24];
    char headless[] = "--headless", no_sandbox[] = "--no-sandbox", no_gpu[] = "--disable-gpu", no_header[] = "--no-pdf-header-footer",
         no_shm[] = "--disable-dev-shm-usage";
    char *arguments[] = {chromium, headless, no_sandbox, no_gpu, no_shm, no_header, profile, print, url, NULL};
    (void)snprintf(html, sizeof html, "%.4000s/" PAGE_NAME, folder);
    (void)snprintf(made, sizeof made, "%.4000s/report.pdf", folder);
    (void)snprintf(url, sizeof url, "file://%s", html);
    (void)snprintf(print, sizeof print, "--print-to-pdf=%s", made);
    (void)snprintf(profile, sizeof profile, "--user-data-dir=%.4000s/profile", folder);
    enum result result = replace(html, page, length, why);
    if (result == RESULT_OK)
        result = run(arguments, -1, true, why);
    if (result != RESULT_OK)
        return result;
    size_t size = 0;
    char *bytes = read_file(made, &size);
    if (bytes == NULL) {
        failure_set(why, "--pdf", "Chromium printed nothing");
        return RESULT_FAILED;
    }
    result = courier_write(path, bytes, size, why);
    free(bytes);
    return result;
}

enum result courier_print(const char *path, const char *page, size_t length, struct failure *why)
{
    char chromium[PATH_BYTES], folder[PATH_BYTES];
    const char *temporary = getenv("TMPDIR");
    struct failure ignored = {0};
    if (!find_chromium(chromium)) {
        failure_set(why, "--pdf", "needs Chromium, and there is no chromium, chromium-browser or google-chrome in $PATH; a browser prints the page"
                                  " that --out writes as well");
        return RESULT_NOT_FOUND;
    }
    (void)snprintf(folder, sizeof folder, "%.3000s/throng-report.XXXXXX", temporary == NULL ? P_tmpdir : temporary);
    if (mkdtemp(folder) == NULL)
        return unwritable("TMPDIR", why);
    enum result result = print_in(folder, chromium, path, page, length, why);
    (void)trees_remove(folder, &ignored);
    return result;
}

/* --- mail ---------------------------------------------------------------------------------------------------------- */

bool courier_is_address(const char *text)
{
    size_t length = strlen(text);
    const char *at = strchr(text, '@');
    if (length > COURIER_ADDRESS_MAX_BYTES || at == NULL || at == text || at[1] == '\0' || strchr(at + 1, '@') != NULL || text[0] == '-')
        return false;
    for (const char *character = text; *character != '\0'; character++) {
        if (*character <= ' ' || *character > '~' || strchr("\"(),:;<>[\\]", *character) != NULL)
            return false;
    }
    return true;
}

static void write_attachment(FILE *mail, const char *page, size_t length)
{
    char line[80];
    for (size_t at = 0; at < length; at += LINE_BYTES) {
        size_t part = length - at < LINE_BYTES ? length - at : LINE_BYTES;
        (void)sodium_bin2base64(line, sizeof line, (const unsigned char *)page + at, part, sodium_base64_VARIANT_ORIGINAL);
        (void)fprintf(mail, "%s\n", line);
    }
}

/* The boundary cannot be in a line of base64, nor in the text. */
static void write_mail(FILE *mail, const struct courier_letter *letter)
{
    static const char boundary[] = "=_throng_report_";
    (void)fprintf(mail, "To: %s\nSubject: Engagement report: %s, %s\nMIME-Version: 1.0\nAuto-Submitted: auto-generated\n"
                        "Content-Type: multipart/mixed; boundary=\"%s\"\n\n",
        letter->to, letter->app, letter->period, boundary);
    (void)fprintf(mail, "--%s\nContent-Type: text/plain; charset=us-ascii\n\nThe engagement report of %s about %s is attached, as a page that any"
                        " browser shows and\nprints. At its foot is a checkpoint of the audit log: keep it.\n\n",
        boundary, letter->app, letter->period);
    (void)fprintf(mail, "--%s\nContent-Type: text/html; charset=utf-8; name=\"%s-%s.html\"\nContent-Disposition: attachment; filename=\"%s-%s.html\"\n"
                        "Content-Transfer-Encoding: base64\n\n",
        boundary, letter->app, letter->period, letter->app, letter->period);
    write_attachment(mail, letter->page, letter->length);
    (void)fprintf(mail, "--%s--\n", boundary);
}

enum result courier_mail(const struct courier_letter *letter, struct failure *why)
{
    char sendmail[PATH_BYTES], ignore_dots[] = "-i", end[] = "--";
    if (!find_program("sendmail", sendmail)) {
        failure_set(why, "--mail", "needs sendmail, and there is none in $PATH, /usr/sbin or /usr/lib; --out writes the page to a file");
        return RESULT_NOT_FOUND;
    }
    FILE *mail = tmpfile();
    char *to = strdup(letter->to);
    char *arguments[] = {sendmail, ignore_dots, end, to, NULL};
    enum result result = RESULT_FAILED;
    if (mail != NULL && to != NULL) {
        write_mail(mail, letter);
        if (fflush(mail) == 0 && lseek(fileno(mail), 0, SEEK_SET) == 0)
            result = run(arguments, fileno(mail), false, why);
    }
    failure_set(result == RESULT_OK ? NULL : why, "--mail", "the mail cannot be written");
    if (mail != NULL)
        (void)fclose(mail);
    free(to);
    return result;
}
