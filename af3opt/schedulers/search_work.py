"""How much there is to search for a fold job: residues times database, cached chains free."""

import dataclasses
import hashlib
import statistics
import string
from collections.abc import Collection, Iterable, Iterator, Mapping

from af3opt.base.json_types import Json
from af3opt.caching.entry import EntryHeader
from af3opt.engine.databases import database_files
from af3opt.features.msa_cache import MsaCache
from af3opt.settings.settings import Settings

_GB = 1e9
# Databases by the kind of chain that is searched in them, and their size in GB as the
# engine's own fetch script installs them (2022 and 2023), for where they cannot be seen.
DATABASES: Mapping[str, Mapping[str, float]] = {
    "protein": {
        "small_bfd_database_path": 17.0,
        "mgnify_database_path": 120.0,
        "uniprot_cluster_annot_database_path": 102.0,
        "uniref90_database_path": 67.0,
    },
    "rna": {
        "ntrna_database_path": 76.0,
        "rfam_database_path": 0.2,
        "rna_central_database_path": 13.0,
    },
}
# Seconds for one residue and one GB: 593 s for a chain of 193 residues in these 306 GB, on
# 8 cores (issue 305 of AlphaFold 3).
_PUBLISHED_RATE = 593 / 193 / 306
_KINDS = {"protein": "protein", "proteinChain": "protein", "rna": "rna", "rnaSequence": "rna"}
_CACHED_KINDS = {"ProteinChain search": "protein", "RnaChain search": "rna"}
# So many searches tell how fast they are.
_MOST_TIMED = 500


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Chain:
    """A chain that has to be searched.

    Attributes:
        kind: "protein" or "rna".
        digest: SHA-256 of its sequence, in hexadecimal.
        residues: Its length.
    """

    kind: str
    digest: str
    residues: int


@dataclasses.dataclass(frozen=True)
class SearchCosts:
    """What searching a chain costs.

    Attributes:
        rate: Seconds for one residue and one GB of databases.
        gigabytes: Kind of chain -> size of the databases it is searched in.
        cached: Kind and digest of chains whose results are at hand.
        source: Where the rate comes from, for the user, after "by".
    """

    rate: float
    gigabytes: Mapping[str, float]
    cached: Collection[tuple[str, str]]
    source: str

    def seconds(self, chain: Chain) -> float:
        """Seconds to search a chain; 0 for one whose results are at hand."""
        if (chain.kind, chain.digest) in self.cached:
            return 0.0
        return self.rate * chain.residues * self.gigabytes[chain.kind]


def chains_to_search(entry: Mapping[str, Json]) -> frozenset[Chain]:
    """Returns the chains of a fold job that bring no MSA along, each once.

    Args:
        entry: The job's JSON, in either dialect.
    """
    return frozenset(_searched(entry.get("sequences")))


def find_search_costs(settings: Settings) -> SearchCosts:
    """Looks into the MSA cache and at the databases, as far as they can be seen here."""
    cached: set[tuple[str, str]] = set()
    rates: list[float] = []
    cache = MsaCache.from_settings(settings)
    for info in cache.manager.entries() if cache is not None else ():
        kind = info.header and _CACHED_KINDS.get(str(info.header.material.get("kind")))
        if info.header is None or not kind:
            continue
        cached.add((kind, str(info.header.material.get("sequence"))))
        rate = _rate(info.header, kind)
        if rate is not None and len(rates) < _MOST_TIMED:
            rates.append(rate)
    gigabytes = {
        kind: sum(
            _visible_gigabytes(getattr(settings, name, ""), settings.db_dir, name) or published
            for name, published in databases.items()
        )
        for kind, databases in DATABASES.items()
    }
    if rates:
        source = f"the time of {len(rates)} search(es) in the MSA cache"
        return SearchCosts(statistics.median(rates), gigabytes, cached, source)
    return SearchCosts(_PUBLISHED_RATE, gigabytes, cached, "published times on 8 cores")


def _searched(sequences: Json) -> Iterator[Chain]:
    for item in sequences if isinstance(sequences, list) else ():
        for name, content in item.items() if isinstance(item, dict) else ():
            kind = _KINDS.get(name)
            sequence = content.get("sequence") if isinstance(content, dict) else None
            if kind is None or not isinstance(sequence, str) or _brings_msa(kind, content):
                continue
            digest = hashlib.sha256(sequence.encode()).hexdigest()
            yield Chain(kind, digest, len(sequence))


def _brings_msa(kind: str, content: Mapping[str, Json]) -> bool:
    needed = ("unpairedMsa", "pairedMsa") if kind == "protein" else ("unpairedMsa",)
    return all(
        any(content.get(name) is not None for name in (field, f"{field}Path")) for field in needed
    )


def _rate(header: EntryHeader, kind: str) -> float | None:
    """Seconds a residue and GB of one stored search; None when it was not timed."""
    try:
        seconds = float(header.information["seconds"])
        residues = int(header.material["residues"])
        databases = header.material["databases"]
        searched = sum(
            int(file["bytes"])
            for name in DATABASES[kind]
            for file in databases.get(name, ())
            if "bytes" in file
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    work = residues * searched / _GB
    return seconds / work if seconds > 0 and work > 0 else None


def _visible_gigabytes(spec: str, directories: Iterable[str], flag: str) -> float | None:
    """Size of a database; None when it cannot be seen from here."""
    for directory in directories:
        path = string.Template(str(spec)).safe_substitute(DB_DIR=directory)
        files = database_files(path, flag)
        size = sum(file.stat().st_size for file in files if file.is_file())
        if size:
            return size / _GB
    return None
