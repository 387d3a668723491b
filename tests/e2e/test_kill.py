"""M.3: kill a process at any step of the flow; the job ends once, with one model, one object, one record, no rest."""

import asyncio
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import pytest

from modelyard.storage.v1.storage_pb2 import UploadHeader, UploadRequest, UploadTrailer
from modelyard.storage.v1.storage_pb2_grpc import StorageServiceStub
from tests.e2e.gate import AFTER, BEFORE, Gate
from tests.e2e.house import House

# Every call that changes something on the way from a queued job to a finished one, in order.
MOMENTS = [
    ("metadata", "CreateRun", AFTER),
    ("metadata", "CreateArtifact", BEFORE),
    ("training", "Train", BEFORE),
    ("training", "Train", AFTER),
    ("storage", "Upload", BEFORE),
    ("training", "ReadArtifact", AFTER),
    ("storage", "Upload", AFTER),
    ("metadata", "PublishModelVersion", BEFORE),
    ("metadata", "PublishModelVersion", AFTER),
    ("training", "ReleaseArtifact", BEFORE),
    ("training", "ReleaseArtifact", AFTER),
    ("metadata", "CompleteJob", BEFORE),
]
PATIENCE_SECONDS = 180
CASES = [(victim, *moment) for victim in ("gateway", "training") for moment in MOMENTS] + [
    ("gateway", "metadata", "CreateArtifact", AFTER),
    ("storage", "storage", "Upload", BEFORE),
    ("storage", "metadata", "PublishModelVersion", AFTER),
    ("metadata", "training", "Train", BEFORE),
    ("metadata", "metadata", "PublishModelVersion", BEFORE),
    ("metadata", "training", "ReleaseArtifact", AFTER),
]


@pytest.fixture(scope="module")
def gated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, dict[str, Gate]]]:
    """A house whose gateway reaches every service through a gate."""
    folder = tmp_path_factory.mktemp("gated")
    house = House(folder)
    gates = {name: Gate(house.addresses[name]) for name in ("storage", "metadata", "training")}
    house.through = {name: gate.address for name, gate in gates.items()}
    house.start()
    try:
        house.wait_ready()
        yield house, gates
    finally:
        for gate in gates.values():
            gate.close()
        house.stop()
        shutil.rmtree(folder, ignore_errors=True)


def finished(http: httpx.Client, job_id: str) -> dict:
    """The job, once it has ended."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            job = http.get(f"/api/jobs/{job_id}").json()
        except httpx.TransportError:
            job = {}
        if job.get("status") in {"completed", "failed", "cancelled"}:
            return job
        time.sleep(0.1)
    raise AssertionError(f"job {job_id} did not end: {job}")


@pytest.mark.parametrize(("victim", "service", "method", "moment"), CASES)
def test_kill_at_a_step(
    gated: tuple[House, dict[str, Gate]], penguins: Path, victim: str, service: str, method: str, moment: str
):
    house, gates = gated
    name = f"{victim} {method} {moment}"
    with httpx.Client(base_url=house.url, timeout=180) as http:
        dataset = http.put("/api/datasets/upload", params={"file_name": "p.csv"}, content=penguins.read_bytes()).json()
        files_before = len(house.stored_files())
        trained_before = house.log("training").count("training began")
        gates[service].hold(method, moment)
        wish = {"target": "species", "model_name": name}
        job = http.post(f"/api/automl/train/{dataset['id']}", json=wish).json()
        assert gates[service].reached.wait(PATIENCE_SECONDS), house.log_tails()

        house.kill(victim)
        gates[service].release()
        house.start(victim)
        house.wait_ready()
        ended = finished(http, job["id"])
        models = [model for model in http.get("/api/models").json()["models"] if model["name"] == name]
        page = http.get(f"/api/models/{models[0]['id']}").json() if models else {}
    what_happened = house.log_tails()

    assert ended["status"] == "completed", (ended, what_happened)
    assert ended["result"]["model_id"] == models[0]["id"]
    assert len(models) == len(page["versions"]) == 1
    assert len(house.stored_files()) == files_before + 1, what_happened
    trained = house.log("training").count("training began") - trained_before
    assert trained == 1 or (trained == 2 and method == "Train"), (trained, what_happened)
    assert house.left_over() == [], what_happened


def test_a_model_that_is_lost_before_it_is_stored_is_trained_anew(gated: tuple[House, dict[str, Gate]], penguins: Path):
    """The training service comes back without what it kept, as when another replica takes its place."""
    house, gates = gated
    with httpx.Client(base_url=house.url, timeout=180) as http:
        dataset = http.put("/api/datasets/upload", params={"file_name": "p.csv"}, content=penguins.read_bytes()).json()
        trained_before = house.log("training").count("training began")
        gates["training"].hold("ReadArtifact", BEFORE)
        wish = {"target": "species", "model_name": "lost", "engine": "quick"}
        job = http.post(f"/api/automl/train/{dataset['id']}", json=wish).json()
        assert gates["training"].reached.wait(PATIENCE_SECONDS), house.log_tails()

        house.kill("training")
        for folder in (house.data / "training").glob("model_*"):
            shutil.rmtree(folder)
        gates["training"].release()
        house.start("training")
        house.wait_ready()
        ended = finished(http, job["id"])

    assert ended["status"] == "completed", (ended, house.log_tails())
    assert house.log("training").count("training began") - trained_before == 2
    assert house.left_over() == []


async def occupy(house: House, key: str) -> None:
    """Put an object where a model is to go."""
    data = b"in the way"
    header = UploadHeader(placement="models", key=key, request_id="in the way")
    parts = [
        UploadRequest(header=header),
        UploadRequest(chunk=data),
        UploadRequest(trailer=UploadTrailer(size=len(data))),
    ]
    async with grpc.aio.insecure_channel(house.addresses["storage"]) as channel:
        await StorageServiceStub(channel).Upload(iter(parts), timeout=60)


def test_what_cannot_succeed_is_undone(gated: tuple[House, dict[str, Gate]], penguins: Path):
    """A permanent failure goes backward: no artifact, no object, no scratch; the run says that it failed.

    003.15: once nothing is in its way, the job succeeds when it is asked for again.
    """
    house, gates = gated
    with httpx.Client(base_url=house.url, timeout=180) as http:
        dataset = http.put("/api/datasets/upload", params={"file_name": "p.csv"}, content=penguins.read_bytes()).json()
        files_before = len(house.stored_files())
        gates["training"].hold("Train", BEFORE)
        job = http.post(f"/api/automl/train/{dataset['id']}", json={"target": "species", "model_name": "undone"}).json()
        assert gates["training"].reached.wait(PATIENCE_SECONDS)

        with sqlite3.connect(house.data / "metadata.db") as database:
            [key] = database.execute("select key from artifacts where job_id = ?", [job["id"]]).fetchone()
        asyncio.run(occupy(house, key))
        gates["training"].release()
        ended = finished(http, job["id"])
        models = [model["name"] for model in http.get("/api/models").json()["models"]]
        files_after = len(house.stored_files())
        left_over = house.left_over()
        with sqlite3.connect(house.data / "metadata.db") as database:
            artifacts = database.execute("select count(*) from artifacts where job_id = ?", [job["id"]]).fetchone()
            runs = database.execute("select status from runs where job_id = ?", [job["id"]]).fetchall()
        http.post(f"/api/jobs/{job['id']}/retry").raise_for_status()
        retried = finished(http, job["id"])

    assert ended["status"] == "failed"
    assert ended["error"]["code"] == "OBJECT_EXISTS"
    assert "undone" not in models
    assert files_after == files_before
    assert artifacts == (0,)
    assert runs == [("failed",)]
    assert left_over == []
    assert retried["status"] == "completed", retried
