"""Counting NaN and infinity in nested results, on the device where the arrays are.

A leaf is any floating-point array or Python float. Arrays in host memory are
tested with one pass of `isfinite`; only when that fails are masks applied and
entries counted. Arrays on an accelerator are reduced there by one compiled
function, so that a few integers cross the bus instead of the arrays.
"""

import dataclasses
import functools
import numbers
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from af3opt.engine.protocols import Array, EngineFunction, Features, Tree
from af3opt.numerics.verdict import ArrayFinding

MaskKind = Literal["atom", "token", "pair"]


@dataclasses.dataclass(frozen=True, slots=True)
class Layout:
    """How the leading axes of a known array of the model's result are to be read.

    Attributes:
        per_sample: The first axis counts diffusion samples.
        mask: Which entries are real: "token" for (tokens, ...), "pair" for
            (tokens, tokens, ...), "atom" for (tokens, atoms per token, ...);
            None when all are.
    """

    per_sample: bool = False
    mask: MaskKind | None = None


# The forward pass's output by path. Padded tokens and empty atom slots hold
# whatever the padding produced; the engine slices or masks them away.
MODEL_RESULT: Mapping[str, Layout] = {
    "diffusion_samples.atom_positions": Layout(True, "atom"),
    "diffusion_samples.mask": Layout(True, None),
    "predicted_lddt": Layout(True, "atom"),
    "predicted_experimentally_resolved": Layout(True, "atom"),
    "full_pae": Layout(True, "pair"),
    "full_pde": Layout(True, "pair"),
    "average_pde": Layout(True, None),
    "tmscore_adjusted_pae_global": Layout(True, "pair"),
    "tmscore_adjusted_pae_interface": Layout(True, "pair"),
    "distogram.contact_probs": Layout(False, "pair"),
    "distogram.distogram": Layout(False, "pair"),
    "single_embeddings": Layout(False, "token"),
    "pair_embeddings": Layout(False, "pair"),
    "target_feat": Layout(False, "token"),
}

_UNKNOWN = Layout()


@dataclasses.dataclass(frozen=True, slots=True)
class Masks:
    """Which entries of padded arrays are real.

    Attributes:
        token: (num_tokens,) bool, False for padding.
        atom: (num_tokens, atoms per token) bool, False for empty slots and padding.
    """

    token: NDArray[np.bool_]
    atom: NDArray[np.bool_]

    @classmethod
    def from_batch(cls, batch: Features) -> "Masks":
        """Reads the masks of a featurised batch (the engine's batch dictionary)."""
        token = np.asarray(batch["seq_mask"]).astype(bool)
        atom = np.asarray(batch["pred_dense_atom_mask"]).astype(bool)
        return cls(token=token, atom=atom & token[:, None])

    def of(self, kind: MaskKind) -> NDArray[np.bool_]:
        """Returns the mask for the leading axes of an array of that kind."""
        if kind == "token":
            return self.token
        if kind == "atom":
            return self.atom
        return self.token[:, None] & self.token[None, :]


def float_leaves(tree: Tree, path: str = "") -> Iterator[tuple[str, Array]]:
    """Yields (path, leaf) for every floating-point array or number in a nested value.

    Args:
        tree: Mappings, sequences, dataclasses, NumPy and JAX arrays, numbers; any
            other object (text, structures, object arrays) is passed over.
        path: Prefix for the paths.

    Yields:
        Dotted path and the leaf itself, not copied.
    """
    if isinstance(tree, str | bytes) or tree is None:
        return
    if isinstance(tree, Mapping):
        children = [(str(key), value) for key, value in tree.items()]
    elif dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        children = [(f.name, getattr(tree, f.name)) for f in dataclasses.fields(tree)]
    elif hasattr(tree, "dtype") and hasattr(tree, "shape"):
        if _is_floating(tree.dtype):
            yield path, tree
        return
    elif isinstance(tree, Sequence):
        children = [(str(index), value) for index, value in enumerate(tree)]
    elif isinstance(tree, numbers.Real) and not isinstance(tree, numbers.Integral):
        yield path, np.asarray(float(tree))
        return
    else:
        return
    for name, value in children:
        yield from float_leaves(value, f"{path}.{name}" if path else name)


def _is_floating(dtype: DTypeLike) -> bool:
    # bfloat16 and the 8-bit floats are extension types, which NumPy files under kind "V".
    return np.issubdtype(dtype, np.floating) or "float" in getattr(dtype, "name", "")


def count_nonfinite(
    tree: Tree, *, masks: Masks | None = None, layouts: Mapping[str, Layout] = MODEL_RESULT
) -> tuple[ArrayFinding, ...]:
    """Finds the arrays that hold NaN or infinity in entries that count.

    Args:
        tree: Any nested value, see `float_leaves`.
        masks: The real entries; without them every entry counts.
        layouts: Meaning of the axes by path; arrays not listed are taken whole.

    Returns:
        A finding for each array with at least one non-finite real entry.

    Raises:
        ValueError: an array's shape contradicts its layout or the masks.
    """
    leaves = dict(float_leaves(tree))
    on_device = {path: leaf for path, leaf in leaves.items() if _is_on_accelerator(leaf)}
    counts = _device_counts(on_device, masks, layouts) if on_device else {}
    findings = []
    for path, leaf in leaves.items():
        layout = layouts.get(path, _UNKNOWN)
        table = counts[path] if path in counts else _host_counts(path, leaf, layout, masks)
        if table is not None and table.any():
            findings.append(
                ArrayFinding(
                    path=path,
                    nan=tuple(map(int, table[:, 0])),
                    infinite=tuple(map(int, table[:, 1])),
                    per_sample=layout.per_sample,
                )
            )
    return tuple(findings)


def _host_counts(
    path: str, leaf: Array, layout: Layout, masks: Masks | None
) -> NDArray[np.int64] | None:
    """Counts in host memory: (samples or 1, 2) NaN and infinity, or None when all finite."""
    array = np.asarray(leaf)
    if np.isfinite(array).all():
        return None
    mask = _mask_for(path, array.shape, layout, masks)
    return np.stack(
        [
            _sum_keeping_samples(np.isnan(array) & mask, layout),
            _sum_keeping_samples(np.isinf(array) & mask, layout),
        ],
        axis=-1,
    )


def _sum_keeping_samples(flags: NDArray[np.bool_], layout: Layout) -> NDArray[np.int64]:
    samples = flags.shape[0] if layout.per_sample else 1
    return flags.reshape(samples, -1).sum(axis=-1)


def _mask_for(
    path: str, shape: tuple[int, ...], layout: Layout, masks: Masks | None
) -> NDArray[np.bool_]:
    """The mask of real entries, shaped to broadcast against an array of `shape`."""
    if layout.mask is None or masks is None:
        return np.ones((1,) * len(shape), dtype=bool)
    mask = masks.of(layout.mask)
    leading = int(layout.per_sample)
    if shape[leading : leading + mask.ndim] != mask.shape:
        raise ValueError(
            f"{path} has shape {shape}, which does not fit the batch's {layout.mask} mask of shape "
            f"{mask.shape}: result and batch do not belong together"
        )
    trailing = len(shape) - leading - mask.ndim
    return mask.reshape((1,) * leading + mask.shape + (1,) * trailing)


def _is_on_accelerator(leaf: Array) -> bool:
    """True for a JAX array that is not in host memory (a CPU array is read in place)."""
    devices = getattr(leaf, "devices", None)
    return devices is not None and any(device.platform != "cpu" for device in devices())


def _device_counts(
    arrays: Mapping[str, Array], masks: Masks | None, layouts: Mapping[str, Layout]
) -> dict[str, NDArray[np.int64]]:
    """Counts all `arrays` in one program where they are; one small transfer back."""
    import jax

    named = {path: layouts.get(path, _UNKNOWN) for path in arrays}
    broadcast = {path: _mask_for(path, arrays[path].shape, named[path], masks) for path in arrays}
    per_sample = tuple(sorted(path for path, layout in named.items() if layout.per_sample))
    table = jax.device_get(_counting_program(per_sample)(dict(arrays), broadcast))
    return {path: np.asarray(counts, dtype=np.int64) for path, counts in table.items()}


@functools.cache
def _counting_program(per_sample: tuple[str, ...]) -> EngineFunction:
    """The compiled reduction; JAX keeps one executable for each set of shapes."""
    import jax
    import jax.numpy as jnp

    def reduce(path: str, flags: Array) -> Array:
        samples = flags.shape[0] if path in per_sample else 1
        return flags.reshape(samples, -1).sum(axis=-1, dtype=jnp.int32)

    def count(arrays: dict[str, Array], masks: dict[str, Array]) -> dict[str, Array]:
        return {
            path: jnp.stack(
                [
                    reduce(path, jnp.isnan(array) & masks[path]),
                    reduce(path, jnp.isinf(array) & masks[path]),
                ],
                axis=-1,
            )
            for path, array in arrays.items()
        }

    compiled: EngineFunction = jax.jit(count)
    return compiled
