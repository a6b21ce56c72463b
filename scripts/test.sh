#!/usr/bin/env bash
# Builds the test environments and runs the checks. Exits non-zero when one fails.
#
#   scripts/test.sh           everything, on both engines: what continuous integration runs
#   scripts/test.sh --quick   linters, types, import contracts, and the tests that need neither
#                             engine, scheduler nor browser: a few minutes
#
# AF3OPT_FULL_TESTS  yes: also run the model at its true depth; no: never;
#                    auto (default): only while AF3OPT_FULL_TESTS_WITHIN minutes
#                    (default 25) have not passed by then
# AF3OPT_TEST_HOME   prepared data and weights, kept between runs (default build/test-home)
# AF3OPT_TEST_WORKERS  tests run side by side (default: the cores, but 6 GB of memory each)
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

quick=no
if (($#)); then
  if [[ "$*" != --quick ]]; then
    echo "usage: scripts/test.sh [--quick]" >&2
    exit 2
  fi
  quick=yes
fi
full="${AF3OPT_FULL_TESTS:-auto}"
if [[ ! "$full" =~ ^(yes|no|auto)$ ]]; then
  echo "AF3OPT_FULL_TESTS must be yes, no or auto" >&2
  exit 2
fi
logs=build/test-logs
results=()
failures=0
mkdir -p "$logs"

# check NAME COMMAND...: runs a check, remembers how it ended, and goes on to the next
check() {
  local name="$1" log="$logs/$1.log" started=$SECONDS verdict=passed
  shift
  echo "=== $name: $*"
  if ! "$@" 2>&1 | tee "$log"; then
    verdict=FAILED
    failures=$((failures + 1))
  fi
  results+=("$(printf '%-8s %5d s  %-22s %s' "$verdict" $((SECONDS - started)) "$name" "$(closing_line "$log")")")
}

# closing_line LOG: pytest's count of passed and failed tests and the lines covered, if logged
closing_line() {
  tail -n 1 "$1" | grep -E '^=+ .* in [0-9.]+s' | tr -d '=\n' || true
  awk '/^TOTAL / { printf "%s of lines covered", $NF }' "$1"
}

finish() {
  echo
  echo "=== $((SECONDS / 60)) min $((SECONDS % 60)) s"
  printf '%s\n' "${results[@]}"
  if ((failures > 0)); then
    echo "$failures of ${#results[@]} checks failed; logs are in $logs"
    exit 1
  fi
}

want_full_tests() {
  case "$full" in
    yes) return 0 ;;
    no) return 1 ;;
    auto) ((SECONDS < ${AF3OPT_FULL_TESTS_WITHIN:-25} * 60)) ;;
  esac
}

# default_workers: one for each core, as far as memory allows; the older engine reads its
# component data into 4 GB
default_workers() {
  local cores gigabytes
  cores="$(nproc)"
  gigabytes="$(awk '/^MemAvailable/ { print int($2 / 1048576) }' /proc/meminfo)"
  local by_memory=$((gigabytes / 6))
  local workers=$((cores < by_memory ? cores : by_memory))
  echo $((workers > 1 ? workers : 1))
}

[[ "$quick" == yes ]] || ./scripts/install-system-packages.sh
check environment ./scripts/setup-env.sh --lock engine --lock dev .venv
[[ "$quick" == yes ]] ||
  check environment-compat ./scripts/setup-env.sh --lock engine-compat --lock dev .venv-compat
((failures == 0)) || finish

export AF3OPT_TEST_HOME="${AF3OPT_TEST_HOME:-$PWD/build/test-home}"

check ruff .venv/bin/ruff check .
check format .venv/bin/ruff format --check .
check types .venv/bin/mypy
check layers .venv/bin/lint-imports
mapfile -t scripts < <(find scripts examples .ci -type f \( -name '*.sh' -o -name '*.sbatch' -o -path .ci/run \))
check shellcheck .venv/bin/shellcheck "${scripts[@]}"
check fuzz ./scripts/fuzz-search.sh 40

# The tests of one file run in one process: they share what it has compiled.
tests=(-m pytest --durations=20 -n "${AF3OPT_TEST_WORKERS:-$(default_workers)}" --dist loadfile)
if [[ "$quick" == yes ]]; then
  check tests .venv/bin/python "${tests[@]}" \
    -m "not engine and not full and not slow and not slurm and not browser and not adversary"
  finish
  exit
fi
check tests .venv/bin/python "${tests[@]}" --cov --cov-report=term --cov-fail-under=85 \
  -m "not full and not equality and not adversary"
# Scheduling (kills, claims, Slurm) and measuring do not depend on the engine: tested once.
check tests-compat .venv-compat/bin/python "${tests[@]}" \
  -m "engine and not full and not slurm and not adversary" \
  --ignore=tests/execution --ignore=tests/benchmarks --ignore=tests/doctor
# Few tries here; docs/reliability.md has those of a longer run.
check adversary env AF3OPT_ADVERSARY_TRIES="${AF3OPT_ADVERSARY_TRIES:-6}" \
  .venv/bin/python "${tests[@]}" -m adversary tests/adversary
if want_full_tests; then
  check tests-full .venv/bin/python "${tests[@]}" -m full
else
  echo "=== tests-full: skipped after $((SECONDS / 60)) min; AF3OPT_FULL_TESTS=yes runs them"
fi
finish
