"""A package runs on its own: what it predicts elsewhere is what was measured here."""

import csv
import io
import os
import runpy
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes

from services.training.domain.model import DatasetSource, TrainingResult, TrainingSpec
from services.training.workloads import workload_named
from services.training.workloads.tabular.case import settle
from tests.unit.training_workloads.albums import shapes, zipped
from tests.unit.training_workloads.shapes import coco_files, draw_scenes, pack


class Silence:
    """A reporter nobody listens to."""

    def progress(self, progress) -> None: ...

    def metric(self, metric) -> None: ...


def _train(frame: pd.DataFrame, folder: Path, **parameters) -> tuple[TrainingResult, pd.DataFrame]:
    """Train, unpack, and give the result and the rows that were held out."""
    data = folder / "data.csv"
    frame.to_csv(data, index=False)
    spec = TrainingSpec("packaged", "tabular", DatasetSource("d", "datasets", "k"), parameters=parameters)
    result = workload_named("tabular").train(spec, data, folder, Silence())
    with zipfile.ZipFile(folder / "artifact.zip") as archive:
        archive.extractall(folder / "package")
    return result, frame.iloc[settle(spec, data).split.test]


def _environment() -> dict[str, str]:
    """Nothing of ours: no path to our code, no virtual environment."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}


def _in_process(package: Path, rows: pd.DataFrame) -> pd.DataFrame:
    model = runpy.run_path(str(package / "load_model.py"))["load"](package)
    answers = model.predict(rows).to_frame()
    return answers.join(model.predict_proba(rows).add_prefix("probability_")).reset_index(drop=True)


def test_a_quick_package_predicts_the_same_in_a_fresh_environment(tmp_path):
    """A new virtual environment with requirements.txt and nothing else gives the predictions that were measured."""
    result, held_out = _train(load_breast_cancer(as_frame=True).frame, tmp_path)
    held_out.drop(columns="target").to_csv(tmp_path / "new.csv", index=False)
    venv.create(tmp_path / "venv", with_pip=True)
    python, package = tmp_path / "venv" / "bin" / "python", tmp_path / "package"
    install = [python, "-m", "pip", "install", "--quiet", "--requirement", package / "requirements.txt"]
    subprocess.run(install, env=_environment(), check=True, timeout=600)
    subprocess.run(
        [python, package / "predict.py", tmp_path / "new.csv", "-o", tmp_path / "out.csv"],
        cwd=tmp_path / "venv", env=_environment(), check=True, timeout=240,
    )  # fmt: skip
    predicted = pd.read_csv(tmp_path / "out.csv", float_precision="round_trip")

    assert (predicted["prediction"].to_numpy() == held_out["target"].to_numpy()).mean() == result.score
    pd.testing.assert_frame_equal(predicted, _in_process(package, held_out), check_exact=False, rtol=1e-9)


def test_an_autogluon_package_predicts_without_our_code(tmp_path):
    """In an empty folder, with our packages out of reach, predict.py reaches the score that was measured."""
    result, held_out = _train(
        load_diabetes(as_frame=True).frame, tmp_path, engine="autogluon", time_limit=5, eval_metric="mae"
    )
    held_out.to_csv(tmp_path / "new.csv", index=False)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    script = tmp_path / "package" / "predict.py"
    # As `python predict.py` runs, but that importing our code fails.
    code = (
        "import runpy, sys; sys.modules.update(dict.fromkeys(['services', 'servicekit', 'modelyard', 'gateway']));"
        f"sys.path.insert(0, {str(script.parent)!r}); sys.argv[:] = ['predict.py', {str(tmp_path / 'new.csv')!r}];"
        f"runpy.run_path({str(script)!r}, run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=elsewhere, env=_environment(), capture_output=True, text=True, check=True, timeout=240,
    )  # fmt: skip
    predicted = pd.read_csv(io.StringIO(done.stdout), float_precision="round_trip")
    error = abs(predicted["prediction"].to_numpy() - held_out["target"].to_numpy()).mean()

    assert list(predicted.columns) == ["prediction"]
    assert error == pytest.approx(-result.score, rel=1e-6)
    assert list(elsewhere.iterdir()) == []


@pytest.fixture(scope="module")
def pictures_venv(tmp_path_factory) -> Iterator[Path]:
    """A new virtual environment for the packages that need torch, which takes long to install; its python."""
    folder = tmp_path_factory.mktemp("torch")
    venv.create(folder / "venv", with_pip=True)
    yield folder / "venv" / "bin" / "python"
    shutil.rmtree(folder)


def _run_on_pictures(python: Path, workload: str, data: Path, folder: Path, *more: str) -> list[dict[str, str]]:
    """Train on a zip, and let the package alone tell of all its images, with its requirements and nothing of ours."""
    spec = TrainingSpec("packaged", workload, DatasetSource("d", "datasets", "k"), parameters={"epochs": 2})
    workload_named(workload).train(spec, data, folder, Silence())
    for archive, unpacked in ((folder / "artifact.zip", "package"), (data, "pictures")):
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(folder / unpacked)
    requirements = folder / "package" / "requirements.txt"
    install = [python, "-m", "pip", "install", "--quiet", "--requirement", requirements]
    subprocess.run(install, env=_environment(), check=True, timeout=600)
    command = [python, folder / "package" / "predict.py", "pictures", "-o", "out.csv", *more]
    subprocess.run(command, cwd=folder, env=_environment(), check=True, timeout=240)
    with (folder / "out.csv").open() as told:
        return list(csv.DictReader(told))


def test_a_package_for_images_predicts_in_a_fresh_environment(pictures_venv, tmp_path):
    """M.5: with requirements.txt installed and nothing else of ours, every image of a folder is told."""
    (tmp_path / "data.zip").write_bytes(zipped(shapes(6)))
    told = _run_on_pictures(pictures_venv, "image_classification", tmp_path / "data.zip", tmp_path)
    package = tmp_path / "package"
    model = runpy.run_path(str(package / "load_model.py"))["load"](package)
    path = tmp_path / "pictures" / "cross" / "0.png"
    read = runpy.run_path(str(package / "pictures.py"))["read_picture"]
    chances = model.predict_proba([read(path.read_bytes(), near=model.image_size)])[0]
    line = next(each for each in told if each["file"] == "pictures/cross/0.png")

    assert len(told) == 18
    assert [float(chance) for chance in list(line.values())[2:]] == pytest.approx(chances.tolist(), rel=1e-5)


def test_a_package_for_objects_predicts_in_a_fresh_environment(pictures_venv, tmp_path):
    """M.5: what it finds in the images is what the same package finds here."""
    pack(tmp_path / "data.zip", coco_files(draw_scenes(8, seed=3, sizes=(64, 80))))
    least = 0.001  # it has hardly learned, and is sure of nothing
    told = _run_on_pictures(
        pictures_venv, "object_detection", tmp_path / "data.zip", tmp_path, "--threshold", str(least)
    )
    package = tmp_path / "package"
    model = runpy.run_path(str(package / "load_model.py"))["load"](package)
    read = runpy.run_path(str(package / "pictures.py"))["read_picture"]
    name = told[0]["file"]
    found = model.detect(read((tmp_path / "pictures" / name).read_bytes()), least)
    lines = [line for line in told if line["file"] == name]

    assert [line["class"] for line in lines] == [one.label for one in found]
    assert [float(line["score"]) for line in lines] == pytest.approx([one.score for one in found], abs=1e-3)
