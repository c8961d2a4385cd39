#!/bin/sh
# package.sh DASHBOARD: the compressed files that throng-api carries are the others compressed, none of them asks anything of
# another host, and all are what their source builds to. 77 if what `npm ci` in DASHBOARD installs is not there (what needs no node
# is checked all the same).
set -eu
dashboard=$1
embedded=$dashboard/embedded

for file in "$embedded"/*.gz; do
    gzip -9nc <"${file%.gz}" | cmp - "$file"
done
# Names of XML vocabularies are no addresses that anything is fetched from.
if grep -noE '(https?:)?//[a-z0-9.-]+\.[a-z]{2,}[^"'\'' )]*' "$embedded/index.html" "$embedded/dashboard.js" "$embedded/dashboard.css" "$embedded/icon.svg" |
    grep -v '//www\.w3\.org/'; then
    echo "an address of another host" >&2
    exit 1
fi
if grep -nE '<script>|<style|[[:space:]](style|on[a-z]+)=' "$embedded/index.html"; then
    echo "the page has a script or style of its own, which its policy forbids" >&2
    exit 1
fi
for lock in "$dashboard/package-lock.json" "$(dirname "$0")/package-lock.json"; do
    if grep -n '"resolved"' "$lock"; then
        echo "$lock names a registry" >&2
        exit 1
    fi
done
if ! command -v node >/dev/null || [ ! -x "$dashboard/node_modules/.bin/tsc" ]; then
    echo "skipped: npm ci in $dashboard installs what builds it"
    exit 77
fi

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
node "$dashboard/build.mjs" --out "$out"
for file in "$embedded"/* "$out"/*; do
    cmp "$embedded/${file##*/}" "$out/${file##*/}"
done
"$dashboard/node_modules/.bin/tsc" --project "$dashboard"
echo "package: what is carried is what the source builds to"
