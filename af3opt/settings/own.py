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
        "Preset with settings: the name of a shipped preset (such as cpu) or the path of a TOML "
        "file. Flags and AF3OPT_* variables have priority over it.",
        group=CONFIGURATION,
    )
    print_settings: bool = option(
        False, "Print every setting and the origin of its value, then exit.", group=CONFIGURATION
    )
    print_env: bool = option(
        False,
        "Print the environment for this host and backend as export lines, then exit.",
        group=CONFIGURATION,
    )

    run_alphafold_script: Path | None = option(
        None,
        "Run this run_alphafold.py unmodified instead of af3opt's own runner. It uses af3opt's "
        "environment, caches, exact searches, optimisations, CPU buckets and run record. Not "
        "available: resume, claims, several GPUs or workers, time limits, the numerics check, "
        "reports and PDB files. The variable AF3OPT_SCRIPT does the same.",
        group=ENGINE,
    )
    script_flags: str | None = option(
        None,
        "Flags for the script of --run_alphafold_script that af3opt does not know, as one shell "
        "string. They are passed on unchanged.",
        group=ENGINE,
    )

    unified_memory: bool | None = option(
        None,
        "Let the GPU use host memory too (no preallocation, fraction 3.2). Slower, but larger "
        "inputs fit. Unset: only for jobs that do not fit otherwise, after all other jobs.",
        group=ENVIRONMENT,
    )
    force_memory: bool = option(
        False,
        "Try jobs even if they need more memory than the machine has. A job that succeeds is not "
        "refused again.",
        group=ENVIRONMENT,
    )
    num_threads: int | None = option(
        None,
        "CPU threads for the model. Unset: as many as affinity, cgroup and scheduler allow.",
        group=ENVIRONMENT,
        lower_bound=1,
    )

    fidelity: str = option(
        "fast",
        "Which optimisations may run. exact: results of the engine itself with the same flags. "
        "reordered: also other summation orders, and number formats closer to float32. fast: also "
        "finer padding on a CPU, which draws other random numbers from the same distribution.",
        group=NUMERICS,
        choices=("exact", "reordered", "fast"),
        affects_results=True,
    )

    disable_optimizations: Names = option(
        (),
        "Names of optimisations to switch off, such as triangle_attention_blocks,msa_depth. The "
        "log and the run record list the active ones.",
        group=NUMERICS,
        affects_results=True,
    )
    trunk_precision: str = option(
        "auto",
        "Precision of the trunk. bfloat16: as in the engine. mixed: float32, with the operands of "
        "matrix products in bfloat16. float32: throughout. auto: on a CPU with bfloat16 "
        "instructions mixed, on other CPUs float32 (both are more accurate than the engine); on "
        "other devices, and with --fidelity=exact, as in the engine.",
        group=NUMERICS,
        choices=("auto", "bfloat16", "mixed", "float32"),
        affects_results=True,
    )
    diffusion_precision: str = option(
        "auto",
        "Precision of the large matrix products of the diffusion transformer on a CPU. float32: "
        "as in the engine. split: every operand is the sum of two bfloat16 values, relative error "
        "about 5e-6. bfloat16: fastest, less accurate than the engine. auto: split if the CPU has "
        "bfloat16 matrix instructions; otherwise, and with --fidelity=exact, float32.",
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
        "Denoising steps of the diffusion sampler. Unset: the engine's number, 200. Use fewer only "
        "for tests and timings: fewer steps are not the published method.",
        group=NUMERICS,
        lower_bound=1,
        default_text="the engine's 200",
        affects_results=True,
    )

    on_nonfinite: str = option(
        "retry",
        "What to do if the model gives NaN or infinity. retry: compute the seed again with a "
        "float32 trunk and exact optimisations only; samples that are still not finite go to a "
        "separate directory and are not ranked. fail: stop the job. mark: write all samples; those "
        "that are not finite are marked and not ranked.",
        group=NUMERICS,
        choices=("retry", "fail", "mark"),
        affects_results=True,
    )
    debug_numerics: bool = option(
        False,
        "Find the first stage of the model with NaN or infinity. Slower; the compiled model is not "
        "stored.",
        group=NUMERICS,
    )

    resume: bool = option(
        True,
        "Continue an earlier run with the same input and settings, and do only what is missing. "
        "With --noresume everything is done again; if the job's directory is in use, the results "
        "go into a new one with a time stamp, as in upstream.",
        group=EXECUTION,
    )
    explain_resume: bool = option(
        False,
        "Log for each job what is finished, and what differs from its earlier runs.",
        group=EXECUTION,
    )
    order: str = option(
        "bucket",
        "Order of the jobs. bucket: by padded size, so that one compiled model serves many jobs. "
        "input: by file name, as upstream does.",
        group=EXECUTION,
        choices=("bucket", "input"),
    )
    input_list: Path | None = option(
        None,
        "Text file with the paths of the input JSON files, one per line; replaces --input_dir. "
        "Relative paths start from the directory of the text file.",
        group=EXECUTION,
    )
    recursive: bool = option(
        False, "Also read inputs from directories below --input_dir.", group=EXECUTION
    )
    shard: str | None = option(
        None,
        "I/N: do only every N-th input, starting with number I (counted from 0).",
        group=EXECUTION,
    )
    array: bool = option(
        False,
        "In a job array of Slurm, LSF or Grid Engine: take I and N of --shard from the array.",
        group=EXECUTION,
    )
    fail_fast: bool = option(
        False,
        "End the batch at the first failed job, as upstream does. Without this flag, failed jobs "
        "are recorded in failed.json and the batch continues.",
        group=EXECUTION,
    )
    overlap: str = option(
        "auto",
        "Featurise the next seed and write the last one while the device computes. auto: only on "
        "a GPU, because on a CPU the stages would compete for the same cores.",
        group=EXECUTION,
        choices=("auto", "on", "off"),
    )
    dry_run: bool = option(
        False,
        "Print the jobs that would run, padded sizes, estimated time and memory, and the finished "
        "jobs; then exit. Loads neither engine nor weights.",
        group=EXECUTION,
    )
    trace: Path | None = option(
        None,
        "Write a timeline of the stages to this file, for chrome://tracing or ui.perfetto.dev.",
        group=EXECUTION,
    )
    gpus: str | None = option(
        None,
        "all, or indices such as 0,2: start one worker process for each of these GPUs. The workers "
        "share the jobs.",
        group=EXECUTION,
    )
    cpu_workers: int | None = option(
        None,
        "Number of worker processes on the CPU, on separate cores. The workers share the jobs.",
        group=EXECUTION,
        lower_bound=1,
    )
    max_runtime: int | None = option(
        None,
        "Time limit in seconds: a seed that would not finish before it is not started. Unset: the "
        "end of the scheduler's job, if there is one.",
        group=EXECUTION,
        lower_bound=1,
        default_text="the end of the scheduler's job",
    )

    weights_copy: bool = option(
        True,
        "Keep an uncompressed copy of the model parameters under AF3OPT_HOME, private to you. It "
        "loads faster, because it is mapped into memory. The model directory is never written.",
        group=CACHES,
    )

    exact_search: bool = option(
        True,
        "Scan protein databases with af3opt's own first filter, then run jackhmmer on the targets "
        "that pass. The result is jackhmmer's, byte for byte; see docs/searches.md.",
        group=SEARCHES,
    )

    feature_cache: bool = option(
        True,
        "Store features on disk and use them again for the same input, options and software.",
        group=CACHES,
    )
    feature_cache_dir: Path | None = option(
        None,
        "Directory of the feature cache. Unset: one under AF3OPT_HOME.",
        group=CACHES,
    )
    feature_cache_gb: float = option(
        20.0,
        "Largest size of the feature cache in GB; the least recently used entries are removed.",
        group=CACHES,
        lower_bound=0,
    )
    msa_cache: bool = option(
        True,
        "Store the search results of each chain, and use them again for the same sequence, "
        "databases and tool options, in any complex.",
        group=CACHES,
    )
    msa_cache_dir: Path | None = option(
        None,
        "Directory of the MSA cache. Unset: one under AF3OPT_HOME.",
        group=CACHES,
    )
    msa_cache_gb: float = option(
        20.0,
        "Largest size of the MSA cache in GB; the least recently used entries are removed.",
        group=CACHES,
        lower_bound=0,
    )
    featurise_workers: int | None = option(
        None,
        "In af3opt featurise: number of processes. Unset: as many as cores and memory allow, if "
        "that is faster; 1: no further processes. In af3opt run: number of threads that featurise "
        "ahead of a GPU. Unset: one fewer than cores, at most 3.",
        group=CACHES,
        lower_bound=1,
    )

    report: bool = option(
        False,
        "Write an HTML page with structure, confidence plots and run record for each job, and one "
        "for the batch, as af3opt report does.",
        group=OUTPUT,
    )
    run_record: bool = option(
        True,
        "Write <name>_af3opt.json: a record of how the results were made, with settings, times, "
        "memory and checks.",
        group=OUTPUT,
    )
    save_pdb: bool = option(
        False,
        "Also write each structure as a PDB file, if it fits the PDB format.",
        group=OUTPUT,
    )

    debug: bool = option(
        False, "Show tracebacks, messages of the engine and debug messages.", group=LOGGING
    )
    quiet: bool = option(False, "Log only warnings and errors.", group=LOGGING)
    log_format: str = option(
        "plain",
        "Format of the log: plain text, or one JSON object per line.",
        group=LOGGING,
        choices=("plain", "json"),
    )
