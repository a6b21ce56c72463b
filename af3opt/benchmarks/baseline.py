"""The engine's own plain way, without any of af3opt's stages: what the benchmarks compare with.

A process of its own that runs the engine as its own script does, see `engine.plain_run`. It
is also the reference of the equivalence tests. af3opt contributes only what the packaged
engines do not ship, the chemical component data, as the kind of file that the engine would
build.
"""

import argparse
import contextlib
import importlib
import os
import pickle
import sys
from collections.abc import Sequence
from pathlib import Path

from af3opt.base.atomic import atomic_file
from af3opt.base.paths import make_private
from af3opt.data.ccd_index import CcdIndex
from af3opt.data.prepared import PreparedData, find_prepared, prepared_root
from af3opt.data.resources import (
    engine_ccd_file,
    leave_dictionary_to_engine,
    offer_libcifpp_data,
    redirect_resources,
)
from af3opt.engine.discovery import find_engine
from af3opt.engine.own_script import engine_buckets
from af3opt.engine.plain_run import (
    PlainOptions,
    components_from,
    run,
    write_component_index,
)


def main(argv: Sequence[str] | None = None) -> None:
    """Folds the inputs that the flags name."""
    args = vars(_parser().parse_args(argv))
    component_pickle = args.pop("component_pickle")
    options = PlainOptions(**args)
    if options.jax_backend == "cpu":
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
    if component_pickle:
        components = use_component_pickle()
    else:
        redirect_resources(find_prepared())
        components = contextlib.nullcontext()
    _empty_command_line()
    with components:
        run(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--json_path", type=Path)
    parser.add_argument("--input_dir", type=Path)
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--model_dir", type=Path, required=True)
    parser.add_argument(
        "--buckets",
        type=lambda text: [int(size) for size in text.split(",")],
        default=list(engine_buckets()),
    )
    parser.add_argument("--jax_backend", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--flash_attention_implementation", default="xla")
    parser.add_argument("--num_recycles", type=int, default=10)
    parser.add_argument("--num_diffusion_samples", type=int, default=5)
    parser.add_argument("--num_diffusion_steps", type=int)
    parser.add_argument("--num_seeds", type=int)
    parser.add_argument("--save_embeddings", action="store_true")
    parser.add_argument("--save_distogram", action="store_true")
    parser.add_argument("--norun_data_pipeline", action="store_true")
    parser.add_argument("--component_pickle", action="store_true")
    return parser


def build_component_pickle() -> Path | None:
    """Makes the component dictionary as the engine's own build step would, once.

    Returns:
        The file, or None when the engine has one of its own.
    """
    if engine_ccd_file().is_file():
        return None
    prepared = find_prepared()
    if prepared is None:
        return None
    path = _component_pickle(prepared)
    if not path.is_file():
        offer_libcifpp_data(prepared)
        components = dict(CcdIndex(prepared.ccd_index))
        make_private(path.parent)
        with atomic_file(path) as stream:
            if path.suffix == ".msgpack":
                importlib.import_module("msgpack").pack(components, stream)
            else:
                pickle.dump(components, stream, protocol=pickle.HIGHEST_PROTOCOL)
        write_component_index(components, path)
    return path


def _component_pickle(prepared: PreparedData) -> Path:
    folder = prepared_root() / f"bench-{find_engine().fingerprint}"
    return folder / prepared.root.name / engine_ccd_file().name


def use_component_pickle() -> contextlib.AbstractContextManager[object]:
    """Lets the engine load its component dictionary in its own way, inside a block."""
    path = build_component_pickle()
    prepared = find_prepared()
    if prepared is not None:
        offer_libcifpp_data(prepared)
    redirect_resources(prepared)
    leave_dictionary_to_engine()
    return components_from(path) if path is not None else contextlib.nullcontext()


def _empty_command_line() -> None:
    """Leaves nothing for tokamax, which parses `sys.argv` while the model is traced."""
    from absl import flags

    del sys.argv[1:]
    flags.FLAGS(sys.argv)


if __name__ == "__main__":
    main()
