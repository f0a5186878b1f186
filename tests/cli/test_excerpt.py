"""The line of a spec with a caret below the place: whatever is in the line, the caret is where it is wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from wanrun.cli.excerpt import excerpt
from wanrun.text import is_unshown, pieces, printable


@pytest.mark.parametrize(
    ("line", "start", "end", "shown", "caret"),
    [
        ("  prompt: 5", 11, 12, "  prompt: 5", "          ^"),
        ("  promt: x", 3, 8, "  promt: x", "  ^^^^^"),
        ("jobs: []", 7, 0, "jobs: []", "      ^"),
        ("jobs:", 6, 0, "jobs:", "     ^"),
        ("jobs:", 40, 90, "jobs:", "     ^"),
        ("", 1, 1, "", "^"),
        ("\tid: a", 1, 2, "    id: a", "^^^^"),
        ("\t\tid: a b", 7, 10, "        id: a b", "            ^^^"),
        ("  日本: 語", 7, 8, "  日本: 語", "        ^^"),
        ("  e\u0301te\u0301: x", 10, 11, "  e\u0301te\u0301: x", "       ^"),
        ("  a\u0301: x", 4, 5, "  a\u0301: x", "   ^"),
        ("id: \u202ea\u200b, x", 9, 10, "id: \ufffda\ufffd, x", "        ^"),
        ("a: \x1b[2J, b", 10, 11, "a: \ufffd[2J, b", "         ^"),
        ("a: ##[error], b", 15, 16, "a: # #[error], b", "               ^"),
        ("a: https://e.com/a?sig=x b", 26, 27, "a: https://e.com/a?... b", "                       ^"),
        ("a: https://me:pw@e.com b", 24, 25, "a: https://e.com b", "                 ^"),
    ],
)
def test_the_caret_is_below_the_place(line: str, start: int, end: int, shown: str, caret: str) -> None:
    """Tabs, wide and combining characters, what is not shown, and places behind the end."""
    made = excerpt(line, start, end, cells=80)

    assert (made.text, made.caret) == (shown, caret)


@pytest.mark.parametrize(
    ("place", "shown", "caret"),
    [
        (1, "a1b2c3d4e5f6g7h8i9j0k1...", "^"),
        (22, "a1b2c3d4e5f6g7h8i9j0k1...", "                     ^"),
        (23, "...i9j0k1l2m3n4o5p6q7r...", "         ^"),
        (30, "...l2m3n4o5p6q7r8s9t0", "          ^"),
        (41, "...l2m3n4o5p6q7r8s9t0", "                     ^"),
    ],
)
def test_a_long_line_is_cut_around_the_place(place: int, shown: str, caret: str) -> None:
    """From its start if the place is there, else a third of the room before the place."""
    made = excerpt("a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6q7r8s9t0", place, place + 1, cells=25)

    assert (made.text, made.caret) == (shown, caret)


def test_a_terminal_that_is_not_utf_8_gets_what_it_can_show() -> None:
    """The caret counts the cells of what stands there instead."""
    made = excerpt("é: ü", 4, 5, cells=80, encoding="ascii")

    assert (made.text, made.caret) == ("\\xe9: \\xfc", "      ^^^^")


def test_a_line_of_a_megabyte_is_cut_at_once() -> None:
    """Also if all of it is one link's query, of which nothing is shown."""
    made = excerpt(f"a: https://e.com/?{'x' * 1_000_000} b", 1_000_020, 1_000_021, cells=40)

    assert made.text.endswith("https://e.com/?... b")
    assert made.caret.endswith("^")


@given(
    st.text(alphabet=st.characters(exclude_characters="\n\r\x85\u2028\u2029")),
    st.integers(1, 90),
    st.integers(0, 90),
    st.integers(20, 60),
)
def test_whatever_a_line_holds_it_fits_and_drives_nothing(line: str, start: int, end: int, cells: int) -> None:
    """The cut line is printable as it is, and so is every character in it."""
    made = excerpt(line, start, end, cells=cells)

    assert not any(map(is_unshown, made.text))
    assert sum(map(cell_len, made.text)) <= cells + 8  # a link's query, a tab or a replaced character stand as one
    assert printable(f"1 | {made.text}") == f"1 | {made.text}"
    assert made.before <= cells
    assert made.carets >= 1


@given(st.text(alphabet="a\t :#[vso\x1b\u202e\u00a0é"))
def test_the_pieces_of_a_line_are_what_is_printable_of_it(line: str) -> None:
    """So that a place in one is a place in the other."""
    assert "".join(pieces(line)) == printable(f"x{line}")[1:]
