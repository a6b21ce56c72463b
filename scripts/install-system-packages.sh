#!/usr/bin/env bash
# Installs what the tests can use beyond Python on Debian or Ubuntu: HMMER, Slurm, Grid Engine,
# Chromium, the mmCIF dictionary and an emulator of ARM. Without root it only says what is missing;
# the tests that need it skip.
set -euo pipefail

packages=(hmmer libcifpp-data chromium chromium-driver)
# The NEON kernel of the searches is compiled for ARM and run under an emulator.
packages+=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user)
packages+=(slurmctld slurmd slurm-client munge)
packages+=(gridengine-master gridengine-exec gridengine-client)

missing=()
for package in "${packages[@]}"; do
  if ! dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null | grep -q 'ok installed'; then
    missing+=("$package")
  fi
done
if ((${#missing[@]} == 0)); then
  exit 0
fi

if ! command -v apt-get >/dev/null || [[ "$(id -u)" != 0 ]]; then
  echo "install-system-packages: not installed (needs apt-get and root): ${missing[*]}" >&2
  exit 0
fi
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >&2; then
  echo "install-system-packages: apt-get could not install: ${missing[*]}" >&2
fi
