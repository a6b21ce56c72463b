"""Tables for people, made from results and from nothing else."""

import statistics
from collections.abc import Iterator, Sequence

from af3opt.base.json_types import Json
from af3opt.benchmarks.markdown_rows import table_head, table_row
from af3opt.benchmarks.results import BASELINE, COLD, ROLES, WARM, CaseResult, SuiteResult
from af3opt.benchmarks.stages import COMPILATION, FEATURISATION, INFERENCE, STAGES

_ROLE_TITLES = ("Baseline", "af3opt, cold", "af3opt, warm")


def format_result(result: SuiteResult) -> str:
    """Returns the whole report of a suite as Markdown."""
    parts = [
        f"# Benchmark `{result.suite}`",
        _circumstances(result),
        "## Whole process",
        _totals(result.cases),
        "Times are medians of the repeats with half their range in per cent. A ratio is the "
        "baseline's time by af3opt's within one repeat: median and, in brackets, smallest and "
        "largest. Cold: af3opt's caches are empty. Warm: the same command again, into another "
        "output directory. The baseline keeps nothing from one run to the next. Both sides get "
        "the same flags; padding is each side's own unless it is named. What is prepared once, "
        "before the first run, is counted for neither side. Memory is the peak resident set of "
        "the largest process.",
        "## Stages (median seconds)",
        _stages(result.cases),
        "Compilation (tracing, lowering, compiling, or reading what was kept of them) is part of "
        "inference, as in the log of run_alphafold.py. Start-up is everything before the first "
        "inference except data pipeline and featurisation.",
    ]
    if result.suite == "report":
        parts += ["## Improvement in per cent of the baseline", _improvements(result.cases)]
    parts += ["## Commands", _commands(result)]
    return "\n\n".join(parts) + "\n"


def summary_table(results: Sequence[SuiteResult]) -> str:
    """Returns one table for each machine, with a line for each case, for the README."""
    tables = []
    for machine in dict.fromkeys(map(_machine, results)):
        rows = [
            f"{machine}:",
            "",
            *table_head(
                "Measured", "Baseline", "First run", "Again", "Memory, baseline", "Memory, af3opt"
            ),
        ]
        for result in results:
            if _machine(result) == machine:
                rows += [_summary_row(result, case) for case in result.cases]
        tables.append("\n".join(rows))
    return "\n\n".join(tables)


def _machine(result: SuiteResult) -> str:
    host = result.host
    device = ", ".join(host["gpus"]) if result.backend == "gpu" else host["cpu"]
    return f"{device}, {host['usable_cores']} cores"


def _summary_row(result: SuiteResult, case: CaseResult) -> str:
    jax = result.baseline["versions"].get("jax", "?")
    reduced = "; a model of reduced depth" if result.overrides else ""
    cells = (
        f"{case.description}{reduced}; baseline with jax {jax}",
        f"{case.median_wall(BASELINE):.0f} s",
        f"{case.median_wall(COLD):.0f} s ({_median_ratio(case, COLD)})",
        f"{case.median_wall(WARM):.0f} s ({_median_ratio(case, WARM)})",
        f"{case.peak(BASELINE) / 1e9:.1f} GB",
        f"{max(case.peak(COLD), case.peak(WARM)) / 1e9:.1f} GB",
    )
    return table_row(cells)


def _median_ratio(case: CaseResult, role: str) -> str:
    return f"{statistics.median(case.ratios(role)):.1f}x"


def _circumstances(result: SuiteResult) -> str:
    host = result.host
    lines = [
        f"- Started: {result.started}",
        f"- Host: {host['cpu']}, {host['usable_cores']} usable cores, {host['memory_gb']} GB, "
        f"{host['system']}, load average {host['load_average']} before the start"
        + (f", {', '.join(host['gpus'])}" if host["gpus"] else ""),
        f"- Backend: {result.backend}",
        f"- Baseline: {_side(result.baseline)}",
        f"- af3opt: {_side(result.subject)}",
        f"- Weights: {result.weights}",
        *_overrides(result),
        f"- Made by: `{result.command}`",
    ]
    return "\n".join(lines)


def _overrides(result: SuiteResult) -> Iterator[str]:
    if result.overrides:
        changes = ", ".join(f"{path} {value}" for path, value in result.overrides.items())
        yield f"- **A model of reduced depth**, unless a flag says otherwise: {changes}"


def _side(side: Json) -> str:
    versions = ", ".join(f"{name} {text}" for name, text in side["versions"].items())
    return f"{side['label']}; {side['engine']}; {versions}"


def _totals(cases: Sequence[CaseResult]) -> str:
    rows = table_head("Case", "", *_ROLE_TITLES, "Ratio cold", "Ratio warm", "Memory")
    for case in cases:
        walls = (f"{case.median_wall(role):.1f} s ±{case.spread(role):.0%}" for role in ROLES)
        ratios = (_ratio(case.ratios(role)) for role in (COLD, WARM))
        memory = " / ".join(f"{case.peak(role) / 1e9:.1f}" for role in ROLES)
        cells = (case.name, case.description, *walls, *ratios, f"{memory} GB")
        rows.append(table_row(cells))
    return "\n".join(rows)


def _ratio(ratios: Sequence[float]) -> str:
    return f"**{statistics.median(ratios):.2f}** ({min(ratios):.2f}–{max(ratios):.2f})"  # noqa: RUF001


def _stages(cases: Sequence[CaseResult]) -> str:
    rows = table_head("Case", "Stage", *_ROLE_TITLES)
    for case in cases:
        for stage in STAGES:
            times = [case.median_stage(role, stage) for role in ROLES]
            indent = "of which " if stage == COMPILATION else ""
            rows += _stage_row(case, f"{indent}{stage}", times)
            if stage == COMPILATION:
                rows += _stage_row(case, "inference without compilation", _running(case))
    return "\n".join(rows)


def _stage_row(case: CaseResult, label: str, times: Sequence[float | None]) -> list[str]:
    """Returns one row, or none if no side tells of the stage."""
    if all(seconds is None for seconds in times):
        return []
    cells = (f"{seconds:.1f}" if seconds is not None else "–" for seconds in times)  # noqa: RUF001
    return [table_row((case.name, label, *cells))]


def _running(case: CaseResult) -> list[float | None]:
    """Median seconds of inference without compilation, for each role."""
    medians = []
    for role in ROLES:
        times = [
            run.stages[INFERENCE] - run.stages[COMPILATION]
            for run in case.of(role)
            if INFERENCE in run.stages and COMPILATION in run.stages
        ]
        medians.append(statistics.median(times) if times else None)
    return medians


def _improvements(cases: Sequence[CaseResult]) -> str:
    rows = table_head("Case", "Run", "Total", "Inference", "Featurisation")
    for case in cases:
        for role in (COLD, WARM):
            rows.append(table_row((case.name, role, *_saved(case, role))))
    return "\n".join(rows)


def _saved(case: CaseResult, role: str) -> Iterator[str]:
    yield f"{1 - case.median_wall(role) / case.median_wall(BASELINE):.1%}"
    for stage in (INFERENCE, FEATURISATION):
        before, after = case.median_stage(BASELINE, stage), case.median_stage(role, stage)
        known = before is not None and before > 0 and after is not None
        yield f"{1 - after / before:.1%}" if known and before and after is not None else "–"  # noqa: RUF001


def _commands(result: SuiteResult) -> str:
    lines = []
    for case in result.cases:
        for role, command in case.commands.items():
            lines.append(f"# {case.name}: {role}\n{command}")
    return "```\n" + "\n".join(lines) + "\n```"
