#!/usr/bin/python3
"""Function length: no function over 80 lines; prints the median, the ninth decile and how deep the code is nested."""
import os
import re
import sys

import gate

FOLDERS = ('schema/', 'anonymizer/', 'compliance/', 'service/', 'api/')
LONGEST = 80
HEAD = re.compile(r'(\w+)\s*\([^;{}]*\)\s*(?:__attribute__\(\(.*?\)\)\s*)?$', re.S)


def functions(text):
    """(name, first line, lines, lines three or more blocks deep) of every function body in text."""
    code = re.sub(r'^[ \t]*#(?:[^\n]*\\\n)*[^\n]*', lambda m: re.sub(r'[^\n]', ' ', m.group(0)), gate.blank(text), flags=re.M)
    depth = start = since = 0
    name = None
    for match in re.finditer(r'[{};]', code):
        at, char = match.start(), match.group(0)
        if char == '{':
            if depth == 0:
                head = HEAD.search(code[since:at].rstrip())
                name, start = (head.group(1), at) if head else (None, at)
            depth += 1
        elif char == '}':
            depth -= 1
            if depth == 0 and name:
                yield name, gate.line_of(code, start), code.count('\n', start, at) + 1, deep_lines(code[start:at + 1])
        if depth == 0:
            since = at + 1


def deep_lines(body):
    deep = depth = 0
    for line in body.split('\n'):
        if depth >= 4 and line.strip():
            deep += 1
        depth += line.count('{') - line.count('}')
    return deep


def check(root, build):
    findings = []
    lengths = []
    deep = 0
    for path in gate.files(root, '.c'):
        if not path.startswith(FOLDERS):
            continue
        for name, line, count, below in functions(gate.read(root, path)):
            lengths.append((count, f'{path}:{line}: {name}'))
            deep += below
            if count > LONGEST:
                findings.append(f'{path}:{line}: {name} has {count} lines, more than {LONGEST}')
    lengths.sort()
    if lengths:
        report(lengths, deep)
    return findings


def report(lengths, deep):
    total = sum(count for count, _ in lengths)
    print(f'{len(lengths)} functions, median {lengths[len(lengths) // 2][0]} lines, '
        f'nine in ten at most {lengths[len(lengths) * 9 // 10][0]}; {100 * deep / total:.1f} % of their lines are '
        'three or more blocks deep')
    for count, where in lengths[-5:]:
        print(f'  {count:4} {where}')


def planted(folder):
    def source(lines):
        return '#include <x.h>\nstruct s {\n    int a;\n};\n\nstatic int f(int a,\n    int b)\n{\n' + '    a();\n' * lines + '}\n'
    yield 'clean', gate.write_tree(os.path.join(folder, 'clean'), {'schema/a.c': source(LONGEST - 2)}), '', None
    yield 'too long', gate.write_tree(os.path.join(folder, 'long'), {'schema/a.c': source(LONGEST + 1)}), '', 'f has 8'
    yield 'long with a struct in it', gate.write_tree(os.path.join(folder, 'inner'),
        {'service/x/a.c': source(100).replace('    a();\n', '    struct { int c; } d; /* } */ char e = \'}\';\n', 3)}), '', 'f has 10'


if __name__ == '__main__':
    gate.main(sys.modules[__name__])
