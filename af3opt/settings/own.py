"""The flags that only af3opt has."""

import dataclasses
from pathlib import Path

from af3opt.settings.field import Names, option

CONFIGURATION = "af3opt: configuration"
ENGINE = "af3opt: engine"
ENVIRONMENT = "af3opt: environment"
NUMERICS = "af3opt: fidelity and numerics"
EXECUTION = "af3opt: batches, resume and limits"
SEARCHES = "af3opt: searches"
CACHES = "af3opt: features and caches"
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
        "Run this run_alphafold.py unmodified instead of af3opt's own runner, with af3opt's "
        "environment, caches, exact searches, optimisations, CPU buckets and run record under it. "
        "Not there: resume, claims, several GPUs or workers, time limits, the numerics check, "
        "reports and PDB files. Also AF3OPT_SCRIPT.",
        group=ENGINE,
    )
    script_flags: str | None = option(
        None,
        "Flags of that script that af3opt does not know, in one text as for a shell, such as "
        "'--use_msa_server=true'. They are passed on as they are.",
        group=ENGINE,
    )

    unified_memory: bool | None = option(
        None,
        "Let the GPU spill to host memory: no preallocation, fraction 3.2. Slower, but large "
        "inputs fit. Unset: only for jobs that do not fit otherwise, after all others.",
        group=ENVIRONMENT,
    )
    force_memory: bool = option(
        False,
        "Try jobs that would be refused because they need more memory than there is. One that "
        "succeeds is not refused again.",
        group=ENVIRONMENT,
    )
    num_threads: int | None = option(
        None,
        "CPU threads for the model. Unset: what affinity, cgroup and scheduler allow.",
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

    disable_optimizations: Names = option(
        (),
        "Names of optimisations to leave out, such as triangle_attention_blocks,msa_depth; the log "
        "and the run record list those in force.",
        group=NUMERICS,
        affects_results=True,
    )
    trunk_precision: str = option(
        "auto",
        "Precision of the trunk. bfloat16: the engine's own. mixed: float32 with the operands of "
        "matrix products in bfloat16. float32. auto: on a CPU mixed where it has bfloat16 "
        "instructions and float32 where not, both closer to exact than the engine's own; "
        "elsewhere, and with --fidelity=exact, the engine's own.",
        group=NUMERICS,
        choices=("auto", "bfloat16", "mixed", "float32"),
        affects_results=True,
    )
    diffusion_precision: str = option(
        "auto",
        "Precision of the large matrix products of the diffusion transformer on a CPU. float32: "
        "the engine's own. split: every operand as the sum of two bfloat16 values, relative error "
        "about 5e-6. bfloat16: fastest, less exact than the engine. auto: split where the CPU has "
        "bfloat16 matrix instructions, float32 elsewhere and with --fidelity=exact.",
        group=NUMERICS,
        choices=("auto", "float32", "split", "bfloat16"),
        affects_results=True,
    )
    tuned: bool = option(
        True,
        "Use the flags and precisions that `af3opt tune` found fastest on this host. --notuned: "
        "ignore them.",
        group=NUMERICS,
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

    on_nonfinite: str = option(
        "retry",
        "When the model gives NaN or infinity. retry: compute the seed again in safer numerics "
        "and set samples apart that are still bad. fail: stop the job. mark: write everything and "
        "mark it.",
        group=NUMERICS,
        choices=("retry", "fail", "mark"),
        affects_results=True,
    )
    debug_numerics: bool = option(
        False,
        "Find the first stage of the model with NaN or infinity. Slower; the compiled model is not "
        "kept.",
        group=NUMERICS,
    )

    resume: bool = option(
        True,
        "Continue an equal earlier run in its directory and do only what is missing. With "
        "--noresume a directory in use gets a time stamp and everything is done again, as upstream "
        "does.",
        group=EXECUTION,
    )
    explain_resume: bool = option(
        False,
        "Log for each job what is done already, and what differs from its earlier runs.",
        group=EXECUTION,
    )
    order: str = option(
        "bucket",
        "Order of the jobs of an --input_dir: by padded size, so that one compiled model serves "
        "many, or as upstream by file name.",
        group=EXECUTION,
        choices=("bucket", "input"),
    )
    input_list: Path | None = option(
        None,
        "Text file that names the input JSON files, one a line, instead of --input_dir. Relative "
        "names start from its directory.",
        group=EXECUTION,
    )
    recursive: bool = option(
        False, "Also read inputs from directories below --input_dir.", group=EXECUTION
    )
    shard: str | None = option(
        None,
        "I/N: do only every N-th input, beginning with number I (from 0).",
        group=EXECUTION,
    )
    array: bool = option(
        False,
        "In an array of Slurm, LSF or Grid Engine, take the shard from the task's place in it.",
        group=EXECUTION,
    )
    fail_fast: bool = option(
        False,
        "End the batch at the first job that fails, as upstream does, instead of recording it in "
        "failed.json and going on.",
        group=EXECUTION,
    )
    overlap: str = option(
        "auto",
        "Featurise the next seed and write the last one while the device runs. auto: on a GPU "
        "only, since on a CPU the stages would compete for the same cores.",
        group=EXECUTION,
        choices=("auto", "on", "off"),
    )
    dry_run: bool = option(
        False,
        "Print what would run, padded sizes, estimated time and memory, and what is done already; "
        "then exit. Loads neither engine nor weights.",
        group=EXECUTION,
    )
    trace: Path | None = option(
        None,
        "Write which stage ran when to this file, for chrome://tracing or ui.perfetto.dev.",
        group=EXECUTION,
    )
    gpus: str | None = option(
        None,
        "all, or indices such as 0,2: one worker process for each of these GPUs, which share the "
        "jobs out among themselves.",
        group=EXECUTION,
    )
    cpu_workers: int | None = option(
        None,
        "Worker processes on the CPU, on disjoint cores, which share the jobs out among "
        "themselves.",
        group=EXECUTION,
        lower_bound=1,
    )
    max_runtime: int | None = option(
        None,
        "Seconds after which no seed is started that would not finish in time. Unset: the end of "
        "the scheduler's job, if there is one.",
        group=EXECUTION,
        lower_bound=1,
        default_text="the end of the scheduler's job",
    )

    weights_copy: bool = option(
        True,
        "Keep an uncompressed copy of the model parameters under AF3OPT_HOME, private to you, "
        "that is mapped into memory instead of being read. The model directory is never written.",
        group=CACHES,
    )

    exact_search: bool = option(
        True,
        "Scan protein databases with af3opt's own first filter, and let jackhmmer search what it "
        "leaves over. The result is jackhmmer's, byte for byte; see docs/searches.md.",
        group=SEARCHES,
    )

    feature_cache: bool = option(
        True,
        "Keep features on disk and use them again for the same input, options and software.",
        group=CACHES,
    )
    feature_cache_dir: Path | None = option(
        None,
        "Directory of the feature cache. Unset: one under AF3OPT_HOME.",
        group=CACHES,
    )
    feature_cache_gb: float = option(
        20.0,
        "Size in GB that the feature cache is kept within; what was used longest ago goes first.",
        group=CACHES,
        lower_bound=0,
    )
    msa_cache: bool = option(
        True,
        "Keep each chain's search results and use them again for the same sequence, databases and "
        "tool options, whatever complex the chain is in.",
        group=CACHES,
    )
    msa_cache_dir: Path | None = option(
        None,
        "Directory of the MSA cache. Unset: one under AF3OPT_HOME.",
        group=CACHES,
    )
    msa_cache_gb: float = option(
        20.0,
        "Size in GB that the MSA cache is kept within; what was used longest ago goes first.",
        group=CACHES,
        lower_bound=0,
    )
    featurise_workers: int | None = option(
        None,
        "Processes of af3opt featurise. Unset: as many as cores and memory allow when it pays; 1: "
        "the command's own. In af3opt run, threads that featurise ahead of a GPU. Unset: one fewer "
        "than cores, up to 3.",
        group=CACHES,
        lower_bound=1,
    )

    report: bool = option(
        False,
        "Write a page with structure, confidence plots and run record beside each job's results, "
        "and one for the batch; the same as af3opt report.",
        group=OUTPUT,
    )
    run_record: bool = option(
        True,
        "Write <name>_af3opt.json: how the results came about, with settings, times, memory and "
        "checks.",
        group=OUTPUT,
    )
    save_pdb: bool = option(
        False,
        "Also write each structure as a PDB file where the format's limits allow it.",
        group=OUTPUT,
    )

    debug: bool = option(False, "Show tracebacks, engine noise and debug messages.", group=LOGGING)
    quiet: bool = option(False, "Log warnings and errors only.", group=LOGGING)
    log_format: str = option(
        "plain",
        "Form of the log lines: plain text, or one JSON object a line.",
        group=LOGGING,
        choices=("plain", "json"),
    )
