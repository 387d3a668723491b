"""Zips of images over HTTP: classified and searched for objects, stored, recorded and asked in both protocols."""

import base64
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image, ImageDraw

from modelyard.client import Client
from tests.e2e.house import House

SIZE = 48
COLOURS = {"red": (220, 30, 30), "blue": (30, 30, 220)}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house of its own, since models that were asked stay loaded for a while."""
    own = House(tmp_path_factory.mktemp("images"))
    own.start()
    try:
        own.wait_ready()
        yield own
    finally:
        own.stop()


def picture(colour: str, place: int = 0) -> tuple[bytes, list[int]]:
    """A square of a colour on white, as PNG, and its box: left, upper, width, height."""
    image = Image.new("RGB", (SIZE, SIZE), "white")
    left, upper = 4 + place % 5 * 4, 4 + place % 7 * 3
    ImageDraw.Draw(image).rectangle((left, upper, left + 19, upper + 19), fill=COLOURS[colour])
    made = io.BytesIO()
    image.save(made, "PNG")
    return made.getvalue(), [left, upper, 20, 20]


def folders(each: int = 10) -> bytes:
    """A zip of a folder for each colour."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for colour in COLOURS:
            for number in range(each):
                archive.writestr(f"squares/{colour}/{number}.png", picture(colour, number)[0])
    return made.getvalue()


def annotated(count: int = 12) -> bytes:
    """A zip in COCO layout."""
    images, annotations = [], []
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for number in range(count):
            content, box = picture(list(COLOURS)[number % 2], number)
            archive.writestr(f"images/{number}.png", content)
            images.append({"id": number, "file_name": f"{number}.png", "width": SIZE, "height": SIZE})
            area = {"area": box[2] * box[3], "iscrowd": 0}
            annotations.append({"id": number, "image_id": number, "category_id": number % 2, "bbox": box, **area})
        categories = [{"id": place, "name": colour} for place, colour in enumerate(COLOURS)]
        document = {"images": images, "annotations": annotations, "categories": categories}
        archive.writestr("annotations.json", json.dumps(document))
    return made.getvalue()


def trained(http: httpx.Client, field: str, content: bytes, **wish: str) -> dict:
    """The result of a training on a zip."""
    files = {field: ("squares.zip", content, "application/zip")}
    answer = http.post("/api/train", params={"wait": "true"}, files=files, data=wish)
    job = answer.json()
    assert answer.status_code == 200, answer.text
    assert job["status"] == "completed", job
    return job["result"]


def test_a_folder_of_images_becomes_a_model_that_knows_them(http: httpx.Client, house: House, tmp_path: Path):
    """000.12, M.2: task image_classification, from the zip of a folder to an answer for a new image."""
    asked = {"task_type": "image_classification", "parameters": json.dumps({"epochs": 6, "seed": 1})}
    result = trained(http, "folder_zip", folders(), **asked)
    model = http.get(f"/api/models/{result['model_id']}").json()
    dataset = http.get(f"/api/datasets/{result['dataset_id']}").json()
    image = tmp_path / "new.png"
    image.write_bytes(picture("blue", 3)[0])
    where = f"/api/models/{result['model_id']}/predict"
    answer = http.post(where, params={"log": True}, content=image.read_bytes(), headers={"content-type": "image/png"})
    with Client(house.url) as client:
        same = client.predict(result["model_id"], image)
    kept = http.get("/api/registry/predictions").json()["predictions"][0]
    confused = result["visualizations"]["plots"]["confusion_matrix"]["counts"]

    assert (result["workload"], result["task_type"]) == ("image_classification", "binary")
    assert sum(map(sum, confused)) == result["row_counts"]["test"]
    assert model["evaluation"] == result["visualizations"]["plots"]
    assert (dataset["kind"], dataset["archive"]["imageCount"]) == ("archive", 20)
    assert {each["path"] for each in dataset["archive"]["folders"]} == {"squares/red", "squares/blue"}
    assert answer.status_code == 200, answer.text
    assert set(answer.json()["probabilities"][0]) == {"red", "blue"}
    assert same.predictions == tuple(answer.json()["predictions"])
    assert kept["inputData"]["image"]["size"] == image.stat().st_size
    assert kept["outputData"]["prediction"] == answer.json()["predictions"][0]


def test_objects_are_found_in_images(http: httpx.Client):
    """000.12, M.2: task object_detection, from a COCO zip to boxes in a new image, by the inference protocol, too."""
    asked = {"task_type": "object_detection", "model_name": "squares", "parameters": json.dumps({"epochs": 2})}
    result = trained(http, "file", annotated(), **asked)
    image = picture("red", 2)[0]
    where = f"/api/models/{result['model_id']}/predict"
    answer = http.post(where, content=image, headers={"content-type": "image/png"}).json()
    tensor = {"name": "image", "datatype": "BYTES", "shape": [2], "data": [base64.b64encode(image).decode()] * 2}
    described = http.get("/v2/models/squares").json()
    inferred = http.post("/v2/models/squares/infer", json={"inputs": [tensor]}).json()
    [output] = inferred["outputs"]

    assert result["task_type"] == "object_detection"
    assert {"map_50", "map"} <= result["metrics"].keys()
    assert answer["rowCount"] == 1
    assert answer["probabilities"] is None
    assert [each["name"] for each in described["inputs"]] == ["image"]
    assert [each["name"] for each in described["outputs"]] == ["prediction"]
    assert (output["datatype"], output["shape"]) == ("BYTES", [2])
    assert [json.loads(told) for told in output["data"]] == answer["predictions"] * 2
    assert all(set(one) == {"class", "score", "box"} for one in answer["predictions"][0])


BAD_ZIPS = {
    "a name that leads outside": ({"../../escape.png": b"x"}, "outside"),
    "nothing but text": ({"readme.txt": b"x"}, "image"),
    "a class with one image": ({"a/1.png": picture("red")[0], "b/1.png": picture("blue")[0]}, "image"),
}


@pytest.mark.parametrize("case", BAD_ZIPS)
def test_a_zip_that_cannot_be_learned_from_is_refused_and_not_kept(http: httpx.Client, house: House, case: str):
    members, hint = BAD_ZIPS[case]
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    before, datasets = set(house.stored_files()), http.get("/api/datasets").json()["datasets"]
    files = {"file": ("images.zip", made.getvalue())}
    answer = http.post("/api/train", files=files, data={"task_type": "image_classification"})

    assert answer.status_code == 422, answer.text
    assert hint in answer.json()["detail"]
    assert answer.json()["errors"][0]["field"] == "file"
    assert http.get("/api/datasets").json()["datasets"] == datasets
    assert set(house.stored_files()) == before


def test_a_model_of_images_is_not_asked_with_rows(http: httpx.Client):
    """The wrong kind of question gets a sentence that says which kind is right."""
    result = trained(http, "file", folders(6), parameters=json.dumps({"epochs": 1}))
    where = f"/api/models/{result['model_id']}"
    rows = http.post(f"{where}/predict", json={"rows": [{"a": 1}]})
    text = http.post(f"{where}/predict", content=b"no image", headers={"content-type": "image/png"})
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "data": ["no base64!"]}
    unfit = http.post(f"/v2/models/{result['model_id']}/infer", json={"inputs": [tensor]})

    sent = [base64.b64encode(content).decode() for content in (picture("red")[0], b"no image", picture("blue")[0])]
    sound, other = tensor | {"data": sent[:1]}, tensor | {"name": "other"}
    odd = [
        [tensor | {"datatype": "FP32"}], [tensor | {"shape": [0], "data": []}],
        [tensor | {"shape": [3], "data": sent}], [sound, sound], [sound, other], [other],
    ]  # fmt: skip
    answers = [http.post(f"/v2/models/{result['model_id']}/infer", json={"inputs": each}) for each in odd]
    refused = [answer.json() for answer in answers]

    assert [answer.status_code for answer in answers] == [422] * 6
    assert all("this model has one input, 'image', and takes it once" in each["error"] for each in refused[3:])
    assert ["'other'" in each["error"] for each in refused[3:]] == [False, True, True]
    assert "not all of its values are FP32" in refused[0]["error"]
    assert "one call takes 1 to 64 images" in refused[1]["error"]
    assert refused[2]["error"].startswith("Image 2 of 3: the image cannot be read: it is no image of a known kind.")
    assert (rows.status_code, rows.json()["error"]["code"]) == (422, "UNFIT_INPUT")
    assert (text.status_code, text.json()["error"]["code"]) == (422, "UNREADABLE_IMAGE")
    assert unfit.status_code == 422
    assert "base64" in unfit.json()["error"]
