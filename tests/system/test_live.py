#!/usr/bin/python3
"""A test key and its twin app: the first event is in the live view within seconds, with decoded properties and without a
person; the twin is in no release, list or gauge; it ends with its time, and its state with it."""
import json
import os
import re
import shutil
import subprocess
import time
import unittest

import psycopg2

import openapi
import throng

ORIGIN = 'https://shop.example.org'
DEFINITION = {
    'name': 'shop', 'title': 'Shop */ and more', 'time_zone': 'Europe/Vienna', 'origins': [ORIGIN], 'routes': ['/', '/item/:id'],
    'privacy': {'preset': 'threshold-only', 'allow_unprotected': True, 'k': 25},
    'events': [
        {'name': 'page_view', 'kind': 'view', 'title': 'A page */ was seen', 'properties': [
            {'name': 'page', 'type': 'route', 'required': True},
            {'name': 'device', 'type': 'enum', 'from': 'user_agent'},
            {'name': 'theme', 'type': 'enum', 'values': ['light', 'dark "matt"']}]},
        {'name': 'paid', 'properties': [
            {'name': 'amount', 'type': 'number', 'min': 0, 'max': 500, 'step': 0.1, 'unit': 'EUR', 'title': 'What it cost'},
            {'name': 'gift', 'type': 'boolean'}]},
        {'name': 'left'},
    ],
    'goals': [{'name': 'payment', 'event': 'paid'}],
}
USERS = ('anna@example.org', 'bert@example.org')
SESSION = 'session-of-anna'


class Live(unittest.TestCase):
    def setUp(self):
        self.description = openapi.Description()
        # As in real life: what is not of a test app is flushed every 10 s.
        self.throng = throng.Throng(environment={'THRONG_AGGREGATE_FLUSH_MS': '10000'})
        self.throng.__enter__()
        self.addCleanup(self.throng.__exit__, None, None, None)
        self.apply('add', DEFINITION)
        self.reader = self.add_reader('read:shop')

    def apply(self, verb, definition):
        path = self.throng.folder + f'/{definition["name"]}.json'
        with open(path, 'w', encoding='utf-8') as file:
            json.dump(definition, file)
        return self.throng.run('app', verb, path)

    def make_key(self, app='shop'):
        """A test key that is in force."""
        key = self.throng.cli('app', 'key', app, '--test').strip()
        self.assertRegex(key, '^wk_test_[0-9A-Za-z]{32}$')
        self.wait_status(key, 202)
        return key

    def send(self, key, events, path='/v1/events', headers=None, **more):
        """As a browser: a beacon with an Origin and the key in the body."""
        return self.throng.post({'key': key, 'events': events, **more}, None, {'Content-Type': 'text/plain', 'Origin': ORIGIN,
            'User-Agent': 'Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148',
            **(headers or {})}, path=path)

    def wait_status(self, key, status):
        event = {'name': 'left', 'user': USERS[0], 'ts': throng.now_ms()}
        throng.wait_for(lambda: self.send(key, [event], '/v1/events?dry_run=1')[0] == status, 10, f'status {status}')

    def add_reader(self, scope):
        """An API key that is in force."""
        key = self.throng.cli('key', 'add', '--scope', scope).strip()
        throng.wait_for(lambda: self.throng.ask('/v1/apps', key)[0] != 401, 10, f'the key for {scope}')
        return key

    def view(self, target='/v1/apps/shop/live', key=None, status=200):
        got, body, headers = self.throng.ask(target, key or self.reader)
        self.assertEqual(got, status, body)
        self.description.check_exchange('GET', target, {}, None, got, headers, body, status != 400)
        if got == 200:
            self.assertEqual(headers['Cache-Control'], 'no-store')
        return json.loads(body)

    def wait_events(self, count, seconds=3):
        """The view once that many events were seen."""
        throng.wait_for(lambda: self.view()['seen']['events'] >= count, seconds, f'{count} events in the live view')
        view = self.view()
        self.assertEqual(view['seen']['events'], count)
        return view

    def first_events(self):
        now = throng.now_ms()
        return [
            {'name': 'page_view', 'user': USERS[0], 'session': SESSION, 'ts': now - 3000, 'engaged_ms': 5300,
                'props': {'page': '/item/77?secret=1', 'theme': 'dark "matt"'}},
            {'name': 'page_view', 'user': USERS[1], 'ts': now - 2000, 'props': {'page': '/elsewhere/at/all'}},
            {'name': 'paid', 'user': USERS[0], 'session': SESSION, 'ts': now - 1000, 'props': {'amount': 12.3, 'gift': True}},
        ]

    def rows_of(self, app):
        """Rows with that app in every table of state and live that has one, by table."""
        tables = self.throng.sql("""SELECT table_schema || '.' || table_name FROM information_schema.columns
            WHERE column_name = 'app' AND table_schema IN ('state', 'live')""")
        counts = {table: self.throng.sql(f'SELECT count(*) FROM {table} WHERE app = %s', (app,))[0][0] for table, in tables}
        return {table: count for table, count in counts.items() if count > 0}

    # --- the view ---

    def test_first_event_at_once(self):
        self.assertIn('throng app key shop --test', self.view(status=404)['detail'])
        key = self.make_key()
        self.assertEqual(self.view()['events'], [])
        self.assertEqual(self.send(key, self.first_events(), '/v1/events?dry_run=1')[:2], (202, {'accepted': 3, 'rejected': [],
            'dropped': 0}))
        time.sleep(1.5)
        self.assertEqual(self.view()['events'], [])
        status, answer, _ = self.send(key, self.first_events(), source=throng.random_source())
        self.assertEqual((status, answer['accepted']), (202, 3))
        view = self.wait_events(3)
        self.assertEqual((view['app'], view['test_app'], view['refused']), ('shop', 'shop-test', []))
        self.check_events(view)
        self.check_refused(key)
        self.check_paging(key)
        self.check_nobody_is_named(key)

    def check_events(self, view):
        item = next(event for event in view['events'] if event['props'].get('page') == '/item/:id')
        other = next(event for event in view['events'] if event['props'].get('page') == 'other')
        paid = next(event for event in view['events'] if event['name'] == 'paid')
        self.assertEqual(item['props'], {'page': '/item/:id', 'theme': 'dark "matt"', 'device': 'mobile'})
        self.assertEqual(other['props'], {'page': 'other', 'device': 'mobile'})
        self.assertEqual(paid['props'], {'amount': 12.3, 'gift': True})
        self.assertEqual([event['id'] for event in view['events']], [3, 2, 1])
        self.assertEqual((item['engaged_ms'], other['engaged_ms']), (5300, None))
        self.assertEqual((item['view'], item['goal'], paid['view'], paid['goal']), (True, False, False, True))
        self.assertEqual(item['person'], paid['person'])
        self.assertEqual({item['person'], other['person']}, {1, 2})
        self.assertEqual((item['session'], paid['session'], other['session']), (1, 1, None))
        self.assertEqual(view['seen'], {'events': 3, 'people': 2, 'sessions': 1})

    def check_refused(self, key):
        now = throng.now_ms()
        event = {'name': 'page_view', 'user': USERS[0], 'ts': now, 'props': {'page': '/', 'mood': 'a-secret-mood'}}
        self.send(key, [event, {'name': 'nothing', 'user': USERS[0], 'ts': now}, event])
        self.send(key, self.first_events(), headers={'Sec-GPC': '1'})

        def refused():
            return {row['reason']: (row['kind'], row['count']) for row in self.view()['refused']}
        throng.wait_for(lambda: len(refused()) == 3, 15, refused)
        self.assertEqual(refused(), {'unknown_property': ('rejected', 2), 'unknown_event': ('rejected', 1), 'gpc': ('dropped', 3)})

    def check_paging(self, key):
        self.send(key, [{'name': 'left', 'user': USERS[1], 'ts': throng.now_ms()}])
        self.wait_events(4)
        self.assertEqual([event['id'] for event in self.view('/v1/apps/shop/live?after=2')['events']], [4, 3])
        self.assertEqual([event['id'] for event in self.view('/v1/apps/shop/live?limit=1')['events']], [4])
        self.assertEqual(self.view('/v1/apps/shop/live?after=4')['events'], [])
        for wrong in ('after=x', 'after=-1', 'limit=0', 'limit=', 'strange=1'):
            self.view('/v1/apps/shop/live?' + wrong, status=400)

    def check_nobody_is_named(self, key):
        """Neither what the client sent nor any pseudonym is in the answer, or where its reader can look."""
        answer = json.dumps(self.view())
        for text in (*USERS, SESSION, key, 'a-secret-mood', 'secret=1'):
            self.assertNotIn(text, answer)
        names = self.throng.sql('SELECT name FROM live.name')
        self.assertEqual(len(names), 3)
        for name, in names:
            self.assertNotIn(bytes(name).hex(), answer)
        everything = str([self.throng.sql(f'SELECT * FROM live.{table}', role='throng_read') for table in ('twin', 'event', 'refused')])
        for text in (*USERS, SESSION, *(bytes(name).hex() for name, in names)):
            self.assertNotIn(text, everything)
        with self.assertRaises(psycopg2.Error):
            self.throng.sql('SELECT * FROM live.name', role='throng_read')

    def test_who_may_see_it(self):
        self.make_key()
        self.apply('add', {**DEFINITION, 'name': 'other'})
        other = self.add_reader('read:other')
        ops = self.add_reader('ops')
        self.view(key=other, status=404)
        self.view(key=ops, status=403)
        self.view('/v1/apps/shop-test/live', status=404)
        self.view(key=self.add_reader('admin'))
        refused = self.throng.run('key', 'add', '--scope', 'read:shop-test')
        self.assertEqual(refused.returncode, 1)

    # --- the twin beside real apps ---

    def test_real_app_is_not_shown(self):
        """A real app's key does not write there, and the schema takes no row of a real app."""
        self.make_key()
        real = self.throng.add_app('real')
        self.throng.cli('app', 'key', 'real', '--test')
        status, answer, _ = self.throng.post({'events': [{'name': 'view', 'user': 'u-real', 'ts': throng.now_ms()}]}, real)
        self.assertEqual((status, answer['accepted']), (202, 1))
        throng.wait_for(lambda: sum(self.throng.tally('real')) == 1, 20, 'the event of the real app')
        reader = self.add_reader('read:real')
        self.assertEqual(self.view('/v1/apps/real/live', reader)['seen'], {'events': 0, 'people': 0, 'sessions': 0})
        self.assertEqual(self.throng.sql('SELECT count(*) FROM live.event'), [(0,)])
        twin, of = self.throng.app_id('shop-test'), self.throng.app_id('shop')
        for app, its in ((of, of), (of, twin), (twin, twin)):
            with self.assertRaises(psycopg2.IntegrityError):
                self.throng.sql('INSERT INTO live.twin VALUES (%s, %s, 0, 0, 0)', (app, its), role='throng_state')
        with self.assertRaises(psycopg2.IntegrityError):
            self.throng.sql("""INSERT INTO live.event VALUES (%s, 1, now(), now(), 1, NULL, 'view', '{}', NULL, false, false)""",
                (of,), role='throng_state')

    def test_twin_is_nowhere_else(self):
        key = self.make_key()
        self.send(key, self.first_events())
        self.wait_events(3)
        admin = self.add_reader('admin')
        apps = json.loads(self.throng.ask('/v1/apps', admin)[1])['apps']
        self.assertEqual([app['app'] for app in apps], ['shop'])
        for path in ('/v1/apps/shop-test/metrics', '/v1/apps/shop-test/metrics/events', '/v1/apps/shop-test/retention',
                '/v1/apps/shop-test/budget'):
            self.assertEqual(self.throng.ask(path, admin)[0], 404, path)
        self.assertNotIn(b'shop-test', self.throng.ask('/metrics', admin)[1])
        self.assertNotIn('shop-test', self.throng.run('status').stdout)
        for verb in (('seal', '--app', 'shop-test', '--through', '2026-01-01'),
                ('simulate', '--app', 'shop-test', '--users', '1', '--days', '1')):
            done = self.throng.run(*verb)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn('test app', done.stderr)
        # Its days close like any other's, and still nothing of it is released.
        twin = self.throng.app_id('shop-test')
        self.throng.sql("UPDATE config.app SET created_at = now() - interval '5 days' WHERE app IN (%s, %s)",
            (twin, self.throng.app_id('shop')))
        throng.wait_for(lambda: self.throng.sql('SELECT 1 FROM release.release WHERE app = %s', (self.throng.app_id('shop'),)), 60,
            'a release of the real app')
        throng.wait_for(lambda: self.throng.sql('SELECT 1 FROM state.progress WHERE app = %s', (twin,)), 30, 'closed days of the twin')
        time.sleep(1)
        for table in ('release', 'value', 'progress'):
            self.assertEqual(self.throng.sql(f'SELECT count(*) FROM release.{table} WHERE app = %s', (twin,)), [(0,)], table)

    def test_names_do_not_collide(self):
        done = self.apply('add', {**DEFINITION, 'name': 'blog-test'})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.apply('add', {**DEFINITION, 'name': 'blog'})
        done = self.throng.run('app', 'key', 'blog', '--test')
        self.assertEqual(done.returncode, 1)
        self.assertIn('blog-test is the name of another app', done.stderr)
        self.make_key()
        for verb in ('add', 'apply'):
            done = self.apply(verb, {**DEFINITION, 'name': 'shop-test'})
            self.assertEqual(done.returncode, 1)
            self.assertIn('test app', done.stderr)
        self.assertEqual(self.throng.run('app', 'key', 'shop-test').returncode, 1)
        self.assertEqual(self.throng.run('app', 'key', 'shop-test', '--test').returncode, 1)
        long = 'l' * 60
        self.apply('add', {**DEFINITION, 'name': long})
        self.assertIn('too long', self.throng.run('app', 'key', long, '--test').stderr)

    def test_definition_follows(self):
        key = self.make_key()
        definition = json.loads(json.dumps(DEFINITION))
        definition['events'].append({'name': 'searched', 'properties': [{'name': 'hits', 'type': 'number', 'min': 0, 'max': 10}]})
        done = self.apply('apply', definition)
        self.assertEqual(done.returncode, 0, done.stderr)
        event = {'name': 'searched', 'user': USERS[0], 'props': {'hits': 3}}
        throng.wait_for(lambda: self.send(key, [{**event, 'ts': throng.now_ms()}])[1]['accepted'] == 1, 10,
            'the new event')
        self.assertEqual(self.wait_events(1)['events'][0]['props'], {'hits': 3})
        shown = json.loads(self.throng.cli('--json', 'app', 'show', 'shop-test'))
        self.assertEqual((shown['privacy'], shown['population']), ({'preset': 'exact', 'allow_unprotected': True}, 'shop-test'))
        self.assertEqual({**shown, **{name: definition[name] for name in ('name', 'privacy')}} | {'population': 0},
            {**definition, 'population': 0})
        rows = {row['app']: row for row in json.loads(self.throng.cli('--json', 'app', 'list'))}
        self.assertEqual((rows['shop-test']['twin_of'], rows['shop-test']['version']), ('shop', 2))
        self.assertNotIn('twin_of', rows['shop'])
        self.assertIn('of shop, until', self.throng.cli('app', 'list'))
        leaves = self.throng.sql("SELECT act, convert_from(leaf, 'UTF8') FROM audit.outbox ORDER BY written_at")
        leaves = [(act, json.loads(leaf)) for act, leaf in leaves]
        said = [(act, leaf['data'].get('version')) for act, leaf in leaves if leaf['tenant'] == 'shop-test']
        said = [leaf for leaf in said if leaf[0] != 'key_born'] # told by ingest, at a time of its own
        self.assertEqual(said, [('app_added', 1), ('write_key_made', None), ('app_changed', 2)])
        keys = [row for row in json.loads(self.throng.cli('--json', 'key', 'list')) if row['app'] == 'shop-test']
        self.assertEqual([(row['hint'], row['ends'] is not None) for row in keys], [(key[:12], True)])

    def test_the_view_is_bounded(self):
        key = self.make_key()
        source = throng.random_source()
        for first in range(0, 2400, 400):
            events = [{'name': 'left', 'user': f'user-{number % 700}', 'ts': throng.now_ms(), 'seq': number} for number in range(first, first + 400)]
            self.assertEqual(self.send(key, events, source=source)[1]['accepted'], 400)
        view = self.wait_events(2400, 10)
        self.assertEqual(len(self.view('/v1/apps/shop/live?limit=5000')['events']), 1000)
        self.assertEqual((len(view['events']), view['events'][0]['id']), (100, 2400))
        self.assertLessEqual(view['seen']['people'], 700)

    # --- its end ---

    def test_end(self):
        key = self.make_key()
        self.send(key, self.first_events())
        self.wait_events(3)
        twin = self.throng.app_id('shop-test')
        throng.wait_for(lambda: sum(self.throng.tally('shop-test')) == 3, 20, 'the state of the twin')
        self.assertIn('state.person', self.rows_of(twin))
        # By itself: nothing tells the daemons but the clock.
        self.throng.sql("""UPDATE config.app SET lives_until = now() + interval '8 seconds' WHERE app = %s""", (twin,))
        self.wait_status(key, 202)
        self.wait_status(key, 401)
        self.view(status=404)
        throng.wait_for(lambda: not [table for table in self.rows_of(twin) if table.startswith('live.')], 10, 'an empty view')
        self.assertIn('state.person', self.rows_of(twin)) # until what was under way has come
        self.throng.sql("UPDATE config.app SET lives_until = now() - interval '61 minutes' WHERE app = %s", (twin,))
        throng.wait_for(lambda: not self.rows_of(twin), 20, lambda: f'the end of {self.rows_of(twin)}')
        # A new key brings it back, empty, and does not bring back the old keys of a day ago.
        self.throng.sql("UPDATE config.write_key SET created_at = now() - interval '25 hours' WHERE app = %s", (twin,))
        again = self.make_key()
        self.assertEqual(self.throng.app_id('shop-test'), twin)
        self.assertEqual(self.send(key, self.first_events())[0], 401)
        self.send(again, self.first_events())
        self.wait_events(3)

    def test_key_ends_before_its_twin(self):
        key, twin = self.make_key(), self.throng.app_id('shop-test')
        self.throng.sql('ALTER TABLE config.write_key DISABLE TRIGGER ALL')
        self.throng.sql("UPDATE config.write_key SET created_at = now() - interval '1 day' + interval '3 seconds' WHERE app = %s",
            (twin,))
        self.wait_status(key, 401)
        self.assertEqual(self.view()['events'], [])

    def test_old_events_leave(self):
        key, twin = self.make_key(), self.throng.app_id('shop-test')
        self.send(key, self.first_events())
        self.wait_events(3)
        self.throng.sql("UPDATE live.event SET received_at = now() - interval '25 hours' WHERE app = %s AND id < 3", (twin,))
        self.throng.sql("UPDATE live.name SET seen_at = now() - interval '25 hours' WHERE app = %s", (twin,))
        throng.wait_for(lambda: [event['id'] for event in self.view()['events']] == [3], 10, 'the end of the old events')
        self.assertEqual(self.rows_of(twin).get('live.name'), None)

    # --- types ---

    def test_types(self):
        text = self.throng.cli('app', 'types', 'shop')
        for line in ('name: "page_view";', 'page: `/${string}`;', 'theme?: "light" | "dark \\"matt\\"";', 'gift?: boolean;',
                '/** What it cost: 0 to 500 EUR, counted in steps of 0.1. */', 'props?: Record<string, never>;'):
            self.assertIn(line, text)
        self.assertNotIn('device', text)
        self.assertEqual(len(re.findall(r'/\*', text)), len(re.findall(r'\*/', text)))
        compiler = os.path.join(throng.SOURCE, 'tests', 'openapi', 'node_modules', '.bin', 'tsc')
        compiler = compiler if os.path.exists(compiler) else shutil.which('tsc')
        if compiler is None:
            print('no tsc: the declarations are not compiled')
            return
        good = """import { ThrongEvent, ThrongEventSent } from "./events";
            const sent: ThrongEventSent[] = [{name: "page_view", ts: 1, user: "u", props: {page: "/item/1", theme: "light"}},
                {name: "paid", ts: 1, props: {amount: 2}}, {name: "paid", ts: 1}, {name: "left", ts: 1}];
            export function read(event: ThrongEvent): number {
                return event.name === "paid" ? event.props?.amount ?? 0 : event.name === "left" ? 1 : event.props.page.length; }
            export { sent };"""
        bad = ('{name: "page_view"}', '{name: "page_view", props: {page: "item"}}', '{name: "paid", props: {amount: "2"}}',
            '{name: "left", props: {page: "/"}}', '{name: "page_view", props: {page: "/", theme: "blue"}}', '{name: "strange"}',
            '{name: "page_view", props: {page: "/", device: "mobile"}}')
        folder = os.path.join(self.throng.folder, 'types')
        os.mkdir(folder)
        programs = {'events.ts': text, 'good.ts': good}
        for number, event in enumerate(bad):
            programs[f'bad{number}.ts'] = f'import {{ ThrongEvent }} from "./events"; export const e: ThrongEvent = {event};'
        for name, program in programs.items():
            with open(os.path.join(folder, name), 'w', encoding='utf-8') as file:
                file.write(program)
        done = subprocess.run([compiler, '--strict', '--noEmit', '--target', 'es2020', *programs], cwd=folder, capture_output=True,
            text=True, timeout=120)
        failed = set(re.findall(r'^(\w+\.ts)\(', done.stdout, re.M))
        self.assertEqual(failed, {f'bad{number}.ts' for number in range(len(bad))}, done.stdout)


if __name__ == '__main__':
    throng.main()
