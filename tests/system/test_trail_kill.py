#!/usr/bin/python3
"""The trail while anything is killed at any moment: events, readings, releases, changes of apps and erasures go on, and PostgreSQL,
throng-audit, throng-api, throng-aggregate, throng-ingest and throng-release die again and again. Afterwards every row of an act has
its entry, every entry its place, no size was ever signed with two roots, and what was signed on the way is a beginning of what
there is. THRONG_SEED sets the seed, THRONG_ROUNDS the number of rounds (8; with THRONG_LONG=1: 100)."""
import base64
import collections
import datetime
import json
import os
import random
import subprocess
import threading
import time
import unittest

import psycopg2

import load
import test_log
import throng

SEED = int(os.environ.get('THRONG_SEED', '20260512'))
ROUNDS = int(os.environ.get('THRONG_ROUNDS', '100' if throng.LONG else '8'))
VICTIMS = ('postgres', 'audit', 'api', 'aggregate', 'ingest', 'release')
FIRST, DAYS = datetime.date(2025, 1, 1), 300
# Entries that something else completes: (act of the intent, acts of the outcome).
OUTCOMES = {'request_received': ('request_applied', 'request_refused'),
    'key_change_ordered': ('key_ratcheted', 'key_rotated', 'key_destroyed', 'key_change_ordered')}


class Busy:
    """What goes on while things die: each kind of it in a thread of its own, which takes what fails and goes on."""

    def __init__(self, installation, reader):
        self.installation, self.reader = installation, reader
        self.ending = threading.Event()
        self.done = collections.Counter()
        self.receipts = []
        self.notes = {}     # size: [text of a checkpoint that was read]
        self.broken = []
        self.threads = [threading.Thread(target=self.again, args=(what,), daemon=True)
            for what in (self.read, self.release, self.change, self.erase, self.look)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        for thread in self.threads:
            thread.join(180)
            assert not thread.is_alive()

    def all_done(self):
        return all(self.done[what.__name__] > 0 for what in (self.read, self.release, self.change, self.erase, self.look))

    def again(self, what):
        count = 0
        while not self.ending.is_set():
            try:
                what(count)
                count += 1
                self.done[what.__name__] += 1
            except (OSError, psycopg2.Error, throng.Failure, ValueError, throng.http.client.HTTPException, subprocess.TimeoutExpired):
                self.done[what.__name__ + ', in vain'] += 1
                self.ending.wait(0.2)

    def read(self, count):
        target = ('/v1/apps/steady/metrics/active_users?interval=week', '/log/checkpoint', '/v1/audit/entries', '/v1/apps/none/budget')
        self.installation.ask(target[count % len(target)], self.reader if count % 5 else 'rk_' + 'x' * 40)
        self.ending.wait(0.1)

    def release(self, _):
        """The next three days of an app."""
        through = FIRST + datetime.timedelta(days=3 * (self.done['release'] + 1))
        done = self.installation.run('seal', '--app', 'steady', '--through', str(through), '--force', '--timeout', '5', timeout=60)
        if done.returncode != 0:
            raise throng.Failure(done.stderr)

    def change(self, count):
        """A new version of an app, which differs from the last one."""
        path = os.path.join(self.installation.folder, 'changing.json')
        with open(path, encoding='utf-8') as file:
            definition = json.load(file)
        event = {'name': f'event{count % 20}'}
        if event not in definition['events']: # the last try may have written it
            definition['events'].append(event)
        definition['lateness_minutes'] = 60 + count
        with open(path, 'w', encoding='utf-8') as file:
            json.dump(definition, file)
        done = self.installation.run('app', 'apply', path, timeout=60)
        if done.returncode != 0:
            raise throng.Failure(done.stderr)
        self.ending.wait(0.5)

    def erase(self, count):
        """An erasure; every tenth time a ratchet of another app's keys."""
        if count % 10 == 9:
            words = ('keys', 'ratchet', '--app', 'changing')
        else:
            words = ('--json', 'erase', '--app', 'shaken', '--user', f'user-{count % 150}', '--timeout', '10')
        done = self.installation.run(*words, timeout=60)
        if done.returncode != 0:
            raise throng.Failure(done.stderr)
        if count % 10 != 9:
            self.receipts.append(json.loads(done.stdout)['request'])

    def look(self, _):
        """The checkpoint as it is published, from the file."""
        try:
            with open(os.path.join(self.installation.data, 'audit', 'log', 'checkpoint'), 'rb') as file:
                text = file.read().split(b'\n\n')[0]
        finally:
            self.ending.wait(0.05)
        size = int(text.split(b'\n')[1])
        if self.notes.setdefault(size, text) != text:
            self.broken.append(f'two roots of size {size}')
        if size < max(self.notes):
            self.broken.append(f'size {size} after {max(self.notes)}')


class TrailKill(test_log.Case):
    def test_anything(self):
        print(f'seed {SEED}, {ROUNDS} rounds', flush=True)
        rng = random.Random(SEED)
        with throng.Throng({'THRONG_AUDIT_POLL_MS': '50'}) as installation:
            key = installation.add_app('shaken', lateness_minutes=10080)
            installation.add_app('changing')
            installation.add_app('steady', privacy={'preset': 'standard'}, horizon_days=800)
            self.import_days(installation)
            reader = installation.cli('key', 'add', '--scope', 'admin').strip().split()[-1]
            log = test_log.Log(installation)
            yesterday = throng.now_ms() - throng.DAY_MS
            with load.Load(installation, key, yesterday, SEED, threads=2, users=150, span_ms=throng.DAY_MS // 2) as posts:
                with Busy(installation, reader) as busy:
                    kills = self.play(installation, rng)
                    installation.wait_ready(180)
                    throng.wait_for(busy.all_done, 60, lambda: f'each of what goes on, at least once: {busy.done}')
            print(f'{dict(kills)}; {dict(sorted(busy.done.items()))}; {posts.events} events', flush=True)
            self.assertEqual((busy.broken, posts.unexpected), ([], []))
            installation.wait_drained(120)
            self.check_outcomes(installation, busy)
            log.wait(60)
            self.check(log)
            self.check_notes(log, busy)
            self.check_references(installation)
            self.check_bundle(installation, log)

    @staticmethod
    def import_days(installation):
        path = os.path.join(installation.folder, 'steady.csv')
        with open(path, 'w', encoding='utf-8') as file:
            file.write('user,ts,name\n')
            file.writelines(f'u{user},{FIRST + datetime.timedelta(days=day)} 12:00:00,view\n' for day in range(DAYS)
                for user in range(day % 3, 60, 3))
        installation.cli('import', '--app', 'steady', '--format', 'csv', path)

    @staticmethod
    def play(installation, rng):
        """In each round one or two processes die that run."""
        kills = collections.Counter()
        for _ in range(ROUNDS):
            time.sleep(rng.uniform(1, 4))
            for name in rng.sample(VICTIMS, 2 if rng.random() < 0.3 else 1):
                kills[name] += installation.kill(name) is not None
        return kills

    def check_outcomes(self, installation, busy):
        """Every intent has its outcome, and what was acknowledged to an operator is in the trail, once."""
        def missing():
            leaves = [leaf for leaf, in installation.sql("SELECT convert_from(leaf, 'UTF8')::jsonb FROM audit.outbox")]
            answered = {(leaf['ref'], leaf['act']) for leaf in leaves if leaf.get('ref')}
            return [leaf for leaf in leaves if leaf['act'] in OUTCOMES and leaf['out'] == 'ok' and not leaf.get('ref') and
                not any((leaf['id'], act) in answered for act in OUTCOMES[leaf['act']])]
        throng.wait_for(lambda: installation.quiet(lambda: not missing()), 60, lambda: f'the outcomes of {missing()[:3]}', 1)
        for act in ('request_received', 'request_applied'):
            told = collections.Counter(row[0] for row in installation.sql(
                "SELECT convert_from(leaf, 'UTF8')::jsonb->'data'->>'request' FROM audit.outbox WHERE act = %s", (act,)))
            self.assertEqual([one for one, count in told.items() if count != 1], [])
            self.assertLessEqual(set(busy.receipts), set(told))

    def check_notes(self, log, busy):
        """Whatever was published on the way is of a beginning of what there is now."""
        hashes = [test_log.sha256(b'\0' + leaf) for leaf in log.leaves()]
        for size, text in busy.notes.items():
            self.assertEqual(text.split(b'\n')[2], base64.b64encode(test_log.root_of(hashes[:size])), size)
        self.assertLessEqual(set(busy.notes), {size for size, _ in log.notes()})

    def check_references(self, installation):
        """Every column that refers to the outbox is filled by entries of the log; releases and entries of releases are the same."""
        columns = installation.sql("""SELECT c.conrelid::regclass::text, a.attname FROM pg_constraint AS c JOIN pg_attribute AS a
            ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1] WHERE c.contype = 'f' AND c.confrelid = 'audit.outbox'::regclass""")
        self.assertGreater(len(columns), 10)
        for table, column in columns:
            self.assertEqual(installation.sql(f"""SELECT count(*) FROM {table} WHERE {column} IS NOT NULL
                AND {column} NOT IN (SELECT id FROM audit.entry)"""), [(0,)], (table, column))
        self.assertEqual(installation.sql("""SELECT count(*) FROM (SELECT id FROM audit.entry WHERE act = 'aggregates_released') AS e
            FULL JOIN release.release AS r ON r.leaf = e.id WHERE r.leaf IS NULL OR e.id IS NULL"""), [(0,)])

    def check_bundle(self, installation, log):
        path = os.path.join(installation.folder, 'bundle.tar')
        installation.cli('compliance', 'export', '--out', path)
        since = os.path.join(installation.folder, 'since')
        notes = log.notes()
        with open(since, 'wb') as file:
            file.write(notes[len(notes) // 2][1])
        done = installation.run('compliance', 'verify', path, '--since', since, '--json')
        document = json.loads(done.stdout)
        self.assertEqual((done.returncode, document['findings']), (0, []))
        self.assertEqual([level['verdict'] for level in document['levels']], ['ok', 'ok', 'ok', 'not_judged', 'ok'])


if __name__ == '__main__':
    throng.main()
