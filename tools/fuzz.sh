#!/bin/sh
# Builds the fuzz targets and runs each of them: tools/fuzz.sh [SECONDS]   (60 by default; needs clang++-19)
# As many at a time as there are processors. Exit status 1 when one fails; its input then lies in build/fuzz/failures. Inputs worth
# keeping go to fuzz/corpus/<target>.
set -eu
cd "$(dirname "$0")/.."

# fuzz.sh --one NAME SECONDS: one target that is built.
if [ "${1:-}" = --one ]; then
  name=$2 seconds=$3
  found=build/fuzz/corpus/$name
  mkdir -p "$found"
  set -- "$found"
  [ -d "fuzz/corpus/$name" ] && set -- "$@" "fuzz/corpus/$name"
  "build/fuzz/bin/fuzz_$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=256 \
    -print_final_stats=1 -artifact_prefix="build/fuzz/failures/$name-" "$@" > "build/fuzz/fuzz_$name.log" 2>&1 ||
    touch "build/fuzz/fuzz_$name.failed"
  echo "fuzz: $name ran for $seconds s"
  exit 0
fi

seconds=${1:-60}
case $seconds in
  '' | *[!0-9]* | 0) echo "usage: tools/fuzz.sh [SECONDS], a whole number above 0" >&2; exit 2 ;;
esac

cmake --preset fuzz > /dev/null
cmake --build build/fuzz --target fuzzers
mkdir -p build/fuzz/failures
rm -f build/fuzz/fuzz_*.failed

names=$(basename -a -s .cc fuzz/fuzz_*.cc | sed 's/^fuzz_//')
echo "$names" | xargs -P "$(nproc)" -I NAME tools/fuzz.sh --one NAME "$seconds"

targets=0 executions=0 failed=
for name in $names; do
  targets=$((targets + 1))
  executed=$(sed -n 's/^stat::number_of_executed_units: *//p' "build/fuzz/fuzz_$name.log")
  executions=$((executions + ${executed:-0}))
  [ ! -e "build/fuzz/fuzz_$name.failed" ] || { failed="$failed $name"; tail -n 40 "build/fuzz/fuzz_$name.log"; }
done

if [ -n "$failed" ]; then
  echo "fuzz: FAILED:$failed (inputs in build/fuzz/failures, logs in build/fuzz)"
  exit 1
fi
echo "fuzz: $targets targets, $seconds s each, $executions executions, no failure"
