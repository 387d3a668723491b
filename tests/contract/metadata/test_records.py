"""Every kind of record: create, get, list, update, delete."""

import asyncio
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from grpc.aio import AioRpcError

from modelyard.metadata.v1 import artifact_pb2, dataset_pb2, job_pb2, model_pb2, project_pb2, run_pb2
from servicekit import statuses

from .conftest import SHA256, Metadata, written_at


async def test_project_is_created_with_what_the_service_sets(metadata: Metadata):
    project = await metadata.project(name="Churn", task_type="image_classification")
    got = await metadata.projects.GetProject(project_pb2.GetProjectRequest(id=project.id), **metadata.quick)

    assert got == project
    assert (got.user_id, got.name, got.task_type, got.status) == ("ada", "Churn", "image_classification", "active")
    assert got.id
    assert got.etag
    assert got.create_time == got.update_time
    assert abs(got.create_time.seconds - metadata.clock().timestamp()) < 5


async def test_dataset_keeps_every_field(metadata: Metadata):
    project, artifact = await metadata.project(), await metadata.artifact()
    given = {
        "id": "my-dataset_1",
        "user_id": "ada",
        "project_id": project.id,
        "artifact_id": artifact.id,
        "name": "Größe — 데이터",
        "file_name": "größe.csv",
        "row_count": 2**40,
        "column_count": 3,
        "column_names": ["a", "größe", ""],
        "file_size": 2**50,
        "sha256": SHA256,
        "format": {"delimiter": "\t", "encoding": "utf-8-sig"},
        "target_column": "größe",
        "source": "upload",
        "status": "ready",
        "kind": "archive",
    }
    created = await metadata.dataset(**given)
    got = await metadata.datasets.GetDataset(dataset_pb2.GetDatasetRequest(id="my-dataset_1"), **metadata.quick)

    wanted = dataset_pb2.Dataset(**given, create_time=got.create_time, update_time=got.update_time, etag=got.etag)
    assert created == got == wanted


async def test_run_keeps_documents_and_times(metadata: Metadata):
    hyperparameters = {"depth": 3.0, "nested": {"list": [1.0, "two", None, True, {}]}, "none": None}
    created = await metadata.run(
        name="first",
        status=run_pb2.RUN_STATUS_RUNNING,
        hyperparameters=hyperparameters,
        start_time={"seconds": 1_700_000_000, "nanos": 123_456_000},
    )
    got = await metadata.runs.GetRun(run_pb2.GetRunRequest(id=created.id), **metadata.quick)

    assert got == created
    assert got.hyperparameters == run_pb2.Run(hyperparameters=hyperparameters).hyperparameters
    assert got.start_time.nanos == 123_456_000
    assert not got.HasField("end_time")


async def test_announced_artifact_is_pending_whatever_was_given(metadata: Metadata):
    artifact = await metadata.artifact(state=artifact_pb2.ARTIFACT_STATE_ACTIVE, uri="file:///x", size=3)

    assert artifact.state == artifact_pb2.ARTIFACT_STATE_PENDING
    assert (artifact.uri, artifact.size) == ("", 0)


async def test_repeat_with_one_request_id_returns_the_first(metadata: Metadata):
    request = project_pb2.CreateProjectRequest(project={"user_id": "ada", "name": "Churn"}, request_id="one")
    first = await metadata.projects.CreateProject(request, **metadata.quick)
    second = await metadata.projects.CreateProject(request, **metadata.quick)

    assert first == second


async def test_twenty_creates_at_once_with_one_request_id_make_one_job(metadata: Metadata):
    request = job_pb2.CreateJobRequest(job={"user_id": "ada", "kind": "train"}, request_id="one")
    jobs = await asyncio.gather(*(metadata.jobs.CreateJob(request, **metadata.quick) for _ in range(20)))
    listed = await metadata.jobs.ListJobs(job_pb2.ListJobsRequest(), **metadata.quick)

    assert {job.id for job in jobs} == {listed.jobs[0].id}
    assert len(listed.jobs) == 1


async def test_taken_name_of_a_project_already_exists(metadata: Metadata):
    await metadata.project(name="Churn")
    await metadata.project(name="Churn", user_id="grace")
    with pytest.raises(AioRpcError) as raised:
        await metadata.project(name="Churn")

    assert raised.value.code().name == "ALREADY_EXISTS"
    assert "user_id, name" in raised.value.details()


async def test_after_a_refused_name_the_next_write_works(metadata: Metadata):
    await metadata.project(name="Churn")
    with pytest.raises(AioRpcError):
        await metadata.project(name="Churn")

    assert (await metadata.project(name="Other")).name == "Other"


async def test_taken_id_already_exists(metadata: Metadata):
    await metadata.run(id="mine")
    with pytest.raises(AioRpcError) as raised:
        await metadata.run(id="mine")

    assert raised.value.code().name == "ALREADY_EXISTS"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "n" * 201}, "name"),
        ({"name": " "}, "name"),
        ({"name": "two\nlines"}, "name"),
        ({"name": "nul\x00"}, "name"),
        ({"user_id": ""}, "user_id"),
        ({"id": "../etc/passwd"}, "id"),
        ({"id": "i" * 101}, "id"),
        ({"task_type": "fortune_telling"}, "task_type"),
        ({"status": "asleep"}, "status"),
    ],
)
async def test_impossible_project_is_refused(metadata: Metadata, fields: dict[str, str], field: str):
    with pytest.raises(AioRpcError) as raised:
        await metadata.project(**fields)

    assert raised.value.code().name == "INVALID_ARGUMENT"
    assert statuses.field_of(raised.value) == field


async def test_longest_name_and_names_in_any_script_are_kept(metadata: Metadata):
    project = await metadata.project(name="ü" * 200)

    assert project.name == "ü" * 200


@pytest.mark.parametrize(
    "fields",
    [
        {"hyperparameters": {"x": float("nan")}},
        {"hyperparameters": {"x": [float("inf")]}},
        {"hyperparameters": {"x\x00": 1}},
        {"start_time": {"seconds": 10**15}},
        {"start_time": {"seconds": -62_000_000_000}},
        {"status": 77},
    ],
)
async def test_impossible_run_is_refused(metadata: Metadata, fields: dict[str, Any]):
    with pytest.raises(AioRpcError) as raised:
        await metadata.run(**fields)

    assert raised.value.code().name == "INVALID_ARGUMENT"


async def test_create_without_request_id_is_refused(metadata: Metadata):
    with pytest.raises(AioRpcError) as raised:
        await metadata.runs.CreateRun(run_pb2.CreateRunRequest(run={"user_id": "ada"}), **metadata.quick)

    assert statuses.field_of(raised.value) == "request_id"


async def test_what_is_not_there_is_not_found(metadata: Metadata):
    calls = [
        metadata.projects.GetProject(project_pb2.GetProjectRequest(id="no"), **metadata.quick),
        metadata.datasets.GetDataset(dataset_pb2.GetDatasetRequest(id="no"), **metadata.quick),
        metadata.models.GetModel(model_pb2.GetModelRequest(id="no"), **metadata.quick),
        metadata.models.GetModelVersion(model_pb2.GetModelVersionRequest(id="no"), **metadata.quick),
        metadata.runs.GetRun(run_pb2.GetRunRequest(id=""), **metadata.quick),
        metadata.jobs.GetJob(job_pb2.GetJobRequest(id="no"), **metadata.quick),
        metadata.artifacts.GetArtifact(artifact_pb2.GetArtifactRequest(id="no"), **metadata.quick),
        metadata.projects.DeleteProject(project_pb2.DeleteProjectRequest(id="no"), **metadata.quick),
        metadata.artifacts.ActivateArtifact(written_at("no"), **metadata.quick),
        metadata.jobs.RetryJob(job_pb2.RetryJobRequest(id="no"), **metadata.quick),
    ]
    answers = await asyncio.gather(*calls, return_exceptions=True)

    assert [answer.code().name for answer in answers] == ["NOT_FOUND"] * len(calls)


async def test_update_changes_what_the_mask_names_and_the_etag(metadata: Metadata):
    before = await metadata.project(name="Old")
    given = project_pb2.Project(id=before.id, name="New", status="completed", etag=before.etag)
    request = project_pb2.UpdateProjectRequest(project=given, update_mask=FieldMask(paths=["name"]))
    after = await metadata.projects.UpdateProject(request, **metadata.quick)
    got = await metadata.projects.GetProject(project_pb2.GetProjectRequest(id=before.id), **metadata.quick)

    assert after == got
    assert (after.name, after.status) == ("New", "active")
    assert after.etag != before.etag
    assert after.update_time.ToNanoseconds() > before.update_time.ToNanoseconds()
    assert after.create_time == before.create_time


async def test_update_with_a_stale_etag_is_aborted_and_changes_nothing(metadata: Metadata):
    before = await metadata.project(name="Old")
    mask = FieldMask(paths=["name"])
    given = project_pb2.Project(id=before.id, name="New", etag=before.etag)
    await metadata.projects.UpdateProject(
        project_pb2.UpdateProjectRequest(project=given, update_mask=mask), **metadata.quick
    )
    given.name = "Newer"
    with pytest.raises(AioRpcError) as raised:
        await metadata.projects.UpdateProject(
            project_pb2.UpdateProjectRequest(project=given, update_mask=mask), **metadata.quick
        )
    got = await metadata.projects.GetProject(project_pb2.GetProjectRequest(id=before.id), **metadata.quick)

    assert raised.value.code().name == "ABORTED"
    assert statuses.reason_of(raised.value) == "RECORD_CHANGED"
    assert got.name == "New"


async def test_of_ten_updates_under_one_etag_one_wins(metadata: Metadata):
    before = await metadata.run()

    async def rename(number: int) -> bool:
        given = run_pb2.Run(id=before.id, name=f"name {number}", etag=before.etag)
        request = run_pb2.UpdateRunRequest(run=given, update_mask=FieldMask(paths=["name"]))
        try:
            await metadata.runs.UpdateRun(request, **metadata.quick)
        except AioRpcError as error:
            return error.code().name != "ABORTED"
        return True

    assert sum(await asyncio.gather(*(rename(number) for number in range(10)))) == 1


@pytest.mark.parametrize("paths", [[], ["user_id"], ["id"], ["nonsense"], ["name", "etag"], ["request_id"], ["*"]])
async def test_mask_with_an_unknown_or_fixed_field_is_refused(metadata: Metadata, paths: list[str]):
    project = await metadata.project()
    request = project_pb2.UpdateProjectRequest(
        project={"id": project.id, "name": "x"}, update_mask=FieldMask(paths=paths)
    )
    with pytest.raises(AioRpcError) as raised:
        await metadata.projects.UpdateProject(request, **metadata.quick)

    assert raised.value.code().name == "INVALID_ARGUMENT"


async def test_update_to_a_taken_name_already_exists(metadata: Metadata):
    await metadata.project(name="Taken")
    project = await metadata.project(name="Free")
    request = project_pb2.UpdateProjectRequest(
        project={"id": project.id, "name": "Taken"}, update_mask=FieldMask(paths=["name"])
    )
    with pytest.raises(AioRpcError) as raised:
        await metadata.projects.UpdateProject(request, **metadata.quick)

    assert raised.value.code().name == "ALREADY_EXISTS"


async def test_dataset_can_be_moved_out_of_its_project_but_not_to_one_that_is_not_there(metadata: Metadata):
    project = await metadata.project()
    dataset = await metadata.dataset(project_id=project.id)
    mask = FieldMask(paths=["project_id"])
    out = dataset_pb2.UpdateDatasetRequest(dataset={"id": dataset.id}, update_mask=mask)
    moved = await metadata.datasets.UpdateDataset(out, **metadata.quick)
    nowhere = dataset_pb2.UpdateDatasetRequest(dataset={"id": dataset.id, "project_id": "no"}, update_mask=mask)
    with pytest.raises(AioRpcError) as raised:
        await metadata.datasets.UpdateDataset(nowhere, **metadata.quick)

    assert moved.project_id == ""
    assert raised.value.code().name == "FAILED_PRECONDITION"
    assert statuses.reason_of(raised.value) == "REFERENCE_MISSING"


async def test_delete_of_what_is_gone_succeeds_only_when_it_may_be_missing(metadata: Metadata):
    project = await metadata.project()
    delete = project_pb2.DeleteProjectRequest(id=project.id, allow_missing=True)
    first = await metadata.projects.DeleteProject(delete, **metadata.quick)
    second = await metadata.projects.DeleteProject(delete, **metadata.quick)

    assert (first.count, second.count) == (1, 0)
