#!/usr/bin/python3
"""The audit log of a real installation: indexes, tiles and signatures, recomputed here by other means; what crashes and a
superuser's hand do to it; witnesses; keys."""
import base64
import glob
import hashlib
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import psycopg2

import throng

TABLES = ('outbox', 'pending', 'entry', 'tile', 'checkpoint')
WITHOUT_TRIGGERS = ''.join(f'ALTER TABLE audit.{table} DISABLE TRIGGER ALL;' for table in TABLES)
WITH_TRIGGERS = ''.join(f'ALTER TABLE audit.{table} ENABLE TRIGGER ALL;' for table in TABLES) + """
DO $$ DECLARE t record; BEGIN
    FOR t IN SELECT tgrelid::regclass AS r, tgname FROM pg_trigger WHERE NOT tgisinternal AND tgrelid::regclass::text LIKE 'audit.%' LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', t.r, t.tgname);
    END LOOP;
END $$;"""


def sha256(data):
    return hashlib.sha256(data).digest()


def root_of(hashes):
    """RFC 6962: the root over leaf hashes, by joining neighbours level by level."""
    if not hashes:
        return sha256(b'')
    while len(hashes) > 1:
        pairs = [sha256(b'\x01' + a + b) for a, b in zip(hashes[::2], hashes[1::2])]
        hashes = pairs + ([hashes[-1]] if len(hashes) % 2 else [])
    return hashes[0]


class Key:
    """A verifier key: NAME+HEX+BASE64."""

    def __init__(self, text):
        self.text = text.strip()
        self.name, self.id, key = self.text.rsplit('+', 2) if text.count('+') == 2 else self.text.split('+', 2)
        raw = base64.b64decode(key)
        self.kind, self.public = raw[0], raw[1:]
        assert sha256(self.name.encode() + b'\n' + raw)[:4].hex() == self.id

    def openssl(self, message, signature):
        with tempfile.TemporaryDirectory() as folder:
            paths = [os.path.join(folder, name) for name in ('key', 'message', 'signature')]
            spki = bytes.fromhex('302a300506032b6570032100') + self.public
            for path, data in zip(paths, (spki, message, signature)):
                with open(path, 'wb') as file:
                    file.write(data)
            done = subprocess.run(['openssl', 'pkeyutl', '-verify', '-pubin', '-keyform', 'DER', '-inkey', paths[0], '-rawin',
                '-in', paths[1], '-sigfile', paths[2]], capture_output=True, check=False)
            return done.returncode == 0

    def signed(self, note):
        """Whether this key signed a note (bytes): every line of it must verify."""
        text, lines = note.decode().split('\n\n')
        found = False
        for line in lines.strip().split('\n'):
            dash, name, data = line.split(' ')
            raw = base64.b64decode(data)
            if dash != '—' or name != self.name or raw[:4].hex() != self.id:
                continue
            message, signature = (text + '\n').encode(), raw[4:]
            if self.kind == 4:
                message = b'cosignature/v1\ntime %d\n' % int.from_bytes(signature[:8], 'big') + message
                signature = signature[8:]
            assert self.openssl(message, signature), 'a signature does not verify'
            found = True
        return found


class Log:
    """What is asked of the log of an installation."""

    def __init__(self, installation):
        self.installation = installation
        self.folder = os.path.join(installation.data, 'audit')

    def sql(self, *arguments):
        return self.installation.sql(*arguments)

    def key(self):
        with open(os.path.join(self.folder, 'log.vkey'), encoding='utf-8') as file:
            return Key(file.read())

    def add(self, count=1, connection=None):
        """Leaves that nobody else writes; their ids."""
        own = connection is None
        connection = connection or self.installation.database()
        cursor = connection.cursor()
        cursor.execute("""SELECT u::text FROM (SELECT gen_random_uuid() AS u FROM generate_series(1, %s) OFFSET 0) AS g, LATERAL (SELECT
            audit.append(u, 'node_announced', convert_to(format('{"act":"node_announced","actor":{"id":"x","type":"operator"},"at":%%s,'
            '"data":{},"id":"%%s","nonce":"%%s","out":"ok","tenant":"","v":1}', %s, u, md5(random()::text)), 'UTF8'))) AS a""",
            (count, throng.now_ms()))
        ids = [row[0] for row in cursor.fetchall()]
        if own:
            connection.close()
        return ids

    def size(self):
        return self.sql('SELECT coalesce(max(index) + 1, 0) FROM audit.entry')[0][0]

    def published(self):
        return self.sql('SELECT coalesce(max(size), 0) FROM audit.checkpoint')[0][0]

    def wait(self, seconds=30):
        """Wait until every leaf is under the newest checkpoint; its size."""
        def done():
            waiting, size, published = self.sql("""SELECT (SELECT count(*) FROM audit.pending),
                (SELECT coalesce(max(index) + 1, 0) FROM audit.entry), (SELECT coalesce(max(size), 0) FROM audit.checkpoint)""")[0]
            return waiting == 0 and size > 0 and size == published and size
        return throng.wait_for(lambda: self.installation.quiet(done), seconds, 'a checkpoint over all leaves')

    def notes(self):
        return [(size, bytes(note)) for size, note in self.sql('SELECT size, note FROM audit.checkpoint ORDER BY size, signed_at')]

    def leaves(self):
        return [bytes(row[0]) for row in self.sql("""SELECT o.leaf FROM audit.entry e JOIN audit.outbox o USING (id)
            ORDER BY e.index""")]

    def files(self):
        with open(os.path.join(self.folder, 'log', 'checkpoint'), 'rb') as file:
            return file.read()

    def read(self, level, index, width):
        path = f'{index % 1000:03d}'
        while index >= 1000:
            index //= 1000
            path = f'x{index % 1000:03d}/{path}'
        path = os.path.join(self.folder, 'log', 'tile', str(level), path)
        with open(path if width == 256 else f'{path}.p/{width}', 'rb') as file:
            return file.read()

    def ask(self, line):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(10)
            client.connect(os.path.join(self.installation.data, 'run', 'audit.sign'))
            client.sendall(line.encode() + b'\n')
            return b''.join(iter(lambda: client.recv(65536), b''))

    def meddle(self, *statements):
        """As a superuser who stops at nothing."""
        connection = self.installation.database()
        connection.autocommit = False
        cursor = connection.cursor()
        cursor.execute(WITHOUT_TRIGGERS)
        for statement in statements:
            cursor.execute(statement)
        cursor.execute(WITH_TRIGGERS)
        connection.commit()
        connection.close()

    def refused(self):
        return self.installation.metric('audit', 'throng_audit_refused') == 1


class Case(unittest.TestCase):
    def check(self, log):
        """Everything that the log promises, recomputed from its leaves; the size of the newest checkpoint. If a daemon wrote a leaf
        while it was looked at, once more."""
        for _ in range(10):
            size = log.wait()
            try:
                return self.check_at(log)
            except (AssertionError, OSError):
                if log.sql('SELECT count(*) FROM audit.outbox')[0][0] == size:
                    raise
        return self.check_at(log)

    def check_at(self, log):
        size = log.wait()
        rows = log.sql('SELECT index, id::text FROM audit.entry ORDER BY index')
        self.assertEqual([row[0] for row in rows], list(range(len(rows))))
        self.assertEqual(len({row[1] for row in rows}), len(rows))
        self.assertEqual(log.sql('SELECT count(*) FROM audit.outbox')[0][0], len(rows))
        leaves = log.leaves()
        self.assertEqual([json.loads(leaf)['id'] for leaf in leaves], [row[1] for row in rows])
        hashes = [sha256(b'\0' + leaf) for leaf in leaves]
        texts = {}
        for size, note in log.notes():
            text = note.split(b'\n\n')[0].decode()
            self.assertEqual(texts.setdefault(size, text), text, 'two notes of one size')
            self.assertEqual(text.split('\n')[1:], [str(size), base64.b64encode(root_of(hashes[:size])).decode()])
        self.assertTrue(log.key().signed(log.notes()[-1][1]))
        self.check_tiles(log, hashes, leaves)
        return size

    def check_tiles(self, log, hashes, leaves):
        stored = {(level, index): bytes(h) for level, index, h in log.sql('SELECT level, index, hashes FROM audit.tile')}
        level, nodes = 0, hashes
        while nodes:
            for index in range((len(nodes) + 255) // 256):
                part = nodes[index * 256:index * 256 + 256]
                self.assertEqual(stored.pop((level, index)), b''.join(part))
                self.assertEqual(log.read(level, index, len(part)), b''.join(part))
                if level == 0:
                    bundle = b''.join(len(leaf).to_bytes(2, 'big') + leaf for leaf in leaves[index * 256:index * 256 + 256])
                    self.assertEqual(log.read('entries', index, len(part)), bundle)
            nodes = [root_of(nodes[i:i + 256]) for i in range(0, len(nodes) - 255, 256)]
            level += 1
        self.assertEqual(stored, {})


class OneLog(Case):
    """One installation, at work and meddled with."""

    @classmethod
    def setUpClass(cls):
        cls.installation = cls.enterClassContext(throng.Throng({'THRONG_AUDIT_POLL_MS': '200'}))
        cls.installation.wait_ready()
        cls.log = Log(cls.installation)

    def test_1_grows(self):
        self.check(self.log)
        acts = {row[0] for row in self.log.sql('SELECT DISTINCT act FROM audit.entry')}
        self.assertLessEqual({'migration', 'log_key_rotated', 'daemon_started'}, acts)
        started = {row[0] for row in self.log.sql("""SELECT convert_from(o.leaf, 'UTF8')::jsonb->'actor'->>'id' FROM audit.outbox o
            WHERE act = 'daemon_started'""")}
        self.assertLessEqual({'audit', 'release', 'api'}, started)
        self.log.add(700)
        started = time.monotonic()
        size = self.check(self.log)
        self.assertLess(time.monotonic() - started, 60)
        self.assertEqual(self.log.files(), self.log.notes()[-1][1])
        status = json.loads(self.installation.cli('--json', 'status'))
        self.assertGreaterEqual(status['log']['size'], size)
        self.assertLess(status['log']['age_s'], 60)

    def test_2_late_commit(self):
        """A leaf that is committed late comes later, and is not passed over."""
        late = self.installation.database()
        late.autocommit = False
        first = self.log.add(3, late)
        self.log.add(5)
        self.log.wait()
        late.commit()
        late.close()
        self.check(self.log)
        self.assertEqual(self.log.sql('SELECT count(*) FROM audit.entry WHERE id = ANY (%s::uuid[])', (first,))[0][0], 3)

    def test_3_superuser_removes(self):
        """The newest entries, tiles and checkpoints go: they are put back, and the trail says so."""
        size = self.log.wait()
        self.log.meddle(f'DELETE FROM audit.checkpoint WHERE size > {size - 300}', f'DELETE FROM audit.entry WHERE index >= {size - 300}',
            'DELETE FROM audit.outbox o WHERE NOT EXISTS (SELECT FROM audit.entry e WHERE e.id = o.id) AND o.act = \'node_announced\'',
            f'DELETE FROM audit.tile WHERE level = 0 AND index > {(size - 300) // 256}',
            f'DELETE FROM audit.tile WHERE level = 1 AND {size - 300} < 256')
        throng.wait_for(lambda: self.log.size() > size, 30, 'what was removed')
        self.check(self.log)
        self.assertEqual(self.log.sql("SELECT count(*) FROM audit.entry WHERE act = 'restored'")[0][0], 1)

    def test_4_superuser_rewrites(self):
        ids = self.log.add(10)
        self.log.wait()
        what = """UPDATE audit.outbox SET leaf = convert_to(replace(convert_from(leaf, 'UTF8'), '"out":"%s"', '"out":"%s"'), 'UTF8')
            WHERE id = '{}'""".format(ids[3])
        published = self.log.published()
        self.log.meddle(what % ('ok', 'no'))
        throng.wait_for(self.log.refused, 60, 'that a leaf was rewritten')
        self.log.add(1)
        time.sleep(2)
        self.assertEqual(self.log.published(), published)
        status = json.loads(self.installation.run('--json', 'status').stdout)
        self.assertIn('log_refused', [c['condition'] for c in status['conditions']])
        self.log.meddle(what % ('no', 'ok'))
        throng.wait_for(lambda: not self.log.refused(), 60, 'trust again')
        self.check(self.log)

    def rewrite(self, leaves):
        """Leaves by their ids, and every tile made anew of all leaves: a tree that is right by itself."""
        statements = ["UPDATE audit.outbox SET leaf = decode('{}', 'hex') WHERE id = '{}'".format(leaf.hex(), json.loads(leaf)['id'])
            for leaf in leaves]
        ids = {json.loads(leaf)['id']: leaf for leaf in leaves}
        nodes = [sha256(b'\0' + ids.get(json.loads(leaf)['id'], leaf)) for leaf in self.log.leaves()]
        level = 0
        while nodes:
            for index in range((len(nodes) + 255) // 256):
                statements.append("UPDATE audit.tile SET hashes = decode('{}', 'hex') WHERE (level, index) = ({}, {})".format(
                    b''.join(nodes[index * 256:index * 256 + 256]).hex(), level, index))
            nodes = [root_of(nodes[i:i + 256]) for i in range(0, len(nodes) - 255, 256)]
            level += 1
        self.log.meddle(*statements)

    def restart_audit(self, meanwhile):
        """throng-audit stands still while something is done, and then does not end in order."""
        pid = self.installation.kill('audit', signal.SIGSTOP)
        meanwhile()
        os.kill(pid, signal.SIGKILL)
        throng.wait_for(lambda: self.installation.pid_of('audit') not in (None, pid), 60, 'throng-audit')

    def test_8_superuser_rewrites_the_tree(self):
        """A leaf and all tiles above it, then the log's files too: what was signed last is the root of another tree. Nothing is signed
        from then on, and nobody gets a bundle that is good."""
        ids = self.log.add(10)
        size = self.log.wait()
        right = next(leaf for leaf in self.log.leaves() if json.loads(leaf)['id'] == ids[3])
        wrong = right.replace(b'"id":"x"', b'"id":"y"')
        self.assertNotEqual(right, wrong)
        folder = os.path.join(self.log.folder, 'log')
        kept = folder + '.kept'

        def forge():
            self.rewrite([wrong])
            os.rename(folder, kept)
        self.restart_audit(lambda: self.rewrite([wrong]))
        throng.wait_for(self.log.refused, 60, 'that the tree was rewritten')
        self.restart_audit(forge)
        throng.wait_for(self.log.refused, 60, 'that the tree was rewritten, and the files are gone')
        self.log.add(3)
        path = os.path.join(self.installation.folder, 'rewritten.tar')
        if self.installation.run('compliance', 'export', '--out', path).returncode == 0:
            self.assertEqual(self.installation.run('compliance', 'verify', path).returncode, 1)
        self.assertLessEqual(self.log.published(), size)

        def undo():
            self.rewrite([right])
            shutil.rmtree(folder, ignore_errors=True)
            os.rename(kept, folder)
        self.restart_audit(undo)
        self.assertGreater(self.check(self.log), size)

    def test_5_key_rotation(self):
        old = self.log.key()
        program = os.path.join(self.installation.build, 'throng-audit')
        environment = {'THRONG_RUN_DIRECTORY': os.path.join(self.installation.data, 'run')}
        printed = subprocess.run([program, '--rotate-key'], env=environment, capture_output=True, text=True, check=True).stdout
        new = self.log.key()
        self.assertEqual(new.text, printed.strip())
        self.assertNotEqual(new.text, old.text)
        throng.wait_for(lambda: new.signed(self.log.notes()[-1][1]), 20, 'a signature of the new key')
        self.assertTrue(old.signed(self.log.notes()[-1][1]))
        self.check(self.log)
        self.assertEqual(self.log.sql('SELECT vkey FROM audit.log_key ORDER BY from_size'), [(old.text,), (new.text,)])
        self.assertEqual(self.log.sql("SELECT count(*) FROM audit.entry WHERE act = 'log_key_rotated'")[0][0], 2)

    def test_6_socket(self):
        size = self.log.wait()
        answer = self.log.ask(f'manifest {size} ' + 64 * 'b')
        self.assertTrue(self.log.key().signed(answer))
        origin, at, _, manifest = answer.decode().split('\n\n')[0].split('\n')
        self.assertEqual((origin, at, manifest), (self.log.key().name + '/bundle', str(size), 64 * 'b'))
        for line in (f'manifest {size + 5} ' + 64 * 'b', f'manifest {size} ' + 63 * 'b', f'manifest 0 {64 * "b"}', 'manifest', 'x'):
            self.assertTrue(self.log.ask(line).startswith(b'error: '), line)
        self.assertEqual(Key(self.log.ask('vkey').decode().strip().split('\n')[-1]).text, self.log.key().text)
        self.assertTrue(self.log.key().signed(self.log.ask('checkpoint')))

    def test_7_second_sequencer(self):
        """Neither on the same state nor, with another, on the same database."""
        data = self.installation.data
        with tempfile.TemporaryDirectory() as folder:
            environment = {'THRONG_RUN_DIRECTORY': folder, 'THRONG_AUDIT_SEAL_FILE': f'{data}/secrets/audit.seal',
                'THRONG_POSTGRES_CONNINFO_FILE': f'{data}/secrets/throng_audit.conninfo'}
            program = os.path.join(self.installation.build, 'throng-audit')
            done = subprocess.run([program], env={**environment, 'THRONG_AUDIT_STATE': f'{data}/audit'}, capture_output=True,
                text=True, timeout=30, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn('another throng-audit', done.stderr)
            with open(f'{folder}/said', 'w+', encoding='utf-8') as said, subprocess.Popen([program], stderr=said,
                    env={**environment, 'THRONG_AUDIT_STATE': f'{folder}/state'}) as other:
                throng.wait_for(lambda: said.seek(0) or 'another throng-audit' in said.read(), 60, 'what the second one says')
                other.send_signal(signal.SIGTERM)
        self.check(self.log)


class Restored(Case):
    """A file copy of the whole database from before is put in place: with what was signed since, nothing is lost."""

    def test_older_copy(self):
        with throng.Throng({'THRONG_AUDIT_POLL_MS': '200'}) as installation:
            log = Log(installation)
            installation.wait_ready()
            log.add(300)
            log.wait()
            installation.stop()
            subprocess.run(['cp', '-a', f'{installation.data}/postgres', f'{installation.data}/postgres.before'], check=True)
            installation.start()
            log.add(400)
            log.wait()
            installation.stop()
            subprocess.run(['rm', '-r', f'{installation.data}/postgres'], check=True)
            subprocess.run(['mv', f'{installation.data}/postgres.before', f'{installation.data}/postgres'], check=True)
            with open(os.path.join(log.folder, 'signed'), 'rb') as file:
                signed = int(file.read().split(b'\n')[1])
            installation.start()
            throng.wait_for(lambda: installation.quiet(lambda: log.size() > signed), 60, 'what the copy lacked')
            self.assertGreater(self.check(log), signed)
            self.assertEqual(log.sql("SELECT count(*) FROM audit.entry WHERE act = 'node_announced' AND tenant = ''")[0][0] >= 700, True)


class Killed(Case):
    """The sequencer and PostgreSQL are killed again and again while leaves come."""

    def test_rounds(self):
        rounds = 100 if throng.LONG else 8
        rng = random.Random(2026)
        with throng.Throng({'THRONG_AUDIT_POLL_MS': '20'}) as installation:
            log = Log(installation)
            installation.wait_ready()
            committed, ending = [], threading.Event()

            def write():
                while not ending.is_set():
                    try:
                        connection = installation.database()
                        while not ending.is_set():
                            committed.extend(log.add(rng.randrange(1, 400), connection))
                    except psycopg2.Error:
                        time.sleep(0.1)

            writer = threading.Thread(target=write)
            writer.start()
            seen = {}
            try:
                for turn in range(rounds):
                    time.sleep(rng.uniform(0.3, 2.5))
                    installation.kill('postgres' if turn % 4 == 3 else 'audit')
                    for size, note in installation.quiet(log.notes) or []:
                        self.assertEqual(seen.setdefault(size, note.split(b'\n\n')[0]), note.split(b'\n\n')[0])
            finally:
                ending.set()
                writer.join()
            installation.wait_ready(180)
            self.check(log)
            entries = {row[0] for row in log.sql('SELECT id::text FROM audit.entry')}
            self.assertLessEqual(set(committed), entries)
            self.assertLessEqual(set(seen.items()), {(size, note.split(b'\n\n')[0]) for size, note in log.notes()})
            self.assertFalse(glob.glob(os.path.join(log.folder, 'log', 'tile', '0', '000.p')))


class Witnessed(Case):
    """A witness of our own that cosigns, is down, and refuses a fork."""

    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory())
        os.chmod(self.folder, 0o755)
        self.program = os.path.join(throng.BUILD, 'throng-witness')
        self.port = throng.free_port()
        self.process = None
        self.key = Key(self.run_witness('--make-key', 'witness.example', '--key-file', f'{self.folder}/key'))
        self.addCleanup(self.stop_witness)

    def run_witness(self, *arguments):
        return subprocess.run([self.program, *arguments], capture_output=True, text=True, check=True).stdout

    def start_witness(self, log):
        self.process = subprocess.Popen([self.program, '--listen', f'127.0.0.1:{self.port}', '--key-file', f'{self.folder}/key',
            '--state', f'{self.folder}/state', '--log', log.key().text], stderr=subprocess.DEVNULL)

    def stop_witness(self):
        if self.process:
            self.process.terminate()
            self.assertEqual(self.process.wait(60), 0)
            self.process = None

    def cosigned(self, log):
        return self.key.signed(log.notes()[-1][1])

    def cosigned_anew(self, log):
        """Whether the next checkpoint is: a witness that does not answer at once is not waited for, and asked later."""
        log.add(1)
        log.wait()
        return self.cosigned(log)

    def post(self, body):
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=10)
        try:
            connection.request('POST', '/add-checkpoint', body)
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.getheader('Content-Type')
        finally:
            connection.close()

    def test_witness(self):
        path = f'{self.folder}/witnesses'
        with open(path, 'w', encoding='utf-8') as file:
            file.write(f'# one\nhttp://127.0.0.1:{self.port} {self.key.text}\n')
        os.chmod(path, 0o644)
        with throng.Throng({'THRONG_AUDIT_POLL_MS': '200', 'THRONG_AUDIT_WITNESSES': path}) as installation:
            log = Log(installation)
            installation.wait_ready()
            log.add(10)
            self.check(log)  # it is down: nothing waits for it
            self.assertFalse(self.cosigned(log))
            self.start_witness(log)

            def again():
                return self.cosigned_anew(log)
            throng.wait_for(again, 90, 'a cosignature', 1)
            for _ in range(3):
                log.add(300)
                self.check(log)
            throng.wait_for(lambda: again() and log.sql('SELECT name, size FROM audit.witness') == [('witness.example', log.wait())], 60,
                'a cosignature of the newest checkpoint', 1)
            self.refuse(log, log.wait())
            self.fork(installation, log)

    def fork(self, installation, log):
        """Database, key and all that was signed are set back together: here nothing can tell, the witness can."""
        installation.stop()
        kept = f'{installation.data}/kept'
        subprocess.run(['mkdir', '-m', '700', kept], check=True)
        subprocess.run(['cp', '-a', f'{installation.data}/postgres', f'{installation.data}/audit', kept], check=True)
        installation.start()
        log.add(50)
        throng.wait_for(lambda: self.cosigned_anew(log), 60, 'a cosignature', 1)
        installation.stop()
        subprocess.run(['rm', '-r', f'{installation.data}/postgres', f'{installation.data}/audit'], check=True)
        subprocess.run(['mv', f'{kept}/postgres', f'{kept}/audit', installation.data], check=True)
        installation.start()
        throng.wait_for(lambda: installation.metric('audit', 'throng_audit_contradicted') == 1, 30, 'what the witness knows')
        log.add(500)
        log.wait()
        self.assertFalse(self.cosigned(log))
        throng.wait_for(lambda: self.left_behind(log), 60, 'a larger tree that the witness refuses', 1)
        self.assertEqual(installation.metric('audit', 'throng_audit_contradicted'), 1)

    def left_behind(self, log):
        log.add(1)
        log.wait()
        self.assertFalse(self.cosigned(log))
        path = next(path for path in glob.glob(f'{self.folder}/state/*') if not path.endswith('lock'))
        with open(path, 'rb') as file:
            return log.published() > int(file.read().split(b'\n')[0]) + 100

    def refuse(self, log, size):
        """What its log's key has not signed, and what is not newer than what was seen."""
        earlier = next(note for s, note in log.notes() if s < size)
        status, body, kind = self.post(b'old 0\n\n' + earlier)
        self.assertEqual((status, body, kind), (409, b'%d\n' % size, 'text/x.tlog.size'))
        newest = log.notes()[-1][1]
        self.assertEqual(self.post(b'old %d\n\n' % size + newest.replace(b'\n%d\n' % size, b'\n%d\n' % (size + 1), 1))[0], 403)
        self.assertEqual(self.post(b'old %d\n\n' % size + b'x' + newest)[0], 404)
        self.assertEqual(self.post(b'old %d\n' % size + b'x\n\n' + newest)[0], 400)
        self.assertEqual(self.post(b'old %d\n\n' % size + newest)[0], 200)


if __name__ == '__main__':
    throng.main()
