#!/usr/bin/python3
"""Program linkage: what a program must not do, it has no code for. Needed libraries and symbols of the built programs."""
import os
import re
import subprocess
import sys

import gate

KEYS = r'^(keyd|pseudonym|keyring|keyfile|ratchet)_'
SAMPLER = r'^(sampler|noise|bernoulli|laplace|gaussian|discrete_gaussian)_'
DATABASE = r'^(PQ|db_)'
REDIS = r'^(redis|stream_)'
HTTP = r'^(MHD_|http_)'

# program: (libraries it must not need, symbols it must neither define nor want)
RULES = {
    'throng-ingest': (['libpq', 'libcurl'], [DATABASE, SAMPLER]),
    'throng-aggregate': (['libmicrohttpd', 'libcurl'], [HTTP, KEYS, SAMPLER]),
    'throng-release': (['libmicrohttpd', 'libhiredis', 'libcurl'], [HTTP, KEYS, REDIS]),
    'throng-api': (['libhiredis', 'libcurl'], [KEYS, SAMPLER, REDIS]),
    'throng': (['libmicrohttpd', 'libhiredis'], [HTTP, KEYS, REDIS, SAMPLER]),
    'throng-audit': (['libmicrohttpd', 'libhiredis'], [HTTP, KEYS, REDIS, SAMPLER]),
    'throng-witness': (['libpq', 'libhiredis', 'libcurl'], [DATABASE, KEYS, REDIS, SAMPLER]),
    'throng-verify': (['libpq', 'libhiredis', 'libcurl', 'libmicrohttpd', 'libssl'],
        [DATABASE, HTTP, KEYS, REDIS, SAMPLER, r'^(socket|connect|getaddrinfo)$']),
}
# What a program is for, it must have: else the rules above would pass on an empty file.
HAS = {'throng-ingest': [KEYS, HTTP, REDIS], 'throng-aggregate': [DATABASE, REDIS], 'throng-release': [DATABASE],
    'throng-api': [DATABASE, r'^MHD_'], 'throng': [DATABASE],
    'throng-audit': [DATABASE, r'^note_sign'], 'throng-witness': [r'^MHD_', r'^note_sign'], 'throng-verify': [r'^tree_verify']}


def needed(path):
    out = subprocess.run(['readelf', '-dW', path], check=True, capture_output=True, text=True).stdout
    return re.findall(r'\(NEEDED\).*\[(.+?)\]', out)


def symbols(path):
    names = set()
    for flags in (['-P'], ['-D', '-P']):
        out = subprocess.run(['nm', *flags, path], check=True, capture_output=True, text=True).stdout
        names.update(line.split()[0].split('@')[0] for line in out.splitlines() if line.strip())
    return names


def hardened(path):
    head = subprocess.run(['readelf', '-hldW', path], check=True, capture_output=True, text=True).stdout
    missing = []
    if 'DYN (' not in head:
        missing.append('is not position-independent')
    if 'GNU_RELRO' not in head or not re.search(r'BIND_NOW|FLAGS.*NOW', head):
        missing.append('is not linked relro and now')
    stack = re.search(r'GNU_STACK\s+(?:0x\S+\s+){5}(\S+)', head)
    if not stack or 'E' in stack.group(1):
        missing.append('has an executable stack')
    return missing


def check(root, build):
    findings = []
    found = 0
    for program, (libraries, patterns) in RULES.items():
        path = os.path.join(build, program)
        if not os.path.isfile(path):
            continue
        found += 1
        for library in needed(path):
            if any(library.startswith(name + '.so') or library.startswith(name + '-') for name in libraries):
                findings.append(f'{program}: is linked with {library}')
        names = symbols(path)
        for pattern in patterns:
            bad = sorted(name for name in names if re.search(pattern, name))
            if bad:
                findings.append(f'{program}: has {", ".join(bad[:5])}')
        for pattern in HAS.get(program, []):
            if not any(re.search(pattern, name) for name in names):
                findings.append(f'{program}: has nothing like {pattern}: stripped, or not what it should be')
        findings += [f'{program}: {problem}' for problem in hardened(path)]
    return findings if found else gate.SKIP


def link(folder, program, source, *flags):
    os.makedirs(folder, exist_ok=True)
    text = os.path.join(folder, program + '.c')
    with open(text, 'w', encoding='utf-8') as file:
        file.write(source + '\nint main(void){return 0;}\n')
    subprocess.run(['cc', '-fPIE', text, '-o', os.path.join(folder, program), '-pie', '-Wl,-z,relro,-z,now', *flags],
        check=True)


def planted(folder):
    good = {'throng-ingest': 'int keyd_map(void){return 0;} int http_start(void){return 0;} int stream_add(void){return 0;}',
        'throng-aggregate': 'int db_run(void){return 0;} int stream_read(void){return 0;}',
        'throng-release': 'int db_run(void){return 0;} int noise_draw(void){return 0;}',
        'throng-api': 'int db_run(void){return 0;} int MHD_serve(void){return 0;}', 'throng': 'int db_run(void){return 0;}'}
    pq = ['-Wl,--no-as-needed', '-lpq']
    defects = {
        'ingest with libpq': ('throng-ingest', '', pq, 'linked with libpq'),
        'ingest calls libpq': ('throng-ingest', 'void *PQconnectdb(const char*); void *x(void){return PQconnectdb("");}', pq,
            'has PQconnectdb'),
        'ingest samples': ('throng-ingest', 'int sampler_draw(void){return 0;}', [], 'has sampler_draw'),
        'ingest tosses coins': ('throng-ingest', 'int bernoulli_exp(void){return 0;}', [], 'has bernoulli_exp'),
        'aggregate with HTTP': ('throng-aggregate', '', ['-Wl,--no-as-needed', '-lmicrohttpd'], 'libmicrohttpd'),
        'aggregate knows keys': ('throng-aggregate', 'static int __attribute__((used)) keyd_map(void){return 0;}', [],
            'has keyd_map'),
        'release makes pseudonyms': ('throng-release', 'int pseudonym_make(void){return 0;}', [], 'has pseudonym_make'),
        'release with Redis': ('throng-release', '', ['-Wl,--no-as-needed', '-lhiredis'], 'libhiredis'),
        'the API samples': ('throng-api', 'int noise_apply(void){return 0;}', [], 'has noise_apply'),
        'the API draws noise': ('throng-api', 'int gaussian_sample(void){return 0;}', [], 'has gaussian_sample'),
        'the API draws a part of it': ('throng-api', 'int laplace_sample(void){return 0;}', [], 'has laplace_sample'),
        'the API with Redis': ('throng-api', '', ['-Wl,--no-as-needed', '-lhiredis'], 'libhiredis'),
        'the command samples': ('throng', 'int noise_draw(void){return 0;}', [], 'has noise_draw'),
        'a stripped program': ('throng-aggregate', '', ['-s'], 'stripped'),
        'an executable stack': ('throng-release', '', ['-z', 'execstack'], 'executable stack'),
    }
    for program, source in good.items():
        link(os.path.join(folder, 'clean'), program, source)
    yield 'clean programs', '', os.path.join(folder, 'clean'), None
    for name, (program, source, flags, expected) in defects.items():
        link(os.path.join(folder, name), program, good[program] + '\n' + source, *flags)
        yield name, '', os.path.join(folder, name), expected


if __name__ == '__main__':
    gate.main(sys.modules[__name__])
