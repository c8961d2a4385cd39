#!/bin/sh
# package.sh BEACON: the script that is served is small enough, it and its compressed form are what its source gives, and the
# package suits those who import it. 77 if what `npm ci` in BEACON installs is not there (what needs no node is checked all the same).
set -eu
beacon=$(cd "$1" && pwd)
limit=1536

size=$(gzip -9nc <"$beacon/embedded/beacon.js" | wc -c)
echo "beacon.js: $(wc -c <"$beacon/embedded/beacon.js") bytes, $size after gzip -9, of $limit at most"
[ "$size" -le "$limit" ]
gzip -9nc <"$beacon/embedded/beacon.js" | cmp - "$beacon/embedded/beacon.js.gz"
for lock in "$beacon/package-lock.json" "$(dirname "$0")/package-lock.json"; do
    if grep -n '"resolved"' "$lock"; then
        echo "$lock names a registry" >&2
        exit 1
    fi
done
if ! command -v npm >/dev/null || ! command -v node >/dev/null || [ ! -x "$beacon/node_modules/.bin/tsc" ]; then
    echo "skipped: npm ci in $beacon installs what builds it"
    exit 77
fi

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
mkdir "$out/beacon"
cp -r "$beacon/src" "$beacon/package.json" "$beacon/tsconfig.json" "$beacon/build.mjs" "$beacon/README.md" "$out/beacon"
ln -s "$beacon/node_modules" "$out/beacon/node_modules"
cd "$out/beacon"
node build.mjs
cmp embedded/beacon.js "$beacon/embedded/beacon.js"
cmp embedded/beacon.js.gz "$beacon/embedded/beacon.js.gz"
cmp embedded/beacon.js.integrity "$beacon/embedded/beacon.js.integrity"
node_modules/.bin/tsc
node_modules/.bin/publint --strict
NO_COLOR=1 node_modules/.bin/attw --pack .
# Importing it touches nothing of a browser: it can be imported where there is none.
node --input-type=module -e "import('./dist/index.js').then(m => process.exit(typeof m.start === 'function' ? 0 : 1))"
node -e "process.exit(typeof require('./dist/index.cjs').start === 'function' ? 0 : 1)"
# An app's own types, as throng app types writes them, are accepted, and what they forbid is not.
cat >typed.ts <<'END'
import {start} from './dist/index.js';
type ThrongEvent =
    | {name: 'signup'; props?: {method?: 'email' | 'oauth'}}
    | {name: 'left'; props?: Record<string, never>};
const throng = start<ThrongEvent>({key: 'wk_x', events: '/v1/events'});
const anything = start({key: 'wk_x', events: '/v1/events'});
anything.track('whatever', {some: 1});
throng.track('signup', {method: 'email'});
throng.track('left');
// @ts-expect-error: no such event
throng.track('lefd');
// @ts-expect-error: no such value
throng.track('signup', {method: 'fax'});
END
node_modules/.bin/tsc --noEmit --strict --target es2021 --lib es2021,dom --module nodenext --moduleResolution nodenext typed.ts
echo "package: built, typed and importable"
