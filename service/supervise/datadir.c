#include "service/supervise/datadir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "service/base/clock.h"

#define LEFTOVER_MS 15000 /* PostgreSQL's fast shutdown, begun when its supervisor died, is over by then */

char *datadir_join(char out[DATADIR_PATH_BYTES], const char *path, const char *name)
{
    (void)snprintf(out, DATADIR_PATH_BYTES, "%s/%s", path, name);
    return out;
}

/* The path ends up in configuration files of Redis and PostgreSQL and in connection strings: what would need quoting
 * in any of them is refused here, once. */
static enum result check_path(const char *path, struct failure *why)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+@:";
    for (const char *c = path; *c != '\0'; c++) {
        if (strchr(allowed, *c) == NULL && (unsigned char)*c < 0x80) {
            failure_set(why, "data", "the data directory's path may hold letters, digits and / . _ - + @ : only");
            return RESULT_INVALID;
        }
    }
    if (strlen(path) > DATADIR_MAX_BYTES) {
        failure_set(why, "data", "the data directory's path has %zu bytes; unix sockets below it allow at most %d",
            strlen(path), DATADIR_MAX_BYTES);
        return RESULT_INVALID;
    }
    return RESULT_OK;
}

static enum result make_parents(const char *wanted, struct failure *why)
{
    char path[PATH_MAX];
    if (wanted[0] == '\0' || strlen(wanted) >= sizeof path) {
        failure_set(why, "data", "the data directory's path is empty or too long");
        return RESULT_INVALID;
    }
    (void)strcpy(path, wanted);
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0755) != 0 && errno != EEXIST)
            break; /* the mkdir of the whole says why */
        *slash = '/';
    }
    if (mkdir(wanted, 0700) != 0 && errno != EEXIST) {
        failure_set(why, "data", "cannot make the data directory: %s", strerror(errno));
        return RESULT_FAILED;
    }
    return RESULT_OK;
}

static bool is_empty(const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL)
        return false;
    size_t entries = 0;
    while (readdir(folder) != NULL)
        entries++;
    (void)closedir(folder);
    return entries <= 2; /* . and .. */
}

/* The user that root hands everything to; NULL, explained, if there is none. */
static const struct passwd *find_user(const char *user, struct failure *why)
{
    const struct passwd *entry = getpwnam(user);
    if (entry != NULL && entry->pw_uid != 0)
        return entry;
    failure_set(why, "up.user", "no unprivileged user %s; make it: useradd --system --home-dir /nonexistent --shell "
        "/usr/sbin/nologin %s", user, user);
    return NULL;
}

/* Root never runs the services: an unprivileged user gets the directory, and this process becomes that user. */
static enum result become(const char *path, const char *user, struct failure *why)
{
    struct stat status;
    const struct passwd *entry = find_user(user, why);
    if (entry == NULL)
        return RESULT_INVALID;
    if (stat(path, &status) != 0 || (status.st_uid != entry->pw_uid && !is_empty(path))) {
        failure_set(why, "data", "the data directory is not empty and does not belong to user %s", user);
        return RESULT_DENIED;
    }
    if (chown(path, entry->pw_uid, entry->pw_gid) != 0 || chmod(path, 0700) != 0 ||
        initgroups(user, entry->pw_gid) != 0 || setresgid(entry->pw_gid, entry->pw_gid, entry->pw_gid) != 0 ||
        setresuid(entry->pw_uid, entry->pw_uid, entry->pw_uid) != 0) {
        failure_set(why, "up.user", "cannot become user %s: %s", user, strerror(errno));
        return RESULT_FAILED;
    }
    return RESULT_OK;
}

static enum result enter(const char *path, struct failure *why)
{
    struct stat status;
    if (chdir(path) != 0) {
        failure_set(why, "data", "the user that runs the services cannot reach the data directory (%s): a directory above "
            "it is closed to that user; choose another with --data", strerror(errno));
        return RESULT_DENIED;
    }
    if (stat(".", &status) != 0 || status.st_uid != geteuid()) {
        failure_set(why, "data", "the data directory belongs to another user (uid %u)", status.st_uid);
        return RESULT_DENIED;
    }
    (void)umask(077);
    static const char *const folders[] = {"run", "log", "secrets", "redis", "ingest", "release", "audit"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        if (mkdir(folders[i], 0700) != 0 && errno != EEXIST) {
            failure_set(why, "data", "cannot make its folder %s: %s", folders[i], strerror(errno));
            return RESULT_FAILED;
        }
    }
    return RESULT_OK;
}

/* Whether process pid is a throng that lives: one that was killed may stay as a zombie for long. */
static bool is_supervisor(long pid)
{
    char path[64], text[64] = "", state = 'Z';
    (void)snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    bool same = fgets(text, sizeof text, file) != NULL && sscanf(text, "%*d (throng) %c", &state) == 1;
    (void)fclose(file);
    return same && state != 'Z';
}

static bool has_open(const char *process, const struct stat *wanted)
{
    char path[320];
    (void)snprintf(path, sizeof path, "/proc/%s/fd", process);
    DIR *folder = opendir(path);
    if (folder == NULL)
        return false;
    bool found = false;
    for (struct dirent *entry = readdir(folder); entry != NULL && !found; entry = readdir(folder)) {
        struct stat status;
        found = fstatat(dirfd(folder), entry->d_name, &status, 0) == 0 && status.st_dev == wanted->st_dev &&
                status.st_ino == wanted->st_ino;
    }
    (void)closedir(folder);
    return found;
}

/* End, by id, what still holds the lock of a supervisor that is gone. Not another throng: it waits for the lock as we do. */
static void end_holders(int fd)
{
    struct stat wanted;
    DIR *folder = opendir("/proc");
    if (folder == NULL)
        return;
    if (fstat(fd, &wanted) == 0) {
        for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
            char *end;
            long pid = strtol(entry->d_name, &end, 10);
            if (*end == '\0' && pid > 1 && pid != getpid() && !is_supervisor(pid) &&
                has_open(entry->d_name, &wanted))
                (void)kill((pid_t)pid, SIGKILL);
        }
    }
    (void)closedir(folder);
}

static bool lock_within(int fd, int64_t ms)
{
    int64_t until = clock_steady_ms() + ms;
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK || clock_steady_ms() >= until)
            return false;
        (void)nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    }
    return true;
}

/* Whether the lock names a supervisor that lives; explained then. */
static bool is_taken(int fd, struct failure *why)
{
    char text[32] = "";
    ssize_t length = pread(fd, text, sizeof text - 1, 0);
    long holder = length > 0 ? strtol(text, NULL, 10) : 0;
    if (holder <= 0 || !is_supervisor(holder))
        return false;
    failure_set(why, "data", "in use: `throng up` runs there already (process %ld)", holder);
    return true;
}

static enum result take_lock(int fd, struct failure *why)
{
    char text[32] = "";
    if (!lock_within(fd, 0)) {
        if (is_taken(fd, why))
            return RESULT_DENIED;
        (void)fprintf(stderr, "waiting for what a killed supervisor left running\n");
        if (!lock_within(fd, LEFTOVER_MS)) {
            /* Another `throng up` may have been faster, and what holds the lock is its own now. */
            if (is_taken(fd, why))
                return RESULT_DENIED;
            end_holders(fd);
            if (!lock_within(fd, 5000)) {
                failure_set(why, "data", "in use by processes that a killed supervisor left and that cannot be ended");
                return RESULT_DENIED;
            }
        }
    }
    int length = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)length, 0) != length) {
        failure_set(why, "data", "cannot write its lock: %s", strerror(errno));
        return RESULT_FAILED;
    }
    return RESULT_OK;
}

enum result datadir_open(const char *wanted, const char *user, char path[DATADIR_PATH_BYTES], int *lock_fd,
    struct failure *why)
{
    char resolved[PATH_MAX];
    if (geteuid() == 0 && find_user(user, why) == NULL) /* before anything is made */
        return RESULT_INVALID;
    enum result result = make_parents(wanted, why);
    if (result != RESULT_OK)
        return result;
    if (realpath(wanted, resolved) == NULL) {
        failure_set(why, "data", "cannot reach the data directory: %s", strerror(errno));
        return RESULT_FAILED;
    }
    result = check_path(resolved, why);
    if (result == RESULT_OK && geteuid() == 0)
        result = become(resolved, user, why);
    if (result == RESULT_OK)
        result = enter(resolved, why);
    if (result != RESULT_OK)
        return result;
    int fd = open("lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        failure_set(why, "data", "cannot open its lock: %s", strerror(errno));
        return RESULT_FAILED;
    }
    result = take_lock(fd, why);
    if (result != RESULT_OK) {
        (void)close(fd);
        return result;
    }
    (void)snprintf(path, DATADIR_PATH_BYTES, "%.*s", DATADIR_MAX_BYTES, resolved);
    *lock_fd = fd;
    return RESULT_OK;
}
