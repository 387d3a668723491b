"""Answers for rows with a model out of a package. It runs in a worker process, where a pickle may be loaded: the
package is one of ours, its bytes are those that were recorded."""

from collections.abc import Iterable, Iterator
from io import BufferedIOBase
from itertools import compress
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import sklearn
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from services.training.domain import errors
from services.training.domain.answers import AnswersHeader, ColumnsFormat, RowFormat, RowsHeader
from services.training.domain.model import ProblemType, TableFormat
from services.training.domain.sniffing import read_rows
from services.training.workloads.kit.rows import columns_of, parse
from services.training.workloads.kit.wording import shortened
from services.training.workloads.tabular.plain import PlainRows
from services.training.workloads.tabular.refusals import KINDS, refuse, written
from services.training.workloads.tabular.templates.load_model import LOADERS, find_encoding, prepare, read_table
from services.training.workloads.tabular.unwrapped import Matrix, Unwrapped

NAMES_SHOWN = 10
# With fewer, threads that wait for each other take longer than the work does.
ROWS_FOR_THREADS = 5_000
# What JSON may give for a kind of column.
TAKEN: dict[str, set[type]] = {
    "number": {int, float, str, type(None)},
    "boolean": {bool, str, type(None)},
    "date": {str, type(None)},
    "category": {str, int, float, bool, type(None)},
}
UTF_8 = ("", "utf-8", "utf8", "us-ascii", "ascii")
"""What text in UTF-8 may be called; nothing, where it is found out."""
# In which pandas has read a table before Arrow is there.
LARGE_BYTES = 64 * 1024
# Where a delimiter is looked for.
HEADER_BYTES = 64 * 1024
DELIMITERS_SHOWN = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


def load_model(package: Path, manifest: dict[str, Any]) -> "TabularModel":
    """The model of an unpacked package, ready to answer. Raises PackageBroken."""
    if manifest.get("engine") not in LOADERS:
        raise errors.PackageBroken(trouble="it is of an engine that is not known here")
    # What comes was checked when it was read and prepared.
    sklearn.set_config(assume_finite=True, skip_parameter_validation=True)
    predictor = LOADERS[manifest["engine"]](package / "model")
    return TabularModel(
        manifest,
        Unwrapped(predictor) if manifest["engine"] == "quick" else predictor,
        package.parent / "tmp" / "rows.csv",
    )


class TabularModel:
    """Implements PackagedModel."""

    takes_columns = True

    def __init__(self, manifest: dict[str, Any], predictor: Any, csv: Path) -> None:
        self._manifest = manifest
        self._predictor = predictor
        self._csv = csv
        self._libraries = ThreadpoolController()  # looked for once: it takes longer than a prediction
        self._classes = list(manifest["classes"])
        self._features = manifest["features"]
        self._names = [feature["name"] for feature in self._features]
        self._accepted = {*self._names, manifest["target"], *manifest["unused_columns"]}
        self._plain = PlainRows(self._features, self._accepted.difference(self._names))

    def answer(self, rows: RowsHeader, content: BufferedIOBase) -> tuple[AnswersHeader, bytes]:
        """What the model answers; an InvalidInput that names column and row where the rows are not right."""
        match rows.row_format:
            case RowFormat.JSON:
                prepared = self._prepared_rows(content)
            case RowFormat.COLUMNS:
                prepared = self._prepared_columns(rows.columns_format, content.read())
            case RowFormat.CSV:
                prepared = self._prepared_table(rows.table_format, content.read())
            case RowFormat.ARROW:
                prepared = self._prepared_arrow(content.read())
            case _:
                raise errors.UnfitInput(takes="rows of a table", given="an image")
        threads = None if len(prepared) >= ROWS_FOR_THREADS else 1
        with self._libraries.limit(limits=threads, user_api="openmp"):
            return self._predict(prepared)

    def _prepared_columns(self, told: ColumnsFormat, content: bytes) -> pd.DataFrame:
        plain = self._plain.columns(content, told)
        if plain is not None:
            return plain
        columns = columns_of(content, told)
        self._check_columns("The data", columns)
        return self._prepared(self._framed(columns))

    def _prepared_rows(self, content: BufferedIOBase) -> pd.DataFrame:
        arrived = list[bytes]()
        plain = self._plain.frame(_noted(content, arrived))
        if plain is not None:
            return plain
        rows = parse(b"".join(arrived) + content.read())
        self._check_rows(rows)
        return self._prepared(self._framed({name: list(map(itemgetter(name), rows)) for name in self._names}))

    def _prepared_table(self, format_: TableFormat | None, content: bytes) -> pd.DataFrame:
        plain = self._plain_table(format_, content) if len(content) >= LARGE_BYTES else None
        return self._prepared(self._read_csv(format_, content)) if plain is None else plain

    def _plain_table(self, format_: TableFormat | None, content: bytes) -> pd.DataFrame | None:
        from services.training.workloads.tabular.delimited import DelimitedRows  # it brings Arrow

        delimiter, encoding = (format_.delimiter, format_.encoding) if format_ else ("", "")
        if encoding.lower() not in UTF_8:
            return None
        rows = DelimitedRows(self._features, self._accepted.difference(self._names))
        return rows.frame(content, delimiter or self._manifest["table"]["delimiter"])

    def _prepared_arrow(self, content: bytes) -> pd.DataFrame:
        from services.training.workloads.tabular import arrow  # only few are asked in Arrow

        table = arrow.read(content)
        self._check_columns("The data", table.column_names)
        plain = arrow.plain_frame(table, self._features)
        return self._prepared(arrow.as_frame(table, self._features)) if plain is None else plain

    def _prepared(self, frame: pd.DataFrame) -> pd.DataFrame:
        if frame.empty:
            raise errors.NoRowsToPredict
        prepared = prepare(frame, self._features)
        self._check_values(frame, prepared)
        return prepared

    def _predict(self, prepared: pd.DataFrame) -> tuple[AnswersHeader, bytes]:
        header = AnswersHeader(len(prepared), ProblemType(self._manifest["problem_type"]), self._classes)
        if not self._classes:
            return header, np.asarray(self._predictor.predict(prepared), "float64").tobytes()
        indexes, chances = self._classify(prepared)
        return header, indexes.tobytes() + chances.tobytes()

    def _classify(self, prepared: pd.DataFrame) -> tuple[npt.NDArray[np.int32], Matrix]:
        chances = self._predictor.predict_proba(prepared)
        whole = self._in_order(chances)
        if not isinstance(self._predictor, Unwrapped):
            whole = whole / whole.sum(axis=1, keepdims=True)
        return self._decided(chances, whole), np.ascontiguousarray(whole)

    def _decided(self, chances: Any, whole: Matrix) -> npt.NDArray[np.int32]:
        """The place of the class that each row's chances speak for."""
        if isinstance(self._predictor, Unwrapped) or len(self._classes) > 2:
            # As its library does, without asking it a second time.
            most: npt.NDArray[np.intp] = whole.argmax(axis=1)
            return most.astype(np.int32)
        # Between two classes, this one may decide by a threshold of its own.
        decided = np.asarray(self._predictor.predict_from_proba(chances))
        places = {label: place for place, label in enumerate(self._classes)}
        return np.fromiter((places[label] for label in decided.tolist()), np.int32, len(decided))

    def _in_order(self, chances: Any) -> Matrix:
        """Probabilities in the order of the record's classes."""
        labels = list(getattr(chances, "columns", getattr(self._predictor, "classes_", [])))
        whole = np.asarray(chances, "float64")
        if labels == self._classes:
            return whole
        return pd.DataFrame(whole, columns=labels).reindex(columns=self._classes, fill_value=0.0).to_numpy()

    def _read_csv(self, given: TableFormat | None, content: bytes) -> pd.DataFrame:
        self._csv.write_bytes(content)
        format_ = self._format(given)
        try:
            frame = read_table(self._csv, self._manifest, format_.delimiter, format_.encoding)
        except (ValueError, LookupError) as error:
            if "out of memory" in str(error):  # so says the parser of what it could not get
                raise MemoryError from error
            raise errors.BadRows(trouble=shortened(error)) from error
        self._check_columns(self._where(frame, content, format_), frame.columns)
        self._check_truth(frame)
        return frame

    def _format(self, given: TableFormat | None) -> TableFormat:
        """How to read a table: as it was said, and as the training data where that was left open; but UTF-8 as such."""
        delimiter, encoding = (given.delimiter, given.encoding) if given else ("", "")
        return TableFormat(
            delimiter or self._manifest["table"]["delimiter"], encoding or find_encoding(self._csv, self._manifest)
        )

    def _where(self, frame: pd.DataFrame, content: bytes, format_: TableFormat) -> str:
        """What a table is called: one without any column of the model's may have another delimiter than it should."""
        if not frame.columns.intersection(self._names).empty:
            return "The data"
        head = content[:HEADER_BYTES].decode(format_.encoding, "replace")
        fitting = [shown for each, shown in DELIMITERS_SHOWN.items() if self._is_header(head, each)]
        found = f" and are parted by {fitting[0]}" if fitting else ""
        expected = DELIMITERS_SHOWN.get(format_.delimiter, repr(format_.delimiter))
        return f"The data, whose fields should be parted by {expected}{found},"

    def _is_header(self, head: str, delimiter: str) -> bool:
        _, header = next(read_rows(head, delimiter), (0, []))
        return {name.strip() for name in header}.issuperset(self._names)

    def _check_truth(self, frame: pd.DataFrame) -> None:
        """Refuse truth where numbers should be; so pandas reads a column of nothing else."""
        for feature in self._features:
            column = frame[feature["name"]]
            if feature["kind"] == "number" and pd.api.types.infer_dtype(column, skipna=True) == "boolean":
                place = int(column.notna().to_numpy().argmax())
                refuse(place + 1, feature, written(column.iloc[place]))

    def _check_rows(self, rows: Any) -> None:
        if not isinstance(rows, list):
            raise errors.BadRows(trouble="they are no array of objects")
        checked: Any = None
        for number, row in enumerate(rows, 1):
            if not isinstance(row, dict):
                raise errors.BadRows(trouble=f"row {number} is no object")
            if row.keys() != checked:
                self._check_columns(f"Row {number}", row)
                checked = row.keys()

    def _framed(self, columns: dict[str, list[Any]]) -> pd.DataFrame:
        named = {feature["name"]: feature for feature in self._features}
        return pd.DataFrame({name: _column(columns[name], named[name]) for name in named})

    def _check_columns(self, where: str, given: Iterable[Any]) -> None:
        names = set(given)
        features = _listed(self._names)
        if missing := [name for name in self._names if name not in names]:
            raise errors.MissingColumns(where=where, names=_listed(missing), features=features)
        if unknown := sorted(map(str, names - self._accepted)):
            raise errors.UnknownColumns(where=where, names=_listed(unknown), features=features)

    def _check_values(self, frame: pd.DataFrame, prepared: pd.DataFrame) -> None:
        """Refuse what is there and could not be read; what is not there is for the model to do without."""
        checked = [feature for feature in self._features if feature["kind"] in KINDS]
        # Few columns have a gap, and what takes time is to look at columns one by one.
        gaps = np.any(prepared[[feature["name"] for feature in checked]].isna().to_numpy(), axis=0)
        for feature in compress(checked, gaps):
            given = frame[feature["name"]]
            wrong = (given.notna() & prepared[feature["name"]].isna()).to_numpy()
            if wrong.any():
                place = int(wrong.argmax())
                refuse(place + 1, feature, written(given.iloc[place]))


def _noted(content: BufferedIOBase, arrived: list[bytes]) -> Iterator[bytes]:
    """Content piece by piece, as it arrives; what has arrived is noted."""
    while piece := content.read1():
        arrived.append(piece)
        yield piece


def _column(values: list[Any], feature: dict[str, Any]) -> npt.NDArray[Any]:
    """Values of a feature as an array: of numbers where they have to be and are, with NaN for null."""
    types = set(map(type, values))
    if not TAKEN[feature["kind"]].issuperset(types):
        _refuse_type(values, feature)
    if feature["kind"] == "number" and str not in types:
        return np.array(values, "float64")
    column = np.empty(len(values), object)
    column[:] = values
    return column


def _refuse_type(values: list[Any], feature: dict[str, Any]) -> None:
    taken = TAKEN[feature["kind"]]
    for row, value in enumerate(values, 1):
        if type(value) not in taken and value == value:  # a NaN is no value
            refuse(row, feature, written(value))


def _listed(names: list[str]) -> str:
    rest = f" and {len(names) - NAMES_SHOWN:,} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(map(repr, names[:NAMES_SHOWN])) + rest
