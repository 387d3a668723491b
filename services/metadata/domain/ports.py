"""What the use cases need of a store. Adapters exist for SQL and for memory; one contract suite runs over both."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar

from servicekit import errors
from services.metadata.domain.entities import Job, Metric, MetricSummary, Record, SearchText
from services.metadata.domain.filters import Filter

E = TypeVar("E")
R = TypeVar("R", bound=Record)
T = TypeVar("T")
Values = Mapping[str, Any]


class Duplicate(errors.AlreadyExists):
    """Another record has the same {fields}. Choose another value."""

    def __init__(self, fields: Sequence[str]) -> None:
        super().__init__(fields=", ".join(fields))


class BrokenReference(errors.NotReady):
    """A record refers to another that does not exist, or is referred to by another. See to that one first."""


class StoreBusy(errors.Unavailable):
    """The database is being written by others for too long. Repeat the request a little later."""


class StoreUnreachable(errors.Unavailable):
    """The database cannot be reached now. Repeat the request a little later."""


class StoreFull(errors.Exhausted):
    """The database has no space left, and nothing of this was kept. Free some on its disk, then repeat."""


class RightMissing(errors.NotReady):
    """The user of the database may not do this there. Give it the right to, or ask for something else."""


@dataclass(frozen=True)
class Ordering:
    """One thing to list records by. What is absent comes first, and last when it is descending."""

    name: str
    descending: bool = False
    metric: tuple[str, str] | None = None
    """Name and split of a run's metric, in place of an attribute. Runs without it come last either way, newest first;
    the position then has three values: the metric's, and the run's creation time and id."""


@dataclass(frozen=True)
class Series:
    """What there is of one run's metric on one split."""

    run_id: str
    name: str
    split: str
    count: int
    min_value: float
    max_value: float
    mean_value: float
    first_step: int
    last_step: int


@dataclass(frozen=True)
class Query:
    """Which records to find, in the order that their entity declares."""

    where: Values = field(default_factory=dict)
    """Attributes that equal these values."""
    before: Mapping[str, datetime] = field(default_factory=dict)
    """Attributes that are earlier than these."""
    after: tuple[Any, ...] | None = None
    """Only what comes after this position: one value for each attribute of the order."""
    limit: int = 1
    where_true: Filter | None = None
    """What is true of them besides."""
    order: "tuple[Ordering, ...]" = ()
    """What to list them by in place of that order; the position then has one value for each of these."""


class Reader(Protocol):
    """Reads records."""

    async def get(self, kind: type[R], record_id: str) -> R | None:
        """The record of this id."""

    async def find(self, kind: type[E], query: Query) -> list[E]:
        """The records that a query asks for, in order."""

    async def scan(self, kind: type[E], after: tuple[Any, ...] | None, limit: int) -> list[E]:
        """The first records after a key, or of all, by their keys: in one order whichever database holds them."""

    async def tally(
        self, kind: type[Any], where: Values, by: Sequence[str] = (), through: str = ""
    ) -> dict[tuple[Any, ...], int]:
        """How many records equal `where`, for each combination of values that they have in `by`.

        Without `by` there is one entry, under (), also when there is no record. With `through`, the name of an
        attribute that refers to another record, it is that one whose attributes equal `where`.
        """

    async def series(self, run_id: str, names: Collection[str], split: str) -> list[Series]:
        """The series of a run, of all names and splits where none are given, in the order of name and split."""

    async def peaks(self, series: Series, width: int) -> list[Metric]:
        """The smallest and the largest of each stretch of so many steps, with the first and the last, in order.

        Stretches begin after the first. There is none when the width is 0.

        Of several that are equal it is the one of the lowest step.
        """

    async def due_job(self, kinds: Collection[str], now: datetime) -> Job | None:
        """The oldest job of these kinds that waits and may begin, or whose lease has run out.

        Inside a unit of work, no other unit gets the same one before this one has ended.
        """


class Transaction(Reader, Protocol):
    """Reads and writes that become visible together, or not at all."""

    async def insert(self, record: Record) -> None:
        """Add a record; Duplicate for a taken id or unique value, BrokenReference for a reference to nothing."""

    async def update(self, record: R, etag: str) -> bool:
        """Write a record over the one of its id, if that still has this etag; whether it had. Errors as insert.

        Counters stay as they are.
        """

    async def change(self, kind: type[Any], where: Values, values: Values) -> int:
        """Set attributes of all records that equal `where`; how many there were."""

    async def count(self, kind: type[Any], where: Values, name: str, by: int = 1, most: int | None = None) -> int:
        """Add to a counter of all records that equal `where` and where it is then 0 to `most`; how many there were.

        None is lost to another unit, and what several add together never exceeds `most`.
        """

    async def remove(self, kind: type[Any], where: Values) -> int:
        """Remove all records that equal `where`; how many. BrokenReference while others refer to one."""

    async def put_metrics(self, metrics: Sequence[Metric]) -> None:
        """Write many metrics, each over the one of its key. BrokenReference when there is no such run."""

    async def load(self, kind: type[E], records: Sequence[E]) -> None:
        """Write many records of different keys as they are, each over the one of its key. Errors as insert."""

    async def put_summaries(self, summaries: Sequence[MetricSummary]) -> None:
        """Write summaries, each over the one of its key unless that has a higher precedence, or a higher step."""

    async def put_texts(self, texts: Sequence[SearchText]) -> None:
        """Write the words of records, each over those of its key."""


class Store(Reader, Protocol):
    """Keeps records."""

    async def write(self, unit: Callable[[Transaction], Awaitable[T]]) -> T:
        """Do a unit of work in one transaction and return what it returns; nothing is changed when it raises.

        A unit that another one got in the way of is done again from its beginning, so it must have no other effects.
        Once begun it is carried to its end, also when the caller no longer waits. StoreBusy when it cannot begin.
        """

    async def probe(self) -> None:
        """Succeed when the store can be read and holds what this program expects."""
