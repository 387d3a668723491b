"""Training on images in this process: what is found in an archive, and what becomes of it."""

import io
import json
import math
import runpy
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from services.training.domain import errors
from services.training.domain.answers import Answers, RowFormat, RowsHeader
from services.training.domain.model import (
    DatasetSource,
    Metric,
    ProblemType,
    Progress,
    TrainingPlan,
    TrainingResult,
    TrainingSpec,
)
from services.training.workloads import workload_named
from services.training.workloads.images import backbones
from services.training.workloads.images.augmenting import varied
from services.training.workloads.images.fitting import pace
from services.training.workloads.images.layout import check_classes, find_images
from services.training.workloads.images.serving import load_model
from services.training.workloads.images.templates.load_model import SmallConvNet, as_pixels
from services.training.workloads.kit import pixels
from services.training.workloads.kit.archive import opened
from tests.unit.training_workloads.albums import SHAPES, album, drawn, shapes

SHORT = {"epochs": 2, "patience": 2}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Small networks gain nothing by more, and on a busy machine they lose."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def spec_of(problem_type: ProblemType | None = None, target: str = "", **parameters: Any) -> TrainingSpec:
    source = DatasetSource("dataset-1", "datasets", "a/b.zip")
    return TrainingSpec("trial", "image_classification", source, target, problem_type, parameters, "A trial")


def check(data: Path, **asked: Any) -> TrainingPlan:
    return workload_named("image_classification").check(spec_of(**asked), data)


@dataclass
class Trial:
    """A training that ran: what it told, what it gave, and its package, unpacked."""

    folder: Path
    progress_told: list[Progress] = field(default_factory=list)
    metrics_told: list[Metric] = field(default_factory=list)

    def progress(self, progress: Progress) -> None:
        self.progress_told.append(progress)

    def metric(self, metric: Metric) -> None:
        self.metrics_told.append(metric)

    def train(self, data: Path, **asked: Any) -> TrainingResult:
        self.folder.mkdir(exist_ok=True)
        workload = workload_named("image_classification")
        result = workload.train(spec_of(**asked), data, self.folder, self)
        with zipfile.ZipFile(self.folder / "artifact.zip") as archive:
            archive.extractall(self.package)
        return result

    @property
    def package(self) -> Path:
        return self.folder / "unpacked"

    @property
    def manifest(self) -> dict[str, Any]:
        return json.loads((self.package / "manifest.json").read_text())


@pytest.fixture(scope="module")
def learned(tmp_path_factory) -> tuple[Trial, TrainingResult, Path]:
    """A training that learned shapes."""
    folder = tmp_path_factory.mktemp("learned")
    data = album(folder / "shapes.zip", shapes(40, top="album/"))
    trial = Trial(folder / "run")
    return trial, trial.train(data, epochs=14, batch_size=16), data


def test_a_model_learns_from_scratch(learned):
    """002.9: shapes are told apart on images that were held out, and the record says all of it."""
    trial, result, _ = learned
    evaluation = result.evaluation
    metrics = {metric.name: metric.value for metric in result.metrics}
    counts = np.array(evaluation["confusion_matrix"]["counts"])

    assert result.score == metrics["accuracy"] > 0.7
    assert set(metrics) == {"accuracy", "balanced_accuracy", "f1_macro", "roc_auc_ovr", "log_loss"}
    assert (result.train_row_count, result.test_row_count) == (96, 24)
    assert (result.engine, result.best_model, result.target) == ("torch", "SmallConvNet", "class")
    assert counts.sum() == 24
    assert counts.trace() / 24 == pytest.approx(result.score)
    assert [each["class"] for each in evaluation["per_class"]] == list(SHAPES)
    assert [each["support"] for each in evaluation["per_class"]] == [8, 8, 8]
    assert json.loads(json.dumps(evaluation, allow_nan=False)) == evaluation
    assert result.leaderboard[0].test_score == result.score
    assert {path.name for path in trial.folder.iterdir()} == {"artifact.zip", "unpacked"}


def test_progress_and_curves_are_told(learned):
    trial, result, _ = learned
    curve = result.evaluation["learning_curve"]
    told = [metric.value for metric in trial.metrics_told if (metric.name, metric.split) == ("loss", "validation")]
    fractions = [progress.fraction for progress in trial.progress_told]

    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert curve["epoch"] == list(range(1, len(told) + 1))
    assert curve["validation_loss"] == told
    assert curve["train_loss"][-1] < curve["train_loss"][0]


def test_the_same_seed_gives_the_same_score_and_weights(learned, tmp_path):
    """Everything that chance settles is settled by the seed, another seed holds out other images."""
    data = album(tmp_path / "data.zip", shapes(8))
    runs = [Trial(tmp_path / name) for name in ("first", "second", "other")]
    results = [run.train(data, seed=seed, **SHORT) for run, seed in zip(runs, (5, 5, 6), strict=True)]
    weights = [(run.package / "model/weights.safetensors").read_bytes() for run in runs]

    assert results[0].evaluation == results[1].evaluation
    assert weights[0] == weights[1] != weights[2]


def test_a_package_has_no_pickle_and_runs_without_our_code(learned, tmp_path):
    """M.5: predict.py reads images and folders, writes a line each, and agrees with the service."""
    trial, _, _ = learned
    random = np.random.default_rng(9)
    (tmp_path / "some").mkdir()
    drawn("cross", random).save(tmp_path / "some" / "cross.png")
    drawn("square", random, 90).resize((90, 40)).save(tmp_path / "wide.jpg")
    (tmp_path / "some" / "broken.png").write_bytes(b"no image")
    code = (
        "import sys, runpy; sys.modules.update(dict.fromkeys(['services', 'servicekit']));"
        f"sys.path.insert(0, {str(trial.package)!r}); sys.argv[:] = ['predict.py', 'wide.jpg', 'some', '-o', 'o.csv'];"
        f"runpy.run_path({str(trial.package / 'predict.py')!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    header, *lines = [line.split(",") for line in (tmp_path / "o.csv").read_text().splitlines()]
    served = load_model(trial.package, trial.manifest)
    content = (tmp_path / "wide.jpg").read_bytes()
    answers = Answers.of(*served.answer(RowsHeader(RowFormat.IMAGE, None), io.BytesIO(content)))
    loaded = runpy.run_path(str(trial.package / "load_model.py"))["load"](trial.package)

    assert done.returncode == 1
    assert "broken.png: it is no image of a known kind" in done.stderr
    assert header == ["file", "prediction", *(f"probability_{name}" for name in SHAPES)]
    assert [line[0] for line in lines] == ["wide.jpg", "some/cross.png"]
    assert [float(value) for value in lines[0][2:]] == pytest.approx(list(answers.probabilities), rel=1e-4)
    assert sum(answers.probabilities) == pytest.approx(1)
    assert loaded.classes[answers.class_indexes[0]] == lines[0][1]
    assert {path.suffix for path in trial.package.rglob("*") if path.is_file()} == {
        ".json", ".md", ".py", ".safetensors", ".txt",
    }  # fmt: skip
    assert set((trial.package / "requirements.txt").read_text().split()) >= {"torch==2.13.0", "pillow==13.0.0"}


def test_a_file_of_a_package_that_was_changed_is_not_loaded(learned, tmp_path):
    trial, _, _ = learned
    weights = trial.package / "model/weights.safetensors"
    sound = weights.read_bytes()
    weights.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    load = runpy.run_path(str(trial.package / "load_model.py"))["load"]
    try:
        with pytest.raises(ValueError, match="SHA-256 differs"):
            load(trial.package)
    finally:
        weights.write_bytes(sound)


def test_rows_of_a_table_and_what_is_no_image_are_refused(learned):
    trial, _, _ = learned
    served = load_model(trial.package, trial.manifest)

    with pytest.raises(errors.UnfitInput, match="takes one image, and not rows of a table"):
        served.answer(RowsHeader(RowFormat.CSV, None), io.BytesIO(b"a,b"))
    with pytest.raises(errors.UnreadableImage):
        served.answer(RowsHeader(RowFormat.IMAGE, None), io.BytesIO(b"a,b"))
    with pytest.raises(errors.UnreadableImage, match="image cannot be read: there is none in the body"):
        served.answer(RowsHeader(RowFormat.IMAGE, None), io.BytesIO())


@pytest.mark.parametrize("parts", [("train", "test"), ("Training", "VAL"), ("train", "valid", "test")])
def test_what_the_archive_holds_out_is_held_out(tmp_path, parts):
    """Folders train and test, or val, split the images; the third, if there is one, settles when to stop."""
    counts = dict(zip(parts, (6, 2, 3), strict=False))
    files: dict[str, bytes] = {}
    for number, (part, count) in enumerate(counts.items()):
        files |= shapes(count, ("circle", "cross"), f"all/{part}/", number)
    trial = Trial(tmp_path / "run")
    result = trial.train(album(tmp_path / "data.zip", files), **SHORT)

    assert result.problem_type is ProblemType.BINARY
    assert (result.train_row_count, result.test_row_count) == ((16, 6) if len(parts) == 3 else (12, 4))
    assert trial.manifest["split"]["method"] == "folders of the archive"


def texts(count: int, content: bytes = b"") -> dict[str, bytes]:
    """So many texts beside the first of shapes(3)."""
    return {name.replace(".png", ".txt"): content for name in list(shapes(3))[:count]}


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, "it has no image"),
        ({"a/readme.txt": b"none"}, "it has no image"),
        (shapes(5, ["circle"]), "there is one class only, 'circle'"),
        (shapes(1), "it has 3 images, and training needs at least 4"),
        (shapes(1) | shapes(4, ["moon"]), "the classes 'circle', 'cross', 'square' have one image"),
        (shapes(1, ["circle"]) | shapes(9, ["cross"]), "the class 'circle' has one image to learn from, and each"),
        (shapes(3) | {"5.png": b""}, "the image '5.png' is in no folder of a class"),
        (shapes(3, top="all/") | {"all/5.png": b""}, "the image 'all/5.png' is in no folder of a class"),
        (shapes(3, top="train/") | shapes(1, ["moon"], "test/"), "the folder train has no image of the class 'moon'"),
        (shapes(3) | {"labels/1.txt": b"0 .5 .5 .1 .1"}, "in the layout of YOLO. Ask for the workload 'object_dete"),
        (shapes(3) | {"notes/all.json": b'{"images": [{"file_name": "1.png"}]}'}, "in the layout of COCO"),
        (shapes(3) | texts(5) | {"cross/2.txt": b"0 .5 5e-1 .1 .1\n"}, "in the layout of YOLO"),
        (shapes(3) | {"notes/1.xml": b"<annotation><object><bndbox>"}, "in the layout of Pascal VOC. Save it as COCO"),
        (shapes(5, ["JPEGImages", "SegmentationClass"], "VOC/"), "in the layout of Pascal VOC. Save it as COCO"),
        (shapes(3) | shapes(3, ["a\x07b"]), "is no name for a class, which has 1 to 200 characters that can be"),
        (shapes(3, top="train/") | shapes(3, ["test"]), "the folder 'test' holds '0.png' in no folder of a class"),
        (shapes(3, top="train/") | shapes(3, top="dev/"), "beside the folder 'train', which has a folder for each"),
        (shapes(3, top="x/train/") | shapes(2, top="x/test/") | shapes(2, top="x/dev/"), "stands 'dev', which is nei"),
        (shapes(3, top="train/") | shapes(3, ["bus"]), "If 'train' is a class, put its images directly into it."),
        (shapes(3, top="train/") | shapes(2, top="test/") | shapes(1, ["Val"]), "the folder 'Val' holds '0.png' in no"),
        (shapes(3, top="train/") | shapes(2, top="test/") | {"train/5.png": b""}, "the folder 'train' holds '5.png'"),
        (shapes(3, top="train/") | {"5.png": b""}, "the image '5.png' is in no folder of a class"),
    ],
    ids=["empty", "no images", "one class", "few images", "single images", "a single image", "no folder",
         "no folder within another",
         "not in train", "YOLO", "COCO", "YOLO beside the images", "Pascal VOC", "Pascal VOC with masks", "a bell",
         "a flat test", "another folder", "test and another folder",
         "a class beside train", "a part with some in no class", "an image in train", "an image beside train"],
)  # fmt: skip
def test_an_archive_that_nothing_can_be_learned_from_is_refused(tmp_path, files, sentence):
    data = album(tmp_path / "data.zip", files)

    with pytest.raises(errors.BadLayout) as caught:
        check(data)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(("classes", "fraction"), [(2, 0.3), (10, 0.5)])
def test_without_an_image_to_settle_when_to_stop_training_is_refused_by_check(tmp_path, classes, fraction):
    """000.12: what is held out may be all that can be spared."""
    data = album(tmp_path / "data.zip", shapes(2, map(str, range(classes))))

    with pytest.raises(errors.BadLayout, match="or give a smaller test_fraction"):
        check(data, test_fraction=fraction)
    assert check(data).row_count == 2 * classes


@pytest.mark.parametrize(
    ("metric", "counts"), [("roc_auc_ovr", (6, 6, 6, 6, 6)), ("f1", (20, 3)), ("roc_auc", (20, 3))]
)
def test_images_that_settle_when_to_stop_need_not_define_the_score(tmp_path, metric, counts):
    """000.12: the score is of the held-out images; what it would be of the others is left open."""
    files: dict[str, bytes] = {}
    for place, count in enumerate(counts):
        files |= shapes(count, [str(place)], seed=place)
    data = album(tmp_path / "data.zip", files)
    result = Trial(tmp_path / "run").train(data, eval_metric=metric, epochs=1, image_size=16)

    assert result.score_name == metric
    assert result.leaderboard[0].test_score == result.score
    assert math.isnan(result.leaderboard[0].validation_score)


@pytest.mark.parametrize("others", [texts(9, b"5 things in 3 words\n"), texts(4, b"0 .5 .5 .1 .1"), texts(9)])
def test_texts_beside_images_may_say_something_else(tmp_path, others):
    """000.12: captions, or labels of a few images, are other files."""
    assert check(album(tmp_path / "data.zip", shapes(3) | others)).row_count == 9


def test_boxes_beside_the_images_of_a_split_are_no_classes(tmp_path):
    """000.12: train, valid and test of Darknet hold images and texts, and would be three classes."""
    files = {f"{part}/{name}": b"" for part in ("train", "valid", "test") for name in ("1.png", "2.png")}
    files |= {name.replace(".png", ".txt"): b"1 0.5 0.5 0.25 0.25\n" for name in files}
    data = album(tmp_path / "data.zip", files | {"train/_darknet.labels": b"a\nb\n"})

    with pytest.raises(errors.BadLayout, match=r"layout of YOLO\. Ask for the workload 'object_detection'"):
        check(data)


def test_a_class_may_be_spelled_in_any_language(tmp_path):
    """000.12: with wide spaces, and with letters that say how others are joined."""
    names = ["赤\N{IDEOGRAPHIC SPACE}車", "un\N{NO-BREAK SPACE}chat", "می\N{ZERO WIDTH NON-JOINER}خواهم"]
    with opened(album(tmp_path / "data.zip", shapes(2, names))) as archive:
        labels = check_classes(find_images(archive))

    assert set(labels) == {"赤 車", "un chat", names[2]}


def stored_as(path: Path, name: bytes) -> Path:
    """An archive with a class `cat` and one of a name in bytes, without a word on its encoding."""
    data = album(path, shapes(2, ["cat", "#" * len(name)]))
    data.write_bytes(data.read_bytes().replace(b"#" * len(name), name))
    return data


def test_a_name_in_the_encoding_of_the_format_is_read(tmp_path):
    with opened(stored_as(tmp_path / "data.zip", "Köln".encode("cp437"))) as archive:
        labels = check_classes(find_images(archive))

    assert labels == ["Köln", "cat"]


@pytest.mark.parametrize(("encoding", "name"), [("gbk", "狗"), ("cp866", "кошка"), ("cp1252", "fenêtre")])
def test_a_class_whose_name_would_be_garbled_is_refused(tmp_path, encoding, name):
    """000.12: a name in an encoding that nothing tells."""
    with pytest.raises(errors.BadLayout, match=r"does not tell its encoding\. Make it with a program that writes"):
        check(stored_as(tmp_path / "data.zip", name.encode(encoding)))


def test_a_folder_train_may_be_a_class(tmp_path):
    """With images directly in it, whatever the others are called and however deep theirs lie."""
    for others in (("bus",), ("test",), ("bus", "test/deep")):
        plan = check(album(tmp_path / "data.zip", shapes(3, ("train", *others))))

        assert plan.row_count == 3 * (1 + len(others))


def test_other_files_and_deeper_folders_do_no_harm(tmp_path):
    files = {f"photos/{name.replace('/', '/deep/')}": content for name, content in shapes(3).items()}
    plan = check(album(tmp_path / "data.zip", files | {"photos/about.json": b'{"made": "by hand"}', "LICENSE": b""}))

    assert (plan.target, plan.problem_type, plan.row_count) == ("class", ProblemType.MULTICLASS, 9)


@pytest.mark.parametrize("whole", [False, True], ids=["by check", "by training"])
def test_images_that_cannot_be_read_are_counted_and_the_first_is_named(tmp_path, whole):
    files = shapes(4)
    damaged = files["cross/2.png"][:90] if whole else b"no image"
    data = album(tmp_path / "data.zip", files | {"cross/2.png": damaged, "square/0.png": damaged})

    with pytest.raises(errors.BadImages, match=r"2 of the 12 images cannot be read, the first of them 'cross/2\.png'"):
        Trial(tmp_path / "run").train(data, **SHORT) if whole else check(data)


def test_images_that_cannot_be_read_are_left_out_when_asked(tmp_path):
    """What was left out is in the record, and counts no more."""
    files = shapes(5)
    data = album(tmp_path / "data.zip", files | {"cross/2.png": b"no image", "square/4.png": files["cross/1.png"][:90]})
    trial = Trial(tmp_path / "run")
    result = trial.train(data, skip_unreadable=True, **SHORT)

    assert result.train_row_count + result.test_row_count == 13
    assert set(trial.manifest["dataset"]["skipped"]) == {"cross/2.png", "square/4.png"}
    assert "2 could not be read" in (trial.package / "README.md").read_text()


@pytest.mark.parametrize(
    ("asked", "error", "sentence"),
    [
        ({"epoch": 3}, errors.BadParameters, "'epoch' is not one of them"),
        ({"image_size": 7}, errors.BadParameters, "16 or more"),
        ({"image_size": 7}, errors.BadParameters, "The workload's parameters are: epochs, test_fraction, seed, "),
        ({"target": "kind"}, errors.TargetNotFound, "leave the target out"),
        ({"problem_type": ProblemType.REGRESSION}, errors.UnfitProblem, "type regression"),
        ({"problem_type": ProblemType.BINARY}, errors.NotBinary, "3 different"),
        ({"eval_metric": "roc_auc"}, errors.UnfitMetric, "multiclass"),
        ({"backbone": "resnet"}, errors.BadBackbone, "none of that name here"),
        ({"backbone": "../../etc"}, errors.BadBackbone, "none of that name here"),
        ({"backbone": "/etc"}, errors.BadBackbone, "none of that name here"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(tmp_path, asked, error, sentence):
    with pytest.raises(error) as caught:
        check(album(tmp_path / "data.zip", shapes(4)), **asked)
    assert sentence in str(caught.value)


def test_a_loss_that_is_no_number_ends_the_training_with_advice(tmp_path, monkeypatch):
    monkeypatch.setattr("services.training.workloads.images.fitting.varied", lambda images, *_: images * torch.nan)

    with pytest.raises(errors.LossDiverged, match="smaller learning_rate"):
        Trial(tmp_path / "run").train(album(tmp_path / "data.zip", shapes(4)), **SHORT)


def test_training_stops_when_time_is_up_and_says_so(tmp_path, monkeypatch):
    clock = iter(range(0, 10**9, 3))
    monkeypatch.setattr("services.training.workloads.images.fitting.time.monotonic", lambda: float(next(clock)))
    trial = Trial(tmp_path / "run")
    result = trial.train(album(tmp_path / "data.zip", shapes(6)), epochs=50, time_limit=5)

    assert result.evaluation["learning_curve"]["ended_by"] == "time_limit"
    assert len(result.evaluation["learning_curve"]["epoch"]) == 1


@pytest.fixture
def backbone(tmp_path, monkeypatch) -> str:
    """A small network of transformers in the folder of backbones, as if it had been trained."""
    from transformers import ResNetConfig, ResNetForImageClassification

    config = ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", num_labels=7, image_size=48
    )
    ResNetForImageClassification(config).save_pretrained(tmp_path / "backbones" / "tiny")
    (tmp_path / "backbones" / "empty").mkdir()
    monkeypatch.setenv(backbones.VARIABLE, str(tmp_path / "backbones"))
    return "tiny"


@pytest.mark.parametrize("freeze", [False, True])
def test_a_backbone_is_tuned(tmp_path, backbone, freeze):
    """002.9: transfer from a folder of transformers; frozen, its own weights stay as they were."""
    from safetensors.torch import load_file

    trial = Trial(tmp_path / "run")
    data = album(tmp_path / "data.zip", shapes(6))
    result = trial.train(data, backbone=backbone, freeze_backbone=freeze, image_size=32, **SHORT)
    before = load_file(tmp_path / "backbones" / "tiny" / "model.safetensors")
    after = load_file(trial.package / "model" / "weights.safetensors")
    name = "resnet.embedder.embedder.convolution.weight"
    answers = runpy.run_path(str(trial.package / "load_model.py"))["load"](trial.package)
    image = drawn("cross", np.random.default_rng(1))

    assert result.best_model == "ResNetForImageClassification"
    assert "transformers" in result.library_versions
    assert torch.equal(before[name], after[f"network.{name}"]) == freeze
    assert answers.predict_proba([image]).shape == (1, 3)


def test_a_backbone_that_is_none_is_refused(tmp_path, backbone):
    folder = tmp_path / "backbones" / "tiny"
    (folder / "config.json").write_text(json.dumps({"model_type": "unheard-of", "auto_map": {"AutoModel": "x.Y"}}))

    with pytest.raises(errors.BadBackbone, match="transformers cannot make a classifier of it"):
        Trial(tmp_path / "run").train(album(tmp_path / "data.zip", shapes(4)), backbone=backbone, **SHORT)
    with pytest.raises(errors.BadBackbone, match="There are: tiny"):
        check(album(tmp_path / "data.zip", shapes(4)), backbone="empty")


def test_many_images_lie_in_a_file_instead_of_memory(tmp_path, monkeypatch):
    data = album(tmp_path / "data.zip", shapes(8))
    weights = []
    for limit in (pixels.MEMORY_BYTES, 1):
        monkeypatch.setattr(pixels, "MEMORY_BYTES", limit)
        trial = Trial(tmp_path / f"run{limit}")
        trial.train(data, **SHORT)
        weights.append((trial.package / "model/weights.safetensors").read_bytes())

    assert weights[0] == weights[1]
    assert not (tmp_path / "run1" / "work").exists()


def test_too_little_room_for_images_is_told_before_they_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(pixels, "MEMORY_BYTES", 1)
    monkeypatch.setattr(pixels, "SPARE_BYTES", 2**60)

    with pytest.raises(errors.NoSpace, match="for 24 images of 32 × 32 pixels"):
        Trial(tmp_path / "run").train(album(tmp_path / "data.zip", shapes(8)), **SHORT)


def test_an_image_that_is_not_square_keeps_its_shape_on_grey():
    pixels = as_pixels(Image.new("RGB", (40, 20), "white"), 16)

    assert pixels.shape == (3, 16, 16)
    assert (pixels[:, 4:12] == 255).all()
    assert (pixels[:, 0, 0] == (124, 116, 104)).all()


@pytest.mark.parametrize("size", [(1, 5000), (5000, 1), (1, 1)])
def test_an_image_of_any_shape_fits(size):
    assert as_pixels(Image.new("RGB", size), 32).shape == (3, 32, 32)


def test_images_are_varied_by_chance_and_only_mirrored_when_asked():
    images = torch.rand(8, 3, 16, 16)
    chance = torch.Generator().manual_seed(3)
    half = images.clone()
    half[..., :8] = 1
    half[..., 8:] = 0
    varied_once = varied(half, False, chance)
    mirrored = varied(half, True, chance)

    assert varied_once.shape == images.shape
    assert not torch.equal(varied_once, half)
    assert bool((varied_once[..., 0].mean((1, 2)) > varied_once[..., -1].mean((1, 2))).all())
    assert {True, False} == set((mirrored[..., 0].mean((1, 2)) > mirrored[..., -1].mean((1, 2))).tolist())


@pytest.mark.parametrize("side", [16, 32, 100, 224])
def test_a_small_network_takes_images_of_any_size(side):
    from services.training.workloads.images.networks import make_small

    made = make_small(5, side)

    assert isinstance(made.network, SmallConvNet)
    assert made.network(torch.zeros(2, 3, side, side)).shape == (2, 5)


def test_checking_an_archive_imports_nothing_that_trains(tmp_path):
    """People wait for it."""
    data = album(tmp_path / "data.zip", shapes(4))
    code = (
        "import sys; from pathlib import Path; from services.training.domain.model import *;"
        "from services.training.workloads import workload_named;"
        "spec = TrainingSpec('t', 'image_classification', DatasetSource('d', 'p', 'k'));"
        f"print(workload_named(spec.workload).check(spec, Path({str(data)!r})).row_count,"
        "sorted({'torch', 'sklearn', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.split() == ["12", "[]"]


@pytest.mark.parametrize("total", [1, 2, 5, 700])
def test_the_learning_rate_rises_and_falls_however_few_steps_there_are(total):
    shares = [pace(step, total) for step in range(total + 1)]
    top = shares.index(max(shares))

    assert all(0 <= share <= 1 for share in shares)
    assert shares[: top + 1] == sorted(shares[: top + 1])
    assert shares[top:] == sorted(shares[top:], reverse=True)


def test_declaring_the_workload_imports_nothing_heavy():
    code = (
        "import sys; from services.training.workloads import all_workloads;"
        "[(each.parameters_schema(), each.availability()) for each in all_workloads()];"
        "print(sorted({'torch', 'transformers', 'PIL', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.strip() == "[]"
