"""A row means the same however it is written, to what is trained, to the package and to who predicts (M.2, M.5)."""

import io
import json
import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from services.training.domain.answers import Answers, RowFormat, RowsHeader
from services.training.workloads import load_package
from services.training.workloads.tabular.reading import read_table
from services.training.workloads.tabular.templates.load_model import exact_numbers, load
from tests.unit.training_workloads.trial import Trial, train


def asked(trial: Trial, row_format: RowFormat, content: bytes) -> Answers:
    """What the model answers that predicts for the service."""
    (trial.folder / "tmp").mkdir(exist_ok=True)
    (trial.folder / "package.zip").write_bytes((trial.folder / "artifact.zip").read_bytes())
    model = load_package(trial.folder / "package.zip", trial.folder)
    return Answers.of(*model.answer(RowsHeader(row_format, None), io.BytesIO(content)))


def arrow(frame: pd.DataFrame) -> bytes:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    written = io.BytesIO()
    with pa.ipc.new_stream(written, table.schema) as stream:
        stream.write_table(table)
    return written.getvalue()


def test_numbers_of_17_digits_get_the_same_answers_in_every_format(tables, tmp_path):
    """Thresholds lie between numbers that were read as they are written, not a bit beside."""
    trial = train(tables["diabetes"], tmp_path)
    text = tables["diabetes"].read_text()
    frame = pd.read_csv(io.StringIO(text), float_precision="round_trip")
    head, *lines = text.splitlines(keepends=True)
    halves = ("".join([head, *lines[:200]]), "".join([head, *lines[200:]]))
    told = [
        asked(trial, RowFormat.CSV, text.encode()).values.tolist(),
        [value for half in halves for value in asked(trial, RowFormat.CSV, half.encode()).values],
        asked(trial, RowFormat.JSON, json.dumps(frame.to_dict("records")).encode()).values.tolist(),
        asked(trial, RowFormat.ARROW, arrow(frame)).values.tolist(),
        load(trial.package).predict(frame).tolist(),
    ]

    assert len(text) > 64 * 1024
    assert told[1:] == [told[0]] * 4


def test_numbers_are_read_as_they_are_written(write):
    doubles = np.random.default_rng(0).integers(2**62, size=500).view("float64").tolist()
    written = [repr(double) for double in doubles if math.isfinite(double)]
    table = read_table(write("x;comma\n" + "".join(f"{each};{each.replace('.', ',')}\n" for each in written)), None)

    assert table.frame["x"].tolist() == list(map(float, written))
    assert exact_numbers(table.frame["comma"].str.replace(",", ".")).tolist() == list(map(float, written))


@pytest.mark.parametrize("header", ['x,"  ",label', "x,\u00a0,label", "x,,label"])
def test_a_column_whose_name_is_blank_can_be_asked(write, tmp_path, header):
    data = write(header + "\n" + "".join(f"{i % 7},{i % 5},{'ab'[i % 5 > 2]}\n" for i in range(60)))
    trial = train(data, tmp_path / "trained", target="label")
    answers = asked(trial, RowFormat.CSV, data.read_bytes())

    assert [answers.header.classes[place] for place in answers.class_indexes] == ["ab"[i % 5 > 2] for i in range(60)]


def test_the_mark_of_dos_at_the_end_is_no_row(write, tmp_path):
    """000.10: columns are what they are without it."""
    text = "x,label\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(60))
    data = write(text + "\x1a")
    trial = train(data, tmp_path / "trained", target="label")
    manifest = json.loads((trial.package / "manifest.json").read_text())

    assert [(feature["name"], feature["kind"]) for feature in manifest["features"]] == [("x", "number")]
    assert manifest["dataset"]["rows"] == 60
    assert asked(trial, RowFormat.CSV, data.read_bytes()).header.row_count == 60


def test_the_mark_of_dos_within_a_text_cuts_no_row(write):
    table = read_table(write("x,label\n" + "".join(f"{i}\x1a{i},{'ab'[i % 2]}\n" for i in range(9))), None)

    assert table.frame["x"].tolist() == [f"{i}\x1a{i}" for i in range(9)]
    assert table.frame["label"].tolist() == list("ababababa")


@pytest.mark.parametrize("yes", ["true", "True", "TRUE"])
def test_truth_in_a_column_of_text_is_what_it_was_in_training(write, tmp_path, yes):
    """JSON's true is the text by which the training data told truth."""
    values = [yes, "unknown", yes, "maybe"]
    data = write("said,label\n" + "".join(f"{values[i % 4]},{'ab'[i % 2]}\n" for i in range(80)))
    trial = train(data, tmp_path / "trained", target="label")
    as_text, as_truth = (
        asked(trial, RowFormat.JSON, json.dumps([{"said": value}]).encode()).probabilities for value in (yes, True)
    )
    in_arrow = asked(trial, RowFormat.ARROW, arrow(pd.DataFrame({"said": [True]}))).probabilities

    assert as_text.tolist() == as_truth.tolist() == in_arrow.tolist()
    assert as_text[0] > 0.9
