#!/usr/bin/python3
"""People who asked to be forgotten: erased at once, and after the second stage nowhere in any file, by a scan for the pseudonyms
that the test computes from the key itself. Sealed numbers stay; who returns is new; who objected stays out, over a change of
keys too; a restored backup brings nobody back."""
import datetime
import json
import os
import unittest

import remains
import throng

APP = 'app'
PEOPLE = 40
QUICK = {'THRONG_RETENTION_CHECK_S': '1', 'THRONG_RETENTION_REDIS_S': '1'}


def day(back):
    return str(datetime.datetime.now(datetime.timezone.utc).date() - datetime.timedelta(days=back))


class Erasure(unittest.TestCase):
    @staticmethod
    def names(installation, *users):
        return remains.names(installation, APP, *users)

    @staticmethod
    def send(installation, *users):
        now = throng.now_ms()
        for user in users:
            status, answer, _ = installation.post({'source': throng.random_source(), 'events': [{'name': 'view', 'user': user,
                'session': f'session-of-{user}', 'ts': now - 1000 * i} for i in range(3)]}, installation.keys[APP])
            assert (status, answer['accepted']) == (202, 3), answer

    def history(self, installation):
        """Two sealed weeks with everybody in it."""
        path = os.path.join(installation.folder, 'history.jsonl')
        with open(path, 'w', encoding='utf-8') as file:
            for back in range(20, 3, -1):
                for person in range(PEOPLE):
                    if (person + back) % 3 == 0 or back in (20, 4):
                        file.write(json.dumps({'user': f'person-{person}', 'ts': f'{day(back)} 12:{person:02}:00', 'name': 'view',
                            'session': f'session-of-person-{person}'}) + '\n')
        installation.cli('import', '--app', APP, '--format', 'jsonl', path)
        installation.seal(APP, day(3))

    def ask(self, installation, command, user, *more):
        done = installation.run(command, '--app', APP, '--user', '-', '--json', *more, input=user + '\n')
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def second_stage(self, installation):
        """Everything that removes copies, then the receipts. A retention of PostgreSQL now instead of within a day; the rest is
        the aggregator's, which looks more often here (QUICK)."""
        installation.cli('retain', '--once')
        throng.wait_for(lambda: installation.sql("""SELECT count(*) FROM subject.request WHERE purge_due_at IS NOT NULL
            AND purged_at IS NULL""") == [(0,)], 60, 'the second stage', 0.5)

    def test_forgotten(self):
        with throng.Throng(QUICK) as installation:
            installation.add_app(APP, [{'name': 'view', 'kind': 'view'}], horizon_days=400)
            self.history(installation)
            everybody = [f'person-{person}' for person in range(PEOPLE)]
            self.send(installation, *everybody)
            installation.wait_drained()
            victim, objector = self.names(installation, 'person-7'), self.names(installation, 'person-8')
            self.assertNotEqual(remains.rows(installation, victim), [])
            self.assertNotEqual(remains.files(installation, victim), set())
            sealed = installation.everything_released(APP)

            receipt = self.ask(installation, 'erase', 'person-7')
            self.ask(installation, 'object', 'person-8')
            self.assertEqual((receipt['kind'], receipt['app']), ('erasure', APP))
            self.assertEqual(remains.rows(installation, victim), [])
            self.assertEqual(remains.rows(installation, objector), [])
            self.second_stage(installation)
            self.assertEqual(remains.files(installation, victim), set())
            self.assertEqual(remains.files(installation, objector), set())
            self.assertEqual(installation.everything_released(APP), sealed)

            # Who returns is new; who objected stays out.
            self.send(installation, 'person-7', 'person-8')
            installation.wait_drained()
            first = installation.sql('SELECT DISTINCT usr FROM state.fragment WHERE usr = ANY (%s)', (list(victim),))
            self.assertEqual(len(first), 1)
            self.assertEqual(remains.rows(installation, objector), [])
            refused = installation.sql("SELECT coalesce(sum(count), 0) FROM state.refused WHERE reason = 'objection'")[0][0]
            self.assertEqual(refused, 3)
            installation.cli('keys', 'ratchet', '--app', APP)
            later = self.names(installation, 'person-8')
            self.send(installation, 'person-8', 'person-9')
            installation.wait_drained()
            self.assertEqual(remains.rows(installation, objector | later), [])
            installation.cli('keys', 'ratchet', '--app', APP)
            later |= self.names(installation, 'person-8')
            self.send(installation, 'person-8')
            installation.wait_drained()
            self.assertEqual(remains.rows(installation, objector | later), [])

            self.restored(installation)

    def restored(self, installation):
        """A backup from before an erasure: the person is in it, and does not come back."""
        self.send(installation, 'person-11')
        installation.wait_drained()
        names = self.names(installation, 'person-11')
        self.assertNotEqual(remains.rows(installation, names), [])
        folder = os.path.join(installation.folder, 'backup')
        made = json.loads(installation.cli('--json', 'backup', '--out', folder))
        self.ask(installation, 'erase', 'person-11')
        self.assertEqual(remains.rows(installation, names), [])
        released = installation.everything_released(APP)
        installation.stop()
        installation.cli('restore', '--from', made['folder'], '--yes')
        installation.start()
        installation.wait_ready()
        throng.wait_for(lambda: remains.rows(installation, names) == [], 60, 'a person who was erased to be forgotten again')
        self.assertEqual(installation.everything_released(APP), released)
        # Neither do the files of the copy that was put back keep anybody, though the backup itself is kept for its time.
        installation.cli('retain', '--once')
        throng.wait_for(lambda: not remains.files(installation, names), 60, 'no file with a person who was erased', 2)


if __name__ == '__main__':
    throng.main()
