#!/usr/bin/env bash
# Remakes requirements/*.txt from the extras in pyproject.toml. Needs uv on PATH (or $UV).
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
uv="${UV:-uv}"

if ! command -v "$uv" >/dev/null; then
  echo "lock.sh: uv not found; install it (https://docs.astral.sh/uv) or set UV to its path" >&2
  exit 2
fi

# compile NAME UV_OPTION...: writes requirements/NAME.txt
compile() {
  local name="$1"
  shift
  "$uv" pip compile --quiet --upgrade pyproject.toml "$@" \
    --python-version 3.12 --python-platform x86_64-manylinux_2_28 \
    --no-emit-index-url --no-emit-find-links --no-header --annotation-style line \
    --custom-compile-command scripts/lock.sh \
    --output-file "requirements/$name.txt"
  # Kernels for GPUs older than Ampere; nobody has those with another processor.
  sed -i "s/^\(colabfold-legacy-kernels==[^ ]*\)/\1 ; platform_machine == 'x86_64'/" \
    "requirements/$name.txt"
  echo "requirements/$name.txt: $(grep -c '==' "requirements/$name.txt") packages"
}

mkdir -p requirements
compile engine --extra engine --extra data
compile engine-compat --extra engine-compat --extra data
compile engine-cuda12 --extra engine --extra data --extra cuda12 --extra kernels
# One set of development tools has to fit beside either engine.
compile dev --extra dev --extra kernels --extra report --extra parquet \
  --constraint requirements/engine.txt --constraint requirements/engine-compat.txt
