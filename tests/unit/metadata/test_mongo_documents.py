"""Records to MongoDB's documents and back, without a server."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId, decode, encode
from bson.codec_options import CodecOptions

from services.metadata.adapters.mongodb import queries, setup, views
from services.metadata.adapters.mongodb.documents import LAYOUTS, as_given, as_kept
from services.metadata.adapters.mongodb.failures import AddressWrong
from services.metadata.adapters.mongodb.store import connect
from services.metadata.domain.declarations import ENTITIES
from services.metadata.domain.entities import (
    Artifact,
    ArtifactCopy,
    ArtifactState,
    Job,
    JobError,
    JobStatus,
    Metric,
    ModelVersion,
    Project,
    Run,
    Story,
    StoryDataset,
)
from services.metadata.domain.ports import Query

NOW = datetime(2026, 11, 21, 12, 30, 15, 123_456, tzinfo=UTC)
OBJECT_ID = "507f1f77bcf86cd799439011"
HOSTILE = {"$where": {"$ref": 1, "a.b": [{"$": None}]}, "\uff04": 1, "\uff04$x": 2, "": 3}


def there_and_back(record: Any) -> Any:
    layout = LAYOUTS[type(record)]
    options: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True, tzinfo=UTC)
    return layout.decode(decode(encode(layout.encode(record)), options))


@pytest.mark.parametrize(
    "record",
    [
        Project(id="p", user_id=OBJECT_ID, name="Größe", create_time=NOW, update_time=NOW - timedelta(microseconds=1)),
        Run(id=OBJECT_ID, user_id="ada", hyperparameters=HOSTILE, start_time=NOW),
        Job(id="j", status=JobStatus.RUNNING, progress=0.07, error=JobError("A", "b", True), input={"n": 1.0}),
        Artifact(id="a", size=2**62, copies=[ArtifactCopy("local", "b", "u")], storage_failures=["x"], write_time=NOW),
        Metric("r", "loss", "train", 2**62, float("-inf"), NOW),
        Story(id="s", dataset=StoryDataset("sales.csv", "k", 5, 2, 100), charts=[HOSTILE], statistics={}),
    ],
)
def test_record_comes_back_as_it_was(record: Any):
    assert there_and_back(record) == record


@pytest.mark.parametrize("entity", ENTITIES)
def test_record_of_which_nothing_is_told_comes_back_as_it_was(entity: str):
    record = ENTITIES[entity].kind()

    assert there_and_back(record) == record


@pytest.mark.parametrize("entity", ENTITIES)
def test_document_that_tells_nothing_is_a_record(entity: str):
    layout = LAYOUTS[ENTITIES[entity].kind]

    assert layout.decode({}) == ENTITIES[entity].kind()


@pytest.mark.parametrize("entity", ENTITIES)
def test_no_two_attributes_share_a_field(entity: str):
    layout = LAYOUTS[ENTITIES[entity].kind]
    paths = [each.path for each in layout.fields.values()] + [each.path for each in layout.shape.shown]

    assert len(set(paths)) == len(paths)
    assert not [(a, b) for a in paths for b in paths if a.startswith(f"{b}.")]
    assert set(layout.shape.fields) <= set(layout.fields)


def test_free_document_has_no_name_that_the_server_gives_a_meaning():
    kept = as_kept(HOSTILE)

    assert not any(name.startswith("$") for name in (*kept, *kept["\uff04$where"]))
    assert as_given(kept) == HOSTILE


def test_id_that_has_the_form_of_an_object_id_is_one():
    document = LAYOUTS[Project].encode(Project(id=OBJECT_ID, user_id="ada"))

    assert document["_id"] == ObjectId(OBJECT_ID)
    assert document["userId"] == "ada"


def test_unique_value_that_is_none_is_left_out_and_removed():
    layout = LAYOUTS[Project]

    assert "request_id" not in layout.encode(Project())
    assert layout.changes({"request_id": None})["$unset"] == {"request_id": ""}


def test_counts_within_bounds_take_what_is_not_there_for_none():
    assert queries.within("n", 2, 10) == {"$and": [{"n": {"$not": {"$gt": 8}}}]}
    assert queries.within("n", -2, None) == {"$and": [{"n": {"$gte": 2}}]}
    assert queries.within("n", 2, None) == {}


def test_ids_of_both_forms_come_one_after_the_other():
    """000.12: a page ends at an ObjectId as well as at a text, and the next one begins behind it."""
    layout = LAYOUTS[Project]
    last = queries.after(layout, Query(after=(NOW, OBJECT_ID)))["$or"][-1]["$and"][-1]

    assert last == {"$or": [{"_id": {"$lt": ObjectId(OBJECT_ID)}}, {"_id": {"$type": "string"}}]}


def test_what_is_earlier_than_a_whole_millisecond_lies_before_it():
    layout = LAYOUTS[Project]
    whole = NOW.replace(microsecond=123_000)

    assert queries.before(layout, {"create_time": whole}) == {"$and": [{"createdAt": {"$lt": whole}}]}


def test_every_name_of_an_index_is_used_once():
    names = [each.name for layout in LAYOUTS.values() for each in setup.indexes_of(layout)]

    assert len(set(names)) == len(names)
    assert all(len(name) < 120 for name in names)


CLOUDINARY = "https://res.cloudinary.com/c/raw/upload/v1/freemind-ml-projects/ada/general_ml/Churn_20261121.zip"


def _package(**fields: Any) -> Artifact:
    known = {"key": "ada/general_ml/Churn_20261121.zip", "state": ArtifactState.ACTIVE, "size": 7, "write_time": NOW}
    return Artifact(**{**known, **fields})


def test_package_names_cloudinary_only_where_that_holds_it():
    """000.7, 000.18: with a copy at Cloudinary the address is its own, and without one it is null."""
    copies = [ArtifactCopy("local", "projects", "file:///x"), ArtifactCopy("cloudinary", "c", CLOUDINARY)]
    both = views.zip_file(_package(backend="local", uri="file:///x", copies=copies))
    local = views.zip_file(_package(backend="local", uri="file:///x"))

    assert both["cloudinaryUrl"] == CLOUDINARY
    assert both["cloudinaryPublicId"] == "freemind-ml-projects/ada/general_ml/Churn_20261121.zip"
    assert both["fileName"] == "Churn_20261121.zip"
    assert (local["cloudinaryUrl"], local["cloudinaryPublicId"], local["fileSize"]) == (None, None, 7)


@pytest.mark.parametrize(
    ("version", "accuracy"),
    [
        (ModelVersion(score_name="accuracy", score=0.85), "0.85"),
        (ModelVersion(score_name="r2", score=0.5, details={"metrics": {"accuracy": 0.75}}), "0.75"),
        (ModelVersion(score_name="r2", score=0.5, details={"metrics": []}), None),
        (ModelVersion(score_name="rmse", score=3.5), None),
    ],
)
def test_accuracy_is_a_text_and_of_nothing_but_accuracy(version: ModelVersion, accuracy: str | None):
    """002.5"""
    assert views.accuracy_of(version) == accuracy


@pytest.mark.parametrize("password", ["hunter2/x", "hunter2:x", "hunter2@x", "hunter2?x", "hunter2%zz", "hunter2#x"])
async def test_address_that_cannot_be_read_is_refused_without_its_password(password: str):
    """000.24: the driver quotes what it takes for a port."""
    with pytest.raises(AddressWrong) as raised:
        connect(f"mongodb://ada:{password}@host:99999999/yard")

    assert "hunter2" not in f"{raised.value!r}{raised.value}"
    assert raised.value.__suppress_context__
