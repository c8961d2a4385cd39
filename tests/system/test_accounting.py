#!/usr/bin/python3
"""The account: acknowledged = counted + duplicate + late, exactly; what is rejected or dropped is counted by its reason."""
import random
import unittest

import load
import throng


class Accounting(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.throng = throng.Throng()
        cls.throng.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.throng.__exit__(None, None, None)

    def send(self, key, body, **more):
        status, answer, _ = self.throng.post(body, key, **more)
        self.assertEqual(status, 202, answer)
        return answer

    def test_duplicates(self):
        """Whole requests again, parts of requests again, from several connections: each (source, seq) counts once."""
        key = self.throng.add_app('twice')
        rng = random.Random(1)
        base = throng.now_ms() - 3600 * 1000
        requests = [load.make_request(rng, base, 50, 3000 * 1000) for _ in range(400)]
        distinct = sum(len(request['events']) for request in requests)
        again = []
        for request in requests:
            for _ in range(rng.choice((0, 0, 1, 3))):
                cut = rng.randint(1, len(request['events']))
                again.append({'source': request['source'], 'events': rng.sample(request['events'], cut)})
        everything = requests + again
        rng.shuffle(everything)
        load.send_all(self.throng, key, everything)
        acknowledged = sum(len(request['events']) for request in everything)
        self.assertEqual(self.throng.wait_tally('twice', acknowledged), (distinct, acknowledged - distinct, 0))

    def test_without_source(self):
        """Without a source nothing is recognised: at least once, as the documentation says."""
        key = self.throng.add_app('sourceless')
        body = {'events': [{'name': 'view', 'ts': throng.now_ms(), 'user': 'u'}] * 3}
        self.assertEqual(self.send(key, body)['accepted'], 3)
        self.assertEqual(self.send(key, body)['accepted'], 3)
        self.assertEqual(self.throng.wait_tally('sourceless', 6), (6, 0, 0))

    def test_default_seq(self):
        """seq is the position in events where it is left out."""
        key = self.throng.add_app('positions')
        now = throng.now_ms()
        body = {'source': 'a' * 16, 'events': [{'name': 'view', 'ts': now, 'user': 'u'} for _ in range(3)]}
        self.send(key, body)
        body['events'].append({'name': 'view', 'ts': now, 'user': 'u'})
        self.send(key, body)
        body['events'] = [{'name': 'view', 'ts': now, 'user': 'u', 'seq': 3}, {'name': 'view', 'ts': now, 'user': 'u', 'seq': 4}]
        self.send(key, body)
        self.assertEqual(self.throng.wait_tally('positions', 9), (5, 4, 0))

    def test_same_source_elsewhere(self):
        """A source of another app, or another user under the same source, is not a duplicate by accident."""
        first, second = self.throng.add_app('here'), self.throng.add_app('there')
        body = {'source': 'b' * 20, 'events': [{'name': 'view', 'ts': throng.now_ms(), 'user': 'u', 'seq': 7}]}
        self.send(first, body)
        self.send(second, body)
        self.assertEqual(self.throng.wait_tally('here', 1), (1, 0, 0))
        self.assertEqual(self.throng.wait_tally('there', 1), (1, 0, 0))

    def test_large_seq(self):
        """seq up to 2^53 - 1; one more is refused."""
        key = self.throng.add_app('far')
        now = throng.now_ms()
        seqs = [2**53 - 1, 2**53 - 2, 2**52, 2**32, 2**31, 0]
        events = [{'name': 'view', 'ts': now, 'user': f'u{n}', 'seq': seq} for n, seq in enumerate(seqs)]
        for _ in range(2):
            self.assertEqual(self.send(key, {'source': 'c' * 64, 'events': events})['accepted'], len(seqs))
        answer = self.send(key, {'source': 'c' * 64, 'events': [{'name': 'view', 'ts': now, 'user': 'u', 'seq': 2**53}]})
        self.assertEqual((answer['accepted'], answer['rejected'][0]['type']), (0, 'out_of_range'))
        self.assertEqual(self.throng.wait_tally('far', 2 * len(seqs)), (len(seqs), len(seqs), 0))

    def test_late(self):
        """Late is what comes after the end of its day and the lateness; it is acknowledged, counted as late and nowhere."""
        strict = self.throng.add_app('punctual', lateness_minutes=0)
        patient = self.throng.add_app('patient', lateness_minutes=10080)
        throng.clear_of_midnight()
        now = throng.now_ms()
        today = now - now % throng.DAY_MS
        body = {'source': throng.random_source(), 'events': [{'name': 'view', 'ts': ts, 'user': 'u'} for ts in
            (today - 1, today - throng.DAY_MS, today - 5 * throng.DAY_MS, today - 20 * throng.DAY_MS, now, today)]}
        for key in (strict, patient):
            self.assertEqual(self.send(key, body)['accepted'], 6)
        self.assertEqual(self.throng.wait_tally('punctual', 6), (2, 0, 4))
        self.assertEqual(self.throng.wait_tally('patient', 6), (5, 0, 1))
        self.send(strict, body)
        self.assertEqual(sum(self.throng.wait_tally('punctual', 12)), 12)
        self.assertEqual(self.throng.tally('punctual')[0], 2)

    def test_future(self):
        key = self.throng.add_app('tomorrow')
        answer = self.send(key, {'events': [{'name': 'view', 'ts': throng.now_ms() + 3600000, 'user': 'u'}]})
        self.assertEqual((answer['accepted'], answer['rejected'][0]['type']), (0, 'in_the_future'))

    def test_refusals(self):
        """Rejected and dropped events are not in the account, but counted by reason."""
        key = self.throng.add_app('picky')
        now = throng.now_ms()
        good = {'name': 'view', 'ts': now, 'user': 'u'}
        answer = self.send(key, {'source': throng.random_source(), 'events': [good, {**good, 'name': 'unheard'},
            {**good, 'props': {'mood': 'x'}}, {'name': 'view', 'ts': now}, 7, {**good, 'user': 'x' * 257}]})
        self.assertEqual(answer['accepted'], 1)
        self.assertEqual([(r['index'], r['type']) for r in answer['rejected']], [(1, 'unknown_event'), (2, 'unknown_property'),
            (3, 'missing_field'), (4, 'not_an_object'), (5, 'too_long')])
        for header in ('Sec-GPC', 'DNT'):
            answer = self.send(key, {'events': [good, good]}, headers={header: '1'})
            self.assertEqual((answer['accepted'], answer['dropped']), (0, 2))
        self.assertEqual(self.throng.wait_tally('picky', 1), (1, 0, 0))
        expected = {'unknown_event': 1, 'unknown_property': 1, 'missing_field': 1, 'not_an_object': 1, 'too_long': 1,
            'gpc': 2, 'dnt': 2}

        def counted():
            return dict(self.throng.sql('SELECT reason, sum(count)::int FROM state.refused WHERE app = %s GROUP BY 1',
                (self.throng.app_id('picky'),))) == expected
        throng.wait_for(counted, 30, f'the counts of refusals {expected}')

    def test_retry_gets_the_same_answer(self):
        key = self.throng.add_app('again')
        body = {'source': throng.random_source(), 'events': [{'name': 'view', 'ts': throng.now_ms(), 'user': 'u'}, {'name': 'no'}]}
        self.assertEqual(self.send(key, body), self.send(key, body))

    def test_dry_run_keeps_nothing(self):
        key = self.throng.add_app('dry')
        body = {'source': throng.random_source(), 'events': [{'name': 'view', 'ts': throng.now_ms(), 'user': 'u'}]}
        status, answer, _ = self.throng.post(body, key, path='/v1/events?dry_run=1')
        self.assertEqual((status, answer['accepted']), (200 if status == 200 else 202, 1))
        self.send(key, body)
        self.assertEqual(self.throng.wait_tally('dry', 1), (1, 0, 0))


if __name__ == '__main__':
    throng.main()
