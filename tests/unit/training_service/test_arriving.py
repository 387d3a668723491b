"""Rows on their way to a worker process, in pieces."""

import io
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.training.adapters.arriving import BROKEN_OFF, END, Arriving, announced

PIECES = st.lists(st.binary(max_size=300), max_size=20)


def sent(pieces, ending=END):
    return b"".join(itertools.chain.from_iterable(map(announced, pieces))) + ending


@given(PIECES, st.integers(1, 100), st.sampled_from([END, BROKEN_OFF]))
def test_pieces_are_one_stream_and_what_follows_is_left_to_others(pieces, length, ending):
    source = io.BufferedReader(io.BytesIO(sent(pieces, ending) + b"the next line\n"))
    arriving = Arriving(source)
    content = io.BufferedReader(arriving, 50)
    begun = content.read(length)

    assert begun + content.read() == b"".join(pieces)
    assert content.read() == content.read1(9) == b""
    assert source.readline() == b"the next line\n"
    assert arriving.broken_off == (ending == BROKEN_OFF)


def test_what_has_arrived_can_be_read_before_the_rest_is_there():
    source = io.BufferedReader(io.BytesIO(sent([b"first", b"second"])[:-12]))

    assert io.BufferedReader(Arriving(source), 50).read1() == b"first"


@pytest.mark.parametrize("size", [6, -1])
def test_a_service_that_ends_within_a_piece_is_no_end_of_rows(size):
    source = io.BufferedReader(io.BytesIO(sent([b"first", b"second"])[:-6]))
    content = io.BufferedReader(Arriving(source), 4)

    assert content.read(5) == b"first"
    with pytest.raises(EOFError):
        content.read(size)
