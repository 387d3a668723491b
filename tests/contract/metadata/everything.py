"""Several records of every kind, made through the API, with values that some database would bend."""

import math
import sys

from google.protobuf.timestamp_pb2 import Timestamp

from modelyard.metadata.v1 import (
    account_pb2,
    campaign_pb2,
    experiment_pb2,
    job_pb2,
    model_pb2,
    registry_pb2,
    registry_pb2_grpc,
    run_pb2,
)
from servicekit.channels import Channel

from .aggregates import Aggregates
from .conftest import Clock, Metadata, written_at

DOCUMENT = {
    "$set": {"a.b": [1, 2.5, -1e-7, 1e22, -0.0, True, None, {"": "empty"}]},
    "a.b": "\\ \" ' %s :x ? $1 \u2028 🎉",
    "\uff04x": {"$gt": 2**53 + 2, "": []},
    "large": [1e15, 2.0**60, 1.7976931348623157e308, 5e-324, 123456789012345680000],
    "é": "e\u0301",
    "nothing": {},
}
NAMES = ["A", "a", "a ", "名前 🎉", "e\u0301", "é"]
NUMBERS = [0.1, 1.0, -0.0, 1e22, math.pi * 1e300, 5e-324, math.inf, -math.inf, sys.float_info.max]
MOMENT = Timestamp(seconds=1_790_000_000, nanos=123_457_000)
HEX = ["507f1f77bcf86cd799439011", "607f1f77bcf86cd79943901a", "9" * 24, "f" * 24]
"""Ids that MongoDB keeps as ObjectIds, which it orders after all others."""


def house_of(channel: Channel) -> Aggregates:
    """The stubs over a channel to any service."""
    return Aggregates(Metadata(channel, Clock(), lambda: None))


async def seed(house: Aggregates, metrics: int = 60) -> None:
    """Record several of every kind."""
    await _seed_training(house, metrics)
    await _seed_work(house)
    await _seed_accounts(house)
    await _seed_posters(house)


async def _seed_training(house: Aggregates, metrics: int) -> None:
    metadata, quick = house.metadata, house.quick
    projects = [
        await metadata.project(id=id_, name=name) for id_, name in zip((*HEX, "p-1", "P_2"), NAMES, strict=True)
    ]
    experiment = await house.experiment(project_id=projects[0].id, tags=DOCUMENT)
    await house.experiment(name="x", description="名" * 5000)
    model = await house.model(project_id=projects[4].id, config=DOCUMENT)
    await house.model(name="y", tags={})
    copies = [{"backend": "azure", "bucket": "b", "uri": "https://x/?a=b&c=d"}]
    artifact = await metadata.artifact(project_id=projects[1].id, key="🎉" * 1000, kind="project")
    activation = written_at(artifact.id)
    activation.copies.add(**copies[0])
    await metadata.artifacts.ActivateArtifact(activation, **quick)
    dataset = await metadata.dataset(
        project_id=projects[2].id,
        file_size=2**62 + 1,
        column_names=["", "a", "🎉"],
        format={"delimiter": "\t", "encoding": "utf-8"},
        target_column="名" * 70_000,
        splits=DOCUMENT,
    )
    await metadata.dataset(name="images", kind="archive")
    await metadata.dataset(name="without", source="registered", uri="s3://x/y")
    run = await metadata.run(
        id=HEX[1],
        experiment_id=experiment.id,
        model_id=model.id,
        dataset_id=dataset.id,
        hyperparameters=DOCUMENT,
        start_time=MOMENT,
        end_time={"seconds": 1_790_000_001},
        environment={},
        notes="",
    )
    other = await metadata.run(name="%s :x ? $1", project_id=projects[3].id)
    link = {"experiment_id": experiment.id, "run_id": other.id, "variant": "b"}
    request = experiment_pb2.CreateExperimentRunRequest(experiment_run=link, request_id=house.request_id())
    await house.experiments.CreateExperimentRun(request, **quick)
    for each in (run, other):
        for name in ("loss", "🎉", 'a"\\b'):
            await _log(house, each.id, name, metrics // 6)
    odd = [{"name": "odd", "split": "test", "step": step, "value": value} for step, value in enumerate(NUMBERS)]
    odd.append({"name": "odd", "split": "test", "step": 2**63 - 1, "value": 1, "measure_time": MOMENT})
    await metadata.runs.BatchLogMetrics(run_pb2.LogMetricsRequest(run_id=run.id, metrics=odd), **quick)
    numbered = registry_pb2.NumberRecordsRequest(entity="runs", ids=[other.id, run.id])
    await registry_pb2_grpc.RegistryServiceStub(metadata.channel.grpc).NumberRecords(numbered, **quick)
    version = await house.version(model.id, details=DOCUMENT, label="v 1", run_id=run.id, features=["a", ""], score=1)
    await house.version(model.id, dataset_id=dataset.id)
    publication = await metadata.publication(version=model_pb2.ModelVersion(id="published", engine="quick", score=0.75))
    await metadata.models.PublishModelVersion(publication, **quick)
    await house.prediction(version.id, inputs=DOCUMENT, outputs={"y": [1]}, confidence=0, latency_ms=1.5)
    await house.prediction(version.id, predict_time=MOMENT, tags={"a": "b"})


async def _log(house: Aggregates, run_id: str, name: str, count: int) -> None:
    for begin in range(0, count, 10_000):
        steps = range(begin, min(count, begin + 10_000))
        told = [
            {"name": name, "split": "train", "step": step, "value": step / 7, "measure_time": MOMENT} for step in steps
        ]
        request = run_pb2.LogMetricsRequest(run_id=run_id, metrics=told)
        await house.runs.BatchLogMetrics(request, **house.quick)


async def _seed_work(house: Aggregates) -> None:
    metadata = house.metadata
    await metadata.job(kind="later", input=DOCUMENT, due_time={"seconds": 4_000_000_000, "nanos": 999_999_000})
    await metadata.job(kind="train", message="名")
    claimed = await metadata.jobs.ClaimJob(
        job_pb2.ClaimJobRequest(worker="w", kinds=["train"], lease={"seconds": 60}), **house.quick
    )
    error = {"code": "X", "message": "\u2028", "retryable": False}
    held = {"id": claimed.job.id, "fencing_token": claimed.job.fencing_token}
    await metadata.jobs.FailJob(job_pb2.FailJobRequest(**held, error=error), **house.quick)


async def _seed_accounts(house: Aggregates) -> None:
    user, other = await house.user(id=HEX[0], name="Ada 🎉"), await house.user()
    for each in (user, user, other):
        await house.session(each.id, remember_me=True, user_agent="x")
    for what in ("stories", "stories", "team_members"):
        request = account_pb2.ReserveUsageRequest(
            user_id=user.id, what=what, amount=2, limit=100, request_id=house.request_id()
        )
        await house.accounts.ReserveUsage(request, **house.quick)


async def _seed_posters(house: Aggregates) -> None:
    campaign, plain = await house.campaign(id=HEX[2]), await house.campaign(description="名")
    for each in (campaign, plain):
        told = {
            "user_id": "ada",
            "campaign_id": each.id,
            "event_name": "E",
            "palette": ["#fff", ""],
            "details": DOCUMENT,
        }
        request = campaign_pb2.SaveEventContextRequest(event_context=told)
        await house.campaigns.SaveEventContext(request, **house.quick)
    await house.postback(campaign_id=campaign.id, seed=-(2**63) + 1, details=DOCUMENT, image_url="x" * 2048)
    await house.postback(id="0" * 24, background_url="", artists=["🎉"])
    await house.story(
        dataset={"original_filename": "a.csv", "file_size": 2**61 + 1},
        narratives={"summary": "s", "key_findings": "", "recommendations": "名"},
        charts=[DOCUMENT, {}],
        statistics=DOCUMENT,
    )
    await house.story(id=HEX[3], processing_ms=2**40)
