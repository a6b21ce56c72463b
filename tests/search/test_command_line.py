"""Which jackhmmer commands and versions are understood."""

from pathlib import Path

import pytest

from af3opt.search.aside import Aside
from af3opt.search.command_line import CommandLine, check_version

PROGRAM = "/bin/jackhmmer"
OPTIONS = (
    "-o /dev/null -A out.sto --noali --F1 0.0005 --F2 5e-05 --F3 5e-07 --cpu 8 -N 1 "
    "--tblout out.tbl -E 0.0001 --incE 0.0001 -Z 138515945 --domZ 138515945 --domE 10 "
    "--seq_limit 10000"
)
ENGINE = [PROGRAM, *OPTIONS.split(), "query.fasta", "db.fasta"]


def without(option):
    start = ENGINE.index(option)
    return ENGINE[:start] + ENGINE[start + 2 :]


def test_the_engines_command_is_understood():
    line = CommandLine.parse(ENGINE)
    assert isinstance(line, CommandLine)
    assert (line.binary, line.query, line.database) == (ENGINE[0], "query.fasta", "db.fasta")
    assert line.f1 == 0.0005
    assert line.value("--seq_limit") == "10000"


def test_a_given_number_of_targets_is_kept():
    line = CommandLine.parse(ENGINE)
    assert isinstance(line, CommandLine)
    assert line.restricted(Path("some.fasta"), 7) == [*ENGINE[:-1], "some.fasta"]


def test_the_number_of_targets_is_handed_over():
    line = CommandLine.parse(without("-Z"))
    assert isinstance(line, CommandLine)
    expected = [*without("-Z")[:-2], "-Z", "7", "query.fasta", "some.fasta"]
    assert line.restricted(Path("some.fasta"), 7) == expected


def test_jackhmmers_own_threshold_without_one():
    line = CommandLine.parse(without("--F1"))
    assert isinstance(line, CommandLine)
    assert line.f1 == 0.02


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (["jackhmmer"], "without a query"),
        ([*ENGINE[:-2], "--max", *ENGINE[-2:]], "--max"),
        ([*ENGINE[:-2], "--seed", "0", *ENGINE[-2:]], "--seed"),
        ([*ENGINE[:-2], "--popen", "0.1", *ENGINE[-2:]], "--popen"),
        ([*ENGINE[:-2], "--nobias", *ENGINE[-2:]], "--nobias"),
        ([*ENGINE[:-2], "--domtblout", "x", *ENGINE[-2:]], "--domtblout"),
        ([*ENGINE[:-2], "--F1=0.1", *ENGINE[-2:]], "--F1=0.1"),
        (without("-N"), "more than once"),
        ([*ENGINE[:-2], "-N", "3", *ENGINE[-2:]], "more than once"),
        ([*ENGINE[:-2], "-o", "report", *ENGINE[-2:]], "report"),
        ([*ENGINE[:-2], "--F1", "much", *ENGINE[-2:]], "no number"),
    ],
)
def test_other_commands_are_left_to_the_engine(command, reason):
    aside = CommandLine.parse(command)
    assert isinstance(aside, Aside)
    assert reason in aside.reason


def line_of(tmp_path, help_text, *options):
    program = tmp_path / "jackhmmer"
    program.write_text(f"#!/bin/sh\ncat <<'EOF'\n{help_text}\nEOF\n")
    program.chmod(0o755)
    line = CommandLine.parse([str(program), "-N", "1", *options, "query.fasta", "db.fasta"])
    assert isinstance(line, CommandLine)
    return line


def banner(version, *options):
    return "\n".join(["# jackhmmer :: iteratively", f"# HMMER {version} (2023)", *options])


@pytest.mark.parametrize(
    ("help_text", "options"),
    [
        (banner("3.3.2"), []),
        (banner("3.4"), []),
        (banner("3.4", "  --seq_limit <n>"), ["--seq_limit", "5"]),
        ("a container's greeting\n" + banner("3.4"), []),
    ],
)
def test_versions_that_were_compared(tmp_path, help_text, options):
    assert check_version(line_of(tmp_path, help_text, *options)) is None


@pytest.mark.parametrize(
    ("help_text", "options", "reason"),
    [
        (banner("3.1b2"), [], "HMMER 3.1b2"),
        (banner("3.3.2", "  --seq_limit <n>"), [], "3.3.2 with --seq_limit"),
        (banner("3.4"), ["--seq_limit", "5"], "does not know --seq_limit"),
        ("", [], "does not say its version"),
        (banner("3.4").replace("jackhmmer", "phmmer"), [], "does not say its version"),
    ],
)
def test_other_versions_are_left_to_the_engine(tmp_path, help_text, options, reason):
    aside = check_version(line_of(tmp_path, help_text, *options))
    assert isinstance(aside, Aside)
    assert reason in aside.reason


def test_a_program_that_is_not_there(tmp_path):
    line = CommandLine.parse([f"{tmp_path}/none", "-N", "1", "query.fasta", "db.fasta"])
    assert isinstance(line, CommandLine)
    assert isinstance(check_version(line), Aside)


def test_a_replaced_program_is_asked_again(tmp_path):
    assert check_version(line_of(tmp_path, banner("3.4"))) is None
    assert check_version(line_of(tmp_path, banner("3.1b2"))) is not None
