"""The table of what fits which release of the engine."""

from write_engine_table import _cell_of_patch, _cells

from af3opt.engine.known_functions import FORK_3_1_18, V3_0_1, V3_0_4, V3_0_5, Release, known
from af3opt.engine.patching import Package, Patch

MODULES = "model.network.modules"
TRANSITION = known(MODULES, "TransitionBlock.__call__")
SAMPLER = ("model.network.diffusion_head", "sample")


def cell(release, *targets, **options):
    make = (lambda original, context: original,)
    patch = Patch(name="x", replacements=tuple((one, *make) for one in targets), **options)
    return _cell_of_patch(patch, release)


def test_all_functions_must_be_known():
    assert cell(V3_0_4, TRANSITION) == "active"
    assert cell(V3_0_5, TRANSITION) == "not compared"
    changed = known("data.msa_features", "extract_msa_features")
    assert cell(V3_0_4, TRANSITION, changed) == "active"
    assert cell(FORK_3_1_18, TRANSITION, relies_on=(changed,)) == "steps aside: another source"
    assert cell(V3_0_5, changed) == "steps aside: compiled by the engine"


def test_source_of_another_release_does_not_do():
    assert cell(V3_0_4, known(*SAMPLER, V3_0_1)) == "steps aside: another source"


def test_engine_that_does_it_itself_needs_nothing():
    itself = known(*SAMPLER, V3_0_4)
    assert cell(V3_0_4, known(*SAMPLER, V3_0_1), built_in=itself) == "not needed"
    assert cell(V3_0_1, known(*SAMPLER, V3_0_1), built_in=itself) == "active"


def test_package_that_a_release_lacks():
    tokamax = Package("tokamax")
    assert cell(V3_0_1, TRANSITION, package=tokamax) == "steps aside: no tokamax"
    assert cell(V3_0_4, TRANSITION, package=tokamax) == "active"


def test_one_of_several_ways_is_enough():
    loaders = [
        (known("constants.chemical_components", name),)
        for name in ("_load_ccd_pickle_cached", "_load_ccd_msgpack_cached")
    ]
    cells = dict(zip(Release, _cells(loaders), strict=True))
    assert cells.pop(V3_0_1) == "steps aside: the engine has no such function"
    assert set(cells.values()) == {"active"}
