"""A site's script as `--run_alphafold_script` meets it: absl flags, `app.run`, library API.

It has a few of upstream's flags and its checks, and folds as the benchmarks' baseline does.
"""

from pathlib import Path

from absl import app, flags

_JSON_PATH = flags.DEFINE_string("json_path", None, "Input file.")
_INPUT_DIR = flags.DEFINE_string("input_dir", None, "Input directory.")
_OUTPUT_DIR = flags.DEFINE_string("output_dir", None, "Output directory.")
_MODEL_DIR = flags.DEFINE_string("model_dir", "/no/such/directory", "Weights.")
_BUCKETS = flags.DEFINE_list("buckets", ["128"], "Buckets.")
_NUM_RECYCLES = flags.DEFINE_integer("num_recycles", 10, "Recycles.")
_SAMPLES = flags.DEFINE_integer("num_diffusion_samples", 5, "Samples.")
_RUN_DATA_PIPELINE = flags.DEFINE_bool("run_data_pipeline", True, "Data pipeline.")
_BACKEND = flags.DEFINE_enum("jax_backend", "gpu", ["cpu", "gpu"], "Backend.")
_ATTENTION = flags.DEFINE_enum(
    "flash_attention_implementation", "triton", ["triton", "cudnn", "xla"], "Attention."
)


def main(argv):
    if len(argv) > 1:
        raise app.UsageError("too many arguments")
    if _BACKEND.value == "cpu" and _ATTENTION.value != "xla":
        raise ValueError("For CPU-only inference attention must be xla.")
    from af3opt.engine import plain_run

    plain_run.run(
        plain_run.PlainOptions(
            input_dir=Path(_INPUT_DIR.value),
            output_dir=Path(_OUTPUT_DIR.value),
            model_dir=Path(_MODEL_DIR.value),
            buckets=[int(bucket) for bucket in _BUCKETS.value],
            jax_backend=_BACKEND.value,
            flash_attention_implementation=_ATTENTION.value,
            num_recycles=_NUM_RECYCLES.value,
            num_diffusion_samples=_SAMPLES.value,
        )
    )


if __name__ == "__main__":
    flags.mark_flags_as_required(["output_dir"])
    app.run(main)
