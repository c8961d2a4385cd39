#!/usr/bin/python3
"""Bad input is refused with the field at fault and never its value, stores nothing, and does not hurt the service."""
import contextlib
import json
import os
import random
import re
import select
import signal
import socket
import threading
import time
import unittest

import throng

CANARY = 'cAnArY-5f2c91-bad-input'
BODY_BYTES = 1024 * 1024
HOUR = 3600 * 1000

DEFINITION = {
    'routes': ['/story/:id', '/about'],
    'origins': ['https://allowed.example.org'],
}
EVENTS = [
    {'name': 'view', 'kind': 'view', 'properties': [
        {'name': 'page', 'type': 'route'},
        {'name': 'plan', 'type': 'enum', 'values': ['free', 'paid']},
        {'name': 'score', 'type': 'number', 'min': 0, 'max': 100, 'step': 1},
        {'name': 'flag', 'type': 'boolean'},
        {'name': 'device', 'type': 'enum', 'from': 'user_agent'},
    ]},
    {'name': 'needs', 'properties': [{'name': 'plan', 'type': 'enum', 'values': ['free', 'paid'], 'required': True}]},
]

JSON_VALUES = {'null': None, 'boolean': True, 'integer': 7, 'real': 1.5, 'text': CANARY, 'list': [CANARY], 'object': {'a': CANARY}}

# Bodies that are no JSON at all, or no object: (what, bytes).
NOT_JSON = [
    ('empty', b''), ('a blank', b' '), ('null', b'null'), ('true', b'true'), ('a number', b'1'), ('a list', b'[]'),
    ('a text', b'"%s"' % CANARY.encode()), ('words', CANARY.encode()), ('an open brace', b'{'), ('crossed', b'{"events":[}]'),
    ('a comma too many', b'{"events":[],}'), ('no comma', b'{"source":"a" "events":[]}'), ('no colon', b'{"events" []}'),
    ('single quotes', b"{'events':[]}"), ('a bare key', b'{events:[]}'), ('a comment', b'{"events":[] /* x */}'),
    ('two documents', b'{"events":[]}{"events":[]}'), ('text behind', b'{"events":[]} ' + CANARY.encode()),
    ('a byte order mark', b'\xef\xbb\xbf{"events":[]}'), ('UTF-16', '{"events":[]}'.encode('utf-16')),
    ('NaN', b'{"sent_at":NaN,"events":[]}'), ('Infinity', b'{"sent_at":Infinity,"events":[]}'),
    ('hexadecimal', b'{"sent_at":0x10,"events":[]}'), ('a leading zero', b'{"sent_at":01,"events":[]}'),
    ('a plus', b'{"sent_at":+1,"events":[]}'), ('a bare point', b'{"sent_at":.5,"events":[]}'),
    ('1e400', b'{"sent_at":1e400,"events":[]}'), ('-1e400', b'{"sent_at":-1e400,"events":[]}'),
    ('10^30', b'{"sent_at":%d,"events":[]}' % 10 ** 30), ('10^10000', b'{"sent_at":1%s,"events":[]}' % (b'0' * 10000)),
    ('2^63', b'{"sent_at":%d,"events":[]}' % 2 ** 63), ('a raw NUL', b'{"source":"abc\0def","events":[]}'),
    ('a NUL behind', b'{"events":[]}\0'), ('an escaped NUL', b'{"source":"abc\\u0000def","events":[]}'),
    ('an escaped NUL in a key', b'{"sou\\u0000rce":"abc","events":[]}'), ('a raw line break', b'{"source":"a\nb","events":[]}'),
    ('a wrong escape', b'{"source":"\\x41","events":[]}'), ('half an escape', b'{"source":"\\u00'),
    ('a lone surrogate', b'{"source":"\\ud800","events":[]}'), ('surrogates in reverse', b'{"source":"\\udc00\\ud800","events":[]}'),
    ('form data', b'events=' + CANARY.encode()), ('HTML', b'<html>' + CANARY.encode()), ('random', bytes(range(256)) * 4),
    ('a member twice', b'{"source":"%s","source":"x","events":[]}' % CANARY.encode()),
    ('brackets', b'[' * 65000), ('braces', b'{"a":' * 13000), ('closed brackets', b'[' * 30000 + b']' * 30000),
]
NOT_UTF8 = [b'\xff', b'\xfe', b'\x80', b'\xc0\x80', b'\xc1\xbf', b'\xc3', b'\xe0\x80\x80', b'\xed\xa0\x80', b'\xed\xbf\xbf',
    b'\xf0\x80\x80\x80', b'\xf4\x90\x80\x80', b'\xf8\x88\x80\x80\x80', b'\xe2\x82', b'\xf0\x9f\x98']

# Members of the envelope: (member, value, status, field). The rest of the request is good.
GOOD_SOURCE = 'abcdefghijklmnop'
ENVELOPE = [
    *[('key', value, 400, 'key') for kind, value in JSON_VALUES.items() if kind != 'text'],
    ('key', CANARY, 401, 'key'), ('key', '', 401, 'key'), ('key', 'wk_' + 'x' * 5000, 401, 'key'),
    *[('app', value, 400, 'app') for kind, value in JSON_VALUES.items() if kind != 'text'],
    ('app', CANARY, 403, 'app'), ('app', '', 403, 'app'),
    *[('sent_at', value, 400, 'sent_at') for kind, value in JSON_VALUES.items() if kind != 'integer'],
    ('sent_at', -1, 400, 'sent_at'), ('sent_at', 4102444800000, 400, 'sent_at'), ('sent_at', 2 ** 63 - 1, 400, 'sent_at'),
    ('sent_at', 1e300, 400, 'sent_at'), ('sent_at', -1e300, 400, 'sent_at'),
    *[('source', value, 400, 'source') for kind, value in JSON_VALUES.items() if kind != 'text'],
    ('source', '', 400, 'source'), ('source', 'a' * 15, 400, 'source'), ('source', 'a' * 65, 400, 'source'),
    ('source', 'a b c d e f g h i', 400, 'source'), ('source', GOOD_SOURCE + '\u00e9', 400, 'source'),
    ('source', GOOD_SOURCE + '\n', 400, 'source'), ('source', GOOD_SOURCE + '=', 400, 'source'),
    *[('consent', value, 400, 'consent') for kind, value in JSON_VALUES.items() if kind != 'boolean'],
    *[('events', value, 400, 'events') for kind, value in JSON_VALUES.items() if kind != 'list'], ('events', [], 400, 'events'),
    ('unknown', CANARY, 400, 'unknown'), ('__proto__', {}, 400, '__proto__'), ('Events', [], 400, None), ('', 1, 400, None),
    (CANARY, 1, 400, None), ('e' * 64, 1, 400, None), ('a.b', 1, 400, None), ('user', CANARY, 400, 'user'),
]

# Members of an event: (changes, reason, field). The rest of the event is good; None takes the member away.
GONE = object()


def wrong_types(field, right):
    return [({field: value}, 'wrong_type', field) for kind, value in JSON_VALUES.items() if kind not in right]


FAULTY_EVENTS = [
    *wrong_types('name', ['text']), ({'name': GONE}, 'missing_field', 'name'), ({'name': CANARY}, 'unknown_event', 'name'),
    ({'name': ''}, 'unknown_event', 'name'), ({'name': 'View'}, 'unknown_event', 'name'),
    ({'name': 'view '}, 'unknown_event', 'name'), ({'name': 'v' * 20000}, 'unknown_event', 'name'),
    *wrong_types('ts', ['integer']), ({'ts': GONE}, 'missing_field', 'ts'), ({'ts': -1}, 'out_of_range', 'ts'),
    ({'ts': 4102444800000}, 'out_of_range', 'ts'), ({'ts': 2 ** 63 - 1}, 'out_of_range', 'ts'),
    ({'ts': -2 ** 63}, 'out_of_range', 'ts'), ({'ts': 4102444799999}, 'in_the_future', 'ts'),
    *wrong_types('user', ['text']), ({'user': GONE}, 'missing_field', 'user'), ({'user': ''}, 'missing_field', 'user'),
    ({'user': CANARY * 20}, 'too_long', 'user'), ({'user': 'x' * 257}, 'too_long', 'user'),
    ({'user': '\u00e9' * 129}, 'too_long', 'user'),
    *wrong_types('session', ['text']), ({'session': ''}, 'missing_field', 'session'),
    ({'session': CANARY * 20}, 'too_long', 'session'),
    *wrong_types('seq', ['integer']), ({'seq': -1}, 'out_of_range', 'seq'), ({'seq': 2 ** 53}, 'out_of_range', 'seq'),
    ({'seq': 2 ** 63 - 1}, 'out_of_range', 'seq'), ({'seq': 1e300}, 'out_of_range', 'seq'), ({'seq': 2.0 ** 54}, 'out_of_range', 'seq'),
    *wrong_types('engaged_ms', ['integer']), ({'engaged_ms': -1}, 'out_of_range', 'engaged_ms'),
    ({'engaged_ms': 24 * HOUR + 1}, 'out_of_range', 'engaged_ms'),
    *wrong_types('props', ['object']),
    *[({'props': {name: value}}, 'wrong_type', 'props.' + name)
        for name, right in (('page', ['text']), ('plan', ['text']), ('score', ['integer', 'real']), ('flag', ['boolean']))
        for kind, value in JSON_VALUES.items() if kind not in right],
    ({'props': {'plan': CANARY}}, 'undeclared_value', 'props.plan'), ({'props': {'plan': ''}}, 'undeclared_value', 'props.plan'),
    ({'props': {'plan': 'Free'}}, 'undeclared_value', 'props.plan'),
    ({'props': {'score': -1}}, 'out_of_range', 'props.score'), ({'props': {'score': 100.5}}, 'out_of_range', 'props.score'),
    ({'props': {'score': 1e300}}, 'out_of_range', 'props.score'), ({'props': {'score': -2 ** 63}}, 'out_of_range', 'props.score'),
    ({'props': {'device': 'mobile'}}, 'unknown_property', 'props.device'),
    ({'props': {'mood': CANARY}}, 'unknown_property', 'props.mood'), ({'props': {CANARY: 1}}, 'unknown_property', 'props'),
    ({'props': {'': 1}}, 'unknown_property', 'props'), ({'props': {'m' * 64: 1}}, 'unknown_property', 'props'),
    ({'name': 'needs', 'props': GONE}, 'missing_field', 'props.plan'), ({'name': 'needs', 'props': {}}, 'missing_field', 'props.plan'),
    ({'mood': CANARY}, 'unknown_field', 'mood'), ({CANARY: 1}, 'unknown_field', None), ({'': 1}, 'unknown_field', None),
    ({'Name': 'view'}, 'unknown_field', None), ({'ip': CANARY}, 'unknown_field', 'ip'), ({'key': CANARY}, 'unknown_field', 'key'),
]
NOT_EVENTS = [None, True, 7, 1.5, CANARY, [], [CANARY]]


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def document(self):
        return json.loads(self.body)


def read_answers(client, seconds=10, most=None):
    """All answers on a connection until it is closed or silent, or there are as many as `most`; and whether it was closed."""
    client.settimeout(seconds)
    text, closed = b'', True
    try:
        while True:
            piece = client.recv(65536)
            if not piece:
                break
            text += piece
            if most and len(parse_answers(text)) >= most:
                closed = False
                break
    except socket.timeout:
        closed = False
    except OSError:
        pass
    return parse_answers(text), closed


def parse_answers(text):
    answers = []
    while text:
        head, _, rest = text.partition(b'\r\n\r\n')
        lines = head.decode('latin-1').split('\r\n')
        if not lines[0].startswith('HTTP/1.1 '): # the rest of an error page without a length
            break
        headers = {line.split(':', 1)[0].lower(): line.split(':', 1)[1].strip() for line in lines[1:] if ':' in line}
        length = int(headers.get('content-length', 0))
        answers.append(Answer(int(lines[0].split()[1]), headers, rest[:length]))
        text = rest[length:]
    return answers


class BadInput(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.throng = throng.Throng({'THRONG_INGEST_BODY_BYTES': str(BODY_BYTES), 'THRONG_INGEST_IDLE_S': '4'})
        cls.throng.__enter__()
        cls.key = cls.throng.add_app('app', EVENTS, lateness_minutes=10080, **DEFINITION)
        cls.trusted = cls.throng.cli('key', 'add', '--scope', 'ingest:app').strip().split()[-1]
        throng.wait_for(lambda: cls.throng.post({'events': []}, cls.trusted)[0] == 400, 30, 'the ingest key')
        cls.throng.wait_ready()
        cls.number = 0

    @classmethod
    def tearDownClass(cls):
        cls.throng.__exit__(None, None, None)

    def setUp(self):
        self.ts = throng.now_ms() - HOUR
        self.pids = {name: self.throng.pid_of(name) for name in ('ingest', 'keyd', 'aggregate')}

    def tearDown(self):
        """Whatever came: the same processes serve a good request."""
        self.wait_idle()
        self.good()
        self.assertEqual({name: self.throng.pid_of(name) for name in self.pids}, self.pids)

    def event(self, **changes):
        event = {'name': 'view', 'ts': self.ts, 'user': 'u1', 'props': {}, **changes}
        return {name: value for name, value in event.items() if value is not GONE}

    def body(self, **changes):
        body = {'source': GOOD_SOURCE, 'events': [self.event()], **changes}
        return json.dumps({name: value for name, value in body.items() if value is not GONE}).encode()

    def good(self):
        status, answer, _ = self.throng.post(self.body(), self.key, path='/v1/events?dry_run=1')
        self.assertEqual((status, answer), (202, {'accepted': 1, 'rejected': [], 'dropped': 0}))

    def send(self, body, key=None, method='POST', path='/v1/events', headers=None):
        """One request on a connection of its own; headers may take defaults away by None."""
        connection = self.throng.connect()
        fields = {'Content-Type': 'application/json', 'Authorization': f'Bearer {key or self.key}', **(headers or {})}
        try:
            connection.request(method, path, body, {name: value for name, value in fields.items() if value is not None})
            response = connection.getresponse()
            return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
        finally:
            connection.close()

    def check_problem(self, answer, status, field=None, what='', has_body=True):
        """A problem document with this status and field, that tells nothing of what was sent."""
        self.assertEqual(answer.status, status, f'{what}: {answer.body!r}')
        shown = repr(answer.headers).encode() + answer.body
        self.assertNotIn(CANARY.lower().encode(), shown.lower(), what)
        if not has_body:
            return
        self.assertEqual(answer.headers.get('content-type'), 'application/problem+json', what)
        document = answer.document()
        self.assertRegex(document['type'], '^urn:throng:problem:[a-z_]+$', what)
        self.assertEqual(document['status'], status, what)
        self.assertTrue(document['title'] and set(document) <= {'type', 'title', 'status', 'detail', 'field'}, document)
        self.assertEqual(document.get('field'), field, what)

    # --- bodies ---------------------------------------------------------------------------------------------------------

    def test_not_json(self):
        for what, body in NOT_JSON:
            self.check_problem(self.send(body), 400, None, what)

    def test_not_utf8(self):
        for wrong in NOT_UTF8:
            for body in (b'{"source":"%s","events":[]}', b'{"%s":1,"events":[]}', b'{"events":[{"user":"%s"}]}', b'%s{"events":[]}'):
                self.check_problem(self.send(body % (wrong + CANARY.encode())), 400, None, repr(wrong))

    def test_truncated(self):
        body = self.body(events=[self.event(user=CANARY, props={'plan': 'free', 'score': 1})])
        connection = self.throng.connect()
        for length in range(len(body)):
            status, answer, headers = self.throng.post(body[:length], self.key, connection=connection)
            headers = {name.lower(): value for name, value in headers.items()}
            self.check_problem(Answer(status, headers, json.dumps(answer).encode()), 400, None, length)
        connection.close()

    def test_members_twice(self):
        event = '"name":"view","ts":%d,"user":"u"' % self.ts
        for text in ('{"events":[{%s}],"events":[]}' % event, '{"events":[{%s,"user":"%s"}]}' % (event, CANARY),
                '{"events":[{%s,"props":{"plan":"free","plan":"paid"}}]}' % event):
            self.check_problem(self.send(text.encode()), 400, None, text)

    def test_envelope(self):
        for member, value, status, field in ENVELOPE:
            body = self.body(**{member: value})
            self.check_problem(self.send(body, headers={'Authorization': None} if member == 'key' else None), status, field,
                f'{member}: {value!r}')
        self.check_problem(self.send(self.body(events=GONE)), 400, 'events', 'no events')
        self.check_problem(self.send(self.body(), headers={'Authorization': None}), 401, 'key', 'no key')

    def test_keys(self):
        for bearer in ('', 'Bearer', 'Bearer ', 'Bearer ' + CANARY, 'Basic ' + CANARY, 'Bearer ' + self.key + 'x',
                'Bearer ' + self.key[:-1], 'Bearer ' + self.key.upper(), self.key, 'Bearer ' + 'k' * 4000):
            self.check_problem(self.send(self.body(), headers={'Authorization': bearer}), 401, 'key', bearer[:40])

    def test_origin(self):
        for origin in ('https://' + CANARY, 'null', 'https://allowed.example.org.evil', 'http://allowed.example.org'):
            answer = self.send(self.body(), headers={'Origin': origin})
            self.check_problem(answer, 403, 'origin', origin)
            self.assertNotIn('access-control-allow-origin', answer.headers)

    def test_extremes_that_are_good(self):
        """What lies on the bound is taken."""
        for changes in ({'seq': 2 ** 53 - 1}, {'seq': 0}, {'user': 'x' * 256}, {'user': '\u00e9' * 128}, {'session': 's' * 256},
                {'engaged_ms': 24 * HOUR}, {'engaged_ms': 0}, {'props': {'score': 0}}, {'props': {'score': 100}}, {'seq': 5.0},
                {'props': {'score': 99.5}}, {'props': {'page': CANARY}}, {'user': '\U0001f600'}, {'props': GONE}, {'ts': 0},
                {'ts': throng.now_ms() + 4 * 60 * 1000}):
            status, answer, _ = self.throng.post(self.body(events=[self.event(**changes)]), self.key, path='/v1/events?dry_run=1')
            self.assertEqual((status, answer['accepted']), (202, 1), (changes, answer))
        for number in (b'-0', b'0', b'0.0', b'0e5', b'-0.0'):
            body = self.body(events=[self.event(seq=777)]).replace(b'777', number)
            status, answer, _ = self.throng.post(body, self.key, path='/v1/events?dry_run=1')
            self.assertEqual((status, answer['accepted']), (202, 1), number)

    def test_too_much(self):
        small = {'name': 'view', 'ts': self.ts, 'user': 'u'}
        many = json.dumps({'events': [small] * 1001}, separators=(',', ':')).encode()
        self.assertLess(len(many), 65536)
        self.check_problem(self.send(many), 413, 'events', '1001 events')
        for length in (65537, 100000, 1000000):
            self.check_problem(self.send_long(b'{"source":"' + b'a' * (length - 13) + b'"}'), 413, None, f'{length} bytes')
        self.check_problem(self.send_long(b'[' * 50000 + b']' * 50000), 413, None, '100,000 brackets')
        exact = self.body(source=GOOD_SOURCE).ljust(65536)
        self.assertEqual(self.send(exact, path='/v1/events?dry_run=1').status, 202)
        self.check_problem(self.send_long(exact + b' '), 413, None, '65537 bytes of which most are blanks')

    def test_too_much_from_a_trusted_key(self):
        props = b','.join(b'"p%d":1' % n for n in range(1000000))
        cases = [
            ('100,000 brackets', b'[' * 50000 + b']' * 50000, 400, None), ('a million', b'[' * 1000000, 400, None),
            ('objects', b'{"a":' * 200000, 400, None), ('10^6 properties', b'{"events":[{"props":{%s}}]}' % props, 413, None),
            ('80,000 properties', b'{"events":[{"props":{%s}}]}' % props[:props.index(b',"p80000"')], 413, 'events'),
            ('60,000 properties', b'{"events":[{"props":{%s}}]}' % props[:props.index(b',"p60000"')], 202, None),
            ('objects side by side', b'{"events":[%s]}' % b','.join([b'{}'] * 5000), 413, 'events'),
            ('1001 events', self.body(events=[self.event()] * 1001), 413, 'events'),
            ('a long text', b'{"source":"%s"}' % (b'a' * 1000000), 400, 'events'),
            ('over 1 MiB', b' ' * (1024 * 1024 + 1), 413, None),
        ]
        for what, body, status, field in cases:
            self.wait_idle() # one such body is all that ingest.body_bytes allows here
            answer = self.send(body, key=self.trusted) if len(body) <= 1024 * 1024 else self.send_long(body, self.trusted)
            if status == 202:
                self.assertEqual(answer.document(), {'accepted': 0, 'rejected': [{'index': 0, 'type': 'missing_field',
                    'field': 'name'}], 'dropped': 0}, what)
            else:
                self.check_problem(answer, status, field, what)

    # --- events ---------------------------------------------------------------------------------------------------------

    def test_faulty_events(self):
        """Each fault is listed under its index, type and field, alone and among good ones, and no value comes back."""
        for changes, reason, field in FAULTY_EVENTS:
            expected = {'type': reason, **({'field': field} if field else {})}
            answer = self.send(self.body(events=[self.event(), self.event(**changes), self.event()]), path='/v1/events?dry_run=1')
            what = repr(changes)[:100]
            self.assertEqual(answer.status, 202, what)
            self.assertNotIn(CANARY.lower().encode(), answer.body.lower(), what)
            self.assertEqual(answer.document(), {'accepted': 2, 'rejected': [{'index': 1, **expected}], 'dropped': 0}, what)
        for value in NOT_EVENTS:
            answer = self.send(self.body(events=[self.event(), value]), path='/v1/events?dry_run=1')
            self.assertEqual(answer.document(), {'accepted': 1, 'rejected': [{'index': 1, 'type': 'not_an_object'}], 'dropped': 0})
        answer = self.send(self.body(events=[self.event(seq=3), self.event(seq=3)]), path='/v1/events?dry_run=1')
        self.assertEqual(answer.document()['rejected'], [{'index': 1, 'type': 'duplicate_seq', 'field': 'seq'}])

    def stored(self):
        """Everything that tells of persons: entries of events in the streams, and rows."""
        redis, entries = self.throng.redis(), 0
        for shard in range(throng.SHARDS):
            for _, fields in redis('XRANGE', 'throng:{%d}' % shard, '-', '+') or []:
                entries += fields[1][3:4] == b'\x01'
        redis.close()
        rows = {table: self.throng.sql(f'SELECT count(*) FROM state.{table}')[0][0]
            for table in ('person', 'person_day', 'fragment', 'seen', 'visitor_day')}
        return entries, rows

    def refusals(self):
        return dict(self.throng.sql('SELECT reason, sum(count)::bigint FROM state.refused WHERE app = %s GROUP BY 1',
            (self.throng.app_id('app'),)))

    def test_nothing_is_stored(self):
        """Of requests without a good event only counts of refusals arrive; a good one is counted once."""
        self.throng.wait_drained()
        tally, refused = self.throng.tally('app'), self.refusals()
        events = [self.event(**changes) for changes, _, _ in FAULTY_EVENTS if changes != {'name': 'v' * 20000}]
        reasons = [reason for changes, reason, _ in FAULTY_EVENTS if changes != {'name': 'v' * 20000}]
        self.throng.kill('aggregate', signal.SIGSTOP) # so that nothing is taken out of the streams
        try:
            before = self.stored()
            for _, body in NOT_JSON:
                self.assertEqual(self.send(body).status, 400)
            for member, value, status, _ in ENVELOPE:
                if member != 'key':
                    self.assertEqual(self.send(self.body(**{member: value})).status, status)
            answer = self.send(self.body(events=events)).document()
            self.assertEqual([row['type'] for row in answer['rejected']], reasons)
            self.assertEqual(answer['accepted'], 0)
            self.assertEqual(self.stored(), before)
            answer = self.send(self.body(source=throng.random_source(), events=[*events, self.event()]))
            self.assertEqual(answer.document()['accepted'], 1)
            self.assertEqual(self.stored(), (before[0] + 1, before[1])) # the look above would have seen one
        finally:
            self.throng.kill('aggregate', signal.SIGCONT)
        self.throng.wait_ready()
        self.assertEqual(self.throng.wait_tally('app', sum(tally) + 1), (tally[0] + 1, tally[1], tally[2]))
        expected = dict(refused)
        for reason in reasons:
            expected[reason] = expected.get(reason, 0) + 2
        throng.wait_for(lambda: self.refusals() == expected, 30, f'the refusals {expected}')

    # --- HTTP -----------------------------------------------------------------------------------------------------------

    def test_media_types(self):
        for given in (None, '', 'text/html', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x',
                'application/jsonx', 'application', 'application/json+x', '*/*', CANARY, 'application/octet-stream', 'text/plainly'):
            self.check_problem(self.send(self.body(), headers={'Content-Type': given}), 415, 'Content-Type', given)
        for coding in ('gzip', 'br', 'deflate', CANARY):
            self.check_problem(self.send(self.body(), headers={'Content-Encoding': coding}), 415, 'Content-Type', coding)
        for given in ('application/json; charset=utf-8', 'text/plain;charset=UTF-8', 'TEXT/PLAIN', 'application/json'):
            answer = self.send(self.body(), headers={'Content-Type': given}, path='/v1/events?dry_run=1')
            self.assertEqual(answer.status, 202, given)

    def test_methods(self):
        for method in ('GET', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'TRACE', 'CONNECT', 'BREW', 'post', CANARY):
            body = None if method in ('GET', 'HEAD', 'TRACE', 'CONNECT') else self.body()
            answer = self.send(body, method=method)
            self.check_problem(answer, 405, None, method, has_body=method != 'HEAD')
            self.assertEqual(answer.headers.get('allow'), 'POST, OPTIONS', method)
        answer = self.send(b'x', method='POST', path='/health/live')
        self.check_problem(answer, 405, None, 'POST /health/live')
        self.assertEqual(answer.headers.get('allow'), 'GET, HEAD')

    def test_paths(self):
        for path in ('/', '/v1/event', '/v1/events/', '/V1/EVENTS', '//v1/events', '/v1/./events', '/v1/x/../events',
                '/v1/events%2f', '/v1/events;x=1', '/%2e%2e/%2e%2e/etc/passwd', '/../../etc/passwd', '/' + CANARY, '/v1/keys',
                '/v1/node', '/v1/apps/app/events', '/v1/keys/app/ratchet', '/metrics', '/health', '/' + 'a' * 4000, '*'):
            for method in ('GET', 'POST'):
                answer = self.send(self.body() if method == 'POST' else None, method=method, path=path)
                self.check_problem(answer, 404, None, path[:60])

    def raw(self, text, seconds=20, half_close=False):
        with socket.create_connection(('127.0.0.1', self.throng.port)) as client:
            with contextlib.suppress(OSError): # the answer may come before all is sent
                client.sendall(text)
                if half_close:
                    client.shutdown(socket.SHUT_WR)
            return read_answers(client, seconds)

    def send_long(self, body, key=None):
        """As send(), for what is answered before it is sent in full: one write, then read."""
        text = self.head(length=len(body)).replace(self.key.encode(), (key or self.key).encode())
        answers, closed = self.raw(text + body)
        self.assertEqual((len(answers), closed), (1, True))
        return answers[0]

    def head(self, *lines, length=None, method='POST', path='/v1/events?dry_run=1'):
        fields = [f'{method} {path} HTTP/1.1', 'Host: localhost', f'Authorization: Bearer {self.key}', 'Content-Type: application/json']
        if length is not None:
            fields.append(f'Content-Length: {length}')
        return ('\r\n'.join([*fields, *lines]) + '\r\n\r\n').encode()

    def test_no_http(self):
        """What is no HTTP gets an error or a closed connection, and no echo."""
        rng = random.Random(5)
        body = self.body()
        cases = [b'\r\n' * 100, b'\0' * 1000, rng.randbytes(5000), bytes.fromhex('16030100c8010000c40303') + rng.randbytes(200),
            b'GET\r\n\r\n', b'GET / HTTP/9.9\r\n\r\n', b'GET / HTTP/1.1\r\n\r\n', CANARY.encode() + b'\r\n\r\n',
            b'POST /v1/events HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n', b'POST /v1/events HTTP/1.1\r\nHost a\r\n\r\n',
            self.head('X\0: ' + CANARY, length=2) + b'{}', self.head('X: ' + CANARY + '\0', length=2) + b'{}',
            b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', b'*1\r\n$4\r\nPING\r\n', b'A' * 100000,
            self.head(length='abc') + body, self.head(length='-1') + body, self.head(length='0x10') + body, self.head(length='') + body,
            self.head(length='99999999999999999999999') + body]
        for text in cases:
            answers, _ = self.raw(text, half_close=True)
            for answer in answers:
                self.assertIn(answer.status // 100, (4, 5), (text[:60], answer.body))
                self.assertNotIn(CANARY.lower().encode(), answer.body.lower(), text[:60])

    def test_long_headers(self):
        body = self.body()
        answers, _ = self.raw(self.head('X-Long: ' + CANARY + 'a' * 10240, length=len(body)) + body)
        self.assertEqual(len(answers), 1)
        self.assertIn(answers[0].status, (202, 413, 431))
        for lines in (['X-Long: ' + 'a' * 20000 + CANARY], [f'X-{n}: {CANARY}' for n in range(2000)], ['X' * 20000 + ': ' + CANARY]):
            answers, closed = self.raw(self.head(*lines, length=len(body)) + body)
            self.assertTrue(closed)
            for answer in answers:
                self.assertIn(answer.status, (400, 413, 431))
                self.assertNotIn(CANARY.encode(), answer.body)
        answers, _ = self.raw(b'POST /v1/events?' + b'q' * 60000 + b' HTTP/1.1\r\nHost: a\r\n\r\n')
        for answer in answers:
            self.assertIn(answer.status, (400, 414, 431))

    def test_framing(self):
        """Where two readers could disagree where a request ends, it is refused, and nothing behind it is read."""
        body = self.body()
        second = self.head(length=len(body)) + body
        chunked = b'%x\r\n%s\r\n0\r\n\r\n' % (len(body), body)
        good, _ = self.raw(self.head('Transfer-Encoding: chunked') + chunked + second)
        self.assertEqual([answer.status for answer in good], [202, 202])
        cases = {
            'both': self.head('Transfer-Encoding: chunked', length=len(chunked)) + chunked,
            'both, short': self.head('Transfer-Encoding: chunked', length=4) + chunked,
            'both, no chunks': self.head('Transfer-Encoding: chunked', length=len(body)) + body,
            'two lengths': self.head(f'Content-Length: {len(body) + 7}', length=len(body)) + body,
            'two lengths, the first too long': self.head(f'Content-Length: {len(body)}', length=len(body) + 7) + body,
            'a list of lengths': self.head(f'Content-Length: {len(body)}, 7') + body,
            'a coding that is none': self.head('Transfer-Encoding: xchunked') + chunked,
            'gzip': self.head('Transfer-Encoding: gzip, chunked') + chunked,
            'identity': self.head('Transfer-Encoding: identity', length=len(body)) + body,
            'twice': self.head('Transfer-Encoding: chunked', 'Transfer-Encoding: identity') + chunked,
            'a blank before the colon': self.head(f'Content-Length : {len(body)}') + body,
            'and a length': self.head('Transfer-Encoding : chunked', length=len(body)) + body,
            'a plus': self.head(length=f'+{len(body)}') + body,
            'a chunk that is none': self.head('Transfer-Encoding: chunked') + b'xyz\r\n' + body + b'\r\n0\r\n\r\n',
            'a negative chunk': self.head('Transfer-Encoding: chunked') + b'-5\r\n' + body + b'\r\n0\r\n\r\n',
            'a chunk beyond all': self.head('Transfer-Encoding: chunked') + b'ffffffffffffffffff\r\n' + body + b'\r\n0\r\n\r\n',
        }
        wrong = {}
        for what, text in cases.items():
            answers, closed = self.raw(text + second)
            statuses = [answer.status for answer in answers]
            # libmicrohttpd may say twice that it could not read a header.
            if not statuses or not closed or any(status < 400 for status in statuses):
                wrong[what] = statuses, closed
        self.assertFalse(wrong)

    def test_chunks_are_bounded_too(self):
        """A body that says no length is cut off at the limit."""
        piece = b'%x\r\n%s\r\n' % (4096, b' ' * 4096)
        answers, _ = self.raw(self.head('Transfer-Encoding: chunked') + piece * 20 + b'0\r\n\r\n')
        self.check_problem(answers[0], 413, None, '80 KiB in chunks')
        answers, closed = self.raw(self.head('Transfer-Encoding: chunked') + piece * 2000)
        self.assertTrue(closed)
        self.assertEqual([answer for answer in answers if answer.status < 400], [])

    def test_pipeline(self):
        body = self.body()
        one = self.head(length=len(body)) + body
        answers, _ = self.raw(one * 5)
        self.assertEqual([answer.status for answer in answers], [202] * 5)
        answers, closed = self.raw(one + CANARY.encode() * 50 + b'\r\n\r\n' + one)
        self.assertEqual(answers[0].status, 202)
        self.assertTrue(closed)
        self.assertEqual([answer for answer in answers[1:] if answer.status < 400], [])
        answers, _ = self.raw(self.head(length=5) + b'{"a":' + one)
        self.assertEqual([answer.status for answer in answers], [400, 202])

    def test_requests_cut_off(self):
        """Connections that end in the middle leave nothing behind."""
        body = self.body(events=[self.event(user=CANARY)] * 100)
        whole = self.head(length=len(body)) + body
        tally = self.throng.tally('app')
        for n in range(300):
            with socket.create_connection(('127.0.0.1', self.throng.port)) as client:
                client.sendall(whole[:1 + n * (len(whole) - 2) // 300].replace(b'?dry_run=1', b'?dry_run=0'))
                if n % 3 == 0: # a reset instead of an end
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
        self.wait_idle()
        self.assertEqual(self.throng.tally('app'), tally)

    def wait_idle(self, seconds=30):
        metric = lambda name: self.throng.metric('ingest', name)
        throng.wait_for(lambda: metric('throng_body_bytes') == 0 and metric('throng_http_requests_in_progress') == 0, seconds,
            'the end of all requests')

    def test_slow_bodies(self):
        """A byte a second on 50 connections: others are served meanwhile, and the slow ones are ended in bounded time."""
        body = self.body()
        clients, started = [], time.monotonic()
        try:
            for _ in range(50):
                client = socket.create_connection(('127.0.0.1', self.throng.port))
                client.sendall(self.head(length=60000) + body[:10])
                clients.append(client)
            alive, slowest = list(clients), 0
            while alive and time.monotonic() < started + 180:
                for client in list(alive):
                    try:
                        client.send(b' ')
                    except OSError:
                        alive.remove(client)
                before = time.monotonic()
                self.good()
                slowest = max(slowest, time.monotonic() - before)
                readable = select.select(alive, [], [], 1)[0]
                for client in readable:
                    with contextlib.suppress(OSError):
                        if client.recv(65536):
                            continue
                    alive.remove(client)
                if not readable:
                    continue
                time.sleep(0.1)
            self.assertEqual(len(alive), 0, 'slow connections after 180 s')
            self.assertGreater(time.monotonic() - started, 20) # they were not ended for something else
            self.assertLess(slowest, 15) # they live for longer
        finally:
            for client in clients:
                client.close()
        self.wait_idle()

    # --- memory ---------------------------------------------------------------------------------------------------------

    def bad_requests(self, count, rng):
        connection = self.throng.connect()
        try:
            for _ in range(count):
                kind = rng.randrange(5)
                if kind == 0:
                    body = rng.choice(NOT_JSON)[1]
                elif kind == 1:
                    member, value, _, _ = rng.choice(ENVELOPE)
                    body = self.body(**{member: value})
                elif kind == 2:
                    body = self.body(events=[self.event(**changes) for changes, _, _ in rng.choices(FAULTY_EVENTS, k=60)])[:65536]
                elif kind == 3:
                    body = bytearray(self.body(events=[self.event(user=f'{CANARY}{n}') for n in range(100)]))
                    for _ in range(3):
                        body[rng.randrange(len(body))] = rng.randrange(256)
                else:
                    body = b'{"source":"' + b'a' * rng.randrange(65536, 70000) + b'"}'
                try:
                    status, _, headers = self.throng.post(bytes(body), self.key, connection=connection,
                        path='/v1/events?dry_run=1')
                except OSError: # an announced length that is too long ends the connection while we send
                    connection.close()
                    connection = self.throng.connect()
                    continue
                self.assertIn(status, (202, 400, 401, 403, 413))
                if headers.get('Connection', '').lower() == 'close':
                    connection.close()
                    connection = self.throng.connect()
        finally:
            connection.close()

    def test_memory_stays_flat(self):
        rng = random.Random(11)
        self.bad_requests(400, rng)
        before = {name: throng.resident_kib(self.pids[name]) for name in ('ingest', 'keyd')}
        self.bad_requests(2000, rng)
        after = {name: throng.resident_kib(self.pids[name]) for name in ('ingest', 'keyd')}
        for name in before:
            self.assertLess(after[name] - before[name], 20 * 1024, f'{name}: from {before} to {after} KiB')
        self.wait_idle()

    def test_bodies_are_bounded_together(self):
        """Many bodies at once take no more than ingest.body_bytes; those beyond get 503 and a time to come back."""
        body = self.body().ljust(65536)
        clients = [socket.create_connection(('127.0.0.1', self.throng.port)) for _ in range(64)]
        try:
            for client in clients:
                client.sendall(self.head(length=len(body)) + body[:60000])
            most, started = 0, time.monotonic()
            while time.monotonic() < started + 2 or (most <= BODY_BYTES // 2 and time.monotonic() < started + 30):
                most = max(most, self.throng.metric('ingest', 'throng_body_bytes'))
            self.assertLessEqual(most, BODY_BYTES)
            self.assertGreater(most, BODY_BYTES // 2)
            statuses = []
            for client in clients:
                with contextlib.suppress(OSError):
                    client.sendall(body[60000:])
            for client in clients:
                answers, _ = read_answers(client, 20, 1)
                self.assertEqual(len(answers), 1)
                statuses.append(answers[0].status)
                if answers[0].status != 202:
                    self.check_problem(answers[0], 503, None, 'too many bodies')
                    self.assertGreaterEqual(int(answers[0].headers['retry-after']), 1)
            self.assertGreaterEqual(statuses.count(202), BODY_BYTES // 65536 // 2)
            self.assertLessEqual(statuses.count(202), BODY_BYTES // 65536)
            self.assertGreaterEqual(statuses.count(503), 48)
        finally:
            for client in clients:
                client.close()
        self.wait_idle()

    def test_nothing_in_the_logs(self):
        """Of all that these tests sent nothing is in a log."""
        for folder, _, names in os.walk(os.path.join(self.throng.data, 'log')):
            for name in names:
                with open(os.path.join(folder, name), 'rb') as file:
                    text = file.read().lower()
                self.assertNotIn(CANARY.lower().encode(), text, name)


if __name__ == '__main__':
    throng.main()
