"""MongoDB when units meet, when the server is in trouble, and when it stands alone."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pymongo
import pytest
from pymongo.errors import OperationFailure
from structlog.testing import capture_logs

from services.metadata.adapters.mongodb import MongoStore, mongodb_store, store
from services.metadata.adapters.mongodb.failures import AccessRefused
from services.metadata.domain.entities import Job, JobStatus, Metric, Project, Run
from services.metadata.domain.jobs import Jobs, Watchers
from services.metadata.domain.metrics import Metrics
from services.metadata.domain.ports import BrokenReference, Query, StoreUnreachable, Transaction
from services.metadata.domain.records import Records
from tests.servers.mongod import Mongod, mongod

NOW = datetime(2026, 11, 21, 12, 30, 15, 123_456, tzinfo=UTC)
BLOCKED = {"failCommands": ["find"], "blockConnection": True, "blockTimeMS": 4000}


@pytest.fixture
def url(mongod_server: Mongod) -> Iterator[str]:
    with mongod_server.database() as url:
        yield url


@pytest.fixture
async def mongo(url: str) -> AsyncIterator[MongoStore]:
    async with mongodb_store(url) as store:
        yield store


async def test_metrics_of_a_run_that_is_being_deleted_are_refused_or_deleted(mongo: MongoStore, url: str):
    """Either of the two comes first; metrics without a run never stay, though MongoDB knows no references."""
    runs, metrics = Records(Run, mongo), Metrics(mongo)
    made = [await runs.create(Run(user_id="ada"), f"r{number}") for number in range(25)]

    async def log(run: Run) -> None:
        for step in range(3):
            await metrics.log(run.id, [Metric(run.id, "loss", "train", step, 0.5, NOW)])

    async def delete(run: Run) -> None:
        await asyncio.sleep(0.002)
        await runs.delete(run.id)

    work = [task for run in made for task in (log(run), delete(run))]
    outcomes = await asyncio.gather(*work, return_exceptions=True)
    with pymongo.MongoClient(url) as client:
        documents = client.get_default_database()
        left = {name: documents[name].count_documents({}) for name in ("runs", "metrics", "held")}

    assert left == {"runs": 0, "metrics": 0, "held": 0}
    assert {type(each).__name__ for each in outcomes} <= {"NoneType", "int", "RecordNotFound"}


async def test_unit_that_fails_leaves_nothing(mongo: MongoStore):
    async def unit(transaction: Transaction) -> None:
        await transaction.insert(Project(id="p", user_id="ada", name="n"))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await mongo.write(unit)

    assert await mongo.get(Project, "p") is None


async def test_claim_that_is_not_committed_is_nobody_elses(mongo: MongoStore):
    """The second unit that wants the job is done again when the first has ended, and finds it taken."""
    jobs = Jobs(mongo, Watchers())
    await jobs.create(Job(user_id="ada", kind="train"), "one")
    held, ended = asyncio.Event(), asyncio.Event()

    async def slow(transaction: Transaction) -> Job | None:
        job = await transaction.due_job(["train"], datetime.now(UTC))
        held.set()
        await ended.wait()
        if job:
            await transaction.update(replace(job, status=JobStatus.COMPLETED, etag="new"), job.etag)
        return job

    first = asyncio.create_task(mongo.write(slow))
    await held.wait()
    second = asyncio.create_task(jobs.claim("w", ["train"], timedelta(seconds=60)))
    await asyncio.sleep(0.2)
    waits = not second.done()
    ended.set()

    assert await first
    assert await second is None
    assert waits


async def test_probe_fails_when_the_schema_is_gone(mongod_server: Mongod):
    with mongod_server.new_database() as url:
        async with mongodb_store(url) as store:
            await store.probe()
            mongod_server.admin.drop_database(url.partition("?")[0].rpartition("/")[2])
            with pytest.raises(Exception, match="schema"):
                await store.probe()


@pytest.fixture(scope="module")
def own_server() -> Iterator[Mongod]:
    with mongod(True, "--setParameter", "enableTestCommands=1") as server:
        yield server


async def test_database_that_is_down_is_unavailable_and_then_available_again(own_server: Mongod):
    """003.1: never an empty list, and soon; with the server back all goes on without a restart."""
    url = own_server.url("yard")
    async with mongodb_store(url) as store:
        projects = Records(Project, store)
        first = await projects.create(Project(user_id="ada", name="first"), "one")
        own_server.server.stop()
        began = time.monotonic()
        calls: list[Callable[[], Any]] = [
            lambda: projects.get(first.id),
            lambda: store.find(Project, Query()),
            lambda: store.tally(Project, {}),
            lambda: projects.create(Project(user_id="ada", name="second"), "two"),
            store.probe,
        ]
        failures = await asyncio.gather(*(call() for call in calls), return_exceptions=True)
        took = time.monotonic() - began
        own_server.server.start()
        second = await projects.create(Project(user_id="ada", name="second"), "two")
        read = await projects.get(first.id)

    assert [type(each) for each in failures] == [StoreUnreachable] * len(calls)
    assert took < 20  # the driver by itself waits for 30 seconds
    assert read == first
    assert second.name == "second"


async def test_server_that_does_not_answer_is_unavailable(own_server: Mongod):
    async with mongodb_store(f"{own_server.url('yard')}&socketTimeoutMS=1000") as store:
        own_server.admin.admin.command("configureFailPoint", "failCommand", mode="alwaysOn", data=BLOCKED)
        try:
            with pytest.raises(StoreUnreachable):
                await store.find(Project, Query())
        finally:
            own_server.admin.admin.command("configureFailPoint", "failCommand", mode="off")


@pytest.mark.parametrize("code", [112, 251])
async def test_unit_that_another_was_in_the_way_of_is_done_again(own_server: Mongod, code: int):
    """WriteConflict and NoSuchTransaction, also when the commit says so."""
    async with mongodb_store(own_server.url("yard")) as store:
        projects = Records(Project, store)
        labels = ["TransientTransactionError"]
        data = {"failCommands": ["commitTransaction"], "errorCode": code, "errorLabels": labels}
        own_server.admin.admin.command("configureFailPoint", "failCommand", mode={"times": 2}, data=data)
        made = await projects.create(Project(user_id="ada", name=f"again {code}"), f"again {code}")
        read = await projects.get(made.id)

    assert read == made


@pytest.mark.parametrize(
    "failure",
    [
        {"closeConnection": True},
        {
            "writeConcernError": {
                "code": 64,
                "errmsg": "waiting for replication timed out",
                "errInfo": {"wtimeout": True},
            }
        },
    ],
)
async def test_commit_whose_answer_is_lost_is_made_once(own_server: Mongod, failure: dict[str, Any]):
    """However often the answer is lost: the commit is asked for again, the unit is not done again."""
    name = f"once {[*failure]}"
    async with mongodb_store(own_server.url("yard")) as store:
        projects = Records(Project, store)
        data = {"failCommands": ["commitTransaction"], **failure}
        own_server.admin.admin.command("configureFailPoint", "failCommand", mode={"times": 3}, data=data)
        made = await projects.create(Project(user_id="ada", name=name), name)
        found = await store.find(Project, Query({"name": name}, limit=10))

    assert found == [made]


@pytest.fixture(scope="module")
def lone_server() -> Iterator[Mongod]:
    """A server that stands alone, and lets nobody in without a password."""
    with mongod(False, "--auth") as server:
        server.admin.admin.command("createUser", "root", pwd="p@ss/w%rd", roles=["root"])
        yield server


def _lone_url(server: Mongod, password: str) -> str:
    return server.url("yard", credentials=f"root:{password}@").replace("?", "?authSource=admin&")


async def test_server_that_stands_alone_is_used_with_a_warning(lone_server: Mongod):
    """Without transactions each write is whole and a repeat finds the first; the log says what is missing."""
    with capture_logs() as logs:
        async with mongodb_store(_lone_url(lone_server, "p%40ss%2Fw%25rd")) as store:
            projects = Records(Project, store)
            first = await projects.create(Project(user_id="ada", name="first"), "one")
            again = await projects.create(Project(user_id="ada", name="first"), "one")
            with pytest.raises(BrokenReference):
                await store.write(lambda transaction: transaction.insert(Run(id="r", user_id="ada", project_id="no")))
            updated = await projects.update(replace(first, name="second"), ["name"])
            deleted = await projects.delete(first.id)

    warnings = [each for each in logs if each["log_level"] == "warning"]
    assert "no transactions" in warnings[0]["event"]
    assert warnings[0]["url"] == f"mongodb://127.0.0.1:{lone_server.port}/yard"
    assert "p@ss" not in str(logs)
    assert "w%25rd" not in str(logs)
    assert first == again
    assert (updated.name, deleted) == ("second", 1)


async def test_wrong_password_is_told_without_it(lone_server: Mongod):
    with pytest.raises(AccessRefused) as raised:
        async with mongodb_store(_lone_url(lone_server, "hunter2")):
            pass

    assert isinstance(raised.value.__cause__, OperationFailure)
    assert "hunter2" not in f"{raised.value!r} {raised.value.__cause__!r}"


async def test_server_that_never_comes_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(store, "START_SECONDS", 0.1)
    with pytest.raises(StoreUnreachable):
        async with mongodb_store("mongodb://127.0.0.1:1/yard?serverSelectionTimeoutMS=200"):
            pass
