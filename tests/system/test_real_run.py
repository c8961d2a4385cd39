#!/usr/bin/python3
"""The bundle of a real run: apps with noise and without, real logs where they are there, keys that changed, people's requests, an
incident, readers who came and were turned away, purges, restarts, a backup and its restoration. What was in the trail, released
or forgotten before the restoration is so afterwards, by itself; the bundle is good by every verifier, and has an entry for each
act that was done."""
import collections
import csv
import datetime
import filecmp
import gzip
import json
import os
import shutil
import subprocess
import time
import unittest

import throng

LOG = os.path.join(throng.SHARED, 'data', 'moodle_la', 'events.csv.gz')
USERS = 40       # of the log
ENOUGH = 60      # seconds for what comes by itself
GO = {'GO111MODULE': 'off', 'GOPATH': '/usr/share/gocode', 'GOFLAGS': ''}
# Acts that this run need not do: nothing is late enough, nothing is refused, no clock steps, no log is pruned.
NEED_NOT = {'aggregates_refused', 'backup_gone', 'clock_stepped_back', 'ingestion', 'keys_joined', 'mark_expired', 'node_announced',
    'node_retired', 'request_purged', 'request_refused', 'self_test_failed', 'self_test_passed', 'spool_replayed', 'state_expired',
    'trail_pruned'}


def acts():
    with open(os.path.join(throng.SOURCE, 'compliance', 'audit', 'acts.def'), encoding='utf-8') as file:
        return {line.split('"')[1] for line in file if line.startswith('ACT(')}


class RealRun(unittest.TestCase):
    def setUp(self):
        self.throng = throng.Throng({'THRONG_AUDIT_POLL_MS': '200'})
        self.throng.environment['THRONG_AUDIT_WITNESSES'] = os.path.join(self.throng.folder, 'witnesses')
        self.begin_witness()
        self.throng.__enter__()
        self.addCleanup(self.throng.__exit__, None, None, None)
        self.throng.wait_ready()
        self.start_witness()

    # --- a witness ----------------------------------------------------------------------------------------------------------

    def begin_witness(self):
        """Its key and the list that the log has of it; it is started once the log has a key of its own."""
        self.port = throng.free_port()
        self.state = os.path.join(self.throng.folder, 'witness')
        os.mkdir(self.state, 0o700)
        program = os.path.join(throng.BUILD, 'throng-witness')
        key = subprocess.run([program, '--make-key', 'witness.example', '--key-file', os.path.join(self.state, 'key')],
            capture_output=True, text=True, check=True).stdout.strip()
        self.witness_key = key
        with open(self.throng.environment['THRONG_AUDIT_WITNESSES'], 'w', encoding='utf-8') as file:
            file.write(f'http://127.0.0.1:{self.port} {key}\n')
        os.chmod(file.name, 0o644)

    def start_witness(self):
        with open(os.path.join(self.throng.data, 'audit', 'log.vkey'), encoding='utf-8') as file:
            self.vkey = file.read().strip()
        self.witness = subprocess.Popen([os.path.join(throng.BUILD, 'throng-witness'), '--listen', f'127.0.0.1:{self.port}', '--key-file',
            os.path.join(self.state, 'key'), '--state', os.path.join(self.state, 'seen'), '--log', self.vkey],
            stderr=subprocess.DEVNULL)
        self.addCleanup(self.stop_witness)

    def stop_witness(self):
        self.witness.terminate()
        self.assertEqual(self.witness.wait(60), 0)

    # --- what is asked of the installation ------------------------------------------------------------------------------------

    def leaves(self, *wanted):
        rows = self.throng.sql("""SELECT convert_from(o.leaf, 'UTF8')::jsonb FROM audit.outbox AS o LEFT JOIN audit.entry AS e USING (id)
            WHERE o.act = ANY (%s) ORDER BY e.index NULLS LAST, o.written_at""", (list(wanted),))
        return [leaf for leaf, in rows]

    def settle(self):
        """Wait until every leaf is under the newest checkpoint; its note."""
        def note():
            rows = self.throng.sql("""SELECT note FROM audit.checkpoint WHERE NOT EXISTS (SELECT FROM audit.pending)
                AND size = (SELECT count(*) FROM audit.entry) ORDER BY signed_at DESC LIMIT 1""")
            return rows and bytes(rows[0][0])
        return throng.wait_for(lambda: self.throng.quiet(note), ENOUGH, 'a checkpoint over all leaves')

    def people(self, app):
        return self.throng.sql('SELECT count(*) FROM state.person WHERE app = %s', (self.throng.app_id(app),))[0][0]

    def send(self, app, user, status=202):
        events = [{'name': 'view', 'ts': throng.now_ms(), 'user': user, 'seq': i} for i in range(3)]
        got, answer, _ = self.throng.post({'source': throng.random_source(), 'events': events}, self.throng.keys[app])
        self.assertEqual(got, status, answer)

    def released(self):
        return sorted(self.throng.sql("""SELECT a.name, r.leaf::text, r.period::text, r.family, v.metric, v.item, v.n, v.value, v.low, v.high,
            r.sealed_at::text FROM release.release r JOIN release.value v USING (leaf) JOIN config.app a ON a.app = r.app"""), key=repr)

    def budget(self):
        return sorted(self.throng.sql('SELECT l.*::text FROM release.ledger l'))

    def entries(self):
        return self.throng.sql('SELECT index, id::text FROM audit.entry ORDER BY index')

    # --- the run ------------------------------------------------------------------------------------------------------------

    def add_apps(self):
        self.throng.add_app('story', [{'name': 'view', 'kind': 'view'}, 'done'], privacy={'preset': 'standard'},
            features=[{'name': 'doing', 'events': ['done']}], goals=[{'name': 'finish', 'event': 'done'}], horizon_days=800,
            purposes=['see how stories are used'], controller='Example operator', legal_basis='consent', recipients=['the team'])
        rows = self.log()
        self.throng.add_app('course', sorted({'view', *(row[2] for row in rows)}), horizon_days=800, session_timeout_minutes=30)
        for name in ('gone', 'lost'):
            self.throng.add_app(name)
        self.throng.cli('app', 'key', 'story', '--test')
        self.throng.cli('simulate', '--app', 'story', '--users', '100', '--days', '45', '--seed', '1', '--no-seal')
        if rows:
            path = os.path.join(self.throng.folder, 'course.csv')
            with open(path, 'w', encoding='utf-8', newline='') as file:
                csv.writer(file).writerows([('user_id', 'ts', 'event'), *rows])
            self.throng.cli('import', '--app', 'course', '--format', 'csv', '--map', 'user=user_id,ts=ts,name=event', path)
            self.throng.seal('course', '2019-11-04')
        else:
            print(f'{LOG} is not there: a simulated crowd in its place', flush=True)
            self.throng.cli('simulate', '--app', 'course', '--users', '60', '--days', '30', '--seed', '2')

    @staticmethod
    def log():
        """What some people of the log did."""
        if not os.path.exists(LOG):
            return []
        with gzip.open(LOG, 'rt', encoding='utf-8', newline='') as file:
            rows = [(user, ts, name.lower()) for user, ts, name in list(csv.reader(file))[1:]]
        users = set(sorted({user for user, _, _ in rows})[:USERS])
        return [row for row in rows if row[0] in users]

    def release_story(self, days_ago):
        through = str(datetime.date.today() - datetime.timedelta(days=days_ago))
        self.throng.seal('story', through, '--force')

    def change_app(self):
        """A new version, and a write key that ends."""
        path = os.path.join(self.throng.folder, 'gone.json')
        with open(path, encoding='utf-8') as file:
            definition = json.load(file)
        definition['events'].append({'name': 'done'})
        with open(path, 'w', encoding='utf-8') as file:
            json.dump(definition, file)
        self.throng.cli('app', 'apply', path)
        self.throng.cli('app', 'key', 'gone')
        key, = self.throng.sql("""SELECT id::text FROM config.write_key WHERE app = %s ORDER BY created_at DESC LIMIT 1""",
            (self.throng.app_id('gone'),))[0]
        self.throng.cli('key', 'revoke', key)

    def operate(self):
        """Keys, requests, an incident, readers, a purge: everything that is over before the backup."""
        self.change_app()
        for name in ('course', 'gone', 'lost'):
            for person in range(5):
                self.send(name, f'person-{person}')
        self.throng.wait_drained()
        self.throng.cli('keys', 'ratchet', '--app', 'course')
        self.throng.cli('keys', 'rotate', '--app', 'gone')
        self.throng.cli('erase', '--app', 'course', '--user', 'person-0')
        self.throng.cli('object', '--app', 'course', '--user', 'person-1')
        self.throng.cli('object', '--app', 'course', '--user', 'person-2')
        self.throng.cli('object', '--app', 'course', '--user', 'person-2', '--withdraw')
        answer = json.loads(self.throng.cli('--json', 'access', '--app', 'course', '--user', 'person-3'))
        self.assertTrue(answer['answer'])
        incident = json.loads(self.throng.cli('--json', 'incident', 'open', 'availability'))['incident']
        self.throng.cli('incident', 'close', incident)
        self.readers()
        self.throng.cli('purge', '--app', 'gone', '--reason', 'a leak', '--yes', '--timeout', '120')

    def readers(self):
        keys = {scope: json.loads(self.throng.cli('key', 'add', '--scope', scope, '--json'))
            for scope in ('read', 'read:course', 'audit', 'ingest:course')}
        self.reader = keys['read']['key']
        asked = [('/v1/apps/story/metrics/active_users?interval=week', 'read', 200), ('/v1/apps/story/budget', 'read:course', 404),
            ('/v1/apps/course/metrics/active_users?interval=month', 'read:course', 200), ('/log/checkpoint', 'audit', 200),
            ('/v1/audit/entries?act=app_added', 'audit', 200), ('/v1/audit/entries', 'read', 403)]
        for target, scope, status in asked:
            got, body, _ = self.throng.ask(target, keys[scope]['key'])
            self.assertEqual(got, status, (target, scope, body[:200]))
        self.assertEqual(self.throng.ask('/v1/apps', 'rk_' + 'x' * 40)[0], 401)
        self.throng.cli('key', 'revoke', keys['read:course']['id'])

    def backup(self):
        """As soon as `throng up` is not at the same files itself, for what people's requests deleted."""
        done = throng.wait_for(lambda: (run := self.throng.run('--json', 'backup', '--out', self.throng.folder)).returncode == 0 and run,
            ENOUGH, 'a backup', 1)
        return json.loads(done.stdout)

    def after_the_backup(self):
        """What the restored database will lack."""
        self.throng.cli('keys', 'ratchet', '--app', 'story')
        for app in ('course', 'lost'):
            self.send(app, 'late-comer')
        self.throng.wait_drained()
        self.throng.cli('erase', '--app', 'course', '--user', 'person-4')
        self.throng.cli('purge', '--app', 'lost', '--reason', 'another leak', '--yes', '--timeout', '120')
        self.throng.cli('key', 'add', '--scope', 'ops')
        incident = json.loads(self.throng.cli('--json', 'incident', 'open', 'integrity'))['incident']
        self.throng.cli('incident', 'close', incident)
        self.release_story(4)

    def restore(self, folder):
        """What came back without anybody's help."""
        self.settle()
        entries, released, budget, people = self.entries(), self.released(), self.budget(), self.people('course')
        self.throng.stop()
        self.throng.cli('restore', '--from', folder, '--yes')
        self.throng.start()
        self.throng.wait_ready()
        throng.wait_for(lambda: self.throng.quiet(lambda: self.entries()[:len(entries)] == entries), ENOUGH, 'the trail')
        throng.wait_for(lambda: self.throng.quiet(lambda: self.released() == released), ENOUGH, 'what was released')
        self.assertEqual(self.budget(), budget)
        # Who came after the backup is lost with it; who was erased since is erased again.
        throng.wait_for(lambda: self.throng.quiet(lambda: self.people('course') == people - 1), ENOUGH,
            lambda: f"the erasure, again: {self.people('course')} people, and not {people - 1}")
        throng.wait_for(lambda: self.throng.quiet(lambda: self.people('lost') == 0), ENOUGH, 'the purge, again')
        self.send('lost', 'person-0', 503)
        self.send('gone', 'person-0', 503)
        restored, = self.leaves('restored')
        self.assertGreaterEqual(restored['data']['to_size'], len(entries)) # what was said at the stop came too

    def afterwards(self):
        for person in (1, 3, 4, 5): # 1 objected
            self.send('course', f'person-{person}')
        self.throng.wait_drained()
        self.throng.cli('erase', '--app', 'course', '--user', 'person-5')
        self.throng.cli('keys', 'ratchet', '--app', 'story')
        self.release_story(2)
        self.throng.ask('/v1/apps/story/metrics/active_users?interval=week', self.reader)

    def test_run(self):
        started = time.monotonic()

        def say(what):
            print(f'{time.monotonic() - started:5.1f} s: {what}', flush=True)
        self.add_apps()
        self.release_story(6)
        say('apps, logs, releases')
        self.operate()
        say('keys, requests, readers, a purge')
        middle = self.settle()
        self.throng.restart()
        self.throng.wait_ready()
        made = self.backup()
        say('restarted, backed up')
        self.after_the_backup()
        say('went on')
        self.restore(made['folder'])
        say('restored')
        self.afterwards()
        self.throng.restart()
        self.throng.wait_ready()
        self.settle()
        say('went on again')
        self.check_bundle(middle)
        say('verified')

    # --- the bundle -----------------------------------------------------------------------------------------------------------

    def export(self, name, *more):
        path = os.path.join(self.throng.folder, name)
        return path, json.loads(self.throng.cli('compliance', 'export', '--out', path, '--json', *more))

    def check_bundle(self, middle):
        self.export('former.tar')
        self.settle()
        first, made = self.export('first.tar')
        again, _ = self.export('again.tar', '--checkpoint', str(made['size']))
        self.assertTrue(filecmp.cmp(first, again, shallow=False), 'made twice, it is not the same')
        since = os.path.join(self.throng.folder, 'middle.checkpoint')
        with open(since, 'wb') as file:
            file.write(middle)
        done = self.throng.run('compliance', 'verify', first, '--since', since, '--key', self.vkey, '--witness', self.witness_key, '--json')
        document = json.loads(done.stdout)
        self.assertEqual(document['findings'], [])
        self.assertEqual((done.returncode, [level['verdict'] for level in document['levels']]), (0, ['ok'] * 5), document)
        folder = first + '.unpacked'
        os.mkdir(folder)
        subprocess.run(['tar', '-xf', first, '-C', folder], check=True)
        done = subprocess.run(['sh', 'verify.sh', self.vkey], cwd=folder, capture_output=True, text=True, timeout=300, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.check_with_go(folder)
        self.check_acts(folder, made['size'])

    def check_with_go(self, folder):
        if not shutil.which('go') or not os.path.isdir('/usr/share/gocode/src/golang.org/x/mod/sumdb'):
            return print("go or golang-golang-x-mod-dev is not installed: Go's own code did not look at the bundle", flush=True)
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'verify_with_go', 'main.go')
        environment = {**os.environ, **GO, 'GOCACHE': os.path.join(self.throng.folder, 'gocache'), 'HOME': self.throng.folder}
        done = subprocess.run(['go', 'run', source, folder], capture_output=True, text=True, env=environment, timeout=600, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        print(done.stdout.strip(), flush=True)

    def check_acts(self, folder, size):
        """The events of the bundle are the outbox, and name what was done, and how often."""
        with open(os.path.join(folder, 'events.jsonl'), encoding='utf-8') as file:
            events = [json.loads(line) for line in file]
        self.assertEqual(len(events), size)
        rows = [row for row, in self.throng.sql("SELECT convert_from(leaf, 'UTF8')::jsonb FROM audit.outbox JOIN audit.entry USING (id) "
            'WHERE index < %s ORDER BY index', (size,))]
        told = [event.get('leaf', event) for event in events]
        self.assertEqual([leaf['id'] for leaf in told], [leaf['id'] for leaf in rows])
        found = collections.Counter(leaf['act'] for leaf in rows)
        print(f'{size} entries: ' + ', '.join(f'{act} {count}' for act, count in sorted(found.items())), flush=True)
        self.assertEqual(acts() - set(found) - NEED_NOT, set(), 'acts that were done and have no entry')
        # Requests: five before the backup, one after it, which the restored database carried out again, one after that.
        wanted = {'request_received': 8, 'request_applied': 8, 'purge_ordered': 2, 'purge_done': 2, 'key_change_ordered': 4,
            'incident_opened': 2, 'incident_closed': 2, 'app_changed': 1, 'api_key_made': 5, 'api_key_revoked': 1,
            'write_key_revoked': 1, 'backup_made': 1, 'restored': 1, 'export_made': 1, 'log_key_rotated': 1}
        self.assertEqual({act: found[act] for act in wanted}, wanted)


if __name__ == '__main__':
    throng.main()
