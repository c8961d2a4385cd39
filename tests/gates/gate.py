"""What the gates share: the tree's files, C without its comments, and how a gate is run and proves itself.

A gate is a module with check(root, build) -> list of findings (strings) and planted(folder) -> list of
(name, root, build): trees with one defect each, which check must reject. `NAME.py --self-test` plays the planted
defects and a clean tree; `NAME.py` checks the real one. Exit status 0, 1 (findings), 77 (nothing to check here).
"""
import argparse
import os
import re
import sys
import tempfile

SKIP = 77


def skipped_folder(path):
    name = os.path.basename(path)
    return name in ('.git', '__pycache__', 'node_modules') or os.path.exists(os.path.join(path, 'CMakeCache.txt'))


def files(root, *endings):
    """Paths relative to root of all files that end in one of endings (none: all), without build trees."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if not skipped_folder(os.path.join(folder, f)))
        for name in sorted(names):
            if not endings or name.endswith(endings):
                found.append(os.path.relpath(os.path.join(folder, name), root))
    return found


def read(root, path):
    with open(os.path.join(root, path), encoding='utf-8', errors='replace') as file:
        return file.read()


TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def blank(text, strings=True):
    """text with comments (and the insides of strings) replaced by spaces: offsets and lines stay."""
    def replace(match):
        token = match.group(0)
        if token[0] in '"\'':
            if not strings:
                return token
            return token[0] + ' ' * (len(token) - 2) + token[-1]
        return re.sub(r'[^\n]', ' ', token)
    return TOKEN.sub(replace, text)


def line_of(text, offset):
    return text.count('\n', 0, offset) + 1


def write_tree(folder, tree):
    for path, text in tree.items():
        full = os.path.join(folder, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, 'w', encoding='utf-8') as file:
            file.write(text)
    return folder


def self_test(module):
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, root, build, expected in module.planted(folder):
            findings = module.check(root, build)
            if expected is None:
                good = not findings
            else:
                good = any(re.search(expected, finding) for finding in findings)
            print(f'{"ok  " if good else "FAIL"} {name}: {findings[:3]}')
            failed += not good
    print(f'self-test of {module.__name__}: {failed} failed')
    return 1 if failed else 0


def main(module):
    parser = argparse.ArgumentParser(description=module.__doc__)
    here = os.path.dirname(os.path.abspath(__file__))
    parser.add_argument('--root', default=os.path.dirname(os.path.dirname(here)))
    parser.add_argument('--build', default=os.environ.get('THRONG_BUILD', ''))
    parser.add_argument('--self-test', action='store_true')
    options = parser.parse_args()
    if options.self_test:
        sys.exit(self_test(module))
    findings = module.check(options.root, options.build)
    if findings == SKIP:
        print('skipped: nothing to check here')
        sys.exit(SKIP)
    for finding in findings:
        print(finding)
    print(f'{len(findings)} findings')
    sys.exit(1 if findings else 0)
