"""Finds the first stage of the model whose values are not finite (`--debug_numerics`).

The engine's modules are wrapped so that each call also reports whether its real
(unpadded) values are finite. The reports leave the compiled program through host
callbacks, which costs time and keeps the program out of the compile cache; hence
only on request. Values and random draws stay as they are.
"""

import contextlib
import dataclasses
import functools
import threading
from collections.abc import Callable, Iterator

from af3opt.engine.patching import ANYTHING, Patch, PatchSet, Target
from af3opt.engine.protocols import Argument, Array, EngineFunction, Module, Tree

_TRUNK = Target("model.network.evoformer", "Evoformer.__call__", None)
_DENOISER = Target("model.network.diffusion_head", "DiffusionHead.__call__", None)
_CONFIDENCE = Target("model.network.confidence_head", "ConfidenceHead.__call__", None)


@dataclasses.dataclass(slots=True)
class _Reports:
    """What one forward pass reported."""

    input_ok: bool = True
    trunk: list[bool] = dataclasses.field(default_factory=list)
    conditioning_ok: bool = True
    # Noise level -> [coordinates before the denoiser, coordinates it returned].
    diffusion: dict[float, list[bool]] = dataclasses.field(default_factory=dict)
    confidence_ok: bool = True


class StageProbe:
    """Watches the stages of every forward pass traced while it is installed."""

    def __init__(self) -> None:
        self._reports = _Reports()
        # Callbacks come from the runtime's threads.
        self._lock = threading.Lock()

    def install(self) -> Callable[[], None]:
        """Wraps the engine's modules; programs traced from now on report.

        Returns:
            A function that takes the wrappers off again.
        """
        patches = self._patches()
        patches.apply()
        return patches.undo

    @contextlib.contextmanager
    def installed(self) -> Iterator["StageProbe"]:
        """Installs the probe for the duration of the block."""
        with self._patches():
            yield self

    def _patches(self) -> PatchSet["StageProbe"]:
        probe = Patch[StageProbe](
            name="stage_probe",
            replacements=(
                (_TRUNK, lambda original, probe: probe.wrap_trunk(original)),
                (_DENOISER, lambda original, probe: probe.wrap_denoiser(original)),
                (_CONFIDENCE, lambda original, probe: probe.wrap_confidence(original)),
            ),
            after=frozenset({ANYTHING}),
        )
        return PatchSet([probe], self, required=True)

    def first_nonfinite(self) -> str | None:
        """Names the first bad stage of the last forward pass, then forgets it.

        Returns:
            Such as "trunk pass 3 of 11" or "diffusion step 161 of 200, noise added
            by the sampler"; None when every stage was finite.
        """
        import jax

        jax.effects_barrier()
        with self._lock:
            reports, self._reports = self._reports, _Reports()
        return _first_bad(reports)

    def wrap_trunk(self, original: EngineFunction) -> EngineFunction:
        """Wraps `Evoformer.__call__`: one call is one pass, the first recycles nothing."""

        @functools.wraps(original)
        def call(module: Module, *args: Argument, **kwargs: Argument) -> Tree:
            import jax

            mask = kwargs["batch"].token_features.mask
            embeddings = original(module, *args, **kwargs)
            target_ok = _finite(kwargs["target_feat"], mask)
            single_ok = _finite(embeddings["single"], mask)
            pair_ok = _finite(embeddings["pair"], mask[:, None] * mask[None, :])
            jax.debug.callback(self._on_trunk, target_ok, single_ok & pair_ok)
            return embeddings

        return call

    def wrap_denoiser(self, original: EngineFunction) -> EngineFunction:
        """Wraps `DiffusionHead.__call__`, which also serves to compute conditioning."""

        @functools.wraps(original)
        def call(module: Module, *args: Argument, **kwargs: Argument) -> Tree:
            import jax

            output = original(module, *args, **kwargs)
            noisy = args[0] if args else kwargs.get("positions_noisy")
            if noisy is None:
                jax.debug.callback(self._on_conditioning, _all_finite(output))
                return output
            level = args[1] if len(args) > 1 else kwargs["noise_level"]
            mask = kwargs["batch"].predicted_structure_info.atom_mask
            jax.debug.callback(
                self._on_denoiser, level, _finite(noisy, mask), _finite(output, mask)
            )
            return output

        return call

    def wrap_confidence(self, original: EngineFunction) -> EngineFunction:
        """Wraps `ConfidenceHead.__call__`, called once for each sample."""

        @functools.wraps(original)
        def call(module: Module, *args: Argument, **kwargs: Argument) -> Tree:
            import jax

            output = original(module, *args, **kwargs)
            jax.debug.callback(self._on_confidence, _all_finite(output))
            return output

        return call

    def _on_trunk(self, target_ok: Array, trunk_ok: Array) -> None:
        with self._lock:
            self._reports.input_ok &= bool(target_ok)
            self._reports.trunk.append(bool(trunk_ok))

    def _on_conditioning(self, ok: Array) -> None:
        with self._lock:
            self._reports.conditioning_ok &= bool(ok)

    def _on_denoiser(self, level: Array, noisy_ok: Array, denoised_ok: Array) -> None:
        with self._lock:
            seen = self._reports.diffusion.setdefault(float(level), [True, True])
            seen[0] &= bool(noisy_ok)
            seen[1] &= bool(denoised_ok)

    def _on_confidence(self, ok: Array) -> None:
        with self._lock:
            self._reports.confidence_ok &= bool(ok)


def _first_bad(reports: _Reports) -> str | None:
    if not reports.input_ok:
        return "input embedding"
    for index, ok in enumerate(reports.trunk, start=1):
        if not ok:
            return f"trunk pass {index} of {len(reports.trunk)}"
    if not reports.conditioning_ok:
        return "diffusion conditioning"
    # Noise only ever falls, so its level orders the steps whatever order reports came in.
    levels = sorted(reports.diffusion, reverse=True)
    for index, level in enumerate(levels, start=1):
        noisy_ok, denoised_ok = reports.diffusion[level]
        if not (noisy_ok and denoised_ok):
            where = "denoiser" if noisy_ok else "noise added by the sampler"
            return f"diffusion step {index} of {len(levels)}, {where}"
    return None if reports.confidence_ok else "confidence head"


def _finite(array: Array, mask: Array) -> Array:
    """Scalar bool: every entry of `array` whose leading-axes `mask` is set is finite."""
    import jax.numpy as jnp

    real = mask.astype(bool).reshape(mask.shape + (1,) * (array.ndim - mask.ndim))
    return jnp.all(jnp.isfinite(array) | ~real)


def _all_finite(tree: Tree) -> Array:
    import jax
    import jax.numpy as jnp

    # Conditioning also carries plain Python flags.
    floats = [
        leaf
        for leaf in jax.tree.leaves(tree)
        if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jnp.floating)
    ]
    return jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in floats]).all()
