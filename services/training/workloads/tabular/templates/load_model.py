"""Loads the model of this folder. It needs the libraries of requirements.txt and nothing else.

    from load_model import load

    model = load()
    answers = model.predict(frame)               # a pandas Series, one answer a row
    chances = model.predict_proba(frame)         # for classes: a DataFrame, one column a class

The frame needs the columns that README.md lists; others are ignored. Everything else is in manifest.json.
"""

import codecs
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parent
BLOCK_BYTES = 1024 * 1024
EPOCH = pd.Timestamp(0, tz="UTC")
YEARS = (pd.Timestamp.min.year + 1, pd.Timestamp.max.year - 1)
BOOLEANS = {"true": 1.0, "false": 0.0}
DATE_PARTS = ("", " [month] ", " [weekday] ", " [hour] ")
"""What a date becomes, by what is put behind its name: no column of a table has a name that ends with a blank."""
END_OF_FILE = "\x1a"
"""With which programs for DOS end a text."""
END_BYTES = 16


class Model:
    """A trained model that takes rows as they stand in a data file."""

    def __init__(self, manifest: dict[str, Any], predictor: Any) -> None:
        self.manifest = manifest
        self._predictor = predictor

    def predict(self, frame: pd.DataFrame) -> pd.Series:
        """The answer for each row: a class or a number. A ValueError names columns that are missing."""
        answers = self._predictor.predict(prepare(frame, self.manifest["features"]))
        return pd.Series(np.asarray(answers), index=frame.index, name="prediction")

    def predict_proba(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The probability of each class for each row. A TypeError where the model predicts numbers."""
        if self.manifest["problem_type"] == "regression":
            raise TypeError("this model predicts numbers, which have no probabilities")
        chances = self._predictor.predict_proba(prepare(frame, self.manifest["features"]))
        labels = list(getattr(chances, "columns", getattr(self._predictor, "classes_", [])))
        table = pd.DataFrame(np.asarray(chances), index=frame.index, columns=labels)
        return table.reindex(columns=self.manifest["classes"], fill_value=0.0)


def load(folder: Path | str = HERE) -> Model:
    """Check every file against the manifest, then load the model. A ValueError where a file is not what it was."""
    folder = Path(folder)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    verify(folder, manifest)
    return Model(manifest, LOADERS[manifest["engine"]](folder / "model"))


def _load_quick(folder: Path) -> Any:
    import joblib

    return joblib.load(folder / "model.joblib")


def _load_autogluon(folder: Path) -> Any:
    from autogluon.tabular import TabularPredictor

    predictor = TabularPredictor.load(str(folder))
    predictor.persist()  # otherwise its models are read from their files for each answer
    return predictor


LOADERS = {"quick": _load_quick, "autogluon": _load_autogluon}


def verify(folder: Path, manifest: dict[str, Any]) -> None:
    """Compare the size and SHA-256 of each file with the manifest; a ValueError names the first that differs."""
    for name, expected in manifest["files"].items():
        path = folder / name
        if not path.is_file():
            raise ValueError(f"{name} is missing from this package; unpack it again")
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != expected["sha256"]:
            raise ValueError(f"{name} is not the file that was packaged: its SHA-256 differs; unpack the package again")


def read_table(
    path: Path | str, manifest: dict[str, Any], delimiter: str | None = None, encoding: str | None = None
) -> pd.DataFrame:
    """Read a data file as the training data was read, or in UTF-8 where it is; text columns stay as they are written. A
    ValueError where a row has more fields than the header names columns, where two columns have the same name, and
    where a zero byte is in the text."""
    how: dict[str, Any] = {
        "sep": delimiter or manifest["table"]["delimiter"],
        "encoding": encoding or find_encoding(path, manifest),
        "skipinitialspace": True,
        "comment": end_mark(path),
    }
    if line := find_zero(path, how["encoding"], how["comment"]):
        raise ValueError(f"line {line:,} holds a zero byte, which is in no text")
    header = pd.read_csv(path, nrows=0, **how).columns
    names = [name.strip() or f"Unnamed: {place}" for place, name in enumerate(header)]
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"more than one column is named {repeated!r}")
    texts = {feature["name"] for feature in manifest["features"] if feature["kind"] != "number"}
    kinds: dict[Any, Any] = {given: str for given, name in zip(header, names, strict=True) if name in texts}
    # round_trip: otherwise pandas reads many numbers of 17 digits a bit off, and a threshold may lie between.
    frame: pd.DataFrame = pd.read_csv(path, dtype=kinds, low_memory=False, float_precision="round_trip", **how)
    surplus = not isinstance(frame.index, pd.RangeIndex)  # of what the first row has too much, pandas makes an index
    if surplus:
        raise ValueError("the first row has more fields than the header names columns")
    frame.columns = pd.Index(names)
    return frame


def end_mark(path: Path | str) -> str | None:
    """What is to be passed over behind the last line, as a comment is; None where a file does not end so: elsewhere the
    mark stands for a letter."""
    with Path(path).open("rb") as file:
        file.seek(max(0, Path(path).stat().st_size - END_BYTES))
        return END_OF_FILE if file.read().rstrip(b"\0\r\n").endswith(END_OF_FILE.encode()) else None


def find_zero(path: Path | str, encoding: str, mark: str | None) -> int:
    """The first line with a zero byte in it that is none of the encoding's, before an end mark; 0 where none is. For
    pandas a value would end there."""
    with Path(path).open("rb") as file:
        if not any(b"\0" in block for block in iter(lambda: file.read(BLOCK_BYTES), b"")):
            return 0
    with Path(path).open(encoding=encoding, errors="replace") as text:
        lines = (line.partition(mark)[0] if mark else line for line in text)
        return next((number for number, line in enumerate(lines, 1) if "\0" in line), 0)


def find_encoding(path: Path | str, manifest: dict[str, Any]) -> str:
    """UTF-8 where all of a file is, which hardly any other text is by chance; else that of the training data."""
    usual: str = manifest["table"]["encoding"]
    if usual.startswith("utf-8"):
        return usual
    decoder = codecs.getincrementaldecoder("utf-8")()
    with Path(path).open("rb") as file:
        try:
            while block := file.read(BLOCK_BYTES):
                if "\0" in decoder.decode(block):  # so reads what has two bytes for each letter
                    return usual
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return usual
    return "utf-8-sig"


def prepare(frame: pd.DataFrame, features: list[dict[str, Any]]) -> pd.DataFrame:
    """The columns a model takes, in its order: numbers, text, and truth and dates, as numbers unless the model takes
    them whole; what cannot be read is missing."""
    missing = [feature["name"] for feature in features if feature["name"] not in frame.columns]
    if missing:
        raise ValueError(f"the data has no column {', '.join(map(repr, missing[:10]))}")
    names, block = _ready_numbers(frame, features)
    if len(names) == len(features):
        return pd.DataFrame(block, index=frame.index, columns=names)
    numbers = dict(zip(names, block.T, strict=True))
    columns: dict[str, Any] = {}
    for feature in features:
        name = feature["name"]
        made = {name: numbers[name]} if name in numbers else PREPARERS[feature["kind"]](frame[name], feature)
        columns.update(made)
    return pd.DataFrame(columns, index=frame.index)


def _ready_numbers(frame: pd.DataFrame, features: list[dict[str, Any]]) -> tuple[list[str], np.ndarray]:
    """The columns that are numbers already, at one stroke: a table may have thousands."""
    numeric = set(frame.select_dtypes("number").columns)
    names = [feature["name"] for feature in features if feature["kind"] == "number" and feature["name"] in numeric]
    block = frame[names].to_numpy("float64", na_value=np.nan, copy=True)
    block[~np.isfinite(block)] = np.nan
    return names, block


def _number(column: pd.Series, feature: dict[str, Any]) -> dict[str, pd.Series]:
    if feature.get("decimal") == "," and not pd.api.types.is_numeric_dtype(column):
        column = column.astype("string").str.replace(",", ".", regex=False)
    numbers = exact_numbers(column)
    return {feature["name"]: numbers.where(np.isfinite(numbers))}


def exact_numbers(column: pd.Series) -> pd.Series:
    """Values as the numbers that are nearest to what is written, where pandas alone may be a bit off; NaN for what is
    none."""
    numbers = pd.to_numeric(column, errors="coerce").astype("float64")
    if pd.api.types.is_numeric_dtype(column):
        return numbers
    pairs = zip(column, numbers, strict=True)
    exact = [float(value) if isinstance(value, str) and number == number else number for value, number in pairs]
    return pd.Series(exact, column.index, "float64", column.name)


def _boolean(column: pd.Series, feature: dict[str, Any]) -> dict[str, pd.Series]:
    truth = column.map(lambda value: BOOLEANS.get(str(value).strip().lower(), np.nan))
    return {feature["name"]: truth.map({1.0: True, 0.0: False}).astype(object) if feature.get("whole") else truth}


def _category(column: pd.Series, feature: dict[str, Any]) -> dict[str, pd.Series]:
    text = column.astype(object)
    if pd.api.types.infer_dtype(text, skipna=True) != "string":
        truth = feature.get("truth", {})
        text = text.where(text.isna(), text.map(lambda value: truth.get(str(value), str(value))))
    return {feature["name"]: text.where(text.notna(), np.nan)}


def _date(column: pd.Series, feature: dict[str, Any]) -> dict[str, pd.Series]:
    dates, name = _dates(column, feature), feature["name"]
    if feature.get("whole"):
        return {name: dates}
    parts = (
        (dates - EPOCH) / pd.Timedelta(days=1),
        dates.dt.month.astype("float64"),
        dates.dt.weekday.astype("float64"),
        dates.dt.hour.astype("float64"),
    )
    return {f"{name}{part}": values for part, values in zip(DATE_PARTS, parts, strict=True)}


def _dates(column: pd.Series, feature: dict[str, Any]) -> pd.Series:
    """A column as dates in nanoseconds; those that are too far away for that are missing."""
    known = pd.api.types.is_datetime64_any_dtype(column)
    written = {} if known else {"format": feature["format"]}
    dates = pd.to_datetime(column if known else column.astype("string"), errors="coerce", utc=True, **written)
    return dates.where(dates.dt.year.between(*YEARS)).dt.as_unit("ns")


PREPARERS = {"number": _number, "boolean": _boolean, "category": _category, "date": _date}
