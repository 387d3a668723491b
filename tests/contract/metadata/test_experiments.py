"""Experiments, and the runs that are part of them."""

import pytest
from grpc.aio import AioRpcError

from modelyard.metadata.v1 import experiment_pb2 as pb
from modelyard.metadata.v1 import run_pb2

from .aggregates import Aggregates, kept, mask
from .conftest import Metadata


@pytest.fixture
def aggregates(metadata: Metadata) -> Aggregates:
    return Aggregates(metadata)


async def join(aggregates: Aggregates, experiment_id: str, run_id: str, **fields: object) -> pb.ExperimentRun:
    given = pb.ExperimentRun(experiment_id=experiment_id, run_id=run_id, **fields)
    request = pb.CreateExperimentRunRequest(experiment_run=given, request_id=aggregates.request_id())
    return await aggregates.experiments.CreateExperimentRun(request, **aggregates.quick)


async def runs_of(aggregates: Aggregates, **filters: object) -> list[str]:
    request = pb.ListExperimentRunsRequest(**filters)
    listed = await aggregates.experiments.ListExperimentRuns(request, **aggregates.quick)
    return [each.run_id for each in listed.experiment_runs]


async def test_experiment_keeps_every_field(aggregates: Aggregates):
    """004.1: an experiment has a name, a description, a goal and labels."""
    project = await aggregates.metadata.project()
    given = pb.Experiment(
        user_id="ada",
        project_id=project.id,
        name="Größe",
        description="Which depth is enough?",
        goal="F1 above 0.9",
        conclusion="Six layers",
        status="completed",
        tags={"team": "vision", "round": 3},
    )
    request = pb.CreateExperimentRequest(experiment=given, request_id="one")
    created = await aggregates.experiments.CreateExperiment(request, **aggregates.quick)
    got = await aggregates.experiments.GetExperiment(pb.GetExperimentRequest(id=created.id), **aggregates.quick)

    assert created == got == kept(given, got)


async def test_after_a_taken_name_the_next_write_works(aggregates: Aggregates):
    """004: after a duplicate name the next write works."""
    await aggregates.experiment(name="depth")
    with pytest.raises(AioRpcError) as raised:
        await aggregates.experiment(name="depth")
    other = await aggregates.experiment(name="width")

    assert raised.value.code().name == "ALREADY_EXISTS"
    assert other.name == "width"


async def test_experiment_is_updated_under_its_etag(aggregates: Aggregates):
    experiment = await aggregates.experiment()
    change = pb.Experiment(id=experiment.id, etag=experiment.etag, conclusion="Yes", status="archived")
    request = pb.UpdateExperimentRequest(experiment=change, update_mask=mask("conclusion", "status"))
    updated = await aggregates.experiments.UpdateExperiment(request, **aggregates.quick)
    with pytest.raises(AioRpcError) as raised:
        await aggregates.experiments.UpdateExperiment(request, **aggregates.quick)

    assert (updated.conclusion, updated.status, updated.name) == ("Yes", "archived", experiment.name)
    assert raised.value.code().name == "ABORTED"


async def test_run_is_part_of_several_experiments(aggregates: Aggregates):
    """004.2: add_experiment_run and get_experiment_runs."""
    first, second = await aggregates.experiment(), await aggregates.experiment()
    runs = [await aggregates.metadata.run() for _ in range(3)]
    for run in runs:
        await join(aggregates, first.id, run.id, variant="baseline")
    link = await join(aggregates, second.id, runs[0].id, variant="deeper", notes="more layers")

    assert await runs_of(aggregates, experiment_id=first.id) == [run.id for run in reversed(runs)]
    assert await runs_of(aggregates, experiment_id=second.id) == [runs[0].id]
    assert await runs_of(aggregates, run_id=runs[0].id) == [runs[0].id] * 2
    assert (link.variant, link.notes) == ("deeper", "more layers")


async def test_run_is_part_of_an_experiment_once(aggregates: Aggregates):
    experiment, run = await aggregates.experiment(), await aggregates.metadata.run()
    await join(aggregates, experiment.id, run.id)
    with pytest.raises(AioRpcError) as raised:
        await join(aggregates, experiment.id, run.id)

    assert raised.value.code().name == "ALREADY_EXISTS"


@pytest.mark.parametrize("missing", ["experiment_id", "run_id"])
async def test_orphans_are_refused(aggregates: Aggregates, missing: str):
    """004: an orphan run is refused."""
    experiment, run = await aggregates.experiment(), await aggregates.metadata.run()
    ids = {"experiment_id": experiment.id, "run_id": run.id, missing: "nobody"}
    with pytest.raises(AioRpcError) as raised:
        await join(aggregates, **ids)

    assert raised.value.code().name == "FAILED_PRECONDITION"
    assert missing in raised.value.details()


async def test_run_made_in_an_experiment_is_part_of_it(aggregates: Aggregates):
    experiment = await aggregates.experiment()
    run = await aggregates.metadata.run(experiment_id=experiment.id)
    await aggregates.metadata.run()
    listed = await aggregates.runs.ListRuns(run_pb2.ListRunsRequest(experiment_id=experiment.id), **aggregates.quick)

    assert await runs_of(aggregates, experiment_id=experiment.id) == [run.id]
    assert [each.id for each in listed.runs] == [run.id]


async def test_runs_outlive_their_experiment_and_not_the_other_way_round(aggregates: Aggregates):
    """004.5: what refers to a deleted record goes with it, or stays without the reference."""
    experiment, other = await aggregates.experiment(), await aggregates.experiment()
    run = await aggregates.metadata.run(experiment_id=experiment.id)
    await join(aggregates, other.id, run.id)
    request = pb.DeleteExperimentRequest(id=experiment.id)
    deleted = await aggregates.experiments.DeleteExperiment(request, **aggregates.quick)
    left = await aggregates.runs.GetRun(run_pb2.GetRunRequest(id=run.id), **aggregates.quick)
    await aggregates.runs.DeleteRun(run_pb2.DeleteRunRequest(id=run.id), **aggregates.quick)

    assert deleted.count == 2
    assert left.experiment_id == ""
    assert await runs_of(aggregates, experiment_id=other.id) == []
    assert await aggregates.experiments.GetExperiment(pb.GetExperimentRequest(id=other.id), **aggregates.quick) == other


async def test_run_leaves_an_experiment(aggregates: Aggregates):
    experiment, run = await aggregates.experiment(), await aggregates.metadata.run()
    link = await join(aggregates, experiment.id, run.id)
    request = pb.DeleteExperimentRunRequest(id=link.id)
    await aggregates.experiments.DeleteExperimentRun(request, **aggregates.quick)
    again = pb.DeleteExperimentRunRequest(id=link.id, allow_missing=True)

    assert (await aggregates.experiments.DeleteExperimentRun(again, **aggregates.quick)).count == 0
    assert await runs_of(aggregates, experiment_id=experiment.id) == []


async def test_experiments_are_narrowed_by_project_name_and_status(aggregates: Aggregates):
    project = await aggregates.metadata.project()
    mine = await aggregates.experiment(project_id=project.id, name="mine")
    done = await aggregates.experiment(status="completed")

    async def ids(**filters: str) -> list[str]:
        request = pb.ListExperimentsRequest(**filters)
        listed = await aggregates.experiments.ListExperiments(request, **aggregates.quick)
        return [each.id for each in listed.experiments]

    assert await ids() == [done.id, mine.id]
    assert await ids(project_id=project.id) == await ids(name="mine", user_id="ada") == [mine.id]
    assert await ids(status="completed") == [done.id]
