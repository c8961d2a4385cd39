#!/usr/bin/python3
"""What an operator does by the command line: orders about keys, people's requests, emergency purges, backups, incidents."""
import contextlib
import json
import os
import signal
import subprocess
import unittest

import throng


class Operator(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.app = throng.Throng().__enter__()
        try:
            cls.key = cls.app.add_app('first', ('view',))
        except BaseException:
            cls.app.__exit__(None, None, None)
            raise

    @classmethod
    def tearDownClass(cls):
        cls.app.__exit__(None, None, None)

    def send(self, user, key=None, count=3):
        now = throng.now_ms()
        events = [{'name': 'view', 'ts': now - i * 1000, 'user': user, 'seq': i} for i in range(count)]
        return self.app.post({'source': throng.random_source(), 'events': events}, key or self.key)[0]

    def leaves(self, act):
        rows = self.app.sql("SELECT convert_from(leaf, 'UTF8') FROM audit.outbox WHERE act = %s ORDER BY written_at", (act,))
        return [json.loads(row[0]) for row in rows]

    # --- keys -----------------------------------------------------------------------------------------------------------

    def test_keys(self):
        keys = json.loads(self.app.cli('--json', 'keys', 'status'))
        row, = [row for row in keys if row['app'] == 'first']
        self.assertEqual(len(row['commitment']), 64)
        self.assertEqual(row['linked'], [])
        done = json.loads(self.app.cli('--json', 'keys', 'ratchet', '--app', 'first'))
        order, = [leaf for leaf in self.leaves('key_change_ordered') if leaf['id'] == done['order']]
        self.assertEqual((order['data'], order['tenant'], order['out']), ({'change': 'ratchet'}, 'first', 'ok'))
        after, = [r for r in json.loads(self.app.cli('--json', 'keys', 'status')) if r['app'] == 'first']
        self.assertEqual(after['epoch'], row['epoch'] + 1)
        self.assertEqual([linked['commitment'] for linked in after['linked']], [row['commitment']])
        self.assertIn('linked', self.app.cli('keys', 'status'))
        throng.wait_for(lambda: [leaf for leaf in self.leaves('key_ratcheted') if leaf.get('ref') == done['order']], 30,
            "the node's own leaf about the ratchet")

    def test_export(self):
        secret, out = os.path.join(self.app.folder, 'secret'), os.path.join(self.app.folder, 'exported')
        with open(secret, 'w', encoding='utf-8') as file:
            file.write('a passphrase of some length\n')
        self.app.cli('keys', 'export', '--out', out, '--passphrase-file', secret)
        self.assertEqual(os.stat(out).st_mode & 0o777, 0o600)
        self.assertFalse(os.path.exists(os.path.join(self.app.data, 'ingest', 'keys.export')))
        again = self.app.run('keys', 'export', '--out', out, '--passphrase-file', secret)
        self.assertEqual(again.returncode, 1)
        # Another node's state: its key file is made of the export, and of no other passphrase.
        state = os.path.join(self.app.folder, 'joined')
        os.mkdir(state, 0o700)
        environment = {**os.environ, 'THRONG_INGEST_STATE': state, 'THRONG_INGEST_SEAL': 'its own seal, of another text'}
        program = os.path.join(self.app.build, 'throng')
        join = [program, 'keys', 'join', out, '--passphrase-file', secret]
        subprocess.run(join, env=environment, check=True, capture_output=True)
        self.assertTrue(os.path.exists(os.path.join(state, 'keys')))
        self.assertNotEqual(subprocess.run(join, env=environment, capture_output=True).returncode, 0)

    def test_destroy_asks(self):
        done = self.app.run('keys', 'destroy', '--app', 'first')
        self.assertEqual(done.returncode, 2)
        self.assertIn('--yes', done.stderr)

    def test_an_unknown_app_is_refused_before_anything(self):
        before = len(self.leaves('key_change_ordered'))
        done = self.app.run('keys', 'rotate', '--app', 'nothing')
        self.assertEqual(done.returncode, 1)
        self.assertIn('no such app', done.stderr)
        self.assertEqual(len(self.leaves('key_change_ordered')), before)

    # --- people ---------------------------------------------------------------------------------------------------------

    def test_access_then_erasure(self):
        self.assertEqual(self.send('person-7'), 202)
        people = "SELECT count(*) FROM state.person WHERE app = %d" % self.app.app_id('first')
        before = throng.wait_for(lambda: self.app.sql(people)[0][0], 30, 'a person')
        answer = json.loads(self.app.cli('--json', 'access', '--app', 'first', '--user', '-', input='person-7\n'))
        self.assertEqual((answer['kind'], answer['app'], answer['stage']), ('access', 'first', 'applied'))
        self.assertTrue(answer['answer'])
        self.assertNotIn('person-7', json.dumps(answer))
        receipt = json.loads(self.app.cli('--json', 'erase', '--app', 'first', '--user', '-', input='person-7\n'))
        self.assertEqual((receipt['kind'], receipt['stage'], receipt['overdue']), ('erasure', 'applied', False))
        self.assertEqual(receipt['due_at'] - receipt['received_at'], 30 * throng.DAY_MS)
        self.assertEqual(receipt['last_due_at'] - receipt['received_at'], 45 * throng.DAY_MS)
        self.assertEqual(self.app.sql(people)[0][0], before - 1)
        open_ones = json.loads(self.app.cli('--json', 'request', 'list', '--app', 'first', '--open'))
        self.assertIn(receipt['request'], [row['request'] for row in open_ones])
        self.assertIn('erasure of first', self.app.cli('request', 'show', receipt['request']))
        for leaf in self.leaves('request_received') + self.leaves('request_applied'):
            self.assertNotIn('person-7', json.dumps(leaf))

    def test_objection_and_back(self):
        receipt = json.loads(self.app.cli('--json', 'object', '--app', 'first', '--user', 'no-thanks'))
        self.assertEqual((receipt['kind'], receipt['stage']), ('objection', 'applied'))
        receipt = json.loads(self.app.cli('--json', 'object', '--app', 'first', '--user', 'no-thanks', '--withdraw'))
        self.assertEqual(receipt['stage'], 'applied')

    def test_refusals_name_the_field(self):
        done = self.app.run('erase', '--app', 'first', '--user', 'x' * 257)
        self.assertEqual(done.returncode, 1)
        self.assertIn('user', done.stderr)
        done = self.app.run('erase', '--app', 'nothing', '--user', 'x')
        self.assertEqual(done.returncode, 1)
        self.assertEqual(self.app.run('erase', '--app', 'first').returncode, 2)
        self.assertEqual(self.app.run('request', 'show', 'no-id').returncode, 2)

    # --- purges ---------------------------------------------------------------------------------------------------------

    def make_app(self, name):
        key = self.app.add_app(name, ('view',))
        self.assertEqual(self.send('someone', key), 202)
        rows = "SELECT count(*) FROM state.person WHERE app = %d" % self.app.app_id(name)
        throng.wait_for(lambda: self.app.sql(rows)[0][0] == 1, 30, 'state of ' + name)
        return key, rows

    def check_purged(self, name, key, rows):
        throng.wait_for(lambda: self.app.quiet(lambda: self.app.sql('''SELECT done_at IS NOT NULL FROM subject.purge
            JOIN config.app USING (app) WHERE name = %s''', (name,)) == [(True,)]), 120, 'the purge of ' + name)
        self.assertEqual(self.app.sql(rows), [(0,)])
        self.assertEqual(self.send('someone', key), 503)
        intent, = [leaf for leaf in self.leaves('purge_ordered') if leaf['tenant'] == name]
        self.assertEqual(len(intent['data']['reason']), 64)
        done, = [leaf for leaf in self.leaves('purge_done') if leaf['tenant'] == name]
        self.assertEqual(done['ref'], intent['id'])
        # The file of the order goes once somebody has seen that it is done.
        throng.wait_for(lambda: not self.orders(), 30, 'the end of the order')

    def orders(self):
        with contextlib.suppress(FileNotFoundError):
            return [name for name in os.listdir(os.path.join(self.app.data, 'ingest', 'purge')) if name.endswith('.json')]
        return []

    def test_purge(self):
        key, rows = self.make_app('purged')
        self.assertEqual(self.app.run('purge', '--app', 'purged', '--reason', 'a leak').returncode, 2)
        self.assertIn('done', self.app.cli('purge', '--app', 'purged', '--reason', 'a leak', '--yes', '--timeout', '120'))
        self.check_purged('purged', key, rows)
        self.assertNotIn('a leak', json.dumps(self.leaves('purge_ordered')))
        # There is no key to change: the order and that it failed are in the trail.
        self.assertEqual(self.app.run('keys', 'ratchet', '--app', 'purged').returncode, 1)
        order, failed = [leaf for leaf in self.leaves('key_change_ordered') if leaf['tenant'] == 'purged']
        self.assertEqual((failed['out'], failed['ref']), ('failed', order['id']))
        self.app.cli('purge', '--app', 'purged', '--restart')
        throng.wait_for(lambda: self.send('someone', key) == 202, 30, 'collection under a new key')
        done = self.app.run('purge', '--app', 'no-such-app', '--reason', 'x', '--yes')
        self.assertEqual(done.returncode, 1)
        self.assertEqual(self.orders(), [])

    def test_purge_while_a_store_is_away(self):
        for store in ('postgres', 'redis'):
            name = 'without-' + store
            key, rows = self.make_app(name)
            pid = self.app.kill(store, signal.SIGSTOP)
            try:
                done = self.app.run('purge', '--app', name, '--reason', 'a leak', '--yes', '--timeout', '1', timeout=120)
                self.assertEqual(done.returncode, 1)
                self.assertTrue(self.orders())
            finally:
                os.kill(pid, signal.SIGCONT)
            self.check_purged(name, key, rows) # `throng up` finishes it by itself

    # --- incidents, backups -----------------------------------------------------------------------------------------------

    def test_incidents(self):
        made = json.loads(self.app.cli('--json', 'incident', 'open', 'availability'))
        self.assertEqual(self.app.run('incident', 'open', 'nonsense').returncode, 2)
        self.app.cli('incident', 'close', made['incident'])
        again = self.app.run('incident', 'close', made['incident'])
        self.assertEqual(again.returncode, 1)
        self.assertIn('closed already', again.stderr)
        row, = [row for row in json.loads(self.app.cli('--json', 'incident', 'list')) if row['incident'] == made['incident']]
        self.assertTrue(row['closed_at'] > row['opened_at'])
        opened, = [leaf for leaf in self.leaves('incident_opened') if leaf['data']['incident'] == made['incident']]
        self.assertEqual(opened['data']['kind'], 'availability')

    def backup(self, folder):
        out = os.path.join(self.app.folder, folder)
        os.makedirs(out, exist_ok=True)
        return json.loads(self.app.cli('--json', 'backup', '--out', out))

    def test_backup_expires(self):
        made = self.backup('expiring')
        self.assertFalse([name for name in self.files(made['folder']) if 'keys' in name or 'secrets' in name])
        self.assertEqual(self.app.run('backup', '--out', self.app.folder, '--keep-days', '3000').returncode, 2)
        leaf, = [leaf for leaf in self.leaves('backup_made') if leaf['data']['backup'] == made['backup']]
        self.assertEqual(leaf['data'], {'backup': made['backup'], 'expires_at': made['expires_at'], 'hash': made['hash']})
        self.assertEqual(self.app.run('backup', 'gone', made['backup']).returncode, 2)
        self.app.sql("UPDATE subject.backup SET expires_at = now() - interval '1 minute' WHERE id = %s", (made['backup'],))
        self.assertIn('1 expired and deleted', self.app.cli('retain', '--once'))
        self.assertFalse(os.path.exists(os.path.join(made['folder'], 'postgres')))
        gone, = [leaf for leaf in self.leaves('backup_gone') if leaf['data']['backup'] == made['backup']]
        self.assertEqual(gone['out'], 'ok')

    @staticmethod
    def files(folder):
        return [os.path.relpath(os.path.join(place, name), folder) for place, _, names in os.walk(folder) for name in names]

    def test_restore(self):
        self.send('in-the-backup')
        self.app.wait_drained()
        self.assertEqual(self.send('forgotten-later'), 202)
        self.app.wait_drained()
        made = self.backup('restored')
        people = self.app.sql('SELECT count(*) FROM state.person')[0][0]
        self.app.cli('erase', '--app', 'first', '--user', 'forgotten-later')
        self.assertEqual(self.app.sql('SELECT count(*) FROM state.person')[0][0], people - 1)
        published = 'SELECT coalesce(max(size), 0) FROM audit.checkpoint'
        leaves = self.app.sql('SELECT count(*) FROM audit.outbox')[0][0]
        throng.wait_for(lambda: self.app.sql(published)[0][0] >= leaves, 30, 'a checkpoint over everything')
        self.assertIn('stop it first', self.app.run('restore', '--from', made['folder'], '--yes').stderr)
        self.app.stop()
        try:
            self.assertEqual(self.app.run('restore', '--from', made['folder']).returncode, 2)
            victim = os.path.join(made['folder'], 'postgres', 'global', 'pg_control')
            with open(victim, 'r+b') as file:
                byte = file.read(1)
                file.seek(0)
                file.write(bytes([byte[0] ^ 1]))
            damaged = self.app.run('restore', '--from', made['folder'], '--yes')
            self.assertEqual(damaged.returncode, 1)
            self.assertIn('pg_control', damaged.stderr)
            with open(victim, 'r+b') as file:
                file.write(byte)
            self.app.cli('restore', '--from', made['folder'], '--yes')
        finally:
            self.app.start()
        # Whoever was erased since the backup is erased again, and no entry of the trail is lost.
        throng.wait_for(lambda: self.app.sql('SELECT count(*) FROM state.person')[0][0] == people - 1, 60, 'the erasure, again')
        throng.wait_for(lambda: self.app.sql(published)[0][0] > leaves, 60, 'the log, going on')
        self.assertEqual(self.send('after-the-restore'), 202)
        self.app.wait_drained()


if __name__ == '__main__':
    throng.main()
