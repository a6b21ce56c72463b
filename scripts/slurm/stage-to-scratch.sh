#!/usr/bin/env bash
# Copies model parameters, and databases when asked, to a node-local disk, once for all jobs of
# a node, and prints the export lines that make af3opt use the copies:
#
#   eval "$(scripts/slurm/stage-to-scratch.sh --weights ~/models /scratch/$USER)"
#
#   --weights DIR     directory of the model parameters (about 1 GB)
#   --databases DIR   directory of the databases (hundreds of GB)
#
# The scratch directory must be yours: whoever else can write there could put other files in place.
# What is made there is for you alone, as the terms of the parameters want it.
set -euo pipefail
umask 077

say() { echo "stage-to-scratch: $*" >&2; }

weights=""
databases=""
scratch=""
while (($#)); do
  case "$1" in
    --weights) weights="${2:?--weights needs a directory}" && shift 2 ;;
    --databases) databases="${2:?--databases needs a directory}" && shift 2 ;;
    -*) say "unknown option $1" && exit 2 ;;
    *) scratch="$1" && shift ;;
  esac
done
if [[ -z "$scratch" || -z "$weights$databases" ]]; then
  say "usage: stage-to-scratch.sh [--weights DIR] [--databases DIR] SCRATCH"
  exit 2
fi

# stage SOURCE NAME: copies SOURCE to SCRATCH/NAME unless it is there already. A copy has its
# final name only once it is complete; other jobs of the node wait for the one that copies.
stage() {
  local source="$1" target="$scratch/$2" needed free
  if [[ ! -d "$source" ]]; then
    say "$source is not a directory"
    return 2
  fi
  exec {lock}>"$scratch/.$2.lock"
  flock "$lock"
  if [[ ! -d "$target" ]]; then
    needed="$(du -sk --dereference "$source" | cut -f1)"
    free="$(df -Pk "$scratch" | awk 'NR == 2 { print $4 }')"
    if ((needed > free)); then
      say "$source needs $((needed / 1024)) MiB and $scratch has $((free / 1024)) MiB"
      return 2
    fi
    say "copying $source to $target ($((needed / 1024)) MiB)"
    rm -rf "$target.partial"
    cp -rL "$source" "$target.partial"
    mv "$target.partial" "$target"
  fi
  flock --unlock "$lock"
}

mkdir -p "$scratch"
if [[ ! -O "$scratch" || -n "$(find "$scratch" -maxdepth 0 -perm /022)" ]]; then
  say "$scratch is not yours alone to write to; name a directory of your own, such as $scratch/$(id -un)"
  exit 2
fi
if [[ -n "$weights" ]]; then
  stage "$weights" weights
  printf 'export AF3_MODEL_PARAMETERS_DIR=%q\n' "$scratch/weights"
fi
if [[ -n "$databases" ]]; then
  stage "$databases" databases
  printf 'export AF3_DATABASES_DIR=%q\n' "$scratch/databases"
fi
