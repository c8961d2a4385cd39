"""A private installation of Throng under test: the real programs with a real Redis and PostgreSQL.

THRONG_BUILD names the folder of the built programs. Every installation lives in a fresh folder of its own with a short
path (unix sockets lie in it), listens on a free loopback port, and is gone after stop(), which fails if any process of
it is left. Only processes that the installation started are ever signalled, by their id.
"""
import contextlib
import datetime
import glob
import http.client
import json
import os
import pwd
import random
import re
import shutil
import signal
import socket
import string
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import psycopg2

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get('THRONG_BUILD') or os.path.join(SOURCE, 'build')
SHARED = os.environ.get('THRONG_SHARED') or os.path.join(os.path.dirname(SOURCE), 'shared')
LONG = os.environ.get('THRONG_LONG') == '1'
SKIP = 77
SHARDS = 16
DAY_MS = 24 * 3600 * 1000
KILLABLE = ('ingest', 'keyd', 'aggregate', 'release', 'api', 'audit', 'redis', 'postgres')
PATIENCE = int(os.environ.get('THRONG_PATIENCE') or 3)  # how often the time that is enough on a quiet machine is waited
CLAIMS = []  # sockets that hold the ports of this process against other tests


class Failure(AssertionError):
    pass


class Described:
    """Every exchange that a test has over HTTP is held against api/openapi.yaml, as far as its path is described there: answers,
    and the bodies that were taken. Of the same kind of exchange the first ones and then a few: enough, and cheap. Nothing is
    checked where the modules for it are not installed."""
    FIRST, EVERY = 20, 50
    lock = threading.Lock()
    loaded = None
    seen = {}

    @classmethod
    def description(cls):
        if cls.loaded is None:
            try:
                import openapi
                cls.loaded = openapi.Description()
            except ImportError:
                cls.loaded = False
        return cls.loaded

    @classmethod
    def is_due(cls, kind):
        cls.seen[kind] = cls.seen.get(kind, 0) + 1
        return cls.seen[kind] <= cls.FIRST or cls.seen[kind] % cls.EVERY == 0

    @classmethod
    def check(cls, method, target, sent, status, headers, body):
        with cls.lock:
            description = cls.description()
            path = target.split('?')[0]
            template = description and description.template(path)
            if not template or method.lower() not in description.root['paths'][template]:
                return
            if not cls.is_due((method, template, status)):
                return
            # Ingest ignores what it does not know in a query; the reading side refuses it.
            asked = path if method == 'POST' else target
            description.check_exchange(method, asked, {}, None, status, headers, body, valid=False)
            taken = cls.taken(sent, status, body)
            if taken is not None:
                described = description.root['paths'][template][method.lower()]['requestBody']['content']['application/json']
                description.check(taken, described['schema'], 'request')

    @staticmethod
    def taken(sent, status, body):
        """The request as JSON if nothing of it was refused."""
        if not sent or status != 202 or json.loads(body).get('rejected'):
            return None
        return json.loads(sent)


def now_ms():
    return int(time.time() * 1000)


def day_ms(text):
    """The first millisecond of a day, UTC."""
    day = datetime.datetime.strptime(text, '%Y-%m-%d').replace(tzinfo=datetime.timezone.utc)
    return int(day.timestamp() * 1000)


def wait_for(condition, seconds=30, what='a condition', pause=0.05):
    """The first true value of condition(), or Failure; seconds are those of a quiet machine."""
    until = time.monotonic() + seconds * PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > until:
            raise Failure(f'{what() if callable(what) else what} did not come within {seconds * PATIENCE} s')
        time.sleep(pause)


def random_source(rng=random):
    return ''.join(rng.choices(string.ascii_letters + string.digits, k=24))


def clear_of_midnight(seconds=60):
    """For what must happen within one day, UTC: if this one ends within so many seconds, let it end first."""
    left = DAY_MS / 1000 - time.time() % (DAY_MS / 1000)
    if left < seconds:
        time.sleep(left + 1)


def free_port():
    """A free port of the loopback device that nothing else gets while this process lives, though its daemon is not there yet, or is
    not there for a while. The kernel gives the ports from 32768 on to connections; of others, tests claim those they use."""
    while True:
        port, claim = random.SystemRandom().randrange(20000, 32768), socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f'\0throng-test-port-{port}')
            with socket.socket() as probe:
                probe.bind(('127.0.0.1', port))
        except OSError:
            claim.close()
            continue
        CLAIMS.append(claim)
        return port


def parent_of(pid):
    try:
        with open(f'/proc/{pid}/stat', encoding='utf-8', errors='replace') as file:
            return int(file.read().rsplit(')', 1)[1].split()[1])
    except (OSError, IndexError, ValueError):
        return 0


def is_alive(pid):
    try:
        with open(f'/proc/{pid}/stat', encoding='utf-8', errors='replace') as file:
            return file.read().rsplit(')', 1)[1].split()[0] not in 'ZX'
    except OSError:
        return False


def descendants(pid):
    children = {}
    for entry in os.listdir('/proc'):
        if entry.isdigit():
            children.setdefault(parent_of(int(entry)), []).append(int(entry))
    found, queue = [], [pid]
    while queue:
        for child in children.get(queue.pop(), []):
            found.append(child)
            queue.append(child)
    return found


def program_of(pid):
    try:
        with open(f'/proc/{pid}/comm', encoding='utf-8', errors='replace') as file:
            return file.read().strip()
    except OSError:
        return ''


def cpu_seconds(pids):
    """User and system time that the processes have used, in seconds."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError, IndexError, ValueError):
            with open(f'/proc/{pid}/stat', encoding='utf-8', errors='replace') as file:
                fields = file.read().rsplit(')', 1)[1].split()
            ticks += sum(int(field) for field in fields[11:15])
    return ticks / os.sysconf('SC_CLK_TCK')


def resident_kib(pid):
    with open(f'/proc/{pid}/status', encoding='utf-8') as file:
        return int(re.search(r'VmRSS:\s+(\d+)', file.read()).group(1))


class RedisError(Exception):
    pass


class Redis:
    """The least of a client: one connection, one command at a time, answers as Python values (bytes for strings)."""

    def __init__(self, path, user=None, password=None, timeout=30):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        self.file = self.socket.makefile('rb')
        try:
            self.socket.connect(path)
            if password is not None:
                self('AUTH', user, password)
        except BaseException:
            self.close()
            raise

    def __call__(self, *words):
        parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self.socket.sendall(b'*%d\r\n' % len(parts) + b''.join(b'$%d\r\n%s\r\n' % (len(p), p) for p in parts))
        return self.answer()

    def answer(self):
        line = self.file.readline()
        if not line.endswith(b'\r\n'):
            raise ConnectionError('Redis closed the connection')
        kind, rest = line[:1], line[1:-2]
        if kind == b'-':
            raise RedisError(rest.decode())
        if kind == b'+':
            return rest
        if kind == b':':
            return int(rest)
        if kind == b'$':
            return None if rest == b'-1' else self.file.read(int(rest) + 2)[:-2]
        return None if rest == b'-1' else [self.answer() for _ in range(int(rest))]

    def close(self):
        self.file.close()
        self.socket.close()


class Throng:
    """One installation. Use as a context manager; environment: additional variables (THRONG_SECTION_KEY=…)."""

    def __init__(self, environment=None, keep=False, build=None):
        self.build = build or BUILD
        self.folder = tempfile.mkdtemp(prefix='throng-')
        os.chmod(self.folder, 0o755)
        self.data = os.path.join(self.folder, 'd')
        self.port = free_port()
        self.admin_port = free_port()
        self.keep = keep or os.environ.get('THRONG_KEEP') == '1'
        self.environment = {'THRONG_AGGREGATE_FLUSH_MS': '300', 'THRONG_RELEASE_POLL_MS': '100', **(environment or {})}
        self.supervisor = None
        self.output = []
        self.ever = set()
        self.keys = {}

    # --- start and stop -----------------------------------------------------------------------------------------------

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.tell()
            with contextlib.suppress(Exception):
                self.stop(quiet=True)
            raise

    def __exit__(self, kind, value, trace):
        if kind is not None and not issubclass(kind, unittest.SkipTest):
            self.tell()
        try:
            self.stop(quiet=kind is not None)
        finally:
            if self.keep:
                print(f'kept: {self.folder}', file=sys.stderr)
            else:
                shutil.rmtree(self.folder, ignore_errors=True)

    def full_environment(self):
        environment = {key: value for key, value in os.environ.items() if not key.startswith('THRONG_')}
        environment.update(self.environment)
        if os.geteuid() == 0 and 'THRONG_UP_USER' not in environment:
            environment['THRONG_UP_USER'] = unprivileged_user()
        return environment

    def start(self, wait=True):
        assert self.supervisor is None
        command = [os.path.join(self.build, 'throng'), 'up', '--data', self.data, '--listen', f'127.0.0.1:{self.port}',
            '--admin', f'127.0.0.1:{self.admin_port}', '--no-sample']
        self.supervisor = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors='replace', env=self.full_environment(), cwd='/')
        # When this test is killed, its end of the pipe closes, and the watchdog ends the installation.
        self.watchdog = subprocess.Popen(['sh', '-c', 'read line; kill -TERM "$0"', str(self.supervisor.pid)],
            stdin=subprocess.PIPE, start_new_session=True, cwd='/')
        up = threading.Event()
        threading.Thread(target=self.listen, args=(self.supervisor.stdout, up), daemon=True).start()
        if wait:
            wait_for(lambda: up.is_set() or self.supervisor.poll() is not None, 120, 'throng up')
            if self.supervisor.poll() is not None:
                time.sleep(0.2)
                raise Failure('throng up ended: ' + ''.join(self.output[-10:]))
            self.note_processes()
        return self

    def listen(self, stream, up):
        for line in stream:
            self.output.append(line)
            if line.startswith('Throng is up'):
                up.set()
        stream.close()

    def note_processes(self):
        self.ever.update(descendants(self.supervisor.pid))

    def stop(self, quiet=False, seconds=90):
        """End by SIGTERM. Fails if it does not end well, or leaves a process behind."""
        if self.supervisor is None:
            return
        self.note_processes()
        self.watchdog.kill()
        self.watchdog.wait()
        self.watchdog.stdin.close()
        started = time.monotonic()
        if self.supervisor.poll() is None:
            self.supervisor.send_signal(signal.SIGTERM)
        try:
            status = self.supervisor.wait(seconds * PATIENCE)
        except subprocess.TimeoutExpired:
            status = 'timeout'
            self.supervisor.kill()
            self.supervisor.wait()
        self.supervisor = None
        with contextlib.suppress(Failure):
            wait_for(lambda: not self.left(), 5, 'the end of all processes')
        left = self.left()
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.stop_seconds = time.monotonic() - started
        if not quiet and (status != 0 or left):
            raise Failure(f'throng up ended with {status} and left {[(pid, program_of(pid)) for pid in left]}: '
                + ''.join(self.output[-5:]))

    def left(self):
        """Processes of this installation that live: those seen under the supervisor, and those in its folder."""
        found = []
        for entry in os.listdir('/proc'):
            if not entry.isdigit() or int(entry) == os.getpid() or not is_alive(entry):
                continue
            with contextlib.suppress(OSError):
                if os.readlink(f'/proc/{entry}/cwd').startswith(self.data):
                    found.append(int(entry))
                    continue
            with contextlib.suppress(OSError):
                with open(f'/proc/{entry}/environ', 'rb') as file:
                    if self.data.encode() + b'/' in file.read() and program_of(entry).startswith(('throng', 'redis', 'postgres')):
                        found.append(int(entry))
        return [pid for pid in found if self.supervisor is None or pid != self.supervisor.pid]

    def restart(self):
        self.stop()
        self.start()

    def tell(self):
        """What a reader of a failed test wants to see."""
        print('--- throng up:', ''.join(self.output[-15:]), file=sys.stderr)
        for path in sorted(glob.glob(os.path.join(self.data, 'log', '*.log'))):
            with contextlib.suppress(OSError):
                with open(path, encoding='utf-8', errors='replace') as file:
                    lines = [line for line in file.readlines() if '"level":"info"' not in line][-12:]
                print(f'--- {os.path.basename(path)}\n' + ''.join(line[:400].rstrip() + '\n' for line in lines), file=sys.stderr)

    # --- processes ----------------------------------------------------------------------------------------------------

    def status(self, daemon):
        """The document of a daemon's status socket, or None."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
                client.settimeout(10)
                client.connect(os.path.join(self.data, 'run', daemon + '.status'))
                return json.loads(b''.join(iter(lambda: client.recv(65536), b'')))
        except (OSError, ValueError):
            return None

    def metric(self, daemon, name, label=''):
        document = self.status(daemon) or {'metrics': []}
        return sum(m['value'] for m in document['metrics'] if m['name'] == name and label in m.get('label', ''))

    def pid_of(self, name):
        """The process id of a daemon, keyd, redis or postgres (the postmaster); None while it does not run."""
        if name == 'keyd':
            ingest = self.pid_of('ingest')
            children = [pid for pid in descendants(ingest) if is_alive(pid)] if ingest else []
            return children[0] if children else None
        programs = {'redis': 'redis-server', 'postgres': 'postgres', 'ingest': 'throng-ingest',
            'aggregate': 'throng-aggregate', 'release': 'throng-release', 'api': 'throng-api', 'audit': 'throng-audit'}
        for pid in descendants(self.supervisor.pid):
            if parent_of(pid) == self.supervisor.pid and is_alive(pid) and self.is_program(pid, programs[name]):
                return pid
        return None

    @staticmethod
    def is_program(pid, program):
        with contextlib.suppress(OSError):
            with open(f'/proc/{pid}/cmdline', 'rb') as file:
                first = file.read().split(b'\0')[0].decode(errors='replace').split(' ')[0]
            return os.path.basename(first) == program
        return False

    def kill(self, name, number=signal.SIGKILL):
        """Send a signal (default SIGKILL) to one process; returns its id, or None if it did not run."""
        pid = self.pid_of(name)
        if pid:
            self.note_processes()
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return pid

    def ready(self):
        return all((self.status(daemon) or {}).get('ready') for daemon in ('audit', 'ingest', 'aggregate', 'release', 'api')) \
            and self.quiet(self.stores_answer)

    def stores_answer(self):
        redis = self.redis()
        redis('PING')
        redis.close()
        return self.sql('SELECT 1') == [(1,)]

    def wait_ready(self, seconds=60):
        wait_for(self.ready, seconds, 'readiness of all daemons')
        self.note_processes()

    # --- command line, HTTP, stores -------------------------------------------------------------------------------------

    def run(self, *arguments, **more):
        """throng ARGUMENTS on this installation; a CompletedProcess."""
        return subprocess.run([os.path.join(self.build, 'throng'), '--data', self.data, *arguments], capture_output=True,
            text=True, errors='replace', env=self.full_environment(), timeout=more.pop('timeout', 600), cwd='/', **more)

    def cli(self, *arguments, **more):
        """As run(), but its standard output; Failure if it fails."""
        done = self.run(*arguments, **more)
        if done.returncode != 0:
            raise Failure(f'throng {" ".join(arguments)}: status {done.returncode}: {done.stderr}{done.stdout}'[:2000])
        return done.stdout

    def connect(self, timeout=30):
        return http.client.HTTPConnection('127.0.0.1', self.port, timeout=timeout)

    def post(self, body, key=None, headers=None, connection=None, path='/v1/events'):
        """POST body (bytes, or a value for JSON). Returns (status, answer: JSON or bytes, headers)."""
        own = connection is None
        connection = connection or self.connect()
        raw = body if isinstance(body, (bytes, bytearray)) else json.dumps(body).encode()
        fields = {'Content-Type': 'application/json', **(headers or {})}
        if key:
            fields['Authorization'] = f'Bearer {key}'
        try:
            connection.request('POST', path, raw, fields)
            response = connection.getresponse()
            answer = response.read()
        finally:
            if own:
                connection.close()
        Described.check('POST', path, raw, response.status, dict(response.getheaders()), answer)
        with contextlib.suppress(ValueError):
            answer = json.loads(answer)
        return response.status, answer, dict(response.getheaders())

    def get(self, path, headers=None):
        connection = self.connect()
        try:
            connection.request('GET', path, headers=headers or {})
            response = connection.getresponse()
            answer = response.status, response.read(), dict(response.getheaders())
        finally:
            connection.close()
        Described.check('GET', path, None, answer[0], answer[2], answer[1])
        return answer

    def ask(self, path, key=None, headers=None, method='GET'):
        """A request to the private listener. Returns (status, body: bytes, headers)."""
        connection = http.client.HTTPConnection('127.0.0.1', self.admin_port, timeout=30)
        fields = dict(headers or {})
        if key:
            fields['Authorization'] = f'Bearer {key}'
        try:
            connection.request(method, path, headers=fields)
            response = connection.getresponse()
            answer = response.status, response.read(), dict(response.getheaders())
        finally:
            connection.close()
        Described.check(method, path, None, answer[0], answer[2], answer[1])
        return answer

    def conninfo(self, role):
        with open(os.path.join(self.data, 'secrets', role + '.conninfo'), encoding='utf-8') as file:
            return file.read().strip()

    def database(self, role='superuser'):
        connection = psycopg2.connect(self.conninfo(role), connect_timeout=30)
        connection.autocommit = True
        return connection

    def sql(self, statement, parameters=(), role='superuser'):
        """The rows of one statement ([] if it gives none)."""
        connection = self.database(role)
        try:
            cursor = connection.cursor()
            cursor.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def redis(self, user='admin', path=None):
        with open(os.path.join(self.data, 'secrets', 'redis-' + user), encoding='utf-8') as file:
            password = file.read().strip()
        return Redis(path or os.path.join(self.data, 'run', 'redis.sock'), user, password)

    # --- apps and what was counted --------------------------------------------------------------------------------------

    def add_app(self, name, events=('view',), **more):
        """Add an app (preset exact unless privacy is given), wait until ingest takes its key; returns the write key."""
        definition = {'name': name, 'time_zone': 'UTC', 'privacy': {'preset': 'exact', 'allow_unprotected': True},
            'events': [event if isinstance(event, dict) else {'name': event} for event in events], **more}
        path = os.path.join(self.folder, name + '.json')
        with open(path, 'w', encoding='utf-8') as file:
            json.dump(definition, file)
        self.cli('app', 'add', path)
        return self.add_key(name)

    def add_key(self, name):
        key = self.cli('app', 'key', name).strip().split()[-1]
        self.keys[name] = key
        wait_for(lambda: self.post({'events': []}, key, path='/v1/events?dry_run=1')[0] not in (401, 503), 30,
            f'the key of {name} at ingest')
        return key

    def app_id(self, name):
        return self.sql('SELECT app FROM config.app WHERE name = %s', (name,))[0][0]

    def tally(self, name):
        """(counted, duplicate, late) of an app."""
        row = self.sql("""SELECT coalesce(sum(counted), 0), coalesce(sum(duplicate), 0), coalesce(sum(late), 0)
            FROM state.tally WHERE app = %s""", (self.app_id(name),))[0]
        return tuple(int(value) for value in row)

    def wait_tally(self, name, total, seconds=60):
        """Wait until counted + duplicate + late is total, and a little longer for what must not come. The tally."""
        until = time.monotonic() + seconds * PATIENCE
        tally = None
        while time.monotonic() < until:
            with contextlib.suppress(psycopg2.Error):
                tally = self.tally(name)
                if sum(tally) >= total:
                    break
            time.sleep(0.1)
        else:
            raise Failure(f'{name}: the tally is {tally} and not {total} in all after {seconds * PATIENCE} s')
        self.wait_drained()
        return self.tally(name)

    def lag(self):
        """Entries of events in the streams that are not applied: later than the offset in PostgreSQL."""
        offsets = dict(self.sql('SELECT shard, off FROM state.shard'))
        redis, lag = self.redis(), 0
        try:
            for shard in range(SHARDS):
                off = offsets.get(shard, '0')
                for _, fields in redis('XRANGE', 'throng:{%d}' % shard, '(' + off if off != '0' else '-', '+') or []:
                    lag += fields[1][3:4] != b'\x02'
        finally:
            redis.close()
        return lag

    def wait_drained(self, seconds=60):
        """Wait until nothing but watermarks waits in the spool and the streams."""
        wait_for(lambda: self.quiet(lambda: self.metric('ingest', 'throng_spool_bytes') == 0 and self.lag() == 0), seconds,
            'an empty spool and applied streams', 0.1)

    @staticmethod
    def quiet(question):
        try:
            return question()
        except (OSError, RedisError, psycopg2.Error):
            return False

    def released(self, name, metric, interval='day'):
        """{(period, n): value} of what was released, read as the role that readers have."""
        rows = self.sql("""SELECT period::text, n, value FROM release.value v JOIN config.app a USING (app)
            WHERE a.name = %s AND metric = %s AND interval = %s""", (name, metric, interval), role='throng_read')
        return {(period, n): value for period, n, value in rows}

    def wait_released(self, name, day, seconds=120):
        """Wait until the release job has published both stages through day."""
        def done():
            rows = self.sql("""SELECT activity_through >= %s::date AND sessions_through >= %s::date
                FROM release.progress p JOIN config.app a USING (app) WHERE a.name = %s""", (day, day, name))
            return rows and rows[0][0]
        wait_for(lambda: self.quiet(done), seconds, f'the release of {name} through {day}', 0.1)

    def wait_logged(self, seconds=60):
        """Wait until every entry of the trail has its place in the log, under a signed checkpoint."""
        wait_for(lambda: self.quiet(lambda: self.sql("""SELECT NOT EXISTS (SELECT FROM audit.pending) AND
            (SELECT max(size) FROM audit.checkpoint) = (SELECT count(*) FROM audit.entry)""") == [(True,)]), seconds,
            'a checkpoint over the whole trail')

    def seal(self, name, through, *more):
        self.cli('seal', '--app', name, '--through', through, *more)
        self.wait_released(name, through)

    def everything_released(self, name):
        """All released numbers of an app, comparable between installations."""
        return sorted(self.sql("""SELECT metric, item, interval, period::text, n, value, reliability FROM release.value v
            JOIN config.app a USING (app) WHERE a.name = %s""", (name,), role='throng_read'))


def unprivileged_user():
    for name in ('throng', 'postgres', 'nobody'):
        with contextlib.suppress(KeyError):
            pwd.getpwnam(name)
            return name
    raise Failure('no unprivileged user')


def main():
    """Run the calling module's tests; exit status 77 if all were skipped."""
    if not os.path.exists(os.path.join(BUILD, 'throng')):
        print(f'skipped: no throng in {BUILD}')
        sys.exit(SKIP)
    program = unittest.main(module='__main__', verbosity=2, exit=False)
    result = program.result
    if result.testsRun and len(result.skipped) == result.testsRun:
        sys.exit(SKIP)
    sys.exit(0 if result.wasSuccessful() else 1)
