#!/usr/bin/python3
"""TLS to Redis and PostgreSQL: daemons as in production, one by one, against servers that take nothing else. Events are
counted, both servers may restart, and a certificate that is not to be trusted is refused with its reason."""
import contextlib
import glob
import http.client
import json
import os
import pwd
import shutil
import signal
import ssl
import socket
import subprocess
import tempfile
import time
import unittest

import throng

HOST = '127.0.0.1'
SUPERUSER = 'throng_super'
ROLES = {'aggregate': 'throng_state', 'release': 'throng_release', 'api': 'throng_read'}
def acl():
    """The users that the documentation has, with passwords."""
    printed = subprocess.run([os.path.join(throng.BUILD, 'throng'), 'config', '--redis-users'], check=True, capture_output=True,
        text=True).stdout
    return ''.join(line.replace('>PASSWORD', f'>{line.split()[1]}-pw') + '\n' for line in printed.splitlines())


NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']


def postgres_program(name):
    found = sorted(glob.glob(f'/usr/lib/postgresql/*/bin/{name}'), key=lambda path: int(path.split('/')[4]))
    return found[-1] if found else shutil.which(name)


class House:
    """A folder with a CA, a Redis, a PostgreSQL and daemons, all run by one unprivileged user."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix='throng-')
        self.user = pwd.getpwnam(throng.unprivileged_user()) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        self.redis_port, self.postgres_port = throng.free_port(), throng.free_port()
        self.port, self.admin_port = throng.free_port(), throng.free_port()
        self.running = {}
        for name in ('redis', 'run', 'ingest', 'release', 'log'):
            os.mkdir(self.path(name), 0o700)
        os.chmod(self.folder, 0o755)
        self.make_certificates()
        self.write('redis/redis.conf', 'port 0\n' f'bind {HOST}\ntls-port {self.redis_port}\ntls-auth-clients no\n'
            f'tls-cert-file {self.path("server.crt")}\ntls-key-file {self.path("server.key")}\n'
            f'tls-ca-cert-file {self.path("ca.crt")}\ndir {self.path("redis")}\nsave ""\nappendonly yes\nappendfsync no\n'
            f'maxmemory-policy noeviction\n{acl()}')
        self.give()

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 'w', encoding='utf-8') as file:
            file.write(text)

    def read(self, name):
        with open(self.path(name), encoding='utf-8', errors='replace') as file:
            return file.read()

    def give(self):
        """Everything belongs to the user who runs it."""
        if os.geteuid() == 0:
            for folder, _, names in os.walk(self.folder):
                for place in [folder, *(os.path.join(folder, name) for name in names)]:
                    os.chown(place, self.user.pw_uid, self.user.pw_gid)

    def identity(self):
        return {'user': self.user.pw_uid, 'group': self.user.pw_gid, 'extra_groups': []} if os.geteuid() == 0 else {}

    # --- certificates ---------------------------------------------------------------------------------------------------

    def openssl(self, *words):
        subprocess.run(['openssl', *words], cwd=self.folder, check=True, capture_output=True)

    def make_certificates(self):
        """CAs ca and other; of ca: good (for 127.0.0.1) and expired. server is the one that the servers use."""
        for name in ('ca', 'other'):
            self.openssl('req', '-x509', *NEW_KEY, '-keyout', f'{name}.key', '-out', f'{name}.crt', '-subj', f'/CN={name}',
                '-days', '2')
        self.write('names', f'subjectAltName=IP:{HOST}\n')
        for name, days in (('good', '2'), ('expired', '-1')):
            self.openssl('req', *NEW_KEY, '-keyout', f'{name}.key', '-out', f'{name}.csr', '-subj', f'/CN={name}')
            self.openssl('x509', '-req', '-in', f'{name}.csr', '-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial',
                '-days', days, '-extfile', 'names', '-out', f'{name}.crt')
        self.use('good')

    def use(self, name):
        """The certificate that servers started from now on show."""
        for end in ('crt', 'key'):
            shutil.copy(self.path(f'{name}.{end}'), self.path(f'server.{end}'))
            os.chmod(self.path(f'server.{end}'), 0o600)
        self.give()

    # --- processes ------------------------------------------------------------------------------------------------------

    def spawn(self, name, command, environment=None):
        with open(self.path(f'log/{name}.log'), 'ab') as log:
            self.running[name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd='/',
                env={'PATH': os.environ['PATH'], 'LC_ALL': 'C', **(environment or {})}, **self.identity())
        return self.running[name]

    def end(self, name, number=signal.SIGTERM, seconds=60):
        process = self.running.pop(name, None)
        if process is None:
            return None
        process.send_signal(number)
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise throng.Failure(f'{name} did not end: {self.tail(name)}') from None

    def end_all(self):
        for name in ('ingest', 'api', 'release', 'aggregate', 'redis'):
            self.end(name)
        self.end('postgres', signal.SIGINT)

    def tail(self, name):
        return self.read(f'log/{name}.log')[-2000:]

    def start_redis(self):
        self.spawn('redis', ['redis-server', self.path('redis/redis.conf')])

    def make_postgres(self):
        self.write('password', 'super-pw')
        self.give()
        subprocess.run([postgres_program('initdb'), '-D', self.path('postgres'), '-U', SUPERUSER, '-A', 'scram-sha-256',
            '--pwfile', self.path('password'), '-E', 'UTF8', '--locale=C', '-N'], check=True, capture_output=True, cwd='/',
            env={'PATH': os.environ['PATH'], 'LC_ALL': 'C'}, **self.identity())
        self.write('postgres/pg_hba.conf', f'hostssl all all {HOST}/32 scram-sha-256\n')
        self.give()

    def start_postgres(self):
        self.spawn('postgres', [postgres_program('postgres'), '-D', self.path('postgres'), '-p', str(self.postgres_port),
            f'-clisten_addresses={HOST}', '-cunix_socket_directories=', '-cssl=on', '-cfsync=off',
            f'-cssl_cert_file={self.path("server.crt")}', f'-cssl_key_file={self.path("server.key")}',
            '-cdynamic_shared_memory_type=mmap', '-cshared_buffers=32MB', '-cmax_connections=40'])

    def conninfo(self, role, ca='ca', host=HOST, database='throng'):
        password = 'super-pw' if role == SUPERUSER else self.read(f'secrets/{role}').strip()
        return f'host={host} port={self.postgres_port} dbname={database} user={role} password={password} ' \
            f'sslmode=verify-full sslrootcert={self.path(ca + ".crt")}'

    def connect(self, database='throng'):
        connection = throng.psycopg2.connect(self.conninfo(SUPERUSER, database=database), connect_timeout=5)
        connection.autocommit = True
        return connection

    def sql(self, statement, parameters=(), database='throng'):
        connection = self.connect(database)
        try:
            cursor = connection.cursor()
            cursor.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def wait_servers(self):
        def both():
            try:
                self.sql('SELECT 1', database='postgres')
                context = ssl.create_default_context(cafile=self.path('ca.crt'))
                with socket.create_connection((HOST, self.redis_port), 2) as plain:
                    context.wrap_socket(plain, server_hostname=HOST).close()
                return True
            except (OSError, throng.psycopg2.Error):
                return False
        throng.wait_for(both, 60, lambda: f'an answer of both servers: {self.tail("redis")}{self.tail("postgres")}')

    def listens(self, server):
        with contextlib.suppress(OSError):
            socket.create_connection((HOST, self.redis_port if server == 'redis' else self.postgres_port), 2).close()
            return True
        return False

    def start_servers(self):
        self.start_redis()
        self.start_postgres()

    def settings(self, daemon, redis_ca='ca', redis_host=HOST, **postgres):
        settings = {'THRONG_RUN_DIRECTORY': self.path('run')}
        if daemon in ('ingest', 'aggregate'):
            settings |= {'THRONG_REDIS_HOST': redis_host, 'THRONG_REDIS_PORT': str(self.redis_port),
                'THRONG_REDIS_TLS': 'true', 'THRONG_REDIS_TLS_CA': self.path(redis_ca + '.crt'),
                'THRONG_REDIS_USER': daemon, 'THRONG_REDIS_PASSWORD': daemon + '-pw',
                'THRONG_REDIS_TIMEOUT_MS': '5000'} # nobody starts again here what gave up while the machine was busy
        if daemon in ROLES:
            settings['THRONG_POSTGRES_CONNINFO'] = self.conninfo(ROLES[daemon], **postgres)
        return settings | {'ingest': {'THRONG_INGEST_LISTEN': f'{HOST}:{self.port}',
            'THRONG_INGEST_STATE': self.path('ingest'), 'THRONG_INGEST_SEAL': 'a passphrase'},
            'aggregate': {'THRONG_AGGREGATE_FLUSH_MS': '200'}, 'release': {'THRONG_RELEASE_POLL_MS': '200',
                'THRONG_RELEASE_STATE': self.path('release')},
            'api': {'THRONG_API_LISTEN': f'{HOST}:{self.admin_port}'}}[daemon]

    def start(self, daemon, **more):
        return self.spawn(daemon, [os.path.join(throng.BUILD, 'throng-' + daemon)], self.settings(daemon, **more))

    def forget_ingest(self):
        """ingest starts as on a new machine: without keys, spool or catalogue."""
        shutil.rmtree(self.path('ingest'))
        os.mkdir(self.path('ingest'), 0o700)
        self.give()

    def cli(self, *words):
        self.write('throng.conf', f'[postgres]\nconninfo = {self.conninfo("throng_owner")}\n'
            f'read_conninfo = {self.conninfo("throng_read")}\n[run]\ndirectory = {self.path("run")}\n')
        self.give()
        return self.program('--config', self.path('throng.conf'), *words)

    def program(self, *words):
        done = subprocess.run([os.path.join(throng.BUILD, 'throng'), *words], capture_output=True, text=True, cwd='/',
            env={'PATH': os.environ['PATH'], 'LC_ALL': 'C'}, timeout=120, check=False, **self.identity())
        if done.returncode != 0:
            raise throng.Failure(f'throng {words}: {done.stderr}{done.stdout}')
        return done.stdout

    def migrate(self):
        self.sql('CREATE DATABASE throng', database='postgres')
        os.mkdir(self.path('secrets'), 0o700)
        self.write('super.conninfo', self.conninfo(SUPERUSER))
        self.give()
        self.program('migrate', '--superuser-conninfo-file', self.path('super.conninfo'), '--passwords',
            self.path('secrets'))

    # --- what the daemons say -------------------------------------------------------------------------------------------

    def status(self, daemon):
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
                client.settimeout(2)
                client.connect(self.path(f'run/{daemon}.status'))
                return json.loads(b''.join(iter(lambda: client.recv(65536), b'')))
        except (OSError, ValueError):
            return {'ready': False, 'metrics': []}

    def metric(self, daemon, name, label=''):
        return sum(m['value'] for m in self.status(daemon)['metrics'] if m['name'] == name and label in m.get('label', ''))

    def wait_ready(self, *daemons):
        for daemon in daemons:
            throng.wait_for(lambda d=daemon: self.status(d)['ready'], 60, lambda d=daemon: f'{d}: {self.tail(d)}: readiness')

    def request(self, port, method, path, body=None, key=None):
        connection = http.client.HTTPConnection(HOST, port, timeout=30)
        try:
            connection.request(method, path, body, {'Content-Type': 'application/json', 'Authorization': f'Bearer {key}'})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def said(self, daemon, since=0):
        """The (field, why) pairs of a daemon's log."""
        found = set()
        for line in self.read(f'log/{daemon}.log')[since:].splitlines():
            if line.startswith('{'):
                entry = json.loads(line)
                found.add((entry.get('field', ''), entry.get('why', '')))
        return found


@unittest.skipUnless(shutil.which('openssl') and shutil.which('redis-server') and postgres_program('initdb'),
    'needs openssl, redis-server and postgresql')
class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.house = House()
        try:
            cls.house.make_postgres()
            cls.house.start_servers()
            cls.house.wait_servers()
            cls.house.migrate()
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def tearDownClass(cls):
        try:
            cls.house.end_all()
        finally:
            shutil.rmtree(cls.house.folder, ignore_errors=True)

    def tearDown(self):
        for daemon in ('ingest', 'api', 'release', 'aggregate'):
            self.house.end(daemon)

    # --- all is well ----------------------------------------------------------------------------------------------------

    def add_app(self, name):
        house = self.house
        house.write(name + '.json', json.dumps({'name': name, 'time_zone': 'UTC', 'events': [{'name': 'view'}],
            'privacy': {'preset': 'exact', 'allow_unprotected': True}}))
        house.give()
        house.cli('app', 'add', house.path(name + '.json'))
        key = house.cli('app', 'key', name).strip().split()[-1]
        throng.wait_for(lambda: self.post(key, 0, '?dry_run=1') not in (401, 503), 30, 'the key at ingest')
        return key

    def post(self, key, count, query=''):
        events = [{'name': 'view', 'ts': throng.now_ms(), 'user': f'user {n}', 'seq': n} for n in range(count)]
        return self.house.request(self.house.port, 'POST', '/v1/events' + query,
            json.dumps({'source': throng.random_source(), 'events': events}), key)[0]

    def tally(self, app):
        rows = self.house.sql("""SELECT coalesce(sum(counted), 0), coalesce(sum(duplicate), 0), coalesce(sum(late), 0)
            FROM state.tally JOIN config.app USING (app) WHERE name = %s""", (app,))
        return tuple(int(value) for value in rows[0])

    def exactly(self, app, count):
        house = self.house
        throng.wait_for(lambda: sum(self.tally(app)) >= count, 60,
            lambda: f'{count} events in {self.tally(app)}: {house.tail("ingest")}{house.tail("aggregate")}', 0.2)
        self.assertEqual(self.tally(app), (count, 0, 0))

    def test_counted_and_servers_restarted(self):
        house = self.house
        for daemon in ('aggregate', 'release', 'api'):
            house.start(daemon)
        house.wait_ready('aggregate', 'release', 'api')
        house.start('ingest')
        house.wait_ready('ingest')
        key = self.add_app('shop')
        for _ in range(5):
            self.assertEqual(self.post(key, 100), 202)
        self.exactly('shop', 500)
        self.everything_encrypted()
        self.certificate_end_shown()

        house.end('redis', signal.SIGKILL)
        for _ in range(5):
            self.assertEqual(self.post(key, 10), 202)
        house.end('postgres', signal.SIGINT)
        throng.wait_for(lambda: not house.status('api')['ready'] and not house.status('release')['ready'], 30,
            'daemons that notice')
        house.start_servers()
        house.wait_servers()
        house.wait_ready('ingest', 'aggregate', 'release', 'api')
        throng.wait_for(lambda: house.metric('ingest', 'throng_dependency_up', 'redis') == 1, 30, 'ingest with Redis')
        for _ in range(5):
            self.assertEqual(self.post(key, 10), 202)
        self.exactly('shop', 600)
        self.everything_encrypted()
        self.assertEqual(house.request(house.admin_port, 'GET', '/health/ready')[0], 200)
        for daemon in ('ingest', 'api', 'release', 'aggregate'):
            self.assertEqual(house.end(daemon), 0, house.tail(daemon))

    def everything_encrypted(self):
        rows = self.house.sql("""SELECT usename, bool_and(ssl), min(version) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
            WHERE usename LIKE 'throng%%' AND client_port IS NOT NULL GROUP BY usename""")
        found = {name: (encrypted, version) for name, encrypted, version in rows}
        for role in ROLES.values():
            self.assertEqual(found.get(role), (True, 'TLSv1.3'), found)

    def certificate_end_shown(self):
        house = self.house
        end = house.metric('ingest', 'throng_tls_not_after_timestamp_seconds', 'redis')
        self.assertAlmostEqual(end, time.time() + 2 * 86400, delta=3600)
        self.assertEqual(house.metric('aggregate', 'throng_tls_not_after_timestamp_seconds', 'redis'), end)
        key = house.cli('key', 'add', '--scope', 'ops').strip().split()[-1]
        status, text = house.request(house.admin_port, 'GET', '/metrics/ops', key=key)
        self.assertEqual(status, 200, text)
        lines = [line for line in text.splitlines() if line.startswith('throng_tls_not_after_timestamp_seconds{')]
        self.assertEqual(len(lines), 2, lines)
        self.assertTrue(all('peer="redis"' in line for line in lines), lines)

    # --- what is refused ------------------------------------------------------------------------------------------------

    def refused(self, daemon, field, words, **settings):
        """The daemon says, in one log entry, that field is to be looked at, and words."""
        house = self.house
        if daemon == 'ingest':
            house.forget_ingest()
        name = house.path(f'log/{daemon}.log')
        since = os.path.getsize(name) if os.path.exists(name) else 0
        process = house.start(daemon, **settings)
        throng.wait_for(lambda: any(f == field and words in why for f, why in house.said(daemon, since)), 20,
            lambda: f'{field}: {words}: {house.said(daemon, since)}')
        throng.wait_for(lambda: not house.status(daemon)['ready'], 20, f'{daemon} that is not ready')
        if daemon == 'ingest': # without a catalogue it does not start
            self.assertEqual(process.wait(20), 1)
        house.end(daemon)

    def refused_by_all(self, redis, postgres, **settings):
        for daemon in ('ingest', 'aggregate'):
            more = {key: value for key, value in settings.items() if key.startswith('redis_')}
            self.refused(daemon, *redis, **more)
        for daemon in ROLES:
            more = {key: value for key, value in settings.items() if not key.startswith('redis_')}
            self.refused(daemon, *postgres, **more)

    def test_wrong_ca(self):
        self.refused_by_all(('redis.tls_ca', 'not trusted'), ('postgres.conninfo', 'not trusted'),
            redis_ca='other', ca='other')

    def test_no_ca(self):
        self.refused_by_all(('redis.tls_ca', 'cannot be read'), ('postgres.conninfo', 'check sslrootcert'),
            redis_ca='missing', ca='missing')

    def test_wrong_host_name(self):
        self.refused_by_all(('redis.host', 'host name differs'), ('postgres.conninfo', 'another host name'),
            redis_host='localhost', host='localhost')

    def test_expired(self):
        house = self.house

        def restart(server, certificate):
            house.use(certificate)
            if server == 'redis':
                house.end('redis')
                house.start_redis()
            else:
                house.end('postgres', signal.SIGINT)
                house.start_postgres()
            throng.wait_for(lambda: house.listens(server), 30, f'{server} that listens')

        try:
            restart('redis', 'expired')
            for daemon in ('ingest', 'aggregate'):
                self.refused(daemon, 'redis.tls', 'expired')
            restart('postgres', 'expired')
            for daemon in ROLES:
                self.refused(daemon, 'postgres.conninfo', 'not valid now')
        finally:
            restart('redis', 'good')
            restart('postgres', 'good')
            house.wait_servers()

    def test_renewed_while_running(self):
        """The certificate runs out while ingest runs: it spools, says why, and goes on when there is a new one."""
        house = self.house
        house.start('aggregate')
        house.wait_ready('aggregate')
        house.start('ingest')
        house.wait_ready('ingest')
        key = self.add_app('renewed')
        self.assertEqual(self.post(key, 10), 202)
        self.exactly('renewed', 10)
        house.end('redis')
        house.use('expired')
        house.start_redis()
        throng.wait_for(lambda: any(f == 'redis.tls' and 'expired' in why for f, why in house.said('ingest')), 30,
            'the reason')
        self.assertEqual(self.post(key, 10), 202)
        house.end('redis')
        house.use('good')
        house.start_redis()
        self.exactly('renewed', 20)


if __name__ == '__main__':
    throng.main()
