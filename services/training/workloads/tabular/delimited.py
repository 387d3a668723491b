"""Delimited text whose fields are what they stand for already. Arrow reads it in a third of the time that pandas takes
for it; what the two could read in different ways is left to pandas, as the training data was."""

import codecs
from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv

from services.training.workloads.tabular.arrow import plain_frame
from services.training.workloads.tabular.plain import is_plain
from services.training.workloads.tabular.templates.load_model import END_OF_FILE

BLOCK_BYTES = 1024 * 1024
TYPES = {"number": pa.float64(), "boolean": pa.bool_(), "category": pa.string()}
NOTHING = [
    *("", "NA", "N/A", "n/a", "<NA>", "NULL", "null", "None", "NaN", "nan", "-NaN", "-nan"),
    *("#NA", "#N/A", "#N/A N/A", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"),
]
"""What pandas.read_csv takes for a gap."""


class DelimitedRows:
    """Reads rows of a model's features; `others` are columns that may be there, too."""

    def __init__(self, features: list[dict[str, Any]], others: Collection[str]) -> None:
        self._features = features
        self._kinds = {feature["name"]: feature["kind"] for feature in features}
        self._numbers = [name for name, kind in self._kinds.items() if kind != "category"]
        self._known = {*self._kinds, *others}
        self._plain = all(is_plain(feature) and not feature.get("decimal") for feature in features)

    def frame(self, content: bytes, delimiter: str) -> pd.DataFrame | None:
        """Rows in UTF-8, as `prepare` would make them; None where they or some value have to be looked at more
        closely."""
        text = content.removeprefix(codecs.BOM_UTF8)
        if not self._plain or not _is_simple(text, delimiter) or not self._is_header(text, delimiter):
            return None
        try:
            table = csv.read_csv(
                pa.BufferReader(text),
                parse_options=csv.ParseOptions(delimiter=delimiter, quote_char=False),
                convert_options=csv.ConvertOptions(
                    column_types={name: TYPES[kind] for name, kind in self._kinds.items()},
                    include_columns=list(self._kinds),
                    null_values=NOTHING,
                    strings_can_be_null=True,
                    true_values=["true", "True", "TRUE"],
                    false_values=["false", "False", "FALSE"],
                ),
            )
        except pa.ArrowInvalid:
            return None
        frame = plain_frame(table, self._features)
        gaps = sum(table[name].null_count for name in self._numbers)
        # Arrow reads a NaN in what pandas takes for text.
        if frame is None or np.count_nonzero(np.isnan(frame[self._numbers].to_numpy("float64"))) > gaps:
            return None
        return frame

    def _is_header(self, text: bytes, delimiter: str) -> bool:
        """Whether the first line names all features, and nothing that is not known. A line of one field only could be
        empty, and be meant."""
        line = text[: max(text.find(b"\n"), 0)].removesuffix(b"\r").decode(errors="replace")
        names = line.split(delimiter)
        return 1 < len(names) == len(set(names)) and self._known.issuperset(names) and self._kinds.keys() <= set(names)


def _is_simple(text: bytes, delimiter: str) -> bool:
    """Whether every line is a row, and is parted by nothing but the delimiter; fields begin where they seem to."""
    # One byte is looked for much faster than two.
    sign = delimiter.encode()
    if len(sign) > 1 or any(mark in text for mark in (b'"', b"\0", END_OF_FILE.encode())):
        return False
    if b"\r" in text and text.count(b"\r") > text.count(b"\r\n"):
        return False
    if b" " in text and (text.startswith(b" ") or sign + b" " in text or b"\n " in text):
        return False
    return _is_utf8(text)


def _is_utf8(text: bytes) -> bool:
    if text.isascii():
        return True
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(text), BLOCK_BYTES):
            decoder.decode(text[start : start + BLOCK_BYTES])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True
