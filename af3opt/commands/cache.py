"""`af3opt cache`: what the caches hold, whether it is intact, and making room."""

import argparse
import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from af3opt.base.atomic import remove_tree
from af3opt.base.command_parser import CommandParser
from af3opt.base.errors import ExitCode, UsageError
from af3opt.base.json_types import Json, JsonObject
from af3opt.base.logs import Verbosity, configure_logging
from af3opt.base.plain_text import visible
from af3opt.base.standard_streams import write_out
from af3opt.caching.locations import CACHES, open_cache
from af3opt.caching.manager import CacheManager, EntryInfo
from af3opt.commands._cache_explain import explain_entries
from af3opt.inference.compiled_caches import (
    COMPILED_CACHES,
    find_compiled_caches,
    untrusted_files,
)
from af3opt.inference.kept_data import PREPARED, WEIGHTS, check_kept_data

SUMMARY = "list, verify, prune and clear the caches of features, searches and compiled code"

_DAY_S = 86_400.0
_NAMES = (*CACHES, *COMPILED_CACHES)
_TITLES = ("cache", "key", "size", "age", "unused", "hits", "what")
# What --explain says of an entry that nothing speaks against: of data, of compiled code.
_NOTHING_AGAINST = (
    "used for its input with today's software",
    "used when the same program is compiled on this kind of host",
)
_REPAIR = "run `af3opt prepare --force`"

type _Caches = Mapping[str, CacheManager]
type _Report = tuple[Json, list[str]]


def main(argv: list[str]) -> int:
    """Runs `af3opt cache` and returns the exit code: 1 if `verify` found something, else 0.

    Raises:
        UsageError: a flag is wrong.
    """
    flags = _parser().parse_args(argv)
    configure_logging(Verbosity())
    names = _NAMES if flags.cache == "all" else (flags.cache,)
    caches = {key: manager for name in names for key, manager in _open(name, flags).items()}
    product, lines = _ACTIONS[flags.action](caches, flags)
    text = json.dumps(product, indent=2) if flags.json else "\n".join(lines)
    write_out(visible(f"{text}\n", keep="\n"))
    bad = flags.action == "verify" and any(
        report["damaged"] or report["untrusted"] for report in product.values()
    )
    return ExitCode.FAILURE if bad else ExitCode.OK


def _open(name: str, flags: argparse.Namespace) -> _Caches:
    if name in COMPILED_CACHES:
        return find_compiled_caches(name, flags.jax_compilation_cache_dir)
    overrides = {"features": flags.feature_cache_dir, "msa": flags.msa_cache_dir}
    return {name: open_cache(name, overrides.get(name))}


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog="af3opt cache", description=SUMMARY)
    parser.add_argument(
        "action",
        choices=sorted(_ACTIONS),
        help="ls: list the entries; stats: show totals; verify: read every byte, also of prepared "
        "data and copies of weights, and find compiled code that other users could have written; "
        "prune: remove the least recently used entries; clear: remove everything; fill: compute "
        "the conformers of all amino acids in advance, for --seeds and the first --residues "
        "positions",
    )
    parser.add_argument("--cache", choices=(*_NAMES, "all"), default="all")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--explain",
        action="store_true",
        help="verify: say for each entry whether a run would use it now, and if not, why",
    )
    parser.add_argument(
        "--max_gb", type=_amount, help="prune: largest size of each cache, in GB (1e9 bytes)"
    )
    parser.add_argument(
        "--older_than_days",
        type=_amount,
        help="prune: remove entries that were not used for so many days",
    )
    parser.add_argument("--seeds", type=_seeds, default=(1,), help="fill: seeds, such as 1,2,3")
    parser.add_argument("--residues", type=int, default=500, help="fill: number of positions")
    parser.add_argument("--feature_cache_dir", type=Path)
    parser.add_argument("--msa_cache_dir", type=Path)
    parser.add_argument("--jax_compilation_cache_dir", type=Path)
    return parser


def _amount(text: str) -> float:
    try:
        amount = float(text)
    except ValueError:
        amount = math.nan
    if not 0 <= amount < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 0")
    return amount


def _seeds(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(seed) for seed in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError("must be integers, as in 1,2,3") from None


def _fill(caches: _Caches, flags: argparse.Namespace) -> _Report:
    if "conformers" not in caches:
        raise UsageError("af3opt cache fill: only --cache=conformers can be filled")
    # Featurisation code imports JAX, which must not take a GPU for this.
    os.environ["JAX_PLATFORMS"] = "cpu"
    from af3opt.data.prepared import find_prepared
    from af3opt.data.resources import redirect_resources
    from af3opt.features.conformer_fill import fill_conformers
    from af3opt.features.conformer_store import ConformerStore

    redirect_resources(find_prepared())
    store = ConformerStore(caches["conformers"])
    product = dict(fill_conformers(store, flags.seeds, flags.residues))
    lines = [f"seed {seed}: {count} conformers stored" for seed, count in product.items()]
    return product, lines


def _ls(caches: _Caches, _: argparse.Namespace) -> _Report:
    product: dict[str, list[JsonObject]] = {}
    width = max(map(len, (*caches, _TITLES[0])))
    lines = [_columns(width, _TITLES)]
    for name, manager in caches.items():
        infos = sorted(manager.entries(), key=lambda info: -info.last_used)
        product[name] = [_describe(info) for info in infos]
        lines += [_columns(width, _cells(name, info)) for info in infos]
    return product, lines


def _describe(info: EntryInfo) -> JsonObject:
    return {
        "key": info.digest,
        "file": str(info.path),
        "bytes": info.size,
        "created": info.created,
        "last_used": info.last_used,
        "hits": info.hits,
        "what": _what(info),
        "information": dict(info.header.information) if info.header else None,
    }


def _cells(name: str, info: EntryInfo) -> Sequence[str]:
    now = time.time()
    ages = (_age(now - info.created), _age(now - info.last_used))
    return (name, info.digest[:12], _size(info.size), *ages, str(info.hits), _what(info))


def _columns(width: int, cells: Sequence[str]) -> str:
    name, key, size, age, unused, hits, what = cells
    return f"{name:<{width}} {key:<12} {size:>10} {age:>9} {unused:>9} {hits:>6}  {what}"


def _what(info: EntryInfo) -> str:
    if info.header is None:
        return "unreadable"
    known = {**info.header.information, **info.header.material}
    parts = [str(known.get(field, "")) for field in ("kind", "module", "name")]
    parts += [
        f"{field} {known[field]}" for field in ("seed", "padded_tokens", "tokens") if field in known
    ]
    return " ".join(filter(None, parts))


def _stats(caches: _Caches, _: argparse.Namespace) -> _Report:
    product, lines = {}, []
    for name, manager in caches.items():
        stats = manager.stats()
        product[name] = {
            "directory": str(manager.root),
            "entries": stats.entries,
            "bytes": stats.size,
            "hits": stats.hits,
            "quarantined": stats.quarantined,
        }
        lines.append(
            f"{name}: {stats.entries} entries, {_size(stats.size)}, {stats.hits} hits, "
            f"{stats.quarantined} quarantined, in {manager.root}"
        )
    return product, lines


def _verify(caches: _Caches, flags: argparse.Namespace) -> _Report:
    product: JsonObject = {}
    lines: list[str] = []
    for name, manager in caches.items():
        # Looked at first: what is damaged is moved.
        compiled = name.partition("/")[0] in COMPILED_CACHES
        untrusted = list(untrusted_files(manager)) if compiled else []
        good, damaged = manager.verify()
        product[name] = {
            "good": good,
            "damaged": [{"file": str(path), "reason": reason} for path, reason in damaged],
            "untrusted": [{"file": str(path), "reason": reason} for path, reason in untrusted],
        }
        lines.append(f"{name}: {good} entries good, {len(damaged)} damaged and set aside")
        lines += [f"  {path}: {reason}" for path, reason in damaged]
        lines += [
            f"  {path} {reason}: whoever writes there can run code as you; remove it"
            for path, reason in untrusted
        ]
        if flags.explain:
            explained = explain_entries(name, manager)
            product[name]["entries"] = [
                {"key": info.digest, "what": _what(info), "reasons": reasons}
                for info, reasons in explained
            ]
            for info, reasons in explained:
                verdict = "; ".join(reasons) or _NOTHING_AGAINST[compiled]
                lines.append(f"  {info.digest[:12]} {_what(info)}: {verdict}")
    if flags.cache == "all":
        kept, more = _verify_kept()
        return product | kept, lines + more
    return product, lines


def _verify_kept() -> _Report:
    """Checks what is no cache but is read by every run; damaged copies of weights go."""
    product: JsonObject = {
        name: {"good": 0, "damaged": [], "untrusted": []} for name in (PREPARED, WEIGHTS)
    }
    for name, directory, problem in check_kept_data():
        if problem is None:
            product[name]["good"] += 1
            continue
        product[name]["damaged"].append({"file": str(directory), "reason": problem})
        if name == WEIGHTS:
            remove_tree(directory)
    lines = []
    for name, found in product.items():
        remedy = "removed; the next run makes it again" if name == WEIGHTS else _REPAIR
        lines.append(f"{name}: {found['good']} directories good, {len(found['damaged'])} damaged")
        lines += [f"  {one['file']}: {one['reason']}; {remedy}" for one in found["damaged"]]
    return product, lines


def _prune(caches: _Caches, flags: argparse.Namespace) -> _Report:
    if flags.max_gb is None and flags.older_than_days is None:
        raise UsageError("af3opt cache prune: give --max_gb or --older_than_days")
    older = flags.older_than_days * _DAY_S if flags.older_than_days is not None else None
    limit = int(flags.max_gb * 1e9) if flags.max_gb is not None else None
    return _removal(caches, lambda manager: manager.prune(max_bytes=limit, older_than_s=older))


def _clear(caches: _Caches, _: argparse.Namespace) -> _Report:
    return _removal(caches, CacheManager.clear)


def _removal(caches: _Caches, remove: Callable[[CacheManager], tuple[int, int]]) -> _Report:
    product, lines = {}, []
    for name, manager in caches.items():
        removed, freed = remove(manager)
        product[name] = {"removed": removed, "bytes": freed}
        lines.append(f"{name}: removed {removed} entries, {_size(freed)}")
    return product, lines


_ACTIONS: Mapping[str, Callable[[_Caches, argparse.Namespace], _Report]] = {
    "ls": _ls,
    "stats": _stats,
    "verify": _verify,
    "prune": _prune,
    "clear": _clear,
    "fill": _fill,
}


def _size(size: int) -> str:
    value = float(size)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.2f} GB"


def _age(seconds: float) -> str:
    for length, unit in ((_DAY_S, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{max(seconds, 0):.0f} s"
