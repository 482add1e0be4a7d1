#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# probe.sh DIRECTORY: compiles each DIRECTORY/NAME.c against the kernel's headers and writes a header with HAVE_NAME
# for those that compile. A probe says in its line `absent: REGEX` how the compiler complains when the kernel lacks
# the thing, in the words of gcc; any other complaint is an error of the build, not an answer. CC and CFLAGS come
# from Kbuild.

directory=$1
baseline="$directory/baseline.c"

compile () {
	# shellcheck disable=SC2086 # CC and CFLAGS are lists of words
	LC_ALL=C $CC $CFLAGS -DMODULE -DKBUILD_MODNAME='"nfkit"' -DKBUILD_BASENAME='"probe"' \
		-Werror=implicit-function-declaration -Werror=incompatible-pointer-types -fsyntax-only "$1" 2>&1
}

# clang since version 15 says the same in other words.
in_words_of_gcc () {
	sed -e 's/call to undeclared function/implicit declaration of function/' \
		-e "s/'\([^']*\)' file not found/\1: No such file or directory/" \
		-e 's/incompatible integer to pointer conversion/makes pointer from integer without a cast,/'
}

said=$(compile "$baseline") || {
	printf 'nfkit: cannot compile against these kernel headers:\n%s\n' "$said" >&2
	exit 1
}

echo '/* Made by compat/probe.sh. */'
for probe in "$directory"/*.c; do
	[ "$probe" = "$baseline" ] && continue
	name=$(basename "$probe" .c | tr '[:lower:]' '[:upper:]')
	absent=$(sed -n 's/.*absent: \(.*\)$/\1/p' "$probe")
	if said=$(compile "$probe"); then
		echo "#define HAVE_$name 1"
	elif printf '%s\n' "$said" | in_words_of_gcc | grep 'error:' | grep -Eqv "$absent"; then
		printf 'nfkit: probe %s failed in a way that says nothing about this kernel:\n%s\n' "$name" "$said" >&2
		exit 1
	else
		echo "/* HAVE_$name is not set */"
	fi
done
