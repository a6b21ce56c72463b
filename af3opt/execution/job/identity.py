"""What makes two runs the same work: the identity behind resume.

There are two. MSAs and templates depend on the input and, when they are searched for,
on the databases. Predictions depend on the input with those filled in, on the seed,
every setting that affects results, the weights, the engine, the active optimisations,
the versions of what computes and the environment variables that it reads. So another number
of recycles does not search again, and inference may follow on a node that has no databases.
The parts are kept beside their digest, so that a difference can be explained.
"""

import contextlib
import dataclasses
import string
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from af3opt.base.databases import database_identity
from af3opt.base.json_types import Json, JsonObject
from af3opt.base.key import text_digest
from af3opt.engine.databases import database_files
from af3opt.inputs.digest import canonical_json
from af3opt.settings.field import spec_of
from af3opt.settings.settings import Settings

_LOCATIONS = frozenset({"model_dir", "db_dir"})
_DATABASE_SUFFIX = "_database_path"
_OUTPUT_SETTINGS = (
    *("save_embeddings", "save_distogram", "save_terms_of_use"),
    *("compress_large_output_files", "save_pdb"),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Identity:
    """The parts of an identity and their digest.

    Attributes:
        parts: Name -> JSON value of everything that counts.
    """

    parts: Mapping[str, Json]

    @property
    def digest(self) -> str:
        """16 hex digits over the parts."""
        return text_digest(canonical_json(self.parts))


def differences(
    old: Mapping[str, Json], new: Mapping[str, Json], ignored: Collection[str] = ()
) -> list[str]:
    """Lists what differs between the parts of two identities, as "name: old -> new"."""
    return [
        f"{name}: {_short(old.get(name))} -> {_short(new.get(name))}"
        for name in sorted({*old, *new} - {*ignored})
        if old.get(name) != new.get(name)
    ]


def _short(value: Json) -> str:
    text = canonical_json(value)
    return text if len(text) <= 60 else text[:57] + "..."


def data_identity(
    settings: Settings,
    *,
    input_digest: str,
    engine_fingerprint: str,
    searched: bool,
    variables: Mapping[str, str],
) -> Identity:
    """Builds the identity of a job's MSAs and templates.

    Args:
        settings: Gives the databases and what bounds a search of them.
        input_digest: From `inputs.digest`.
        engine_fingerprint: From `engine.discovery`.
        searched: Whether databases are searched. What an input brings along does not
            depend on them.
        variables: The engine's environment variables, which may change a search.
    """
    parts: JsonObject = {"input": input_digest, "engine": engine_fingerprint}
    if searched:
        parts |= variables
        parts["max_template_date"] = settings.max_template_date
        for field in dataclasses.fields(settings):
            value = getattr(settings, field.name)
            if field.name.endswith("_z_value"):
                parts[field.name] = value
            elif field.name.endswith(_DATABASE_SUFFIX):
                parts[field.name] = _database(value, settings.db_dir, field.name)
    return Identity(parts)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Computing:
    """What computes the numbers, besides the settings.

    Attributes:
        weights: Digest of the weights.
        engine: Fingerprint from `engine.discovery`.
        backend: "cpu", "gpu" or "mps".
        buckets: Token counts in force.
        optimisations: Names of the active optimisations that change results.
        versions: What is installed, see `base.version.deciding_versions`.
        variables: Environment variables that may change results; see
            `environment.neutral.result_variables`.
    """

    weights: str = ""
    engine: str = ""
    backend: str = ""
    buckets: tuple[int, ...] = ()
    optimisations: tuple[str, ...] = ()
    versions: Mapping[str, str | None] = dataclasses.field(default_factory=dict)
    variables: Mapping[str, str] = dataclasses.field(default_factory=dict)


def run_identity(
    settings: Settings, computing: Computing, *, resolved_input: str, first_seed: int
) -> Identity:
    """Builds the identity of a job's inference, all its seeds included.

    Args:
        settings: Gives every setting marked as affecting results.
        computing: What computes the numbers.
        resolved_input: Digest of the input with MSAs and templates filled in.
        first_seed: Keeps jobs apart that have name and content in common and other
            seeds; seeds may still be added to a job.
    """
    parts: JsonObject = {
        field.name: _plain(getattr(settings, field.name))
        for field in dataclasses.fields(settings)
        if field.metadata and spec_of(field).affects_results and not _is_location(field.name)
    }
    # The files written beside the samples; they are part of what "done" means.
    parts |= {name: getattr(settings, name) for name in _OUTPUT_SETTINGS}
    parts |= {
        "resolved_input": resolved_input,
        "first_seed": first_seed,
        "weights": computing.weights,
        "engine": computing.engine,
        "jax_backend": computing.backend,
        "buckets": list(computing.buckets),
        "optimisations": sorted(computing.optimisations),
        **computing.versions,
        **computing.variables,
    }
    return Identity(parts)


def _is_location(name: str) -> bool:
    """Tells whether a setting only says where something is; what is there is digested."""
    return name in _LOCATIONS or name.endswith(("_binary_path", _DATABASE_SUFFIX, "_z_value"))


def _database(spec: str, directories: Iterable[str], flag: str) -> Json:
    """A database's identity; None where it cannot be seen."""
    template = string.Template(spec)
    for directory in directories:
        with contextlib.suppress(OSError):
            path = template.safe_substitute(DB_DIR=directory)
            return database_identity(database_files(path, flag))
    return None


def _plain(value: Json) -> Json:
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Path) else value
