"""Logs: plain lines on stderr; the engine's noise only with --debug."""

import logging
import warnings

import pytest
from absl import logging as absl_logging

from af3opt import cli
from af3opt.base.logs import Verbosity, configure_logging, messages_of_job
from af3opt.base.plain_text import visible


@pytest.fixture(autouse=True)
def restored_warnings():
    with warnings.catch_warnings():
        yield


def log_something():
    log = logging.getLogger("af3opt.something")
    log.debug("details")
    log.info("event\nsecond line")
    log.warning("careful")
    logging.getLogger("jax").info("jax chatter")
    try:
        raise NotImplementedError("Not supported on cpu")
    except NotImplementedError:
        absl_logging.exception("Failed to run implementation")
    absl_logging.warning("Autotuning cache miss for %s", "op")
    warnings.warn("old name", DeprecationWarning, stacklevel=1)


def test_default_is_one_line_an_event(capsys):
    configure_logging(Verbosity())
    log_something()
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(maxsplit=2)[2] for line in lines] == [
        "INFO event second line",
        "WARNING careful",
    ]


def test_the_engines_long_warning_is_one_short_line_a_job(capsys):
    configure_logging(Verbosity())
    text = (
        "%s token %i (%s), does not contain a pseudo-beta atom.Using first valid atom (%s) instead."
    )
    for job in ("one", "two, three"):
        for seed in (1, 2):
            for token in range(3):
                name = f"{job}, random_seed={seed}"
                absl_logging.warning(text, name, token, "layout " * 300, "CA")
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(maxsplit=3)[3].partition(":")[0] for line in lines] == ["one", "two, three"]
    assert max(map(len, lines)) < 130


def test_what_the_engine_says_names_the_job_once(capsys):
    configure_logging(Verbosity())
    text = "Failed to parse ideal conformer: %s"
    for seed in (1, 2):
        for job in ("one", "two"):
            with messages_of_job(job):
                absl_logging.warning(text, "?")
                absl_logging.warning("%s: ignoring chain B", f"{job}, random_seed={seed}")
    absl_logging.warning(text, "?")
    lines = [line.split(maxsplit=3)[3] for line in capsys.readouterr().err.splitlines()]
    assert lines == [
        "one: Failed to parse ideal conformer: ?",
        "one: ignoring chain B",
        "two: Failed to parse ideal conformer: ?",
        "two: ignoring chain B",
        "Failed to parse ideal conformer: ?",
    ]


def test_quiet(capsys):
    configure_logging(Verbosity(quiet=True))
    log_something()
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.filterwarnings("ignore:old name")
def test_debug_shows_everything(capsys):
    configure_logging(Verbosity(debug=True))
    log_something()
    shown = capsys.readouterr().err
    for text in ("details", "jax chatter", "Traceback", "Not supported on cpu", "Autotuning"):
        assert text in shown


def test_configuring_twice_does_not_double_lines(capsys):
    configure_logging(Verbosity())
    configure_logging(Verbosity())
    logging.getLogger("af3opt").warning("once")
    assert capsys.readouterr().err.count("once") == 1


def test_real_problems_of_libraries_are_shown_on_one_line(capsys):
    configure_logging(Verbosity())
    try:
        raise ValueError("bad\nvalue")
    except ValueError:
        absl_logging.exception("lost %s", "file")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("ERROR lost file (ValueError: bad value)")


EVIL = "\x1b]0;gotcha\x07\x1b[2Jname\x9b31m\u202egnp\x7f\r"


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("log_format", ["plain", "json"])
def test_a_name_cannot_speak_to_the_terminal(debug, log_format, capsys):
    configure_logging(Verbosity(debug=debug, log_format=log_format))
    logging.getLogger("af3opt.test").warning("Job %s failed", EVIL)
    try:
        raise ValueError(EVIL)
    except ValueError:
        logging.getLogger("af3opt.test").exception("Job failed")
    shown = capsys.readouterr().err
    assert "gotcha" in shown
    assert not set(shown) & set("\x1b\x07\x9b\u202e\x7f\r")


def test_an_error_cannot_speak_to_the_terminal(capsys):
    assert cli.main(["cache", "ls", f"--{EVIL}"]) == 2
    shown = capsys.readouterr().err
    assert "gotcha" in shown
    assert not set(shown) & set("\x1b\x07\x9b\u202e\x7f\r")


def test_plain_text_stays_as_it_is():
    assert visible("Ligand αβ 蛋白 - 5 Å") == "Ligand αβ 蛋白 - 5 Å"
    assert visible("a\tb\nc") == "a\\tb\\nc"
    assert visible("a\tb\nc", keep="\n\t") == "a\tb\nc"
