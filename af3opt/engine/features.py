"""The engine's own featurisation, one seed at a time."""

import dataclasses
import datetime
import inspect
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from af3opt.engine.inputs import FoldInput
from af3opt.engine.modules import engine_module
from af3opt.errors import InputError
from af3opt.settings import Settings

_log = logging.getLogger(__name__)

# A featurised example: feature name -> array (some are 0-d object arrays).
type Batch = dict[str, np.ndarray]

_OPTIONS = ("conformer_max_iterations", "resolve_msa_overlaps", "fix_standalone_glycans")


def make_ccd(user_ccd: str | None = None) -> Any:
    """Returns the engine's chemical component dictionary for one job.

    Args:
        user_ccd: Components of the job in mmCIF; they shadow the dictionary's.
    """
    return engine_module("constants.chemical_components").Ccd(user_ccd=user_ccd)


def featurise_with_engine(
    fold_input: FoldInput, seed: int, ccd: Any, buckets: Sequence[int], settings: Settings
) -> Batch:
    """Featurises one seed exactly as `featurise_input` does in a loop over all seeds.

    Upstream draws a fresh random state for each seed, so a seed's features do not
    depend on the others.

    Args:
        fold_input: Input with MSAs and templates filled in.
        seed: Seed of the model run.
        ccd: Dictionary from `make_ccd`.
        buckets: Token counts to pad to, strictly increasing.
        settings: Gives the featurisation options.

    Raises:
        InputError: the engine refuses the input.
    """
    featurise = engine_module("data.featurisation").featurise_input
    accepted = inspect.signature(featurise).parameters
    options: dict[str, Any] = {name: getattr(settings, name) for name in _OPTIONS}
    options["ref_max_modified_date"] = datetime.date.fromisoformat(settings.max_template_date)
    for name in [name for name in options if name not in accepted]:
        flag = "max_template_date" if name == "ref_max_modified_date" else name
        if settings.sources.get(flag, "default") != "default":
            _log.warning("--%s has no effect here: the installed engine cannot do it", flag)
        del options[name]
    try:
        (batch,) = featurise(
            fold_input=dataclasses.replace(fold_input, rng_seeds=[seed]),
            ccd=ccd,
            buckets=buckets,
            verbose=False,
            **options,
        )
    except (ValueError, KeyError) as error:
        raise InputError(f"{fold_input.name}: cannot be featurised: {error}") from error
    return batch  # type: ignore[no-any-return]
