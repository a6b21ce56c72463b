#!/usr/bin/env bash
# Creates or updates a virtual environment with af3opt and an engine.
#
#   scripts/setup-env.sh [--lock NAME]... [DIRECTORY]
#
# DIRECTORY defaults to .venv; NAME is a file of requirements/ without .txt and defaults to
# engine. Nothing is done when the environment already holds these locks.
# AF3OPT_PYTHON names the Python to use.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { echo "setup-env: $*" >&2; }

# usable PYTHON: is it a CPython 3.12 that can make virtual environments?
# It is started rather than trusted by name: a pyenv shim called python3.12 fails
# unless that version is selected, and Debian's Python may lack ensurepip.
usable() {
  "$1" -c 'import sys, venv, ensurepip
sys.exit(sys.version_info[:2] != (3, 12) or sys.implementation.name != "cpython")' \
    >/dev/null 2>&1
}

candidates() {
  local conda="${CONDA_PREFIX:-/nonexistent}"
  local name
  for name in python3.12 python3 python; do
    command -v "$name" || true
  done
  compgen -G "${PYENV_ROOT:-$HOME/.pyenv}/versions/3.12*/bin/python3.12" | sort -Vr || true
  local path
  for path in /usr/bin /usr/local/bin /opt/python/3.12/bin "$conda/bin" "$HOME/.local/bin"; do
    echo "$path/python3.12"
  done
  compgen -G "$HOME/*conda3/envs/*/bin/python3.12" || true
  compgen -G "$HOME/.conda/envs/*/bin/python3.12" || true
  compgen -G "$HOME/.local/share/uv/python/cpython-3.12*/bin/python3.12" | sort -Vr || true
}

find_python() {
  if [[ -n "${AF3OPT_PYTHON:-}" ]]; then
    if usable "$AF3OPT_PYTHON"; then
      echo "$AF3OPT_PYTHON"
      return
    fi
    say "AF3OPT_PYTHON=$AF3OPT_PYTHON is not a CPython 3.12 with the venv module"
    return 1
  fi
  local candidate
  while read -r candidate; do
    if usable "$candidate"; then
      echo "$candidate"
      return
    fi
  done < <(candidates)
  say "no CPython 3.12 with the venv module found (the engine's wheel is built for 3.12 alone)."
  say "Install one, for example: apt install python3.12-venv | module load python/3.12 |"
  say "  conda create -n py312 python=3.12 | pyenv install 3.12 | uv python install 3.12"
  say "then run this again, or set AF3OPT_PYTHON to its path."
  return 1
}

# find_uv: uv installs a lock in a tenth of pip's time. It is taken from the system, or put into
# the environment; where no index has it, pip does the same work.
UV_VERSION=0.13.9
find_uv() {
  command -v uv && return
  if [[ ! -x "$environment/bin/uv" ]]; then
    "$environment/bin/python" -m pip install --quiet --quiet --disable-pip-version-check \
      "uv==$UV_VERSION" >&2 || return 1
  fi
  echo "$environment/bin/uv"
}

# install OPTION...: uv's or pip's install into the environment
install() {
  local uv
  if uv="$(find_uv)"; then
    "$uv" pip install --quiet --python "$environment/bin/python" "$@"
  else
    "$environment/bin/python" -m pip install --quiet --quiet --disable-pip-version-check "$@"
  fi
}

locks=()
environment=""
while (($#)); do
  case "$1" in
    --lock)
      locks+=("${2:?--lock needs a name}")
      shift 2
      ;;
    -*)
      say "unknown option $1"
      exit 2
      ;;
    *)
      environment="$1"
      shift
      ;;
  esac
done
((${#locks[@]})) || locks=(engine)
environment="${environment:-.venv}"

for lock in "${locks[@]}"; do
  if [[ ! -f "requirements/$lock.txt" ]]; then
    say "no such lock: requirements/$lock.txt"
    exit 2
  fi
done

if [[ -x "$environment/bin/python" ]] && ! usable "$environment/bin/python"; then
  say "$environment holds another Python or a broken one; remove it and run this again"
  exit 2
fi
if [[ ! -x "$environment/bin/python" ]]; then
  python="$(find_python)" || exit 2
  say "creating $environment with $python"
  "$python" -m venv "$environment"
fi

# A stamp is the digest of what was installed, one for each lock: an environment
# that also holds the development tools still serves a caller that needs none.
stamps="$environment/.af3opt-installed"
mkdir -p "$stamps"
compiled=(af3opt/search/native/*)
for lock in "${locks[@]}"; do
  digest="$(cat "requirements/$lock.txt" pyproject.toml "${compiled[@]}" | sha256sum | cut -d' ' -f1) $PWD"
  if [[ "$(cat "$stamps/$lock" 2>/dev/null || true)" == "$digest" ]]; then
    continue
  fi
  say "installing requirements/$lock.txt into $environment"
  started=$SECONDS
  # The locks are complete, so that nothing is left to resolve.
  install --no-deps --requirement "requirements/$lock.txt"
  install --no-deps --editable .
  # uv leaves bytecode to the first import, and who uses a shared environment may not write it.
  "$environment/bin/python" -m compileall -q -j 0 "$environment/lib" >/dev/null || true
  echo "$digest" >"$stamps/$lock"
  say "installed in $((SECONDS - started)) s"
done
