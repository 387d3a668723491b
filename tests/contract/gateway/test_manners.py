"""How the gateway answers: statuses, sentences, conditional requests, and the document that describes it all."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI, Request

from gateway.bootstrap import create_app
from gateway.peers import connect
from gateway.routes.jobs import answer_for
from gateway.settings import GatewaySettings
from modelyard.metadata.v1.dataset_pb2 import CreateDatasetRequest, Dataset
from modelyard.metadata.v1.job_pb2 import CreateJobRequest, Job
from servicekit.server import serving
from services.metadata.bootstrap import in_memory
from services.metadata.settings import MetadataSettings
from tests.contract.gateway.standing import DATA, Standing, standing

URL = "/api/datasets/d/download"


@pytest.fixture
async def yard(tmp_path: Path) -> AsyncIterator[Standing]:
    async with standing(tmp_path) as services:
        yield services


@pytest.fixture
def app(yard: Standing) -> FastAPI:
    app = create_app(GatewaySettings(allowed_hosts=["*"], max_upload_bytes=1000, _env_file=None))
    app.state.peers = yard.peers
    return app


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        yield client


@pytest.fixture
async def tag(yard: Standing, http: httpx.AsyncClient) -> str:
    """The entity tag of the file of the dataset `d`."""
    artifact = await yard.keep("local/d/a.csv", "datasets")
    dataset = Dataset(id="d", user_id="local", name="d", artifact_id=artifact.id, row_count=7)
    await yard.peers.datasets.CreateDataset(CreateDatasetRequest(dataset=dataset, request_id="d"), **yard.peers.quick)
    return (await http.head(URL)).headers["etag"]


async def test_a_broken_download_goes_on_only_while_the_file_is_the_same(http: httpx.AsyncClient, tag: str):
    same = await http.get(URL, headers={"range": "bytes=10-", "if-range": tag})
    other = await http.get(URL, headers={"range": "bytes=10-", "if-range": '"another"'})
    shorter_by_now = await http.get(URL, headers={"range": "bytes=99999999-", "if-range": '"another"'})

    assert (same.status_code, same.content) == (206, DATA[10:])
    assert same.headers["content-range"] == f"bytes 10-{len(DATA) - 1}/{len(DATA)}"
    assert [(each.status_code, each.content) for each in (other, shorter_by_now)] == [(200, DATA)] * 2


@pytest.mark.parametrize("given", ["*", "{}", "W/{}", '"another", {}'])
async def test_what_is_there_already_is_not_sent_again(http: httpx.AsyncClient, tag: str, given: str):
    answer = await http.get(URL, headers={"if-none-match": given.format(tag)})

    assert (answer.status_code, answer.content) == (304, b"")


async def test_media_types_that_no_header_can_hold_are_refused_or_replaced(yard: Standing, http: httpx.AsyncClient):
    wish = {"file_name": "a.txt", "content_type": "text/plain; charset=中"}
    refused = await http.post("/api/storage/tickets", json=wish)
    artifact = await yard.keep("local/e/a.csv", "datasets", content_type="text/中")
    dataset = Dataset(id="e", user_id="local", name="e", artifact_id=artifact.id, row_count=7)
    await yard.peers.datasets.CreateDataset(CreateDatasetRequest(dataset=dataset, request_id="e"), **yard.peers.quick)
    answer = await http.get("/api/datasets/e/download")

    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "content_type")
    assert (answer.status_code, answer.content) == (200, DATA)
    assert answer.headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize("given", ["..", "a/..", "."])
async def test_a_ticket_for_what_is_no_file_name_gives_it_one(http: httpx.AsyncClient, given: str):
    """003.10: its signed address is one that no client folds away."""
    ticket = (await http.post("/api/storage/tickets", json={"file_name": given})).json()
    turned = (await http.post("/api/storage/tickets", json={"file_name": "x\u202egpj.exe"})).json()

    assert ticket["key"].endswith("-file")
    assert turned["key"].endswith("-x_gpj.exe")


@pytest.mark.parametrize("what", ["sweep", "replicate", "scan", "move"])
async def test_upkeep_refuses_wishes_that_it_would_not_notice(yard: Standing, http: httpx.AsyncClient, what: str):
    """A dry run that is asked for in a way we do not know must not delete anything."""
    move = {"placement": "models", "from": "local", "to": "cloud"} if what == "move" else {}
    answers = [
        await http.post(f"/api/storage/{what}", params={"dry_run": "true"}, json=move),
        await http.post(f"/api/storage/{what}", json={**move, "dryRun": True}),
    ]

    assert [answer.status_code for answer in answers] == [422, 422]
    assert [answer.json()["errors"][0]["field"] for answer in answers] == ["query", "dryRun"]


async def test_a_scan_needs_no_body(http: httpx.AsyncClient):
    answer = await http.post("/api/storage/scan")

    assert (answer.status_code, '"type":"complete"' in answer.text) == (200, True)


async def test_a_file_that_says_it_is_too_large_is_refused_before_it_is_read(http: httpx.AsyncClient):
    async def endless() -> AsyncIterator[bytes]:
        raise AssertionError("somebody read it")
        yield b""

    answer = await http.put("/api/datasets/upload", content=endless(), headers={"content-length": "1001"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "FILE_TOO_LARGE")


async def test_a_method_that_a_path_does_not_take_is_answered_with_those_it_does(http: httpx.AsyncClient):
    answer = await http.put("/api/jobs")

    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


async def test_a_service_that_does_not_know_the_gateway_is_no_fault_of_the_caller(tmp_path: Path):
    """503, not 401: the caller's key is right."""
    address = f"unix:{tmp_path}/metadata"
    chosen = MetadataSettings(bind=address, drain_seconds=0.5, service_token="of the services alone", _env_file=None)
    settings = GatewaySettings(
        metadata_address=address, api_keys={"ada": "ada-has-a-long-key"}, allowed_hosts=["*"], _env_file=None
    )
    app = create_app(settings)
    async with serving(in_memory(), address, chosen):
        app.state.peers = connect(settings)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            known = await client.get("/api/jobs", headers={"x-api-key": "ada-has-a-long-key"})
            unknown = await client.get("/api/jobs", headers={"x-api-key": "ben-has-a-long-key"})
        await app.state.peers.close()

    assert (known.status_code, known.json()["error"]["code"]) == (503, "PEER_REFUSES")
    assert "MODELYARD_SERVICE_TOKEN" in known.json()["detail"]
    assert (unknown.status_code, unknown.headers["www-authenticate"]) == (401, "Bearer")


async def test_another_users_record_and_none_are_told_alike(yard: Standing, http: httpx.AsyncClient):
    """Who guesses an id does not learn that it is somebody's."""
    job = Job(id="of-somebody", user_id="somebody", kind="train")
    await yard.peers.jobs.CreateJob(CreateJobRequest(job=job, request_id="of-somebody"), **yard.peers.quick)
    artifact = await yard.keep("somebody/u/a.bin", "uploads")
    for path, hidden in (("/api/jobs", "of-somebody"), ("/api/storage/uploads", artifact.id)):
        told = [await http.get(f"{path}/{each}") for each in (hidden, "nothing")]

        assert [each.status_code for each in told] == [404, 404]
        assert told[0].text.replace(hidden, "nothing") == told[1].text


async def test_who_waits_for_a_job_and_leaves_is_waited_for_no_longer(yard: Standing, app: FastAPI):
    job = Job(id="j", user_id="local", kind="train")
    job = await yard.peers.jobs.CreateJob(CreateJobRequest(job=job, request_id="j"), **yard.peers.quick)

    async def leaves() -> dict[str, str]:
        await asyncio.sleep(0.2)
        return {"type": "http.disconnect"}

    request = Request({"type": "http", "method": "POST", "path": "/", "headers": [], "app": app}, leaves)
    before, started = asyncio.all_tasks(), time.monotonic()
    answer = await answer_for(request, job, wait=True)

    assert answer.status_code == 202
    assert time.monotonic() - started < 5
    assert {task for task in asyncio.all_tasks() - before if "_last" in str(task) or "_left" in str(task)} == set()


def test_the_document_names_each_operation_once_and_describes_every_body():
    document = create_app(GatewaySettings(_env_file=None)).openapi()
    operations = {
        (method, path): operation for path, each in document["paths"].items() for method, operation in each.items()
    }
    ids = [operation["operationId"] for operation in operations.values()]
    sends = [
        operations[key] for key in operations if key[0] == "put" or key[1] in ("/api/train", "/api/datasets/upload")
    ]

    assert len(set(ids)) == len(ids)
    assert all("requestBody" in operation for operation in sends)
    assert set(document["components"]["securitySchemes"]) == {"HTTPBearer", "APIKeyHeader"}
    assert operations["get", "/api/usage"]["security"]
    assert "security" not in operations["put", "/uploads/{token}"]
    errors = {path: each["responses"]["default"]["content"] for (_, path), each in operations.items()}
    assert {path for path in errors if path.startswith("/v2")} == {
        path for path, each in errors.items() if set(each) == {"application/json"}
    }
    assert all(set(each) <= {"application/json", "application/problem+json"} for each in errors.values())


def test_the_document_is_enough_to_train_and_to_predict():
    """M.2, 000.1: whoever has nothing else, or a client that was made of it, knows what to send and what comes."""
    paths = create_app(GatewaySettings(_env_file=None)).openapi()["paths"]
    inference = [paths[path]["post"] for path in paths if path.endswith("/infer")]
    [tensors] = {str(each["requestBody"]["content"]["application/json"]["schema"]) for each in inference}
    form = paths["/api/train"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    trainings = [paths[path]["post"]["responses"] for path in ("/api/train", "/api/automl/train/{dataset_id}")]
    answers = {
        path: set(paths[path]["get"]["responses"]["200"]["content"])
        for path in ("/metrics", "/api/jobs/{job_id}/events", "/api/models/{model_id}/download")
    }

    assert len(inference) == 2
    assert "'inputs'" in tensors
    assert form["anyOf"] == [{"required": ["file"]}, {"required": ["folder_zip"]}]
    assert all({"200", "202"} <= set(each) for each in trainings)
    assert list(answers.values()) == [{"text/plain"}, {"text/event-stream"}, {"application/zip"}]
