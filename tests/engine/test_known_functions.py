"""The register of the engine's functions."""

import pytest

from af3opt.data.bootstrap import bootstrap_engine
from af3opt.engine.known_functions import (
    ANY_SOURCE,
    FUNCTIONS,
    V3_0_4,
    V3_0_5,
    Release,
    Unfit,
    known,
    source_in,
)
from af3opt.engine.patching import Target

EVERY = [(module, name) for module, names in FUNCTIONS.items() for name in names]
RELEASE_OF = {"3.1.6": Release.FORK_3_1_6, "3.1.18": Release.FORK_3_1_18}


@pytest.mark.parametrize(("module", "name"), EVERY)
def test_no_release_has_two_sources_of_a_function(module, name):
    sources = FUNCTIONS[module][name]
    releases = [release for having in sources.values() for release in having]
    assert len(releases) == len(set(releases))


def test_target_has_the_digests_of_the_releases_asked_for():
    sampler = ("model.network.diffusion_head", "sample")
    assert known(*sampler, V3_0_4).digests == {source_in(known(*sampler), V3_0_4)}
    assert known(*sampler).digests == set(FUNCTIONS[sampler[0]][sampler[1]])
    assert known("data.msa_features", "extract_msa_features", V3_0_5).digests == frozenset()
    loader = known("constants.chemical_components", "_load_ccd_pickle_cached")
    assert loader.digests is None


@pytest.mark.engine
@pytest.mark.parametrize(("module", "name"), EVERY)
def test_register_tells_the_truth_about_the_installed_release(prepared_home, module, name):
    engine = bootstrap_engine()
    release = RELEASE_OF.get(engine.version or "")
    if engine.distribution != "alphafold3-colabfold" or release is None:
        pytest.skip("no release that the register knows is installed")
    target = Target(module, name, None)
    said = source_in(target, release)
    if said is Unfit.ABSENT:
        assert target.obstacle() is not None
        return
    digest = target.digest_of(target.original())
    digests = {source for source in FUNCTIONS[module][name] if source not in set(Unfit)}
    assert said == ANY_SOURCE or (digest not in digests if said is Unfit.OTHER else digest == said)
