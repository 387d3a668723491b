"""What there is of every kind."""

from google.protobuf import duration_pb2

from modelyard.metadata.v1 import admin_pb2, experiment_pb2, job_pb2, run_pb2
from services.metadata.domain.transfers import CARRIED

from .aggregates import Aggregates, mask
from .conftest import Metadata


async def counts(aggregates: Aggregates, user_id: str = "") -> dict[str, int]:
    statistics = await aggregates.admin.GetStatistics(
        admin_pb2.GetStatisticsRequest(user_id=user_id), **aggregates.quick
    )
    return {each.entity: each.count for each in statistics.entities}


async def test_statistics_of_nothing_name_every_kind(metadata: Metadata):
    assert await counts(Aggregates(metadata)) == {each.name: 0 for each in CARRIED}


async def test_statistics_of_the_demo(metadata: Metadata):
    """004.10: models 3, model versions 2, datasets 2, runs 2, completed 1, experiments 1, predictions 5."""
    aggregates = Aggregates(metadata)
    models = [await aggregates.model(user_id=user) for user in ("ada", "ada", "grace")]
    versions = [await aggregates.version(model.id) for model in models[:2]]
    datasets = [await metadata.dataset() for _ in range(2)]
    runs = [await metadata.run(dataset_id=dataset.id) for dataset in datasets]
    done = run_pb2.UpdateRunRequest(
        run={"id": runs[0].id, "status": run_pb2.RUN_STATUS_COMPLETED}, update_mask=mask("status")
    )
    await metadata.runs.UpdateRun(done, **metadata.quick)
    metrics = [{"name": "loss", "split": "train", "step": step, "value": 1 / (step + 1)} for step in range(5)]
    await metadata.runs.BatchLogMetrics(run_pb2.LogMetricsRequest(run_id=runs[0].id, metrics=metrics), **metadata.quick)
    experiment = await aggregates.experiment()
    link = experiment_pb2.ExperimentRun(experiment_id=experiment.id, run_id=runs[0].id)
    request = experiment_pb2.CreateExperimentRunRequest(experiment_run=link, request_id="link")
    await aggregates.experiments.CreateExperimentRun(request, **metadata.quick)
    for _ in range(5):
        await aggregates.prediction(versions[0].id)
    statistics = await aggregates.admin.GetStatistics(admin_pb2.GetStatisticsRequest(), **metadata.quick)
    found = {each.entity: each for each in statistics.entities}
    mine, hers = await counts(aggregates, "grace"), await counts(aggregates, "ada")

    wanted = {"models": 3, "model_versions": 2, "datasets": 2, "artifacts": 2, "runs": 2, "metrics": 5}
    wanted |= {"experiments": 1, "experiment_runs": 1, "predictions": 5}
    assert {name: each.count for name, each in found.items() if each.count} == wanted
    assert {each.status: each.count for each in found["runs"].by_status} == {"completed": 1, "running": 1}
    assert {name: count for name, count in mine.items() if count} == {"models": 1}
    assert "metrics" not in mine
    assert {name: count for name, count in hers.items() if count} == {
        name: count for name, count in (wanted | {"models": 2}).items() if name != "metrics"
    }


async def test_jobs_are_counted_by_what_they_do(metadata: Metadata):
    """004.10: one that runs, and keeps what its steps left for the later ones, beside one that waits."""
    running, _ = await metadata.job(), await metadata.job()
    claim = job_pb2.ClaimJobRequest(worker="w", kinds=[running.kind], lease=duration_pb2.Duration(seconds=30))
    claimed = (await metadata.jobs.ClaimJob(claim, **metadata.quick)).job
    advance = job_pb2.AdvanceJobRequest(
        id=claimed.id, fencing_token=claimed.fencing_token, step="first", state={"left": [1]}
    )
    await metadata.jobs.AdvanceJob(advance, **metadata.quick)
    answer = await Aggregates(metadata).admin.GetStatistics(admin_pb2.GetStatisticsRequest(), **metadata.quick)
    [jobs] = [each for each in answer.entities if each.entity == "jobs"]

    assert {each.status: each.count for each in jobs.by_status} == {"queued": 1, "running": 1}
    assert jobs.count == 2
