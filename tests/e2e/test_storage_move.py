"""A house that kept everything on its disk moves into Azure: by command line, and through a gateway that is killed."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.storage.blob import BlobServiceClient

from tests.e2e.house import ROOT, House
from tests.servers.azurite import Azurite, azurite
from tests.servers.faults import Faults, faulty

DATASETS = 24
PATIENCE_SECONDS = 60
MOVE = ("storage", "move", "--from", "local", "--to", "azure", "--placement")


@pytest.fixture(scope="module")
def cloud() -> Iterator[Azurite]:
    with azurite() as server:
        yield server


@pytest.fixture(scope="module")
def proxy(cloud: Azurite) -> Iterator[Faults]:
    """What stands between the house and the cloud, to make it slow."""
    with faulty(cloud.url) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def grown(cloud: Azurite, proxy: Faults, penguins: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house that stored datasets and a model with nothing configured, and was started again with Azure."""
    folder = tmp_path_factory.mktemp("grown")
    house = House(folder)
    house.extra = {"GATEWAY_UPKEEP_SECONDS": "0"}
    house.start()
    try:
        house.wait_ready()
        with httpx.Client(base_url=house.url, timeout=120) as http:
            for number in range(DATASETS):
                upload(http, penguins, number)
            train(http, datasets(http)[0]["id"])
        house.processes["storage"].terminate()
        house.processes["storage"].wait()
        house.extra["AZURE_STORAGE_CONNECTION_STRING"] = cloud.through(proxy.url)
        house.start("storage")
        house.wait_ready()
        yield house
    finally:
        house.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def http(grown: House) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=grown.url, timeout=120) as client:
        yield client


def bytes_of(penguins: Path, number: int) -> bytes:
    """Another file each time."""
    header, *rows = penguins.read_bytes().splitlines(keepends=True)
    return header + b"".join(rows[number:])


def upload(http: httpx.Client, penguins: Path, number: int) -> None:
    file = (f"p{number}.csv", bytes_of(penguins, number))
    answer = http.post("/api/datasets/upload", files={"file": file}, data={"target_column": "species"})
    assert answer.is_success, answer.text


def datasets(http: httpx.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = http.get("/api/datasets", params={"page_size": 1000}).json()["datasets"]
    return found


def train(http: httpx.Client, dataset_id: str) -> dict[str, Any]:
    answer = http.post(f"/api/automl/train/{dataset_id}", params={"wait": "true"}, json={"engine": "quick"})
    assert answer.is_success, answer.text
    result: dict[str, Any] = answer.json()["result"]
    return result


def begun(house: House, *words: str) -> subprocess.Popen[str]:
    """The command line as a person has it, while it runs."""
    whole = [sys.executable, "-c", "from modelyard.cli import main; main()", *words, "--url", house.url]
    environment, pipe = house.environment("gateway"), subprocess.PIPE
    return subprocess.Popen(whole, stdout=pipe, stderr=pipe, text=True, env=environment, cwd=ROOT)


def command(house: House, *words: str) -> tuple[int, str]:
    """Its status, and all that it says."""
    process = begun(house, *words)
    told, failed = process.communicate(timeout=120)
    return process.returncode, told + failed


def blobs(cloud: Azurite, container: str) -> set[str]:
    with BlobServiceClient.from_connection_string(cloud.connection_string) as service:
        if container not in {each.name for each in service.list_containers()}:
            return set()
        return {blob.name for blob in service.get_container_client(container).list_blobs()}


def files(house: House, placement: str) -> list[Path]:
    return [path for path in house.stored_files() if placement in path.parts]


def check_bytes(http: httpx.Client, penguins: Path) -> None:
    """Every dataset can be had, and is what was uploaded."""
    for dataset in datasets(http):
        number = int(dataset["name"].removeprefix("p"))
        assert http.get(f"/api/datasets/{dataset['id']}/download").content == bytes_of(penguins, number)


def test_nothing_moves_that_was_only_asked_about(grown: House, http: httpx.Client, cloud: Azurite, penguins: Path):
    """What is still on the disk is read from there, though new objects go to Azure."""
    status, told = command(grown, *MOVE, "datasets", "--dry-run")

    assert (status, f"{DATASETS} would be done" in told) == (0, True), told
    assert blobs(cloud, "datasets") == set()
    check_bytes(http, penguins)


def test_a_move_that_is_killed_half_way_is_finished_by_a_repeat(
    grown: House, http: httpx.Client, cloud: Azurite, proxy: Faults, penguins: Path
):
    """M.4, 002.1, 002.2: each blob is under its key, nothing is left on the disk, every record says azure."""
    proxy.delay(0.1)
    moving = begun(grown, *MOVE, "datasets")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(blobs(cloud, "datasets")) < DATASETS // 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    grown.kill("gateway")
    told, failed = moving.communicate(timeout=PATIENCE_SECONDS)
    half = len(blobs(cloud, "datasets"))
    proxy.heal()
    grown.start("gateway")
    grown.wait_ready()
    check_bytes(http, penguins)
    repeated = command(grown, *MOVE, "datasets")
    again = command(grown, *MOVE, "datasets")
    shown = [http.get(f"/api/datasets/{each['id']}").json() for each in datasets(http)]

    assert 0 < half < DATASETS
    assert (moving.returncode, "broke off" in failed) == (1, True), told + failed
    assert repeated[0] == 0, repeated[1]
    assert again == (0, "Nothing to do.\n")
    assert len(shown) == DATASETS
    assert blobs(cloud, "datasets") == {each["storage"]["key"] for each in shown}
    assert files(grown, "datasets") == []
    assert {each["storage"]["backend"] for each in shown} == {"azure"}
    assert {tuple(copy["backend"] for copy in each["storage"]["copies"]) for each in shown} == {("azure",)}
    assert all(each["azureDatasetUrl"].endswith(each["storage"]["key"]) for each in shown)
    check_bytes(http, penguins)


def test_a_model_moves_as_well_and_more_is_trained_on_what_moved(grown: House, http: httpx.Client, cloud: Azurite):
    """M.4: the packages are the same bytes as before; a scan finds records and objects agreed."""
    [model] = http.get("/api/models").json()["models"]
    before = http.get(model["downloadUrl"]).content
    moved = command(grown, *MOVE, "models")
    shown = http.get(f"/api/models/{model['id']}").json()["storage"]
    trained = train(http, datasets(http)[-1]["id"])
    scanned = command(grown, "storage", "scan", "--grace-hours", "0")

    assert moved[0] == 0, moved[1]
    assert (shown["backend"], shown["key"] in blobs(cloud, "models")) == ("azure", True)
    assert http.get(model["downloadUrl"]).content == before
    assert trained["storage"]["backend"] == "azure"
    assert grown.stored_files() == []
    assert grown.left_over() == []
    assert scanned == (0, "Nothing to do.\n")
