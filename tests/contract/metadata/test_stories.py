"""Stories."""

import pytest
from grpc.aio import AioRpcError

from modelyard.metadata.v1 import artifact_pb2, dataset_pb2
from modelyard.metadata.v1 import story_pb2 as pb
from servicekit import statuses

from .aggregates import Aggregates, kept, mask
from .conftest import Metadata, written_at


@pytest.fixture
def aggregates(metadata: Metadata) -> Aggregates:
    return Aggregates(metadata)


async def test_story_keeps_every_field(aggregates: Aggregates):
    """003.3: a story has its table, three texts, charts, statistics, a processing time and a visibility."""
    dataset = await aggregates.metadata.dataset()
    artifact = await aggregates.metadata.artifact(kind="upload", placement="uploads")
    given = pb.Story(
        user_id="ada",
        job_id="job-1",
        dataset_id=dataset.id,
        artifact_id=artifact.id,
        title="Sales Analysis Q4 — größer",
        dataset={
            "original_filename": "sales_data.csv",
            "storage_key": "uploads/user123/1234567890-sales_data.csv",
            "row_count": 2**40,
            "column_count": 8,
            "file_size": 2**50,
        },
        narratives={"summary": "Up.", "key_findings": "", "recommendations": "More of it."},
        charts=[{"mark": "bar", "data": {"values": [{"x": 1, "y": None}]}}, {}, {"mark": "line"}],
        statistics={"trends": [{"slope": 0.5}], "correlations": {"a/b": 0.72}, "distributions": {}},
        audience_level="executive",
        processing_ms=45_000,
        visibility=pb.VISIBILITY_PUBLIC,
    )
    request = pb.CreateStoryRequest(story=given, request_id="one", artifact=written_at(artifact.id))
    created = await aggregates.stories.CreateStory(request, **aggregates.quick)
    again = await aggregates.stories.CreateStory(request, **aggregates.quick)
    got = await aggregates.stories.GetStory(pb.GetStoryRequest(id=created.id), **aggregates.quick)
    wanted = artifact_pb2.GetArtifactRequest(id=artifact.id)
    active = await aggregates.metadata.artifacts.GetArtifact(wanted, **aggregates.quick)

    assert created == again == got == kept(given, got)
    assert active.state == artifact_pb2.ARTIFACT_STATE_ACTIVE


async def test_story_is_private_at_first(aggregates: Aggregates):
    story = await aggregates.story()

    assert story.visibility == pb.VISIBILITY_PRIVATE
    assert not story.HasField("dataset")
    assert list(story.charts) == []


async def test_stories_come_newest_first_twenty_a_page(aggregates: Aggregates):
    """003.3: a user's stories, newest first, 20 a page."""
    made = [(await aggregates.story()).id for _ in range(22)]
    await aggregates.story(user_id="grace")
    first = await aggregates.stories.ListStories(pb.ListStoriesRequest(user_id="ada"), **aggregates.quick)
    request = pb.ListStoriesRequest(user_id="ada", page_token=first.next_page_token)
    second = await aggregates.stories.ListStories(request, **aggregates.quick)

    assert [each.id for each in first.stories] == made[:1:-1]
    assert [each.id for each in second.stories] == made[1::-1]
    assert second.next_page_token == ""


async def test_story_is_shared(aggregates: Aggregates):
    """003.3: visibility goes from private to public and back, under the etag."""
    story, other = await aggregates.story(), await aggregates.story()
    change = {"id": story.id, "visibility": pb.VISIBILITY_PUBLIC, "etag": story.etag}
    request = pb.UpdateStoryRequest(story=change, update_mask=mask("visibility"))
    shared = await aggregates.stories.UpdateStory(request, **aggregates.quick)
    with pytest.raises(AioRpcError) as raised:
        await aggregates.stories.UpdateStory(request, **aggregates.quick)

    async def seen(visibility: int) -> list[str]:
        found = await aggregates.stories.ListStories(pb.ListStoriesRequest(visibility=visibility), **aggregates.quick)
        return [each.id for each in found.stories]

    assert shared.visibility == pb.VISIBILITY_PUBLIC
    assert raised.value.code().name == "ABORTED"
    assert await seen(pb.VISIBILITY_PUBLIC) == [story.id]
    assert await seen(pb.VISIBILITY_PRIVATE) == [other.id]


async def test_texts_and_charts_are_replaced(aggregates: Aggregates):
    story = await aggregates.story(charts=[{"mark": "bar"}], narratives={"summary": "old"})
    change = {"id": story.id, "title": "New", "charts": [{"mark": "line"}, {"mark": "area"}], "statistics": {"n": 1}}
    request = pb.UpdateStoryRequest(story=change, update_mask=mask("title", "charts", "statistics", "narratives"))
    updated = await aggregates.stories.UpdateStory(request, **aggregates.quick)

    assert [chart["mark"] for chart in updated.charts] == ["line", "area"]
    assert (updated.title, updated.statistics["n"]) == ("New", 1)
    assert not updated.HasField("narratives")


async def test_deleted_story_takes_the_record_of_its_file_along(aggregates: Aggregates):
    """003.9: deleting a story deletes its file."""
    artifact = await aggregates.metadata.artifact(kind="upload")
    story = await aggregates.story(artifact_id=artifact.id)
    held = artifact_pb2.DeleteArtifactRequest(id=artifact.id)
    with pytest.raises(AioRpcError) as in_use:
        await aggregates.metadata.artifacts.DeleteArtifact(held, **aggregates.quick)
    deleted = await aggregates.stories.DeleteStory(pb.DeleteStoryRequest(id=story.id), **aggregates.quick)
    with pytest.raises(AioRpcError) as gone:
        wanted = artifact_pb2.GetArtifactRequest(id=artifact.id)
        await aggregates.metadata.artifacts.GetArtifact(wanted, **aggregates.quick)

    assert in_use.value.code().name == "FAILED_PRECONDITION"
    assert "story" in in_use.value.details()
    assert deleted.count == 2
    assert gone.value.code().name == "NOT_FOUND"


async def test_story_stays_without_its_dataset(aggregates: Aggregates):
    dataset = await aggregates.metadata.dataset()
    story = await aggregates.story(dataset_id=dataset.id)
    request = dataset_pb2.DeleteDatasetRequest(id=dataset.id)
    await aggregates.metadata.datasets.DeleteDataset(request, **aggregates.quick)
    got = await aggregates.stories.GetStory(pb.GetStoryRequest(id=story.id), **aggregates.quick)

    assert got.dataset_id == ""
    assert got.etag != story.etag


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"title": ""}, "title"),
        ({"title": "t" * 201}, "title"),
        ({"user_id": ""}, "user_id"),
        ({"processing_ms": -1}, "processing_ms"),
        ({"visibility": 9}, "visibility"),
        ({"charts": [{"x": float("nan")}]}, "charts"),
        ({"statistics": {"r": float("inf")}}, "statistics"),
        ({"narratives": {"summary": "nul\x00"}}, "narratives"),
    ],
)
async def test_impossible_story_is_refused(aggregates: Aggregates, fields: dict[str, object], field: str):
    with pytest.raises(AioRpcError) as raised:
        await aggregates.story(**fields)

    assert statuses.field_of(raised.value) == field
