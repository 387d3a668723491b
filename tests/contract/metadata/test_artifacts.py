"""The life of an artifact: announced, written, moved, counted, gone."""

import asyncio
from datetime import timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpc.aio import AioRpcError

from modelyard.metadata.v1 import artifact_pb2 as pb
from modelyard.metadata.v1 import project_pb2
from modelyard.metadata.v1.dataset_pb2 import CreateDatasetRequest
from servicekit import statuses

from .conftest import SHA256, Metadata, written_at

HOME = pb.ArtifactCopy(backend="cloudinary", bucket="folder", uri="https://host/object")
LOCAL = pb.ArtifactCopy(backend="local", bucket="objects", uri="file:///x")


def fallen_back(artifact_id: str, **fields: object) -> pb.ActivateArtifactRequest:
    """An object that its home refused."""
    told = written_at(artifact_id)
    known = {"copies": [LOCAL], "fallback": True, "storage_failures": ["Home was away."], "expire_time": stamp(2e9)}
    told.MergeFrom(pb.ActivateArtifactRequest(**{**known, **fields}))
    return told


def brought_home(artifact_id: str, **fields: object) -> pb.RelocateArtifactRequest:
    """The same object, back where it belongs."""
    known = {"backend": "cloudinary", "bucket": "folder", "uri": HOME.uri, "sha256": SHA256, "copies": [HOME, LOCAL]}
    return pb.RelocateArtifactRequest(id=artifact_id, **{**known, **fields})


def stamp(seconds: float) -> Timestamp:
    return Timestamp(seconds=int(seconds))


async def active(metadata: Metadata, **fields: object) -> pb.Artifact:
    artifact = await metadata.artifact(**fields)
    return await metadata.artifacts.ActivateArtifact(fallen_back(artifact.id), **metadata.quick)


async def get(metadata: Metadata, artifact_id: str) -> pb.Artifact:
    return await metadata.artifacts.GetArtifact(pb.GetArtifactRequest(id=artifact_id), **metadata.quick)


async def count(metadata: Metadata, artifact: pb.Artifact) -> pb.Artifact:
    request = pb.CountDownloadRequest(placement=artifact.placement, key=artifact.key)
    return await metadata.artifacts.CountDownload(request, **metadata.quick)


async def mark(metadata: Metadata, artifact: pb.Artifact) -> pb.Artifact:
    return await metadata.artifacts.MarkArtifactDeleting(
        pb.MarkArtifactDeletingRequest(id=artifact.id), **metadata.quick
    )


async def retire(metadata: Metadata, artifact: pb.Artifact) -> pb.Artifact:
    return await metadata.artifacts.RetireArtifact(pb.RetireArtifactRequest(id=artifact.id), **metadata.quick)


async def listed(metadata: Metadata, **filters: object) -> list[str]:
    response = await metadata.artifacts.ListArtifacts(pb.ListArtifactsRequest(**filters), **metadata.quick)
    return [artifact.id for artifact in response.artifacts]


async def test_what_really_happened_is_recorded(metadata: Metadata):
    """DESIGN: the record names what really happened; 000.8: and when the object may go."""
    artifact = await active(metadata, kind="project", placement="projects")
    got = await get(metadata, artifact.id)

    assert got == artifact
    assert (list(got.copies), got.fallback, list(got.storage_failures)) == ([LOCAL], True, ["Home was away."])
    assert got.expire_time == stamp(2e9)
    assert got.write_time == got.update_time
    assert got.download_count == 0


async def test_what_is_written_with_a_dataset_or_a_model_is_recorded_as_well(metadata: Metadata):
    mine, publication = await metadata.artifact(), await metadata.publication()
    request = CreateDatasetRequest(
        dataset={"user_id": "ada", "name": "churn", "artifact_id": mine.id},
        request_id="one",
        artifact=fallen_back(mine.id),
    )
    await metadata.datasets.CreateDataset(request, **metadata.quick)
    publication.artifact.CopyFrom(fallen_back(publication.artifact.id))
    await metadata.models.PublishModelVersion(publication, **metadata.quick)
    both = [await get(metadata, mine.id), await get(metadata, publication.artifact.id)]

    assert [(list(each.copies), each.fallback, each.expire_time) for each in both] == [([LOCAL], True, stamp(2e9))] * 2


async def test_one_place_is_one_copy_although_nobody_lists_it(metadata: Metadata):
    artifact = await metadata.artifact()
    got = await metadata.artifacts.ActivateArtifact(written_at(artifact.id), **metadata.quick)

    assert list(got.copies) == [LOCAL]
    assert not got.HasField("expire_time")


async def test_what_only_the_service_tells_is_not_taken_from_who_announces(metadata: Metadata):
    given = {"copies": [HOME], "download_count": 9, "fallback": True, "write_time": stamp(9), "expire_time": stamp(9)}
    artifact = await metadata.artifact(**given)

    assert (len(artifact.copies), artifact.download_count, artifact.fallback) == (0, 0, False)
    assert not artifact.HasField("write_time")
    assert not artifact.HasField("expire_time")


@pytest.mark.parametrize("kind", ["dataset", "model", "project", "poster", "upload", "story"])
async def test_kinds_of_artifacts(metadata: Metadata, kind: str):
    assert (await metadata.artifact(kind=kind)).kind == kind


async def test_one_artifact_names_one_object(metadata: Metadata):
    first = await metadata.artifact(placement="models", key="ada/m/1.zip")
    await metadata.artifact(placement="projects", key="ada/m/1.zip")
    with pytest.raises(AioRpcError) as raised:
        await metadata.artifact(placement="models", key="ada/m/1.zip")
    await metadata.artifacts.DeleteArtifact(pb.DeleteArtifactRequest(id=first.id), **metadata.quick)
    again = await metadata.artifact(placement="models", key="ada/m/1.zip")

    assert raised.value.code().name == "ALREADY_EXISTS"
    assert "placement, key" in raised.value.details()
    assert again.id != first.id


async def test_object_that_came_home_is_recorded_there(metadata: Metadata):
    artifact = await active(metadata)
    moved = await metadata.artifacts.RelocateArtifact(brought_home(artifact.id), **metadata.quick)
    again = await metadata.artifacts.RelocateArtifact(brought_home(artifact.id), **metadata.quick)

    assert moved == again == await get(metadata, artifact.id)
    assert (moved.backend, moved.uri, list(moved.copies), moved.fallback) == (
        "cloudinary",
        HOME.uri,
        [HOME, LOCAL],
        False,
    )
    assert moved.etag != artifact.etag
    kept = ("state", "size", "sha256", "key", "expire_time", "write_time", "storage_failures")
    assert [getattr(moved, name) for name in kept] == [getattr(artifact, name) for name in kept]


async def test_only_the_same_bytes_of_an_active_artifact_can_be_elsewhere(metadata: Metadata):
    written, pending, going = await active(metadata), await metadata.artifact(), await active(metadata)
    await mark(metadata, going)
    calls = [
        metadata.artifacts.RelocateArtifact(brought_home(written.id, sha256="0" * 64), **metadata.quick),
        metadata.artifacts.RelocateArtifact(brought_home(pending.id), **metadata.quick),
        metadata.artifacts.RelocateArtifact(brought_home(going.id), **metadata.quick),
        metadata.artifacts.RelocateArtifact(brought_home("no"), **metadata.quick),
    ]
    answers = await asyncio.gather(*calls, return_exceptions=True)

    assert [statuses.reason_of(answer) for answer in answers] == [
        "ARTIFACT_BYTES_DIFFER",
        "ARTIFACT_NOT_ACTIVE",
        "ARTIFACT_NOT_ACTIVE",
        "RECORD_NOT_FOUND",
    ]
    assert [answer.code().name for answer in answers] == ["FAILED_PRECONDITION"] * 3 + ["NOT_FOUND"]
    assert await get(metadata, written.id) == written


async def test_fifty_downloads_at_once_are_fifty_and_nothing_else_changes(metadata: Metadata):
    """000.7, 001.20: download counts hold under concurrency."""
    artifact, other = await active(metadata), await active(metadata)
    answers = await asyncio.gather(*(count(metadata, artifact) for _ in range(50)))
    got = await get(metadata, artifact.id)
    artifact.download_count = 50

    assert got == artifact
    assert max(answer.download_count for answer in answers) == 50
    assert await get(metadata, other.id) == other


async def test_counts_and_changes_at_once_lose_neither(metadata: Metadata):
    artifact = await active(metadata)
    moves = (
        metadata.artifacts.RelocateArtifact(brought_home(artifact.id, fallback=bool(number % 2)), **metadata.quick)
        for number in range(20)
    )
    await asyncio.gather(*(count(metadata, artifact) for _ in range(20)), *moves)
    got = await get(metadata, artifact.id)

    assert (got.download_count, got.backend) == (20, "cloudinary")


async def test_download_of_what_nobody_announced_is_not_counted(metadata: Metadata):
    await metadata.artifact(placement="models", key="there")
    with pytest.raises(AioRpcError) as raised:
        await count(metadata, pb.Artifact(placement="datasets", key="there"))

    assert raised.value.code().name == "NOT_FOUND"


async def test_artifact_whose_object_is_gone_stays_for_those_who_refer_to_it(metadata: Metadata):
    """000.30: what has expired is gone, and its dataset still says what it was."""
    artifact = await metadata.artifact()
    dataset = await metadata.dataset(artifact_id=artifact.id)
    await metadata.artifacts.ActivateArtifact(written_at(artifact.id), **metadata.quick)
    await mark(metadata, artifact)
    gone = await retire(metadata, artifact)
    again = await retire(metadata, artifact)

    assert gone == again == await get(metadata, dataset.artifact_id)
    assert (gone.state, gone.size, list(gone.copies)) == (pb.ARTIFACT_STATE_DELETED, 12, [])


async def test_artifact_whose_object_never_came_is_abandoned(metadata: Metadata):
    artifact = await metadata.artifact()
    abandoned = await retire(metadata, artifact)
    again = await retire(metadata, artifact)

    assert abandoned == again
    assert abandoned.state == pb.ARTIFACT_STATE_ABANDONED


async def test_active_artifact_is_not_retired(metadata: Metadata):
    artifact = await active(metadata)
    with pytest.raises(AioRpcError) as raised:
        await retire(metadata, artifact)
    with pytest.raises(AioRpcError) as unknown:
        await retire(metadata, pb.Artifact(id="no"))

    assert raised.value.code().name == "FAILED_PRECONDITION"
    assert unknown.value.code().name == "NOT_FOUND"
    assert await get(metadata, artifact.id) == artifact


@pytest.mark.parametrize("written", [True, False])
async def test_what_is_gone_does_not_come_back(metadata: Metadata, written: bool):
    artifact = await (active if written else Metadata.artifact)(metadata)
    if written:
        await mark(metadata, artifact)
    gone = await retire(metadata, artifact)
    with pytest.raises(AioRpcError) as raised:
        await metadata.artifacts.ActivateArtifact(written_at(artifact.id), **metadata.quick)

    assert statuses.reason_of(raised.value) == "ARTIFACT_GONE"
    assert raised.value.code().name == "FAILED_PRECONDITION"
    assert await get(metadata, artifact.id) == gone


async def test_list_of_one_place_and_of_one_object(metadata: Metadata):
    first = await metadata.artifact(placement="models", key="ada/1")
    second = await metadata.artifact(placement="models", key="ada/2")
    await metadata.artifact(placement="projects", key="ada/1")

    assert await listed(metadata, placement="models") == [second.id, first.id]
    assert await listed(metadata, placement="models", key="ada/1") == [first.id]
    assert await listed(metadata, placement="models", key="ada/") == []
    assert await listed(metadata, placement="nowhere") == []


async def test_key_without_a_placement_names_nothing(metadata: Metadata):
    with pytest.raises(AioRpcError) as raised:
        await listed(metadata, key="ada/1")

    assert raised.value.code().name == "INVALID_ARGUMENT"
    assert statuses.field_of(raised.value) == "placement"


async def test_list_of_what_expires_a_page_at_a_time(metadata: Metadata):
    """000.37: the sweep sees what has expired, and nothing else."""
    wanted = []
    for seconds in (1_000, 2_000, 3_000, 4_000):
        artifact = await metadata.artifact()
        await metadata.artifacts.ActivateArtifact(
            fallen_back(artifact.id, expire_time=stamp(seconds)), **metadata.quick
        )
        wanted.append(artifact.id)
    forever = await metadata.artifact()
    await metadata.artifacts.ActivateArtifact(written_at(forever.id), **metadata.quick)
    request = pb.ListArtifactsRequest(expiring_before=stamp(3_001), state=pb.ARTIFACT_STATE_ACTIVE, page_size=2)
    first = await metadata.artifacts.ListArtifacts(request, **metadata.quick)
    request.page_token = first.next_page_token
    second = await metadata.artifacts.ListArtifacts(request, **metadata.quick)
    request.expiring_before.CopyFrom(stamp(9_999))
    with pytest.raises(AioRpcError) as other_list:
        await metadata.artifacts.ListArtifacts(request, **metadata.quick)

    assert [artifact.id for page in (first, second) for artifact in page.artifacts] == wanted[2::-1]
    assert second.next_page_token == ""
    assert statuses.field_of(other_list.value) == "page_token"
    assert await listed(metadata, expiring_before=stamp(1_000)) == []
    assert await listed(metadata, expiring_before=stamp(9_999), placement="models") == []


async def test_list_of_a_project_and_what_becomes_of_it(metadata: Metadata):
    """000.33: the packages of a project are found by it; they stay when it goes."""
    project = await metadata.project()
    old = await metadata.artifact(kind="project", placement="projects", project_id=project.id)
    metadata.clock.forward(1)
    new = await metadata.artifact(kind="project", placement="projects", project_id=project.id)
    await metadata.artifact(kind="project", placement="projects")
    of_project = await listed(metadata, project_id=project.id)
    await metadata.projects.DeleteProject(project_pb2.DeleteProjectRequest(id=project.id), **metadata.quick)

    assert of_project == [new.id, old.id]
    assert (await get(metadata, new.id)).project_id == ""


async def test_artifact_of_a_project_that_is_not_there_is_refused(metadata: Metadata):
    with pytest.raises(AioRpcError) as raised:
        await metadata.artifact(project_id="no")

    assert statuses.reason_of(raised.value) == "REFERENCE_MISSING"


async def test_moment_of_writing_stays_when_the_object_moves(metadata: Metadata):
    artifact = await active(metadata)
    metadata.clock.forward(timedelta(days=3).total_seconds())
    moved = await metadata.artifacts.RelocateArtifact(brought_home(artifact.id), **metadata.quick)

    assert moved.write_time == artifact.write_time
    assert moved.update_time.seconds > artifact.update_time.seconds + 200_000
