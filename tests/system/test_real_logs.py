#!/usr/bin/python3
"""Real event logs, imported and sealed: every released number equals the reference, cell by cell, and does so in any order
of lines, in pieces, sent twice, and over a change of keys. THRONG_LOGS names the sets to run (default: all)."""
import csv
import datetime
import gzip
import os
import random
import unittest

import throng

SETS = {
    'moodle_la': {'timeout': 30, 'references': {30: 'reference', 15: 'reference_timeout_900'}, 'sessions': True},
    'online_retail': {'timeout': 30, 'references': {30: 'reference'}, 'sessions': True},
    'oulad_slice': {'timeout': 30, 'references': {30: 'reference'}, 'sessions': False},
}
WANTED = os.environ.get('THRONG_LOGS', ' '.join(SETS)).split()
RETENTION = {'days': 30, 'weeks': 60, 'months': 24}
INTERVALS = {'daily': ('day', 30), 'weekly': ('week', 60), 'monthly': ('month', 24)}
SEED = 20260401


def folder_of(name):
    return os.path.join(throng.SHARED, 'data', name)


def reference(name, timeout, table):
    path = os.path.join(folder_of(name), SETS[name]['references'][timeout], table + '.csv')
    with open(path, encoding='utf-8', newline='') as file:
        return list(csv.DictReader(file))


def events_of(name):
    """The lines of a set, event names in lower case as definitions have them, and its last day."""
    with gzip.open(os.path.join(folder_of(name), 'events.csv.gz'), 'rt', encoding='utf-8', newline='') as file:
        rows = list(csv.reader(file))[1:]
    rows = [(user, ts, event.lower()) for user, ts, event in rows]
    return rows, max(ts for _, ts, _ in rows)[:10]


def write_csv(path, rows):
    with open(path, 'w', encoding='utf-8', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(('user_id', 'ts', 'event'))
        writer.writerows(rows)
    return path


def days_after(day, count):
    return str(datetime.date.fromisoformat(day) + datetime.timedelta(days=count))


def period_end(interval, start, n):
    """The last day of the n-th period after the one that starts on start."""
    day = datetime.date.fromisoformat(start)
    if interval == 'day':
        return day + datetime.timedelta(days=n)
    if interval == 'week':
        return day + datetime.timedelta(days=7 * n + 6)
    months = day.year * 12 + day.month - 1 + n + 1
    return datetime.date(months // 12, months % 12 + 1, 1) - datetime.timedelta(days=1)


class RealLogs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.installation = throng.Throng()
        cls.installation.__enter__()
        cls.checked = 0

    @classmethod
    def tearDownClass(cls):
        cls.installation.__exit__(None, None, None)

    def add(self, name, app, timeout, rows):
        names = sorted({event for _, _, event in rows})
        self.installation.add_app(app, names, session_timeout_minutes=timeout, retention=RETENTION, horizon_days=800)

    def send(self, app, rows, part='all'):
        path = write_csv(os.path.join(self.installation.folder, f'{app}-{part}.csv'), rows)
        self.installation.cli('import', '--app', app, '--format', 'csv', '--map', 'user=user_id,ts=ts,name=event', path)
        os.unlink(path)

    def seal(self, app, last):
        """Sessions of the last day end on the next; periods that began must end: well into the month after the next."""
        self.installation.cli('seal', '--app', app, '--through', days_after(last, 62))
        # Live again, the app would now close every empty day until today, beside the tests to come.
        self.installation.sql("UPDATE config.app SET mode = 'importing' WHERE name = %s", (app,))
        self.installation.wait_released(app, days_after(last, 62))

    def query(self, app, metric, interval):
        """The numbers as the command line gives them: {(period, n): value}."""
        text = self.installation.cli('query', '--app', app, metric, '--interval', interval, '--from', '2009-01-01', '--to',
            '2020-12-31', '--format', 'csv')
        found = {}
        for row in csv.DictReader(text.splitlines()):
            n = row.get('n') or '-1'
            found[row.get('period') or row['cohort'], int(n)] = int(row['value']) if row['value'] not in ('', 'null') else None
        return found

    def same(self, what, expected, found):
        wrong = {key: (value, found.get(key)) for key, value in expected.items() if found.get(key) != value}
        type(self).checked += len(expected)
        self.assertFalse(wrong, f'{what}: {len(wrong)} of {len(expected)} differ, (reference, released): '
            f'{dict(list(wrong.items())[:5])}')

    # --- against the reference ------------------------------------------------------------------------------------------

    def check_activity(self, name, timeout, app):
        days = reference(name, timeout, 'dau')
        for column, interval in (('dau', 'day'), ('wau7', 'rolling_7'), ('mau30', 'rolling_30')):
            self.same(f'{app} {column}', {(row['date'], -1): int(row[column]) for row in days},
                self.query(app, 'active_users', interval))
        for table, column, start, interval in (('wau', 'wau', 'week_start', 'week'), ('mau', 'mau', 'month', 'month')):
            rows = reference(name, timeout, table)
            self.same(f'{app} {table}', {(row[start], -1): int(row[column]) for row in rows},
                self.query(app, 'active_users', interval))

    def check_retention(self, name, timeout, app):
        for table, (interval, most) in INTERVALS.items():
            rows = reference(name, timeout, 'retention_' + table)
            expected = {(row['cohort'], int(row['n'])): int(row['users']) for row in rows if int(row['n']) <= most}
            found = self.query(app, 'retention', interval)
            self.same(f'{app} retention {interval}', expected, found)
            more = {key: value for key, value in found.items() if value and key not in expected}
            self.assertFalse(more, f'{app} retention {interval}: cells that the reference has not')
            sizes = {(row['cohort'], -1): int(row['cohort_size']) for row in rows}
            self.same(f'{app} new users by {interval}', sizes, self.query(app, 'new_users', interval))

    def check_sessions(self, name, timeout, app):
        rows = reference(name, timeout, 'sessions_daily')
        columns = {'sessions': 'sessions', 'bounces': 'single_event_sessions', 'events': 'session_events',
            'duration_sum_s': 'session_duration_ms'}
        for column, metric in columns.items():
            factor = 1000 if metric.endswith('_ms') else 1
            expected = {(row['date'], -1): round(float(row[column]) * factor) for row in rows}
            asked = metric in ('sessions', 'single_event_sessions')
            found = self.query(app, metric, 'day') if asked else self.installation.released(app, metric)
            self.same(f'{app} {metric}', expected, found)
            more = {key: value for key, value in found.items() if value and key not in expected}
            self.assertFalse(more, f'{app} {metric}: days that the reference has not')

    def check_totals(self, name, timeout, app, copies=1):
        totals = {row['key']: row['value'] for row in reference(name, timeout, 'summary')}
        sums = {metric: sum(value or 0 for value in self.installation.released(app, metric).values())
            for metric in ('events', 'new_users', 'active_users', 'sessions', 'single_event_sessions')}
        self.assertEqual(sums['events'], int(totals['events']))
        self.assertEqual(sums['new_users'], int(totals['users']))
        self.assertEqual(sums['active_users'], int(totals['user_days']))
        if SETS[name]['sessions']:
            self.assertEqual(sums['sessions'], int(totals['sessions']))
            self.assertEqual(sums['single_event_sessions'], int(totals['bounces']))
        self.assertEqual(self.installation.tally(app), (int(totals['events']), (copies - 1) * int(totals['events']), 0))

    def check_all(self, name, timeout, app, copies=1):
        self.check_activity(name, timeout, app)
        self.check_retention(name, timeout, app)
        if SETS[name]['sessions']:
            self.check_sessions(name, timeout, app)
        self.check_totals(name, timeout, app, copies)
        print(f'{app}: {type(self).checked} cells compared so far, all equal', flush=True)

    # --- variants -------------------------------------------------------------------------------------------------------

    def load(self, name):
        if name not in WANTED:
            self.skipTest(f'{name} is not wanted')
        if not os.path.exists(os.path.join(folder_of(name), 'events.csv.gz')):
            self.skipTest(f'{folder_of(name)} is not there')
        return events_of(name)

    def play(self, name, variant, timeout=30):
        rows, last = self.load(name)
        app = f'{name}_{variant}'
        self.add(name, app, timeout, rows)
        rng = random.Random(SEED)
        copies = 1
        if variant in ('shuffled', 'ratcheted_shuffled'):
            rng.shuffle(rows)
        if variant == 'pieces':
            cuts = sorted(rng.sample(range(1, len(rows)), 6))
            parts = [rows[a:b] for a, b in zip([0] + cuts, cuts + [len(rows)])]
            for number, part in reversed(list(enumerate(parts))):
                self.send(app, part, str(number))
        elif variant == 'twice':
            copies = 2
            self.send(app, rows)
            self.send(app, rows)
        elif variant.startswith('ratcheted'):
            self.send(app, rows[:len(rows) // 2], '1')
            self.installation.cli('keys', 'ratchet', '--app', app)
            self.send(app, rows[len(rows) // 2:], '2')
        else:
            self.send(app, rows)
        self.seal(app, last)
        self.check_all(name, timeout, app, copies)

    def test_moodle(self):
        self.play('moodle_la', 'plain')

    def test_moodle_15_minutes(self):
        self.play('moodle_la', 'quarter', 15)

    def test_moodle_shuffled(self):
        self.play('moodle_la', 'shuffled')

    def test_moodle_pieces(self):
        self.play('moodle_la', 'pieces')

    def test_moodle_twice(self):
        self.play('moodle_la', 'twice')

    def test_moodle_ratcheted(self):
        self.play('moodle_la', 'ratcheted_shuffled', 15)

    def test_retail(self):
        self.play('online_retail', 'plain')

    @unittest.skipUnless(throng.LONG, 'THRONG_LONG=1')
    def test_retail_shuffled(self):
        self.play('online_retail', 'shuffled')

    @unittest.skipUnless(throng.LONG, 'THRONG_LONG=1')
    def test_retail_pieces(self):
        self.play('online_retail', 'pieces')

    def test_retail_twice(self):
        self.play('online_retail', 'twice')

    def test_retail_ratcheted(self):
        self.play('online_retail', 'ratcheted')

    def test_oulad(self):
        self.play('oulad_slice', 'plain')

    @unittest.skipUnless(throng.LONG, 'THRONG_LONG=1')
    def test_oulad_ratcheted(self):
        self.play('oulad_slice', 'ratcheted_shuffled')

    def test_unfinished_periods(self):
        """Data that end a few days ago: what has not come to its end is absent, not 0."""
        rows, last = self.load('online_retail')
        today = datetime.datetime.now(datetime.timezone.utc).date()
        shift = (today - datetime.date.fromisoformat(last)).days // 7 * 7
        shift -= 7 if shift == (today - datetime.date.fromisoformat(last)).days else 0

        def moved(day):
            return days_after(day, shift)
        app = 'online_retail_recent'
        moved_rows = [(user, moved(ts[:10]) + ts[10:], event) for user, ts, event in rows]
        self.add('online_retail', app, 30, moved_rows)
        self.send(app, moved_rows)
        self.installation.seal(app, moved(last))
        through = self.installation.sql("""SELECT activity_through::text FROM release.progress p
            JOIN config.app a USING (app) WHERE a.name = %s""", (app,))[0][0]
        open_cells = 0
        for table, (interval, most) in list(INTERVALS.items())[:2]:
            found = self.installation.released(app, 'retention', interval)
            for row in reference('online_retail', 30, 'retention_' + table):
                n = int(row['n'])
                cell = (moved(row['cohort']), n)
                if n <= most and str(period_end(interval, *cell)) > through:
                    open_cells += 1
                    self.assertIsNone(found.get(cell), f'{interval} {cell} has not come to its end on {through}')
                elif n <= most:
                    self.assertEqual(found.get(cell), int(row['users']), f'{interval} {cell}')
        self.assertGreater(open_cells, 0)


if __name__ == '__main__':
    if not any(os.path.exists(os.path.join(folder_of(name), 'events.csv.gz')) for name in SETS):
        print(f'skipped: no data sets under {throng.SHARED}')
        raise SystemExit(throng.SKIP)
    throng.main()
