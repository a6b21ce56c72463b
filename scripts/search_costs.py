"""What searches would cost on AlphaFold 3's databases, calculated from measured rates.

Nothing here was measured on such a machine. The engine runs four jackhmmers side by side, each
with one thread that parses and at most eight that score; the slowest of all limits decides.
The scan takes all cores, reads each database once for all chains of a pass, and leaves the
survivors to jackhmmer, which is added as if it did not overlap with the scan.
"""

import dataclasses
import statistics
from collections.abc import Sequence

from af3opt.benchmarks.markdown_rows import table_head, table_row
from af3opt.benchmarks.search_result import Rates, SearchResult
from af3opt.schedulers.search_work import DATABASES

GIGABYTES = DATABASES["protein"]
TOTAL_GB = sum(GIGABYTES.values())
# Upstream's default for a program, however many cores there are.
_MOST_THREADS = 8
# About half of what eight channels of DDR4-3200 can do; GB/s.
MEMORY_GB_S = 100.0
CORES = (8, 32, 64)
# Chains of a pass, and what a pass holds at most.
CHAINS = (1, 32)


@dataclasses.dataclass(frozen=True, slots=True)
class Storage:
    """Where the databases lie.

    Attributes:
        name: For the table.
        gb_s: What it gives to one node, assumed.
    """

    name: str
    gb_s: float


STORAGES = (
    Storage("in memory", MEMORY_GB_S),
    Storage("NVMe, 3 GB/s", 3.0),
    Storage("shared file system, 1 GB/s", 1.0),
)


def engine_seconds(rates: Rates, cores: int, storage: Storage) -> float:
    """Seconds of the engine's own searches for one chain."""
    processor = _per_gb(rates, rates.engine_processor)
    parser = _per_gb(rates, rates.parser)
    threads = min(cores, _MOST_THREADS)
    largest = max(GIGABYTES.values())
    return max(
        largest * max(parser, processor / threads),
        TOTAL_GB * processor / min(cores, threads * len(GIGABYTES)),
        TOTAL_GB / storage.gb_s,
    )


def scan_seconds(rates: Rates, threads: int, cores: int, storage: Storage, chains: int) -> float:
    """Seconds of af3opt's searches for one chain of a pass.

    Args:
        rates: Measured.
        threads: With how many the scan was measured; more are taken to share out as well.
        cores: Of the machine.
        storage: Where the databases lie.
        chains: Chains of the pass.
    """
    alone, together = statistics.median(rates.one_thread), statistics.median(rates.all_threads)
    efficiency = min(1.0, alone / (threads * together))
    scan = TOTAL_GB * chains * _per_gb(rates, rates.one_thread) / (cores * efficiency)
    programs = min(cores, chains * _MOST_THREADS * len(GIGABYTES))
    survivors = TOTAL_GB * chains * _per_gb(rates, rates.survivors_processor) / programs
    return (max(scan, TOTAL_GB / storage.gb_s) + survivors) / chains


def costs_table(result: SearchResult) -> str:
    """Returns seconds a chain by storage, chains of a pass, and cores.

    Raises:
        ValueError: the result has no rates.
    """
    rates = result.rates
    if rates is None:
        raise ValueError("the result has no rates: measure with --parts=...,rates")
    lines = table_head(
        "Databases", "Chains in a pass", *(f"{cores} cores: engine, af3opt" for cores in CORES)
    )
    for storage in STORAGES:
        for chains in CHAINS:
            cells = []
            for cores in CORES:
                engine = engine_seconds(rates, cores, storage)
                ours = scan_seconds(rates, result.threads, cores, storage, chains)
                cells.append(f"{engine:.0f} s, {ours:.0f} s ({engine / ours:.1f}x)")
            lines.append(table_row([storage.name, str(chains), *cells]))
    return "\n".join(lines)


def _per_gb(rates: Rates, seconds: Sequence[float]) -> float:
    return statistics.median(seconds) / rates.gigabytes
