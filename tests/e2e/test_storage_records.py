"""What is stored is recorded as it really happened, with nothing configured: all goes to the local backend."""

import io
import re
import time
import uuid
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import httpx
import pytest

from modelyard.metadata.v1.project_pb2 import CreateProjectRequest, Project
from modelyard.metadata.v1.project_pb2_grpc import ProjectServiceStub
from modelyard.storage.v1.storage_pb2 import ListObjectsRequest, Object
from modelyard.storage.v1.storage_pb2_grpc import StorageServiceStub
from tests.e2e.house import House

LARGE_BYTES = 64 * 2**20


def new_project(house: House, name: str, user: str = "local") -> Project:
    """A project of the built-in user, or of another."""
    given = Project(user_id=user, name=name, task_type="general_ml")
    with grpc.insecure_channel(house.addresses["metadata"]) as channel:
        request = CreateProjectRequest(project=given, request_id=uuid.uuid4().hex)
        return ProjectServiceStub(channel).CreateProject(request, timeout=20)


def objects(house: House, placement: str, prefix: str = "") -> list[Object]:
    """What storage holds in a placement."""
    with grpc.insecure_channel(house.addresses["storage"]) as channel:
        request = ListObjectsRequest(placement=placement, prefix=prefix)
        return list(StorageServiceStub(channel).ListObjects(request, timeout=20).objects)


def trained(http: httpx.Client, penguins: Path, **fields: str) -> dict:
    """The result of a training."""
    files = {"file": (penguins.name, penguins.read_bytes())}
    answer = http.post("/api/train", params={"wait": "true"}, files=files, data={"target": "species", **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


def comes_true(condition: Callable[[], bool], seconds: float = 10) -> bool:
    """Whether something becomes true in time: a download is counted after its answer has ended."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def downloads(http: httpx.Client, dataset: dict) -> int:
    return http.get(f"/api/datasets/{dataset['id']}").json()["storage"]["downloadCount"]


def day_after(moment: str, days: int) -> timedelta:
    """How far a moment is from so many days after now."""
    return abs(datetime.fromisoformat(moment) - datetime.now(UTC) - timedelta(days=days))


def test_training_in_a_project_leaves_one_package_in_its_place(http: httpx.Client, house: House, penguins: Path):
    """000.1, 000.6, 000.8, 000.13-16, 000.18: stored under the project, kept for a year, told as it is."""
    project = new_project(house, "Penguin Species")
    before = len(house.stored_files())
    days = {datetime.now(UTC).strftime("%Y%m%d")}
    result = trained(http, penguins, project_id=project.id, model_name="of a project")
    days.add(datetime.now(UTC).strftime("%Y%m%d"))
    [stored] = [found for found in objects(house, "projects") if found.key == result["storage"]["key"]]
    shown = http.get(f"/api/projects/{project.id}").json()

    assert len(house.stored_files()) == before + 2  # the dataset and the package
    assert re.fullmatch(rf"local/general_ml/Penguin_Species_({'|'.join(days)})_[0-9a-f]{{16}}\.zip", stored.key)
    assert list(stored.tags) == ["ml-project", "generated-code", "general_ml"]
    assert stored.context["project_name"] == "Penguin Species"
    assert result["download_url"] == f"/api/download/project_{project.id}.zip"
    told = result["storage"]
    assert (told["backend"], told["fallback"], told["failures"]) == ("local", False, [])
    assert [copy["backend"] for copy in told["copies"]] == ["local"]
    assert day_after(told["expires_at"], 365) < timedelta(minutes=5)
    assert (shown["status"], shown["updatedAt"] > shown["createdAt"]) == ("completed", True)


def test_result_says_that_cloudinary_holds_nothing(http: httpx.Client, house: House, penguins: Path):
    """000.15, 000.18: with nothing configured the training succeeds, and no address is made up."""
    project = new_project(house, "Local alone")
    result = trained(http, penguins, project_id=project.id, model_name="local alone")
    block = result["cloudinary"]
    elsewhere = trained(http, penguins, model_name="in no project")

    assert (block["success"], block["url"], block["public_id"]) == (False, None, None)
    assert "local" in block["error"]
    assert block["size"] == result["storage"]["size"]
    assert (block["database_update"]["success"], block["database_update"]["project_id"]) == (True, project.id)
    assert "cloudinary" not in elsewhere
    assert elsewhere["download_url"] == f"/api/models/{elsewhere['model_id']}/download"
    assert elsewhere["storage"]["expires_at"] is None


def test_package_of_a_project_is_downloaded_and_counted(http: httpx.Client, house: House, penguins: Path):
    """000.7, 000.16: the newest package, whole, and its count in the project's record."""
    project = new_project(house, "Downloaded")
    trained(http, penguins, project_id=project.id, model_name="downloaded")
    newest = trained(http, penguins, project_id=project.id, model_name="downloaded")
    package = http.get(newest["download_url"])
    path = f"/api/projects/{project.id}"

    assert zipfile.is_zipfile(io.BytesIO(package.content))
    assert comes_true(lambda: http.get(path).json()["generatedFiles"]["zipFile"]["downloadCount"] == 1)
    file = http.get(path).json()["generatedFiles"]["zipFile"]
    assert (file["fileSize"], file["cloudinaryUrl"]) == (len(package.content), None)
    assert file["fileName"] == newest["storage"]["key"].rpartition("/")[2]
    assert day_after(file["expiresAt"], 365) < timedelta(minutes=5)
    assert day_after(file["generatedAt"], 0) < timedelta(minutes=5)


def test_a_project_trains_no_version_of_another_ones_model(http: httpx.Client, house: House, penguins: Path):
    """000.1: what one project's model answers is not for another to change; one that is named so by chance gets
    another name."""
    one, other = new_project(house, "One"), new_project(house, "The / other")
    first = trained(http, penguins, project_id=one.id)
    second = trained(http, penguins, project_id=other.id)
    again = trained(http, penguins, project_id=other.id)
    name = http.get(f"/api/models/{first['model_id']}").json()["name"]
    form = {"file": (penguins.name, penguins.read_bytes())}
    refused = http.post("/api/train", files=form, data={"project_id": other.id, "model_name": name})

    assert http.get(f"/api/models/{second['model_id']}").json()["name"] == f"{name} (The - other)"
    assert [(each["model_id"], each["version"]) for each in (first, again)] == [
        (first["model_id"], 1),
        (second["model_id"], 2),
    ]
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "NAME_TAKEN")
    assert one.id in refused.json()["detail"]


def test_project_of_another_is_none(http: httpx.Client, house: House, penguins: Path):
    """A project is found within its user alone, and nothing is left of what named another's."""
    theirs = new_project(house, "Theirs", user="somebody else")
    files, jobs = len(house.stored_files()), len(http.get("/api/jobs", params={"page_size": 1000}).json()["jobs"])
    form = {"file": (penguins.name, penguins.read_bytes())}
    answers = [
        http.post("/api/train", files=form, data={"project_id": theirs.id}),
        http.post("/api/datasets/upload", files=form, data={"project_id": theirs.id}),
    ]
    hidden = [http.get(f"/api/projects/{theirs.id}"), http.get(f"/api/download/project_{theirs.id}.zip")]

    assert [answer.status_code for answer in answers] == [409, 409]
    assert {answer.json()["error"]["code"] for answer in answers} == {"REFERENCE_MISSING"}
    assert [answer.status_code for answer in hidden] == [404, 404]
    assert len(house.stored_files()) == files
    assert len(http.get("/api/jobs", params={"page_size": 1000}).json()["jobs"]) == jobs


def test_keys_of_datasets_and_models(http: httpx.Client, house: House, penguins: Path):
    """002.2: {user}/{dataset}/{file}, and {user}/{model}/model-{version}.zip."""
    result = trained(http, penguins, model_name="where it lies")
    dataset = http.get(f"/api/datasets/{result['dataset_id']}").json()

    assert dataset["storage"]["key"] == f"local/{dataset['id']}/{penguins.name}"
    assert [found.key for found in objects(house, "datasets", f"local/{dataset['id']}/")] == [dataset["storage"]["key"]]
    assert re.fullmatch(rf"local/{result['model_id']}/model-v[0-9a-f]+-1\.zip", result["storage"]["key"])


def test_repeat_under_one_key_has_a_key_for_each_attempt(http: httpx.Client, penguins: Path):
    """An attempt that failed may have left its object behind; the next one must not meet it."""
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    params = {"file_name": "p.csv"}
    uploads = [
        http.put("/api/datasets/upload", params=params, content=penguins.read_bytes(), headers=headers).json()
        for _ in range(2)
    ]

    assert uploads[0]["id"] == uploads[1]["id"]
    assert re.fullmatch(rf"local/{uploads[0]['id']}/[0-9a-f]{{8}}-p\.csv", uploads[0]["storage"]["key"])


@pytest.fixture(scope="module")
def large(house: House) -> dict:
    """A dataset that no socket swallows at once."""
    rows = b"a,b\n" + b"12345,67890\n" * (LARGE_BYTES // 12)
    return httpx.put(f"{house.url}/api/datasets/upload", params={"file_name": "l.csv"}, content=rows, timeout=60).json()


def test_only_downloads_that_came_to_their_end_count(http: httpx.Client, house: House, large: dict):
    """000.7: what was broken off, asked for in part, or only looked at, is no download."""
    with http.stream("GET", large["downloadUrl"]) as broken_off:
        next(broken_off.iter_bytes(1000))
    http.head(large["downloadUrl"])
    http.get(large["downloadUrl"], headers={"range": "bytes=5-"})
    whole = http.get(large["downloadUrl"])

    assert len(whole.content) == large["fileSize"]
    assert comes_true(lambda: downloads(http, large) == 1)
    time.sleep(0.5)  # were another one counted, it would be by now
    assert downloads(http, large) == 1


def test_download_does_not_wait_for_its_count(http: httpx.Client, house: House, large: dict):
    """What cannot be counted is downloaded all the same: the metadata service stops before the last byte."""
    took = []
    while not took or (min(took) >= 4 and len(took) < 3):  # the machine may do something else meanwhile
        took.append(seconds_without_metadata(http, house, large))

    assert min(took) < 4


def seconds_without_metadata(http: httpx.Client, house: House, large: dict) -> float:
    """How long the rest of a download takes after the metadata service has stopped answering."""
    process = house.processes["metadata"]
    link = http.get(f"/api/datasets/{large['id']}").json()["downloadUrl"]
    with http.stream("GET", link) as answer:
        pieces = answer.iter_bytes(2**20)
        received = len(next(pieces))
        process.send_signal(19)  # stopped, not ended
        try:
            began = time.monotonic()
            received += sum(len(piece) for piece in pieces)
            seconds = time.monotonic() - began
        finally:
            process.send_signal(18)

    assert received == large["fileSize"]
    return seconds


def test_an_earlier_package_of_a_project_can_be_fetched_and_restored(http: httpx.Client, house: House, penguins: Path):
    """000.33: every training leaves a version; restoring one makes it the newest, and takes none away."""
    project = new_project(house, "Versions")
    for _ in range(2):
        trained(http, penguins, project_id=project.id, model_name="versions")
    newer, older = http.get(f"/api/projects/{project.id}/zip").json()["versions"]
    restored = http.post(f"/api/projects/{project.id}/zip/{older['id']}/restore")
    versions = http.get(f"/api/projects/{project.id}/zip").json()["versions"]
    newest = http.get(f"/api/download/project_{project.id}.zip")
    first = http.get(f"/api/projects/{project.id}/zip/{older['id']}")

    assert restored.status_code == 201, restored.text
    assert [each["id"] for each in versions] == [restored.json()["id"], newer["id"], older["id"]]
    assert restored.json()["sha256"] == older["sha256"] != newer["sha256"]
    assert newest.content == first.content
    assert len(objects(house, "projects", "local/general_ml/Versions_")) == 3


def test_a_package_of_another_project_is_none_of_this_one(http: httpx.Client, house: House, penguins: Path):
    mine, other = new_project(house, "Mine"), new_project(house, "Other")
    trained(http, penguins, project_id=mine.id, model_name="mine")
    [version] = http.get(f"/api/projects/{mine.id}/zip").json()["versions"]

    assert http.get(f"/api/projects/{other.id}/zip/{version['id']}").status_code == 404
    assert http.post(f"/api/projects/{other.id}/zip/{version['id']}/restore").status_code == 404
    assert http.post(f"/api/projects/{mine.id}/zip/unknown/restore").status_code == 404
