"""A device step of chosen length in place of the model, for measuring what is around it.

It predicts nothing and uses no device: it sleeps, as the host does while a device
works, and returns arrays of the shapes of a model result that depend on the seed alone.
"""

import time
import types
from collections.abc import Mapping
from typing import Any

import numpy as np

from af3opt.memory import Program


class StubbedRunner:
    """Stands where `ModelRunner` does."""

    def __init__(self, seconds: float = 0.0, samples: int = 1) -> None:
        """Sets the stub up.

        Args:
            seconds: Length of a device step.
            samples: Diffusion samples in a result.
        """
        self._seconds = seconds
        self._samples = samples
        # Nothing of the stub is in reduced precision.
        self.config = types.SimpleNamespace(global_config=types.SimpleNamespace(bfloat16="none"))
        self.device: Any = None
        self.compile_reports: list[Any] = []
        self.once_seconds = 0.0
        described = types.SimpleNamespace(sha256="0" * 64)
        self.weights = types.SimpleNamespace(describe=lambda: described)

    def program(self, batch: Mapping[str, Any]) -> Program:
        """Stands for the program that a batch needs."""
        return Program(kind="stub", family="stub", shapes=str(batch["token_index"].shape))

    def run_inference(
        self, batch: Mapping[str, Any], seed: int, samples_at_once: int | None = None
    ) -> dict[str, Any]:
        """Takes its time and returns a made-up result."""
        del samples_at_once
        time.sleep(self._seconds)
        return stubbed_result(batch, seed, self._samples)


def stubbed_result(batch: Mapping[str, Any], seed: int, samples: int) -> dict[str, Any]:
    """Returns random arrays of the shapes that the engine extracts results from.

    Args:
        batch: Features of one seed, padded.
        seed: Decides the numbers.
        samples: Diffusion samples.
    """
    random = np.random.default_rng(seed)
    tokens = batch["token_index"].shape[0]
    atoms = batch["ref_mask"].shape[1]

    def draw(*shape: int) -> np.ndarray:
        return random.random(shape, dtype=np.float32)

    pairs = (samples, tokens, tokens)
    return {
        "diffusion_samples": {
            "atom_positions": draw(samples, tokens, atoms, 3) * 30,
            "mask": np.broadcast_to(batch["pred_dense_atom_mask"], (samples, tokens, atoms)),
        },
        "distogram": {"contact_probs": draw(tokens, tokens)},
        "predicted_lddt": draw(samples, tokens, atoms) * 100,
        "full_pde": draw(*pairs) * 30,
        "full_pae": draw(*pairs) * 30,
        "average_pde": draw(samples) * 30,
        "tmscore_adjusted_pae_global": draw(*pairs),
        "tmscore_adjusted_pae_interface": draw(*pairs),
        "predicted_experimentally_resolved": draw(samples, tokens, atoms),
        "__identifier__": b"stub",
    }
