"""The documentation: links lead somewhere, commands and flags exist, tables are true."""

import ast
import functools
import re
import shlex
import sys
import tomllib

import pytest
import write_benchmark_table
import write_engine_table
import write_reference
import write_reliability_table
from absl import flags

from af3opt import cli
from af3opt.base.extra_flag import take_flag
from af3opt.base.version import __version__
from af3opt.benchmarks import search, suites
from af3opt.benchmarks.markdown import summary_table
from af3opt.benchmarks.results import read_result, write_result
from af3opt.optimizations import OPTIMIZATIONS
from af3opt.settings.absl_flags import define_absl_flags
from af3opt.settings.catalogue import Kind, all_options
from af3opt.settings.settings import resolve_settings
from tests.benchmarks.results import make_result
from tests.conftest import REPOSITORY

DOCUMENTS = sorted(
    [
        *(REPOSITORY / "docs").glob("*.md"),
        *REPOSITORY.glob("*.md"),
        *(REPOSITORY / "benchmarks").glob("*.md"),
        *(REPOSITORY / "examples").rglob("*.md"),
    ]
)
# Programs that call af3opt.
CALLERS = sorted(
    path
    for pattern in (
        "scripts/*.sh",
        "scripts/slurm/*",
        "examples/*/*",
        ".ci/run",
        "Dockerfile",
        "packaging/*",
        "af3opt/configs/**/*.toml",
    )
    for path in REPOSITORY.glob(pattern)
    if path.is_file()
)
IDS = [path.relative_to(REPOSITORY).as_posix() for path in DOCUMENTS]
# Flags of programs other than af3opt that the documents mention.
FOREIGN = {
    "append", "array", "cov", "cov-report", "cpus-per-task", "gpus", "gres", "init", "lock", "mem",
    "no-deps", "branch",
    "nv", "python", "quick", "requeue", "seq_limit", "signal", "suite", "tblout", "time", "wrap",
    "weights", "databases", "depth", "device_seconds", "durations",
}  # fmt: skip


CHANGELOG = REPOSITORY / "CHANGELOG.md"
# Packages that have another name there.
CONDA_NAMES = {"xxhash": "python-xxhash"}


def text_of(path):
    return path.read_text(encoding="utf-8")


def anchors(text):
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=IDS)
def test_links_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(document)):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        aim = document.parent / file if file else document
        assert aim.exists(), target
        if anchor:
            assert anchor in anchors(text_of(aim)), target


@functools.cache
def run_flags():
    names = set()
    for option in all_options().values():
        names.add(option.name)
        if option.kind is Kind.BOOLEAN:
            names.add(f"no{option.name}")
    parser = flags.FlagValues()
    define_absl_flags(parser)
    return frozenset(names | set(parser) | {"help", "helpshort", "helpfull", "flagfile"})


@functools.cache
def help_of(command):
    return write_reference.command_help(command)


def flags_of(command):
    """Flags a command takes: those of its help, and those of run where it says so."""
    named = {flag.strip("[]") for flag in re.findall(r"--(\[?\w+\]?\w*)", help_of(command))}
    shares = command == "run" or "flags of af3opt run" in help_of(command)
    return named | {"debug", "help"} | (run_flags() if shares else set())


def commands_in(lines):
    """Yields (command, rest of the line) for every `af3opt COMMAND ...`."""
    for line in lines:
        for match in re.finditer(
            r"(?:\baf3opt|-m af3opt) ([a-z]+(?:-[a-z]+)*)\b((?:(?!\baf3opt [a-z]+\b).)*)",
            line.partition("  #")[0],
        ):
            yield match[1], match[2]


def blocks(document):
    """The code blocks of a document, continued lines made one; text blocks are output."""
    text = text_of(document).replace("\\\n", " ")
    found = re.findall(r"^```([a-z]*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [block for language, block in found if language != "text"]


def shown_commands(document):
    """Commands in a document's code."""
    code = [*blocks(document), *re.findall(r"`([^`\n]+)`", text_of(document))]
    return commands_in(line for block in code for line in block.splitlines())


def called_commands(caller):
    """Commands in a script or preset, comments included, that are given flags."""
    lines = text_of(caller).replace("\\\n", " ").splitlines()
    return [(command, rest) for command, rest in commands_in(lines) if re.match(r"\s+--", rest)]


def flags_of_suite(name):
    """Flags of a suite that has its own, from its source: importing it needs an engine."""
    source = text_of(REPOSITORY / "af3opt" / "benchmarks" / f"{name}.py")
    return {"help", *re.findall(r'\badd(?:_argument)?\(\s*"--(\w+)"', source)}


def check_flags(command, rest):
    if command in ("help", "version"):
        return
    assert command in cli.command_names(), command
    own, _, passed_on = rest.partition(" -- ")
    for flag in re.findall(r"--([a-z_]+)", own):
        assert flag in flags_of(command), f"af3opt {command}{rest}"
    suite = re.search(r"--suite=(\w+)", own)
    has_own = suite is not None and suite[1] in suites.OWN_FLAGS
    known = flags_of_suite(suite[1]) if has_own else run_flags()
    for flag in re.findall(r"--([a-z_]+)", passed_on):
        assert flag in known, f"af3opt {command}{rest}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=IDS)
def test_commands_that_are_shown_exist_with_their_flags(document):
    for command, rest in shown_commands(document):
        check_flags(command, rest)


@pytest.mark.parametrize(
    "caller", CALLERS, ids=lambda path: path.relative_to(REPOSITORY).as_posix()
)
def test_commands_that_are_called_exist_with_their_flags(caller):
    for command, rest in called_commands(caller):
        check_flags(command, rest)


def test_commands_are_found_where_they_are():
    assert sum(len(list(shown_commands(document))) for document in DOCUMENTS) > 60
    assert sum(len(called_commands(caller)) for caller in CALLERS) >= 6


# Flags with a value that a command has besides those of `af3opt run`.
OWN_FLAGS = {
    "run": (),
    "doctor": (),
    "featurise": (),
    "submit": ("--slurm", "--site", "--scheduler"),
    "warm": ("--from_inputs", "--msa_depths"),
}


@pytest.mark.parametrize("document", DOCUMENTS, ids=IDS)
def test_values_that_are_shown_are_accepted(document):
    lines = (line for block in blocks(document) for line in block.splitlines())
    for command, rest in commands_in(lines):
        if command not in OWN_FLAGS or "..." in rest or "--help" in rest:
            continue
        words = [word for word in shlex.split(rest.strip("[]")) if word != "--json"]
        for flag in OWN_FLAGS[command]:
            _, words = take_flag(words, flag, "a value")
        resolve_settings(words, {})


@pytest.mark.parametrize("document", DOCUMENTS, ids=IDS)
def test_flags_that_are_mentioned_exist(document):
    known = run_flags() | FOREIGN
    for command in cli.command_names():
        known |= flags_of(command)
    known |= set(re.findall(r"--([a-z]\w*)", search.make_parser().format_help()))
    for span in re.findall(r"`([^`\n]+)`", text_of(document)):
        for flag in re.findall(r"(?<![\w-])--([a-z][\w-]*)", span):
            assert flag in known or flag.startswith("xla_"), span


@pytest.mark.parametrize("document", DOCUMENTS, ids=IDS)
def test_scripts_and_examples_that_are_mentioned_exist(document):
    text = text_of(document)
    for name in re.findall(
        r"(?<![\w/.-])((?:scripts|examples|af3opt|tests)/[\w./-]+\.(?:py|sh|json|md|sbatch|toml))\b",
        text,
    ):
        assert (REPOSITORY / name).exists() or (document.parent / name).exists(), name


@pytest.mark.skipif(sys.version_info[:2] != (3, 12), reason="argparse words help differently")
def test_reference_is_what_the_options_say():
    written = text_of(write_reference.DOCUMENT)
    assert write_reference.reference() == written, "run scripts/write_reference.py"


def test_the_engine_table_is_what_the_register_says():
    part, table = write_engine_table.PART, write_engine_table.engine_table()
    text = text_of(part.document)
    assert part.replaced_in(text, table) == text, "run scripts/write_engine_table.py"
    assert all(f"`{one.name}`" in table for one in OPTIMIZATIONS)


def test_the_figures_are_those_of_the_committed_results():
    part, results = write_benchmark_table.PART, write_benchmark_table.committed_results()
    page = text_of(part.document)
    written = part.replaced_in(page, write_benchmark_table.benchmark_table(results))
    assert written == page, "run scripts/write_benchmark_table.py"


def test_the_table_of_what_was_broken_is_that_of_the_committed_run():
    part, figures = write_reliability_table.PART, write_reliability_table.committed_figures()
    text = text_of(part.document)
    written = part.replaced_in(text, write_reliability_table.reliability_table(figures))
    assert written == text, "run scripts/write_reliability_table.py"


def test_a_table_of_what_was_broken_shows_losses():
    run = {
        "tries": 25, "seed": "3", "af3opt": "0.1", "python": "3.12", "system": "Linux", "cores": 8,
    }  # fmt: skip
    one = {"kind": "kills", "tries": 5, "losses": 2, "wrong_with_exit_0": 1}
    other = {"kind": "names", "tries": 7, "losses": 0, "wrong_with_exit_0": 0}
    table = write_reliability_table.reliability_table({"run": run, "kinds": [one, other]})
    assert "| kills | 5 | 2 | 1 |" in table
    assert "| **all** | 12 | 2 | 1 |" in table
    assert "TRIES=25` and seed 3:\nPython 3.12, Linux, 8 cores." in table


def test_the_table_with_and_without_results(tmp_path):
    def table():
        results = write_benchmark_table.committed_results(tmp_path)
        return write_benchmark_table.benchmark_table(results)

    assert "No results" in table()
    write_result(make_result(), tmp_path / "cpu.json")
    part, text = write_benchmark_table.PART, table()
    row = "| case a; baseline with jax 0.10.2 | 42 s | 10 s (4.0x) | 4 s (9.5x) | 2.0 GB |"
    assert row in text
    assert "[cpu](../benchmarks/cpu.md)" in text
    page = part.replaced_in(text_of(part.document), text)
    assert part.replaced_in(page, text) == page
    with pytest.raises(ValueError, match="markers"):
        part.replaced_in("no markers", text)


def constant_texts():
    """Every piece of text in af3opt's sources, f-strings cut at what is filled in."""
    for path in (REPOSITORY / "af3opt").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield " ".join(node.value.split())


def test_messages_in_the_index_are_those_of_the_program():
    source = "\n".join(constant_texts())
    document = text_of(REPOSITORY / "docs" / "troubleshooting.md")
    headings = re.findall(r"^### (.+)$", document, re.MULTILINE)
    assert len(headings) > 25
    of_others = {"CUDA driver version is insufficient", "RESOURCE_EXHAUSTED", "null", "FAIL  CUDA"}
    for heading in headings:
        for message in set(re.findall(r"`([^`]+)`", heading)) - of_others:
            for piece in re.split(r"\s*…\s*|%\w|_2025", message):
                assert piece.strip("():,; ") in source, f"{heading}: {piece!r}"


def test_the_readmes_one_figure_is_that_of_a_committed_result():
    result = read_result(REPOSITORY / "benchmarks" / "h200-512.json")
    seconds = re.findall(r"\| (\d+) s ", summary_table([result]).splitlines()[-1])
    assert len(seconds) == 3
    baseline, first, again = seconds
    english, chinese = (text_of(REPOSITORY / name) for name in ("README.md", "README.zh-CN.md"))
    words = " ".join(english.split())
    figure = f"{first} s the first time and {again} s from then on, instead of {baseline} s"
    assert figure in words
    for number in seconds:
        assert f"{number} 秒" in chinese


def test_the_version_is_the_newest_of_the_changelog():
    newest = re.search(r"^## (\d\S*) - \d{4}-\d\d-\d\d$", text_of(CHANGELOG), re.MULTILINE)
    assert newest is not None
    assert newest[1] == __version__
    assert f"\nversion: {__version__}\n" in text_of(REPOSITORY / "CITATION.cff")
    recipe = text_of(REPOSITORY / "packaging" / "conda" / "meta.yaml")
    assert f'version = "{__version__}"' in recipe
    assert f"/{__version__}\n" in text_of(REPOSITORY / "packaging" / "modulefile")


def test_the_conda_recipe_needs_what_the_package_needs():
    project = tomllib.loads(text_of(REPOSITORY / "pyproject.toml"))["project"]
    recipe = text_of(REPOSITORY / "packaging" / "conda" / "meta.yaml")
    for need in (*project["dependencies"], f"python{project['requires-python']}"):
        name, least = need.split(">=")
        assert f"- {CONDA_NAMES.get(name, name)} >={least}\n" in recipe.partition("  run:")[2]


def test_the_chinese_quickstart_has_the_commands_of_the_english_one():
    english, chinese = (text_of(REPOSITORY / name) for name in ("README.md", "README.zh-CN.md"))
    for command in ("./scripts/quickstart.sh", "./scripts/test.sh"):
        assert command in english
        assert command in chinese


def test_every_page_is_in_the_table_of_contents():
    contents = text_of(REPOSITORY / "docs" / "README.md")
    for path in (REPOSITORY / "docs").glob("*.md"):
        assert path.name == "README.md" or f"({path.name})" in contents, path.name


def test_no_page_still_has_a_placeholder():
    for document in DOCUMENTS:
        assert not re.search(r"^(FIGURES|TODO|TBD|XXX)\b", text_of(document), re.MULTILINE), (
            document
        )
