"""Checks what the model produced and decides what happens to it."""

import logging
from collections.abc import Mapping

import numpy as np

from af3opt.engine.protocols import Array, Features, ModelResult, Tree
from af3opt.numerics.arrays import Masks, count_nonfinite
from af3opt.numerics.expected import UndefinedByDesign, check_summary
from af3opt.numerics.stages import StageProbe
from af3opt.numerics.verdict import Action, ArrayFinding, NonFinitePolicy, SeedVerdict

_log = logging.getLogger(__name__)


class NumericsHandler:
    """Finds NaN and infinity where none may be, and applies `--on_nonfinite`.

    It only ever looks: no value is changed. Padding, empty atom slots and scores
    that are undefined for the input (the ipTM of a single chain) do not count.
    """

    def __init__(
        self,
        policy: NonFinitePolicy = NonFinitePolicy.RETRY,
        *,
        probe: StageProbe | None = None,
    ) -> None:
        """Sets the policy.

        Args:
            policy: What to do with non-finite values.
            probe: An installed probe that watches the stages of the model
                (`--debug_numerics`), or None.
        """
        self.policy = policy
        self._probe = probe

    def check_output_numerics(
        self, result: Tree, *, batch: Features | None = None
    ) -> tuple[ArrayFinding, ...]:
        """Looks through any nested result for NaN and infinity.

        Args:
            result: Mappings, sequences, dataclasses and NumPy or JAX arrays. JAX
                arrays on an accelerator are reduced there.
            batch: The featurised batch the result belongs to, so that padded
                tokens and empty atom slots are passed over; None counts all.

        Returns:
            The arrays with non-finite entries, with counts; empty when there are none.

        Raises:
            ValueError: result and batch have different padded sizes.
        """
        masks = Masks.from_batch(batch) if batch is not None else None
        return count_nonfinite(result, masks=masks)

    def handle_coordinate_numerics(
        self,
        positions: Array,
        atom_mask: Array,
        *,
        seed: int,
        attempt: int = 0,
        can_retry: bool = True,
    ) -> tuple[SeedVerdict, Action]:
        """Judges predicted coordinates alone.

        Args:
            positions: (samples, tokens, atoms per token, 3) in Å, any float type.
            atom_mask: (tokens, atoms per token), true for atoms that exist.
            seed: For messages.
            attempt: 0 for the first computation of the seed.
            can_retry: Whether there is a safer way to compute it.

        Returns:
            What was found, and what the policy says to do. The coordinates are
            neither changed nor copied.
        """
        atoms = np.asarray(atom_mask).astype(bool)
        findings = count_nonfinite(
            {"diffusion_samples": {"atom_positions": positions}},
            masks=Masks(token=atoms.any(axis=-1), atom=atoms),
        )
        verdict = SeedVerdict(seed=seed, num_samples=int(positions.shape[0]), findings=findings)
        return verdict, self.decide(verdict, attempt, can_retry=can_retry)

    def handle_general_numerics(
        self,
        values: Array,
        *,
        batch: Features,
        num_samples: int,
        seed: int,
        attempt: int = 0,
        can_retry: bool = True,
    ) -> tuple[SeedVerdict, Action]:
        """Judges any other part of a result: confidences, distogram, embeddings.

        Args:
            values: Nested arrays under the names the model gives them.
            batch: The featurised batch.
            num_samples: Diffusion samples of the seed.
            seed: For messages.
            attempt: 0 for the first computation of the seed.
            can_retry: Whether there is a safer way to compute it.

        Returns:
            What was found, and what the policy says to do.
        """
        verdict = SeedVerdict(
            seed=seed,
            num_samples=num_samples,
            findings=self.check_output_numerics(values, batch=batch),
        )
        return verdict, self.decide(verdict, attempt, can_retry=can_retry)

    def check_seed(self, result: ModelResult, batch: Features, *, seed: int) -> SeedVerdict:
        """Checks everything the forward pass returned for one seed.

        To be called before the engine extracts samples: its clash test raises on
        NaN coordinates, and its JSON writer turns infinity into 99.9.

        Args:
            result: The forward pass's result, on the host or the device.
            batch: The featurised batch it was computed from.
            seed: The seed.

        Returns:
            The verdict; findings are logged as a warning.
        """
        findings = self.check_output_numerics(result, batch=batch)
        verdict = SeedVerdict(
            seed=seed,
            num_samples=int(result["diffusion_samples"]["atom_positions"].shape[0]),
            findings=findings,
            stage=self._probe.first_nonfinite() if self._probe is not None else None,
        )
        if not verdict.ok:
            _log.warning("%s", verdict.describe())
        return verdict

    def check_sample_summary(
        self, metadata: Mapping[str, Tree], batch: Features
    ) -> tuple[ArrayFinding, ...]:
        """Checks the scores the engine derived for one sample.

        Args:
            metadata: The sample's `InferenceResult.metadata`.
            batch: The featurised batch.

        Returns:
            Scores that are non-finite although they are defined for this input.
        """
        return check_summary(metadata, UndefinedByDesign.from_batch(batch))

    def decide(self, verdict: SeedVerdict, attempt: int, *, can_retry: bool = True) -> Action:
        """Applies the policy.

        Args:
            verdict: Outcome of a check.
            attempt: 0 for the first computation of the seed, 1 for the safer one.
            can_retry: False when the first computation was as safe as can be, so
                that repeating it would give the same values.

        Returns:
            What the caller has to do, see `Action`.
        """
        if verdict.ok:
            return Action.ACCEPT
        if self.policy is NonFinitePolicy.FAIL:
            return Action.FAIL
        if self.policy is NonFinitePolicy.MARK:
            return Action.MARK
        return Action.RETRY_SAFER if attempt == 0 and can_retry else Action.EXCLUDE
