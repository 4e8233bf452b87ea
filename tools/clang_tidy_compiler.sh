#!/bin/sh
# clang-tidy in the place of a compiler, so that ccache remembers which sources it found clean: clang_tidy_compiler.sh ARGUMENTS
# Preprocesses as clang does; "compiles" by checking the source, into an object that says no more than that it was clean.
set -eu
output= source= previous= checks=1
for argument; do
  case $argument in -E) checks= ;; *.cc) source=$argument ;; esac
  [ "$previous" != -o ] || output=$argument
  previous=$argument
done
# With comments and macros, which clang-tidy looks at too.
[ -n "$checks" ] || exec clang++-19 -CC -dD "$@"
clang-tidy-19 --quiet "--config-file=$(dirname "$0")/../.clang-tidy" "$source" -- "$@" >&2
echo clean >"$output"
