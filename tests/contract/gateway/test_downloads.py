"""Downloads through the gateway: which of them count, and what is answered when the object is gone."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from gateway.bootstrap import create_app
from gateway.flows import models
from gateway.limits import limits_of
from gateway.settings import GatewaySettings
from gateway.upkeep.sweeping import expire
from modelyard.metadata.v1.artifact_pb2 import Artifact, CreateArtifactRequest
from modelyard.metadata.v1.dataset_pb2 import CreateDatasetRequest, Dataset
from modelyard.metadata.v1.model_pb2 import Model, ModelVersion, PublishModelVersionRequest
from modelyard.metadata.v1.project_pb2 import CreateProjectRequest, Project
from modelyard.metadata.v1.run_pb2 import CreateRunRequest, Run
from modelyard.storage.v1.storage_pb2 import ObjectName, SignDownloadRequest
from tests.contract.gateway.standing import DATA, Standing, standing

KEYS = {"ada": "ada-has-a-long-key", "ben": "ben-has-a-long-key"}
URL = "/api/datasets/d/download"


@pytest.fixture
async def yard(tmp_path: Path) -> AsyncIterator[Standing]:
    async with standing(tmp_path) as services:
        yield services


@pytest.fixture
async def app(yard: Standing) -> FastAPI:
    """The gateway's routes over these services, for two users."""
    settings = GatewaySettings(api_keys=KEYS, allowed_hosts=["*"], _env_file=None)
    app = create_app(settings)
    app.state.peers = yard.peers
    app.state.limits = limits_of(settings)
    return app


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with as_user(app, "ada") as client:
        yield client


def as_user(app: FastAPI, user: str) -> httpx.AsyncClient:
    headers = {"authorization": f"Bearer {KEYS[user]}"} if user else {}
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test", headers=headers)


@pytest.fixture
async def artifact(yard: Standing) -> Artifact:
    """The artifact of the dataset `d`."""
    artifact = await yard.keep("ada/d/a.csv", "datasets")
    dataset = Dataset(id="d", user_id="ada", name="d", artifact_id=artifact.id, row_count=7)
    await yard.peers.datasets.CreateDataset(CreateDatasetRequest(dataset=dataset, request_id="d"), **yard.peers.quick)
    return artifact


async def project(yard: Standing) -> Project:
    request = CreateProjectRequest(project=Project(id="p", user_id="ada", name="Irises"), request_id="p")
    return await yard.peers.projects.CreateProject(request, **yard.peers.quick)


async def package(yard: Standing, key: str) -> Artifact:
    """What a training in the project `p` leaves."""
    artifact = Artifact(user_id="ada", kind="project", placement="projects", key=key, project_id="p")
    request = CreateArtifactRequest(artifact=artifact, request_id=key)
    announced = await yard.peers.artifacts.CreateArtifact(request, **yard.peers.quick)
    return await yard.record(announced, await yard.put(key, "projects"))


async def count(yard: Standing, artifact: Artifact) -> int:
    return (await yard.now(artifact)).download_count


async def test_whole_downloads_count(yard: Standing, http: httpx.AsyncClient, app: FastAPI, artifact: Artifact):
    """000.7, 000.40: by the user and by a signed address alike."""
    name = ObjectName(placement=artifact.placement, key=artifact.key)
    signed = await yard.peers.storage.SignDownload(SignDownloadRequest(name=name), **yard.peers.quick)
    bodies = [(await http.get(URL)).content, (await http.get(URL, headers={"if-range": '"x"'})).content]
    async with as_user(app, "") as anyone:
        bodies.append((await anyone.get(signed.uri)).content)
    now = await yard.now(artifact)

    assert bodies == [DATA] * 3
    assert now.download_count == 3
    assert now.etag == artifact.etag


async def test_what_is_no_whole_download_does_not_count(yard: Standing, http: httpx.AsyncClient, artifact: Artifact):
    tag = (await http.head(URL)).headers["etag"]
    answers = [
        await http.get(URL, headers={"range": "bytes=0-9"}),
        await http.get(URL, headers={"range": "bytes=0-"}),
        await http.get(URL, headers={"range": "bytes=99999999-"}),
        await http.get(URL, headers={"if-none-match": tag}),
    ]

    assert [answer.status_code for answer in answers] == [206, 206, 416, 304]
    assert await count(yard, artifact) == 0


async def test_download_of_what_nobody_recorded_arrives_all_the_same(yard: Standing, app: FastAPI, artifact: Artifact):
    await yard.put("ada/unrecorded")
    name = ObjectName(placement="models", key="ada/unrecorded")
    signed = await yard.peers.storage.SignDownload(SignDownloadRequest(name=name), **yard.peers.quick)
    async with as_user(app, "") as anyone:
        answer = await anyone.get(signed.uri)

    assert (answer.status_code, answer.content) == (200, DATA)


async def test_what_has_expired_is_gone(yard: Standing, http: httpx.AsyncClient, app: FastAPI, artifact: Artifact):
    """000.30: the record tells what it was; its bytes are answered with 410 and a sentence, by a signed address too."""
    name = ObjectName(placement=artifact.placement, key=artifact.key)
    signed = await yard.peers.storage.SignDownload(SignDownloadRequest(name=name), **yard.peers.quick)
    await expire(yard.peers, artifact)
    answers = [await http.get(URL), await http.request("HEAD", URL)]
    shown = await http.get("/api/datasets/d")

    async with as_user(app, "") as anyone:
        linked = await anyone.get(signed.uri)
    trained = await http.post("/api/automl/train/d", json={})

    assert [answer.status_code for answer in answers] == [410, 410]
    assert [(each.status_code, each.json()["error"]["code"]) for each in (linked, trained)] == [(410, "FILE_GONE")] * 2
    assert answers[0].json()["error"]["code"] == "FILE_GONE"
    assert "deleted" in answers[0].json()["detail"]
    assert (shown.status_code, shown.json()["rowCount"], shown.json()["storage"]["state"]) == (200, 7, "deleted")
    assert shown.json()["storage"]["copies"] == []


async def test_deleting_what_has_expired_removes_its_records(
    yard: Standing, http: httpx.AsyncClient, artifact: Artifact
):
    await expire(yard.peers, artifact)
    answer = await http.delete("/api/datasets/d")

    assert answer.json()["success"]
    assert (await http.get("/api/datasets/d")).status_code == 404


async def test_project_tells_and_gives_its_newest_package(yard: Standing, http: httpx.AsyncClient):
    """000.7, 000.16: until there is one it has none, then the newest that is left."""
    await project(yard)
    before = await http.get("/api/download/project_p.zip")
    await package(yard, "ada/old.zip")
    new = await package(yard, "ada/new.zip")
    downloaded = await http.get("/api/download/project_p.zip")
    shown = (await http.get("/api/projects/p")).json()
    listed = (await http.get("/api/projects")).json()["projects"]
    await expire(yard.peers, new)
    after = (await http.get("/api/projects/p")).json()["generatedFiles"]["zipFile"]

    assert before.status_code == 404
    assert before.json()["error"]["code"] == "PACKAGE_MISSING"
    assert (downloaded.status_code, downloaded.content) == (200, DATA)
    assert listed == [shown]
    assert (shown["name"], shown["taskType"], shown["status"]) == ("Irises", "general_ml", "active")
    assert shown["generatedFiles"]["zipFile"] == {
        "cloudinaryUrl": None,
        "cloudinaryPublicId": None,
        "fileName": "new.zip",
        "fileSize": len(DATA),
        "generatedAt": new.write_time.ToJsonString(),
        "downloadCount": 1,
        "expiresAt": None,
    }
    assert after["fileName"] == "old.zip"


async def test_package_that_has_expired_is_gone(yard: Standing, http: httpx.AsyncClient):
    await project(yard)
    await expire(yard.peers, await package(yard, "ada/old.zip"))
    answer = await http.get("/api/download/project_p.zip")
    shown = (await http.get("/api/projects/p")).json()

    assert answer.status_code == 410
    assert shown["generatedFiles"] == {}


async def test_projects_are_their_users_alone(yard: Standing, app: FastAPI):
    await project(yard)
    await package(yard, "ada/a.zip")
    async with as_user(app, "ben") as ben:
        answers = [await ben.get(path) for path in ("/api/projects/p", "/api/download/project_p.zip")]
        listed = (await ben.get("/api/projects")).json()["projects"]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert listed == []


async def publish(yard: Standing, number: int) -> Model:
    """Record one more version of the model `many`."""
    run = await yard.peers.runs.CreateRun(
        CreateRunRequest(run=Run(id=f"r{number}", user_id="ada"), request_id=f"r{number}"), **yard.peers.quick
    )
    artifact = await yard.announce(f"ada/many/{number}.zip")
    await yard.record(artifact, await yard.put(artifact.key))
    request = PublishModelVersionRequest(
        version=ModelVersion(id=f"v{number}"), model_name="many", user_id="ada", run=run
    )
    now = await yard.now(artifact)
    request.artifact.id, request.artifact.backend, request.artifact.sha256 = now.id, now.backend, now.sha256
    return (await yard.peers.models.PublishModelVersion(request, **yard.peers.quick)).model


async def test_deleting_a_model_visits_every_version(
    yard: Standing, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
):
    """002.10: all its objects go, however many pages they fill."""
    monkeypatch.setattr(models, "PAGE_SIZE", 2)
    for number in range(5):
        model = await publish(yard, number)
    answer = await http.delete(f"/api/models/{model.id}")

    assert answer.json()["versions"] == 5
    assert [yard.holders(f"ada/many/{number}.zip") for number in range(5)] == [set()] * 5
    assert (await http.get(f"/api/models/{model.id}")).status_code == 404
