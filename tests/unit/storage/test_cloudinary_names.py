"""Objects under Cloudinary's rules for ids, and what is kept beside their bytes."""

import re
from datetime import UTC, datetime

import pytest
from cloudinary.utils import encode_context
from hypothesis import given, settings
from hypothesis import strategies as st

from services.storage.adapters.cloudinary import records
from services.storage.adapters.cloudinary.account import CloudinaryAccount
from services.storage.adapters.cloudinary.names import asset_name, asset_prefix, incoming_name, resource_type
from services.storage.adapters.cloudinary.records import Facts
from services.storage.domain.errors import InvalidKey
from services.storage.domain.model import Access, Draft, ObjectName
from tests.servers.cloudinary import rules

ACCOUNT = CloudinaryAccount(
    "demo", "key", "secret", {"projects": "freemind-ml-projects", "uploads": "datastory-uploads"}
)
FACTS = Facts(3, "a" * 64, datetime(2026, 11, 21, 10, 30, 1, 234567, UTC), "upload")


@st.composite
def keys(draw: st.DrawFn) -> str:
    text = draw(
        st.text(st.sampled_from("ab/ .~%?&#<>+|=дом日\U0001f600Z0") | st.characters(), min_size=1, max_size=400)
    )
    try:
        ObjectName("models", text)
    except InvalidKey:
        return "/".join(piece for piece in ("a", *text.replace("\\", "").split("/")) if piece.isalnum())[:200].strip(
            "/"
        )
    return text


texts = st.text(st.characters(blacklist_categories=["Cc", "Cs"]), max_size=50)


def public_id(key: str, placement: str = "models") -> str:
    return asset_name(ACCOUNT, ObjectName(placement, key), Access.SIGNED).public_id


def test_a_project_lies_where_its_readers_look_for_it():
    """000.6: folder and public id are those of the seed, word for word."""
    key = "user123/image_classification/Project_Name_20241004.zip"

    assert public_id(key, "projects") == f"freemind-ml-projects/{key}"
    assert resource_type(key) == "raw"


@pytest.mark.parametrize("key", ["a b", "iris.csv", "é", "дом/1", "a|b=c", "a,b;c", "(1)", "@'\"$!*:"])
def test_a_key_that_cloudinary_takes_is_the_id(key):
    assert public_id(key) == f"models/{key}"


@pytest.mark.parametrize(
    ("key", "escaped"), [("50%+", "50~25~2B"), (" a / b ", "~20a~20/~20b~20"), ("~", "~7E"), ("a?b#c", "a~3Fb~23c")]
)
def test_a_key_that_it_does_not_take_is_escaped(key, escaped):
    assert public_id(key) == f"models/{escaped}"


@given(key=keys(), other=keys())
def test_every_key_has_an_id_of_its_own_that_is_taken(key, other):
    assert rules.check_public_id(public_id(key))
    assert (public_id(key) == public_id(other)) == (key == other)


def test_a_key_that_is_too_long_ends_in_its_hash():
    """Its beginning stays, so that it is found by its prefix; nothing else has the same id."""
    key = "/".join(["long segment" * 10] * 7)
    ids = [public_id(text) for text in (key, key[:-1], key + "x")]

    assert len(set(ids)) == 3
    for long in ids:
        assert rules.check_public_id(long)
        assert re.fullmatch(r"models/long segment.*~~[0-9a-f]{64}", long)
        assert long.startswith(asset_prefix(ACCOUNT, "models", key[:400]))


@given(key=keys(), data=st.data())
def test_an_id_begins_like_every_prefix_of_its_key(key, data):
    prefix = key[: data.draw(st.integers(0, len(key)))]

    assert public_id(key).startswith(asset_prefix(ACCOUNT, "models", prefix))


@pytest.mark.parametrize(
    ("key", "kind"), [("a.PNG", "image"), ("a/b.jpeg", "image"), ("png", "raw"), ("a.png/b", "raw"), ("a.pdf", "raw")]
)
def test_the_extension_tells_how_a_file_is_treated(key, kind):
    assert resource_type(key) == kind


def test_what_came_by_ticket_lies_where_no_object_can():
    draft = Draft(ObjectName("models", "a.csv"), "", "", "", "r")

    assert incoming_name(draft) == incoming_name(draft)
    assert incoming_name(draft).public_id.startswith(".incoming/")
    with pytest.raises(ValueError, match="folder"):
        CloudinaryAccount("demo", "", "", {"models": ".incoming"})


@pytest.mark.parametrize("folders", [{"a": "x", "b": "x"}, {"a": "x", "b": "x/y"}, {"a": "/x"}, {"a": "x?"}, {"a": ""}])
def test_placements_that_would_get_into_each_others_way_are_refused(folders):
    with pytest.raises(ValueError, match="folder"):
        CloudinaryAccount("demo", "", "", folders)


@settings(deadline=None)  # a busy machine is no fault of the records
@given(
    owner=texts,
    file_name=texts,
    tags=st.lists(st.text("aд %|=\\", min_size=1, max_size=30), max_size=10),
    context=st.dictionaries(st.from_regex(r"(modelyard_)?[a-z][a-z0-9_]{0,9}", fullmatch=True), texts, max_size=10),
    expire_time=st.none() | st.datetimes(timezones=st.just(UTC)),
    access=st.sampled_from(Access),
    key=keys(),
)
def test_what_is_known_of_an_object_is_read_as_it_was_written(
    owner, file_name, tags, context, expire_time, access, key
):
    """000.11, and over the wire: through the SDK's encoding and the service's parsing of it."""
    name = ObjectName("models", key)
    draft = Draft(name, owner, "text/csv", file_name, "r", "", access, expire_time, tuple(tags), context)
    labels = records.labels(draft, FACTS)
    asset_is = asset_name(ACCOUNT, name, access)
    asset = {**vars(asset_is), "version": 1, "context": {"custom": rules.context_of(encode_context(labels["context"]))}}

    assert records.decoded(ACCOUNT, asset) == records.described(ACCOUNT, draft, FACTS, asset)


def test_entries_of_a_draft_stand_by_their_names():
    """000.11"""
    draft = Draft(
        ObjectName("projects", "a.zip"), "u", "", "", "r", tags=("ml-project",), context={"task_type": "x=y|z"}
    )
    labels = records.labels(draft, FACTS)

    assert labels["tags"] == ["ml-project"]
    assert labels["context"]["task_type"] == "x=y|z"
    assert labels["context"]["modelyard_sha256"] == FACTS.sha256


def test_an_asset_without_our_record_or_with_that_of_another_is_no_object():
    draft = Draft(ObjectName("models", "a.csv"), "u", "", "", "r")
    asset = {"public_id": "models/a.csv", "resource_type": "raw", "type": "authenticated", "version": 1}
    ours = records.labels(draft, FACTS)["context"]

    assert records.decoded(ACCOUNT, asset) is None
    assert records.decoded(ACCOUNT, {**asset, "context": {"custom": {"alt": "x"}}}) is None
    assert records.decoded(ACCOUNT, {**asset, "public_id": "models/b.csv", "context": {"custom": ours}}) is None
    assert records.decoded(ACCOUNT, {**asset, "context": {"custom": {**ours, "modelyard_size": "many"}}}) is None
    assert records.decoded(ACCOUNT, {**asset, "context": {"custom": ours}}).draft == draft
