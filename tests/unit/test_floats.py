"""Parameters come to a workload as they were written, though they travel in a Struct (002.9)."""

import json

from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st

from gateway.flows.engine import as_struct
from servicekit.floats import pointers_to_floats, with_integers

NAMES = st.text("ab/~01", max_size=4)
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | st.text("a1.0", max_size=3) | NUMBERS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=20,
)


@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_every_number_keeps_its_kind(parameters):
    told = MessageToDict(as_struct(parameters))
    found = with_integers(told, set(pointers_to_floats(parameters)))

    # 1 == 1.0, and their texts differ.
    assert json.dumps(found, sort_keys=True) == json.dumps(parameters, sort_keys=True)


def test_who_points_to_nothing_gets_integers():
    assert repr(with_integers({"a": [1.0, 0.5, {"b/c": 2.0}]}, set())) == "{'a': [1, 0.5, {'b/c': 2}]}"
    assert list(pointers_to_floats({"a": [1.0, 0.5, {"b/c": 2.0}]})) == ["/a/0", "/a/2/b~1c"]
