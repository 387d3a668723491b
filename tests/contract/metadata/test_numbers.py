"""Whole numbers of records: one a record, and none twice."""

import asyncio
import json
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from grpc.aio import AioRpcError

from modelyard.metadata.v1.model_pb2 import DeleteModelRequest
from modelyard.metadata.v1.registry_pb2 import FindNumberedRecordsRequest, NumberRecordsRequest
from modelyard.metadata.v1.registry_pb2_grpc import RegistryServiceStub
from servicekit import statuses

from .aggregates import Aggregates
from .conftest import Metadata
from .numbering import OWN, SHARED

PROCESSES = 16


class Numbering:
    """Short ways to the numbers."""

    def __init__(self, metadata: Metadata) -> None:
        self.metadata = metadata
        self.stub = RegistryServiceStub(metadata.channel.grpc)

    async def of(self, entity: str, *ids: str) -> list[int]:
        request = NumberRecordsRequest(entity=entity, ids=ids)
        return list((await self.stub.NumberRecords(request, **self.metadata.quick)).numbers)

    async def find(self, entity: str, *numbers: int) -> list[str]:
        request = FindNumberedRecordsRequest(entity=entity, numbers=numbers)
        return list((await self.stub.FindNumberedRecords(request, **self.metadata.quick)).ids)


async def test_records_are_numbered_from_1_in_the_order_in_which_they_are_asked_for(metadata: Metadata):
    """004.5: each kind counts for itself, and a repeat gives the same numbers."""
    numbers = Numbering(metadata)
    runs = [(await metadata.run()).id for _ in range(4)]
    model = (await Aggregates(metadata).model()).id
    first = await numbers.of("runs", runs[2], runs[0], runs[2])
    second = await numbers.of("runs", *runs)

    assert first == [1, 2, 1]
    assert second == [2, 3, 1, 4]
    assert await numbers.of("models", model) == [1]
    assert await numbers.find("runs", 4, 1, 4) == [runs[3], runs[2], runs[3]]


async def test_the_number_of_a_deleted_record_is_never_given_again(metadata: Metadata):
    numbers, aggregates = Numbering(metadata), Aggregates(metadata)
    first, second = [(await aggregates.model()).id for _ in range(2)]
    await numbers.of("models", first)
    await metadata.models.DeleteModel(DeleteModelRequest(id=first), **metadata.quick)
    with pytest.raises(AioRpcError) as by_number:
        await numbers.find("models", 1)
    with pytest.raises(AioRpcError) as by_id:
        await numbers.of("models", second, first)

    assert [statuses.reason_of(each.value) for each in (by_number, by_id)] == ["RECORD_NOT_FOUND"] * 2
    assert by_number.value.details().startswith("There is no model with number 1.")
    assert await numbers.of("models", second) == [2]


@pytest.mark.parametrize(
    ("entity", "ids", "reason"),
    [
        ("jobs", ["a"], "FIELD_NOT_ONE_OF"),
        ("", ["a"], "FIELD_NOT_ONE_OF"),
        ("runs", [], "TOO_MANY_AT_ONCE"),
        ("runs", ["a"] * 1001, "TOO_MANY_AT_ONCE"),
        ("runs", ["nobody"], "RECORD_NOT_FOUND"),
        ("runs", [""], "RECORD_NOT_FOUND"),
    ],
)
async def test_what_cannot_be_numbered_is_refused(metadata: Metadata, entity: str, ids: list[str], reason: str):
    numbers = Numbering(metadata)
    with pytest.raises(AioRpcError) as refused:
        await numbers.of(entity, *ids)

    assert statuses.reason_of(refused.value) == reason


@pytest.mark.parametrize("number", [0, -1, 1, 2**62])
async def test_a_number_that_no_record_has_is_not_found(metadata: Metadata, number: int):
    with pytest.raises(AioRpcError) as refused:
        await Numbering(metadata).find("runs", number)

    assert statuses.reason_of(refused.value) == "RECORD_NOT_FOUND"


async def test_a_thousand_records_are_numbered_at_once(metadata: Metadata):
    numbers = Numbering(metadata)
    runs = await asyncio.gather(*(metadata.run() for _ in range(100)))
    ids = [run.id for run in runs] * 10

    assert await numbers.of("runs", *ids) == [*range(1, 101)] * 10


@contextmanager
def _process(name: str):
    command = [sys.executable, str(Path(__file__).with_name("numbering.py")), name]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def processes():
    """Processes that are started once: that takes longer than what they do."""
    with ExitStack() as stack:
        yield [stack.enter_context(_process(f"p{number}")) for number in range(PROCESSES)]


async def test_sixteen_processes_number_at_once_and_no_number_is_given_twice(processes, database: str):
    def all_number() -> list[dict[str, int]]:
        for process in processes:
            process.stdin.write(f"{database}\n")
            process.stdin.flush()
        return [json.loads(process.stdout.readline()) for process in processes]

    said = await asyncio.to_thread(all_number)
    given = {(record, number) for each in said for record, number in each.items()}
    total = PROCESSES * OWN + SHARED

    assert len(given) == total
    assert sorted(number for _, number in given) == [*range(1, total + 1)]
