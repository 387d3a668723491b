"""Copies all records from one database to another, and compares the two.

The records go as they are, in batches, each of which the target writes together with a note of how far it is: whatever
happens on the way, the same migration goes on from there.
"""

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from grpc.aio import AioRpcError, StreamUnaryCall

from modelyard.embedded import embedded_channel
from modelyard.errors import ModelyardError
from modelyard.metadata.v1 import admin_pb2 as pb
from modelyard.metadata.v1.admin_pb2_grpc import AdminServiceStub
from servicekit import statuses
from servicekit.channels import Channel
from servicekit.logging import get_logger

if TYPE_CHECKING:
    from modelyard.metadata.v1.admin_pb2_grpc import AdminServiceAsyncStub

log = get_logger()

QUICK_SECONDS = 120.0
WHOLE_SECONDS = 7 * 86_400.0
"""What the copying or comparing of everything may take."""
FROM_ENVIRONMENT = "env:"
SAME_SCHEMES = {"postgres": "postgresql", "mariadb": "mysql"}
PORTS = {"postgresql": 5432, "mysql": 3306, "mongodb": 27017}
SQLITE_BEGINNING = b"SQLite format 3\0"

PATIENCE_SECONDS = 180.0
"""How long a side is waited for that cannot be used."""
PAUSE_SECONDS = 1.0

Told = Callable[[str, int], None]
"""Called with a kind and how many more of its records were handed over; fewer, when that was in vain."""
Handed = tuple[str, str, int]
"""Kind, position and number of records of a batch that was handed over."""


@dataclass(frozen=True)
class Address:
    """Where a database is."""

    url: str = field(repr=False)
    shown: str
    """The same without password and options."""
    place: str
    """The same for all ways to write it."""


@dataclass(frozen=True)
class Progress:
    """How far a migration is."""

    totals: Mapping[str, int]
    """Records to copy, by kind."""
    done: Mapping[str, int]
    """Of these, those that the target has from an earlier attempt."""
    complete: bool


@dataclass(frozen=True)
class Compared:
    """What both databases have of one kind."""

    entity: str
    source: int
    target: int
    equal: bool
    """Whether it is the same, to the last byte."""


def address_of(given: str) -> Address:
    """The address of a database as people give it: itself, or env:NAME for what an environment variable holds."""
    url = given
    if given.startswith(FROM_ENVIRONMENT):
        name = given.removeprefix(FROM_ENVIRONMENT)
        url = os.environ.get(name, "")
        if not url:
            raise ModelyardError(0, "ADDRESS_MISSING", f"The environment variable {name} is not set, or empty.")
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise ModelyardError(0, "ADDRESS_WRONG", "An address begins with sqlite:///, postgresql://, mysql:// or alike.")
    scheme = scheme.partition("+")[0].lower()
    scheme = SAME_SCHEMES.get(scheme, scheme)
    if scheme == "sqlite":
        path = Path(rest.partition("?")[0].removeprefix("/")).absolute()
        return Address(url, f"sqlite:///{path}", f"sqlite:{path.resolve()}")
    return _on_a_server(url, scheme, rest)


def _on_a_server(url: str, scheme: str, rest: str) -> Address:
    identity, at, where = rest.rpartition("@")
    user = identity.partition(":")[0] + at
    where = where.partition("?")[0]
    hosts, _, database = where.partition("/")
    places = ",".join(sorted(_host(host, scheme) for host in hosts.split(",")))
    return Address(url, f"{scheme}://{user}{where}", f"{scheme}://{places}/{database}")


def _host(given: str, scheme: str) -> str:
    try:
        host, port = urlsplit(f"//{given}").hostname or "", urlsplit(f"//{given}").port
    except ValueError:
        return given.lower()
    return f"{'127.0.0.1' if host == 'localhost' else host}:{port or PORTS.get(scheme, 0)}"


def check(source: Address, target: Address) -> None:
    """Raise ModelyardError for databases between which nothing can be copied."""
    if source.place == target.place:
        message = f"{source.shown} is to be copied to itself. Name another database with --to."
        raise ModelyardError(0, "SAME_DATABASE", message)
    for address in (source, target):
        if address.place.startswith("sqlite:"):
            _check_file(address, Path(address.place.removeprefix("sqlite:")), needed=address is source)


def _check_file(address: Address, path: Path, needed: bool) -> None:
    if needed and not path.is_file():
        message = f"There is no database {address.shown}. Correct the address after --from."
        raise ModelyardError(0, "DATABASE_MISSING", message)
    if path.is_file() and path.stat().st_size:
        with path.open("rb") as file:
            if file.read(len(SQLITE_BEGINNING)) != SQLITE_BEGINNING:
                raise ModelyardError(0, "NO_DATABASE", f"The file of {address.shown} is no SQLite database.")


class Migration:
    """A migration between two databases that are open."""

    def __init__(self, source: Channel, target: Channel, import_id: str) -> None:
        self._source = source
        self._target = target
        self._giving = AdminServiceStub(source.grpc)
        self._taking = AdminServiceStub(target.grpc)
        self._id = import_id

    async def progress(self) -> Progress:
        """How far it is. ModelyardError when there is nothing to copy."""
        with _of("source"):
            counted = await self._giving.GetStatistics(pb.GetStatisticsRequest(), **self._source.within(QUICK_SECONDS))
        note = await self._note()
        totals = {each.entity: each.count for each in counted.entities}
        if not any(totals.values()):
            raise ModelyardError(0, "NOTHING_TO_COPY", "The source has no records. Check the address after --from.")
        return Progress(totals, _done(totals, note), note.complete)

    async def copy(self, batch_size: int, told: Told) -> int:
        """Copy what the target does not have yet; how many records it has then.

        A side that cannot be used for a while is waited for: a database may take a minute to notice that whoever wrote
        there was killed. ModelyardError when it takes longer, and when either fails for good.
        """
        handed: list[Handed] = []
        give_up = time.monotonic() + PATIENCE_SECONDS
        while True:
            known = len(handed)
            try:
                return await self._copy_rest(batch_size, told, handed)
            except ModelyardError as error:
                if len(handed) > known:
                    give_up = time.monotonic() + PATIENCE_SECONDS
                if not error.retryable or time.monotonic() > give_up:
                    raise
                log.warning("migration waits", reason=error.message)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _copy_rest(self, batch_size: int, told: Told, handed: list[Handed]) -> int:
        note = await self._note()
        while handed and handed[-1][:2] != (note.entity, note.position):  # these were handed over in vain
            entity, _, count = handed.pop()
            told(entity, -count)
        wish = pb.ExportRecordsRequest(after_entity=note.entity, after_position=note.position, batch_size=batch_size)
        giving = self._giving.ExportRecords(wish, **self._source.within(WHOLE_SECONDS))
        taking = self._taking.ImportRecords(**self._target.within(WHOLE_SECONDS))
        try:
            with _of("source"):
                async for batch in giving:
                    await _hand(taking, pb.ImportRecordsRequest(import_id=self._id, batch=batch))
                    handed.append((batch.entity, batch.position, len(batch.records)))
                    told(batch.entity, len(batch.records))
            await _hand(taking, pb.ImportRecordsRequest(import_id=self._id, last=True))
            await taking.done_writing()
            with _of("target"):
                return (await taking).count
        finally:
            giving.cancel()
            taking.cancel()

    async def compare(self) -> list[Compared]:
        """What both have, kind by kind."""
        sides = (("source", self._giving, self._source), ("target", self._taking, self._target))
        source, target = await asyncio.gather(*(_digests(*side) for side in sides))
        return [
            Compared(each.entity, each.count, other.count, (each.count, each.sha256) == (other.count, other.sha256))
            for each, other in zip(source, target, strict=True)
        ]

    async def _note(self) -> pb.Import:
        with _of("target"):
            request = pb.GetImportRequest(import_id=self._id)
            return await self._taking.GetImport(request, **self._target.within(QUICK_SECONDS))


@asynccontextmanager
async def migration(source: Address, target: Address) -> AsyncIterator[Migration]:
    """A migration between two databases, for the length of the block. ModelyardError when one cannot be opened."""
    # What is derived of the two addresses is the same whenever the same command is given again.
    told = hashlib.sha256(f"{source.place}\n{target.place}".encode()).hexdigest()
    async with embedded_channel(source.url) as giving, embedded_channel(target.url) as taking:
        yield Migration(giving, taking, f"migration-{told[:32]}")


def _done(totals: Mapping[str, int], note: pb.Import) -> dict[str, int]:
    """What the target has of each kind: all of the earlier ones, and the rest of the one that it is at."""
    done, left = {}, note.count
    for entity, total in totals.items():
        done[entity] = left if entity == note.entity else min(total, left)
        left -= done[entity]
    return done


async def _hand(taking: "StreamUnaryCall[pb.ImportRecordsRequest, pb.Import]", part: pb.ImportRecordsRequest) -> None:
    """Hand a part over as soon as there is room for it."""
    try:
        await taking.write(part)
    except (AioRpcError, asyncio.InvalidStateError):  # the call has ended, and how says why
        with _of("target"):
            await taking
        raise


async def _digests(name: str, stub: "AdminServiceAsyncStub", channel: Channel) -> list[pb.EntityDigest]:
    with _of(name):
        asked = stub.DigestRecords(pb.DigestRecordsRequest(), **channel.within(WHOLE_SECONDS))
        return [each async for each in asked]


@contextmanager
def _of(side: str) -> Iterator[None]:
    """Turn what goes wrong on one side into a ModelyardError that says on which."""
    try:
        yield
    except AioRpcError as error:
        message = f"The {side}: {error.details()}"
        raise ModelyardError(0, error.code().name, message, retryable=statuses.is_transient(error)) from error
