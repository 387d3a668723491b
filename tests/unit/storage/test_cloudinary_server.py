"""The Cloudinary of the tests is strict: what it takes, the real one takes."""

import hashlib
import io
import time

import httpx
import pytest
from cloudinary import api, uploader, utils
from cloudinary.exceptions import AuthorizationRequired, BadRequest, Error, NotFound
from PIL import Image

from tests.servers.cloudinary.cloud import Cloud
from tests.servers.cloudinary.server import CloudinaryServer, cloudinary_server

CHUNK = 5 * 1024 * 1024


@pytest.fixture(scope="module")
def server():
    with cloudinary_server() as server:
        yield server


@pytest.fixture
def cloud(server: CloudinaryServer) -> Cloud:
    server.reset()
    return server.cloud()


@pytest.fixture
def options(server: CloudinaryServer, cloud: Cloud) -> dict:
    return {
        "cloud_name": cloud.name,
        "api_key": cloud.key,
        "api_secret": cloud.secret,
        "upload_prefix": server.url,
        "resource_type": "raw",
    }


def put(options: dict, public_id: str = "a/b.txt", data: bytes = b"some bytes", **more) -> dict:
    return uploader.upload(data, public_id=public_id, **{**options, **more})


def picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (7, 5), "red").save(file, "PNG")
    return file.getvalue()


def address(server: CloudinaryServer, cloud: Cloud, asset: dict, **how) -> str:
    given = {"resource_type": asset["resource_type"], "type": asset["type"], "version": asset["version"], **how}
    host = server.url.removeprefix("http://")
    return utils.cloudinary_url(asset["public_id"], cloud_name=cloud.name, secure=False, cname=host, **given)[0]


def test_a_forged_signature_is_refused(options, cloud):
    with pytest.raises(AuthorizationRequired, match=r"Invalid Signature [0-9a-f]{40}. String to sign - 'public_id="):
        put(options, api_secret="guessed")
    with pytest.raises(AuthorizationRequired, match="Unknown API key"):
        put(options, api_key="1")
    with pytest.raises(AuthorizationRequired, match="Invalid cloud_name"):
        put(options, cloud_name="other")
    with pytest.raises(AuthorizationRequired):
        api.ping(**{**options, "api_secret": "guessed"})
    assert cloud.assets == {}


def test_a_parameter_that_is_not_signed_is_refused(server, cloud, options):
    signed = utils.sign_request({"public_id": "a", "timestamp": utils.now()}, options)
    form = {**signed, "tags": "smuggled"}
    answer = httpx.post(f"{server.url}/v1_1/{cloud.name}/raw/upload", data=form, files={"file": b"x"})

    assert answer.status_code == 401


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_both_algorithms_are_taken(options, algorithm):
    assert put(options, signature_algorithm=algorithm)["bytes"] == 10


def test_an_old_timestamp_is_refused(server, cloud, options):
    for age, status in ((3500, 200), (3700, 400)):
        form = utils.sign_request({"public_id": "a", "timestamp": int(time.time()) - age}, options)
        answer = httpx.post(f"{server.url}/v1_1/{cloud.name}/raw/upload", data=form, files={"file": b"x"})

        assert answer.status_code == status
    assert answer.json()["error"]["message"].startswith("Stale request - reported time is ")


@pytest.mark.parametrize(
    "public_id", ["a?b", "a&b", "a#b", "a%b", "a<b", "a+b", "a\\b", " a", "a ", "/a", "a/", "a" * 256]
)
def test_a_bad_public_id_is_refused(options, public_id):
    with pytest.raises(BadRequest, match="is invalid"):
        put(options, public_id)


def test_what_exists_stays_unless_it_may_be_overwritten(options):
    first = put(options, tags=["x"])
    again = put(options, data=b"other", overwrite=False, tags=["y"])
    asset = api.resource("a/b.txt", **options)

    assert (again["existing"], again["version"], again["etag"]) == (True, first["version"], first["etag"])
    assert (asset["tags"], asset["etag"]) == (["x"], hashlib.md5(b"some bytes").hexdigest())
    assert put(options, data=b"other")["version"] > first["version"]


def test_tags_and_context_are_kept_with_their_separators(options):
    put(options, tags=["a", "b"], context={"k": "x=y|z", "д": "дом"})

    assert api.resource("a/b.txt", **options)["context"] == {"custom": {"k": "x=y|z", "д": "дом"}}
    assert api.resources_by_tag("b", **options)["resources"][0]["public_id"] == "a/b.txt"
    uploader.add_tag("c", ["a/b.txt"], **options)
    uploader.explicit("a/b.txt", type="upload", context={"k": "new"}, **options)
    found = api.resources(prefix="a/", type="upload", tags=True, context=True, **options)["resources"]
    assert (found[0]["tags"], found[0]["context"]) == (["a", "b", "c"], {"custom": {"k": "new"}})


def test_an_image_is_looked_into(options):
    asset = put(options, "posters/red", picture(), resource_type="auto")

    assert (asset["resource_type"], asset["format"], asset["width"], asset["height"]) == ("image", "png", 7, 5)
    assert asset["secure_url"].endswith("/posters/red.png")
    with pytest.raises(BadRequest, match="Invalid image file"):
        put(options, "posters/none", b"no picture", resource_type="image")


def test_nothing_and_too_much_are_refused(server, options):
    small = server.cloud(max_raw=100)
    given = {**options, "cloud_name": small.name, "api_key": small.key, "api_secret": small.secret}

    with pytest.raises(BadRequest, match=r"File size too large. Got 101. Maximum is 100"):
        put(given, data=b"x" * 101)
    with pytest.raises(BadRequest, match="Empty file"):
        uploader.upload_large_part(("file", b""), public_id="a", **given)
    assert [path for path in small.folder.iterdir() if path.is_file()] == []


def chunk(options: dict, data: bytes, content_range: str, upload: str = "u1") -> dict:
    headers = {"Content-Range": content_range, "X-Unique-Upload-Id": upload}
    return uploader.upload_large_part(("f", data), public_id="big.bin", http_headers=headers, **options)


def test_chunks_are_put_together_in_order(options, cloud):
    first, last = b"1" * CHUNK, b"2" * 10
    total = CHUNK + 10

    with pytest.raises(BadRequest, match="out of order"):
        chunk(options, last, f"bytes {CHUNK}-{total - 1}/{total}")
    assert chunk(options, first, f"bytes 0-{CHUNK - 1}/{total}")["done"] is False
    assert cloud.assets == {}
    with pytest.raises(BadRequest, match="out of order"):
        chunk(options, last, f"bytes {CHUNK + 5}-{total + 4}/{total + 5}")
    assert chunk(options, first, f"bytes 0-{CHUNK - 1}/{total}")["done"] is False  # again, as its answer was lost
    done = chunk(options, last, f"bytes {CHUNK}-{total - 1}/{total}")
    assert (done["done"], done["bytes"], done["etag"]) == (True, total, hashlib.md5(first + last).hexdigest())


@pytest.mark.parametrize("content_range", ["bytes 0-8/20", "bytes 0-9/-1", "bytes 0-9/20", "0-9/10", "bytes 0-9/5"])
def test_a_chunk_that_is_not_what_it_says_or_too_small_is_refused(options, content_range):
    with pytest.raises(BadRequest):
        chunk(options, b"0123456789", content_range, upload=content_range)


def test_lists_go_page_by_page_through_one_type(options):
    for number in range(5):
        put(options, f"p/{number}")
    put(options, "p/private", type="authenticated")
    first = api.resources(prefix="p/", type="upload", max_results=3, **options)
    rest = api.resources(prefix="p/", type="upload", max_results=3, next_cursor=first["next_cursor"], **options)

    assert {one["public_id"] for one in first["resources"] + rest["resources"]} == {f"p/{n}" for n in range(5)}
    assert "next_cursor" not in rest
    with pytest.raises(BadRequest, match="max_results"):
        api.resources(max_results=501, **options)


def test_deletions_tell_what_they_did(options, cloud):
    for name in ("a", "p/1", "p/2"):
        put(options, name)

    assert uploader.destroy("a", **options)["result"] == "ok"
    assert uploader.destroy("a", **options)["result"] == "not found"
    assert api.delete_resources(["p/1", "p/9"], **options)["deleted"] == {"p/1": "deleted", "p/9": "not_found"}
    assert api.delete_resources_by_prefix("p/", **options)["deleted"] == {"p/2": "deleted"}
    assert cloud.assets == {}
    with pytest.raises(NotFound):
        api.resource("a", **options)


def test_a_rename_overwrites_nothing(options):
    put(options, "a")
    put(options, "b")

    with pytest.raises(BadRequest, match="already exists"):
        uploader.rename("a", "b", **options)
    with pytest.raises(NotFound):
        uploader.rename("z", "y", **options)
    renamed = uploader.rename("a", "c", to_type="authenticated", **options)
    assert (renamed["public_id"], renamed["type"]) == ("c", "authenticated")


@pytest.mark.parametrize("long", [False, True])
def test_an_authenticated_asset_is_delivered_to_its_signed_address_only(server, cloud, options, long):
    asset = put(options, "дом ~1.csv", type="authenticated")
    signed = address(server, cloud, asset, sign_url=True, api_secret=cloud.secret, long_url_signature=long)
    forged = address(server, cloud, asset, sign_url=True, api_secret="guessed")

    assert httpx.get(signed).content == b"some bytes"
    for refused in (address(server, cloud, asset), forged):
        answer = httpx.get(refused)
        assert (answer.status_code, "x-cld-error" in answer.headers) == (401, True)


def test_ranges_are_served(server, cloud, options):
    public = address(server, cloud, put(options))
    part = httpx.get(public, headers={"Range": "bytes=5-7"})

    assert (part.status_code, part.content, part.headers["content-range"]) == (206, b"byt", "bytes 5-7/10")
    assert httpx.get(public, headers={"Range": "bytes=10-"}).status_code == 416
    assert httpx.get(public).headers["etag"] == f'"{hashlib.md5(b"some bytes").hexdigest()}"'
    assert httpx.get(f"{server.url}/{cloud.name}/raw/upload/v1/none").status_code == 404


def test_the_delivery_network_serves_old_bytes_until_it_is_told_not_to(server, cloud, options):
    public = address(server, cloud, put(options))
    httpx.get(public)
    second = put(options, data=b"new")

    assert httpx.get(public).content == b"some bytes"
    assert httpx.get(address(server, cloud, second)).content == b"new"
    uploader.destroy("a/b.txt", invalidate=True, **options)
    assert httpx.get(address(server, cloud, second)).status_code == 404


def test_a_private_download_is_signed_and_expires(server, cloud, options):
    put(options, type="authenticated")
    soon = int(time.time()) + 60
    good = utils.private_download_url(
        "a/b.txt", "", type="authenticated", expires_at=soon, attachment="é.txt", **options
    )
    old = utils.private_download_url("a/b.txt", "", type="authenticated", expires_at=soon - 61, **options)
    answer = httpx.get(good)

    assert answer.content == b"some bytes"
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''%C3%A9.txt"
    assert httpx.get(old).status_code == 401
    assert httpx.get(good.replace(f"expires_at={soon}", f"expires_at={soon + 1}")).status_code == 401


def test_usage_counts_what_is_there_and_what_was_delivered(server, cloud, options):
    httpx.get(address(server, cloud, put(options)))
    usage = api.usage(**options)

    assert (usage["storage"]["usage"], usage["bandwidth"]["usage"], usage["resources"]) == (10, 10, 1)
    assert usage["credits"]["limit"] == 25


@pytest.mark.parametrize("status", [401, 420, 429, 500, 502, 503])
def test_it_fails_on_demand_for_so_many_requests(server, options, status):
    server.fail(status, times=2, path="/upload")

    for _ in range(2):
        with pytest.raises(Error):
            put(options)
    assert put(options)["bytes"] == 10
    assert server.seen("/upload") == 3


def test_connections_break_on_demand(server, options, cloud):
    server.cut_request(after=1000)
    with pytest.raises(Error):
        put(options, data=b"x" * 1_000_000)
    assert cloud.assets == {}
    server.cut_answer()
    with pytest.raises(Error):
        put(options)
    assert len(cloud.assets) == 1
    server.hang()
    with pytest.raises(Error, match="timed out"):
        put(options, timeout=0.1)
    with server.refusing(), pytest.raises(Error, match="refused"):
        put(options)
    assert put(options)["bytes"] == 10
