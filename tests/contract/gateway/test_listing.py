"""Lists and search over HTTP, as the metadata service answers them."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from gateway.bootstrap import create_app
from gateway.settings import GatewaySettings
from modelyard.metadata.v1.project_pb2 import CreateProjectRequest, Project
from tests.contract.gateway.standing import Standing, standing


@pytest.fixture
async def yard(tmp_path: Path) -> AsyncIterator[Standing]:
    async with standing(tmp_path) as services:
        for name, user in (("churn two", "local"), ("Churn one", "local"), ("churn", "grace")):
            request = CreateProjectRequest(project=Project(user_id=user, name=name), request_id=name)
            await services.peers.projects.CreateProject(request, **services.peers.quick)
        yield services


@pytest.fixture
async def http(yard: Standing) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(GatewaySettings(allowed_hosts=["*"], _env_file=None))
    app.state.peers = yard.peers
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        yield client


async def _names(http: httpx.AsyncClient, **query: str) -> list[str]:
    return [each["name"] for each in (await http.get("/api/projects", params=query)).json()["projects"]]


async def test_lists_are_filtered_and_put_in_order(http: httpx.AsyncClient):
    assert await _names(http, orderBy="name desc") == ["churn two", "Churn one"]
    assert await _names(http, filter="name:ONE") == ["Churn one"]
    for kind in ("jobs", "models", "datasets"):
        answer = await http.get(f"/api/{kind}", params={"filter": "create_time > 2020-01-01", "orderBy": "update_time"})

        assert (answer.status_code, answer.json()[kind]) == (200, [])


async def test_what_is_wrong_with_a_filter_is_told(http: httpx.AsyncClient):
    answer = await http.get("/api/projects", params={"filter": "nme = x"})

    assert answer.status_code == 422
    assert "there is no attribute nme" in answer.text


async def test_a_search_finds_what_is_the_users_own(http: httpx.AsyncClient):
    found = (await http.get("/api/search", params={"q": "CHURN"})).json()
    models = (await http.get("/api/search", params={"q": "churn", "kind": "models"})).json()
    wordless = await http.get("/api/search", params={"q": "!"})

    assert [(each["kind"], each["name"]) for each in found["results"]] == [
        ("projects", "Churn one"),
        ("projects", "churn two"),
    ]
    assert models == {"results": [], "nextPageToken": ""}
    assert wordless.status_code == 422
