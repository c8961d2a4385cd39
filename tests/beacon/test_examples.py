#!/usr/bin/python3
"""The examples for backends, each run against a real installation: one event each, counted once."""
import json
import os
import shutil
import subprocess
import unittest

import sys
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), 'system'))

import throng

EXAMPLES = os.path.join(throng.SOURCE, 'api', 'beacon', 'examples')
EVENT = {'name': 'signup', 'properties': [{'name': 'method', 'type': 'enum', 'values': ['email', 'oauth']}]}


class Examples(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.throng = throng.Throng().__enter__()
        cls.addClassCleanup(cls.throng.__exit__, None, None, None)

    def send(self, language, *command, accepts=1, tool=None):
        if not shutil.which(tool or command[0]):
            self.skipTest(f'no {tool or command[0]}')
        key = self.throng.add_app(language, [EVENT])
        environment = {**os.environ, 'THRONG_KEY': key, 'THRONG_EVENTS': f'http://127.0.0.1:{self.throng.port}/v1/events',
            'GO111MODULE': 'off', 'GOCACHE': os.path.join(self.throng.folder, 'go')}
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, cwd=self.throng.folder)
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        if accepts is not None:
            self.assertEqual(json.loads(done.stdout), {'accepted': accepts, 'rejected': [], 'dropped': 0})
        self.assertEqual(self.throng.wait_tally(language, 1), (1, 0, 0))

    def path(self, name):
        return os.path.join(EXAMPLES, name)

    def test_curl(self):
        self.send('curl', 'sh', self.path('send.sh'), 'u-1', tool='curl')

    def test_python(self):
        self.send('python', '/usr/bin/python3', self.path('send.py'), 'u-1')

    def test_node(self):
        self.send('node', 'node', self.path('send.mjs'), 'u-1')

    def test_go(self):
        self.send('go', 'go', 'run', self.path('send.go'), 'u-1')

    def test_c(self):
        if not shutil.which('cc'):
            self.skipTest('no cc')
        program = os.path.join(self.throng.folder, 'send')
        done = subprocess.run(['cc', '-std=gnu17', '-Wall', '-Wextra', '-Werror', self.path('send.c'), '-lcurl', '-o', program],
            capture_output=True, text=True)
        if 'curl/curl.h' in done.stderr:
            self.skipTest('no libcurl to compile with')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.send('c', program, 'u-1')

    def test_react_native(self):
        self.send('native', 'node', '--input-type=module', '-e', f"""
            const {{connect}} = await import('{self.path('react-native.mjs')}');
            let failures = 1;
            const throng = connect({{events: process.env.THRONG_EVENTS, key: process.env.THRONG_KEY, user: 'u-1',
                fetch: (...all) => failures-- > 0 ? Promise.reject(new Error('no network')) : fetch(...all)}});
            throng.track('signup', {{method: 'email'}});
            await throng.flush();""", accepts=None)

    def test_again_with_the_same_source(self):
        """A retry of the shell's example is told from a second event."""
        key = self.throng.add_app('again', [EVENT])
        environment = {**os.environ, 'THRONG_KEY': key, 'THRONG_EVENTS': f'http://127.0.0.1:{self.throng.port}/v1/events',
            'THRONG_SOURCE': throng.random_source()}
        for _ in range(2):
            subprocess.run(['sh', self.path('send.sh'), 'u-1'], check=True, capture_output=True, env=environment)
        self.assertEqual(self.throng.wait_tally('again', 2), (1, 1, 0))


if __name__ == '__main__':
    throng.main()
