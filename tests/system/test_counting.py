#!/usr/bin/python3
"""Everything that an app may declare to be counted: dimensions, entry and exit pages, features, segments, goals, completion,
funnels, measures, outcomes, entities and paths. One random log through the real programs, over a change of the clock, with
users who come back over weeks and months; every released cell equals what this file computes from the definitions alone."""
import collections
import csv
import datetime
import os
import random
import unittest
import zoneinfo

import throng

SEED = 20260921
ZONE = zoneinfo.ZoneInfo('America/New_York')
FIRST = datetime.date(2025, 9, 29)
LAST = datetime.date(2025, 12, 14)
THROUGH = datetime.date(2026, 1, 31)
STEPS = ('2025-10-13', '2025-11-02', '2025-11-03', '2025-11-30', '2025-12-31', '2026-01-31')
TIMEOUT_MS = 30 * 60 * 1000
USERS = 120
OTHER = 50
UTC = datetime.timezone.utc

ROUTES = ['/', '/stories', '/story/:id', '/about']
GENRES = ['adventure', 'mystery', 'fantasy']
EVENTS = [
    {'name': 'page_view', 'kind': 'view', 'properties': [{'name': 'page', 'type': 'route', 'required': True},
        {'name': 'device', 'type': 'enum', 'values': ['desktop', 'mobile', 'other']}]},
    {'name': 'story_started', 'properties': [{'name': 'genre', 'type': 'enum', 'values': GENRES},
        {'name': 'campaign', 'type': 'entity'}]},
    {'name': 'choice', 'properties': [{'name': 'depth', 'type': 'number', 'min': 1, 'max': 100},
        {'name': 'campaign', 'type': 'entity'}]},
    {'name': 'story_finished', 'properties': [{'name': 'progress', 'type': 'number', 'min': 0, 'max': 1, 'step': 0.01},
        {'name': 'happy', 'type': 'boolean'}]},
    {'name': 'signup', 'properties': [{'name': 'method', 'type': 'enum', 'values': ['email', 'oauth']}]},
]
DECLARED = {
    'routes': ROUTES,
    'dimensions': [
        {'name': 'page', 'property': 'page'},
        {'name': 'device', 'property': 'device'},
        {'name': 'genre', 'property': 'genre', 'values': ['adventure', 'fantasy']},
        {'name': 'happy', 'property': 'happy'},
        {'name': 'entry_page', 'property': 'page', 'at': 'entry'},
        {'name': 'exit_page', 'property': 'page', 'at': 'exit'},
    ],
    'features': [{'name': 'stories', 'events': ['story_started', 'choice', 'story_finished']},
        {'name': 'accounts', 'events': ['signup']}],
    'segments': [{'name': 'oauth', 'event': 'signup', 'property': 'method', 'equals': 'oauth'},
        {'name': 'happy', 'event': 'story_finished', 'property': 'happy', 'equals': True}],
    'goals': [{'name': 'finish', 'event': 'story_finished'},
        {'name': 'about', 'event': 'page_view', 'property': 'page', 'equals': '/about'}],
    'completion': {'start': 'story_started', 'done': 'story_finished'},
    'funnels': [
        {'name': 'first_story', 'steps': ['page_view', 'story_started', 'choice', 'story_finished'], 'window_days': 7},
        {'name': 'twice', 'steps': ['story_started', 'story_finished', 'story_started'], 'window_days': 1},
        {'name': 'join', 'steps': [{'event': 'page_view', 'property': 'page', 'equals': '/'},
            {'event': 'signup', 'property': 'method', 'equals': 'email'}], 'window_days': 20},
    ],
    'measures': [{'name': 'depth', 'event': 'choice', 'property': 'depth', 'unit': 'choices'},
        {'name': 'progress', 'event': 'story_finished', 'property': 'progress'}],
    'outcomes': [
        {'name': 'mean_progress', 'measure': 'progress', 'aggregate': 'mean', 'tiers': [{'name': 'rare', 'sessions_from': 0},
            {'name': 'some', 'sessions_from': 2}, {'name': 'many', 'sessions_from': 4}]},
        {'name': 'last_progress', 'measure': 'progress', 'aggregate': 'last'},
        {'name': 'best_depth', 'measure': 'depth', 'aggregate': 'max'},
        {'name': 'all_depth', 'measure': 'depth', 'aggregate': 'sum'},
    ],
    'entities': [{'name': 'campaigns', 'property': 'campaign'},
        {'name': 'chosen_campaigns', 'property': 'campaign', 'events': ['choice']}],
    'paths': [{'name': 'pages', 'property': 'page'}],
}
COLUMNS = ('page', 'device', 'genre', 'campaign', 'depth', 'progress', 'happy', 'method')


# --- the log ------------------------------------------------------------------------------------------------------------


class Event:
    __slots__ = ('user', 'ts', 'name', 'props')

    def __init__(self, user, ts, name, **props):
        self.user, self.ts, self.name, self.props = user, ts, name, props


def random_event(rng, user, ts):
    kind = rng.choices(('page_view', 'story_started', 'choice', 'story_finished', 'signup'), (40, 15, 25, 12, 3))[0]
    props = {}
    if kind == 'page_view':
        props['page'] = rng.choice(('/', '/stories', '/story/17', '/about', '/unknown/place'))
        if rng.random() < 0.8:
            props['device'] = rng.choice(('desktop', 'mobile', 'other'))
    if kind == 'story_started' and rng.random() < 0.8:
        props['genre'] = rng.choice(GENRES)
    if kind in ('story_started', 'choice') and rng.random() < 0.6:
        props['campaign'] = f'campaign-{rng.randrange(40)}'
    if kind == 'choice' and rng.random() < 0.9:
        props['depth'] = rng.choice((1, 2, 3, rng.randrange(1, 101), 100))
    if kind == 'story_finished':
        if rng.random() < 0.9:
            props['progress'] = rng.randrange(0, 101) / 100
        if rng.random() < 0.5:
            props['happy'] = rng.random() < 0.5
    if kind == 'signup':
        props['method'] = rng.choice(('email', 'oauth'))
    return Event(user, ts, kind, **props)


def make_log():
    rng = random.Random(SEED)
    begin, end = throng.day_ms(str(FIRST)) + 5 * 3600 * 1000, throng.day_ms(str(LAST))
    events = []
    for i in range(USERS):
        for _ in range(rng.choice((1, 2, 5, 12, 30))):
            # Round moments: several events at once, and gaps of exactly the timeout, are frequent.
            at = rng.randrange(begin, end) // 600000 * 600000
            for _ in range(rng.choice((1, 1, 2, 4, 9))):
                events.append(random_event(rng, f'u{i}', at))
                at += rng.choice((0, 1, 60000, 600000, TIMEOUT_MS, TIMEOUT_MS + 1, 3 * TIMEOUT_MS))
    rng.shuffle(events)
    return events


# --- what is expected ---------------------------------------------------------------------------------------------------


def day_of(ts):
    return datetime.datetime.fromtimestamp(ts / 1000, UTC).astimezone(ZONE).date()


def period_of(interval, day):
    if interval == 'week':
        return day - datetime.timedelta(days=day.weekday())
    return day.replace(day=1) if interval == 'month' else day


def last_day(interval, period):
    if interval == 'day':
        return period
    if interval == 'week':
        return period + datetime.timedelta(days=6)
    return (period + datetime.timedelta(days=31)).replace(day=1) - datetime.timedelta(days=1)


def route_class(path):
    route = '/story/:id' if path.startswith('/story/') else path
    return ROUTES.index(route) if route in ROUTES else OTHER


def dimension_class(name, event):
    """The class of an event in a dimension, None if it has none."""
    prop = {'entry_page': 'page', 'exit_page': 'page'}.get(name, name)
    value = event.props.get(prop)
    if value is None:
        return None
    if prop == 'page':
        return route_class(value)
    if prop == 'device':
        return OTHER if value == 'other' else ('desktop', 'mobile').index(value)
    if prop == 'genre':
        return ('adventure', 'fantasy').index(value) if value != 'mystery' else OTHER
    return int(value)


def classes_of(name):
    """The declared classes of a dimension."""
    if name in ('page', 'entry_page', 'exit_page'):
        return [*range(len(ROUTES)), OTHER]
    return {'device': [0, 1, OTHER], 'genre': [0, 1, OTHER], 'happy': [0, 1]}[name]


def matches(condition, event):
    if isinstance(condition, str):
        return event.name == condition
    if event.name != condition['event']:
        return False
    if 'property' not in condition:
        return True
    value = event.props.get(condition['property'])
    if value is None:
        return False
    if condition['property'] == 'page':
        return route_class(value) == route_class(condition['equals'])
    return value == condition['equals']


def sample(measure, event):
    """A measure's value of an event, in steps above its least one; None if it has none."""
    if measure == 'depth' and event.name == 'choice' and 'depth' in event.props:
        return event.props['depth'] - 1
    if measure == 'progress' and event.name == 'story_finished' and 'progress' in event.props:
        return round(event.props['progress'] * 100)
    return None


def sessions_of(events):
    """[[events in order of time]] of one user; the order of events of one moment means nothing."""
    sessions = []
    for event in sorted(events, key=lambda e: e.ts):
        if sessions and event.ts - sessions[-1][-1].ts <= TIMEOUT_MS:
            sessions[-1].append(event)
        else:
            sessions.append([event])
    return sessions


def edge_class(name, session):
    classed = [(e.ts, dimension_class(name, e)) for e in session if dimension_class(name, e) is not None]
    if not classed:
        return None
    edge = min(classed)[0] if name == 'entry_page' else max(classed)[0]
    return min(c for ts, c in classed if ts == edge)


def furthest(steps, window_ms, events, week):
    """The furthest step (from 0) of a user whose first step 0 of the week is the anchor; None without one."""
    anchors = [e.ts for e in events if matches(steps[0], e) and period_of('week', day_of(e.ts)) == week]
    if not anchors:
        return None
    anchor, reached = min(anchors), 0
    used_anchor = False
    by_time = collections.defaultdict(list)
    for e in events:
        if anchor <= e.ts <= anchor + window_ms:
            by_time[e.ts].append(e)
    for ts in sorted(by_time):
        left = by_time[ts]
        if not used_anchor:
            left.remove(next(e for e in left if matches(steps[0], e)))
            used_anchor = True
        while reached + 1 < len(steps):
            found = next((e for e in left if matches(steps[reached + 1], e)), None)
            if found is None:
                break
            left.remove(found)
            reached += 1
    return reached


def pairs_of(events):
    """[(day, from, to)] of one user."""
    seen = sorted((e.ts, route_class(e.props['page'])) for e in events if 'page' in e.props)
    return [(day_of(b[0]), a[1], b[1]) for a, b in zip(seen, seen[1:])
        if b[0] - a[0] <= TIMEOUT_MS and a[1] != b[1]]


class Expected:
    """{(metric, item, interval): {(period, n): value}} with every declared cell of every period that is over."""

    def __init__(self, events):
        self.cells = collections.defaultdict(dict)
        self.of_user = collections.defaultdict(list)
        for event in events:
            self.of_user[event.user].append(event)
        self.first = min(day_of(e.ts) for e in events)
        self.people = collections.defaultdict(set)
        self.amounts = collections.Counter()
        for user, mine in self.of_user.items():
            self.facts(user, mine)
            self.sessions(user, mine)
        for interval in ('day', 'week', 'month'):
            for period in self.periods(interval):
                self.fill(interval, period)
        self.funnels()

    def periods(self, interval):
        period = period_of(interval, self.first)
        while last_day(interval, period) <= THROUGH:
            yield period
            period = last_day(interval, period) + datetime.timedelta(days=1)

    def meet(self, metric, item, day, who, n=-1):
        """Somebody (or an entity) is in a cell of the day's periods."""
        for interval in ('day', 'week', 'month'):
            self.people[metric, item, interval, period_of(interval, day), n].add(who)

    def facts(self, user, mine):
        for e in mine:
            day = day_of(e.ts)
            for feature in DECLARED['features']:
                if e.name in feature['events']:
                    self.meet('feature_users', feature['name'], day, user)
            for segment in DECLARED['segments']:
                if matches(segment, e):
                    self.meet('segment_users', segment['name'], day, user)
            for entity in DECLARED['entities']:
                if e.name in entity.get('events', (e.name,)) and 'campaign' in e.props:
                    self.meet('entity_count', entity['name'], day, e.props['campaign'])
            for measure in ('depth', 'progress'):
                x = sample(measure, e)
                if x is not None:
                    self.amounts['measure_count', measure, day, -1] += 1
                    self.amounts['measure_sum', measure, day, -1] += x
                    self.amounts['measure_bins', measure, day, x.bit_length()] += 1
        for name in ('page', 'device', 'genre', 'happy'):
            for interval in ('day', 'week', 'month'):
                smallest = {}
                for e in mine:
                    value, period = dimension_class(name, e), period_of(interval, day_of(e.ts))
                    if value is not None:
                        smallest[period] = min(smallest.get(period, OTHER), value)
                for period, value in smallest.items():
                    self.people['dimension_users', name, interval, period, value].add(user)
        for day, a, b in pairs_of(mine):
            self.amounts['path_pairs', 'pages', day, a * 64 + b] += 1

    def sessions(self, user, mine):
        edges, months = collections.defaultdict(dict), collections.Counter()
        for session in sessions_of(mine):
            day = day_of(session[0].ts)
            months[period_of('month', day)] += 1
            for goal in DECLARED['goals']:
                self.amounts['goal_sessions', goal['name'], day, -1] += any(matches(goal, e) for e in session)
            self.amounts['start_sessions', '', day, -1] += any(e.name == 'story_started' for e in session)
            self.amounts['completed_sessions', '', day, -1] += any(e.name == 'story_finished' for e in session)
            for name in ('entry_page', 'exit_page'):
                value = edge_class(name, session)
                for interval in ('day', 'week', 'month') if value is not None else ():
                    at = name, interval, period_of(interval, day)
                    edges[at][user] = min(edges[at].get(user, OTHER), value)
        for (name, interval, period), values in edges.items():
            for value in values.values():
                self.people['session_dimension_users', name, interval, period, value].add(user)
        self.outcomes(mine, months)

    def outcomes(self, mine, months):
        samples = collections.defaultdict(list)
        for e in mine:
            for measure in ('depth', 'progress'):
                x = sample(measure, e)
                if x is not None:
                    samples[measure, period_of('month', day_of(e.ts))].append((e.ts, x))
        for outcome in DECLARED['outcomes']:
            for (measure, month), values in samples.items():
                if measure != outcome['measure']:
                    continue
                xs = [x for _, x in values]
                value = {'mean': (2 * 1000 * sum(xs) + len(xs)) // (2 * len(xs)), 'sum': 1000 * sum(xs), 'max': 1000 * max(xs),
                    'last': 1000 * max(values)[1]}[outcome['aggregate']]
                length = last_day('month', month).day
                tier = max(i for i, t in enumerate(outcome.get('tiers', [{'sessions_from': 0}]))
                    if months[month] * 7 >= t['sessions_from'] * length)
                name = outcome['name']
                self.amounts['outcome_users', name, month, tier] += 1
                self.amounts['outcome_sum', name, month, tier] += value
                self.amounts['outcome_bins', name, month, tier * 64 + (value // 1000).bit_length()] += 1

    def fill(self, interval, period):
        key = str(period)
        days = [period + datetime.timedelta(days=i) for i in range((last_day(interval, period) - period).days + 1)]
        for metric, items in (('feature_users', 'features'), ('segment_users', 'segments'), ('entity_count', 'entities')):
            for item in DECLARED[items]:
                self.cells[metric, item['name'], interval][key, -1] = \
                    len(self.people[metric, item['name'], interval, period, -1])
        for dimension in DECLARED['dimensions']:
            name = dimension['name']
            metric = 'session_dimension_users' if 'at' in dimension else 'dimension_users'
            for n in classes_of(name):
                self.cells[metric, name, interval][key, n] = len(self.people[metric, name, interval, period, n])

        def total(metric, item, n):
            self.cells[metric, item, interval][key, n] = sum(self.amounts[metric, item, day, n] for day in days)
        for goal in DECLARED['goals']:
            total('goal_sessions', goal['name'], -1)
        total('start_sessions', '', -1)
        total('completed_sessions', '', -1)
        for measure, most in (('depth', 99), ('progress', 100)):
            total('measure_count', measure, -1)
            total('measure_sum', measure, -1)
            for n in range(most.bit_length() + 1):
                total('measure_bins', measure, n)
        if interval != 'day':
            for a in classes_of('page'):
                for b in classes_of('page'):
                    if a != b:
                        total('path_pairs', 'pages', a * 64 + b)
        if interval == 'month':
            self.fill_outcomes(period)

    def fill_outcomes(self, month):
        for outcome in DECLARED['outcomes']:
            name = outcome['name']
            for tier in range(len(outcome.get('tiers', [None]))):
                for metric in ('outcome_users', 'outcome_sum'):
                    self.cells[metric, name, 'month'][str(month), tier] = self.amounts[metric, name, month, tier]
                for key, value in self.amounts.items():
                    if key[0] == 'outcome_bins' and key[1] == name and key[2] == month and key[3] // 64 == tier:
                        self.cells['outcome_bins', name, 'month'][str(month), key[3]] = value

    def funnels(self):
        for funnel in DECLARED['funnels']:
            steps, window = funnel['steps'], funnel['window_days']
            for week in self.periods('week'):
                if week + datetime.timedelta(days=6 + window + 1) > THROUGH or week < period_of('week', self.first):
                    continue
                counts = collections.Counter(furthest(steps, window * throng.DAY_MS, mine, week)
                    for mine in self.of_user.values())
                for n in range(len(steps)):
                    self.cells['funnel_users', funnel['name'], 'week'][str(week), n] = counts[n]


# --- the test -----------------------------------------------------------------------------------------------------------


class Counting(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.installation = throng.Throng()
        cls.installation.__enter__()
        cls.addClassCleanup(cls.installation.__exit__, None, None, None)
        cls.events = make_log()
        cls.expected = Expected(cls.events).cells
        cls.installation.add_app('stories', EVENTS, time_zone=str(ZONE), horizon_days=800, **DECLARED)
        cls.load('stories', cls.events)
        for step in STEPS:
            cls.installation.sql("""INSERT INTO config.seal_request (app, through, leaf)
                SELECT app, %s, leaf FROM config.app WHERE name = 'stories'""", (step,))
            cls.installation.wait_released('stories', step)
        cls.found = cls.released('stories')

    @classmethod
    def load(cls, app, events):
        path = os.path.join(cls.installation.folder, app + '.csv')
        with open(path, 'w', encoding='utf-8', newline='') as file:
            writer = csv.writer(file)
            writer.writerow(('user', 'ts', 'name', *COLUMNS))
            for e in events:
                values = [e.props.get(column, '') for column in COLUMNS]
                writer.writerow((e.user, e.ts, e.name, *('true' if v is True else 'false' if v is False else v for v in values)))
        mapping = 'user=user,ts=ts,name=name,' + ','.join(f'props.{c}={c}' for c in COLUMNS)
        cls.installation.cli('import', '--app', app, '--format', 'csv', '--map', mapping, path)

    @classmethod
    def released(cls, app):
        found = collections.defaultdict(dict)
        for metric, item, interval, period, n, value in cls.installation.sql("""SELECT metric, item, interval, period::text, n,
                value FROM release.value v JOIN config.app a USING (app) WHERE a.name = %s""", (app,), role='throng_read'):
            found[metric, item, interval][period, n] = value
        return found

    def test_every_cell(self):
        """Each declared cell is there, once, and right; outcome bins nobody is in may be there or not, but as zeros."""
        self.assertEqual(self.installation.tally('stories'), (len(self.events), 0, 0))
        cells = 0
        for family, expected in sorted(self.expected.items()):
            found = dict(self.found[family])
            if family[0] == 'outcome_bins':
                found = {key: value for key, value in found.items() if value != 0 or key in expected}
            wrong = [(key, expected.get(key), found.get(key)) for key in sorted(set(expected) | set(found))
                if expected.get(key) != found.get(key)]
            self.assertEqual(wrong[:6], [], f'{family}: {len(wrong)} of {len(expected)} differ: (key, expected, released)')
            cells += len(expected)
        self.assertGreater(cells, 5000)
        print(f'{cells} cells of {len(self.expected)} series are equal', flush=True)

    def test_nothing_else(self):
        """No item that is not declared is released."""
        spine = {'active_users', 'new_users', 'returning_users', 'resurrected_users', 'retention', 'events', 'page_views',
            'engaged_ms', 'engaged_sessions', 'session_events', 'sessions', 'single_event_sessions', 'session_duration_ms',
            'session_durations'}
        more = {family for family in self.found if family[0] not in spine} - set(self.expected)
        self.assertEqual(more, set())

    def test_the_log_is_hard(self):
        """What makes the comparison worth something is in the log."""
        cells = self.expected
        self.assertGreater(sum(v for (_, n), v in cells['funnel_users', 'first_story', 'week'].items() if n == 3), 20)
        self.assertGreater(sum(v for (_, n), v in cells['funnel_users', 'twice', 'week'].items() if n == 2), 5)
        self.assertGreater(sum(cells['path_pairs', 'pages', 'month'].values()), 200)
        for tier in range(3):
            self.assertGreater(sum(v for (_, n), v in cells['outcome_users', 'mean_progress', 'month'].items() if n == tier), 3)
        several = collections.Counter((e.user, e.ts) for e in self.events)
        self.assertGreater(sum(n > 1 for n in several.values()), 200)

    def test_what_is_of_persons_is_gone(self):
        """After sealing nothing is left that says what a person did, but first days and active days."""
        for table in ('person_day', 'fragment', 'step', 'person_measure', 'person_outcome', 'person_entity', 'person_period'):
            column = {'step': 'at_ms', 'fragment': 'start_ms', 'person_outcome': 'month', 'person_period': 'period'}.get(table, 'day')
            limit = throng.day_ms(str(THROUGH)) - 40 * throng.DAY_MS if column.endswith('_ms') else str(THROUGH)
            left = self.installation.sql(f"""SELECT count(*) FROM state.{table} t JOIN config.app a USING (app)
                WHERE a.name = 'stories' AND {column} <= %s""", (limit,))[0][0]
            self.assertEqual(left, 0, table)


if __name__ == '__main__':
    throng.main()
