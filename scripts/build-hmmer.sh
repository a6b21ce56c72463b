#!/usr/bin/env bash
# Builds HMMER 3.4 whose jackhmmer has --seq_limit, the option DeepMind adds so that a search
# stops collecting hits instead of holding millions in memory. The engine asks jackhmmer
# whether it has the option and does without it otherwise.
#
#   scripts/build-hmmer.sh PREFIX
#
# The patch is DeepMind's and is fetched from their repository, at the tag ALPHAFOLD3_TAG.
# Needs a C compiler, make, patch and curl.
set -euo pipefail

prefix="$(realpath -m -- "${1:?usage: build-hmmer.sh PREFIX}")"
tag="${ALPHAFOLD3_TAG:-v3.0.3}"
archive=hmmer-3.4.tar.gz
archive_sha256=ca70d94fd0cf271bd7063423aabb116d42de533117343a9b27a65c17ff06fbf3

scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

# The site offers no https; the checksum is what makes the download trustworthy.
curl -fsSL -o "$archive" "http://eddylab.org/software/hmmer/$archive"
echo "$archive_sha256  $archive" | sha256sum --check --quiet
curl -fsSL -o seq_limit.patch \
  "https://raw.githubusercontent.com/google-deepmind/alphafold3/$tag/docker/jackhmmer_seq_limit.patch"

tar -xzf "$archive"
patch --silent -p0 <seq_limit.patch
cd hmmer-3.4
./configure --quiet --prefix="$prefix"
make --silent -j"$(nproc)"
make --silent install

"$prefix/bin/jackhmmer" -h --seq_limit 1 >/dev/null
echo "HMMER 3.4 with jackhmmer --seq_limit is in $prefix/bin"
