"""Keys and their portable form, for any text whatever."""

from pathlib import Path

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from services.storage.adapters.local.layout import MARK, Place, keys_in
from services.storage.domain.keys import original, portable, wrong_with_key, wrong_with_prefix
from services.storage.domain.model import ObjectName

ANY_TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=80)
AWKWARD_TEXT = st.text("a.@%/\\ -_é\u0301日\x00\n2E", min_size=1, max_size=30)


@given(ANY_TEXT | AWKWARD_TEXT)
def test_a_portable_name_gives_back_its_segment(segment):
    name = portable(segment)

    assert original(name) == segment
    assert not set(name) & {MARK, "\x00", "\\"}
    assert not name.startswith(".")


@given(AWKWARD_TEXT, AWKWARD_TEXT)
def test_two_segments_never_have_one_name(one, other):
    assume(one != other)

    assert portable(one) != portable(other)


@given(AWKWARD_TEXT | ANY_TEXT)
def test_whatever_is_a_key_lies_below_its_bucket(key):
    assume(not wrong_with_key(key))
    place = Place.of(Path("/root/objects"), ObjectName("models", key))

    assert place.folder.is_relative_to("/root/objects/models")
    assert ".." not in place.folder.parts
    assert max(len(part.encode()) for part in place.folder.parts) <= 255
    assert len(place.folder.relative_to(place.bucket).parts) == key.count("/") + 1


@given(AWKWARD_TEXT, st.integers(0, 30))
def test_every_beginning_of_a_key_is_a_prefix(key, length):
    assume(not wrong_with_key(key))

    assert wrong_with_prefix(key[:length]) == ""


@settings(max_examples=40, deadline=None)
@given(
    keys=st.sets(st.text("ab/.-%é", min_size=1, max_size=6).filter(lambda key: not wrong_with_key(key)), max_size=12),
    prefix=st.text("ab/.", max_size=3).filter(lambda prefix: not wrong_with_prefix(prefix)),
    after=st.text("ab/.", max_size=3),
)
def test_a_folder_is_walked_in_the_order_of_keys(tmp_path_factory, keys, prefix, after):
    root = tmp_path_factory.mktemp("objects")
    for key in keys:
        Place.of(root, ObjectName("models", key)).folder.mkdir(parents=True)

    wanted = sorted((key for key in keys if key.startswith(prefix) and key > after), key=str.encode)
    assert list(keys_in(root / "models", prefix, after)) == wanted
