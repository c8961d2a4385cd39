#!/usr/bin/python3
"""Emergency purges end to end: with a store away, with the command or ingest killed in the middle, twice, and after a backup from
before was restored: nothing of the app is left in any row or file, its collection stays stopped, and the trail has each order
with its outcome. THRONG_SEED sets the seed, THRONG_ROUNDS the number of kills of each kind (2; with THRONG_LONG=1: 12)."""
import json
import os
import random
import signal
import subprocess
import time
import unittest

import remains
import throng

SEED = int(os.environ.get('THRONG_SEED', '20261121'))
ROUNDS = int(os.environ.get('THRONG_ROUNDS', '12' if throng.LONG else '2'))
PEOPLE = ('anna', 'bert', 'cleo')
QUICK = {'THRONG_RETENTION_CHECK_S': '1', 'THRONG_RETENTION_REDIS_S': '1'}


class Purge(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.app = throng.Throng(QUICK).__enter__()
        cls.random = random.Random(SEED)

    @classmethod
    def tearDownClass(cls):
        cls.app.__exit__(None, None, None)

    def send(self, name, *users):
        now = throng.now_ms()
        events = [{'name': 'view', 'ts': now - i * 1000, 'user': user, 'session': f'session-of-{user}'} for i in range(3)
            for user in users]
        return self.app.post({'source': throng.random_source(), 'events': events}, self.app.keys[name])[0]

    def make(self, name):
        """An app with people in it; their names."""
        self.app.add_app(name, ('view',))
        throng.wait_for(lambda: self.send(name, *PEOPLE) == 202, 30, 'collection')
        names = remains.names(self.app, name, *PEOPLE)
        throng.wait_for(lambda: remains.rows(self.app, names), 30, 'state')
        return names

    def leaves(self, act, name):
        rows = self.app.sql("SELECT convert_from(leaf, 'UTF8') FROM audit.outbox WHERE act = %s ORDER BY written_at", (act,))
        return [leaf for leaf in (json.loads(row[0]) for row in rows) if leaf['tenant'] == name]

    def orders(self):
        folder = os.path.join(self.app.data, 'ingest', 'purge')
        return [file for file in os.listdir(folder) if file.endswith('.json')] if os.path.isdir(folder) else []

    def purge(self, name, *more, **options):
        return self.app.run('purge', '--app', name, '--reason', 'a leak', '--yes', *more, **options)

    def check_purged(self, name, names, times=1):
        """By itself all is done: no order is open, nothing is left, each intent has its outcome."""
        throng.wait_for(lambda: not self.orders() and self.app.quiet(lambda: len(self.leaves('purge_done', name)) == times), 90,
            lambda: f'the end of the purge of {name}: {self.orders()}', 0.3)
        self.assertEqual(remains.rows(self.app, names), [])
        throng.wait_for(lambda: self.app.quiet(lambda: self.send(name, 'anna') == 503), 30, 'a refusal')
        self.assertEqual(sorted(leaf['ref'] for leaf in self.leaves('purge_done', name)),
            sorted(leaf['id'] for leaf in self.leaves('purge_ordered', name)))

    def test_nothing_is_left(self):
        names = self.make('first')
        self.assertNotEqual(remains.files(self.app, names), set())
        done = json.loads(self.purge('first', '--json').stdout)
        self.assertTrue(done['done'])
        self.check_purged('first', names)
        # Once more: another order, and done too.
        self.assertEqual(self.purge('first').returncode, 0)
        self.check_purged('first', names, 2)
        self.app.cli('retain', '--once')
        throng.wait_for(lambda: not remains.files(self.app, names), 60, lambda: str(remains.files(self.app, names)), 1)
        # Collected again under a new key, nobody is who they were.
        self.app.cli('purge', '--app', 'first', '--restart')
        throng.wait_for(lambda: self.send('first', *PEOPLE) == 202, 30, 'collection under a new key')
        self.assertFalse(remains.names(self.app, 'first', *PEOPLE) & names)
        self.app.wait_drained()
        self.assertNotEqual(remains.rows(self.app, remains.names(self.app, 'first', 'anna')), [])
        self.assertEqual(remains.rows(self.app, names), [])

    def test_while_a_store_is_away(self):
        for store in ('postgres', 'redis'):
            name = 'without-' + store
            names = self.make(name)
            pid = self.app.kill(store, signal.SIGSTOP)
            try:
                if store == 'redis': # into the spool
                    self.assertEqual(self.send(name, *PEOPLE), 202)
                self.assertEqual(self.purge(name, '--timeout', '1').returncode, 1)
                self.assertEqual(self.send(name, 'anna'), 503)
                self.assertEqual(self.app.run('purge', '--app', name, '--restart').returncode, 1)
            finally:
                os.kill(pid, signal.SIGCONT)
            self.app.run('purge', '--resume') # `throng up` may be at it: both may finish it
            self.check_purged(name, names)

    def test_command_killed(self):
        for i in range(ROUNDS):
            name = f'command-killed-{i}'
            names = self.make(name)
            command = [os.path.join(self.app.build, 'throng'), '--data', self.app.data, 'purge', '--app', name, '--reason',
                'a leak', '--yes']
            process = subprocess.Popen(command, env=self.app.full_environment(), stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, cwd='/')
            seen = throng.wait_for(lambda: self.orders() or process.poll() is not None, 30, 'the order', 0.001)
            time.sleep(self.random.random() * 0.1)
            process.kill()
            process.wait()
            self.assertTrue(seen)
            self.check_purged(name, names)

    def test_ingest_killed(self):
        for i in range(ROUNDS):
            name = f'ingest-killed-{i}'
            names = self.make(name)
            process = subprocess.Popen([os.path.join(self.app.build, 'throng'), '--data', self.app.data, 'purge', '--app', name,
                '--reason', 'a leak', '--yes'], env=self.app.full_environment(), stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, cwd='/')
            throng.wait_for(lambda: self.orders() or process.poll() is not None, 30, 'the order', 0.001)
            time.sleep(self.random.random() * 0.05)
            self.app.kill('ingest')
            process.wait(120)
            self.check_purged(name, names)

    def test_restored(self):
        """A backup from before: the app's people are in it, and do not come back, nor does its collection."""
        names = self.make('restored')
        self.app.wait_drained()
        made = json.loads(self.app.cli('--json', 'backup', '--out', os.path.join(self.app.folder, 'backup')))
        self.assertEqual(self.purge('restored').returncode, 0)
        self.check_purged('restored', names)
        leaves = self.app.sql('SELECT count(*) FROM audit.outbox')[0][0]
        throng.wait_for(lambda: self.app.sql('SELECT coalesce(max(size), 0) FROM audit.checkpoint')[0][0] >= leaves, 30,
            'a checkpoint over everything')
        self.app.stop()
        self.app.cli('restore', '--from', made['folder'], '--yes')
        self.app.start()
        self.app.wait_ready()
        throng.wait_for(lambda: not remains.rows(self.app, names), 60, 'the purge, again')
        self.check_purged('restored', names)
        self.app.cli('retain', '--once')
        throng.wait_for(lambda: not remains.files(self.app, names), 60, lambda: str(remains.files(self.app, names)), 1)


if __name__ == '__main__':
    throng.main()
