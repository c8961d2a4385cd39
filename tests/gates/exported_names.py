#!/usr/bin/python3
"""Exported names: every global symbol of foo.c.o starts with foo_; main.c exports main; a command's file NAME_command."""
import os
import subprocess
import sys

import gate

FOLDERS = ('schema/', 'anonymizer/', 'compliance/', 'service/', 'api/')
# Symbols that tools put there: sanitizers, coverage.
TOOLS = ('__asan', '__odr_asan', '__tsan', '__gcov', '_DYNAMIC', '__start_', '__stop_')


def objects(build):
    """(source path from the root, object path) of every object of the layers."""
    for folder, _, names in os.walk(build):
        for name in names:
            if name.endswith('.c.o'):
                full = os.path.join(folder, name)
                inside = os.path.relpath(full, build)
                if inside.startswith('CMakeFiles/') and '.dir/' in inside:
                    source = inside.split('.dir/', 1)[1][:-2]
                    if source.startswith(FOLDERS):
                        yield source, full


def globals_of(path):
    out = subprocess.run(['nm', '-g', '--defined-only', '-P', path], check=True, capture_output=True, text=True).stdout
    return [line.split()[0] for line in out.splitlines() if line.strip()]


def check(root, build):
    findings = []
    seen = 0
    for source, path in sorted(objects(build)):
        if not os.path.exists(os.path.join(root, source)):
            continue
        seen += 1
        stem = os.path.basename(source)[:-2]
        for symbol in globals_of(path):
            if symbol.startswith(TOOLS):
                continue
            good = symbol == 'main' if stem == 'main' else symbol.startswith(stem + '_')
            if not good:
                findings.append(f'{source}: exports {symbol}')
    if not seen:
        return gate.SKIP
    return findings


def compile_tree(folder, tree):
    root = gate.write_tree(os.path.join(folder, 'root'), tree)
    build = os.path.join(folder, 'build')
    for source in tree:
        target = os.path.join(build, 'CMakeFiles/x.dir', source + '.o')
        os.makedirs(os.path.dirname(target), exist_ok=True)
        subprocess.run(['cc', '-c', os.path.join(root, source), '-o', target], check=True)
    return root, build


def planted(folder):
    clean = {'schema/packet.c': 'static int helper(void){return 1;}\nint packet_one(void){return helper();}\n',
        'service/cli/main.c': 'static int x; int main(void){return x;}\n',
        'service/cli/query.c': 'int query_command(void){return 0;}\n'}
    defects = {
        'a stranger': ('schema/packet.c', 'int put(void){return 1;}\n', 'exports put'),
        'a near name': ('schema/packet.c', 'int packets_of(void){return 1;}\n', 'exports packets_of'),
        'a variable': ('schema/packet.c', 'int counter;\n', 'exports counter'),
        'main has more': ('service/cli/main.c', 'int main(void){return 0;}\nint usage(void){return 2;}\n', 'exports usage'),
        'a command of another name': ('service/cli/query.c', 'int look_command(void){return 0;}\n', 'exports look_command'),
    }
    root, build = compile_tree(os.path.join(folder, 'clean'), clean)
    yield 'clean tree', root, build, None
    for name, (path, text, expected) in defects.items():
        root, build = compile_tree(os.path.join(folder, name), {**clean, path: text})
        yield name, root, build, expected


if __name__ == '__main__':
    gate.main(sys.modules[__name__])
