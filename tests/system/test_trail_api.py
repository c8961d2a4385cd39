#!/usr/bin/python3
"""The audit trail over HTTP, read as any client of tiled logs would: tree and tiles are computed here from the entries and must be
those of the checkpoint; proofs verify; searches find what the database has; who may not, sees nothing; reads are in the trail.
People's receipts, and what health and metrics say of all that."""
import base64
import concurrent.futures
import hashlib
import http.client
import io
import json
import os
import subprocess
import tarfile
import time
import unittest
import uuid

from prometheus_client import parser

import openapi
import throng

DAY = 24 * 3600


# --- RFC 9162, section 2.1, by its definition -------------------------------------------------------------------------------

def leaf_hash(entry):
    return hashlib.sha256(b'\0' + entry).digest()


def node(left, right):
    return hashlib.sha256(b'\1' + left + right).digest()


def root(hashes):
    if not hashes:
        return hashlib.sha256(b'').digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1 << (len(hashes) - 1).bit_length() - 1
    return node(root(hashes[:split]), root(hashes[split:]))


def path(index, hashes):
    if len(hashes) == 1:
        return []
    split = 1 << (len(hashes) - 1).bit_length() - 1
    if index < split:
        return path(index, hashes[:split]) + [root(hashes[split:])]
    return path(index - split, hashes[split:]) + [root(hashes[:split])]


def consistency(size, hashes, whole=True):
    if size == len(hashes):
        return [] if whole else [root(hashes)]
    split = 1 << (len(hashes) - 1).bit_length() - 1
    if size <= split:
        return consistency(size, hashes[:split], whole) + [root(hashes[split:])]
    return consistency(size - split, hashes[split:], False) + [root(hashes[:split])]


def tiles_of(hashes):
    """{(level, index): hashes} of a tree."""
    tiles, level = {}, 0
    while hashes:
        for at in range(0, len(hashes), 256):
            tiles[level, at // 256] = hashes[at:at + 256]
        hashes = [root(hashes[at:at + 256]) for at in range(0, len(hashes) // 256 * 256, 256)]
        level += 1
    return tiles


def tile_name(index):
    text = f'{index % 1000:03}'
    while index >= 1000:
        index //= 1000
        text = f'x{index % 1000:03}/{text}'
    return text


class Installation(throng.Throng):
    def leaves(self):
        return self.sql('SELECT count(*) FROM audit.outbox')[0][0]

    def catch_up(self):
        """Wait until the newest checkpoint covers all that is in the trail now."""
        wanted = self.leaves()
        throng.wait_for(lambda: self.sql('SELECT coalesce(max(size), 0) FROM audit.checkpoint')[0][0] >= wanted, 30,
            'a checkpoint of the whole trail', 0.1)

    def append(self, act, tenant='', **data):
        """A leaf of our own; returns its id."""
        name = str(uuid.uuid4())
        leaf = {'act': act, 'actor': {'id': 'test', 'type': 'operator'}, 'at': throng.now_ms(), 'data': data, 'id': name,
            'nonce': uuid.uuid4().hex, 'out': 'ok', 'tenant': tenant, 'v': 1}
        text = json.dumps(leaf, sort_keys=True, separators=(',', ':'))
        self.sql('SELECT audit.append(%s::uuid, %s, %s)', (name, act, text.encode()), role='throng_owner')
        return name


class Base(unittest.TestCase):
    environment = {}

    @classmethod
    def setUpClass(cls):
        cls.description = openapi.Description()
        cls.throng = Installation(environment=cls.environment)
        cls.throng.__enter__()
        cls.keys = {scope: cls.throng.cli('key', 'add', '--scope', scope).strip()
            for scope in ('read', 'metrics', 'ops', 'audit', 'erase', 'admin')}

    @classmethod
    def tearDownClass(cls):
        cls.throng.__exit__(None, None, None)

    def get(self, target, scope='audit', status=200, valid=True, headers=None):
        got, body, answered = self.throng.ask(target, self.keys[scope] if scope else None, headers)
        if self.description.template(target.split('?')[0]):
            self.description.check_exchange('GET', target, headers or {}, None, got, answered, body, valid)
        self.assertEqual(got, status, (target, body[:300]))
        return json.loads(body) if 'json' in answered['Content-Type'] else body

    def checkpoint(self, scope='audit'):
        """(size, root, the note)"""
        note = self.get('/log/checkpoint', scope).decode()
        lines = note.split('\n')
        return int(lines[1]), base64.b64decode(lines[2], validate=True), note


class Trail(Base):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.throng.add_app('shop')
        for n in range(300): # more than one tile
            cls.throng.append('node_announced', node=f'{n:016x}')
        cls.throng.catch_up()

    # --- the log ---

    def entries(self, size):
        """All entries, from full and partial bundles."""
        found = []
        for index in range((size + 255) // 256):
            width = min(256, size - index * 256)
            bundle = self.get(f'/log/tile/entries/{tile_name(index)}' + (f'.p/{width}' if width < 256 else ''))
            at = len(found)
            while bundle:
                length = int.from_bytes(bundle[:2], 'big')
                self.assertLessEqual(2 + length, len(bundle))
                found.append(bundle[2:2 + length])
                bundle = bundle[2 + length:]
            self.assertEqual(len(found) - at, width)
        return found

    def test_the_tree_is_that_of_the_entries(self):
        size, top, _ = self.checkpoint()
        entries = self.entries(size)
        hashes = [leaf_hash(entry) for entry in entries]
        self.assertGreater(size, 300)
        self.assertEqual(root(hashes), top)
        for (level, index), tile in tiles_of(hashes).items():
            name = f'/log/tile/{level}/{tile_name(index)}'
            if len(tile) == 256:
                self.assertEqual(self.get(name), b''.join(tile))
            else:
                self.get(name, status=404)
            for width in {1, 2, len(tile) // 2, len(tile) - 1, len(tile)} - {0, 256}:
                if width <= len(tile):
                    self.assertEqual(self.get(f'{name}.p/{width}', 'read'), b''.join(tile[:width]))
            if len(tile) < 255:
                self.get(f'{name}.p/{len(tile) + 1}', status=404)
        stored = self.throng.sql('SELECT leaf FROM audit.entry JOIN audit.outbox USING (id) ORDER BY index LIMIT %s', (size,))
        self.assertEqual(entries, [bytes(row[0]) for row in stored])

    def test_headers(self):
        size, _, _ = self.checkpoint()
        self.assertGreaterEqual(size, 256)
        for target, media, caching in (('/log/checkpoint', 'text/plain; charset=utf-8', 'private, no-cache'),
                ('/log/vkey', 'text/plain; charset=utf-8', 'private, no-cache'),
                ('/log/tile/0/000', 'application/octet-stream', 'private, max-age=31536000, immutable'),
                ('/log/tile/0/000.p/7', 'application/octet-stream', 'private, max-age=86400'),
                ('/log/tile/entries/000', 'application/octet-stream', 'private, max-age=31536000, immutable'),
                ('/log/tile/entries/000.p/7', 'application/octet-stream', 'private, max-age=86400')):
            status, body, headers = self.throng.ask(target, self.keys['audit'])
            self.assertEqual((status, headers['Content-Type'], headers['Cache-Control']), (200, media, caching), target)
            status, nothing, same = self.throng.ask(target, self.keys['audit'], method='HEAD')
            self.assertEqual((status, nothing, same['Content-Length']), (200, b'', str(len(body))), target)

    def test_paths_that_are_none(self):
        for tail in ('tile', 'tile/', 'tile/0', 'tile/0/', 'tile/0/0', 'tile/0/0000', 'tile/00/000', 'tile/64/000', 'tile/-1/000',
                'tile/0/000.p/0', 'tile/0/000.p/256', 'tile/0/000.p/01', 'tile/0/x000/000', 'tile/0/x001', 'tile/0/999', 'tile/9/000.p/1',
                'tile/entries', 'tile/entries/', 'tile/entries/999', 'tile/entries/000.p/', 'tile/0/000/', 'tile/0/000.p/7/', 'none',
                'tile/0/x999/x999/x999/x999/x999/x999/999', '', 'checkpoint/', 'tile/0/..%2f000'):
            self.assertEqual(self.throng.ask('/log/' + tail, self.keys['admin'])[0], 404, tail)
        self.assertEqual(self.throng.ask('/log/checkpoint?x=y', self.keys['audit'])[0], 400)

    def test_keys(self):
        keys = self.get('/log/vkey', 'read').decode().splitlines()
        _, _, note = self.checkpoint()
        origin = note.split('\n')[0]
        self.assertEqual(keys[0].split('+')[0], origin)
        self.verify(note, keys[0])

    def verify(self, note, vkey):
        """The signature by openssl."""
        name, key_id, key = vkey.split('+', 2)
        public = base64.b64decode(key)
        self.assertEqual(hashlib.sha256(name.encode() + b'\n' + public).digest()[:4].hex(), key_id)
        text, _, lines = note.partition('\n\n')
        signature = next(base64.b64decode(line.split(' ')[2]) for line in lines.splitlines()
            if line.startswith(f'— {name} ') and base64.b64decode(line.split(' ')[2])[:4].hex() == key_id)[4:]
        folder = self.throng.folder
        for file, content in (('text', text.encode() + b'\n'), ('signature', signature),
                ('key', bytes.fromhex('302a300506032b6570032100') + public[1:])):
            with open(os.path.join(folder, file), 'wb') as out:
                out.write(content)
        subprocess.run(['openssl', 'pkeyutl', '-verify', '-pubin', '-keyform', 'DER', '-inkey', 'key', '-rawin', '-in', 'text', '-sigfile',
            'signature'], cwd=folder, check=True, capture_output=True)

    # --- proofs ---

    def test_proofs(self):
        size, _, note = self.checkpoint()
        hashes = [leaf_hash(entry) for entry in self.entries(size)]
        for index in sorted({0, 1, 255, 256, size // 2, size - 1}):
            head, _, rest = self.get(f'/v1/audit/proof?index={index}').decode().partition('\n\n')
            lines = head.split('\n')
            self.assertEqual(lines[:2], ['c2sp.org/tlog-proof@v1', f'index {index}'])
            now = int(rest.split('\n')[1])
            if now == size:
                self.assertEqual([base64.b64decode(line) for line in lines[2:]], path(index, hashes))
                self.assertEqual(rest.split('\n')[:3], note.split('\n')[:3])
        self.get('/v1/audit/proof?index=999999999', status=404)
        for query in ('', '?index=', '?index=x', '?index=-1', '?index=01', '?index=1&more=1', '?index=99999999999999999999'):
            self.get('/v1/audit/proof' + query, status=400, valid=False)

    def test_consistency(self):
        size, top, _ = self.checkpoint()
        hashes = [leaf_hash(entry) for entry in self.entries(size)]
        for older in (1, 2, 200, 256, 257, size - 1, size):
            answer = self.get(f'/v1/audit/consistency?from={older}&to={size}')
            decoded = [base64.b64decode(text) for text in answer['hashes']]
            self.assertEqual(decoded, consistency(older, hashes))
            self.assertEqual((base64.b64decode(answer['from_root']), base64.b64decode(answer['to_root'])), (root(hashes[:older]), top))
        answer = self.get('/v1/audit/consistency?from=100')
        self.assertGreaterEqual(answer['to'], size)
        answer = self.get('/v1/audit/consistency?from=100&to=250')
        self.assertEqual([base64.b64decode(text) for text in answer['hashes']], consistency(100, hashes[:250]))
        for query, status in (('from=0', 400), ('from=2&to=1', 400), ('to=3', 400), ('from=1&to=0', 400), ('from=x', 400),
                ('from=1&to=99999999', 404)):
            self.get('/v1/audit/consistency?' + query, status=status, valid=False)

    # --- entries ---

    def all(self, query='', limit=37):
        """(entries, pages)"""
        following, found, pages = f'/v1/audit/entries?limit={limit}' + query, [], 0
        while following:
            answer = self.get(following)
            self.assertLessEqual(len(answer['entries']), limit)
            found += answer['entries']
            following, pages = answer['next'], pages + 1
        return found, pages

    def test_search(self):
        size, _, _ = self.checkpoint()
        found, pages = self.all()
        self.assertGreaterEqual(len(found), size)
        self.assertGreaterEqual(pages, size // 37)
        self.assertEqual([entry['index'] for entry in found], list(range(len(found))))
        stored = dict(self.throng.sql("SELECT index, convert_from(leaf, 'UTF8') FROM audit.entry JOIN audit.outbox USING (id)"))
        for entry in found:
            self.assertEqual(entry['leaf'], json.loads(stored[entry['index']]))
            self.assertEqual(base64.b64decode(entry['hash']), leaf_hash(stored[entry['index']].encode()))
        for query, wanted in (('&act=node_announced', lambda leaf: leaf['act'] == 'node_announced'),
                ('&tenant=shop', lambda leaf: leaf['tenant'] == 'shop'), ('&tenant=', lambda leaf: leaf['tenant'] == ''),
                ('&tenant=shop&act=app_added', lambda leaf: (leaf['tenant'], leaf['act']) == ('shop', 'app_added')),
                ('&after=250', lambda leaf: True), ('&from=2001-01-01&to=2001-12-31', lambda leaf: False),
                ('&from=2001-01-01', lambda leaf: True), ('&to=2199-12-31', lambda leaf: True), ('&from=2199-01-01', lambda leaf: False)):
            expected = [entry['index'] for entry in found if wanted(entry['leaf']) and ('after' not in query or entry['index'] > 250)]
            got = [entry['index'] for entry in self.all(query)[0] if entry['index'] < len(found)]
            self.assertEqual(got, expected, query)
        today = time.strftime('%Y-%m-%d', time.gmtime())
        self.assertTrue(self.all(f'&from={today}&act=node_announced')[0] or time.gmtime().tm_hour == 0)
        self.assertEqual(self.get('/v1/audit/entries?limit=3')['size'], self.checkpoint()[0])

    def test_bytes_are_those_that_were_hashed(self):
        raw = self.throng.ask('/v1/audit/entries?limit=1&after=5', self.keys['audit'])[1]
        stored = bytes(self.throng.sql('SELECT leaf FROM audit.entry JOIN audit.outbox USING (id) WHERE index = 6')[0][0])
        self.assertIn(b'"leaf":' + stored + b'}', raw)

    def test_one_entry(self):
        for index in (0, 1, 299):
            answer = self.get(f'/v1/audit/entries/{index}')
            self.assertEqual(answer['index'], index)
            self.assertEqual({**self.get(f'/v1/audit/entries?limit=1&after={index - 1}' if index else '/v1/audit/entries?limit=1')
                ['entries'][0], 'size': answer['size']}, answer)
        for name in ('99999999', 'x', '01', '-1', '1/2', '9223372036854775808', '%20'):
            self.assertEqual(self.throng.ask('/v1/audit/entries/' + name, self.keys['audit'])[0], 404, name)

    def test_faulty_searches(self):
        for query in ('act=none', 'act=', 'tenant=A', 'tenant=a%20b', 'tenant=' + 64 * 'a', 'from=x', 'from=2026-02-30', 'to=1', 'after=-1',
                'after=x', 'limit=0', 'limit=x', 'cursor=1', "act=app_added';--"):
            self.get('/v1/audit/entries?' + query, status=400, valid=False)

    # --- who may ---

    def test_scopes(self):
        for target, scopes in (('/log/checkpoint', 'read audit admin'), ('/log/vkey', 'read audit admin'),
                ('/log/tile/0/000', 'read audit admin'), ('/log/tile/entries/000', 'audit admin'), ('/v1/audit/entries', 'audit admin'),
                ('/v1/audit/entries/0', 'audit admin'), ('/v1/audit/proof?index=0', 'audit admin'),
                ('/v1/audit/consistency?from=1', 'audit admin')):
            for scope in self.keys:
                self.get(target, scope, status=200 if scope in scopes.split() else 403)
            self.get(target, None, status=401)
        self.get(f'/v1/requests/{uuid.uuid4()}', 'audit', status=403)
        self.get(f'/v1/requests/{uuid.uuid4()}', None, status=401)

    # --- receipts ---

    def add_request(self, kind, purge_due_s, answer=None, purged=False):
        name, app = str(uuid.uuid4()), self.throng.app_id('shop')
        leaves = [self.throng.append(act, 'shop', request=name) for act in ('request_received', 'request_applied')]
        last = self.throng.append('request_purged', 'shop', request=name) if purged else None
        self.throng.sql("""INSERT INTO subject.request (id, app, kind, shard, received_at, due_at, last_due_at, applied_at, purge_due_at,
            purged_at, received_leaf, applied_leaf, purged_leaf) VALUES (%s, %s, %s, 0, '2026-01-01Z', '2026-01-31Z', '2026-02-15Z',
            '2026-01-01 00:01Z', now() + %s * interval '1 s', CASE WHEN %s::text IS NULL THEN NULL ELSE now() END, %s, %s, %s)""",
            (name, app, kind, purge_due_s, last, *leaves, last))
        if answer:
            self.throng.sql("INSERT INTO subject.answer VALUES (%s, %s, now() + interval '30 days')", (name, answer))
        return name, leaves

    def test_receipts(self):
        name, leaves = self.add_request('erasure', 30 * DAY)
        first = self.get(f'/v1/requests/{name}', 'erase')
        self.assertEqual((first['request'], first['kind'], first['app'], first['stage']), (name, 'erasure', 'shop', 'applied'))
        self.assertEqual((first['received_at'], first['due_at'], first['last_due_at'], first['applied_at']),
            tuple(throng.day_ms(day) for day in ('2026-01-01', '2026-01-31', '2026-02-15')) + (throng.day_ms('2026-01-01') + 60000,))
        self.assertEqual((first['purged_at'], first['answer'], first['leaves']['purged']), (None, None, None))
        self.throng.catch_up()
        for role, leaf in zip(('received', 'applied'), leaves):
            told = self.get(f'/v1/requests/{name}', 'erase')['leaves'][role]
            self.assertEqual(told['leaf'], leaf)
            self.assertEqual(self.get(f'/v1/audit/entries/{told["index"]}')['leaf']['id'], leaf)
        name, _ = self.add_request('access', None, answer=bytes(range(256)))
        answer = self.get(f'/v1/requests/{name}', 'admin')
        self.assertEqual(base64.b64decode(answer['answer']), bytes(range(256)))
        self.assertEqual((answer['purge_due_at'], answer['stage']), (None, 'applied'))
        name, _ = self.add_request('objection', 5, purged=True)
        self.assertEqual(self.get(f'/v1/requests/{name}', 'erase')['stage'], 'purged')
        for other in (str(uuid.uuid4()), name.upper(), name[:-1], name + '0', name.replace('-', ''), 'x', name + '/x'):
            status, body, _ = self.throng.ask('/v1/requests/' + other, self.keys['erase'])
            self.assertEqual((status, json.loads(body)['type']), (404, 'urn:throng:problem:not_found'), other)

    def asked_quickly(self, target, key, times):
        """The statuses of the same request again and again on one connection: faster by far than a key's ration comes back."""
        connection = http.client.HTTPConnection('127.0.0.1', self.throng.admin_port, timeout=30)
        statuses = []
        for _ in range(times):
            connection.request('GET', target, headers={'Authorization': f'Bearer {key}'})
            answer = connection.getresponse()
            answer.read()
            statuses.append(answer.status)
        connection.close()
        return statuses

    def test_receipts_are_limited_by_key(self):
        key, name = self.throng.cli('key', 'add', '--scope', 'erase').strip(), uuid.uuid4()
        throng.wait_for(lambda: self.throng.ask(f'/v1/requests/{name}', key)[0] == 404, 5, 'the new key')
        seen = self.asked_quickly(f'/v1/requests/{name}', key, 200)
        self.assertEqual((set(seen), set(seen[:100])), ({404, 429}, {404}))
        status, _, headers = self.throng.ask(f'/v1/requests/{name}', key)
        while status != 429:
            status, _, headers = self.throng.ask(f'/v1/requests/{name}', key)
        self.assertEqual(headers['Retry-After'], '1')

    # --- rows of released numbers ---

    def test_rows_say_where_they_are_in_the_log(self):
        lines = ''.join(json.dumps({'user': f'u{n % 7}', 'ts': throng.day_ms('2026-01-05') + n * 3600000, 'event': 'view'}) + '\n'
            for n in range(100))
        file = os.path.join(self.throng.folder, 'history.jsonl')
        with open(file, 'w', encoding='utf-8') as out:
            out.write(lines)
        self.throng.cli('import', '--app', 'shop', '--format', 'jsonl', '--map', 'name=event', file)
        self.throng.seal('shop', '2026-01-31')
        self.throng.catch_up()
        rows = self.get('/v1/apps/shop/metrics/active_users?interval=week', 'read')['rows']
        self.assertTrue(rows)
        for row in rows:
            leaf = self.get(f'/v1/audit/entries/{row["audit_index"]}')['leaf']
            self.assertEqual((leaf['id'], leaf['act']), (row['audit_leaf'], 'aggregates_released'))
            self.assertIn(['active_users', '', [[-1, row['value']]]], [rows[:3] for rows in leaf['data']['rows']])
        text = self.get('/v1/apps/shop/metrics/active_users?interval=week&format=csv', 'read').decode().splitlines()
        self.assertTrue(text[0].endswith(',k,sigma2,rho,sealed_at,audit_index,audit_leaf'))
        self.assertEqual([tuple(line.split(',')[-6:]) for line in text[1:]],
            [('1', '', '', row['sealed_at'], str(row['audit_index']), row['audit_leaf']) for row in rows])

    # --- monitoring ---

    def health(self, name):
        _, body, _ = self.throng.ask('/health', self.keys['ops'])
        return json.loads(body)['checks'][name]

    def test_health(self):
        self.throng.catch_up()
        self.assertEqual(self.health('audit')['status'], 'pass', self.health('audit'))
        self.assertIn(self.health('self_test')['status'], ('pass', 'warn')) # warn: none has run yet
        for seconds, status in ((30 * DAY, 'pass'), (6 * DAY, 'warn'), (-5, 'fail')):
            self.add_request('erasure', seconds)
            self.assertEqual(self.health('subject_requests')['status'], status)
        self.throng.sql('UPDATE subject.request SET purged_at = now(), purged_leaf = applied_leaf WHERE purged_at IS NULL')
        self.assertEqual(self.health('subject_requests')['status'], 'pass')

    def test_metrics(self):
        self.throng.sql("INSERT INTO audit.witness VALUES ('witness.example/one', 17, now()) ON CONFLICT DO NOTHING")
        text = self.get('/metrics/ops', 'ops').decode()
        samples = {(sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in parser.text_string_to_metric_families(text) for sample in family.samples}
        self.assertEqual(samples['throng_witness_size', (('name', 'witness.example/one'),)], 17)
        answered = {dict(key)['endpoint']: value for (name, key), value in samples.items() if name == 'throng_http_requests_total'
            and dict(key)['daemon'] == 'api'}
        self.get('/log/tile/0/000')
        self.get('/v1/audit/entries/0')
        again = self.get('/metrics/ops', 'ops').decode()
        for route in ('/log/{tile}', '/v1/audit/entries/{index}'):
            self.assertIn(f'endpoint="{route}",code="2xx"', again)
        self.assertIsNotNone(answered)
        for name in ('throng_audit_leaves_total', 'throng_audit_outbox_entries', 'throng_checkpoint_timestamp_seconds'):
            self.assertIn((name, (('daemon', 'audit'),)), samples)
        self.assertLess(time.time() - samples['throng_checkpoint_timestamp_seconds', (('daemon', 'audit'),)], 700)

    # --- what comes last: it changes what the others look at ---

    def test_y_reads_are_recorded(self):
        key = self.throng.sql("SELECT id::text FROM config.api_key WHERE scope = 'audit'")[0][0]
        for target in ('/v1/audit/entries?limit=1', '/v1/audit/entries/0', '/v1/audit/proof?index=0', '/v1/audit/consistency?from=1',
                '/log/checkpoint', '/log/vkey', '/log/tile/0/000', '/log/tile/entries/000'):
            self.get(target)
        pid = self.throng.kill('api', 15)
        throng.wait_for(lambda: not throng.is_alive(pid), 30, 'the end of throng-api')
        self.throng.wait_ready()
        rows = self.throng.sql("SELECT convert_from(leaf, 'UTF8') FROM audit.outbox WHERE act = 'trail_read'")
        leaves = [leaf for leaf in (json.loads(row[0]) for row in rows) if leaf['actor']['id'] == key]
        counts = {}
        for leaf in leaves:
            self.assertEqual(leaf['data']['reads'], sum(count for _, count in leaf['data']['counts']))
            for what, count in leaf['data']['counts']:
                counts[what] = counts.get(what, 0) + count
        self.assertEqual(set(counts), {'entries', 'proofs', 'consistency', 'checkpoint', 'keys', 'tiles', 'bundles'})
        self.assertGreaterEqual(counts['entries'], 2)

    def test_z_described_and_pruned(self):
        self.assertEqual(self.get('/v1/audit/export')[:6], b'README')
        self.throng.sql('UPDATE audit.pruned SET below = 3')
        self.throng.sql('UPDATE audit.outbox SET leaf = NULL WHERE id IN (SELECT id FROM audit.entry WHERE index < 3)')
        answer = self.get('/log/tile/entries/000', status=404)
        self.assertEqual(answer['type'], 'urn:throng:problem:pruned')
        self.get('/log/tile/0/000')
        one = self.get('/v1/audit/entries/1')
        self.assertIsNone(one['leaf'])
        self.assertEqual(base64.b64decode(one['hash']), self.get('/log/tile/0/000')[32:64])
        self.get('/v1/audit/proof?index=1')
        asked = {(method, template) for method, template, status in self.description.used if status == '200'}
        described = self.description.operations() - self.description.operations(without=('trail', 'people'))
        ours = {(method, template) for method, template in described if method == 'GET'}
        self.assertEqual(ours - asked, set())


class PublicLog(Base):
    """A log with nothing in it that this test made up: its export verifies."""
    environment = {'THRONG_API_PUBLIC_LOG': 'true'}

    def test_export(self):
        first = self.throng.ask('/v1/audit/export', self.keys['audit'])
        self.assertEqual(first[0], 200, first[1][:300])
        size = int(first[2]['Content-Disposition'].split('-')[1].split('.')[0])
        bundle = self.get('/v1/audit/export')
        with tarfile.open(fileobj=io.BytesIO(bundle)) as archive:
            names = archive.getnames()
            note = archive.extractfile('log/checkpoint').read().decode()
        self.assertEqual(names, sorted(names))
        self.assertLess(0, size)
        self.assertLessEqual(size, int(note.split('\n')[1]))
        made = [row[0]['data'] for row in self.throng.sql("""SELECT convert_from(leaf, 'UTF8')::jsonb FROM audit.outbox
            WHERE act = 'export_made'""")]
        for body in (first[1], bundle):
            self.assertIn(hashlib.sha256(body).hexdigest(), [data['hash'] for data in made])
        self.assertIn(size, [data['size'] for data in made])
        path = os.path.join(self.throng.folder, 'bundle.tar')
        with open(path, 'wb') as out:
            out.write(bundle)
        done = subprocess.run([os.path.join(self.throng.build, 'throng-verify'), path], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertFalse([name for name in os.listdir(os.path.join(self.throng.data, 'run')) if 'export' in name])
        for scope in ('read', 'ops', 'erase'):
            self.get('/v1/audit/export', scope, status=403)

    def test_others_are_answered_while_an_export_is_made(self):
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            exports = [pool.submit(self.throng.ask, '/v1/audit/export', self.keys['audit']) for _ in range(6)]
            lives = [pool.submit(self.throng.ask, '/health/live') for _ in range(60)]
            self.assertEqual({live.result()[0] for live in lives}, {200})
            seen = {export.result()[0] for export in exports}
        self.assertTrue(200 in seen and seen <= {200, 503}, seen)

    def test_hashes_need_no_key(self):
        self.throng.catch_up()
        size, _, _ = self.checkpoint(None)
        self.get('/log/vkey', None)
        self.get(f'/log/tile/0/000.p/{min(size, 5)}', None)
        status, _, headers = self.throng.ask('/log/checkpoint')
        self.assertEqual((status, headers['Cache-Control']), (200, 'no-cache'))
        self.get('/log/tile/entries/000.p/1', None, status=401)
        self.get('/v1/audit/entries', None, status=401)
        self.get('/v1/apps', None, status=401)


if __name__ == '__main__':
    throng.main()
