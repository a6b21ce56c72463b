"""Embeds ahead what proteins will need: every amino acid at every position of some seeds.

The conformer seed of a residue depends on the model seed and the residue's position
alone. So all conformers that any protein can need under a model seed can be made
before there is an input; featurisation then only looks them up.
"""

import logging
import time
from collections.abc import Iterator, Sequence

import numpy as np

from af3opt.base.errors import UsageError
from af3opt.engine.inputs import make_ccd
from af3opt.engine.modules import engine_module
from af3opt.features.components import make_component
from af3opt.features.conformer_store import MAX_CONFORMERS, ConformerStore
from af3opt.features.conformers import ConformerPool
from af3opt.features.featurise import usable_threads
from af3opt.features.reference import draw_stream

_log = logging.getLogger(__name__)


def fill_conformers(
    store: ConformerStore, seeds: Sequence[int], residues: int
) -> Iterator[tuple[int, int]]:
    """Fills the store for the twenty amino acids; what it has already is not made again.

    Args:
        store: The store.
        seeds: Model seeds.
        residues: Positions to cover, counted over all chains of an input.

    Yields:
        Model seed and how many conformers it has now.

    Raises:
        UsageError: more conformers than a model seed's entry holds.
    """
    ccd = make_ccd()
    names = engine_module("constants.residue_names").PROTEIN_TYPES
    if residues * len(names) > MAX_CONFORMERS:
        raise UsageError(f"--residues: at most {MAX_CONFORMERS // len(names)} can be kept")
    components = [make_component(name, ccd, None) for name in names]
    pool = ConformerPool(usable_threads(), store)
    for seed in seeds:
        start = time.monotonic()
        draws = draw_stream([True] * residues, np.random.RandomState(seed))
        wanted = {
            (component.digest, draw.conformer_seed): component
            for draw in draws
            for component in components
            if draw.conformer_seed is not None
        }
        made = pool.submit(wanted, seed, None).result()
        _log.info("Seed %d: %d conformers in %.1f s", seed, len(made), time.monotonic() - start)
        yield seed, len(made)
