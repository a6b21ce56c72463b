"""Tables of deviations for people, made from a result and from nothing else."""

from af3opt.benchmarks.deviation_metrics import POSITIONS, QUANTITIES
from af3opt.benchmarks.deviation_result import (
    CHANCE,
    FROM_ENGINE,
    FROM_FLOAT32,
    DeviationResult,
    excesses,
    ratio,
    standard_error,
)
from af3opt.benchmarks.markdown_rows import table_head, table_row

# Less than this comes from superposing alone.
_ROUNDING = 1e-12


def format_deviations(result: DeviationResult) -> str:
    """Returns the whole report as Markdown."""
    commands = "\n".join(result.commands)
    parts = [
        f"# Deviations: {title(result)}",
        circumstances(result),
        "## Distance from float32",
        table(result, FROM_FLOAT32),
        verdict(result),
        "## Distance from the unchanged engine",
        table(result, FROM_ENGINE),
        legend(result),
        "## Coordinates of each example: distance from float32",
        example_table(result),
        "## Variants",
        variant_table(result),
        f"## Commands\n\n```text\n{commands}\n```",
    ]
    return "\n\n".join(parts) + "\n"


def title(result: DeviationResult) -> str:
    """Returns what was compared in a few words."""
    number = len(result.examples)
    what = result.examples[0].name if number == 1 else f"{number} examples"
    depth = "fewer layers" if result.overrides else "true depth"
    recycles, steps = result.run["recycles"], result.run["diffusion steps"]
    plural = "" if recycles == 1 else "s"
    return f"{what}, {depth}, {recycles} recycle{plural}, {steps} diffusion steps"


def circumstances(result: DeviationResult) -> str:
    """Returns a list of what the figures belong to."""
    host, software = result.host, result.software
    versions = ", ".join(f"{name} {text}" for name, text in software["versions"].items())
    changed = ", ".join(f"{path} {value}" for path, value in result.overrides.items())
    run = ", ".join(f"{name} {value}" for name, value in result.run.items())
    lines = [
        f"- Started: {result.started}",
        f"- Host: {host['cpu']}, {host['usable_cores']} usable cores, bfloat16: "
        f"{', '.join(host['bf16']) or 'none'}, {host['system']}",
        f"- Software: {software['engine']}; {versions}",
        f"- Weights: {result.weights} (sha256 {result.weights_sha256[:16]})"
        + (f"; changed for them: {changed}" if changed else ""),
        f"- Every run: {run}",
    ]
    return "\n".join(lines)


def table(result: DeviationResult, origin: str) -> str:
    """Returns a table with a row for each variant, over all examples.

    Args:
        result: The result.
        origin: FROM_FLOAT32 or FROM_ENGINE.
    """
    rows = table_head("", "Class", *(one.title for one in QUANTITIES.values()))
    own = result.variants[0].name
    for variant in result.variants:
        if origin == FROM_ENGINE and variant.name == own:
            continue
        cells = (_cell(result, variant.name, quantity, origin) for quantity in QUANTITIES)
        rows.append(table_row((variant.meaning, variant.fidelity, *cells)))
    return "\n".join(rows)


def _cell(result: DeviationResult, variant: str, quantity: str, origin: str) -> str:
    found = result.total(variant, quantity, origin)
    # A share of the reference's size, where a number alone would say nothing.
    unit = result.scale(quantity).rms if QUANTITIES[quantity].relative else 1.0
    text = f"{_number(found.rms / unit)} / {_number(found.largest / unit)}"
    if origin == FROM_FLOAT32 and variant != result.variants[0].name:
        share = ratio(result, variant, quantity)
        tiny = share < 0.005 and found.rms >= _ROUNDING
        text += " (<0.01)" if tiny else f" ({share:.2f})"
    return text


def _number(value: float) -> str:
    if value < _ROUNDING:
        return "0"
    return f"{value:.1e}" if value < 0.01 else f"{value:.3g}"


def legend(result: DeviationResult) -> str:
    """Returns what the columns mean."""
    units = ", ".join(
        f"{one.title} in {one.unit}" for one in QUANTITIES.values() if not one.relative
    )
    return (
        "Cells: RMS of the difference over all entries of all examples / largest difference of one "
        "entry (for coordinates: of one atom). In brackets: the RMS divided by that of the "
        f"unchanged engine. Units: embeddings as a share of their RMS, {units}. Superposed: after "
        "least-squares superposition of each sample. For comparison: atoms are "
        f"{result.scale(POSITIONS).rms:.1f} Å (RMS) from the centre of their sample. Padding is "
        "left out. Every variant gets the same features, weights and random key."
    )


def verdict(result: DeviationResult) -> str:
    """Returns which variants are further from float32 than the unchanged engine."""
    ratios = {
        (variant.name, quantity): ratio(result, variant.name, quantity)
        for variant in result.variants
        if variant.bound
        for quantity in QUANTITIES
    }
    if not ratios:
        return "None of the variants is reordered or of class precision."
    found = [
        f"`{one.variant}` in {QUANTITIES[one.quantity].title} ({one.ratio:.3f})"
        for one in excesses(result)
    ]
    variant, quantity = max(ratios, key=ratios.__getitem__)
    error = standard_error(result, variant, quantity)
    return (
        "Reordered and precision variants that are further from float32 than the unchanged engine, "
        f"by more than {CHANCE:.0%} of the RMS and by more than two standard errors over the "
        f"examples: {', '.join(found) or 'none'}. The largest ratio is "
        f"{ratios[variant, quantity]:.3f}"
        f"{f' ± {error:.3f}' if error else ''} (`{variant}`, {QUANTITIES[quantity].title})."
    )


def example_table(result: DeviationResult) -> str:
    """Returns a table with a row for each example: coordinates in Å."""
    shown = [one for one in result.variants if one.name in ("engine", "default")]
    shown = shown or list(result.variants[:1])
    given = ("Example", "Tokens", "Atoms", "MSA rows", "Atoms from centre")
    rows = table_head(*given, *(variant.meaning for variant in shown))
    for example in result.examples:
        cells = [example.name, example.tokens, example.atoms, example.msa_rows]
        cells.append(f"{example.scales[POSITIONS].rms:.1f}")
        for variant in shown:
            found = example.from_float32[variant.name][POSITIONS]
            cells.append(f"{_number(found.rms)} / {_number(found.largest)}")
        rows.append(table_row(map(str, cells)))
    return "\n".join(rows)


def variant_table(result: DeviationResult) -> str:
    """Returns a table of what each variant consists of."""
    rows = table_head("Variant", "Flags", "Trunk", "Sampler", "Optimisations in force")
    for one in result.variants:
        cells = (
            f"`{one.name}`: {one.meaning}",
            f"`{' '.join(one.flags)}`",
            one.trunk_precision,
            one.diffusion_precision,
            ", ".join(one.optimizations) or "none",
        )
        rows.append(table_row(cells))
    return "\n".join(rows)
