"""The installed engine works from prepared data, and one job's components stay in it."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from af3opt.base.errors import ExitCode, SetupError
from af3opt.commands import prepare
from af3opt.data import repair, resources
from af3opt.data.prepared import find_prepared
from af3opt.engine.discovery import find_engine

pytestmark = pytest.mark.engine

USER_CCD = """data_MY-LIG
#
_chem_comp.id MY-LIG
_chem_comp.name mine
_chem_comp.type non-polymer
_chem_comp.formula C
_chem_comp.mon_nstd_parent_comp_id ?
_chem_comp.pdbx_synonyms ?
_chem_comp.formula_weight 12.0
#
data_ALA
#
_chem_comp.id ALA
_chem_comp.name 'not alanine'
_chem_comp.type non-polymer
_chem_comp.formula C
_chem_comp.mon_nstd_parent_comp_id ?
_chem_comp.pdbx_synonyms ?
_chem_comp.formula_weight 12.0
#
"""


def run_python(script, home, **variables):
    """Runs a script in a process of its own: what the engine has imported stays."""
    environment = {**os.environ, "AF3OPT_HOME": str(home), "JAX_PLATFORMS": "cpu", **variables}
    completed = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    return completed.stdout


def test_user_components_do_not_reach_the_next_job(prepared_home):
    script = f"""
from af3opt.data.prepared import find_prepared
from af3opt.data.resources import redirect_resources
redirect_resources(find_prepared())
redirect_resources(find_prepared())
from alphafold3.constants import chemical_component_sets as sets
from alphafold3.constants import chemical_components as ccds
before = ccds.Ccd()
user = ccds.Ccd(user_ccd={USER_CCD!r})
after = ccds.Ccd()
assert user["MY-LIG"]["_chem_comp.name"] == ["mine"]
assert user["ALA"]["_chem_comp.name"] == ["not alanine"]
assert ccds.component_name_to_info(user, "ALA").name == "not alanine"
for clean in (before, after):
    assert "MY-LIG" not in clean
    assert clean.get("MY-LIG") is None
    assert clean["ALA"]["_chem_comp.name"] == ["ALANINE"]
    assert ccds.component_name_to_info(clean, "ALA").name == "ALANINE"
    assert len(clean) == len(list(clean)) == len(user) - 1
assert ccds.type_symbol(after, "ALA", "CB") == "C"
assert "NAG" in sets.GLYCAN_LINKING_LIGANDS
assert "NAG" not in sets.GLYCAN_OTHER_LIGANDS
print("ok")
"""
    assert run_python(script, prepared_home).strip() == "ok"


def test_solvent_accessibility_works_on_the_engines_own_structures(prepared_home):
    script = """
import math
from af3opt.data.bootstrap import bootstrap_engine
bootstrap_engine()
from alphafold3 import structure
from alphafold3.constants import chemical_components
from alphafold3.model import confidences
rows = []
backbone = {"N": (0.0, 0.0), "CA": (1.2, 0.8), "C": (2.4, 0.0), "O": (2.4, -1.2), "CB": (1.2, 2.3)}
serial = 0
for number in range(1, 31):
    for atom, (x, y) in backbone.items():
        serial += 1
        z = 0.4 * math.sin(serial)
        rows.append(f"ATOM {serial} {atom[0]} {atom} . ALA A 1 {number} ? {x + 3.6 * number:.3f} "
                    f"{y:.3f} {z:.3f} 1.00 50.0 {number} A 1")
names = ("group_PDB id type_symbol label_atom_id label_alt_id label_comp_id label_asym_id "
         "label_entity_id label_seq_id pdbx_PDB_ins_code Cartn_x Cartn_y Cartn_z occupancy "
         "B_iso_or_equiv auth_seq_id auth_asym_id pdbx_PDB_model_num").split()
text = "data_t\\n_entry.id t\\nloop_\\n_entity.id\\n_entity.type\\n1 polymer\\n"
text += "loop_\\n_entity_poly.entity_id\\n_entity_poly.type\\n1 polypeptide(L)\\n"
text += "loop_\\n_struct_asym.id\\n_struct_asym.entity_id\\nA 1\\n"
text += "loop_\\n" + "\\n".join(f"_atom_site.{n}" for n in names) + "\\n" + "\\n".join(rows) + "\\n"
struc = structure.from_mmcif(text)
areas = confidences.windowed_solvent_accessible_area(struc.to_mmcif())
assert len(areas) == 30, areas
assert 0 < areas.min() <= areas.max() <= 1
assert confidences.fraction_disordered(struc) > 0
print("ok")
"""
    assert run_python(script, prepared_home).strip().splitlines()[-1] == "ok"


def test_engine_folder_is_left_alone(prepared_home):
    root = resources.engine_ccd_file().parent
    assert not list(root.glob("*.pickle*"))


def test_without_prepared_data_the_command_to_type_is_named():
    assert find_prepared() is None
    with pytest.raises(SetupError, match="type `af3opt prepare`"):
        resources.redirect_resources(None)


def test_the_users_own_libcifpp_directory_wins(prepared_home, monkeypatch):
    monkeypatch.setenv("LIBCIFPP_DATA_DIR", "/mine")
    resources.offer_libcifpp_data(find_prepared())
    assert os.environ["LIBCIFPP_DATA_DIR"] == "/mine"


def test_engines_own_pickle_is_used_unless_it_has_been_indexed(
    prepared_home, monkeypatch, tmp_path
):
    own = tmp_path / "ccd.pickle"
    own.write_bytes(pickle.dumps({"ALA": {}}))
    monkeypatch.setattr(resources, "engine_ccd_file", lambda: own)
    assert resources._index_for_engine(find_prepared()) is None


def test_engines_own_pickle_is_read_through_an_index_made_of_it(monkeypatch, tmp_path):
    components = {
        "ALA": {"_chem_comp.type": ["x"], "_chem_comp.name": ["alanine"], "_a.b": ["1", "2"]},
        "ZN": {"_chem_comp.type": ["non-polymer"], "_chem_comp.name": ["ZINC ION"]},
    }
    own = tmp_path / "ccd.pickle"
    own.write_bytes(pickle.dumps(components))
    for module in (resources, repair):
        monkeypatch.setattr(module, "engine_ccd_file", lambda: own)
    assert prepare.main(["--quiet"]) == ExitCode.OK
    index = resources._index_for_engine(find_prepared())
    assert index is not None
    assert dict(index) == components
    own.write_bytes(pickle.dumps({**components, "NEW": components["ZN"]}))
    assert resources._index_for_engine(find_prepared()) is None


@pytest.fixture
def msgpack_engine(tmp_path):
    """A folder with the installed engine, its component data kept as DeepMind v3.0.5 keeps it."""
    pytest.importorskip("msgpack")
    root = tmp_path / "alphafold3"
    shutil.copytree(find_engine().root, root, copy_function=os.symlink)
    constants = root / "constants"
    (constants / "converters" / "ccd_msgpack_gen.py").touch()
    changes = {
        "safe_pickle.load(f)": "msgpack.unpack(f)",
        "import safe_pickle": "import safe_pickle\nimport msgpack",
        "_ccd_pickle": "_ccd_msgpack",
        "_CCD_PICKLE": "_CCD_MSGPACK",
        ".pickle'": ".msgpack'",
        "self._dict.update(user_ccd_cifs)": "self._dict = {**self._dict, **user_ccd_cifs}",
    }
    for name in ("chemical_components.py", "chemical_component_sets.py"):
        path = constants / name
        text = path.read_text()
        for old, new in changes.items():
            text = text.replace(old, new)
        path.unlink()
        path.write_text(text)
    return root


def test_engine_that_keeps_messagepack_works_from_prepared_data(prepared_home, msgpack_engine):
    script = f"""
import dataclasses
from af3opt.data.prepared import find_prepared
from af3opt.data import resources
from af3opt.engine.patching import PatchSet
assert resources.engine_ccd_file().name == "ccd.msgpack"
resources.redirect_resources(find_prepared())
from alphafold3.constants import chemical_component_sets as sets
from alphafold3.constants import chemical_components as ccds
assert ccds.__file__.startswith({str(msgpack_engine)!r})
loaders = [loader.qualname for loader in resources.CCD_LOADERS if loader.obstacle() is None]
assert loaders == ["_load_ccd_msgpack_cached"]
((init, overlay),) = resources.OWN_COMPONENTS.replacements
# The installed engine's `__init__` after the changes is not v3.0.5's to the letter.
here = dataclasses.replace(init, digests=None)
patch = dataclasses.replace(resources.OWN_COMPONENTS, replacements=((here, overlay),))
PatchSet([patch], None).apply()
user = ccds.Ccd(user_ccd={USER_CCD!r})
after = ccds.Ccd()
assert user["MY-LIG"]["_chem_comp.name"] == ["mine"]
assert user["ALA"]["_chem_comp.name"] == ["not alanine"]
assert user["ZN"] == after["ZN"]
assert "MY-LIG" not in after
assert after["ALA"]["_chem_comp.name"] == ["ALANINE"]
assert len(user) == len(after) + 1
try:
    ccds.Ccd(user_ccd="")
except ValueError:
    print("refused")
assert "NAG" in sets.GLYCAN_LINKING_LIGANDS
"""
    paths = os.pathsep.join([str(msgpack_engine.parent), str(Path(__file__).parents[2])])
    assert run_python(script, prepared_home, PYTHONPATH=paths).strip() == "refused"


def test_engines_own_messagepack_is_read_through_an_index_made_of_it(monkeypatch, tmp_path):
    msgpack = pytest.importorskip("msgpack")
    components = {"ZN": {"_chem_comp.type": ["non-polymer"], "_chem_comp.name": ["ZINC ION"]}}
    own = tmp_path / "ccd.msgpack"
    own.write_bytes(msgpack.packb(components))
    for module in (resources, repair):
        monkeypatch.setattr(module, "engine_ccd_file", lambda: own)
    assert prepare.main(["--quiet"]) == ExitCode.OK
    index = resources._index_for_engine(find_prepared())
    assert index is not None
    assert dict(index) == components
    own.write_bytes(msgpack.packb(["ZN"]))
    with pytest.raises(SetupError, match="not a component dictionary"):
        prepare.main(["--quiet"])


@pytest.mark.slow
def test_generator_of_the_engine_gives_the_same_sets(prepared_home):
    script = """
import importlib, json, sys
from af3opt.data.ccd_index import CcdIndex
from af3opt.data.component_sets import component_sets_json
from af3opt.data.prepared import find_prepared
from af3opt.data.resources import redirect_resources
prepared = find_prepared()
redirect_resources(prepared)
from alphafold3.constants.converters import chemical_component_sets_gen as generator
sets = generator.find_ions_and_glycans_in_ccd(CcdIndex(prepared.ccd_index))
assert component_sets_json(sets) == prepared.component_sets.read_text()
print(json.dumps({name: len(codes) for name, codes in sets.items()}))
"""
    sizes = json.loads(run_python(script, prepared_home).strip().splitlines()[-1])
    assert all(size > 50 for size in sizes.values())
