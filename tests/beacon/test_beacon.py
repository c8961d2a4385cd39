#!/usr/bin/python3
"""The beacon in a real Chromium against a real installation: whatever happens to pages, networks, servers and clocks, each
event is counted exactly once, or is not for a reason that status() tells; and nothing leaves the browser but what is on
the list below."""
import json
import os
import re
import shutil
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), 'system'))
import throng
import visited

ROOT = throng.SOURCE
BEACON = os.path.join(ROOT, 'api', 'beacon')
EMBEDDED = os.path.join(BEACON, 'embedded', 'beacon.js')
CHROMIUM = os.environ.get('CHROMIUM') or shutil.which('chromium')
NODE = shutil.which('node')

# Everything that may leave the browser. A request has these members and no others, and so has an event.
REQUEST = {'key', 'sent_at', 'source', 'events', 'consent'}
EVENT = {'name', 'ts', 'user', 'session', 'seq', 'engaged_ms', 'props'}
PROPS = {'page_view': {'page', 'source'}, 'engaged': set(), 'scroll': {'depth'}, 'signup': {'method'}, 'outbound': {'to'},
    'download': set(), 'burst': {'n'}, 'rated': {'word'}, 'unheard_of': set()}
HEADERS = {'host', 'connection', 'content-length', 'user-agent', 'content-type', 'accept', 'origin', 'accept-encoding',
    'accept-language', 'sec-ch-ua', 'sec-ch-ua-mobile', 'sec-ch-ua-platform', 'sec-fetch-site', 'sec-fetch-mode',
    'sec-fetch-dest', 'sec-fetch-storage-access', 'sec-gpc', 'dnt', 'priority'}
SECRET = b'secret'
# And these are the only requests that a page makes for it, besides the pages themselves: method, kind, what the path ends on.
ASKED = re.compile('GET script .*/(v1/beacon|index|recipe)\\.js$|(POST|OPTIONS) (fetch|ping|other|preflight) .*/v1/events$'
    '|GET [a-z]+ .*/favicon\\.ico$|GET document ')
WIDE = 'すばらしい物語でした。' * 5  # 55 characters, 165 bytes
KEEPALIVE_BYTES = 65536  # that browsers allow a page's requests together that outlive it

EVENTS = [
    {'name': 'page_view', 'kind': 'view', 'properties': [{'name': 'page', 'type': 'route', 'required': True},
        {'name': 'source', 'type': 'enum', 'values': ['direct', 'search', 'newsletter', 'other']}]},
    {'name': 'engaged'},
    {'name': 'scroll', 'properties': [{'name': 'depth', 'type': 'enum', 'values': ['25', '50', '75', '100']}]},
    {'name': 'signup', 'properties': [{'name': 'method', 'type': 'enum', 'values': ['email', 'oauth']}]},
    {'name': 'outbound', 'properties': [{'name': 'to', 'type': 'enum', 'values': ['docs', 'partner']}]},
    {'name': 'download'},
    {'name': 'burst', 'properties': [{'name': 'n', 'type': 'number', 'min': 0, 'max': 100000}]},
    {'name': 'rated', 'properties': [{'name': 'word', 'type': 'enum', 'values': [WIDE]}]},
]

# A quick run has the core of the matrix, about two minutes.
whole_matrix = unittest.skipUnless(throng.LONG, 'THRONG_LONG=1')


class Beacon(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.throng = throng.Throng().__enter__()
        cls.addClassCleanup(cls.throng.__exit__, None, None, None)
        with open(EMBEDDED, 'rb') as script, open(EMBEDDED + '.integrity', encoding='ascii') as integrity:
            cls.site = visited.Site(script.read(), integrity.read().strip(), cls.throng.port)
        cls.addClassCleanup(cls.site.close)

    def setUp(self):
        self.excused = set()
        self.app = re.sub('[^a-z0-9]', '-', self.id().rsplit('.test_', 1)[1])[:40]

    def add_app(self, **more):
        return self.throng.add_app(self.app, EVENTS, origins=[self.site.pages.origin], routes=['/', '/story/:id', '/about'],
            goals=[{'name': 'signed_up', 'event': 'signup'}], **more)

    def visit(self, scenario, attributes=None, app=None, user='u-1', strict=True, body='', home=None, **given):
        """What the scenario found in the browser. What left it is held to the list."""
        key = self.add_app(**(app or {}))
        self.site.reset(key=key, user=user, **(attributes or {}))
        self.site.body = body
        self.site.home = home or self.site.home
        if not strict:
            self.site.headers.pop('Content-Security-Policy')
        given = {'site': self.site.pages.origin, 'gateway': self.site.gateway.origin, 'chromium': CHROMIUM, **given}
        if given.get('options'):
            given['options']['key'] = key
        done = subprocess.run([NODE, os.path.join(HERE, 'browser.mjs'), scenario, json.dumps(given)], capture_output=True, text=True,
            timeout=600)
        if done.returncode != 0:
            raise throng.Failure(f'{scenario}: {done.stderr[-2000:]}; arrived: {[e["name"] for e in self.site.events().values()]}')
        answer = json.loads(done.stdout)
        self.errors = [error for error in answer['errors'] if 'net::' not in error and 'Failed to load resource' not in error]
        self.assertEqual(self.errors, [])
        self.assertEqual([asked for asked in map(' '.join, answer['requests']) if not ASKED.match(asked)], [])
        self.check_what_left()
        return answer['result']

    def check_what_left(self):
        for request in self.site.requests:
            headers = {name.lower(): value for name, value in request['headers'].items() if name.lower() not in self.excused}
            self.assertNotIn(SECRET, request['body'] + json.dumps(headers).encode() + request['path'].encode())
            if request['method'] != 'POST':
                continue
            self.assertLessEqual(set(headers), HEADERS)
            body = json.loads(request['body'])
            self.assertLessEqual(set(body), REQUEST)
            self.assertRegex(body['source'], '^[A-Za-z0-9_-]{16,64}$')
            self.assertLessEqual(len(request['body']), 65536)
            for event in body['events']:
                self.assertLessEqual(set(event), EVENT)
                self.assertLessEqual(set(event['props']), PROPS[event['name']])

    def check_counted(self, views=None, **names):
        """Every event that arrived, however often, is counted once, and of each name there are as many as said."""
        if views is not None:
            names['page_view'] = views
        found = {}
        for event in self.site.events().values():
            found[event['name']] = found.get(event['name'], 0) + 1
        self.assertEqual(found, names)
        posted = sum(len(body['events']) for body in self.site.sent())
        refused = sum(len(json.loads(request['body'])['events']) for request in self.site.requests
            if request['method'] == 'POST' and request['mode'] == 'down')
        for request in self.site.requests:
            self.assertIn(request.get('answer', (503,))[0], (202, 204, 503))
        counted, duplicate, late = self.throng.wait_tally(self.app, posted - refused)
        self.assertEqual((counted, late), (sum(names.values()), 0))
        self.assertEqual(duplicate, posted - refused - counted)

    def pages_seen(self):
        return [event['props']['page'] for event in self.site.named('page_view')]

    # --- pages come and go ----------------------------------------------------------------------------------------------

    @whole_matrix
    def test_reload(self):
        found = self.visit('reload')
        self.assertEqual((found['state'], found['accepted'], found['waiting']), ('on', 1, 0))
        self.assertEqual(len({source for source, _ in self.site.events()}), 3)
        self.assertEqual(self.pages_seen(), ['/story/1'] * 3)
        self.check_counted(views=3)

    def test_served_by_throng(self):
        """As a site embeds it: the script of throng-ingest itself, from another origin, its integrity checked, events beside it."""
        found = self.visit('reload', home=self.site.ingest)
        self.assertEqual((found['state'], found['accepted'], found['waiting']), ('on', 1, 0))
        self.assertEqual(self.throng.wait_tally(self.app, 3), (3, 0, 0))
        self.assertEqual(self.site.requests, [], 'nothing went another way')

    def test_not_the_script_of_the_hash(self):
        right = self.site.integrity
        self.addCleanup(setattr, self.site, 'integrity', right)
        self.site.integrity = 'sha384-' + 'A' * 64
        with self.assertRaisesRegex(throng.Failure, 'throng is not defined'):
            self.visit('silent', home=self.site.ingest)

    def test_tab_closed(self):
        self.assertTrue(self.visit('close')['arrived'])
        self.check_counted(views=1, signup=1)

    def test_left_at_once(self):
        self.assertTrue(self.visit('leave')['arrived'])
        self.check_counted(views=1, signup=1)

    def test_hidden_and_left(self):
        self.assertTrue(self.visit('hide')['arrived'])
        self.assertEqual(sum(len(body['events']) for body in self.site.sent()), 2, 'nothing twice')
        self.check_counted(views=1, signup=1)

    def test_left_with_much(self):
        self.assertTrue(self.visit('many_at_the_end', count=250)['arrived'])
        self.check_counted(views=1, burst=250)

    def test_left_with_too_much(self):
        """What fits the 64 KiB that outlive a page leaves, and the rest does not take it along."""
        self.assertTrue(self.visit('many_at_the_end', count=2000, least=400)['arrived'])
        bodies = [len(request['body']) for request in self.site.requests if request['method'] == 'POST']
        print(f'  2,000 events at the end: {sum(bodies)} bytes arrived in {len(bodies)} requests')
        self.check_counted(views=1, burst=len(self.site.named('burst')))

    def test_left_with_much_in_few_characters(self):
        """Just within what outlives a page, by bytes; several requests at once."""
        self.assertTrue(self.visit('wide', count=195, word=WIDE, left=True)['arrived'])
        bodies = [len(request['body']) for request in self.site.requests if request['method'] == 'POST'][1:]
        self.assertGreater(len(bodies), 3)
        self.assertTrue(50000 < sum(bodies) < 60000, sum(bodies))
        self.check_counted(views=1, rated=195)

    @whole_matrix
    def test_left_with_too_much_in_few_characters(self):
        self.assertTrue(self.visit('wide', count=600, word=WIDE, left=True, least=160)['arrived'])
        self.check_counted(views=1, rated=len(self.site.named('rated')))

    def test_hidden_with_too_much_in_few_characters(self):
        """Fewer characters than would leave at once, but more bytes: no request is made that the browser must refuse."""
        found = self.visit('wide', count=330, word=WIDE)
        kept = [one for one in found['tries'][:found['atOnce']] if one['keepalive']]
        self.assertGreater(len(kept), 3)
        self.assertLessEqual(sum(one['bytes'] for one in kept), KEEPALIVE_BYTES)
        self.assertEqual([one for one in found['tries'] if one['failed']], [])
        self.assertEqual(found['after']['accepted'], 331)
        self.check_counted(views=1, rated=330)

    def test_tracked_while_left(self):
        self.assertTrue(self.visit('last_words')['arrived'])
        self.check_counted(views=1, outbound=1, download=1, signup=1)

    def test_back_forward_cache(self):
        found = self.visit('back')
        self.assertTrue(found['again'])
        print(f'  kept by the back/forward cache: {found["kept"]}')
        sources = [source for source, seq in sorted(self.site.events())]
        self.assertEqual(len(set(sources)), 2 if found['kept'] else 3)
        self.assertEqual(self.pages_seen(), ['/story/1', '/story/2', '/story/1'])
        self.check_counted(views=3)

    @whole_matrix
    def test_prerendered(self):
        """In a Chromium that nobody drives, for one that is driven does not prerender."""
        self.site.reset(key=self.add_app(), user='u-1')
        self.site.headers = {}
        self.site.body = """<script>if (location.pathname == '/') {
            const rules = document.createElement('script');
            rules.type = 'speculationrules';
            rules.text = '{"prerender": [{"source": "list", "urls": ["/story/1"], "eagerness": "immediate"}]}';
            document.head.append(rules);
            setTimeout(() => location.href = '/story/1', 5000);
        }</script>"""
        browser = subprocess.Popen([CHROMIUM, '--headless=new', '--no-sandbox', '--disable-dev-shm-usage', '--no-first-run',
            '--user-data-dir=' + os.path.join(self.throng.folder, 'profile'), '--remote-debugging-port=0', '--user-agent=Mozilla/5.0 '
            '(X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36', self.site.pages.origin + '/'],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            throng.wait_for(lambda: self.site.count() >= 2, 30, lambda: f'the second view, after {self.site.visits},')
        finally:
            browser.terminate()
            browser.wait(20)
        self.check_what_left()
        self.assertEqual(self.pages_seen(), ['/', '/story/1'])
        self.check_counted(views=2)
        fetched = [purpose for path, purpose, _ in self.site.visits if path == '/story/1']
        if not any('prerender' in purpose for purpose in fetched):
            self.skipTest('this Chromium does not prerender; the pages were counted all the same')
        self.assertEqual(len(fetched), 1, 'shown as it was prerendered')
        first, second = (event['ts'] for event in self.site.named('page_view'))
        self.assertGreater(second - first, 4000, 'it counts when it is shown')

    @whole_matrix
    def test_prerendered_as_told(self):
        """The same with a document that says of itself that it is prerendered: for browsers under test that never do it."""
        found = self.visit('told', init="""for (const name of ['prerendering', 'hidden'])
            Object.defineProperty(Document.prototype, name, {get: () => !window.shown, configurable: true});""")
        self.assertEqual(found['before'], {'seen': 0, 'status': {'state': 'waiting', 'waiting': 1}})
        self.assertEqual((found['after']['state'], found['after']['accepted']), ('on', 2))
        self.check_counted(views=1, signup=1)

    @whole_matrix
    def test_two_tabs(self):
        self.visit('tabs')
        self.assertEqual(len({source for source, _ in self.site.events()}), 2)
        self.check_counted(views=2)

    # --- networks, servers, clocks --------------------------------------------------------------------------------------

    @whole_matrix
    def test_offline(self):
        found = self.visit('offline')
        self.assertGreaterEqual(found['during']['waiting'], 3)
        self.assertEqual(found['after']['accepted'], 4)
        self.check_counted(views=1, signup=3)

    def test_server_503(self):
        found = self.visit('fault', mode='down')
        self.assertEqual((found['during']['waiting'], found['after']['accepted']), (2, 3))
        tries = [body['sent_at'] for body in self.site.sent()]
        self.assertEqual(tries, sorted(set(tries)), 'sent_at is set anew')
        self.check_counted(views=1, signup=2)

    def test_answer_lost(self):
        found = self.visit('fault', mode='mute')
        self.assertEqual(found['after']['accepted'], 3)
        self.assertGreater(sum(len(body['events']) for body in self.site.sent()), 3, 'some were sent again')
        self.check_counted(views=1, signup=2)

    def test_clock_a_year_ahead(self):
        self.clock(365)

    @whole_matrix
    def test_clock_a_year_behind(self):
        self.clock(-365)

    def clock(self, days):
        found = self.visit('clock', init='{const now = Date.now; Date.now = () => now() + %d}' % (days * throng.DAY_MS))
        self.assertAlmostEqual(found['there'] - found['here'], days * throng.DAY_MS, delta=60000)
        self.assertEqual(found['after']['accepted'], 2)
        self.check_counted(views=1, signup=1)

    @whole_matrix
    def test_burst(self):
        found = self.visit('burst', count=10000)
        self.assertEqual(found['after']['accepted'], 10001)
        print(f'  10,000 events: {found["blocked"]:.0f} ms to take, {found["took"]} ms until settled, '
            f'{len(self.site.sent())} requests')
        self.check_counted(views=1, burst=10000)

    @whole_matrix
    def test_more_than_fits_memory(self):
        found = self.visit('full', {'consent': 'required'}, {'consent': 'required'}, count=60100)
        self.assertEqual(found['held'], {'state': 'waiting', 'waiting': 60000, 'full': 101})
        self.assertEqual(found['after'], {'state': 'consent', 'waiting': 0, 'full': 101, 'consent': 60000})
        self.assertEqual(self.site.requests, [])

    def test_strict_policy(self):
        """Every test's pages bear it; here it is seen at work."""
        found = self.visit('csp', body='<script>window.uninvited = 1</script>')
        self.assertEqual((found.get('uninvited'), found['refused'], found['accepted']), (None, 1, 1))
        self.check_counted(views=1)

    def test_without_keepalive(self):
        """sendBeacon cannot be told to leave cookies of the host that it goes to, and the referrer, which the policy cuts here."""
        self.excused = {'cookie', 'referer'}
        self.assertTrue(self.visit('old', init='delete Request.prototype.keepalive')['arrived'])
        self.check_counted(views=1, signup=1)

    # --- a person's wish ------------------------------------------------------------------------------------------------

    def silent(self, state, init='', attributes=None):
        found = self.visit('silent', attributes, init=init)
        self.assertEqual(found['found'], {'state': state, 'waiting': 0, state: 2})
        self.assertEqual(found['stored'], [0, 0])
        self.assertEqual(self.site.requests, [])

    def test_gpc(self):
        self.silent('gpc', 'Object.defineProperty(Navigator.prototype, "globalPrivacyControl", {get: () => true})')

    @whole_matrix
    def test_dnt(self):
        self.silent('dnt', 'Object.defineProperty(Navigator.prototype, "doNotTrack", {get: () => "1"})')

    @whole_matrix
    def test_driven_by_a_program(self):
        self.silent('bot', attributes={'bots': None})

    def test_consent_later(self):
        found = self.visit('consent', {'consent': 'required', 'session': 'tab'}, {'consent': 'required'}, consent=True)
        self.assertEqual((found['held'], found['before']), ({'state': 'waiting', 'waiting': 2}, 0))
        self.assertEqual(found['stored'], [0, 0])
        self.assertEqual((found['after']['state'], found['after']['accepted']), ('on', 2))
        self.assertEqual((found['end']['state'], found['end']['consent']), ('consent', 1))
        self.assertTrue(all(body['consent'] is True for body in self.site.sent()))
        self.check_counted(views=1, signup=1)

    @whole_matrix
    def test_consent_refused(self):
        found = self.visit('consent', {'consent': 'required', 'session': 'tab'}, {'consent': 'required'}, consent=False)
        self.assertEqual(found['after'], {'state': 'consent', 'waiting': 0, 'consent': 2})
        self.assertEqual(self.site.requests, [])

    def test_opt_out(self):
        found = self.visit('optOut')
        self.assertEqual((found['out']['state'], found['out']['optOut']), ('optOut', 1))
        self.assertEqual((found['next']['state'], found['next']['waiting']), ('optOut', 0))
        self.assertEqual(found['back']['state'], 'on')
        self.check_counted(views=2)

    def test_opt_out_elsewhere(self):
        found = self.visit('optOutElsewhere')
        self.assertEqual((found['state'], found['waiting'], found['optOut']), ('optOut', 0, 1))
        self.check_counted(views=2)

    # --- what is measured -------------------------------------------------------------------------------------------------

    def test_views(self):
        self.visit('views')
        self.assertEqual(self.pages_seen(), ['/', '/story/1', '/story/2', '/about', '/story/2'])
        self.check_counted(views=5)

    @whole_matrix
    def test_hash_routing(self):
        self.visit('hash', {'routing': 'hash'})
        self.assertEqual(self.pages_seen(), ['/story/1', '/story/2', '/', '/about'])
        self.check_counted(views=4)

    @whole_matrix
    def test_manual_routing(self):
        self.visit('manual', {'routing': 'manual'}, {'anonymous_visitors': True})
        self.assertEqual([(event['props']['page'], event['user']) for event in self.site.named('page_view')],
            [('/story/:id', 'u-1'), ('/story/:id', 'another')])
        self.check_counted(views=2)

    def test_engaged(self):
        found = self.visit('engaged', {'engaged': 'engaged'})
        self.assertGreaterEqual(found['grown'], 2, 'it is sent as it grows')
        total = sum(event['engaged_ms'] for event in self.site.events().values())
        print(f'  {found["took"]} ms of mouse moves count as {total} ms')
        self.assertTrue(found['took'] * 0.75 <= total <= found['took'] + 3000, total)
        self.check_counted(views=1, engaged=len(self.site.named('engaged')))

    @whole_matrix
    def test_idle(self):
        self.visit('idle', {'engaged': 'engaged'})
        total = sum(event['engaged_ms'] for event in self.site.events().values())
        print(f'  one move, 40 s without, 4 s unseen count as {total} ms')
        self.assertTrue(27000 <= total <= 32000, total)
        self.check_counted(views=1, engaged=len(self.site.named('engaged')))

    @whole_matrix
    def test_scroll(self):
        self.visit('scroll', {'scroll': '25,50,75,100'}, strict=False, body='<div style="height:3000px"></div>')
        self.assertEqual([event['props']['depth'] for event in self.site.named('scroll')], ['25', '50', '75', '100'])
        self.check_counted(views=1, scroll=4)

    def test_clicks(self):
        self.visit('clicks', body=f"""<button id="nothing">-</button>
            <button data-throng="signup" data-throng-props='{{"method":"email"}}'><b id="inner">Sign up</b></button>
            <a id="download" href="/file?secret-file" data-throng="download">Get it</a>
            <a id="out" href="{self.site.gateway.origin}/?secret-target" data-throng="outbound"
                data-throng-props='{{"to":"partner"}}'>Partner</a>""")
        self.check_counted(views=len(self.site.named('page_view')), signup=1, download=1, outbound=1)

    SOURCES = json.dumps({'google.com': 'search', 'utm_source=spring': 'newsletter'})

    def source(self, path, referrer, expected):
        self.visit('source', {'sources': self.SOURCES}, path=path, referrer=referrer, strict=False)
        self.assertEqual([event['props'].get('source') for event in self.site.named('page_view')], [expected])
        self.check_counted(views=1)

    @whole_matrix
    def test_source_host(self):
        self.source('/story/1?q=secret-query', 'https://www.google.com/search?q=secret-search', 'search')

    def test_source_utm(self):
        self.source('/?a=secret&utm_source=spring', 'https://www.google.com/', 'newsletter')

    @whole_matrix
    def test_source_other(self):
        self.source('/?utm_source=secret', 'https://secret.example/', 'other')

    @whole_matrix
    def test_source_direct(self):
        self.source('/', None, 'direct')

    @whole_matrix
    def test_source_inside(self):
        self.source('/about', self.site.pages.origin + '/', None)

    @whole_matrix
    def test_session_of_a_tab(self):
        local, kept, cookie = self.visit('session', {'session': 'tab'})
        self.assertEqual((local, list(kept), cookie), (0, ['throng'], 'private=secret-cookie'))
        self.assertEqual({event['session'] for event in self.site.events().values()}, {kept['throng']})
        self.check_counted(views=2)

    def test_nothing_stored(self):
        local, kept, cookie = self.visit('session')
        self.assertEqual((local, kept, cookie), (0, {}, 'private=secret-cookie'))
        self.check_counted(views=2)

    @whole_matrix
    def test_same_origin(self):
        """No cookie and no address of the page goes along even where the browser would send them."""
        self.visit('reload', {'events': self.site.pages.origin + '/v1/events'})
        self.assertTrue(all(request['headers']['Host'] == self.site.pages.origin[7:] for request in self.site.requests))
        self.check_counted(views=3)

    def build(self):
        """The folder that the package is built into."""
        if not os.path.isdir(os.path.join(BEACON, 'node_modules')):
            self.skipTest('npm ci in api/beacon installs what builds the module')
        out = os.path.join(self.throng.folder, 'built')
        if not os.path.exists(os.path.join(out, 'index.d.ts')):
            subprocess.run([NODE, os.path.join(BEACON, 'build.mjs'), '--out', out], check=True, capture_output=True, timeout=120)
        return out

    @whole_matrix
    def test_module(self):
        """As a module, with its options in an object; the page has no script of ours."""
        out = self.build()
        with open(os.path.join(out, 'index.js'), 'rb') as file:
            self.site.module = file.read()
        self.visit('module', {'bots': None}, strict=False, module=self.site.gateway.origin + '/index.js',
            options={'events': self.site.gateway.origin + '/v1/events', 'user': 'u-2', 'bots': True})
        self.assertEqual([event['user'] for event in self.site.events().values()], ['u-2'])
        self.check_counted(views=1)

    @whole_matrix
    def test_debug(self):
        found = self.visit('debug')
        self.assertEqual(found['found']['rejected'], 1)
        (sent,), (status, answer) = found['printed']
        self.assertIn('unheard_of', sent)
        self.assertEqual((status, answer['rejected'][0]['index'], answer['rejected'][0]['type']), (202, 0, 'unknown_event'))

    @whole_matrix
    def test_cost(self):
        """By the wall's clock, so what else the machine does is in it; least in the least."""
        found = self.visit('cost', loads=10)
        own = found['own']
        print(f'  main-thread time of the beacon in a page load, ms: median {own[5]:.2f}, least {own[0]:.2f}, most {own[-1]:.2f}')
        self.assertLess(own[0], 50)

    def test_tag_of_the_definition(self):
        """The line that `throng app snippet` prints, pasted: sources arrive as the app declares them."""
        key = self.add_app(sources=[{'name': 'search', 'hosts': ['google.com']}, {'name': 'newsletter', 'utm_sources': ['spring sale']}])
        tag = self.throng.cli('app', 'snippet', self.app, '--key', key, '--url', self.site.gateway.origin, '--user', 'u-1', '--nonce',
            visited.NONCE, '--integrity')
        for part in (f'integrity="{self.site.integrity}" crossorigin="anonymous"', 'data-engaged="engaged"', 'data-scroll="25,50,75,100"'):
            self.assertIn(part, tag)
        self.site.reset()
        self.site.tag = tag.replace(' data-key', ' data-bots="yes" data-key')
        given = {'site': self.site.pages.origin, 'gateway': self.site.gateway.origin, 'chromium': CHROMIUM}
        for path, referrer in (('/?utm_source=spring+sale', None), ('/about', 'https://www.google.com/'), ('/', None)):
            done = subprocess.run([NODE, os.path.join(HERE, 'browser.mjs'), 'source', json.dumps({**given, 'path': path,
                'referrer': referrer})], capture_output=True, text=True, timeout=180)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.check_what_left()
        self.assertEqual([event['props']['source'] for event in self.site.named('page_view')], ['newsletter', 'search', 'direct'])
        engaged = self.site.named('engaged')
        self.check_counted(views=3, **({'engaged': len(engaged)} if engaged else {}))

    # --- the README's recipes, as they stand there -------------------------------------------------------------------------

    def recipe(self, heading, language):
        with open(os.path.join(BEACON, 'README.md'), encoding='utf-8') as file:
            text = file.read()
        return re.search('```%s\n(.*?)```' % language, text[text.index(heading):], re.S).group(1)

    def filled_in(self, text, key):
        """With the test's addresses and key, and counting the test's browser."""
        text = text.replace('https://stats.example.org', self.site.gateway.origin)
        text = text.replace("tag.dataset.key = 'wk_…'", f"tag.dataset.bots = 'yes'; tag.dataset.key = '{key}'")
        text = text.replace('data-key="wk_…"', f'data-bots="yes" data-key="{key}"')
        return text.replace("key: 'wk_…'", f"bots: true, key: '{key}'")

    def bundle(self, files):
        """files: {name: text}; entry.jsx imports the others. As a site's own bundler makes it."""
        out, folder = self.build(), os.path.join(self.throng.folder, self.app)
        os.mkdir(folder)
        for name, text in files.items():
            with open(os.path.join(folder, name), 'w', encoding='utf-8') as file:
                file.write(text)
        done = subprocess.run([os.path.join(BEACON, 'node_modules', '.bin', 'esbuild'), 'entry.jsx', '--bundle', '--jsx=automatic',
            '--define:process.env.NODE_ENV="production"', '--alias:throng-beacon=' + os.path.join(out, 'index.js'),
            '--log-level=error'], cwd=folder, capture_output=True, timeout=120,
            env={**os.environ, 'NODE_PATH': os.path.join(HERE, 'node_modules')})
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done.stdout

    def follow(self, tag, pages, users, paths=('/story/1',)):
        """The page bears `tag`, in which {} is where a key belongs; which pages are counted, and for whom."""
        key = self.add_app(anonymous_visitors=True)
        self.site.reset()
        self.site.headers = {}
        self.site.body, self.site.tag = '<div id="app"></div>', tag(key)
        given = {'site': self.site.pages.origin, 'gateway': self.site.gateway.origin, 'chromium': CHROMIUM, 'paths': list(paths)}
        done = subprocess.run([NODE, os.path.join(HERE, 'browser.mjs'), 'recipe', json.dumps(given)], capture_output=True, text=True,
            timeout=600)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.check_what_left()
        self.assertEqual((self.pages_seen(), {event.get('user') for event in self.site.events().values()}), (pages, users), done.stdout)
        self.check_counted(views=len(pages))

    def bundled(self, files):
        def tag(key):
            self.site.module = self.bundle({name: self.filled_in(text, key) for name, text in files.items()})
            return f'<script defer src="{self.site.gateway.origin}/index.js"></script>'
        return tag

    def test_recipe_definition(self):
        """The definition is one, and its tag lacks nothing but what is the page's."""
        path = os.path.join(self.throng.folder, 'site.json')
        with open(path, 'w', encoding='utf-8') as file:
            file.write(self.recipe('Only what the app', 'json'))
        self.throng.cli('app', 'add', path)
        made = json.loads(self.throng.cli('app', 'snippet', 'site', '--key', 'wk_1', '--user', 'u-123', '--json'))
        self.assertEqual(made['remarks'], [])
        self.assertIn('data-sources=', made['snippet'])

    @whole_matrix
    def test_recipe_html(self):
        self.follow(lambda key: self.filled_in(self.recipe('# throng-beacon', 'html'), key), ['/', '/story/1'], {'u-123'})

    @whole_matrix
    def test_recipe_tag_manager(self):
        self.follow(lambda key: self.filled_in(self.recipe('**Tag manager**', 'html'), key), ['/', '/story/1'], {None})

    @whole_matrix
    def test_recipe_npm(self):
        """With the types that `throng app types` writes for this app, and without errors of types."""
        recipe = self.recipe('**npm**', 'ts')
        self.follow(self.bundled({'entry.jsx': "import './throng';", 'throng.ts': recipe, 'throng-events.d.ts': ''}), ['/', '/story/1'],
            {'u-123'})
        folder = os.path.join(self.throng.folder, self.app)
        with open(os.path.join(folder, 'throng-events.d.ts'), 'w', encoding='utf-8') as file:
            file.write(self.throng.cli('app', 'types', self.app))
        with open(os.path.join(folder, 'uses.ts'), 'w', encoding='utf-8') as file:
            file.write("import {throng} from './throng';\nthrong.track('signup', {method: 'email'});\n"
                "// @ts-expect-error: no such value\nthrong.track('signup', {method: 'fax'});\n")
        with open(os.path.join(folder, 'tsconfig.json'), 'w', encoding='utf-8') as file:
            json.dump({'compilerOptions': {'strict': True, 'noEmit': True, 'target': 'es2021', 'module': 'esnext', 'types': [],
                'moduleResolution': 'bundler', 'paths': {'throng-beacon': [os.path.join(self.build(), 'index.d.ts')]}},
                'files': ['uses.ts']}, file)
        done = subprocess.run([os.path.join(BEACON, 'node_modules', '.bin', 'tsc'), '--project', folder], capture_output=True, text=True,
            timeout=120)
        self.assertEqual((done.returncode, done.stdout), (0, ''))

    @whole_matrix
    def test_recipe_react(self):
        entry = """import {StrictMode} from 'react';
            import {createRoot} from 'react-dom/client';
            import {Beacon} from './recipe';
            createRoot(document.getElementById('app')).render(<StrictMode><Beacon user="u-7"/></StrictMode>);"""
        self.follow(self.bundled({'entry.jsx': entry, 'recipe.tsx': self.recipe('**React, Next**', 'tsx')}), ['/', '/story/1'], {'u-7'})

    @whole_matrix
    def test_recipe_vue(self):
        entry = """import {createApp, h} from 'vue';
            import {createRouter, createWebHistory, RouterView} from 'vue-router';
            const page = {render: () => h('p', 'A page')};
            const router = createRouter({history: createWebHistory(), routes: [{path: '/', component: page},
                {path: '/story/:id', component: page}]});
            const app = createApp({render: () => h(RouterView)});
            window.go = path => router.push(path);
            """ + self.recipe('**Vue**', 'ts') + "app.use(router).mount('#app');"
        self.follow(self.bundled({'entry.jsx': entry}), ['/', '/story/:id', '/story/:id'], {None}, ['/story/1', '/story/2'])


if __name__ == '__main__':
    if not NODE or not CHROMIUM or not os.path.isdir(os.path.join(HERE, 'node_modules', 'playwright-core')):
        print('skipped: no node, no chromium, or no playwright-core: npm ci in tests/beacon')
        sys.exit(throng.SKIP)
    throng.main()
