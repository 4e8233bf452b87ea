#!/usr/bin/env bash
# lint.sh BUILD_FOLDER: clang-format and clang-tidy over every source file, by the compile commands of BUILD_FOLDER.
set -euo pipefail
build=$(readlink -f "$1")
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

mapfile -t files < <(find src tests fuzz -name '*.h' -o -name '*.cc' | sort)
clang-format-19 --dry-run --Werror "${files[@]}"
echo "clang-format: ${#files[@]} files"

start=$SECONDS
log=$build/clang-tidy.log
if ! run-clang-tidy-19 -quiet -p "$build" -j "$(nproc)" "^$PWD/(src|tests|fuzz)/.*\.cc$" >"$log" 2>&1; then
  grep -E -A 6 '(warning|error): ' "$log" | head -n 200
  echo "clang-tidy: $(grep -c -E ' (warning|error): ' "$log") findings, all of them in $log"
  exit 1
fi
echo "clang-tidy: clean in $((SECONDS - start)) s"
