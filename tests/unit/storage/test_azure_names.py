"""Names and metadata at Azure, for any text whatever."""

import re
from datetime import UTC, datetime
from urllib.parse import unquote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from servicekit.disposition import attachment
from services.storage.adapters.azure import names, records
from services.storage.adapters.azure.pending import BLOCK_BYTES, block_bytes
from services.storage.domain.errors import BackendNotConfigured
from services.storage.domain.keys import wrong_with_key
from services.storage.domain.model import Draft, ObjectName, StoredObject

AWKWARD = st.text("a.%/ -é\uff21\U0001f600", min_size=1, max_size=12)
ANY = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=40)


def keys(text: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return text.filter(lambda key: key and not wrong_with_key(key) and not names.wrong_at_azure(key))


@given(keys(AWKWARD | ANY))
def test_a_blob_gives_back_its_key_and_no_segment_ends_in_a_dot(key):
    blob = names.blob_of(key)

    assert names.key_of(blob) == key
    assert not any(segment.endswith(".") for segment in blob.split("/"))
    assert blob == key or re.search(r"\.%*(/|$)", key)


@given(keys(AWKWARD), keys(AWKWARD))
def test_two_keys_never_have_one_blob(one, other):
    assume(one != other)

    assert names.blob_of(one) != names.blob_of(other)


@given(keys(AWKWARD), st.integers(0, 12))
def test_every_blob_starts_as_the_prefixes_of_its_key_say(key, length):
    assert names.blob_of(key).startswith(names.start_of(key[:length]))


@given(ANY.filter(bool))
def test_an_attachment_is_ascii_and_tells_the_whole_name(file_name):
    disposition = attachment(file_name)
    plain = re.search('filename="([^"]*)"', disposition)[1]
    exact = disposition.partition("filename*=UTF-8''")[2]

    assert disposition.isascii()
    assert disposition.isprintable()
    assert (unquote(exact) if exact else plain) == file_name


@given(st.integers(0, 10**6 - 1), st.integers(0, 10**6 - 1))
def test_ids_of_blocks_are_equally_long_and_in_order(one, other):
    upload = names.upload_id()
    first, second = names.block_id(upload, one), names.block_id(upload, other)

    assert len(first) == len(second) <= 64
    assert (first < second) == (one < other)


def test_the_blocks_that_azure_allows_hold_more_than_two_tebibytes():
    """002.20: any size."""
    assert block_bytes(0) == BLOCK_BYTES
    assert sum(map(block_bytes, range(50_000))) > 2 * 2**40
    assert block_bytes(49_999) < 4000 * 2**20


def test_two_placements_never_share_a_container():
    containers = {"datasets": "data", "models": "projects"}

    assert names.container_of("datasets", containers, "azure") == "data"
    assert names.container_of("posters", containers, "azure") == "posters"
    with pytest.raises(BackendNotConfigured, match="projects and models would share"):
        names.container_of("projects", containers, "azure")


def described(draft: Draft, size: int, sha256: str, create_time: datetime) -> StoredObject:
    return StoredObject(draft, size, sha256, create_time, "azure", "models", "uri")


@given(
    ANY, ANY, st.lists(ANY.filter(lambda tag: tag and "," not in tag), max_size=5), st.dictionaries(st.just("a_b"), ANY)
)
def test_metadata_is_ascii_and_gives_back_the_object(owner, file_name, tags, context):
    draft = Draft(ObjectName("models", "a"), owner, "", file_name, "r", tags=tuple(tags), context=context)
    stored = described(draft, 7, "0" * 64, datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC))
    metadata = records.encoded(stored)

    assert all(name.isidentifier() and name.isascii() for name in metadata)
    assert all(re.fullmatch(r"[!-~]+( [!-~]+)*", value) for value in metadata.values())
    assert records.decoded(metadata, stored.name, described) == stored
    assert records.decoded({name.title(): value for name, value in metadata.items()}, stored.name, described) == stored


def test_metadata_of_others_is_no_object():
    assert records.decoded({"owner": "bob", "size": "1"}, ObjectName("models", "a"), described) is None
