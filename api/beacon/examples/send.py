#!/usr/bin/env python3
"""Send one event with Python's own library. THRONG_EVENTS is the address of POST /v1/events, THRONG_KEY a key; the argument is
the user. A request that is tried again keeps its source and seq, so each event counts once; sent_at is set anew."""
import json
import os
import secrets
import sys
import time
import urllib.error
import urllib.request


def now_ms():
    return int(time.time() * 1000)


def send(events, tries=6):
    """Send events (name, ts, user, props); what the server answered."""
    source = secrets.token_urlsafe(24)
    events = [{'seq': seq, **event} for seq, event in enumerate(events)]
    for n in range(tries):
        body = json.dumps({'sent_at': now_ms(), 'source': source, 'events': events}).encode()
        request = urllib.request.Request(os.environ['THRONG_EVENTS'], body, {'Content-Type': 'application/json',
            'Authorization': 'Bearer ' + os.environ['THRONG_KEY']})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code not in (429, 503) or n == tries - 1:
                raise
        except OSError:
            if n == tries - 1:
                raise
        time.sleep(2 ** n)


if __name__ == '__main__':
    print(json.dumps(send([{'name': 'signup', 'ts': now_ms(), 'user': sys.argv[1], 'props': {'method': 'email'}}])))
