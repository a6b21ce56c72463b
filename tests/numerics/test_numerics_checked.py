import numpy as np
import pytest

from af3opt.numerics import Action, NonFiniteError, NonFinitePolicy, NumericsHandler
from af3opt.numerics.checked import infer_checked
from af3opt.numerics.safer import SaferNumerics

TOKENS, SAMPLES = 3, 2
BATCH = {
    "seq_mask": np.ones(TOKENS, bool),
    "pred_dense_atom_mask": np.ones((TOKENS, 1), np.float32),
}
SAFER = SaferNumerics({"global_config.bfloat16": "none"}, ())


def make_result(*bad):
    positions = np.zeros((SAMPLES, TOKENS, 1, 3), np.float32)
    positions[list(bad)] = np.nan
    return {"diffusion_samples": {"atom_positions": positions}}


def run(results, policy="retry", safer=SAFER):
    """Runs with an `infer` that gives `results` in turn; returns its calls too."""
    calls = []

    def infer(changes):
        calls.append(changes)
        return results[len(calls) - 1]

    handler = NumericsHandler(NonFinitePolicy(policy))
    checked = infer_checked(
        lambda: infer(None), BATCH, seed=9, handler=handler, safer=safer, infer_safer=infer
    )
    return checked, calls


def test_good_seed_is_computed_once():
    checked, calls = run([make_result()])
    assert (checked.action, checked.attempts, calls) == (Action.ACCEPT, 1, [None])
    assert checked.good_samples == [0, 1]


def test_bad_seed_is_cured_by_safer_numerics(caplog):
    checked, calls = run([make_result(1), make_result()])
    assert calls == [None, SAFER]
    assert (checked.action, checked.attempts) == (Action.ACCEPT, 2)
    assert checked.safer_numerics == "float32 trunk"
    assert "computing it once more with float32 trunk" in caplog.text


def test_bad_sample_that_stays_bad_is_excluded(caplog):
    checked, _ = run([make_result(0, 1), make_result(1)])
    assert checked.action is Action.EXCLUDE
    assert (checked.good_samples, checked.bad_samples) == ([0], [1])
    assert np.isnan(checked.result["diffusion_samples"]["atom_positions"][1]).all()
    assert "sample(s) 1 are not finite; they are written apart" in caplog.text


def test_repeating_the_safest_is_pointless():
    checked, calls = run([make_result(1)], safer=None)
    assert calls == [None]
    assert checked.action is Action.EXCLUDE


def test_fail_stops():
    with pytest.raises(NonFiniteError, match="seed 9"):
        run([make_result(1)], policy="fail")


def test_mark_keeps_everything():
    checked, calls = run([make_result(1)], policy="mark")
    assert calls == [None]
    assert (checked.action, checked.bad_samples) == (Action.MARK, [1])
