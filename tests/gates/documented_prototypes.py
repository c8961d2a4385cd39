#!/usr/bin/python3
"""Documented prototypes: a header starts with what it is for (and Sees, Uses, Threads, Failure where they apply), has its
guard, and no prototype stands without a contract before it. No typedef hides a pointer."""
import os
import re
import sys

import gate

FOLDERS = ('schema/', 'anonymizer/', 'compliance/', 'service/', 'api/')
PROTOTYPE = re.compile(r'^[A-Za-z_][^;{}()#=]*\([^;{}]*\)[^;{}]*;', re.M | re.S)
POINTER_TYPEDEF = re.compile(r'^\s*typedef\b[^;(]*\*\s*\w+\s*;', re.M)


def blank_bodies(text):
    """Blank what stands inside braces and in preprocessor lines, so that only declarations at file level are left."""
    out = list(text)
    depth = 0
    directive = False
    for at, char in enumerate(text):
        if char == '#' and text[text.rfind('\n', 0, at) + 1:at].strip() == '':
            directive = True
        if char == '\n' and directive and text[at - 1] != '\\':
            directive = False
        inside = depth > 0 or directive
        if not directive:
            depth += (char == '{') - (char == '}')
        if inside and char != '\n' and depth + directive > 0:
            out[at] = ' '
    return ''.join(out)


def head_problems(text):
    problems = []
    head = re.match(r'/\*.*?\*/', text, re.S)
    if not head:
        return ['does not begin with a comment on what it is for']
    words = re.findall(r'^ \* (Sees|Uses|Threads|Failure):', head.group(0), re.M)
    declares = PROTOTYPE.search(blank_bodies(gate.blank(text)))
    if declares and 'Uses' not in words and 'Sees' not in words:
        problems.append('its first comment says neither Sees: nor Uses:')
    if len(head.group(0)) < 80:
        problems.append('its first comment is too short to be a contract')
    return problems


def check_header(path, text):
    findings = [f'{path}: {problem}' for problem in head_problems(text)]
    if not re.search(r'^#ifndef THRONG_\w+_H\n#define THRONG_\w+_H\n', text, re.M):
        findings.append(f'{path}: has no guard THRONG_…_H')
    code = blank_bodies(gate.blank(text))
    for match in PROTOTYPE.finditer(code):
        before = text[:match.start()].rstrip(' \t').removesuffix('\n')
        statement = ' '.join(text[match.start():match.end()].split())
        if statement.startswith(('typedef', 'static inline', '_Static_assert', 'static_assert')) and 'inline' not in statement:
            continue
        if not before.rstrip(' \t').endswith('*/'):
            findings.append(f'{path}:{gate.line_of(text, match.start())}: no contract before: {statement[:80]}')
    for match in re.finditer(r'^static inline[^;{}]*\{', gate.blank(text), re.M):
        before = text[:match.start()].rstrip(' \t').removesuffix('\n')
        if not before.rstrip(' \t').endswith('*/'):
            findings.append(f'{path}:{gate.line_of(text, match.start())}: no contract before an inline function')
    for match in POINTER_TYPEDEF.finditer(gate.blank(text)):
        findings.append(f'{path}:{gate.line_of(text, match.start())}: a typedef hides a pointer')
    return findings


def check(root, build):
    findings = []
    for path in gate.files(root, '.h'):
        if path.startswith(FOLDERS):
            findings += check_header(path, gate.read(root, path))
    return findings


def planted(folder):
    clean = '''/*
 * Things: what a thing is, in one paragraph that is long enough to tell something to a reader.
 *
 * Uses:     libc.
 */
#ifndef THRONG_SCHEMA_A_H
#define THRONG_SCHEMA_A_H

#include <stdint.h>

struct thing {
    int (*call)(void *context);
};

#define THING(x) do_thing(x);

/* Do it with x, a number of things. */
int a_do(int x,
    int y);
/* See a_do. */
int a_again(void) __attribute__((pure));

#endif
'''
    defects = {
        'no contract': (clean.replace('/* See a_do. */\n', ''), 'no contract before: int a_again'),
        'a gap': (clean.replace('/* See a_do. */\n', '/* See a_do. */\n\n'), 'no contract before: int a_again'),
        'no first comment': (clean[clean.index('#ifndef'):], 'does not begin'),
        'no Uses': (clean.replace('Uses:', 'Users'), 'neither Sees'),
        'no guard': (clean.replace('#define THRONG_SCHEMA_A_H\n', ''), 'no guard'),
        'a hidden pointer': (clean.replace('/* See', 'typedef struct thing *thing_handle;\n/* See'), 'typedef hides'),
    }
    yield 'clean header', gate.write_tree(os.path.join(folder, 'clean'), {'schema/a.h': clean}), '', None
    for name, (text, expected) in defects.items():
        yield name, gate.write_tree(os.path.join(folder, name), {'schema/a.h': text}), '', expected


if __name__ == '__main__':
    gate.main(sys.modules[__name__])
