#include "service/cli/interrupt.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

static const char *said;
static size_t length;

/* The action was reset when the handler began: the signal raised again ends the program with the status of one. */
static void on_interrupt(int signal_number)
{
    ssize_t written = write(STDERR_FILENO, said, length);
    (void)written;
    (void)raise(signal_number);
}

void interrupt_say(const char *text)
{
    struct sigaction before, action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
    if (sigaction(SIGINT, NULL, &before) != 0 || before.sa_handler == SIG_IGN)
        return;
    said = text;
    length = strlen(text);
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL);
}
