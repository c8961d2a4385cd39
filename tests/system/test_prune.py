#!/usr/bin/python3
"""The bodies of old entries go, by one function that the log tells of before; the log still verifies without them."""
import concurrent.futures
import datetime
import os
import unittest

import throng

OLD = 270 # entries that are made old, by somebody who is superuser: only the column that is searched by
GONE = 256 # of these: whole bundles


class Prune(unittest.TestCase):
    def prune(self, installation, *arguments):
        return installation.run('compliance', 'prune', *arguments)

    def test_pruned(self):
        with throng.Throng() as installation:
            installation.add_app('app')
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                list(pool.map(lambda _: installation.cli('key', 'add', '--scope', 'metrics'), range(OLD - 20)))
            throng.wait_for(lambda: installation.sql('SELECT count(*) FROM audit.entry')[0][0] > OLD, 30, 'entries of the log')
            today = str(datetime.datetime.now(datetime.timezone.utc).date() - datetime.timedelta(days=1))
            refused = self.prune(installation, '--before', today, '--yes')
            self.assertEqual((refused.returncode, 'is older' in refused.stderr), (1, True))
            for wrong in (('--before', '2021-01-01'), ('--before', 'x', '--yes'), ('--yes',)):
                self.assertEqual(self.prune(installation, *wrong).returncode, 2)
            installation.sql("ALTER TABLE audit.entry DISABLE TRIGGER append_only")
            installation.sql("UPDATE audit.entry SET at = '2020-01-01' WHERE index < %s", (OLD,))
            installation.sql("ALTER TABLE audit.entry ENABLE ALWAYS TRIGGER append_only")
            done = self.prune(installation, '--before', '2021-01-01', '--yes')
            self.assertEqual(done.returncode, 0, done.stderr)
            left = installation.sql("""SELECT e.act, o.leaf IS NULL FROM audit.entry e JOIN audit.outbox o USING (id)
                WHERE e.index < %s""", (GONE,))
            # The log's own key stays told.
            self.assertEqual({act for act, gone in left if not gone} - {'log_key_rotated'}, set())
            self.assertGreaterEqual(sum(gone for _, gone in left), GONE - 1)
            self.assertEqual(installation.sql('SELECT count(*) FROM audit.outbox WHERE leaf IS NULL')[0][0], sum(gone for _, gone in left))
            self.assertEqual(self.prune(installation, '--before', '2021-01-01', '--yes').returncode, 1)
            bundle = os.path.join(installation.folder, 'bundle.tar')
            installation.cli('compliance', 'export', '--out', bundle)
            print(installation.cli('compliance', 'verify', bundle), flush=True)


if __name__ == '__main__':
    throng.main()
