"""Many records at once, as they are, in every store."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.metadata.domain.entities import Metric, Project, Record, Run
from services.metadata.domain.ports import BrokenReference, Duplicate, Store

from .stores import STORES, store_of

NOW = datetime(2026, 11, 3, 10, 0, 0, 123457, tzinfo=UTC)


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with store_of(request.param, request, tmp_path) as opened:
        yield opened


def project(number: int, **fields: object) -> Project:
    made = {"id": f"p-{number}", "user_id": "ada", "name": f"project {number}", "etag": "e", "request_id": f"r{number}"}
    return Project(**{"create_time": NOW, "update_time": NOW, **made, **fields})


async def load(store: Store, *records: Record | Metric) -> None:
    await store.write(lambda transaction: transaction.load(type(records[0]), records))


async def test_records_are_written_over_those_of_their_ids(store: Store):
    """With all that they are: also what no request can change."""
    await load(store, *(project(number) for number in range(3)))
    changed = replace(project(1), name="x", request_id="other", create_time=NOW.replace(year=2020), etag="f")
    await load(store, project(0), changed, project(3))
    found = await store.scan(Project, None, 10)

    assert found == [project(0), changed, project(2), project(3)]


async def test_metrics_are_written_over_those_of_their_keys(store: Store):
    run = Run(id="r", user_id="ada", create_time=NOW, update_time=NOW, etag="e")
    metrics = [Metric("r", "loss", "train", step, step / 7, NOW) for step in range(200)]
    await load(store, run)
    await load(store, *metrics[:150])
    await load(store, *metrics[100:])
    found = await store.scan(Metric, ("r", "loss", "train", 9), 500)

    assert found == metrics[10:]


async def test_references_to_nothing_and_taken_values_are_refused(store: Store):
    """And nothing of what came with them is written."""
    await load(store, project(0))
    with pytest.raises(BrokenReference):
        await load(store, Run(id="r", user_id="ada", project_id="p-0"), Run(id="s", user_id="ada", project_id="p-9"))
    with pytest.raises(Duplicate) as taken:
        await load(store, project(1), project(2, name="project 0"))

    assert await store.scan(Run, None, 10) == []
    assert await store.scan(Project, None, 10) == [project(0)]
    assert set(taken.value.facts["fields"].split(", ")) == {"user_id", "name"}
