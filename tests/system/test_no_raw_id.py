#!/usr/bin/python3
"""No raw identifier rests anywhere. Canaries go in through every door (accepted, rejected, malformed, imported, spooled, over
a change of keys); then every store, file, log, answer and the memory of every process but ingest and keyd is scanned for them,
as they are and under the usual unkeyed hashes. The scanner is proven first: it finds what is planted."""
import base64
import contextlib
import hashlib
import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import time
import unittest

import throng

HASHES = {
    'MD5': lambda text: hashlib.md5(text).digest(),
    'SHA-1': lambda text: hashlib.sha1(text).digest(),
    'SHA-256': lambda text: hashlib.sha256(text).digest(),
    'SHA-512': lambda text: hashlib.sha512(text).digest(),
    'BLAKE2b-128': lambda text: hashlib.blake2b(text, digest_size=16).digest(),
    'BLAKE2b-256': lambda text: hashlib.blake2b(text, digest_size=32).digest(),
    'BLAKE2b-512': lambda text: hashlib.blake2b(text).digest(),
}
PREFIX = 16 # bytes of a hash that are looked for, so that a shortened one is found, too
EVENTS = [
    {'name': 'page_view', 'kind': 'view', 'properties': [
        {'name': 'page', 'type': 'route'},
        {'name': 'plan', 'type': 'enum', 'values': ['free', 'paid']},
        {'name': 'score', 'type': 'number', 'min': 0, 'max': 100, 'step': 1},
        {'name': 'device', 'type': 'enum', 'from': 'user_agent'},
        {'name': 'campaign', 'type': 'entity'},
    ]},
    {'name': 'played'},
]


def forms_of_hash(digest):
    """How a hash can be written: raw, hexadecimal, base64 (both alphabets)."""
    start = digest[:PREFIX]
    yield 'raw', start
    yield 'hex', start.hex().encode()
    yield 'HEX', start.hex().upper().encode()
    whole = PREFIX * 8 // 6 # characters that the bytes behind do not change
    yield 'base64', base64.b64encode(start)[:whole]
    yield 'base64url', base64.urlsafe_b64encode(start)[:whole]


def forms_of_text(core):
    """How a text can be written without a hash: as it is, in capitals, hexadecimal, base64 at each of three alignments."""
    for text in {core, core.lower(), core.upper()}:
        yield 'plain', text
        yield 'hex', text.hex().encode()
        yield 'HEX', text.hex().upper().encode()
        yield 'UTF-16', text.decode().encode('utf-16-le')
    for shift in range(3):
        first, last = -(-shift * 8 // 6), (shift + len(core)) * 8 // 6
        yield f'base64+{shift}', base64.b64encode(b'\0' * shift + core)[first:last]


def shared_memory_of(pid):
    """Files of shared memory that a process maps: they are in no core image."""
    with contextlib.suppress(OSError):
        with open(f'/proc/{pid}/maps', encoding='utf-8', errors='replace') as file:
            return {line.split(maxsplit=5)[5].strip() for line in file if ' /dev/shm/' in line}
    return set()


class Canaries:
    """Identifiers that occur nowhere else, and everything that would give one of them away."""

    def __init__(self):
        self.values = {}

    def make(self, name, shape='{}'):
        """A new identifier: shape with a random core. No form of it has a byte that ends a line or a text for grep."""
        while True:
            core = secrets.token_hex(4) + 'Q' + secrets.token_hex(4)
            value = shape.format(core)
            if self.add(name, value, core):
                return value

    def add(self, name, value, core=None):
        forms = {}
        for kind, text in forms_of_text((core or value).encode()):
            forms[text] = (name, kind)
        for algorithm, make in HASHES.items():
            for text in {value.encode(), value.lower().encode(), (value + '\n').encode()}:
                for form, found in forms_of_hash(make(text)):
                    forms[found] = (name, f'{algorithm} {form}')
        if any(b'\n' in text for text in forms):
            return False
        self.values[name] = (value, forms)
        return True

    def needles(self):
        return {text: where for _, forms in self.values.values() for text, where in forms.items()}


class Scanner:
    """Bytes of files against all forms of all canaries, by GNU grep, which takes many fixed patterns in one pass."""

    def __init__(self, canaries, folder):
        self.needles = canaries.needles()
        self.file = os.path.join(folder, f'needles-{id(self)}')
        with open(self.file, 'wb') as file:
            file.write(b'\n'.join(self.needles) + b'\n')
        self.files, self.bytes = 0, 0

    def name(self, text):
        return self.needles.get(text) or ('?', repr(text[:40]))

    def scan(self, paths):
        """[(path, (canary, form))] for all regular files of paths and in folders of paths."""
        regular = []
        for path in paths:
            inside = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
            for name in inside if os.path.isdir(path) else [path]:
                with contextlib.suppress(FileNotFoundError):
                    info = os.lstat(name)
                    if stat.S_ISREG(info.st_mode):
                        regular.append(name)
                        self.bytes += info.st_size
        self.files += len(regular)
        found = []
        for start in range(0, len(regular), 200):
            found += self.grep(regular[start:start + 200])
        return found

    def grep(self, paths):
        # -o with the name of the file; NUL separates them, so that no name or match is misread.
        done = subprocess.run(['grep', '-s', '-aoHZFf', self.file, '--', *paths], capture_output=True,
            env={**os.environ, 'LC_ALL': 'C'}, check=False)
        if done.returncode not in (0, 1) and not all(os.path.exists(path) for path in paths):
            return [hit for path in paths if os.path.exists(path) for hit in self.grep([path])] # one went away meanwhile
        if done.returncode not in (0, 1):
            raise throng.Failure(f'grep: status {done.returncode}: {done.stderr[:300]!r}')
        hits = [line.split(b'\0', 1) for line in done.stdout.split(b'\n') if line]
        return sorted({(path.decode(), self.name(text)) for path, text in hits})

    def scan_text(self, text):
        """The forms in one text."""
        return sorted({where for needle, where in self.needles.items() if needle in text})


class NoRawId(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not shutil.which('gcore'):
            raise unittest.SkipTest('gcore is not installed; on Debian: apt-get install gdb')
        cls.throng = throng.Throng({'THRONG_INGEST_TRUSTED_PROXIES': '127.0.0.1'})
        cls.throng.__enter__()
        cls.canaries = Canaries()
        cls.answers = []

    @classmethod
    def tearDownClass(cls):
        cls.throng.__exit__(None, None, None)

    # --- doors ------------------------------------------------------------------------------------------------------------

    def make_canaries(self):
        make = self.canaries.make
        self.user, self.session = make('user', 'user-{}@example.org'), make('session', 's-{}')
        self.source = make('source', 'src{}-_')
        self.entity = make('entity', 'campaign/{}')
        self.spooled, self.spooled_session = make('spooled user', '{}'), make('spooled session', '{}')
        self.imported, self.imported_session = make('imported user', 'learner:{}'), make('imported session')
        self.clf_user, self.clf_agent = make('log user', 'u.{}'), make('log agent', 'Mozilla/5.0 {}')
        self.rejected = make('rejected value', 'mood {}')
        self.malformed = make('malformed', '{}')
        self.asked = make('who asked', 'asked-{}')
        self.agent = make('User-Agent', 'Mozilla/5.0 (X11; {}) Firefox/1')
        self.header = make('header', '{}')
        self.path = make('path', 'p{}')
        while True: # an address: its text, its 16 bytes, and the two with the agent
            raw = bytes.fromhex('20010db8') + secrets.token_bytes(12)
            text = socket.inet_ntop(socket.AF_INET6, raw)
            visitor = f'{text} {self.agent}'
            if b'\n' not in raw and self.canaries.add('address', text) and self.canaries.add('visitor', visitor, visitor):
                self.canaries.values['address'][1][raw] = ('address', 'raw')
                self.address = text
                return

    def post(self, key, body, expect, headers=None, path='/v1/events'):
        fields = {'User-Agent': self.agent, 'X-Forwarded-For': self.address, **(headers or {})}
        status, answer, got = self.throng.post(body, key, fields, path=path)
        self.answers.append(json.dumps([answer if not isinstance(answer, bytes) else answer.decode('latin-1'), got]).encode())
        self.assertEqual(status, expect, answer)
        return answer

    def event(self, **changes):
        event = {'name': 'page_view', 'ts': throng.now_ms() - 60000, 'user': self.user, 'session': self.session,
            'props': {'page': '/story/7?token=' + self.rejected + '#' + self.rejected, 'plan': 'free', 'campaign': self.entity},
            **changes}
        return {name: value for name, value in event.items() if value is not None}

    def accepted(self, key):
        """What is counted; returns the number of events."""
        for n in range(3):
            answer = self.post(key, {'source': self.source, 'events': [self.event(seq=10 * n + i) for i in range(5)]}, 202)
            self.assertEqual(answer['accepted'], 5)
        self.post(key, {'events': [self.event(user=None, session=None)]}, 202) # a day visitor: address and agent
        self.post(None, {'key': key, 'events': [self.event()]}, 202, {'Content-Type': 'text/plain', 'Cookie': self.header,
            'Referer': 'https://example.org/' + self.header, 'Forwarded': f'for="[{self.address}]"', 'X-Real-IP': self.address})
        self.post(key, {'events': [self.event()]}, 202, path=f'/v1/events?user={self.user}&q={self.path}')
        return 18

    def refused(self, key):
        """What is not counted, each with canaries where they do not belong."""
        bad = self.rejected
        faulty = [{'name': bad}, {'props': {'mood': bad}}, {'props': {bad: 1}}, {'props': {'plan': bad}}, {'props': {'score': bad}},
            {'props': {'campaign': bad * 30}}, {'props': {'campaign': [bad]}},
            {'ts': bad}, {'seq': bad}, {'user': bad * 30}, {'session': bad * 30}, {'user': [bad]}, {bad: 1}, {'note': bad},
            {'props': bad}]
        answer = self.post(key, {'source': self.source, 'events': [self.event(**change) for change in faulty]}, 202)
        self.assertEqual((answer['accepted'], len(answer['rejected'])), (0, len(faulty)))
        body = json.dumps({'source': self.source, 'events': [self.event(user=self.malformed)]}).encode()
        self.post(key, {'events': [self.event()]}, 202, path='/v1/events?dry_run=1')
        for headers in ({'Sec-GPC': '1'}, {'DNT': '1'}, {'User-Agent': 'Googlebot/2.1 ' + self.header}):
            self.assertEqual(self.post(key, body, 202, headers)['dropped'], 1)
        self.post(key, json.dumps({'consent': False, 'events': [self.event(user=self.malformed)]}).encode(), 202)
        for text in (body[:-1], body + body, body.replace(b'"events"', b'"%s"' % self.malformed.encode()), b'\xff' + body,
                self.malformed.encode(), body.replace(b'page_view', b'page\0view'), b'[%s]' % body):
            self.post(key, text, 400)
        self.post(key, {'source': self.malformed + '!', 'events': [self.event()]}, 400)
        self.post(key, {'events': [self.event()], 'sent_at': self.malformed}, 400)
        self.post(key, body, 403, {'Origin': 'https://' + self.header})
        self.post(key, body, 415, {'Content-Type': self.header})
        self.post('wk_' + self.header, body, 401)
        self.post(None, {'key': self.header, 'events': [self.event()]}, 401)
        self.post(key, body, 404, path='/' + self.path)
        self.post(key, {'events': [self.event(user=self.malformed)] * 1001}, 413)
        with contextlib.suppress(OSError): # the answer comes before the body is sent
            self.post(key, body + b' ' * 70000, 413)
        for text in (b'%s / HTTP/1.1\r\n\r\n', b'GET / HTTP/1.1\r\n%s\r\n\r\n', b'POST /v1/events HTTP/1.1\r\nHost: a\r\nX: %s\r\n'):
            with socket.create_connection(('127.0.0.1', self.throng.port), timeout=10) as client:
                client.sendall(text % self.header.encode())
                client.shutdown(socket.SHUT_WR)
                with contextlib.suppress(OSError):
                    self.answers.append(b''.join(iter(lambda: client.recv(65536), b'')))

    def admin(self, method, path, body=None):
        """A request to ingest's admin socket."""
        connection = http.client.HTTPConnection('localhost', timeout=30)
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.connect(os.path.join(self.throng.data, 'run', 'ingest.admin'))
        try:
            connection.request(method, path, body, {'Content-Type': 'application/json', 'User-Agent': self.agent})
            response = connection.getresponse()
            self.answers.append(response.read() + repr(response.getheaders()).encode())
            return response.status
        finally:
            connection.close()

    def through_admin_socket(self):
        body = json.dumps({'source': self.source, 'events': [self.event(), self.event(name=self.rejected)]}).encode()
        self.assertEqual(self.admin('POST', '/v1/apps/live/events', body), 202)
        self.assertEqual(self.admin('POST', '/v1/apps/live/events', body[:-1]), 400)
        self.assertEqual(self.admin('POST', '/v1/apps/live/events?mode=import', body), 409)
        self.assertEqual(self.admin('POST', f'/v1/apps/{self.path}/events', body), 404)
        self.assertEqual(self.admin('GET', '/v1/keys'), 200)
        self.assertEqual(self.admin('GET', '/v1/node'), 200)
        self.ask_as_people_do()
        return 1

    def ask_as_people_do(self):
        """Erasure, objection, its withdrawal, access; and each refused."""
        seal = base64.b64encode(bytes([9] + [0] * 31)).decode() # the base point of X25519: nobody needs to open it
        for path, more in (('erasures', {}), ('objections', {}), ('objections', {'withdraw': True}),
                ('access-requests', {'seal_to': seal})):
            body = json.dumps({'user': self.asked, **more}).encode()
            escaped = json.dumps({'user': self.asked, **more}).replace('asked', '\\u0061sked', 1).encode()
            for text, status in ((body, 202), (escaped, 202), (body[:-1], 400),
                    (body.replace(b'"user"', b'"%s"' % self.asked.encode()), 400),
                    (json.dumps({'user': [self.asked]}).encode(), 400), (json.dumps({'user': self.asked * 20}).encode(), 400)):
                self.assertEqual(self.admin('POST', f'/v1/apps/live/{path}', text), status, (path, text))

    def through_spool(self, key):
        """While Redis stands still everything goes to the spool, which is scanned full."""
        self.throng.kill('redis', signal.SIGSTOP)
        try:
            until = time.monotonic() + 60
            while self.throng.metric('ingest', 'throng_spool_bytes') == 0 and time.monotonic() < until:
                status, answer, _ = self.throng.post({'source': self.source, 'events': [self.event(user=self.spooled,
                    session=self.spooled_session, seq=900)]}, key)
                self.answers.append(json.dumps(answer).encode())
            self.assertGreater(self.throng.metric('ingest', 'throng_spool_bytes'), 0)
            for n in range(20):
                self.post(key, {'source': self.source, 'events': [self.event(user=self.spooled, session=self.spooled_session,
                    seq=1000 + n)]}, 202)
            spool = os.path.join(self.throng.data, 'ingest', 'spool')
            self.assertGreater(sum(os.path.getsize(os.path.join(spool, name)) for name in os.listdir(spool)), 1000)
            return self.scanner.scan([self.throng.data])
        finally:
            self.throng.kill('redis', signal.SIGCONT)

    def command(self, *arguments, fine=True):
        """throng ARGUMENTS; what it says is an answer, too."""
        done = self.throng.run(*arguments)
        self.answers.append(done.stdout.encode() + done.stderr.encode())
        if fine:
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def write(self, name, lines):
        path = os.path.join(self.throng.folder, name) # outside of the data directory
        with open(path, 'w', encoding='utf-8') as file:
            file.write('\n'.join(lines) + '\n')
        return path

    def imports(self):
        """History by each format, with lines that are bad or not declared; returns the number of events."""
        day = '2026-03-02'
        csv = self.write('h.csv', ['user,ts,name,session',
            *(f'{self.imported},{day} 10:00:{n:02},page_view,{self.imported_session}' for n in range(10)),
            f'{self.imported},{day} 11:00:00,{self.rejected},', f'{self.imported},{self.rejected},page_view,'])
        jsonl = self.write('h.jsonl', [*(json.dumps({'user': self.imported, 'ts': f'{day}T12:00:{n:02}Z', 'name': 'page_view',
            'props': {'page': '/story/' + self.rejected}}) for n in range(10)), '{"user":"%s"' % self.imported,
            json.dumps({'user': self.imported})])
        line = (f'{self.address} - {{}} [02/Mar/2026:13:00:{{:02}} +0000] "GET /story/{self.path}?u={self.rejected} HTTP/1.1" '
            f'200 5 "https://{self.header}/" "{self.clf_agent}"')
        clf = self.write('h.log', [line.format(self.clf_user, n) for n in range(10)] + ['bad ' + self.clf_user])
        for path, form, more in ((csv, 'csv', []), (jsonl, 'jsonl', ['--map', 'props.page=props.page']), (clf, 'clf', []),
                (clf, 'clf', ['--map', 'user=addr-agent'])):
            self.command('import', '--app', 'history', '--format', form, '--allow-bad', *more, path)
        self.command('import', '--app', 'history', '--format', 'csv', csv, fine=False) # bad lines are told
        self.command('import', '--app', self.path, '--format', 'csv', csv, fine=False)
        return 40

    def everything_said(self):
        """Answers of all commands and status sockets that look at what is there."""
        for words in (['status'], ['--json', 'status'], ['keys', 'status'], ['app', 'list'], ['app', 'show', 'live'],
                ['node', 'list'], ['query', '--app', 'history', 'active_users'], ['query', '--app', 'history', 'retention', '--format', 'json']):
            self.command(*words, fine=False)
        for daemon in ('ingest', 'aggregate', 'release'):
            self.answers.append(json.dumps(self.throng.status(daemon)).encode())
        self.answers.append(''.join(self.throng.output).encode())

    # --- scans ------------------------------------------------------------------------------------------------------------

    def scan_memory(self, pid, scanner=None):
        """What a core image of a process holds, mappings that ask to be left out included."""
        prefix = os.path.join(self.throng.folder, 'core')
        done = subprocess.run(['gcore', '-a', '-o', prefix, str(pid)], capture_output=True, text=True, check=False, timeout=300,
            stdin=subprocess.DEVNULL, cwd='/')
        core = f'{prefix}.{pid}'
        try:
            self.assertTrue(os.path.exists(core), f'{throng.program_of(pid)}: {done.stdout}{done.stderr}'[-1500:])
            size = os.path.getsize(core)
            found = (scanner or self.scanner).scan([core])
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(core)
        return size, found

    def prove_scanner(self):
        """Each form of a canary is found where it is planted, within other bytes; and in a process that only remembers it."""
        folder = os.path.join(self.throng.data, 'log')
        path = os.path.join(folder, 'planted')
        needles = self.scanner.needles
        self.assertGreater(len(needles), 500)
        for text, where in ((self.user.encode(), 'plain'),
                (hashlib.sha256(self.user.encode()).hexdigest().encode(), 'SHA-256 hex'),
                (hashlib.blake2b(self.session.encode(), digest_size=16).digest(), 'BLAKE2b-128 raw'),
                (base64.b64encode(hashlib.md5(self.source.encode()).digest()), 'MD5 base64'),
                (base64.urlsafe_b64encode(hashlib.sha1(self.address.encode()).digest()), 'SHA-1 base64'),
                (base64.b64encode(b'{"user":"' + self.user.encode() + b'"}'), 'base64+'),
                (self.session.encode().hex().upper().encode(), 'HEX'), (socket.inet_pton(socket.AF_INET6, self.address), 'raw')):
            with open(path, 'wb') as file:
                file.write(os.urandom(100000) + text + os.urandom(100000))
            found = self.scanner.scan([self.throng.data])
            os.unlink(path)
            self.assertTrue(found and all(hit[0] == path for hit in found), (where, found))
            self.assertTrue([hit for hit in found if where in hit[1][1]], (where, found))
        with open(path, 'wb') as file: # all of them at once
            file.write(b'\n\1'.join(needles))
        found = {where for _, where in self.scanner.scan([path])}
        os.unlink(path)
        self.assertEqual(found, set(needles.values()))
        child = subprocess.Popen(['/usr/bin/python3', '-c', 'import sys\nkept = sys.stdin.readline()\nprint("ready", flush=True)\n'
            'import time\ntime.sleep(600)'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            child.stdin.write(self.user.encode() + b'\n')
            child.stdin.flush()
            self.assertEqual(child.stdout.readline(), b'ready\n')
            _, found = self.scan_memory(child.pid)
            self.assertIn(('user', 'plain'), [where for _, where in found])
        finally:
            child.kill()
            child.wait()
            child.stdin.close()
            child.stdout.close()
        self.assertEqual(self.scanner.scan([self.throng.data]), [])

    def prove_stores(self):
        """A canary of its own, kept in Redis and in PostgreSQL, is found in their files, their dump and their memory."""
        planted = Canaries()
        value = planted.make('planted', 'planted-{}')
        scanner = Scanner(planted, self.throng.folder)
        redis = self.throng.redis()
        redis('SET', 'planted', value)
        self.throng.sql('CREATE TABLE public.planted AS SELECT %s::text AS kept', (hashlib.sha256(value.encode()).hexdigest(),))
        dumped = self.scan_database(scanner)
        self.assertEqual([where for _, where in dumped], [('planted', 'SHA-256 hex')])
        found = scanner.scan([self.throng.data])
        for folder, form in (('redis', 'plain'), ('postgres/base', 'SHA-256 hex'), ('postgres/pg_wal', 'SHA-256 hex')):
            inside = [where[1] for path, where in found if path.startswith(os.path.join(self.throng.data, folder))]
            self.assertIn(form, inside, (folder, found))
        for name, form in (('redis', 'plain'), ('postgres', 'SHA-256 hex')):
            _, found = self.scan_memory(self.throng.pid_of(name), scanner)
            self.assertIn(('planted', form), [where for _, where in found], name)
        self.throng.sql('DROP TABLE public.planted')
        redis('DEL', 'planted')
        redis.close()

    def scan_processes(self):
        """Every process of the installation that has no business with raw identifiers."""
        wrong, seen, shared = [], {}, set()
        spared = {self.throng.pid_of('ingest'), self.throng.pid_of('keyd')}
        self.assertNotIn(None, spared)
        for pid in [self.throng.supervisor.pid, *throng.descendants(self.throng.supervisor.pid)]:
            name = throng.program_of(pid)
            if pid in spared or not throng.is_alive(pid):
                continue
            try:
                size, found = self.scan_memory(pid)
            except AssertionError:
                if throng.is_alive(pid):
                    raise
                continue # a worker that ended by itself
            seen.setdefault(name, []).append(size)
            wrong += [(name, where) for _, where in found]
            shared |= shared_memory_of(pid)
        wrong += self.scanner.scan(sorted(shared))
        print('core images, MiB:', {name: [size >> 20 for size in sizes] for name, sizes in seen.items()}, flush=True)
        for name in ('throng', 'throng-aggregate', 'throng-release', 'redis-server', 'postgres'):
            self.assertTrue([one for one in seen if one.startswith(name[:15])], (name, seen))
        self.assertGreater(len(seen['postgres']), 5)
        self.assertGreater(min(size for sizes in seen.values() for size in sizes), 100000)
        return wrong

    def scan_database(self, scanner):
        """A dump of everything, beside the raw files."""
        words = dict(part.split('=', 1) for part in self.throng.conninfo('superuser').split())
        self.throng.sql('CHECKPOINT')
        dump = os.path.join(self.throng.folder, 'dump')
        # Of the server's version: a newer pg_dump may lie first on the path.
        with open(os.path.join(self.throng.data, 'postgres', 'PG_VERSION'), encoding='ascii') as file:
            program = f'/usr/lib/postgresql/{file.read().strip()}/bin/pg_dump'
        with open(dump, 'wb') as file:
            subprocess.run([program if os.path.exists(program) else 'pg_dump', '--inserts'], stdout=file, check=True,
                env={**os.environ, 'PGHOST': words['host'], 'PGPORT': words['port'], 'PGDATABASE': words['dbname'],
                    'PGUSER': words['user'], 'PGPASSWORD': words['password']})
        with open(dump, 'rb') as file:
            self.assertIn(b'INSERT INTO config.app', file.read())
        found = scanner.scan([dump])
        os.unlink(dump)
        return found

    def test_no_raw_id(self):
        self.make_canaries()
        self.scanner = Scanner(self.canaries, self.throng.folder)
        common = {'anonymous_visitors': True, 'routes': ['/story/:id'], 'origins': ['https://ok.example.org'],
            'entities': [{'name': 'campaigns', 'property': 'campaign'}]}
        key = self.throng.add_app('live', EVENTS, **common)
        self.throng.add_app('history', EVENTS, **common)
        self.throng.wait_ready()
        self.prove_scanner()
        self.prove_stores()

        sent = self.accepted(key)
        self.refused(key)
        sent += self.through_admin_socket()
        self.assertEqual(self.through_spool(key), [])
        self.throng.wait_ready()
        self.throng.wait_drained()
        self.command('keys', 'ratchet', '--app', 'live')
        sent += self.accepted(key) # packets with the names of both epochs
        self.through_admin_socket()
        imported = self.imports()
        self.throng.wait_drained()
        throng.wait_for(lambda: sum(self.throng.tally('live')) >= sent + 20, 60, 'the events')
        throng.wait_for(lambda: self.throng.tally('history')[0] >= imported, 60, 'the history')
        self.throng.seal('history', '2026-03-03')
        self.everything_said()

        # The canaries did arrive: as persons, sessions and visitors under other names, and nothing else.
        self.assertGreaterEqual(self.throng.sql('SELECT count(DISTINCT usr) FROM state.person')[0][0], 4)
        self.assertGreater(self.throng.sql('SELECT count(*) FROM state.visitor_day')[0][0], 0)
        self.assertGreater(self.throng.sql('SELECT count(*) FROM release.value')[0][0], 0)

        self.assertEqual(self.scan_database(self.scanner), [])
        self.assertEqual(self.scanner.scan([self.throng.data]), [])
        self.assertGreater(len(self.answers), 60)
        told = [(answer[:200], self.scanner.scan_text(answer)) for answer in self.answers]
        self.assertEqual([one for one in told if one[1]], [])
        self.assertEqual(self.scan_processes(), [])
        self.throng.stop() # what is written at the end
        self.assertEqual(self.scanner.scan([self.throng.data]), [])
        print(f'{len(self.scanner.needles)} forms of {len(self.canaries.values)} canaries; {self.scanner.files} files, '
            f'{self.scanner.bytes >> 20} MiB scanned, {len(self.answers)} answers', flush=True)


if __name__ == '__main__':
    throng.main()
