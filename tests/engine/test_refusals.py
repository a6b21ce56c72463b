"""Whose fault an exception is."""

import pytest

from af3opt.base.errors import InputError
from af3opt.engine.refusals import EngineRefusalError, featurising, is_refusal, refusals


def raised_in(package, code):
    """Runs code as if it were in a module of a package, called from here; returns its error."""
    scope = {"__name__": f"{package}.somewhere"}
    exec(code, scope)
    try:
        scope["work"]()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


BAD = "def work():\n    return [][1]\n"
LIBRARY = "import json\ndef work():\n    return json.loads('{')\n"
MISSING = "def work():\n    return open('/nowhere/file')\n"


@pytest.mark.parametrize("code", [BAD, LIBRARY])
def test_it_is_whose_code_raised_it(code):
    assert is_refusal(raised_in("alphafold3.data", code))
    assert not is_refusal(raised_in("af3opt.features", code))
    assert not is_refusal(raised_in("alphafold3x", code))


def test_what_the_engine_calls_of_ours_is_ours():
    error = raised_in("af3opt.features", BAD)
    scope = {"__name__": "alphafold3.model", "error": error}
    exec("def work():\n    raise error from None\n", scope)
    # Raised anew by the engine: its traceback ends in ours all the same.
    with pytest.raises(IndexError) as caught:
        scope["work"]()
    assert not is_refusal(caught.value)


def test_the_machine_is_not_the_input():
    assert not is_refusal(raised_in("alphafold3.data", MISSING))
    assert not is_refusal(MemoryError())


def test_what_stands_in_for_the_engine_refuses_in_its_name():
    assert is_refusal(EngineRefusalError("no such atom"))


def test_an_error_of_ours_passes_as_it_is():
    with pytest.raises(KeyError), refusals():
        raise KeyError("ours")


def test_a_refusal_names_the_input_on_one_line():
    error = raised_in("alphafold3.data", "def work():\n    raise ValueError('first\\nsecond')\n")
    with pytest.raises(InputError, match=r"^x\.json: cannot be featurised: first second$"):  # noqa: SIM117
        with featurising("x.json"):
            raise error
