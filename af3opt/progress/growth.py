"""How time grows with the size of an input, for sizes that were never measured.

The time of a stage is taken as a fixed part and a part that grows: seconds = fixed +
rate * work(tokens, samples, recycles, steps). What is paid once (imports, loading
weights, compiling) is measured apart and belongs to neither.

Source of the model's work: the matrix products of the engine's own program (3.1.18 at
full depth, 1024 MSA rows) counted by `inference.operations` from 16 to 2,048 tokens. They
are polynomials of the token count n, in floating-point operations:

    a pass of the trunk        7.83e8 n + 7.03e7 n^2 + 8.60e4 n^3
    a step, whatever samples   1.58e8 n + 9.83e4 n^2
    a step of one sample       4.06e8 n + 7.37e4 n^2
    confidences of one sample  2.12e7 n + 4.53e6 n^2 + 6.14e3 n^3

Every pass reads 0.30 GB and every step 0.81 GB of weights however small the input is (the
same counts, at n = 0). A byte is taken as 25 operations, which is about what a core of a
server computes while it reads one; GPUs compute two or three times as many.
"""

from collections.abc import Mapping

_OPERATIONS_A_BYTE = 25.0
_PASS_BYTES = 3.0e8
_STEP_BYTES = 8.1e8


def model_work(tokens: int, samples: int, recycles: int, steps: int) -> float:
    """The model's work for one seed, in floating-point operations.

    Args:
        tokens: Padded tokens.
        samples: Diffusion samples.
        recycles: Recycles; the trunk makes one pass more.
        steps: Diffusion steps.
    """
    n = float(tokens)
    trunk = 7.83e8 * n + 7.03e7 * n**2 + 8.60e4 * n**3 + _PASS_BYTES * _OPERATIONS_A_BYTE
    shared = 1.58e8 * n + 9.83e4 * n**2 + _STEP_BYTES * _OPERATIONS_A_BYTE
    sample = 4.06e8 * n + 7.37e4 * n**2
    confidences = 2.12e7 * n + 4.53e6 * n**2 + 6.14e3 * n**3
    return (recycles + 1) * trunk + steps * (shared + samples * sample) + samples * confidences


def seconds_for(work: float, measured: Mapping[float, float]) -> float:
    """Seconds for an amount of work, by what other amounts took.

    Seconds are a straight line through the nearest two amounts; its constant is the fixed
    part. Where there is one amount, or the line makes no sense (it falls, or its constant
    is negative), all of the nearest one's time is taken to grow.

    Args:
        work: The amount, in any unit.
        measured: Amount -> seconds, at least one.
    """
    if work in measured:
        return measured[work]
    nearest = sorted(measured, key=lambda known: abs(known - work))
    below = next((known for known in nearest if known < work), None)
    above = next((known for known in nearest if known > work), None)
    if below is not None and above is not None:
        rate = (measured[above] - measured[below]) / (above - below)
        return max(measured[below], measured[below] + rate * (work - below))
    if len(nearest) > 1:
        low, high = sorted(nearest[:2])
        rate = (measured[high] - measured[low]) / (high - low)
        fixed = measured[low] - rate * low
        if rate >= 0 and fixed >= 0:
            return fixed + rate * work
    return measured[nearest[0]] * work / nearest[0]
