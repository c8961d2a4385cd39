#!/usr/bin/python3
"""The read side: everything that api/openapi.yaml describes is asked for, each request and answer is held against it; numbers
are those of `throng query`, gauges are what the official parsers take; who may not see something learns nothing of it; reads
and denials are in the trail."""
import collections
import concurrent.futures
import csv
import datetime
import io
import json
import random
import time
import unittest

from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics_parser

import openapi
import throng

METRICS = ('active_users', 'new_users', 'returning_users', 'resurrected_users', 'sessions', 'engaged_sessions',
    'single_event_sessions', 'events', 'page_views', 'session_duration', 'session_duration_p50', 'session_duration_p90',
    'session_durations', 'engaged_time', 'engagement_rate', 'bounce_rate', 'interaction_frequency', 'retention')
MONTHLY = ('retention_on_or_after', 'stickiness', 'growth_rate')
DECLARED = ('dimension_users', 'session_dimension_users', 'feature_users', 'feature_adoption', 'segment_users', 'goal_sessions',
    'goal_rate', 'completion_rate', 'entity_count', 'paths')
THROUGH = '2026-03-31'
OPENMETRICS = 'application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5'


def history():
    """Events of 40 users from January to March 2026, as JSON lines; one quiet week, one crowded day."""
    rng = random.Random(5)
    first = throng.day_ms('2026-01-05')
    for user in range(40):
        for day in range(user, 85):
            if rng.random() > 0.35 or 30 <= day < 37:
                continue
            start = first + day * throng.DAY_MS + rng.randrange(20 * 3600 * 1000)
            for step in range(rng.choice((1, 1, 2, 5))):
                yield json.dumps({'user': f'u{user}', 'ts': start + step * rng.randrange(1000, 200000),
                    'event': rng.choice(('view', 'buy'))})


# Everything that an app can declare, and a log of which the answers are computed here.
CLUB = {'name': 'club', 'time_zone': 'UTC', 'privacy': {'preset': 'exact', 'allow_unprotected': True},
    'routes': ['/', '/rooms', '/rooms/:id'],
    'events': [{'name': 'view', 'kind': 'view', 'properties': [{'name': 'page', 'type': 'route', 'required': True},
            {'name': 'device', 'type': 'enum', 'values': ['mobile', 'other', 'desktop, old']}]},
        {'name': 'play', 'properties': [{'name': 'room', 'type': 'entity'}, {'name': 'won', 'type': 'boolean'},
            {'name': 'time', 'type': 'number', 'min': 2, 'max': 62, 'step': 0.5}]},
        {'name': 'join', 'properties': [{'name': 'way', 'type': 'enum', 'values': ['mail', 'oauth']}]}],
    'dimensions': [{'name': 'page', 'property': 'page'}, {'name': 'device', 'property': 'device'},
        {'name': 'entry', 'property': 'page', 'at': 'entry'}, {'name': 'last', 'property': 'page', 'at': 'exit'}],
    'features': [{'name': 'games', 'title': 'Games', 'events': ['play']}, {'name': 'members', 'events': ['join']}],
    'segments': [{'name': 'oauth', 'event': 'join', 'property': 'way', 'equals': 'oauth'}],
    'goals': [{'name': 'joined', 'event': 'join'}, {'name': 'won', 'event': 'play', 'property': 'won', 'equals': True}],
    'completion': {'start': 'view', 'done': 'play'},
    'funnels': [{'name': 'first_win', 'steps': ['view', 'join', {'event': 'play', 'property': 'won', 'equals': True}]}],
    'measures': [{'name': 'play_time', 'title': 'Time of play', 'event': 'play', 'property': 'time', 'unit': 'min'}],
    'outcomes': [{'name': 'patience', 'measure': 'play_time', 'tiers': [{'name': 'rare', 'sessions_from': 0},
            {'name': 'often', 'title': 'Often', 'sessions_from': 2}]},
        {'name': 'total', 'measure': 'play_time', 'aggregate': 'sum'}],
    'entities': [{'name': 'rooms', 'property': 'room'}], 'paths': [{'name': 'pages', 'property': 'page'}]}
PAGES = {'/': '/', '/rooms': '/rooms', '/rooms/7': '/rooms/:id', '/gone': 'other'}
COLUMNS = ('user', 'ts', 'event', 'page', 'device', 'room', 'won', 'time', 'way')
WEEKS = ['2026-01-05', '2026-01-12', '2026-01-19', '2026-01-26', '2026-02-02', '2026-02-09']


def club_history():
    """Rows of 30 users over six weeks, in time order; a user's day has at most one session."""
    rng = random.Random(11)
    rows = []
    for user in range(30):
        keen = rng.choice((0.05, 0.2, 0.6))
        for day in range(42):
            if rng.random() > keen:
                continue
            ts = throng.day_ms(WEEKS[0]) + day * throng.DAY_MS + rng.randrange(20 * 3600) * 1000
            for step in range(rng.randrange(1, 7)):
                row = dict.fromkeys(COLUMNS) | {'user': f'c{user}', 'ts': ts + step * 60000}
                row['event'] = rng.choice(('view', 'view', 'play', 'join')) if step else 'view'
                if row['event'] == 'view':
                    row |= {'page': rng.choice(list(PAGES)), 'device': rng.choice(('mobile', 'other', 'desktop, old', None))}
                elif row['event'] == 'play':
                    row |= {'room': rng.choice((None, 'east', 'west', 'north')), 'won': rng.choice(('true', 'false')),
                        'time': rng.choice((None, 2, 2.5, 5, 40))}
                else:
                    row['way'] = rng.choice(('mail', 'oauth'))
                rows.append(row)
    return rows


def period_of(ts, interval):
    day = datetime.datetime.fromtimestamp(ts / 1000, datetime.timezone.utc).date()
    if interval == 'week':
        day -= datetime.timedelta(days=day.weekday())
    return str(day.replace(day=1) if interval == 'month' else day)


class Api(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.description = openapi.Description()
        cls.throng = throng.Throng(environment={'THRONG_API_AUTH_PROXY_HEADER': 'X-Forwarded-User',
            'THRONG_API_AUTH_PROXY_OWNERS': 'olga', 'THRONG_API_AUTH_PROXY_VIEWERS': 'vera',
            'THRONG_API_TRUSTED_PROXIES': '127.0.0.1', 'THRONG_API_PAGE_ROWS': '10000'})
        cls.throng.__enter__()
        events = ({'name': 'view', 'kind': 'view'}, {'name': 'buy'})
        for name, privacy in (('shop', {'preset': 'exact', 'allow_unprotected': True}),
                ('quiet', {'preset': 'threshold-only', 'allow_unprotected': True, 'k': 25}),
                ('empty', {'preset': 'exact', 'allow_unprotected': True})):
            path = cls.throng.folder + f'/{name}.json'
            with open(path, 'w', encoding='utf-8') as file:
                json.dump({'name': name, 'time_zone': 'UTC', 'privacy': privacy, 'events': events}, file)
            cls.throng.cli('app', 'add', path)
        cls.throng.add_key('empty')
        lines = ''.join(line + '\n' for line in history())
        path = cls.throng.folder + '/history.jsonl'
        with open(path, 'w', encoding='utf-8') as file:
            file.write(lines)
        for name in ('shop', 'quiet'):
            cls.throng.cli('import', '--app', name, '--format', 'jsonl', '--map', 'name=event', path)
            cls.throng.seal(name, THROUGH)
        cls.club = club_history()
        with open(cls.throng.folder + '/club.json', 'w', encoding='utf-8') as file:
            json.dump(CLUB, file)
        cls.throng.cli('app', 'add', file.name)
        with open(cls.throng.folder + '/small.json', 'w', encoding='utf-8') as file:
            json.dump(CLUB | {'name': 'small', 'privacy': {'preset': 'threshold-only', 'allow_unprotected': True}}, file)
        cls.throng.cli('app', 'add', file.name)
        with open(cls.throng.folder + '/club.csv', 'w', encoding='utf-8', newline='') as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(cls.club)
        cls.throng.cli('import', '--app', 'club', '--format', 'csv', '--map',
            'user=user,ts=ts,name=event,' + ','.join(f'props.{name}={name}' for name in COLUMNS[3:]), file.name)
        cls.throng.seal('club', THROUGH)
        cls.keys = {scope: cls.throng.cli('key', 'add', '--scope', scope).strip()
            for scope in ('read', 'read:shop', 'metrics', 'ops', 'admin', 'audit', 'erase')}

    @classmethod
    def tearDownClass(cls):
        cls.throng.__exit__(None, None, None)

    def get(self, target, scope='read', headers=None, valid=True, status=None, method='GET', key=None):
        """Ask and hold the exchange against the description. Returns (status, body: JSON or bytes, headers)."""
        headers = dict(headers or {})
        got, body, answered = self.throng.ask(target, key or (self.keys[scope] if scope else None), headers, method)
        self.description.check_exchange(method, target, headers, None, got, answered, body, valid)
        if status is not None:
            self.assertEqual(got, status, body)
        return got, json.loads(body) if 'json' in answered.get('Content-Type', '') else body, answered

    # --- numbers ---

    def query(self, app, metric, interval):
        return self.throng.cli('query', '--app', app, metric, '--interval', interval, '--format', 'csv')

    def test_rows_are_those_of_the_command(self):
        for app in ('shop', 'quiet'):
            for metric in METRICS + MONTHLY:
                for interval in ('day', 'week', 'month') if metric in METRICS else ('month',):
                    target = f'/v1/apps/{app}/metrics/{metric}?interval={interval}'
                    expected = self.query(app, metric, interval)
                    _, body, _ = self.get(target + '&format=csv', status=200)
                    self.assertEqual(body.decode(), expected, target)
                    _, answer, _ = self.get(target, status=200)
                    self.compare(list(csv.DictReader(io.StringIO(expected))), answer['rows'], target)
        self.assertGreater(len(answer['rows']), 1)

    def compare(self, expected, rows, what):
        self.assertEqual(len(expected), len(rows), what)
        for text, row in zip(expected, rows):
            for member in ('value', 'low', 'high'):
                if text[member] == '':
                    self.assertIsNone(row[member], what)
                else:
                    self.assertAlmostEqual(float(text[member]), row[member], delta=1e-5 * (1 + abs(row[member])))
            shares = {'share', 'share_low', 'share_high'} & set(text)
            for member in shares:
                number = (row['share'] or {}).get({'share': 'value'}.get(member, member[6:]))
                self.assertEqual(text[member], '' if number is None else f'{number:.6g}', what)
            self.assertIn(text['audit_index'], ('', str(row['audit_index'])), what) # what was not in the log yet may be by now
            envelope = {'k', 'sigma2', 'rho', 'audit_index'}
            for member in set(text) - {'value', 'low', 'high'} - shares - envelope:
                self.assertEqual(str(row[member]), text[member], what)

    def test_rows_name_their_leaf(self):
        _, answer, _ = self.get('/v1/apps/shop/metrics/active_users?interval=week')
        for row in answer['rows']:
            leaf = self.throng.sql("SELECT convert_from(leaf, 'UTF8') FROM audit.outbox WHERE id = %s", (row['audit_leaf'],))
            said = json.loads(leaf[0][0])
            self.assertEqual((said['act'], said['tenant']), ('aggregates_released', 'shop'))
            self.assertIn(['active_users', '', [[-1, row['value']]]], said['data']['rows'])

    def test_pages_add_up(self):
        for target in ('/v1/apps/shop/metrics/active_users?interval=day', '/v1/apps/shop/retention?interval=week&kind=on',
                '/v1/apps/shop/metrics/bounce_rate?interval=day&from=2026-01-20&to=2026-03-01',
                '/v1/apps/shop/metrics/growth_rate', '/v1/apps/shop/metrics/session_durations?interval=week'):
            _, whole, _ = self.get(target, status=200)
            rows, following, pages = [], target + ('&' if '?' in target else '?') + 'limit=7', 0
            while following:
                _, page, headers = self.get(following, status=200)
                self.assertEqual('Link' in headers, page['next'] is not None)
                self.assertLessEqual(len(page['rows']), 7)
                rows += page['rows']
                following = page['next']
                pages += 1
            self.assertEqual(rows, whole['rows'], target)
            self.assertEqual(pages, max(1, -(-len(rows) // 7)))

    def test_periods_are_bounded(self):
        _, answer, _ = self.get('/v1/apps/shop/metrics/events?from=2026-02-01&to=2026-02-10')
        self.assertEqual([row['period'] for row in answer['rows']], [f'2026-02-{day:02}' for day in range(1, 11)])

    def test_tags(self):
        target = '/v1/apps/shop/metrics/sessions?interval=week'
        _, body, headers = self.get(target)
        _, again, same = self.get(target)
        self.assertEqual((body, headers['ETag']), (again, same['ETag']))
        self.assertEqual(headers['Cache-Control'], 'private, no-cache')
        for known in (headers['ETag'], 'W/' + headers['ETag'], '"other", ' + headers['ETag'], '*'):
            _, nothing, _ = self.get(target, headers={'If-None-Match': known}, status=304)
            self.assertEqual(nothing, b'')
        self.get(target, headers={'If-None-Match': '"other"'}, status=200)
        others = [target + '&format=csv', target + '&limit=2', target.replace('week', 'day'), target.replace('shop', 'quiet')]
        tags = {self.get(other)[2]['ETag'] for other in others} | {headers['ETag']}
        self.assertEqual(len(tags), 5)

    def test_many_at_once_get_the_same_bytes(self):
        targets = ['/v1/apps/shop/metrics/active_users', '/v1/apps/quiet/retention?interval=week', '/v1/apps/shop/metrics',
            '/v1/apps/shop/metrics/stickiness', '/v1/apps/quiet/metrics/session_duration?format=csv']
        first = {target: self.throng.ask(target, self.keys['read'])[1] for target in targets}
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            asked = [targets[i % len(targets)] for i in range(240)]
            answers = list(pool.map(lambda target: self.throng.ask(target, self.keys['read' if 'shop' in target else 'admin']), asked))
        for target, (status, body, _) in zip(asked, answers):
            self.assertEqual((status, body), (200, first[target]))

    def test_media_types(self):
        target = '/v1/apps/shop/metrics/events'
        for accept, media in (('text/csv', 'text/csv'), ('text/csv;q=0.5, application/json', 'application/json'),
                ('text/*, application/json;q=0.1', 'text/csv'), ('*/*', 'application/json'), ('image/png', 'application/json')):
            _, _, headers = self.get(target, headers={'Accept': accept}, status=200)
            self.assertTrue(headers['Content-Type'].startswith(media), accept)
        _, _, headers = self.get(target + '?format=json', headers={'Accept': 'text/csv'})
        self.assertEqual(headers['Content-Type'], 'application/json')

    def test_unseen_suppressed_and_empty_have_one_shape(self):
        seen = {name: self.get(f'/v1/apps/{name}/metrics/new_users?interval=day')[1] for name in ('shop', 'quiet', 'empty')}
        for answer in seen.values():
            self.assertEqual(set(answer), set(seen['shop']))
            self.assertEqual(set(answer['protection']), set(seen['shop']['protection']))
        hidden = [row for row in seen['quiet']['rows'] if row['value'] is None]
        self.assertTrue(hidden)
        for row in hidden:
            self.assertEqual((row['low'], row['high'], row['reliability']), (None, None, 'suppressed'))
            self.assertEqual(set(row), set(seen['shop']['rows'][0]))
        self.assertEqual(seen['quiet']['protection']['kind'], 'threshold')
        self.assertEqual(seen['quiet']['protection']['k'], 25)
        self.assertEqual(seen['empty']['rows'], [])

    def test_catalogue_definitions_and_budget(self):
        _, answer, _ = self.get('/v1/apps', status=200)
        self.assertEqual([app['app'] for app in answer['apps']], ['club', 'empty', 'quiet', 'shop', 'small'])
        _, catalogue, _ = self.get('/v1/apps/quiet/metrics', status=200)
        found = {metric['metric']: metric for metric in catalogue['metrics']}
        self.assertEqual(set(found), set(METRICS + MONTHLY + ('visitors',)))
        intervals = {entry['interval']: entry for entry in found['active_users']['intervals']}
        self.assertTrue(intervals['week']['funded'] and intervals['week']['why'] is None)
        self.assertTrue(not intervals['rolling_7']['funded'] and intervals['rolling_7']['why'])
        _, listed, _ = self.get('/v1/definitions', status=200)
        self.assertLessEqual(set(found), {entry['id'] for entry in listed['definitions']})
        for entry in listed['definitions']:
            self.assertEqual(self.get(f'/v1/definitions/{entry["id"]}', status=200)[1], entry)
        self.get('/v1/definitions/none', status=404)
        _, budget, _ = self.get('/v1/apps/shop/budget', status=200)
        self.assertEqual((budget['protection'], budget['plan']), ('unprotected', None))
        self.assertTrue(budget['months'])
        for month in budget['months']:
            self.assertEqual((month['protection'], month['guarantees'], month['population']['epsilon']), ('unprotected', None, None))

    def test_insights(self):
        _, answer, _ = self.get('/v1/apps/shop/insights', status=200)
        self.assertEqual([one['metric'] for one in answer['insights']], ['active_users', 'new_users', 'sessions'])
        for one in answer['insights']:
            self.assertEqual((one['explanation'] is None), one['trend'] is not None, one)
            self.assertEqual(len(one['forecast']), 14 if one['trend'] else 0)
            for row in one['forecast']:
                self.assertLessEqual(row['low'], row['value'])
                self.assertLessEqual(row['value'], row['high'])
        self.assertEqual(self.get('/v1/apps/shop/insights', status=200)[1], answer)
        self.assertEqual([one['explanation'] for one in self.get('/v1/apps/empty/insights', status=200)[1]['insights']],
            3 * ['nothing is released of it'])

    def test_notes(self):
        self.throng.cli('note', 'add', '--app', 'shop', '--day', '2026-04-02', 'Release 2.4')
        _, answer, _ = self.get('/v1/apps/shop/notes', status=200)
        self.assertEqual([(note['day'], note['text']) for note in answer['notes']], [('2026-04-02', 'Release 2.4')])
        self.assertEqual(self.get('/v1/apps/empty/notes', status=200)[1]['notes'], [])

    def test_faulty_requests(self):
        base = '/v1/apps/shop/metrics/active_users'
        for query, field in (('interval=year', 'interval'), ('from=2026-02-30', 'from'), ('to=yesterday', 'to'),
                ('from=2026-03-01&to=2026-02-01', 'from'), ('limit=0', 'limit'), ('limit=x', 'limit'), ('cursor=%21', 'cursor'),
                ('cursor=AAAA', 'cursor'), ('format=xml', 'format'), ('by=device', 'by'), ('interval=rolling_7&x=y', None)):
            _, problem, _ = self.get(f'{base}?{query}', valid=False, status=400)
            self.assertEqual(problem.get('field'), field, query)
            self.assertTrue(problem['type'].endswith('invalid_parameter'))
        self.get('/v1/apps/shop/metrics/visitors?interval=week', status=400)
        self.get('/v1/apps/shop/metrics/nothing', status=404)
        self.get('/v1/apps/shop/retention?kind=on_or_after&interval=week', status=400)
        self.get('/v1/apps/shop/retention?kind=some', valid=False, status=400)
        self.get('/v1/apps?x=y', valid=False, status=400)
        for method in ('POST', 'DELETE', 'PUT'):
            self.assertEqual(self.throng.ask('/v1/apps', self.keys['read'], method=method)[0], 405)
        for path in ('/', '/v1', '/v1/apps/', '/v1/apps/shop', '/v1/apps/../metrics', '/v1/apps/a%2fb/metrics', '/metrics/',
                '/v1/apps/' + 'a' * 64 + '/budget', '/v1/apps/%00/metrics'):
            self.assertIn(self.throng.ask(path, self.keys['read'])[0], (400, 404), path)

    # --- declared things ---

    def rows(self, tail, status=200):
        return self.get('/v1/apps/club/' + tail, status=status)[1]['rows']

    def people(self, interval, wanted):
        """{period: users with a row for which wanted is true}"""
        found = collections.defaultdict(set)
        for row in self.club:
            if wanted(row):
                found[period_of(row['ts'], interval)].add(row['user'])
        return found

    def sessions(self):
        """Rows of each user and day: never more than one session."""
        found = collections.defaultdict(list)
        for row in self.club:
            found[row['user'], row['ts'] // throng.DAY_MS].append(row)
        return found.values()

    def classes(self, interval, sets):
        """{(period, class): users}, each user in the first declared of the classes in sets: (user, ts, class) triples."""
        order, best = list(PAGES.values()) + ['mobile', 'desktop, old'], {}
        order.remove('other')
        rank = {name: place for place, name in enumerate(order + ['other'])}
        for user, ts, name in sets:
            key = user, period_of(ts, interval)
            best[key] = min(best.get(key, name), name, key=rank.get)
        return collections.Counter((period, name) for (user, period), name in best.items())

    def test_breakdowns(self):
        pages = [(row['user'], row['ts'], PAGES[row['page']]) for row in self.club if row['page']]
        devices = [(row['user'], row['ts'], row['device']) for row in self.club if row['device']]
        views = [[row for row in session if row['page']] for session in self.sessions()]
        entries = [(rows[0]['user'], rows[0]['ts'], PAGES[rows[0]['page']]) for rows in views]
        exits = [(rows[-1]['user'], rows[-1]['ts'], PAGES[rows[-1]['page']]) for rows in views]
        for by, sets in (('page', pages), ('device', devices), ('entry', entries), ('last', exits)):
            for interval in ('day', 'week', 'month'):
                target = f'metrics/active_users?by={by}&interval={interval}'
                got = {(row['period'], row['class']): row['value'] for row in self.rows(target)}
                expected = self.classes(interval, sets)
                self.assertEqual({key: value for key, value in got.items() if value}, expected, target)
        self.assertEqual({key[1] for key in got}, set(PAGES.values()))
        answer = self.get('/v1/apps/club/metrics/active_users?by=page&interval=week')[1]
        self.assertEqual((answer['metric'], answer['by'], answer['definition']['id']), ('active_users', 'page', 'dimension_users'))
        named = self.rows('metrics/dimension_users?item=device&interval=month')
        self.assertEqual({row['item'] for row in named}, {'device'})
        self.assertEqual([(row['class'], row['value']) for row in named],
            [(row['class'], row['value']) for row in self.rows('metrics/active_users?by=device&interval=month')])

    def test_features_segments_and_goals(self):
        for interval in ('day', 'week', 'month'):
            active = self.people(interval, lambda row: True)
            used = {'games': self.people(interval, lambda row: row['event'] == 'play'),
                'members': self.people(interval, lambda row: row['event'] == 'join')}
            oauth = self.people(interval, lambda row: row['way'] == 'oauth')
            for row in self.rows(f'metrics/feature_users?interval={interval}'):
                self.assertEqual(row['value'], len(used[row['item']][row['period']]))
            for row in self.rows(f'metrics/segment_users?interval={interval}'):
                self.assertEqual((row['item'], row['value']), ('oauth', len(oauth[row['period']])))
            rows = self.rows(f'metrics/feature_adoption?interval={interval}')
            self.assertEqual({row['item'] for row in rows}, {'games', 'members'})
            for row in rows:
                if active[row['period']]:
                    share = len(used[row['item']][row['period']]) / len(active[row['period']])
                    self.assertAlmostEqual(row['value'], share, 5)
                else:
                    self.assertIsNone(row['value'])
            reached, started, sessions = collections.Counter(), collections.Counter(), collections.Counter()
            for session in self.sessions():
                period = period_of(session[0]['ts'], interval)
                sessions[period] += 1
                reached[period, 'joined'] += any(row['event'] == 'join' for row in session)
                reached[period, 'won'] += any(row['won'] == 'true' for row in session)
                started[period] += any(row['event'] == 'play' for row in session)
            for row in self.rows(f'metrics/goal_sessions?interval={interval}'):
                self.assertEqual(row['value'], reached[row['period'], row['item']])
            for row in self.rows(f'metrics/goal_rate?interval={interval}&item=won'):
                self.assertEqual(row['item'], 'won')
                if sessions[row['period']]:
                    self.assertAlmostEqual(row['value'], reached[row['period'], 'won'] / sessions[row['period']], 5)
            for row in self.rows(f'metrics/completion_rate?interval={interval}'):
                if sessions[row['period']]: # every session has a view
                    self.assertAlmostEqual(row['value'], started[row['period']] / sessions[row['period']], 5)
            rooms = collections.defaultdict(set)
            for row in self.club:
                if row['room']:
                    rooms[period_of(row['ts'], interval)].add(row['room'])
            for row in self.rows(f'metrics/entity_count?interval={interval}'):
                self.assertEqual((row['item'], row['value']), ('rooms', len(rooms[row['period']])))

    def test_measures(self):
        for interval in ('day', 'week', 'month'):
            times = collections.defaultdict(list)
            for row in self.club:
                if row['time']:
                    times[period_of(row['ts'], interval)].append(row['time'])
            _, answer, _ = self.get(f'/v1/apps/club/metrics/play_time?interval={interval}', status=200)
            self.assertEqual((answer['metric'], answer['unit'], answer['definition']['id']), ('play_time', 'min', 'measure'))
            self.assertLessEqual(set(times), {row['period'] for row in answer['rows']})
            for row in answer['rows']:
                values = sorted(times[row['period']])
                self.assertEqual(row['count']['value'], len(values))
                self.assertAlmostEqual(row['sum']['value'], sum(values), delta=1e-4 * (1 + sum(values)))
                if not values:
                    self.assertIsNone(row['value'])
                    continue
                self.assertAlmostEqual(row['value'], sum(values) / len(values), 3)
                for name, share in (('p50', 0.5), ('p90', 0.9), ('p99', 0.99)):
                    exact = values[max(0, -(-round(len(values) * share * 100) // 100) - 1)]
                    self.assertLessEqual(row[name]['low'], exact)
                    self.assertGreaterEqual(row[name]['high'], exact)
            bins = {entry['from']: entry['count'] for entry in answer['histogram'] if entry['count']}
            every = collections.Counter(value for values in times.values() for value in values)
            self.assertEqual(bins, {2: every[2], 2.5: every[2.5], 4: every[5], 34: every[40]})

    def test_paths(self):
        names = list(PAGES.values())
        for interval in ('week', 'month'):
            pairs = collections.Counter()
            for session in self.sessions():
                pages = [row for row in session if row['page']]
                for one, other in zip(pages, pages[1:]):
                    if PAGES[one['page']] != PAGES[other['page']]:
                        pairs[period_of(other['ts'], interval), PAGES[one['page']], PAGES[other['page']]] += 1
            rows = self.rows(f'metrics/paths?interval={interval}&item=pages')
            got = {(row['period'], row['from'], row['to']): row['value'] for row in rows}
            self.assertEqual({key: value for key, value in got.items() if value}, pairs)
            self.assertEqual({key[1:] for key in got}, {(a, b) for a in names for b in names if a != b})
        self.assertEqual(self.rows('metrics/paths'), self.rows('metrics/paths?interval=week'))

    def test_funnels(self):
        steps = (lambda row: row['event'] == 'view', lambda row: row['event'] == 'join', lambda row: row['won'] == 'true')
        reached = collections.Counter()
        for week in WEEKS:
            begin = throng.day_ms(week)
            for user in {row['user'] for row in self.club}:
                own = [row for row in self.club if row['user'] == user]
                first = next((row for row in own if begin <= row['ts'] < begin + 7 * throng.DAY_MS and steps[0](row)), None)
                if first is None:
                    continue
                at, place = 1, own.index(first)
                for row in own[place + 1:]:
                    if at < 3 and row['ts'] <= first['ts'] + 7 * throng.DAY_MS and steps[at](row):
                        at += 1
                for step in range(at):
                    reached[week, step + 1] += 1
        _, answer, _ = self.get('/v1/apps/club/funnels/first_win', status=200)
        self.assertEqual((answer['interval'], answer['item'], answer['window_days']), ('week', 'first_win', 7))
        self.assertEqual([row['label'] for row in answer['rows'][:3]], ['view', 'join', 'play won=true'])
        got = {(row['period'], row['step']): row['value'] for row in answer['rows']}
        self.assertEqual({key: value for key, value in got.items() if value}, reached)
        for row in answer['rows']:
            first, before = reached[row['period'], 1], reached[row['period'], row['step'] - 1]
            if row['step'] == 1:
                self.assertIsNone(row['from_previous'])
            elif first and before:
                self.assertAlmostEqual(row['from_first']['value'], row['value'] / first, 5)
                self.assertAlmostEqual(row['from_previous']['value'], row['value'] / before, 5)

    def test_outcomes(self):
        def month_of(row):
            return period_of(row['ts'], 'month')
        days, values, sessions = {'2026-01-01': 31, '2026-02-01': 28}, collections.defaultdict(list), collections.Counter()
        for session in self.sessions():
            sessions[session[0]['user'], month_of(session[0])] += 1
        for row in self.club:
            if row['time']:
                values[row['user'], month_of(row)].append(row['time'])
        means, totals = collections.defaultdict(list), collections.defaultdict(list)
        for (user, month), own in values.items():
            tier = 'often' if sessions[user, month] * 7 >= 2 * days[month] else 'rare'
            for name in ('all', tier):
                means[month, name].append(sum(own) / len(own))
            totals[month].append(sum(value - 2 for value in own))
        _, answer, _ = self.get('/v1/apps/club/outcomes/patience', status=200)
        self.assertIn('correlation', answer['correlation'])
        self.assertEqual((answer['unit'], answer['aggregate'], [tier['name'] for tier in answer['tiers']]),
            ('min', 'mean', ['rare', 'often']))
        mean = lambda month, name: sum(means[month, name]) / len(means[month, name])
        for row in answer['rows']:
            month, own = row['period'], means[row['period'], row['tier']]
            self.assertEqual(row['users']['value'], len(own))
            self.assertEqual(sum(entry['users'] for entry in row['distribution']), len(own))
            if not own:
                self.assertIsNone(row['value'])
                continue
            self.assertAlmostEqual(row['value'], mean(month, row['tier']), 2)
            if row['tier'] == 'often' and means[month, 'rare']:
                self.assertAlmostEqual(row['difference']['value'], mean(month, 'often') - mean(month, 'rare'), 2)
            elif row['tier'] != 'often':
                self.assertIsNone(row['difference'])
        for row in self.rows('outcomes/total'):
            self.assertEqual(row['tier'], 'all')
            if totals[row['period']]:
                self.assertAlmostEqual(row['value'], sum(totals[row['period']]) / len(totals[row['period']]), 2)

    def test_declared_things_by_the_command(self):
        for words, target in ((('active_users', '--by', 'entry'), 'metrics/active_users?by=entry'),
                (('feature_adoption', '--item', 'games'), 'metrics/feature_adoption?item=games'),
                (('goal_rate',), 'metrics/goal_rate'), (('play_time', '--interval', 'week'), 'metrics/play_time?interval=week'),
                (('paths', '--interval', 'month'), 'metrics/paths?interval=month'), (('funnel/first_win',), 'funnels/first_win'),
                (('outcome/patience',), 'outcomes/patience'), (('entity_count', '--interval', 'month'),
                    'metrics/entity_count?interval=month')):
            expected = self.throng.cli('query', '--app', 'club', *words, '--format', 'csv')
            _, body, _ = self.get(f'/v1/apps/club/{target}{"&" if "?" in target else "?"}format=csv', status=200)
            self.assertEqual(body.decode(), expected, target)
            named = self.rows(target)
            self.assertEqual(len(named), expected.count('\n') - 1)
            rows = json.loads(self.throng.cli('query', '--app', 'club', *words, '--format', 'json'))['rows']
            for row in named:
                sealed = self.throng.sql('SELECT sealed_at FROM release.release WHERE leaf = %s', (row.pop('audit_leaf'),))[0][0]
                self.assertEqual(sealed, datetime.datetime.fromisoformat(row.pop('sealed_at').replace('Z', '+00:00')), target)
                row.pop('audit_index')
                row.pop('distribution', None)
            self.assertEqual(rows, named)
            self.assertIn('preset exact', self.throng.cli('query', '--app', 'club', *words))
        self.assertIn('"desktop, old"', self.throng.cli('query', '--app', 'club', 'active_users', '--by', 'device', '--format', 'csv'))
        for words, status in ((('active_users', '--by', 'won'), 1), (('sessions', '--by', 'page'), 2), (('nothing',), 1),
                (('sessions', '--item', 'games'), 2), (('feature_users', '--item', 'joined'), 1), (('funnel/none',), 1),
                (('funnel/first_win', '--interval', 'day'), 2), (('outcome/patience', '--interval', 'week'), 2)):
            self.assertEqual(self.throng.run('query', '--app', 'club', *words).returncode, status, words)

    def test_pages_of_declared_things(self):
        for target in ('metrics/active_users?by=page&interval=week', 'metrics/feature_users?interval=week', 'metrics/paths',
                'funnels/first_win', 'outcomes/patience', 'metrics/play_time?interval=week', 'metrics/dimension_users'):
            rows, following = [], f'/v1/apps/club/{target}{"&" if "?" in target else "?"}limit=11'
            while following:
                _, page, _ = self.get(following, status=200)
                rows, following = rows + page['rows'], page['next']
            self.assertEqual(rows, self.rows(target), target)
        tags = {self.get(f'/v1/apps/club/metrics/{tail}')[2]['ETag'] for tail in ('active_users?by=page', 'active_users?by=device',
            'dimension_users?item=page', 'dimension_users', 'feature_users', 'feature_users?item=games')}
        self.assertEqual(len(tags), 6)

    def test_faulty_requests_for_declared_things(self):
        for tail, status, field in (('metrics/active_users?by=none', 400, 'by'), ('metrics/sessions?by=page', 400, 'by'),
                ('metrics/sessions?item=games', 400, 'item'), ('metrics/feature_users?item=won', 400, 'item'),
                ('metrics/play_time?item=play_time', 400, 'item'), ('metrics/paths?interval=day', 400, 'interval'),
                ('funnels/none', 404, 'funnel'), ('funnels/first_win?interval=day', 400, 'interval'),
                ('outcomes/none', 404, 'outcome'), ('outcomes/patience?interval=week', 400, 'interval'),
                ('metrics/measure', 404, 'metric'), ('metrics/funnel', 404, 'metric'), ('metrics/first_win', 404, 'metric')):
            _, problem, _ = self.get('/v1/apps/club/' + tail, status=status, valid=False)
            self.assertEqual(problem.get('field'), field, tail)
        self.get('/v1/apps/shop/metrics/feature_users', status=200)
        self.assertEqual(self.get('/v1/apps/shop/metrics/paths')[1]['rows'], [])
        self.get('/v1/apps/club/funnels/first_win?by=page', status=400, valid=False)

    def test_catalogue_of_declared_things(self):
        _, catalogue, _ = self.get('/v1/apps/club/metrics', status=200)
        found = {metric['metric']: metric for metric in catalogue['metrics']}
        self.assertEqual(set(found), set(METRICS + MONTHLY + DECLARED + ('visitors', 'play_time')))
        self.assertEqual(found['active_users']['by'], ['page', 'device', 'entry', 'last'])
        self.assertEqual([item['name'] for item in found['dimension_users']['items']], ['page', 'device'])
        self.assertEqual([item['name'] for item in found['session_dimension_users']['items']], ['entry', 'last'])
        self.assertEqual(found['dimension_users']['items'][1]['classes'], ['mobile', 'desktop, old', 'other'])
        self.assertEqual(found['feature_users']['items'][0], {'name': 'games', 'title': 'Games', 'funded': True, 'classes': None})
        self.assertEqual((found['play_time']['unit'], found['play_time']['title']), ('min', 'Time of play'))
        self.assertEqual([funnel['steps'] for funnel in catalogue['funnels']], [['view', 'join', 'play won=true']])
        self.assertEqual([outcome['outcome'] for outcome in catalogue['outcomes']], ['patience', 'total'])
        for entry in catalogue['metrics'] + catalogue['funnels'] + catalogue['outcomes']:
            self.assertEqual(self.get(f'/v1/definitions/{entry["definition"]["id"]}')[1]['version'], entry['definition']['version'])
            for interval in entry['intervals']:
                self.assertTrue(interval['funded'], entry)
        _, catalogue, _ = self.get('/v1/apps/small/metrics', status=200)
        found = {metric['metric']: metric for metric in catalogue['metrics']}
        self.assertTrue(found['feature_users']['intervals'][0]['funded'])
        for metric in ('dimension_users', 'session_dimension_users', 'segment_users', 'paths'):
            for interval in found[metric]['intervals']:
                self.assertFalse(interval['funded'], metric)
                self.assertIn('breakdowns', interval['why'])
            self.assertFalse(any(item['funded'] for item in found[metric]['items']))

    def test_gauges_of_declared_things(self):
        _, text, _ = self.get('/metrics', 'metrics')
        plain = self.samples(parser.text_string_to_metric_families(text.decode()))
        labels = lambda **pairs: tuple(sorted({'app': 'club', **pairs}.items()))
        for window in ('week', 'month'):
            newest = self.rows(f'metrics/feature_adoption?interval={window}')[-1]['period']
            for row in self.rows(f'metrics/feature_adoption?interval={window}&from={newest}'):
                self.same_gauge(plain, 'throng_feature_adoption_ratio', labels(window=window, feature=row['item']), row['value'])
            for row in self.rows(f'metrics/goal_rate?interval={window}&from={newest}'):
                self.same_gauge(plain, 'throng_goal_ratio', labels(window=window, goal=row['item']), row['value'])
            row = self.rows(f'metrics/completion_rate?interval={window}')[-1]
            self.same_gauge(plain, 'throng_completion_ratio', labels(window=window), row['value'])
        for row in self.rows('funnels/first_win')[-2:]:
            self.same_gauge(plain, 'throng_funnel_conversion_ratio', labels(funnel='first_win', step=str(row['step'])),
                row['from_first']['value'])
        for outcome, count in (('patience', 3), ('total', 1)):
            for row in self.rows(f'outcomes/{outcome}')[-count:]:
                self.same_gauge(plain, 'throng_outcome_mean', labels(outcome=outcome, tier=row['tier']), row['value'])

    def same_gauge(self, samples, name, labels, value):
        if value is None:
            self.assertNotIn((name, labels), samples)
        else:
            self.assertAlmostEqual(samples[name, labels], value, 4)

    # --- who may see what ---

    def test_scopes(self):
        allowed = {'/v1/apps': {'read', 'read:shop', 'admin'}, '/v1/apps/shop/budget': {'read', 'read:shop', 'admin'},
            '/v1/definitions': {'read', 'read:shop', 'admin'}, '/metrics': {'metrics', 'admin'},
            '/metrics/json': {'metrics', 'admin'}, '/metrics/ops': {'ops', 'admin'}, '/health': {'ops', 'admin'}}
        for path, scopes in allowed.items():
            for scope in self.keys:
                status = self.get(path, scope)[0]
                wanted = (200, 503) if scope in scopes else (403,)
                self.assertIn(status, wanted, f'{path} {scope}')
            self.get(path, None, status=401)
            self.get(path, key='ak_' + 'x' * 32, status=401)
            self.get(path, key='ik_', status=401)

    def test_forbidden_and_unknown_apps_look_the_same(self):
        for tail in ('metrics', 'metrics/active_users', 'metrics/none', 'retention', 'budget'):
            forbidden = self.throng.ask(f'/v1/apps/quiet/{tail}', self.keys['read:shop'])
            unknown = self.throng.ask(f'/v1/apps/nobody/{tail}', self.keys['read:shop'])
            self.assertEqual(forbidden[0], 404)
            drop = lambda headers: {name: value for name, value in headers.items() if name != 'Date'}
            self.assertEqual((forbidden[0], forbidden[1], drop(forbidden[2])), (unknown[0], unknown[1], drop(unknown[2])))
        self.assertEqual([app['app'] for app in self.get('/v1/apps', 'read:shop')[1]['apps']], ['shop'])

    def test_a_revoked_key_ends(self):
        made = json.loads(self.throng.cli('--json', 'key', 'add', '--scope', 'read'))
        self.get('/v1/apps', key=made['key'], status=200)
        self.throng.cli('key', 'revoke', made['id'])
        throng.wait_for(lambda: self.get('/v1/apps', key=made['key'])[0] == 401, 5, 'the end of a revoked key')

    def test_proxy_users(self):
        user = lambda name, path: self.throng.ask(path, headers={'X-Forwarded-User': name})[0]
        self.assertEqual([user('olga', path) for path in ('/v1/apps', '/metrics', '/metrics/ops')], [200, 200, 200])
        self.assertEqual([user('vera', path) for path in ('/v1/apps', '/metrics', '/metrics/ops')], [200, 403, 403])
        self.assertEqual([user(name, '/v1/apps') for name in ('mallory', '', '*')], [401, 401, 401])

    def recorded(self):
        """The leaves that throng-api wrote of what was read and denied."""
        rows = self.throng.sql("""SELECT convert_from(leaf, 'UTF8') FROM audit.outbox
            WHERE act IN ('aggregates_read', 'access_denied') AND written_by = 'throng_read'""")
        return [json.loads(row[0]) for row in rows]

    def test_reads_are_recorded(self):
        self.get('/v1/apps/shop/metrics/events', 'read:shop', status=200)
        self.get('/v1/apps/quiet/metrics/events', 'read:shop', status=404)
        self.get('/v1/apps', None, status=401)
        # What was read in an hour is written when it is over, or at the end.
        self.assertTrue(self.throng.metric('api', 'throng_reads_unwritten') > 0 or self.recorded())
        pid = self.throng.kill('api', 15)
        throng.wait_for(lambda: not throng.is_alive(pid), 30, 'the end of throng-api')
        self.throng.wait_ready()
        leaves = self.recorded()
        self.assertTrue(leaves)
        key = self.throng.sql("SELECT k.id::text FROM config.api_key k JOIN config.app a USING (app) WHERE scope = 'read'")[0][0]
        counts = {(leaf['act'], leaf['actor']['id'], name): count for leaf in leaves for name, count in leaf['data']['counts']}
        self.assertGreaterEqual(counts['aggregates_read', key, 'shop'], 1)
        self.assertGreaterEqual(counts['access_denied', key, 'app'], 1)
        self.assertGreaterEqual(counts['access_denied', 'throng_read', 'no_key'], 1)
        self.assertNotIn('history', json.dumps(leaves))

    # --- monitoring ---

    def samples(self, families):
        found = {}
        for family in families:
            for sample in family.samples:
                key = (sample.name, tuple(sorted(sample.labels.items())))
                self.assertNotIn(key, found, 'twice')
                found[key] = sample.value
        return found

    def test_gauges(self):
        _, text, headers = self.get('/metrics', 'metrics')
        self.assertEqual(headers['Content-Type'], 'text/plain; version=0.0.4; charset=utf-8')
        plain = self.samples(parser.text_string_to_metric_families(text.decode()))
        _, text, headers = self.get('/metrics', 'metrics', headers={'Accept': OPENMETRICS})
        self.assertEqual(headers['Content-Type'], 'application/openmetrics-text; version=1.0.0; charset=utf-8')
        self.assertEqual(self.samples(openmetrics_parser.text_string_to_metric_families(text.decode())), plain)
        _, document, _ = self.get('/metrics/json', 'metrics')
        as_json = {(family['name'], tuple(sorted(sample['labels'].items()))): sample['value'] for family in document['metrics']
            for sample in family['samples']}
        self.assertEqual(set(as_json), set(plain))
        for key, value in as_json.items():
            self.assertAlmostEqual(value, plain[key], delta=1e-8 * (1 + abs(value)))
        labels = lambda **pairs: tuple(sorted(pairs.items()))
        for window in ('day', 'week', 'month'):
            rows = self.get(f'/v1/apps/shop/metrics/active_users?interval={window}')[1]['rows']
            self.assertEqual(plain['throng_active_users', labels(app='shop', window=window)], rows[-1]['value'])
        cells = self.get('/v1/apps/shop/retention?interval=week')[1]['rows']
        newest = [row for row in cells if row['n'] == 4][-1]
        size = next(row for row in cells if row['cohort'] == newest['cohort'] and row['n'] == 0)
        if size['value']:
            self.assertAlmostEqual(plain['throng_retention_ratio', labels(app='shop', interval='week', n='4')],
                newest['value'] / size['value'], 6)
        for name in ('throng_new_users', 'throng_sessions', 'throng_engaged_ratio', 'throng_bounce_ratio',
                'throng_release_period_timestamp_seconds'):
            self.assertIn((name, labels(app='shop', window='month')), plain)
        self.assertIn(('throng_session_duration_seconds', labels(app='shop', window='month', quantile='0.9')), plain)
        for name in ('throng_stickiness_ratio', 'throng_growth_ratio', 'throng_release_last_success_timestamp_seconds'):
            self.assertIn((name, labels(app='shop')), plain)
        self.assertNotIn('"empty"', text.decode())
        hidden = self.get('/v1/apps/quiet/metrics/new_users?interval=day')[1]['rows'][-1]['value'] is None
        self.assertTrue(hidden)
        self.assertNotIn(('throng_new_users', labels(app='quiet', window='day')), plain)

    def test_operations(self):
        self.get('/metrics/ops', 'ops') # so that its own answers are counted in both expositions
        _, text, _ = self.get('/metrics/ops', 'ops')
        plain = self.samples(parser.text_string_to_metric_families(text.decode()))
        _, text, _ = self.get('/metrics/ops', 'ops', headers={'Accept': OPENMETRICS})
        official = self.samples(openmetrics_parser.text_string_to_metric_families(text.decode()))
        self.assertEqual(set(official), set(plain))
        self.assertNotIn('app=', text.decode())
        for daemon in ('ingest', 'aggregate', 'release', 'api'):
            self.assertEqual(plain['throng_daemon_up', (('daemon', daemon),)], 1)
            self.assertGreater(plain['process_resident_memory_bytes', (('daemon', daemon),)], 1 << 20)
            self.assertLess(abs(plain['process_start_time_seconds', (('daemon', daemon),)] - time.time()), 3600)
        self.assertEqual(plain['throng_events_total', (('daemon', 'aggregate'), ('result', 'counted'))],
            self.throng.metric('aggregate', 'throng_events_total', 'counted'))
        answered = {(dict(key)['daemon'], dict(key)['endpoint'], dict(key)['code']): value
            for (name, key), value in plain.items() if name == 'throng_http_requests_total'}
        self.assertGreaterEqual(answered['api', '/metrics/ops', '2xx'], 0)
        self.assertGreater(answered['ingest', '/v1/events', '2xx'], 0)
        took = {name: value for (name, key), value in plain.items() if name.startswith('throng_http_request_duration_seconds')
            and dict(key) in ({'daemon': 'api'}, {'daemon': 'api', 'le': '+Inf'})}
        self.assertGreater(took['throng_http_request_duration_seconds_count'], 0)
        self.assertEqual(took['throng_http_request_duration_seconds_count'], took['throng_http_request_duration_seconds_bucket'])
        self.assertGreaterEqual(took['throng_http_request_duration_seconds_sum'], 0)

    def test_health(self):
        self.get('/health/live', None, status=200)
        self.get('/health/ready', None, status=200)
        _, health, _ = self.get('/health', 'ops')
        for name in ('daemons', 'redis', 'postgres', 'stream_lag', 'spool', 'keys'):
            self.assertEqual(health['checks'][name]['status'], 'pass', health)

    def test_without_a_database(self):
        self.get('/v1/apps/shop/metrics/events', status=200)
        pid = self.throng.pid_of('postgres')
        self.throng.kill('postgres', 2) # at once, whoever is connected
        throng.wait_for(lambda: self.throng.pid_of('postgres') != pid, 20, 'the end of PostgreSQL', 0.01)
        status, _, _ = self.get('/v1/apps/shop/metrics/events')
        self.assertIn(status, (200, 503))
        self.get('/health/live', None, status=200)
        throng.wait_for(lambda: self.get('/v1/apps/shop/metrics/events')[0] == 200, 60, 'the return of PostgreSQL', 0.3)
        throng.wait_for(lambda: self.get('/health/ready', None)[0] == 200, 60, 'readiness')
        self.throng.wait_ready()

    # --- collection, and the description itself ---

    def test_collection_is_described(self):
        key, now = self.throng.keys['empty'], throng.now_ms()
        good = {'source': throng.random_source(), 'sent_at': now,
            'events': [{'name': 'view', 'ts': now, 'user': 'somebody', 'seq': 1, 'engaged_ms': 10, 'session': 's'}]}
        faulty = {'events': [{'name': 'view', 'ts': now, 'user': 'x'}, {'name': 'none', 'ts': now}]}
        for path, body, sent, status, valid in (('/v1/events?dry_run=1', good, key, 202, True), ('/v1/events?dry_run=1', faulty, key, 202, True),
                ('/v1/events', {'events': []}, key, 400, False), ('/v1/events', good, 'wk_none', 401, True)):
            got, answer, headers = self.throng.post(body, sent, path=path)
            self.assertEqual(got, status, answer)
            self.description.check_exchange('POST', path, {'Content-Type': 'application/json'}, body, got, headers,
                json.dumps(answer).encode(), valid)
        connection = self.throng.connect()
        connection.request('OPTIONS', '/v1/events', headers={'Origin': 'https://example.org'})
        response = connection.getresponse()
        self.description.check_exchange('OPTIONS', '/v1/events', {'Origin': 'https://example.org'}, None, response.status,
            dict(response.getheaders()), response.read())
        connection.close()
        for path in ('/health/live', '/v1/beacon.js'):
            status, body, headers = self.throng.get(path)
            self.description.check_exchange('GET', path, {}, None, status, headers, body)

    def test_live_view(self):
        """Beside the other tests: a test app shows in nothing that they look at."""
        self.get('/v1/apps/empty/live', status=404)
        self.get('/v1/apps/shop/live?limit=none', status=400, valid=False)
        self.throng.cli('app', 'key', 'shop', '--test')
        _, view, _ = self.get('/v1/apps/shop/live?after=0&limit=5', 'read:shop', status=200)
        self.assertEqual((view['test_app'], view['events']), ('shop-test', []))
        self.get('/v1/apps/quiet/live', 'read:shop', status=404)

    def test_dashboard_page(self):
        """The page is there without a key; what is beside it needs no description of its own."""
        _, _, headers = self.get('/dashboard/', None, status=200)
        self.get('/dashboard/', None, headers={'If-None-Match': headers['ETag']}, status=304)

    def test_zz_everything_described_was_asked_for(self):
        asked = {(method, template) for method, template, status in self.description.used if status[0] == '2'}
        self.assertEqual(self.description.operations(without=('trail', 'people', 'asking')) - asked, set()) # asked for by test_trail_api.py, test_keys_and_requests.py


if __name__ == '__main__':
    throng.main()
