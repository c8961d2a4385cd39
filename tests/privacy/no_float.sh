#!/bin/sh
# No floating point in the release layer: rounding of a double is how noise mechanisms have leaked. Looks at the object code
# (instructions and what it would call), and at the sources' types. Moves of 16 bytes through xmm registers are no arithmetic.
# Three files are outside, by name: epsilon and threshold, which say about the mechanism what no sampler may ask them, and range,
# which reads the bounds of a declared measure.
#
#   no_float.sh LIBRARY COMPILER SOURCE_FOLDER
set -eu
library=$1 compiler=$2 sources=$3
outside='epsilon threshold range'
samplers='noise bernoulli laplace gaussian sigma2 rational'
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

# mechanism LIBRARY COPY: the library without what is outside.
mechanism() {
    cp "$1" "$2"
    for name in $outside; do
        ar d "$2" "$name.c.o"
    done
}

# asks LIBRARY: what its samplers would call of what is outside.
asks() {
    for name in $samplers; do
        ar p "$1" "$name.c.o" >"$work/sampler.o"
        nm -u "$work/sampler.o" | awk '{ print $NF }' | grep -E "^($(echo $outside | tr ' ' '|'))_" || true
    done
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

# What is outside is so by its whole name, and hides nothing else.
printf '%s\n' 'double planted(double a, double b) { return a * b; }' > "$work/planted.c"
printf '%s\n' 'int epsilon_planted(void); int sound(void) { return epsilon_planted(); }' > "$work/sound.c"
"$compiler" -O2 -c "$work/sound.c" -o "$work/sound.o"
for name in $outside; do
    "$compiler" -O2 -c "$work/planted.c" -o "$work/$name.c.o"
    ar rc "$work/outside.a" "$work/$name.c.o"
done
for name in $samplers; do
    cp "$work/sound.o" "$work/$name.c.o"
    ar rc "$work/outside.a" "$work/$name.c.o"
done
mechanism "$work/outside.a" "$work/mechanism.a"
if [ -n "$(floats "$work/mechanism.a")" ]; then
    echo "what is outside the mechanism was taken for a part of it" >&2
    exit 1
fi
if [ -z "$(asks "$work/outside.a")" ]; then
    echo "a planted sampler that asks for an epsilon was not seen" >&2
    exit 1
fi
for name in gaussian rational my_epsilon epsilon_of; do
    cp "$work/outside.a" "$work/hiding.a"
    "$compiler" -O2 -c "$work/planted.c" -o "$work/$name.c.o"
    ar rc "$work/hiding.a" "$work/$name.c.o"
    mechanism "$work/hiding.a" "$work/mechanism.a"
    if [ -z "$(floats "$work/mechanism.a")" ]; then
        echo "the floating point planted in $name was not seen" >&2
        exit 1
    fi
done

# And is what it claims to be: without floating point there would be nothing to leave out.
for name in $outside; do
    ar p "$library" "$name.c.o" >"$work/outside.o"
    if [ -z "$(floats "$work/outside.o")" ]; then
        echo "$name has no floating point, or is not there: it need not be outside" >&2
        exit 1
    fi
done
asked=$(asks "$library")
if [ -n "$asked" ]; then
    echo "a sampler asks what is outside the mechanism:" $asked >&2
    exit 1
fi
mechanism "$library" "$work/mechanism.a"
found=$(floats "$work/mechanism.a")
if [ -n "$found" ]; then
    echo "floating point in $library:" $found >&2
    exit 1
fi
for symbol in cell_release cell_protect noise_apply noise_add plan_make plan_level gaussian_sample laplace_sample bernoulli_exp accounting_total; do
    if ! nm "$work/mechanism.a" | grep -q " T $symbol\$"; then
        echo "$library does not hold the release layer: no $symbol" >&2
        exit 1
    fi
done
inside=$(for path in "$sources"/*.c "$sources"/*.h "$sources"/*.def; do
    case " $outside " in
    *" $(basename "${path%.*}") "*) ;;
    *) echo "$path" ;;
    esac
done)
if grep -nwE 'float|double|_Complex|<math\.h>|<float\.h>' $inside; then
    echo "a floating type or header in the release layer" >&2
    exit 1
fi
echo "no floating point in $(basename "$library") but in: $outside"
