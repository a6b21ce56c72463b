"""Exact searches at memory speed: the targets that jackhmmer would keep, found ahead of it.

jackhmmer drops nearly all targets by its first filter, whose arithmetic is in whole numbers.
The compiled part computes the same numbers much faster (`kernel`, `profile`, `thresholds`),
goes over a FASTA file once for several queries (`targets`, `scan`), and the site's own
jackhmmer searches what is left, with the size of the whole database (`jackhmmer`). The
result is the full search's, byte for byte.

Whatever is not understood is an `Aside`: the engine's own search runs instead.
"""
