"""`af3opt doctor`: looks at everything a run depends on, and says how to mend it."""

import os

from af3opt.base.errors import ExitCode
from af3opt.base.standard_streams import write_out
from af3opt.commands._run_settings import asks_for_help, read_settings

SUMMARY = "check machine, engine, data and caches, with a fix for each problem"

_HELP = """\
Usage: af3opt doctor [--json] [flags of af3opt run]

Checks everything that af3opt run depends on: Python, engine, JAX and driver, processor, memory,
GPUs, environment variables, weights, HMMER programs, databases and their disk, caches, free space,
clock, Slurm. Names a fix for each problem. Changes nothing, needs no GPU, and takes less than ten
seconds.

Give it the flags of your run. With --norun_data_pipeline or --norun_inference, it does not check
what that stage needs.

--json prints one JSON object: {"af3opt", "verdict", "checks": [{"group", "name", "verdict",
"found", "fix"}]}. Verdicts are ok, skip, warn and fail.

Exit code: 1 if the run would not work, else 0.
"""

_JSON = "--json"


def main(argv: list[str]) -> int:
    """Runs `af3opt doctor` and returns the exit code.

    Raises:
        UsageError: a flag is wrong.
    """
    if asks_for_help(argv):
        write_out(_HELP)
        return ExitCode.OK
    settings = read_settings([word for word in argv if word != _JSON])
    from af3opt.doctor.check import Verdict
    from af3opt.doctor.examination import examine, format_json, format_text, worst

    groups = examine(settings, os.environ)
    write_out(format_json(groups) if _JSON in argv else format_text(groups))
    return ExitCode.FAILURE if worst(groups) is Verdict.FAIL else ExitCode.OK
