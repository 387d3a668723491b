"""What is learned: models, runs, predictions."""

import asyncio
from collections.abc import AsyncIterator

from typing_extensions import override

from modelyard.metadata.v1 import model_pb2, model_pb2_grpc, prediction_pb2, prediction_pb2_grpc, run_pb2, run_pb2_grpc
from services.metadata import converters
from services.metadata.domain.entities import Metric, Model, ModelVersion
from services.metadata.domain.metrics import Metrics
from services.metadata.domain.models import Versions, shortened
from services.metadata.domain.predictions import Predictions
from services.metadata.domain.publishing import Publishing
from services.metadata.domain.records import Records
from services.metadata.domain.runs import Runs
from services.metadata.servicer.aggregate import Aggregate, Standard, fitting

MODELS_AT_ONCE = 100
"""Whose newest versions are looked at before others are answered."""


class ModelServicer(Aggregate, model_pb2_grpc.ModelServiceServicer):
    """Models and their versions."""

    def __init__(self, models: Records[Model], versions: Versions, publishing: Publishing) -> None:
        kinds = Standard(models, converters.MODEL), Standard(versions, converters.VERSION, shown=_shown)
        super().__init__(model_pb2.DESCRIPTOR.services_by_name["ModelService"], *kinds)
        self._versions = versions
        self._publishing = publishing

    @override
    async def PublishModelVersion(
        self, request: model_pb2.PublishModelVersionRequest, context: object
    ) -> model_pb2.PublishModelVersionResponse:
        published = await self._publishing.publish(converters.publication_of(request, self._publishing.now()))
        model, version = converters.MODEL.encode(published.model), converters.VERSION.encode(published.version)
        return model_pb2.PublishModelVersionResponse(model=model, version=version)

    @override
    async def GetModelVersion(
        self, request: model_pb2.GetModelVersionRequest, context: object
    ) -> model_pb2.ModelVersion:
        return converters.VERSION.encode(await self._versions.find(request.id, request.model_id, request.version))

    @override
    async def BatchGetModelVersions(
        self, request: model_pb2.BatchGetModelVersionsRequest, context: object
    ) -> model_pb2.BatchGetModelVersionsResponse:
        newest = await self._versions.newest(request.model_ids[:MODELS_AT_ONCE], request.details)
        versions = [converters.VERSION.encode(version) if version else None for version in newest]
        count = fitting([version.ByteSize() if version else 0 for version in versions])
        return model_pb2.BatchGetModelVersionsResponse(model_versions=filter(None, versions[:count]), count=count)

    @override
    async def ResolveModelVersion(
        self, request: model_pb2.ResolveModelVersionRequest, context: object
    ) -> model_pb2.ResolveModelVersionResponse:
        return converters.RESOLVED.encode(await self._versions.resolve(converters.WANTED.decode(request)))


def _shown(request: model_pb2.ListModelVersionsRequest, version: ModelVersion) -> ModelVersion:
    return shortened(version) if request.short else version


class RunServicer(Aggregate, run_pb2_grpc.RunServiceServicer):
    """Runs and their metrics."""

    def __init__(self, runs: Runs, metrics: Metrics) -> None:
        super().__init__(run_pb2.DESCRIPTOR.services_by_name["RunService"], Standard(runs, converters.RUN))
        self._runs = runs
        self._metrics = metrics

    @override
    async def LogHyperparameters(self, request: run_pb2.LogHyperparametersRequest, context: object) -> run_pb2.Run:
        given = converters.document_of(request.hyperparameters)
        return converters.RUN.encode(await self._runs.log_hyperparameters(request.id, given, request.fixed))

    @override
    async def TagRun(self, request: run_pb2.TagRunRequest, context: object) -> run_pb2.Run:
        given = converters.document_of(request.tags)
        return converters.RUN.encode(await self._runs.tag(request.id, given, request.removed_names))

    @override
    async def LogMetrics(
        self, request_iterator: AsyncIterator[run_pb2.LogMetricsRequest], context: object
    ) -> run_pb2.LogMetricsResponse:
        count = 0
        writing: asyncio.Task[int] | None = None
        try:
            async for request in request_iterator:
                given = self._given(request)  # while the batch before it is being written
                count += await writing if writing else 0
                writing = asyncio.create_task(self._metrics.log(request.run_id, given))
        finally:
            count += await writing if writing else 0
        return run_pb2.LogMetricsResponse(count=count)

    @override
    async def BatchLogMetrics(self, request: run_pb2.LogMetricsRequest, context: object) -> run_pb2.LogMetricsResponse:
        return run_pb2.LogMetricsResponse(count=await self._metrics.log(request.run_id, self._given(request)))

    def _given(self, request: run_pb2.LogMetricsRequest) -> list[Metric]:
        return converters.metrics_of(request.run_id, request.metrics, self._metrics.now())

    @override
    async def ListMetrics(self, request: run_pb2.ListMetricsRequest, context: object) -> run_pb2.ListMetricsResponse:
        page = await self._metrics.page(request.run_id, request.name, request.page_size, request.page_token)
        metrics = converters.METRIC.encode_all(page.records)
        return run_pb2.ListMetricsResponse(metrics=metrics, next_page_token=page.next_page_token)

    @override
    async def SampleMetrics(
        self, request: run_pb2.SampleMetricsRequest, context: object
    ) -> run_pb2.SampleMetricsResponse:
        sampled = await self._metrics.sample(request.run_ids, request.names, request.split, request.max_points)
        return run_pb2.SampleMetricsResponse(series=map(converters.series_of, sampled))


class PredictionServicer(Aggregate, prediction_pb2_grpc.PredictionServiceServicer):
    """Predictions."""

    def __init__(self, predictions: Predictions) -> None:
        service = prediction_pb2.DESCRIPTOR.services_by_name["PredictionService"]
        super().__init__(service, Standard(predictions, converters.PREDICTION, converters.predictions_page_of))
        self._predictions = predictions

    @override
    async def BatchCreatePredictions(
        self, request: prediction_pb2.BatchCreatePredictionsRequest, context: object
    ) -> prediction_pb2.BatchCreatePredictionsResponse:
        given = [converters.PREDICTION.decode(each) for each in request.predictions]
        created = await self._predictions.create_all(given, request.request_id)
        return prediction_pb2.BatchCreatePredictionsResponse(predictions=converters.PREDICTION.encode_all(created))
