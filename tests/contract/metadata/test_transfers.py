"""What one store exports every other one takes in, and gives out again to the last byte (004.15, 004.16, M.4)."""

import hashlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from grpc.aio import AioRpcError

from modelyard.metadata.v1 import admin_pb2 as pb
from servicekit.channels import Channel
from servicekit.server import serving
from services.metadata.bootstrap import in_memory
from services.metadata.domain.declarations import ENTITIES
from services.metadata.settings import MetadataSettings

from .aggregates import Aggregates
from .conftest import Metadata
from .everything import HEX, house_of, seed

CARRIED = [name for name, each in ENTITIES.items() if not each.derived and name != "imports"]


@pytest.fixture
async def memory(tmp_path: Path) -> AsyncIterator[Aggregates]:
    """A second service, with nothing behind it."""
    async with AsyncExitStack() as stack:
        address, settings = f"unix:{tmp_path}/second", MetadataSettings(data_dir=tmp_path, drain_seconds=0.5)
        await stack.enter_async_context(serving(in_memory(), address, settings))
        channel = Channel(address)
        stack.push_async_callback(channel.close)
        yield house_of(channel)


@pytest.fixture
def house(metadata: Metadata) -> Aggregates:
    return Aggregates(metadata)


async def exported(house: Aggregates, **wish: object) -> list[pb.RecordBatch]:
    return [each async for each in house.admin.ExportRecords(pb.ExportRecordsRequest(**wish), **house.quick)]


async def imported(
    house: Aggregates, batches: Sequence[pb.RecordBatch], import_id: str = "one", last: bool = True
) -> pb.Import:
    parts = [pb.ImportRecordsRequest(import_id=import_id, batch=each) for each in batches]
    parts += [pb.ImportRecordsRequest(import_id=import_id, last=True)] * last
    return await house.admin.ImportRecords(iter(parts), **house.quick)


async def digests(house: Aggregates, *entities: str) -> list[pb.EntityDigest]:
    request = pb.DigestRecordsRequest(entities=entities)
    return [each async for each in house.admin.DigestRecords(request, **house.quick)]


def records(batches: Sequence[pb.RecordBatch]) -> list[tuple[str, bytes]]:
    return [(batch.entity, record) for batch in batches for record in batch.records]


async def test_what_is_exported_comes_back_from_every_store_byte_for_byte(house: Aggregates, memory: Aggregates):
    """Made in memory, loaded into each store: whoever exports the same bytes can take in any other's export."""
    await seed(memory)
    given = await exported(memory)
    note = await imported(house, given)
    got = await exported(house)

    assert records(got) == records(given)
    assert got == given
    assert list(dict.fromkeys(batch.entity for batch in given)) == CARRIED
    assert note.complete
    assert note.count == len(records(given))


async def test_what_is_made_in_every_store_can_be_loaded_elsewhere(house: Aggregates, memory: Aggregates):
    """004.16: also what the database of its origin keeps in a way of its own."""
    await seed(house)
    given = await exported(house, batch_size=7)
    await imported(memory, given)

    assert await exported(memory, batch_size=7) == given
    assert await digests(memory) == await digests(house)
    assert {batch.entity for batch in given} == set(CARRIED)


async def test_imported_records_are_served_like_all_others(house: Aggregates, memory: Aggregates):
    """A repeat of the request that made a record is known in its new database too, and its etag still holds."""
    made = await memory.metadata.project(name="kept")
    await imported(house, await exported(memory))
    again = await house.metadata.project(name="kept")  # the numbers of both begin at 1

    assert again == made


async def test_positions_and_hashes_are_what_the_contract_says(house: Aggregates):
    await seed(house)
    batches = await exported(house, batch_size=5)
    found = {each.entity: each for each in await digests(house)}

    for batch in batches:
        keys = ENTITIES[batch.entity].key
        told = [json.loads(record) for record in batch.records]

        assert 1 <= len(told) <= 5
        assert batch.sha256 == hashlib.sha256(b"".join(batch.records)).hexdigest()
        assert json.loads(batch.position) == [told[-1][name] for name in keys]
    for entity, digest in found.items():
        mine = [record for name, record in records(batches) if name == entity]

        assert digest.count == len(mine)
        assert digest.sha256 == hashlib.sha256(b"".join(each + b"\n" for each in mine)).hexdigest()


async def test_an_export_goes_on_after_any_position(house: Aggregates):
    await seed(house)
    batches = await exported(house, batch_size=4)
    for number in (0, 3, len(batches) // 2, len(batches) - 2):
        at = batches[number]
        rest = await exported(house, batch_size=4, after_entity=at.entity, after_position=at.position)

        assert rest == batches[number + 1 :]
    only = await exported(house, entities=["metrics", "projects"], batch_size=4)

    assert only == [batch for batch in batches if batch.entity in ("metrics", "projects")]


async def test_ids_of_either_kind_are_exported_by_their_text(house: Aggregates):
    ids = [*HEX, "p-1", "0", "zz", "507f1f77bcf86cd79943901", "507f1f77bcf86cd7994390111", "A", "_", "-", "ffg"]
    for number, each in enumerate(ids):
        await house.metadata.project(id=each, name=str(number))
    got = [json.loads(record)["id"] for _, record in records(await exported(house, batch_size=1))]

    assert got == sorted(ids)


async def test_an_import_that_broke_off_goes_on_where_it_is(house: Aggregates, memory: Aggregates):
    await seed(memory)
    given = await exported(memory, batch_size=9)
    half = len(given) // 2
    none = await house.admin.GetImport(pb.GetImportRequest(import_id="one"), **house.quick)
    await imported(house, given[:half], last=False)
    note = await house.admin.GetImport(pb.GetImportRequest(import_id="one"), **house.quick)
    rest = await exported(memory, batch_size=9, after_entity=note.entity, after_position=note.position)
    done = await imported(house, rest)

    assert (none.import_id, none.entity, none.position, none.complete) == ("one", "", "", False)
    assert (note.entity, note.position, note.complete) == (given[half - 1].entity, given[half - 1].position, False)
    assert note.count == len(records(given[:half]))
    assert done.complete
    assert done.count == len(records(given))
    assert await exported(house, batch_size=9) == given


async def test_an_import_that_is_repeated_changes_nothing(house: Aggregates, memory: Aggregates):
    """From its beginning, cut in other places, after it was complete."""
    await seed(memory)
    first = await imported(house, await exported(memory), last=False)
    again = await imported(house, await exported(memory, batch_size=13))
    third = await imported(house, await exported(memory))

    assert first.count == again.count == third.count
    assert third == again
    assert await digests(house) == await digests(memory)


def change(batch: pb.RecordBatch, make: Callable[[dict], object]) -> pb.RecordBatch:
    """A batch whose first record was changed, with the hash that it then has."""
    told = json.loads(batch.records[0])
    made = make(told)
    text = made if isinstance(made, bytes) else json.dumps(told if made is None else made).encode()
    changed = [text, *batch.records[1:]]
    return pb.RecordBatch(
        entity=batch.entity,
        records=changed,
        position=batch.position,
        sha256=hashlib.sha256(b"".join(changed)).hexdigest(),
    )


@dataclass(frozen=True)
class Bad:
    """A batch that nobody exported."""

    make: Callable[[pb.RecordBatch], pb.RecordBatch]
    says: str
    status: str = "INVALID_ARGUMENT"


def _with(batch: pb.RecordBatch, **fields: object) -> pb.RecordBatch:
    made = pb.RecordBatch()
    made.CopyFrom(batch)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def _reversed(batch: pb.RecordBatch) -> pb.RecordBatch:
    turned = list(reversed(batch.records))
    return pb.RecordBatch(
        entity=batch.entity,
        records=turned,
        position=batch.position,
        sha256=hashlib.sha256(b"".join(turned)).hexdigest(),
    )


BAD = {
    "no JSON": Bad(lambda it: change(it, lambda _: b"{"), "record 1 of a batch of runs cannot be read: it is not json"),
    "no UTF-8": Bad(lambda it: change(it, lambda _: b'{"id": "\xff"}'), "it is not json"),
    "NaN": Bad(lambda it: change(it, lambda told: told.update(tags={"a": float("nan")})), "it is not json"),
    "deep": Bad(lambda it: change(it, lambda _: b"[" * 100_000), "it is not json"),
    "no object": Bad(lambda it: change(it, lambda _: b"[]"), "no json object"),
    "unknown": Bad(lambda it: change(it, lambda told: told.update(x=1)), "nothing is called x"),
    "missing": Bad(lambda it: change(it, lambda told: told.pop("etag") and None), "it lacks etag"),
    "wrong type": Bad(lambda it: change(it, lambda told: told.update(planned_epochs="1")), "is no whole number"),
    "too large": Bad(lambda it: change(it, lambda told: told.update(planned_epochs=2**63)), "is no whole number"),
    "too long": Bad(lambda it: change(it, lambda told: told.update(name="x" * 201)), "its name is text of 201"),
    "null": Bad(lambda it: change(it, lambda told: told.update(name=None)), "its name is no text"),
    "NUL": Bad(lambda it: change(it, lambda told: told.update(notes="\0")), "its notes is text with characters"),
    "half a pair": Bad(lambda it: change(it, lambda told: told.update(notes="\ud800")), "text with characters"),
    "no word": Bad(lambda it: change(it, lambda told: told.update(status="x")), "its status is none of queued"),
    "no time": Bad(lambda it: change(it, lambda told: told.update(create_time="today")), "its create_time is no time"),
    "no zone": Bad(lambda it: change(it, lambda told: told.update(create_time="2026-01-01")), "without its zone"),
    "no id": Bad(lambda it: change(it, lambda told: told.update(id="")), "its id is empty"),
    "hash": Bad(lambda it: _with(it, sha256="0" * 64), "does not have the hash"),
    "order": Bad(_reversed, "not in the order"),
    "position": Bad(lambda it: _with(it, position='["zzz"]'), "not in the order"),
    "no position": Bad(lambda it: _with(it, position="zzz"), "batch.position is no json"),
    "kind": Bad(lambda it: _with(it, entity="secrets"), "batch.entity is 'secrets'"),
    "bookkeeping": Bad(lambda it: _with(it, entity="imports"), "batch.entity is 'imports'"),
    "nothing": Bad(lambda it: pb.RecordBatch(entity=it.entity), "0 records"),
    "reference": Bad(
        lambda it: change(it, lambda told: told.update(project_id="nobody")),
        "project_id names the project nobody, which does not exist",
        "FAILED_PRECONDITION",
    ),
}


@pytest.mark.parametrize("case", BAD)
async def test_a_bad_batch_is_refused_and_nothing_of_it_is_written(house: Aggregates, memory: Aggregates, case: str):
    for name in "abc":
        await memory.metadata.run(name=name)
    [good] = await exported(memory)
    with pytest.raises(AioRpcError) as raised:
        await imported(house, [BAD[case].make(good)])
    note = await house.admin.GetImport(pb.GetImportRequest(import_id="one"), **house.quick)
    after = await digests(house, "runs")
    done = await imported(house, [good])

    assert raised.value.code().name == BAD[case].status, raised.value.details()
    assert BAD[case].says in raised.value.details().lower() or BAD[case].says in raised.value.details()
    assert (note.count, after[0].count) == (0, 0)
    assert (done.count, done.complete) == (3, True)


async def test_batches_that_come_in_another_order_are_refused(house: Aggregates, memory: Aggregates):
    await seed(memory)
    first, second, *_ = await exported(memory, entities=["projects"], batch_size=2)
    with pytest.raises(AioRpcError) as raised:
        await imported(house, [second, first])

    assert raised.value.code().name == "INVALID_ARGUMENT"
    assert "not in the order of an export" in raised.value.details()


async def test_a_value_that_must_be_unique_is_refused_in_a_second_record(house: Aggregates, memory: Aggregates):
    await memory.metadata.project(name="a")
    await memory.metadata.project(name="b")
    [good] = await exported(memory)
    same = change(good, lambda told: told.update(name=json.loads(good.records[1])["name"]))
    with pytest.raises(AioRpcError) as raised:
        await imported(house, [same])

    assert raised.value.code().name == "ALREADY_EXISTS"
    assert (await digests(house, "projects"))[0].count == 0


async def test_a_database_with_other_records_is_refused(house: Aggregates, memory: Aggregates):
    await seed(memory, metrics=6)
    given = await exported(memory)
    await house.user()
    with pytest.raises(AioRpcError) as foreign:
        await imported(house, given)

    assert foreign.value.code().name == "FAILED_PRECONDITION"
    assert "records already, of users" in foreign.value.details()


async def test_another_import_into_the_same_database_is_refused(house: Aggregates, memory: Aggregates):
    await seed(memory, metrics=6)
    given = await exported(memory)
    await imported(house, given)
    with pytest.raises(AioRpcError) as other:
        await imported(house, given, import_id="two")

    assert other.value.code().name == "FAILED_PRECONDITION"


async def test_a_complete_import_takes_nothing_more(house: Aggregates, memory: Aggregates):
    await memory.metadata.project()
    await imported(house, await exported(memory))
    await memory.campaign()
    with pytest.raises(AioRpcError) as raised:
        await imported(house, await exported(memory))

    assert raised.value.code().name == "FAILED_PRECONDITION"
    assert "is complete" in raised.value.details()


@pytest.mark.parametrize("metadata", ["memory", "sqlite"], indirect=True)
async def test_parts_that_do_not_belong_together_are_refused(house: Aggregates):
    parts = {
        "import_id is missing": [pb.ImportRecordsRequest()],
        "import_id is not in the right form": [pb.ImportRecordsRequest(import_id="a b")],
        "import_id is two in one place": [pb.ImportRecordsRequest(import_id=each) for each in ("one", "two")],
        "last is set in an earlier part": [pb.ImportRecordsRequest(import_id="x", last=True)] * 2,
    }
    for says, given in parts.items():
        with pytest.raises(AioRpcError) as raised:
            await house.admin.ImportRecords(iter(given), **house.quick)

        assert raised.value.code().name == "INVALID_ARGUMENT"
        assert says in raised.value.details()


@pytest.mark.parametrize("metadata", ["memory", "sqlite"], indirect=True)
async def test_impossible_wishes_are_refused(house: Aggregates):
    wishes = {
        "entities is 'x'": {"entities": ["x"]},
        "after_entity is 'imports'": {"after_entity": "imports"},
        "after_position is of no kind": {"after_position": '["a"]'},
        "after_position is no list of id": {"after_entity": "runs", "after_position": "[1,2]"},
        "after_position is no text": {"after_entity": "runs", "after_position": "[1]"},
        "batch_size is 1001": {"batch_size": 1001},
        "batch_size is -1": {"batch_size": -1},
    }
    for says, wish in wishes.items():
        with pytest.raises(AioRpcError) as raised:
            await exported(house, **wish)

        assert raised.value.code().name == "INVALID_ARGUMENT"
        assert says in raised.value.details()


@pytest.mark.parametrize("metadata", ["memory", "sqlite"], indirect=True)
async def test_batches_are_of_a_mebibyte_and_a_larger_record_comes_alone(house: Aggregates):
    for size in (300_000, 600_000, 600_000, 3_000_000, 100):
        await house.metadata.run(notes="x" * size, id=f"r{house.number()}")
    batches = await exported(house)
    sizes = [[len(record) // 100_000 for record in batch.records] for batch in batches]

    assert sizes == [[3, 6], [6], [30], [0]]


@pytest.mark.parametrize("metadata", ["memory", "sqlite"], indirect=True)
async def test_a_record_that_no_message_carries_is_named(house: Aggregates):
    """It can grow so large by several requests, or by its characters: a control character takes six in JSON."""
    run = await house.metadata.run(notes="\u0001" * 700_000)
    with pytest.raises(AioRpcError) as raised:
        await exported(house)

    assert raised.value.code().name == "FAILED_PRECONDITION"
    assert f'The run ["{run.id}"] has 4200' in raised.value.details()
    assert (await digests(house, "runs"))[0].count == 1


async def test_a_session_that_has_ended_is_not_carried_along(house: Aggregates, memory: Aggregates):
    """MongoDB removes it by itself, at some time."""
    user = await house.user()
    await house.session(user.id)
    before = await digests(house, "sessions")
    house.clock.forward(timedelta(days=400).total_seconds())
    after = await digests(house, "sessions")

    assert (before[0].count, after[0].count) == (1, 0)
    assert "sessions" not in {batch.entity for batch in await exported(house)}
