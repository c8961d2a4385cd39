#!/usr/bin/python3
"""Keys and people's requests at the edge: throng-ingest alone, with a Redis of its own, and what it puts into the streams.
Changes of keys are told once and with their orders, whatever is killed; another node that took over the keys gives the same
names; erasures, objections and access requests become packets before they are answered; a purge holds, with Redis away too.
THRONG_SEED sets the seed, THRONG_ROUNDS the number of kills (12; with THRONG_LONG=1: 60)."""
import base64
import contextlib
import glob
import hashlib
import http.client
import json
import os
import random
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
import unittest
import uuid

import throng

SEED = int(os.environ.get('THRONG_SEED', '20260402'))
ROUNDS = int(os.environ.get('THRONG_ROUNDS', '60' if throng.LONG else '12'))
SHARDS = 4
EVENTS, WATERMARK, COUNTS, ERASE, PURGE, NOTICE = range(1, 7)
BORN, RATCHETED, ROTATED, DESTROYED, JOINED, REPLAYED, STEPPED_BACK, STARTED, STOPPED, FAILED, PASSED = range(1, 12)
ZEROS = bytes(32)
PUBLIC_KEY = base64.b64encode(bytes.fromhex('8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a')).decode()


def take(body, form):
    size = struct.calcsize('<' + form)
    return struct.unpack_from('<' + form, body), body[size:]


def take_names(body):
    (count,), body = take(body, 'B')
    return [body[16 * i:16 * i + 16] for i in range(count)], body[16 * count:]


class Packet:
    """One stream entry, as far as these tests look at it."""

    def __init__(self, raw):
        assert raw[:3] == b'TH\x01', raw[:3]
        self.raw = raw
        self.type, self.node, self.shard, self.n = struct.unpack_from('<BQHQ', raw, 3)
        body = raw[22:]
        if self.type == ERASE:
            (self.app, self.request, self.kind, self.at_ms), body = take(body, 'I16sBq')
            self.names, self.seal = take_names(body)
        elif self.type == PURGE:
            (self.app, self.request, self.at_ms), body = take(body, 'I16sq')
        elif self.type == NOTICE:
            (self.act, self.app, self.at_ms, self.epoch, self.count, self.request, self.ring, self.hash,
                self.former), body = take(body, 'BIqIQ16s32s32s32s')
            assert body == b''
        elif self.type == EVENTS and body:
            (self.app, _, self.epoch, _, flags), body = take(body, 'IIIqB')
            body = body[16 * bool(flags & 2) + 16 * bool(flags & 4):]
            _, body = take(body, 'HB')
            self.names, _ = take_names(body)


class Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__('localhost', timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(30)
        self.sock.connect(self.path)


class Redis:
    """A Redis for ingest's streams and catalogue."""

    def __init__(self, folder):
        self.folder, self.path, self.process = folder, os.path.join(folder, 'redis.sock'), None
        self.start()

    def start(self):
        self.process = subprocess.Popen(['redis-server', '--port', '0', '--unixsocket', self.path, '--dir', self.folder,
            '--appendonly', 'yes', '--appendfsync', 'always', '--save', ''], stdout=subprocess.DEVNULL)
        throng.wait_for(self.answers, 30, 'Redis')

    def answers(self):
        try:
            return self('PING') == b'PONG'
        except (OSError, throng.RedisError):
            return False

    def __call__(self, *words):
        client = throng.Redis(self.path)
        try:
            return client(*words)
        finally:
            client.close()

    def packets(self, *types):
        """All packets in all streams, first copies only, in the order of each stream."""
        seen, found = set(), []
        for shard in range(SHARDS):
            for _, fields in self('XRANGE', 'throng:{%d}' % shard, '-', '+') or []:
                packet = Packet(fields[1])
                if packet.type not in types or (packet.node, shard, packet.n) in seen:
                    continue
                seen.add((packet.node, shard, packet.n))
                found.append(packet)
        return found

    def notices(self, *acts):
        return [packet for packet in self.packets(NOTICE) if not acts or packet.act in acts]

    def kill(self):
        self.process.kill()
        self.process.wait()


class Node:
    """One throng-ingest."""

    def __init__(self, redis, folder, name, **more):
        self.redis = redis
        self.state, self.run = os.path.join(folder, name), os.path.join(folder, name + '-run')
        os.makedirs(self.run)
        self.log = os.path.join(folder, name + '.log')
        self.port, self.private_port, self.process = throng.free_port(), throng.free_port(), None
        self.environment = {**{k: v for k, v in os.environ.items() if not k.startswith('THRONG_')},
            'THRONG_REDIS_SOCKET': redis.path, 'THRONG_STREAM_SHARDS': str(SHARDS), 'THRONG_RUN_DIRECTORY': self.run,
            'THRONG_INGEST_STATE': self.state, 'THRONG_INGEST_SEAL': 'a seal of ' + name, 'THRONG_REDIS_TIMEOUT_MS': '300',
            'THRONG_INGEST_LISTEN': f'127.0.0.1:{self.port}',
            'THRONG_INGEST_PRIVATE_LISTEN': f'127.0.0.1:{self.private_port}', **more}

    def start(self, wait=True):
        with open(self.log, 'ab') as log:
            self.process = subprocess.Popen([os.path.join(throng.BUILD, 'throng-ingest')], env=self.environment, stderr=log,
                stdin=subprocess.DEVNULL, cwd='/')
        if wait:
            throng.wait_for(self.ready, 30, 'throng-ingest')
        return self

    def ready(self):
        assert self.process.poll() is None, self.tail()
        with contextlib.suppress(OSError):
            return self.admin('GET', '/v1/node')[0] == 200

    def tail(self):
        with open(self.log, encoding='utf-8', errors='replace') as file:
            return ''.join(file.readlines()[-8:])

    def stop(self, number=signal.SIGTERM):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(60)
        return self.process.returncode if self.process else 0

    def ask(self, connection, method, path, body, headers):
        raw = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            connection.request(method, path, raw, {'Content-Type': 'application/json', **headers})
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        throng.Described.check(method, path, raw, response.status, dict(response.getheaders()), answer)
        return response.status, json.loads(answer or b'null'), dict(response.getheaders())

    def admin(self, method, path, body=None):
        return self.ask(Unix(os.path.join(self.run, 'ingest.admin')), method, path, body, {})

    def private(self, path, body, key=None):
        headers = {'Authorization': 'Bearer ' + key} if key else {}
        return self.ask(http.client.HTTPConnection('127.0.0.1', self.private_port, timeout=30), 'POST', path, body, headers)

    def send(self, user, app='shop'):
        return self.admin('POST', f'/v1/apps/{app}/events',
            {'events': [{'name': 'view', 'ts': throng.now_ms(), 'user': user}], 'source': throng.random_source()})

    def keys(self):
        return {key['app']: key for key in self.admin('GET', '/v1/keys')[1]['keys']}

    def scan(self, text):
        """Files of this node that hold text."""
        found = []
        for path in [self.log, *glob.glob(os.path.join(self.state, '**'), recursive=True)]:
            if os.path.isfile(path):
                with open(path, 'rb') as file:
                    if text.encode() in file.read():
                        found.append(path)
        return found


def definition(name):
    return {'name': name, 'time_zone': 'UTC', 'privacy': {'preset': 'exact', 'allow_unprotected': True},
        'events': [{'name': 'view'}]}


class KeysAndRequests(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix='throng-edge-')
        self.nodes = []
        self.erase, self.erase_shop, self.ingest_key = (secrets.token_urlsafe(24) for _ in range(3))
        self.redis = Redis(self.folder)
        self.publish(1)

    def tearDown(self):
        for node in self.nodes:
            node.stop()
        self.redis.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def publish(self, version):
        def key(text, app):
            return {'hash': hashlib.blake2b(text.encode(), digest_size=32).hexdigest(), 'app': app}
        document = {'format': 1, 'version': version, 'shards': SHARDS, 'write_keys': [],
            'ingest_keys': [key(self.ingest_key, 0)], 'erase_keys': [key(self.erase, 0), key(self.erase_shop, 1)],
            'apps': [{'id': i + 1, 'version': 1, 'mode': 'live', 'sealed_until_ms': 0, 'definition': definition(name)}
                for i, name in enumerate(('shop', 'news'))]}
        self.redis('HSET', 'throng:catalogue', 'version', str(version), 'json', json.dumps(document))

    def node(self, name='a', **more):
        node = Node(self.redis, self.folder, name, **more)
        self.nodes.append(node)
        return node

    def wait_notices(self, count, *acts, app=None):
        def told():
            found = [notice for notice in self.redis.notices(*acts) if app is None or notice.app == app]
            return found if len(found) >= count else None
        return throng.wait_for(told, 20, lambda: f'{count} notices of {acts}, of {[(p.act, p.app) for p in self.redis.notices()]}')

    def test_life_of_keys(self):
        node = self.node().start()
        self.assertEqual(len(self.wait_notices(2, BORN)), 2)
        started = self.wait_notices(1, STARTED)[0]
        with open(os.path.join(throng.BUILD, 'throng-ingest'), 'rb') as file:
            self.assertEqual(started.hash, hashlib.sha256(file.read()).digest())
        self.assertNotEqual(started.former, ZEROS)
        first = node.keys()['shop']
        self.assertEqual((first['linked'], first['linked_epochs']), ([], 0))
        orders = {change: uuid.uuid4() for change in ('ratchet', 'rotate', 'destroy')}
        for change, order in orders.items():
            status, answer, _ = node.admin('POST', f'/v1/keys/shop/{change}?order={order}')
            self.assertEqual(status, 200, answer)
            if change == 'ratchet':
                key = node.keys()['shop']
                self.assertEqual(key['linked'][0]['commitment'], first['commitment'])
                self.assertEqual(key['linked'][0]['linkable_until_ms'], key['next_ratchet_ms'])
        born, ratcheted, rotated, *rest = [p for p in self.wait_notices(6, BORN, RATCHETED, ROTATED, DESTROYED, app=1)]
        self.assertEqual((born.act, ratcheted.act, rotated.act), (BORN, RATCHETED, ROTATED))
        self.assertEqual([born.hash.hex(), ratcheted.request, rotated.request, rotated.former],
            [first['commitment'], orders['ratchet'].bytes, orders['rotate'].bytes, born.hash])
        self.assertEqual([p.act for p in rest], [DESTROYED, DESTROYED, BORN])
        self.assertEqual({p.hash for p in rest[:2]}, {ratcheted.hash, rotated.hash})
        self.assertEqual({p.request for p in rest}, {orders['destroy'].bytes})
        self.assertEqual(rest[2].hash.hex(), node.keys()['shop']['commitment'])
        self.assertEqual(node.admin('POST', '/v1/keys/shop/ratchet?order=12')[1]['field'], 'order')
        self.assertEqual(node.admin('POST', '/v1/keys/nobody/ratchet')[0], 404)
        self.assertEqual(node.stop(), 0)
        self.assertEqual(len(self.wait_notices(1, STOPPED)), 1)
        told = len(self.redis.notices())
        node.start()
        self.wait_notices(2, STARTED)
        time.sleep(2)
        self.assertEqual(len(self.redis.notices()), told + 1) # nothing twice

    def test_another_node_joins(self):
        node = self.node().start()
        self.assertEqual(node.admin('POST', '/v1/keys/shop/rotate')[0], 200)
        phrase = secrets.token_urlsafe(16)
        self.assertEqual(node.admin('POST', '/v1/keys/export', {'passphrase': 'short'})[1]['field'], 'passphrase')
        status, answer, _ = node.admin('POST', '/v1/keys/export', {'passphrase': phrase})
        self.assertEqual(status, 200, answer)
        self.assertEqual(os.stat(answer['file']).st_mode & 0o777, 0o600)
        self.assertEqual(node.scan(phrase), [])
        other = self.node('b', THRONG_INGEST_CREATE_KEYS='false')
        def load(words):
            return subprocess.run([os.path.join(throng.BUILD, 'throng-ingest'), '--import-keys', answer['file']], timeout=60,
                env={**other.environment, 'THRONG_IMPORT_PASSPHRASE': words}, capture_output=True)
        self.assertEqual(load('another phrase').returncode, 1)
        done = load(phrase)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(load(phrase).returncode, 1) # it has keys now
        other.start()
        joined = self.wait_notices(3, JOINED)
        self.assertEqual({p.hash.hex() for p in joined if p.app == 1},
            {node.keys()['shop']['commitment'], node.keys()['shop']['linked'][0]['commitment']})
        self.assertNotEqual(node.keys()['shop']['ring'], other.keys()['shop']['ring'])
        self.assertEqual({p.ring.hex() for p in joined}, {other.keys()['shop']['ring']})
        for each in (node, other):
            self.assertEqual(each.send('ada')[0], 202)
        here, there = throng.wait_for(lambda: (lambda p: p if len(p) == 2 else None)(self.redis.packets(EVENTS)), 20, 'events')
        self.assertNotEqual(here.node, there.node)
        self.assertEqual((here.names, here.shard, here.epoch), (there.names, there.shard, there.epoch))

    def test_what_people_ask_for(self):
        node = self.node().start()
        user = 'person-' + secrets.token_hex(8)
        self.assertEqual(node.send(user)[0], 202)
        asked = [('erasures', 'erasure', 1, {}), ('objections', 'objection', 2, {}),
            ('objections', 'withdrawal', 4, {'withdraw': True}), ('access-requests', 'access', 3, {'seal_to': PUBLIC_KEY})]
        receipts = {}
        for path, kind, number, more in asked:
            before = throng.now_ms()
            for status, answer, _ in (node.admin('POST', f'/v1/apps/shop/{path}', {'user': user, **more}),
                    node.private(f'/v1/apps/shop/{path}', {'user': user, **more}, self.erase_shop),
                    node.private(f'/v1/apps/shop/{path}', json.dumps({'user': user, **more}).replace('p', '\\u0070', 1).encode(),
                        self.erase)):
                self.assertEqual((status, answer['kind'], answer['app']), (202, kind, 'shop'))
                self.assertEqual(answer['due_at'] - answer['received_at'], 30 * throng.DAY_MS)
                self.assertEqual(answer['last_due_at'] - answer['received_at'], 45 * throng.DAY_MS)
                self.assertGreaterEqual(answer['received_at'], before)
                receipts[uuid.UUID(answer['request']).bytes] = number, answer['received_at']
        event = self.redis.packets(EVENTS)[0]
        packets = self.redis.packets(ERASE)
        self.assertEqual({p.request: (p.kind, p.at_ms) for p in packets}, receipts)
        for packet in packets:
            self.assertEqual((packet.names, packet.shard, packet.app), (event.names, event.shard, 1))
            self.assertEqual(packet.seal, base64.b64decode(PUBLIC_KEY) if packet.kind == 3 else b'')
        self.refusals(node, user)
        self.assertEqual(node.scan(user), [])

    def refusals(self, node, user):
        seal = {'seal_to': PUBLIC_KEY}
        for path, body, field in [
                ('erasures', {}, 'user'), ('erasures', {'user': ''}, 'user'), ('erasures', {'user': 'x' * 257}, 'user'),
                ('erasures', {'user': 7}, 'user'), ('erasures', {'user': user, **seal}, 'seal_to'),
                ('erasures', {'user': user, 'withdraw': True}, 'withdraw'), ('erasures', {'user': user, user: 1}, None),
                ('access-requests', {'user': user}, 'seal_to'), ('access-requests', {'user': user, 'seal_to': user}, 'seal_to'),
                ('access-requests', {'user': user, 'seal_to': base64.b64encode(bytes(32)).decode()}, 'seal_to'),
                ('objections', {'user': user, 'withdraw': 1}, 'withdraw'), ('erasures', f'{{"user":"{user}"'.encode(), None)]:
            status, answer, headers = node.admin('POST', f'/v1/apps/shop/{path}', body)
            self.assertEqual((status, answer.get('field')), (400, field), (path, answer))
            self.assertEqual(headers['Content-Type'], 'application/problem+json')
            self.assertNotIn(user, json.dumps(answer))
        long = Unix(os.path.join(node.run, 'ingest.admin'))
        long.putrequest('POST', '/v1/apps/shop/erasures')
        long.putheader('Content-Length', '9000')
        long.putheader('Content-Type', 'application/json')
        long.endheaders()
        self.assertEqual(long.getresponse().status, 413)
        long.close()
        self.assertEqual(node.admin('GET', '/v1/apps/shop/erasures')[0], 405)
        self.assertEqual(node.admin('POST', '/v1/apps/nothing/erasures', {'user': user})[0], 404)
        path, body = '/v1/apps/news/erasures', {'user': user}
        self.assertEqual(node.private(path, body)[0], 401)
        self.assertEqual(node.private(path, body, 'no key')[0], 401)
        self.assertEqual(node.private(path, body, self.ingest_key)[0], 403)
        self.assertEqual(node.private(path, body, self.erase_shop)[0], 403)
        self.assertEqual(node.private('/v1/keys', body, self.erase)[0], 404)
        events = {'app': 'shop', 'events': [{'name': 'view', 'ts': throng.now_ms(), 'user': user}]}
        public = http.client.HTTPConnection('127.0.0.1', node.port, timeout=30)
        self.assertEqual(node.ask(public, 'POST', '/v1/events', events, {'Authorization': 'Bearer ' + self.erase})[0], 401)
        # Two were asked for above by each key.
        answers = [node.private('/v1/apps/shop/access-requests', {'user': user, **seal}, self.erase) for _ in range(10)]
        self.assertEqual([status for status, _, _ in answers], [202] * 9 + [429])
        self.assertGreater(int(answers[-1][2]['Retry-After']), 3000)
        self.assertEqual(node.private('/v1/apps/shop/access-requests', {'user': user, **seal}, self.erase_shop)[0], 202)

    def test_purge_with_redis_away(self):
        node = self.node().start()
        # An incarnation that has not ended lets the spool take over at once after the next start.
        self.assertEqual(node.send('ada')[0], 202)
        self.redis.kill()
        self.assertEqual(node.send('bea')[0], 202)
        self.assertEqual(node.send('cat', 'news')[0], 202)
        order = uuid.uuid4()
        self.assertEqual(node.admin('POST', '/v1/apps/shop/purge')[1]['field'], 'order')
        status, answer, _ = node.admin('POST', f'/v1/apps/shop/purge?order={order}')
        self.assertEqual((status, answer), (200, {'app': 'shop', 'purged': True, 'finished': True}))
        self.assertNotIn('shop', node.keys())
        def refused():
            status, answer, headers = node.send('dan')
            self.assertEqual((status, answer['type']), (503, 'urn:throng:problem:purged'))
            self.assertIn('Retry-After', headers)
            self.assertEqual(node.send('dan', 'news')[0], 202)
            self.assertEqual(node.admin('POST', '/v1/apps/shop/erasures', {'user': 'ada'})[1]['type'], 'urn:throng:problem:purged')
        refused()
        node.stop(signal.SIGKILL)
        node.start()
        refused()
        self.redis.start()
        throng.wait_for(lambda: len(self.redis.packets(PURGE)) == SHARDS, 20, 'purges')
        self.assertEqual({(p.shard, p.app, p.request) for p in self.redis.packets(PURGE)},
            {(shard, 1, order.bytes) for shard in range(SHARDS)})
        throng.wait_for(lambda: node.admin('GET', '/v1/node')[1]['spool_bytes'] == 0, 20, 'an empty spool')
        counted = [p for p in self.redis.packets(EVENTS) if hasattr(p, 'app')]
        self.assertEqual(sum(p.app == 1 for p in counted), 1) # only the one that was in Redis already
        self.assertEqual(sum(p.app == 2 for p in counted), 3)
        gone = self.wait_notices(1, DESTROYED, app=1)
        self.assertEqual({p.request for p in gone}, {order.bytes})
        self.assertGreaterEqual(self.wait_notices(1, REPLAYED)[0].count, 1)
        self.publish(2)
        time.sleep(1.5)
        self.assertNotIn('shop', node.keys()) # a newer catalogue makes no key either
        again = uuid.uuid4()
        self.assertEqual(node.admin('POST', f'/v1/apps/shop/resume?order={again}')[0], 200)
        self.assertEqual(node.admin('POST', f'/v1/apps/shop/resume?order={again}')[0], 409)
        self.assertEqual(node.send('dan')[0], 202)
        self.assertEqual(self.wait_notices(2, BORN, app=1)[1].request, again.bytes)

    def test_self_test(self):
        throng.clear_of_midnight()
        node = self.node().start()
        status, answer, _ = node.admin('POST', '/v1/self-test')
        self.assertEqual((status, answer['ok'], answer['found']), (200, True, 0))
        self.assertGreaterEqual(answer['places'], 3)
        self.assertEqual(node.admin('POST', '/v1/self-test')[0], 200)
        self.assertEqual(len(self.wait_notices(1, PASSED)), 1)
        time.sleep(2)
        self.assertEqual(len(self.redis.notices(PASSED)), 1) # one a day
        self.assertEqual(self.redis.packets(EVENTS), [])

    def test_killed_at_any_moment(self):
        """Orders and requests while ingest and Redis are killed: what was answered with 2xx is in the streams, and the
        notices tell the life of every key without a gap."""
        rng = random.Random(SEED)
        print(f'seed {SEED}, {ROUNDS} rounds', flush=True)
        node = self.node().start()
        wanted, orders, refused = {}, {}, 0
        for _ in range(ROUNDS):
            away = rng.random() < 0.3
            if away:
                self.redis.kill()
            until = time.monotonic() + rng.uniform(0.05, 1.0)
            victim = subprocess.Popen(['sh', '-c', f'sleep {rng.uniform(0.02, 1.0):.3f}; kill -9 {node.process.pid}'])
            while time.monotonic() < until:
                try:
                    if rng.random() < 0.5:
                        status, answer, _ = node.admin('POST', '/v1/apps/shop/erasures', {'user': secrets.token_hex(6)})
                        if status == 202:
                            wanted[uuid.UUID(answer['request']).bytes] = 1
                    else:
                        order, change = uuid.uuid4(), rng.choice(('ratchet', 'rotate'))
                        status, answer, _ = node.admin('POST', f'/v1/keys/shop/{change}?order={order}')
                        if status == 200:
                            orders[order.bytes] = {'ratchet': RATCHETED, 'rotate': ROTATED}[change]
                    refused += status >= 500
                except (OSError, http.client.HTTPException):
                    pass
            victim.wait()
            node.process.wait()
            if away:
                self.redis.start()
            node.start()
        final = node.keys()['shop']
        self.wait_notices(1, BORN, RATCHETED, ROTATED, app=1)
        throng.wait_for(lambda: final['commitment'] in {p.hash.hex() for p in self.redis.notices()}, 20, 'the last key')
        throng.wait_for(lambda: node.admin('GET', '/v1/node')[1]['spool_bytes'] == 0, 20, 'an empty spool')
        self.assertLessEqual(set(wanted), {p.request for p in self.redis.packets(ERASE)})
        steps = {}
        for p in self.redis.notices(BORN, RATCHETED, ROTATED):
            if p.app == 1:
                self.assertEqual(steps.setdefault(p.epoch, p.hash), p.hash)
        acts = {p.request: p.act for p in self.redis.notices(RATCHETED, ROTATED)}
        self.assertEqual({order: acts.get(order) for order in orders}, orders)
        self.assertEqual(sorted(steps), list(range(min(steps), final['epoch'] + 1)))
        print(f'{len(wanted)} requests, {len(orders)} orders, {len(steps)} keys, {refused} refused', flush=True)


if __name__ == '__main__':
    throng.main()
