"""What becomes of the service when the database is a server: one that goes away, refuses, or has others on it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import asyncpg
import pytest
import sqlalchemy as sa

from modelyard.metadata.v1.project_pb2 import CreateProjectRequest, GetProjectRequest, ListProjectsRequest, Project
from modelyard.metadata.v1.project_pb2_grpc import ProjectServiceStub
from servicekit import errors, statuses
from servicekit.channels import Channel
from servicekit.server import failing, serving
from services.metadata.adapters import pooled, postgres
from services.metadata.adapters.sql import SqlStore
from services.metadata.bootstrap import compose, open_store
from services.metadata.domain.entities import Job
from services.metadata.domain.entities import Project as ProjectRecord
from services.metadata.domain.ports import Query, Transaction
from services.metadata.domain.records import Records, get_from, save, utc_now
from services.metadata.settings import MetadataSettings

from .stores import DATABASES, opened

SERVERS = ("postgres", "mariadb")


@dataclass(frozen=True)
class Place:
    """A database on a server."""

    server: Any
    url: str


@pytest.fixture(params=SERVERS)
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    async with DATABASES[request.param](request, tmp_path) as url:
        yield Place(request.getfixturevalue(f"{request.param}_server"), url)


@asynccontextmanager
async def _served(url: str, folder: Path) -> AsyncIterator[tuple[SqlStore, Channel]]:
    address = f"unix:{folder}/socket"
    settings = MetadataSettings(data_dir=folder, drain_seconds=0.5)
    async with opened(url) as store, serving(compose(store), address, settings):
        channel = Channel(address)
        try:
            yield store, channel
        finally:
            await channel.close()


async def test_database_that_is_down_is_unavailable_and_back_when_it_is(place: Place, tmp_path: Path):
    """003.1, 004.3: never an empty list; connections from before are found broken before they are used."""
    async with _served(place.url, tmp_path) as (store, channel):
        projects, quick = ProjectServiceStub(channel.grpc), channel.within(20)
        request = CreateProjectRequest(project=Project(user_id="ada", name="first"), request_id="one")
        first = await projects.CreateProject(request, **quick)
        again = CreateProjectRequest(project=Project(user_id="ada", name="second"), request_id="two")
        place.server.program.stop()
        try:
            calls = [
                projects.GetProject(GetProjectRequest(id=first.id), **quick),
                projects.ListProjects(ListProjectsRequest(user_id="ada"), **quick),
                projects.CreateProject(again, **quick),
            ]
            failed = await asyncio.gather(*calls, return_exceptions=True)
            health = await failing({"database": store.probe})
        finally:
            place.server.program.start()
        read = await projects.GetProject(GetProjectRequest(id=first.id), **quick)
        await projects.CreateProject(again, **quick)
        listed = await projects.ListProjects(ListProjectsRequest(user_id="ada"), **quick)

    assert [error.code().name for error in failed] == ["UNAVAILABLE"] * 3
    assert all(statuses.is_transient(error) for error in failed)
    assert all(b"google.rpc.RetryInfo" in str(error.trailing_metadata()).encode() for error in failed)
    assert "cannot be reached" in health["database"]
    assert read == first
    assert [each.name for each in listed.projects] == ["second", "first"]


async def test_server_that_was_restarted_meanwhile_is_no_news_to_anybody(place: Place):
    """004.3: the connections that broke are replaced before they are used."""
    async with opened(place.url) as store:
        projects = Records(ProjectRecord, store)
        made = [projects.create(ProjectRecord(user_id="ada", name=f"{number}"), f"{number}") for number in range(10)]
        before = await asyncio.gather(*made)
        place.server.restart()
        after = [await projects.get(each.id) for each in before]

    assert after == before


async def test_server_that_refuses_is_named_without_the_password(place: Place):
    wrong = place.url.replace(":" + place.url.split(":")[2].partition("@")[0], ":wr0ng", 1)
    with pytest.raises(pooled.StoreRefused) as password:
        async with opened(wrong):
            pass
    with pytest.raises(pooled.StoreRefused) as database:
        async with opened(place.url.rpartition("/")[0] + "/nowhere"):
            pass

    for raised in (password, database):
        assert "127.0.0.1" in str(raised.value)
        assert "modelyard:***@" in str(raised.value)
        assert "wr0ng" not in str(raised.value)
        assert unquote("s3cret") not in str(raised.value)
    assert "nowhere" in str(database.value)


async def test_server_that_is_not_there_ends_the_wait(place: Place, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pooled, "START_SECONDS", 0.1)
    place.server.program.stop()
    try:
        with pytest.raises(errors.Unavailable):
            async with opened(place.url):
                pass
    finally:
        place.server.program.start()


async def test_start_waits_for_a_server_that_is_starting(place: Place):
    place.server.program.stop()
    opening = asyncio.create_task(_count(place.url))
    await asyncio.sleep(0.2)
    waited = not opening.done()
    place.server.program.start()

    assert await opening == 0
    assert waited


async def _count(url: str) -> int:
    async with opened(url) as store:
        return len(await store.find(ProjectRecord, Query(limit=10)))


async def test_no_more_connections_than_the_settings_allow(place: Place):
    """004.3: kept and temporary ones together."""
    settings = MetadataSettings(url=place.url, pool_size=2, max_overflow=1, _env_file=None)
    most = 0
    async with open_store(settings) as store, opened(place.url) as other:
        projects = Records(ProjectRecord, store)
        busy = [projects.create(ProjectRecord(user_id="ada", name=f"{number}"), f"{number}") for number in range(60)]
        busy += [store.find(ProjectRecord, Query({"user_id": f"{number}"})) for number in range(60)]
        work = asyncio.gather(*busy)
        while not work.done():
            most = max(most, store._writers.pool.checkedout())
            await asyncio.sleep(0)
        made = await work
        kept = store._writers.pool.checkedin()
        found = await other.find(ProjectRecord, Query({"user_id": "ada"}, limit=100))

    assert len(made) == 120
    assert len(found) == 60
    assert 1 < most <= 3
    assert kept == 2


async def _both(store: SqlStore, one: Callable[..., Any], other: Callable[..., Any]) -> list[Any]:
    async with asyncio.timeout(20):
        return await asyncio.gather(store.write(one), store.write(other))


async def test_units_that_lock_each_other_out_are_done_again(place: Place):
    """Each waits for what the other has: the database breaks one off, and nobody hears of it."""
    async with opened(place.url) as store:
        projects = Records(ProjectRecord, store)
        a, b = [await projects.create(ProjectRecord(user_id="ada", name=name), name) for name in ("a", "b")]
        met = asyncio.Barrier(2)
        attempts = 0

        def unit(first: str, second: str) -> Callable[[Transaction], Any]:
            waits = [met.wait]

            async def change(transaction: Transaction) -> None:
                nonlocal attempts
                attempts += 1
                await transaction.change(ProjectRecord, {"id": first}, {"status": "completed"})
                if waits:
                    await waits.pop()()
                await transaction.change(ProjectRecord, {"id": second}, {"status": "completed"})

            return change

        await _both(store, unit(a.id, b.id), unit(b.id, a.id))
        changed = [await projects.get(each.id) for each in (a, b)]

    assert attempts == 3
    assert [each.status for each in changed] == ["completed", "completed"]


async def test_unit_whose_record_another_has_changed_is_done_again(place: Place):
    """Nothing is lost, and nobody is told of a change that they could not know."""
    async with opened(place.url) as store:
        project = await Records(ProjectRecord, store).create(ProjectRecord(user_id="ada", name="-"), "one")
        met = asyncio.Barrier(2)

        def unit(mark: str) -> Callable[[Transaction], Any]:
            waits = [met.wait]

            async def change(transaction: Transaction) -> None:
                now = await get_from(transaction, ProjectRecord, project.id)
                if waits:
                    await waits.pop()()
                await save(transaction, now, replace(now, name=now.name + mark), utc_now())

            return change

        await _both(store, unit("a"), unit("b"))
        after = await store.get(ProjectRecord, project.id)

    assert sorted(after.name) == ["-", "a", "b"]


async def test_unit_that_finds_nothing_and_is_beaten_to_it_looks_again(place: Place):
    async with opened(place.url) as store:
        met = asyncio.Barrier(2)

        def unit(mark: str) -> Callable[[Transaction], Any]:
            waits = [met.wait]

            async def find_or_make(transaction: Transaction) -> str:
                found = await transaction.find(ProjectRecord, Query({"user_id": "ada", "name": "one"}))
                if waits:
                    await waits.pop()()
                if not found:
                    await transaction.insert(ProjectRecord(id=mark, user_id="ada", name="one"))
                return found[0].id if found else mark

            return find_or_make

        ids = await _both(store, unit("a"), unit("b"))

    assert ids[0] == ids[1]


async def test_what_is_kept_of_a_document_can_be_asked_by_the_database(place: Place):
    """004.4: JSONB on PostgreSQL, JSON on MariaDB."""
    question = {
        "postgresql": "SELECT pg_typeof(input)::text, input->>'a' FROM jobs",
        "mysql": "SELECT 'jsonb', JSON_VALUE(input, '$.a') FROM jobs",
    }
    async with opened(place.url) as store:
        await Records(Job, store).create(Job(user_id="ada", kind="k", input={"a": "x"}), "one")
        async with store._readers.connect() as connection:
            said = (await connection.execute(sa.text(question[connection.dialect.name]))).one()

    assert tuple(said) == ("jsonb", "x")


async def test_a_start_waits_for_one_that_makes_the_tables(postgres_server, monkeypatch: pytest.MonkeyPatch):
    """For longer than any write waits for another: a large database takes its time to be brought up to date."""
    monkeypatch.setattr(postgres, "LOCK_SECONDS", 1)
    async with postgres_server.database() as url:
        first = await asyncpg.connect(url)
        await first.execute(f"SELECT pg_advisory_lock({postgres.MIGRATION_LOCK})")
        starting = asyncio.create_task(_opened_once(url))
        ended, _ = await asyncio.wait([starting], timeout=2.5)
        await first.close()
        await starting

    assert not ended


async def _opened_once(url: str) -> None:
    async with opened(url):
        pass
