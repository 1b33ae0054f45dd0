# The steps that tests/run and .ci/run are made of, and the count that they end with. Sourced from
# the tree's root; every step goes on after a failure, so that one run shows them all.
passed=0
failed=0
skips=$(mktemp)
trap 'rm -f "$skips"' EXIT

heading() { printf '\n== %s\n' "$*"; }

# check NAME COMMAND…: one test, by its exit status.
check() {
  name=$1
  shift
  if "$@"; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAILED: $name" >&2
  fi
}

# One more than there are cores: some of them wait.
tests_at_once=$(($(nproc) + 1))
# Runs the tests of a build folder: run_tests FOLDER [CTEST-OPTION…].
run_tests() {
  folder=$1
  shift
  rm -f "$folder/tests.xml"
  ctest --test-dir "$folder" -j "$tests_at_once" --timeout 1800 --no-tests=error --output-on-failure \
    --output-junit tests.xml --test-output-size-passed 4000000 --test-output-size-failed 4000000 "$@" || true
  if [ ! -e "$folder/tests.xml" ]; then
    failed=$((failed + 1))
    echo "FAILED: no test ran in $folder" >&2
    return
  fi
  counted=$(awk -v skips="$skips" -f tests/count.awk "$folder/tests.xml")
  set -- $counted
  passed=$((passed + $1))
  failed=$((failed + $2))
  echo "$folder: $1 passed, $2 failed"
}

# Builds everything into FOLDER and runs its tests, without those whose names match `left_out`; a
# build that fails counts as one failure.
left_out=
build_and_test() {
  if ./daemon/setup/build "$@"; then
    run_tests "$1" ${left_out:+-E "$left_out"}
  else
    failed=$((failed + 1))
    echo "FAILED: building $1" >&2
  fi
}

# sanitized SANITIZERS FOLDER [CMAKE-OPTION…]: everything again with the second compiler, its
# sanitizers watching, assertions on. Twice as many tests at a time as there are cores: most of them
# wait for daemons.
sanitized() {
  tests_at_once=$(($(nproc) * 2))
  heading "clang, sanitizers: $1"
  sanitizers=$1
  folder=$2
  shift 2
  build_and_test "$folder" all -DCMAKE_C_COMPILER=clang-16 -DCMAKE_CXX_COMPILER=clang++-16 \
    -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG="-O0 -gline-tables-only" \
    -DHEARTH_TESTS=ON -DHEARTH_WERROR=ON -DHEARTH_UNITY=ON -DHEARTH_SANITIZE="$sanitizers" "$@"
}

# fuzz FOLDER SECONDS: every libFuzzer target, from its corpus, for as long each; as many at a time
# as there are cores, since a target keeps one busy. The folder is one that sanitized() has made with
# -DHEARTH_FUZZ=ON.
fuzz() {
  heading "fuzzing, $2 seconds each, $(nproc) at a time"
  folder=$1
  seconds=$2
  check "building the fuzzers" ./daemon/setup/build "$folder" fuzzers
  at_once=0
  started=
  for program in "$folder"/fuzz-*; do
    target=${program#"$folder"/fuzz-}
    found=$folder/corpus/$target
    mkdir -p "$found"
    "$program" -max_total_time="$seconds" -rss_limit_mb=4096 -timeout=20 \
      -artifact_prefix="$folder/crash-$target-" -verbosity=0 -print_funcs=0 \
      "$found" "tests/fuzz/corpus/$target" >"$found.log" 2>&1 &
    started="$started $target:$!"
    at_once=$((at_once + 1))
    [ "$at_once" -lt "$(nproc)" ] || await_fuzzers
  done
  await_fuzzers
}

# Waits for those in `started`, which end together.
await_fuzzers() {
  for fuzzer in $started; do
    check "fuzz ${fuzzer%:*}" fuzzed "${fuzzer%:*}" "${fuzzer#*:}"
  done
  at_once=0
  started=
}

# fuzzed TARGET PROCESS: its output, once it has ended, and its status. Not the words that it found
# useful, which are hundreds of lines.
fuzzed() {
  wait "$2"
  status=$?
  sed -e '/Recommended dictionary/,/End of recommended/d' -e "s/^/$1: /" "$folder/corpus/$1.log"
  return "$status"
}

# The last line, and the exit status. What was skipped stands above it, by name and with the reason.
close() {
  skipped=$(sort -u "$skips" | wc -l)
  if [ "$skipped" -gt 0 ]; then
    heading "skipped on this machine"
    sort -u "$skips"
  fi
  echo
  [ "$skipped" -gt 0 ] && extra=", $skipped skipped" || extra=
  echo "$passed passed, $failed failed$extra"
  [ "$failed" -eq 0 ]
}
