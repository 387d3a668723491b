"""InspectDataset over odd files, over the wire: what is told of each column, and what is remembered."""

import asyncio
import time

import grpc
import pytest
from google.protobuf import json_format

from modelyard.common.v1 import table_pb2
from modelyard.training.v1 import analysis_pb2, training_pb2
from servicekit import statuses
from tests.contract.training.conftest import Client, train_request


async def inspect(client: Client, source, **asked):
    request = analysis_pb2.InspectDatasetRequest(dataset=source, **asked)
    return await client.analysis.InspectDataset(request, **client.channel.within(180))


async def columns_of(client: Client, storage, content: bytes) -> dict[str, table_pb2.Column]:
    response = await inspect(client, storage[0].put("t.csv", content))
    return {column.name: column for column in response.columns}


def plain(value):
    return json_format.MessageToDict(value)


def quantiles(column: table_pb2.Column) -> list:
    return [plain(one.value) for one in column.quantiles]


def top(column: table_pb2.Column) -> list[tuple[str, int]]:
    return [(one.value, one.count) for one in column.top_values]


async def test_numbers_have_bounds_mean_and_quantiles(client: Client, storage):
    found = await columns_of(client, storage, b"n,x\n1,0.5\n2,\n3,1.5\n4,4\n5,\n")
    n, x = found["n"], found["x"]

    assert (n.kind, x.kind) == (table_pb2.COLUMN_KIND_NUMBER, table_pb2.COLUMN_KIND_NUMBER)
    assert (plain(n.min), plain(n.max), plain(n.mean), quantiles(n)) == (1, 5, 3, [2, 3, 4])
    assert (plain(x.min), plain(x.max), plain(x.mean), quantiles(x)) == (0.5, 4, 2, [1, 1.5, 2.75])
    assert [one.probability for one in n.quantiles] == [0.25, 0.5, 0.75]
    assert not n.top_values
    assert [n.unique_count_estimated, n.quantiles_estimated, n.top_values_estimated] == [False] * 3


async def test_a_column_without_values_is_empty(client: Client, storage):
    found = await columns_of(client, storage, b"a,b,c\n1,,NA\n2,,NA\n3,,NA\n4,,NA\n")

    for column in (found["b"], found["c"]):
        assert column.kind == table_pb2.COLUMN_KIND_EMPTY
        assert (column.dtype, column.null_count, column.unique_count) == ("float64", 4, 0)
        assert {field.name for field, _ in column.ListFields()} == {"name", "dtype", "null_count", "kind"}


async def test_times_are_known_though_their_dtype_is_object(client: Client, storage):
    days = b"".join(b"2026-01-%02d,2026-01-%02dT06:00:00+02:00,2026-01-0x\n" % (day, day) for day in (1, 2, 3, 4, 5))
    found = await columns_of(client, storage, b"day,moment,nearly\n" + days)

    assert found["day"].dtype == found["moment"].dtype == "object"
    assert found["day"].kind == found["moment"].kind == table_pb2.COLUMN_KIND_TIME
    assert plain(found["day"].min) == "2026-01-01T00:00:00"
    assert quantiles(found["day"]) == ["2026-01-02T00:00:00", "2026-01-03T00:00:00", "2026-01-04T00:00:00"]
    assert plain(found["moment"].max) == "2026-01-05T04:00:00Z"
    assert plain(found["moment"].mean) == "2026-01-03T04:00:00Z"
    assert found["nearly"].kind == table_pb2.COLUMN_KIND_TEXT
    assert not found["nearly"].HasField("min")


async def test_the_most_frequent_texts_and_truth_values_are_counted(client: Client, storage):
    rows = [
        f"{'abcdefghijkl'[place % 12]},{'äöü'[place % 3]},{'True' if place % 4 else 'False'}" for place in range(27)
    ]
    found = await columns_of(client, storage, "\n".join(["letter,umlaut,truth", *rows]).encode())

    assert top(found["letter"]) == [*((letter, 3) for letter in "abc"), *((letter, 2) for letter in "defghij")]
    assert top(found["umlaut"]) == [("ä", 9), ("ö", 9), ("ü", 9)]
    assert found["truth"].kind == table_pb2.COLUMN_KIND_TRUTH
    assert (found["truth"].dtype, top(found["truth"])) == ("bool", [("True", 20), ("False", 7)])
    assert not found["letter"].HasField("min")


async def test_whole_numbers_and_fractions_in_one_column_are_numbers(client: Client, storage):
    found = await columns_of(client, storage, b"x,y\n1,1\n2.5,x\n3,3\n1.0,1.0\n")

    assert (found["x"].dtype, found["x"].unique_count, plain(found["x"].max)) == ("float64", 3, 3)
    assert (found["y"].dtype, found["y"].unique_count, top(found["y"])[0]) == ("object", 4, ("1", 1))


async def test_numbers_that_a_double_cannot_hold_are_texts(client: Client, storage):
    big = 2**60 + 1
    found = await columns_of(client, storage, b"big,inf\n%d,inf\n%d,1\n5,2\n6,3\n" % (big, -big))

    assert (found["big"].dtype, plain(found["big"].max), plain(found["big"].min)) == ("int64", str(big), str(-big))
    assert found["big"].unique_count == 4
    assert (plain(found["inf"].max), plain(found["inf"].min), plain(found["inf"].mean)) == ("inf", 1, "inf")
    assert quantiles(found["inf"])[:2] == [1.75, 2.5]


async def test_whole_numbers_are_of_one_type_wherever_the_large_ones_stand(client: Client, storage):
    """Parts of 50,000 rows are read one by one, and the large numbers are all in the first ones."""
    big = 2**63 + 5
    found = await columns_of(client, storage, b"n\n" + b"%d\n" % big * 60_000 + b"1\n" * 60_000)

    assert (found["n"].dtype, found["n"].kind) == ("uint64", table_pb2.COLUMN_KIND_NUMBER)
    assert (plain(found["n"].min), plain(found["n"].max), found["n"].unique_count) == (1, str(big), 2)


async def test_a_mean_between_two_infinities_is_left_out(client: Client, storage):
    found = await columns_of(client, storage, b"a,x\n1,inf\n2,-inf\n3,\n4,\n")

    assert (plain(found["x"].min), plain(found["x"].max)) == ("-inf", "inf")
    assert not found["x"].HasField("mean")


async def test_line_breaks_in_quotes_belong_to_the_value(client: Client, storage):
    found = await columns_of(client, storage, b'id,t\n1,"two\nlines"\n2,"a ""word"", quoted"\n3,"two\nlines"\n4,x\n')

    assert top(found["t"]) == [("two\nlines", 2), ('a "word", quoted', 1), ("x", 1)]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp1252", "utf-16"])
async def test_other_encodings_are_detected(client: Client, storage, encoding):
    content = "größe;straße\n" + "1;Allee\n2;Gäßchen\n3;Gäßchen\n4;Überweg\n"
    response = await inspect(client, storage[0].put("t.csv", content.encode(encoding)))

    assert [column.name for column in response.columns] == ["größe", "straße"]
    assert top(response.columns[1])[0] == ("Gäßchen", 2)
    assert response.format.delimiter == ";"


@pytest.mark.parametrize(
    "given",
    [{"delimiter": ";;"}, {"delimiter": "\n"}, {"delimiter": "§"}]
    + [{"delimiter": ",", "encoding": name} for name in ("rot13", "base64", "nonsense", "utf-8\0")],
)
async def test_a_format_that_no_table_has_is_refused(client: Client, storage, given):
    """002.8: in every call that takes one, before the file is fetched."""
    source = storage[0].put("t.csv", b"a,b\n1,2\n3,4\n5,6\n7,8\n")
    source.format.CopyFrom(table_pb2.TableFormat(**given))
    header = training_pb2.PredictHeader(row_format=training_pb2.ROW_FORMAT_CSV, table_format=source.format)
    within = client.channel.within(60)
    calls = [
        inspect(client, source),
        client.training.CheckTraining(train_request(source), **within),
        anext(aiter(client.train(train_request(source)))),
        anext(aiter(client.training.Predict(iter([training_pb2.PredictRequest(header=header)]), **within))),
    ]
    for call in calls:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert (statuses.reason_of(refused.value), statuses.field_of(refused.value)) == ("BAD_FORMAT", "format")


async def test_what_a_format_leaves_out_is_found(client: Client, storage):
    source = storage[0].put("t.csv", b"a;b\n1;2\n3;4\n5;6\n7;8\n")
    source.format.CopyFrom(table_pb2.TableFormat(encoding="utf-8"))
    found = await inspect(client, source)

    assert found.format == table_pb2.TableFormat(delimiter=";", encoding="utf-8")


async def test_three_hundred_columns(client: Client, storage):
    names = ",".join(f"c{place}" for place in range(300))
    rows = [",".join(f"w{row % 7}" if place % 2 else str(row * place) for place in range(300)) for row in range(50)]
    response = await inspect(client, storage[0].put("t.csv", "\n".join([names, *rows]).encode()))

    assert len(response.columns) == 300
    assert plain(response.columns[298].max) == 49 * 298
    assert [len(column.top_values) for column in response.columns[1::2]] == [7] * 150


async def test_very_long_texts_and_many_columns_fit_into_a_message(client: Client, storage):
    names = ",".join(f"c{place}" for place in range(2_000))
    rows = [",".join(f"{row}{'ü' * 150}" for _ in range(2_000)) for row in range(12)]
    response = await inspect(client, storage[0].put("t.csv", "\n".join([names, *rows]).encode()))
    counts = {len(column.top_values) for column in response.columns}

    assert response.ByteSize() < 4 * 1024 * 1024
    assert len(counts) == 1
    assert counts.pop() < 10


async def test_twenty_rows_unless_another_number_is_asked_for(client: Client, storage):
    """002.8: a sample of 20 rows."""
    source = storage[0].put("t.csv", b"a\n" + b"".join(b"%d\n" % place for place in range(50)))

    assert len((await inspect(client, source)).sample) == 20
    assert len((await inspect(client, source, sample_size=0)).sample) == 0
    assert len((await inspect(client, source, sample_size=33)).sample) == 33


async def test_a_malformed_row_far_down_is_named_by_its_line(client: Client, storage):
    source = storage[0].put("t.csv", b"a,b\n" + b"1,2\n" * 300_000 + b"1,2,3\n")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await inspect(client, source)

    assert statuses.reason_of(refused.value) == "UNREADABLE_ROW"
    assert "Line 300002 of the file" in (refused.value.details() or "")
    assert client.left_behind() == []


async def test_a_damaged_memory_is_as_good_as_none(client: Client, storage):
    """What is remembered carries its checksum: a file that was cut or altered is not believed but made anew."""
    source = storage[0].put("t.csv", b"a,b\n1,x\n2,y\n3,x\n4,x\n")
    first = await inspect(client, source)
    (kept,) = (client.scratch / "inspections").iterdir()
    whole = kept.read_bytes()
    for damaged in (b"", whole[:-20], whole.replace(b'"unique_count": 2', b'"unique_count": 9'), b"\xff" * 99):
        kept.write_bytes(damaged)

        assert await inspect(client, source) == first
        assert kept.read_bytes() == whole
    assert storage[0].downloads == 5


async def test_the_second_look_takes_milliseconds(client: Client, storage):
    source = storage[0].put("t.csv", b"a,b\n" + b"1,x\n" * 5_000)
    await inspect(client, source)
    took, give_up = [], time.monotonic() + 20
    while not took or (min(took) >= 0.02 and time.monotonic() < give_up):
        await asyncio.sleep(0.3 if len(took) > 5 else 0)
        start = time.perf_counter()
        await inspect(client, source)
        took.append(time.perf_counter() - start)

    assert storage[0].downloads == 1
    assert min(took) < 0.02


async def test_a_cancelled_call_ends_its_process(client: Client, storage):
    source = storage[0].put("t.csv", b"a,b\n" + b"1,2\n" * 2_000_000)
    request = analysis_pb2.InspectDatasetRequest(dataset=source)
    call = client.analysis.InspectDataset(request, **client.channel.within(180))
    while not list(client.scratch.glob("inspect_*/task.json")):
        await asyncio.sleep(0.01)
    call.cancel()
    deadline = time.monotonic() + 30
    while client.left_behind() and time.monotonic() < deadline:
        await asyncio.sleep(0.01)

    assert call.cancelled()
    assert client.left_behind() == []
