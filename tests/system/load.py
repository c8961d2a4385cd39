"""Load for the system tests: requests made from a seed, sent by threads until each is acknowledged, and remembered."""
import http.client
import json
import random
import threading
import time

import throng


def make_request(rng, base_ms, users, span_ms=throng.DAY_MS, most=20):
    """One request with a source: events of one user within an hour, most of them close together."""
    user = f'user-{rng.randrange(users)}'
    start = base_ms + rng.randrange(span_ms)
    events = []
    for seq in range(rng.randint(1, most)):
        start += rng.choice((1, 500, 20000, 900000))
        events.append({'name': 'view', 'ts': min(start, base_ms + span_ms - 1), 'user': user, 'seq': seq})
    return {'source': throng.random_source(rng), 'events': events}


class Load:
    """Posts from several threads. Every request is tried with its own source until it is acknowledged."""

    def __init__(self, installation, key, base_ms, seed, threads=4, users=200, span_ms=throng.DAY_MS, app=None):
        self.installation, self.key, self.base_ms = installation, key, base_ms
        self.users, self.span_ms, self.app = users, span_ms, app
        self.random = [random.Random(f'{seed}/{number}') for number in range(threads)]
        self.ending = threading.Event()
        self.lock = threading.Lock()
        self.requests = []       # acknowledged, as they were sent
        self.events = 0          # in them
        self.tries = 0
        self.statuses = {}
        self.unexpected = []
        self.slowest_s = 0.0
        self.threads = [threading.Thread(target=self.work, args=(rng,), daemon=True) for rng in self.random]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.finish()

    def finish(self, seconds=120):
        """Let each thread get its last request acknowledged."""
        self.ending.set()
        for thread in self.threads:
            thread.join(seconds)
            if thread.is_alive():
                raise throng.Failure(f'a request was not acknowledged within {seconds} s: {self.statuses}')

    def work(self, rng):
        connection = None
        while not self.ending.is_set():
            request = make_request(rng, self.base_ms, self.users, self.span_ms)
            connection = self.send(connection, request)
        if connection:
            connection.close()

    def send(self, connection, request):
        """Try until it is acknowledged; returns the connection to go on with (or None)."""
        body = json.dumps(request).encode()
        pause, started = 0.02, time.monotonic()
        while True:
            status = None
            try:
                connection = connection or self.installation.connect(timeout=20)
                status, answer, _ = self.installation.post(body, self.key, connection=connection)
            except (OSError, http.client.HTTPException):
                if connection:
                    connection.close()
                connection = None
            with self.lock:
                self.tries += 1
                self.statuses[status] = self.statuses.get(status, 0) + 1
                if status == 202:
                    self.slowest_s = max(self.slowest_s, time.monotonic() - started)
                    if answer.get('accepted') != len(request['events']):
                        self.unexpected.append(answer)
                    self.requests.append(request)
                    self.events += len(request['events'])
                    return connection
                if status not in (None, 503):
                    self.unexpected.append((status, answer))
                    return connection
            time.sleep(pause)
            pause = min(pause * 1.5, 0.5)


def send_all(installation, key, requests, threads=4):
    """Send requests to an undisturbed app, in parallel."""
    todo = list(requests)
    failures = []

    def work():
        connection = installation.connect()
        while True:
            try:
                request = todo.pop()
            except IndexError:
                break
            status, answer, _ = installation.post(request, key, connection=connection)
            if status != 202 or answer['accepted'] != len(request['events']):
                failures.append((status, answer))
        connection.close()
    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if failures:
        raise throng.Failure(f'{len(failures)} requests failed: {failures[:3]}')
