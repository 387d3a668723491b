"""What refers to what, and what falls with what."""

import pytest
from grpc.aio import AioRpcError

from modelyard.common.v1.metric_pb2 import Metric
from modelyard.metadata.v1 import artifact_pb2, dataset_pb2, model_pb2, project_pb2, run_pb2
from servicekit import statuses

from .conftest import SHA256, Metadata, written_at


@pytest.mark.parametrize("field", ["project_id", "artifact_id"])
async def test_dataset_of_what_is_not_there_is_refused(metadata: Metadata, field: str):
    with pytest.raises(AioRpcError) as raised:
        await metadata.dataset(**{field: "no"})

    assert raised.value.code().name == "FAILED_PRECONDITION"
    assert statuses.reason_of(raised.value) == "REFERENCE_MISSING"
    assert field in raised.value.details()


async def test_orphan_run_is_refused(metadata: Metadata):
    with pytest.raises(AioRpcError) as raised:
        await metadata.run(dataset_id="no")

    assert raised.value.code().name == "FAILED_PRECONDITION"


async def test_one_artifact_is_of_one_dataset(metadata: Metadata):
    artifact = await metadata.artifact()
    await metadata.dataset(artifact_id=artifact.id)
    with pytest.raises(AioRpcError) as raised:
        await metadata.dataset(artifact_id=artifact.id)

    assert raised.value.code().name == "ALREADY_EXISTS"


async def test_dataset_and_its_artifact_become_real_together(metadata: Metadata):
    artifact = await metadata.artifact()
    request = dataset_pb2.CreateDatasetRequest(
        dataset={"user_id": "ada", "name": "churn", "artifact_id": artifact.id},
        request_id="one",
        artifact=written_at(artifact.id),
    )
    dataset = await metadata.datasets.CreateDataset(request, **metadata.quick)
    again = await metadata.datasets.CreateDataset(request, **metadata.quick)
    got = await metadata.artifacts.GetArtifact(artifact_pb2.GetArtifactRequest(id=artifact.id), **metadata.quick)

    assert dataset == again
    assert got.state == artifact_pb2.ARTIFACT_STATE_ACTIVE
    assert (got.backend, got.size, got.sha256) == ("local", 12, SHA256)


async def test_refused_dataset_leaves_its_artifact_pending(metadata: Metadata):
    artifact = await metadata.artifact()
    request = dataset_pb2.CreateDatasetRequest(
        dataset={"user_id": "ada", "name": "churn", "artifact_id": artifact.id, "project_id": "no"},
        request_id="one",
        artifact=written_at(artifact.id),
    )
    with pytest.raises(AioRpcError):
        await metadata.datasets.CreateDataset(request, **metadata.quick)
    got = await metadata.artifacts.GetArtifact(artifact_pb2.GetArtifactRequest(id=artifact.id), **metadata.quick)

    assert got.state == artifact_pb2.ARTIFACT_STATE_PENDING


async def test_dataset_takes_its_artifact_along_and_its_run_forgets_it(metadata: Metadata):
    dataset = await metadata.dataset()
    run = await metadata.run(dataset_id=dataset.id)
    deleted = await metadata.datasets.DeleteDataset(dataset_pb2.DeleteDatasetRequest(id=dataset.id), **metadata.quick)
    got = await metadata.runs.GetRun(run_pb2.GetRunRequest(id=run.id), **metadata.quick)
    request = artifact_pb2.GetArtifactRequest(id=dataset.artifact_id)
    with pytest.raises(AioRpcError) as raised:
        await metadata.artifacts.GetArtifact(request, **metadata.quick)

    assert deleted.count == 2
    assert got.dataset_id == ""
    assert got.etag != run.etag
    assert raised.value.code().name == "NOT_FOUND"


async def test_project_leaves_its_datasets_runs_and_models_behind(metadata: Metadata):
    project = await metadata.project()
    dataset = await metadata.dataset(project_id=project.id)
    run = await metadata.run(project_id=project.id)
    published = await metadata.models.PublishModelVersion(
        await metadata.publication(project_id=project.id), **metadata.quick
    )
    deleted = await metadata.projects.DeleteProject(project_pb2.DeleteProjectRequest(id=project.id), **metadata.quick)
    left = [
        await metadata.datasets.GetDataset(dataset_pb2.GetDatasetRequest(id=dataset.id), **metadata.quick),
        await metadata.runs.GetRun(run_pb2.GetRunRequest(id=run.id), **metadata.quick),
        await metadata.models.GetModel(model_pb2.GetModelRequest(id=published.model.id), **metadata.quick),
    ]

    assert published.model.project_id == project.id
    assert deleted.count == 1
    assert [each.project_id for each in left] == ["", "", ""]


async def test_model_takes_its_versions_and_their_artifacts_along(metadata: Metadata):
    first = await metadata.models.PublishModelVersion(await metadata.publication(), **metadata.quick)
    second = await metadata.models.PublishModelVersion(await metadata.publication(), **metadata.quick)
    deleted = await metadata.models.DeleteModel(model_pb2.DeleteModelRequest(id=first.model.id), **metadata.quick)
    artifacts = await metadata.artifacts.ListArtifacts(artifact_pb2.ListArtifactsRequest(), **metadata.quick)
    run = await metadata.runs.GetRun(run_pb2.GetRunRequest(id=second.version.run_id), **metadata.quick)

    assert deleted.count == 5
    assert not artifacts.artifacts
    assert run.status == run_pb2.RUN_STATUS_COMPLETED


async def test_run_takes_its_metrics_along_and_its_version_forgets_it(metadata: Metadata):
    request = await metadata.publication(metrics=[Metric(name="accuracy", value=0.9, split="test")])
    published = await metadata.models.PublishModelVersion(request, **metadata.quick)
    deleted = await metadata.runs.DeleteRun(run_pb2.DeleteRunRequest(id=request.run.id), **metadata.quick)
    version = await metadata.models.GetModelVersion(
        model_pb2.GetModelVersionRequest(id=published.version.id), **metadata.quick
    )

    assert deleted.count == 2
    assert version.run_id == ""


async def test_artifact_that_is_referred_to_stays(metadata: Metadata):
    dataset = await metadata.dataset()
    free = await metadata.artifact()
    request = artifact_pb2.DeleteArtifactRequest(id=dataset.artifact_id, allow_missing=True)
    with pytest.raises(AioRpcError) as raised:
        await metadata.artifacts.DeleteArtifact(request, **metadata.quick)
    deleted = await metadata.artifacts.DeleteArtifact(artifact_pb2.DeleteArtifactRequest(id=free.id), **metadata.quick)

    assert raised.value.code().name == "FAILED_PRECONDITION"
    assert statuses.reason_of(raised.value) == "RECORD_IN_USE"
    assert deleted.count == 1


async def test_artifact_goes_from_pending_over_active_to_deleting(metadata: Metadata):
    artifact = await metadata.artifact()
    active = await metadata.artifacts.ActivateArtifact(written_at(artifact.id), **metadata.quick)
    again = await metadata.artifacts.ActivateArtifact(written_at(artifact.id), **metadata.quick)
    mark = artifact_pb2.MarkArtifactDeletingRequest(id=artifact.id)
    deleting = await metadata.artifacts.MarkArtifactDeleting(mark, **metadata.quick)
    repeated = await metadata.artifacts.MarkArtifactDeleting(mark, **metadata.quick)
    with pytest.raises(AioRpcError) as raised:
        await metadata.artifacts.ActivateArtifact(written_at(artifact.id), **metadata.quick)

    assert active == again
    assert active.state == artifact_pb2.ARTIFACT_STATE_ACTIVE
    assert deleting == repeated
    assert deleting.state == artifact_pb2.ARTIFACT_STATE_DELETING
    assert raised.value.code().name == "FAILED_PRECONDITION"
