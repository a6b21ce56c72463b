#!/usr/bin/env bash
# Gives the compiled part of the search any bytes as FASTA, under AddressSanitizer and
# UndefinedBehaviorSanitizer: with libFuzzer if clang has it, else with random inputs.
#
#   scripts/fuzz-search.sh [SECONDS]
#
# SECONDS defaults to 40. FUZZ_SEED chooses the inputs (default: the time). CC names another
# compiler than clang or gcc. The NEON kernel runs under an emulator where a compiler for ARM and
# qemu are installed (Debian: gcc-aarch64-linux-gnu, qemu-user).
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds="${1:-40}"
seed="${FUZZ_SEED:-$(date +%s)}"
native=af3opt/search/native
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

kernels=("$native"/{fasta,isa_avx2,isa_avx512,isa_avx512_masks,isa_neon,isa_plain,query,span}.c)
sources=("${kernels[@]}" tests/search/fuzz/span_fuzzer.c)
flags=(-std=c11 -O1 -g -I"$native" -fno-omit-frame-pointer)
checks=address,undefined
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export ASAN_OPTIONS=detect_leaks=1

arm=aarch64-linux-gnu-gcc
if command -v "$arm" qemu-aarch64 >/dev/null; then
  # No address checks: AddressSanitizer does not run under the emulator.
  arm_flags=("${flags[@]}" -static -fsanitize=undefined -fno-sanitize-recover=all)
  "$arm" "${arm_flags[@]}" "${kernels[@]}" tests/search/fuzz/exact_scores.c -o "$work/arm-scores"
  "$arm" "${arm_flags[@]}" "${sources[@]}" tests/search/fuzz/random_inputs.c -o "$work/arm-fuzzer"
  echo "fuzz-search: $arm, emulated, random inputs, $((seconds / 4 + 1)) s, seed $seed"
  qemu-aarch64 "$work/arm-scores"
  qemu-aarch64 "$work/arm-fuzzer" $((seconds / 4 + 1)) "$seed"
else
  echo "fuzz-search: no compiler and emulator for ARM: the NEON kernel does not run"
fi

if [[ -z "${CC:-}" ]] && command -v clang >/dev/null &&
  clang "${flags[@]}" "-fsanitize=fuzzer,$checks" "${sources[@]}" -o "$work/fuzzer" 2>/dev/null; then
  mkdir "$work/corpus"
  printf '\1\2\3\50\5\6\7\10\11\12\13\0>a b\nACDEFGHIKL\nMNPQRSTVWY\n>c\r\nacd*x\r\n' >"$work/corpus/seed"
  echo "fuzz-search: libFuzzer, $seconds s, seed $seed"
  "$work/fuzzer" -seed="$seed" -max_total_time="$seconds" -max_len=8192 -timeout=20 \
    -artifact_prefix="$PWD/" -print_final_stats=1 -verbosity=0 "$work/corpus"
  exit
fi

compiler="${CC:-}"
for candidate in gcc clang cc; do
  [[ -n "$compiler" ]] || compiler="$(command -v "$candidate" || true)"
done
if [[ -z "$compiler" ]]; then
  echo "fuzz-search: no C compiler; install gcc or clang, or set CC" >&2
  exit 2
fi
"$compiler" "${flags[@]}" "-fsanitize=$checks" -fno-sanitize-recover=all \
  "${kernels[@]}" tests/search/fuzz/exact_scores.c -o "$work/scores"
"$work/scores"
"$compiler" "${flags[@]}" "-fsanitize=$checks" -fno-sanitize-recover=all \
  "${sources[@]}" tests/search/fuzz/random_inputs.c -o "$work/fuzzer"
echo "fuzz-search: $compiler, random inputs, $seconds s, seed $seed"
"$work/fuzzer" "$seconds" "$seed"
