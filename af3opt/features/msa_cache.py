"""Search results kept by chain: the same chain in many complexes is searched once.

Searches take most of a job's time without using its GPU, and a chain's results do
not depend on the complex. They do depend on the databases, the tools and their
options, so all of these are part of the key; results of different databases are
never mixed.
"""

import contextlib
import dataclasses
import functools
import hashlib
import inspect
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import zstandard

from af3opt.base.databases import database_identity, program_identity, states_of_files
from af3opt.base.json_files import parse_object
from af3opt.base.json_types import Json, JsonObject
from af3opt.base.key import CacheKey, json_digest
from af3opt.caching.entry import DECODING_ERRORS
from af3opt.caching.locations import open_cache
from af3opt.caching.manager import CacheManager
from af3opt.engine.databases import database_files
from af3opt.engine.discovery import find_engine
from af3opt.engine.modules import engine_module
from af3opt.engine.msa import found_rows
from af3opt.engine.protocols import Argument, EngineFunction, PipelineConfig, PolymerChain
from af3opt.environment.neutral import engine_variables
from af3opt.settings.settings import Settings

_log = logging.getLogger(__name__)

_FORMAT_VERSION = 2
_LEVEL = 3
_MOST_BYTES = 2 << 30
_RESULTS = ("unpaired_msa", "paired_msa", "templates")
_DATABASE = "_database_path"
_PROGRAM = "_binary_path"
# Settings that change how fast a search is, not what it finds.
_SPEED_ONLY = ("_n_cpu", "_n_workers", "_max_parallel_shards")

# The methods of the engine's pipeline that search for a chain.
SEARCHES = ("process_protein_chain", "process_rna_chain")

type Search = Callable[[PolymerChain], PolymerChain]


class MsaCache:
    """Per-chain results of the engine's data pipeline."""

    def __init__(self, manager: CacheManager) -> None:
        """Puts an MSA cache on a store.

        Args:
            manager: Where entries are kept.
        """
        self.manager = manager
        # Why a chain is not searched, by its key; None where it may be.
        self.known_failure: Callable[[CacheKey], str | None] = lambda _: None
        # Of the pipeline that this is put around; None before there is one.
        self.config: PipelineConfig | None = None
        self._side_by_side = 1

    @classmethod
    def from_settings(cls, settings: Settings) -> "MsaCache | None":
        """Returns the cache that the settings ask for, or None for `--nomsa_cache`."""
        if not settings.msa_cache:
            return None
        return cls(open_cache("msa", settings.msa_cache_dir, settings.msa_cache_gb))

    def pipeline_class(self, engines: type, config: PipelineConfig) -> type:
        """Derives a pipeline that looks here before it searches, and keeps what it finds.

        Args:
            engines: The engine's `DataPipeline`.
            config: The `DataPipelineConfig` it will be made with.
        """
        self.config = config
        methods = {name: self._reusing(getattr(engines, name)) for name in SEARCHES}
        return type(engines.__name__, (engines,), methods)

    def searched(self, search: Search, chain: PolymerChain) -> PolymerChain:
        """Returns a chain with the results that are kept of it, or searches and keeps them.

        Args:
            search: Gives the chain with results that are searched for.
            chain: A chain of the engine's.

        Raises:
            RuntimeError: its search has failed before, see `known_failure`, or fails.
        """
        if self.config is None:  # A pipeline that was never made: nothing is searched.
            return search(chain)
        before = states_of_files(_searched_files(self.config))
        key = self.key(chain)
        if key is None:
            return search(chain)
        found = self._load(key, chain)
        if found is not None:
            _log.info("Using the stored search results of chain %s.", chain.id)
            return found
        failure = self.known_failure(key)
        if failure is not None:
            raise RuntimeError(failure)  # As the engine's tools do.
        started = time.monotonic()
        processed = search(chain)
        if states_of_files(_searched_files(self.config)) == before:
            self._save(key, processed, time.monotonic() - started)
        else:
            _log.warning(
                "Chain %s: a database or program changed during its search; what was found "
                "is used, but not kept",
                chain.id,
            )
        return processed

    def key(self, chain: PolymerChain) -> CacheKey | None:
        """Returns the key of a chain's results, or None if nothing is to be kept of it.

        That is so where nothing is searched, or a database cannot be read. The key is of
        the databases as they are now: a long batch may see them replaced.
        """
        given = {name: getattr(chain, name) for name in _RESULTS if hasattr(chain, name)}
        if all(value is not None for value in given.values()):
            return None
        assert self.config is not None, "a key is of a pipeline's databases"
        try:
            searched_with = search_material(self.config)
        except OSError as error:
            _log.warning("Chain %s: its search is not kept: %s", chain.id, error)
            return None
        return CacheKey.of(
            {
                "kind": f"{type(chain).__name__} search",
                "format": _FORMAT_VERSION,
                "sequence": hashlib.sha256(chain.sequence.encode()).hexdigest(),
                "residues": len(chain.sequence),
                # What the user brings decides what is searched, and templates are
                # searched with the given alignment.
                "given": {
                    name: None if value is None else json_digest(_plain(name, value))
                    for name, value in given.items()
                },
                **searched_with,
            }
        )

    def missing(self, chain: PolymerChain) -> CacheKey | None:
        """Returns the key of results that a pipeline would have to search for, or None.

        Args:
            chain: A chain of the engine's; the cache has been put around a pipeline.
        """
        key = self.key(chain)
        if key is None or self.manager.path_of(key.digest).is_file():
            return None
        return key

    @contextlib.contextmanager
    def side_by_side(self, chains: int) -> Iterator[None]:
        """Chains that are searched inside the block share its time; so does what is noted of it.

        Args:
            chains: Their number.
        """
        self._side_by_side = chains
        try:
            yield
        finally:
            self._side_by_side = 1

    def _reusing(self, engines: EngineFunction) -> EngineFunction:
        @functools.wraps(engines)
        def process_chain(pipeline: Argument, chain: PolymerChain) -> PolymerChain:
            return self.searched(functools.partial(engines, pipeline), chain)

        return process_chain

    def _load(self, key: CacheKey, chain: PolymerChain) -> PolymerChain | None:
        packed = self.manager.get(key)
        if packed is None:
            return None
        try:
            return _with_results(chain, _unpack(packed))
        except (zstandard.ZstdError, *DECODING_ERRORS) as error:
            path = self.manager.path_of(key.digest)
            self.manager.quarantine(path, f"cannot be decoded ({error})")
            return None

    def _save(self, key: CacheKey, chain: PolymerChain, seconds: float) -> None:
        results = {
            name: _plain(name, getattr(chain, name)) for name in _RESULTS if hasattr(chain, name)
        }
        text = json.dumps(results).encode("utf-8")
        packed = zstandard.ZstdCompressor(level=_LEVEL).compress(text)
        information = {
            "residues": len(chain.sequence),
            "seconds": round(seconds / self._side_by_side, 3),
            "rows": found_rows(chain.unpaired_msa),
            "raw_bytes": len(text),
        }
        self.manager.put(key, [packed], information)


def search_material(config: PipelineConfig) -> JsonObject:
    """Everything but the chain that decides what a search finds.

    Args:
        config: The engine's `DataPipelineConfig`.

    Returns:
        Plain JSON: identities of databases and programs, and options.

    Raises:
        OSError: a database or a program cannot be read.
    """
    databases: JsonObject = {}
    programs: JsonObject = {}
    options: JsonObject = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name.endswith(_DATABASE):
            databases[field.name] = database_identity(database_files(str(value), field.name))
        elif field.name.endswith(_PROGRAM):
            programs[field.name] = program_identity(Path(value))
        elif not field.name.endswith(_SPEED_ONLY):
            options[field.name] = value if isinstance(value, int | float | None) else str(value)
    variables = engine_variables(os.environ)
    return {
        "databases": databases,
        "programs": programs,
        "options": options,
        "engine": find_engine().fingerprint,
        "variables": variables,
    }


def _searched_files(config: PipelineConfig) -> Iterator[Path]:
    for field in dataclasses.fields(config):
        value = str(getattr(config, field.name))
        if field.name.endswith(_DATABASE):
            yield from database_files(value, field.name)
        elif field.name.endswith(_PROGRAM):
            yield Path(value)


def _plain(name: str, value: Json) -> Json:
    if name != "templates" or value is None:
        return value
    return [
        [template.mmcif, list(dict(template.query_to_template_map).items())] for template in value
    ]


def _unpack(packed: memoryview) -> JsonObject:
    """Decodes results and checks their form.

    Raises:
        ValueError: they are not what `_save` wrote.
    """
    if zstandard.frame_content_size(packed) > _MOST_BYTES:
        raise ValueError("is larger than any search result")
    results = parse_object(zstandard.ZstdDecompressor().decompress(packed))
    for name, value in results.items():
        if name not in _RESULTS or not _is_result(name, value):
            raise ValueError(f"holds no search result in {name!r}")
    return results


def _is_result(name: str, value: Json) -> bool:
    if value is None or name != "templates":
        return value is None or isinstance(value, str)
    return all(
        isinstance(mmcif, str) and all(type(place) is int for pair in pairs for place in pair)
        for mmcif, pairs in value
    )


def _with_results(chain: PolymerChain, results: Mapping[str, Json]) -> PolymerChain:
    """Makes the chain that the pipeline would have returned."""
    restored = dict(results)
    if "templates" in restored:
        template = engine_module("common.folding_input").Template
        restored["templates"] = [
            template(mmcif=mmcif, query_to_template_map=dict(map(tuple, pairs)))
            for mmcif, pairs in restored["templates"]
        ]
    make: EngineFunction = type(chain)
    accepted = list(inspect.signature(make).parameters)
    kept = {name: getattr(chain, name) for name in accepted if name not in restored}
    made: PolymerChain = make(**kept, **restored)
    return made
