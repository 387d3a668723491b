"""What was left in the middle is settled once it is old, and what is under way is left alone."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from grpc import StatusCode
from grpc.aio import AioRpcError

from gateway.flows import leftovers
from gateway.flows.leftovers import Leftovers
from modelyard.metadata.v1.artifact_pb2 import Artifact, CreateArtifactRequest, MarkArtifactDeletingRequest
from modelyard.metadata.v1.dataset_pb2 import CreateDatasetRequest, Dataset, GetDatasetRequest
from modelyard.metadata.v1.job_pb2 import CancelJobRequest, CreateJobRequest, Job
from tests.contract.gateway.standing import Standing, standing

OLD, YOUNG = 0.0, 3600.0


@pytest.fixture
async def yard(tmp_path: Path) -> AsyncIterator[Standing]:
    async with standing(tmp_path) as services:
        yield services


async def settle(yard: Standing, older_than: float = OLD) -> None:
    await Leftovers(yard.peers, older_than).settle()


async def job(yard: Standing, job_id: str) -> Job:
    request = CreateJobRequest(job=Job(id=job_id, user_id="ada", kind="train"), request_id=job_id)
    return await yard.peers.jobs.CreateJob(request, **yard.peers.quick)


async def of_job(yard: Standing, job_id: str) -> Artifact:
    """What a job announced, and wrote already."""
    key = f"ada/{job_id}"
    artifact = Artifact(user_id="ada", kind="model", placement="models", key=key, job_id=job_id)
    request = CreateArtifactRequest(artifact=artifact, request_id=f"{job_id}-model")
    announced = await yard.peers.artifacts.CreateArtifact(request, **yard.peers.quick)
    await yard.put(key)
    return announced


async def mark(yard: Standing, artifact: Artifact) -> None:
    request = MarkArtifactDeletingRequest(id=artifact.id)
    await yard.peers.artifacts.MarkArtifactDeleting(request, **yard.peers.quick)


async def is_forgotten(yard: Standing, artifact: Artifact) -> bool:
    try:
        await yard.now(artifact)
    except AioRpcError as error:
        return error.code() is StatusCode.NOT_FOUND
    return False


async def test_upload_that_never_finished_is_forgotten(yard: Standing):
    """Object first, then the record, whether the bytes came or not."""
    with_bytes, without = await yard.announce("ada/1"), await yard.announce("ada/2")
    await yard.put("ada/1")
    await settle(yard, YOUNG)
    while_young = await yard.state(with_bytes)
    await settle(yard)

    assert while_young == "PENDING"
    assert await is_forgotten(yard, with_bytes)
    assert await is_forgotten(yard, without)
    assert yard.holders("ada/1") == set()


async def test_what_jobs_announced_is_forgotten_once_they_have_ended(yard: Standing):
    running, ended, unknown = [await of_job(yard, name) for name in ("running", "ended", "unknown")]
    for name in ("running", "ended"):
        await job(yard, name)
    await yard.peers.jobs.CancelJob(CancelJobRequest(id="ended"), **yard.peers.quick)
    await settle(yard)

    assert (await yard.state(running), yard.holders("ada/running")) == ("PENDING", {"cloud"})
    assert [await is_forgotten(yard, artifact) for artifact in (ended, unknown)] == [True, True]
    assert yard.holders("ada/ended") == yard.holders("ada/unknown") == set()


async def test_deletion_that_was_broken_off_is_finished(yard: Standing):
    artifact, kept = await yard.keep("ada/1"), await yard.keep("ada/2")
    await mark(yard, artifact)
    await settle(yard, YOUNG)
    while_young = yard.holders("ada/1")
    await settle(yard)

    assert while_young == {"cloud"}
    assert await is_forgotten(yard, artifact)
    assert yard.holders("ada/1") == set()
    assert (await yard.state(kept), yard.holders("ada/2")) == ("ACTIVE", {"cloud"})


async def test_record_that_a_dataset_refers_to_stays_and_says_that_its_object_is_gone(yard: Standing):
    artifact = await yard.keep("ada/d/a.csv", "datasets")
    dataset = Dataset(id="d", user_id="ada", name="d", artifact_id=artifact.id)
    request = CreateDatasetRequest(dataset=dataset, request_id="d")
    await yard.peers.datasets.CreateDataset(request, **yard.peers.quick)
    await mark(yard, artifact)
    await settle(yard)
    still = await yard.peers.datasets.GetDataset(GetDatasetRequest(id="d"), **yard.peers.quick)

    assert (await yard.state(artifact), yard.holders("ada/d/a.csv")) == ("DELETED", set())
    assert still.artifact_id == artifact.id


async def test_all_pages_are_settled(yard: Standing, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(leftovers, "PAGE_SIZE", 2)
    left = [await yard.announce(f"ada/{number}") for number in range(5)]
    await settle(yard)

    assert [await is_forgotten(yard, artifact) for artifact in left] == [True] * 5


async def test_one_that_cannot_be_settled_yet_hinders_no_other(yard: Standing):
    in_cloud, local = await yard.keep("ada/1"), await yard.keep("ada/2", "datasets")
    for artifact in (in_cloud, local):
        await mark(yard, artifact)
    yard.cloud.down = True
    await settle(yard)
    while_down = await yard.state(in_cloud), await is_forgotten(yard, local)
    yard.cloud.down = False
    await settle(yard)

    assert while_down == ("DELETING", True)
    assert await is_forgotten(yard, in_cloud)
    assert yard.holders("ada/1") == set()
