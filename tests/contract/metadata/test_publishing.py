"""A trained model is recorded in one transaction, once."""

import asyncio

import pytest
from grpc.aio import AioRpcError

from modelyard.common.v1.metric_pb2 import Metric
from modelyard.metadata.v1 import artifact_pb2, model_pb2, project_pb2, run_pb2
from servicekit import statuses

from .conftest import SHA256, Metadata, written_at


async def test_everything_is_recorded_together(metadata: Metadata):
    project, dataset = await metadata.project(), await metadata.dataset()
    request = await metadata.publication(
        project_id=project.id, metrics=[Metric(name="accuracy", value=0.9), Metric(name="log_loss", value=0.3)]
    )
    request.version.dataset_id = dataset.id
    request.version.details.update({"leaderboard": [{"model": "a", "score": 0.9}]})
    request.run.engine = "quick"
    request.run.hyperparameters.update({"depth": 3})
    request.run.start_time.FromSeconds(1_700_000_000)
    request.run.end_time.FromSeconds(1_700_000_009)
    published = await metadata.models.PublishModelVersion(request, **metadata.quick)
    run_id, artifact_id = request.run.id, request.artifact.id
    version = await metadata.models.GetModelVersion(
        model_pb2.GetModelVersionRequest(model_id=published.model.id), **metadata.quick
    )
    run = await metadata.runs.GetRun(run_pb2.GetRunRequest(id=run_id), **metadata.quick)
    artifact = await metadata.artifacts.GetArtifact(artifact_pb2.GetArtifactRequest(id=artifact_id), **metadata.quick)
    metrics = await metadata.runs.ListMetrics(run_pb2.ListMetricsRequest(run_id=run_id), **metadata.quick)
    finished = await metadata.projects.GetProject(project_pb2.GetProjectRequest(id=project.id), **metadata.quick)

    assert (published.model.name, published.model.latest_version, published.model.user_id) == ("churn", 1, "ada")
    assert version == published.version
    assert (version.model_id, version.version) == (published.model.id, 1)
    assert (version.run_id, version.artifact_id, version.dataset_id) == (run_id, artifact_id, dataset.id)
    assert version.details == request.version.details
    assert (run.status, run.engine, run.end_time.seconds) == (run_pb2.RUN_STATUS_COMPLETED, "quick", 1_700_000_009)
    assert run.hyperparameters["depth"] == 3
    assert (artifact.state, artifact.sha256) == (artifact_pb2.ARTIFACT_STATE_ACTIVE, SHA256)
    assert [(each.name, each.split, each.value) for each in metrics.metrics] == [
        ("accuracy", "test", 0.9),
        ("log_loss", "test", 0.3),
    ]
    assert finished.status == "completed"


async def test_repeat_for_one_version_returns_what_the_first_recorded(metadata: Metadata):
    request = await metadata.publication()
    answers = await asyncio.gather(*(metadata.models.PublishModelVersion(request, **metadata.quick) for _ in range(8)))
    models = await metadata.models.ListModels(model_pb2.ListModelsRequest(), **metadata.quick)

    assert all(answer == answers[0] for answer in answers)
    assert [model.latest_version for model in models.models] == [1]


async def test_versions_of_one_name_are_counted_up(metadata: Metadata):
    requests = [await metadata.publication() for _ in range(4)]
    answers = await asyncio.gather(
        *(metadata.models.PublishModelVersion(request, **metadata.quick) for request in requests)
    )
    model_id = answers[0].model.id
    first = await metadata.models.ListModelVersions(
        model_pb2.ListModelVersionsRequest(model_id=model_id, page_size=3), **metadata.quick
    )
    rest = await metadata.models.ListModelVersions(
        model_pb2.ListModelVersionsRequest(model_id=model_id, page_size=3, page_token=first.next_page_token),
        **metadata.quick,
    )
    newest = await metadata.models.GetModelVersion(
        model_pb2.GetModelVersionRequest(model_id=model_id), **metadata.quick
    )
    second = await metadata.models.GetModelVersion(
        model_pb2.GetModelVersionRequest(model_id=model_id, version=2), **metadata.quick
    )

    assert {answer.model.id for answer in answers} == {model_id}
    assert [version.version for version in first.model_versions] == [4, 3, 2]
    assert [version.version for version in rest.model_versions] == [1]
    assert rest.next_page_token == ""
    assert (newest.version, second.version) == (4, 2)


async def test_name_of_another_user_is_another_model(metadata: Metadata):
    mine = await metadata.models.PublishModelVersion(await metadata.publication(), **metadata.quick)
    other = await metadata.models.PublishModelVersion(await metadata.publication(user_id="grace"), **metadata.quick)

    assert mine.model.id != other.model.id
    assert other.version.version == 1


async def _nothing_recorded(metadata: Metadata, request: model_pb2.PublishModelVersionRequest) -> bool:
    models = await metadata.models.ListModels(model_pb2.ListModelsRequest(), **metadata.quick)
    artifacts = await metadata.artifacts.ListArtifacts(artifact_pb2.ListArtifactsRequest(), **metadata.quick)
    runs = await metadata.runs.ListRuns(run_pb2.ListRunsRequest(), **metadata.quick)
    pending = all(each.state == artifact_pb2.ARTIFACT_STATE_PENDING for each in artifacts.artifacts)
    running = all(each.status == run_pb2.RUN_STATUS_RUNNING for each in runs.runs)
    return not models.models and pending and running


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda request: request.run.ClearField("id"), "INVALID_ARGUMENT"),
        (lambda request: request.run.MergeFrom(run_pb2.Run(id="no")), "NOT_FOUND"),
        (lambda request: request.artifact.MergeFrom(written_at("no")), "NOT_FOUND"),
        (lambda request: request.MergeFrom(type(request)(project_id="no")), "FAILED_PRECONDITION"),
        (lambda request: request.version.MergeFrom(model_pb2.ModelVersion(run_id="other")), "INVALID_ARGUMENT"),
        (lambda request: request.version.ClearField("id"), "INVALID_ARGUMENT"),
        (lambda request: request.ClearField("model_name"), "INVALID_ARGUMENT"),
        (lambda request: request.metrics.add(name="r2", value=float("nan")), "INVALID_ARGUMENT"),
        (lambda request: request.version.MergeFrom(model_pb2.ModelVersion(score=float("nan"))), "INVALID_ARGUMENT"),
    ],
)
async def test_refused_publication_changes_nothing(metadata: Metadata, change, code: str):
    request = await metadata.publication()
    change(request)
    with pytest.raises(AioRpcError) as raised:
        await metadata.models.PublishModelVersion(request, **metadata.quick)

    assert raised.value.code().name == code
    assert await _nothing_recorded(metadata, request)


async def test_artifact_of_another_version_is_refused_and_nothing_changes(metadata: Metadata):
    first = await metadata.publication()
    await metadata.models.PublishModelVersion(first, **metadata.quick)
    second = await metadata.publication(artifact=first.artifact)
    with pytest.raises(AioRpcError) as raised:
        await metadata.models.PublishModelVersion(second, **metadata.quick)
    model = (await metadata.models.ListModels(model_pb2.ListModelsRequest(), **metadata.quick)).models[0]
    run = await metadata.runs.GetRun(run_pb2.GetRunRequest(id=second.run.id), **metadata.quick)

    assert raised.value.code().name == "ALREADY_EXISTS"
    assert model.latest_version == 1
    assert run.status == run_pb2.RUN_STATUS_RUNNING


async def test_number_that_no_version_has_is_not_found(metadata: Metadata):
    published = await metadata.models.PublishModelVersion(await metadata.publication(), **metadata.quick)
    request = model_pb2.GetModelVersionRequest(model_id=published.model.id, version=9)
    with pytest.raises(AioRpcError) as raised:
        await metadata.models.GetModelVersion(request, **metadata.quick)

    assert raised.value.code().name == "NOT_FOUND"
    assert statuses.reason_of(raised.value) == "RECORD_NOT_FOUND"


async def test_a_model_whose_dataset_was_deleted_meanwhile_is_recorded_without_it(metadata: Metadata):
    """002.10: deleting a dataset leaves the models that are trained on it."""
    request = await metadata.publication()
    request.version.dataset_id = "deleted"
    published = await metadata.models.PublishModelVersion(request, **metadata.quick)

    assert published.version.dataset_id == ""


async def test_new_model_takes_the_id_it_was_promised_and_only_once(metadata: Metadata):
    """002.2: a package's key holds its model's id, which is known before the model is recorded."""
    first = await metadata.publication(model_id="promised")
    second = await metadata.publication(model_id="another")
    other_name = await metadata.publication(model_id="promised", model_name="sales")
    answers = [
        await metadata.models.PublishModelVersion(request, **metadata.quick) for request in (first, second, other_name)
    ]

    assert [answer.model.id for answer in answers[:2]] == ["promised", "promised"]
    assert [answer.version.version for answer in answers] == [1, 2, 1]
    assert answers[2].model.id not in ("promised", "")


async def test_model_is_found_by_its_name(metadata: Metadata):
    mine = await metadata.models.PublishModelVersion(await metadata.publication(), **metadata.quick)
    await metadata.models.PublishModelVersion(await metadata.publication(user_id="grace"), **metadata.quick)
    await metadata.models.PublishModelVersion(await metadata.publication(model_name="sales"), **metadata.quick)
    request = model_pb2.ListModelsRequest(user_id="ada", name="churn")
    found = await metadata.models.ListModels(request, **metadata.quick)

    assert [model.id for model in found.models] == [mine.model.id]


async def test_every_version_moves_its_projects_time_of_change(metadata: Metadata):
    """000.13: the project is completed and its time of change moves, also with the second model."""
    project = await metadata.project()
    times = []
    for _ in range(2):
        metadata.clock.forward(60)
        await metadata.models.PublishModelVersion(await metadata.publication(project_id=project.id), **metadata.quick)
        now = await metadata.projects.GetProject(project_pb2.GetProjectRequest(id=project.id), **metadata.quick)
        times.append(now.update_time.seconds)

    assert now.status == "completed"
    assert project.create_time.seconds + 60 <= times[0] <= times[1] - 60
