#!/usr/bin/python3
"""The export of a real installation, and what verifies it: throng-verify, a shell with openssl, and Go's own transparency log
code. Every flipped bit is found and the file named; a log whose newest leaves were removed is found by a checkpoint that was
kept. THRONG_LONG=1: many more bits. THRONG_SEED sets the seed."""
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import tarfile
import unittest

import throng

SEED = int(os.environ.get('THRONG_SEED', '20260405'))
FLIPS = 20000 if throng.LONG else 300
GO = {'GO111MODULE': 'off', 'GOPATH': '/usr/share/gocode', 'GOFLAGS': ''}
BLOCK = 512


def ranges(path):
    """[(name, first byte of its header, first byte behind its padding)] of an archive, the end blocks as the last file's."""
    with tarfile.open(path) as archive:
        found = [(member.name, member.offset, (member.offset_data + member.size + BLOCK - 1) // BLOCK * BLOCK)
            for member in archive]
    name, first, _ = found[-1]
    return found[:-1] + [(name, first, os.path.getsize(path))]


class Bundle(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.rng = random.Random(SEED)
        cls.installation = throng.Throng()
        cls.installation.__enter__()
        cls.addClassCleanup(cls.installation.__exit__, None, None, None)
        cls.fill()
        cls.first = cls.export('first.tar')
        cls.checkpoint = cls.unpacked('first.tar', 'log/checkpoint')

    @classmethod
    def fill(cls):
        cls.installation.add_app('shop', [{'name': 'view', 'kind': 'view'}, 'done'])
        for _ in range(3):
            cls.installation.cli('key', 'add', '--scope', 'read')
        cls.settle()

    @classmethod
    def settle(cls):
        """Wait until all that was written is in a published checkpoint."""
        throng.wait_for(lambda: cls.installation.sql('SELECT (SELECT count(*) FROM audit.pending) = 0 AND '
            '(SELECT max(size) FROM audit.checkpoint) = (SELECT count(*) FROM audit.entry)')[0][0], 60, 'a checkpoint')

    @classmethod
    def path(cls, name):
        return os.path.join(cls.installation.folder, name)

    @classmethod
    def export(cls, name, *more):
        path = cls.path(name)
        cls.made = json.loads(cls.installation.cli('compliance', 'export', '--out', path, '--json', *more))
        with open(path, 'rb') as file:
            assert hashlib.sha256(file.read()).hexdigest() == cls.made['sha256']
        return path

    @classmethod
    def unpacked(cls, name, inside):
        with tarfile.open(cls.path(name)) as archive:
            return archive.extractfile(inside).read()

    def verify(self, path, *more):
        """(exit status, document)"""
        done = subprocess.run([os.path.join(throng.BUILD, 'throng-verify'), path, '--json', *more], capture_output=True, text=True,
            timeout=120, check=False)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        return done.returncode, json.loads(done.stdout)

    def unpack(self, path):
        folder = path + '.unpacked'
        shutil.rmtree(folder, ignore_errors=True)
        os.mkdir(folder)
        subprocess.run(['tar', '-xf', path, '-C', folder], check=True)
        return folder

    def keep(self, name, note):
        path = self.path(name)
        with open(path, 'wb') as file:
            file.write(note)
        return path

    # --- good --------------------------------------------------------------------------------------------------------------

    def test_a_good_bundle(self):
        status, document = self.verify(self.first, '--since', self.keep('own.checkpoint', self.checkpoint))
        self.assertEqual((status, document['findings']), (0, []), document)
        self.assertEqual([level['verdict'] for level in document['levels']], ['ok', 'ok', 'ok', 'not_judged', 'ok'])
        self.assertEqual(os.stat(self.first).st_mode & 0o777, 0o600)
        told = self.installation.cli('compliance', 'verify', self.first)
        self.assertIn('The bundle is good.', told)
        vkey = self.unpacked('first.tar', 'keys/log.vkey').decode().split()[0]
        self.assertEqual(self.verify(self.first, '--key', vkey)[0], 0)
        other = 'else.example+3f2c5a5a+AQ=='
        done = self.installation.run('compliance', 'verify', self.first, '--key', other)
        self.assertEqual(done.returncode, 2, done.stdout)

    def test_made_twice_it_is_the_same(self):
        size = json.loads(self.installation.cli('compliance', 'export', '--out', self.path('x.tar'), '--json'))['size']
        self.settle()
        second = self.export('second.tar', '--checkpoint', str(size))
        third = self.export('third.tar', '--checkpoint', str(size))
        with open(second, 'rb') as one, open(third, 'rb') as other, open(self.path('x.tar'), 'rb') as former:
            bytes_ = one.read()
            self.assertEqual(bytes_, other.read())
            self.assertEqual(bytes_, former.read())
        self.settle()
        rows = self.installation.sql("SELECT convert_from(leaf, 'UTF8')::json->'data'->>'size' FROM audit.outbox WHERE act = 'export_made'")
        self.assertGreaterEqual([row[0] for row in rows].count(str(size)), 3)

    def test_shell_and_openssl(self):
        folder = self.unpack(self.first)
        done = subprocess.run(['sh', 'verify.sh'], cwd=folder, capture_output=True, text=True, timeout=300, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn('The bundle is good.', done.stdout)
        for name in ('events.jsonl', 'log/checkpoint', 'manifest.note', 'log/tile/entries'):
            self.spoil(folder, name)

    def spoil(self, folder, name):
        """One bit of a file: the shell finds it too."""
        path = os.path.join(folder, name)
        while os.path.isdir(path):
            path = os.path.join(path, sorted(os.listdir(path))[-1])
        with open(path, 'rb') as file:
            content = file.read()
        with open(path, 'wb') as file:
            file.write(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
        done = subprocess.run(['sh', 'verify.sh'], cwd=folder, capture_output=True, text=True, timeout=300, check=False)
        with open(path, 'wb') as file:
            file.write(content)
        self.assertEqual(done.returncode, 1, (name, done.stdout, done.stderr))
        self.assertIn('NOT GOOD', done.stdout)

    def test_a_verifier_that_is_not_ours(self):
        if not shutil.which('go') or not os.path.isdir('/usr/share/gocode/src/golang.org/x/mod/sumdb'):
            self.skipTest('go or golang-golang-x-mod-dev is not installed')
        folder = self.unpack(self.first)
        environment = {**os.environ, **GO, 'GOCACHE': self.path('gocache'), 'HOME': self.installation.folder}
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'verify_with_go', 'main.go')
        done = subprocess.run(['go', 'run', source, folder], capture_output=True, text=True, env=environment, timeout=600,
            check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        print(done.stdout.strip(), flush=True)

    # --- not good ------------------------------------------------------------------------------------------------------------

    def test_flipped_bits(self):
        print(f'seed {SEED}', flush=True)
        files = ranges(self.first)
        places = [(name, first + 3) for name, first, _ in files] + [(name, end - 1) for name, _, end in files]
        while len(places) < FLIPS:
            name, first, end = self.rng.choice(files)
            places.append((name, self.rng.randrange(first, end)))
        spoiled = self.path('spoiled.tar')
        shutil.copyfile(self.first, spoiled)
        for name, place in self.rng.sample(places, min(len(places), FLIPS)):
            self.flip(spoiled, name, place, 1 << self.rng.randrange(8))

    def flip(self, path, name, place, bit):
        with open(path, 'r+b') as file:
            file.seek(place)
            byte = file.read(1)[0]
            file.seek(place)
            file.write(bytes([byte ^ bit]))
        status, document = self.verify(path)
        self.assertEqual(status, 1, (name, place, bit))
        self.assertTrue(any(name in finding['where'] for finding in document['findings']), (name, place, bit, document))
        with open(path, 'r+b') as file:
            file.seek(place)
            file.write(bytes([byte]))

    def test_truncated(self):
        with open(self.first, 'rb') as file:
            content = file.read()
        for length in [0, 1, 511, 512, 1024, *(self.rng.randrange(len(content)) for _ in range(40))]:
            with open(self.path('short.tar'), 'wb') as file:
                file.write(content[:length])
            status, document = self.verify(self.path('short.tar'))
            self.assertEqual(status, 1)
            self.assertTrue(document['findings'])

    def test_the_newest_leaves_removed(self):
        """By somebody who is superuser of the database and owns the signer's files: only a kept checkpoint tells. Last, for the log
        is another one afterwards."""
        long = self.export('long.tar')
        kept = self.keep('kept.checkpoint', self.unpacked('long.tar', 'log/checkpoint'))
        size = self.made['size']
        self.assertEqual(self.verify(long, '--since', self.keep('first.checkpoint', self.checkpoint))[0], 0)
        self.remove_newest()
        self.settle()
        short = self.export('short.tar')
        status, document = self.verify(short)
        self.assertEqual(document['levels'][1]['verdict'], 'ok', document)
        status, document = self.verify(short, '--since', kept)
        self.assertEqual(status, 1)
        self.assertTrue(any(f'size {size} is not the beginning of this one' in finding['what'] and finding['level'] == 3
            for finding in document['findings']), document)
        # Two auditors, each with a tree that is good by itself: each other's checkpoint tells.
        other = self.keep('other.checkpoint', self.unpacked('short.tar', 'log/checkpoint'))
        status, document = self.verify(long, '--since', other)
        self.assertEqual((status, document['levels'][2]['verdict']), (1, 'failed'), document)

    def remove_newest(self):
        """Back to the checkpoint before the newest, in the database and in the signer's files."""
        installation = self.installation
        pid = installation.pid_of('audit')
        os.kill(pid, signal.SIGSTOP)
        size, note = installation.sql('SELECT size, note FROM audit.checkpoint WHERE size < (SELECT max(size) FROM audit.checkpoint)'
            ' ORDER BY size DESC LIMIT 1')[0]
        statements = ["SET session_replication_role = replica",
            'ALTER TABLE audit.entry DISABLE TRIGGER ALL', 'ALTER TABLE audit.tile DISABLE TRIGGER ALL',
            'ALTER TABLE audit.checkpoint DISABLE TRIGGER ALL',
            f'DELETE FROM audit.entry WHERE index >= {size}', f'DELETE FROM audit.checkpoint WHERE size > {size}',
            f'DELETE FROM audit.tile WHERE index * 256 >= {size} >> (8 * level)',
            f'UPDATE audit.tile SET hashes = substr(hashes, 1, (32 * least(256, ({size} >> (8 * level)) - index * 256))::int)',
            'ALTER TABLE audit.entry ENABLE ALWAYS TRIGGER append_only', 'ALTER TABLE audit.tile ENABLE ALWAYS TRIGGER grows',
            'ALTER TABLE audit.checkpoint ENABLE ALWAYS TRIGGER append_only']
        installation.sql('; '.join(statements))
        state = os.path.join(installation.data, 'audit')
        with open(os.path.join(state, 'signed'), 'wb') as file:
            file.write(bytes(note))
        shutil.rmtree(os.path.join(state, 'log'))
        os.kill(pid, signal.SIGKILL)
        throng.wait_for(lambda: installation.pid_of('audit') not in (None, pid), 60, 'throng-audit')


if __name__ == '__main__':
    throng.main()
