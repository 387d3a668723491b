"""Whatever a filter says, every database finds what the evaluation in memory finds."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as some

from services.metadata.adapters.memory import MemoryStore
from services.metadata.domain import declarations
from services.metadata.domain.entities import Experiment, Metric, Run, RunStatus
from services.metadata.domain.grammar import parse
from services.metadata.domain.indexing import IndexingStore
from services.metadata.domain.ordering import parse as parse_order
from services.metadata.domain.ports import Query, Store
from services.metadata.domain.records import new_record

from .stores import DATABASES, store_of

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
TEXTS = ("", "a", "A", "a b", "é", "ß", "%_[", "😀", "a ", "null", "5")
KEYS = ("x", "y", "odd key", "é.é")
SCALARS = (None, True, False, 0, 1, 2.5, -1, "1", "true", *TEXTS)
DOCUMENTS = [{key: value, "in": {"x": value}} for key in KEYS for value in SCALARS] + [None, {}, {"in": [1]}]


def _runs() -> list[Run]:
    return [
        new_record(
            Run(
                id=f"run{number}",
                user_id="ada",
                name=TEXTS[number % len(TEXTS)],
                notes=" ".join(TEXTS[number % 3 :: 3]),
                status=list(RunStatus)[number % 5],
                planned_epochs=number % 4,
                experiment_id="e" if number % 3 else None,
                start_time=BEGIN + timedelta(days=number, microseconds=number) if number % 4 else None,
                tags=document,
            ),
            None,
            BEGIN + timedelta(seconds=number),
        )
        for number, document in enumerate(DOCUMENTS)
    ]


def _metrics() -> list[Metric]:
    splits = ("train", "validation", "test")
    return [
        Metric(f"run{number}", name, splits[number % 3], number % 5, (number % 7) / 2, BEGIN)
        for number in range(0, len(DOCUMENTS), 2)
        for name in ("m", "n")[: 1 + number % 4 // 2]
    ]


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


compare = some.sampled_from(["=", "!=", "<", "<=", ">", ">="])
text = some.sampled_from(TEXTS)
number = some.sampled_from(["0", "1", "2.5", "-1", "3", "inf"])
key = some.lists(some.sampled_from([*(f'"{each}"' for each in KEYS), "in"]), min_size=1, max_size=2).map(".".join)
term = some.one_of(
    some.builds("name {} {}".format, compare, text.map(_quoted)),
    some.builds("name:{}".format, text.filter(bool).map(_quoted)),
    some.builds("experiment_id {} {}".format, some.sampled_from(["=", "!="]), some.sampled_from(["e", "null", '""'])),
    some.builds("status {} {}".format, some.sampled_from(["=", "!="]), some.sampled_from(list(RunStatus))),
    some.builds("planned_epochs {} {}".format, compare, number),
    some.builds(
        "start_time {} 2026-01-0{}T00:00:00.00000{}Z".format, compare, some.integers(1, 9), some.integers(0, 9)
    ),
    some.builds("tags.{} {} {}".format, key, compare, some.one_of(number, text.map(_quoted))),
    some.builds("tags.{}{}".format, key, some.sampled_from([":*", " = null", " != null", " = true", " != false"])),
    some.builds("tags.{}:{}".format, key, text.filter(bool).map(_quoted)),
    some.builds(
        "metrics.{}{} {} {}".format, some.sampled_from(["", "train.", "test."]), some.just("m"), compare, number
    ),
    some.sampled_from(
        ["metrics.n:*", "metrics.n = null", "metrics.n != null", "a", "b a", "é", "5", "tags:*", "name:*"]
    ),
)
written = some.recursive(
    term,
    lambda part: some.one_of(
        some.builds("({} AND {})".format, part, part),
        some.builds("({} OR {})".format, part, part),
        some.builds("NOT ({})".format, part),
    ),
    max_leaves=5,
)
order = some.sampled_from(
    [
        "",
        "start_time",
        "start_time desc",
        "name desc, id",
        "experiment_id, name",
        "status desc",
        "metrics.m",
        "metrics.m desc",
    ]
)


async def _fill(store: Store) -> None:
    async def unit(transaction) -> None:
        experiment = Experiment(id="e", user_id="ada", name="e")
        await transaction.insert(new_record(experiment, None, BEGIN))
        for run in _runs():
            await transaction.insert(run)
        await transaction.put_metrics(_metrics())

    await IndexingStore(store).write(unit)


@pytest.fixture(params=DATABASES)
async def stores(request: pytest.FixtureRequest, tmp_path: Path):
    async with AsyncExitStack() as stack:
        found = MemoryStore(), await stack.enter_async_context(store_of(request.param, request, tmp_path))
        for store in found:
            await _fill(store)
        yield found


async def test_every_store_finds_what_memory_finds(stores: tuple[Store, Store]):
    """In one order, and the same again from the middle of it."""
    loop = asyncio.get_running_loop()

    async def compare_(filter_: str, order_: str) -> None:
        declaration = declarations.of(Run)
        query = Query(limit=100, where_true=parse(declaration, filter_), order=parse_order(declaration, order_))
        expected, found = [[run.id for run in await store.find(Run, query)] for store in stores]

        assert found == expected

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
    @given(written, order)
    def check(filter_: str, order_: str) -> None:
        asyncio.run_coroutine_threadsafe(compare_(filter_, order_), loop).result(60)

    await asyncio.to_thread(check)
