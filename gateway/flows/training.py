"""The main flow: reserve, train, upload, record, release."""

import math
import time
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict
from grpc import StatusCode
from grpc.aio import AioRpcError

from gateway.flows import packages
from gateway.flows.claim import Claim
from gateway.flows.engine import Flow, State, Step, as_struct
from gateway.flows.packages import artifact_id
from gateway.flows.projects import project_of
from gateway.flows.storing import delete, store, whereabouts
from gateway.peers import BYTES_SECONDS, TRAINING_SECONDS
from modelyard.common.v1.metric_pb2 import Metric
from modelyard.metadata.v1.artifact_pb2 import DeleteArtifactRequest
from modelyard.metadata.v1.model_pb2 import ModelVersion, PublishModelVersionRequest
from modelyard.metadata.v1.run_pb2 import (
    RUN_STATUS_FAILED,
    RUN_STATUS_RUNNING,
    CreateRunRequest,
    LogMetricsRequest,
    Run,
    UpdateRunRequest,
)
from modelyard.storage.v1.storage_pb2 import UploadTrailer
from modelyard.training.v1.training_pb2 import (
    CancelTrainingRequest,
    ProblemType,
    ReadArtifactRequest,
    ReleaseArtifactRequest,
    TrainingResult,
    TrainRequest,
    TrainResponse,
)
from servicekit import errors

KIND = "train"

TRAIN_FROM, TRAIN_TO = 0.05, 0.85
"""Share of a job's progress that its training takes."""

METRIC_SECONDS = 0.5

METRICS_AT_ONCE = 1000
"""One that joins a training hears up to 10,000 at once, and no service takes a message of more than 4 MiB."""

GONE_PATIENCE = {"INTERNAL": 5, "WORKER_DIED": 3, "ARTIFACT_NOT_FOUND": 3}
"""A service that dies in the middle of a stream may leave its caller with any status, and take the model with it."""


class TrainingEndedEarly(errors.Unavailable):
    """The training service ended the training without a result; it is asked for again."""


async def reserve(claim: Claim, state: State) -> None:
    """Announce the run and the package, under ids that follow from the job's.

    The training's id is another one each time: a training that was undone may not start again under its name.
    """
    state["training_id"] = f"{claim.job.id}-{claim.job.fencing_token}"
    claim.report(0.01, "reserving", "Announcing the run and its model")
    job, wanted = claim.job, claim.wanted
    project = await project_of(claim.peers, job.user_id, wanted["project_id"]) if wanted["project_id"] else None
    run = Run(
        id=run_id(job.id),
        user_id=job.user_id,
        project_id=wanted["project_id"],
        dataset_id=wanted["dataset_id"],
        job_id=job.id,
        name=wanted["model_name"],
        status=RUN_STATUS_RUNNING,
        hyperparameters=as_struct(wanted["parameters"]),
    )
    await claim.peers.runs.CreateRun(CreateRunRequest(run=run, request_id=run.id), **claim.quick)
    state["package"] = await packages.announce(claim, state["training_id"], project)


async def unreserve(claim: Claim, _: State) -> None:
    """Take the artifact's record back; the run stays, as one that failed."""
    request = DeleteArtifactRequest(id=artifact_id(claim.job.id), allow_missing=True)
    await claim.peers.artifacts.DeleteArtifact(request, **claim.quick)
    update = UpdateRunRequest(run=Run(id=run_id(claim.job.id), status=RUN_STATUS_FAILED))
    update.update_mask.paths.append("status")
    try:
        await claim.peers.runs.UpdateRun(update, **claim.quick)
    except AioRpcError as error:
        if error.code() is not StatusCode.NOT_FOUND:  # as it is when announcing the run is what failed
            raise


async def train(claim: Claim, state: State) -> None:
    """Train, or join the training that an earlier attempt began."""
    call = claim.peers.training.Train(train_request(claim, state), **claim.peers.within(TRAINING_SECONDS))
    metrics = MetricLog(claim)
    try:
        result = await _follow(call, claim, metrics)
    except (AioRpcError, TrainingEndedEarly):
        await metrics.write()  # a training that ends meanwhile tells no metrics to those who join it
        raise
    finally:
        call.cancel()  # of no effect once it has ended; the training itself goes on
    await metrics.write()
    state["training"] = MessageToDict(result, preserving_proto_field_name=True)


async def _follow(events: AsyncIterable[TrainResponse], claim: Claim, metrics: "MetricLog") -> TrainingResult:
    async for event in events:
        kind = event.WhichOneof("event")
        if kind == "progress":
            told = event.progress
            claim.report(TRAIN_FROM + (TRAIN_TO - TRAIN_FROM) * told.fraction, told.stage, told.message)
        elif kind == "metric":
            await metrics.add(event.metric)
        else:
            return event.result
    raise TrainingEndedEarly


class MetricLog:
    """Writes the metrics of a run in batches: often enough to be followed, seldom enough not to slow the training."""

    def __init__(self, claim: Claim) -> None:
        self._claim = claim
        self._waiting: list[Metric] = []
        self._written_at = time.monotonic()

    async def add(self, metric: Metric) -> None:
        """Take a metric, and write all that wait when it is time, or there are many."""
        self._waiting.append(metric)
        if len(self._waiting) >= METRICS_AT_ONCE or time.monotonic() - self._written_at > METRIC_SECONDS:
            await self.write()

    async def write(self) -> None:
        """Write all that wait."""
        if self._waiting:
            request = LogMetricsRequest(run_id=run_id(self._claim.job.id), metrics=self._waiting)
            await self._claim.peers.runs.BatchLogMetrics(request, **self._claim.quick)
        self._waiting, self._written_at = [], time.monotonic()


async def untrain(claim: Claim, state: State) -> None:
    """Stop the training and delete what it wrote."""
    request = CancelTrainingRequest(training_id=state["training_id"])
    await claim.peers.training.CancelTraining(request, **claim.quick)


async def upload(claim: Claim, state: State) -> None:
    """Move the packaged model from the training service to object storage.

    First the training is joined once more: it has its result at once, or trains anew where the replica that had the
    model is gone for good. What is recorded is always of the model that is stored.
    """
    await train(claim, state)
    claim.report(0.88, "uploading", "Storing the packaged model")
    result = result_of(state)
    header = packages.header_of(claim, state["package"])
    trailer = UploadTrailer(size=result.artifact_size, sha256=result.artifact_sha256)
    stored = await store(claim.peers, header, _packaged(claim, state), lambda _: trailer)
    state["object"] = packages.saved(stored)


async def _packaged(claim: Claim, state: State) -> AsyncIterator[bytes]:
    wanted = ReadArtifactRequest(training_id=state["training_id"])
    async for part in claim.peers.training.ReadArtifact(wanted, **claim.peers.within(BYTES_SECONDS)):
        yield part.chunk


async def unupload(claim: Claim, state: State) -> None:
    """Delete the stored model."""
    await delete(claim.peers, packages.name_of(state["package"]))


async def record(claim: Claim, state: State) -> None:
    """Record version, metrics, run and artifact, all in one transaction."""
    claim.report(0.95, "recording", "Recording the model")
    request = publication(claim, result_of(state), state)
    published = await claim.peers.models.PublishModelVersion(request, **claim.quick)
    state["model"] = {
        "id": published.model.id,
        "name": published.model.name,
        "version": published.version.version,
        "version_id": published.version.id,
    }


async def release(claim: Claim, state: State) -> None:
    """Let the training service delete what it kept."""
    claim.report(0.98, "releasing", "Cleaning up after the training")
    request = ReleaseArtifactRequest(training_id=state["training_id"])
    await claim.peers.training.ReleaseArtifact(request, **claim.quick)


def outcome(state: State) -> State:
    """What a finished job answers with."""
    result, model = result_of(state), state["model"]
    task_type = problem_type_of(result)
    metrics, score = _numbers(result.metrics), _number(result.score)
    return {
        "success": True,
        "model_id": model["id"],
        "model_name": model["name"],
        "version": model["version"],
        "best_model": result.best_model,
        "workload": result.workload,
        "engine": result.engine,
        "task_type": task_type,
        "target": result.target,
        "score_name": result.score_name,
        "score": score,
        "metrics": metrics,
        "model_info": {"model_name": result.best_model, "score": score, "task_type": task_type},
        "row_counts": {"train": result.train_row_count, "test": result.test_row_count},
        "visualizations": {"plots": MessageToDict(result.evaluation)},
        "dataset_id": state["dataset_id"],
        "unavailable": list(result.unavailable),
        **packages.told(state["package"], packages.restored(state), model["id"]),
    }


def publication(claim: Claim, result: TrainingResult, state: State) -> PublishModelVersionRequest:
    """All that a finished training leaves to record."""
    job = claim.job
    state["dataset_id"] = claim.wanted["dataset_id"]
    return PublishModelVersionRequest(
        version=_version(claim, result),
        model_id=state["package"]["model_id"],
        model_name=claim.wanted["model_name"],
        user_id=job.user_id,
        project_id=claim.wanted["project_id"],
        artifact=whereabouts(artifact_id(job.id), packages.restored(state)),
        run=Run(
            id=run_id(job.id),
            engine=result.engine,
            hyperparameters=result.parameters,
            start_time=result.start_time,
            end_time=result.end_time,
        ),
        metrics=result.metrics,
    )


def _version(claim: Claim, result: TrainingResult) -> ModelVersion:
    job = claim.job
    return ModelVersion(
        id=version_id(job.id),
        run_id=run_id(job.id),
        artifact_id=artifact_id(job.id),
        dataset_id=claim.wanted["dataset_id"],
        engine=result.engine,
        base_model=result.best_model,
        problem_type=problem_type_of(result),
        target=result.target,
        features=result.features,
        score_name=result.score_name,
        score=result.score,
        details=as_struct(_details(result)),
    )


def _details(result: TrainingResult) -> dict[str, Any]:
    """What readers of a model's page want to know besides."""
    whole = MessageToDict(result, preserving_proto_field_name=True)
    kept = (
        "workload", "parameters", "library_versions", "unavailable", "evaluation", "dataset_sha256",
        "artifact_sha256",
    )  # fmt: skip
    details = {name: whole[name] for name in kept if name in whole}
    details["leaderboard"] = [
        {
            "model": entry.model,
            "validation_score": _number(entry.validation_score),
            "test_score": _number(entry.test_score),
            "fit_seconds": entry.fit_seconds,
        }
        for entry in result.leaderboard
    ]
    details["metrics"] = _numbers(result.metrics)
    details["row_counts"] = {"train": result.train_row_count, "test": result.test_row_count}
    details["artifact_size"] = result.artifact_size
    return details


def _numbers(metrics: Iterable[Metric]) -> dict[str, float | None]:
    return {metric.name: _number(metric.value) for metric in metrics}


def _number(value: float) -> float | None:
    """A number as JSON has it: a score or a metric may be infinite, for which it has null alone."""
    return value if math.isfinite(value) else None


def problem_type_of(result: TrainingResult) -> str:
    """The problem type as records and people spell it: binary, multiclass or regression."""
    return ProblemType.Name(result.problem_type).removeprefix("PROBLEM_TYPE_").lower()


def train_request(claim: Claim, state: State) -> TrainRequest:
    """What to ask of the training service; the job's input holds it as it was checked."""
    return ParseDict({**claim.wanted["request"], "training_id": state["training_id"]}, TrainRequest())


def result_of(state: State) -> TrainingResult:
    """The training's result, as an earlier step saved it."""
    return ParseDict(state["training"], TrainingResult())


def run_id(job_id: str) -> str:
    """The run's id, which follows from the job's, so that every step can be repeated."""
    return f"{job_id}-run"


def version_id(job_id: str) -> str:
    """The model version's id, which follows from the job's."""
    return f"{job_id}-version"


FLOW = Flow(
    kind=KIND,
    steps=(
        Step("reserve", reserve, unreserve, progress=0.05),
        Step("train", train, untrain, progress=0.85, patience={"WORKER_DIED": 3}),
        Step("upload", upload, unupload, progress=0.95, patience=GONE_PATIENCE),
        Step("record", record, progress=0.97, final=True),
        Step("release", release, progress=0.99),
    ),
    result=outcome,
)
