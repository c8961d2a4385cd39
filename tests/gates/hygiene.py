#!/usr/bin/python3
"""Hygiene: nothing unfinished, no path of somebody's machine, no blanks at line ends, no tabs in C, no conflict marks."""
import os
import re
import sys

import gate

BINARY = ('.png', '.gz', '.ico', '.bin', '.woff2', '.jpg', '.pyc')
UNFINISHED = re.compile(r'\b(' + '|'.join(['TO' + 'DO', 'FIX' + 'ME', 'XX' + 'X', 'HA' + 'CK', 'T' + 'BD']) + r')\b')
STAND_IN = re.compile(r'not (yet )?implemen' + r'ted|placehol' + r'der|lorem ip' + r'sum', re.I)
MACHINE = re.compile(r'(?<![\w.])(/' + r'work/|/ho' + r'me/\w|/ro' + r'ot/)')
TEMPORARY = re.compile(r'(?<![\w.])/tm' + r'p/\w')  # tests may name places there
CONFLICT = re.compile(r'^(<{7} |={7}$|>{7} )', re.M)
# Words of their own trade: HTML's attribute, SQL's and C's parameters.
STAND_IN_ALLOWED = ('.html', '.css', '.js')


def line_findings(path, number, line):
    if line != line.rstrip():
        yield f'{path}:{number}: blanks at the end'
    if UNFINISHED.search(line):
        yield f'{path}:{number}: unfinished: {line.strip()[:60]}'
    if STAND_IN.search(line) and not path.endswith(STAND_IN_ALLOWED):
        yield f'{path}:{number}: a stand-in: {line.strip()[:60]}'
    if MACHINE.search(line) or (TEMPORARY.search(line) and not path.startswith('tests/')):
        yield f'{path}:{number}: a path of some machine: {line.strip()[:60]}'
    if '\t' in line and path.endswith(('.c', '.h', '.def', '.sql', '.py')):
        yield f'{path}:{number}: a tab'


def file_findings(path, raw):
    try:
        text = raw.decode('utf-8')
    except UnicodeDecodeError:
        return [f'{path}: is not UTF-8']
    findings = []
    if '\r' in text:
        findings.append(f'{path}: carriage returns')
    if text and not text.endswith('\n'):
        findings.append(f'{path}: no newline at the end')
    if CONFLICT.search(text):
        findings.append(f'{path}: a mark of a conflict')
    for number, line in enumerate(text.split('\n'), 1):
        findings += line_findings(path, number, line)
    return findings


def check(root, build):
    findings = []
    for path in gate.files(root):
        if path.endswith(BINARY) or path == 'LICENSE' or path.startswith('tests/fuzz/corpus/'):
            continue
        full = os.path.join(root, path)
        if os.path.islink(full) or not os.path.isfile(full):
            continue
        with open(full, 'rb') as file:
            findings += file_findings(path, file.read())
    return findings


def planted(folder):
    defects = {
        'unfinished': ('a.c', b'int x; /* TO' + b'DO later */\n', 'unfinished'),
        'to be fixed': ('a.md', b'FIX' + b'ME\n', 'unfinished'),
        'a stand-in': ('a.c', b'return fail("not implemen' + b'ted");\n', 'stand-in'),
        'blanks': ('a.c', b'int x; \n', 'blanks'),
        'a machine': ('a.c', b'open("/ho' + b'me/me/x");\n', 'machine'),
        'another machine': ('run.sh', b'cd /wo' + b'rk/main\n', 'machine'),
        'a temporary place': ('service/a.c', b'open("/tm' + b'p/x");\n', 'machine'),
        'a tab': ('a.c', b'\tint x;\n', 'tab'),
        'returns': ('a.md', b'a\r\n', 'carriage'),
        'no newline': ('a.md', b'a', 'no newline'),
        'conflict': ('a.md', b'<<<<' + b'<<< HEAD\n', 'conflict'),
        'not UTF-8': ('a.md', b'\xff\n', 'UTF-8'),
    }
    yield 'clean', gate.write_tree(os.path.join(folder, 'clean'), {'a.c': 'int x;\n', 'b.md': 'Grüße\n'}), '', None
    for name, (path, raw, expected) in defects.items():
        root = gate.write_tree(os.path.join(folder, name), {'b.md': 'x\n'})
        os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
        with open(os.path.join(root, path), 'wb') as file:
            file.write(raw)
        yield name, root, '', expected


if __name__ == '__main__':
    gate.main(sys.modules[__name__])
