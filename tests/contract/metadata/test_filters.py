"""Filters: the same records on every store as the memory's own evaluation finds."""

from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct
from grpc.aio import AioRpcError

from modelyard.common.v1.metric_pb2 import Metric
from modelyard.metadata.v1 import job_pb2, run_pb2
from modelyard.metadata.v1.dataset_pb2 import ListDatasetsRequest
from servicekit import statuses

from .conftest import Metadata


def document(**values: Any) -> Struct:
    struct = Struct()
    struct.update(values)
    return struct


RUNS: dict[str, dict[str, Any]] = {
    "plain": {"name": "plain", "status": run_pb2.RUN_STATUS_QUEUED},
    "tuned": {
        "name": "Tüned (50%_off) [v2]*",
        "notes": "a first look\nat \\ everything",
        "planned_epochs": 20,
        "hyperparameters": document(learning_rate=0.01, layers=3, deep={"er": {"x": "y"}}, nothing=None),
        "tags": document(team="core", urgent=True, count=0),
    },
    "other": {
        "name": "tüned",
        "engine": "quick",
        "planned_epochs": 3,
        "hyperparameters": document(learning_rate="0.01", layers=True, deep="er"),
        "tags": document(team="Core", urgent="true", **{"odd name.é": "ü😀 ", "count": 1}),
        "start_time": datetime(2026, 2, 1, 10, 0, 0, 123456, UTC),
    },
}
CASES = {
    'name = "plain"': ["plain"],
    "name = plain": ["plain"],
    'name != "plain"': ["tuned", "other"],
    "name:TÜNED": ["tuned", "other"],
    'name:"50%_OFF"': ["tuned"],
    'name:"[v2]*"': ["tuned"],
    'name:"5_%"': [],
    'notes:"\\\\ every"': ["tuned"],
    "notes:*": ["tuned"],
    'name > "plain" AND name < "u"': ["other"],
    "status = queued": ["plain"],
    "status != queued": ["tuned", "other"],
    "planned_epochs >= 3 planned_epochs < 20": ["other"],
    "planned_epochs > 2.5": ["tuned", "other"],
    "planned_epochs < 99999999999999999999": ["plain", "tuned", "other"],
    "start_time = null": ["plain", "tuned"],
    "start_time:*": ["other"],
    "start_time > 2026-02-01T10:00:00.123455Z": ["other"],
    "start_time > 2026-02-01T10:00:00.123456Z": [],
    "start_time >= 2026-02-01T11:00:00.123456+01:00": ["other"],
    "start_time <= 2026-02-01": [],
    "start_time = 2026-02-01T10:00:00.123456Z": ["other"],
    "start_time != 2026-02-01": ["plain", "tuned", "other"],
    "NOT start_time > 2026-01-01": ["plain", "tuned"],
    "create_time > 2020-01-01": ["plain", "tuned", "other"],
    "hyperparameters.learning_rate = 0.01": ["tuned"],
    "hyperparameters.learning_rate >= 0.01": ["tuned"],
    'hyperparameters.learning_rate = "0.01"': ["other"],
    "hyperparameters.learning_rate != 0.01": ["plain", "other"],
    "hyperparameters.layers = true": ["other"],
    "hyperparameters.layers = 1": [],
    "hyperparameters.layers = 3": ["tuned"],
    "hyperparameters.deep.er.x = y": ["tuned"],
    "hyperparameters.deep.er.x != y": ["plain", "other"],
    "hyperparameters.nothing:*": [],
    "hyperparameters.nothing = null": ["plain", "tuned", "other"],
    "hyperparameters.layers = null": ["plain"],
    "hyperparameters:deep": ["tuned", "other"],
    "hyperparameters:*": ["tuned", "other"],
    "tags.team = core": ["tuned"],
    "tags.team:CORE": ["tuned", "other"],
    'tags.team >= "Core" tags.team < "D"': ["other"],
    "tags.urgent = true": ["tuned"],
    "tags.urgent != true": ["plain", "other"],
    'tags."odd name.é" = "ü😀 "': ["other"],
    'tags."odd name.é" = "ü😀"': [],
    'tags."odd name.é":"Ü😀"': ["other"],
    "tags.count < 1": ["tuned"],
    "-tags.count < 1": ["plain", "other"],
    'name = "plain" OR name = "tüned" AND engine = ""': ["plain"],
    'name = "plain" OR (name = "tüned" AND engine = quick)': ["plain", "other"],
    "NOT (name:tüned OR status = queued)": [],
    "project_id = null": ["plain", "tuned", "other"],
    'project_id != ""': [],
    "metrics.accuracy > 0.5": ["other"],
    "metrics.accuracy <= 0.5": ["tuned"],
    "metrics.accuracy != 0.9": ["plain", "tuned"],
    "metrics.accuracy = null": ["plain"],
    "metrics.train.accuracy >= 0.99": ["tuned"],
    'metrics."val loss.x" < inf': ["other"],
    "NOT metrics.accuracy > 0.5": ["plain", "tuned"],
    "first look": ["tuned"],
    "50 OFF": ["tuned"],
    "tüned OR plain": ["plain", "tuned", "other"],
    "NOT tüned": ["plain"],
    "tüned engine = quick": ["other"],
    "tune": [],
    "": ["plain", "tuned", "other"],
}


async def _runs(metadata: Metadata) -> dict[str, str]:
    return {(await metadata.run(**{**given, "id": name})).id: name for name, given in RUNS.items()}


async def _found(metadata: Metadata, **request: Any) -> list[str]:
    response = await metadata.runs.ListRuns(run_pb2.ListRunsRequest(**request), **metadata.quick)
    return [run.id for run in response.runs]


async def _metrics(metadata: Metadata, run_id: str, *metrics: tuple[str, str, int, float]) -> None:
    given = [Metric(name=name, split=split, step=step, value=value) for name, split, step, value in metrics]
    await metadata.runs.BatchLogMetrics(run_pb2.LogMetricsRequest(run_id=run_id, metrics=given), **metadata.quick)


async def test_every_store_finds_what_a_filter_says(metadata: Metadata):
    await _runs(metadata)
    await _metrics(metadata, "tuned", ("accuracy", "train", 9, 0.99), ("accuracy", "test", 1, 0.5))
    await _metrics(metadata, "other", ("accuracy", "validation", 2, 0.9), ("val loss.x", "validation", 2, 1.5))
    found = {text: await _found(metadata, filter=text) for text in CASES}

    assert {text: sorted(names) for text, names in found.items()} == {t: sorted(names) for t, names in CASES.items()}


async def test_words_of_a_fixed_set_are_called_as_the_contract_calls_them(metadata: Metadata):
    """Also where a database calls them otherwise."""
    queued, running = await metadata.job(), await metadata.job(kind="run")
    await metadata.jobs.ClaimJob(
        job_pb2.ClaimJobRequest(worker="w", kinds=["run"], lease={"seconds": 60}), **metadata.quick
    )
    found = [
        [job.id for job in (await metadata.jobs.ListJobs(job_pb2.ListJobsRequest(**each), **metadata.quick)).jobs]
        for each in ({"filter": "status = running"}, {"filter": "status != running"}, {"order_by": "status desc"})
    ]

    assert found == [[running.id], [queued.id], [running.id, queued.id]]


async def test_lists_have_elements(metadata: Metadata):
    one = await metadata.dataset(column_names=["Age", 'a "b" \\ é😀'])
    two = await metadata.dataset(column_names=["age"])

    async def found(text: str) -> list[str]:
        response = await metadata.datasets.ListDatasets(ListDatasetsRequest(filter=text), **metadata.quick)
        return [each.id for each in response.datasets]

    assert await found("column_names:Age") == [one.id]
    assert await found('column_names:"a \\"b\\" \\\\ é😀"') == [one.id]
    assert await found("column_names:*") == [two.id, one.id]
    assert await found("NOT column_names:age") == [one.id]
    assert await found("format.delimiter = null") == [two.id, one.id]


WRONG = {
    "password = 1": 1,
    "name": None,
    "name =": 7,
    "name = x AND": 13,
    "AND name = x": 1,
    "(name = x": 10,
    "name = x)": 9,
    'name = "x': 8,
    "etag = x": 1,
    "request_id = x": 1,
    "planned_epochs = many": 1,
    "planned_epochs:1": 1,
    "status = waiting": 1,
    "status < queued": 1,
    "start_time > yesterday": 1,
    "start_time > 2026-02-30": 1,
    "name = null": 1,
    "start_time > null": 1,
    "tags = 1": 1,
    "name.x = 1": 1,
    'tags."a\\"b" = 1': 1,
    "metrics.a.b = 1": 1,
    'name:""': 1,
    "!!!": 1,
    "(" * 30 + "name = x": 22,
    "name = x " * 101: 901,
    "name = " + "x" * 2000: 2001,
    "tags.x < true": 1,
    "planned_epochs = 1e999": 1,
    "name = \x00": 8,
}


@pytest.mark.parametrize("metadata", ["memory"], indirect=True)
async def test_a_filter_that_cannot_be_understood_is_refused_with_its_place(metadata: Metadata):
    for text, place in WRONG.items():
        if place is None:
            assert await _found(metadata, filter=text) == []
            continue
        with pytest.raises(AioRpcError) as raised:
            await _found(metadata, filter=text)

        assert raised.value.code().name == "INVALID_ARGUMENT", text
        assert statuses.field_of(raised.value) == "filter", text
        assert f"at character {place}:" in str(raised.value.details()), (text, raised.value.details())


async def test_a_page_goes_on_under_the_same_filter_alone(metadata: Metadata):
    await _runs(metadata)
    request = {"filter": "name:tüned", "page_size": 1}
    first = await metadata.runs.ListRuns(run_pb2.ListRunsRequest(**request), **metadata.quick)
    token = first.next_page_token
    with pytest.raises(AioRpcError) as raised:
        await _found(metadata, filter="name:plain", page_size=1, page_token=token)

    assert [run.id for run in first.runs] == ["other"]
    assert await _found(metadata, **request, page_token=token) == ["tuned"]
    assert statuses.field_of(raised.value) == "page_token"
