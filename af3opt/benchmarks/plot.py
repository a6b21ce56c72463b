"""The picture of a suite: one bar a side, divided into stages."""

from pathlib import Path

from af3opt.base.errors import SetupError
from af3opt.base.installing import pip_install
from af3opt.benchmarks.results import ROLES, SuiteResult
from af3opt.benchmarks.stages import COMPILATION, INFERENCE, STAGES

# Okabe and Ito's palette, told apart with any colour vision.
_COLOURS = ("#999999", "#56B4E9", "#F0E442", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#DDDDDD")


def write_plot(result: SuiteResult, path: Path) -> None:
    """Draws wall times by stage.

    Args:
        result: The result of a suite.
        path: File to write; its suffix (.svg, .png) is the format.

    Raises:
        SetupError: matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise SetupError(
            f"no plot: matplotlib is not installed; {pip_install('report')}"
        ) from error
    labels = [f"{case.name}: {role}" for case in result.cases for role in ROLES]
    figure = Figure(figsize=(9, 1.2 + 0.4 * len(labels)), layout="constrained")
    axes = figure.add_subplot()
    left = [0.0] * len(labels)
    for stage, colour in zip(STAGES, _COLOURS, strict=True):
        widths = [_seconds(result, number, stage) for number in range(len(labels))]
        axes.barh(labels, widths, left=left, color=colour, label=stage)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    axes.invert_yaxis()
    axes.set_xlabel("seconds, median of the repeats")
    axes.set_title(f"af3opt bench, suite {result.suite}, {result.host['cpu']}", fontsize=9)
    axes.legend(fontsize=8)
    # The date, and names salted at random, would make every file differ.
    with matplotlib.rc_context({"svg.hashsalt": result.suite}):
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def _seconds(result: SuiteResult, number: int, stage: str) -> float:
    """Width of a stage in the bar of the given number; compilation is taken out of inference."""
    case = result.cases[number // len(ROLES)]
    role = ROLES[number % len(ROLES)]
    seconds = case.median_stage(role, stage) or 0.0
    if stage == INFERENCE:
        seconds -= case.median_stage(role, COMPILATION) or 0.0
    return max(seconds, 0.0)
