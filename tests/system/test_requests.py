#!/usr/bin/python3
"""People's requests with the real programs: erasure, objection and its withdrawal, access; what is left of a person in the
database and in Redis's files, what the trail says of it, and that a database from before forgets again."""
import glob
import http.client
import json
import os
import socket
import time
import unittest

import throng

ANNA, BERT = 'anna@example.org', 'bert@example.org'


class Requests(unittest.TestCase):
    def setUp(self):
        self.throng = throng.Throng()
        self.throng.__enter__()
        self.addCleanup(self.throng.__exit__, None, None, None)
        self.throng.add_app('shop')
        self.throng.add_app('blog')
        self.throng.wait_ready()

    def ask(self, path, body):
        """The answer of ingest's admin socket, which must be 202."""
        connection = http.client.HTTPConnection('localhost', timeout=30)
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.connect(os.path.join(self.throng.data, 'run', 'ingest.admin'))
        try:
            connection.request('POST', path, json.dumps(body), {'Content-Type': 'application/json'})
            response = connection.getresponse()
            text = response.read()
            self.assertEqual(response.status, 202, text)
            return json.loads(text)
        finally:
            connection.close()

    def wait_applied(self, receipt):
        throng.wait_for(lambda: self.throng.sql('SELECT 1 FROM subject.request WHERE id = %s', (receipt['request'],)), 30,
            'the request to be applied')

    def send(self, app, user, count=1):
        events = [{'name': 'view', 'user': user, 'ts': throng.now_ms(), 'session': 's-' + user} for _ in range(count)]
        status, answer, _ = self.throng.post({'source': throng.random_source(), 'events': events}, self.throng.keys[app])
        self.assertEqual((status, answer['accepted']), (202, count))

    def names(self, app):
        """Pseudonyms that state has a person by."""
        rows = self.throng.sql('SELECT usr FROM state.person WHERE app = %s', (self.throng.app_id(app),))
        return {bytes(name) for name, in rows}

    def places_of(self, name):
        """Columns of any schema of ours in which the name stands."""
        columns = self.throng.sql("""SELECT table_schema, table_name, column_name FROM information_schema.columns
            WHERE udt_name = 'bytea' AND table_schema IN ('state', 'live', 'subject', 'config', 'release')""")
        return [place for place in columns if self.throng.sql('SELECT 1 FROM {}.{} WHERE {} = %s LIMIT 1'.format(*place), (name,))]

    def leaves(self, *acts):
        rows = self.throng.sql("""SELECT convert_from(leaf, 'UTF8')::jsonb FROM audit.outbox WHERE act = ANY (%s)
            ORDER BY written_at, act DESC""", (list(acts),))
        return [leaf for leaf, in rows]

    def met(self, app, user):
        """The pseudonym of a user who comes for the first time."""
        before = self.names(app)
        self.send(app, user)
        throng.wait_for(lambda: self.names(app) - before, 30, 'the person')
        return (self.names(app) - before).pop()

    def redis_has(self, name):
        """Files of Redis in which the bytes stand."""
        found = []
        for path in glob.glob(os.path.join(self.throng.data, 'redis', '**'), recursive=True):
            if os.path.isfile(path):
                with open(path, 'rb') as file:
                    if name in file.read():
                        found.append(path)
        return found

    def refused(self, app, reason):
        return self.throng.sql('SELECT coalesce(sum(count), 0)::int FROM state.refused WHERE app = %s AND reason = %s',
            (self.throng.app_id(app), reason))[0][0]

    def test_erasure(self):
        anna, bert = self.met('shop', ANNA), self.met('shop', BERT)
        elsewhere = self.met('blog', ANNA)
        self.assertNotEqual(anna, elsewhere)
        self.assertIn(('state', 'fragment', 'usr'), self.places_of(anna))
        receipt = self.ask('/v1/apps/shop/erasures', {'user': ANNA})
        self.assertEqual(receipt['kind'], 'erasure')
        self.wait_applied(receipt)
        self.assertEqual(self.places_of(anna), [])
        self.assertTrue(self.places_of(bert) and self.places_of(elsewhere))
        received, applied = self.leaves('request_received', 'request_applied')
        self.assertEqual((received['tenant'], received['data']['kind'], received['data']['request'], received['data']['due_at']),
            ('shop', 'erasure', receipt['request'], receipt['due_at']))
        self.assertEqual(applied['ref'], received['id'])
        self.assertEqual(set(applied['data']), {'kind', 'purge_due_at', 'request'})
        # The same leaves of somebody who was never here.
        nobody = self.ask('/v1/apps/shop/erasures', {'user': 'nobody@example.org'})
        self.wait_applied(nobody)
        self.assertEqual([set(leaf['data']) for leaf in self.leaves('request_received', 'request_applied')[2:]],
            [set(received['data']), set(applied['data'])])
        # Redis's files: not a byte of the name once it says so.
        self.assertTrue(self.redis_has(anna))
        throng.wait_for(lambda: self.throng.sql("""SELECT 1 FROM subject.retention WHERE store = 'redis' AND clean_through >
            (SELECT max(applied_at) FROM subject.request)"""), 200, "Redis's files to be rewritten")
        self.assertEqual(self.redis_has(anna), [])
        self.assertEqual(self.throng.metric('aggregate', 'throng_subject_requests_open'), 2)
        self.assertGreater(self.throng.metric('aggregate', 'throng_subject_request_oldest_deadline_timestamp_seconds'), time.time())
        self.throng.sql("""INSERT INTO subject.retention VALUES ('postgres', now()) ON CONFLICT (store) DO UPDATE
            SET clean_through = now()""")
        throng.wait_for(lambda: len(self.leaves('request_purged')) == 2, 90, 'the leaves request_purged')
        # Who returns is new.
        self.send('shop', ANNA)
        throng.wait_for(lambda: anna in self.names('shop'), 30, 'Anna to be back')

    def test_objection(self):
        anna = self.met('shop', ANNA)
        self.wait_applied(self.ask('/v1/apps/shop/objections', {'user': ANNA}))
        self.assertEqual(self.places_of(anna), [])
        self.send('shop', ANNA, 3)
        throng.wait_for(lambda: self.refused('shop', 'objection') == 3, 30, 'the events to be dropped')
        self.throng.kill('aggregate')
        self.send('shop', ANNA, 2)
        throng.wait_for(lambda: self.refused('shop', 'objection') == 5, 60, 'the events to be dropped after a crash')
        self.assertEqual(self.places_of(anna), [])
        receipt = self.ask('/v1/apps/shop/objections', {'user': ANNA, 'withdraw': True})
        self.assertEqual(receipt['kind'], 'withdrawal')
        self.wait_applied(receipt)
        self.send('shop', ANNA)
        throng.wait_for(lambda: anna in self.names('shop'), 30, 'Anna to be counted again')

    def test_access(self):
        anna, bert = self.met('shop', ANNA), self.met('shop', BERT)
        answer = json.loads(self.throng.cli('access', '--app', 'shop', '--user', ANNA, '--json'))['answer']
        text = json.dumps(answer)
        self.assertIn(anna.hex(), text)
        self.assertNotIn(bert.hex(), text)
        self.assertIn('state.fragment', text)
        self.assertNotIn(ANNA, text)

    def test_a_database_from_before(self):
        anna, bert = self.met('shop', ANNA), self.met('shop', BERT)
        self.throng.sql('CREATE SCHEMA saved')
        tables = [name for name, in self.throng.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'state'")]
        for table in tables:
            self.throng.sql(f'CREATE TABLE saved.{table} AS TABLE state.{table}')
        self.wait_applied(self.ask('/v1/apps/shop/erasures', {'user': ANNA}))
        script = 'TRUNCATE subject.request CASCADE; TRUNCATE subject.mark;'
        for table in tables:
            script += f'TRUNCATE state.{table}; INSERT INTO state.{table} TABLE saved.{table};'
        # In the transaction itself: the owner of the shard sees soon that its offset is not there, and forgets again.
        back = self.throng.sql(script + 'SELECT count(*) FROM state.person WHERE usr = ANY (%s)', ([anna, bert],))
        self.assertEqual(back, [(2,)])
        self.throng.kill('aggregate')
        throng.wait_for(lambda: not self.places_of(anna), 60, 'Anna to be forgotten again')
        self.assertTrue(self.places_of(bert))
        throng.wait_for(lambda: self.throng.sql('SELECT 1 FROM subject.request'), 30, 'the request to be recorded again')

    def test_keys_and_daemons(self):
        self.met('shop', ANNA)
        throng.wait_for(lambda: [leaf for leaf in self.leaves('key_born') if leaf['tenant'] == 'shop'], 30, 'the leaf key_born')
        [born] = [leaf for leaf in self.leaves('key_born') if leaf['tenant'] == 'shop']
        self.assertEqual(sorted(born['data']), ['commitment', 'epoch', 'node', 'ring'])
        lives = self.throng.sql('SELECT encode(commitment, %s), born_leaf::text, died_at FROM subject.key_life WHERE app = %s',
            ('hex', self.throng.app_id('shop')))
        self.assertEqual(lives, [(born['data']['commitment'], born['id'], None)])
        throng.wait_for(lambda: {leaf['actor']['id'] for leaf in self.leaves('daemon_started')} >= {'ingest', 'aggregate'}, 30,
            'the leaves daemon_started')
        self.throng.restart()
        self.throng.wait_ready()
        self.assertIn('aggregate', {leaf['actor']['id'] for leaf in self.leaves('daemon_stopped')})
        self.assertEqual(len([leaf for leaf in self.leaves('key_born') if leaf['tenant'] == 'shop']), 1)


if __name__ == '__main__':
    throng.main()
