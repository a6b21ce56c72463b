import numpy as np
import pytest

from af3opt.numerics import Action, NonFiniteError, NonFinitePolicy, NumericsHandler
from af3opt.numerics.expected import UndefinedByDesign, check_summary


def make_batch(chains=(3,), frames=None, padding=1, slots=2):
    tokens = sum(chains)
    asym = np.repeat(np.arange(1, len(chains) + 1), chains)
    atom_mask = np.ones((tokens, slots), np.float32)
    frames = np.ones(tokens, bool) if frames is None else np.asarray(frames, bool)
    return {
        "seq_mask": np.pad(np.ones(tokens, bool), (0, padding)),
        "seq_length": np.asarray(tokens),
        "asym_id": np.pad(asym, (0, padding)),
        "frames_mask": np.pad(frames, (0, padding)),
        "pred_dense_atom_mask": np.pad(atom_mask, ((0, padding), (0, 0))),
    }


def make_result(batch, samples=2):
    tokens, slots = batch["pred_dense_atom_mask"].shape
    return {
        "diffusion_samples": {"atom_positions": np.zeros((samples, tokens, slots, 3), np.float32)},
        "predicted_lddt": np.zeros((samples, tokens, slots), np.float32),
        "full_pae": np.zeros((samples, tokens, tokens), np.float32),
    }


def test_finite_seed_is_accepted():
    batch = make_batch()
    handler = NumericsHandler()
    verdict = handler.check_seed(make_result(batch), batch, seed=7)
    assert verdict.ok
    assert handler.decide(verdict, 0) is Action.ACCEPT


@pytest.mark.parametrize("name", ["predicted_lddt", "full_pae"])
def test_bad_sample_is_named(name, caplog):
    batch = make_batch()
    result = make_result(batch)
    result[name][1, 0, 0] = np.nan
    verdict = NumericsHandler().check_seed(result, batch, seed=7)
    assert verdict.bad_samples == {1}
    assert f"seed 7: non-finite values in sample(s) 1: {name} (1 NaN, 0 infinite)" in caplog.text


@pytest.mark.parametrize(
    ("policy", "attempt", "can_retry", "expected"),
    [
        ("retry", 0, True, Action.RETRY_SAFER),
        ("retry", 0, False, Action.EXCLUDE),
        ("retry", 1, True, Action.EXCLUDE),
        ("fail", 0, True, Action.FAIL),
        ("mark", 0, True, Action.MARK),
    ],
)
def test_policy(policy, attempt, can_retry, expected):
    batch = make_batch()
    result = make_result(batch)
    result["full_pae"][0, 0, 0] = np.inf
    handler = NumericsHandler(NonFinitePolicy(policy))
    verdict = handler.check_seed(result, batch, seed=1)
    assert handler.decide(verdict, attempt, can_retry=can_retry) is expected


def test_checking_changes_nothing():
    batch = make_batch()
    result = make_result(batch)
    result["diffusion_samples"]["atom_positions"][0, 1] = np.nan
    before = result["diffusion_samples"]["atom_positions"].copy()
    NumericsHandler().check_seed(result, batch, seed=1)
    np.testing.assert_array_equal(result["diffusion_samples"]["atom_positions"], before)


def test_coordinates_alone():
    positions = np.zeros((2, 3, 2, 3))
    positions[1, 0, 0, 0] = np.nan
    positions[0, 2] = np.nan
    mask = np.array([[1, 1], [1, 0], [0, 0]])
    verdict, action = NumericsHandler().handle_coordinate_numerics(positions, mask, seed=3)
    assert verdict.bad_samples == {1}
    assert action is Action.RETRY_SAFER


def test_general_values_alone():
    batch = make_batch()
    values = {"distogram": {"contact_probs": np.full((4, 4), np.nan)}}
    verdict, action = NumericsHandler(NonFinitePolicy.MARK).handle_general_numerics(
        values, batch=batch, num_samples=5, seed=3
    )
    assert verdict.bad_samples == set(range(5))
    assert action is Action.MARK


def test_error_says_what_and_what_to_do():
    batch = make_batch()
    result = make_result(batch)
    result["full_pae"][0, 0, 0] = np.inf
    error = NumericsHandler(NonFinitePolicy.FAIL).check_seed(result, batch, seed=1).error()
    assert isinstance(error, NonFiniteError)
    assert "full_pae (0 NaN, 1 infinite)" in str(error)
    assert "--debug_numerics" in str(error)


def test_single_chain_iptm_is_undefined_by_design():
    undefined = UndefinedByDesign.from_batch(make_batch())
    metadata = {
        "ptm": 0.5,
        "iptm": np.nan,
        "ranking_score": 0.5,
        "chain_pair_pae_min": np.array([[0.8]]),
        "chain_pair_iptm": np.array([[0.5]]),
        "iptm_ichain": np.array([0.5]),
        "iptm_xchain": np.array([np.nan]),
    }
    assert check_summary(metadata, undefined) == ()
    (finding,) = check_summary(metadata | {"ptm": np.nan}, undefined)
    assert finding.path == "ptm"


def test_ion_has_no_frame_and_so_no_row_in_the_pae():
    # Protein of 2 tokens, then two ions.
    undefined = UndefinedByDesign.from_batch(make_batch((2, 1, 1), frames=[1, 1, 0, 0]))
    assert not undefined.ptm
    assert not undefined.iptm
    assert undefined.chain_pair_pae_min.tolist() == [[False] * 3, [True] * 3, [True] * 3]
    neither = undefined.chain_pair_iptm
    assert neither.tolist() == [[False] * 3, [False, True, True], [False, True, True]]
    assert undefined.chain_iptm.tolist() == [False, False, False]


def test_only_ions_leave_the_ranking_score_undefined():
    undefined = UndefinedByDesign.from_batch(make_batch((1, 1), frames=[0, 0]))
    assert undefined.ptm
    assert undefined.iptm
    assert undefined.chain_iptm.all()
    assert check_summary({"ranking_score": np.nan, "ptm": np.nan}, undefined) == ()
    assert check_summary({"fraction_disordered": np.nan}, undefined)
