"""Datasets from Kaggle (002.19), by its real client against its API on loopback."""

import asyncio
import io
import zipfile
from pathlib import Path

import grpc
import pytest

from modelyard.training.v1 import analysis_pb2
from servicekit import statuses
from services.training.adapters import kaggle_processes
from tests.contract.training.conftest import Client
from tests.folders import paths_below
from tests.servers.kaggle import KEY, TOKEN, USERNAME, Kaggle, kaggle, problem
from tests.servers.web import Said

TABLE = b"a,b\n" + b"".join(b"%d,%d\n" % (row, row * row) for row in range(20_000))
WRONG_KEY = "ffffffffffffffffffffffffffffffff"
PICTURES = {f"images/cat/{number}.png": b"\x89PNG" + bytes([number]) * 200 for number in range(30)}


@pytest.fixture
def server():
    with kaggle() as server:
        server.add("ada/one-table", {"notes.md": b"# notes", "table.csv": TABLE})
        server.add("ada/two-tables", {"train.csv": TABLE, "test.csv": TABLE[:1000]})
        server.add("ada/pictures", PICTURES | {"labels.csv": b"a,b\n1,2\n"})
        server.add("ada/hidden", {"table.csv": TABLE}, private=True)
        yield server


@pytest.fixture
async def client(start, server: Kaggle):
    async with start(kaggle_url=server.url) as client:
        yield client


def wish(dataset: str, file: str = "", version: int = 0, **credentials: str) -> analysis_pb2.FetchDatasetRequest:
    shown = analysis_pb2.KaggleCredentials(**(credentials or {"username": USERNAME, "key": KEY}))
    named = analysis_pb2.KaggleDataset(dataset=dataset, file=file, version=version, credentials=shown)
    return analysis_pb2.FetchDatasetRequest(kaggle=named)


async def fetched(client: Client, request: analysis_pb2.FetchDatasetRequest) -> tuple[analysis_pb2.FetchHeader, bytes]:
    answers = [answer async for answer in client.analysis.FetchDataset(request, **client.channel.within(60))]
    assert all(len(answer.chunk) <= 256 * 1024 for answer in answers)
    return answers[0].header, b"".join(answer.chunk for answer in answers[1:])


async def refused(client: Client, request: analysis_pb2.FetchDatasetRequest) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await fetched(client, request)
    assert client.left_behind() == []
    return caught.value


async def test_the_one_table_of_a_dataset_arrives(client: Client, server: Kaggle, told):
    """002.19: a dataset comes from Kaggle with the user's credentials; 002.6: nothing of it stays on the disk."""
    header, content = await fetched(client, wish("ada/one-table"))
    log = told()

    assert (header.file_name, header.size) == ("table.csv", len(TABLE))
    assert content == TABLE
    assert client.left_behind() == []
    assert "[CLEANUP] removed" in log
    assert "kaggle_one-table_" in log
    assert KEY not in log


async def test_a_token_is_as_good_as_a_key(client: Client):
    header, _ = await fetched(client, wish("ada/one-table", token=TOKEN))

    assert header.file_name == "table.csv"


async def test_the_services_own_credentials_are_used_where_the_user_brings_none(start, server: Kaggle):
    request = analysis_pb2.FetchDatasetRequest(kaggle=analysis_pb2.KaggleDataset(dataset="ada/one-table"))
    async with start(kaggle_url=server.url, kaggle_username=USERNAME, kaggle_key=KEY) as client:
        _, content = await fetched(client, request)

    assert content == TABLE


async def test_without_any_credentials_it_is_said_which_are_needed(client: Client, server: Kaggle):
    request = analysis_pb2.FetchDatasetRequest(kaggle=analysis_pb2.KaggleDataset(dataset="ada/one-table"))
    error = await refused(client, request)

    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "KAGGLE_USERNAME" in error.details()
    assert server.asked == []


async def test_of_several_tables_one_has_to_be_named(client: Client):
    error = await refused(client, wish("ada/two-tables"))
    header, content = await fetched(client, wish("ada/two-tables", "test.csv"))

    assert (error.code(), statuses.field_of(error)) == (grpc.StatusCode.INVALID_ARGUMENT, "file")
    assert "train.csv, test.csv" in error.details()
    assert (header.file_name, content) == ("test.csv", TABLE[:1000])


async def test_images_come_as_one_archive(client: Client, server: Kaggle):
    """The list comes in pages, and each of them counts."""
    header, content = await fetched(client, wish("ada/pictures"))

    assert header.file_name == "pictures.zip"
    assert len(zipfile.ZipFile(io.BytesIO(content)).namelist()) == 31
    assert len(server.seen("ListDatasetFiles")) == 2


async def test_everything_comes_as_one_archive_when_asked_for(client: Client):
    _, content = await fetched(client, wish("ada/two-tables", "*"))

    assert zipfile.ZipFile(io.BytesIO(content)).namelist() == ["train.csv", "test.csv"]


async def test_a_table_that_comes_packed_is_unpacked(client: Client, server: Kaggle):
    server.add("ada/large", {"data/large.csv": TABLE}, zipped={"data/large.csv"})
    header, content = await fetched(client, wish("ada/large"))

    assert (header.file_name, header.size, content) == ("large.csv", len(TABLE), TABLE)


async def test_a_packed_table_is_found_however_its_name_is_written(client: Client, server: Kaggle):
    """002.19: macOS writes a letter and its accent apart."""
    apart = "cafe\N{COMBINING ACUTE ACCENT}.csv"
    server.add("ada/apart", {apart: TABLE}, zipped={apart})
    header, content = await fetched(client, wish("ada/apart"))

    assert (header.size, content) == (len(TABLE), TABLE)


async def test_a_bomb_in_place_of_a_table_is_not_unpacked(client: Client, server: Kaggle):
    server.add("ada/bomb", {"bomb.csv": bytes(30_000_000)}, zipped={"bomb.csv"})
    error = await refused(client, wish("ada/bomb"))

    assert statuses.reason_of(error) == "ARCHIVE_BOMB"


async def test_a_version_is_that_version(client: Client, server: Kaggle):
    server.add("ada/versions", {"t.csv": b"a,b\n1,1\n"}, {"t.csv": b"a,b\n2,2\n"})
    _, first = await fetched(client, wish("ada/versions", version=1))
    _, newest = await fetched(client, wish("ada/versions"))

    assert (first, newest) == (b"a,b\n1,1\n", b"a,b\n2,2\n")


@pytest.mark.parametrize(
    "name", ["../../etc/cron.d/evil.csv", "..\\evil.csv", "a/../../../evil.csv", "/etc/passwd.csv"]
)
async def test_a_hostile_name_leads_nowhere(client: Client, server: Kaggle, name: str):
    server.add("ada/hostile", {name: TABLE})
    header, content = await fetched(client, wish("ada/hostile"))

    assert "/" not in header.file_name
    assert "\\" not in header.file_name
    assert content == TABLE
    assert client.left_behind() == []


@pytest.mark.parametrize(
    ("request_", "reason", "code"),
    [
        (wish("penguins"), "BAD_KAGGLE_NAME", "INVALID_ARGUMENT"),
        (wish("ada/../secrets"), "BAD_KAGGLE_NAME", "INVALID_ARGUMENT"),
        (wish("ada/one-table", "../x.csv"), "BAD_KAGGLE_FILE", "INVALID_ARGUMENT"),
        (wish("ada/one-table", version=-1), "BAD_VERSION", "INVALID_ARGUMENT"),
        (wish("ada/no-such"), "UNKNOWN_AT_KAGGLE", "NOT_FOUND"),
        (wish("ada/one-table", "no-such.csv"), "UNKNOWN_AT_KAGGLE", "NOT_FOUND"),
        (wish("ada/hidden"), "KAGGLE_FORBIDS", "PERMISSION_DENIED"),
        (wish("ada/one-table", username="ada", key=WRONG_KEY), "CREDENTIALS_REFUSED", "PERMISSION_DENIED"),
        (wish("ada/one-table", token="t\r\nX-Evil: 1"), "CREDENTIALS_REFUSED", "PERMISSION_DENIED"),
        (wish("ada/one-table", username="ada"), "CREDENTIALS_MISSING", "FAILED_PRECONDITION"),
        (analysis_pb2.FetchDatasetRequest(), "NOTHING_NAMED", "INVALID_ARGUMENT"),
    ],
)
async def test_what_cannot_be_had_is_refused_with_a_sentence(client: Client, told, request_, reason: str, code: str):
    error = await refused(client, request_)
    log = told()

    assert (statuses.reason_of(error), error.code().name) == (reason, code)
    assert WRONG_KEY not in error.details() + log


@pytest.mark.parametrize(
    ("fault", "reason", "code"),
    [
        (problem(429, "Too many requests", **{"Retry-After": "90"}), "KAGGLE_BUSY", "RESOURCE_EXHAUSTED"),
        (problem(500, "Internal"), "KAGGLE_DOWN", "UNAVAILABLE"),
        (Said(502, {"Content-Type": "text/html"}, b"<html>bad gateway</html>"), "KAGGLE_DOWN", "UNAVAILABLE"),
        (Said(200, {"Content-Type": "text/html"}, b"<html>log in</html>"), "KAGGLE_DOWN", "UNAVAILABLE"),
        (problem(400, "Bad request"), "KAGGLE_REFUSES", "INVALID_ARGUMENT"),
    ],
)
async def test_kaggles_own_trouble_is_told(client: Client, server: Kaggle, fault: Said, reason: str, code: str):
    server.faults = [fault]
    error = await refused(client, wish("ada/one-table", "table.csv"))

    assert (statuses.reason_of(error), error.code().name) == (reason, code)
    assert statuses.after_seconds(error) == int(fault.headers.get("Retry-After", 2))


async def test_a_download_that_breaks_off_goes_on(client: Client, server: Kaggle):
    server.add("ada/long", {"long.csv": TABLE * 10})
    server.cuts = [1_500_000]
    _, content = await fetched(client, wish("ada/long"))

    assert content == TABLE * 10
    assert [asked.headers["range"] for asked in server.asked if "range" in asked.headers] == ["bytes=1048576-"]


async def test_a_download_that_breaks_off_for_good_is_no_dataset(client: Client, server: Kaggle):
    server.cut_always = 5000
    error = await refused(client, wish("ada/one-table"))

    assert statuses.reason_of(error) == "KAGGLE_DOWN"


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_file_above_the_limit_is_refused(start, server: Kaggle, chunked: bool):
    """Where the length is said, before a byte is fetched; where it is not, by the byte that is too many."""
    server.chunked = chunked
    async with start(kaggle_url=server.url, fetch_bytes=100_000) as client:
        error = await refused(client, wish("ada/one-table"))

    assert (statuses.reason_of(error), error.code().name) == ("FILE_TOO_LARGE", "RESOURCE_EXHAUSTED")
    assert not statuses.is_transient(error)


async def test_silence_ends(client: Client, server: Kaggle, monkeypatch):
    monkeypatch.setattr(kaggle_processes, "SILENCE_SECONDS", 2.0)
    server.faults = [Said(200, {"Content-Type": "application/json", "Content-Length": "100"}, hangs=True)]
    error = await refused(client, wish("ada/one-table"))

    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "nothing came" in error.details()


async def test_a_caller_who_leaves_ends_the_download(client: Client, server: Kaggle):
    """002.6: the process and its folder go with the call."""
    server.faults = [Said(200, {"Content-Type": "application/json", "Content-Length": "100"}, hangs=True)]
    call = client.analysis.FetchDataset(wish("ada/one-table"), **client.channel.within(60))
    async with asyncio.timeout(30):
        while not server.asked:
            await asyncio.sleep(0.05)
        during = client.left_behind()
        call.cancel()
        while client.left_behind():
            await asyncio.sleep(0.05)

    assert [name.startswith("kaggle_one-table_") for name in during] == [True]


async def test_no_credentials_are_written_to_the_disk(client: Client, server: Kaggle):
    server.faults = [Said(200, {"Content-Type": "application/json", "Content-Length": "100"}, hangs=True)]
    call = client.analysis.FetchDataset(wish("ada/one-table"), **client.channel.within(60))
    async with asyncio.timeout(30):
        while not server.asked:
            await asyncio.sleep(0.05)
        written = [path.read_bytes() for path in paths_below(client.scratch) if path.is_file()]
        call.cancel()
        while client.left_behind():
            await asyncio.sleep(0.05)

    assert written
    assert not any(KEY.encode() in content for content in written)


async def test_without_kaggles_client_it_is_said_what_to_install(start, server: Kaggle, tmp_path: Path, monkeypatch):
    """M.2: what is missing here is named."""
    (tmp_path / "none" / "kaggle").mkdir(parents=True)
    (tmp_path / "none" / "kaggle" / "__init__.py").write_text("raise ModuleNotFoundError('kaggle', name='kaggle')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "none"))
    async with start(kaggle_url=server.url) as client:
        error = await refused(client, wish("ada/one-table"))

    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "modelyard[kaggle]" in error.details()
