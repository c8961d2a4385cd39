#!/usr/bin/python3
"""A year of two apps is released with noise while throng-release is killed again and again, and PostgreSQL now and then. What
was readable once never changes: no period is drawn twice. At the end every month is planned and paid for once, the head
outside the database is the database's, and a database that lacks releases is noticed. THRONG_SEED sets the seed."""
import datetime
import hashlib
import os
import random
import threading
import time
import unittest

import psycopg2
import throng

SEED = int(os.environ.get('THRONG_SEED', '20260402'))
KILLS = 40 if throng.LONG else 10
DAYS = 365
APPS = ('first', 'second')
READ = """SELECT app, metric, item, interval, period::text, n, value, low, high, reliability, leaf::text, sigma2
    FROM release.value"""


class Watch(threading.Thread):
    """Reads everything that is released, over and over, as the role that readers have."""

    def __init__(self, installation):
        super().__init__(daemon=True)
        self.installation, self.seen, self.changed, self.ended = installation, {}, [], threading.Event()

    def look(self):
        for row in self.installation.sql(READ, role='throng_read'):
            if self.seen.setdefault(row[:6], row[6:]) != row[6:]:
                self.changed.append((row, self.seen[row[:6]]))

    def run(self):
        while not self.ended.wait(0.1):
            try:
                self.look()
            except (OSError, psycopg2.Error):
                pass

    def stop(self):
        self.ended.set()
        self.join(60)
        self.look()


class Ledger(unittest.TestCase):
    def test_drawn_once(self):
        print(f'seed {SEED}', flush=True)
        rng = random.Random(SEED)
        with throng.Throng() as installation:
            for app in APPS:
                installation.add_app(app, [{'name': 'view', 'kind': 'view'}, 'done'], privacy={'preset': 'standard'},
                    features=[{'name': 'doing', 'events': ['done']}])
                installation.cli('key', 'add', '--scope', f'ingest:{app}')
                installation.cli('simulate', '--app', app, '--users', '60', '--days', str(DAYS), '--seed', '1', '--no-seal')
            watch = Watch(installation)
            watch.start()
            through = str(datetime.date.today() - datetime.timedelta(days=3))
            sealing = [threading.Thread(target=self.seal, args=(installation, app, through)) for app in APPS]
            for one in sealing:
                one.start()
            kills = self.play(installation, rng, through)
            for one in sealing:
                one.join()
            for app in APPS:
                installation.wait_released(app, through, 120)
            watch.stop()
            print(f'{kills} kills, {len(watch.seen)} rows', flush=True)
            self.assertGreater(kills, 3)
            self.assertEqual(watch.changed, [])
            self.assertGreater(len(watch.seen), 2 * DAYS * 2)
            self.check(installation, through)
            self.restored(installation)

    @staticmethod
    def seal(installation, app, through):
        """Its waiting fails when PostgreSQL dies meanwhile: the order stands."""
        installation.run('seal', '--app', app, '--through', through)

    def play(self, installation, rng, through):
        """How many times it was killed, each time a little after it had released something more."""
        kills, last = 0, 0
        for i in range(KILLS):
            throng.wait_for(lambda: self.count(installation) > last or self.done(installation, through), 60, 'releases', 0.005)
            if self.done(installation, through):
                break
            time.sleep(rng.uniform(0, 0.08))
            kills += installation.kill('release') is not None
            if i % 4 == 3:
                installation.kill('postgres')
            last = max(last, self.count(installation))
        return kills

    @staticmethod
    def count(installation):
        return installation.quiet(lambda: installation.sql('SELECT count FROM release.head')[0][0]) or 0

    @staticmethod
    def done(installation, through):
        return installation.quiet(lambda: installation.sql('SELECT count(*) FROM release.progress WHERE activity_through >= %s'
            ' AND sessions_through >= %s', (through, through))[0][0] == len(APPS))

    def check(self, installation, through):
        sql = installation.sql
        self.assertEqual(sql("""SELECT app, family, item, interval, period, count(*) FROM release.release GROUP BY 1, 2, 3, 4, 5
            HAVING count(*) > 1"""), [])
        days = dict(sql("""SELECT app, count(*) FROM release.release WHERE family = 'active' AND interval = 'day' GROUP BY 1"""))
        first = dict(sql('SELECT app, %s::date - first_day + 1 FROM release.progress', (through,)))
        self.assertEqual(days, first)
        self.assertEqual(sql("SELECT count(*) FROM release.release WHERE protection <> 'dp' OR rho IS NULL"), [(0,)])
        self.assertEqual(sql('SELECT count(*) FROM release.refused'), [(0,)])
        plans = sql("""SELECT app, month, count(*), count(l.leaf), sum(l.rho) <= min(rho_total) FROM release.plan
            LEFT JOIN release.ledger AS l USING (population, month, app, family) GROUP BY 1, 2""")
        self.assertGreaterEqual(len(plans), 2 * 12)
        self.assertTrue(all(planned == paid and within for _, _, planned, paid, within in plans), plans)
        digest = b'\0' * 32
        leaves = sql("""SELECT o.leaf, r.hash FROM release.release AS r JOIN audit.outbox AS o ON o.id = r.leaf ORDER BY place""")
        for leaf, stored in leaves:
            digest = hashlib.sha256(digest + bytes(leaf)).digest()
            self.assertEqual(digest, bytes(stored))
        self.assertEqual([(count, bytes(stored)) for count, stored in sql('SELECT count, hash FROM release.head')],
            [(len(leaves), digest)])
        self.assertEqual(self.head(installation), f'{len(leaves)} {digest.hex()}\n')

    @staticmethod
    def path(installation):
        return os.path.join(installation.data, 'release', 'release.head')

    @staticmethod
    def log(installation):
        with open(os.path.join(installation.data, 'log', 'release.log'), encoding='utf-8') as file:
            return file.read()

    def head(self, installation):
        with open(self.path(installation), encoding='utf-8') as file:
            return file.read()

    def restored(self, installation):
        """The file knows of a release more than the database has: nothing is released, and the log says why."""
        kept = self.head(installation)
        count, digest = kept.split()
        with open(self.path(installation), 'w', encoding='utf-8') as file:
            file.write(f'{int(count) + 1} {digest}\n')
        installation.kill('release')
        throng.wait_for(lambda: 'release.blocked' in self.log(installation), 60, 'a refusal')
        self.assertIn('released numbers are missing', self.log(installation))
        with open(self.path(installation), 'w', encoding='utf-8') as file:
            file.write(kept)
        throng.wait_for(lambda: (installation.status('release') or {}).get('ready'), 60, 'throng-release')


if __name__ == '__main__':
    throng.main()
