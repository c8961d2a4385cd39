/*
 * Interrupt: what Ctrl-C leaves behind, said before the program ends by it.
 *
 * Sees:     nothing of a person.
 * Uses:     signals.
 * Threads:  any; the handler writes a text that was set before.
 * Failure:  none.
 */
#ifndef THRONG_CLI_INTERRUPT_H
#define THRONG_CLI_INTERRUPT_H

/* From now on SIGINT writes text (a literal, or kept to the end) to standard error, then ends the program as ever. Where
 * SIGINT is ignored it stays so. */
void interrupt_say(const char *text);

#endif
