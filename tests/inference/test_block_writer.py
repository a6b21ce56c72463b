"""Large files written in aligned blocks."""

import contextlib
import io
import random

import pytest

from af3opt.inference.block_writer import BLOCK, BlockWriter


class Recorder(io.RawIOBase):
    """A file that takes at most so much at once and knows where each write began."""

    def __init__(self, most):
        self.most = most
        self.content = bytearray()
        self.starts = []

    def write(self, data):
        taken = bytes(data[: self.most])
        self.starts.append(len(self.content))
        self.content += taken
        return len(taken)


@pytest.mark.parametrize("most", [BLOCK, BLOCK // 3])
def test_content_is_what_was_written(most):
    draw = random.Random(0)
    file = Recorder(most)
    expected = bytearray()
    with BlockWriter(file) as writer:
        for size in (0, 1, 100, BLOCK - 101, BLOCK, 3 * BLOCK + 7, 5):
            piece = draw.randbytes(size)
            expected += piece
            writer.write(piece)
            assert writer.tell() == len(expected)
        writer.pad(64)
    assert file.content == expected + bytes(-len(expected) % 64)
    if most == BLOCK:
        assert all(start % BLOCK == 0 for start in file.starts)


def test_padded_to_a_block_everything_is_in_the_file():
    file = Recorder(BLOCK)
    with BlockWriter(file) as writer:
        writer.write(b"some")
        assert file.content == b""
        writer.pad(BLOCK)
        assert len(file.content) == writer.tell() == BLOCK
        writer.pad(BLOCK)
        assert writer.tell() == BLOCK


def test_nothing_more_is_written_after_an_error():
    file = Recorder(BLOCK)
    with contextlib.suppress(ZeroDivisionError), BlockWriter(file) as writer:
        writer.write(b"some")
        raise ZeroDivisionError
    assert file.content == b""
