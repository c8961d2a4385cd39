#!/usr/bin/python3
"""Physical removal: after `throng retain`, no byte of what a request deleted is in any file of PostgreSQL. The whole data directory is
scanned for the pseudonym, raw and in hexadecimal; before, it is there (else the scan would prove nothing)."""
import os
import time
import unittest
import uuid

import psycopg2

import throng

EVENTS = [{'name': 'view'}]
LEAF = '{"act":"request_applied","id":"%s","v":1}'


class Retain(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.app = throng.Throng().__enter__()
        try:
            cls.key = cls.app.add_app('scanned', ('view',))
        except BaseException:
            cls.app.__exit__(None, None, None)
            raise

    @classmethod
    def tearDownClass(cls):
        cls.app.__exit__(None, None, None)

    def send(self, users, each=3):
        now = throng.now_ms()
        for user in users:
            events = [{'name': 'view', 'ts': now - i * 1000, 'user': user, 'session': f'{user}-s', 'seq': i} for i in range(each)]
            status, answer, _ = self.app.post({'source': throng.random_source(), 'events': events}, self.key)
            self.assertEqual((status, answer['rejected']), (202, []))

    def places(self, needle):
        """Files of the cluster that hold the bytes, or their hexadecimal digits."""
        found, texts = [], (needle, needle.hex().encode(), needle.hex().upper().encode())
        for folder, _, names in os.walk(os.path.join(self.app.data, 'postgres')):
            for name in names:
                path = os.path.join(folder, name)
                try:
                    with open(path, 'rb') as file:
                        content = file.read()
                except FileNotFoundError:
                    continue
                if any(text in content for text in texts):
                    found.append(os.path.relpath(path, self.app.data))
        return found

    def logs(self, needle):
        found = []
        for name in os.listdir(os.path.join(self.app.data, 'log')):
            with open(os.path.join(self.app.data, 'log', name), 'rb') as file:
                content = file.read()
            if needle in content or needle.hex().encode() in content:
                found.append(name)
        return found

    def pseudonyms(self):
        """All names of people in the state, by any table."""
        return {bytes(row[0]) for row in self.app.sql('SELECT usr FROM state.person')}

    def record_request(self):
        """A row of an erasure that was applied now, with its leaves."""
        ids = [str(uuid.uuid4()) for _ in range(2)]
        for leaf in ids:
            self.app.sql("SELECT audit.append(%s, 'request_applied', %s)", (leaf, (LEAF % leaf).encode()))
        self.app.sql("""INSERT INTO subject.request (id, app, kind, shard, received_at, due_at, last_due_at, applied_at, purge_due_at,
            received_leaf, applied_leaf) VALUES (gen_random_uuid(), %s, 'erasure', 0, now(), now(), now(), clock_timestamp(), now(), %s,
            %s)""", (self.app.app_id('scanned'), *ids))

    def clean_through(self, store):
        rows = self.app.sql('SELECT extract(epoch FROM clean_through)::float8 FROM subject.retention WHERE store = %s', (store,))
        return rows[0][0] if rows else 0

    def test_no_byte_is_left(self):
        self.send(['kept-%d' % i for i in range(200)])
        self.app.wait_tally('scanned', 600)
        before = self.pseudonyms()
        self.send(['deleted-1'])
        self.app.wait_tally('scanned', 603)
        name, = self.pseudonyms() - before
        for table in ('person', 'person_day', 'fragment', 'seen'):
            self.app.sql(f'ANALYZE state.{table}')
        self.app.sql('CHECKPOINT')
        there = self.places(name)
        self.assertTrue(any(path.startswith('postgres/base') for path in there), there)
        self.assertTrue(any(path.startswith('postgres/pg_wal') for path in there), there)
        self.app.cli('erase', '--app', 'scanned', '--user', 'deleted-1')
        self.assertNotIn(name, self.pseudonyms())
        self.app.sql('VACUUM')
        self.app.sql('CHECKPOINT')
        self.assertTrue(self.places(name), 'a plain vacuum is not enough: else none of this were needed')
        at = time.time()
        done = self.app.cli('retain', '--once')
        self.assertIn('written anew', done)
        self.assertEqual(self.places(name), [])
        self.assertEqual(self.logs(name), [])
        self.assertGreater(self.clean_through('postgres'), at)
        self.assertGreater(self.clean_through('backup'), at)
        # Those who stay are there, and counted on.
        self.assertEqual(self.pseudonyms(), before)
        self.send(['kept-1'])
        self.app.wait_tally('scanned', 606)
        self.assertEqual(self.pseudonyms(), before)

    def test_statistics_name_nobody(self):
        self.send(['counted-%d' % i for i in range(50)])
        throng.wait_for(lambda: len(self.pseudonyms()) >= 50, 30, 'people')
        self.app.sql('ANALYZE')
        rows = self.app.sql("""SELECT schemaname, tablename, attname FROM pg_stats s JOIN pg_attribute a USING (attname)
            WHERE schemaname IN ('state', 'live') AND a.attrelid = format('%s.%s', schemaname, tablename)::regclass
            AND a.atttypid = 'bytea'::regtype AND (most_common_vals IS NOT NULL OR histogram_bounds IS NOT NULL)""", None)
        self.assertEqual(rows, [])
        told, = self.app.sql("""SELECT n_distinct FROM pg_stats WHERE schemaname = 'state' AND tablename = 'person'
            AND attname = 'usr'""")[0]
        self.assertEqual(told, -1)

    def test_an_open_transaction_holds_it_back(self):
        self.record_request()
        connection = self.app.database()
        try:
            connection.autocommit = False
            cursor = connection.cursor()
            cursor.execute('SELECT count(*) FROM state.person')
            before = self.clean_through('postgres')
            done = self.app.run('retain', '--once')
            self.assertEqual(done.returncode, 1)
            self.assertIn('transaction', done.stderr)
            self.assertEqual(self.clean_through('postgres'), before)
        finally:
            connection.close()


if __name__ == '__main__':
    throng.main()
