"""What is written is what is read, in every store: none bends a value, or takes two for one."""

import asyncio
import math
import sys

import pytest
from grpc.aio import AioRpcError

from modelyard.common.v1.metric_pb2 import Metric
from modelyard.metadata.v1.artifact_pb2 import GetArtifactRequest
from modelyard.metadata.v1.dataset_pb2 import GetDatasetRequest
from modelyard.metadata.v1.project_pb2 import GetProjectRequest, ListProjectsRequest
from modelyard.metadata.v1.run_pb2 import GetRunRequest, ListMetricsRequest, LogMetricsRequest

from .conftest import Metadata

NAMES = ["A", "a", "a ", " a", "á", "a\u0301", "ß", "ss", "名前", "🎉", "🎊", "a_b", "a%b", "a\\b", "a'b", 'a"b']


async def test_names_are_the_same_only_when_all_their_characters_are(metadata: Metadata):
    made = {name: await metadata.project(name=name) for name in NAMES}
    read = {
        name: await metadata.projects.GetProject(GetProjectRequest(id=each.id), **metadata.quick)
        for name, each in made.items()
    }
    with pytest.raises(AioRpcError) as again:
        await metadata.project(name="a ")

    assert read == made
    assert again.value.code().name == "ALREADY_EXISTS"


async def test_keys_are_told_apart_by_their_last_character(metadata: Metadata):
    """As long as a key may be, of characters that take four bytes each."""
    start = "🎉" * 1023
    made = [await metadata.artifact(key=f"{start}{last}") for last in "ab"]
    counted = [await metadata.artifacts.GetArtifact(GetArtifactRequest(id=each.id), **metadata.quick) for each in made]
    with pytest.raises(AioRpcError) as again:
        await metadata.artifact(key=f"{start}a")

    assert counted == made
    assert again.value.code().name == "ALREADY_EXISTS"
    assert "placement, key" in again.value.details()


async def test_lists_are_ordered_by_their_characters_numbers(metadata: Metadata):
    """Metrics are listed by name; each database would have an order of its own."""
    run = await metadata.run()
    names = ["b", "B", "a", "_", "é", "Z", "z", "-", "a-b", "ab", "🎉", "名"]
    metrics = [Metric(name=name, split="train", value=1) for name in names]
    await metadata.runs.BatchLogMetrics(LogMetricsRequest(run_id=run.id, metrics=metrics), **metadata.quick)
    first = await metadata.runs.ListMetrics(ListMetricsRequest(run_id=run.id, page_size=5), **metadata.quick)
    request = ListMetricsRequest(run_id=run.id, page_size=50, page_token=first.next_page_token)
    second = await metadata.runs.ListMetrics(request, **metadata.quick)

    assert [each.name for each in (*first.metrics, *second.metrics)] == sorted(names)


async def test_numbers_come_back_to_the_last_bit(metadata: Metadata):
    run = await metadata.run()
    numbers = [0.1, 0.0, 1 / 3, 5e-324, 2.2250738585072014e-308, 1e22, math.pi * 1e300, math.inf, -math.inf]
    metrics = [Metric(name="x", split="train", step=step, value=each) for step, each in enumerate(numbers)]
    metrics.append(Metric(name="x", split="train", step=2**63 - 1, value=sys.float_info.max))
    await metadata.runs.BatchLogMetrics(LogMetricsRequest(run_id=run.id, metrics=metrics), **metadata.quick)
    listed = await metadata.runs.ListMetrics(ListMetricsRequest(run_id=run.id), **metadata.quick)
    read = [each.value for each in listed.metrics]

    assert [value.hex() for value in read[:-1]] == [value.hex() for value in numbers]
    assert read[-1] == pytest.approx(sys.float_info.max, rel=1e-15)
    assert math.isfinite(read[-1])
    assert listed.metrics[-1].step == 2**63 - 1


async def test_documents_moments_and_long_texts_come_back(metadata: Metadata):
    document = {"a": [1, 2.5, -1e-7, 1e22, True, None, "🎉", {"b": {}}], "B": "", "a ": "\\ \" ' %s :x $1 \u2028"}
    moment = {"seconds": 1_790_000_000, "nanos": 123_456_000}
    run = await metadata.run(hyperparameters=document, start_time=moment, name="%s :x ? $1")
    dataset = await metadata.dataset(target_column="名" * 100_000, file_size=2**62 + 1, column_names=["a", "", "🎉"])
    run_read = await metadata.runs.GetRun(GetRunRequest(id=run.id), **metadata.quick)
    dataset_read = await metadata.datasets.GetDataset(GetDatasetRequest(id=dataset.id), **metadata.quick)

    assert run_read == run
    assert run_read.start_time.nanos == 123_456_000
    assert run_read.hyperparameters == run.hyperparameters
    assert run_read.hyperparameters["a"][3] == 1e22
    assert dataset_read == dataset
    assert dataset_read.file_size == 2**62 + 1


async def test_filter_finds_what_equals_it_and_nothing_else(metadata: Metadata):
    for user in ("ada", "Ada", "ada "):
        await metadata.project(user_id=user, name="x")
    found = await metadata.projects.ListProjects(ListProjectsRequest(user_id="ada"), **metadata.quick)

    assert [each.user_id for each in found.projects] == ["ada"]


async def test_large_batches_that_overlap_are_written_over_each_other(metadata: Metadata):
    """Also when they come at the same time, in opposite orders."""
    run = await metadata.run()

    async def log(value: float, steps: range) -> None:
        metrics = [Metric(name="loss", split="train", step=step, value=value) for step in steps]
        await metadata.runs.BatchLogMetrics(LogMetricsRequest(run_id=run.id, metrics=metrics), **metadata.quick)

    await log(1, range(600))
    await log(2, range(300, 900))
    forward, backward = range(900, 1500), range(1499, 899, -1)
    await asyncio.gather(*(log(3, steps) for steps in (forward, backward, forward, backward)))
    listed = await metadata.runs.ListMetrics(ListMetricsRequest(run_id=run.id, page_size=2000), **metadata.quick)

    assert [each.step for each in listed.metrics] == list(range(1500))
    assert [each.value for each in listed.metrics] == [1.0] * 300 + [2.0] * 600 + [3.0] * 600


async def test_large_batch_for_no_run_leaves_nothing(metadata: Metadata):
    metrics = [Metric(name="loss", split="train", step=step, value=1) for step in range(600)]
    with pytest.raises(AioRpcError) as raised:
        await metadata.runs.BatchLogMetrics(LogMetricsRequest(run_id="nobody", metrics=metrics), **metadata.quick)

    assert raised.value.code().name == "NOT_FOUND"
