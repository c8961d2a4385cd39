#!/usr/bin/python3
"""Include directions: a layer includes only what layers.txt allows it, by paths from the root."""
import os
import re
import sys

import gate

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"]', re.M)
LIBRARIES = ('sodium', 'seccomp.h', 'ini.h', 'hiredis', 'libpq-fe.h', 'postgresql', 'microhttpd.h', 'jansson.h', 'curl/',
    'zlib.h', 'cmocka.h', 'openssl/')
GENERATED = '.inc'  # made by the build, in its tree


def load_layers(path):
    layers = {}
    with open(path, encoding='utf-8') as file:
        for line in file:
            line = line.split('#')[0].strip()
            if line:
                folder, allowed, libraries, forbidden = [part.split() for part in line.split('|')]
                layers[folder[0]] = (allowed, libraries, forbidden)
    return layers


def layer_of(path, layers):
    matching = [folder for folder in layers if path.startswith(folder + '/')]
    return max(matching, key=len) if matching else None


def matches(name, patterns):
    return any(name == p or (p.endswith('*') and name.startswith(p[:-1])) for p in patterns)


def judge(path, form, name, layers, root):
    folder = layer_of(path, layers)
    if folder is None:
        return 'is in no layer of layers.txt'
    allowed, libraries, forbidden = layers[folder]
    if matches(name, forbidden):
        return f'must never include {name}'
    if form == '"':
        if '/' not in name or name.startswith('.'):
            return f'includes "{name}": name the path from the root'
        if name.endswith('main.c') or (name.endswith('.c') and folder != 'tests'):
            return f'includes a source file, {name}'
        if not os.path.exists(os.path.join(root, name)) and not name.endswith(GENERATED):
            return f'includes "{name}", which is not there'
        target = layer_of(name, layers)
        if target != folder and not matches(target or '', allowed):
            return f'({folder}) may not include from {target}: {name}'
    elif name.startswith(LIBRARIES) and not matches(name, libraries):
        return f'({folder}) may not use the library of <{name}>'
    return None


def check(root, build):
    layers = load_layers(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'layers.txt'))
    findings = []
    for path in gate.files(root, '.c', '.h', '.def', '.h.in', '.c.in'):
        text = gate.blank(gate.read(root, path), strings=False)
        for match in INCLUDE.finditer(text):
            problem = judge(path, match.group(1), match.group(2), layers, root)
            if problem:
                findings.append(f'{path}:{gate.line_of(text, match.start())}: {problem}')
    return findings


def planted(folder):
    clean = {'schema/a.h': '#include <stdint.h>\n', 'anonymizer/edge/keyd.h': '#include "schema/a.h"\n',
        'service/db/db.h': '#include <libpq-fe.h>\n#include "schema/a.h"\n', 'anonymizer/release/noise.h': '#include <sodium.h>\n',
        'service/ingest/x.c': '#include "anonymizer/edge/keyd.h"\n/* #include "service/db/db.h" */\n'}
    defects = {
        'schema looks up': ('schema/b.c', '#include "service/db/db.h"', 'never'),
        'ingest has a database': ('service/ingest/y.c', '#include "service/db/db.h"', 'never'),
        'ingest has libpq': ('service/ingest/y.c', '#include <libpq-fe.h>', 'never'),
        'aggregate asks keyd': ('service/aggregate/y.c', '  #  include "anonymizer/edge/keyd.h"', 'never'),
        'release asks keyd': ('service/release/y.c', '#include "anonymizer/edge/keyd.h"', 'never'),
        'cli asks keyd': ('service/cli/y.c', '#include "anonymizer/edge/keyd.h"', 'never'),
        'the API samples': ('api/y.c', '#include "anonymizer/release/noise.h"', 'never'),
        'the API has a stream': ('api/y.c', '#include "service/stream/stream.h"', 'never'),
        'the API reads requests of ingest': ('api/y.c', '#include "service/ingest/request.h"', 'never'),
        'series serves HTTP': ('api/series/y.c', '#include "service/http/reply.h"', 'never'),
        'the mechanism reads a clock': ('anonymizer/release/y.c', '#include <time.h>', 'never'),
        'the mechanism prints': ('anonymizer/release/y.c', '#include <stdio.h>', 'never'),
        'the mechanism logs': ('anonymizer/release/y.c', '#include "service/base/log.h"', 'never'),
        'edge looks at release': ('anonymizer/edge/y.c', '#include "anonymizer/release/noise.h"', 'may not include from'),
        'stream has a database': ('service/stream/y.c', '#include "service/db/db.h"', 'may not include from'),
        'base has Redis': ('service/base/y.c', '#include <hiredis/hiredis.h>', 'library'),
        'a path from here': ('service/db/y.c', '#include "db.h"', 'path from the root'),
        'no such header': ('service/db/y.c', '#include "schema/none.h"', 'not there'),
        'a folder outside the layers': ('attic/y.c', '#include "schema/a.h"', 'no layer'),
    }
    yield 'clean tree', gate.write_tree(os.path.join(folder, 'clean'), clean), '', None
    for name, (path, text, expected) in defects.items():
        root = gate.write_tree(os.path.join(folder, name), {**clean, path: text + '\n'})
        yield name, root, '', expected


if __name__ == '__main__':
    gate.main(sys.modules[__name__])
