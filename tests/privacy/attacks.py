#!/usr/bin/python3
"""Attacks on the running system, each shown to work on something weak (an app of the preset exact, a row changed by hand) and not
to work on a differentially private app: averaging through every exit, redefinition, a second app with the same events, another
name or time zone, a weaker preset, deleting what was spent, absence and shape, and one person with 10^4 events: with and
without that person's January, exact cells of everything that leaves differ by no more than families.def declares. What others
can do who know everybody else, or send forged people, is in outsiders.py."""
import collections
import csv
import datetime
import json
import os
import re
import sys
import unittest
import zoneinfo

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'system'))

import outsiders
import person
import throng

LONG = throng.LONG
FIRST, THROUGH = datetime.date(2025, 12, 29), datetime.date(2026, 3, 8)
JANUARY = '2026-01'
FEATURES = [f'f{i}' for i in range(8)]
COLUMNS = ('page', 'progress')
METRICS = ('active_users', 'new_users', 'sessions', 'engagement_rate', 'session_durations', 'feature_users', 'goal_sessions',
    'growth_rate', 'stickiness')
MINUTE, HOUR = 60_000, 3_600_000


def definition(name, preset='standard', **more):
    return {'name': name, 'time_zone': 'UTC', 'population': name, 'horizon_days': 800,
        'privacy': {'preset': preset} | ({'allow_unprotected': True} if preset == 'exact' else {}),
        'routes': ['/', '/a', '/b'],
        'events': [{'name': 'view', 'kind': 'view', 'properties': [{'name': 'page', 'type': 'route', 'required': True}]},
            {'name': 'tick', 'properties': [{'name': 'progress', 'type': 'number', 'min': 0, 'max': 1, 'step': 0.1}]}] +
            [{'name': f'e{i}'} for i in range(8)],
        'dimensions': [{'name': 'page', 'property': 'page'}],
        'features': [{'name': feature, 'events': [f'e{i}']} for i, feature in enumerate(FEATURES)],
        'goals': [{'name': f'g{i}', 'event': f'e{i}'} for i in range(6)],
        'funnels': [{'name': 'way', 'steps': ['view', 'e0', 'e1'], 'window_days': 7}],
        'measures': [{'name': 'progress', 'event': 'tick', 'property': 'progress'}],
        'outcomes': [{'name': 'progress', 'measure': 'progress', 'tiers': [{'name': 'rare', 'sessions_from': 0},
            {'name': 'often', 'sessions_from': 2}]}], **more}


def days():
    return (FIRST + datetime.timedelta(days=i) for i in range((THROUGH - FIRST).days + 1))


def crowd(users):
    """Rows of people who are there every other day; three of them use the first feature but one, nobody the first."""
    for day in days():
        for user in range(users):
            if (user + day.toordinal()) % 2:
                continue
            at = throng.day_ms(str(day)) + (8 + user % 12) * HOUR
            yield f'u{user}', at, 'view', '/a', ''
            yield f'u{user}', at + MINUTE, 'tick', '', '0.5'
            if user < 3:
                yield f'u{user}', at + 2 * MINUTE, 'e1', '', ''


def one(with_january):
    """Rows of one person; in January 320 events a day of every kind; from its last noon on never half an hour of rest, for two
    weeks, with goals such that it matters where the longest session is cut; else little."""
    for day in days():
        at = throng.day_ms(str(day))
        if str(day).startswith(JANUARY):
            for i in range(320 if with_january and day.day < 31 else 0):
                name = ('view', 'tick', *(f'e{j}' for j in range(8)))[i % 10]
                yield ('one', at + i * 4 * MINUTE + i // 80 * HOUR, name, '/' if name == 'view' else '',
                    '1' if name == 'tick' else '')
        elif str(day) > '2026-02-15' or str(day) < JANUARY:
            yield 'one', at + 12 * HOUR, 'view', '/b', ''
            yield 'one', at + 12 * HOUR + MINUTE, 'e7', '', ''
    begin, border = throng.day_ms('2026-01-31') + 12 * HOUR, throng.day_ms('2026-02-01')
    if with_january:
        yield 'one', border - 10 * MINUTE, 'tick', '', '' # in one hour of UTC with what is after, in some zones
    for at in range(begin if with_january else border, throng.day_ms('2026-02-15'), 30 * MINUTE):
        even = (at // throng.DAY_MS) % 2 == 0
        yield 'one', at, 'e5' if even and at // HOUR % 24 in (6, 18) else 'tick', '', ''


def private_numbers():
    """{metric: (family, intervals)} of what leaves under a differentially private preset."""
    with open(os.path.join(throng.SOURCE, 'anonymizer/release/families.def'), encoding='utf-8') as file:
        text = file.read()
    names = dict(re.findall(r'^FAMILY\((\w+), "(\w+)"', text, re.M))
    rows = re.findall(r'^NUMBER\(\w+, "(\w+)", \d+, (\w+), [^,]+, ([^,]+),', text, re.M)
    spans = {'D': 'day', 'W': 'week', 'M': 'month'}
    return {metric: (names[family], {spans[letter] for letter in re.findall('[DWM]', intervals)})
        for metric, family, intervals in rows if intervals.strip() != '0'}


def period_of(interval, day):
    if interval == 'week':
        return day - datetime.timedelta(days=day.weekday())
    return day.replace(day=1) if interval == 'month' else day


def steps(interval, first, last):
    if interval == 'month':
        return (last.year - first.year) * 12 + last.month - first.month
    return (last - first).days // 7


class Attacks(outsiders.Outsiders, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.throng = throng.Throng()
        cls.throng.__enter__()
        cls.addClassCleanup(cls.throng.__exit__, None, None, None)
        cls.files = {}
        for name, preset in (('shop', 'standard'), ('open', 'exact')):
            cls.add(definition(name, preset))
            cls.load(name, crowd(150))
            cls.throng.seal(name, str(THROUGH))
        cls.throng.wait_logged() # a row tells the place of its entry as soon as that has one: from then on it stays as it is
        cls.key = cls.throng.cli('key', 'add', '--scope', 'admin').strip()

    @staticmethod
    def body(name, preset):
        return definition(name, preset)

    @staticmethod
    def declared_families():
        return person.declared()

    @classmethod
    def write(cls, body):
        path = os.path.join(cls.throng.folder, body['name'] + '.json')
        with open(path, 'w', encoding='utf-8') as file:
            json.dump(body, file)
        return path

    @classmethod
    def add(cls, body):
        cls.throng.cli('app', 'add', cls.write(body))

    @classmethod
    def load(cls, app, rows):
        path = os.path.join(cls.throng.folder, app + '.csv')
        with open(path, 'w', encoding='utf-8', newline='') as file:
            writer = csv.writer(file)
            writer.writerow(('user', 'ts', 'name', *COLUMNS))
            writer.writerows(rows)
        cls.throng.cli('import', '--app', app, '--format', 'csv', '--map',
            'user=user,ts=ts,name=name,' + ','.join(f'props.{column}={column}' for column in COLUMNS), path)

    def ask(self, target, status=200):
        got, body, _ = self.throng.ask(target, self.key)
        self.assertEqual(got, status, (target, body[:300]))
        return body

    # --- averaging ----------------------------------------------------------------------------------------------------------

    def exits(self, app):
        """{exit: bytes} of everything that tells a released number."""
        base, told = f'/v1/apps/{app}', {}
        for metric in METRICS:
            for interval in ('day', 'week', 'month'):
                for form in ('json', 'csv'):
                    target = f'{base}/metrics/{metric}?interval={interval}&format={form}'
                    told[target] = self.throng.ask(target, self.key)[:2]
        for tail in ('/retention?interval=week', '/retention?interval=month', '/funnels/way', '/outcomes/progress', '/metrics',
                '/metrics/active_users?interval=week&by=page'):
            told[tail] = self.throng.ask(base + tail, self.key)[:2]
        for form in ('csv', 'json'):
            told['query ' + form] = self.throng.cli('query', '--app', app, 'active_users', '--format', form)
        gauges = self.ask('/metrics').decode()
        told['gauges'] = [line for line in gauges.splitlines() if f'"{app}"' in line]
        return told

    def test_averaging(self):
        """The same bytes every time, also of new processes. A row that changes is noticed through all of its exits."""
        first = self.exits('shop')
        shown = json.loads(first['/v1/apps/shop/metrics/active_users?interval=day&format=json'][1])['rows']
        self.assertGreater(sum(row['value'] is not None for row in shown), 30)
        self.assertTrue(first['gauges'])
        for _ in range(20 if LONG else 4):
            self.assertEqual(self.exits('shop'), first)
        self.throng.restart()
        self.throng.wait_ready()
        self.assertEqual(self.exits('shop'), first)
        # Answers are kept by what moves with each release or change of an app: a hand that writes there moves it too.
        patch = """SET session_replication_role = replica; UPDATE release.value SET value = value + %s
            WHERE app = (SELECT app FROM config.app WHERE name = 'shop') AND metric = 'active_users' AND value IS NOT NULL;
            UPDATE config.installation SET catalogue_version = catalogue_version + 1"""
        self.throng.sql(patch, (1,))
        changed = {name for name, told in self.exits('shop').items() if told != first[name]}
        self.throng.sql(patch, (-1,))
        self.assertLessEqual({'query csv', 'query json', 'gauges', '/v1/apps/shop/metrics/active_users?interval=week&format=csv',
            '/v1/apps/shop/metrics/active_users?interval=month&format=json'}, changed)
        self.assertEqual(self.exits('shop'), first)

    def test_noise_is_there(self):
        """The exact app tells each day's number; the other one tells it of hardly any day."""
        truth = self.throng.released('open', 'active_users')
        told = self.throng.released('shop', 'active_users')
        self.assertEqual(set(truth), set(told))
        self.assertLess(sum(truth[key] == told[key] for key in truth), len(truth) / 4)
        self.assertEqual(set(truth.values()), {75})

    # --- asking again, by another name ------------------------------------------------------------------------------------

    def month(self, app, month=JANUARY):
        """What the budget says of a month, without what other apps of the population did."""
        months = json.loads(self.ask(f'/v1/apps/{app}/budget'))['months']
        return next(one for one in months if one['month'].startswith(month))

    def spent(self, app):
        return self.throng.sql("""SELECT month::text, family, p.definition, p.preset, p.sigma2, p.rho::text, l.rho::text
            FROM release.plan p LEFT JOIN release.ledger l USING (population, month, app, family) JOIN config.app a USING (app)
            WHERE a.name = %s ORDER BY 1, 2""", (app,))

    def test_redefinition(self):
        """A new version or preset in the middle of a month draws nothing again, and that month stays planned as it was."""
        self.add(definition('moving'))
        self.load('moving', crowd(60))
        self.throng.seal('moving', '2026-01-15')
        before, spent = self.throng.everything_released('moving'), self.spent('moving')
        self.assertTrue(before and spent and all(row[6] for row in spent if row[1] == 'active'))
        more = definition('moving', features=definition('moving')['features'] + [{'name': 'more', 'events': ['view']}])
        self.throng.cli('app', 'apply', self.write(more))
        self.throng.seal('moving', '2026-02-10')
        after = self.throng.everything_released('moving')
        self.assertLessEqual(set(before), set(after))
        self.assertEqual([row for row in after if row[:5] in {row[:5] for row in before}], before)
        self.assertEqual([row for row in self.spent('moving') if row[0] in {row[0] for row in spent}], spent)
        self.assertNotIn('more', {row[1] for row in after if row[3].startswith(JANUARY)})
        planned = self.spent('moving')
        weaker = more | {'privacy': {'preset': 'small'}}
        self.assertNotEqual(self.throng.run('app', 'apply', self.write(weaker)).returncode, 0)
        self.throng.cli('app', 'apply', self.write(more | {'privacy': {'preset': 'strict'}}))
        self.throng.seal('moving', '2026-04-05')
        later = self.spent('moving')
        self.assertEqual([row for row in later if row[0] in {row[0] for row in planned}], planned)
        self.assertEqual({row[3] for row in later if row[0] not in {row[0] for row in planned}}, {'strict'})
        self.once('moving')

    def once(self, app):
        """Every number of every period was released once."""
        twice = self.throng.sql("""SELECT family, item, interval, period FROM release.release r JOIN config.app a USING (app)
            WHERE a.name = %s GROUP BY 1, 2, 3, 4 HAVING count(*) > 1""", (app,))
        self.assertEqual(twice, [])

    def test_same_people_twice(self):
        """The same events under a second name: new noise, but the population's published epsilon grows; without end if one app is
        exact."""
        epsilons, told = [], []
        for name, preset in (('once', 'standard'), ('again', 'standard'), ('naked', 'exact')):
            self.add(definition(name, preset, population='crowd'))
            self.load(name, crowd(60))
            self.throng.seal(name, '2026-02-01')
            population = self.month('once')['population']
            self.assertEqual(population['apps'], len(epsilons) + 1)
            epsilons.append(population['epsilon'])
            told.append(self.throng.released(name, 'active_users'))
        self.assertLessEqual(epsilons[0], 8)
        self.assertGreater(epsilons[1], epsilons[0] * 1.3)
        self.assertIsNone(epsilons[2])
        self.assertEqual(population['protection'], 'unprotected')
        self.assertNotEqual(told[0], told[1])
        self.assertEqual(self.month('shop')['population']['apps'], 1)

    def test_what_cannot_change(self):
        """Neither time zone nor population; nor is anything added, deleted or spent a second time."""
        before = self.throng.cli('app', 'show', 'shop')
        for change in ({'time_zone': 'Europe/Vienna'}, {'population': 'other'}):
            self.assertNotEqual(self.throng.run('app', 'apply', self.write(definition('shop') | change)).returncode, 0, change)
        self.assertNotEqual(self.throng.run('app', 'add', self.write(definition('shop'))).returncode, 0)
        for verb in ('remove', 'delete', 'reset'):
            self.assertNotEqual(self.throng.run('app', verb, 'shop').returncode, 0, verb)
        self.assertEqual(self.throng.cli('app', 'show', 'shop'), before)
        spent = self.spent('shop')
        for role in ('release', 'owner', 'superuser'):
            for table in ('ledger', 'plan', 'value', 'release'):
                if role != 'release' and table in ('value', 'release'):
                    continue # the one who may migrate the database could
                with self.assertRaises(Exception, msg=(role, table)):
                    self.throng.sql(f'DELETE FROM release.{table}', role=role if role == 'superuser' else 'throng_' + role)
        self.assertEqual(self.spent('shop'), spent)

    # --- absence and shape ------------------------------------------------------------------------------------------------

    def cells(self, app, item):
        """The answer and its rows, without the name that was asked for."""
        status, body, _ = self.throng.ask(f'/v1/apps/{app}/metrics/feature_users?interval=week&item={item}', self.key)
        self.assertEqual(status, 200)
        text = body.decode().replace(f'"{item}"', '"?"')
        return text, json.loads(text)['rows']

    def test_absence_and_shape(self):
        """What nobody did, what three people did and what all could not do look alike, to the byte."""
        nobody, three, other = (self.cells('shop', item) for item in ('f0', 'f1', 'f7'))
        alike = 0
        for a, b, c in zip(nobody[1], three[1], other[1]):
            if a['value'] is b['value'] is c['value'] is None:
                self.assertEqual((a, a), (b, c))
                alike += 1
        # One in a thousand cells is shown for its noise.
        self.assertGreaterEqual(alike, len(nobody[1]) - 2)
        if alike == len(nobody[1]):
            self.assertEqual((nobody[0], nobody[0]), (three[0], other[0]))
        self.assertNotEqual(self.cells('open', 'f0')[0], self.cells('open', 'f1')[0])

    # --- one person -------------------------------------------------------------------------------------------------------

    def exact_cells(self, app, through=THROUGH):
        """{(family, metric, interval, period, item, n): exact clamped value} of all that leaves through a day, from the state."""
        found = collections.Counter()
        numbers = private_numbers()
        for number, interval, period, item, n, value in self.throng.sql("""SELECT number, interval, period, item, n, sum(value)
                FROM state.cell JOIN config.app USING (app) WHERE name = %s AND due <= %s GROUP BY 1, 2, 3, 4, 5""",
                (app, through)):
            family, intervals = numbers.get(number, (None, ()))
            if interval in intervals:
                found[family, number, interval, period, item, n] = int(value)
        for day, first, previous, people in self.throng.sql("""SELECT day, first_day, previous_day, sum(people) FROM state.triple
                JOIN config.app USING (app) WHERE name = %s AND day <= %s GROUP BY 1, 2, 3""", (app, through)):
            for interval in ('day', 'week', 'month'):
                period, cohort = period_of(interval, day), period_of(interval, first)
                if previous is not None and period_of(interval, previous) == period:
                    continue
                found['active', 'active_users', interval, period, 0, -1] += int(people)
                if period == cohort:
                    found['new', 'new_users', interval, period, 0, -1] += int(people)
                elif steps(interval, cohort, period) in person.RETENTION.get(interval, ()):
                    found['retention', 'retention', interval, cohort, 0, steps(interval, cohort, period)] += int(people)
        return found

    def differences(self, app, other, through=THROUGH):
        difference = self.exact_cells(app, through)
        difference.subtract(self.exact_cells(other, through))
        return {cell: value for cell, value in difference.items() if value}

    def neighbours(self, preset, zone):
        """Two apps of the preset with the same events, but for a person's January. Times of the rows are local ones."""
        names = [f'{preset}-{which}-{zone[-3:].lower()}' for which in ('with', 'without')]
        ahead = datetime.datetime(2026, 1, 1, tzinfo=zoneinfo.ZoneInfo(zone)).utcoffset() // datetime.timedelta(milliseconds=1)
        for name in names:
            self.add(definition(name, preset, time_zone=zone))
            rows = [*crowd(4), *one('without' not in name)]
            self.load(name, ((user, at - ahead, *more) for user, at, *more in rows))
            self.throng.seal(name, str(THROUGH))
        return self.differences(*names)

    def distances(self, differences, declared):
        """{family: squared L2 distance in clamps}"""
        squares = collections.Counter()
        for (family, number, *_), value in differences.items():
            clamp = 10_000 if number == 'outcome_sum' else int(declared[family]['dp_clamp']) if family == 'sessions' else 1
            squares[family] += (value / clamp) ** 2
        return squares

    def test_one_person(self):
        """10^4 events of a month more or less: exact cells differ within what the noise is made for, and since sessions are cut
        where a month begins, what happened in it moves none of the weeks after."""
        declared = person.declared()
        weak = self.distances(self.neighbours('exact', 'UTC'), declared)
        self.assertGreater(weak['features'], int(declared['features']['l2_month']))
        for zone in ('UTC', 'Asia/Kathmandu'):
            with self.subTest(zone=zone):
                self.compare(zone, declared)

    def compare(self, zone, declared):
        differences = self.neighbours('standard', zone)
        squares = self.distances(differences, declared)
        print(zone, {family: round(square, 3) for family, square in squares.items()}, flush=True)
        for family, row in declared.items():
            self.assertLessEqual(squares[family], int(row['l2_month']), (zone, family))
        for family in ('active', 'sessions', 'durations', 'goals', 'features', 'dimensions', 'outcomes', 'funnels'):
            self.assertGreater(squares[family], 0, (zone, family))
        later = {cell: value for cell, value in differences.items()
            if cell[0] not in ('new', 'retention', 'last_active') and cell[3] >= datetime.date(2026, 2, 1)}
        self.assertEqual(later, {}, f'{zone}: what happened in January changes later weeks')


if __name__ == '__main__':
    throng.main()
