"""What is in a package, and what its loader refuses."""

import hashlib
import importlib.util
import json
import platform
import re
import subprocess
import sys
import zipfile
from importlib.metadata import version

import pandas as pd
import pytest

from services.training.domain.errors import DatasetChanged
from services.training.domain.model import DatasetSource, TrainingSpec
from services.training.workloads import workload_named
from services.training.workloads.tabular.templates.load_model import read_table
from tests.unit.training_workloads.trial import Trial, train


@pytest.fixture(scope="module")
def trial(tables, tmp_path_factory) -> Trial:
    return train(tables["wine"], tmp_path_factory.mktemp("package"))


def _load(folder):
    """The package's own load_model, as a program that has the folder would import it."""
    spec = importlib.util.spec_from_file_location("packaged_load_model", folder / "load_model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.load()


def _copy(trial, folder):
    with zipfile.ZipFile(trial.folder / "artifact.zip") as archive:
        archive.extractall(folder)
    return folder


def test_it_holds_what_is_promised_and_the_manifest_knows_every_file(trial):
    with zipfile.ZipFile(trial.folder / "artifact.zip") as archive:
        names = archive.namelist()
        manifest = json.loads(archive.read("manifest.json"))
        digests = {name: hashlib.sha256(archive.read(name)).hexdigest() for name in names}
        compressed = {entry.compress_type for entry in archive.infolist()}

    assert names == sorted(names)
    assert set(names) == {
        "README.md", "load_model.py", "manifest.json", "model/model.joblib", "predict.py", "requirements.txt"
    }  # fmt: skip
    assert {name: file["sha256"] for name, file in manifest["files"].items()} == {
        name: digest for name, digest in digests.items() if name != "manifest.json"
    }
    assert compressed == {zipfile.ZIP_DEFLATED}


def test_the_manifest_says_what_was_trained_from_what_and_how_well(trial):
    manifest = json.loads((trial.package / "manifest.json").read_text())
    result = trial.result

    assert (manifest["format_version"], manifest["training_id"], manifest["model_name"]) == (1, "trial", "A trial")
    assert (manifest["target"], manifest["problem_type"], manifest["classes"]) == ("target", "multiclass", [0, 1, 2])
    assert [feature["name"] for feature in manifest["features"]] == result.features
    assert manifest["dataset"]["sha256"] == result.dataset_sha256
    assert (manifest["dataset"]["rows"], manifest["dataset"]["columns"]) == (178, 14)
    assert manifest["metrics"] == {metric.name: metric.value for metric in result.metrics}
    assert manifest["score"] == {"name": "accuracy", "value": result.score}
    assert (manifest["split"]["train_rows"], manifest["split"]["test_rows"]) == (142, 36)
    assert manifest["baseline"]["accuracy"] < 0.5 < manifest["metrics"]["accuracy"]
    assert manifest["parameters"] == result.parameters
    assert manifest["python_version"] == platform.python_version()


def test_requirements_are_the_exact_versions_it_was_trained_with(trial):
    lines = (trial.package / "requirements.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines[1:])

    assert lines[0] == f"# Python {platform.python_version()}"
    assert pinned == {name: version(name) for name in pinned} == trial.result.library_versions
    assert {"scikit-learn", "pandas", "numpy"} <= pinned.keys()


def test_the_card_has_every_metric_and_the_command(trial):
    card = (trial.package / "README.md").read_text()

    assert card.startswith("# A trial\n")
    assert "python predict.py data.csv" in card
    assert all(f"| {metric.name} | {metric.value:.4f} |" in card for metric in trial.result.metrics)
    assert trial.result.dataset_sha256 in card
    assert "not fitted again" in card


def test_a_model_that_is_loaded_answers_rows_of_a_frame(trial, tables):
    model = _load(trial.package)
    frame = pd.read_csv(tables["wine"])
    answers, chances = model.predict(frame), model.predict_proba(frame)

    assert (answers == frame["target"]).mean() > 0.95
    assert list(chances.columns) == [0, 1, 2]
    assert chances.sum(axis=1).tolist() == pytest.approx([1] * len(frame))
    assert chances.idxmax(axis=1).tolist() == answers.tolist()


def test_the_model_needs_none_of_our_code(trial):
    """Its pickle names classes of libraries only."""
    code = "import sys; sys.modules['services'] = None; import load_model; load_model.load()"
    done = subprocess.run([sys.executable, "-c", code], cwd=trial.package, capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["model/model.joblib", "load_model.py", "README.md"])
def test_a_file_that_was_changed_is_refused_before_anything_is_loaded(trial, tmp_path, tables, name):
    folder = _copy(trial, tmp_path)
    with (folder / name).open("ab") as file:
        file.write(b"\n# more")
    done = subprocess.run(
        [sys.executable, "predict.py", tables["wine"]], cwd=folder, capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 1
    assert done.stdout == ""
    assert re.match(rf"predict.py: {name} is not the file that was packaged", done.stderr)


def test_predict_says_which_column_is_missing(trial, write):
    data = write("alcohol,ash\n1,2\n")
    done = subprocess.run(
        [sys.executable, "predict.py", data], cwd=trial.package, capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 1
    assert "no column 'malic_acid'" in done.stderr


@pytest.mark.parametrize("content", ["alcohol,ash\n", "\n", ""])
def test_predict_says_that_there_are_no_rows(trial, write, content):
    """000.11: in the words of the service, not of a library."""
    data = write(content)
    done = subprocess.run(
        [sys.executable, "predict.py", data], cwd=trial.package, capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 1
    assert done.stderr == "predict.py: there are no rows to predict for\n"


@pytest.mark.parametrize("trained", ["cp1252", "utf-16", "utf-8"])
def test_a_table_is_read_in_utf_8_where_it_is_whatever_the_training_data_was_in(write, tmp_path, trained):
    """Or as the training data was: the same words mean the same to the model."""
    text = "farbe,y\n" + "grün,ja\nblau,nein\ngrün,ja\nweiß,nein\n" * 40
    trial = train(write(text.encode(trained)), tmp_path / "trained")
    manifest = json.loads((trial.package / "manifest.json").read_text())
    tables = [write(text.encode(encoding), f"{encoding}.csv") for encoding in ("utf-8", "utf-8-sig", trained)]
    frames = [read_table(table, manifest) for table in tables]

    assert set(frames[0]["farbe"]) == {"grün", "blau", "weiß"}
    assert all(frame.equals(frames[0]) for frame in frames)


@pytest.mark.parametrize("surplus", [["7", "7"], ["7", ""], [" ", " "]])
def test_predict_refuses_rows_with_more_fields_than_columns(trial, tables, write, surplus):
    """Whether the first row alone is too long or all are; pandas would drop what is too much."""
    header, *rows = tables["wine"].read_text().splitlines()[:3]
    longer = [f"{row},{more}" if more else row for row, more in zip(rows, surplus, strict=True)]
    data = write("\n".join([header, *longer]))
    done = subprocess.run(
        [sys.executable, "predict.py", data], cwd=trial.package, capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 1
    assert done.stderr == "predict.py: the first row has more fields than the header names columns\n"


def test_predict_writes_to_the_file_it_is_given(trial, tables, tmp_path):
    """Columns in another order, with others among them, make no difference."""
    frame = pd.read_csv(tables["wine"])
    shuffled = tmp_path / "shuffled.csv"
    frame[frame.columns[::-1]].assign(extra=1).to_csv(shuffled, index=False)
    for source, target in ((tables["wine"], "a.csv"), (shuffled, "b.csv")):
        command = [sys.executable, "predict.py", source, "-o", tmp_path / target]
        subprocess.run(command, cwd=trial.package, check=True, timeout=60)

    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert len(pd.read_csv(tmp_path / "a.csv")) == len(frame)


def test_a_dataset_that_is_not_the_recorded_one_is_not_trained_on(tables, tmp_path):
    spec = TrainingSpec("trial", "tabular", DatasetSource("d", "datasets", "k", sha256="0" * 64))
    with pytest.raises(DatasetChanged):
        workload_named("tabular").train(spec, tables["wine"], tmp_path, Trial(tmp_path))

    assert not (tmp_path / "artifact.zip").exists()
