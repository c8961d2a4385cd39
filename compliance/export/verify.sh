#!/bin/sh
# Verify this bundle with a POSIX shell and openssl (3.0 or newer) alone:
#
#   sh verify.sh [VKEY]
#
# in the folder where it was unpacked. VKEY is the log's verifier key as you got it elsewhere; without it, the key in
# keys/log.vkey is believed. Checked: the hash of every file, the signatures under manifest.note and log/checkpoint, and that
# the entries of the log make the root that was signed. The last takes about a minute for ten thousand entries.
# Exit status: 0 nothing is wrong, 1 something is, 2 a program is missing.
set -eu
LC_ALL=C
export LC_ALL
umask 077
cd "$(dirname "$0")"
openssl version >/dev/null || exit 2
failed=0
work=${TMPDIR:-/tmp}/throng-verify.$$
mkdir "$work"
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

bad() {
    echo "NOT GOOD: $*"
    failed=1
}

hash_of() {
    openssl dgst -sha256 -r "$1" | cut -d' ' -f1
}

# --- every file has the hash that the manifest says, and there is no other ---

awk -F'"' 'BEGIN { RS = "}" } NF >= 8 { print $8, $2 }' manifest.json | sort -k2 >"$work/wanted"
cut -d' ' -f2 "$work/wanted" >"$work/names"
find . -type f | sed 's|^\./||' | grep -v -x -e manifest.json -e manifest.note | sort >"$work/present"
if ! cmp -s "$work/names" "$work/present"; then
    comm -23 "$work/names" "$work/present" >"$work/difference"
    while read -r name; do bad "$name is in the manifest and not in the bundle"; done <"$work/difference"
    comm -13 "$work/names" "$work/present" >"$work/difference"
    while read -r name; do bad "$name is in the bundle and not in the manifest"; done <"$work/difference"
fi
comm -12 "$work/names" "$work/present" | xargs openssl dgst -sha256 -r | sed 's/ \*/ /' | sort -k2 >"$work/have"
awk 'NR == FNR { hash[$2] = $1; next } hash[$2] != $1 { print $2 }' "$work/wanted" "$work/have" >"$work/difference"
while read -r name; do bad "$name does not have the hash that the manifest says"; done <"$work/difference"
echo "hashes: $(wc -l <"$work/names" | tr -d ' ') files"

# --- signatures ---

# signed NOTE: by one of the log's keys, and by none wrongly. The text goes to $work/text.
signed() {
    sed '/^$/,$d' "$1" >"$work/text"
    good=0
    while read -r vkey; do
        rest=${vkey#*+}
        name=${vkey%%+*} id=${rest%%+*} key=${rest#*+}
        {
            printf '\060\052\060\005\006\003\053\145\160\003\041\000'
            printf '%s' "$key" | openssl base64 -d -A | tail -c 32
        } >"$work/key.der"
        openssl pkey -pubin -inform DER -in "$work/key.der" -out "$work/key.pem"
        awk -v name="$name" 'f && $2 == name { print $3 } /^$/ { f = 1 }' "$1" >"$work/lines"
        while read -r line; do
            printf '%s' "$line" | openssl base64 -d -A >"$work/line"
            [ "$(od -An -tx1 "$work/line" | tr -d ' \n' | cut -c1-8)" = "$id" ] || continue
            tail -c 64 "$work/line" >"$work/signature"
            if openssl pkeyutl -verify -pubin -inkey "$work/key.pem" -rawin -in "$work/text" -sigfile "$work/signature" \
                >/dev/null 2>&1; then
                good=1
            else
                bad "$1: a signature of $name does not verify"
            fi
        done <"$work/lines"
    done <"$work/keys"
    [ "$good" = 1 ] || bad "$1 is not signed by the log's key"
}

if [ $# -gt 0 ]; then
    printf '%s\n' "$1" >"$work/keys"
else
    cp keys/log.vkey "$work/keys"
    echo "the log's key, as the bundle says: compare it with the one you got elsewhere"
    sed 's/^/    /' keys/log.vkey
fi
signed log/checkpoint
size=$(sed -n 2p log/checkpoint)
root=$(sed -n 3p log/checkpoint)
signed manifest.note
{
    printf '%s/bundle\n%s\n%s\n' "$(sed -n 1p log/checkpoint)" "$size" "$root"
    hash_of manifest.json
} >"$work/expected"
cmp -s "$work/text" "$work/expected" || bad "manifest.note is not about this manifest.json and checkpoint"
echo "signatures: log/checkpoint of size $size, manifest.note"

# --- the tree over the entries (RFC 6962, section 2.1) ---

# path INDEX WIDTH: of a tile, behind its level
path() {
    n=$(($1 / 1000)) p=$(printf '%03d' $(($1 % 1000)))
    while [ "$n" -gt 0 ]; do
        p=$(printf 'x%03d' $((n % 1000)))/$p
        n=$((n / 1000))
    done
    [ "$2" = 256 ] || p=$p.p/$2
    echo "$p"
}

# hash_all: SHA-256 of every file of $work/in, in the order of their names; they are removed
hash_all() {
    find "$work/in" -type f | sort | xargs openssl dgst -sha256 -r | cut -d' ' -f1
    rm -rf "$work/in"
}

# leaves FILE WIDTH: hashes of an entry bundle's entries: each is its length in two bytes, and itself
leaves() {
    od -An -v -tu1 "$1" | awk '{
        for (i = 1; i <= NF; i++) {
            if (left > 0) { left--; at++; continue }
            at++
            if (!half) { high = $i; half = 1; continue }
            half = 0; left = high * 256 + $i; print at, left
        }
    }' >"$work/places"
    [ "$(wc -l <"$work/places" | tr -d ' ')" = "$2" ] || bad "$1 does not hold $2 entries"
    mkdir "$work/in"
    k=1000
    while read -r at length; do
        { printf '\000' && dd if="$1" bs=1 skip="$at" count="$length" 2>/dev/null; } >"$work/in/$k"
        k=$((k + 1))
    done <"$work/places"
    hash_all
}

# octal: hexadecimal digits as printf takes them
octal() {
    awk '{
        text = ""
        for (i = 1; i < length($0); i += 2) {
            value = (index("0123456789abcdef", substr($0, i, 1)) - 1) * 16 + index("0123456789abcdef", substr($0, i + 1, 1)) - 1
            text = text sprintf("\\%03o", value)
        }
        print text
    }'
}

: >"$work/level"
index=0
while [ $((index * 256)) -lt "$size" ]; do
    width=$((size - index * 256))
    [ "$width" -le 256 ] || width=256
    tile=$(path "$index" "$width")
    if [ -f "log/tile/entries/$tile" ]; then
        leaves "log/tile/entries/$tile" "$width" >>"$work/level"
    else # bodies that were pruned
        od -An -v -tx1 "log/tile/0/$tile" | tr -d ' \n' | fold -w 64 >>"$work/level"
        echo >>"$work/level"
    fi
    index=$((index + 1))
done
while [ "$(wc -l <"$work/level")" -gt 1 ]; do
    mkdir "$work/in"
    awk 'NR % 2 { left = $0; next } { print "01" left $0 } END { if (NR % 2) print left >odd }' odd="$work/odd" "$work/level" |
        octal >"$work/nodes"
    k=1000000000
    while read -r node; do
        # shellcheck disable=SC2059 # the escapes are wanted
        printf "$node" >"$work/in/$k"
        k=$((k + 1))
    done <"$work/nodes"
    hash_all >"$work/level"
    if [ -f "$work/odd" ]; then
        cat "$work/odd" >>"$work/level"
        rm "$work/odd"
    fi
done
# shellcheck disable=SC2059 # the escapes are wanted
found=$(printf "$(octal <"$work/level")" | openssl base64 -A)
[ "$found" = "$root" ] || bad "the entries make the root $found, not $root"
echo "tree: $size entries"

[ "$failed" = 0 ] && echo "The bundle is good."
exit "$failed"
