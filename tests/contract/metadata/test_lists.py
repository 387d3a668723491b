"""Lists, a page at a time."""

import base64

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpc.aio import AioRpcError

from modelyard.metadata.v1 import artifact_pb2, job_pb2, project_pb2
from servicekit import statuses

from .conftest import Metadata, written_at


async def _pages(metadata: Metadata, **filters: object) -> list[list[str]]:
    pages: list[list[str]] = []
    token = ""
    while not pages or token:
        request = project_pb2.ListProjectsRequest(page_token=token, **filters)
        response = await metadata.projects.ListProjects(request, **metadata.quick)
        pages.append([project.name for project in response.projects])
        token = response.next_page_token
    return pages


async def test_pages_are_newest_first_and_complete(metadata: Metadata):
    for number in range(7):
        await metadata.project(name=f"p{number}")

    assert await _pages(metadata, page_size=3) == [["p6", "p5", "p4"], ["p3", "p2", "p1"], ["p0"]]
    assert await _pages(metadata, page_size=7) == [["p6", "p5", "p4", "p3", "p2", "p1", "p0"]]
    assert await _pages(metadata) == [["p6", "p5", "p4", "p3", "p2", "p1", "p0"]]


async def test_pages_of_one_user_hold_nobody_elses(metadata: Metadata):
    for number in range(4):
        await metadata.project(name=f"p{number}", user_id="ada" if number % 2 else "grace")

    assert await _pages(metadata, user_id="ada", page_size=1) == [["p3"], ["p1"]]
    assert await _pages(metadata, user_id="nobody") == [[]]


async def test_what_is_created_meanwhile_shifts_no_page(metadata: Metadata):
    for number in range(4):
        await metadata.project(name=f"p{number}")
    first = await metadata.projects.ListProjects(project_pb2.ListProjectsRequest(page_size=2), **metadata.quick)
    await metadata.project(name="late")
    request = project_pb2.ListProjectsRequest(page_size=2, page_token=first.next_page_token)
    second = await metadata.projects.ListProjects(request, **metadata.quick)

    assert [project.name for project in second.projects] == ["p1", "p0"]


async def test_token_of_another_list_or_made_up_is_refused(metadata: Metadata):
    for _ in range(3):
        await metadata.project()
        await metadata.job()
    request = project_pb2.ListProjectsRequest(page_size=1)
    token = (await metadata.projects.ListProjects(request, **metadata.quick)).next_page_token
    seal, *position = base64.urlsafe_b64decode(token + "==").partition(b",")
    moved = base64.urlsafe_b64encode(seal + b"".join(position).replace(b"20", b"19", 1)).decode()
    for forged in ("x", "????", token[:-3], token + "abcd", moved, "bnVsbA", base64.b64encode(b"[" * 5000).decode()):
        request = project_pb2.ListProjectsRequest(page_size=1, page_token=forged)
        with pytest.raises(AioRpcError) as raised:
            await metadata.projects.ListProjects(request, **metadata.quick)
        assert raised.value.code().name == "INVALID_ARGUMENT", forged
    request = project_pb2.ListProjectsRequest(page_size=1, page_token=token, user_id="ada")
    with pytest.raises(AioRpcError) as other_filter:
        await metadata.projects.ListProjects(request, **metadata.quick)
    with pytest.raises(AioRpcError) as other_list:
        await metadata.jobs.ListJobs(job_pb2.ListJobsRequest(page_size=1, page_token=token), **metadata.quick)

    assert statuses.field_of(other_filter.value) == "page_token"
    assert statuses.field_of(other_list.value) == "page_token"


@pytest.mark.parametrize("size", [-1, 1001])
async def test_impossible_page_size_is_refused(metadata: Metadata, size: int):
    with pytest.raises(AioRpcError) as raised:
        await metadata.projects.ListProjects(project_pb2.ListProjectsRequest(page_size=size), **metadata.quick)

    assert statuses.field_of(raised.value) == "page_size"


async def test_artifacts_are_narrowed_by_state_and_by_when_they_last_changed(metadata: Metadata):
    old = await metadata.artifact()
    written = await metadata.artifact()
    await metadata.artifacts.ActivateArtifact(written_at(written.id), **metadata.quick)
    metadata.clock.forward(3600)
    await metadata.artifact()
    before = Timestamp()
    before.FromDatetime(metadata.clock())
    before.seconds -= 60
    request = artifact_pb2.ListArtifactsRequest(state=artifact_pb2.ARTIFACT_STATE_PENDING, updated_before=before)
    found = await metadata.artifacts.ListArtifacts(request, **metadata.quick)

    assert [artifact.id for artifact in found.artifacts] == [old.id]


async def test_jobs_are_narrowed_by_status(metadata: Metadata):
    cancelled, queued = await metadata.job(), await metadata.job()
    await metadata.jobs.CancelJob(job_pb2.CancelJobRequest(id=cancelled.id), **metadata.quick)
    request = job_pb2.ListJobsRequest(status=job_pb2.JOB_STATUS_QUEUED, user_id="ada")
    found = await metadata.jobs.ListJobs(request, **metadata.quick)

    assert [job.id for job in found.jobs] == [queued.id]
