"""The gRPC methods: decode, call, encode."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing

from google.protobuf import json_format
from typing_extensions import override

from modelyard.training.v1 import analysis_pb2, analysis_pb2_grpc, training_pb2, training_pb2_grpc
from servicekit.logging import get_logger
from services.training import converters
from services.training.domain.analysis import Analysis
from services.training.domain.importing import Importing
from services.training.domain.ports import Workload
from services.training.domain.predictions import Predictions
from services.training.domain.trainings import Checks, Trainings
from services.training.receiving import Antechamber, opened

log = get_logger()


class TrainingServicer(training_pb2_grpc.TrainingServiceServicer):
    """modelyard.training.v1.TrainingService."""

    def __init__(
        self, workloads: Sequence[Workload], trainings: Trainings, checks: Checks, predictions: Predictions
    ) -> None:
        self._workloads = workloads
        self._trainings = trainings
        self._checks = checks
        self._predictions = predictions
        self._antechamber = Antechamber()

    @override
    async def ListWorkloads(
        self, request: training_pb2.ListWorkloadsRequest, context: object
    ) -> training_pb2.ListWorkloadsResponse:
        listed = await asyncio.to_thread(lambda: list(_listing(self._workloads)))
        return training_pb2.ListWorkloadsResponse(workloads=listed)

    @override
    async def CheckTraining(
        self, request: training_pb2.TrainRequest, context: object
    ) -> training_pb2.CheckTrainingResponse:
        return converters.plan_to(await self._checks.check(converters.spec_from(request)))

    @override
    async def Train(
        self, request: training_pb2.TrainRequest, context: object
    ) -> AsyncIterator[training_pb2.TrainResponse]:
        async with aclosing(self._trainings.train(converters.spec_from(request))) as events:
            async for event in events:
                yield converters.event_to(event)

    @override
    async def CancelTraining(
        self, request: training_pb2.CancelTrainingRequest, context: object
    ) -> training_pb2.CancelTrainingResponse:
        return training_pb2.CancelTrainingResponse(stopped=await self._trainings.cancel(request.training_id))

    @override
    async def ReadArtifact(
        self, request: training_pb2.ReadArtifactRequest, context: object
    ) -> AsyncIterator[training_pb2.ReadArtifactResponse]:
        async with aclosing(self._trainings.artifact(request.training_id)) as chunks:
            async for chunk in chunks:
                yield training_pb2.ReadArtifactResponse(chunk=chunk)

    @override
    async def ReleaseArtifact(
        self, request: training_pb2.ReleaseArtifactRequest, context: object
    ) -> training_pb2.ReleaseArtifactResponse:
        return training_pb2.ReleaseArtifactResponse(size=await self._trainings.release(request.training_id))

    @override
    async def Predict(
        self, request_iterator: AsyncIterator[training_pb2.PredictRequest], context: object
    ) -> AsyncIterator[training_pb2.PredictResponse]:
        header, pieces = await opened(request_iterator)
        package, rows = converters.package_from(header), converters.rows_from(header)
        async with self._antechamber.ahead(pieces) as content:
            answers = await self._predictions.predict(package, rows, content)
        for message in converters.answers_to(answers):
            yield message


def _listing(workloads: Sequence[Workload]) -> Iterator[training_pb2.Workload]:
    for workload in workloads:
        try:
            listed = converters.workload_to(workload)
            json_format.MessageToDict(listed.parameters_schema)  # refuses NaN, which a Struct takes and JSON has not
        except (Exception, SystemExit) as error:  # noqa: BLE001 (one workload, of others maybe, must not hide the rest)
            log.error("workload not listed", name=workload.name, reason=f"{type(error).__name__}: {error}")
        else:
            yield listed


class AnalysisServicer(analysis_pb2_grpc.AnalysisServiceServicer):
    """modelyard.training.v1.AnalysisService."""

    def __init__(self, analysis: Analysis, importing: Importing) -> None:
        self._analysis = analysis
        self._importing = importing

    @override
    async def SniffTable(
        self, request: analysis_pb2.SniffTableRequest, context: object
    ) -> analysis_pb2.SniffTableResponse:
        return converters.sniffed_to(await self._analysis.sniff(request.head, request.complete))

    @override
    async def InspectDataset(
        self, request: analysis_pb2.InspectDatasetRequest, context: object
    ) -> analysis_pb2.InspectDatasetResponse:
        sample_size = request.sample_size if request.HasField("sample_size") else None
        found = await self._analysis.inspect(converters.source_from(request.dataset), sample_size)
        # In a thread: a wide table takes a while to encode.
        return await asyncio.to_thread(converters.inspection_to, found)

    @override
    async def FetchDataset(
        self, request: analysis_pb2.FetchDatasetRequest, context: object
    ) -> AsyncIterator[analysis_pb2.FetchDatasetResponse]:
        wish, credentials = converters.wish_from(request), converters.credentials_from(request)
        async with self._importing.fetch(wish, credentials) as arrival:
            yield converters.arrival_to(arrival)
            async for chunk in arrival.chunks:
                yield analysis_pb2.FetchDatasetResponse(chunk=chunk)
