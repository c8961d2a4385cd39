#!/usr/bin/python3
"""Answers that are kept: the same bytes as before, shared by nobody who may not see them, and never older than what was released
when they were asked for."""
import json
import signal
import threading
import unittest

import throng

DAYS = 60
FIRST, LAST = '2026-01-31', '2026-03-05'
ROOM = 400000 # bytes for kept answers
KEPT = 'from="kept"'
MADE = 'from="made"'


def definition(name, **more):
    return {'name': name, 'time_zone': 'UTC', 'privacy': {'preset': 'exact', 'allow_unprotected': True},
        'events': [{'name': 'view', 'kind': 'view'}, {'name': 'buy'}], 'goals': [{'name': 'bought', 'event': 'buy'}],
        'funnels': [{'name': 'way', 'steps': ['view', 'buy']}], **more}


def history():
    """Ten users who view something each day for two months, and each third day buy it."""
    first = throng.day_ms('2026-01-05')
    for day in range(DAYS):
        for user in range(10):
            for name in ('view', 'buy') if day % 3 == 0 else ('view',):
                yield json.dumps({'user': f'k{user}', 'ts': first + day * throng.DAY_MS + user * 1000, 'event': name}) + '\n'


def rows_of(body):
    return json.loads(body)['rows']


class KeptAnswers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.throng = throng.Throng(environment={'THRONG_API_ANSWERS_BYTES': str(ROOM), 'THRONG_API_AUTH_PROXY_HEADER': 'X-User',
            'THRONG_API_AUTH_PROXY_VIEWERS': 'vera', 'THRONG_API_TRUSTED_PROXIES': '127.0.0.1'})
        cls.addClassCleanup(cls.throng.__exit__, None, None, None)
        cls.throng.__enter__()
        cls.throng.wait_ready()
        path = cls.throng.folder + '/history.jsonl'
        with open(path, 'w', encoding='utf-8') as file:
            file.writelines(history())
        for name in ('shop', 'other'):
            cls.throng.cli('app', 'add', cls.write(definition(name)))
            cls.throng.cli('import', '--app', name, '--format', 'jsonl', '--map', 'name=event', path)
            cls.throng.seal(name, LAST)
        cls.throng.wait_logged()
        cls.keys = {scope: cls.throng.cli('key', 'add', '--scope', scope).strip()
            for scope in ('read', 'read:shop', 'read:other', 'admin', 'metrics')}
        throng.wait_for(lambda: all(cls.throng.ask('/v1/definitions', key)[0] == (403 if scope == 'metrics' else 200)
            for scope, key in cls.keys.items()), 30, 'the keys at the API')

    @classmethod
    def write(cls, value):
        path = f'{cls.throng.folder}/{value["name"]}.json'
        with open(path, 'w', encoding='utf-8') as file:
            json.dump(value, file)
        return path

    def ask(self, path, scope='read', status=200, **more):
        """Body, headers without Date, and how the answer came: 'kept', 'made', or neither."""
        before = [self.throng.metric('api', 'throng_answers_total', label) for label in (KEPT, MADE)]
        told, body, headers = self.throng.ask(path, self.keys.get(scope, scope), **more)
        self.assertEqual(told, status, body)
        # what is made anew is kept after it was sent
        after = throng.wait_for(lambda: self.moved(before, status), 10, lambda: f'an answer counted: {path}', 0.01)
        headers.pop('Date')
        return body, headers, after

    def moved(self, before, status):
        kept, made = (self.throng.metric('api', 'throng_answers_total', label) - count
            for label, count in zip((KEPT, MADE), before))
        self.assertLessEqual(kept + made, 1)
        return 'kept' if kept else 'made' if made else status not in (200, 304) and 'neither'

    def kept(self, path, scope='read', settle=None, **more):
        """Body and headers as they are kept: something may have moved the edition just now, as the hour's end does."""
        how = None
        for _ in range(20):
            body, headers, how = self.ask(path, scope, **more)
            if how == 'kept':
                return body, headers
            (settle or self.settle)()
        self.fail(f'not kept: {path}, {how}')

    def stand_still(self):
        """Nothing is being released."""
        counted = []
        def still():
            counted.append(self.throng.sql('SELECT count FROM release.head')[0][0])
            return len(counted) > 5 and len(set(counted[-5:])) == 1
        throng.wait_for(still, 120, 'the end of releasing', 0.2)

    def settle(self):
        """Nothing is being released, and nothing waits for its place in the log."""
        self.stand_still()
        self.throng.wait_logged()

    # --- the same question ----------------------------------------------------------------------------------------------

    def test_asked_again(self):
        self.settle()
        for path in ('/v1/apps/shop/metrics', '/v1/apps/shop/metrics/active_users?interval=day&from=2026-01-06',
                '/v1/apps/shop/metrics/active_users?from=2026-01-06&format=csv', '/v1/apps/shop/retention?interval=week&limit=2',
                '/v1/apps/shop/funnels/way', '/v1/apps/shop/insights'):
            body, headers, how = self.ask(path)
            self.assertEqual(how, 'made', path)
            for scope in ('read', 'admin', 'read'):
                self.assertEqual(self.kept(path, scope), (body, headers), path)
            self.assertEqual(self.kept(path, method='HEAD'), (b'', headers))
            if 'ETag' in headers:
                nothing, told = self.kept(path, status=304, headers={'If-None-Match': headers['ETag']})
                self.assertEqual((nothing, told['ETag']), (b'', headers['ETag']))
                self.assertEqual(self.kept(path, headers={'If-None-Match': '"other"'}), (body, headers))

    def test_first_asked_by_who_has_it(self):
        """An answer whose tag the client has from elsewhere is kept whole."""
        self.settle()
        path = '/v1/apps/shop/metrics/sessions?interval=week'
        body, headers, _ = self.ask(path)
        self.throng.kill('api', 15)
        throng.wait_for(lambda: self.throng.quiet(lambda: self.throng.ask('/v1/definitions', self.keys['read'])[0] == 200), 60,
            'the API again')
        self.throng.wait_ready()
        self.settle() # the API's end and start are in the trail
        self.assertEqual(self.ask(path, status=304, headers={'If-None-Match': headers['ETag']})[2], 'made')
        self.assertEqual(self.kept(path), (body, headers))

    def test_order_and_negotiation(self):
        self.settle()
        path = '/v1/apps/shop/metrics/events?interval=day&to=2026-01-20'
        body, _, how = self.ask(path)
        self.assertEqual(how, 'made')
        self.assertEqual(self.kept('/v1/apps/shop/metrics/events?to=2026-01-20&interval=day')[0], body)
        self.assertEqual(self.kept(path, headers={'Accept': 'application/json, text/csv;q=0.1'})[0], body)
        table, headers, how = self.ask(path, headers={'Accept': 'text/csv'})
        self.assertEqual((headers['Content-Type'], how), ('text/csv; charset=utf-8', 'made'))
        self.assertNotEqual(table, body)
        self.assertEqual(self.kept(path, headers={'Accept': 'text/csv'})[0], table)
        self.assertEqual(self.kept(path)[0], body)
        # the first of two counts, whichever way they are written
        twice = path + '&limit=3&limit=1'
        self.assertEqual(len(rows_of(self.ask(twice)[0])), 3)
        self.assertEqual(len(rows_of(self.ask(path + '&limit=1&limit=3')[0])), 1)

    def test_questions_are_told_apart(self):
        self.settle()
        base = '/v1/apps/shop/metrics/active_users'
        different = [base + '?interval=day', base + '?interval=week', base + '?interval=month', base + '?interval=day&limit=1',
            base + '?interval=day&from=2026-01-10', base + '?interval=day&to=2026-01-10', base + '?interval=day&format=csv',
            '/v1/apps/shop/metrics/new_users?interval=day', '/v1/apps/other/metrics/active_users?interval=day',
            '/v1/apps/shop/metrics/new_users?interval=week', '/v1/apps/shop/metrics/new_users?interval=week&consistent=true',
            '/v1/apps/shop/retention?interval=week', '/v1/apps/shop/retention?kind=on_or_after', '/v1/apps/shop/metrics',
            '/v1/apps/other/metrics', '/v1/apps/shop/insights', '/v1/apps/other/insights']
        first = [self.ask(path)[0] for path in different]
        self.assertEqual(len(set(first)), len(different))
        self.assertEqual([self.ask(path)[0] for path in different], first)
        for path in (base + '?interval=day&mood=1', base + '?interval=hour', base + '?limit=0', base + '?from=x',
                '/v1/apps/shop/insights?x=1', base + '?' + '&'.join(f'limit=1&p{n}=1' for n in range(9))):
            for _ in range(2):
                self.assertEqual(self.ask(path, status=400)[2], 'neither', path)

    # --- who asks ---------------------------------------------------------------------------------------------------------

    def test_readers_do_not_share(self):
        self.settle()
        for tail in ('/metrics', '/metrics/page_views?interval=day', '/retention?interval=month', '/funnels/way', '/insights'):
            path = '/v1/apps/shop' + tail
            unknown = self.ask('/v1/apps/nobody' + tail, 'read:other', 404)[0]
            body, _, how = self.ask(path, 'read:shop')
            self.assertEqual(how, 'made')
            for _ in range(2):
                self.assertEqual(self.ask(path, 'read:other', 404)[::2], (unknown, 'neither'))
                self.assertEqual(self.ask(path, 'metrics', 403)[2], 'neither')
                self.assertEqual(self.ask(path, 'ak_' + 'x' * 32, 401)[2], 'neither')
                self.assertEqual(self.ask(path, None, 401)[2], 'neither')
            self.assertEqual(self.kept(path, 'read:shop')[0], body)
            self.assertEqual(self.ask(path, 'read')[0], body)
            self.assertEqual(self.ask(path, 'nobody', 401)[2], 'neither')
            self.assertEqual(self.kept(path, None, headers={'X-User': 'vera'})[0], body)
            self.assertEqual(self.ask(path, None, 401, headers={'X-User': 'mallory'})[2], 'neither')
        made = json.loads(self.throng.cli('--json', 'key', 'add', '--scope', 'read'))
        path = '/v1/apps/shop/metrics/page_views?interval=day'
        throng.wait_for(lambda: self.throng.ask(path, made['key'])[0] == 200, 5, 'a new key')
        self.throng.cli('key', 'revoke', made['id'])
        throng.wait_for(lambda: self.throng.ask(path, made['key'])[0] == 401, 5, 'the end of a revoked key')

    def test_each_is_a_read(self):
        self.settle()
        path = '/v1/apps/shop/metrics/bounce_rate?interval=week'
        reads = self.throng.metric('api', 'throng_reads_total')
        served = self.throng.metric('api', 'throng_http_requests_total', 'endpoint="/v1/apps/{app}/metrics/{metric}",code="2xx"')
        for _ in range(5):
            _, headers, _ = self.ask(path)
        self.ask(path, status=304, headers={'If-None-Match': headers['ETag']})
        self.ask('/v1/apps/shop/insights')
        self.ask('/v1/apps/shop/insights')
        self.ask('/v1/apps/shop/metrics')
        self.ask('/v1/apps/shop/metrics')
        self.assertEqual(self.throng.metric('api', 'throng_reads_total') - reads, 8)
        self.assertEqual(self.throng.metric('api', 'throng_http_requests_total',
            'endpoint="/v1/apps/{app}/metrics/{metric}",code="2xx"') - served, 5)
        key = self.throng.cli('key', 'add', '--scope', 'read').strip()
        throng.wait_for(lambda: self.throng.ask('/v1/definitions', key)[0] == 200, 5, 'a new key')
        actor = self.throng.sql('SELECT id::text FROM config.api_key ORDER BY created_at DESC LIMIT 1')[0][0]
        for _ in range(7):
            self.throng.ask(path, key)
        self.throng.kill('api', 15)
        def recorded():
            return self.throng.sql("""SELECT sum((c->>1)::int) FROM (SELECT convert_from(leaf, 'UTF8')::jsonb AS body FROM audit.outbox
                WHERE act = 'aggregates_read') AS l CROSS JOIN LATERAL jsonb_array_elements(body->'data'->'counts') AS c
                WHERE body->'actor'->>'id' = %s AND c->>0 = 'shop'""", (actor,))[0][0]
        throng.wait_for(lambda: recorded() == 7, 20, lambda: f'the leaf of these reads: {recorded()}')
        self.throng.wait_ready()

    # --- what changes -----------------------------------------------------------------------------------------------------

    def days(self):
        return len(rows_of(self.throng.ask('/v1/apps/grown/metrics/active_users?interval=day', self.keys['read'])[1]))

    def watch(self, asked, ended, broken):
        try:
            self.watch_all(asked, ended)
        except Exception as error:  # told by the thread that waits
            broken.append(repr(error))

    def watch_all(self, asked, ended):
        """Pairs of what was committed before it was asked for, and what was answered, twice."""
        connection = self.throng.database('throng_read')
        cursor = connection.cursor()
        while not ended.is_set():
            cursor.execute("""SELECT count(*) FROM release.value JOIN config.app USING (app)
                WHERE name = 'grown' AND metric = 'active_users' AND interval = 'day'""")
            committed = cursor.fetchone()[0]
            asked.append((committed, self.days(), self.days()))
        connection.close()

    def test_releases_are_seen_at_once(self):
        """While days are released, an answer always has what was committed before it was asked for; and many ask all the time, so that
        answers are kept and superseded. Then the places of leaves in the log are there too."""
        self.throng.cli('app', 'add', self.write(definition('grown')))
        self.throng.cli('import', '--app', 'grown', '--format', 'jsonl', '--map', 'name=event', self.throng.folder + '/history.jsonl')
        self.assertEqual(self.days(), 0)
        asked, ended, broken = [], threading.Event(), []
        threads = [threading.Thread(target=self.watch, args=(asked, ended, broken)) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            self.throng.seal('grown', FIRST)
            self.assertGreaterEqual(self.days(), 27)
            self.throng.seal('grown', LAST)
            self.assertEqual(self.days(), DAYS)
        finally:
            ended.set()
            for thread in threads:
                thread.join()
        self.assertEqual(broken, [])
        self.assertEqual([one for one in asked if not one[0] <= one[1] <= one[2] <= DAYS], [])
        self.assertGreater(len({one[1] for one in asked}), 1)

    def test_places_in_the_log_are_seen_at_once(self):
        """Between a release and its place in the log nothing else happens; rows name the place as soon as it is there."""
        path = '/v1/apps/late/metrics/active_users?interval=day'
        self.throng.kill('audit', signal.SIGSTOP)
        try:
            self.throng.cli('app', 'add', self.write(definition('late')))
            self.throng.cli('import', '--app', 'late', '--format', 'jsonl', '--map', 'name=event',
                self.throng.folder + '/history.jsonl')
            self.throng.seal('late', LAST)
            self.stand_still()
            self.assertEqual({row['audit_index'] for row in rows_of(self.ask(path)[0])}, {None})
            self.assertEqual({row['audit_index'] for row in rows_of(self.kept(path, settle=self.stand_still)[0])}, {None})
        finally:
            self.throng.kill('audit', signal.SIGCONT)
        self.throng.wait_logged()
        rows = rows_of(self.ask(path)[0])
        logged = dict(self.throng.sql('SELECT id::text, index FROM audit.entry'))
        self.assertEqual([row['audit_index'] for row in rows], [logged[row['audit_leaf']] for row in rows])

    def test_definitions_are_seen_at_once(self):
        self.settle()
        path = '/v1/apps/other/metrics'
        for n in range(3):
            first, _ = self.kept(path)
            self.ask('/v1/apps/other/metrics/goal_rate?interval=week')
            goals = [{'name': 'bought', 'event': 'buy'}] + [{'name': f'seen_{i}', 'event': 'view'} for i in range(n + 1)]
            self.throng.cli('app', 'apply', self.write(definition('other', goals=goals)))
            second, _, how = self.ask(path)
            self.assertEqual(how, 'made')
            self.assertNotEqual(first, second)
            names = [item['name'] for metric in json.loads(second)['metrics'] if metric['metric'] == 'goal_rate'
                for item in metric['items']]
            self.assertEqual(names, [goal['name'] for goal in goals])
            self.settle()
        self.ask('/v1/apps/fresh/metrics', status=404)
        self.throng.cli('app', 'add', self.write(definition('fresh')))
        self.ask('/v1/apps/fresh/metrics')
        protection = json.loads(self.ask('/v1/apps/fresh/metrics')[0])['protection']
        self.throng.cli('app', 'apply', self.write(definition('fresh', privacy={'preset': 'strict'})))
        told = json.loads(self.ask('/v1/apps/fresh/metrics')[0])['protection']
        self.assertNotEqual(told, protection)

    # --- room -------------------------------------------------------------------------------------------------------------

    def test_room_is_bounded(self):
        self.settle()
        most = 0
        for day in range(1, 29):
            for month in ('01', '02'):
                for interval in ('day', 'week'):
                    path = f'/v1/apps/shop/metrics/active_users?interval={interval}&to=2026-{month}-{day:02}'
                    self.throng.ask(path, self.keys['read'])
                    self.throng.ask(path + '&format=csv', self.keys['read'])
                    most = max(most, self.throng.metric('api', 'throng_answers_kept_bytes'))
        self.assertGreater(most, ROOM / 2)
        self.assertLessEqual(most, ROOM)
        self.settle()
        self.kept('/v1/apps/shop/metrics/active_users?interval=week')


if __name__ == '__main__':
    throng.main()
