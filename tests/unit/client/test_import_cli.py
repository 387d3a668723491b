"""`modelyard import`, and where it finds Kaggle's credentials."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from modelyard import cli
from modelyard.errors import ModelyardError

DATASET = {
    "id": "d1", "name": "penguins", "fileName": "penguins.csv", "rowCount": 344, "columnCount": 7, "fileSize": 15_000,
    "source": "kaggle", "uri": "https://www.kaggle.com/datasets/ada/penguins",
}  # fmt: skip
KEY = "0123456789abcdef"


@pytest.fixture(autouse=True)
def sent(gateway, tmp_path: Path, monkeypatch) -> list[dict]:
    """What is asked of a gateway that imports, with a home of the test's own."""
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MODELYARD_URL", gateway.url)
    bodies: list[dict] = []

    def take(request) -> None:
        bodies.append(json.loads(request.body()))
        request.send_json(DATASET, 201)

    gateway.on("POST /api/datasets/import", take)
    return bodies


def invoke(*words: str):
    return CliRunner().invoke(cli.app, ("import", *words), catch_exceptions=False)


def test_a_dataset_of_kaggle_is_imported_with_the_users_credentials(sent, monkeypatch):
    """002.19: as Kaggle's own tool finds them; they are not shown."""
    monkeypatch.setenv("KAGGLE_USERNAME", "ada")
    monkeypatch.setenv("KAGGLE_KEY", KEY)
    shown = invoke("kaggle", "ada/penguins", "--file", "penguins.csv", "--version", "3", "--target", "species")

    assert sent == [
        {
            "source": "kaggle", "dataset": "ada/penguins", "file": "penguins.csv", "version": 3,
            "target_column": "species", "credentials": {"username": "ada", "key": KEY},
        }
    ]  # fmt: skip
    assert "penguins.csv (344 rows of 7 columns, 15.0 kB)" in shown.output
    assert "https://www.kaggle.com/datasets/ada/penguins" in shown.output
    assert KEY not in shown.output


@pytest.mark.parametrize("folder", [".kaggle", ".config/kaggle"])
def test_the_file_that_kaggle_makes_is_read(sent, tmp_path: Path, folder: str):
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / "kaggle.json").write_text(json.dumps({"username": "ada", "key": KEY}))
    invoke("kaggle", "ada/penguins")

    assert sent[0]["credentials"] == {"username": "ada", "key": KEY}


def test_a_token_comes_first(sent, monkeypatch):
    monkeypatch.setenv("KAGGLE_API_TOKEN", "t0ken")
    monkeypatch.setenv("KAGGLE_USERNAME", "ada")
    monkeypatch.setenv("KAGGLE_KEY", KEY)
    invoke("kaggle", "ada/penguins")

    assert sent[0]["credentials"] == {"token": "t0ken"}


def test_without_credentials_none_are_sent(sent):
    """So that the server's own are used."""
    invoke("kaggle", "ada/penguins")

    assert sent == [{"source": "kaggle", "dataset": "ada/penguins", "version": 0}]


@pytest.mark.parametrize("content", ["", "[]", '{"username": "ada"}'])
def test_a_file_that_kaggle_did_not_make_is_named(sent, tmp_path: Path, content: str):
    (tmp_path / ".kaggle").mkdir()
    (tmp_path / ".kaggle" / "kaggle.json").write_text(content)

    with pytest.raises(ModelyardError, match="is not as Kaggle makes it"):
        invoke("kaggle", "ada/penguins")
    assert sent == []


def test_an_address_is_imported_without_credentials(sent, monkeypatch):
    monkeypatch.setenv("KAGGLE_API_TOKEN", "t0ken")
    shown = invoke("url", "https://data.example.org/t.csv", "--name", "Cars")

    assert shown.exit_code == 0
    assert sent == [{"source": "url", "url": "https://data.example.org/t.csv", "name": "Cars"}]


def test_an_import_is_of_one_thing(client):
    with pytest.raises(ModelyardError, match="either kaggle"):
        client.import_dataset(kaggle="ada/penguins", url="https://data.example.org/t.csv")


def test_an_import_that_breaks_off_is_asked_for_again_under_the_same_key(client, gateway, monkeypatch):
    monkeypatch.setattr("modelyard.client.time.sleep", lambda _: None)
    busy = {"error": {"code": "KAGGLE_BUSY", "message": "Repeat it later.", "retryable": True}}

    def refuse(request) -> None:
        request.body()
        request.send_json(busy, 429)

    def take(request) -> None:
        request.body()
        request.send_json(DATASET, 201)

    gateway.script["POST /api/datasets/import"] = [refuse, take]
    found = client.import_dataset(kaggle="ada/penguins")
    keys = {seen.headers["Idempotency-Key"] for seen in gateway.seen}

    assert found.id == "d1"
    assert (len(gateway.seen), len(keys)) == (2, 1)
