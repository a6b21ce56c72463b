"""Computes a seed, checks it, and computes it once more in safer numerics if need be."""

import dataclasses
import logging
from collections.abc import Callable

from af3opt.engine.protocols import Features, ModelResult
from af3opt.numerics.handler import NumericsHandler
from af3opt.numerics.safer import SaferNumerics
from af3opt.numerics.verdict import Action, SeedVerdict

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CheckedResult:
    """A seed's result and what is to be thought of it.

    Attributes:
        result: The forward pass's result, values as they are.
        verdict: What the check found in it.
        action: ACCEPT, EXCLUDE or MARK.
        attempts: 2 when the seed was computed again, else 1.
        safer_numerics: What was different the second time, or "".
    """

    result: ModelResult
    verdict: SeedVerdict
    action: Action
    attempts: int = 1
    safer_numerics: str = ""

    @property
    def good_samples(self) -> list[int]:
        """Samples to extract and rank as usual."""
        bad = self.verdict.bad_samples
        return [index for index in range(self.verdict.num_samples) if index not in bad]

    @property
    def bad_samples(self) -> list[int]:
        """Samples to write apart (EXCLUDE) or in their place (MARK), never to rank."""
        return sorted(self.verdict.bad_samples)


def infer_checked(
    infer: Callable[[], ModelResult],
    batch: Features,
    *,
    seed: int,
    handler: NumericsHandler,
    safer: SaferNumerics | None,
    infer_safer: Callable[[SaferNumerics], ModelResult],
) -> CheckedResult:
    """Runs the model on a seed under the policy of `handler`.

    Args:
        infer: Computes the seed.
        batch: The featurised batch.
        seed: The seed.
        handler: Checks and decides.
        safer: The changes for a second attempt, None when there are none to make.
        infer_safer: Computes the seed with changes in force, from the same random draws.

    Returns:
        The last result that was computed, with its verdict.

    Raises:
        NonFiniteError: values are not finite and the policy is to fail.
    """
    result = infer()
    verdict = handler.check_seed(result, batch, seed=seed)
    action = handler.decide(verdict, 0, can_retry=safer is not None)
    attempts, changes = 1, ""
    if action is Action.RETRY_SAFER and safer is not None:
        changes = safer.describe()
        _log.warning("seed %d: computing it once more with %s", seed, changes)
        result = infer_safer(safer)
        verdict = handler.check_seed(result, batch, seed=seed)
        action = handler.decide(verdict, 1)
        attempts = 2
    if action is Action.FAIL:
        raise verdict.error()
    if action is Action.EXCLUDE:
        _log.error(
            "seed %d: sample(s) %s are not finite; they are written apart and not ranked",
            seed,
            ", ".join(map(str, sorted(verdict.bad_samples))),
        )
    return CheckedResult(
        result=result, verdict=verdict, action=action, attempts=attempts, safer_numerics=changes
    )
