"""Datasets from elsewhere through the whole house (002.19): one way each, and nothing left of what fails."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from modelyard.client import Client
from tests.e2e.house import House
from tests.servers.kaggle import KEY, USERNAME, Kaggle, kaggle
from tests.servers.web import Said

LOGIN = {"username": USERNAME, "key": KEY}
WRONG = "ffffffffffffffffffffffffffffffff"
SECRET = "signature=s3cr3ts3cr3t"
LONG = b"a,b\n" + b"1,2\n" * 500_000


@pytest.fixture(scope="module")
def server(penguins: Path) -> Iterator[Kaggle]:
    """Kaggle, and files at addresses."""
    with kaggle() as server:
        server.add("ada/penguins", {"penguins.csv": penguins.read_bytes()})
        server.add("ada/two", {"a.csv": b"a\n1\n", "b.csv": b"b\n1\n"})
        server.on("/penguins.csv", penguins.read_bytes())
        server.on("/cut.csv", LONG, cut_at=1_500_000)
        server.on("/three-rows.csv", b"a,b\n1,2\n3,4\n5,6\n")
        server.on("/too-long.csv", LONG * 2)
        server.on("/too-long-and-silent.csv", LONG * 2, headers={"Content-Length": ""})
        yield server


@pytest.fixture(scope="module")
def importing(server: Kaggle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("importing"))
    house.extra = {
        "TRAINING_KAGGLE_URL": server.url,
        "TRAINING_URL_HOSTS": f'["{server.url}"]',
        "GATEWAY_MAX_UPLOAD_BYTES": "3000000",
        "MODELYARD_LOG_LEVEL": "debug",
    }
    house.start()
    try:
        house.wait_ready()
        yield house
    finally:
        house.stop()


@pytest.fixture
def yard(importing: House) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=importing.url, timeout=120) as client:
        yield client


def test_a_dataset_of_kaggle_is_stored_as_an_upload_is(importing: House, server: Kaggle, penguins: Path):
    """002.19: with the user's credentials, through the client that people use."""
    with Client(importing.url) as client:
        found = client.import_dataset(kaggle="ada/penguins", credentials=LOGIN, target="species", name="Penguins")
        whole = client.get_dataset(found.id)

    assert (found.source, found.uri) == ("kaggle", "https://www.kaggle.com/datasets/ada/penguins")
    assert (found.file_name, found.row_count, found.target_column) == ("penguins.csv", 344, "species")
    assert found.file_size == penguins.stat().st_size
    assert len(whole.sample_data) == 20
    assert importing.left_over() == []


def test_a_file_at_an_address_is_stored_without_the_secrets_of_the_address(
    yard: httpx.Client, importing: House, server: Kaggle, penguins: Path
):
    """002.19: a repeat under the same key answers with the first dataset, and asks for nothing; so does one whose
    address was signed anew."""
    wish = {"source": "url", "url": f"{server.url}/penguins.csv?{SECRET}", "target_column": "species"}
    before = len(server.asked)
    first = yard.post("/api/datasets/import", json=wish, headers={"Idempotency-Key": "once"})
    again = yard.post("/api/datasets/import", json=wish, headers={"Idempotency-Key": "once"})
    resigned = yard.post(
        "/api/datasets/import",
        json=wish | {"url": f"{server.url}/penguins.csv?signature=another"},
        headers={"Idempotency-Key": "once"},
    )
    other = yard.post(
        "/api/datasets/import", json=wish | {"url": f"{server.url}/cut.csv"}, headers={"Idempotency-Key": "once"}
    )
    stored = yard.get(first.json()["downloadUrl"])

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.headers["location"] == f"/api/datasets/{first.json()['id']}"
    assert first.json() == again.json() == resigned.json()
    assert (other.status_code, other.json()["error"]["code"]) == (409, "KEY_USED")
    assert (first.json()["source"], first.json()["uri"]) == ("url", f"{server.url}/penguins.csv")
    assert stored.content == penguins.read_bytes()
    assert len(server.asked) == before + 1


REFUSED = {
    "wrong credentials": (
        {"source": "kaggle", "dataset": "ada/penguins", "credentials": {"username": "ada", "key": WRONG}},
        (403, "CREDENTIALS_REFUSED"),
    ),
    "no credentials": ({"source": "kaggle", "dataset": "ada/penguins"}, (409, "CREDENTIALS_MISSING")),
    "several files": (
        {"source": "kaggle", "dataset": "ada/two", "credentials": LOGIN},
        (422, "SEVERAL_FILES"),
    ),
    "no such dataset": ({"source": "kaggle", "dataset": "ada/none", "credentials": LOGIN}, (404, "UNKNOWN_AT_KAGGLE")),
    "a host that is not listed": ({"source": "url", "url": f"https://a.example/?{SECRET}"}, (422, "HOST_NOT_LISTED")),
    "a file that is cut off": ({"source": "url", "url": f"/cut.csv?{SECRET}"}, (503, "HOST_DOWN")),
    "a file that cannot be used": ({"source": "url", "url": "/three-rows.csv"}, (422, "TOO_FEW_ROWS")),
    "a target that is not there": (
        {"source": "url", "url": "/penguins.csv", "targetColumn": "nothing"},
        (422, "TARGET_NOT_FOUND"),
    ),
    "a file too large": ({"source": "url", "url": "/too-long.csv"}, (413, "FILE_TOO_LARGE")),
    "a file too large that did not say so": (
        {"source": "url", "url": "/too-long-and-silent.csv"},
        (413, "FILE_TOO_LARGE"),
    ),
    "another source": ({"source": "ftp", "url": f"/penguins.csv?{SECRET}"}, (422, "INVALID_REQUEST")),
    "two things at once": (
        {"source": "url", "url": "/penguins.csv", "dataset": "ada/penguins", "credentials": LOGIN},
        (422, "INVALID_REQUEST"),
    ),
    "nothing": ({"source": "kaggle", "url": f"/penguins.csv?{SECRET}"}, (422, "INVALID_REQUEST")),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_fails_leaves_nothing(yard: httpx.Client, importing: House, server: Kaggle, case: str):
    """002.4, 002.6: the right status, a sentence, no record, no object, no file; and no secret in either."""
    wish, (status, code) = REFUSED[case]
    if wish.get("url", "").startswith("/"):
        wish = wish | {"url": server.url + wish["url"]}
    before = (yard.get("/api/datasets").json(), importing.stored_files())
    answer = yard.post("/api/datasets/import", json=wish)

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    assert len(answer.json()["detail"].split()) > 5
    assert (yard.get("/api/datasets").json(), importing.stored_files()) == before
    assert importing.left_over() == []
    assert not any(secret in answer.text for secret in (KEY, WRONG, SECRET))


def test_a_host_that_wants_to_be_left_alone_says_how_long(yard: httpx.Client, server: Kaggle):
    """002.19: what the host asks for is passed on, in the sentence and for programs."""
    address = server.answer("/busy.csv", lambda _: Said(429, {"Retry-After": "120"}))
    answer = yard.post("/api/datasets/import", json={"source": "url", "url": address})

    assert (answer.status_code, answer.headers["retry-after"]) == (429, "120")
    assert "in 120 seconds" in answer.json()["detail"]


def test_no_secret_is_in_any_log(importing: House, yard: httpx.Client, server: Kaggle):
    """After all of the above and a failure that nobody foresaw, at the level that logs most."""
    server.faults = [Said(200, {"Content-Type": "application/json"}, b'{"datasetFiles": 7}')]
    unforeseen = yard.post("/api/datasets/import", json=REFUSED["several files"][0])
    logs = "".join(importing.log(name) for name in importing.processes)
    shown = [secret for secret in (KEY, WRONG, SECRET) if secret in logs]

    assert (unforeseen.status_code, unforeseen.json()["error"]["code"]) == (500, "INTERNAL")
    assert "FetchDataset" in logs
    assert "Traceback" in logs
    assert shown == []


def test_the_document_of_the_routes_tells_of_it(yard: httpx.Client):
    document = yard.get("/openapi.json").json()
    body = document["paths"]["/api/datasets/import"]["post"]["requestBody"]["content"]["application/json"]["schema"]

    assert body == {"$ref": "#/components/schemas/ImportWish"}
    assert document["components"]["schemas"]["KaggleLogin"]["properties"]["key"]["format"] == "password"
