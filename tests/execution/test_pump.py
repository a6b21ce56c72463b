"""What workers log goes through the pool's stderr, and never holds them up."""

import io

import pytest

from af3opt.execution.pool import supervisor


@pytest.mark.parametrize("error", [BrokenPipeError(), ValueError("I/O operation on closed file")])
def test_a_log_that_nobody_reads_any_more_is_read_to_its_end(monkeypatch, error):
    class Gone:
        def write(self, _):
            raise error

    source = io.StringIO("one\ntwo\nthree\n")
    monkeypatch.setattr("sys.stderr", Gone())
    supervisor._copy_lines(source, "[gpu 0] ")
    assert source.read() == ""
