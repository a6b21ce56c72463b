#!/usr/bin/env bash
# From nothing to a first structure on the CPU: environment, engine, data, synthetic weights,
# and a short fold of ubiquitin. The weights are random: the structure shows that the
# installation works and means nothing else.
set -euo pipefail

output="$(realpath -m -- "${1:-quickstart_output}")"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

./scripts/setup-env.sh
# It prints the directory of the weights; progress goes to stderr.
model_dir="$(.venv/bin/af3opt prepare --synthetic_weights)"

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
