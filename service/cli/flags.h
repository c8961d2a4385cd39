/*
 * Options of one subcommand, from a table: --name VALUE, --name=VALUE and switches, anywhere between the operands. "--"
 * ends the options, "-" is an operand. --json is understood everywhere.
 *
 * Sees:     what the operator typed; nothing of it is kept or repeated but option names.
 * Uses:     libc, service/cli/command.
 * Failure:  prints the usage error.
 */
#ifndef THRONG_CLI_FLAGS_H
#define THRONG_CLI_FLAGS_H

#include <stddef.h>
#include <stdint.h>

#include "service/cli/command.h"

/* One option; exactly one of the targets is set. text borrows from argv; number must lie in [least, most]. */
struct flag {
    const char *name; /* without the dashes */
    const char **text;
    bool *on;
    int64_t *number;
    int64_t least, most;
};

/* Read argv[1..argc-1] of subcommand argv[0] by flags[0..count-1]; operands go to operand[0..capacity-1]. Returns their
 * number, or -1 after command_usage has said what is wrong (exit with 2). */
int flags_parse(struct command_context *context, int argc, char **argv, const struct flag *flags, size_t count,
    const char **operand, size_t capacity);

#endif
