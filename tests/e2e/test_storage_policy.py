"""The whole house with Azure and Cloudinary behind it: who keeps what, what a cloud that is down does, what is told."""

import json
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from azure.storage.blob import BlobServiceClient

from tests.e2e.house import House
from tests.folders import paths_below
from tests.servers.azurite import Azurite, azurite
from tests.servers.cloudinary.cloud import Cloud
from tests.servers.cloudinary.server import CloudinaryServer, cloudinary_server
from tests.servers.faults import Faults, faulty

CANARY = "canary"


@dataclass
class Clouds:
    """The clouds of a house, each behind a proxy that can break things."""

    azurite: Azurite
    azure: Faults
    cloud: Cloud
    cloudinary: Faults

    @property
    def secrets(self) -> list[str]:
        """What may be in no log, no answer and no file."""
        return [self.azurite.key, self.cloud.secret]

    @property
    def settings(self) -> dict[str, str]:
        """How the storage service is told of them."""
        return {
            "AZURE_STORAGE_CONNECTION_STRING": self.azurite.through(self.azure.url),
            "CLOUDINARY_CLOUD_NAME": self.cloud.name,
            "CLOUDINARY_API_KEY": self.cloud.key,
            "CLOUDINARY_API_SECRET": self.cloud.secret,
            "CLOUDINARY_UPLOAD_PREFIX": self.cloudinary.url,
            "CLOUDINARY_DELIVERY_URL": self.cloudinary.url,
        }

    def blobs(self, container: str) -> list[str]:
        """Names of the blobs that anybody sees."""
        with BlobServiceClient.from_connection_string(self.azurite.connection_string) as service:
            present = [each.name for each in service.list_containers()]
            client = service.get_container_client(container)
            return [blob.name for blob in client.list_blobs()] if container in present else []

    def assets(self) -> list[str]:
        """Public ids of the assets that anybody sees."""
        return sorted(asset.public_id for asset in self.cloud.assets.values())


@pytest.fixture(scope="module")
def clouds() -> Iterator[Clouds]:
    with azurite() as blobs, cloudinary_server() as server, faulty(blobs.url) as azure:
        assert isinstance(server, CloudinaryServer)
        with faulty(server.url) as cloudinary:
            yield Clouds(blobs, azure, server.cloud(), cloudinary)


@pytest.fixture(scope="module")
def house(clouds: Clouds, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house with both clouds, and secrets of its own that can be looked for."""
    folder = tmp_path_factory.mktemp("clouds")
    house = House(folder)
    house.extra = clouds.settings | {
        "STORAGE_SIGNING_KEY": f"{CANARY}-{secrets.token_hex(20)}",
        "MODELYARD_SERVICE_TOKEN": f"{CANARY}-{secrets.token_hex(20)}",
        "MODELYARD_LOG_LEVEL": "debug",
    }
    house.start()
    try:
        house.wait_ready()
        yield house
    finally:
        house.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def answers() -> list[str]:
    """All that the gateway answered to the tests of this file."""
    return []


@pytest.fixture
def http(house: House, clouds: Clouds, answers: list[str]) -> Iterator[httpx.Client]:
    def keep(response: httpx.Response) -> None:
        answers.append(str(response.headers))
        answers.append(response.read().decode("utf-8", "replace"))

    with httpx.Client(base_url=house.url, timeout=120, event_hooks={"response": [keep]}) as client:
        yield client
    clouds.azure.heal()
    clouds.cloudinary.heal()


def upload(http: httpx.Client, penguins: Path, name: str = "penguins.csv") -> httpx.Response:
    return http.post("/api/datasets/upload", files={"file": (name, penguins.read_bytes())})


def counts(http: httpx.Client, house: House, clouds: Clouds) -> tuple[int, ...]:
    """All that an upload could leave."""
    listed = http.get("/api/datasets", params={"page_size": 1000}).json()["datasets"]
    return len(listed), len(clouds.blobs("datasets")), len(house.stored_files()), len(house.left_over())


def utc_day() -> str:
    return time.strftime("%Y%m%d", time.gmtime())


def train(http: httpx.Client, penguins: Path, **form: str) -> dict:
    fields = {"target": "species", "parameters": json.dumps({"engine": "quick"}), **form}
    answer = http.post(
        "/api/train", params={"wait": "true"}, files={"file": ("p.csv", penguins.read_bytes())}, data=fields
    )
    assert answer.is_success, answer.text
    assert answer.json()["status"] == "completed", answer.text
    return answer.json()["result"]


class TestAzure:
    def test_a_dataset_is_in_azure_alone_where_its_key_says(self, http, house, clouds, penguins):
        """002.1, 002.2, 002.16."""
        dataset = upload(http, penguins).json()

        assert clouds.blobs("datasets") == [f"{dataset['userId']}/{dataset['id']}/penguins.csv"]
        assert house.stored_files() == []
        assert http.get(f"/api/datasets/{dataset['id']}/download").content == penguins.read_bytes()
        assert http.delete(f"/api/datasets/{dataset['id']}").is_success
        assert clouds.blobs("datasets") == []

    @pytest.mark.parametrize("fault", ["refuse", "answer 500", "answer 401", "cut"])
    def test_an_upload_fails_with_503_while_azure_does_and_leaves_nothing(self, http, house, clouds, penguins, fault):
        """002.16: neither file, nor blob, nor record."""
        before = counts(http, house, clouds)
        match fault.split():
            case ["refuse"]:
                clouds.azure.refuse()
            case ["answer", status]:
                clouds.azure.answer(int(status))
            case _:
                clouds.azure.cut_body(2000)
        answer = upload(http, penguins)
        clouds.azure.heal()

        assert answer.status_code == 503, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert "azure" in answer.json()["detail"].lower()
        assert counts(http, house, clouds) == before

    def test_a_model_is_in_azure_alone(self, http, house, clouds, penguins):
        """002.1, 002.9."""
        result = train(http, penguins)
        model = f"/api/models/{result['model_id']}"
        [blob] = clouds.blobs("models")
        package = http.get(f"{model}/download").content
        http.delete(model)

        assert result["storage"]["backend"] == "azure"
        assert blob.split("/")[1] == result["model_id"]
        assert blob.rpartition("/")[2].startswith("model-v")
        assert package[:2] == b"PK"
        assert clouds.blobs("models") == []
        assert house.left_over() == []


class TestCloudinary:
    @pytest.fixture
    def project(self, http) -> str:
        answer = http.post("/api/projects", json={"name": f"My Project {secrets.token_hex(3)}"})
        assert answer.is_success, answer.text
        return answer.json()["id"]

    def test_a_projects_package_goes_to_cloudinary_and_a_copy_stays_here(self, http, house, clouds, penguins, project):
        """000.2, 000.4, 000.6, 000.15, 000.25."""
        days = {utc_day()}
        result = train(http, penguins, project_id=project)
        days.add(utc_day())
        told = result["cloudinary"]
        [asset] = [each for each in clouds.assets() if each in told["public_id"] or told["public_id"] in each]
        name, date = asset.rpartition("/")[2].rsplit("_", 2)[0], asset.rpartition("/")[2].rsplit("_", 2)[1]

        assert asset.startswith("freemind-ml-projects/local/general_ml/My_Project_")
        assert name.startswith("My_Project")
        assert date in days
        assert (told["success"], told["size"]) == (True, result["storage"]["size"])
        assert told["database_update"] == {
            "success": True,
            "project_id": project,
            "message": "Project updated with Cloudinary URL",
        }
        assert [copy["backend"] for copy in result["storage"]["copies"]] == ["cloudinary", "local"]
        assert len(house.stored_files()) == 1
        assert httpx.get(told["url"]).content == http.get(result["download_url"]).content

    def test_while_cloudinary_is_down_the_package_stays_here_and_is_brought_home_later(
        self, http, house, clouds, penguins, project
    ):
        """000.18, 000.20: the training succeeds; the record and the answer tell what happened."""
        clouds.cloudinary.refuse()
        result = train(http, penguins, project_id=project)
        clouds.cloudinary.heal()
        before = len(clouds.assets())
        done = http.post("/api/storage/replicate")

        assert result["storage"]["fallback"] is True
        assert result["storage"]["backend"] == "local"
        assert result["cloudinary"]["success"] is False
        assert done.is_success, done.text
        assert len(clouds.assets()) == before + 1
        assert http.get(f"/api/models/{result['model_id']}/download").is_success


def test_no_secret_is_in_a_log_an_answer_or_a_file(http, house, clouds, answers, penguins):
    """000.24, 000.27, 003.10: after all of the above and whatever failed there, with the log at its most talkative."""
    clouds.azure.answer(403)
    clouds.cloudinary.answer(401)
    upload(http, penguins)
    for path in ("/api/storage/backends", "/api/storage/placements", "/api/storage/stats", "/api/usage", "/readyz"):
        http.get(path)
    secret = [*clouds.secrets, house.extra["STORAGE_SIGNING_KEY"], house.extra["MODELYARD_SERVICE_TOKEN"]]
    files = [path for path in paths_below(house.data.parent) if path.is_file()]
    told = list(answers)
    for path in files:
        with suppress(FileNotFoundError):  # that by which health is probed is there for an instant
            told.append(path.read_bytes().decode("utf-8", "replace"))

    assert len(files) > 10
    assert any('"debug"' in text for text in told)
    assert [(each[:6], text[:200]) for each in secret for text in told if each in text] == []


def test_with_nothing_configured_the_embedded_default_works_and_start_up_said_so(tmp_path: Path, penguins):
    """000.18, 000.20, 001.12, 002.14: what is off, why, and where objects go instead."""
    plain = House(tmp_path)
    plain.start()
    try:
        plain.wait_ready()
        with httpx.Client(base_url=plain.url, timeout=60) as http:
            assert upload(http, penguins).status_code == 201
        told = [json.loads(line) for line in plain.log("storage").splitlines()]
        off = {line["backend"]: line["why"] for line in told if line["event"] == "backend is off"}
        places = [(line["level"], line["backends"]) for line in told if line["event"] == "placement"]

        assert "AZURE_ACCOUNT_URL" in off["azure"]
        assert "CLOUDINARY_CLOUD_NAME" in off["cloudinary"]
        assert len(places) == 6
        assert all(place == ("warning", ["local"]) for place in places)
        assert len(plain.stored_files()) == 1
    finally:
        plain.stop()


def test_half_a_configuration_is_an_error_and_no_reason_to_keep_things_elsewhere(tmp_path: Path, penguins):
    """002.14, 002.16: a forgotten secret does not bring datasets to this machine's disk."""
    house = House(tmp_path)
    house.extra = {"AZURE_ACCOUNT_URL": "https://example.invalid", "AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c"}
    house.start()
    try:
        house.wait_ready()
        with httpx.Client(base_url=house.url, timeout=60) as http:
            answer = upload(http, penguins)

            assert (answer.status_code, house.stored_files(), house.left_over()) == (503, [], [])
            assert "AZURE_CLIENT_SECRET is not set" in answer.json()["detail"]
            assert http.get("/api/datasets").json()["datasets"] == []
    finally:
        house.stop()
