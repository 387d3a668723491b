"""A CSV in, a trained model stored and recorded."""

import csv
import hashlib
import io
import json
import statistics
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import httpx
import pytest

from tests.e2e.house import House


def upload(http: httpx.Client, path: Path, **query: str) -> dict:
    """Upload a file as the body of a request."""
    answer = http.put("/api/datasets/upload", params={"file_name": path.name, **query}, content=path.read_bytes())
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_train_upload_record(http: httpx.Client, house: House, penguins: Path, tmp_path: Path):
    """000.1, 002.7, 002.9: one request with a file answers with a model whose package predicts."""
    with penguins.open("rb") as file:
        answer = http.post(
            "/api/train",
            params={"wait": "true"},
            files={"file": (penguins.name, file)},
            data={"target": "species", "model_name": "the first"},
        )
    job = answer.json()

    assert answer.status_code == 200, answer.text
    assert job["status"] == "completed"
    assert job["progress"] == 100
    result = job["result"]
    assert result["score"] > 0.9
    assert result["row_counts"]["test"] > 50

    model = http.get(f"/api/models/{result['model_id']}").json()
    package = http.get(result["download_url"])
    stored = house.data / "objects"

    assert model["score"] == result["score"]
    assert model["version"] == 1
    assert hashlib.sha256(package.content).hexdigest() == model["sha256"] == result["storage"]["sha256"]
    assert any(hashlib.sha256(path.read_bytes()).hexdigest() == model["sha256"] for path in house.stored_files()), (
        stored
    )

    zipfile.ZipFile(io.BytesIO(package.content)).extractall(tmp_path)
    run = subprocess.run(
        [sys.executable, "predict.py", str(penguins)], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    predicted = list(csv.DictReader(io.StringIO(run.stdout)))
    truth = [row["species"] for row in csv.DictReader(penguins.open())]
    right = sum(row["prediction"] == true for row, true in zip(predicted, truth, strict=True))

    assert right / len(truth) > 0.95


def test_a_dataset_is_described_from_its_file(http: httpx.Client, penguins: Path):
    """002.4, 002.8: the record holds no rows; schema and 20 sample rows are read from the file when asked for."""
    uploaded = upload(http, penguins, target_column="species")
    shown = http.get(f"/api/datasets/{uploaded['id']}").json()
    rows = list(csv.DictReader(penguins.open()))

    assert uploaded["rowCount"] == shown["rowCount"] == len(rows)
    assert uploaded["columnNames"] == [column["name"] for column in shown["schema"]] == list(rows[0])
    assert len(shown["sampleData"]) == 20
    assert shown["targetColumn"] == "species"
    by_name = {column["name"]: column for column in shown["schema"]}
    assert by_name["species"]["unique_count"] == len({row["species"] for row in rows})
    assert {one["value"]: one["count"] for one in by_name["species"]["top_values"]} == Counter(
        row["species"] for row in rows
    )
    masses = [float(row["body_mass_g"]) for row in rows if row["body_mass_g"]]
    mass = by_name["body_mass_g"]
    assert (mass["kind"], mass["min"], mass["max"]) == ("number", min(masses), max(masses))
    assert mass["mean"] == pytest.approx(statistics.fmean(masses))
    assert list(mass["quantiles"].values()) == pytest.approx(statistics.quantiles(masses, n=4, method="inclusive"))
    assert (shown["delimiter"], shown["encoding"]) == (",", "utf-8")
    assert uploaded["id"] in [dataset["id"] for dataset in http.get("/api/datasets").json()["datasets"]]
    assert http.get(uploaded["downloadUrl"]).content == penguins.read_bytes()


def test_training_on_a_stored_dataset_by_events(http: httpx.Client, penguins: Path):
    """002.9, 003.4: server-sent events tell status and progress, which never falls, and end with one terminal event."""
    dataset = upload(http, penguins)
    events = []
    headers = {"accept": "text/event-stream"}
    with http.stream(
        "POST", f"/api/automl/train/{dataset['id']}", json={"target": "species"}, headers=headers
    ) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                events.append(json.loads(line.removeprefix("data: ")))

    kinds = [event["type"] for event in events]
    progress = [event["progress"] for event in events]
    assert kinds[-1] == "complete"
    assert not {"complete", "error"} & set(kinds[:-1])
    assert progress == sorted(progress)
    assert events[-1]["model_id"]
    assert events[-1]["metrics"]["accuracy"] > 0.9


def test_a_repeat_under_one_key_is_one_job(http: httpx.Client, penguins: Path):
    """A request that is sent again, as after a time-out, makes neither a second dataset nor a second job."""
    headers = {"Idempotency-Key": "penguins-once"}
    answers = [
        http.post("/api/train", files={"file": ("once.csv", penguins.read_bytes())}, headers=headers).json()
        for _ in range(2)
    ]
    names = [dataset["fileName"] for dataset in http.get("/api/datasets").json()["datasets"]]

    assert answers[0]["id"] == answers[1]["id"]
    assert names.count("once.csv") == 1


def test_training_again_under_a_name_adds_a_version(http: httpx.Client, penguins: Path):
    """000.33, 004.2: a model keeps its versions; the newest is what a download gives."""
    dataset = upload(http, penguins)
    wish = {"target": "sex", "model_name": "sexes of penguins"}
    results = [
        http.post(f"/api/automl/train/{dataset['id']}", params={"wait": "true"}, json=wish).json()["result"]
        for _ in range(2)
    ]
    model = http.get(f"/api/models/{results[0]['model_id']}").json()

    assert [result["version"] for result in results] == [1, 2]
    assert [version["version"] for version in model["versions"]] == [2, 1]
    assert model["version"] == 2


@pytest.mark.parametrize(
    ("given", "status", "length"),
    [
        ("bytes=0-9", 206, 10),
        ("bytes=10-", 206, None),
        ("bytes=-7", 206, 7),
        ("bytes=999999999-", 416, None),
        ("bytes=-0", 416, None),
        ("bytes=5-99999999999999999999", 206, None),
        ("bytes=0-1,3-4", 200, None),
        ("pages=1-2", 200, None),
    ],
)
def test_ranges_of_a_download(http: httpx.Client, penguins: Path, given: str, status: int, length: int | None):
    dataset = upload(http, penguins)
    answer = http.get(dataset["downloadUrl"], headers={"range": given})

    assert answer.status_code == status
    if length is not None:
        assert len(answer.content) == length
        assert answer.headers["content-range"].endswith(f"/{penguins.stat().st_size}")


def test_a_download_that_is_known_is_not_sent_again(http: httpx.Client, penguins: Path):
    url = upload(http, penguins)["downloadUrl"]
    tag = http.head(url).headers["etag"]

    assert http.get(url, headers={"if-none-match": tag}).status_code == 304


def test_a_signed_link_needs_no_login_and_stands_for_one_object(http: httpx.Client, house: House, penguins: Path):
    """003.6: a link made for one model downloads that model, and nothing when it was tampered with."""
    model_id = http.get("/api/models").json()["models"][0]["id"]
    link = http.post(f"/api/models/{model_id}/link").json()
    good = httpx.get(house.url + link["url"])
    start, _, name = link["url"].rpartition("/")
    forged = httpx.get(house.url + start[:-4] + "AAAA/" + name)

    assert good.status_code == 200
    assert zipfile.is_zipfile(io.BytesIO(good.content))
    assert forged.status_code == 403


def test_a_deleted_dataset_leaves_no_bytes(http: httpx.Client, house: House, penguins: Path):
    """002.10: deleting removes the object and the records."""
    dataset = upload(http, penguins)
    before = len(house.stored_files())
    answer = http.delete(f"/api/datasets/{dataset['id']}")

    assert answer.json()["success"]
    assert len(house.stored_files()) == before - 1
    assert http.get(f"/api/datasets/{dataset['id']}").status_code == 404


def test_a_deleted_model_leaves_no_bytes(http: httpx.Client, house: House, penguins: Path):
    dataset = upload(http, penguins)
    wish = {"target": "island", "model_name": "to be deleted"}
    result = http.post(f"/api/automl/train/{dataset['id']}", params={"wait": "true"}, json=wish).json()["result"]
    before = len(house.stored_files())
    http.delete(f"/api/models/{result['model_id']}")

    assert len(house.stored_files()) == before - 1
    assert http.get(f"/api/models/{result['model_id']}").status_code == 404


def test_nothing_is_left_in_temporary_places(http: httpx.Client, house: House):
    """002.6, 002.17: after trainings and inspections no temporary file is there."""
    assert http.get("/api/models").json()["models"]
    assert house.left_over() == []
