#!/usr/bin/env bash
# lint.sh BUILD_FOLDER: clang-format and clang-tidy over every source file, by the compile commands of BUILD_FOLDER.
set -euo pipefail
build=$(readlink -f "$1")
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

mapfile -t files < <(find src tests fuzz -name '*.h' -o -name '*.cc' | sort)
clang-format-19 --dry-run --Werror "${files[@]}"
echo "clang-format: ${#files[@]} files"

python3 tools/clang_tidy.py "$build"
