"""A package runs on its own: what it predicts elsewhere is what was measured here."""

import io
import os
import runpy
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes

from services.training.domain.model import DatasetSource, TrainingResult, TrainingSpec
from services.training.workloads import workload_named
from services.training.workloads.tabular.case import settle
from tests.unit.training_workloads.albums import shapes, zipped


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
    subprocess.run(install, env=_environment(), check=True, timeout=240)
    subprocess.run(
        [python, package / "predict.py", tmp_path / "new.csv", "-o", tmp_path / "out.csv"],
        cwd=tmp_path / "venv", env=_environment(), check=True, timeout=60,
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
        cwd=elsewhere, env=_environment(), capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    predicted = pd.read_csv(io.StringIO(done.stdout), float_precision="round_trip")
    error = abs(predicted["prediction"].to_numpy() - held_out["target"].to_numpy()).mean()

    assert list(predicted.columns) == ["prediction"]
    assert error == pytest.approx(-result.score, rel=1e-6)
    assert list(elsewhere.iterdir()) == []


def test_a_package_for_images_predicts_in_a_fresh_environment(tmp_path):
    """M.5: with requirements.txt installed and nothing else of ours, every image of a folder is told."""
    (tmp_path / "data.zip").write_bytes(zipped(shapes(6)))
    source = DatasetSource("d", "datasets", "k")
    spec = TrainingSpec("packaged", "image_classification", source, parameters={"epochs": 2})
    workload_named("image_classification").train(spec, tmp_path / "data.zip", tmp_path, Silence())
    for archive, folder in (("artifact.zip", "package"), ("data.zip", "pictures")):
        with zipfile.ZipFile(tmp_path / archive) as opened:
            opened.extractall(tmp_path / folder)
    venv.create(tmp_path / "venv", with_pip=True)
    python, package = tmp_path / "venv" / "bin" / "python", tmp_path / "package"
    install = [python, "-m", "pip", "install", "--quiet", "--requirement", package / "requirements.txt"]
    subprocess.run(install, env=_environment(), check=True, timeout=240)
    subprocess.run(
        [python, package / "predict.py", "pictures", "-o", "out.csv"],
        cwd=tmp_path, env=_environment(), check=True, timeout=60,
    )  # fmt: skip
    told = pd.read_csv(tmp_path / "out.csv", float_precision="round_trip").set_index("file")
    model = runpy.run_path(str(package / "load_model.py"))["load"](package)
    path = tmp_path / "pictures" / "cross" / "0.png"
    read = runpy.run_path(str(package / "pictures.py"))["read_picture"]
    chances = model.predict_proba([read(path.read_bytes(), near=model.image_size)])[0]

    assert len(told) == 18
    assert told.loc["pictures/cross/0.png"].iloc[1:].astype(float).tolist() == pytest.approx(chances.tolist(), rel=1e-5)
