"""Getting the weights to the device."""

import dataclasses
import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from af3opt.base.errors import SetupError
from af3opt.engine.parameters import DamagedParametersError, load_parameters
from af3opt.engine.protocols import Array, Device
from af3opt.inference.results import IDENTIFIER
from af3opt.inference.weights_ahead import layout_ahead, take_ahead
from af3opt.inference.weights_copy import (
    changed_while_read,
    file_digest,
    file_states,
    make_copy,
    open_copy,
)
from af3opt.inference.weights_format import (
    FormatUnknownError,
    Record,
    RecordStream,
    WeightFiles,
    WeightsLayout,
    check_engine_loader,
    find_weight_files,
)

_log = logging.getLogger(__name__)

# Scope of what the files hold beside parameters.
_META = "__meta__"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LoadedWeights:
    """The weights on a device.

    Attributes:
        params: Device arrays by scope and name, as the engine's model takes them.
        identifier: The identifier record, written into every result.
        joined: numpy arrays of weights that some products read side by side, by scope of
            their layers and product, as far as the local copy holds them.
        sha256: Digest of the files they came from.
        seconds: How long loading took.
        source: "mapped copy", "files" or "engine's loader".
    """

    params: dict[str, dict[str, Array]]
    joined: dict[str, dict[str, np.ndarray]]
    identifier: bytes
    sha256: str
    seconds: float
    source: str

    @property
    def layout(self) -> WeightsLayout:
        """The parameters without their values."""
        arrays = tuple(
            (scope, name, str(array.dtype), array.shape)
            for scope, named in self.params.items()
            for name, array in named.items()
        )
        return WeightsLayout(arrays=arrays, sha256=self.sha256)


@dataclasses.dataclass(frozen=True, slots=True)
class _Loaded:
    """What one way of loading gives; see `LoadedWeights`.

    The identifier, or None without one, is that of the host: reading it back from a
    device would wait until all weights before it have got there.
    """

    params: dict[str, dict[str, Array]]
    identifier: bytes | None
    sha256: str
    source: str
    joined: dict[str, dict[str, np.ndarray]] = dataclasses.field(default_factory=dict)


class ModelWeights:
    """The weights of one directory on one device, read once."""

    def __init__(
        self,
        model_dir: Path,
        device: Device,
        *,
        use_copy: bool = True,
        announced: WeightsLayout | None = None,
        digest: Callable[[], str] | None = None,
    ) -> None:
        """Reads nothing yet.

        Args:
            model_dir: Directory given as `--model_dir`.
            device: The JAX device.
            use_copy: Use, or make, the local copy of the weights.
            announced: What they are going to be, where that is known before they are read.
            digest: Gives the digest that results will be recorded with; weights of another
                are refused. None where nothing is recorded.
        """
        self._model_dir = model_dir
        self._device = device
        self._use_copy = use_copy
        self._announced = announced
        self._digest = digest
        self._loaded: LoadedWeights | None = None

    @property
    def seconds(self) -> float:
        """What reading them took; 0 until they have been read."""
        return self._loaded.seconds if self._loaded is not None else 0.0

    def describe(self) -> WeightsLayout:
        """Makes sure that there are weights, and says what they are.

        Loads them, unless another process has just read them all and is writing the local
        copy: compiling need not wait for that.

        Raises:
            SetupError: no readable weights in the model directory.
        """
        if self._loaded is None and self._announced is None and self._use_copy:
            self._announced = announced_weights(self._model_dir)
        if self._loaded is None and self._announced is not None:
            return self._announced
        return self.load().layout

    def load(self) -> LoadedWeights:
        """Reads the weights to the device; does nothing the second time.

        Returns:
            The weights with their identifier and digest.

        Raises:
            SetupError: no readable weights in the model directory, or not those that
                results will be recorded with.
        """
        if self._loaded is None:
            weights = load_weights(self._model_dir, self._device, use_copy=self._use_copy)
            told = {weights.sha256}
            if self._announced is not None:
                told.add(self._announced.sha256)
            if self._digest is not None:
                told.add(self._digest())
            if len(told) > 1:
                raise SetupError(
                    f"--model_dir={self._model_dir}: the model parameters changed while they "
                    "were read; run again"
                )
            self._loaded = weights
            _log.info("Loading model parameters took %.2f seconds.", weights.seconds)
        return self._loaded


def announced_weights(model_dir: Path) -> WeightsLayout | None:
    """What is known of the weights of a directory before they are loaded.

    Args:
        model_dir: Directory given as `--model_dir`.

    Returns:
        The parameters that `load_weights` will give, if another process is making the
        local copy of the files and has found no fault in them; else None.

    Raises:
        SetupError: no weights there.
    """
    files = find_weight_files(model_dir)
    try:
        check_engine_loader()
    except FormatUnknownError:
        return None
    layout = layout_ahead(files)
    if layout is None or not any(name == IDENTIFIER for _, name, _, _ in layout.arrays):
        return None
    _log.info("Weights are complete; a local copy is being made meanwhile (%s)", files.label)
    return layout


def abstract_parameters(layout: WeightsLayout) -> dict[str, dict[str, Array]]:
    """Shapes and dtypes of the weights, in the structure of `LoadedWeights.params`."""
    import jax

    params: dict[str, dict[str, Array]] = {}
    for scope, name, dtype, shape in layout.arrays:
        params.setdefault(scope, {})[name] = jax.ShapeDtypeStruct(shape, np.dtype(dtype))
    return params


def load_weights(model_dir: Path, device: Device, *, use_copy: bool = True) -> LoadedWeights:
    """Puts the weights of a directory on a device.

    Args:
        model_dir: Directory given as `--model_dir`; never written to.
        device: The JAX device.
        use_copy: Use the local copy under AF3OPT_HOME, and make it if it is missing.

    Returns:
        The weights, equal to what the engine's own loader gives.

    Raises:
        SetupError: no weights there, or they are damaged; names the file.
    """
    start = time.perf_counter()
    files = find_weight_files(model_dir)
    try:
        check_engine_loader()
        loaded = _load_plain(files, device, use_copy=use_copy)
    except FormatUnknownError as reason:
        _log.info("Weights are read by the engine's own loader: %s", reason)
        loaded = _load_with_engine(files, model_dir, device)
    if loaded.identifier is None:
        raise SetupError(
            f"{files.label}: has no identifier record; it is damaged or not AlphaFold 3's "
            "weights, fetch it again"
        )
    seconds = time.perf_counter() - start
    _log.info("Loaded the weights in %.2f s from %s (%s)", seconds, loaded.source, files.label)
    return LoadedWeights(
        params=loaded.params,
        joined=loaded.joined,
        identifier=loaded.identifier,
        sha256=loaded.sha256,
        seconds=seconds,
        source=loaded.source,
    )


def _load_plain(files: WeightFiles, device: Device, *, use_copy: bool) -> _Loaded:
    mapped = (take_ahead(files) or open_copy(files) or make_copy(files)) if use_copy else None
    if mapped is None:
        stream = RecordStream(files)
        params, identifier = _to_device(stream, device)
        return _Loaded(params, identifier, stream.sha256, "files")
    joined: dict[str, dict[str, np.ndarray]] = {}
    for record in mapped.joined:
        joined.setdefault(record.scope, {})[record.name] = record.array
    params, identifier = _to_device(mapped.records, device)
    return _Loaded(params, identifier, mapped.sha256, "mapped copy", joined)


def _to_device(
    records: Iterable[Record], device: Device
) -> tuple[dict[str, dict[str, Array]], bytes | None]:
    """Puts arrays on the device one by one; on a CPU they are used where they lie.

    Returns:
        The arrays, which may still be on their way, and the identifier.
    """
    import jax

    params: dict[str, dict[str, Array]] = {}
    identifier: bytes | None = None
    for record in records:
        if (record.scope, record.name) == (_META, IDENTIFIER):
            identifier = record.array.tobytes()
        array = jax.device_put(record.array, device)
        params.setdefault(record.scope, {})[record.name] = array
    return params, identifier


def _load_with_engine(files: WeightFiles, model_dir: Path, device: Device) -> _Loaded:
    import jax

    states = file_states(files)
    try:
        params = load_parameters(model_dir)
    except DamagedParametersError as error:
        raise SetupError(f"{files.label}: {error}") from error
    digest = file_digest(files)
    if file_states(files) != states:
        raise changed_while_read(files)
    identifier = params.get(_META, {}).get(IDENTIFIER)
    return _Loaded(
        jax.device_put(params, device),
        None if identifier is None else np.asarray(identifier).tobytes(),
        digest,
        "engine's loader",
    )
