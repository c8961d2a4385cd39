#!/usr/bin/python3
"""An app under the default preset, from a log of which every number is known: how often the released intervals hold what is true,
what suppressed values look like, what the budget says, and that asking again tells nothing new. A second app, of forty people,
is told what it can expect. THRONG_SEED sets the seed of the log."""
import collections
import csv
import datetime
import json
import math
import os
import random
import unittest

import throng

SEED = int(os.environ.get('THRONG_SEED', '20260307'))
FIRST = datetime.date(2025, 9, 1)  # a Monday
DAYS = 35
THROUGH = '2025-10-19'             # the last funnels have closed
USERS = 3000
DEVICES = ['phone', 'laptop', 'tablet']
DAY = datetime.timedelta(days=1)
DECLARED = {
    'dimensions': [{'name': 'device', 'property': 'device'}],
    'features': [{'name': 'stories', 'events': ['story']}, {'name': 'rare', 'events': ['prize']}],
    'goals': [{'name': 'finish', 'event': 'finish'}],
    'funnels': [{'name': 'path', 'steps': ['page', 'story', 'finish'], 'window_days': 7}],
    'retention': {'days': 0, 'weeks': 4, 'months': 1},
}
EVENTS = [{'name': 'page', 'kind': 'view', 'properties': [{'name': 'device', 'type': 'enum', 'values': DEVICES}]},
    'story', 'finish', 'prize']


def week_of(day):
    return day - DAY * day.weekday()


def month_of(day):
    return day.replace(day=1)


PERIODS = {'day': lambda day: day, 'week': week_of, 'month': month_of}


def make_log(rng, users):
    """[(user, day, session of the day, name, device or '', ts)]; sessions are hours apart and end in the same day."""
    events = []
    for i in range(users):
        first = 0 if rng.random() < 0.1 else rng.randrange(DAYS)
        often, device = rng.choice((0.03, 0.1, 0.3, 0.6)), rng.choice(DEVICES)
        for number in range(first, DAYS):
            if number > first and rng.random() > often:
                continue
            day = FIRST + DAY * number
            start = throng.day_ms(str(day)) + 6 * 3600000
            for session in range(rng.choice((1, 1, 2))):
                at = start + session * 5 * 3600000 + rng.randrange(3600000)
                names = ['page']
                if rng.random() < 0.5:
                    names += ['story'] + ['finish'] * (rng.random() < 0.4) + ['prize'] * (rng.random() < 0.002)
                for name in names:
                    used = device if rng.random() < 0.9 else rng.choice(DEVICES)
                    events.append((f'u{i}', day, session, name, used if name == 'page' else '', at))
                    at += 60000
    return events


class Truth:
    """What the definitions make of the log, each person bounded as the preset says: {(target, …row's keys): value}."""

    def __init__(self, events):
        self.days = collections.defaultdict(lambda: collections.defaultdict(list))
        for user, day, session, name, device, _ in events:
            self.days[user][day].append((session, name, device))
        self.values = collections.Counter()
        for days in self.days.values():
            self.person(days)

    def person(self, days):
        for interval, period_of in PERIODS.items():
            periods = collections.defaultdict(list)
            for day, seen in sorted(days.items()):
                periods[period_of(day)] += [(day, *one) for one in seen]
            first = min(periods)
            self.values['new_users', interval, first] += 1
            for period, seen in periods.items():
                self.values['active_users', interval, period] += 1
                self.values['returning_users', interval, period] += period != first
                if interval != 'day':
                    device = min(DEVICES.index(d) for *_, d in seen if d)
                    self.values['device', interval, period, DEVICES[device]] += 1
                if interval == 'week':
                    self.week(period, first, seen)

    def week(self, week, first, seen):
        sessions = collections.defaultdict(set)
        for day, session, name, _ in seen:
            sessions[day, session].add(name)
        self.values['sessions', 'week', week] += min(7, len(sessions))
        self.values['engaged_sessions', 'week', week] += min(7, sum('finish' in names for names in sessions.values()))
        for feature, name in (('stories', 'story'), ('rare', 'prize')):
            self.values['feature_users', 'week', week, feature] += any(name in names for names in sessions.values())
        self.values['goal_sessions', 'week', week, 'finish'] += any('finish' in names for names in sessions.values())
        if week != first:
            self.values['retention', 'week', first, (week - first).days // 7] += 1


class Private(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        print(f'seed {SEED}', flush=True)
        cls.throng = throng.Throng()
        cls.throng.__enter__()
        cls.addClassCleanup(cls.throng.__exit__, None, None, None)
        rng = random.Random(SEED)
        cls.log = make_log(rng, USERS)
        cls.truth = Truth(cls.log).values
        for name, log in (('crowd', cls.log), ('tiny', make_log(rng, 40))):
            cls.throng.add_app(name, EVENTS, privacy={'preset': 'standard'}, horizon_days=400, **DECLARED)
            cls.load(name, log)
            cls.throng.seal(name, THROUGH)
        cls.keys = {scope: cls.throng.cli('key', 'add', '--scope', scope).strip().split()[-1] for scope in ('read', 'metrics')}
        throng.wait_for(lambda: cls.throng.ask('/v1/apps', cls.keys['read'])[0] == 200, 10, 'the read key')

    @classmethod
    def load(cls, app, log):
        path = os.path.join(cls.throng.folder, app + '.csv')
        with open(path, 'w', encoding='utf-8', newline='') as file:
            writer = csv.writer(file)
            writer.writerow(('user', 'ts', 'name', 'device'))
            for user, _, _, name, device, ts in log:
                writer.writerow((user, ts, name, device))
        cls.throng.cli('import', '--app', app, '--format', 'csv', '--map', 'user=user,ts=ts,name=name,props.device=device', path)

    def get(self, target, app='crowd', key='read'):
        status, body, headers = self.throng.ask(f'/v1/apps/{app}/{target}', self.keys[key])
        self.assertEqual(status, 200, (target, body[:300]))
        return json.loads(body) if headers['Content-Type'].startswith('application/json') else None, body, headers

    def rows(self, target, app='crowd'):
        answer = self.get(target, app)[0]
        self.assertIsNone(answer['next'])
        return answer['rows']

    # --- values ---------------------------------------------------------------------------------------------------------

    def compare(self, rows, key_of):
        """(how many intervals hold what is true, how many are shown, suppressed)."""
        held = shown = hidden = 0
        for row in rows:
            if row['value'] is None:
                self.assertEqual((row['low'], row['high'], row['reliability']), (None, None, 'suppressed'))
                hidden += 1
                continue
            self.assertGreaterEqual(row['value'], 0)
            self.assertLessEqual(row['low'], row['value'])
            self.assertLessEqual(row['value'], row['high'])
            shown += 1
            held += row['low'] <= self.truth[key_of(row)] <= row['high']
        return held, shown, hidden

    def test_intervals_hold_the_truth(self):
        targets = []
        for interval in PERIODS:
            for metric in ('active_users', 'new_users', 'returning_users'):
                targets.append((f'metrics/{metric}?interval={interval}',
                    lambda row, m=metric, i=interval: (m, i, datetime.date.fromisoformat(row['period']))))
        for interval in ('week', 'month'):
            targets.append((f'metrics/active_users?interval={interval}&by=device',
                lambda row, i=interval: ('device', i, datetime.date.fromisoformat(row['period']), row['class'])))
        for metric in ('sessions', 'engaged_sessions'):
            targets.append((f'metrics/{metric}?interval=week',
                lambda row, m=metric: (m, 'week', datetime.date.fromisoformat(row['period']))))
        for metric in ('feature_users', 'goal_sessions'):
            targets.append((f'metrics/{metric}?interval=week',
                lambda row, m=metric: (m, 'week', datetime.date.fromisoformat(row['period']), row['item'])))
        total = [0, 0, 0]
        for target, key_of in targets:
            found = self.compare(self.rows(target), key_of)
            self.assertGreater(sum(found), 0, target)
            print(f'{target}: {found[0]} of {found[1]} intervals hold, {found[2]} suppressed', flush=True)
            total = [a + b for a, b in zip(total, found)]
        # Of about 150 intervals at 95 %, some of which move together: fewer than 78 % by chance in less than one run of a million.
        self.assertGreater(total[1], 120)
        self.assertGreaterEqual(total[0], 0.78 * total[1])
        self.assertGreater(total[2], 3)

    def test_ratios_and_cohorts(self):
        rows = self.rows('retention?interval=week')
        sizes = {row['cohort']: row for row in rows if row['n'] == 0}
        self.assertEqual(len(sizes), 7)
        held = shown = 0
        for row in rows:
            first = datetime.date.fromisoformat(row['cohort'])
            if row['n'] == 0:
                self.assertIsNone(row['share'])
                continue
            share, size = row['share'], sizes[row['cohort']]
            if row['value'] is None or size['value'] is None:
                self.assertIsNone(share['value'])
                continue
            true = self.truth['retention', 'week', first, row['n']] / self.truth['new_users', 'week', first]
            self.assertAlmostEqual(share['value'], min(1, row['value'] / size['value']), 5)
            shown += 1
            held += share['low'] is None or share['low'] <= true <= share['high']
        print(f'retention: {held} of {shown} shares hold', flush=True)
        self.assertGreaterEqual(shown, 8)
        self.assertGreaterEqual(held, 0.5 * shown)
        for row in self.rows('metrics/engagement_rate?interval=week'):
            if row['value'] is not None:
                week = datetime.date.fromisoformat(row['period'])
                true = self.truth['engaged_sessions', 'week', week] / self.truth['sessions', 'week', week]
                self.assertLess(abs(row['value'] - true), (row['high'] - row['low']) + 0.05)
                self.assertTrue(0 <= row['low'] <= row['value'] <= row['high'] <= 1)
        for row in self.rows('funnels/path?interval=week'):
            if row['from_previous'] is not None and row['from_previous']['value'] is not None:
                self.assertTrue(0 <= row['from_previous']['value'] <= 1)
        self.assertEqual(self.rows('retention?kind=on_or_after'), [])

    def test_thresholds_and_protection(self):
        plan, _, _ = self.get('budget')
        numbers = {number['metric']: number for family in plan['plan']['families'] for number in family['numbers']}
        for metric in ('active_users', 'new_users', 'sessions'):
            answer, _, _ = self.get(f'metrics/{metric}?interval=week')
            protection = answer['protection']
            self.assertEqual((protection['kind'], protection['unit'], protection['epsilon'], protection['delta']),
                ('dp', 'user_month', 8, 1e-9))
            self.assertEqual((protection['mechanism'], protection['preset'], protection['k']), ('discrete_gaussian', 'standard', 11))
            self.assertAlmostEqual(float(protection['sigma2']), float(numbers[metric]['sigma2']), 2)
            for row in answer['rows']:
                if row['value'] is not None:
                    self.assertGreaterEqual(row['value'], numbers[metric]['shown_from'])
                    self.assertEqual(row['high'] - row['value'], numbers[metric]['half_width'])
        answer, _, _ = self.get('metrics/events?interval=day')
        self.assertEqual(answer['rows'], [])
        self.assertIn('not released', answer['notice'])
        answer, _, _ = self.get('metrics/feature_users?interval=week&item=rare')
        # Noise alone lifts one of them in three runs of a thousand, two in five of a million.
        self.assertLessEqual(sum(row['value'] is not None for row in answer['rows']), 2)
        self.assertIn('not shown', answer['notice'])

    # --- the budget -----------------------------------------------------------------------------------------------------

    def test_budget(self):
        budget, _, _ = self.get('budget')
        said = json.loads(self.throng.cli('policy', 'explain', '--app', 'crowd', '--json'))
        planned = {family['family']: family for family in budget['plan']['families']}
        for family in said['families']:
            one = planned[family['family']]
            self.assertEqual(family['funded'], one['funded'])
            self.assertAlmostEqual(family['rho'], float(one['rho'] or 0), 8)
        self.assertAlmostEqual(said['epsilon']['user_month'], budget['plan']['guarantees']['user_month']['epsilon'], 4)
        self.assertEqual([month['month'] for month in budget['months']], ['2025-10-01', '2025-09-01'])
        for month in budget['months']:
            self.assertEqual(month['protection'], 'dp')
            self.assertEqual({family['family'] for family in month['families']}, {n for n, f in planned.items() if f['funded']})
            spent = 0
            for family in month['families']:
                self.assertEqual((family['status'], family['rho'], family['sigma2'], family['l2'], family['refused']), ('reserved',
                    planned[family['family']]['rho'], planned[family['family']]['sigma2'], planned[family['family']]['l2'], 0))
                spent += float(family['rho'])
            self.assertAlmostEqual(spent, float(month['rho_reserved']), 9)
            self.assertLessEqual(spent, float(month['rho_total']))
            self.assertAlmostEqual(month['used_ratio'], spent / float(month['rho_total']), 5)
            self.assertLessEqual(month['guarantees']['user_month']['epsilon'], 8)
            self.assertLess(month['guarantees']['user_day']['epsilon'], month['guarantees']['user_month']['epsilon'])
            self.assertGreater(month['guarantees']['user_13_months']['epsilon'], 8)
            # Both apps are of one population: their costs add up.
            self.assertEqual((month['population']['apps'], month['population']['protection']), (2, 'dp'))
            self.assertAlmostEqual(float(month['population']['rho']), 2 * spent, 9)
            self.assertGreater(month['population']['epsilon'], month['guarantees']['user_month']['epsilon'])
        gauges = self.throng.ask('/metrics', self.keys['metrics'])[1].decode()
        values = dict(line.rsplit(' ', 1) for line in gauges.splitlines() if line and line[0] != '#')
        self.assertAlmostEqual(float(values['throng_privacy_epsilon{app="crowd",unit="user_month"}']),
            budget['months'][0]['guarantees']['user_month']['epsilon'], 3)
        self.assertAlmostEqual(float(values['throng_budget_used_ratio{app="crowd"}']), budget['months'][0]['used_ratio'], 4)
        self.assertFalse([value for value in values.values() if math.isnan(float(value))])

    def test_policy_in_words(self):
        text = self.throng.cli('policy', 'explain', '--app', 'tiny', '--users', '200')
        for part in ('epsilon 7.', 'Mostly suppressed: ', 'feature_users by week', 'What helps: ', 'thirteen months'):
            self.assertIn(part, text)
        path = os.path.join(self.throng.folder, 'crowd.json')
        self.assertIn('app crowd, preset standard', self.throng.cli('policy', 'explain', path))
        self.assertEqual(self.throng.run('policy', 'explain').returncode, 2)
        self.assertEqual(self.throng.run('policy', 'explain', '--app', 'nobody').returncode, 1)

    def test_policy_as_a_statement(self):
        """A deployment statement says the plan's numbers and since when; an unprotected app's says that it is none."""
        said = json.loads(self.throng.cli('policy', 'explain', '--app', 'crowd', '--json'))
        made = json.loads(self.throng.cli('policy', 'statement', '--app', 'crowd', '--json', '--curator', 'A foundation'))['deployment']
        told = made['privacy_loss']['privacy_parameters']
        self.assertEqual((told['delta'], made['dp_flavor']['name']), (1e-9, 'Zero-concentrated DP'))
        self.assertAlmostEqual(told['rho'], said['rho'], 8)
        self.assertAlmostEqual(told['epsilon'], said['epsilon']['user_month'], 8)
        self.assertEqual(made['product']['data_curators'], ['A foundation'])
        self.assertEqual(made['product']['publication_date'], str(FIRST + DAY))
        for family in said['families']:
            self.assertEqual(family['funded'], f'\n- {family["family"]} (' in made['implementation']['mechanisms'], family['family'])
        path = os.path.join(self.throng.folder, 'open.json')
        with open(path, 'w', encoding='utf-8') as file:
            json.dump({'name': 'open', 'time_zone': 'UTC', 'events': [{'name': 'view'}],
                'privacy': {'preset': 'exact', 'allow_unprotected': True}}, file)
        self.assertIn('protection: "unprotected"', self.throng.cli('policy', 'statement', path))
        self.assertNotIn('privacy_parameters:', self.throng.cli('policy', 'statement', path))

    # --- what else ------------------------------------------------------------------------------------------------------

    def test_same_bytes(self):
        for target in ('metrics/active_users', 'metrics/returning_users?interval=week', 'retention?interval=week', 'funnels/path',
                'metrics/feature_adoption?interval=week', 'metrics/session_duration_p50?interval=week', 'insights', 'budget', 'metrics'):
            first, second = self.get(target), self.get(target)
            self.assertEqual(first[1], second[1], target)
            self.assertEqual(first[2].get('ETag'), second[2].get('ETag'))
        rows = self.rows('metrics/active_users?interval=day')
        pages, following = [], 'metrics/active_users?interval=day&limit=4'
        while following:
            page = self.get(following)[0]
            pages += page['rows']
            following = page['next'] and page['next'].removeprefix('/v1/apps/crowd/')
        self.assertEqual(pages, rows)
        text = self.get('metrics/active_users?interval=day&format=csv')[1].decode()
        table = list(csv.DictReader(text.splitlines()))
        self.assertEqual([(row['period'], row['value'], row['low'], row['high']) for row in table],
            [(row['period'], *('' if row[m] is None else str(row[m]) for m in ('value', 'low', 'high'))) for row in rows])

    def test_days_add_up_to_their_week(self):
        weeks = {row['period']: row for row in self.rows('metrics/new_users?interval=week&consistent=true')}
        days = self.rows('metrics/new_users?interval=day&consistent=true')
        plain = {row['period']: row['value'] for row in self.rows('metrics/new_users?interval=day')}
        self.assertEqual({row['period']: row['released'] for row in days}, plain)
        added = 0
        for monday, week in weeks.items():
            first = datetime.date.fromisoformat(monday)
            own = [row for row in days if week_of(datetime.date.fromisoformat(row['period'])) == first]
            if week['value'] is None or len(own) < 7 or any(row['value'] is None for row in own):
                continue
            self.assertEqual(sum(row['value'] for row in own), week['value'])
            added += 1
            one = self.rows(f'metrics/new_users?interval=day&consistent=true&from={own[3]["period"]}&to={own[3]["period"]}')
            self.assertEqual(one, [own[3]])
        self.assertGreater(added, 0)
        for target in ('active_users?interval=day', 'new_users?interval=month'):
            status = self.throng.ask(f'/v1/apps/crowd/metrics/{target}&consistent=true', self.keys['read'])[0]
            self.assertEqual(status, 400)

    def test_small_audience(self):
        answer, _, _ = self.get('metrics/active_users?interval=day', 'tiny')
        self.assertGreater(sum(row['value'] is None for row in answer['rows']), len(answer['rows']) / 2)
        self.assertIn('preset small', answer['notice'])
        raw = self.throng.sql("""SELECT count(*) FROM release.value WHERE reliability = 'suppressed'
            AND (value, low, high) IS DISTINCT FROM (NULL, NULL, NULL)""", role='throng_read')
        self.assertEqual(raw, [(0,)])

    def test_insights(self):
        answer, _, _ = self.get('insights')
        found = {one['metric']: one for one in answer['insights']}
        active = found['active_users']
        self.assertEqual((active['interval'], active['explanation'], len(active['forecast'])), ('day', None, 14))
        self.assertAlmostEqual(active['noise_deviation'] ** 2, float(active['protection']['sigma2']), 1)
        self.assertEqual(found['sessions']['interval'], 'week')
        self.assertTrue(found['sessions']['explanation'])


if __name__ == '__main__':
    throng.main()
