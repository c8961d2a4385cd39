#!/usr/bin/python3
"""People who asked to be forgotten: erased at once, and after the second stage nowhere in any file, by a scan for the pseudonyms
that the test computes from the key itself. Sealed numbers stay; who returns is new; who objected stays out, over a change of
keys too; a restored backup brings nobody back."""
import datetime
import json
import os
import unittest

import keyfile
import throng

APP = 'app'
PEOPLE = 40


def day(back):
    return str(datetime.datetime.now(datetime.timezone.utc).date() - datetime.timedelta(days=back))


class Erasure(unittest.TestCase):
    def names(self, installation, *users):
        """Everything by which these people and their sessions could stand somewhere."""
        with open(os.path.join(installation.data, 'secrets', 'seal'), encoding='utf-8') as file:
            keys = keyfile.read(os.path.join(installation.data, 'ingest', 'keys'), file.read().strip())
        app = installation.app_id(APP)
        return {keyfile.pseudonym(key, kind, text.format(user)) for user in users for key in keys[app]
            for kind, text in ((b'U', '{}'), (b'S', 'session-of-{}'))}

    def found(self, installation, names):
        """Where names lie in the installation's files, raw or in hexadecimal."""
        forms = [form for name in names for form in (name, name.hex().encode(), name.hex().upper().encode())]
        hits = set()
        for folder, _, files in os.walk(installation.data):
            for file in files:
                path = os.path.join(folder, file)
                if not os.path.isfile(path):
                    continue
                try:
                    with open(path, 'rb') as opened:
                        content = opened.read()
                except OSError:
                    continue
                if any(form in content for form in forms):
                    hits.add(os.path.relpath(path, installation.data))
        return hits

    @staticmethod
    def rows(installation, names):
        """(table, column) of every row that bears one of the names."""
        hits = []
        for schema, table, column in installation.sql("""SELECT n.nspname, c.relname, a.attname FROM pg_attribute a
                JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE c.relkind = 'r' AND a.atttypid = 'bytea'::regtype AND a.attnum > 0
                AND n.nspname IN ('state', 'live', 'subject', 'release', 'audit', 'config')"""):
            if installation.sql(f'SELECT 1 FROM {schema}.{table} WHERE {column} = ANY (%s) LIMIT 1', (list(names),)):
                hits.append((schema, table, column))
        return hits

    @staticmethod
    def send(installation, *users):
        now = throng.now_ms()
        for user in users:
            status, answer, _ = installation.post({'source': throng.random_source(), 'events': [{'name': 'view', 'user': user,
                'session': f'session-of-{user}', 'ts': now - 1000 * i} for i in range(3)]}, installation.keys[APP])
            assert (status, answer['accepted']) == (202, 3), answer

    def history(self, installation):
        """Two sealed weeks with everybody in it."""
        path = os.path.join(installation.folder, 'history.jsonl')
        with open(path, 'w', encoding='utf-8') as file:
            for back in range(20, 3, -1):
                for person in range(PEOPLE):
                    if (person + back) % 3 == 0 or back in (20, 4):
                        file.write(json.dumps({'user': f'person-{person}', 'ts': f'{day(back)} 12:{person:02}:00', 'name': 'view',
                            'session': f'session-of-person-{person}'}) + '\n')
        installation.cli('import', '--app', APP, '--format', 'jsonl', path)
        installation.seal(APP, day(3))

    def ask(self, installation, command, user, *more):
        done = installation.run(command, '--app', APP, '--user', '-', '--json', *more, input=user + '\n')
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def second_stage(self, installation):
        """Everything that removes copies, then the receipts."""
        installation.cli('retain')
        def open_requests():
            return installation.sql("SELECT count(*) FROM subject.request WHERE purge_due_at IS NOT NULL AND purged_at IS NULL")[0][0]
        def done():
            if open_requests() == 0:
                return True
            installation.run('retain')
            return False
        throng.wait_for(done, 240, 'the second stage', 5)

    def test_forgotten(self):
        with throng.Throng({'THRONG_INGEST_PRIVATE_LISTEN': ''}) as installation:
            installation.add_app(APP, [{'name': 'view', 'kind': 'view'}], horizon_days=400)
            self.history(installation)
            everybody = [f'person-{person}' for person in range(PEOPLE)]
            self.send(installation, *everybody)
            installation.wait_drained()
            victim, objector = self.names(installation, 'person-7'), self.names(installation, 'person-8')
            self.assertNotEqual(self.rows(installation, victim), [])
            self.assertNotEqual(self.found(installation, victim), set())
            sealed = installation.everything_released(APP)

            receipt = self.ask(installation, 'erase', 'person-7')
            self.ask(installation, 'object', 'person-8')
            print(receipt, flush=True)
            self.assertEqual(self.rows(installation, victim), [])
            self.assertEqual(self.rows(installation, objector), [])
            self.second_stage(installation)
            self.assertEqual(self.found(installation, victim), set())
            self.assertEqual(self.found(installation, objector), set())
            self.assertEqual(installation.everything_released(APP), sealed)

            # Who returns is new; who objected stays out.
            self.send(installation, 'person-7', 'person-8')
            installation.wait_drained()
            first = installation.sql('SELECT DISTINCT usr FROM state.fragment WHERE usr = ANY (%s)', (list(victim),))
            self.assertEqual(len(first), 1)
            self.assertEqual(self.rows(installation, objector), [])
            refused = installation.sql("SELECT coalesce(sum(count), 0) FROM state.refused WHERE reason = 'objection'")[0][0]
            self.assertEqual(refused, 3)
            installation.cli('keys', 'ratchet', '--app', APP)
            later = self.names(installation, 'person-8')
            self.send(installation, 'person-8', 'person-9')
            installation.wait_drained()
            self.assertEqual(self.rows(installation, objector | later), [])
            installation.cli('keys', 'ratchet', '--app', APP)
            later |= self.names(installation, 'person-8')
            self.send(installation, 'person-8')
            installation.wait_drained()
            self.assertEqual(self.rows(installation, objector | later), [])

            self.restored(installation)

    def restored(self, installation):
        """A backup from before an erasure: the person is in it, and does not come back."""
        self.send(installation, 'person-11')
        installation.wait_drained()
        names = self.names(installation, 'person-11')
        self.assertNotEqual(self.rows(installation, names), [])
        folder = os.path.join(installation.folder, 'backup')
        installation.cli('backup', '--out', folder)
        self.ask(installation, 'erase', 'person-11')
        self.assertEqual(self.rows(installation, names), [])
        released = installation.everything_released(APP)
        installation.stop()
        installation.cli('restore', '--from', folder, '--yes')
        installation.start()
        installation.wait_ready()
        throng.wait_for(lambda: self.rows(installation, names) == [], 60, 'a person who was erased to be forgotten again')
        self.assertEqual(installation.everything_released(APP), released)


if __name__ == '__main__':
    throng.main()
