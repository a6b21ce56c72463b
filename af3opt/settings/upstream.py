"""The flags of upstream's `run_alphafold.py`, with their names, defaults and meanings.

Source: `run_alphafold.py` of AlphaFold 3 v3.0.4, plus the two `*_n_workers` flags
of the current main branch. One default differs on purpose: `jax_backend`
and `flash_attention_implementation` are unset here, which means "what this
machine has" (upstream: `gpu` and `triton`).
"""

import dataclasses
import datetime
import functools
import itertools
import os
import shutil
from pathlib import Path

from af3opt.settings.field import Value, option

INPUT_OUTPUT = "Input and output paths"
STAGES = "Stages to run"
BINARIES = "HMMER binaries"
DATABASES = "Databases"
TOOLS = "MSA tool resources"
PIPELINE = "Data pipeline"
INFERENCE = "Inference"
OUTPUT = "Output"

DEFAULT_BUCKETS = (
    128, 256, 384, 512, 768, 1024, 1280, 1536, 2048, 2560, 3072, 3584, 4096, 4608, 5120,
)  # fmt: skip


def _msa_tool_cpus() -> int:
    """Upstream's default for the HMMER tools: the usable cores, at most 8."""
    return min(len(os.sched_getaffinity(0)), 8)


_up = functools.partial(option, upstream=True)
_result = functools.partial(option, upstream=True, affects_results=True)


def _in_home(folder: str) -> str:
    """Upstream's default folders; without a known home the `~` stays, for the error to show."""
    return os.path.expanduser(f"~/{folder}")  # noqa: PTH111 (Path.expanduser raises instead)


def _date_problem(text: str) -> str | None:
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        return "must be a date written YYYY-MM-DD"
    return None


def _bucket_problem(buckets: tuple[int, ...]) -> str | None:
    if buckets[0] < 1:
        return "must be positive"
    if any(low >= high for low, high in itertools.pairwise(buckets)):
        return "must be strictly increasing"
    return None


def _binary(name: str) -> Value:
    return _result(
        functools.partial(shutil.which, name),
        f"Path to the {name} binary.",
        group=BINARIES,
        default_text=f"{name} found on PATH",
    )


def _database(file_name: str, use: str) -> Value:
    return _result("${DB_DIR}/" + file_name, f"{use}.", group=DATABASES)


def _z_value(unit: str) -> Value:
    return _result(
        None,
        f"Database size in {unit} for the E-value calculation. Must be set for a sharded database.",
        group=DATABASES,
        lower_bound=0,
    )


def _tool_cpus(tool: str, beyond: str = "") -> Value:
    return _up(
        _msa_tool_cpus,
        f"CPUs for one {tool} process. More than 8 give little speed-up{beyond}.",
        group=TOOLS,
        lower_bound=0,
        default_text="usable cores, at most 8",
    )


def _max_shards(tool: str) -> Value:
    return _up(
        None,
        f"Largest number of {tool} processes at once for a sharded database. Unset: one per shard.",
        group=TOOLS,
        lower_bound=1,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class UpstreamOptions:
    """Upstream's flags; see `af3opt run --help` for each."""

    json_path: Path | None = _up(None, "Path to the input JSON file.", group=INPUT_OUTPUT)
    input_dir: Path | None = _up(
        None, "Path to the directory containing input JSON files.", group=INPUT_OUTPUT
    )
    output_dir: Path | None = _up(
        None, "Path to a directory where the results will be saved.", group=INPUT_OUTPUT
    )
    model_dir: Path = _result(
        lambda: Path(_in_home("models")),
        "Path to the directory with the model parameters.",
        group=INPUT_OUTPUT,
        default_text="~/models",
    )

    run_data_pipeline: bool = _up(
        True, "Whether to search for MSAs and templates for the inputs.", group=STAGES
    )
    run_inference: bool = _up(True, "Whether to run the model on the inputs.", group=STAGES)

    jackhmmer_binary_path: str | None = _binary("jackhmmer")
    nhmmer_binary_path: str | None = _binary("nhmmer")
    hmmalign_binary_path: str | None = _binary("hmmalign")
    hmmsearch_binary_path: str | None = _binary("hmmsearch")
    hmmbuild_binary_path: str | None = _binary("hmmbuild")

    db_dir: tuple[str, ...] = _result(
        lambda: (_in_home("public_databases"),),
        "Directory with the databases. You can give it several times (in a variable: separated by "
        "colons); the directories are searched in order.",
        group=DATABASES,
        default_text="~/public_databases",
    )
    small_bfd_database_path: str = _database(
        "bfd-first_non_consensus_sequences.fasta", "Small BFD, protein MSA search"
    )
    small_bfd_z_value: int | None = _z_value("sequences")
    mgnify_database_path: str = _database("mgy_clusters_2022_05.fa", "MGnify, protein MSA search")
    mgnify_z_value: int | None = _z_value("sequences")
    uniprot_cluster_annot_database_path: str = _database(
        "uniprot_all_2021_04.fa", "UniProt, paired protein MSA search"
    )
    uniprot_cluster_annot_z_value: int | None = _z_value("sequences")
    uniref90_database_path: str = _database(
        "uniref90_2022_05.fa",
        "UniRef90, protein MSA search; its result also gives the profile for template search",
    )
    uniref90_z_value: int | None = _z_value("sequences")
    ntrna_database_path: str = _database(
        "nt_rna_2023_02_23_clust_seq_id_90_cov_80_rep_seq.fasta", "NT-RNA, RNA MSA search"
    )
    ntrna_z_value: float | None = _z_value("megabases")
    rfam_database_path: str = _database(
        "rfam_14_9_clust_seq_id_90_cov_80_rep_seq.fasta", "Rfam, RNA MSA search"
    )
    rfam_z_value: float | None = _z_value("megabases")
    rna_central_database_path: str = _database(
        "rnacentral_active_seq_id_90_cov_80_linclust.fasta", "RNAcentral, RNA MSA search"
    )
    rna_central_z_value: float | None = _z_value("megabases")
    pdb_database_path: str = _database("mmcif_files", "PDB mmCIF directory, template search")
    seqres_database_path: str = _database(
        "pdb_seqres_2022_09_28.fasta", "PDB sequences, template search"
    )

    jackhmmer_n_cpu: int = _tool_cpus(
        "Jackhmmer", ", except with the Jackhmmer of AlphaFold 3 v3.0.5 (see docs/searches.md)"
    )
    jackhmmer_max_parallel_shards: int | None = _max_shards("Jackhmmer")
    jackhmmer_n_workers: int = _up(
        4, "Largest number of Jackhmmer searches at once.", group=TOOLS, lower_bound=1
    )
    nhmmer_n_cpu: int = _tool_cpus("Nhmmer")
    nhmmer_max_parallel_shards: int | None = _max_shards("Nhmmer")
    nhmmer_n_workers: int = _up(
        3, "Largest number of Nhmmer searches at once.", group=TOOLS, lower_bound=1
    )
    hmmsearch_n_cpu: int = _tool_cpus("Hmmsearch")

    resolve_msa_overlaps: bool = _result(
        True,
        "Whether to remove sequences of the paired MSA from the unpaired MSA, as in the AlphaFold "
        "3 paper. Set to false if you paired a custom unpaired MSA by hand and it must not change.",
        group=PIPELINE,
    )
    max_template_date: str = _result(
        "2021-09-30",
        "Ignore templates released after this date (YYYY-MM-DD). The date also applies to CCD "
        "components: if RDKit finds no conformer and there are no ideal coordinates, the model "
        "coordinates are used only for components released before it.",
        group=PIPELINE,
        check=_date_problem,
    )
    conformer_max_iterations: int | None = _result(
        None,
        "Largest number of iterations of RDKit's conformer search. Unset: RDKit's own default.",
        group=PIPELINE,
        lower_bound=0,
    )
    fix_standalone_glycans: bool = _result(
        False,
        "Keep the leaving atoms of glycan ligands without bonds to other molecules. The model was "
        "trained and evaluated without these atoms.",
        group=PIPELINE,
    )

    jax_compilation_cache_dir: str | None = _up(
        None,
        "Directory of the JAX compilation cache. Unset: a private one per type of host under "
        "AF3OPT_HOME.",
        group=INFERENCE,
    )
    gpu_device: int = _up(
        0,
        "Index of the device to run on, among those of CUDA_VISIBLE_DEVICES. Also used for CPU and "
        "MPS devices.",
        group=INFERENCE,
        lower_bound=0,
    )
    jax_backend: str | None = _result(
        None,
        "Backend to run the model on. Unset: a GPU if one is usable, else the CPU. The log says "
        "which.",
        group=INFERENCE,
        choices=("cpu", "gpu", "mps"),
    )
    buckets: tuple[int, ...] | None = _result(
        None,
        "Sizes in tokens to which inputs are padded, in increasing order, so that one compiled "
        "model serves many inputs. An input larger than all buckets gets a bucket of its own size. "
        "Unset: on a GPU the list of the engine's script (128 and 384 are newer than v3.0.4); on a "
        "CPU finer sizes, unless --fidelity=exact.",
        group=INFERENCE,
        default_text=",".join(map(str, DEFAULT_BUCKETS)) + " (finer on a CPU)",
        check=_bucket_problem,
    )
    flash_attention_implementation: str | None = _result(
        None,
        "Attention kernels. triton and cudnn need an Ampere GPU or later; xla runs on any device. "
        "Unset: triton on a GPU that supports it, else xla.",
        group=INFERENCE,
        choices=("triton", "cudnn", "xla"),
    )
    num_recycles: int = _result(10, "Number of recycles.", group=INFERENCE, lower_bound=1)
    num_diffusion_samples: int = _result(
        5, "Number of diffusion samples for each seed.", group=INFERENCE, lower_bound=1
    )
    num_seeds: int | None = _up(
        None,
        "Number of seeds. The input must have exactly one seed; that seed and the following "
        "integers are used. Unset: the seeds of the input.",
        group=INFERENCE,
        lower_bound=1,
    )

    save_embeddings: bool = _up(
        False,
        "Save the final single and pair embeddings of the trunk (large float16 arrays).",
        group=OUTPUT,
    )
    save_distogram: bool = _up(
        False, "Save the final distogram (a large float16 array).", group=OUTPUT
    )
    save_terms_of_use: bool = _up(
        True,
        "Save the terms of use beside the results and the licence in the mmCIF files.",
        group=OUTPUT,
    )
    force_output_dir: bool = _up(
        False,
        "Use the job's output directory even if it exists and is not empty. Without this flag, a "
        "directory with a time stamp is made.",
        group=OUTPUT,
    )
    compress_large_output_files: bool = _up(
        False, "Compress the mmCIF and confidences JSON files with zstandard.", group=OUTPUT
    )
