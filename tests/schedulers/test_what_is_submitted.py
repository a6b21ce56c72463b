"""What `af3opt submit` leaves out, and how searches are shared out."""

import json
import os

import pytest

from af3opt import cli
from af3opt.base.errors import ExitCode
from af3opt.base.key import CacheKey
from af3opt.caching.locations import open_cache
from af3opt.execution.job.identity import Computing, data_identity, run_identity
from af3opt.execution.job.journal import JobJournal
from af3opt.execution.job.weights_digest import weights_digest
from af3opt.inference.weights_format import WeightFiles
from af3opt.inputs.digest import input_digest
from af3opt.output.tree import JobTree, SampleScore, write_ranking
from af3opt.schedulers.search_work import chains_to_search, find_search_costs
from af3opt.schedulers.shares import FileWork, share_out
from af3opt.schedulers.site import Site
from af3opt.settings.settings import resolve_settings
from tests.execution.conftest import write_input


class Cluster:
    """Stand-ins for sbatch and squeue, and a batch of three inputs."""

    def __init__(self, root, capfd):
        self.root = root
        self.capfd = capfd
        self.inputs, self.output = root / "in", root / "out"
        for name in "abc":
            write_input(self.inputs, name, [1, 2])
        self.program("sbatch", f'cat >>{root}/scripts; echo "$*" >>{root}/sbatch.calls; echo 7$$')
        self.alive("")

    def program(self, name, script):
        path = self.root / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def alive(self, lines):
        self.program("squeue", f"printf '{lines}'")

    def flags(self, *more):
        return [f"--input_dir={self.inputs}", f"--output_dir={self.output}", *more]

    def submit(self, *more):
        """Exit code, arrays by name, and what is said."""
        self.capfd.readouterr()
        code = cli.main(["submit", "--slurm=two-partitions", *self.flags(*more)])
        printed = self.capfd.readouterr()
        arrays = dict(line.split(": job ") for line in printed.out.splitlines())
        return code, arrays, printed.err

    def lists(self):
        """Inputs in the newest submission's lists."""
        newest = max((self.output / ".af3opt" / "submitted").iterdir())
        return {
            path.name: [line.rpartition("/")[2] for line in path.read_text().splitlines()]
            for path in newest.glob("*.txt")
        }

    def do(self, name, *, seeds=(1, 2), only_search=False, variables=None, weights="w"):
        """Leaves a job as a run with default settings would."""
        settings = resolve_settings(self.flags(), {})
        digest = input_digest(self.inputs / f"{name}.json", 0)
        journal, tree = JobJournal(self.output, name), JobTree(self.output / name, name)
        tree.root.mkdir(parents=True)
        journal.directory.mkdir(parents=True)
        tree.data_json.write_text("{}")
        given = {"input_digest": digest, "engine_fingerprint": "e", "variables": {}}
        data = data_identity(settings, searched=False, **given)
        journal.data.finish(data, tree.data_json, "resolved", seeds)
        if only_search:
            return
        identity = run_identity(
            settings,
            Computing(
                weights=weights,
                engine="e",
                backend="gpu",
                buckets=(256,),
                versions={"jax": "1.0"},
                variables=variables or {},
            ),
            resolved_input="resolved",
            first_seed=seeds[0],
        )
        run = journal.run(identity, seeds)
        run.begin(tree.root, seeds, {**data.parts, **identity.parts})
        scores = []
        for seed in seeds:
            directory = tree.sample_dir(seed, 0)
            directory.mkdir()
            (directory / "model.cif").write_text("data")
            scores.append(SampleScore(seed, 0, 0.5))
            run.finish_seed(seed, tree.root, [directory], scores[-1:], 60.0)
        write_ranking(tree, scores)


@pytest.fixture
def cluster(tmp_path, capfd, monkeypatch):
    made = Cluster(tmp_path, capfd)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    return made


def test_a_component_that_nobody_knows_is_not_submitted(cluster, monkeypatch):
    """As `af3opt run` would refuse it, after hours in the queue."""
    known = {"ATP": {"_chem_comp_atom.type_symbol": ["C", "H"]}}
    monkeypatch.setattr("af3opt.data.resources.component_index", lambda: known)
    for name, code in (("a", "ATP"), ("b", "NOPE")):
        path = cluster.inputs / f"{name}.json"
        content = json.loads(path.read_text())
        content["sequences"].append({"ligand": {"id": "B", "ccdCodes": [code]}})
        path.write_text(json.dumps(content))
    code, _, said = cluster.submit()
    assert code == ExitCode.SOME_FAILED
    assert "chain B: ccdCodes: 'NOPE' is not in the chemical component dictionary" in said
    files = [file for listed in cluster.lists().values() for file in listed]
    assert sorted(files) == ["a.json", "c.json"]


class TestFinished:
    def test_only_what_is_left_is_submitted(self, cluster):
        cluster.do("a")
        cluster.do("b", only_search=True)
        code, arrays, said = cluster.submit()
        assert code == ExitCode.OK
        assert list(arrays) == ["data", "inference", "inference-ready"]
        assert cluster.lists() == {"0000.txt": ["c.json"], "ready-0000.txt": ["b.json"]}
        assert "1 fold job(s) that are finished" in said
        calls = (cluster.root / "sbatch.calls").read_text().splitlines()
        assert ["aftercorr" in call for call in calls] == [False, True, False]

    def test_inference_alone_has_the_usual_names(self, cluster):
        assert list(cluster.submit("--norun_data_pipeline")[1]) == ["inference"]
        assert list(cluster.lists()) == ["0000.txt"]
        assert [path.name for path in cluster.output.rglob("*.sbatch")] == ["inference.sbatch"]
        assert list(cluster.submit("--norun_inference")[1]) == ["data"]

    @pytest.mark.parametrize(
        "change",
        ["--num_recycles=3", "--num_seeds=1", "another sequence", "a lost file", "a variable"],
    )
    def test_another_run_is_not_finished(self, cluster, change, monkeypatch):
        for name in "abc":
            cluster.do(name)
        more = []
        if change == "another sequence":
            write_input(cluster.inputs, "a", [1, 2], "MMMM")
        elif change == "a lost file":
            next(cluster.output.glob("a/seed-1_*/*.cif")).unlink()
        elif change == "a variable":
            monkeypatch.setenv("JAX_RANDOM_SEED_OFFSET", "7")
        elif change == "--num_seeds=1":
            write_input(cluster.inputs, "a", [1])
        else:
            more = [change]
        cluster.submit(*more)
        assert "a.json" in cluster.lists().popitem()[1]

    def test_a_run_with_a_variable_that_is_not_set_now_is_another(self, cluster):
        for name in "abc":
            cluster.do(name, variables={"JAX_RANDOM_SEED_OFFSET": "7"})
        cluster.submit()
        assert cluster.lists() == {"0000.txt": ["a.json", "b.json", "c.json"]}

    def test_weights_are_compared_where_their_digest_is_remembered(self, cluster, tmp_path):
        model_dir = tmp_path / "models"
        model_dir.mkdir()
        path = model_dir / "af3.bin"
        path.write_bytes(b"first")
        flag = f"--model_dir={model_dir}"
        first = weights_digest(model_dir, lambda _: WeightFiles((path,), compressed=False))
        for name in "abc":
            cluster.do(name, weights=first)
        code, arrays, said = cluster.submit(flag)
        assert (code, arrays) == (ExitCode.OK, {})
        assert "nothing is left to do" in said
        assert "its digest is not known here" not in said
        path.write_bytes(b"other")
        assert "its digest is not known here" in cluster.submit(flag)[2]
        weights_digest(model_dir, lambda _: WeightFiles((path,), compressed=False))
        assert cluster.submit(flag)[1]
        assert cluster.lists() == {"0000.txt": ["a.json", "b.json", "c.json"]}

    def test_when_all_is_done_nothing_is_submitted(self, cluster):
        for name in "abc":
            cluster.do(name)
        code, arrays, said = cluster.submit()
        assert (code, arrays) == (ExitCode.OK, {})
        assert "nothing is left to do" in said
        assert not (cluster.output / ".af3opt" / "submitted").exists()

    def test_resubmit_does_everything_again(self, cluster):
        for name in "abc":
            cluster.do(name)
        assert list(cluster.submit("--resubmit")[1]) == ["data", "inference"]
        assert cluster.lists() == {"0000.txt": ["a.json", "b.json", "c.json"]}


class TestSecondSubmission:
    def test_arrays_that_wait_or_run_keep_another_out(self, cluster):
        first = cluster.submit()[1]
        cluster.alive(f"{first['data']}_0 COMPLETED\\n{first['inference']}_0 PENDING\\n")
        code, arrays, said = cluster.submit()
        assert (code, arrays) == (ExitCode.USAGE, {})
        assert f"Slurm job(s) {first['inference']} of {cluster.output}" in said
        assert f"scancel {first['inference']}" in said
        assert len(list((cluster.output / ".af3opt" / "submitted").iterdir())) == 1
        assert cluster.submit("--resubmit")[0] == ExitCode.OK

    def test_what_has_ended_does_not(self, cluster):
        first = cluster.submit()[1]
        cluster.alive("".join(f"{job}_0 FAILED\\n" for job in first.values()))
        assert cluster.submit()[0] == ExitCode.OK

    def test_a_refused_second_array_is_no_reason_to_forget_the_first(self, cluster):
        cluster.program(
            "sbatch",
            'case "$*" in *aftercorr*) echo no such partition >&2; exit 1;; esac; echo 71',
        )
        code, _, said = cluster.submit()
        assert code == ExitCode.USAGE
        assert "no such partition" in said
        cluster.alive("71_0 RUNNING\\n")
        assert "71 of" in cluster.submit()[2]


class TestUnusableInputs:
    def test_they_are_named_and_left_out(self, cluster):
        (cluster.inputs / "bad.json").write_text("{")
        (cluster.inputs / "odd.json").write_text('{"name": "x"}')
        write_input(cluster.inputs, "typo", [1], "MK1")
        code, arrays, said = cluster.submit()
        assert code == ExitCode.SOME_FAILED
        assert list(arrays) == ["data", "inference"]
        assert cluster.lists() == {"0000.txt": ["a.json", "b.json", "c.json"]}
        for name, mistake in (("bad", "JSON"), ("odd", "dialect"), ("typo", "position 3")):
            (line,) = (line for line in said.splitlines() if f"/{name}.json: " in line)
            assert mistake in line
        failed = json.loads((cluster.output / "failed.json").read_text())
        assert [failure["name"] for failure in failed] == ["bad", "typo", "x"]

    def test_seeds_that_run_would_refuse(self, cluster):
        write_input(cluster.inputs, "a", [1])
        code, _, said = cluster.submit("--num_seeds=3")
        assert code == ExitCode.SOME_FAILED
        assert cluster.lists() == {"0000.txt": ["a.json"]}
        for name in "bc":
            assert f"/{name}.json: {name}: --num_seeds=3: modelSeeds must hold one seed" in said

    def test_jobs_that_would_overwrite_each_other(self, cluster):
        write_input(cluster.inputs / "more", "a", [1])
        (cluster.inputs / "more" / "a.json").rename(cluster.inputs / "other.json")
        code, arrays, said = cluster.submit("--force_output_dir")
        assert (code, arrays) == (ExitCode.USAGE, {})
        assert "--force_output_dir: 2 jobs are named a" in said
        assert cluster.submit()[0] == ExitCode.OK

    def test_the_good_jobs_of_a_list_are_submitted(self, cluster):
        good, bad = (
            {"name": name, "modelSeeds": [], "sequences": [{"proteinChain": chain}]}
            for name, chain in (
                ("good", {"sequence": "MKV", "count": 1}),
                ("bad", {"sequence": "MK1", "count": 1}),
            )
        )
        (cluster.inputs / "list.json").write_text(json.dumps([good, bad]))
        code, _, said = cluster.submit()
        assert code == ExitCode.SOME_FAILED
        assert "list.json: job 2 (bad): " in said
        assert "list.json" in cluster.lists()["0000.txt"]

    def test_with_nothing_else_nothing_is_submitted(self, cluster):
        for name in "abc":
            (cluster.inputs / f"{name}.json").write_text("[]")
        code, arrays, said = cluster.submit()
        assert (code, arrays) == (ExitCode.SOME_FAILED, {})
        assert said.count("holds no fold job") == 3

    def test_a_dry_run_writes_nothing_and_says_so_all_the_same(self, cluster):
        (cluster.inputs / "bad.json").write_text("{")
        cluster.capfd.readouterr()
        flags = cluster.flags("--dry_run")
        assert cli.main(["submit", "--slurm=two-partitions", *flags]) == ExitCode.SOME_FAILED
        assert not cluster.output.exists()


def search_input(directory, name, *sequences):
    directory.mkdir(exist_ok=True)
    chains = [
        {"protein": {"id": "ABCDEF"[number], "sequence": sequence}}
        for number, sequence in enumerate(sequences)
    ]
    content = {"dialect": "alphafold3", "version": 1, "name": name, "modelSeeds": [1]}
    path = directory / f"{name}.json"
    path.write_text(json.dumps({**content, "sequences": chains}))
    return path


def remember(sequence, seconds, gigabytes):
    """A search in the MSA cache."""
    from hashlib import sha256

    databases = {"uniref90_database_path": [{"bytes": int(gigabytes * 1e9)}]}
    material = {
        "kind": "ProteinChain search",
        "sequence": sha256(sequence.encode()).hexdigest(),
        "residues": len(sequence),
        "databases": databases,
    }
    settings = resolve_settings([], {})
    cache = open_cache("msa", settings.msa_cache_dir, settings.msa_cache_gb)
    assert cache.put(CacheKey.of(material), [b"x"], {"seconds": seconds})


class TestSearchWork:
    def test_what_brings_its_msa_is_not_searched(self):
        protein = {"id": "A", "sequence": "MKV"}
        whole = {**protein, "unpairedMsa": "", "pairedMsaPath": "x.a3m"}
        entry = {
            "sequences": [
                {"protein": whole},
                {"protein": {**protein, "sequence": "MKVA", "unpairedMsa": ""}},
                {"proteinChain": {"sequence": "MKVA", "count": 2}},
                {"rna": {"id": "R", "sequence": "ACG"}},
                {"rna": {"id": "S", "sequence": "ACGU", "unpairedMsa": ""}},
                {"dna": {"id": "D", "sequence": "ACG"}},
                {"ligand": {"id": "L", "smiles": "C"}},
                "odd",
            ]
        }
        found = sorted((chain.kind, chain.residues) for chain in chains_to_search(entry))
        assert found == [("protein", 4), ("rna", 3)]

    def test_the_rate_is_learned_from_stored_searches_and_these_are_free(self, tmp_path):
        settings = resolve_settings([], {})
        published = find_search_costs(settings)
        remember("M" * 100, 200.0, 10.0)
        remember("K" * 50, 100.0, 10.0)
        costs = find_search_costs(settings)
        assert costs.rate == pytest.approx(0.2)
        assert "2 search(es)" in costs.source
        assert "published" in published.source
        (known,) = chains_to_search({"sequences": [{"protein": {"sequence": "M" * 100}}]})
        (new,) = chains_to_search({"sequences": [{"protein": {"sequence": "V" * 10}}]})
        assert costs.seconds(known) == 0
        assert costs.seconds(new) == pytest.approx(0.2 * 10 * costs.gigabytes["protein"])
        assert published.seconds(known) > 0

    def test_databases_that_can_be_seen_are_measured(self, tmp_path):
        (tmp_path / "uniref90_2022_05.fa").write_bytes(bytes(3000))
        for shard in range(3):
            (tmp_path / f"own.fasta-0000{shard}-of-00003").write_bytes(bytes(1000))
        flags = [f"--db_dir={tmp_path}", f"--mgnify_database_path={tmp_path}/own.fasta@3"]
        unseen = find_search_costs(resolve_settings([], {})).gigabytes
        seen = find_search_costs(resolve_settings(flags, {})).gigabytes
        # 67 and 120 GB by their published sizes.
        assert unseen["protein"] - seen["protein"] == pytest.approx(187 - 6e-6)
        assert seen["rna"] == unseen["rna"]

    def test_tasks_are_shared_out_by_searches(self, cluster, tmp_path):
        """Inference of all of them would fit into one task."""
        for path in cluster.inputs.iterdir():
            path.unlink()
        target = "MKV" * 100
        for number in range(8):
            search_input(cluster.inputs, f"job{number}", "ACDEFGHI"[number] * 300)
        assert cluster.submit()[0] == ExitCode.OK
        # 306 GB at 0.01 s a residue and GB: about 15 minutes each, four hours a task.
        assert len(cluster.lists()) == 1
        for number in range(8):
            search_input(cluster.inputs, f"job{number}", "ACDEFGHI"[number] * 2000)
        cluster.submit()
        assert len(cluster.lists()) == 4
        # A chain that they have in common is searched once; each brings a small one.
        for number in range(8):
            search_input(cluster.inputs, f"job{number}", target * 9, "ACDEFGHI"[number] * 20)
        cluster.submit()
        assert len(cluster.lists()) == 1

    def test_cached_chains_are_free(self, cluster):
        for path in cluster.inputs.iterdir():
            path.unlink()
        for letter in "ACDEFGHI":
            search_input(cluster.inputs, f"job{letter}", letter * 2000)
            # As slow as the published searches.
            remember(letter * 2000, 0.01 * 2000 * 10, 10.0)
        cluster.submit()
        assert len(cluster.lists()) == 1

    def test_a_second_search_of_a_share_counts_its_new_chains_only(self, tmp_path):
        (one, two, three) = sorted(
            chains_to_search(
                {"sequences": [{"protein": {"sequence": "M" * size}} for size in (1, 2, 3)]}
            ),
            key=lambda chain: chain.residues,
        )
        works = [
            FileWork(path=tmp_path / "a", size=16, searches={one: 3000.0, two: 500.0}),
            FileWork(path=tmp_path / "b", size=16, searches={one: 3000.0}),
            FileWork(path=tmp_path / "c", size=16, searches={three: 200.0}),
        ]
        site = Site(stages={}, search_minutes_per_task=60)
        assert [len(share) for share in share_out(works, site)] == [1, 2]
