"""Following a training: what it told is written, whatever becomes of the stream."""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict
from grpc import StatusCode
from grpc.aio import AioRpcError
from typing_extensions import override

from gateway.flows import training
from gateway.flows.claim import Claim
from gateway.flows.engine import as_struct
from gateway.peers import Peers, connect
from gateway.settings import GatewaySettings
from modelyard.common.v1.metric_pb2 import Metric
from modelyard.metadata.v1.job_pb2 import (
    JOB_STATUS_COMPLETED,
    ClaimJobRequest,
    CompleteJobRequest,
    CreateJobRequest,
    Job,
)
from modelyard.metadata.v1.run_pb2 import RUN_STATUS_RUNNING, CreateRunRequest, ListMetricsRequest, Run
from modelyard.training.v1 import training_pb2_grpc
from modelyard.training.v1.training_pb2 import LeaderboardEntry, TrainingResult, TrainResponse
from servicekit.errors import Unavailable
from servicekit.server import Application, Service, serving
from servicekit.settings import ServerSettings
from tests.contract.gateway.standing import standing


class Gone(Unavailable):
    """The training service is gone."""


class Telling(training_pb2_grpc.TrainingServiceServicer):
    """A training service that tells so many metrics, then whatever is its end."""

    def __init__(self, count: int, end: TrainResponse | Gone | None) -> None:
        self._count = count
        self._end = end

    @override
    async def Train(self, request: Any, context: Any) -> AsyncIterator[TrainResponse]:
        for step in range(self._count):
            yield TrainResponse(metric=Metric(name="loss", split="validation", step=step, value=1.0))
        if isinstance(self._end, Gone):
            raise self._end
        if self._end:
            yield self._end


@asynccontextmanager
async def followed(folder: Path, servicer: Telling) -> AsyncIterator[Claim]:
    """A claimed job whose run is announced, and whose training tells that."""
    service = Service(
        "modelyard.training.v1.TrainingService", training_pb2_grpc.add_TrainingServiceServicer_to_server, servicer
    )
    async with (
        standing(folder),
        serving(Application([service]), "127.0.0.1:0", ServerSettings(bind="127.0.0.1:0")) as server,
    ):
        metadata = f"unix:{folder}/metadata"
        peers = connect(GatewaySettings(training_address=server.address, metadata_address=metadata, _env_file=None))
        try:
            yield await claimed(peers)
        finally:
            await peers.close()


async def claimed(peers: Peers) -> Claim:
    wanted = Job(user_id="ada", kind="train", input=as_struct({"request": {}}))
    await peers.jobs.CreateJob(CreateJobRequest(job=wanted, request_id="1"), **peers.quick)
    lease = Duration(seconds=60)
    job = (await peers.jobs.ClaimJob(ClaimJobRequest(worker="w", kinds=["train"], lease=lease), **peers.quick)).job
    run = Run(id=training.run_id(job.id), user_id="ada", job_id=job.id, name="a run", status=RUN_STATUS_RUNNING)
    await peers.runs.CreateRun(CreateRunRequest(run=run, request_id="2"), **peers.quick)
    return Claim(peers, job, 60)


async def steps_written(claim: Claim) -> list[int]:
    request = ListMetricsRequest(run_id=training.run_id(claim.job.id), page_size=10_000)
    return [metric.step for metric in (await claim.peers.runs.ListMetrics(request, **claim.quick)).metrics]


async def test_what_was_told_before_the_stream_broke_is_written(tmp_path: Path):
    """M.3: one that ends before it is joined again tells its metrics to nobody any more."""
    async with followed(tmp_path, Telling(3, Gone())) as claim:
        with pytest.raises(AioRpcError) as broken:
            await training.train(claim, {"training_id": "t"})
        written = await steps_written(claim)

    assert broken.value.code() is StatusCode.UNAVAILABLE
    assert written == [0, 1, 2]


async def test_what_was_told_before_the_stream_ended_early_is_written(tmp_path: Path):
    async with followed(tmp_path, Telling(3, None)) as claim:
        with pytest.raises(training.TrainingEndedEarly):
            await training.train(claim, {"training_id": "t"})
        written = await steps_written(claim)

    assert written == [0, 1, 2]


async def test_metrics_that_come_all_at_once_are_written_a_few_at_a_time(tmp_path: Path, monkeypatch):
    """M.3: one who joins hears at once what was told in hours, and metadata takes 10,000 in a call."""
    monkeypatch.setattr(training, "METRIC_SECONDS", 3600)
    async with followed(tmp_path, Telling(10_001, TrainResponse(result=TrainingResult(engine="quick")))) as claim:
        state: dict[str, Any] = {"training_id": "t"}
        await training.train(claim, state)
        page = await steps_written(claim)

    assert state["training"]["engine"] == "quick"
    assert page == list(range(len(page)))
    assert len(page) == 10_000


async def test_a_score_without_bounds_completes_a_job(tmp_path: Path):
    """000.12: a workload of somebody else's may score so; JSON has no number for it."""
    result = TrainingResult(
        score=math.inf, metrics=[Metric(name="worst", value=-math.inf), Metric(name="r2", value=0.5)]
    )
    state = {
        "training": MessageToDict(result, preserving_proto_field_name=True),
        "model": {"id": "m", "name": "a model", "version": 1},
        "dataset_id": "d",
        "package": {},
        "object": {},
    }
    async with standing(tmp_path) as services:
        claim = await claimed(services.peers)
        told = as_struct(training.FLOW.result(state))
        job = await claim.jobs.CompleteJob(CompleteJobRequest(**claim.fence, result=told), **claim.quick)

    assert (job.status, job.result["score"]) == (JOB_STATUS_COMPLETED, None)
    assert dict(job.result["metrics"]) == {"worst": None, "r2": 0.5}


async def test_a_model_that_scores_nothing_is_told_with_its_score(tmp_path: Path):
    """000.9: a protobuf message leaves out what is 0, and a leaderboard may not."""
    entry = {"model": "LightGBM", "validation_score": 0.0, "test_score": 0.0, "fit_seconds": 0.5}
    state = {"package": {"model_id": "m"}, "object": {}, "dataset_id": "d"}
    wanted = {"dataset_id": "d", "model_name": "a model", "project_id": ""}
    async with standing(tmp_path) as services:
        claim = await claimed(services.peers)
        claim.wanted |= wanted
        published = training.publication(claim, TrainingResult(leaderboard=[LeaderboardEntry(**entry)]), state)

    assert MessageToDict(published.version.details)["leaderboard"] == [entry]


async def test_a_score_that_was_not_measured_is_none(tmp_path: Path):
    """000.9: a protobuf message has NaN for it, which as JSON would be text."""
    entry = LeaderboardEntry(model="HistGradientBoosting", validation_score=math.nan, test_score=-math.inf)
    state = {"package": {"model_id": "m"}, "object": {}, "dataset_id": "d"}
    async with standing(tmp_path) as services:
        claim = await claimed(services.peers)
        claim.wanted |= {"dataset_id": "d", "model_name": "a model", "project_id": ""}
        published = training.publication(claim, TrainingResult(leaderboard=[entry]), state)
        [line] = MessageToDict(published.version.details)["leaderboard"]

    assert (line["validation_score"], line["test_score"]) == (None, None)
