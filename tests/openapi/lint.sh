#!/bin/sh
# lint.sh FILE: lint an OpenAPI description; 77 if the linter is not installed (`npm ci` in this folder installs it).
here=$(dirname "$(readlink -f "$0")")
redocly=$here/node_modules/.bin/redocly
if [ ! -x "$redocly" ] || ! command -v node >/dev/null; then
    echo "skipped: no redocly: npm ci in tests/openapi installs it"
    exit 77
fi
REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true exec "$redocly" lint --config "$here/redocly.yaml" "$1"
