#!/bin/sh
# No floating point in the release layer: rounding of a double is how noise mechanisms have leaked. Looks at the object code
# (instructions and what it would call), and at the sources' types. Moves of 16 bytes through xmm registers are no arithmetic.
#
#   no_float.sh LIBRARY COMPILER SOURCE_FOLDER
set -eu
library=$1 compiler=$2 sources=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Print what is floating point in an object file or archive; nothing if there is none.
floats() {
    objdump -d --no-show-raw-insn "$1" | awk -F '\t' 'NF >= 2 { split($2, word, " "); print word[1] }' | sort -u |
        grep -E -e '^v?(add|sub|mul|div|sqrt|rsqrt|rcp|min|max|cmp[a-z]*|u?comi|hadd|hsub|addsub|round|dp|un?pck[lh])(ss|sd|ps|pd)$' \
            -e '^v?cvt' -e '^vfn?m(add|sub)' -e '^f[a-z]' -e '^[su]cvtf' || true
    nm -u "$1" | awk '{ print $NF }' | sort -u |
        grep -E -e '^__(add|sub|mul|div|neg|float|floatun|fix|fixuns|extend|trunc|cmp|eq|ne|lt|le|gt|ge)[a-z]*[sdxt]f[0-9a-z]*$' \
            -e '^(exp|exp2|expm1|log|log2|log10|log1p|pow|sqrt|floor|ceil|round|lround|llround|rint|ldexp|frexp|fabs)[fl]?$' || true
}

# The gate must see what it is for.
plant() {
    printf '%s\n' "$1" > "$work/planted.c"
    "$compiler" -O2 -c "$work/planted.c" -o "$work/planted.o"
    if [ -z "$(floats "$work/planted.o")" ]; then
        echo "the planted floating point was not seen: $1" >&2
        exit 1
    fi
}
plant 'double planted(double a, double b) { return a * b; }'
plant 'long planted(long a) { return (long)((float)a * 0.1f); }'
plant 'long double planted(long double a) { return a + 1; }'
plant 'double planted(long a) { return (double)a; }'
plant 'double log(double); long planted(long a) { return (long)log((double)a); }'
printf '%s\n' 'struct s { long a[8]; }; void sound(struct s *t, const struct s *f) { *t = *f; }' > "$work/sound.c"
"$compiler" -O2 -c "$work/sound.c" -o "$work/sound.o"
if [ -n "$(floats "$work/sound.o")" ]; then
    echo "a copy of a struct was taken for floating point" >&2
    exit 1
fi

found=$(floats "$library")
if [ -n "$found" ]; then
    echo "floating point in $library:" $found >&2
    exit 1
fi
if ! objdump -d "$library" | grep -q '<cell_release>:'; then
    echo "$library does not hold the release layer" >&2
    exit 1
fi
if grep -nwE 'float|double|_Complex|<math\.h>|<float\.h>' "$sources"/*.c "$sources"/*.h "$sources"/*.def; then
    echo "a floating type or header in the release layer" >&2
    exit 1
fi
echo "no floating point in $(basename "$library")"
