/*
 * throng: the command line. See commands.def for what it offers.
 *
 * Sees:     raw ids in import, erase, access and object, which hand them to ingest's admin socket.
 * Failure:  exit status 0, 1 (failed) or 2 (usage).
 */
#include "service/cli/command.h"

int main(int argc, char **argv)
{
    return command_run(argc, argv);
}
