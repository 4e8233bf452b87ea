#!/bin/sh
# Builds the fuzz targets and runs each of them: tools/fuzz.sh [SECONDS]   (60 by default; needs clang++-19)
# Exit status 1 when one fails; its input then lies in build/fuzz/failures. Inputs worth keeping go to fuzz/corpus/<target>.
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-60}
case $seconds in
  '' | *[!0-9]* | 0) echo "usage: tools/fuzz.sh [SECONDS], a whole number above 0" >&2; exit 2 ;;
esac

cmake --preset fuzz > /dev/null
cmake --build build/fuzz --target fuzzers
mkdir -p build/fuzz/failures

targets=0 executions=0 failed=
for source in fuzz/fuzz_*.cc; do
  target=$(basename "$source" .cc)
  name=${target#fuzz_}
  log=build/fuzz/$target.log
  found=build/fuzz/corpus/$name
  mkdir -p "$found"
  set -- "$found"
  [ -d "fuzz/corpus/$name" ] && set -- "$@" "fuzz/corpus/$name"

  echo "fuzz: $name for $seconds s"
  targets=$((targets + 1))
  if ! "build/fuzz/bin/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=256 \
    -print_final_stats=1 -artifact_prefix="build/fuzz/failures/$name-" "$@" > "$log" 2>&1; then
    failed="$failed $name"
    tail -n 40 "$log"
  fi
  executed=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  executions=$((executions + ${executed:-0}))
done

if [ -n "$failed" ]; then
  echo "fuzz: FAILED:$failed (inputs in build/fuzz/failures, logs in build/fuzz)"
  exit 1
fi
echo "fuzz: $targets targets, $seconds s each, $executions executions, no failure"
