"""The registry over HTTP: integer ids, the user's own records alone, problems as everywhere."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.bootstrap import create_app
from gateway.settings import GatewaySettings
from tests.contract.gateway.standing import Standing, standing

ADA, BEN = "ada-has-a-long-key", "ben-has-a-long-key"


@pytest.fixture
async def yard(tmp_path: Path) -> AsyncIterator[Standing]:
    async with standing(tmp_path) as services:
        yield services


class Caller:
    """A user with a key."""

    def __init__(self, http: httpx.AsyncClient, key: str) -> None:
        self._http = http
        self._headers = {"x-api-key": key, "content-type": "application/json"}

    async def post(self, path: str, body: Any, status: int = 201, **headers: str) -> Any:
        return await self._ask("POST", path, status, content=json.dumps(body), headers=self._headers | headers)

    async def patch(self, path: str, body: Any, status: int = 200) -> Any:
        return await self._ask("PATCH", path, status, content=json.dumps(body), headers=self._headers)

    async def get(self, path: str, status: int = 200, /, **query: Any) -> Any:
        return await self._ask("GET", path, status, params=query, headers=self._headers)

    async def _ask(self, method: str, path: str, status: int, /, **more: Any) -> Any:
        answer = await self._http.request(method, f"/api/registry/{path}", **more)
        assert answer.status_code == status, answer.text
        return answer.json()


@pytest.fixture
async def http(yard: Standing) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(GatewaySettings(allowed_hosts=["*"], api_keys={"ada": ADA, "ben": BEN}, _env_file=None))
    app.state.peers = yard.peers
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        yield client


@pytest.fixture
def callers(http: httpx.AsyncClient) -> Callable[[str], Caller]:
    return lambda key: Caller(http, key)


@pytest.fixture
def ada(callers: Callable[[str], Caller]) -> Caller:
    return callers(ADA)


@pytest.fixture
def ben(callers: Callable[[str], Caller]) -> Caller:
    return callers(BEN)


async def test_every_route_of_the_registry(ada: Caller):
    """004.2, 004.5: what is posted is got, by its number and by its id."""
    model = await ada.post("models", {"name": "ViT", "modelType": "transformer", "config": {"layers": 12}})
    version = await ada.post("versions", {"modelId": 1, "version": "v1.0", "fileSize": 2**40})
    dataset = await ada.post(
        "datasets", {"name": "CAD", "numSamples": 10**12, "columns": ["a"], "splits": {"train": 8}}
    )
    experiment = await ada.post("experiments", {"name": "which", "goal": "to know"})
    run = await ada.post("runs", {"name": "first", "modelVersionId": 1, "datasetId": dataset["recordId"]})
    link = await ada.post("experiments/1/runs", {"trainingRunId": 1, "variant": "baseline"})
    prediction = await ada.post("predictions", {"modelVersionId": 1, "inputData": {"x": 1}, "outputData": {"y": 2}})
    logged = await ada.post("runs/1/hyperparameters", {"hyperparameters": {"lr": 0.1}})
    metrics = [{"name": "loss", "value": 1 / step, "step": step, "split": "validation"} for step in (1, 2, 3)]
    count = await ada.post("runs/1/metrics", {"metrics": metrics})
    ended = await ada.patch("runs/1", {"status": "completed", "notes": "well"})

    made = {"models": model, "versions": version, "datasets": dataset, "experiments": experiment}
    for path, record in (made | {"predictions": prediction}).items():
        assert record["id"] == 1
        assert await ada.get(f"{path}/{record['recordId']}") == await ada.get(f"{path}/1")
    assert (version["modelId"], version["version"], version["number"], version["fileSize"]) == (1, "v1.0", 1, 2**40)
    assert (dataset["numSamples"], dataset["splits"], dataset["source"]) == (10**12, {"train": 8}, "registered")
    assert (run["modelId"], run["modelVersionId"], run["datasetId"], run["status"]) == (1, 1, 1, "running")
    assert run["completedAt"] is None
    assert (link["experimentId"], link["trainingRunId"], link["variant"]) == (1, 1, "baseline")
    assert (ended["status"], ended["notes"], ended["name"]) == ("completed", "well", "first")
    assert ended["completedAt"] > run["startedAt"]
    assert logged == await ada.get("runs/1/hyperparameters") == {"hyperparameters": {"lr": 0.1}}
    assert count == {"count": 3}
    assert [each["epoch"] for each in (await ada.get("runs/1/metrics", name="loss"))["metrics"]] == [1, 2, 3]
    assert (await ada.get("experiments/1/runs"))["runs"] == [link]
    assert (await ada.get("versions", modelId=1))["versions"] == [version]
    assert (await ada.get("predictions", modelVersionId=1))["predictions"] == [prediction]
    assert (await ada.get("runs", status="completed"))["runs"] == [ended]
    assert await ada.get("statistics") == {
        "models": 1, "modelVersions": 1, "datasets": 1, "trainingRuns": 1, "completedRuns": 1, "experiments": 1,
        "predictions": 1,
    }  # fmt: skip


async def test_lists_go_page_by_page(ada: Caller):
    for number in range(5):
        await ada.post("models", {"name": f"model {number}"})
    first = await ada.get("models", page_size=3)
    second = await ada.get("models", page_size=3, page_token=first["nextPageToken"])

    assert [each["name"] for each in first["models"] + second["models"]] == [f"model {n}" for n in (4, 3, 2, 1, 0)]
    assert second["nextPageToken"] == ""


async def test_a_repeat_under_the_same_key_is_the_same_record(ada: Caller, ben: Caller):
    first = await ada.post("models", {"name": "ViT"}, **{"idempotency-key": "one"})
    again = await ada.post("models", {"name": "ViT"}, **{"idempotency-key": "one"})
    other = await ben.post("models", {"name": "ViT"}, **{"idempotency-key": "one"})

    assert first == again
    assert other["recordId"] != first["recordId"]


async def test_what_another_user_has_does_not_exist(ada: Caller, ben: Caller):
    await ada.post("models", {"name": "ViT"})
    await ada.post("versions", {"modelId": 1})
    await ada.post("datasets", {"name": "CAD"})
    await ada.post("runs", {"modelVersionId": 1})
    await ada.post("experiments", {"name": "which"})
    await ada.post("predictions", {"modelVersionId": 1, "inputData": {}, "outputData": {}})
    for path in ("models", "versions", "datasets", "runs", "experiments", "predictions"):
        hidden, missing = [(await ben.get(f"{path}/{number}", 404))["error"] for number in (1, 7)]
        assert hidden["message"].replace(" 1.", " 7.") == missing["message"]
        assert hidden["code"] == missing["code"]
    for path in ("runs/1/metrics", "runs/1/hyperparameters", "experiments/1/runs"):
        await ben.get(path, 404)
    await ben.get("versions", 404, modelId=1)
    await ben.get("predictions", 404, modelVersionId=1)
    await ben.patch("runs/1", {"status": "failed"}, 404)
    await ben.post("versions", {"modelId": 1}, 404)
    await ben.post("runs", {"datasetId": 1}, 404)
    await ben.post("runs/1/metrics", {"metrics": [{"name": "a", "value": 1}]}, 404)
    await ben.post("predictions", {"modelVersionId": 1, "inputData": {}, "outputData": {}}, 404)

    assert set((await ben.get("statistics")).values()) == {0}
    assert (await ada.get("runs/1"))["status"] == "running"
    assert (await ben.get("runs"))["runs"] == []


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("models", {"name": "ViT"}, 409, "RECORD_EXISTS"),
        ("models", {"name": "x", "nmae": "y"}, 422, "INVALID_REQUEST"),
        ("models", {"name": "x", "config": {"a": [2**53 + 1]}}, 422, "INVALID_REQUEST"),
        ("models", {"name": "x", "config": {"a": "\ud800"}}, 422, "INVALID_REQUEST"),
        ("models", {"name": ""}, 422, "INVALID_REQUEST"),
        ("runs", {"modelVersionId": 77}, 404, "RECORD_NOT_FOUND"),
        ("runs", {"modelVersionId": 2**70}, 404, "RECORD_NOT_FOUND"),
        ("runs", {"datasetId": "nothing"}, 404, "RECORD_NOT_FOUND"),
        ("runs", {"status": "sleeping"}, 422, "INVALID_REQUEST"),
        ("datasets", {"name": "x", "numSamples": 2**63}, 422, "INVALID_REQUEST"),
        ("runs/77/metrics", {"metrics": [{"name": "a", "value": 1}]}, 404, "RECORD_NOT_FOUND"),
        (
            "predictions",
            {"modelVersionId": 1, "inputData": {}, "outputData": {}, "confidence": 2},
            422,
            "INVALID_REQUEST",
        ),
    ],
)
async def test_what_cannot_be_is_a_problem(ada: Caller, path: str, body: Any, status: int, code: str):
    """After a name that is taken, the next write works; a run of nothing is refused."""
    await ada.post("models", {"name": "ViT"})
    refused = await ada.post(path, body, status)
    after = await ada.post("models", {"name": "VAE"})

    assert (refused["status"], refused["error"]["code"]) == (status, code)
    assert after["id"] == 2
    assert (await ada.get("statistics"))["trainingRuns"] == 0


async def test_the_document_of_the_gateway_describes_the_registry(yard: Standing):
    described = create_app(GatewaySettings(_env_file=None)).openapi()
    paths = {path: routes for path, routes in described["paths"].items() if path.startswith("/api/registry")}

    assert len(paths) == 16
    assert all(route["description"] for routes in paths.values() for route in routes.values())
    assert "modelType" in described["components"]["schemas"]["ModelWish"]["properties"]


async def test_a_model_without_a_version_is_a_model_everywhere(callers, http: httpx.AsyncClient):
    """002: one that was only registered does not keep the others from being listed, and has a page of its own."""
    ada = callers(ADA)
    bare = (await ada.post("models", {"name": "sketch"}))["recordId"]
    elsewhere = await ada.post("models", {"name": "elsewhere"})
    await ada.post("versions", {"model_id": elsewhere["id"], "version": "1.0.0"})
    listed, page, registered, download, link = [
        await http.request(method, f"/api/models{path}", headers={"x-api-key": ADA})
        for method, path in (
            ("GET", ""),
            ("GET", f"/{bare}"),
            ("GET", f"/{elsewhere['recordId']}"),
            ("GET", f"/{elsewhere['recordId']}/download"),
            ("POST", f"/{elsewhere['recordId']}/link"),
        )
    ]

    assert {(each["name"], each["version"]) for each in listed.json()["models"]} == {("sketch", 0), ("elsewhere", 1)}
    assert (page.json()["versions"], page.json()["score"], page.json()["storage"]) == ([], None, {})
    assert [each["version"] for each in registered.json()["versions"]] == [1]
    for answer in (download, link):
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "NO_PACKAGE")
        assert "Version 1 of model 'elsewhere'" in answer.json()["detail"]


async def test_a_list_of_many_models_is_whole(callers, http: httpx.AsyncClient):
    """002: more than are looked at together."""
    names = {f"model {number}" for number in range(103)}
    for name in names:
        model = await callers(ADA).post("models", {"name": name})
        await callers(ADA).post("versions", {"model_id": model["id"], "version": name})
    answer = await http.get("/api/models", params={"page_size": 1000}, headers={"x-api-key": ADA})

    assert {(each["name"], each["version"]) for each in answer.json()["models"]} == {(name, 1) for name in names}
