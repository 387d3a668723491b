"""Rows are counted while bytes stream past, wherever the chunks are cut."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rows import RowCounter

CASES = {
    "line feed at the end": (b"a,b\n1,2\n3,4\n", 2),
    "none at the end": (b"a,b\n1,2\n3,4", 2),
    "carriage returns": (b"a,b\r\n1,2\r\n3,4\r\n", 2),
    "blank lines": (b"a,b\n\n1,2\n\r\n3,4\n\n\n", 2),
    "a break within quotes": (b'a,b\n"x\ny",2\n3,"4\n\n5"\n', 2),
    "a doubled quote": (b'a,b\n"say ""hi""\n",2\n3,4\n', 2),
    "inches": (b'a,b\n5" disk,1\n3,4\n', 2),
    "inches in some rows": (b'a,b\n5" disk,1\n"x\ny",2\n6"" disk, 7"\n"8"" disk\n",2\n', 4),
    "inches within quotes": (b'a,b\n"5""\n",2\n"""x""\n""",""\n', 2),
    "what follows a closing quote": (b'a,b\n"x" y",1\n"x" "y",2\n', 2),
    "spaces before quotes": (b'a,b\n1, "x\ny"\n2,   "x\ny"\n   "x\ny",3\n', 3),
    "carriage returns alone": (b'a,b\r1,2\r\r"x\ry",4\r', 2),
    "lines of blanks": (b"a,b\n1,2\n   \n \t \n3,4  \n  ", 2),
    "header only": (b"a,b\n", 0),
    "nothing": (b"", 0),
}


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize("case", CASES)
def test_counts(case: str, size: int):
    text, rows = CASES[case]
    counter = RowCounter("utf-8")
    for start in range(0, len(text), size):
        counter.feed(text[start : start + size])

    assert counter.rows() == rows


def rows_of(text: str, encoding: str, delimiter: str) -> int:
    counter = RowCounter(encoding, delimiter)
    for byte in text.encode(encoding):
        counter.feed(bytes([byte]))
    return counter.rows()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_quote_opens_only_where_a_field_begins(encoding: str):
    """000.11: which is behind the delimiter that the table has, and behind a byte order mark."""
    assert rows_of('"a\nb;";c\n"1\n";"2\n"\n1,"x;2\n', encoding, ";") == 2
    assert rows_of('a\tb\n\t\n1\t"x\ny"\n', encoding, "\t") == 2


def test_sixteen_bit_text_is_counted_by_its_characters():
    """A line feed byte inside a character (U+0A0A) ends no line."""
    counter = RowCounter("utf-16")
    text = "a;b\n\u0a0a;2\n3;4\n".encode("utf-16")
    for start in range(0, len(text), 3):
        counter.feed(text[start : start + 3])

    assert counter.rows() == 2


WORDS = st.text(alphabet='ab",\n é', max_size=6)


@given(rows=st.lists(st.lists(WORDS, min_size=2, max_size=2), min_size=1, max_size=8), cut=st.integers(1, 9))
def test_agrees_with_a_real_reader(rows: list[list[str]], cut: int):
    """Whatever a CSV writer writes has as many rows as were written, in whatever chunks it comes."""
    written = io.StringIO()
    csv.writer(written, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([["h", "i"], *rows])
    data = written.getvalue().encode()
    counter = RowCounter("utf-8")
    for start in range(0, len(data), cut):
        counter.feed(data[start : start + cut])

    assert counter.rows() == len(rows)
