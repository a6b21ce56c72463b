"""`af3opt prepare` as typed, with a dictionary of three components."""

import gzip
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import types
from pathlib import Path

import pytest

from af3opt.base.atomic import temporary_sibling
from af3opt.base.errors import ExitCode, SetupError
from af3opt.cli import main
from af3opt.data import prepared as prepared_data
from af3opt.data import repair
from af3opt.data.ccd_index import CcdIndex
from af3opt.data.component_sets import read_component_sets
from af3opt.data.prepared import DamagedDataError, check_prepared, find_prepared, prepared_root
from af3opt.data.resources import redirect_resources
from af3opt.data.source import describe_file, describe_file_again, same_file
from af3opt.data.sources import mmcif_source, read_engine_pickle
from tests.other_user import as_other, give_away, let_pass, needs_root

COMPONENTS_CIF = """data_ALA
#
_chem_comp.id ALA
_chem_comp.name ALANINE
_chem_comp.type 'L-PEPTIDE LINKING'
#
loop_
_chem_comp_atom.comp_id
_chem_comp_atom.atom_id
_chem_comp_atom.charge
ALA N 0
ALA "H1'" ?
#
loop_
_pdbx_chem_comp_descriptor.comp_id
_pdbx_chem_comp_descriptor.descriptor
ALA
;C[C@@H](N)C(=O)O
;
#
data_ZN
#
_chem_comp.id ZN
_chem_comp.name 'ZINC ION'
_chem_comp.type NON-POLYMER
#
data_NAG
#
_chem_comp.id NAG
_chem_comp.name "N-acetyl"
_chem_comp.type 'D-saccharide, beta linking'
#
"""

pytestmark = pytest.mark.engine


@pytest.fixture
def components_cif(tmp_path):
    path = tmp_path / "components.cif.gz"
    path.write_bytes(gzip.compress(COMPONENTS_CIF.encode()))
    return path


def start_prepare(*flags):
    return subprocess.Popen(
        [sys.executable, "-m", "af3opt", "prepare", *map(str, flags)],
        cwd=Path(__file__).parents[2],
        stderr=subprocess.PIPE,
        text=True,
    )


def test_wwpdb_file_is_indexed_whole(components_cif):
    assert main(["prepare", f"--components_cif={components_cif}"]) == ExitCode.OK
    prepared = find_prepared()
    assert prepared is not None
    index = CcdIndex(prepared.ccd_index)
    assert list(index) == ["ALA", "NAG", "ZN"]
    assert index["ALA"]["_chem_comp_atom.atom_id"] == ["N", "H1'"]
    assert index["ALA"]["_chem_comp_atom.charge"] == ["0", "?"]
    assert index["ALA"]["_pdbx_chem_comp_descriptor.descriptor"] == ["C[C@@H](N)C(=O)O"]
    assert read_component_sets(prepared.component_sets) == {
        "glycans_linking": {"NAG"},
        "glycans_other": frozenset(),
        "ions": {"ZN"},
    }
    text = (prepared.libcifpp_dir / "components.cif").read_text()
    assert text.startswith("data_ALA\n")
    assert "data_ZN" not in text


def test_second_call_keeps_what_is_there(components_cif, capsys):
    flags = ["prepare", f"--components_cif={components_cif}"]
    main(flags)
    first = find_prepared().ccd_index.stat()
    main(flags)
    assert find_prepared().ccd_index.stat().st_ino == first.st_ino
    main(["prepare"])
    assert find_prepared().ccd_index.stat().st_ino == first.st_ino
    main([*flags, "--force"])
    assert find_prepared().ccd_index.stat().st_ino != first.st_ino
    capsys.readouterr()
    assert main(["prepare", "--list"]) == ExitCode.OK
    listed = capsys.readouterr().out.splitlines()
    assert len(listed) == 1
    assert str(find_prepared().root) in listed[0]


@pytest.fixture
def shared(components_cif, tmp_path, monkeypatch):
    """A site's directory of prepared data, and a user who has prepared nothing."""
    folder = tmp_path / "site"
    assert main(["prepare", f"--components_cif={components_cif}", f"--shared={folder}"]) == 0
    assert find_prepared() is None
    monkeypatch.setenv("AF3OPT_PREPARED_DIR", str(folder))
    return folder


def test_a_site_prepares_for_all_its_users(shared, caplog):
    caplog.set_level("INFO")
    prepared = find_prepared()
    assert prepared.root.parent == shared
    assert list(CcdIndex(prepared.ccd_index)) == ["ALA", "NAG", "ZN"]
    modes = {path.stat().st_mode & 0o777 for path in (shared, *shared.rglob("*"))}
    assert modes == {0o755, 0o644}
    assert main(["prepare"]) == ExitCode.OK
    assert f"already there: {prepared.root}" in caplog.text
    assert not prepared_root().exists()


def test_what_a_user_prepared_comes_before_the_sites(shared, components_cif):
    assert main(["prepare", f"--components_cif={components_cif}"]) == ExitCode.OK
    assert find_prepared().root.parent == prepared_root()
    damage_one_bit(find_prepared())
    assert find_prepared().root.parent == shared


@needs_root
def test_another_user_reads_the_sites_data_and_changes_nothing(shared):
    let_pass(shared)
    seen = as_other(lambda: [str(find_prepared().root), len(CcdIndex(find_prepared().ccd_index))])
    assert seen == [str(find_prepared().root), 3]


@needs_root
@pytest.mark.parametrize("whose", ["owner", "mode"])
def test_data_of_a_site_that_somebody_else_can_write_are_refused(shared, whose, caplog):
    if whose == "owner":
        give_away(find_prepared().root / "prepared.json")
    else:
        find_prepared().root.chmod(0o777)
    assert find_prepared() is None
    assert "only files of root's or your own are used" in caplog.text


def test_a_shared_directory_without_data_is_named(monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("AF3OPT_PREPARED_DIR", str(tmp_path))
    assert find_prepared() is None
    assert f"AF3OPT_PREPARED_DIR={tmp_path} holds no data that can be used" in caplog.text


def write_components(path, ending):
    path.write_bytes(gzip.compress((COMPONENTS_CIF + ending).encode()))


def test_each_engine_keeps_the_data_prepared_for_it(components_cif, monkeypatch):
    engines = {name: types.SimpleNamespace(fingerprint=name) for name in ("one", "other", "third")}
    roots = {}
    for name in ("one", "other"):
        monkeypatch.setattr(prepared_data, "find_engine", lambda name=name: engines[name])
        # Another content makes another source.
        write_components(components_cif, f"# {name}\n")
        assert main(["prepare", f"--components_cif={components_cif}"]) == ExitCode.OK
        roots[name] = find_prepared().root
    assert roots["one"] != roots["other"]
    monkeypatch.setattr(prepared_data, "find_engine", lambda: engines["one"])
    assert find_prepared().root == roots["one"]
    # One for which nothing was prepared takes what was prepared last.
    monkeypatch.setattr(prepared_data, "find_engine", lambda: engines["third"])
    assert find_prepared().root == roots["other"]
    # Asked to prepare, it makes these its own.
    assert main(["prepare"]) == ExitCode.OK
    monkeypatch.setattr(prepared_data, "find_engine", lambda: engines["one"])
    write_components(components_cif, "# one's new\n")
    assert main(["prepare", f"--components_cif={components_cif}"]) == ExitCode.OK
    monkeypatch.setattr(prepared_data, "find_engine", lambda: engines["third"])
    assert find_prepared().root == roots["other"]


def test_two_at_once_and_one_killed(components_cif):
    killed = start_prepare(f"--components_cif={components_cif}")
    killed.stderr.readline()
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert find_prepared() is None or find_prepared().ccd_index.is_file()
    both = [start_prepare(f"--components_cif={components_cif}", "--force") for _ in range(2)]
    outputs = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert list(CcdIndex(find_prepared().ccd_index)) == ["ALA", "NAG", "ZN"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--shared=/none/x"], "there is no directory /none; make it first"),
        (["--shared=/tmp/x", "--synthetic_weights"], "leave --synthetic_weights out"),
        (["--components_cif=/none/components.cif"], "cannot read /none/components.cif"),
        (["--mmcif_dictionary=/none"], "/none is not a file"),
        (["--depth=deep", "--synthetic_weights"], "invalid choice"),
        (["--unknown"], "unrecognized arguments"),
    ],
)
def test_bad_flags_are_one_line(flags, message, capsys):
    assert main(["prepare", *flags]) == ExitCode.USAGE
    error = capsys.readouterr().err.strip()
    assert message in error
    assert len(error.splitlines()) == 1
    assert not prepared_root().exists()


@pytest.mark.parametrize("content", [b"", b"data_X\n_other.item 1\n", b"\x1f\x8bbroken", b"{}"])
def test_bad_components_file_is_one_line(tmp_path, content, capsys):
    path = tmp_path / "bad.cif"
    path.write_bytes(content)
    assert main(["prepare", f"--components_cif={path}", "--quiet"]) == ExitCode.USAGE
    error = capsys.readouterr().err.strip()
    assert str(path) in error
    assert len(error.splitlines()) == 1
    assert find_prepared() is None
    assert list(prepared_root().iterdir()) == []


def test_engine_pickle_is_read_without_running_code(tmp_path):
    path = tmp_path / "ccd.pickle"
    component = {"_chem_comp.id": ["ALA"]}
    path.write_bytes(pickle.dumps({"ALA": component}))
    codes, texts = read_engine_pickle(path)
    assert codes == ["ALA"]
    assert texts == [b"_chem_comp.id\x1fALA"]

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    path.write_bytes(pickle.dumps({"ALA": Evil()}))
    with pytest.raises(SetupError, match="not a component dictionary"):
        read_engine_pickle(path)
    assert not (tmp_path / "ran").exists()


def test_a_touched_file_is_the_same_and_a_changed_one_is_not(tmp_path):
    path = tmp_path / "ccd.pickle"
    path.write_bytes(b"one")
    source = json.loads(json.dumps(describe_file("engine pickle", path)))
    assert same_file(source, path)
    os.utime(path, (1, 1))
    assert same_file(source, path)
    assert describe_file_again("engine pickle", path, source)["mtime_ns"] == 10**9
    path.write_bytes(b"two")
    assert not same_file(source, path)
    assert describe_file_again("engine pickle", path, source) != source
    assert not same_file({"kind": "biotite"}, path)


def names_of_the_data_in_use(prepared):
    return sorted(prepared.root.parent.glob("current*"))


def damage_name(prepared):
    for current in names_of_the_data_in_use(prepared):
        current.write_bytes(b"\xff\x00../../etc")


def damage_name_kind(prepared):
    for current in names_of_the_data_in_use(prepared):
        current.unlink()
        current.mkdir()


def damage_name_fifo(prepared):
    for current in names_of_the_data_in_use(prepared):
        current.unlink()
        os.mkfifo(current)


def damage_sets(prepared):
    prepared.component_sets.write_text('{"ions": []}')


def damage_sets_deeply(prepared):
    prepared.component_sets.write_text("[" * 100_000)


def damage_one_bit(prepared):
    content = bytearray(prepared.component_sets.read_bytes())
    content[len(content) // 2] ^= 1
    prepared.component_sets.write_bytes(content)


def damage_residues(prepared):
    path = prepared.libcifpp_dir / "components.cif"
    path.write_text(path.read_text().replace("ALA", "GLY"))


def damage_record(prepared):
    (prepared.root / "prepared.json").write_text('{"source": {}, "files": Infinity}')


def damage_record_fifo(prepared):
    (prepared.root / "prepared.json").unlink()
    os.mkfifo(prepared.root / "prepared.json")


def damage_whole(prepared):
    shutil.rmtree(prepared.root)
    prepared.root.write_text("in the way")


def damage_link(prepared):
    prepared.root.rename(prepared.root.with_name("elsewhere"))
    prepared.root.symlink_to("nowhere")


def damage_mode(prepared):
    prepared.component_sets.chmod(0o666)


DAMAGES = [
    damage_name, damage_name_kind, damage_name_fifo, damage_sets, damage_sets_deeply,
    damage_one_bit, damage_residues, damage_record, damage_record_fifo, damage_whole,
    damage_link, damage_mode,
]  # fmt: skip


@pytest.mark.parametrize("force", [True, False])
@pytest.mark.parametrize("damage", DAMAGES)
def test_whatever_is_damaged_is_seen_and_repaired(damage, force, components_cif, caplog):
    flags = ["prepare", f"--components_cif={components_cif}"]
    assert main(flags) == ExitCode.OK
    before = find_prepared()
    expected = read_component_sets(before.component_sets)
    damage(before)
    caplog.clear()
    assert find_prepared() is None
    assert main([*flags, "--force"] if force else flags) == ExitCode.OK
    prepared = find_prepared()
    assert read_component_sets(prepared.component_sets) == expected
    assert "GLY" not in (prepared.libcifpp_dir / "components.cif").read_text()
    assert check_prepared(prepared.root) == prepared


def test_a_damaged_index_is_seen_by_a_whole_check_and_repaired_by_force(components_cif):
    flags = ["prepare", f"--components_cif={components_cif}"]
    main(flags)
    prepared = find_prepared()
    content = bytearray(prepared.ccd_index.read_bytes())
    content[-1] ^= 1
    prepared.ccd_index.write_bytes(content)
    with pytest.raises(DamagedDataError, match=r"ccd\.index does not have the checksum"):
        check_prepared(prepared.root)
    main([*flags, "--force"])
    assert check_prepared(find_prepared().root)


def test_data_that_a_killed_process_had_moved_aside_is_found_again(components_cif):
    main(["prepare", f"--components_cif={components_cif}"])
    root = find_prepared().root
    aside = temporary_sibling(root)
    root.rename(aside.with_name(f"{aside.name}.replaced"))
    assert find_prepared().root == root


def damage_index(prepared):
    content = bytearray(prepared.ccd_index.read_bytes())
    content[60] ^= 1
    prepared.ccd_index.write_bytes(content)


# In a process of its own: the engine keeps what it is given first.
RUN = """
import logging, sys
from pathlib import Path
from af3opt.data import bootstrap, repair
from af3opt.data.sources import mmcif_source
logging.basicConfig(level=logging.WARNING)
repair.default_source = lambda: mmcif_source(Path(sys.argv[1]))
bootstrap._redirect_resources()
"""


@pytest.mark.parametrize("damage", [damage_one_bit, damage_record, damage_whole, damage_index])
def test_a_run_makes_damaged_data_again_with_one_line(damage, components_cif):
    main(["prepare", f"--components_cif={components_cif}"])
    prepared = find_prepared()
    expected = read_component_sets(prepared.component_sets)
    damage(prepared)
    command = [sys.executable, "-c", RUN, str(components_cif)]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("is damaged; made again from") == 1
    assert read_component_sets(find_prepared().component_sets) == expected
    assert check_prepared(find_prepared().root)


def test_a_run_makes_the_index_again_when_it_meets_a_damaged_component(components_cif):
    main(["prepare", f"--components_cif={components_cif}"])
    path = find_prepared().ccd_index
    expected = dict(CcdIndex(path))
    content = bytearray(path.read_bytes())
    content[-3] ^= 1  # Within the last component, which is read late if ever.
    path.write_bytes(content)
    read = "from af3opt.data.ccd_index import CcdIndex; import json\n"
    read += "print(json.dumps(dict(CcdIndex(Path(sys.argv[2])))))"
    done = subprocess.run(
        [sys.executable, "-c", RUN + read, str(components_cif), str(path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("is damaged; made again from") == 1
    assert json.loads(done.stdout) == expected == dict(CcdIndex(path))


def test_a_run_does_not_choose_other_data_than_the_damaged(components_cif, tmp_path, monkeypatch):
    other = tmp_path / "other.cif"
    other.write_text(COMPONENTS_CIF.replace("ALANINE", "OTHER"))
    main(["prepare", f"--components_cif={components_cif}"])
    damage_one_bit(find_prepared())
    monkeypatch.setattr(repair, "default_source", lambda: mmcif_source(other))
    assert repair.repair_prepared() is None
    with pytest.raises(SetupError, match="af3opt prepare"):
        redirect_resources(find_prepared())


def test_without_prepared_data_nothing_is_made_behind_the_users_back():
    assert repair.repair_prepared() is None
