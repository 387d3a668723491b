"""Object detection through the service as it runs: what it gives, and what is left when it goes wrong."""

import hashlib
import io
import json
import zipfile

import grpc
import pytest
from PIL import Image

from modelyard.training.v1 import training_pb2
from servicekit import statuses
from services.training.bootstrap import WORKLOADS
from tests.contract.training.conftest import train_request
from tests.contract.training.test_failures import failure
from tests.unit.training_workloads.shapes import as_png, coco_files, draw_scenes, pack, yolo_files

SCENES = draw_scenes(12, seed=1)


@pytest.fixture
def archive(storage, tmp_path):
    """A stored dataset of some files."""

    def stored(files) -> training_pb2.DatasetSource:
        return storage[0].put("shapes.zip", pack(tmp_path / "shapes.zip", files).read_bytes())

    return stored


async def detect(
    client, package, content: bytes, row_format=training_pb2.ROW_FORMAT_IMAGE
) -> training_pb2.PredictResponse:
    header = training_pb2.PredictHeader(package=package, row_format=row_format)

    async def requests():
        yield training_pb2.PredictRequest(header=header)
        yield training_pb2.PredictRequest(chunk=content)

    answers = [answer async for answer in client.training.Predict(requests(), **client.channel.within(60))]
    return answers[0]


async def refusal(call) -> tuple[grpc.StatusCode, str, str]:
    """Status, reason and sentence with which a call ends."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), statuses.reason_of(caught.value), caught.value.details()


async def test_shapes_are_learned_packaged_and_found(start, storage, archive):
    """M.5, M.2: from a stored zip to boxes in an image, all through the wire; scores are of held-out images."""
    source = archive(coco_files(draw_scenes(16)))
    request = train_request(source, "shapes", "object_detection", epochs=2, score_threshold=0.01)
    async with start(WORKLOADS) as client:
        plan = await client.training.CheckTraining(request, **client.channel.within(60))
        events = await client.trained(request)
        artifact = b"".join(await client.artifact("shapes"))
        await client.release("shapes")
        left = client.left_behind()
        put = storage[0].put("model.zip", artifact)
        package = training_pb2.PackageSource(placement="models", key="model.zip", sha256=put.sha256)
        image = SCENES[0].image
        found = await detect(client, package, as_png(image))
        upright = await detect(client, package, _lying(image))
        table = await refusal(detect(client, package, b"[{}]", training_pb2.ROW_FORMAT_JSON))
        broken = await refusal(detect(client, package, as_png(image)[:2000]))
    result = events[-1].result
    fractions = [event.progress.fraction for event in events if event.HasField("progress")]
    metrics = {metric.name: metric.value for metric in result.metrics}
    curve = [event.metric for event in events if event.HasField("metric")]
    width, height = image.size

    assert (plan.target, plan.problem_type) == ("objects", training_pb2.PROBLEM_TYPE_OBJECT_DETECTION)
    assert (plan.row_count, plan.feature_count, plan.engine) == (16, 0, "torch")
    assert fractions == sorted(fractions)
    assert (result.train_row_count, result.test_row_count) == (12, 4)
    assert (result.score_name, result.score) == ("map_50", metrics["map_50"])
    assert metrics.keys() == {"map_50", "map", "map_75", "recall"}
    assert [(each.name, each.step, each.split) for each in curve] == [("loss", 1, "train"), ("loss", 2, "train")]
    assert [one["class"] for one in result.evaluation["per_class"]] == ["circle", "square", "triangle"]
    assert hashlib.sha256(artifact).hexdigest() == result.artifact_sha256
    assert left == []
    assert (found.row_count, list(found.class_indexes)) == (1, [])
    assert [value.string_value for value in found.classes] == ["circle", "square", "triangle"]
    assert found.detections
    assert all(
        0 <= one.x_min <= one.x_max <= width and 0 <= one.y_min <= one.y_max <= height for one in found.detections
    )
    assert len(upright.detections) == len(found.detections)
    assert table[:2] == (grpc.StatusCode.INVALID_ARGUMENT, "UNFIT_INPUT")
    assert broken[:2] == (grpc.StatusCode.INVALID_ARGUMENT, "UNREADABLE_IMAGE")


def _lying(image: Image.Image) -> bytes:
    """The same image on its side, with the note that it is."""
    turned = image.transpose(Image.Transpose.ROTATE_90)
    exif = turned.getexif()
    exif[274] = 6
    buffer = io.BytesIO()
    turned.save(buffer, "PNG", exif=exif)
    return buffer.getvalue()


def _with_annotation(**facts):
    files = coco_files(SCENES)
    content = json.loads(files["annotations/instances.json"])
    content["annotations"][0].update(facts)
    return files | {"annotations/instances.json": json.dumps(content)}


def _without(name: str):
    files = coco_files(SCENES)
    del files[name]
    return files


BAD = {
    "broken JSON": (
        lambda: coco_files(SCENES) | {"annotations/instances.json": '{"images": ['},
        "ANNOTATIONS_UNREADABLE",
        "line 1, column 13",
    ),
    "a bad line": (
        lambda: yolo_files(SCENES) | {"labels/0002.txt": "0 0.5 0.5 0.2 0.2\n0 x 0.5 0.2 0.2\n"},
        "BAD_ANNOTATION",
        "labels/0002.txt line 2: ",
    ),
    "a missing image": (lambda: _without("images/0003.png"), "IMAGE_MISSING", "0003.png"),
    "a box outside": (lambda: _with_annotation(bbox=[500, 5, 20, 20]), "BAD_ANNOTATION", "reaches out of the image"),
    "no boxes": (
        lambda: yolo_files(SCENES) | {f"labels/{number:04}.txt": "" for number in range(12)},
        "NO_BOXES",
        "None of the 12 images has a box",
    ),
    "an image that does not decode": (
        lambda: coco_files(SCENES) | {"images/0004.png": b"\x89PNG nothing"},
        "BAD_IMAGES",
        "images/0004.png",
    ),
}  # fmt: skip


async def test_data_that_is_not_right_is_refused_with_its_place_and_leaves_nothing(start, storage, archive):
    """Check and training say the same, on the field that is wrong."""
    seen = {}
    async with start(WORKLOADS) as client:
        for case, (files, _, _) in BAD.items():
            seen[case] = await failure(client, train_request(archive(files()), "bad", "object_detection"))
        corrupt = storage[0].put("corrupt.zip", pack_of(coco_files(SCENES))[:-3000])
        seen["a corrupt zip"] = await failure(client, train_request(corrupt, "bad", "object_detection"))
        left = client.left_behind()

    for case, (_, reason, words) in (BAD | {"a corrupt zip": (None, "ARCHIVE_BROKEN", "no zip archive")}).items():
        assert seen[case].code() is grpc.StatusCode.INVALID_ARGUMENT
        assert (statuses.reason_of(seen[case]), statuses.field_of(seen[case])) == (reason, "file")
        assert words in seen[case].details()
    assert left == []


def pack_of(files) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


async def test_a_cancel_in_the_midst_of_learning_leaves_nothing(start, archive):
    """002.6: the process is gone within 2 s, and so are its files."""
    request = train_request(archive(coco_files(SCENES)), "long", "object_detection", epochs=1000, patience=0)
    async with start(WORKLOADS) as client:
        call = client.train(request)
        async for event in call:
            if event.progress.message.startswith("Epoch"):
                break
        answer = await client.cancel("long")
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            async for _ in call:
                pass
        left = client.left_behind()

    assert answer.stopped
    assert ended.value.code() is grpc.StatusCode.CANCELLED
    assert left == []


async def test_it_is_listed_with_what_it_takes(start):
    async with start(WORKLOADS) as client:
        response = await client.training.ListWorkloads(training_pb2.ListWorkloadsRequest(), **client.channel.within(60))
    listed = {workload.name: workload for workload in response.workloads}["object_detection"]

    assert (list(listed.inputs), list(listed.outputs)) == (["archive"], ["object_detection"])
    assert "torch" in listed.available
    assert all(facts["description"] for facts in listed.parameters_schema["properties"].values())
