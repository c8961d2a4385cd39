#!/usr/bin/python3
"""What each database role, each Redis user and each operating system user may do, and what it may not. The tables below are
what is wanted: a table, function or right that they do not name is a failure."""
import contextlib
import glob
import os
import pwd
import socket
import stat
import subprocess
import sys
import unittest
import uuid

import psycopg2

import throng

DENIED = '42501'
NO_TABLE = '42809' # TRUNCATE of a view
NO_WRITE = '55000' # of a view over several tables: nobody can
ROLES = ('throng_owner', 'throng_state', 'throng_release', 'throng_read', 'throng_audit')
ALL = 'select insert update delete truncate'.split()
READ = ['select']
WRITE = ['select', 'insert', 'update', 'delete']
APPEND = ['select', 'insert']

# What each role but throng_owner may do with each table; throng_owner has made those of config, state, live
# and release.
STATE = {'throng_owner': ALL, 'throng_state': WRITE}
SUMS = {**STATE, 'throng_release': READ}
LIVE = {**STATE, 'throng_read': READ}
TABLES = {
    'throng_meta.migration': {'throng_read': READ},
    'audit.outbox': {'throng_read': READ, 'throng_audit': READ},
    **{f'audit.{name}': {'throng_read': READ, 'throng_audit': READ}
        for name in ('pending', 'entry', 'tile', 'checkpoint', 'log_key', 'pruned')},
    'audit.witness': {'throng_read': READ, 'throng_audit': ['select', 'insert', 'update']},
    'audit.released': {'throng_release': READ},
    'config.installation': {'throng_owner': ALL, 'throng_state': READ, 'throng_release': READ, 'throng_read': READ},
    'config.app': {'throng_owner': ALL, 'throng_state': READ, 'throng_release': READ, 'throng_read': READ},
    'config.definition': {'throng_owner': ALL, 'throng_state': READ, 'throng_release': READ, 'throng_read': READ},
    'config.write_key': {'throng_owner': ALL, 'throng_state': READ},
    'config.api_key': {'throng_owner': ALL, 'throng_state': READ},
    'config.reader_key': {'throng_owner': WRITE, 'throng_read': READ},
    'config.seal_request': {'throng_owner': ALL, 'throng_state': READ, 'throng_release': READ},
    'config.node_retired': {'throng_owner': ALL, 'throng_state': READ},
    'state.shard': STATE, 'state.node': STATE, 'state.seen': STATE, 'state.fragment': STATE, 'state.carry': STATE,
    'state.person': STATE, 'state.person_month': STATE, 'state.person_day': STATE, 'state.visitor_day': STATE,
    'state.alias': STATE, 'state.app_epoch': STATE, 'state.tally': STATE, 'state.refused': STATE,
    'state.progress': SUMS, 'state.triple': SUMS, 'state.day_sum': SUMS, 'state.session_sum': SUMS,
    'state.person_period': STATE, 'state.step': STATE, 'state.person_measure': STATE, 'state.person_outcome': STATE,
    'state.person_entity': STATE, 'state.entity': STATE, 'state.cell': SUMS,
    'live.twin': LIVE, 'live.event': LIVE, 'live.refused': LIVE, 'live.name': STATE,
    'release.progress': {'throng_owner': ALL, 'throng_state': READ, 'throng_release': ['select', 'insert', 'update'],
        'throng_read': READ},
    'release.release': {'throng_owner': ALL, 'throng_release': APPEND, 'throng_read': READ},
    'release.value': {'throng_owner': ALL, 'throng_release': APPEND, 'throng_read': READ},
    'release.plan': {'throng_owner': WRITE, 'throng_release': APPEND, 'throng_read': READ},
    'release.ledger': {'throng_owner': WRITE, 'throng_release': APPEND, 'throng_read': READ},
    'release.refused': {'throng_owner': ALL, 'throng_release': APPEND, 'throng_read': READ},
    'release.head': {'throng_owner': ALL, 'throng_release': READ, 'throng_read': READ},
}
TABLES.update({
    'subject.request': {'throng_owner': ALL, 'throng_state': APPEND, 'throng_read': READ},
    'subject.answer': {'throng_owner': ALL, 'throng_state': ['select', 'insert', 'delete'], 'throng_read': READ},
    'subject.purge': {'throng_owner': ALL, 'throng_state': READ},
    'subject.purged_shard': {'throng_owner': ALL, 'throng_state': APPEND, 'throng_read': READ},
    'subject.retention': {'throng_owner': ALL, 'throng_state': ['select', 'insert', 'update'], 'throng_read': READ},
    'subject.backup': {'throng_owner': ALL, 'throng_state': READ, 'throng_read': READ},
    'subject.mark_key': {'throng_owner': ALL, 'throng_state': READ},
    'subject.mark': STATE, 'subject.key_life': STATE, 'subject.expired': STATE, 'subject.self_test': STATE,
    'subject.account': {'throng_owner': ALL, 'throng_state': ['select', 'update']},
    'config.incident': {'throng_owner': ALL, 'throng_read': READ},
    'config.annotation': {'throng_owner': ALL, 'throng_read': READ},
})
# Rights to single columns, beyond those to the table.
COLUMNS = {('throng_state', 'subject.request'): {'purged_at': 'update', 'purged_leaf': 'update'},
    ('throng_state', 'subject.purge'): {'done_at': 'update', 'done_leaf': 'update'},
    # Not its reason: an operator's words.
    ('throng_read', 'subject.purge'): {'id': 'select', 'app': 'select', 'ordered_at': 'select', 'done_at': 'select'},
    ('throng_state', 'config.installation'): {'catalogue_version': 'update'},
    ('throng_release', 'release.head'): {'count': 'update', 'hash': 'update'}}
EVERYONE = set(ROLES)
FUNCTIONS = {
    'audit.append(uuid,text,bytea)': EVERYONE,
    **{f'audit.{name}': {'throng_audit'} for name in ('sequence(bigint,uuid[],smallint[],bigint[],bytea[])',
        'recover(bigint,bytea[],smallint[],bigint[],bytea[])', 'publish(bigint,timestamp with time zone,bytea)',
        'tell_key(text,bigint)')},
    'audit.place(bigint,uuid[],smallint[],bigint[],bytea[])': set(), # theirs
    'audit.prune(bigint,uuid)': {'throng_owner'}, # only what the log says will be
    'audit.ingestion_told(date)': {'throng_state'}, # apps' names and days
    'audit.refuse_change()': set(), # triggers'
    'audit.refuse_rewrite()': set(),
    'audit.refuse_but_pruning()': set(),
    'config.touch()': {'throng_owner'},
    'state.forget(integer,integer)': {'throng_owner', 'throng_state'},
    'state.count_entities(integer,integer[],date,date)': {'throng_owner', 'throng_release'}, # tells no name
    'subject.open_since(timestamp with time zone)': {'throng_owner'}, # physical removal: `throng retain`
    'subject.end_wal()': {'throng_owner'},
    'state.person_tables()': {'throng_owner', 'throng_state'},
    'state.names_of(integer,integer,bytea[])': {'throng_owner', 'throng_state'},
    'state.all_names(integer,integer)': {'throng_owner', 'throng_state'},
    'state.forget_person(integer,integer,bytea[])': {'throng_owner', 'throng_state'},
    'state.tell_person(integer,integer,bytea[])': {'throng_owner', 'throng_state'},
    'state.purge(integer,integer)': {'throng_owner', 'throng_state'},
    'release.check_budget()': {'throng_owner'}, # triggers'
    'release.refuse_change()': {'throng_owner'},
    'config.day_starts(text,date,date)': {'throng_owner', 'throng_state', 'throng_release', 'throng_read'},
}

# What no role may do; each in a transaction of its own that is rolled back.
FORBIDDEN = (
    "CREATE TABLE public.mine (n int)",
    "CREATE TABLE audit.mine (n int)",
    "CREATE TABLE throng_meta.mine (n int)",
    "CREATE TEMPORARY TABLE mine (n int)",
    "CREATE SCHEMA mine",
    "CREATE EXTENSION hstore SCHEMA public",
    "CREATE EXTENSION pg_stat_statements SCHEMA public",
    "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE ROLE mine",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "ALTER ROLE throng_super PASSWORD 'mine'",
    "SET session_replication_role = replica",
    "SET log_statement = 'all'",
    "SET SESSION AUTHORIZATION throng_super",
    "ALTER TABLE audit.outbox DISABLE TRIGGER ALL",
    "DROP TRIGGER outbox_append_only ON audit.outbox",
    "DROP TABLE audit.outbox",
    "CREATE OR REPLACE FUNCTION audit.refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "SELECT rolpassword FROM pg_authid",
    "SELECT passwd FROM pg_shadow",
    "SELECT * FROM pg_hba_file_rules",
    "SELECT * FROM pg_statistic",
    "SELECT pg_read_file('postgresql.conf')",
    "SELECT pg_ls_dir('.')",
    "SELECT pg_ls_waldir()",
    "SELECT lo_import('/etc/passwd')",
    "SELECT pg_reload_conf()",
    "SELECT pg_switch_wal()",
    "COPY (SELECT 1) TO PROGRAM 'cat'",
    "COPY (SELECT 1) TO '/tmp/mine'",
    "COPY pg_class FROM '/etc/passwd'",
)
FORBIDDEN_OUTSIDE = ("CREATE DATABASE mine", "ALTER SYSTEM SET log_statement = 'all'", "DROP DATABASE throng", "CHECKPOINT")
OTHER_ROLES = ('throng_audit_owner', 'throng_super', 'pg_read_all_data', 'pg_write_all_data', 'pg_execute_server_program',
    'pg_read_server_files', 'pg_monitor', 'pg_signal_backend')

REDIS_USERS = ('ingest', 'aggregate')
# (who may, command). Those allowed are chosen so that they change nothing.
REDIS = (
    ('ingest aggregate', ('PING',)),
    ('ingest aggregate', ('TIME',)),
    ('ingest aggregate', ('CONFIG', 'GET', 'maxmemory')),
    ('ingest aggregate', ('XADD', 'throng:{0}', '0-0', 'p', 'x')), # refused for its id, if not before
    ('ingest aggregate', ('HGET', 'throng:catalogue', 'version')),
    ('aggregate', ('XREAD', 'COUNT', '1', 'STREAMS', 'throng:{0}', '0')),
    ('aggregate', ('XRANGE', 'throng:{0}', '-', '+', 'COUNT', '1')),
    ('aggregate', ('XLEN', 'throng:{0}')),
    ('aggregate', ('XTRIM', 'throng:{0}', 'MINID', '0')),
    ('aggregate', ('HSET', 'throng:catalogue', 'a', 'b', 'c')), # refused for its number of arguments
    ('aggregate', ('XADD', 'throng:dead', '0-0', 'p', 'x')),
    ('aggregate', ('INFO', 'memory')),
    ('', ('HGET', 'throng:{0}x', 'version')),
    ('aggregate', ('HGETALL', 'throng:catalogue')),
    ('aggregate', ('HGETALL', 'throng:{0}:marks')),
    ('aggregate', ('HSET', 'throng:{0}:marks', 'a', 'b', 'c')), # refused for its number of arguments
    ('aggregate', ('HDEL', 'throng:{0}:marks', 'none')),
    ('aggregate', ('BGREWRITEAOF',)),
    ('aggregate', ('BGSAVE', 'SCHEDULE')),
    ('', ('HSET', 'throng:{0}:other', 'a', 'b')),
    ('', ('HGETALL', 'throng:dead')),
    ('', ('XADD', 'other', '*', 'p', 'x')),
    ('', ('XADD', 'throng:other', '*', 'p', 'x')),
    ('', ('XRANGE', 'throng:dead', '-', '+')),
    ('', ('XRANGE', 'other', '-', '+')),
    ('', ('XREVRANGE', 'throng:{0}', '+', '-')),
    ('', ('XDEL', 'throng:{0}', '1-1')),
    ('', ('XGROUP', 'CREATE', 'throng:{0}', 'g', '0')),
    ('', ('XINFO', 'STREAM', 'throng:{0}')),
    ('', ('COPY', 'throng:{0}', 'throng:{1}')),
    ('', ('DUMP', 'throng:{0}')),
    ('', ('OBJECT', 'FREQ', 'throng:{0}')),
    ('', ('RENAME', 'throng:{0}', 'throng:{1}')),
    ('', ('DEL', 'throng:{0}')),
    ('', ('UNLINK', 'throng:catalogue')),
    ('', ('EXPIRE', 'throng:catalogue', '1')),
    ('', ('SET', 'throng:{0}x', '1')),
    ('', ('GET', 'throng:{0}')),
    ('', ('TYPE', 'throng:{0}')),
    ('', ('KEYS', '*')),
    ('', ('SCAN', '0')),
    ('', ('DBSIZE',)),
    ('', ('RANDOMKEY',)),
    ('', ('FLUSHALL',)),
    ('', ('FLUSHDB',)),
    ('', ('SWAPDB', '0', '1')),
    ('', ('SELECT', '1')),
    ('', ('CONFIG', 'SET', 'maxmemory', '1')),
    ('', ('CONFIG', 'REWRITE')),
    ('', ('ACL', 'LIST')),
    ('', ('ACL', 'SETUSER', 'mine', 'on', 'nopass', '~*', '+@all')),
    ('', ('ACL', 'WHOAMI')),
    ('', ('CLIENT', 'LIST')),
    ('', ('CLIENT', 'KILL', 'TYPE', 'normal')),
    ('', ('MONITOR',)),
    ('', ('SLOWLOG', 'GET')),
    ('', ('LATENCY', 'LATEST')),
    ('', ('MEMORY', 'STATS')),
    ('', ('COMMAND', 'COUNT')),
    ('', ('EVAL', 'return 1', '0')),
    ('', ('FUNCTION', 'LIST')),
    ('', ('SCRIPT', 'FLUSH')),
    ('', ('MODULE', 'LIST')),
    ('', ('DEBUG', 'SLEEP', '0')),
    ('', ('SAVE',)),
    ('', ('LASTSAVE',)),
    ('', ('REPLICAOF', '127.0.0.1', '1')),
    ('', ('REPLICAOF', 'NO', 'ONE')),
    ('', ('SYNC',)),
    ('', ('PSYNC', '?', '-1')),
    ('', ('MIGRATE', '127.0.0.1', '1', 'throng:{0}', '0', '10')),
    ('', ('PUBLISH', 'channel', 'x')),
    ('', ('SUBSCRIBE', 'channel')),
    ('', ('MULTI',)),
    ('', ('WAIT', '0', '0')),
    ('', ('SHUTDOWN', 'NOSAVE')),
)
INGEST_ONLY_DENIED = ('XREAD', 'XRANGE', 'XLEN', 'XTRIM', 'HSET', 'INFO')


def statement(table, columns, right):
    column = '"%s"' % columns[0]
    return {
        'select': f'SELECT {column} FROM {table} LIMIT 1',
        'insert': f'INSERT INTO {table} DEFAULT VALUES',
        'update': f'UPDATE {table} SET {column} = DEFAULT WHERE false',
        'delete': f'DELETE FROM {table} WHERE false',
        'truncate': f'TRUNCATE {table}',
    }[right]


class Grants(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.throng = throng.Throng()
        cls.throng.__enter__()
        cls.throng.add_app('sample')
        cls.throng.wait_ready()

    @classmethod
    def tearDownClass(cls):
        cls.throng.__exit__(None, None, None)

    def attempt(self, connection, text, parameters=()):
        """None if text can be executed by connection, else its SQLSTATE and message. Always rolled back."""
        connection.autocommit = False
        cursor = connection.cursor()
        try:
            cursor.execute("SET LOCAL lock_timeout = '10s'")
            cursor.execute(text, parameters)
            return None
        except psycopg2.Error as error:
            return error.pgcode, str(error).strip()
        finally:
            connection.rollback()

    def is_denied(self, connection, text, parameters=()):
        found = self.attempt(connection, text, parameters)
        return found is not None and found[0] in (DENIED, NO_WRITE)

    def connection(self, role):
        connection = self.throng.database(role)
        self.addCleanup(connection.close)
        return connection

    # --- PostgreSQL -----------------------------------------------------------------------------------------------------

    def tables(self):
        rows = self.throng.sql("""SELECT table_schema || '.' || table_name, array_agg(column_name::text ORDER BY ordinal_position)
            FROM information_schema.columns WHERE table_schema NOT IN ('pg_catalog', 'information_schema') GROUP BY 1""")
        return dict(rows)

    def test_every_table_is_named(self):
        rows = self.throng.sql("""SELECT table_schema || '.' || table_name FROM information_schema.tables
            WHERE table_schema NOT IN ('pg_catalog', 'information_schema')""")
        self.assertEqual(sorted(row[0] for row in rows), sorted(TABLES))

    def test_tables(self):
        columns, wrong, tried = self.tables(), [], 0
        for role in ROLES:
            connection = self.connection(role)
            for table, rights in TABLES.items():
                own = COLUMNS.get((role, table), {})
                others = [column for column in columns[table] if column not in own]
                for right in ALL:
                    wanted = right in rights.get(role, ())
                    found = self.attempt(connection, statement(table, others, right))
                    tried += 1
                    if (found is None or found[0] not in (DENIED, NO_TABLE, NO_WRITE)) != wanted:
                        wrong.append((role, table, right, found))
        self.assertFalse(wrong)
        self.assertEqual(tried, len(ROLES) * len(TABLES) * len(ALL))

    def test_columns(self):
        """A right to a column is a right to no other column of the table."""
        columns, wrong = self.tables(), []
        for role in ROLES:
            connection = self.connection(role)
            for table, rights in TABLES.items():
                for column in columns[table]:
                    for right, text in (('select', f'SELECT "{column}" FROM {table} LIMIT 1'),
                            ('update', f'UPDATE {table} SET "{column}" = DEFAULT WHERE false')):
                        wanted = right in rights.get(role, ()) or COLUMNS.get((role, table), {}).get(column) == right
                        if self.is_denied(connection, text) == wanted:
                            wrong.append((role, table, column, right, wanted))
        self.assertFalse(wrong)

    def test_functions(self):
        rows = self.throng.sql("""SELECT p.oid::regprocedure::text, array_remove(array_agg(r::text ORDER BY r)
                FILTER (WHERE has_function_privilege(r, p.oid, 'EXECUTE')), NULL)
            FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace, unnest(%s) AS r
            WHERE nspname NOT IN ('pg_catalog', 'information_schema') GROUP BY 1""", (list(ROLES),))
        self.assertEqual({name: set(roles or ()) for name, roles in rows}, FUNCTIONS)

    def test_definers_have_a_fixed_path(self):
        """A function that runs as its owner does not look up names where its caller can make some."""
        rows = self.throng.sql("""SELECT p.oid::regprocedure::text, coalesce(array_to_string(proconfig, ' '), '')
            FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
            WHERE prosecdef AND nspname NOT IN ('pg_catalog', 'information_schema')""")
        self.assertEqual(sorted(rows), [(name, 'search_path=pg_catalog, pg_temp')
            for name in ('audit.append(uuid,text,bytea)', 'audit.ingestion_told(date)', 'audit.prune(bigint,uuid)',
                'audit.publish(bigint,timestamp with time zone,bytea)', 'audit.recover(bigint,bytea[],smallint[],bigint[],bytea[])',
                'audit.sequence(bigint,uuid[],smallint[],bigint[],bytea[])', 'audit.tell_key(text,bigint)', 'config.touch()',
                'state.count_entities(integer,integer[],date,date)', 'subject.end_wal()',
                'subject.open_since(timestamp with time zone)')])

    def test_forbidden(self):
        wrong = []
        for role in ROLES:
            connection = self.connection(role)
            for text in FORBIDDEN:
                found = self.attempt(connection, text)
                if found is None or found[0] != DENIED:
                    wrong.append((role, text, found))
            connection.autocommit = True # for those that no transaction may hold
            for text in FORBIDDEN_OUTSIDE:
                try:
                    connection.cursor().execute(text)
                    wrong.append((role, text))
                except psycopg2.Error as error:
                    if error.pgcode != DENIED:
                        wrong.append((role, text, str(error)))
        self.assertFalse(wrong)
        self.assertFalse(os.path.exists('/tmp/mine'))

    def test_superuser_may(self):
        """The statements above are refused for the right reason: whoever has the right can execute them."""
        connection = self.connection('superuser')
        transactional = [text for text in FORBIDDEN if text.startswith(('CREATE TABLE', 'CREATE TEMP', 'CREATE SCHEMA',
            'CREATE ROLE', 'SELECT rol', 'SELECT pass', 'SELECT pg_read', 'SELECT pg_ls', 'COPY (SELECT 1) TO PROGRAM', 'SET log'))]
        self.assertGreater(len(transactional), 8)
        for text in transactional:
            self.assertIsNone(self.attempt(connection, text), text)

    def test_set_role(self):
        wrong = []
        for role in ROLES:
            connection = self.connection(role)
            for other in ROLES + OTHER_ROLES:
                if other != role and not self.is_denied(connection, f'SET ROLE {other}'):
                    wrong.append((role, other))
        self.assertFalse(wrong)

    def test_attributes(self):
        rows = self.throng.sql("""SELECT rolname FROM pg_roles WHERE rolname LIKE 'throng\\_%%' AND rolname <> 'throng_super'
            AND (rolsuper OR rolinherit AND rolcanlogin OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)""")
        self.assertEqual(rows, [])
        rows = self.throng.sql("SELECT rolname FROM pg_roles WHERE rolcanlogin ORDER BY 1")
        self.assertEqual([row[0] for row in rows], sorted(ROLES + ('throng_super',)))
        self.assertEqual(self.throng.sql("""SELECT m.roleid::regrole, m.member::regrole FROM pg_auth_members m
            WHERE m.member::regrole::text LIKE 'throng%%'"""), [])

    def test_passwords(self):
        """Each role needs its own password: none, a wrong one, or another role's does not do."""
        words = {role: dict(part.split('=', 1) for part in self.throng.conninfo(role).split()) for role in ROLES}
        self.assertEqual(len({word['password'] for word in words.values()}), len(ROLES))
        for role in ROLES:
            others = [words[other]['password'] for other in ROLES if other != role]
            for password in ['', 'wrong', role, *others]:
                with self.assertRaises(psycopg2.OperationalError):
                    psycopg2.connect(**{**words[role], 'password': password}).close()
        with self.assertRaises(psycopg2.OperationalError):
            psycopg2.connect(**{**words['throng_owner'], 'user': 'throng_audit_owner'}).close()

    def test_other_databases(self):
        """The roles may connect to their database only."""
        wrong = []
        for role in ROLES:
            words = dict(part.split('=', 1) for part in self.throng.conninfo(role).split())
            for name in ('postgres', 'template1', 'template0'):
                with contextlib.suppress(psycopg2.OperationalError):
                    psycopg2.connect(**{**words, 'dbname': name}).close()
                    wrong.append((role, name))
        self.assertFalse(wrong)

    def test_no_tcp(self):
        """Redis and PostgreSQL listen on unix sockets, and on no port."""
        inodes = set()
        for name in ('redis', 'postgres', 'aggregate', 'release'):
            pid = self.throng.pid_of(name)
            for link in glob.glob(f'/proc/{pid}/fd/*'):
                with contextlib.suppress(OSError):
                    inodes.add(os.readlink(link))
        for table in ('tcp', 'tcp6'):
            with open(f'/proc/net/{table}', encoding='ascii') as file:
                for line in file.readlines()[1:]:
                    fields = line.split()
                    self.assertFalse(fields[3] == '0A' and f'socket:[{fields[9]}]' in inodes, line)

    # --- the audit trail ------------------------------------------------------------------------------------------------

    def test_outbox_is_append_only(self):
        """Whoever may reach the table at all is stopped by its triggers, the superuser and its owner too."""
        superuser = self.connection('superuser')
        for prefix in ('', 'SET LOCAL ROLE throng_audit_owner; ', 'SET LOCAL session_replication_role = replica; '):
            for text in ("UPDATE audit.outbox SET act = 'x'", 'DELETE FROM audit.outbox', 'TRUNCATE audit.outbox CASCADE'):
                found = self.attempt(superuser, prefix + text)
                self.assertIsNotNone(found, prefix + text)
                if not text.endswith('CASCADE'): # its owner may not cascade to the tables of acts either
                    self.assertIn('append-only', found[1], prefix + text)
        owner = self.connection('throng_owner')
        for text in ("UPDATE audit.outbox SET act = 'x'", 'DELETE FROM audit.outbox', 'TRUNCATE audit.outbox',
                "INSERT INTO audit.outbox (id, act, leaf) VALUES (gen_random_uuid(), 'app_added', '{}')"):
            self.assertTrue(self.is_denied(owner, text), text)

    def leaf(self, name, **more):
        body = {'id': name, 'act': 'app_added', 'v': 1, **more}
        return throng.json.dumps(body, separators=(',', ':')).encode()

    def test_append(self):
        """A leaf says the id and act under which it is appended."""
        name, other = str(uuid.uuid4()), str(uuid.uuid4())
        faulty = {
            'another id': self.leaf(other), 'another act': self.leaf(name, act='app_changed'), 'no act': self.leaf(name, act=None),
            'another version': self.leaf(name, v=2), 'no version': self.leaf(name, v=None), 'no JSON': b'{"id"',
            'not UTF-8': b'{"id":"\xff"}', 'a list': b'[]', 'empty': b'', 'an id in capitals': self.leaf(name.upper()),
        }
        self.assertNotEqual(name, name.upper())
        call = 'SELECT audit.append(%s::uuid, %s, %s)'
        for role in ROLES:
            connection = self.connection(role)
            self.assertIsNone(self.attempt(connection, call, (name, 'app_added', self.leaf(name))), role)
            for what, leaf in faulty.items():
                self.assertIsNotNone(self.attempt(connection, call, (name, 'app_added', leaf)), f'{role}: {what}')
            self.assertIsNotNone(self.attempt(connection, call, (None, 'app_added', self.leaf(name))), role)
            self.assertIsNotNone(self.attempt(connection, call, (name, 'app_added', None)), role)
            twice = call + '; ' + call
            parameters = (name, 'app_added', self.leaf(name)) * 2
            self.assertEqual(self.attempt(connection, twice, parameters)[0], '23505', role)

    def test_writer_is_recorded(self):
        """Who appended is the login, though the function runs as the trail's owner."""
        for role in ROLES:
            connection = self.connection(role)
            name = str(uuid.uuid4())
            connection.autocommit = True
            connection.cursor().execute('SELECT audit.append(%s::uuid, %s, %s)', (name, 'ingestion', self.leaf(name, act='ingestion')))
            self.assertEqual(self.throng.sql('SELECT written_by FROM audit.outbox WHERE id = %s', (name,)), [(role,)])

    def test_no_act_without_leaf(self):
        """A row of an act needs its leaf: a made-up id is refused, and none, too."""
        tables = self.throng.sql("""SELECT conrelid::regclass::text FROM pg_constraint
            WHERE contype = 'f' AND confrelid = 'audit.outbox'::regclass ORDER BY 1""")
        acts = {'config.app', 'config.definition', 'config.write_key', 'config.api_key', 'config.seal_request',
            'config.node_retired', 'config.incident', 'release.release', 'release.plan', 'release.ledger', 'release.refused',
            'subject.request', 'subject.purge', 'subject.backup'}
        self.assertEqual({row[0] for row in tables}, acts | {'audit.pending', 'audit.entry'}) # the log's own
        app = self.throng.app_id('sample')
        rows = {
            'config.app': ("(name, population, time_zone, leaf) VALUES ('x', 'p', 'UTC', {leaf})", 'throng_owner'),
            'config.definition': (f"(app, version, body, hash, leaf) VALUES ({app}, 9, '[]', sha256(''), {{leaf}})",
                'throng_owner'),
            'config.write_key': (f"(app, hash, hint, leaf) VALUES ({app}, sha256('x'), 'wk', {{leaf}})", 'throng_owner'),
            'config.api_key': ("(scope, hash, hint, leaf) VALUES ('ops', sha256('x'), 'rk', {leaf})", 'throng_owner'),
            'config.seal_request': (f"(app, through, leaf) VALUES ({app}, '2020-01-01', {{leaf}})", 'throng_owner'),
            'config.node_retired': ("(node, leaf) VALUES (1, {leaf})", 'throng_owner'),
            'release.release': ("""(leaf, population, app, family, interval, period, definition, preset, protection, mechanism,
                k, sealed_at) VALUES ({leaf}, 'p', %d, 'f', 'day', '2020-01-01', 1, 'exact', 'none', 'none', 1, now())""" % app,
                'throng_release'),
            'release.plan': (f"(population, month, app, family, definition, preset, k, leaf) VALUES ('p', '2020-01-01', {app}, 'f',"
                " 1, 'exact', 1, {leaf})", 'throng_release'),
            'release.ledger': (f"(population, month, app, family, rho, leaf) VALUES ('q', '2020-01-01', {app}, 'f', 0.1, {{leaf}})",
                'throng_release'),
            'release.refused': (f"(population, app, family, item, interval, period, reason, sealed_at, leaf) VALUES ('p', {app}, 'f',"
                " '', 'day', '2020-01-01', 'not_reserved', now(), {leaf})", 'throng_release'),
        }
        uuid_of = 'gen_random_uuid()'
        rows['subject.request'] = (f"(id, app, kind, shard, received_at, due_at, last_due_at, applied_at, received_leaf, applied_leaf)"
            f" VALUES ({uuid_of}, {app}, 'access', 0, now(), now(), now(), now(), {{leaf}}, {{leaf}})", 'throng_state')
        rows['subject.purge'] = (f"(id, app, ordered_at, reason, intent_leaf) VALUES ({uuid_of}, {app}, now(), 'x', {{leaf}})",
            'throng_owner')
        rows['subject.backup'] = (f"(id, made_at, expires_at, leaf) VALUES ({uuid_of}, now(), now(), {{leaf}})", 'throng_owner')
        rows['config.incident'] = (f"(id, kind, opened_at, leaf) VALUES ({uuid_of}, 'other', now(), {{leaf}})", 'throng_owner')
        self.assertEqual(set(rows), acts)
        self.throng.sql("""INSERT INTO release.plan (population, month, app, family, definition, preset, k, clamp, l2, sigma2, rho,
            rho_total, leaf) SELECT 'q', '2020-01-01', %s, 'f', 1, 'standard', 11, 1, 1, '4', 0.1, 0.1, id FROM audit.outbox LIMIT 1""",
            (app,))
        for table, (text, role) in rows.items():
            connection = self.connection(role)
            insert = f'INSERT INTO {table} {text}; SET CONSTRAINTS ALL IMMEDIATE'
            self.assertEqual(self.attempt(connection, insert.format(leaf='gen_random_uuid()'))[0], '23503', table)
            self.assertEqual(self.attempt(connection, insert.format(leaf='NULL'))[0], '23502', table)
            name = str(uuid.uuid4())
            good = f"SELECT audit.append('{name}', 'app_added', %s); " + insert.format(leaf=f"'{name}'")
            self.assertIsNone(self.attempt(connection, good, (self.leaf(name),)), table)

    # --- Redis ----------------------------------------------------------------------------------------------------------

    def redis_says(self, user, words):
        """'denied', or what Redis answered; on a connection of its own."""
        client = self.throng.redis(user)
        try:
            return client(*words)
        except throng.RedisError as error:
            # DEBUG is refused by the server's configuration before its rights are looked at.
            return 'denied' if str(error).startswith(('NOPERM', 'ERR DEBUG command not allowed')) else error
        finally:
            client.close()

    def test_redis(self):
        wrong = []
        for allowed, words in REDIS:
            for user in REDIS_USERS:
                found = self.redis_says(user, words)
                if (found != 'denied') != (user in allowed.split()):
                    wrong.append((user, words, found))
        self.assertFalse(wrong)

    def test_redis_users(self):
        admin = self.throng.redis()
        self.addCleanup(admin.close)
        users = {line.split()[1].decode(): line.decode().split() for line in admin('ACL', 'LIST')}
        self.assertEqual(set(users), {'default', 'admin', 'ingest', 'aggregate'})
        self.assertIn('off', users['default'])
        for name, words in users.items():
            self.assertNotIn('nopass', words if name != 'default' else [])

    def test_redis_needs_a_password(self):
        path = os.path.join(self.throng.data, 'run', 'redis.sock')
        passwords = {}
        for user in ('admin', *REDIS_USERS):
            with open(os.path.join(self.throng.data, 'secrets', 'redis-' + user), encoding='utf-8') as file:
                passwords[user] = file.read().strip()
        self.assertEqual(len(set(passwords.values())), 3)
        client = throng.Redis(path)
        self.addCleanup(client.close)
        for words in (('PING',), ('XLEN', 'throng:{0}'), ('HGET', 'throng:catalogue', 'version'), ('CONFIG', 'GET', '*'), ('INFO',)):
            with self.assertRaisesRegex(throng.RedisError, '^NOAUTH'):
                client(*words)
        for user in ('admin', *REDIS_USERS, 'default'):
            for password in ['', 'wrong', *(passwords[other] for other in passwords if other != user)]:
                with self.assertRaisesRegex(throng.RedisError, '^WRONGPASS'):
                    client('AUTH', user, password)

    # --- files and processes --------------------------------------------------------------------------------------------

    def test_modes(self):
        owner = os.stat(self.throng.data).st_uid
        self.assertNotEqual(owner, 0)
        wrong = []
        for folder, names, files in os.walk(self.throng.data):
            for name in ['.', *names, *files]:
                path = os.path.join(folder, name)
                with contextlib.suppress(FileNotFoundError):
                    info = os.lstat(path)
                    if info.st_uid != owner or stat.S_IMODE(info.st_mode) & 0o077:
                        wrong.append((path, oct(info.st_mode), info.st_uid))
        self.assertFalse(wrong[:10])
        for path, mode in (('.', 0o700), ('secrets', 0o700), ('run', 0o700), ('ingest', 0o700), ('ingest/keys', 0o600)):
            self.assertEqual(stat.S_IMODE(os.stat(os.path.join(self.throng.data, path)).st_mode), mode, path)
        secrets = glob.glob(os.path.join(self.throng.data, 'secrets', '*'))
        self.assertGreater(len(secrets), 10)
        for path in secrets:
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600, path)

    def as_user(self, name, program, *arguments):
        """What a Python program prints that runs as this user."""
        if os.geteuid() != 0:
            self.skipTest('another user can be only by root')
        entry = pwd.getpwnam(name)
        done = subprocess.run(['/usr/bin/python3', '-c', program, *arguments], capture_output=True, text=True, cwd='/',
            user=entry.pw_uid, group=entry.pw_gid, extra_groups=[], timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.split()

    TOUCH = """
import os, socket, sys
for path in sys.argv[1:]:
    for kind, act in (('list', os.listdir), ('read', lambda p: open(p, 'rb').read(1)), ('write', lambda p: open(p, 'ab')),
            ('connect', lambda p: socket.socket(socket.AF_UNIX).connect(p))):
        try:
            act(path)
            print(kind + ':' + path)
        except OSError:
            pass
"""

    def paths(self):
        found = [self.throng.data]
        for pattern in ('*', 'run/*', 'run/.s*', 'secrets/*', 'log/*', 'redis/*', 'redis/*/*', 'ingest/*', 'postgres/*', '.*'):
            found += glob.glob(os.path.join(self.throng.data, pattern))
        self.assertTrue([path for path in found if path.endswith('redis.sock')])
        return found

    def test_another_user(self):
        """Nobody can list, read, write or connect, even where the folders above the data directory are open."""
        paths = self.paths()
        self.assertEqual(self.as_user('nobody', self.TOUCH, *paths), [])
        owner = pwd.getpwuid(os.stat(self.throng.data).st_uid).pw_name
        mine = self.as_user(owner, self.TOUCH, *paths)
        for kind in ('list', 'read', 'connect'):
            self.assertTrue([line for line in mine if line.startswith(kind)], kind)

    def test_sockets_guard_themselves(self):
        """A data directory made accessible by mistake still lets nobody connect."""
        folders = [self.throng.data, os.path.join(self.throng.data, 'run')]
        for path in folders:
            os.chmod(path, 0o755)
        try:
            found = self.as_user('nobody', self.TOUCH, *self.paths())
        finally:
            for path in folders:
                os.chmod(path, 0o700)
        self.assertEqual([line for line in found if not line.startswith('list:') or line[5:] not in folders], [])

    def test_keyd_is_closed_to_its_own_user(self):
        """Another process of the same user cannot read keyd's memory, nor ingest's; both are not dumped."""
        owner = pwd.getpwuid(os.stat(self.throng.data).st_uid).pw_name
        files = [f'/proc/{self.throng.pid_of(name)}/{file}' for name in ('keyd', 'ingest') for file in ('mem', 'environ', 'maps')]
        self.assertEqual(self.as_user(owner, self.TOUCH, *files), [])

    def test_no_secret_on_a_command_line(self):
        secrets = []
        for path in glob.glob(os.path.join(self.throng.data, 'secrets', '*')):
            with open(path, 'rb') as file:
                secrets.append(file.read().strip().rsplit(b'password=', 1)[-1])
        self.throng.note_processes()
        for pid in [self.throng.supervisor.pid, *throng.descendants(self.throng.supervisor.pid)]:
            with contextlib.suppress(OSError):
                with open(f'/proc/{pid}/cmdline', 'rb') as file:
                    text = file.read()
                self.assertFalse([1 for secret in secrets if secret in text], pid)


if __name__ == '__main__':
    throng.main()
