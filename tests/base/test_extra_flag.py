"""Flags that commands have besides those of `af3opt run`."""

import pytest

from af3opt.base.errors import UsageError
from af3opt.base.extra_flag import take_flag


@pytest.mark.parametrize(
    ("argv", "value", "rest"),
    [
        ([], None, []),
        (["--x=1", "--slurm=a"], "a", ["--x=1"]),
        (["--slurm", "a", "--x", "1"], "a", ["--x", "1"]),
        (["--slurm=a=b"], "a=b", []),
        (["--slurm=a", "--slurm", "b"], "b", []),
        (["--slurmy=a"], None, ["--slurmy=a"]),
    ],
)
def test_a_flag_is_taken_from_anywhere(argv, value, rest):
    assert take_flag(argv, "--slurm", "a file") == (value, rest)


@pytest.mark.parametrize("argv", [["--slurm"], ["--slurm="], ["--slurm", ""]])
def test_a_flag_without_a_value_is_refused(argv):
    with pytest.raises(UsageError, match="--slurm needs a file"):
        take_flag(argv, "--slurm", "a file")
