#!/usr/bin/python3
"""Data inventory: schema/inventory.def names every column of the migrated database and every field of a packet, once,
with a class and a retention; pseudonyms are bytea of 16 bytes, and nothing readable by a publisher is one. Single events
are readable in schema live only, whose rows a foreign key holds to test apps."""
import glob
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile

import gate

CLASSES = {'pseudonym', 'personal', 'test', 'aggregate', 'config', 'secret_hash', 'audit', 'operational', 'sealed'}
RETENTIONS = {'dormant_horizon', 'session', 'seen', 'day', 'period', 'alias', 'live', 'stream', 'app', 'for_ever', 'installation', 'answer', 'mark'}
ROW = re.compile(r'^(COLUMN|FIELD)\(([^)]*)\)\s*$', re.M)
COLUMNS_SQL = """
SELECT table_schema, table_name, column_name, udt_name FROM information_schema.columns
WHERE table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2, ordinal_position"""
CHECKS_SQL = r"""
SELECT n.nspname, c.relname, a.attname, string_agg(pg_get_constraintdef(o.oid), ' ')
FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (o.conkey)
WHERE o.contype = 'c' GROUP BY 1, 2, 3"""
UNHELD_SQL = """
SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'live'::regnamespace AND c.relkind = 'r' AND NOT EXISTS (
    SELECT FROM pg_constraint o WHERE o.contype = 'f' AND o.conrelid = c.oid AND pg_get_constraintdef(o.oid) LIKE
        CASE c.relname WHEN 'twin' THEN 'FOREIGN KEY (app, twin_of) REFERENCES config.app(app, twin_of)%'
            ELSE 'FOREIGN KEY (app) REFERENCES live.twin(app)%' END)"""


def unprivileged():
    """PostgreSQL refuses root: a user to run it as, or None."""
    if os.geteuid() != 0:
        return None
    for name in ('throng', 'postgres', 'nobody'):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            pass
    raise RuntimeError('no unprivileged user to run PostgreSQL as')


def binaries():
    folders = [os.path.dirname(shutil.which('initdb') or '')] + sorted(glob.glob('/usr/lib/postgresql/*/bin'))
    return next((f for f in reversed(folders) if f and os.path.exists(os.path.join(f, 'initdb'))), None)


class Server:
    """A private PostgreSQL on a unix socket in a folder of its own; ends with the with block."""

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix='throng-inventory-')
        self.user = unprivileged()
        if self.user:
            os.chown(self.folder, self.user.pw_uid, self.user.pw_gid)
        data = os.path.join(self.folder, 'data')
        self.run('initdb', '-D', data, '-U', 'root', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8', '-N')
        self.process = subprocess.Popen(self.command('postgres', '-D', data, '-k', self.folder, '-c', 'listen_addresses=',
            '-c', 'fsync=off', '-c', 'dynamic_shared_memory_type=mmap'), cwd='/', stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        for _ in range(200):
            try:
                self.connect().close()
                return self
            except Exception as error:
                last = error
                subprocess.run(['sleep', '0.1'], check=True)
        raise last

    def command(self, program, *arguments):
        command = [os.path.join(binaries(), program), *arguments]
        if self.user:
            ids = [f'--reuid={self.user.pw_uid}', f'--regid={self.user.pw_gid}', '--clear-groups', '--']
            command = ['setpriv', *ids, *command]
        return command

    def run(self, program, *arguments):
        subprocess.run(self.command(program, *arguments), check=True, capture_output=True, cwd='/')

    def connect(self, **how):
        import psycopg2
        connection = psycopg2.connect(host=self.folder, user=how.get('user', 'root'), dbname=how.get('dbname', 'postgres'))
        connection.autocommit = True
        return connection

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def load(root):
    columns, fields, findings = {}, {}, []
    for kind, arguments in ROW.findall(gate.blank(gate.read(root, 'schema/inventory.def'))):
        parts = [part.strip() for part in arguments.split(',')]
        key, (data_class, retention) = tuple(parts[:-2]), parts[-2:]
        rows = columns if kind == 'COLUMN' else fields
        if len(key) != (3 if kind == 'COLUMN' else 2):
            findings.append(f'inventory: {arguments}: a wrong number of members')
        if key in rows:
            findings.append(f'inventory: {".".join(key)} stands twice')
        if data_class not in CLASSES or retention not in RETENTIONS:
            findings.append(f'inventory: {".".join(key)}: no such class or retention')
        rows[key] = (data_class, retention)
    return columns, fields, findings


def packet_fields(root):
    text = gate.blank(gate.read(root, 'schema/packet.h'))
    for name, body in re.findall(r'struct (packet_\w+) \{(.*?)\n\};', text, re.S):
        if name in ('packet_writer', 'packet_reader'):
            continue
        for declaration in body.split(';'):
            declarators = re.sub(r'\[[^\]]*\]', '', declaration).strip()
            match = re.match(r'(?:(?:struct|enum|const) )*\w+ (.+)$', declarators, re.S)
            for member in (match.group(1).split(',') if match else []):
                yield name, member.strip(' *\n')


def compare(what, real, listed):
    for key in sorted(set(real) - set(listed)):
        yield f'{what} {".".join(key)} is not in the inventory'
    for key in sorted(set(listed) - set(real)):
        yield f'inventory: {what} {".".join(key)} does not exist'


def check_columns(connection, columns):
    """Findings of the database behind connection."""
    cursor = connection.cursor()
    cursor.execute(COLUMNS_SQL)
    rows = cursor.fetchall()
    cursor.execute(CHECKS_SQL)
    checks = {row[:3]: row[3] for row in cursor.fetchall()}
    findings = list(compare('column', [row[:3] for row in rows], columns))
    for schema, table, column, kind in rows:
        data_class = columns.get((schema, table, column), ('', ''))[0]
        where = f'column {schema}.{table}.{column}'
        if data_class == 'pseudonym' and (kind != 'bytea' or '16' not in checks.get((schema, table, column), '')):
            findings.append(f'{where} is a pseudonym but not bytea of 16 bytes')
        if schema == 'state' and kind == 'bytea' and data_class != 'pseudonym':
            findings.append(f'{where} is bytea in state and no pseudonym')
        if data_class in ('pseudonym', 'personal') and schema != 'state' and (schema, data_class) != ('live', 'pseudonym'):
            findings.append(f'{where} is about a person outside state')
        if data_class == 'test' and schema != 'live':
            findings.append(f'{where} is of test apps outside live')
        if data_class in ('pseudonym', 'personal') and readable(cursor, schema, table, column):
            findings.append(f'{where} is about a person and readable by a publisher')
    cursor.execute(UNHELD_SQL)
    findings += [f'table live.{name} is not held to test apps' for name, in cursor.fetchall()]
    return findings


def readable(cursor, schema, table, column):
    cursor.execute("""SELECT bool_or(has_column_privilege(rolname, format('%%I.%%I', %s::text, %s::text), %s, 'SELECT'))
        FROM pg_roles WHERE rolname IN ('throng_release', 'throng_read', 'throng_audit')""", (schema, table, column))
    return cursor.fetchone()[0]


def migrate(server, root, name):
    with_default = server.connect()
    with_default.cursor().execute(f'CREATE DATABASE {name}')
    with_default.close()
    connection = server.connect(dbname=name)
    for path in gate.files(root, '.sql'):
        if path.startswith('schema/sql/'):
            connection.cursor().execute(gate.read(root, path))
    return connection


def check_with(server, root, name='inventory'):
    columns, fields, findings = load(root)
    findings += compare('field', set(packet_fields(root)), fields)
    connection = migrate(server, root, name)
    # throng migrate makes the table of what it applied; the files alone do not.
    findings += check_columns(connection, {key: row for key, row in columns.items() if key[0] != 'throng_meta'})
    connection.close()
    return findings


def check(root, build):
    if isinstance(build, tuple):
        return check_with(build[0], root, build[1])
    if not binaries():
        return gate.SKIP
    with Server() as server:
        return check_with(server, root)


def planted(folder):
    here = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    paths = [p for p in gate.files(here) if p.startswith('schema/') and p.endswith(('.sql', '.h', '.def'))]
    tree = {path: gate.read(here, path) for path in paths}

    def changed(path, old, new):
        assert old in tree[path], f'{path} no longer has: {old}'
        return {**tree, path: tree[path].replace(old, new, 1)}

    state, inventory = 'schema/sql/0004_state.sql', 'schema/inventory.def'
    defects = {
        'a new column': (changed(state, 'first_day date NOT NULL,', 'first_day date NOT NULL, email text,'),
            'state.person.email is not in'),
        'a new table': ({**tree, 'schema/sql/9999_x.sql': 'CREATE TABLE state.log (line text);'}, 'state.log.line is not in'),
        'a new field': (changed('schema/packet.h', 'uint64_t seq;', 'uint64_t seq, address;'), 'packet_event.address is not in'),
        'a row too many': ({**tree, inventory: tree[inventory] + 'FIELD(packet_part, address, personal, stream)\n'},
            'packet_part.address does not exist'),
        'a row twice': ({**tree, inventory: tree[inventory] + 'FIELD(packet_part, app, operational, stream)\n'}, 'twice'),
        'a class of nothing': (changed(inventory, 'outbox, id, audit', 'outbox, id, stuff'), 'no such class'),
        'a pseudonym of any length': (changed(state, 'old bytea NOT NULL CHECK (octet_length(old) = 16)', 'old bytea NOT NULL'),
            'alias.old is a pseudonym but'),
        'a publisher reads persons': ({**tree, 'schema/sql/9999_x.sql': 'GRANT SELECT (usr) ON state.person TO throng_release;'},
            'state.person.usr is about a person and readable'),
        'a publisher reads names of the live view': ({**tree,
            'schema/sql/9999_x.sql': 'GRANT SELECT ON live.name TO throng_read;'}, 'live.name.name is about a person and readable'),
        'single events of a real app': (changed('schema/sql/0007_live.sql',
            ',\n    FOREIGN KEY (app, twin_of) REFERENCES config.app (app, twin_of)', ''), 'live.twin is not held to test apps'),
        'test data elsewhere': (changed(inventory, 'COLUMN(state, person, first_day, personal,',
            'COLUMN(state, person, first_day, test,'), 'is of test apps outside live'),
    }
    with Server() as server:
        yield 'the tree', gate.write_tree(os.path.join(folder, 'clean'), tree), (server, 'clean'), None
        for number, (name, (changed_tree, expected)) in enumerate(defects.items()):
            yield name, gate.write_tree(os.path.join(folder, name), changed_tree), (server, f'planted_{number}'), expected


if __name__ == '__main__':
    gate.main(sys.modules[__name__])
