"""Bad input gets a sentence that helps, and leaves neither record nor object."""

import gzip

import httpx
import pytest

from tests.e2e.house import House

ROWS = "".join(f"{i},{i * 2},{'yes' if i % 2 else 'no'}\n" for i in range(40))
GOOD = "a,b,answer\n" + ROWS

REFUSED = {
    "an empty file": (b"", "", "EMPTY_FILE"),
    "only a header": (b"a,b,answer\n", "", "NO_ROWS"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20, "", "NOT_TEXT"),
    "zero bytes": (b"a,b\n" + bytes(5000), "", "NOT_TEXT"),
    "three rows": (b"a,b\n1,2\n3,4\n5,6\n", "", "TOO_FEW_ROWS"),
    "a column name twice": (b"a,b,a\n" + b"1,2,3\n" * 10, "", "DUPLICATE_COLUMNS"),
    "a target that is not there": (GOOD.encode(), "anwser", "TARGET_NOT_FOUND"),
    "a target with one class": (("a,b,answer\n" + "1,2,yes\n" * 30).encode(), "answer", "ONE_CLASS"),
    "a row with too many fields": (b"a,b\n1,2\n1,2\n1,2,3,4\n1,2\n1,2\n", "", "UNREADABLE_ROW"),
}

ACCEPTED = {
    "semicolons": GOOD.replace(",", ";").encode(),
    "tabs": GOOD.replace(",", "\t").encode(),
    "western text": ("größe,b,answer\n" + ROWS).encode("cp1252"),
    "a byte order mark": GOOD.encode("utf-8-sig"),
    "sixteen bits": GOOD.encode("utf-16"),
    "four rows": b"a,answer\n1,yes\n2,no\n3,yes\n4,no\n",
    "ten thousand columns": (
        ",".join(f"c{column}" for column in range(9_999))
        + ",answer\n"
        + "".join(",".join(str((row * column) % 7) for column in range(9_999)) + f",{row % 2}\n" for row in range(20))
    ).encode(),
}


def everything(http: httpx.Client, house: House) -> tuple:
    """All that a request could leave behind."""
    return (
        len(http.get("/api/datasets", params={"page_size": 1000}).json()["datasets"]),
        len(http.get("/api/models", params={"page_size": 1000}).json()["models"]),
        len(http.get("/api/jobs", params={"page_size": 1000}).json()["jobs"]),
        len(house.stored_files()),
    )


@pytest.mark.parametrize("case", REFUSED)
def test_refused(http: httpx.Client, house: House, case: str):
    """Measure 4 of the main job: the right 4xx, a sentence, no record, no object."""
    content, target, reason = REFUSED[case]
    before = everything(http, house)
    answer = http.post("/api/train", files={"file": ("data.csv", content)}, data={"target": target})
    problem = answer.json()

    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["error"]["code"] == reason
    assert len(problem["detail"].split()) > 5
    assert everything(http, house) == before


@pytest.mark.parametrize("case", ACCEPTED)
def test_accepted(http: httpx.Client, case: str):
    """What people's programs write is read, whatever the delimiter and the encoding."""
    answer = http.post(
        "/api/train",
        params={"wait": "true"},
        files={"file": ("data.csv", ACCEPTED[case])},
        data={"target": "answer", "model_name": case},
    )

    assert answer.status_code == 200, answer.text
    assert answer.json()["result"]["task_type"] == "binary"


LONG_ROWS = "".join(f"disk,{row},{'y' * 24}\n" for row in range(15_000))
LARGE = {
    "an inch mark in the first row": f'size,n,b\n5" disk,0,0\n{LONG_ROWS * 2}',
    "an inch mark in the middle": f'size,n,b\n{LONG_ROWS}5" disk,0,0\n{LONG_ROWS}',
    "lines that end with a carriage return": f"size,n,b\nx,0,0\n{LONG_ROWS * 2}".replace("\n", "\r"),
    "lines of blanks": f"size,n,b\nx,0,0\n{LONG_ROWS * 2}".replace("\n", "\n  \n"),
}


@pytest.mark.parametrize("case", LARGE)
def test_a_large_table_has_as_many_rows_as_it_is_inspected_with(http: httpx.Client, case: str):
    """000.11: what is counted while it passes is what a look at the stored file finds."""
    answer = http.put("/api/datasets/upload", params={"file_name": "l.csv"}, content=LARGE[case].encode())

    assert answer.status_code == 201, answer.text
    assert answer.json()["rowCount"] == 30_001
    assert http.get(answer.headers["location"]).json()["rowCount"] == 30_001


@pytest.mark.parametrize(
    ("name", "stored_as"),
    [
        ("../../../etc/passwd", "passwd.csv"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("a\x00b.csv", "a_b.csv"),
        ("x" * 1000 + ".csv", "x" * 120 + ".csv"),
        ("", "data.csv"),
    ],
)
def test_a_hostile_file_name_is_only_a_name(http: httpx.Client, name: str, stored_as: str):
    answer = http.put("/api/datasets/upload", params={"file_name": name}, content=GOOD.encode())

    assert answer.status_code == 201, answer.text
    assert answer.json()["fileName"] == stored_as


NESTED: dict = {}
for _ in range(90):
    NESTED = {"a": NESTED}


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"engine": "magic"}, "parameters"),
        ({"time_limit": -1}, "parameters"),
        ({"time_limit": 10**400}, "parameters"),
        ({"engine": "autogluon", "hyperparameters": {"GBM": NESTED}}, "hyperparameters"),
        ({"surprise": 1}, "surprise"),
        ({"test_fraction": 3}, "parameters"),
    ],
)
def test_a_wish_that_cannot_be_had(http: httpx.Client, wish: dict, field: str):
    dataset = http.put("/api/datasets/upload", params={"file_name": "w.csv"}, content=GOOD.encode()).json()
    answer = http.post(f"/api/automl/train/{dataset['id']}", json=wish)

    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == field


@pytest.mark.parametrize(
    "parameters",
    [
        '{"seed": NaN}',
        '{"time_limit": Infinity}',
        '{"a": [{"b": -Infinity}]}',
        '{"a": "\\ud800"}',
        '{"\\ud800": 1}',
        '{"a": ' * 500 + "NaN" + "}" * 500,
    ],
)
def test_parameters_that_no_message_can_carry(http: httpx.Client, parameters: str):
    """000.11: programs write NaN and halves of characters; both are the sender's to correct."""
    dataset = http.put("/api/datasets/upload", params={"file_name": "w.csv"}, content=GOOD.encode()).json()
    wish = f'{{"parameters": {parameters}}}'
    headers = {"content-type": "application/json"}
    answer = http.post(f"/api/automl/train/{dataset['id']}", content=wish, headers=headers)

    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"].startswith("parameters")


def test_no_file_in_the_form(http: httpx.Client):
    answer = http.post("/api/train", data={"target": "x"}, files={"other": b"1"})

    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "FILE_MISSING"


def test_a_field_that_no_training_has(http: httpx.Client, house: House):
    """000.11: nothing that was asked for is lost without a word; what pages send besides is passed over."""
    before = everything(http, house)
    files = {"file": ("a.csv", GOOD.encode())}
    wish = {"target": "answer", "user_id": "me", "project_name": "mine", "sample_weight": "balance_weight"}
    answer = http.post("/api/train", files=files, data=wish)

    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "FIELD_UNKNOWN")
    assert "'sample_weight'" in answer.json()["detail"]
    assert everything(http, house) == before


@pytest.mark.parametrize(
    ("headers", "body", "status", "words"),
    [
        ({"content-type": "application/x-www-form-urlencoded"}, b'{"target": "a"}', 415, "x-www-form-urlencoded"),
        ({}, b'{"target": "a"}', 415, "of no type"),
        ({}, b"", 422, "Field required"),
        ({"content-type": "application/json", "content-encoding": "gzip"}, gzip.compress(b"{}"), 415, "packed (gzip)"),
        ({"content-type": "application/json"}, b'{"target": "\xff"}', 422, "it is no JSON in UTF-8"),
        ({"content-type": "application/json"}, b"[" * 100_000, 422, "The body cannot be used"),
        ({"content-type": "application/json"}, b'["target"]', 422, "valid dictionary"),
    ],
)
def test_a_wish_that_does_not_come_as_json(http: httpx.Client, headers: dict, body: bytes, status: int, words: str):
    """000.11: as a command line sends it that says nothing of its kind."""
    dataset = http.put("/api/datasets/upload", params={"file_name": "w.csv"}, content=GOOD.encode()).json()
    answer = http.post(f"/api/automl/train/{dataset['id']}", content=body, headers=headers)

    assert answer.status_code == status, answer.text
    assert words in answer.json()["detail"]


def test_two_files_in_one_form(http: httpx.Client, house: House):
    before = everything(http, house)
    files = [("file", ("a.csv", GOOD.encode())), ("file", ("b.csv", GOOD.encode()))]
    answer = http.post("/api/datasets/upload", files=files)

    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "FORM_BROKEN"
    assert everything(http, house) == before


def test_a_form_that_ends_before_its_file_does(http: httpx.Client, house: House):
    before = everything(http, house)
    body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n' + GOOD.encode()
    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = http.post("/api/datasets/upload", content=body, headers=headers)

    assert answer.status_code == 422
    assert everything(http, house) == before


def test_zero_bytes_far_into_a_file(http: httpx.Client, house: House):
    """What only shows after most of a file was stored is undone all the same."""
    before = everything(http, house)
    content = b"a,b,answer\n" + b"1,2,yes\n" * 400_000 + bytes(1000)
    answer = http.put("/api/datasets/upload", content=content)

    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "NOT_TEXT"
    assert everything(http, house) == before


def test_a_project_that_does_not_exist(http: httpx.Client, house: House):
    """A named project that does not exist is an error, never a ghost."""
    dataset = http.put("/api/datasets/upload", params={"file_name": "w.csv"}, content=GOOD.encode()).json()
    files = len(house.stored_files())
    wish = {"project_id": "nope"}
    answer = http.post(f"/api/automl/train/{dataset['id']}", params={"wait": "true"}, json=wish)

    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "REFERENCE_MISSING"
    assert len(house.stored_files()) == files


def test_what_does_not_exist(http: httpx.Client):
    """An unknown id or path is a problem document too."""
    answers = [http.get(path) for path in ("/api/jobs/nope", "/api/models/nope", "/api/datasets/nope", "/nope")]

    assert [answer.status_code for answer in answers] == [404] * 4
    assert all(answer.json()["error"]["message"] for answer in answers)


LONG = "n" * 9_000


def test_names_too_long_for_any_status(http: httpx.Client, house: House):
    """000.11: a sentence that names them is shortened; nobody is told to repeat the request, or that we failed."""
    dataset = http.put("/api/datasets/upload", params={"file_name": "w.csv"}, content=GOOD.encode()).json()
    before = everything(http, house)
    answers = [
        http.get(f"/api/datasets/{LONG}"),
        http.get(f"/api/models/{LONG}"),
        http.get(f"/v2/models/{LONG}"),
        http.put("/api/datasets/upload", params={"project_id": LONG}, content=GOOD.encode()),
        http.put("/api/datasets/upload", content=f"{LONG},{LONG},answer\n{ROWS}".encode()),
        http.post(f"/api/automl/train/{dataset['id']}", json={"target": LONG}),
        http.post(f"/api/automl/train/{dataset['id']}", json={"engine": LONG}),
        http.post(f"/api/automl/train/{dataset['id']}", json={"workload": LONG}),
    ]

    assert [answer.status_code for answer in answers] == [404, 404, 404, 409, 422, 422, 422, 422]
    assert all(LONG[:500] in answer.text for answer in answers)
    assert not any("retry-after" in answer.headers for answer in answers)
    assert everything(http, house) == before


def test_a_page_of_another_site_changes_nothing(http: httpx.Client):
    """A browser on this machine is no way in for a foreign page, nor for a name that was pointed here."""
    foreign = http.post("/api/train", headers={"origin": "https://evil.example"})
    rebound = http.get("/api/jobs", headers={"host": "evil.example"})

    assert foreign.status_code == rebound.status_code == 403


def test_a_digest_that_does_not_match_is_refused(http: httpx.Client, house: House):
    """An upload whose sender said what it should be, and which is not that, leaves nothing."""
    before = everything(http, house)
    headers = {"repr-digest": "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"}
    answer = http.put("/api/datasets/upload", content=GOOD.encode(), headers=headers)

    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "BYTES_CHANGED"
    assert everything(http, house) == before
