"""The flags that only af3opt has."""

import dataclasses
from pathlib import Path

from af3opt.options.field import option

CONFIGURATION = "af3opt: configuration"
ENGINE = "af3opt: engine"
ENVIRONMENT = "af3opt: environment"
NUMERICS = "af3opt: fidelity and numerics"
OUTPUT = "af3opt: output"
LOGGING = "af3opt: logging"


@dataclasses.dataclass(frozen=True, kw_only=True)
class OwnOptions:
    """af3opt's own flags; see `af3opt run --help` for each."""

    config: str | None = option(
        None,
        "Preset with settings: the name of one that is shipped (such as cpu) or the path of a TOML "
        "file. Flags and AF3OPT_* variables win over it.",
        group=CONFIGURATION,
    )
    print_settings: bool = option(
        False, "Print every setting and where its value came from, then exit.", group=CONFIGURATION
    )
    print_env: bool = option(
        False,
        "Print the environment for this host and backend as export lines, then exit.",
        group=CONFIGURATION,
    )

    run_alphafold_script: Path | None = option(
        None,
        "Run this run_alphafold.py unmodified inside the prepared environment instead of af3opt's "
        "own runner. Also AF3OPT_SCRIPT.",
        group=ENGINE,
    )

    unified_memory: bool = option(
        False,
        "Let the GPU spill to host memory: no preallocation, fraction 3.2. Slower, but large "
        "inputs fit.",
        group=ENVIRONMENT,
    )
    num_threads: int | None = option(
        None,
        "CPU threads for the model. Unset: what affinity, cgroup and Slurm allow.",
        group=ENVIRONMENT,
        lower_bound=1,
    )

    fidelity: str = option(
        "fast",
        "How far optimisations may go. exact: what the engine itself gives with the same flags. "
        "reordered: also other summation orders. fast: also finer padding on a CPU, which draws "
        "other random numbers from the same distribution.",
        group=NUMERICS,
        choices=("exact", "reordered", "fast"),
        affects_results=True,
    )

    num_diffusion_steps: int | None = option(
        None,
        "Denoising steps of the diffusion sampler. Unset: the engine's own number, 200. Fewer are "
        "for tests and timings; they are not the published method.",
        group=NUMERICS,
        lower_bound=1,
        default_text="the engine's 200",
        affects_results=True,
    )

    save_pdb: bool = option(
        False,
        "Also write each structure as a PDB file where the format's limits allow it.",
        group=OUTPUT,
    )

    debug: bool = option(False, "Show tracebacks, engine noise and debug messages.", group=LOGGING)
    quiet: bool = option(False, "Log warnings and errors only.", group=LOGGING)
