"""The storage as its users and those who look after it meet it: over HTTP and by command line, in the real house."""

import asyncio
import hashlib
import json
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import pytest

from modelyard.storage.v1.storage_pb2 import DeleteObjectRequest, ObjectName, UploadHeader, UploadRequest, UploadTrailer
from modelyard.storage.v1.storage_pb2_grpc import StorageServiceStub
from tests.e2e.house import ROOT, House

EXPIRY_SECONDS = 2
QUOTA = 8_000_000
DATA = b"bytes by ticket" * 1000


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house with a quota, in which uploads expire soon and nothing is swept by itself."""
    folder = tmp_path_factory.mktemp("kept")
    house = House(folder)
    house.extra = {
        "STORAGE_PLACEMENTS": json.dumps({"uploads": {"expires_after": EXPIRY_SECONDS}}),
        "STORAGE_QUOTA_BYTES": str(QUOTA),
        "GATEWAY_UPKEEP_SECONDS": "0",
    }
    house.start("storage", "metadata", "training", "gateway")
    try:
        house.wait_ready()
        yield house
    finally:
        house.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def http(kept: House) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=kept.url, timeout=60) as client:
        yield client


def command(house: House, *words: str) -> subprocess.CompletedProcess[str]:
    """The command line as a person has it."""
    whole = [sys.executable, "-c", "from modelyard.cli import main; main()", *words, "--url", house.url]
    environment = house.environment("gateway")
    return subprocess.run(whole, capture_output=True, text=True, timeout=120, check=False, env=environment, cwd=ROOT)


def ticket_for(http: httpx.Client, name: str = "täble.csv") -> dict:
    answer = http.post("/api/storage/tickets", json={"file_name": name, "size": len(DATA)})
    assert answer.status_code == 201, answer.text
    return answer.json()


def completed(http: httpx.Client, ticket: dict, data: bytes = DATA, **more: object) -> httpx.Response:
    wish = {"id": ticket["id"], "token": ticket["token"], "size": len(data), **more}
    return http.post("/api/storage/tickets/complete", json=wish)


def uploaded(http: httpx.Client) -> dict:
    """An upload that went all the way."""
    ticket = ticket_for(http)
    assert http.request(ticket["method"], ticket["uri"], content=DATA).status_code == 201
    return completed(http, ticket).json()


def test_an_upload_by_ticket_goes_all_the_way_and_a_repeat_meets_itself(kept: House, http: httpx.Client):
    """003.6: a ticket, its bytes, and an address from which they come back; whoever holds one needs no account."""
    ticket = ticket_for(http)
    sent = http.put(ticket["uri"], content=DATA)
    done = completed(http, ticket, sha256=hashlib.sha256(DATA).hexdigest())
    again = completed(http, ticket)
    received = http.get(done.json()["downloadUrl"])
    usage = http.get("/api/usage").json()
    gone = http.delete(f"/api/storage/uploads/{ticket['id']}")

    assert ticket["key"].startswith("local/")
    assert ticket["key"].endswith("-täble.csv")
    assert (sent.status_code, sent.json()["size"]) == (201, len(DATA))
    assert (done.status_code, done.json()["state"]) == (200, "active")
    assert {**again.json(), "downloadUrl": ""} == {**done.json(), "downloadUrl": ""}
    assert (received.status_code, received.content) == (200, DATA)
    assert received.headers["content-type"].startswith("text/csv")
    assert usage["placements"]["uploads"]["size"] >= len(DATA)
    assert usage["quotaSize"] == QUOTA
    assert gone.status_code == 200
    assert http.get(f"/api/storage/uploads/{ticket['id']}").status_code == 404
    assert ticket["token"] not in kept.log("gateway") + kept.log("storage") + kept.log("metadata")


def test_a_ticket_that_was_changed_opens_nothing(kept: House, http: httpx.Client):
    ticket = ticket_for(http)
    forged = http.put(ticket["uri"][:-3] + "abc", content=DATA)
    early = completed(http, ticket)
    http.put(ticket["uri"], content=DATA)
    swapped = completed(http, {**ticket, "token": ticket_for(http)["token"]})

    assert (forged.status_code, forged.json()["error"]["code"]) == (403, "TOKEN_FORGED")
    assert early.status_code == 404
    assert swapped.status_code in (404, 422)


def test_a_ticket_does_not_bring_back_what_was_deleted(kept: House, http: httpx.Client):
    """003.10: neither an object nor a byte of the quota is left of what comes after."""
    ticket = ticket_for(http)
    http.put(ticket["uri"], content=DATA)
    http.delete(f"/api/storage/uploads/{ticket['id']}")
    files, size = len(kept.stored_files()), http.get("/api/usage").json()["size"]
    late = http.put(ticket["uri"], content=DATA)

    assert (late.status_code, late.json()["error"]["code"]) == (410, "TICKET_SPENT")
    assert len(kept.stored_files()) == files
    assert http.get("/api/usage").json()["size"] == size


def test_bytes_that_differ_are_not_recorded_and_are_gone(kept: House, http: httpx.Client):
    ticket = ticket_for(http)
    http.put(ticket["uri"], content=DATA)
    files = len(kept.stored_files())
    refused = completed(http, ticket, sha256="0" * 64)

    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "BYTES_DIFFER")
    assert len(kept.stored_files()) == files - 1
    assert http.get(f"/api/storage/uploads/{ticket['id']}").status_code == 404


def test_a_digest_in_the_head_is_verified(kept: House, http: httpx.Client):
    ticket = ticket_for(http)
    files = len(kept.stored_files())
    refused = http.put(ticket["uri"], content=DATA, headers={"content-digest": f"sha-256=:{'A' * 43}=:"})

    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "BYTES_CHANGED")
    assert len(kept.stored_files()) == files


def test_a_quota_that_is_used_up_is_a_507(kept: House, http: httpx.Client):
    """000.39: said at once where the size is known, and held to where it is not."""
    told = http.post("/api/storage/tickets", json={"file_name": "big", "size": QUOTA + 1})
    ticket = http.post("/api/storage/tickets", json={"file_name": "big"}).json()
    files = len(kept.stored_files())
    sent = http.put(ticket["uri"], content=b"x" * (QUOTA + 1))

    for answer in (told, sent):
        assert (answer.status_code, answer.json()["error"]["code"]) == (507, "QUOTA_EXCEEDED"), answer.text
        assert answer.json()["error"]["retryable"] is False
    assert len(kept.stored_files()) == files
    assert kept.left_over() == []


def test_the_sweep_deletes_what_has_expired_and_its_page_says_so(kept: House, http: httpx.Client):
    """000.30, 000.37."""
    upload = uploaded(http)
    time.sleep(EXPIRY_SECONDS + 0.5)
    planned = command(kept, "storage", "sweep", "--dry-run")
    still = http.get(f"/api/storage/uploads/{upload['id']}").json()
    swept = command(kept, "storage", "sweep", "--placement", "uploads")
    after = http.get(f"/api/storage/uploads/{upload['id']}").json()

    assert planned.returncode == swept.returncode == 0, planned.stderr + swept.stderr
    assert upload["storage"]["key"] in planned.stdout
    assert "would be done" in planned.stdout
    assert upload["storage"]["key"] in swept.stdout
    assert (still["state"], after["state"]) == ("active", "deleted")
    assert "downloadUrl" not in after
    assert command(kept, "storage", "sweep").stdout.strip() == "Nothing to do."


async def _storage(house: House, plant: str = "", remove: ObjectName | None = None) -> None:
    """Do something behind the gateway's back."""
    async with grpc.aio.insecure_channel(house.addresses["storage"]) as channel:
        stub = StorageServiceStub(channel)
        if plant:
            header = UploadHeader(placement="datasets", key=plant, request_id=uuid.uuid4().hex)
            parts = [UploadRequest(header=header), UploadRequest(chunk=b"orphan"),
                     UploadRequest(trailer=UploadTrailer(size=6))]  # fmt: skip
            await stub.Upload(iter(parts), timeout=20)
        if remove:
            await stub.DeleteObject(DeleteObjectRequest(name=remove), timeout=20)


def test_a_scan_finds_what_was_planted_and_what_was_taken_away(kept: House, http: httpx.Client, penguins: Path):
    """Records and objects are compared in both directions; a repair deletes no record of what was lost."""
    dataset = http.put("/api/datasets/upload", params={"file_name": "p.csv"}, content=penguins.read_bytes()).json()
    well = command(kept, "storage", "scan", "--placement", "datasets", "--grace-hours", "0")
    key = dataset["storage"]["key"]
    asyncio.run(_storage(kept, "local/planted", ObjectName(placement="datasets", key=key)))
    young = command(kept, "storage", "scan", "--placement", "datasets")
    found = command(kept, "storage", "scan", "--placement", "datasets", "--grace-hours", "0")
    repaired = command(kept, "storage", "scan", "--placement", "datasets", "--grace-hours", "0", "--repair")
    still = http.get("/api/datasets").json()["datasets"]

    assert (well.returncode, well.stdout.strip()) == (0, "Nothing to do.")
    assert "local/planted" not in young.stdout
    assert found.returncode == repaired.returncode == 1
    assert [line.split()[:3] for line in found.stdout.splitlines()[:-1]] == [
        ["open", "orphan", "datasets/local/planted"],
        ["open", "lost", f"datasets/{key}"],
    ]
    assert [line.split()[:2] for line in repaired.stdout.splitlines()[:-1]] == [["done", "orphan"], ["open", "lost"]]
    assert dataset["id"] in [each["id"] for each in still]
    assert not any("planted" in str(path) for path in kept.stored_files())


def test_the_state_of_the_storage_is_shown(kept: House, http: httpx.Client, penguins: Path):
    """000.31, 000.41: how much is kept where."""
    http.put("/api/datasets/upload", params={"file_name": "p.csv"}, content=penguins.read_bytes())
    stats = http.get("/api/storage/stats").json()
    shown = command(kept, "storage", "status")
    usage = command(kept, "storage", "usage")

    assert stats["placements"]["datasets"]["backends"]["local"]["size"] >= penguins.stat().st_size
    assert stats["size"] == sum(shelf["size"] for shelf in stats["placements"].values())
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "azure" in shown.stdout
    assert usage.returncode == 0
    assert "8.0 MB are left" in usage.stdout or "of 8.0 MB" in usage.stdout


def test_with_one_backend_nothing_is_to_be_copied_or_moved(kept: House, http: httpx.Client):
    replicated = command(kept, "storage", "replicate")
    moved = command(kept, "storage", "move", "--placement", "models", "--from", "azure", "--to", "nowhere")
    unknown = http.post("/api/storage/scan", json={"placement": "nothing"})

    assert (replicated.returncode, replicated.stdout.strip()) == (0, "Nothing to do.")
    assert (moved.returncode, moved.stderr.count("\n")) == (1, 1)
    assert "nowhere" in moved.stderr
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (422, "PLACEMENT_UNKNOWN")


def test_the_doctor_tries_every_backend_that_can_be_reached(kept: House):
    """003.12, 000.35."""
    files = len(kept.stored_files())
    shown = command(kept, "doctor")

    assert "local: a test object was stored" in shown.stdout, shown.stdout + shown.stderr
    assert "local: it was read back, and is the same" in shown.stdout
    assert "local: it was deleted" in shown.stdout
    assert len(kept.stored_files()) == files


def test_upkeep_goes_on_by_itself(kept: House, http: httpx.Client):
    """000.37: the gateway sweeps without being asked, and says what came of it."""
    upload = uploaded(http)
    kept.kill("gateway")
    kept.extra["GATEWAY_UPKEEP_SECONDS"] = "1"
    kept.start("gateway")
    kept.wait_ready()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and '"swept": 1' not in kept.log("gateway"):
        time.sleep(0.2)

    assert http.get(f"/api/storage/uploads/{upload['id']}").json()["state"] == "deleted"
    assert "upkeep done" in kept.log("gateway")
    assert "upkeep failed" not in kept.log("gateway")
