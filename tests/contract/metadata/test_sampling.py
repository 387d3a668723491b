"""Series of metrics in a few points each."""

import math

import pytest
from grpc.aio import AioRpcError

from modelyard.common.v1.metric_pb2 import Metric
from modelyard.metadata.v1 import run_pb2
from servicekit import statuses

from .conftest import Metadata

INFINITY = float("inf")


async def _log(
    metadata: Metadata, run_id: str, name: str, values: list[float], split: str = "train", every: int = 1
) -> None:
    metrics = [Metric(name=name, split=split, step=every * step, value=value) for step, value in enumerate(values)]
    await metadata.runs.BatchLogMetrics(run_pb2.LogMetricsRequest(run_id=run_id, metrics=metrics), **metadata.quick)


async def _sample(metadata: Metadata, *run_ids: str, **request: object) -> list[run_pb2.MetricSeries]:
    wanted = run_pb2.SampleMetricsRequest(run_ids=run_ids, **request)
    return list((await metadata.runs.SampleMetrics(wanted, **metadata.quick)).series)


def _wave(length: int) -> list[float]:
    return [
        math.sin(step / 7) + (50.0 if step == 333 else 0.0) - (70.0 if step == 707 else 0.0) for step in range(length)
    ]


async def test_a_long_series_keeps_its_ends_and_its_peaks(metadata: Metadata):
    await metadata.run(id="a")
    values = _wave(1000)
    await _log(metadata, "a", "loss", values, every=3)
    for most in (2, 3, 4, 10, 11, 499, 500):
        (series,) = await _sample(metadata, "a", max_points=most)
        steps = [metric.step for metric in series.metrics]

        assert series.count == 1000
        assert 2 <= len(steps) <= most
        assert steps == sorted(set(steps))
        assert (steps[0], steps[-1]) == (0, 2997)
        assert all(metric.value == values[metric.step // 3] for metric in series.metrics)
        assert most < 4 or {999, 2121} <= set(steps)
        assert (series.min_value, series.max_value) == (min(values), max(values))
        assert math.isclose(series.mean_value, math.fsum(values) / 1000, abs_tol=1e-12)
        assert most < 10 or len(steps) >= most // 2


async def test_every_stretch_keeps_its_own_smallest_and_largest(metadata: Metadata):
    await metadata.run(id="a")
    await _log(metadata, "a", "loss", [0, 5, 5, 1, 1, 9, 2, 2, 8, 3, 0, 4])
    (series,) = await _sample(metadata, "a", max_points=8)

    assert [metric.step for metric in series.metrics] == [0, 1, 3, 5, 6, 10, 11]


async def test_a_short_series_comes_whole_in_the_order_of_runs_names_and_splits(metadata: Metadata):
    for run_id in "ab":
        await metadata.run(id=run_id)
    await _log(metadata, "a", "loss", [3, 2, 1])
    await _log(metadata, "a", "loss", [4, 3], split="test")
    await _log(metadata, "a", "auc", [0.5])
    await _log(metadata, "b", "loss", [7])
    found = await _sample(metadata, "b", "a")
    narrowed = await _sample(metadata, "a", "b", names=["loss", "none"], split="train")

    assert [(each.run_id, each.name, each.split, [metric.value for metric in each.metrics]) for each in found] == [
        ("b", "loss", "train", [7]),
        ("a", "auc", "train", [0.5]),
        ("a", "loss", "test", [4, 3]),
        ("a", "loss", "train", [3, 2, 1]),
    ]
    assert [(each.run_id, each.split, each.count, each.mean_value) for each in narrowed] == [
        ("a", "train", 3, 2.0),
        ("b", "train", 1, 7.0),
    ]


async def test_infinities_and_the_largest_numbers_are_counted_as_what_they_are(metadata: Metadata):
    await metadata.run(id="a")
    largest = 1.797693134862315e308
    await _log(metadata, "a", "diverged", [1.0, INFINITY, 3.0])
    await _log(metadata, "a", "both", [INFINITY, -INFINITY])
    await _log(metadata, "a", "tiny", [1e-300, 3e-300])
    await _log(metadata, "a", "large", [largest, largest, largest / 2, 0.0])
    both, diverged, large, tiny = await _sample(metadata, "a")

    assert (diverged.min_value, diverged.max_value, diverged.mean_value) == (1.0, INFINITY, INFINITY)
    assert math.isnan(both.mean_value)
    assert (both.min_value, both.max_value) == (-INFINITY, INFINITY)
    assert large.max_value == largest
    assert math.isclose(large.mean_value, largest / 8 * 5)
    assert math.isclose(tiny.mean_value, 2e-300)


async def test_steps_as_large_as_there_are_can_be_sampled(metadata: Metadata):
    await metadata.run(id="a")
    steps = [0, 1, 2**62, 2**63 - 3, 2**63 - 2, 2**63 - 1]
    metrics = [Metric(name="m", split="test", step=step, value=number) for number, step in enumerate(steps)]
    await metadata.runs.BatchLogMetrics(run_pb2.LogMetricsRequest(run_id="a", metrics=metrics), **metadata.quick)
    (series,) = await _sample(metadata, "a", max_points=5)

    assert [metric.step for metric in series.metrics] == [0, 1, 2**63 - 1]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"run_ids": []}, "run_ids"),
        ({"run_ids": ["a"] * 101}, "run_ids"),
        ({"run_ids": ["a"], "max_points": 1}, "max_points"),
        ({"run_ids": ["a"], "max_points": 10_001}, "max_points"),
    ],
)
async def test_an_impossible_request_is_refused(metadata: Metadata, request_: dict[str, object], field: str):
    await metadata.run(id="a")
    with pytest.raises(AioRpcError) as raised:
        await metadata.runs.SampleMetrics(run_pb2.SampleMetricsRequest(**request_), **metadata.quick)

    assert statuses.field_of(raised.value) == field


async def test_an_unknown_run_is_named(metadata: Metadata):
    with pytest.raises(AioRpcError) as raised:
        await _sample(metadata, "nobody")

    assert raised.value.code().name == "NOT_FOUND"
