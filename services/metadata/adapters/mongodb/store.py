"""MongoDB, by motor. Units of work are transactions where the server has them: on a replica set or a sharded cluster.

What was acknowledged was written by a majority of the servers, to their journals, and only such is read.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

from bson.codec_options import CodecOptions
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorClientSession
from pymongo.errors import ConfigurationError, ConnectionFailure, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from servicekit.logging import get_logger
from services.metadata.adapters.gathering import GatheredRecords
from services.metadata.adapters.mongodb import failures, setup
from services.metadata.adapters.mongodb.documents import Document
from services.metadata.adapters.mongodb.measuring import Overtaken
from services.metadata.adapters.mongodb.transaction import Database, MongoReader, MongoTransaction
from services.metadata.domain.entities import Job, Metric, Record
from services.metadata.domain.ports import Query, Series, StoreBusy, StoreUnreachable, Transaction, Values

E = TypeVar("E")
R = TypeVar("R", bound=Record)
T = TypeVar("T")
Client = AsyncIOMotorClient[Document]

log = get_logger()

SCHEMES = ("mongodb://", "mongodb+srv://")
DATABASE = "modelyard"
"""Where the address names no database."""
PATIENCE_SECONDS = 30.0
"""How long it is tried again when others are in the way."""
FIRST_PAUSE_SECONDS = 0.01
LONGEST_PAUSE_SECONDS = 0.3
"""How long it is waited before a unit is done again: at random, up to twice as long each time."""
Connections = tuple[int, int]
"""Fewest and most to one server; what the address says goes before."""
CONNECTIONS: Connections = (2, 10)
START_SECONDS = 30.0
"""How long a server may take that is just starting beside us."""
RECONNECTIONS = 1
"""How often a unit is done again after the connection broke: enough where another server takes over."""
OPTIONS: dict[str, Any] = {
    "appname": "modelyard",
    "tz_aware": True,
    "serverselectiontimeoutms": 2_000,
    "connecttimeoutms": 2_000,
    "sockettimeoutms": 10_000,
    "waitqueuetimeoutms": 5_000,
}
COMMIT_MILLISECONDS = 10_000
DURABLE = WriteConcern("majority", j=True, wtimeout=COMMIT_MILLISECONDS)


class MongoStore:
    """Records in MongoDB."""

    def __init__(self, client: Client, database: Database, transactional: bool, writers: int) -> None:
        self._client = client
        self._database = database
        self._transactional = transactional
        self._turn = asyncio.Semaphore(writers)
        self._claims = asyncio.Lock()
        self._running: set[asyncio.Task[Any]] = set()
        self._gathered = GatheredRecords(self._get_all)

    async def get(self, kind: type[R], record_id: str) -> R | None:
        """The record of this id. Those asked for at the same time are read together."""
        return await self._gathered.get(kind, record_id)

    async def _get_all(self, kind: type[R], record_ids: Collection[str]) -> dict[str, R]:
        return await self._read(lambda reader: reader.get_all(kind, record_ids))

    async def find(self, kind: type[E], query: Query) -> list[E]:
        """The records that a query asks for, in order."""
        return await self._read(lambda reader: reader.find(kind, query))

    async def scan(self, kind: type[E], after: tuple[Any, ...] | None, limit: int) -> list[E]:
        """The first records after a key."""
        return await self._read(lambda reader: reader.scan(kind, after, limit))

    async def series(self, run_id: str, names: Collection[str], split: str) -> list[Series]:
        """The series of a run."""
        return await self._read(lambda reader: reader.series(run_id, names, split))

    async def peaks(self, series: Series, width: int) -> list[Metric]:
        """The smallest and the largest of each stretch, with the first and the last."""
        return await self._read(lambda reader: reader.peaks(series, width))

    async def due_job(self, kinds: Collection[str], now: datetime) -> Job | None:
        """The oldest job that is due."""
        return await self._read(lambda reader: reader.due_job(kinds, now))

    async def tally(
        self, kind: type[Any], where: Values, by: Sequence[str] = (), through: str = ""
    ) -> dict[tuple[Any, ...], int]:
        """How many records equal `where`, for each combination of values."""
        return await self._read(lambda reader: reader.tally(kind, where, by, through))

    async def write(self, unit: Callable[[Transaction], Awaitable[T]]) -> T:
        """Do a unit of work in one transaction, or, where the server has none, one write after the other."""
        await self._turn.acquire()
        return await self._finish(self._write(unit))

    async def probe(self) -> None:
        """Read the version of the documents' form."""
        with failures.told():
            await setup.version_of(self._database)

    async def close(self) -> None:
        """Let what runs come to its end, then close all connections."""
        await asyncio.gather(*self._running, return_exceptions=True)
        self._client.close()

    async def _read(self, read: Callable[[MongoReader], Awaitable[T]]) -> T:
        with failures.told():
            return await read(MongoReader(self._database))

    async def _finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Carry work to its end, also when its caller gives up."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _write(self, unit: Callable[[Transaction], Awaitable[T]]) -> T:
        try:
            with failures.told():
                if self._transactional:
                    return await self._patiently(unit)
                return await self._do(unit, None)
        finally:
            self._turn.release()

    async def _patiently(self, unit: Callable[[Transaction], Awaitable[T]]) -> T:
        """Do a unit again from its beginning while others are in its way."""
        clock = asyncio.get_running_loop().time
        give_up, broken, pause = clock() + PATIENCE_SECONDS, 0, FIRST_PAUSE_SECONDS
        while True:
            try:
                return await self._attempt(unit)
            except Overtaken as error:
                cause: Exception = error
            except PyMongoError as error:
                broken += failures.is_gone(error)
                if not failures.is_transient(error) or broken > RECONNECTIONS or failures.is_nowhere(error):
                    raise
                cause = error
            if clock() > give_up:
                raise StoreBusy from cause
            await asyncio.sleep(random.uniform(0, pause))  # noqa: S311 (no secret)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _attempt(self, unit: Callable[[Transaction], Awaitable[T]]) -> T:
        async with await self._client.start_session() as session:
            session.start_transaction(
                ReadConcern("snapshot"), DURABLE, ReadPreference.PRIMARY, max_commit_time_ms=COMMIT_MILLISECONDS
            )
            return await self._do(unit, session)

    async def _do(self, unit: Callable[[Transaction], Awaitable[T]], session: AsyncIOMotorClientSession | None) -> T:
        transaction = MongoTransaction(self._database, session, self._claims)
        try:
            outcome = await unit(transaction)
            await transaction.show()
            if session:
                await self._commit(session)
        finally:
            transaction.end()
        return outcome

    async def _commit(self, session: AsyncIOMotorClientSession) -> None:
        """A commit whose answer was lost is asked for again: it is made once, however often it is asked for."""
        give_up = asyncio.get_running_loop().time() + COMMIT_MILLISECONDS / 1000
        while True:
            try:
                await session.commit_transaction()
            except PyMongoError as error:
                if not failures.is_undecided(error):
                    raise
                if asyncio.get_running_loop().time() > give_up or failures.is_nowhere(error):
                    raise StoreUnreachable from error
            else:
                return


@asynccontextmanager
async def mongodb_store(
    url: str, database: str = "", connections: Connections = CONNECTIONS
) -> AsyncIterator[MongoStore]:
    """A store in the database that a mongodb:// URL names, or else a name beside it, prepared before.

    StoreUnreachable, AccessRefused or AddressWrong when it cannot be; none of them says a password.
    """
    client = connect(url, connections)
    try:
        with failures.told():
            store = await _open(client, database)
        try:
            yield store
        finally:
            await store.close()
    finally:
        client.close()


def connect(url: str, connections: Connections = CONNECTIONS) -> Client:
    """A client for a URL; AddressWrong when it is none. Nothing is sent yet."""
    options = {**OPTIONS, "minpoolsize": min(connections), "maxpoolsize": connections[1]}
    ours = {name: value for name, value in options.items() if f"{name}=" not in url.lower()}
    try:
        return AsyncIOMotorClient(url, **ours)
    except (ConfigurationError, ValueError):
        raise failures.AddressWrong from None  # what the driver says may quote a part of the password


async def _open(client: Client, name: str) -> MongoStore:
    hello = await _greeting(client)
    transactional = "setName" in hello or hello.get("msg") == "isdbgrid"
    database = client.get_database(
        client.get_default_database(name or DATABASE).name,
        codec_options=CodecOptions(tz_aware=True, tzinfo=UTC),
        write_concern=DURABLE,
        read_concern=ReadConcern("majority") if transactional else None,
    )
    await setup.prepare(database)
    await _tell(client, database, transactional)
    most: int | None = client.delegate.options.pool_options.max_pool_size
    return MongoStore(client, database, transactional, most or CONNECTIONS[1])


async def _greeting(client: Client) -> Document:
    """What the server says of itself. It may just be starting beside us."""
    give_up = asyncio.get_running_loop().time() + START_SECONDS
    while True:
        try:
            return await client.admin.command("hello")
        except ConnectionFailure:
            if asyncio.get_running_loop().time() > give_up:
                raise


async def _tell(client: Client, database: Database, transactional: bool) -> None:
    about, version = await client.server_info(), await setup.version_of(database)
    hosts = ",".join(sorted(f"{host}:{port}" for host, port in client.delegate.nodes))
    url = f"mongodb://{hosts}/{database.name}"
    log.info("database", store="MongoDB", server=about["version"], url=url, schema=version)
    if not transactional:
        log.warning(
            "this MongoDB server stands alone and has no transactions: what belongs together is written one after the "
            "other, and a crash between may leave a part of it; start it with --replSet for all or nothing",
            url=url,
        )
