"""Rows in an Arrow stream or file. What a column can stand for is settled by its type, before pandas makes of it what
it likes."""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from services.training.domain import errors
from services.training.workloads.kit.wording import shortened
from services.training.workloads.tabular.plain import framed, is_plain
from services.training.workloads.tabular.refusals import refuse
from services.training.workloads.tabular.unwrapped import Matrix

TEXTS = (types.is_string, types.is_large_string, types.is_string_view)
NUMBERS = (types.is_integer, types.is_floating, types.is_decimal)
DATES = (types.is_timestamp, types.is_date)
FILE_BEGINS = b"ARROW1"
# What may hold the values of a kind of column.
TAKEN: dict[str, tuple[Callable[[Any], bool], ...]] = {
    "number": (*TEXTS, *NUMBERS),
    "boolean": (*TEXTS, types.is_boolean),
    "date": (*TEXTS, *DATES),
    "category": (*TEXTS, *NUMBERS, *DATES, types.is_boolean, types.is_time),
}
# What stands for itself in a kind of column.
PLAIN: dict[str, tuple[Callable[[Any], bool], ...]] = {
    "number": (types.is_integer, types.is_floating),
    "boolean": (types.is_boolean,),
    "category": (types.is_string, types.is_large_string),
}


def read(content: bytes) -> pa.Table:
    """The table of a stream, or of a file, checked. Raises BadRows."""
    open_any = pa.ipc.open_file if content.startswith(FILE_BEGINS) else pa.ipc.open_stream
    with _refusing(), open_any(io.BytesIO(content)) as opened:
        table = opened.read_all()
        table.validate(full=True)
        names = set(table.column_names)
    if len(names) < table.num_columns:
        raise errors.BadRows(trouble="more than one column has the same name")
    return table


def plain_frame(table: pa.Table, features: list[dict[str, Any]]) -> pd.DataFrame | None:
    """The columns of the features, as `prepare` would make them; None where they or some value have to be looked at
    more closely."""
    if not all(is_plain(feature) and _holds(table[feature["name"]], feature) for feature in features):
        return None
    numbers = [feature["name"] for feature in features if feature["kind"] != "category"]
    texts = [feature["name"] for feature in features if feature["kind"] == "category"]
    block: Matrix = np.empty((len(numbers), table.num_rows))
    for row, name in zip(block, numbers, strict=True):
        truth = types.is_boolean(table[name].type)
        row[:] = (table[name].cast(pa.float64()) if truth else table[name]).to_numpy()
    if not table.num_rows or np.isinf(block).any():
        return None
    named = {name: table[name].to_numpy().tolist() for name in texts}
    return framed([feature["name"] for feature in features], block.T, named)


def _holds(column: pa.ChunkedArray, feature: dict[str, Any]) -> bool:
    return any(is_held(column.type) for is_held in PLAIN[feature["kind"]])


def as_frame(table: pa.Table, features: list[dict[str, Any]]) -> pd.DataFrame:
    """The columns of the features. Raises BadValue for the first value of a type that its column cannot have."""
    with _refusing():
        columns = {feature["name"]: _column(table[feature["name"]], feature) for feature in features}
        # What pandas has once noted of a table would make an index of columns, and other names.
        frame: pd.DataFrame = pa.table(columns).to_pandas(date_as_object=False, ignore_metadata=True)
        return frame


@contextmanager
def _refusing() -> Iterator[None]:
    """Refuses what Arrow or pandas cannot read: names need not even be text, and a damaged length asks for memory that
    nobody has."""
    try:
        yield
    except (pa.ArrowException, ValueError, OSError) as error:
        raise errors.BadRows(trouble=shortened(error)) from error


def _column(column: pa.ChunkedArray, feature: dict[str, Any]) -> pa.ChunkedArray | pa.Array:
    values = _decoded(column) if types.is_run_end_encoded(column.type) else column
    held = values.type.value_type if types.is_dictionary(values.type) else values.type
    if not any(is_held(held) for is_held in TAKEN[feature["kind"]]):
        return _nothing(values, feature)
    if any(is_text(held) for is_text in TEXTS):
        return values  # a dictionary, too: it may stand for more text than there is room for
    return _plain(values.cast(held), feature)


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.run_end_decode(column)  # type: ignore[attr-defined]  # pyarrow makes it when it is imported


def _plain(values: pa.ChunkedArray, feature: dict[str, Any]) -> pa.ChunkedArray:
    if types.is_timestamp(values.type) and values.type.tz is not None:
        return values.cast(pa.timestamp(values.type.unit, "UTC"))  # pandas does not know every zone
    if feature["kind"] == "category" and types.is_integer(values.type):
        return values.cast(pa.string())  # beside a gap, pandas would make 1.0 of 1
    return values


def _nothing(values: pa.ChunkedArray, feature: dict[str, Any]) -> pa.Array:
    """A column of a type that cannot be taken may only hold nothing."""
    absent = values.is_null(nan_is_null=True).to_pylist()
    if not all(absent):
        place = absent.index(False)
        refuse(place + 1, feature, _shown(values[place]))
    return pa.nulls(len(absent))


def _shown(value: pa.Scalar) -> str:
    named = f"a value of type {value.type}"
    if types.is_union(value.type) or types.is_interval(value.type):
        return named
    try:
        return json.dumps(value.as_py(), ensure_ascii=False)
    except (TypeError, ValueError, LookupError, ArithmeticError, NotImplementedError):  # JSON or Python has no such
        return named
