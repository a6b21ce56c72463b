#!/usr/bin/env bash
# One job of fold.sub: fold.sh NUMBER JOBS
#
# AF3_MODEL_PARAMETERS_DIR and AF3_DATABASES_DIR say where parameters and databases are on the node.
set -euo pipefail
number="${1:?usage: fold.sh NUMBER JOBS}"
jobs="${2:?usage: fold.sh NUMBER JOBS}"

tar xzf inputs.tar.gz
mkdir -p "results-$number"
# After an hour: exit code 75, at which HTCondor keeps what is finished. exec: its signals reach
# af3opt itself.
exec af3opt run --input_dir=inputs --output_dir="results-$number" --shard="$number/$jobs" \
  --max_runtime=3600
