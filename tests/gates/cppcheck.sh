#!/bin/sh
# cppcheck finds nothing in our C; and it does find what is planted. Usage: cppcheck.sh SOURCE-ROOT
set -u
command -v cppcheck >/dev/null || { echo "skipped: cppcheck is not installed"; exit 77; }

# check INCLUDE-ROOT FOLDER...: jansson's loops are told as conditions, so uninitialised variables are left to the
# compilers and sanitizers; and what cppcheck 2.10 cannot parse is left out.
check() {
    cppcheck --quiet --error-exitcode=1 --enable=warning,performance,portability --std=c11 -D_GNU_SOURCE \
        '-Djson_array_foreach(a,i,v)=if(1)' '-Djson_object_foreach(o,k,v)=if(1)' \
        '-Djson_object_foreach_safe(o,n,k,v)=if(1)' --suppress=missingIncludeSystem --suppress=internalAstError \
        --suppress=uninitvar --suppress=legacyUninitvar -I "$@"
}

planted=$(mktemp -d)
trap 'rm -r "$planted"' EXIT
cat >"$planted/planted.c" <<'END'
#include <stdlib.h>
int planted(void);
int planted(void)
{
    int *list = malloc(4 * sizeof *list);
    list[4] = 1;
    return list[4];
}
END
if check "$planted" "$planted" 2>/dev/null; then
    echo "a planted write behind the end of a buffer was not found"
    exit 1
fi
check "$1" "$1/schema" "$1/anonymizer" "$1/service" "$1/compliance" "$1/api" 2>&1 | grep -v '^$' && exit 1
echo "nothing found"
