"""The profile of a data pipeline: whose seconds are whose, and each one's share."""

import time

import pytest

from scripts.measure.data_pipeline import Clock, Measured, as_markdown


def spin(seconds):
    """Uses the processor for some seconds of this thread."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def test_a_function_is_not_charged_for_what_it_calls():
    clock = Clock()
    inner = clock.timed("inner", lambda: spin(0.02))

    def outer():
        inner()
        inner()

    begun = time.thread_time()
    clock.timed("outer", outer)()
    whole = time.thread_time() - begun
    assert clock.calls == {"inner": 2, "outer": 1}
    assert clock.seconds["inner"] >= 0.04
    assert clock.seconds["inner"] + clock.seconds["outer"] <= whole


def test_time_counts_and_the_outer_function_goes_on_after_an_error():
    clock = Clock()

    def fails():
        spin(0.01)
        raise ValueError("broken")

    inner = clock.timed("inner", fails)

    def outer():
        with pytest.raises(ValueError, match="broken"):
            inner()

    begun = time.thread_time()
    clock.timed("outer", outer)()
    whole = time.thread_time() - begun
    assert clock.seconds["inner"] >= 0.01
    assert clock.seconds["inner"] + clock.seconds["outer"] <= whole


def test_shares_are_of_the_programs_and_the_scan():
    clock = Clock()
    clock.seconds.update({"convert": 1.0, "merge": 0.5, "run": 7.0})
    clock.calls.update({"convert": 4, "merge": 1, "run": 6})
    measured = Measured(wall=9.0, programs=8.0, process=3.5, rows=(10, 5), templates=1, aside=())
    table = as_markdown(measured, clock)
    # 3.5 s of this process, of which 1.5 in functions: 2 s of scan, 10 s of searching.
    assert "| scan, profiles and the rest | | 2.00 | |" in table
    assert "| `convert` | 4 | 1.000 | 10.0 % |" in table
    assert "| all functions | | 1.500 | 15.0 % |" in table
    assert "`run`" not in table
