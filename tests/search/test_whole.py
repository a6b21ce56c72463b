"""Results of HMMER's programs that were cut off, though the program ended well."""

import shutil
import subprocess
from types import SimpleNamespace

import pytest

from af3opt.search.whole import WHOLE_RESULTS, value_of

TABLE = "# target name\nhit - q - 1 76 1 76 1 76 76 + {e} 68.0 0.7 -\n#\n# [ok]\n"
NO_HITS = "# target name\n#\n# [ok]\n"
STOCKHOLM = "# STOCKHOLM 1.0\nquery ACD\n//\n"
A2M = ">a\nACdd\n-F\n>b\nA--F\n"
GIVEN = ">a\nACDDF\n>b\nAF"
PROFILE = "HMMER3/f\n//\n"
NONE_SAVED = "# No hits satisfy inclusion thresholds; no alignment saved\n[ok]\n"

COMMANDS = {
    "Jackhmmer (u.fa)": ["-A", "out.sto", "--tblout", "t.tbl", "q.fasta", "u.fa"],
    "Nhmmer (r.fa)": ["-A", "out.sto", "--tblout", "t.tbl", "q.fasta", "r.fa"],
    "Hmmsearch (p.fa)": ["-A", "out.sto", "q.hmm", "p.fa"],
    "hmmalign": ["-o", "out.a2m", "q.hmm", "q.a3m"],
    "Hmmbuild": ["--amino", "out.hmm", "q.msa"],
}
WHOLE = {
    "Jackhmmer (u.fa)": {"out.sto": STOCKHOLM, "t.tbl": NO_HITS},
    "Nhmmer (r.fa)": {"out.sto": STOCKHOLM, "t.tbl": TABLE.format(e="1e-5")},
    "Hmmsearch (p.fa)": {"out.sto": STOCKHOLM},
    "hmmalign": {"out.a2m": A2M, "q.a3m": GIVEN},
    "Hmmbuild": {"out.hmm": PROFILE},
}


@pytest.fixture
def run(tmp_path):
    """Runs a command whose program leaves given files and ends well."""

    def run(name, files, report=""):
        words = [str(tmp_path / word) if "." in word else word for word in COMMANDS[name]]

        def program(cmd, cmd_name):
            assert cmd_name == name
            assert cmd == ["/bin/program", *words]
            for file, content in files.items():
                (tmp_path / file).write_text(content)
            return SimpleNamespace(stdout=report)

        ((_, make),) = WHOLE_RESULTS.replacements
        return make(program, None)(cmd=["/bin/program", *words], cmd_name=name)

    return run


@pytest.mark.parametrize("name", COMMANDS)
def test_whole_results_are_taken(run, name):
    assert run(name, WHOLE[name]).stdout == ""


@pytest.mark.parametrize(
    ("name", "file"),
    [(name, file) for name, files in WHOLE.items() for file in files if file != "q.a3m"],
)
def test_a_file_that_is_cut_anywhere_is_an_error(run, name, file):
    content = WHOLE[name][file]
    for size in range(len(content)):
        with pytest.raises(RuntimeError, match=rf"^/bin/program left an incomplete .*{file};"):
            run(name, WHOLE[name] | {file: content[:size]})


def test_a_file_that_was_removed_is_an_error(run):
    for name in ("Hmmsearch (p.fa)", "hmmalign"):
        with pytest.raises(RuntimeError, match="incomplete"):
            run(name, {"q.a3m": GIVEN})


def test_an_empty_alignment_is_taken_where_nothing_was_found(run):
    run("Hmmsearch (p.fa)", {"out.sto": ""}, NONE_SAVED)
    run("Nhmmer (r.fa)", {"out.sto": "", "t.tbl": NO_HITS})
    # Listed, but not good enough to be aligned.
    run("Nhmmer (r.fa)", {"out.sto": "", "t.tbl": TABLE.format(e="0.5")})
    with pytest.raises(RuntimeError, match="incomplete alignment"):
        run("Hmmsearch (p.fa)", {"out.sto": ""}, "# Alignment of 3 hits\n[ok]\n")


@pytest.mark.parametrize(
    ("status", "stderr", "message"),
    [
        (-9, "", r"^Jackhmmer \(u.fa\) was ended by the signal SIGKILL; did memory run out\?$"),
        (137, "\n", "was ended by the signal SIGKILL; did memory run out"),
        (-11, "", "was ended by the signal SIGSEGV$"),
        (1, "", r"^Jackhmmer \(u.fa\) failed with exit status 1 and gave no reason$"),
        (1, "Error: no such file", "^failed: Error: no such file$"),
        (-6, "Fatal exception", "^failed: Fatal exception$"),
    ],
)
def test_a_program_that_ends_without_a_word_is_explained(status, stderr, message):
    def engine(cmd, cmd_name):
        cause = subprocess.CalledProcessError(status, cmd, "", stderr)
        raise RuntimeError(f"failed: {stderr}") from cause

    ((_, make),) = WHOLE_RESULTS.replacements
    with pytest.raises(RuntimeError, match=message):
        make(engine, None)(["jackhmmer"], "Jackhmmer (u.fa)")


def test_other_programs_are_left_alone():
    ((_, make),) = WHOLE_RESULTS.replacements
    assert make(lambda cmd, cmd_name: (cmd, cmd_name), None)(["x"], "Kalign") == (["x"], "Kalign")


RNA = "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA"
PROTEIN = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"


def really_run(cmd, cmd_name):
    return subprocess.run(cmd, capture_output=True, text=True, check=True)


@pytest.fixture
def real(tmp_path):
    """Runs HMMER's own programs, checked."""
    if any(shutil.which(f"hmm{tool}") is None for tool in ("search", "build", "align")):
        pytest.skip("needs HMMER's programs")
    ((_, make),) = WHOLE_RESULTS.replacements
    run = make(really_run, None)
    for name, sequence in (("protein", PROTEIN), ("rna", RNA), ("strange", "W" * 60)):
        (tmp_path / f"{name}.fa").write_text(f">{name}\n{sequence}\n")
    return lambda name, *words: run([shutil.which(name.lower()), *map(str, words)], f"{name} (x)")


def test_real_results_are_whole(real, tmp_path):
    protein, rna, strange = (tmp_path / f"{name}.fa" for name in ("protein", "rna", "strange"))
    profile, out = tmp_path / "q.hmm", tmp_path / "out"
    real("Hmmbuild", "--amino", "--informat", "afa", profile, protein)
    real("hmmalign", "-o", out, "--outformat", "A2M", profile, protein)
    table = tmp_path / "t.tbl"
    for database, found in ((protein, True), (strange, False)):
        real("Hmmsearch", "--noali", "-A", out, profile, database)
        assert (out.stat().st_size > 0) == found
        real(
            "Jackhmmer", "-o", "/dev/null", "-N", 1, "-A", out, "--tblout", table, protein, database
        )
    for database, found in ((rna, True), (protein, False)):
        if not found:
            database.write_text(f">x\n{'CUCUGGUAAUCCUUCGGAAC' * 3}\n")
        real("Nhmmer", "-o", "/dev/null", "--rna", "-A", out, rna, database)
        assert (out.stat().st_size > 0) == found


def test_what_a_full_disk_takes_is_missed(real, tmp_path):
    """Each of these ends well on a full disk and leaves nothing in its file."""
    rna, protein, profile = tmp_path / "rna.fa", tmp_path / "protein.fa", tmp_path / "q.hmm"
    real("Hmmbuild", "--amino", "--informat", "afa", profile, protein)
    full = tmp_path / "full"
    full.symlink_to("/dev/full")
    jackhmmer = ("Jackhmmer", "-o", "/dev/null", "-N", 1, "-A", tmp_path / "out")
    for words in (
        (*jackhmmer, "--tblout", full, protein, protein),
        ("Nhmmer", "-o", "/dev/null", "--rna", "-A", full, rna, rna),
        ("hmmalign", "-o", full, "--outformat", "A2M", profile, protein),
        ("Hmmsearch", "--noali", "-A", full, profile, protein),
    ):
        with pytest.raises(RuntimeError, match=r"left an incomplete .*/full; is there space"):
            real(*words)


def test_an_option_without_a_file_names_none():
    assert value_of(["p", "q", "d"], "-A") is None
    assert value_of(["p", "--noali", "-A", "q", "d"], "-A") is None
