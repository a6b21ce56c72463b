"""One NVIDIA GPU, however its facts were found."""

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU, or one MIG slice of one.

    Attributes:
        index: Position in the driver's list (bus order).
        uuid: "GPU-..." or "MIG-...".
        name: Product name.
        compute_capability: For example 8.0.
        memory_mib: Memory in MiB.
        driver_version: For example "550.54.15".
    """

    index: int
    uuid: str
    name: str
    compute_capability: float
    memory_mib: int
    driver_version: str

    @property
    def memory_bytes(self) -> int:
        """Memory in bytes."""
        return self.memory_mib << 20
