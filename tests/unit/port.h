/*
 * A port of the loopback device for a server that a test starts, which no other test takes meanwhile: as tests/system/throng.py,
 * from the ports that the kernel does not give to connections, claimed by the name of an abstract socket for as long as the process
 * lives.
 */
#ifndef THRONG_TESTS_UNIT_PORT_H
#define THRONG_TESTS_UNIT_PORT_H

#include <netinet/in.h>
#include <sodium.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static bool port_bind(int fd, const void *address, size_t length)
{
    if (fd < 0)
        abort();
    return bind(fd, address, (socklen_t)length) == 0;
}

static int port_claim(void)
{
    for (;;) {
        int port = 20000 + (int)randombytes_uniform(12768);
        struct sockaddr_un name = {.sun_family = AF_UNIX};
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int length = snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "throng-test-port-%d", port);
        int claim = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        address.sin_port = htons((uint16_t)port);
        bool free = port_bind(claim, &name, offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length) &&
            port_bind(probe, &address, sizeof address);
        close(probe);
        if (free)
            return port;
        close(claim);
    }
}

#endif
