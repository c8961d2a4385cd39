"""A proxy between a daemon and Redis that can lose replies, or answer every command with an error."""
import contextlib
import os
import socket
import threading


class Proxy:
    """Stands in the place of the installation's Redis socket while it lives; the daemons must connect anew (kill them)."""

    def __init__(self, installation):
        self.place = os.path.join(installation.data, 'run', 'redis.sock')
        self.real = self.place + '.real'
        self.lose_after = None   # bytes of a command: replies from the first such command on are lost
        self.error = None        # bytes: the answer to every command
        self.lost = self.refused = 0
        self.open = []

    def __enter__(self):
        owner = os.stat(self.place)
        os.rename(self.place, self.real)
        self.server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.server.bind(self.place)
        os.chown(self.place, owner.st_uid, owner.st_gid)
        os.chmod(self.place, 0o700)
        self.server.listen(64)
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        """Put the real socket back; what is connected through here loses its connection."""
        os.rename(self.real, self.place)
        with contextlib.suppress(OSError):
            self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        self.cut()

    def cut(self):
        self.close(*self.open)
        self.open.clear()

    def accept(self):
        while True:
            try:
                client, _ = self.server.accept()
                server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                server.connect(self.real)
            except OSError:
                return
            self.open += [client, server]
            state = {'losing': False, 'refusing': 0}
            threading.Thread(target=self.forward, args=(client, server, state), daemon=True).start()
            threading.Thread(target=self.answer, args=(server, client, state), daemon=True).start()

    def forward(self, client, server, state):
        with contextlib.suppress(OSError):
            while True:
                data = client.recv(1 << 20)
                if not data:
                    break
                if self.error and b'AUTH' not in data:
                    # A pipeline asks for one answer a command; commands begin with *.
                    count = sum(data.count(b'*%d\r\n$' % words) for words in range(1, 12)) or 1
                    self.refused += count
                    client.sendall(self.error * count)
                    continue
                if self.lose_after and self.lose_after in data.upper():
                    state['losing'] = True
                server.sendall(data)
        self.close(client, server)

    def answer(self, server, client, state):
        with contextlib.suppress(OSError):
            while True:
                data = server.recv(1 << 20)
                if not data:
                    break
                if state['losing']:
                    self.lost += 1
                    if not self.lose_after:
                        break
                    continue
                client.sendall(data)
        self.close(client, server)

    @staticmethod
    def close(*ends):
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
