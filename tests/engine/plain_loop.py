"""The engine's library API driven in upstream's order, with none of af3opt's own stages.

The reference of the equivalence tests: all seeds are featurised, then all are run,
then everything is written. Only the chemical component data comes from af3opt, since
the packaged engines ship none.
"""

import argparse
import csv
import datetime
import functools
import inspect
import json
import os
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")

from af3opt.data.prepared import find_prepared
from af3opt.engine.resources import redirect_resources


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--input_dir", type=Path, required=True)
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--model_dir", type=Path, required=True)
    parser.add_argument("--buckets", type=lambda text: [int(x) for x in text.split(",")])
    parser.add_argument("--num_recycles", type=int, default=10)
    parser.add_argument("--num_diffusion_samples", type=int, default=5)
    parser.add_argument("--num_diffusion_steps", type=int)
    parser.add_argument("--save_embeddings", action="store_true")
    parser.add_argument("--save_distogram", action="store_true")
    args = parser.parse_args()
    redirect_resources(find_prepared())
    run(args)


def model_config(args):
    from alphafold3.model import model

    try:
        from alphafold3.model import config_factory
    except ImportError:
        config = model.Model.Config()
    else:
        config = config_factory.make_model_config(flash_attention_implementation="xla")
    config.global_config.flash_attention_implementation = "xla"
    config.heads.diffusion.eval.num_samples = args.num_diffusion_samples
    config.num_recycles = args.num_recycles
    config.return_embeddings = args.save_embeddings
    config.return_distogram = args.save_distogram
    overrides = json.loads((args.model_dir / "af3opt_synthetic.json").read_text())
    for path, value in overrides["config_overrides"].items():
        *parents, name = path.split(".")
        setattr(functools.reduce(getattr, parents, config), name, value)
    if getattr(args, "num_diffusion_steps", None) is not None:
        config.heads.diffusion.eval.steps = args.num_diffusion_steps
    return config


def run(args) -> None:
    import sys

    from absl import flags

    del sys.argv[1:]
    flags.FLAGS(sys.argv)

    import haiku as hk
    import jax
    import jax.numpy as jnp
    import numpy as np
    from alphafold3.common import folding_input
    from alphafold3.constants import chemical_components
    from alphafold3.data import featurisation, pipeline
    from alphafold3.model import model, params, post_processing
    from alphafold3.model.components import utils

    config = model_config(args)
    weights = params.get_model_haiku_params(model_dir=args.model_dir)

    @hk.transform
    def forward(batch):
        return model.Model(config)(batch)

    apply = functools.partial(jax.jit(forward.apply), weights)
    identifier = weights["__meta__"]["__identifier__"].tobytes()
    # The constructor only stores database paths; no input here needs a search.
    searches = pipeline.DataPipeline.__new__(pipeline.DataPipeline)
    for fold_input in folding_input.load_fold_inputs_from_dir(args.input_dir):
        name = fold_input.sanitised_name()
        output_dir = args.output_dir / name
        output_dir.mkdir(parents=True)
        fold_input = searches.process(fold_input)
        (output_dir / f"{name}_data.json").write_text(fold_input.to_json())
        batches = featurisation.featurise_input(
            fold_input=fold_input,
            buckets=args.buckets,
            ccd=chemical_components.Ccd(user_ccd=fold_input.user_ccd),
            ref_max_modified_date=datetime.date(2021, 9, 30),
        )
        results = []
        for seed, batch in zip(fold_input.rng_seeds, batches, strict=True):
            features = jax.tree.map(jnp.asarray, utils.remove_invalidly_typed_feats(batch))
            result = jax.tree.map(np.asarray, apply(jax.random.PRNGKey(seed), features))
            result = jax.tree.map(
                lambda x: x.astype(jnp.float32) if x.dtype == jnp.bfloat16 else x, result
            )
            result = dict(result) | {"__identifier__": identifier}
            samples = list(
                model.Model.get_inference_result(batch=batch, result=result, target_name=name)
            )
            results.append((seed, samples, result))
        write(args, output_dir, name, results, post_processing)


def write(args, output_dir, name, results, post_processing) -> None:
    import numpy as np

    best, rows = None, []
    for seed, samples, result in results:
        for index, sample in enumerate(samples):
            directory = output_dir / f"seed-{seed}_sample-{index}"
            directory.mkdir()
            post_processing.write_output(
                sample, directory, name=f"{name}_seed-{seed}_sample-{index}"
            )
            score = float(sample.metadata["ranking_score"])
            rows.append((seed, index, score))
            if best is None or score > best[0]:
                best = (score, sample)
        tokens = len(samples[0].metadata["token_chain_ids"])
        if args.save_embeddings:
            directory = output_dir / f"seed-{seed}_embeddings"
            directory.mkdir()
            embeddings = {
                "single_embeddings": result["single_embeddings"][:tokens].astype(np.float16),
                "pair_embeddings": result["pair_embeddings"][:tokens, :tokens].astype(np.float16),
            }
            accepts_name = "name" in inspect.signature(post_processing.write_embeddings).parameters
            options = {"name": f"{name}_seed-{seed}"} if accepts_name else {}
            post_processing.write_embeddings(embeddings, directory, **options)
        if args.save_distogram:
            directory = output_dir / f"seed-{seed}_distogram"
            directory.mkdir()
            distogram = result["distogram"]["distogram"][:tokens, :tokens].astype(np.float16)
            np.savez_compressed(
                directory / f"{name}_seed-{seed}_distogram.npz", distogram=distogram
            )
    post_processing.write_output(best[1], output_dir, name=name, terms_of_use="terms")
    with (output_dir / f"{name}_ranking_scores.csv").open("w") as stream:
        writer = csv.writer(stream)
        writer.writerow(["seed", "sample", "ranking_score"])
        writer.writerows(rows)


if __name__ == "__main__":
    main()
