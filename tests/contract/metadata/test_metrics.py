"""Metrics: streams and batches, replaced by name, split and step."""

import math
from collections.abc import AsyncIterator

import pytest
from grpc.aio import AioRpcError

from modelyard.common.v1.metric_pb2 import Metric
from modelyard.metadata.v1.run_pb2 import ListMetricsRequest, LogMetricsRequest
from servicekit import statuses

from .conftest import Metadata


def _series(name: str, count: int, start: int = 0) -> list[Metric]:
    return [Metric(name=name, split="train", step=step, value=step / 2) for step in range(start, start + count)]


async def _streamed(requests: list[LogMetricsRequest]) -> AsyncIterator[LogMetricsRequest]:
    for request in requests:
        yield request


async def test_batch_is_read_back_in_order(metadata: Metadata):
    run = await metadata.run()
    metrics = [*_series("loss", 3), Metric(name="accuracy", split="test", value=0.5)]
    request = LogMetricsRequest(run_id=run.id, metrics=reversed(metrics))
    response = await metadata.runs.BatchLogMetrics(request, **metadata.quick)
    listed = await metadata.runs.ListMetrics(ListMetricsRequest(run_id=run.id), **metadata.quick)
    read = [(metric.name, metric.step, metric.value) for metric in listed.metrics]

    assert response.count == 4
    assert read == [("accuracy", 0, 0.5), ("loss", 0, 0.0), ("loss", 1, 0.5), ("loss", 2, 1.0)]
    assert abs(listed.metrics[0].measure_time.seconds - metadata.clock().timestamp()) < 5


async def test_metric_of_the_same_name_split_and_step_is_replaced(metadata: Metadata):
    run = await metadata.run()
    for value in (1.0, 2.0):
        metric = Metric(name="loss", split="train", value=value, measure_time={"seconds": int(value), "nanos": 5000})
        request = LogMetricsRequest(run_id=run.id, metrics=[metric, metric])
        await metadata.runs.BatchLogMetrics(request, **metadata.quick)
    listed = await metadata.runs.ListMetrics(ListMetricsRequest(run_id=run.id), **metadata.quick)

    assert [each.value for each in listed.metrics] == [2.0]
    assert (listed.metrics[0].measure_time.seconds, listed.metrics[0].measure_time.nanos) == (2, 5000)


async def test_stream_of_batches_is_counted_together(metadata: Metadata):
    run = await metadata.run()
    requests = [LogMetricsRequest(run_id=run.id, metrics=_series("loss", 500, 500 * batch)) for batch in range(6)]
    response = await metadata.runs.LogMetrics(_streamed(requests), **metadata.quick)
    listed = await metadata.runs.ListMetrics(ListMetricsRequest(run_id=run.id, page_size=10_000), **metadata.quick)

    assert response.count == len(listed.metrics) == 3000


async def test_stream_keeps_the_batches_before_a_wrong_one(metadata: Metadata):
    run = await metadata.run()
    wrong = LogMetricsRequest(run_id=run.id, metrics=[*_series("loss", 2, 5), Metric(name="loss", split="nowhere")])
    requests = [LogMetricsRequest(run_id=run.id, metrics=_series("loss", 5)), wrong]
    with pytest.raises(AioRpcError) as raised:
        await metadata.runs.LogMetrics(_streamed(requests), **metadata.quick)
    listed = await metadata.runs.ListMetrics(ListMetricsRequest(run_id=run.id), **metadata.quick)

    assert raised.value.code().name == "INVALID_ARGUMENT"
    assert len(listed.metrics) == 5


async def test_infinities_are_kept_and_nan_is_refused(metadata: Metadata):
    run = await metadata.run()
    metrics = [Metric(name=name, split="train", value=float(name)) for name in ("inf", "-inf")]
    await metadata.runs.BatchLogMetrics(LogMetricsRequest(run_id=run.id, metrics=metrics), **metadata.quick)
    nan = [Metric(name="loss", split="train", value=math.nan), *_series("other", 1)]
    with pytest.raises(AioRpcError) as raised:
        await metadata.runs.BatchLogMetrics(LogMetricsRequest(run_id=run.id, metrics=nan), **metadata.quick)
    listed = await metadata.runs.ListMetrics(ListMetricsRequest(run_id=run.id), **metadata.quick)

    assert [each.value for each in listed.metrics] == [-math.inf, math.inf]
    assert raised.value.code().name == "INVALID_ARGUMENT"
    assert "Leave it out" in raised.value.details()


@pytest.mark.parametrize(
    "metric",
    [
        Metric(split="train"),
        Metric(name="n" * 201, split="train"),
        Metric(name="loss"),
        Metric(name="loss", split="train", step=-1),
        Metric(name="loss", split="train", measure_time={"seconds": 10**13}),
        Metric(name="loss", split="train", measure_time={"seconds": -62_000_000_000}),
    ],
)
async def test_impossible_metric_is_refused_with_its_batch(metadata: Metadata, metric: Metric):
    run = await metadata.run()
    request = LogMetricsRequest(run_id=run.id, metrics=[*_series("good", 3), metric, *_series("good", 3, 3)])
    with pytest.raises(AioRpcError) as raised:
        await metadata.runs.BatchLogMetrics(request, **metadata.quick)
    listed = await metadata.runs.ListMetrics(ListMetricsRequest(run_id=run.id), **metadata.quick)

    assert raised.value.code().name == "INVALID_ARGUMENT"
    assert not listed.metrics


async def test_too_many_metrics_at_once_are_refused(metadata: Metadata):
    run = await metadata.run()
    request = LogMetricsRequest(run_id=run.id, metrics=_series("loss", 10_001))
    with pytest.raises(AioRpcError) as raised:
        await metadata.runs.BatchLogMetrics(request, **metadata.quick)

    assert statuses.reason_of(raised.value) == "TOO_MANY_METRICS"


@pytest.mark.parametrize("count", [0, 1])
async def test_metrics_of_no_run_are_not_found(metadata: Metadata, count: int):
    request = LogMetricsRequest(run_id="no", metrics=_series("loss", count))
    with pytest.raises(AioRpcError) as batch:
        await metadata.runs.BatchLogMetrics(request, **metadata.quick)
    with pytest.raises(AioRpcError) as stream:
        await metadata.runs.LogMetrics(_streamed([request]), **metadata.quick)
    with pytest.raises(AioRpcError) as listing:
        await metadata.runs.ListMetrics(ListMetricsRequest(run_id="no"), **metadata.quick)

    assert [each.value.code().name for each in (batch, stream, listing)] == ["NOT_FOUND"] * 3


async def test_pages_of_one_name(metadata: Metadata):
    run, other = await metadata.run(), await metadata.run()
    for each in (run, other):
        metrics = [*_series("loss", 5), *_series("rmse", 5)]
        await metadata.runs.BatchLogMetrics(LogMetricsRequest(run_id=each.id, metrics=metrics), **metadata.quick)
    steps, token = [], ""
    for _ in range(3):
        request = ListMetricsRequest(run_id=run.id, name="loss", page_size=2, page_token=token)
        page = await metadata.runs.ListMetrics(request, **metadata.quick)
        steps.append([metric.step for metric in page.metrics])
        token = page.next_page_token

    assert steps == [[0, 1], [2, 3], [4]]
    assert token == ""
