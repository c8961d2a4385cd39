#!/bin/sh
# run.sh TARGET SEEDS FOUND: run a libFuzzer target on its seeds; what it finds goes to FOUND, never among the seeds.
set -eu
target=$1 seeds=$2 found=$3
mkdir -p "$found/inputs"
if [ "${THRONG_LONG:-0}" = 1 ]; then
    bounds="-max_total_time=60"
else
    bounds="-runs=20000 -max_total_time=10"
fi
# shellcheck disable=SC2086 # two words are wanted
exec "$target" $bounds -max_len=8192 -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
    -artifact_prefix="$found/" "$found/inputs" "$seeds"
