"""AnalysisService over the wire."""

import math

import grpc
import pytest
from google.protobuf import json_format

from modelyard.common.v1 import table_pb2
from modelyard.training.v1 import analysis_pb2
from servicekit import statuses
from tests.contract.training.conftest import Client

TABLE = b"n,x,t,when\n1,0.5,a,2026-01-01\n2,,b,2026-01-02\n2,inf,,2026-01-02\n4,1,a,2026-01-04\n"


async def sniff(client: Client, head: bytes, complete: bool = True):
    request = analysis_pb2.SniffTableRequest(head=head, complete=complete)
    return await client.analysis.SniffTable(request, **client.channel.within(60))


async def inspect(client: Client, source, sample_size: int = 20):
    request = analysis_pb2.InspectDatasetRequest(dataset=source, sample_size=sample_size)
    return await client.analysis.InspectDataset(request, **client.channel.within(180))


async def test_a_table_is_known_by_its_first_bytes(client: Client):
    response = await sniff(client, b"name;size\na;1,5\nb;2,5\nc;3,5\nd;4,5\n")

    assert response.format == table_pb2.TableFormat(delimiter=";", encoding="utf-8")
    assert list(response.column_names) == ["name", "size"]
    assert response.row_count == 4


@pytest.mark.parametrize(
    ("head", "reason"), [(b"", "EMPTY_FILE"), (b"\x00\x01\x02\x03" * 99, "NOT_TEXT"), (b"a,b\n", "NO_ROWS")]
)
async def test_what_is_no_table_is_refused_with_a_reason(client: Client, head, reason):
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await sniff(client, head)

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert statuses.reason_of(refused.value) == reason


async def test_more_than_a_head_is_refused(client: Client):
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await sniff(client, b"a" * (1024 * 1024 + 1))

    assert statuses.field_of(refused.value) == "head"


async def test_a_dataset_is_inspected_whole(client: Client, storage):
    """002.8: schema and sample rows on the fly, with the names and types a data-frame user knows."""
    response = await inspect(client, storage[0].put("t.csv", TABLE), sample_size=3)
    columns = [(column.name, column.dtype, column.null_count, column.unique_count) for column in response.columns]
    sample = [json_format.MessageToDict(row) for row in response.sample]

    assert response.row_count == 4
    assert columns == [("n", "int64", 0, 3), ("x", "float64", 1, 3), ("t", "object", 1, 2), ("when", "object", 0, 3)]
    assert sample[0] == {"n": 1.0, "x": 0.5, "t": "a", "when": "2026-01-01"}
    assert sample[1]["x"] is None
    assert sample[2] == {"n": 2.0, "x": "inf", "t": None, "when": "2026-01-02"}


async def test_the_second_look_reads_nothing(start, storage):
    """What was found is remembered by checksum, beyond a restart too."""
    source = storage[0].put("t.csv", TABLE)
    async with start() as client:
        first = await inspect(client, source)
        second = await inspect(client, source)
    async with start() as client:
        third = await inspect(client, source)
        await inspect(client, source, sample_size=1)

    assert first == second == third
    assert storage[0].downloads == 2


async def test_the_given_format_is_used(client: Client, storage):
    source = storage[0].put("t.csv", "a|b,c\nä|1\nö|2\nü|3\nß|4\n".encode("cp1252"))
    source.format.CopyFrom(table_pb2.TableFormat(delimiter="|", encoding="cp1252"))
    response = await inspect(client, source)

    assert [column.name for column in response.columns] == ["a", "b,c"]
    assert response.sample[0]["a"] == "ä"


async def test_an_inspection_leaves_nothing_behind(client: Client, storage):
    await inspect(client, storage[0].put("t.csv", TABLE))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await inspect(client, storage[0].put("broken.csv", b"a,b\n1,2\n3,4\n5,6,7\n8,9\n1,1\n"))
    source = storage[0].put("gone.csv", TABLE + b"9,9,9,9\n")
    del storage[0].objects["gone.csv"]
    with pytest.raises(grpc.aio.AioRpcError) as missing:
        await inspect(client, source)

    assert statuses.reason_of(refused.value) == "UNREADABLE_ROW"
    assert missing.value.code() is grpc.StatusCode.NOT_FOUND
    assert client.left_behind() == []


@pytest.mark.parametrize("size", [-1, 1001])
async def test_a_sample_size_beyond_the_bounds_is_refused(client: Client, storage, size):
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await inspect(client, storage[0].put("t.csv", TABLE), sample_size=size)

    assert statuses.field_of(refused.value) == "sample_size"


async def test_ten_thousand_columns_fit_into_a_message(client: Client, storage):
    names = ",".join(f"column_number_{number}" for number in range(10_000))
    row = ",".join("3.14159" for _ in range(10_000))
    response = await inspect(client, storage[0].put("wide.csv", "\n".join([names, *[row] * 30]).encode()))

    assert len(response.columns) == 10_000
    assert response.row_count == 30
    assert 1 <= len(response.sample) <= 20
    assert math.isclose(response.sample[0]["column_number_9999"], 3.14159)
