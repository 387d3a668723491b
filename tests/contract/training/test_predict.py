"""Predicting with packaged models, through the wire."""

import asyncio
import hashlib
import io
import json
import os
import signal
import zipfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import grpc
import pandas as pd
import psutil
import pyarrow as pa
import pytest
from sklearn.datasets import load_diabetes, load_wine

from modelyard.training.v1 import training_pb2
from servicekit import statuses
from services.training.adapters.models import ModelProcess
from services.training.bootstrap import WORKLOADS
from services.training.workloads.tabular.templates.load_model import load
from tests.contract.training.conftest import Client, train_request

WINE = load_wine(as_frame=True).frame.assign(target=lambda frame: frame["target"].map("class {}".format))
FEATURES = WINE.drop(columns="target")
ARROW = training_pb2.ROW_FORMAT_ARROW
ROWS = json.loads(FEATURES.to_json(orient="records"))


@pytest.fixture(scope="session")
def packages() -> dict[str, bytes]:
    """Packaged models by name, trained once."""
    return {}


async def package(start, storage, packages, name: str = "wine", frame=WINE) -> training_pb2.PackageSource:
    """A stored package."""
    if name not in packages:
        source = storage[0].put(f"{name}.csv", frame.to_csv(index=False).encode())
        async with start(WORKLOADS) as client:
            await client.trained(train_request(source, name, "tabular", engine="quick"))
            packages[name] = b"".join(await client.artifact(name))
            await client.release(name)
    return stored(storage, name, packages[name])


def stored(storage, key: str, content: bytes) -> training_pb2.PackageSource:
    put = storage[0].put(key, content)
    return training_pb2.PackageSource(placement="models", key=key, sha256=put.sha256)


async def predict(client: Client, source: training_pb2.PackageSource, rows: Any, first: int = 0, **header: Any) -> Any:
    """All answers, the later messages merged into the first; so many bytes of the rows go with the header."""
    csv = isinstance(rows, bytes)
    content = rows if csv else json.dumps(rows).encode()
    format_ = training_pb2.ROW_FORMAT_CSV if csv else training_pb2.ROW_FORMAT_JSON
    known = {"package": source, "row_format": format_, "first_chunk": content[:first]}
    head = training_pb2.PredictHeader(**{**known, **header})

    async def requests() -> AsyncIterator[training_pb2.PredictRequest]:
        yield training_pb2.PredictRequest(header=head)
        for start in range(first, len(content), 256 * 1024):
            yield training_pb2.PredictRequest(chunk=content[start : start + 256 * 1024])

    answers = training_pb2.PredictResponse()
    async for answer in client.training.Predict(requests(), **client.channel.within(60)):
        answers.MergeFrom(answer)
    return answers


async def refused(client: Client, source: training_pb2.PackageSource, rows: Any, **header: Any) -> Any:
    """Status, reason and sentence with which a call ends."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await predict(client, source, rows, **header)
    return caught.value.code(), statuses.reason_of(caught.value), caught.value.details()


def workers() -> list[psutil.Process]:
    """The processes of loaded models; one that has ended is one until the service has noticed."""
    return [each for each in psutil.Process().children() if _is_worker(each)]


def _is_worker(process: psutil.Process) -> bool:
    try:
        command = process.cmdline()
    except psutil.ZombieProcess:
        return True
    except psutil.NoSuchProcess:
        return False
    return not command or "services.training.worker" in command  # it has none left when it is about to end


async def settled(count: int) -> list[psutil.Process]:
    """The processes of loaded models, once there are so many."""
    for _ in range(200):
        if len(workers()) == count:
            break
        await asyncio.sleep(0.05)
    return workers()


async def cleared(client) -> list[str]:
    """What is left behind, once that is nothing: a folder goes right after its process."""
    for _ in range(200):
        if not client.left_behind():
            break
        await asyncio.sleep(0.05)
    return client.left_behind()


async def test_rows_get_the_answers_of_the_package_itself(start, storage, packages, tmp_path):
    """M.2: rows in JSON and CSV get what the packaged model answers on any machine."""
    source = await package(start, storage, packages)
    zipfile.ZipFile(io.BytesIO(packages["wine"])).extractall(tmp_path / "unpacked")
    model = load(tmp_path / "unpacked")
    async with start(WORKLOADS) as client:
        as_json = await predict(client, source, ROWS)
        as_csv = await predict(client, source, WINE.to_csv(index=False).encode())
        count = len(workers())
        names = client.left_behind()
    left = client.left_behind()
    classes = [value.string_value for value in as_json.classes]
    chances = model.predict_proba(FEATURES).to_numpy().ravel().tolist()

    assert as_json == as_csv
    assert as_json.row_count == len(WINE)
    assert [classes[place] for place in as_json.class_indexes] == model.predict(FEATURES).tolist()
    assert list(as_json.probabilities) == pytest.approx(chances)
    assert not as_json.values
    assert count == 1
    assert [name.startswith("predict_") for name in names] == [True]
    assert left == []
    assert workers() == []


def _arrow(table: pa.Table) -> bytes:
    """A table as an Arrow IPC stream."""
    written = io.BytesIO()
    with pa.ipc.new_stream(written, table.schema) as stream:
        stream.write_table(table)
    return written.getvalue()


async def test_arrow_gets_the_same_answers(start, storage, packages):
    """M.2: an Arrow stream of several batches, in another order of columns and types, answers as JSON does."""
    source = await package(start, storage, packages)
    table = pa.Table.from_pandas(FEATURES[FEATURES.columns[::-1]], preserve_index=False)
    narrow = table.set_column(0, "proline", table["proline"].cast(pa.int32()))
    content = _arrow(pa.concat_tables([narrow.slice(0, 50), narrow.slice(50)]))
    async with start(WORKLOADS) as client:
        as_json = await predict(client, source, ROWS)
        as_arrow = await predict(client, source, content, row_format=ARROW)

    assert as_arrow == as_json


async def test_arrow_that_is_not_right_is_refused(start, storage, packages):
    source = await package(start, storage, packages)
    good = pa.Table.from_pandas(FEATURES.head(3), preserve_index=False)
    twice = pa.Table.from_arrays([*good.columns, good["ash"]], names=[*good.column_names, "ash"])
    truth = good.set_column(0, "alcohol", pa.array([True, False, True]))
    nested = good.set_column(0, "alcohol", pa.array([[1.0], [2.0], [3.0]]))
    word = good.set_column(0, "alcohol", pa.array(["13.2", "strong", None]))
    instant = good.set_column(0, "alcohol", pa.array([1, 2, 3], pa.timestamp("s", "Foo/Bar")))
    union = pa.UnionArray.from_sparse(pa.array([0] * 3, pa.int8()), [pa.array([1.0, 2.0, 3.0])])
    united = good.set_column(0, "alcohol", union)
    misnamed = _arrow(good).replace(b"magnesium", b"magnes\xffum")
    bad = {
        "BAD_ROWS": [b"no stream", _arrow(good)[:-200], _arrow(twice), misnamed],
        "BAD_VALUE": [_arrow(truth), _arrow(nested), _arrow(word), _arrow(instant), _arrow(united)],
        "MISSING_COLUMNS": [_arrow(good.drop_columns(["ash"]))],
        "NO_ROWS_TO_PREDICT": [_arrow(good.slice(0, 0))],
    }
    async with start(WORKLOADS) as client:
        found = {
            reason: [await refused(client, source, content, row_format=ARROW) for content in contents]
            for reason, contents in bad.items()
        }
        gap = good.set_column(0, "alcohol", pa.array([13.2, None, 12.0]))
        answered = await predict(client, source, _arrow(gap), row_format=ARROW)
        count = len(workers())

    for reason, refusals in found.items():
        assert {each[:2] for each in refusals} == {(grpc.StatusCode.INVALID_ARGUMENT, reason)}
    assert "Row 2, column 'alcohol': 'strong'" in found["BAD_VALUE"][2][2]
    assert answered.row_count == 3
    assert count == 1, "bad rows cost no process"


@pytest.mark.parametrize("engine", [{"engine": "quick"}, {"engine": "autogluon", "hyperparameters": {"GBM": {}}}])
async def test_dates_and_words_in_arrow_are_those_of_the_training_data(start, storage, engine):
    """A date is one whatever its type in Arrow, and a dictionary of words is words; truth may have gaps. A date that
    is too far away for the model is refused by row and column."""
    days = pd.date_range("2024-01-01", periods=120, freq="3D")
    frame = pd.DataFrame({"day": days.strftime("%d.%m.%Y"), "town": ["Ulm", "Bonn", "Kiel"] * 40, "n": range(120)})
    frame["paid"] = [None, True, False, True] * 30
    frame["y"] = ["p" if month % 2 else "q" for month in days.month]
    data = storage[0].put("days.csv", frame.to_csv(index=False).encode())
    typed = pa.table(
        {"day": days, "town": pa.array(frame["town"]).dictionary_encode(), "n": frame["n"], "paid": frame["paid"]}
    )
    far = typed.set_column(0, "day", pa.array([*days[1:], datetime(3000, 1, 1, tzinfo=UTC)], pa.timestamp("us", "UTC")))
    async with start(WORKLOADS) as client:
        await client.trained(train_request(data, "days", "tabular", **engine))
        source = stored(storage, "days", b"".join(await client.artifact("days")))
        as_json = await predict(client, source, frame.drop(columns="y").to_dict("records"))
        as_csv = await predict(client, source, frame.drop(columns="y").to_csv(index=False).encode())
        as_arrow = await predict(client, source, _arrow(typed), row_format=ARROW)
        too_far = await refused(client, source, _arrow(far), row_format=ARROW)

    right = [as_json.classes[place].string_value for place in as_json.class_indexes] == frame["y"]
    assert right.mean() > 0.7
    assert as_arrow == as_csv == as_json
    assert too_far[:2] == (grpc.StatusCode.INVALID_ARGUMENT, "BAD_VALUE")
    assert "Row 120, column 'day'" in too_far[2]


async def test_a_model_of_numbers_answers_with_numbers(start, storage, packages):
    frame = load_diabetes(as_frame=True).frame
    source = await package(start, storage, packages, "diabetes", frame)
    async with start(WORKLOADS) as client:
        answers = await predict(client, source, frame.to_csv(index=False).encode())

    assert answers.problem_type == training_pb2.PROBLEM_TYPE_REGRESSION
    assert len(answers.values) == answers.row_count == len(frame)
    assert not answers.classes
    assert not answers.probabilities


async def test_many_rows_come_back_in_order(start, storage, packages):
    source = await package(start, storage, packages)
    many = FEATURES.sample(60_000, replace=True, random_state=1)
    async with start(WORKLOADS) as client:
        few = await predict(client, source, many.tail(5).to_csv(index=False).encode())
        answers = await predict(client, source, many.to_csv(index=False).encode())
        begun = await predict(client, source, many.to_csv(index=False).encode(), first=1000)

    assert answers == begun
    assert answers.row_count == len(answers.class_indexes) == 60_000
    assert answers.probabilities[-15:] == few.probabilities


BAD = [
    ([], "NO_ROWS_TO_PREDICT", "at least one"),
    ({"rows": 1}, "BAD_ROWS", "no array of objects"),
    ([ROWS[0], None], "BAD_ROWS", "row 2 is no object"),
    ([{**ROWS[0], "target": "\ud800", "alcohol": float("nan")}], "BAD_ROWS", "half of a character"),
    (b"", "BAD_ROWS", ""),
    ([ROWS[0], {**ROWS[1], "alcohol": "strong"}], "BAD_VALUE", "Row 2, column 'alcohol': 'strong'"),
    ([ROWS[0], {**ROWS[1], "alcohol": True}], "BAD_VALUE", "Row 2, column 'alcohol': true is not a number"),
    ([{**ROWS[0], "alcohol": [1]}], "BAD_VALUE", "Row 1, column 'alcohol': [1]"),
    ([ROWS[0], {"alcohol": 13}], "MISSING_COLUMNS", "Row 2 has no column 'malic_acid'"),
    ([{**ROWS[0], "colour": 1}], "UNKNOWN_COLUMNS", "Row 1 has a column that the model does not know, 'colour'"),
    (
        FEATURES.head(3).assign(ash="true").to_csv(index=False).encode(),
        "BAD_VALUE",
        "column 'ash': true is not a number",
    ),
    (
        FEATURES.head(3).to_csv(index=False, sep=";").encode(),
        "MISSING_COLUMNS",
        "by commas and are parted by semicolons",
    ),
    (
        FEATURES.head(3).to_csv(index=False).replace("\n", ",7\n").replace(",7", "", 1).encode(),
        "BAD_ROWS",
        "the first row has more fields than the header names columns",
    ),
    (b"alcohol\n13\n", "MISSING_COLUMNS", "The data has no column 'malic_acid'"),
    (
        FEATURES.head(3).to_csv(index=False).replace("14.23", "x").encode(),
        "BAD_VALUE",
        "Row 1, column 'alcohol': 'x' is not a number",
    ),
]


async def test_rows_that_are_not_right_are_refused_by_column_and_row(start, storage, packages):
    source = await package(start, storage, packages)
    async with start(WORKLOADS) as client:
        found = [await refused(client, source, rows) for rows, _, _ in BAD]
        missing = await predict(client, source, [{**ROWS[0], "alcohol": None}])
        count = len(workers())

    for (code, reason, sentence), (_, wanted, part) in zip(found, BAD, strict=True):
        assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, wanted)
        assert part in sentence
    assert missing.row_count == 1
    assert count == 1, "bad rows cost no process"


COLUMNS = {name: FEATURES[name].head(3).tolist() for name in FEATURES}
BAD_COLUMNS = [
    ({"datatypes": {"alcohol": "INT64"}}, "UNFIT_COLUMN", "'alcohol' cannot be used: not all of its values are INT64"),
    ({"datatypes": {"proline": "INT8"}}, "UNFIT_COLUMN", "'proline' cannot be used: not all of its values are INT8"),
    ({"datatypes": {"ash": "FLOAT"}}, "UNFIT_COLUMN", "'ash' cannot be used: FLOAT is no datatype of the protocol"),
    ({"row_count": 2}, "UNFIT_COLUMN", "it has 3 values and its shape says 2"),
    ({"row_count": 0}, "UNFIT_COLUMN", "it has 3 values and its shape says 0"),
]


async def test_columns_are_what_they_are_said_to_be(start, storage, packages):
    """M.2: columns answer as their rows do, and a value of another datatype than was told is refused."""
    source = await package(start, storage, packages)
    format_ = {"row_format": training_pb2.ROW_FORMAT_COLUMNS}
    told = {"datatypes": dict.fromkeys(COLUMNS, "FP64") | {"proline": "BYTES"}, "row_count": 3}
    async with start(WORKLOADS) as client:
        as_rows = await predict(client, source, FEATURES.head(3).to_dict("records"))
        as_columns = [await predict(client, source, COLUMNS, **format_, **each) for each in ({}, told)]
        found = [await refused(client, source, COLUMNS, **format_, **header) for header, _, _ in BAD_COLUMNS]

    assert as_columns == [as_rows, as_rows]
    for (code, reason, sentence), (_, wanted, part) in zip(found, BAD_COLUMNS, strict=True):
        assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, wanted)
        assert part in sentence


async def test_too_many_bytes_are_refused(start, storage, packages):
    source = await package(start, storage, packages)
    async with start(WORKLOADS) as client:
        first, asked = await predict(client, source, ROWS), workers()
        code, reason, _ = await refused(client, source, b"x" * (64 * 1024 * 1024 + 1))
        again, left = await predict(client, source, ROWS), workers()

    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "TOO_MUCH_TO_PREDICT")
    assert (first, asked) == (again, left), "the model, which has read most of them, goes on"


async def test_who_leaves_before_all_rows_are_sent_takes_no_model_along(start, storage, packages):
    source = await package(start, storage, packages)
    content, leaves = json.dumps(ROWS * 9).encode(), asyncio.Event()

    async def requests() -> AsyncIterator[training_pb2.PredictRequest]:
        yield training_pb2.PredictRequest(
            header=training_pb2.PredictHeader(package=source, row_format=training_pb2.ROW_FORMAT_JSON)
        )
        yield training_pb2.PredictRequest(chunk=content[: 128 * 1024])
        await leaves.wait()

    async with start(WORKLOADS) as client:
        first, asked = await predict(client, source, ROWS), workers()
        call = client.training.Predict(requests(), **client.channel.within(60))
        other = asyncio.create_task(predict(client, source, ROWS))
        await asyncio.sleep(0.5)
        call.cancel()
        again, left = await other, workers()

    assert (first, asked) == (again, left)


def _with(content: bytes, name: str, written: bytes) -> bytes:
    """A package with one file that is another."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(made, "w") as new:
        for entry in old.namelist():
            if entry != name:
                new.writestr(entry, old.read(entry))
        new.writestr(name, written)
    return made.getvalue()


async def test_a_package_that_is_not_the_recorded_one_is_not_opened(start, storage, packages):
    """M.5: the checksum of the record comes first; then every file has to be what the manifest says."""
    source = await package(start, storage, packages)
    storage[0].objects["wine"] = packages["wine"] + b"x"
    forged = [
        _with(packages["wine"], "model/model.joblib", b"cos\nsystem\n(S'touch pwned'\ntR."),
        _with(packages["wine"], "model/extra.py", b"1"),
        _with(packages["wine"], "../outside", b"1"),
        b"no zip",
    ]
    async with start(WORKLOADS) as client:
        changed = await refused(client, source, ROWS)
        broken = [await refused(client, stored(storage, f"f{n}", each), ROWS) for n, each in enumerate(forged)]
        unchecked = await refused(client, training_pb2.PackageSource(placement="models", key="wine"), ROWS)
        absent = await refused(
            client, training_pb2.PackageSource(placement="models", key="none", sha256="0" * 64), ROWS
        )
        await settled(0)
        left = await cleared(client)

    assert changed[:2] == (grpc.StatusCode.DATA_LOSS, "PACKAGE_CHANGED")
    assert {each[:2] for each in broken} == {(grpc.StatusCode.DATA_LOSS, "PACKAGE_BROKEN")}
    assert unchecked[:2] == (grpc.StatusCode.INVALID_ARGUMENT, "NO_CHECKSUM")
    assert absent[:2] == (grpc.StatusCode.NOT_FOUND, "PACKAGE_NOT_FOUND")
    assert left == []


async def test_a_killed_worker_is_reported_and_replaced(start, storage, packages, monkeypatch):
    asked, hear = asyncio.Event(), ModelProcess._hear

    async def listening(model: ModelProcess):
        asked.set()
        return await hear(model)

    source = await package(start, storage, packages)
    async with start(WORKLOADS) as client:
        first = await predict(client, source, ROWS)
        [worker] = workers()
        os.kill(worker.pid, signal.SIGSTOP)
        monkeypatch.setattr(ModelProcess, "_hear", listening)
        pending = asyncio.create_task(refused(client, source, ROWS))
        await asked.wait()
        os.kill(worker.pid, signal.SIGKILL)
        reported = await pending
        again = await predict(client, source, ROWS)
        [other] = await settled(1)
        os.kill(other.pid, signal.SIGKILL)
        await settled(0)
        unnoticed = await predict(client, source, ROWS)

    assert reported[:2] == (grpc.StatusCode.ABORTED, "WORKER_DIED")
    assert first == again == unnoticed


@pytest.mark.parametrize("copies", [1, 50])
async def test_a_worker_that_does_not_answer_is_given_up(start, storage, packages, copies):
    """However much it is asked: it may not even take all of the rows."""
    source = await package(start, storage, packages)
    async with start(WORKLOADS, predict_seconds=3) as client:
        first = await predict(client, source, ROWS)
        [worker] = workers()
        os.kill(worker.pid, signal.SIGSTOP)
        reported = await refused(client, source, ROWS * copies)
        again = await predict(client, source, ROWS)

    assert reported[:2] == (grpc.StatusCode.DEADLINE_EXCEEDED, "PREDICTION_TOO_LONG")
    assert first == again


async def test_a_models_threads_try_again_for_a_moment_before_they_sleep(start, storage, packages):
    """Sleeping at once took the time of many rows half again, and trying for long took it from who else is there."""
    source = await package(start, storage, packages)
    async with start(WORKLOADS) as client:
        await predict(client, source, ROWS)
        [worker] = workers()
        told = worker.environ()

    assert told["OMP_WAIT_POLICY"] == "PASSIVE"
    assert 0 < int(told["GOMP_SPINCOUNT"]) < 1000


async def test_the_least_recently_used_model_makes_room(start, storage, packages):
    wine = await package(start, storage, packages)
    frame = load_diabetes(as_frame=True).frame
    numbers = await package(start, storage, packages, "diabetes", frame)
    async with start(WORKLOADS, predict_models=1) as client:
        await predict(client, wine, ROWS)
        [first] = workers()
        both = await asyncio.gather(
            predict(client, numbers, frame.to_csv(index=False).encode()), predict(client, wine, ROWS)
        )
        [last] = await settled(1)

    assert [answer.row_count for answer in both] == [len(frame), len(ROWS)]
    assert last.pid != first.pid


async def test_a_model_that_nobody_asks_is_given_up(start, storage, packages):
    source = await package(start, storage, packages)
    async with start(WORKLOADS, predict_idle_seconds=0.5) as client:
        await predict(client, source, ROWS)
        gone = await settled(0)
        left = await cleared(client)
        again = await predict(client, source, ROWS)

    assert gone == []
    assert left == []
    assert again.row_count == len(ROWS)


async def test_what_a_killed_model_leaves_is_cleared_without_a_call(start, storage, packages):
    """M.8: nobody has to ask again for its files to go. It is looked for after 8 s, and would be given up after 16."""
    source = await package(start, storage, packages)
    async with start(WORKLOADS, predict_idle_seconds=16) as client:
        await predict(client, source, ROWS)
        [model] = workers()
        model.kill()

        assert await cleared(client) == []


async def test_a_model_beyond_its_memory_is_reported(start, storage, packages):
    source = await package(start, storage, packages)
    lines = FEATURES.to_csv(index=False).encode().splitlines(keepends=True)
    many = b"".join([lines[0], *lines[1:] * 5000])
    async with start(WORKLOADS, predict_memory_bytes=400 * 2**20) as client:
        first = await predict(client, source, ROWS)
        code, reason, _ = await refused(client, source, many)
        again = await predict(client, source, ROWS)

    assert (code, reason) == (grpc.StatusCode.ABORTED, "WORKER_DIED")
    assert first == again


async def test_a_package_is_fetched_once_for_many_calls(start, storage, packages):
    source = await package(start, storage, packages)
    before = storage[0].downloads
    async with start(WORKLOADS) as client:
        answers = await asyncio.gather(*(predict(client, source, ROWS[:number]) for number in range(1, 9)))

    assert [answer.row_count for answer in answers] == list(range(1, 9))
    assert storage[0].downloads - before == 1
    assert hashlib.sha256(packages["wine"]).hexdigest() == source.sha256


async def test_calls_for_a_warm_model_wait_for_each_other(start, storage, packages):
    """M.2: one that is being asked is alive, though it takes no other call meanwhile."""
    source = await package(start, storage, packages)
    many = ROWS * 40
    async with start(WORKLOADS) as client:
        alone, asked = await predict(client, source, many), workers()
        at_once = await asyncio.gather(*(predict(client, source, rows) for rows in [many, ROWS, many, *[ROWS[:1]] * 8]))
        left = workers()

    assert [answer.row_count for answer in at_once] == [len(many), len(ROWS), len(many), *[1] * 8]
    assert at_once[0] == at_once[2] == alone
    assert asked == left


async def test_who_waits_behind_a_call_that_is_given_up_gets_an_answer(start, storage, packages):
    """M.8: who leaves before the answer takes the model along, and who waited for it gets another."""
    source = await package(start, storage, packages)
    async with start(WORKLOADS) as client:
        first, [model] = await predict(client, source, ROWS), workers()
        model.suspend()
        leaving, waiting = (asyncio.create_task(predict(client, source, ROWS)) for _ in range(2))
        await asyncio.sleep(0.5)
        leaving.cancel()
        again, [another] = await waiting, await settled(1)

    assert again == first
    assert another != model


async def test_a_model_of_autogluon_answers_with_probabilities(start, storage):
    """M.2: the other engine's packages, whose models decide for themselves."""
    source = storage[0].put("wine.csv", WINE.to_csv(index=False).encode())
    async with start(WORKLOADS) as client:
        await client.trained(train_request(source, "auto", "tabular", engine="autogluon", time_limit=10))
        packaged = stored(storage, "auto", b"".join(await client.artifact("auto")))
        answers = await predict(client, packaged, ROWS)
    classes = [value.string_value for value in answers.classes]
    right = sum(classes[place] == truth for place, truth in zip(answers.class_indexes, WINE["target"], strict=True))

    assert right / len(WINE) > 0.9
    assert sum(answers.probabilities[:3]) == pytest.approx(1)
