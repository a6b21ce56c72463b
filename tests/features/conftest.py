"""The engine with prepared data, and inputs to featurise."""

import dataclasses
import string

import numpy as np
import pytest

from tests.conftest import REPOSITORY

EXAMPLES = sorted(path.stem for path in (REPOSITORY / "examples").glob("*.json"))


@pytest.fixture
def engine(prepared_home):
    """Lets the engine's featurisation be imported in this process."""
    from af3opt.data.prepared import find_prepared
    from af3opt.data.resources import redirect_resources

    redirect_resources(find_prepared())


def load_example(name, seeds=(1, 2, 3)):
    """Returns the fold inputs of an example, with what a search would add left empty."""
    from af3opt.engine.inputs import load_fold_inputs

    for fold_input in load_fold_inputs(REPOSITORY / "examples" / f"{name}.json"):
        yield dataclasses.replace(fold_input.fill_missing_fields(), rng_seeds=list(seeds))


def random_alignment(sequence, rows, generator):
    """An A3M text of a query and relatives with gaps, insertions and species."""
    letters = np.array(list("ARNDCQEGHILKMFPSTWYV"))
    text = [">query", sequence]
    for row in range(rows):
        chance = generator.random(len(sequence))
        relative = np.where(
            chance < 0.5, letters[generator.integers(0, 20, len(sequence))], list(sequence)
        )
        relative = np.where(chance > 0.85, "-", relative).tolist()
        for place in generator.integers(0, len(sequence), generator.integers(0, 6)):
            relative[place] += "".join(generator.choice(list(string.ascii_lowercase), 3))
        species = ("HUMAN", "MOUSE", "YEAST")[row % 3]
        text += [f">tr|A0A{row:05d}|A0A{row:05d}_{species}/1-9", "".join(relative)]
    return "\n".join(text) + "\n"


def protein_input(lengths, rows, seeds, *, paired=False, name="proteins"):
    """A fold input of random proteins with alignments."""
    from af3opt.engine.modules import engine_module

    folding_input = engine_module("common.folding_input")
    generator = np.random.default_rng(7)
    letters = np.array(list("ARNDCQEGHILKMFPSTWYV"))
    chains = []
    for position, length in enumerate(lengths):
        sequence = "".join(letters[generator.integers(0, 20, length)])
        chains.append(
            folding_input.ProteinChain(
                id=string.ascii_uppercase[position],
                sequence=sequence,
                ptms=[],
                unpaired_msa=random_alignment(sequence, rows, generator),
                paired_msa=random_alignment(sequence, rows // 2, generator) if paired else "",
                templates=[],
            )
        )
    return folding_input.Input(name=name, chains=chains, rng_seeds=list(seeds))
