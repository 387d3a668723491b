"""How a detector learns, is measured and is packaged."""

import io
import json
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from services.training.domain.answers import RowFormat, RowsHeader
from services.training.domain.errors import DatasetChanged, LossDiverged, NoSpace, PackageBroken, UnreadableImage
from services.training.domain.model import DatasetSource, TrainingSpec
from services.training.workloads import load_package, workload_named
from services.training.workloads.detection import learning
from services.training.workloads.detection.canvas import Canvas
from services.training.workloads.detection.case import settle
from services.training.workloads.detection.learning import evaluate
from services.training.workloads.detection.measuring import Answer, Truth, measure
from services.training.workloads.detection.pace import Pace
from services.training.workloads.detection.reading import read_all
from services.training.workloads.detection.serving import load_model
from services.training.workloads.detection.targets import Boxed, aim, box_loss, centre_loss
from services.training.workloads.detection.templates.load_model import Found, draw, load, suppress
from services.training.workloads.detection.varying import vary
from services.training.workloads.kit import pixels
from services.training.workloads.kit.archive import opened
from services.training.workloads.kit.telling import Telling
from tests.unit.training_workloads.shapes import as_png, coco_files, draw_scenes, pack, yolo_files
from tests.unit.training_workloads.trial import Trial

SOURCE = DatasetSource("dataset-1", "datasets", "a/b.zip")


def spec_of(**parameters) -> TrainingSpec:
    return TrainingSpec("trial", "object_detection", SOURCE, parameters=parameters, model_name="A `trial`")


def train(data, folder, **parameters) -> Trial:
    """Train on an archive and unpack the package."""
    trial = Trial(folder)
    trial.result = workload_named("object_detection").train(spec_of(**parameters), data, folder, trial)
    with zipfile.ZipFile(folder / "artifact.zip") as archive:
        archive.extractall(trial.package)
    return trial


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Two that wait for each other take many times as long where other tests run beside."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """A few large shapes in small images: what can be learned in seconds."""
    scenes = draw_scenes(60, seed=5, sizes=(64, 64), most=2, shares=(0.35, 0.6))
    return pack(tmp_path_factory.mktemp("data") / "shapes.zip", yolo_files(scenes))


@pytest.fixture(scope="module")
def trial(shapes, tmp_path_factory) -> Trial:
    return train(shapes, tmp_path_factory.mktemp("trial"), epochs=40, batch_size=8, patience=0)


def test_it_learns_to_find_things_in_images_it_has_not_seen(trial):
    """Measured on held-out images, far above what chance would find, in the few epochs of a test."""
    metrics = {metric.name: metric.value for metric in trial.result.metrics}

    assert metrics["map_50"] > 0.3
    assert metrics["map_50"] >= metrics["map"]
    assert metrics["recall"] > 0.2
    assert trial.result.train_row_count + trial.result.test_row_count == 60


def test_it_tells_how_it_goes(trial):
    fractions = [progress.fraction for progress in trial.progress_told]
    steps = {(metric.name, metric.split) for metric in trial.metrics_told}
    curve = trial.result.evaluation["learning_curve"]

    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert steps == {("loss", "train"), ("map_50", "validation"), ("map", "validation")}
    assert [point["epoch"] for point in curve] == list(range(1, trial.result.parameters["epochs"] + 1))
    assert curve[-1]["loss"] < curve[0]["loss"]


def test_the_evaluation_is_of_the_held_out_images(trial):
    evaluation, result = trial.result.evaluation, trial.result
    manifest = json.loads((trial.package / "manifest.json").read_text())
    measured = [one["ap_50"] for one in evaluation["per_class"] if one["boxes"]]

    assert result.score == pytest.approx(np.mean(measured))
    assert max(one["images"] for one in evaluation["per_class"]) <= result.test_row_count == 12
    assert all(len(curve["recall"]) == len(curve["precision"]) == 101 for curve in _curves(evaluation))
    assert manifest["metrics"] == {metric.name: metric.value for metric in result.metrics}
    assert (manifest["split"]["train_images"], manifest["split"]["validation_images"]) == (43, 5)
    assert json.loads(json.dumps(evaluation, allow_nan=False)) == evaluation


def _curves(evaluation):
    return evaluation["precision_recall_curve"].values()


def test_the_package_holds_no_pickle_and_names_every_file(trial):
    """M.5: weights that run no code, programs, card, requirements, and sample predictions drawn."""
    with zipfile.ZipFile(trial.folder / "artifact.zip") as archive:
        names = set(archive.namelist())
        manifest = json.loads(archive.read("manifest.json"))
    samples = {name for name in names if name.startswith("samples/")}
    card = (trial.package / "README.md").read_text()

    assert names - samples == {
        "README.md", "load_model.py", "manifest.json", "model/config.json", "model/weights.safetensors",
        "pictures.py", "predict.py",
        "requirements.txt",
    }  # fmt: skip
    assert manifest["files"].keys() == names - {"manifest.json"}
    assert len(samples) == 8
    assert Image.open(trial.package / "samples/1.png").width == 2 * 320 + 4
    assert card.startswith("# A 'trial'\n")
    assert f"map_50 {trial.result.score:.4f}" in card
    assert sorted(path.name for path in trial.folder.iterdir()) == ["artifact.zip", "unpacked"]


def test_the_same_seed_gives_the_same_model(shapes, tmp_path):
    """002.9: same split, same score, same weights."""
    trials = [train(shapes, tmp_path / name, epochs=2) for name in "ab"]
    weights = [(one.package / "model" / "weights.safetensors").read_bytes() for one in trials]

    assert weights[0] == weights[1]
    assert trials[0].result.metrics[0].value == trials[1].result.metrics[0].value


def test_it_stops_when_nothing_is_gained_or_the_time_is_over(shapes, tmp_path):
    """The best epoch stays, not the last."""
    patient = train(shapes, tmp_path / "patient", epochs=40, patience=1, learning_rate=1e-9, augment=False)
    timed = train(shapes, tmp_path / "timed", epochs=1000, time_limit=1, validation_fraction=0)
    told = [metric.value for metric in patient.metrics_told if metric.name == "map_50"]

    assert patient.result.parameters["epochs"] < 40
    assert patient.result.leaderboard[0].validation_score == max(told)
    assert timed.result.parameters["epochs"] < 1000
    assert timed.result.leaderboard[0].validation_score != timed.result.leaderboard[0].validation_score


def test_a_pause_of_the_machine_changes_nothing_while_the_time_limit_is_far(tmp_path, monkeypatch):
    """000.11: the same seed gives the same model unless the time limit is reached."""
    data = pack(tmp_path / "data.zip", yolo_files(draw_scenes(12, seed=5, sizes=(64, 64))))
    told = []
    for name, pause in (("first", 0.0), ("again", 0.6)):
        pauses, batches = iter([pause]), learning.Learner._batches

        def paused(learner, pauses=pauses, batches=batches):
            time.sleep(next(pauses, 0.0))
            return batches(learner)

        with monkeypatch.context() as patched:
            patched.setattr(learning.Learner, "_batches", paused)
            trial = train(data, tmp_path / name, epochs=2, batch_size=4, time_limit=60)
        told.append([metric.value for metric in trial.metrics_told if metric.name == "loss"])

    assert len(told[0]) == 2
    assert told[0] == told[1]


@pytest.mark.parametrize(
    ("time_limit", "pause", "passed"),
    [(200, 0, 0.1), (200, 80, 0.1), (100.5, 0, 0.1), (50, 0, 0.2), (50, 15, 0.5), (50, 45, 1.1)],
)
def test_the_time_counts_once_the_pace_says_that_it_will_not_do(monkeypatch, time_limit, pause, passed):
    """Of a hundred steps ten are done, each of which took a second, but that one was held up."""
    now = 0.0
    monkeypatch.setattr("services.training.workloads.detection.pace.time.monotonic", lambda: now)
    pace = Pace(time_limit)
    for _ in range(10):
        with pace.measuring("step", 100):
            now += 1
        now += pause
        pause = 0

    assert pace.passed(0.1) == pytest.approx(passed)


@pytest.mark.parametrize("asked", [{}, {"validation_fraction": 0}])
def test_without_validation_images_the_model_measured_is_the_one_packaged(asked, tmp_path):
    """000.11, M.5: held-out images change nothing in it, and the package reaches on them what was told."""
    scenes = draw_scenes(27 if asked else 12, seed=5, sizes=(64, 64), most=2, shares=(0.35, 0.6))
    data = pack(tmp_path / "shapes.zip", yolo_files(scenes))
    trial = train(data, tmp_path / "trial", epochs=3, batch_size=4, **asked)
    case = settle(spec_of(**asked), data)
    (tmp_path / "work").mkdir()
    with opened(data) as archive:
        canvas = Canvas(case.width, case.height, case.stride)
        pictures = read_all(archive, case.listing.images, canvas, tmp_path / "work", Telling(trial))
    measured, _ = evaluate(load(trial.package), case, pictures, case.parts.test)

    assert len(case.parts.validation) == 0
    assert {metric.name: metric.value for metric in trial.result.metrics} == pytest.approx(measured.metrics)


def test_a_learning_rate_that_is_far_too_large_ends_with_a_low_score_and_no_error(shapes, tmp_path):
    result = train(shapes, tmp_path, epochs=2, learning_rate=1, batch_size=1).result

    assert 0 <= result.score < 0.5
    assert json.loads(json.dumps(result.evaluation, allow_nan=False)) == result.evaluation


def test_a_loss_that_is_no_number_ends_the_training_before_it_is_told(shapes, tmp_path, monkeypatch):
    """000.11: a box that is no number would be measured as a right one."""
    monkeypatch.setattr(learning, "centre_loss", lambda logits, _targets: logits.sum() * np.nan)
    trial = Trial(tmp_path)
    with pytest.raises(LossDiverged, match="smaller learning_rate"):
        workload_named("object_detection").train(spec_of(epochs=1), shapes, tmp_path, trial)

    assert trial.metrics_told == []


def test_a_dataset_that_is_not_the_recorded_one_is_not_trained_on(shapes, tmp_path):
    spec = TrainingSpec("trial", "object_detection", DatasetSource("d", "datasets", "k", sha256="0" * 64))
    with pytest.raises(DatasetChanged):
        workload_named("object_detection").train(spec, shapes, tmp_path, Trial(tmp_path))

    assert list(tmp_path.iterdir()) == []


def test_the_package_predicts_alone(trial, tmp_path):
    """In an isolated interpreter, without our code: CSV, JSON, and pictures with the boxes drawn."""
    photos = tmp_path / "photos"
    (photos / "inner").mkdir(parents=True)
    for number, scene in enumerate(draw_scenes(3, seed=9, sizes=(64, 90))):
        (photos / ("inner" if number else "") / f"{number}.png").write_bytes(as_png(scene.image))
    printed = _predict(trial, tmp_path, photos, "--threshold", "0.05", "--draw", tmp_path / "drawn")
    _predict(trial, tmp_path, photos, "--threshold", "0.05", "-o", tmp_path / "found.json")
    rows = [line.split(",") for line in printed.stdout.splitlines()]
    found = json.loads((tmp_path / "found.json").read_text())
    names = {"0.png", "inner/1.png", "inner/2.png"}

    assert rows[0] == ["file", "class", "score", "x_min", "y_min", "x_max", "y_max"]
    assert {row[0] for row in rows[1:]} <= names
    assert [[str(value) for value in row.values()] for row in found] == rows[1:]
    assert found
    assert {path.relative_to(tmp_path / "drawn").as_posix() for path in tmp_path.glob("drawn/**/*.png")} == names


def _predict(trial, folder, *arguments):
    program = (
        "import sys, runpy; sys.path.insert(0, sys.argv[1]); script = sys.argv[1] + '/predict.py'; del sys.argv[1]; \
        runpy.run_path(script, run_name='__main__')"
    )
    command = [sys.executable, "-I", "-c", program, trial.package, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def test_an_image_or_a_package_that_is_not_right_is_told(trial, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"nothing")
    bad_image = _predict(trial, tmp_path, tmp_path / "bad.png")
    copy = Trial(tmp_path)
    with zipfile.ZipFile(trial.folder / "artifact.zip") as archive:
        archive.extractall(copy.package)
    with (copy.package / "model" / "weights.safetensors").open("ab") as file:
        file.write(b"more")
    bad_package = _predict(copy, tmp_path, tmp_path / "bad.png")

    assert (bad_image.returncode, bad_image.stdout) == (1, "")
    assert bad_image.stderr.startswith("predict.py: bad.png: it is no image")
    assert bad_package.returncode == 1
    assert bad_package.stderr.startswith("predict.py: model/weights.safetensors is not the file that was packaged")


def test_an_image_that_cannot_be_read_leaves_the_others_their_answers(trial, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for number, scene in enumerate(draw_scenes(2, seed=9, sizes=(64, 90))):
        (photos / f"{number}.png").write_bytes(as_png(scene.image))
    sound = _predict(trial, tmp_path, photos, "--threshold", "0.05")
    (photos / "0a.png").write_bytes(b"nothing")
    done = _predict(trial, tmp_path, photos, tmp_path / "gone.png", "--threshold", "0.05")

    assert (sound.returncode, done.returncode) == (0, 1)
    assert done.stdout == sound.stdout
    assert [line.split(":")[1] for line in done.stderr.splitlines()] == [" 0a.png", " gone.png"]


def test_no_drawing_takes_the_place_of_another(trial, tmp_path):
    scene = draw_scenes(1, seed=9, sizes=(64, 90))[0]
    for name in ("a/1.jpg", "a/1.jpg.png", "a/1.png", "b/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(as_png(scene.image))
    _predict(trial, tmp_path, tmp_path / "a", tmp_path / "b", "--draw", tmp_path / "drawn")

    assert {path.name for path in (tmp_path / "drawn").iterdir()} == {
        "1.jpg.png", "1.jpg.2.png", "1.png", "1.2.png",
    }  # fmt: skip


def test_a_body_without_an_image_is_refused(trial):
    served = load_model(trial.package, json.loads((trial.package / "manifest.json").read_text()))

    with pytest.raises(UnreadableImage, match="image cannot be read: there is none in the body"):
        served.answer(RowsHeader(RowFormat.IMAGE, None), io.BytesIO())


def test_a_changed_package_is_never_loaded(trial, tmp_path):
    with zipfile.ZipFile(trial.folder / "artifact.zip") as archive, zipfile.ZipFile(tmp_path / "x.zip", "w") as other:
        for name in archive.namelist():
            content = archive.read(name)
            other.writestr(name, content if name != "model/config.json" else content.replace(b"0.3", b"0.4"))
    with pytest.raises(PackageBroken):
        load_package(tmp_path / "x.zip", tmp_path)


def _truth(*boxes, crowd=False):
    values = np.array([box for box, _ in boxes], float).reshape(-1, 4)
    return Truth(values, np.array([label for _, label in boxes], int), np.full(len(boxes), crowd))


def _answer(*found):
    boxes = np.array([box for box, _, _ in found], float).reshape(-1, 4)
    return Answer(np.array([score for *_, score in found]), np.array([label for _, label, _ in found], int), boxes)


def test_measures_are_those_of_coco():
    """A box that is right, one that overlaps by 0.6, and one that is missed."""
    truths = [_truth(([0, 0, 10, 10], 0)), _truth(([0, 0, 10, 10], 1)), _truth(([5, 5, 9, 9], 1))]
    answers = [_answer(([0, 0, 10, 10], 0, 0.9)), _answer(([0, 0, 10, 6], 1, 0.8)), _answer()]
    measured = measure(truths, answers, 3)
    classes = measured.per_class(["a", "b", "c"])

    assert [one["ap_50"] for one in classes] == [pytest.approx(1), pytest.approx(51 / 101), None]
    assert [one["ap"] for one in classes][:2] == [pytest.approx(1), pytest.approx(51 / 101 * 3 / 10)]
    assert measured.metrics["map_50"] == pytest.approx((1 + 51 / 101) / 2)
    assert measured.metrics["map_75"] == pytest.approx(0.5)
    assert [(one["images"], one["boxes"]) for one in classes] == [(1, 1), (2, 2), (0, 0)]


def test_what_is_found_in_a_crowd_is_neither_right_nor_wrong():
    truths = [_truth(([0, 0, 50, 50], 0), crowd=True), _truth(([0, 0, 10, 10], 0))]
    answers = [_answer(([3, 3, 9, 9], 0, 0.9)), _answer(([0, 0, 10, 10], 0, 0.8))]

    assert measure(truths, answers, 1).metrics["map"] == pytest.approx(1)


def test_where_there_is_nothing_to_find_nothing_is_measured():
    assert measure([_truth()], [_answer()], 2).metrics == {}


def test_a_varied_image_and_its_boxes_move_together():
    """A white square stays in its box, however it is mirrored, scaled and shifted."""
    images = torch.zeros(16, 3, 64, 96)
    images[:, :, 20:36, 30:50] = 1
    boxed = [Boxed(torch.tensor([[30.0, 20.0, 50.0, 36.0]]), torch.tensor([0]), torch.tensor([False]))] * 16
    varied, moved = vary(images, boxed, torch.Generator().manual_seed(0))
    for image, one in zip(varied, moved, strict=True):
        left, top, right, bottom = one.boxes[0].tolist()
        bright = (image.mean(0) > image.min() + 0.6).nonzero().float()

        assert bright[:, 1].min() + 0.5 == pytest.approx(left, abs=1.5)
        assert bright[:, 1].max() + 0.5 == pytest.approx(right, abs=1.5)
        assert bright[:, 0].min() + 0.5 == pytest.approx(top, abs=1.5)
        assert bright[:, 0].max() + 0.5 == pytest.approx(bottom, abs=1.5)


def test_the_targets_of_a_box_are_at_its_middle_and_crowds_are_left_out():
    boxes = torch.tensor([[8.0, 8.0, 40.0, 40.0], [20.0, 20.0, 28.0, 28.0], [48.0, 0.0, 60.0, 12.0]])
    image = Boxed(boxes, torch.tensor([0, 1, 0]), torch.tensor([False, False, True]))
    targets = aim([image], 2, 4, 16, 16)
    right = targets.boxes.clone()

    assert (targets.centres == 1).nonzero().tolist() == [[0, 0, 6, 6], [0, 1, 6, 6]]
    assert targets.boxes[0, 6, 6].tolist() == boxes[1].tolist()
    assert targets.boxes[0, 4, 6].tolist() == boxes[0].tolist()
    assert targets.ignored[0].nonzero().min(0).values.tolist() == [0, 12]
    assert float(box_loss(right, targets)) == pytest.approx(0, abs=1e-6)
    assert float(box_loss(right + 3, targets)) > 0.1
    assert float(centre_loss(torch.full((1, 2, 16, 16), -9.0), targets)) > 5


def test_of_boxes_that_overlap_the_surest_of_a_class_stays():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 9], [20, 20, 30, 30]])

    assert suppress(boxes, torch.tensor([0, 0, 1, 0]), 0.6).tolist() == [True, False, True, True]


def test_drawing_leaves_the_image_alone():
    image = Image.new("RGB", (60, 40), "white")
    drawn = draw(image, [Found("cat", 0, 0.9, (5.0, 5.0, 50.0, 35.0))])

    assert image.getcolors() == [(2400, (255, 255, 255))]
    assert drawn.getpixel((5, 30)) == (0xE6, 0x19, 0x4B)


def test_a_class_in_one_image_only_is_learned_and_not_measured(tmp_path):
    """With hardly any images, both sides of the split still have a box."""
    files = coco_files(draw_scenes(4, seed=2))
    result = train(pack(tmp_path / "data.zip", files), tmp_path / "work", epochs=1).result

    assert (result.train_row_count, result.test_row_count) == (3, 1)
    assert sum(one["boxes"] for one in result.evaluation["per_class"]) > 0


def test_many_images_lie_in_a_file_where_there_is_room(shapes, tmp_path, monkeypatch):
    """A disk that is full is told before anything is written; it would end the process in the middle otherwise."""
    monkeypatch.setattr(pixels, "MEMORY_BYTES", 1)
    train(shapes, tmp_path, epochs=1)
    left = sorted(path.name for path in tmp_path.iterdir())
    monkeypatch.setattr(pixels, "SPARE_BYTES", 2**60)

    assert left == ["artifact.zip", "unpacked"]
    with pytest.raises(NoSpace, match="for 60 images of 64 × 64 pixels"):
        train(shapes, tmp_path / "full", epochs=1)
