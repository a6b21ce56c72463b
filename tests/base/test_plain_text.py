"""Lines of other people's text, and what a terminal is not shown."""

import io

from hypothesis import given
from hypothesis import strategies as st

from af3opt.base.plain_text import text_lines, visible


@given(st.text(st.sampled_from("ab\n\r\v\f\x1c\x85\u2028 ")))
def test_lines_are_those_of_pythons_text_files(text):
    assert text_lines(text) == [line.removesuffix("\n") for line in io.StringIO(text, None)]


def test_a_byte_order_mark_is_no_part_of_the_first_line():
    assert text_lines("\ufeffa\nb") == ["a", "b"]


def test_what_cannot_be_seen_is_written_out():
    assert visible("a\ufeff\u200bb\u2028") == "a\\ufeff\\u200bb\\u2028"
