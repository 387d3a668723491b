"""Runs: what they keep, how they go from one status to the next, what several add at once."""

import asyncio

import pytest
from grpc.aio import AioRpcError

from modelyard.metadata.v1 import run_pb2 as pb
from servicekit import statuses

from .aggregates import Aggregates, kept, mask
from .conftest import Metadata


@pytest.fixture
def aggregates(metadata: Metadata) -> Aggregates:
    return Aggregates(metadata)


async def become(aggregates: Aggregates, run_id: str, status: int) -> pb.Run:
    request = pb.UpdateRunRequest(run={"id": run_id, "status": status}, update_mask=mask("status"))
    return await aggregates.runs.UpdateRun(request, **aggregates.quick)


async def log(aggregates: Aggregates, run_id: str, fixed: bool = False, **values: object) -> pb.Run:
    request = pb.LogHyperparametersRequest(id=run_id, hyperparameters=values, fixed=fixed)
    return await aggregates.runs.LogHyperparameters(request, **aggregates.quick)


async def test_run_keeps_every_field(aggregates: Aggregates):
    """004.1: a training run tells what was trained, on what, with what, from when to when; 64-bit numbers are kept."""
    project, dataset = await aggregates.metadata.project(), await aggregates.metadata.dataset()
    experiment, model = await aggregates.experiment(), await aggregates.model()
    version = await aggregates.version(model.id)
    given = pb.Run(
        user_id="ada",
        project_id=project.id,
        dataset_id=dataset.id,
        job_id="job-1",
        name="first",
        status=pb.RUN_STATUS_FAILED,
        engine="quick",
        hyperparameters={"depth": 3.0, "nested": {"list": [1.0, "two", None, True, {}]}},
        start_time={"seconds": 1_700_000_000, "nanos": 123_456_000},
        end_time={"seconds": 1_700_000_009},
        experiment_id=experiment.id,
        model_id=model.id,
        base_version_id=version.id,
        planned_epochs=2**40,
        environment={"gpu": "none", "cores": 2},
        notes="Größe",
        error="out of memory",
        tags={"purpose": "test"},
    )
    request = pb.CreateRunRequest(run=given, request_id="one")
    created = await aggregates.runs.CreateRun(request, **aggregates.quick)
    got = await aggregates.runs.GetRun(pb.GetRunRequest(id=created.id), **aggregates.quick)

    assert created == got == kept(given, got)


@pytest.mark.parametrize("field", ["project_id", "dataset_id", "experiment_id", "model_id", "base_version_id"])
async def test_orphan_run_is_refused(aggregates: Aggregates, field: str):
    """004: an orphan run is refused, and the next write works."""
    with pytest.raises(AioRpcError) as raised:
        await aggregates.metadata.run(**{field: "nothing"})
    listed = await aggregates.runs.ListRuns(pb.ListRunsRequest(), **aggregates.quick)

    assert statuses.reason_of(raised.value) == "REFERENCE_MISSING"
    assert field in raised.value.details()
    assert list(listed.runs) == []
    assert (await aggregates.metadata.run()).id


async def test_run_goes_from_queued_to_its_end_with_its_times(aggregates: Aggregates):
    """004.2: update_training_run; start and end are known without anybody telling."""
    run = await aggregates.metadata.run(status=pb.RUN_STATUS_QUEUED)
    running = await become(aggregates, run.id, pb.RUN_STATUS_RUNNING)
    aggregates.clock.forward(60)
    ended = await become(aggregates, run.id, pb.RUN_STATUS_COMPLETED)

    assert not run.HasField("start_time")
    assert running.HasField("start_time")
    assert not running.HasField("end_time")
    assert 59 <= ended.end_time.seconds - ended.start_time.seconds <= 65


async def test_ended_run_is_taken_up_again(aggregates: Aggregates):
    run = await aggregates.metadata.run()
    await become(aggregates, run.id, pb.RUN_STATUS_FAILED)
    resumed = await become(aggregates, run.id, pb.RUN_STATUS_RUNNING)

    assert not resumed.HasField("end_time")
    assert resumed.status == pb.RUN_STATUS_RUNNING


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        (pb.RUN_STATUS_QUEUED, pb.RUN_STATUS_COMPLETED),
        (pb.RUN_STATUS_COMPLETED, pb.RUN_STATUS_FAILED),
        (pb.RUN_STATUS_FAILED, pb.RUN_STATUS_COMPLETED),
        (pb.RUN_STATUS_CANCELLED, pb.RUN_STATUS_QUEUED),
        (pb.RUN_STATUS_RUNNING, pb.RUN_STATUS_QUEUED),
    ],
)
async def test_status_that_does_not_follow_is_refused(aggregates: Aggregates, status: int, wanted: int):
    run = await aggregates.metadata.run(status=status)
    with pytest.raises(AioRpcError) as raised:
        await become(aggregates, run.id, wanted)

    assert raised.value.code().name == "FAILED_PRECONDITION"
    assert statuses.reason_of(raised.value) == "RUN_CANNOT_BECOME"
    assert (await aggregates.runs.GetRun(pb.GetRunRequest(id=run.id), **aggregates.quick)).status == status


async def test_repeated_status_changes_nothing_else(aggregates: Aggregates):
    run = await aggregates.metadata.run()
    failed = await become(aggregates, run.id, pb.RUN_STATUS_FAILED)
    aggregates.clock.forward(60)

    assert (await become(aggregates, run.id, pb.RUN_STATUS_FAILED)).end_time == failed.end_time


async def test_hyperparameters_are_added(aggregates: Aggregates):
    """004.2: log_hyperparameters and get_hyperparameters."""
    run = await aggregates.metadata.run(hyperparameters={"depth": 3})
    await log(aggregates, run.id, rate=0.1, layers=[64, 32])
    await log(aggregates, run.id, depth=4, optimizer="adam", nothing=None)
    got = await aggregates.runs.GetRun(pb.GetRunRequest(id=run.id), **aggregates.quick)

    wanted = {"depth": 4, "rate": 0.1, "layers": [64, 32], "optimizer": "adam", "nothing": None}
    assert got.hyperparameters == pb.Run(hyperparameters=wanted).hyperparameters
    assert got.etag != run.etag


async def test_fixed_hyperparameters_do_not_change(aggregates: Aggregates):
    run = await aggregates.metadata.run(hyperparameters={"depth": 3})
    again = await log(aggregates, run.id, depth=3, fixed=True)
    with pytest.raises(AioRpcError) as raised:
        await log(aggregates, run.id, depth=4, rate=0.1, fixed=True)
    got = await aggregates.runs.GetRun(pb.GetRunRequest(id=run.id), **aggregates.quick)

    assert raised.value.code().name == "ALREADY_EXISTS"
    assert run == again == got


@pytest.mark.parametrize("values", [{}, {"": 1}, {"n" * 201: 1}, {"rate": float("nan")}])
async def test_impossible_hyperparameters_are_refused(aggregates: Aggregates, values: dict[str, object]):
    run = await aggregates.metadata.run()
    with pytest.raises(AioRpcError) as raised:
        await log(aggregates, run.id, **values)

    assert statuses.field_of(raised.value) == "hyperparameters"


async def test_hyperparameters_of_no_run_are_not_found(aggregates: Aggregates):
    with pytest.raises(AioRpcError) as raised:
        await log(aggregates, "nobody", depth=1)

    assert raised.value.code().name == "NOT_FOUND"


async def test_what_many_log_at_once_is_all_kept(aggregates: Aggregates):
    run = await aggregates.metadata.run()
    await asyncio.gather(*(log(aggregates, run.id, **{f"p{number}": number}) for number in range(16)))
    got = await aggregates.runs.GetRun(pb.GetRunRequest(id=run.id), **aggregates.quick)

    assert dict(got.hyperparameters.items()) == {f"p{number}": number for number in range(16)}


async def test_tags_are_set_and_removed(aggregates: Aggregates):
    run = await aggregates.metadata.run(tags={"a": "1", "b": "2"})
    request = pb.TagRunRequest(id=run.id, tags={"c": "3"}, removed_names=["a", "unknown"])
    tagged = await aggregates.runs.TagRun(request, **aggregates.quick)

    assert dict(tagged.tags.items()) == {"b": "2", "c": "3"}
    assert await aggregates.runs.TagRun(request, **aggregates.quick) == tagged


async def test_runs_are_narrowed_by_all_they_belong_to(aggregates: Aggregates):
    project, dataset = await aggregates.metadata.project(), await aggregates.metadata.dataset()
    model = await aggregates.model()
    belongs = {"project_id": project.id, "dataset_id": dataset.id, "model_id": model.id, "job_id": "job-1", "name": "n"}
    run = await aggregates.metadata.run(status=pb.RUN_STATUS_QUEUED, **belongs)
    other = await aggregates.metadata.run()

    async def ids(**filters: object) -> list[str]:
        listed = await aggregates.runs.ListRuns(pb.ListRunsRequest(**filters), **aggregates.quick)
        return [each.id for each in listed.runs]

    assert await ids() == [other.id, run.id]
    assert [await ids(**{name: value}) for name, value in belongs.items()] == [[run.id]] * len(belongs)
    assert await ids(status=pb.RUN_STATUS_QUEUED) == [run.id]
    assert await ids(status=pb.RUN_STATUS_RUNNING, user_id="ada") == [other.id]
    assert await ids(project_id="another") == []
