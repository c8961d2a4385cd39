#!/usr/bin/python3
"""One fault after the other, each at the moment where it hurts: what was acknowledged is counted once, and where something
must be lost (a store put back to an older state), it is reported and not more than that."""
import contextlib
import glob
import json
import os
import shutil
import signal
import subprocess
import threading
import time
import unittest

import load
import proxy
import throng

YEAR = {'lateness_minutes': 10080, 'retention': {'days': 2, 'weeks': 1, 'months': 0}}


class Faults(unittest.TestCase):
    number = 0

    @classmethod
    def setUpClass(cls):
        cls.throng = throng.Throng()
        cls.throng.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.throng.__exit__(None, None, None)

    def setUp(self):
        self.throng.wait_ready(90)
        type(self).number += 1
        self.app = f'app{self.number}'
        self.today = throng.now_ms() // throng.DAY_MS * throng.DAY_MS
        self.yesterday = str(throng.datetime.datetime.fromtimestamp(self.today / 1000 - 43200, throng.datetime.timezone.utc).date())
        self.key = self.throng.add_app(self.app, **YEAR)
        self.sent = 0

    def load(self, **more):
        return load.Load(self.throng, self.key, self.today - throng.DAY_MS, self.id(), **more)

    def post(self, count=1, user='u', ts=None, source=None, expect=202):
        """One request with count events; returns its source."""
        source = source or throng.random_source()
        ts = ts if ts is not None else self.today - throng.DAY_MS // 2
        events = [{'name': 'view', 'ts': ts + n, 'user': user, 'seq': n} for n in range(count)]
        status, answer, _ = self.throng.post({'source': source, 'events': events}, self.key)
        self.assertEqual(status, expect, answer)
        self.sent += count if status == 202 else 0
        return source

    def exactly(self, counted, seconds=90):
        """The account of this test's app: all counted once, none late; duplicates are what retries made."""
        found = self.throng.wait_tally(self.app, counted, seconds)
        self.assertEqual((found[0], found[2]), (counted, 0), f'duplicates: {found[1]}')
        return found[1]

    def metric(self, daemon, name, label=''):
        return self.throng.metric(daemon, 'throng_' + name, label)

    def stop_supervisor(self):
        """Nothing is restarted until the with block ends."""
        @contextlib.contextmanager
        def stopped():
            os.kill(self.throng.supervisor.pid, signal.SIGSTOP)
            try:
                yield
            finally:
                os.kill(self.throng.supervisor.pid, signal.SIGCONT)
        return stopped()

    def restart_daemon(self, name):
        """Kill a daemon and wait for its successor."""
        old = self.throng.kill(name)
        throng.wait_for(lambda: self.throng.pid_of(name) not in (None, old) and self.throng.ready(), 60, f'a new {name}')

    # --- Redis ----------------------------------------------------------------------------------------------------------

    def through_proxy(self):
        @contextlib.contextmanager
        def between():
            with proxy.Proxy(self.throng) as middle:
                self.restart_daemon('ingest')
                yield middle
                middle.error = middle.lose_after = None
                self.throng.wait_drained(60)
            self.throng.wait_ready(60)
        return between()

    def test_lost_reply(self):
        """Redis took the entry and its reply is lost: the copy that is sent again has the same n and is dropped."""
        with self.through_proxy() as middle:
            self.post(5)
            before = self.metric('aggregate', 'entries_repeated_total')
            middle.lose_after = b'XADD'
            for _ in range(5):
                self.post(3)
            self.assertGreater(middle.lost, 0)
            middle.lose_after = None
            middle.cut()
            for _ in range(5):
                self.post(2)
            self.assertEqual(self.exactly(self.sent), 0)
            self.assertGreater(self.metric('aggregate', 'entries_repeated_total'), before)

    def refused_by_redis(self, answer):
        with self.through_proxy() as middle:
            self.post(5)
            middle.error = answer
            started = time.monotonic()
            for _ in range(10):
                self.post(3)
            self.assertLess(time.monotonic() - started, 60) # none of them waits for Redis
            self.assertGreater(middle.refused, 0)
            self.assertGreater(self.metric('ingest', 'spool_bytes'), 0)
            middle.error = None
            self.assertEqual(self.exactly(self.sent), 0)

    def test_loading(self):
        self.refused_by_redis(b'-LOADING Redis is loading the dataset in memory\r\n')

    def test_misconf(self):
        self.refused_by_redis(b'-MISCONF Errors writing to the AOF file: No space left on device\r\n')

    def test_readonly(self):
        self.refused_by_redis(b"-READONLY You can't write against a read only replica.\r\n")

    def test_out_of_memory(self):
        redis = self.throng.redis()
        usual = redis('CONFIG', 'GET', 'maxmemory')[1]
        self.post(5)
        redis('CONFIG', 'SET', 'maxmemory', 1)
        try:
            for _ in range(10):
                self.post(3)
            throng.wait_for(lambda: self.metric('ingest', 'spool_bytes') > 0, 10, 'something in the spool')
        finally:
            redis('CONFIG', 'SET', 'maxmemory', usual)
            redis.close()
        self.assertEqual(self.exactly(self.sent), 0)

    def goes_on(self, posts, seconds):
        """More is acknowledged meanwhile than what may have been under way."""
        before = len(posts.requests)
        time.sleep(seconds)
        self.assertGreater(len(posts.requests), before + len(posts.threads))

    def test_gone_for_a_while(self):
        """Redis stands still, then is dead, under load: every request is answered 202 meanwhile."""
        seconds = 60 if throng.LONG else 5
        with self.load() as posts:
            time.sleep(1)
            redis = self.throng.pid_of('redis')
            os.kill(redis, signal.SIGSTOP)
            try:
                self.goes_on(posts, seconds)
            finally:
                os.kill(redis, signal.SIGCONT)
            time.sleep(2)
            with self.stop_supervisor():
                os.kill(redis, signal.SIGKILL)
                self.goes_on(posts, seconds)
            time.sleep(2)
        self.assertEqual(set(posts.statuses), {202}, posts.statuses)
        self.exactly(posts.events, 180)

    def put_back(self, saved):
        """Replace Redis's files by an older copy while nothing runs there."""
        folder = os.path.join(self.throng.data, 'redis', 'appendonlydir')
        with self.stop_supervisor():
            pid = self.throng.kill('redis')
            throng.wait_for(lambda: not throng.is_alive(pid), 10, 'the end of redis')
            owner = os.stat(folder)
            shutil.rmtree(folder)
            shutil.copytree(saved, folder)
            for path in [folder, *glob.glob(folder + '/*')]:
                os.chown(path, owner.st_uid, owner.st_gid)

    def save_files(self):
        saved = os.path.join(self.throng.folder, self.app + '-saved')
        redis = self.throng.redis()
        redis('CONFIG', 'SET', 'appendfsync', 'always')
        self.post(1)
        redis('CONFIG', 'SET', 'appendfsync', 'everysec')
        redis.close()
        self.exactly(self.sent)
        shutil.copytree(os.path.join(self.throng.data, 'redis', 'appendonlydir'), saved)
        return saved

    def test_older_redis_nothing_lost(self):
        """Redis is put back to an older state, all of whose later entries were applied: nothing counts twice or is lost."""
        saved = self.save_files()
        lost = self.metric('aggregate', 'entries_lost')
        for _ in range(20):
            self.post(4)
        self.exactly(self.sent)
        rollbacks = self.metric('aggregate', 'stream_rollbacks_total')
        self.put_back(saved)
        throng.wait_for(lambda: self.metric('aggregate', 'stream_rollbacks_total') > rollbacks, 60, 'a noticed rollback')
        for _ in range(20):
            self.post(4)
        self.assertEqual(self.exactly(self.sent), 0)
        self.assertEqual(self.metric('aggregate', 'entries_lost'), lost)

    def test_older_redis_something_lost(self):
        """As above, but some entries had not been applied: exactly they are reported as lost."""
        saved = self.save_files()
        counted = self.sent
        lost_before = self.metric('aggregate', 'entries_lost')
        aggregate = self.throng.pid_of('aggregate')
        os.kill(aggregate, signal.SIGSTOP)
        for _ in range(7):
            self.post(1)
        self.put_back(saved)
        os.kill(aggregate, signal.SIGCONT)
        # What Redis had sent to the aggregator before, it has: a read was under way when it was stopped.
        throng.wait_for(lambda: self.metric('aggregate', 'entries_lost') > lost_before, 60, 'a report of lost entries')
        for _ in range(10):
            self.post(2)
        self.throng.wait_drained()
        throng.wait_for(lambda: self.throng.tally(self.app)[0] >= counted + 20, 30, 'what came after')
        time.sleep(3)
        lost = self.metric('aggregate', 'entries_lost') - lost_before
        self.assertLessEqual(1, lost)
        self.assertLessEqual(lost, 7)
        self.assertEqual(self.throng.tally(self.app), (counted + 20 + 7 - lost, 0, 0), f'{lost} entries reported as lost')

    def test_lost_catalogue(self):
        """The catalogue is gone from Redis: it is published again, and ingest goes on with its own copy."""
        redis = self.throng.redis()
        aggregate = self.throng.pid_of('aggregate')
        os.kill(aggregate, signal.SIGSTOP)
        try:
            redis('DEL', 'throng:catalogue')
            old = self.throng.kill('ingest')
            throng.wait_for(lambda: self.throng.pid_of('ingest') not in (None, old)
                and (self.throng.status('ingest') or {}).get('ready'), 60, 'ingest with its own copy')
            self.post(3)
        finally:
            os.kill(aggregate, signal.SIGCONT)
        throng.wait_for(lambda: redis('HLEN', 'throng:catalogue') > 0, 30, 'a catalogue published anew')
        redis.close()
        self.post(3)
        self.exactly(self.sent)

    def test_dead_letters(self):
        """What is no packet is set aside, counted and told of by `status`; what comes after it counts."""
        self.post(2)
        self.exactly(self.sent)
        redis = self.throng.redis()
        kept = redis('XREVRANGE', 'throng:{0}', '+', '-', 'COUNT', '1')[0][1][1]
        before = self.metric('aggregate', 'dead_letters_total')
        bad = [('p', b'no packet'), ('p', kept[:-1]), ('q', b'another field'), ('p', kept[:12] + b'\x01\x00' + kept[14:])]
        for field, value in bad:
            redis('XADD', 'throng:{0}', '*', field, value)
        for n in range(20):
            self.post(1, user=f'after {n}')
        self.exactly(self.sent)
        throng.wait_for(lambda: self.metric('aggregate', 'dead_letters_total') == before + len(bad), 30, 'dead letters')
        reasons = [dict(zip(fields[::2], fields[1::2]))[b'reason'] for _, fields in redis('XRANGE', 'throng:dead', '-', '+')]
        self.assertEqual(sorted(reasons[-4:]), [b'corrupt', b'corrupt', b'not_a_packet', b'of_another_shard'])
        self.assertIn('dead_letters', self.throng.cli('status'))
        redis.close()

    # --- PostgreSQL and the aggregator ------------------------------------------------------------------------------------

    def test_killed_in_commit(self):
        """PostgreSQL dies while COMMIT is under way (each is held up for 100 ms before its flush)."""
        self.throng.sql('ALTER SYSTEM SET commit_delay = 100000')
        self.throng.sql('ALTER SYSTEM SET commit_siblings = 0')
        self.throng.sql('SELECT pg_reload_conf()')
        hits = 0
        try:
            with self.load(threads=2) as posts:
                for _ in range(20 if throng.LONG else 4):
                    hits += self.kill_in_commit()
                    self.throng.wait_ready(60)
        finally:
            self.throng.wait_ready(60)
            self.throng.sql('ALTER SYSTEM RESET ALL')
            self.throng.sql('SELECT pg_reload_conf()')
        self.assertGreater(hits, 0, 'no COMMIT was hit')
        self.exactly(posts.events, 180)

    def kill_in_commit(self):
        watch = self.throng.database()
        cursor = watch.cursor()
        until = time.monotonic() + 20
        while time.monotonic() < until:
            cursor.execute("""SELECT pid FROM pg_stat_activity WHERE usename = 'throng_state' AND state = 'active'
                AND query ILIKE 'commit%'""")
            if cursor.fetchall():
                postmaster = self.throng.pid_of('postgres')
                for pid in [postmaster, *throng.descendants(postmaster)]:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                return 1
        watch.close()
        return 0

    def test_between_commit_and_trim(self):
        """State is committed, the stream not trimmed, and the aggregator dies: nothing is applied twice."""
        redis = self.throng.redis()
        redis('ACL', 'SETUSER', 'aggregate', '-xtrim')
        try:
            for _ in range(10):
                self.post(5)
            self.exactly(self.sent)
            self.throng.kill('aggregate')
            self.throng.wait_ready(60)
            for _ in range(10):
                self.post(5)
            self.assertEqual(self.exactly(self.sent), 0)
        finally:
            redis('ACL', 'SETUSER', 'aggregate', '+xtrim')
            redis.close()
        self.throng.wait_ready(60)

    def test_two_aggregators(self):
        """A second aggregator waits for the leases; when the first is gone, it goes on."""
        environment = {'PATH': os.environ['PATH'], 'LC_ALL': 'C', **self.environment_of('aggregate')}
        folder = os.path.join(self.throng.folder, self.app + '-run')
        os.mkdir(folder, 0o700)
        environment['THRONG_RUN_DIRECTORY'] = folder
        environment.pop('THRONG_DIE_WITH_PARENT', None)
        second = subprocess.Popen([os.path.join(throng.BUILD, 'throng-aggregate')], env=environment, cwd='/',
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            with self.load(threads=2) as posts:
                for _ in range(4):
                    time.sleep(1.5)
                    self.throng.kill('aggregate')
            self.throng.wait_ready(60)
            self.exactly(posts.events, 120)
        finally:
            second.send_signal(signal.SIGTERM)
            second.wait(30)

    def environment_of(self, daemon):
        with open(f'/proc/{self.throng.pid_of(daemon)}/environ', 'rb') as file:
            pairs = [entry.decode().split('=', 1) for entry in file.read().split(b'\0') if b'=' in entry]
        return {key: value for key, value in pairs if key.startswith('THRONG_')}

    # --- ingest, its spool, its keys --------------------------------------------------------------------------------------

    def spooling(self):
        """Redis stands still within the with block, so that what is acknowledged lies in the spool."""
        @contextlib.contextmanager
        def still():
            redis = self.throng.pid_of('redis')
            os.kill(redis, signal.SIGSTOP)
            try:
                yield
            finally:
                os.kill(redis, signal.SIGCONT)
        return still()

    def segments(self):
        return sorted(glob.glob(os.path.join(self.throng.data, 'ingest', '**', '*.spool'), recursive=True))

    def test_torn_spool(self):
        """An unfinished record at the end of the spool is cut off; all before it is counted."""
        for tail in (b'\x10', b'\xff\x00\x00\x00' + os.urandom(30), os.urandom(200)):
            with self.spooling(), self.stop_supervisor():
                for _ in range(5):
                    self.post(3)
                self.assertTrue(self.segments())
                pid = self.throng.kill('ingest')
                throng.wait_for(lambda: not throng.is_alive(pid), 10, 'the end of ingest')
                with open(self.segments()[-1], 'ab') as file:
                    file.write(tail)
            self.throng.wait_ready(60)
            self.assertEqual(self.exactly(self.sent), 0)

    def test_killed_while_spooling(self):
        """ingest is killed again and again while all it acknowledges goes to the spool."""
        with self.load(threads=2) as posts:
            with self.spooling():
                for _ in range(4):
                    time.sleep(1.5)
                    self.throng.kill('ingest')
                time.sleep(2)
        self.throng.wait_ready(60)
        self.exactly(posts.events, 120)

    @unittest.skipUnless(os.geteuid() == 0, 'mounting needs root')
    def test_full_disk(self):
        """The spool's disk is full: 503 with Retry-After, and nothing acknowledged is lost."""
        with throng.Throng() as other:
            place = os.path.dirname(self.spool_of(other))
            other.stop()
            os.makedirs(place, exist_ok=True)
            owner = os.stat(os.path.dirname(place))
            options = f'size=256k,mode=700,uid={owner.st_uid},gid={owner.st_gid}'
            if subprocess.run(['mount', '-t', 'tmpfs', '-o', options, 'tmpfs', place], capture_output=True,
                    check=False).returncode != 0:
                self.skipTest('no tmpfs can be mounted here')
            try:
                self.fill_disk(other)
                other.stop()
            finally:
                subprocess.run(['umount', '-l', place], check=True)

    @staticmethod
    def spool_of(installation):
        key = installation.add_app('probe')
        redis = installation.pid_of('redis')
        os.kill(redis, signal.SIGSTOP)
        installation.post({'events': [{'name': 'view', 'ts': throng.now_ms(), 'user': 'u'}]}, key)
        found = glob.glob(os.path.join(installation.data, 'ingest', '**', '*.spool'), recursive=True)
        os.kill(redis, signal.SIGCONT)
        installation.wait_tally('probe', 1)
        return found[0]

    def fill_disk(self, other):
        other.start()
        key = other.add_app('full', **YEAR)
        redis, counted, refused = other.pid_of('redis'), 0, None
        os.kill(redis, signal.SIGSTOP)
        events = [{'name': 'view', 'ts': throng.now_ms() - n, 'user': f'u{n}', 'session': f's{n}'} for n in range(300)]
        for _ in range(200):
            status, answer, headers = other.post({'source': throng.random_source(), 'events': events}, key)
            if status != 202:
                refused = status, headers, answer
                break
            counted += answer['accepted']
        os.kill(redis, signal.SIGCONT)
        self.assertIsNotNone(refused, 'the disk never was full')
        self.assertEqual(refused[0], 503, refused)
        self.assertIn('Retry-After', refused[1])
        self.assertGreater(counted, 0)
        self.assertEqual(other.wait_tally('full', counted, 60), (counted, 0, 0))
        status, answer, _ = other.post({'source': throng.random_source(), 'events': events}, key)
        self.assertEqual(status, 202, answer)
        self.assertEqual(other.wait_tally('full', counted + 300, 60), (counted + 300, 0, 0))

    def test_dead_node_at_sealing(self):
        """A node that died with a spool holds back the seal until it is back; then nothing of it is late."""
        self.post(5)
        self.exactly(self.sent)
        with self.stop_supervisor():
            with self.spooling():
                self.post(7, user='v')
                pid = self.throng.kill('ingest')
                throng.wait_for(lambda: not throng.is_alive(pid), 10, 'the end of ingest')
            refused = self.throng.run('seal', '--app', self.app, '--through', self.yesterday, '--timeout', '4')
            self.assertEqual(refused.returncode, 1, refused.stdout + refused.stderr)
            self.assertEqual(self.throng.released(self.app, 'active_users'), {})
        self.throng.wait_ready(60)
        self.throng.seal(self.app, self.yesterday)
        self.assertEqual(self.throng.tally(self.app), (12, 0, 0))
        self.assertEqual(self.throng.released(self.app, 'active_users')[self.yesterday, -1], 2)
        self.assertEqual(self.throng.released(self.app, 'events')[self.yesterday, -1], 12)

    def test_killed_in_ratchet(self):
        """keyd dies while keys move to a new epoch: they are there afterwards, and users are still who they were."""
        users = [f'user {n}' for n in range(20)]
        for user in users:
            self.post(1, user=user)
        self.exactly(self.sent)
        for round_ in range(6):
            self.kill_in_ratchet(0.002 * 3 ** round_)
        self.throng.cli('keys', 'status')
        epochs = self.epochs()
        self.throng.cli('keys', 'ratchet', '--app', self.app)
        self.assertGreater(self.epochs(), epochs)
        for user in users:
            self.post(1, user=user)
        self.exactly(self.sent)

    def kill_in_ratchet(self, pause_s):
        old = self.throng.pid_of('ingest')
        keyd = self.throng.pid_of('keyd')
        order = threading.Thread(target=self.throng.run, args=('keys', 'ratchet', '--app', self.app))
        order.start()
        time.sleep(pause_s)
        os.kill(keyd, signal.SIGKILL)
        order.join()
        throng.wait_for(lambda: self.throng.pid_of('ingest') not in (None, old), 60, 'a new ingest')
        self.throng.wait_ready(60)

    def epochs(self):
        found = json.loads(self.throng.cli('keys', 'status', '--json'))
        rows = found if isinstance(found, list) else next(value for value in found.values() if isinstance(value, list))
        return next(row['epoch'] for row in rows if self.app in (row.get('app'), row.get('name')))

    def test_ratchet_keeps_users(self):
        """A user before and after a change of keys is one user; a session over it is one session."""
        start = self.today - throng.DAY_MS // 2
        for user in ('a', 'b', 'c'):
            self.post(1, user=user, ts=start)
        self.exactly(self.sent)
        self.throng.cli('keys', 'ratchet', '--app', self.app)
        for user in ('a', 'b', 'd'):
            self.post(1, user=user, ts=start + 60000)
        self.exactly(self.sent)
        self.throng.seal(self.app, self.yesterday)
        self.assertEqual(self.throng.released(self.app, 'active_users')[self.yesterday, -1], 4)
        self.assertEqual(self.throng.released(self.app, 'sessions')[self.yesterday, -1], 4)

    def test_duplicate_over_ratchet(self):
        """A request sent again after a change of keys is still a duplicate."""
        source = self.post(5)
        self.exactly(self.sent)
        self.throng.cli('keys', 'ratchet', '--app', self.app)
        self.post(5, source=source)
        self.assertEqual(self.throng.wait_tally(self.app, 10), (5, 5, 0))

    # --- time ---------------------------------------------------------------------------------------------------------------

    def test_race_with_a_close(self):
        """Events for a day while that day is closed: each is counted in it or late, none is lost or in between."""
        with self.load(threads=4) as posts:
            time.sleep(2)
            self.throng.seal(self.app, self.yesterday)
            time.sleep(1)
        counted, duplicate, late = self.throng.wait_tally(self.app, posts.events, 60)
        self.assertEqual((counted + late, duplicate), (posts.events, 0))
        self.assertGreater(counted, 0)
        self.assertGreater(late, 0)
        released = self.throng.released(self.app, 'events')
        self.assertEqual(sum(released.values()), counted)
        self.assertEqual(sum(self.throng.released(self.app, 'session_events').values()), counted)

    def test_late_join_over_midnight(self):
        """An event that comes last joins two sessions, one on each side of a midnight, into one of the first day."""
        midnight = self.today - throng.DAY_MS
        before = str(throng.datetime.date.fromisoformat(self.yesterday) - throng.datetime.timedelta(days=1))
        for minutes in (-20, 15):
            self.post(1, ts=midnight + minutes * 60000)
        self.exactly(self.sent)
        self.post(1, ts=midnight - 3 * 60000)
        self.post(1, user='other', ts=midnight - 20 * 60000)
        self.post(1, user='other', ts=midnight + 15 * 60000)
        self.exactly(self.sent)
        self.throng.seal(self.app, self.yesterday)
        sessions = self.throng.released(self.app, 'sessions')
        self.assertEqual((sessions[before, -1], sessions[self.yesterday, -1]), (2, 1))
        self.assertEqual(self.throng.released(self.app, 'session_duration_ms')[before, -1], 35 * 60000)
        self.assertEqual(self.throng.released(self.app, 'active_users')[self.yesterday, -1], 2)

    def test_sealed_day_of_a_session(self):
        """A session that began on a day sealed already goes on in the next and is not counted again there."""
        midnight = self.today - throng.DAY_MS
        before = str(throng.datetime.date.fromisoformat(self.yesterday) - throng.datetime.timedelta(days=1))
        self.post(1, ts=midnight - 5 * 60000)
        self.post(1, ts=midnight + 5 * 60000)
        self.post(1, user='v', ts=midnight + 5 * 60000)
        self.exactly(self.sent)
        self.throng.seal(self.app, before)
        self.throng.seal(self.app, self.yesterday)
        sessions = self.throng.released(self.app, 'sessions')
        self.assertEqual((sessions[before, -1], sessions[self.yesterday, -1]), (1, 1))


class ClockJump(unittest.TestCase):
    def test_days_ahead(self):
        """The clock jumps three days ahead while nothing runs: keys stay, days close by themselves, the account holds."""
        with throng.Throng() as installation:
            throng.clear_of_midnight(300)
            key = installation.add_app('jump', lateness_minutes=0, retention={'days': 2, 'weeks': 0, 'months': 0})
            now = throng.now_ms()
            body = {'source': throng.random_source(), 'events': [{'name': 'view', 'ts': now, 'user': 'u'}]}
            self.assertEqual(installation.post(body, key)[0], 202)
            installation.wait_tally('jump', 1)
            installation.stop()
            status = json.loads(self.keys(installation))
            installation.environment['THRONG_TEST_CLOCK_OFFSET_MS'] = str(3 * throng.DAY_MS)
            installation.start()
            installation.wait_released('jump', str(throng.datetime.datetime.fromtimestamp(now / 1000,
                throng.datetime.timezone.utc).date()), 60)
            self.assertEqual(sum(installation.released('jump', 'active_users').values()), 1)
            body = {'source': throng.random_source(), 'events': [{'name': 'view', 'ts': now + 3 * throng.DAY_MS, 'user': 'u'},
                {'name': 'view', 'ts': now, 'user': 'u'}]}
            self.assertEqual(installation.post(body, key)[0], 202)
            self.assertEqual(installation.wait_tally('jump', 3), (2, 0, 1))
            self.check_keys(now, status, json.loads(self.keys(installation)))

    def check_keys(self, now, before, after):
        """They stay; in a new quarter of the year there are new ones, and the former are linked."""
        days = [throng.datetime.datetime.fromtimestamp(ms / 1000, throng.datetime.timezone.utc) for ms in (now, now + 3 * throng.DAY_MS)]
        first, second = ((day.year, (day.month - 1) // 3) for day in days)
        if first == second:
            self.assertEqual(before, after)
        else:
            self.assertEqual([(key['app'], key['epoch'] + 1, key['commitment']) for key in before],
                [(key['app'], key['epoch'], key['linked'][0]['commitment']) for key in after])

    @staticmethod
    def keys(installation):
        """What is known about keys, less what depends on the moment."""
        started = installation.supervisor is None
        if started:
            installation.start()
        found = installation.cli('keys', 'status', '--json')
        if started:
            installation.stop()
        return found


if __name__ == '__main__':
    throng.main()
