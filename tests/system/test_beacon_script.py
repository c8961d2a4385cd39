#!/usr/bin/python3
"""The beacon as throng-ingest serves it: the bytes of the tree, in both forms, to anybody; where it is configured, or not at all."""
import gzip
import os
import unittest

import throng

EMBEDDED = os.path.join(throng.SOURCE, 'api', 'beacon', 'embedded')
PATH = '/v1/beacon.js'


def read(name):
    with open(os.path.join(EMBEDDED, name), 'rb') as file:
        return file.read()


class BeaconScript(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.throng = throng.Throng().__enter__()
        cls.addClassCleanup(cls.throng.__exit__, None, None, None)

    def ask(self, method='GET', path=PATH, **headers):
        connection = self.throng.connect()
        try:
            # http.client would ask for `identity` by itself
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name.replace('_', '-'), value)
            connection.endheaders()
            answer = connection.getresponse()
            return answer.status, answer.read(), dict(answer.getheaders())
        finally:
            connection.close()

    def check_headers(self, headers):
        self.assertEqual(headers['Access-Control-Allow-Origin'], '*')
        self.assertEqual(headers['Cross-Origin-Resource-Policy'], 'cross-origin')
        self.assertEqual(headers['Cache-Control'], 'public, max-age=3600')
        self.assertEqual(headers['Vary'], 'Accept-Encoding')
        self.assertEqual(headers['X-Content-Type-Options'], 'nosniff')
        self.assertRegex(headers['ETag'], '^"[0-9a-f]{32}"$')

    def test_as_it_is(self):
        status, body, headers = self.ask()
        self.assertEqual((status, body), (200, read('beacon.js')))
        self.check_headers(headers)
        self.assertEqual(headers['Content-Type'], 'text/javascript; charset=utf-8')
        self.assertEqual(headers['Content-Length'], str(len(body)))
        self.assertNotIn('Content-Encoding', headers)

    def test_described(self):
        self.assertEqual(self.throng.get(PATH)[0], 200)
        status, _, headers = self.throng.get(PATH, {'Accept-Encoding': 'identity'})
        self.assertEqual(self.throng.get(PATH, {'If-None-Match': headers['ETag'], 'Accept-Encoding': 'identity'})[0], 304)

    def test_compressed(self):
        status, body, headers = self.ask(Accept_Encoding='br;q=1, gzip;q=0.8, deflate')
        self.assertEqual((status, body), (200, read('beacon.js.gz')))
        self.assertEqual(gzip.decompress(body), read('beacon.js'))
        self.check_headers(headers)
        self.assertEqual((headers['Content-Encoding'], headers['Content-Type']), ('gzip', 'text/javascript; charset=utf-8'))
        self.assertNotEqual(headers['ETag'], self.ask()[2]['ETag'], 'a strong tag is of these bytes')

    def test_accept_encoding(self):
        takes = ['gzip', 'GZIP', 'x-gzip', '*', 'deflate, gzip', 'gzip;q=1', 'gzip; q=0.001', '*;q=0, gzip', 'br,gzip;q=0.5,*;q=0']
        leaves = ['', 'identity', 'br', 'gzip;q=0', 'gzip; Q=0.000', '*;q=0', 'gzip;q=0, *', 'gzipped', 'my-gzip', ',;,', 'gzip;q=', 'q=1']
        for given in takes + leaves:
            coding = self.ask(Accept_Encoding=given)[2].get('Content-Encoding')
            self.assertEqual(coding, 'gzip' if given in takes else None, given)

    def test_known_already(self):
        for accepted in ('identity', 'gzip'):
            tag = self.ask(Accept_Encoding=accepted)[2]['ETag']
            for known in (tag, 'W/' + tag, f'"a", {tag}', '*'):
                status, body, headers = self.ask(Accept_Encoding=accepted, If_None_Match=known)
                self.assertEqual((status, body), (304, b''), known)
                self.check_headers(headers)
            for known in ('"a"', tag[:-2] + '"', tag.strip('"')):
                self.assertEqual(self.ask(Accept_Encoding=accepted, If_None_Match=known)[0], 200, known)

    def test_head(self):
        for accepted in ('identity', 'gzip'):
            status, body, headers = self.ask('HEAD', Accept_Encoding=accepted)
            _, whole, like_get = self.ask(Accept_Encoding=accepted)
            headers.pop('Date'), like_get.pop('Date')
            self.assertEqual((status, body, headers), (200, b'', like_get))
            self.assertEqual(int(headers['Content-Length']), len(whole))

    def test_methods(self):
        for method in ('POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'):
            status, _, headers = self.ask(method, Content_Length='0')
            self.assertEqual((status, headers['Allow']), (405, 'GET, HEAD'), method)

    def test_counted(self):
        before = self.throng.metric('ingest', 'throng_http_requests_total', PATH)
        self.ask()
        self.assertEqual(self.throng.metric('ingest', 'throng_http_requests_total', PATH), before + 1)


class Configured(unittest.TestCase):
    def test_elsewhere(self):
        with throng.Throng({'THRONG_INGEST_BEACON_PATH': '/assets/b.js'}) as installation:
            self.assertEqual(installation.get('/assets/b.js')[1], read('beacon.js'))
            self.assertEqual(self.status(installation, PATH), 404)

    def test_not_at_all(self):
        with throng.Throng({'THRONG_INGEST_BEACON_PATH': ''}) as installation:
            for path in (PATH, '/', '*'):
                self.assertEqual(self.status(installation, path), 404, path)

    @staticmethod
    def status(installation, path):
        connection = installation.connect()
        try:
            connection.request('GET', path)
            return connection.getresponse().status
        finally:
            connection.close()


if __name__ == '__main__':
    throng.main()
