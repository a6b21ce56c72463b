import types

from af3opt.numerics.safer import safer_numerics


def make_config(bfloat16):
    return types.SimpleNamespace(global_config=types.SimpleNamespace(bfloat16=bfloat16))


def make_optimization(name, fidelity, active=True):
    return types.SimpleNamespace(name=name, fidelity=fidelity, active=active)


def test_wider_numbers_and_no_rearrangement():
    active = (
        make_optimization("trim", "reordered"),
        make_optimization("share", "exact"),
        make_optimization("fuse", "reordered", active=False),
    )
    safer = safer_numerics(make_config("all"), active)
    assert safer.config_overrides == {"global_config.bfloat16": "none"}
    assert safer.disabled == ("trim",)
    assert safer.describe() == "float32 trunk, without trim"


def test_nothing_is_safer_than_the_safest():
    assert safer_numerics(make_config("none"), (make_optimization("share", "exact"),)) is None


def test_half_way_is_not_the_safest():
    assert safer_numerics(make_config("intermediate")).describe() == "float32 trunk"
