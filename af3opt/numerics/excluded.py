"""Samples with NaN or infinity: kept apart, written with their values as they are.

The engine cannot write them: its structures refuse NaN, so do its clash test and its
pLDDT categories, and its JSON writer turns infinity into 99.9. Here a value that is
not finite is written as what the format has for unknown: `?` in mmCIF, `null` in JSON.
"""

import dataclasses
import functools
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import zstandard

from af3opt.base.atomic import atomic_write_bytes
from af3opt.base.json_types import Json
from af3opt.engine.protocols import Features, ModelResult, Structure, Tree
from af3opt.engine.structures import predicted_structures, with_legal_comment, with_metadata

SUFFIX = "_nonfinite"

NOTE = (
    "Not a prediction to use: the model gave NaN or infinite values for this sample. "
    "Those are written as unknown (null in JSON, ? in mmCIF); the sample is not ranked."
)

_UNKNOWN = "?"
_MEASURED_COLUMNS = (
    "_atom_site.Cartn_x",
    "_atom_site.Cartn_y",
    "_atom_site.Cartn_z",
    "_atom_site.B_iso_or_equiv",
)
_AVERAGED_COLUMNS = ("_ma_qa_metric_global.metric_value", "_ma_qa_metric_local.metric_value")

# Entries of the model's result whose first axis counts samples.
_PER_SAMPLE = (
    "predicted_lddt",
    "predicted_experimentally_resolved",
    "full_pae",
    "full_pde",
    "average_pde",
    "tmscore_adjusted_pae_global",
    "tmscore_adjusted_pae_interface",
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NonFiniteSample:
    """One sample that cannot be ranked.

    Attributes:
        index: Its number among the seed's samples.
        structure: The engine's structure, with 0 where a value is not finite, since it
            accepts no other; those zeros are not written.
        finite: The same structure with 1 for each finite coordinate or pLDDT, else 0.
        pae: (tokens, tokens) in Å.
        contact_probs: (tokens, tokens).
        chain_ids: Chain of each token.
        residue_ids: Residue number of each token.
        model_id: Identifier of the weights.
    """

    index: int
    structure: Structure
    finite: Structure
    pae: np.ndarray
    contact_probs: np.ndarray
    chain_ids: list[str]
    residue_ids: list[int]
    model_id: bytes


def select_samples(result: ModelResult, samples: Iterable[int]) -> ModelResult:
    """Reduces a forward pass's result to some of its samples.

    Args:
        result: The result on the host.
        samples: Their indices, in the order wanted.

    Returns:
        A result that the engine extracts like any other; arrays are views or copies.
    """
    index = np.asarray(list(samples), dtype=int)
    selected: dict[str, Tree] = dict(result)
    for name in _PER_SAMPLE:
        if name in selected:
            selected[name] = selected[name][index]
    selected["diffusion_samples"] = {
        name: array[index]
        for name, array in result["diffusion_samples"].items()
        if name in ("atom_positions", "mask")
    }
    return selected


def extract_nonfinite(
    result: ModelResult, batch: Features, samples: Iterable[int]
) -> list[NonFiniteSample]:
    """Gathers what there is to write of samples the engine cannot extract.

    Args:
        result: The forward pass's result on the host.
        batch: The featurised batch.
        samples: Indices of the samples.

    Returns:
        One object for each, in the given order.
    """
    indices = list(samples)
    tokens = int(np.asarray(batch["seq_length"]).item())
    asym_ids = np.asarray(batch["asym_id"])[:tokens]
    residue_ids = [int(number) for number in np.asarray(batch["residue_index"])[:tokens]]
    selected = select_samples(result, indices)
    zeroed = functools.partial(np.nan_to_num, posinf=0.0, neginf=0.0)
    structures = predicted_structures(selected, batch, zeroed)
    finite = predicted_structures(selected, batch, np.isfinite)
    return [
        NonFiniteSample(
            index=index,
            structure=structure,
            finite=flags,
            pae=np.asarray(result["full_pae"])[index, :tokens, :tokens],
            contact_probs=np.asarray(result["distogram"]["contact_probs"])[:tokens, :tokens],
            # asym ids count chains from 1 in the order of the structure's chains.
            chain_ids=[str(structure.chains[number - 1]) for number in asym_ids],
            residue_ids=residue_ids,
            model_id=result["__identifier__"],
        )
        for index, structure, flags in zip(indices, structures, finite, strict=True)
    ]


def write_nonfinite(sample: NonFiniteSample, directory: Path, name: str, *, compress: bool) -> None:
    """Writes `<name>_model.cif`, `_confidences.json` and `_summary_confidences.json`.

    Args:
        sample: The sample.
        directory: Existing directory, named so that nobody takes it for a result.
        name: Prefix of the file names; ends in `SUFFIX`.
        compress: Write the mmCIF and the full confidences as `.zst`.

    Raises:
        OSError: the files cannot be written.
    """
    _write(directory / f"{name}_model.cif", _mmcif_text(sample), compress=compress)
    _write(directory / f"{name}_confidences.json", _confidences(sample), compress=compress)
    _write(directory / f"{name}_summary_confidences.json", _summary(sample), compress=False)


def _write(path: Path, text: str, *, compress: bool) -> None:
    data = text.encode()
    if compress:
        path = path.with_name(f"{path.name}.zst")
        data = zstandard.ZstdCompressor().compress(data)
    atomic_write_bytes(path, data)


def _mmcif_text(sample: NonFiniteSample) -> str:
    cif = with_metadata(sample.structure, sample.model_id)
    flags = sample.finite.to_mmcif_dict()
    known: dict[str, list[str]] = {
        column: [
            value if float(flag) else _UNKNOWN
            for value, flag in zip(cif[column], flags[column], strict=True)
        ]
        for column in _MEASURED_COLUMNS
    }
    # Averages over atoms, some of which have no value.
    averages = {column: [_UNKNOWN] * len(cif[column]) for column in _AVERAGED_COLUMNS}
    cif = cif.copy_and_update(known | averages)
    return f"# {NOTE}\n{with_legal_comment(cif.to_string())}"


def _confidences(sample: NonFiniteSample) -> str:
    structure = sample.structure
    return json.dumps(
        {
            "af3opt_note": NOTE,
            "atom_chain_ids": [str(chain) for chain in structure.chain_id],
            "atom_plddts": _nullable(
                np.where(sample.finite.atom_b_factor, structure.atom_b_factor, np.nan)
            ),
            "contact_probs": _nullable(sample.contact_probs),
            "pae": _nullable(sample.pae),
            "token_chain_ids": sample.chain_ids,
            "token_res_ids": sample.residue_ids,
        },
        allow_nan=False,
    )


def _summary(sample: NonFiniteSample) -> str:
    """The engine's fields, all undefined: nothing derived from such values means anything."""
    chains = list(dict.fromkeys(sample.chain_ids))
    square = [[None] * len(chains) for _ in chains]
    return json.dumps(
        {
            "af3opt_note": NOTE,
            "chain_ids": chains,
            "chain_iptm": [None] * len(chains),
            "chain_pair_iptm": square,
            "chain_pair_pae_min": square,
            "chain_ptm": [None] * len(chains),
            "fraction_disordered": None,
            "has_clash": None,
            "iptm": None,
            "ptm": None,
            "ranking_score": None,
        },
        indent=1,
        allow_nan=False,
    )


def _nullable(array: np.ndarray) -> list[Json]:
    """Nested lists rounded to 2 decimals as the engine does, null where not finite."""
    rounded = np.round(np.asarray(array, dtype=np.float64), 2)
    plain = rounded.astype(object)
    plain[~np.isfinite(rounded)] = None
    values: list[Json] = plain.tolist()
    return values
