#!/usr/bin/python3
"""People's requests by API keys at ingest's private listener, through the whole installation: who may ask what, what the answers
and receipts say (and what they do not), odd identifiers, many requests at once, a change of keys in between, and a request that
waits in the spool while the person goes on. THRONG_REQUESTS: how many at once (1,000; with THRONG_LONG=1: 10,000)."""
import base64
import http.client
import json
import os
import signal
import threading
import time
import unittest

import remains
import throng

MANY = int(os.environ.get('THRONG_REQUESTS', '10000' if throng.LONG else '1000'))
SEAL_TO = base64.b64encode(bytes.fromhex('8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a')).decode()


class PrivateRequests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.port = throng.free_port()
        cls.app = throng.Throng({'THRONG_INGEST_PRIVATE_LISTEN': f'127.0.0.1:{cls.port}'}).__enter__()
        try:
            for name in ('shop', 'blog'):
                cls.app.add_app(name, ('view',))
            cls.erase, cls.shop, cls.read = [json.loads(cls.app.cli('--json', 'key', 'add', '--scope', scope))['key']
                for scope in ('erase', 'erase:shop', 'read')]
            throng.wait_for(lambda: cls.ask('shop', 'erasures', {}, cls.shop)[0] == 400, 30, 'the key at ingest')
        except BaseException:
            cls.app.__exit__(None, None, None)
            raise

    @classmethod
    def tearDownClass(cls):
        cls.app.__exit__(None, None, None)

    @classmethod
    def ask(cls, app, kind, body, key=None, method='POST', connection=None, **headers):
        """(status, answer, headers) of the private listener, held against the description."""
        own, path = connection is None, f'/v1/apps/{app}/{kind}'
        connection = connection or http.client.HTTPConnection('127.0.0.1', cls.port, timeout=60)
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        fields = {'Content-Type': 'application/json', **headers}
        if key:
            fields['Authorization'] = f'Bearer {key}'
        connection.request(method, path, raw, fields)
        response = connection.getresponse()
        status, answer, got = response.status, response.read(), dict(response.getheaders())
        if own:
            connection.close()
        throng.Described.check(method, path, raw if status == 202 else None, status, got, answer)
        return status, json.loads(answer), got

    def receipt(self, request, key=None):
        status, body, _ = self.app.ask(f'/v1/requests/{request}', key or self.erase)
        return json.loads(body) if status == 200 else status

    def applied(self, request):
        """The receipt, once there is one; asked for slowly, as receipts are rationed."""
        found = []
        def look():
            found.append(self.receipt(request))
            return isinstance(found[-1], dict)
        throng.wait_for(look, 60, 'the receipt', 0.3)
        return found[-1]

    def send(self, *users, app='shop', count=1):
        events = [{'name': 'view', 'user': user, 'ts': throng.now_ms(), 'session': 'session-of-' + user} for user in users
            for _ in range(count)]
        status, answer, _ = self.app.post({'source': throng.random_source(), 'events': events}, self.app.keys[app])
        self.assertEqual((status, answer['accepted']), (202, len(events)))

    def counted(self, user, app='shop'):
        """Events in the fragments of a person."""
        return int(self.app.sql('SELECT coalesce(sum(events), 0) FROM state.fragment WHERE usr = ANY (%s)',
            (list(remains.names(self.app, app, user)),))[0][0])

    def test_who_may_ask(self):
        body = {'user': 'somebody'}
        self.assertEqual(self.ask('shop', 'erasures', body)[0], 401)
        self.assertEqual(self.ask('nowhere', 'erasures', body)[0], 401)
        for key in ('ak_nonsense', 'x' * 5000, self.read): # ingest does not know readers' keys
            self.assertEqual(self.ask('shop', 'erasures', body, key)[0], 401)
        self.assertEqual(self.ask('shop', 'erasures', body, self.app.keys['shop'])[0], 403)
        for name in ('blog', 'nowhere'): # who may not ask learns nothing of apps
            self.assertEqual(self.ask(name, 'erasures', body, self.shop)[0], 403)
        self.assertEqual(self.ask('nowhere', 'erasures', body, self.erase)[0], 404)
        self.assertEqual(self.ask('shop', 'erasures', body, self.erase, method='GET')[0], 405)
        self.assertEqual(self.ask('shop', 'erasures', b'user=x', self.erase, **{'Content-Type': 'text/plain'})[0], 415)
        status, given, _ = self.ask('shop', 'erasures', body, self.shop)
        self.assertEqual(status, 202)
        self.assertEqual(self.applied(given['request'])['stage'], 'applied')
        self.assertEqual(self.receipt(given['request'], self.shop)['request'], given['request'])
        self.assertEqual(self.receipt(given['request'], self.read), 403)
        # Of another app's requests a key says as much as of those that there are not.
        other = self.ask('blog', 'erasures', body, self.erase)[1]
        self.applied(other['request'])
        self.assertEqual([self.receipt(name, self.shop) for name in (other['request'], '00000000-0000-4000-8000-000000000000')],
            [404, 404])

    def test_nothing_says_who_is_known(self):
        """Answers, receipts and leaves of a person who is there and of one who never was: alike."""
        self.send('known')
        throng.wait_for(lambda: self.counted('known') == 1, 30, 'the person')
        shapes = []
        for user in ('known', 'never'):
            for kind in ('erasures', 'objections'):
                given = self.ask('shop', kind, {'user': user}, self.erase)[1]
                receipt = self.applied(given['request'])
                leaves = self.app.sql("""SELECT octet_length(leaf) FROM audit.outbox WHERE position(%s::bytea in leaf) > 0
                    ORDER BY written_at, act""", (given['request'].encode(),))
                shapes.append((kind, sorted(given), sorted(receipt), receipt['stage'],
                    receipt['due_at'] - receipt['received_at'], leaves))
        self.assertEqual(shapes[:2], shapes[2:])

    def test_odd_identifiers(self):
        for user in ('', 'x' * 257, 'ü' * 129, 7, None, ['x'], {'a': 1}, True):
            self.assertEqual(self.ask('shop', 'erasures', {'user': user}, self.erase)[0], 400, user)
        for raw in (b'{"user":"\xff\xfe"}', b'{"user":"\\ud800"}', b'{"user":"x"', b'[]', b'', b'null', b'{"user":"a","user":"b"}',
            b'{"user":"x","seal_to":"' + SEAL_TO.encode() + b'"}', b'{"user":"x","else":1}', b'{"user":"x\x00"}'):
            self.assertEqual(self.ask('shop', 'erasures', raw, self.erase)[0], 400, raw)
        self.assertEqual(self.ask('shop', 'erasures', b'{"user":"' + b'x' * 9000 + b'"}', self.erase)[0], 413)
        for user in ('x' * 256, 'ü' * 128, ' ', '💥', 'a\tb'):
            self.assertEqual(self.ask('shop', 'erasures', {'user': user}, self.erase)[0], 202, user)
        # A NUL is a character like any other, or refused, but never an end: `nul` is not `nul\0x`.
        self.send('nul')
        throng.wait_for(lambda: self.counted('nul') == 1, 30, 'the person')
        status, given, _ = self.ask('shop', 'erasures', {'user': 'nul\0x'}, self.erase)
        if status == 202:
            self.applied(given['request'])
        self.assertEqual(self.counted('nul'), 1)

    def test_access_is_rationed(self):
        key = json.loads(self.app.cli('--json', 'key', 'add', '--scope', 'erase:shop'))['key']
        throng.wait_for(lambda: self.ask('shop', 'erasures', {}, key)[0] == 400, 30, 'the key at ingest')
        body = {'user': 'known', 'seal_to': SEAL_TO}
        answers = [self.ask('shop', 'access-requests', body, key) for _ in range(12)]
        self.assertEqual([status for status, _, _ in answers], [202] * 10 + [429] * 2)
        self.assertGreater(int(answers[-1][2]['Retry-After']), 3000)
        self.assertEqual(self.ask('shop', 'access-requests', body, self.erase)[0], 202)
        self.assertEqual(self.ask('shop', 'erasures', {'user': 'known'}, key)[0], 202)
        receipt = self.applied(answers[0][1]['request'])
        self.assertGreater(len(base64.b64decode(receipt['answer'])), 48)

    def test_many_at_once(self):
        """Each is applied, once; whoever sends meanwhile is counted."""
        taken, lock = [], threading.Lock()

        def run(first):
            connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=60)
            for i in range(first, MANY, 8):
                status, answer = 503, None
                while status == 503:
                    status, answer, _ = self.ask('blog', 'erasures', {'user': f'one-of-many-{i}'}, self.erase, connection=connection)
                with lock:
                    taken.append((status, answer.get('request')))
            connection.close()

        there = [f'one-of-many-{i}' for i in range(0, MANY, 10)]
        for first in range(0, len(there), 100):
            self.send(*there[first:first + 100], app='blog')
        self.app.wait_drained()
        started = time.monotonic()
        threads = [threading.Thread(target=run, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        self.send('meanwhile', app='blog')
        for thread in threads:
            thread.join()
        said = time.monotonic() - started
        self.assertEqual({status for status, _ in taken}, {202})
        ids = {request for _, request in taken}
        self.assertEqual(len(ids), MANY)
        throng.wait_for(lambda: self.app.sql('SELECT count(*) FROM subject.request WHERE id = ANY (%s::uuid[])', (list(ids),))
            == [(MANY,)], 60 + MANY / 20, 'all of them to be applied', 0.5)
        print(f'{MANY} requests taken in {said:.1f} s, applied after {time.monotonic() - started:.1f} s', flush=True)
        self.assertEqual(self.app.sql('SELECT count(*) FROM state.person WHERE app = %s', (self.app.app_id('blog'),)), [(1,)])

    def test_keys_change_meanwhile(self):
        """Whoever asks while the keys ratchet is erased under both names."""
        people = [f'ratchet-{i}' for i in range(60)]
        self.send(*people)
        self.app.wait_drained()
        names = remains.names(self.app, 'shop', *people)
        order = threading.Thread(target=lambda: self.app.cli('keys', 'ratchet', '--app', 'shop'))
        order.start()
        requests = []
        for i, user in enumerate(people):
            requests.append(self.ask('shop', 'erasures', {'user': user}, self.erase))
            if i % 10 == 0:
                self.send(user) # who goes on is new, under one name or both
        order.join()
        self.assertEqual({status for status, _, _ in requests}, {202})
        for _, given, _ in requests:
            self.applied(given['request'])
        self.app.wait_drained()
        names |= remains.names(self.app, 'shop', *people)
        left = {bytes(usr) for usr, in self.app.sql('SELECT usr FROM state.person WHERE usr = ANY (%s)', (list(names),))}
        again = remains.names(self.app, 'shop', *[user for i, user in enumerate(people) if i % 10 == 0])
        self.assertTrue(left and left <= again)

    def test_test_apps(self):
        """A test app's people are its own, and forgotten in its live view."""
        key = self.app.cli('app', 'key', 'shop', '--test').strip()

        def view(user):
            event = {'name': 'view', 'user': user, 'ts': throng.now_ms(), 'session': 'session-of-' + user}
            return self.app.post({'source': throng.random_source(), 'events': [event]}, key)[0]

        def seen():
            return self.app.sql('SELECT count(*) FROM live.event')[0][0]

        throng.wait_for(lambda: view('tester') == 202, 30, 'the test key')
        throng.wait_for(lambda: seen() >= 1, 30, 'the live view')
        self.applied(self.ask('shop', 'objections', {'user': 'tester'}, self.erase)[1]['request'])
        self.assertGreaterEqual(seen(), 1)
        names = remains.names(self.app, 'shop-test', 'tester')
        self.assertTrue(remains.rows(self.app, names))
        throng.wait_for(lambda: self.ask('shop-test', 'objections', {'user': 'tester'}, self.erase)[0] == 202, 30, 'the test app')
        throng.wait_for(lambda: seen() == 0, 30, 'the objection')
        self.assertEqual(view('tester'), 202)
        self.assertEqual(view('another'), 202)
        throng.wait_for(lambda: seen() == 1, 30, 'the other one')
        self.assertEqual(remains.rows(self.app, names), [])

    def test_order_over_the_spool(self):
        """Redis is away: what came before the request is gone, what came after it counts."""
        self.send('waits', count=2)
        throng.wait_for(lambda: self.counted('waits') == 2, 30, 'the person')
        pid = self.app.kill('redis', signal.SIGSTOP)
        try:
            self.send('waits', count=3)
            status, given, _ = self.ask('shop', 'erasures', {'user': 'waits'}, self.erase)
            self.assertEqual(status, 202)
            time.sleep(0.01)
            self.send('waits', count=4)
            self.send('objects', count=5)
            self.assertEqual(self.ask('shop', 'objections', {'user': 'objects'}, self.erase)[0], 202)
            self.send('objects', count=6)
        finally:
            os.kill(pid, signal.SIGCONT)
        self.applied(given['request'])
        self.app.wait_drained()
        self.send('objects')
        self.app.wait_drained()
        self.assertEqual((self.counted('waits'), self.counted('objects')), (4, 0))


if __name__ == '__main__':
    throng.main()
