#!/usr/bin/env bash
# From nothing to a first structure on the CPU: environment, engine, data, synthetic weights,
# and a short fold of ubiquitin. The weights are random: the structure shows that the
# installation works and means nothing else.
set -euo pipefail

output="$(realpath -m -- "${1:-quickstart_output}")"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { echo "quickstart: $*" >&2; }

say "step 1 of 3: environment and engine in .venv (half a minute, or as long as the downloads take)"
./scripts/setup-env.sh
say "step 2 of 3: chemical data and random weights (half a minute to two minutes)"
# It prints the directory of the weights; progress goes to stderr.
model_dir="$(.venv/bin/af3opt prepare --synthetic_weights)"

say "step 3 of 3: fold ubiquitin on the CPU (half a minute to two minutes, mostly compiling)"
.venv/bin/af3opt run \
  --json_path=examples/ubiquitin.json \
  --output_dir="$output" --force_output_dir \
  --model_dir="$model_dir" \
  --norun_data_pipeline --jax_backend=cpu \
  --num_recycles=1 --num_diffusion_samples=1 --num_diffusion_steps=20

echo
echo "The structure is in $output/ubiquitin/ubiquitin_model.cif"
echo "It was made with random weights, so it means nothing. Look at it with:"
echo "  $PWD/.venv/bin/af3opt report $output/ubiquitin"
echo "To type af3opt without its path: source $PWD/.venv/bin/activate"
echo "Next: docs/tutorial.md goes from a sequence to a prediction with true parameters."
