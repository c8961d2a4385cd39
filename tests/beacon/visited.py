"""What a browser meets in the beacon's tests: a site whose pages bear the beacon, and on another origin the way to ingest,
which keeps every request it saw and can fail as networks and servers do."""
import contextlib
import http.client
import http.server
import json
import threading

NONCE = 'c2VjcmV0LW5vbmNl'


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, handler, owner):
        super().__init__(('127.0.0.1', 0), handler)
        self.owner = owner
        self.origin = f'http://127.0.0.1:{self.server_port}'
        threading.Thread(target=self.serve_forever, kwargs={'poll_interval': 0.05}, daemon=True).start()

    def handle_error(self, request, client_address):
        pass  # a browser that goes away is part of the tests


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *_):
        pass

    def answer(self, status, body=b'', headers=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Gateway(Handler):
    """In the place of ingest's public listener."""

    def do_GET(self):
        site = self.server.owner
        if self.path.startswith('/control/'):
            site.mode = self.path.rsplit('/', 1)[1]
            self.answer(204)
        elif self.path == '/v1/beacon.js':
            self.answer(200, site.script, {'Content-Type': 'text/javascript; charset=utf-8', 'Access-Control-Allow-Origin': '*'})
        elif self.path == '/index.js':
            self.answer(200, site.module, {'Content-Type': 'text/javascript; charset=utf-8', 'Access-Control-Allow-Origin': '*'})
        elif self.path == '/v1/seen':
            self.answer(200, str(site.count()).encode())
        else:
            self.answer(404)

    def do_OPTIONS(self):
        self.do_POST()

    def do_POST(self):
        site = self.server.owner
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        with site.lock:
            seen = {'method': self.command, 'path': self.path, 'headers': dict(self.headers.items()), 'body': body, 'mode': site.mode}
            site.requests.append(seen)
        mode = site.mode
        if mode == 'down':
            self.answer(503, b'{"type":"unavailable","status":503}', {'Access-Control-Allow-Origin': '*',
                'Content-Type': 'application/problem+json', 'Retry-After': '1'})
            return
        status, headers, answer = self.forward(body)
        seen['answer'] = (status, answer)
        if mode == 'mute':  # it was counted, but nobody hears of it
            self.close_connection = True
            return
        self.answer(status, answer, headers)

    def forward(self, body):
        connection = http.client.HTTPConnection('127.0.0.1', self.server.owner.port, timeout=30)
        with contextlib.closing(connection):
            kept = {name: value for name, value in self.headers.items() if name.lower() not in ('host', 'connection')}
            connection.request(self.command, self.path, body, kept)
            response = connection.getresponse()
            answer = response.read()
            return response.status, {name: value for name, value in response.getheaders()
                if name.lower() not in ('content-length', 'connection', 'date')}, answer


class Pages(Gateway):
    """Every path is the same page, with the tag that the test wants; and the way to ingest is here, too."""

    def do_GET(self):
        site = self.server.owner
        if self.path == '/favicon.ico':
            self.answer(404)
            return
        site.visits.append((self.path, self.headers.get('Sec-Purpose', ''), site.count()))
        headers = {'Content-Type': 'text/html; charset=utf-8', **site.headers}
        self.answer(200, site.page(self.path).encode(), headers)


class Site:
    """attributes: of the script's tag. Everything else of a page is there to be left alone by the beacon."""

    def __init__(self, script, integrity, port):
        self.script, self.integrity, self.port = script, integrity, port
        self.lock = threading.Lock()
        self.ingest = f'http://127.0.0.1:{port}'
        self.gateway = Server(Gateway, self)
        self.pages = Server(Pages, self)
        self.module = b''
        self.reset()

    def reset(self, **attributes):
        with self.lock:
            self.requests, self.visits = [], []
        self.mode = ''
        self.home = self.gateway.origin  # where the script comes from, and by default its events go
        self.attributes = attributes
        self.headers = {'Content-Security-Policy': f"default-src 'none'; script-src 'nonce-{NONCE}'; "
            f"connect-src {self.gateway.origin} {self.pages.origin} {self.ingest}; require-trusted-types-for 'script'; "
            "base-uri 'none'; form-action 'self'", 'Set-Cookie': 'private=secret-cookie; Path=/'}
        self.body = ''
        self.tag = None  # in the place of the script's tag

    def page(self, path):
        if self.tag is not None:
            return f'<!doctype html><html><head><title>secret-title</title>{self.tag}</head><body>{self.body}</body></html>'
        names = {'bots': 'yes', **self.attributes}
        attributes = ' '.join(f"data-{name.replace('_', '-')}='{value}'" for name, value in names.items() if value is not None)
        return f"""<!doctype html><html><head><meta charset="utf-8"><title>secret-title</title>
<script nonce="{NONCE}" src="{self.home}/v1/beacon.js" integrity="{self.integrity}" crossorigin="anonymous" {attributes}></script>
</head><body><form><input name="private" value="secret-field"></form>{self.body}</body></html>"""

    def sent(self):
        """The parsed bodies of POSTs, in order of arrival."""
        with self.lock:
            return [json.loads(request['body']) for request in self.requests if request['method'] == 'POST']

    def events(self):
        """{(source, seq): event} of everything that arrived."""
        return {(body['source'], event['seq']): event for body in self.sent() for event in body['events']}

    def named(self, name):
        return [event for event in self.events().values() if event['name'] == name]

    def count(self):
        return len(self.events())

    def close(self):
        for server in (self.gateway, self.pages):
            server.shutdown()
            server.server_close()
