"""The client against a real HTTP server on loopback."""

import hashlib
import os
import resource
from pathlib import Path

import pytest

from modelyard.client import Client, file_name_of
from modelyard.errors import ModelyardError
from modelyard.records import Model

MODEL = {"id": "m1", "name": "../../etc/a model", "version": 2, "sha256": "", "downloadUrl": "/api/models/m1/download"}


def problem(status, code, message, retryable=False):
    body = {"status": status, "detail": message, "error": {"code": code, "message": message, "retryable": retryable}}
    return lambda request: request.send_json(body, status)


def json_of(body, status=200):
    return lambda request: request.send_json(body, status)


class Drain:
    """Reads a body piece by piece, keeping only its hash."""

    def __call__(self, request) -> None:
        digest, left = hashlib.sha256(), int(request.headers["Content-Length"])
        while left:
            piece = request.rfile.read(min(left, 65536))
            digest.update(piece)
            left -= len(piece)
        request.send_json({"id": "d1", "fileName": "big.csv", "sha256": digest.hexdigest(), "rowCount": 3}, 201)


def test_an_upload_is_streamed_with_its_length_and_tells_how_far_it_is(client, gateway, heard, tmp_path: Path):
    """002: a file of any size goes up without being held in memory."""
    big = tmp_path / "big.csv"
    block = os.urandom(1 << 20)
    with big.open("wb") as file:
        for _ in range(64):
            file.write(block)
    gateway.on("PUT /api/datasets/upload", Drain())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    dataset = client.upload_dataset(big, name="Big", target="y", told=heard)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

    assert dataset.sha256 == hashlib.sha256(block * 64).hexdigest()
    assert dataset.row_count == 3
    assert grown < 32 * 1024  # KiB, for both ends of the wire
    assert heard.calls[-1] == (64 << 20, 64 << 20)
    assert gateway.seen[0].path == "/api/datasets/upload?file_name=big.csv&name=Big&target_column=y"
    assert gateway.seen[0].headers["Authorization"] == "Bearer k3y"
    assert "Transfer-Encoding" not in gateway.seen[0].headers


def test_training_on_a_file_sends_fields_before_the_file_and_a_key_that_stays_over_repeats(client, gateway, tmp_path):
    """The same wish, sent again after a failure that may pass, is the same job."""
    bodies = []

    def refuse(request) -> None:
        bodies.append(request.body())
        problem(503, "PEER_DOWN", "Not now.", retryable=True)(request)

    def accept(request) -> None:
        bodies.append(request.body())
        request.send_json({"id": "j1", "status": "queued", "progress": 0}, 202)

    data = tmp_path / "a.csv"
    data.write_text("x,y\n1,2\n")
    gateway.on("POST /api/train", refuse, accept)

    job = client.train(data, target="y", engine="quick", time_limit=5)

    assert (job.id, job.status, job.ended) == ("j1", "queued", False)
    assert len({seen.headers["Idempotency-Key"] for seen in gateway.seen}) == 1
    assert len(bodies) == 2
    assert all(body.index(b'name="target"') < body.index(b'filename="a.csv"') for body in bodies)
    assert all(b"x,y\n1,2\n" in body for body in bodies)


def test_training_is_asked_for_again_when_the_connection_breaks_off_and_not_where_nobody_is(
    client, gateway, monkeypatch
):
    """Who gave a wrong address hears of it at once."""
    paused = []
    monkeypatch.setattr("modelyard.client.time.sleep", paused.append)

    def break_off(request) -> None:
        request.close_connection = True

    gateway.on("POST /api/automl/train/d1", break_off, json_of({"id": "j1", "status": "queued"}))
    job = client.train(dataset_id="d1")
    repeated = paused.copy()
    with Client("http://127.0.0.1:1") as nobody, pytest.raises(ModelyardError) as caught:
        nobody.train(dataset_id="d1")

    assert job.id == "j1"
    assert len({seen.headers["Idempotency-Key"] for seen in gateway.seen}) == 1
    assert (len(gateway.seen), repeated, paused) == (2, [1], [1])
    assert caught.value.code == "UNREACHABLE"


def test_training_on_a_stored_dataset_sends_only_what_was_given(client, gateway):
    sent = []

    def accept(request) -> None:
        sent.append(request.body())
        request.send_json({"id": "j1", "status": "queued"}, 202)

    gateway.on("POST /api/automl/train/d1", accept)

    client.train(dataset_id="d1", target="y", seed=0)

    assert sent == [b'{"target":"y","seed":0}']


def test_training_wants_a_file_or_a_dataset_and_not_both(client):
    with pytest.raises(ModelyardError, match="either a file or a dataset_id"):
        client.train("a.csv", dataset_id="d1")


def test_lists_go_over_all_pages(client, gateway):
    pages = {"": (["a", "b"], "t1"), "t1": (["c"], "")}

    def page(request) -> None:
        names, following = pages[request.path.partition("page_token=")[2]]
        request.send_json({"models": [{"id": name} for name in names], "nextPageToken": following})

    gateway.on("GET /api/models", page)

    assert [model.id for model in client.models()] == ["a", "b", "c"]


def test_a_dataset_is_read_with_its_schema(client, gateway):
    body = {
        "id": "d1", "columnNames": ["x"], "sampleData": [{"x": 1}], "uploadedAt": "2026-11-21T10:00:00Z",
        "schema": [
            {"name": "x", "dtype": "int64", "null_count": 2, "unique_count": 7, "min": -1, "quantiles": {"0.5": 2.5}},
            {"name": "t", "dtype": "object", "max": "inf", "top_values": [{"value": "a", "count": 3}]},
        ],
        "somethingNew": 1,
    }  # fmt: skip
    gateway.on("GET /api/datasets/d1", json_of(body))

    dataset = client.get_dataset("d1")

    assert dataset.columns[0].null_count == 2
    assert (dataset.columns[0].min, dataset.columns[0].mean, dataset.columns[0].quantiles["0.5"]) == (-1, None, 2.5)
    assert (dataset.columns[1].max, dataset.columns[1].top_values[0].count) == ("inf", 3)
    assert dataset.sample_data == ({"x": 1},)
    assert dataset.uploaded_at is not None


def test_a_problem_document_becomes_an_error_with_its_parts(client, gateway):
    gateway.on("GET /api/models/m1", problem(404, "MODEL_NOT_FOUND", "There is no model m1.", retryable=False))

    with pytest.raises(ModelyardError) as caught:
        client.model("m1")

    assert str(caught.value) == "There is no model m1."
    assert (caught.value.status, caught.value.code, caught.value.retryable) == (404, "MODEL_NOT_FOUND", False)


def test_an_error_that_is_no_json_is_still_one_sentence(client, gateway):
    gateway.on("GET /api/models/m1", lambda request: request.send(502, b"<html>Bad Gateway</html>"))

    with pytest.raises(ModelyardError, match="answered 502") as caught:
        client.model("m1")

    assert (caught.value.code, caught.value.retryable) == ("HTTP_502", True)


def test_an_answer_that_is_not_modelyards_is_refused(client, gateway):
    gateway.on("GET /readyz", lambda request: request.send(200, b"<html>hello</html>"))

    with pytest.raises(ModelyardError, match="no Modelyard"):
        client.health()


def test_nobody_there_is_one_sentence_that_says_what_to_do():
    with Client("http://127.0.0.1:1") as nobody, pytest.raises(ModelyardError, match="modelyard run") as caught:
        nobody.health()

    assert (caught.value.status, caught.value.code, caught.value.retryable) == (0, "UNREACHABLE", True)


@pytest.mark.parametrize("address", ["localhost:8000", "ftp://example.org"])
def test_what_is_no_address_is_told_apart_from_a_lost_connection(address: str):
    with Client(address) as nobody, pytest.raises(ModelyardError, match="begins with http") as caught:
        nobody.health()

    assert (caught.value.code, caught.value.retryable) == ("INVALID_URL", False)


@pytest.mark.parametrize("hostile", ["../users", "a/b", "a?b", "", "..", "a\n"])
def test_an_id_cannot_lead_to_another_path(client, gateway, hostile):
    with pytest.raises(ModelyardError, match="no id"):
        client.model(hostile)

    assert gateway.seen == []


def test_what_is_not_ready_is_an_answer_and_not_an_error(client, gateway):
    body = {
        "status": "degraded", "services": {"storage": {"ready": False, "reason": "disk full"}},
        "backends": [{"name": "local", "configured": True, "reachable": True, "reason": ""}],
    }  # fmt: skip
    gateway.on("GET /readyz", json_of(body, 503))

    health = client.health()

    assert not health.ready
    assert health.services["storage"].reason == "disk full"
    assert health.backends[0].reachable


def served_model(gateway, content: bytes, sha256: str = "", etag: str = "") -> None:
    gateway.on("GET /api/models/m1", json_of({**MODEL, "sha256": sha256}))
    gateway.on("GET /api/models/m1/download", lambda request: request.send(200, content, ETag=f'"{etag}"'))


@pytest.mark.parametrize("told_by", ["sha256", "etag"])
def test_a_download_is_checked_and_lands_in_the_folder_under_a_safe_name(client, gateway, heard, tmp_path, told_by):
    content = os.urandom(700_000)
    served_model(gateway, content, **{told_by: hashlib.sha256(content).hexdigest()})

    saved = client.download("m1", tmp_path, told=heard)

    assert saved == tmp_path / "etc-a-model-2.zip"
    assert saved.read_bytes() == content
    assert heard.calls[-1] == (700_000, 700_000)
    assert list(tmp_path.iterdir()) == [saved]


def test_a_download_with_the_wrong_hash_is_refused_and_leaves_the_older_file(client, gateway, tmp_path):
    served_model(gateway, b"forged", sha256="0" * 64)
    older = tmp_path / "model.zip"
    older.write_bytes(b"older")

    with pytest.raises(ModelyardError) as caught:
        client.download("m1", older)

    assert caught.value.code == "CHECKSUM_MISMATCH"
    assert older.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [older]


def test_a_download_that_breaks_off_leaves_nothing(client, gateway, tmp_path):
    def cut(request) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "1000")
        request.end_headers()
        request.wfile.write(b"only this")
        request.close_connection = True

    served_model(gateway, b"")
    gateway.on("GET /api/models/m1/download", cut)

    with pytest.raises(ModelyardError, match="broke off") as caught:
        client.download("m1", tmp_path)

    assert caught.value.retryable
    assert list(tmp_path.iterdir()) == []


def test_a_model_without_a_usable_name_is_called_by_its_id():
    assert file_name_of(Model(id="m7", name="///")) == "m7-1.zip"
