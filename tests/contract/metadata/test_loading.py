"""Many records at once, as they are, in every store."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from servicekit.channels import Channel
from servicekit.server import serving
from services.metadata.adapters.mongodb.documents import LAYOUTS
from services.metadata.bootstrap import compose
from services.metadata.domain.entities import Metric, Project, Record, Run
from services.metadata.domain.exporting import Exports, Wish
from services.metadata.domain.importing import Imports, Part
from services.metadata.domain.indexing import IndexingStore
from services.metadata.domain.ports import BrokenReference, Duplicate, Store
from services.metadata.settings import MetadataSettings
from tests.servers.mongod import Mongod

from .aggregates import Aggregates
from .everything import house_of, seed
from .stores import STORES, opened, store_of

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


async def test_documents_that_were_loaded_show_what_those_made_here_show(mongod_server: Mongod, tmp_path: Path):
    """Also what they show of other records, for those who read the database by themselves."""
    with mongod_server.database() as first, mongod_server.database() as second:
        async with opened(first) as origin, opened(second) as store:
            async with served(origin, tmp_path) as house:
                await seed(house)
            parts = (Part("one", batch) async for batch in Exports(origin).batches(Wish()))
            await Imports(IndexingStore(store)).take(parts)
        made, loaded = documents(mongod_server, first), documents(mongod_server, second)

    assert loaded == made
    assert any("generatedFiles" in each for each in made["projects"])
    assert any(each.get("accuracy") or each.get("base_model") is not None for each in made["models"])


@asynccontextmanager
async def served(store: Store, folder: Path) -> AsyncIterator[Aggregates]:
    address, settings = f"unix:{folder}/socket", MetadataSettings(data_dir=folder, drain_seconds=0.5)
    async with serving(compose(store), address, settings):
        channel = Channel(address)
        yield house_of(channel)
        await channel.close()


def documents(server: Mongod, url: str) -> dict[str, list[dict[str, object]]]:
    """All documents of a database, as others read them."""
    with server.client() as client:
        database = client[url.rpartition("/")[2].partition("?")[0]]
        return {
            layout.collection: [
                {name: value for name, value in each.items() if name != "claims"}
                for each in database[layout.collection].find(sort=[("_id", 1)])
            ]
            for layout in LAYOUTS.values()
            if layout.collection not in ("imports", "metrics")  # one metric is the largest number, which is rounded
        }
