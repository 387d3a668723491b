"""Lists in an order that the caller chooses, a page at a time."""

from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from grpc.aio import AioRpcError

from modelyard.common.v1.metric_pb2 import Metric
from modelyard.metadata.v1 import admin_pb2, run_pb2
from modelyard.metadata.v1.admin_pb2_grpc import AdminServiceStub
from servicekit import statuses

from .conftest import Metadata

BEGUN = {"a": None, "b": 3, "c": 1, "d": None, "e": 3}


async def _pages(metadata: Metadata, size: int, **request: Any) -> list[str]:
    names, token = list[str](), ""
    while True:
        asked = run_pb2.ListRunsRequest(page_size=size, page_token=token, **request)
        response = await metadata.runs.ListRuns(asked, **metadata.quick)
        names += [run.id for run in response.runs]
        token = response.next_page_token
        if not token:
            return names
        assert len(response.runs) == size


async def _measure(metadata: Metadata, run_id: str, value: float, split: str = "test", step: int = 0) -> None:
    metric = Metric(name="acc.uracy", split=split, step=step, value=value)
    request = run_pb2.LogMetricsRequest(run_id=run_id, metrics=[metric])
    await metadata.runs.BatchLogMetrics(request, **metadata.quick)


async def test_what_is_absent_comes_first_and_descending_last(metadata: Metadata):
    for name, minute in BEGUN.items():
        begun = {"start_time": datetime(2026, 1, 1, 0, minute, 0, 500, UTC)} if minute else {}
        await metadata.run(id=name, name="same" if name in "ab" else "Other", planned_epochs=ord(name) % 3, **begun)
    orders = (
        "start_time",
        "start_time desc",
        "name, start_time desc",
        "name desc, id",
        "planned_epochs desc, start_time",
        "status, create_time",
        "id desc",
        "project_id, name",
    )
    expected = {order: _expected(order) for order in orders}
    for size in (1, 2, 5):
        found = {order: "".join(await _pages(metadata, size, order_by=order)) for order in orders}

        assert found == expected


def _expected(order: str) -> str:
    """What a person would put in order by hand, from the same records."""
    rows = [
        {
            "id": name,
            "name": "same" if name in "ab" else "Other",
            "planned_epochs": ord(name) % 3,
            "start_time": minute or 0,
            "create_time": name,
            "status": "",
            "project_id": "",
        }
        for name, minute in BEGUN.items()
    ]
    parts = [part.split() for part in order.split(",")]
    last = parts[-1][1:]
    for name, *way in reversed([*parts, ["id", *last]]):
        rows.sort(key=lambda row: row[name], reverse=way == ["desc"])
    return "".join(row["id"] for row in rows)


async def test_runs_are_listed_by_what_they_came_to_on_the_rows_held_out(metadata: Metadata):
    """Those without the metric come last either way, newest first."""
    for name in "abcdefg":
        await metadata.run(id=name, user_id="ada" if name != "f" else "grace")
    await _measure(metadata, "a", 0.5)
    await _measure(metadata, "b", 0.7, "train", step=9)
    await _measure(metadata, "c", 0.1, "validation", step=5)
    await _measure(metadata, "c", 0.6, "validation", step=7)
    await _measure(metadata, "c", 0.3, "validation", step=6)
    await _measure(metadata, "d", 0.2, "train", step=100)
    await _measure(metadata, "d", 0.5, "test", step=1)
    await _measure(metadata, "f", float("inf"))
    order = 'metrics."acc.uracy"'
    for size in (1, 3, 7):
        assert await _pages(metadata, size, order_by=order) == [*"adcbf", "g", "e"]
        assert await _pages(metadata, size, order_by=f"{order} desc") == [*"fbcda", "g", "e"]
        assert await _pages(metadata, size, order_by=order, user_id="ada") == [*"adcb", "g", "e"]
        assert await _pages(metadata, size, order_by=f"{order} desc", filter=f"NOT {order} = 0.5") == [*"fbc", "g", "e"]
    assert await _pages(metadata, 2, order_by='metrics.train."acc.uracy"') == [*"db", *"gfeca"]


async def test_a_metric_may_be_put_right_at_its_step(metadata: Metadata):
    for name in "ab":
        await metadata.run(id=name)
    await _measure(metadata, "a", 1.0, step=3)
    await _measure(metadata, "b", 2.0, step=3)
    await _measure(metadata, "a", 3.0, step=3)
    await _measure(metadata, "b", 9.0, step=2)

    assert await _pages(metadata, 5, order_by='metrics."acc.uracy"') == ["b", "a"]


async def test_what_metrics_came_to_goes_with_the_run_and_is_not_counted(metadata: Metadata):
    await metadata.run(id="a")
    await _measure(metadata, "a", 1.0)
    admin = AdminServiceStub(metadata.channel.grpc)
    statistics = await admin.GetStatistics(admin_pb2.GetStatisticsRequest(), **metadata.quick)
    deleted = await metadata.runs.DeleteRun(run_pb2.DeleteRunRequest(id="a"), **metadata.quick)

    assert deleted.count == 2  # the run and its metric
    assert not {"metric_summaries", "search_texts"} & {each.entity for each in statistics.entities}


async def test_a_changed_record_is_where_it_belongs_now(metadata: Metadata):
    for name in "ab":
        await metadata.run(id=name, name=name)
    run = run_pb2.Run(id="a", name="c")
    request = run_pb2.UpdateRunRequest(run=run, update_mask=FieldMask(paths=["name"]))
    await metadata.runs.UpdateRun(request, **metadata.quick)

    assert await _pages(metadata, 5, order_by="name") == ["b", "a"]


WRONG = (
    "nothing",
    "name,",
    ",name",
    "name up",
    "name name desc",
    "name, name desc",
    "notes",
    "tags",
    "tags.x",
    "etag",
    "request_id",
    "metrics.a, name",
    "name, metrics.a",
    "metrics",
    "name, engine, status, create_time, update_time, id",
    "x" * 501,
)


@pytest.mark.parametrize("metadata", ["memory"], indirect=True)
async def test_an_order_that_cannot_be_is_refused(metadata: Metadata):
    for order in WRONG:
        with pytest.raises(AioRpcError) as raised:
            await _pages(metadata, 5, order_by=order)

        assert raised.value.code().name == "INVALID_ARGUMENT", order
        assert statuses.field_of(raised.value) == "order_by", order


async def test_a_page_goes_on_in_the_same_order_alone(metadata: Metadata):
    for name in "abc":
        await metadata.run(id=name, name=name)
    first = run_pb2.ListRunsRequest(page_size=1, order_by="name")
    token = (await metadata.runs.ListRuns(first, **metadata.quick)).next_page_token
    for order in ("name desc", "", "metrics.a"):
        with pytest.raises(AioRpcError) as raised:
            request = run_pb2.ListRunsRequest(page_size=1, order_by=order, page_token=token)
            await metadata.runs.ListRuns(request, **metadata.quick)

        assert statuses.field_of(raised.value) == "page_token"
