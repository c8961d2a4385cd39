#!/usr/bin/python3
"""Kill anything at any moment: under load a randomly chosen process of ingest, keyd, aggregate, release, Redis and
PostgreSQL is killed, again and again. What was acknowledged is counted, once; and after sealing, the released numbers are
those of an app that got the same events undisturbed. THRONG_SEED sets the seed, THRONG_ROUNDS the number of rounds
(25; with THRONG_LONG=1: 200)."""
import os
import random
import time
import unittest

import load
import throng

SEED = int(os.environ.get('THRONG_SEED', '20260401'))
ROUNDS = int(os.environ.get('THRONG_ROUNDS', '200' if throng.LONG else '25'))


class Kill(unittest.TestCase):
    def test_anything(self):
        print(f'seed {SEED}, {ROUNDS} rounds', flush=True)
        rng = random.Random(SEED)
        with throng.Throng() as installation:
            yesterday = throng.now_ms() // throng.DAY_MS * throng.DAY_MS - throng.DAY_MS
            more = {'lateness_minutes': 10080, 'retention': {'days': 3, 'weeks': 2, 'months': 1}}
            key = installation.add_app('shaken', **more)
            calm = installation.add_app('calm', **more)
            with load.Load(installation, key, yesterday - throng.DAY_MS, SEED, users=150, span_ms=2 * throng.DAY_MS) as posts:
                kills = self.play(installation, rng)
            installation.wait_ready(120)
            print(f'{kills}; {len(posts.requests)} requests, {posts.events} events acknowledged in {posts.tries} tries, '
                f'{posts.statuses}, slowest {posts.slowest_s:.1f} s', flush=True)
            self.assertEqual(posts.unexpected, [])
            counted, duplicate, late = installation.wait_tally('shaken', posts.events, 180)
            self.assertEqual((counted, late), (posts.events, 0), f'counted, late; duplicate: {duplicate}')
            self.assertGreaterEqual(duplicate, 0)
            self.assertEqual(installation.metric('aggregate', 'throng_entries_lost'), 0)
            self.compare(installation, posts, calm, str(throng.datetime.datetime.fromtimestamp(yesterday / 1000,
                throng.datetime.timezone.utc).date()))

    def play(self, installation, rng):
        """In each round one running process dies, in every fifth a second one with it. A supervisor that waits longer and
        longer between restarts is waited for, while fewer than four run: what is dead already shows nothing new."""
        kills = dict.fromkeys(throng.KILLABLE, 0)
        for _ in range(ROUNDS):
            time.sleep(rng.uniform(0.1, 1.5))
            for _ in range(2 if rng.random() < 0.2 else 1):
                name = rng.choice(throng.wait_for(lambda: self.running(installation), 60, 'restarts'))
                kills[name] += installation.kill(name) is not None
        time.sleep(1)
        return kills

    @staticmethod
    def running(installation):
        names = [name for name in throng.KILLABLE if installation.pid_of(name)]
        return names if len(names) >= 4 else None

    def compare(self, installation, posts, calm, yesterday):
        load.send_all(installation, calm, posts.requests)
        self.assertEqual(installation.wait_tally('calm', posts.events, 120), (posts.events, 0, 0))
        for app in ('shaken', 'calm'):
            installation.seal(app, yesterday)
        shaken = installation.everything_released('shaken')
        self.assertEqual(sum(row[5] for row in shaken if row[:3] == ('events', '', 'day')), posts.events)
        self.assertEqual(shaken, installation.everything_released('calm'))


if __name__ == '__main__':
    throng.main()
