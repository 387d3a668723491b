"""The Open Inference Protocol where no model is asked: its metadata, its errors, and what it reads in a body."""

import httpx
import numpy as np
import pytest

from gateway.bootstrap import create_app
from gateway.flows import predicting
from gateway.routes import inference
from gateway.settings import GatewaySettings
from servicekit import errors

COLUMN = b'{"inputs": [{"name": "a", "shape": [1], "datatype": "FP64", "data": [%b]}]%b}'


@pytest.fixture
def http() -> httpx.AsyncClient:
    app = create_app(GatewaySettings(allowed_hosts=["test"], _env_file=None))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


async def test_the_server_tells_of_itself(http: httpx.AsyncClient):
    """M.2: a client of the protocol asks this first."""
    assert (await http.get("/v2")).json() == {"name": "modelyard", "version": "0.1.0", "extensions": []}


async def test_every_error_has_the_protocols_shape(http: httpx.AsyncClient):
    """M.2: also where no route is, or the method or the host is wrong."""
    unknown = await http.get("/v2/models/x/config")
    method = await http.put("/v2/health/live")
    host = await http.get("/v2", headers={"host": "elsewhere"})
    version = await http.get("/v2/models/x/versions/zero")
    answers = (unknown, method, host, version)

    assert [each.status_code for each in answers] == [404, 405, 403, 422]
    assert all(list(each.json()) == ["error"] and isinstance(each.json()["error"], str) for each in answers)
    assert method.headers["allow"] == "GET"
    assert (await http.get("/v2x")).json()["error"]["code"] == "NOT_FOUND"


async def test_binary_tensors_are_refused_by_name(http: httpx.AsyncClient):
    """M.2: this is what tritonclient sends unless it is told not to."""
    headers = {"inference-header-content-length": "13"}
    answer = await http.post("/v2/models/x/infer", content=b'{"inputs":[]}\0\0', headers=headers)

    assert answer.status_code == 422
    assert "binary_data=False" in answer.json()["error"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"id": "\xff", "inputs": []}',
        b'{"inputs": [{"name": "\xff"}]}',
        COLUMN % (b"1", b', "parameters": {"log": "true"}'),
        COLUMN % (b"1", b', "parameters": {"log": 1}'),
        COLUMN % (b'"\\ud800", NaN', b""),
    ],
)
def test_a_body_that_is_wrong_is_refused(body: bytes):
    """M.2: text that is no text, and a `log` that is no truth value."""
    with pytest.raises(errors.InvalidInput):
        inference._read(bytearray(body))


@pytest.mark.parametrize("value", [b'"\xff"', b"1" * 5000])
def test_data_that_is_wrong_is_refused(value: bytes):
    """M.2: with a sentence that names the input."""
    asked = inference._read(bytearray((COLUMN % (value, b"")).replace(b"[1]", b"[1, 1]")))

    with pytest.raises(errors.InvalidInput, match="'a'"):
        asked.columns()


def test_numbers_beyond_all_stay_what_they_are():
    """M.2: whoever predicts refuses them; a NaN and null are gaps."""
    asked = inference._read(bytearray(COLUMN % (b"NaN, null, Infinity, -Infinity, 1e400", b"")))

    assert asked.columns().content == b'{"a":[null,null,1e999,-1e999,1e400]}'
    assert predicting.written([float("inf"), None]) == b"[Infinity, null]"


def test_null_is_what_is_not_there():
    """M.2: clients write nulls for what is unset."""
    asked = inference._read(bytearray(COLUMN % (b"1", b', "id": null, "parameters": null, "outputs": null')))

    assert (asked.kept, asked.id, asked.outputs) == (False, None, None)


def test_answers_are_counted_with_their_classes():
    """M.2: few rows of many classes take as long to write as many rows."""
    predicted = predicting.Predicted(["a"] * 3, ["a", "b"], np.zeros(6).tolist(), 1.0)

    assert predicted.size == 6
