"""What comes in JSON to be predicted for: an array of objects, one a row, or an object of arrays, one a column."""

import json
import re
from io import BufferedIOBase, BytesIO
from typing import Any

import orjson

from services.training.domain.answers import AnswersHeader, ColumnsFormat, RowFormat, RowsHeader
from services.training.domain.errors import BadRows, UnfitColumn
from services.training.domain.ports import PackagedModel
from services.training.workloads.kit.datatypes import trouble_with
from services.training.workloads.kit.wording import shortened

# Of a whole number: with more, it is none that a table can hold.
MOST_DIGITS = 308
HALF = re.compile("[\ud800-\udfff]")


class ByRows:
    """A model that takes no columns, for whoever sends columns. Implements PackagedModel."""

    takes_columns = True

    def __init__(self, model: PackagedModel) -> None:
        self._model = model

    def answer(self, rows: RowsHeader, content: BufferedIOBase) -> tuple[AnswersHeader, bytes]:
        """What the model answers."""
        if rows.row_format is not RowFormat.COLUMNS:
            return self._model.answer(rows, content)
        columns = columns_of(content.read(), rows.columns_format)
        each = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        return self._model.answer(RowsHeader(RowFormat.JSON, None), BytesIO(json.dumps(each).encode()))


def columns_of(content: bytes, told: ColumnsFormat) -> dict[str, list[Any]]:
    """An object of arrays that are as long as each other. Raises BadRows, and UnfitColumn where they are not as they
    were told."""
    columns = parse(content)
    if not isinstance(columns, dict) or not all(isinstance(values, list) for values in columns.values()):
        raise BadRows(trouble="they are no object of arrays, one for each column")
    _check(columns, told)
    if len(set(map(len, columns.values()))) > 1:
        raise BadRows(trouble="some of their columns have more values than others")
    return columns


def _check(columns: dict[str, list[Any]], told: ColumnsFormat) -> None:
    for name, values in columns.items():
        if told.row_count not in (None, len(values)):
            trouble = f"it has {len(values)} values and its shape says {told.row_count}"
            raise UnfitColumn(name=name, trouble=trouble)
        if name in told.datatypes and (found := trouble_with(values, told.datatypes[name])):
            raise UnfitColumn(name=name, trouble=found)


def parse(content: bytes) -> Any:
    """JSON, or what Python writes for it. Raises BadRows."""
    try:
        return orjson.loads(content)
    except ValueError:  # what Python writes need not be JSON: it has a NaN
        try:
            return _parse_leniently(content)
        except (ValueError, RecursionError) as error:
            raise BadRows(trouble=shortened(error)) from error


def _parse_leniently(content: bytes) -> Any:
    text = content.decode(json.detect_encoding(content))
    rows = json.loads(text, parse_int=_whole)
    if "\\u" in text and HALF.search(json.dumps(rows, ensure_ascii=False)):
        raise ValueError("a text in them has half of a character, a lone surrogate")
    return rows


def _whole(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a number has more than {MOST_DIGITS} digits")
    return int(digits)
