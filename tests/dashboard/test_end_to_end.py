#!/usr/bin/python3
"""From one browser to the other: people visit a site that bears the beacon, and when their day is sealed the dashboard shows what
they did. Nothing between is asked: the numbers are those that the visits below were made for."""
import datetime
import json
import os
import shutil
import subprocess
import sys
import unittest
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
sys.path[:0] = [os.path.join(TESTS, 'system'), os.path.join(TESTS, 'beacon')]
import throng
import visited

BEACON = os.path.join(throng.SOURCE, 'api', 'beacon', 'embedded', 'beacon.js')
CHROMIUM = os.environ.get('CHROMIUM') or shutil.which('chromium')
NODE = shutil.which('node')

EVENTS = [
    {'name': 'page_view', 'kind': 'view', 'properties': [{'name': 'page', 'type': 'route', 'required': True}]},
    {'name': 'scroll', 'properties': [{'name': 'depth', 'type': 'enum', 'values': ['25', '50', '75', '100']}]},
    {'name': 'signup', 'properties': [{'name': 'method', 'type': 'enum', 'values': ['email', 'oauth']}]},
]
APP = {
    'title': 'A site with visitors', 'lateness_minutes': 1440, 'routes': ['/', '/story/:id', '/about'], 'dimensions': [{'name': 'page', 'property': 'page', 'events': ['page_view']}],
    'features': [{'name': 'reading', 'title': 'Reading on', 'events': ['scroll']}], 'goals': [{'name': 'signed_up', 'title': 'Signed up', 'event': 'signup'}],
}
SIGN_UP = ['click', '#signup']
# Each is a browser of its own, and a session: Anna has two. Bert was here yesterday.
VISITS = [
    ('anna', [['open', '/'], ['route', '/story/17'], ['scroll', 3000], SIGN_UP]),
    ('anna', [['open', '/story/3']]),
    ('bert', [['open', '/'], ['open', '/about']]),
    ('cleo', [['open', '/story/3'], ['scroll', 900]]),
    ('dora', [['open', '/'], SIGN_UP, SIGN_UP]),
    ('emil', [['open', '/about']]),
]
TODAY = {'Active users': '5', 'New users': '4', 'Returning users': '1', 'Page views': '8', 'Sessions': '6'}
BOUNCES = '50.0 %'  # three of six saw one page and did not sign up
YESTERDAY = {'Active users': '1', 'New users': '1', 'Returning users': '0', 'Page views': '1', 'Sessions': '1'}
PAGES = {'/': '3', '/story/:id': '1', '/about': '1', 'other': '0'}  # everybody is in one class: Anna and Bert in that of /
SIGNED_UP = '33.3 %'  # two of six sessions, one of them twice
READING = '40.0 %'  # two of five


class Site(visited.Site):
    """The page server; who a page is for is in its query, which the beacon leaves out."""

    def page(self, path):
        user = urllib.parse.parse_qs(urllib.parse.urlsplit(path).query)['for'][0]
        return super().page(path).replace('FOR-WHOM', user)


def noon_zone():
    """A time zone that has about noon: no midnight comes in between."""
    ahead = 12 - datetime.datetime.now(datetime.timezone.utc).hour
    return f'Etc/GMT{-ahead:+d}' if ahead else 'Etc/GMT', datetime.timezone(datetime.timedelta(hours=ahead))


class EndToEnd(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.throng = throng.Throng().__enter__()
        cls.addClassCleanup(cls.throng.__exit__, None, None, None)
        with open(BEACON, 'rb') as script, open(BEACON + '.integrity', encoding='ascii') as integrity:
            cls.site = Site(script.read(), integrity.read().strip(), cls.throng.port)
        cls.addClassCleanup(cls.site.close)
        zone, cls.zone = noon_zone()
        cls.today = datetime.datetime.now(cls.zone).date()
        cls.key = cls.throng.add_app('site', EVENTS, time_zone=zone, origins=[cls.site.pages.origin], **APP)
        cls.reader = cls.throng.cli('key', 'add', '--scope', 'read:site').strip()

    def node(self, script, scenario, **given):
        done = subprocess.run([NODE, script, scenario, json.dumps({'chromium': CHROMIUM, **given})], capture_output=True, text=True, timeout=600)
        if done.returncode != 0:
            raise throng.Failure(f'{scenario}: {done.stderr[-3000:]}')
        answer = json.loads(done.stdout)
        self.assertEqual(answer['errors'], [])
        return answer['result']

    def visit(self):
        """Script and way to ingest are the service's own; nothing is in between."""
        self.site.reset(key=self.key, user='FOR-WHOM', session='tab', scroll='25,50,75,100')
        self.site.home = self.site.ingest
        self.site.headers['Content-Security-Policy'] += "; style-src 'unsafe-inline'"
        self.site.body = """<button id="signup" data-throng="signup" data-throng-props='{"method":"email"}'>Sign up</button><div style="height:3000px"></div>"""
        people = [[[what, f'{value}?for={user}' if what == 'open' else value] for what, value in steps] for user, steps in VISITS]
        said = self.node(os.path.join(TESTS, 'beacon', 'browser.mjs'), 'crowd', site=self.site.pages.origin, gateway=self.site.gateway.origin, people=people)
        self.assertEqual({(status['state'], status['waiting'], status.get('rejected', 0), status.get('dropped', 0)) for status in said}, {('on', 0, 0, 0)})
        self.assertEqual(self.site.requests, [], 'nothing went another way')

    def came_yesterday(self, user):
        event = {'name': 'page_view', 'user': user, 'ts': throng.now_ms() - throng.DAY_MS, 'props': {'page': '/'}}
        self.assertEqual(self.throng.post({'events': [event]}, self.key)[1]['accepted'], 1)

    def show(self):
        """What the dashboard says: {view: what driver.mjs reads of it}."""
        fragments = {'overview': '#/overview?app=site', 'pages': '#/pages?app=site&interval=day', 'goals': '#/goals?app=site&interval=day',
            'features': '#/features?app=site&interval=day'}
        return self.node(os.path.join(HERE, 'driver.mjs'), 'views', base=f'http://127.0.0.1:{self.throng.admin_port}', key=self.reader, fragments=fragments)

    def test_what_was_done_is_what_is_shown(self):
        self.came_yesterday('bert')
        self.visit()
        self.throng.wait_drained()
        self.throng.seal('site', str(self.today), '--force')
        shown = {view: {card['label']: card for card in found['cards']} for view, found in self.show().items()}
        overview = shown['overview']
        for label, value in TODAY.items():
            with self.subTest(label):
                self.assertEqual(overview[label]['big'], [value])
                self.assertEqual([row[1] for row in overview[label]['tables'][0]['rows']][:2], [value, YESTERDAY[label]])
        self.assertEqual(overview['Bounce rate']['big'], [BOUNCES])
        self.assertEqual(dict(shown['pages']['Page']['ranks']), PAGES)
        self.assertEqual(shown['goals']['Goal rate in one period']['ranks'], [['Signed up', SIGNED_UP]])
        self.assertEqual(shown['features']['Feature adoption in one period']['ranks'], [['Reading on', READING]])


if __name__ == '__main__':
    modules = {'npm ci in tests/dashboard': os.path.join(HERE, 'node_modules', 'axe-core'), 'npm ci in tests/beacon': os.path.join(TESTS, 'beacon', 'node_modules', 'playwright-core')}
    missing = [what for what, there in (('chromium', CHROMIUM), ('node', NODE), *((what, os.path.isdir(path)) for what, path in modules.items())) if not there]
    if missing:
        print('skipped: without ' + ', '.join(missing))
        sys.exit(throng.SKIP)
    throng.main()
