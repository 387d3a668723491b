"""Datasets from addresses on the web (002.19), against a server on loopback."""

import gzip
import ssl

import grpc
import pytest
import trustme

from modelyard.training.v1 import analysis_pb2
from servicekit import statuses
from services.training.domain.importing import CHUNK_BYTES
from tests.contract.training.conftest import Client
from tests.servers.web import Said, Web, web

TABLE = b"a,b\n" + b"".join(b"%d,%d\n" % (row, row * row) for row in range(50_000))
SECRET = "X-Amz-Signature=s3cr3ts3cr3t"


@pytest.fixture
def server():
    with web() as server:
        yield server


@pytest.fixture
async def client(start, server: Web):
    """A service that may ask our server, by its port, and two names that lead to this machine, without one."""
    async with start(url_hosts=(server.url, "localhost", "http://localhost")) as client:
        yield client


async def fetched(client: Client, url: str) -> tuple[analysis_pb2.FetchHeader, bytes]:
    request = analysis_pb2.FetchDatasetRequest(url=url)
    answers = [answer async for answer in client.analysis.FetchDataset(request, **client.channel.within(60))]
    assert all(len(answer.chunk) <= CHUNK_BYTES for answer in answers)
    return answers[0].header, b"".join(answer.chunk for answer in answers[1:])


async def refused(client: Client, url: str) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await fetched(client, url)
    assert client.left_behind() == []
    return caught.value


async def test_a_file_arrives_from_an_address(client: Client, server: Web, told):
    """002.19: with its name and size, and without a trace of the address's secrets."""
    header, content = await fetched(client, f"{server.on('/folder/my%20table.csv', TABLE)}?{SECRET}#part")
    log = told()

    assert (header.file_name, header.size, content) == ("my table.csv", len(TABLE), TABLE)
    assert server.asked[0].path == f"/folder/my%20table.csv?{SECRET}"
    assert server.asked[0].headers["host"] == f"127.0.0.1:{server.port}"
    assert SECRET not in log


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('attachment; filename="cars.csv"', "cars.csv"),
        ("attachment; filename*=UTF-8''gr%C3%B6%C3%9Fe.csv", "größe.csv"),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        ('attachment; filename="..\\\\evil.csv"', "evil.csv"),
        ('attachment; filename="/"', "data.csv"),
        ("attachment; filename*=UTF-8''a%0D%0Ab%00.csv", "ab.csv"),
        (f'attachment; filename="{"x" * 5000}.csv"', "x" * 196 + ".csv"),
        ("nonsense", "table.csv"),
        (f"attachment; filename*=idna''{'a' * 300}", "table.csv"),
        ("attachment; filename*=undefined''ab", "table.csv"),
        ("attachment; filename*=hex''zz", "zz"),
    ],
)
async def test_a_name_is_made_safe(client: Client, server: Web, disposition: str, name: str):
    url = server.on("/table.csv", TABLE[:1000], headers={"Content-Disposition": disposition})
    header, _ = await fetched(client, url)

    assert header.file_name == name


async def test_what_was_compressed_on_the_way_is_as_it_was(client: Client, server: Web):
    """It is asked for as it is, and taken as some servers send it all the same; in several parts, too."""
    packed = gzip.compress(TABLE[:1000]) + gzip.compress(TABLE[1000:])
    header, content = await fetched(client, server.on("/t.csv", packed, headers={"Content-Encoding": "gzip"}))

    assert server.asked[0].headers["accept-encoding"] == "identity"
    assert header.size == 0
    assert content == TABLE


async def test_a_size_that_is_not_said_is_none(client: Client, server: Web):
    header, content = await fetched(client, server.on("/t.csv", TABLE, headers={"Content-Length": ""}))

    assert (header.size, content) == (0, TABLE)


async def test_redirects_are_followed_without_cookies(client: Client, server: Web):
    server.on("/first", status=302, headers={"Location": "second?x=1", "Set-Cookie": "who=me; Path=/"})
    server.on("/second", status=307, headers={"Location": server.on("/t.csv", TABLE)})
    header, content = await fetched(client, f"{server.url}/first")

    assert (header.file_name, content) == ("t.csv", TABLE)
    assert not any("cookie" in asked.headers or "authorization" in asked.headers for asked in server.asked)


@pytest.mark.parametrize(
    ("to", "reason"),
    [
        ("https://localhost/t.csv", "HOST_NOT_PUBLIC"),
        ("http://localhost/t.csv", "HOST_NOT_PUBLIC"),
        ("http://127.0.0.1:1/t.csv", "HOST_NOT_LISTED"),
        ("http://169.254.169.254/latest/meta-data/", "HOST_NOT_LISTED"),
        ("https://elsewhere.example/t.csv", "HOST_NOT_LISTED"),
        ("file:///etc/passwd", "BAD_ADDRESS"),
        ("//user:secret@localhost/t.csv", "BAD_ADDRESS"),
        ("http://0177.0.0.1/t.csv", "HOST_NOT_LISTED"),
        ("data:text/csv,a,b", "BAD_ADDRESS"),
        ("http://127.0.0.1:99999/", "BAD_ADDRESS"),
        ("http://[::1/", "BAD_ADDRESS"),
        ("/again", "TOO_MANY_REDIRECTS"),
    ],
)
async def test_every_redirect_is_checked(client: Client, server: Web, to: str, reason: str):
    """No address leads on into the network of those who run the service."""
    error = await refused(client, server.on("/again", status=302, headers={"Location": to}))

    assert (statuses.reason_of(error), error.code()) == (reason, grpc.StatusCode.INVALID_ARGUMENT)
    assert len(server.asked) == (6 if reason == "TOO_MANY_REDIRECTS" else 1)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://elsewhere.example/t.csv", "HOST_NOT_LISTED"),
        ("https://localhost.elsewhere.example/t.csv", "HOST_NOT_LISTED"),
        ("https://notlocalhost/t.csv", "HOST_NOT_LISTED"),
        ("https://localhost:8443/t.csv", "HOST_NOT_LISTED"),
        ("https://127.1/t.csv", "HOST_NOT_LISTED"),
        ("https://localhost./t.csv", "HOST_NOT_PUBLIC"),
        ("https://LOCALHOST/t.csv", "HOST_NOT_PUBLIC"),
        ("ftp://localhost/t.csv", "BAD_ADDRESS"),
        ("localhost/t.csv", "BAD_ADDRESS"),
        ("https://", "BAD_ADDRESS"),
        ("https://localhost:99999/t.csv", "BAD_ADDRESS"),
        ("https://[::1/t.csv", "BAD_ADDRESS"),
        ("https://localhost\\@elsewhere.example/", "BAD_ADDRESS"),
        ("https://me:pass@localhost/t.csv", "BAD_ADDRESS"),
        ("https://local host/t.csv", "BAD_ADDRESS"),
        ("https://localhost/t.csv\r\nX: y", "BAD_ADDRESS"),
        ("https://localhost/" + "x" * 5000, "BAD_ADDRESS"),
        ("", "BAD_ADDRESS"),
    ],
)
async def test_only_listed_and_public_hosts_are_asked(client: Client, url: str, reason: str):
    error = await refused(client, url)

    assert (statuses.reason_of(error), statuses.field_of(error)) == (reason, "url")
    assert "pass@" not in error.details()


async def test_without_a_list_nothing_is_asked(start, server: Web):
    async with start() as client:
        error = await refused(client, server.on("/t.csv", TABLE))

    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "TRAINING_URL_HOSTS" in error.details()
    assert server.asked == []


@pytest.mark.parametrize(
    ("said", "reason", "code"),
    [
        (Said(401), "HOST_REFUSES", "PERMISSION_DENIED"),
        (Said(403), "HOST_REFUSES", "PERMISSION_DENIED"),
        (Said(404), "UNKNOWN_TO_HOST", "NOT_FOUND"),
        (Said(429), "HOST_BUSY", "RESOURCE_EXHAUSTED"),
        (Said(500), "HOST_DOWN", "UNAVAILABLE"),
        (Said(204), "HOST_ODD", "INVALID_ARGUMENT"),
        (Said(200, {"Content-Encoding": "br"}, TABLE), "HOST_ODD", "INVALID_ARGUMENT"),
        (Said(200, {"Content-Type": "text/html; charset=utf-8"}, TABLE), "PAGE_NOT_FILE", "INVALID_ARGUMENT"),
        (Said(200, {"Content-Type": "application/xhtml+xml"}, TABLE), "PAGE_NOT_FILE", "INVALID_ARGUMENT"),
        (Said(200, {}, b"\n <!DOCTYPE html><html>"), "PAGE_NOT_FILE", "INVALID_ARGUMENT"),
        (Said(200, {}, b"\xef\xbb\xbf<!DOCTYPE html>\n<html>"), "PAGE_NOT_FILE", "INVALID_ARGUMENT"),
        (Said(200, {}, b"<!-- made by hand -->\n<html>"), "PAGE_NOT_FILE", "INVALID_ARGUMENT"),
        (Said(200, {}, TABLE, cut_at=100_000), "HOST_DOWN", "UNAVAILABLE"),
        (Said(200, {"Content-Encoding": "gzip"}, gzip.compress(TABLE)[:-9]), "HOST_DOWN", "UNAVAILABLE"),
        (Said(200, {"Content-Encoding": "gzip"}, TABLE), "HOST_DOWN", "UNAVAILABLE"),
    ],
)
async def test_a_hosts_trouble_is_told(client: Client, server: Web, said: Said, reason: str, code: str):
    error = await refused(client, server.answer("/t.csv", lambda _: said) + f"?{SECRET}")

    assert (statuses.reason_of(error), error.code().name) == (reason, code)
    assert SECRET not in error.details()


@pytest.mark.parametrize(
    ("said", "asked"),
    [("120", 120), ("0", 1), ("9" * 9, 3600), ("9" * 5000, 60), ("-5", 60), ("Sat, 21 Nov 2026 10:00:00 GMT", 60)],
)
async def test_a_busy_host_is_left_alone_as_long_as_it_asks_for(client: Client, server: Web, said: str, asked: int):
    """Within an hour; a minute where it says no number."""
    error = await refused(client, server.answer("/t.csv", lambda _: Said(429, {"Retry-After": said})))

    assert statuses.after_seconds(error) == asked
    assert f"in {asked} seconds" in error.details()


@pytest.mark.parametrize(
    "said",
    [
        Said(200, {}, TABLE),
        Said(200, {"Content-Length": ""}, TABLE),
        Said(200, {"Content-Encoding": "gzip"}, gzip.compress(bytes(50_000_000))),
    ],
    ids=["its size is said", "its size is not said", "a bomb"],
)
async def test_a_file_above_the_limit_is_refused(start, server: Web, said: Said):
    async with start(url_hosts=(server.url,), fetch_bytes=100_000) as client:
        error = await refused(client, server.answer("/t.csv", lambda _: said))

    assert statuses.reason_of(error) == "FILE_TOO_LARGE"
    assert not statuses.is_transient(error)


async def test_a_file_that_takes_too_long_is_given_up(start, server: Web):
    async with start(url_hosts=(server.url,), fetch_seconds=1) as client:
        error = await refused(client, server.on("/t.csv", TABLE, hangs=True))

    assert statuses.reason_of(error) == "IMPORT_TOO_LONG"


async def test_nobody_at_home_is_told(start):
    async with start(url_hosts=("http://127.0.0.1:1", "*.host.invalid")) as client:
        closed = await refused(client, "http://127.0.0.1:1/t.csv")
        unknown = [await refused(client, f"https://{name}.host.invalid/t.csv") for name in ("none", "xn--", "xn--ls8h")]

    assert "cannot be connected to" in closed.details()
    assert all("its name is not known" in each.details() for each in unknown)


async def test_certificates_are_checked_against_the_name_though_the_address_is_connected_to(
    start, server: Web, tmp_path, monkeypatch
):
    """Over https, as anywhere but in tests: the right certificate passes, one of another name does not."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    server.speak_tls(context)
    server.on("/t.csv", TABLE)
    async with start(url_hosts=(f"localhost:{server.port}", f"127.0.0.1:{server.port}")) as client:
        _, content = await fetched(client, f"https://localhost:{server.port}/t.csv")
        error = await refused(client, f"https://127.0.0.1:{server.port}/t.csv")

    assert content == TABLE
    assert "not safely" in error.details()
