"""Images through the wire: learned from, told apart, and refused with a sentence where nothing can be learned."""

import hashlib
import io
import struct
import zipfile
from collections.abc import AsyncIterator

import grpc
import numpy as np
import pytest
from PIL import Image
from skimage import data as photographs

from modelyard.training.v1 import training_pb2
from servicekit import statuses
from services.training.bootstrap import WORKLOADS
from tests.contract.training.conftest import Client, train_request
from tests.unit.training_workloads.albums import EXIF_ORIENTATION, encoded, shapes, zipped


async def predicted(client: Client, package: training_pb2.PackageSource, content: bytes, format_: int):
    async def requests() -> AsyncIterator[training_pb2.PredictRequest]:
        yield training_pb2.PredictRequest(header=training_pb2.PredictHeader(package=package, row_format=format_))
        for start in range(0, len(content), 256 * 1024):
            yield training_pb2.PredictRequest(chunk=content[start : start + 256 * 1024])

    answers = training_pb2.PredictResponse()
    async for answer in client.training.Predict(requests(), **client.channel.within(60)):
        answers.MergeFrom(answer)
    return answers


async def refused(call) -> tuple[grpc.StatusCode, str, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), statuses.reason_of(caught.value), caught.value.details()


def photographed(name: str, number: int, random: np.random.Generator) -> bytes:
    """A part of a real photograph as another camera might have stored it: its size, mode, format and orientation."""
    whole = Image.fromarray(getattr(photographs, name)())
    side = int(random.integers(150, 280))
    left, top = (int(random.integers(0, length - side)) for length in whole.size)
    part = whole.crop((left, top, left + side, top + int(side * random.uniform(0.6, 1))))
    mode, format_ = [("RGB", "JPEG"), ("CMYK", "JPEG"), ("L", "PNG"), ("RGBA", "PNG"), ("P", "GIF"), ("RGB", "WEBP")][
        number % 6
    ]
    exif = Image.Exif()
    if format_ in ("JPEG", "PNG", "WEBP"):
        exif[EXIF_ORIENTATION] = 6
        part = part.transpose(Image.Transpose.ROTATE_90)
        return encoded(part.convert(mode), format_, exif=exif)
    return encoded(part.convert(mode), format_)


async def test_photographs_of_all_kinds_are_learned_from_and_told_apart(start, storage):
    """002.9, M.2, M.5: real photographs in mixed sizes, modes and orientations train; the stored model tells new ones
    apart by the image itself, however it is turned."""
    random = np.random.default_rng(0)
    names = ("astronaut", "coffee", "chelsea")
    files = {f"{name}/{number}": photographed(name, number, random) for name in names for number in range(18)}
    source = storage[0].put("photos.zip", zipped({f"{name}.jpg": content for name, content in files.items()}))
    request = train_request(source, "photos", "image_classification", image_size=48, epochs=30)
    async with start(WORKLOADS) as client:
        plan = await client.training.CheckTraining(request, **client.channel.within(60))
        events = await client.trained(request)
        artifact = b"".join(await client.artifact("photos"))
        await client.release("photos")
        left = client.left_behind()
        put = storage[0].put("photos-model", artifact)
        package = training_pb2.PackageSource(placement="models", key="photos-model", sha256=put.sha256)
        photo = photographed("coffee", 0, random)
        answers = await predicted(client, package, photo, training_pb2.ROW_FORMAT_IMAGE)
        rows = await refused(predicted(client, package, b"[{}]", training_pb2.ROW_FORMAT_JSON))
        broken = await refused(predicted(client, package, photo[:300], training_pb2.ROW_FORMAT_IMAGE))
    result = events[-1].result
    fractions = [event.progress.fraction for event in events if event.HasField("progress")]
    steps = [event.metric for event in events if event.HasField("metric")]

    assert (plan.target, plan.problem_type, plan.row_count) == ("class", training_pb2.PROBLEM_TYPE_MULTICLASS, 54)
    assert (plan.feature_count, plan.engine) == (0, "torch")
    assert result.train_row_count + result.test_row_count == 54
    assert result.score > 0.5
    assert result.dataset_sha256 == source.sha256
    assert hashlib.sha256(artifact).hexdigest() == result.artifact_sha256
    assert fractions == sorted(fractions)
    assert {(step.name, step.split) for step in steps} >= {("loss", "train"), ("accuracy", "validation")}
    assert set(result.evaluation) == {"confusion_matrix", "per_class", "learning_curve"}
    assert left == []
    assert [value.string_value for value in answers.classes] == sorted(names)
    assert len(answers.class_indexes) == 1
    assert sum(answers.probabilities) == pytest.approx(1)
    assert rows[:2] == (grpc.StatusCode.INVALID_ARGUMENT, "UNFIT_INPUT")
    assert broken[:2] == (grpc.StatusCode.INVALID_ARGUMENT, "UNREADABLE_IMAGE")


def bomb() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/zeros.png", bytes(32 * 2**20))
    return content.getvalue()


def link() -> bytes:
    content, entry = io.BytesIO(), zipfile.ZipInfo("a/passwd.png")
    entry.external_attr = 0o120777 << 16
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    return content.getvalue()


def overstated() -> bytes:
    """An archive whose first file says that it is another size than it is."""
    content = bytearray(zipped(shapes(3)))
    struct.pack_into("<L", content, content.index(b"PK\x01\x02") + 24, 9)
    return bytes(content)


SOUND = shapes(3)
FAULTS = {
    "no zip": (b"no zip", "ARCHIVE_BROKEN", "it does not begin as one, and a table is for task general_ml"),
    "cut short": (zipped(SOUND)[:-200], "ARCHIVE_BROKEN", "no zip archive that can be read"),
    "a wrong size": (overstated(), "BAD_IMAGES", "1 of the 9 images cannot be read"),
    "a bomb": (bomb(), "ARCHIVE_BOMB", "unpack to 33,554,432"),
    "a path that leads out": (zipped({"../../evil.png": b""}), "ARCHIVE_UNSAFE", "outside of the archive"),
    "a link": (link(), "ARCHIVE_UNSAFE", "is a link"),
    "no images": (zipped({"a/b.txt": b""}), "BAD_LAYOUT", "it has no image"),
    "one class": (zipped(shapes(5, ["cross"])), "BAD_LAYOUT", "there is one class only, 'cross'"),
    "a class with one image": (
        zipped(SOUND | {"moon/1.png": SOUND["cross/0.png"]}),
        "BAD_LAYOUT",
        "the class 'moon' has one image",
    ),
    "images that are none": (
        zipped(SOUND | {"cross/1.png": b"none"}),
        "BAD_IMAGES",
        "1 of the 9 images cannot be read, the first of them 'cross/1.png'",
    ),
    "objects in images": (
        zipped(SOUND | {"annotations/all.json": b'{"annotations": []}'}),
        "BAD_LAYOUT",
        "Ask for the workload 'object_detection'",
    ),
}


async def test_what_nothing_can_be_learned_from_is_refused_and_nothing_is_left(start, storage):
    """002.9: checking and training refuse each fault alike, on the file; the service stays up."""
    outcomes = {}
    async with start(WORKLOADS) as client:
        for number, (name, (content, _, _)) in enumerate(FAULTS.items()):
            request = train_request(storage[0].put("bad.zip", content), f"bad{number}", "image_classification")
            checked = client.training.CheckTraining(request, **client.channel.within(60))
            outcomes[name] = await refused(checked)
        trained = await refused(client.trained(request))
        left = client.left_behind()

    for name, (_, reason, sentence) in FAULTS.items():
        code, found, said = outcomes[name]

        assert (code, found) == (grpc.StatusCode.INVALID_ARGUMENT, reason), name
        assert sentence in said, name
    assert trained == outcomes["objects in images"]
    assert left == []


async def test_images_that_end_too_early_are_found_when_they_are_read(start, storage):
    files = SOUND | {"square/2.png": SOUND["square/2.png"][:120]}
    async with start(WORKLOADS) as client:
        request = train_request(storage[0].put("cut.zip", zipped(files)), "cut", "image_classification")
        code, reason, said = await refused(client.trained(request))
        left = client.left_behind()

    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "BAD_IMAGES")
    assert "the first of them 'square/2.png'" in said
    assert left == []


async def test_a_request_cannot_make_a_worker_read_other_folders(start, storage, tmp_path):
    """Backbones are those of the setting, by name."""
    (tmp_path / "backbones" / "mine").mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (tmp_path / "backbones" / "mine" / name).write_text("{}")
    source = storage[0].put("shapes.zip", zipped(SOUND))
    async with start(WORKLOADS, backbones_dir=tmp_path / "backbones") as client:
        request = train_request(source, "t1", "image_classification", backbone=str(tmp_path / "backbones" / "mine"))
        code, reason, said = await refused(client.trained(request))

    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "BAD_BACKBONE")
    assert "There are: mine." in said
