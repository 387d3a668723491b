"""Rows in JSON whose values are what they stand for already: they are prepared before pandas would have begun."""

import struct
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd
from msgspec.structs import astuple

from services.training.domain.answers import ColumnsFormat
from services.training.workloads.kit.datatypes import FLOATS, RANGES
from services.training.workloads.tabular.unwrapped import Matrix

TYPES: dict[str, Any] = {"number": float | None, "boolean": bool | None, "category": str | None}
UNTOLD = ""
MOST_WHOLE = 2**63 - 1
"""For which msgspec can look."""
PLAIN_DATATYPES = {
    "number": {UNTOLD, "BYTES", *FLOATS},
    "boolean": {UNTOLD, "BYTES", "BOOL"},
    "category": {UNTOLD, "BYTES"},
}
"""In which a column's values may be no other than its kind has, or what leaves them to the long way."""


class PlainRows:
    """Reads rows of a model's features; `others` are columns that may be there, too."""

    def __init__(self, features: list[dict[str, Any]], others: Collection[str]) -> None:
        self._names = [feature["name"] for feature in features]
        # Numbers first: of all rows they become one array at one stroke.
        ordered = sorted(features, key=lambda feature: feature["kind"] == "category")
        self._numbers = [feature["name"] for feature in features if feature["kind"] != "category"]
        self._texts = [feature["name"] for feature in features if feature["kind"] == "category"]
        self._only_numbers = not self._texts and not others
        self._pack = struct.Struct(f"{len(self._numbers)}d").pack
        self._kinds = tuple((feature["name"], feature["kind"]) for feature in ordered)
        self._decoder = self._row_decoder(others) if all(map(is_plain, features)) else None

    def _row_decoder(self, others: Collection[str]) -> "msgspec.json.Decoder[list[Any]] | None":
        """What reads an object for each row with a member for each feature."""
        row = _structure({name: TYPES[kind] for name, kind in self._kinds}, others)
        return msgspec.json.Decoder(list[row]) if row else None  # type: ignore[valid-type]

    def frame(self, pieces: Iterable[bytes]) -> pd.DataFrame | None:
        """Rows that arrive in pieces, as `prepare` would make them; None where they or some value have to be looked at
        more closely."""
        numbers = list[Matrix]()
        texts = {name: list[Any]() for name in self._texts}
        try:
            for rows in self._read(pieces):
                numbers.append(self._block(rows))
                for place, values in enumerate(texts.values(), len(self._numbers)):
                    values += [row[place] for row in rows]
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            return None
        if not numbers or not len(numbers[-1]):  # no rows, or none after the last comma
            return None
        return framed(self._names, np.concatenate(numbers), texts)

    def columns(self, content: bytes, told: ColumnsFormat) -> pd.DataFrame | None:
        """Columns, as `prepare` would make them; None where they or some value have to be looked at more closely."""
        if not self._decoder or not told.datatypes.keys() <= set(self._names):
            return None
        datatypes = tuple(told.datatypes.get(name, UNTOLD) for name, _ in self._kinds)
        decoder = _columns_decoder(self._kinds, datatypes)
        try:
            read = decoder and astuple(decoder.decode(content))
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            return None
        if not read or not _are_as_long(read, told.row_count):
            return None
        columns = {name: values for (name, _), values in zip(self._kinds, read, strict=True)}
        numbers = np.array([_column(columns[name]) for name in self._numbers])
        return framed(self._names, numbers.T, {name: columns[name] for name in self._texts})

    def _read(self, pieces: Iterable[bytes]) -> Iterator[list[tuple[Any, ...]]]:
        if self._decoder:
            for array in arrays(pieces):
                yield list(map(astuple, self._decoder.decode(array)))

    def _block(self, rows: list[tuple[Any, ...]]) -> Matrix:
        width = len(self._numbers)
        numbers = rows if self._only_numbers else list(map(itemgetter(slice(width)), rows))
        try:
            flat = np.frombuffer(b"".join([self._pack(*row) for row in numbers]), "float64")
        except struct.error:  # only numbers can be packed, and there is a gap
            flat = np.fromiter(chain.from_iterable(numbers), "float64", len(rows) * width)
        return flat.reshape(len(rows), width)


def framed(names: list[str], numbers: Matrix, texts: dict[str, list[Any]]) -> pd.DataFrame:
    """Columns in the order of the names: of texts, None where there is none, and of numbers in all others, a row of the
    matrix each row."""
    if not texts:
        return pd.DataFrame(numbers, columns=names)
    numeric = [name for name in names if name not in texts]
    columns = dict(zip(numeric, numbers.T, strict=True)) | {name: _text(texts[name]) for name in texts}
    return pd.DataFrame({name: columns[name] for name in names})


def arrays(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """A JSON array of objects that comes in pieces, as arrays of some of them each, as soon as they are there.

    It is cut where a piece has its last comma after a brace. Where that is no end of an object, what is before it is no
    JSON, and cannot be read. The last array is empty if nothing follows the last comma.
    """
    held = list[bytes]()
    for piece in pieces:
        end = piece.rfind(b"},") + 1
        if end:
            yield b"".join([*held, piece[:end], b"]"])
            held = [b"[", piece[end + 1 :]]
        else:
            held.append(piece)
    yield b"".join(held)


def is_plain(feature: dict[str, Any]) -> bool:
    """Whether its values, where they come as its kind, stand for themselves."""
    return feature["kind"] in TYPES and not feature.get("whole")


def _structure(types: dict[str, Any], others: Collection[str]) -> Any:
    """An object with a member for each name, and maybe others; None where a structure cannot have them."""
    renamed = {f"column_{place}": name for place, name in enumerate([*types, *others])}
    kinds = [(kind,) for kind in types.values()] + [(msgspec.Raw, msgspec.Raw())] * len(others)
    fields = [(field, *kind) for field, kind in zip(renamed, kinds, strict=True)]
    try:  # gc: nothing in it points back at it
        return msgspec.defstruct("Named", fields, rename=renamed, forbid_unknown_fields=True, gc=False)
    except ValueError:  # a structure has no names with quotation marks
        return None


@lru_cache(maxsize=8)
def _columns_decoder(
    kinds: tuple[tuple[str, str], ...], datatypes: tuple[str, ...]
) -> "msgspec.json.Decoder[Any] | None":
    """What reads an object with an array for each feature; None where some values may be more than they say."""
    types = [_value_type(kind, datatype) for (_, kind), datatype in zip(kinds, datatypes, strict=True)]
    if None in types:
        return None
    columns = _structure({name: list[each] for (name, _), each in zip(kinds, types, strict=True)}, ())  # type: ignore[valid-type]
    return msgspec.json.Decoder(columns) if columns else None


def _value_type(kind: str, datatype: str) -> Any:
    whole = RANGES.get(datatype)
    if kind == "number" and whole and whole[-1] <= MOST_WHOLE:
        return Annotated[int, msgspec.Meta(ge=whole[0], le=whole[-1])] | None
    return TYPES[kind] if datatype in PLAIN_DATATYPES[kind] else None


def _are_as_long(columns: Sequence[list[Any]], row_count: int | None) -> bool:
    """Whether all have one value for each of some rows."""
    lengths = set(map(len, columns))
    return len(lengths) == 1 and 0 not in lengths and row_count in (None, *lengths)


def _column(values: list[Any]) -> npt.NDArray[np.float64]:
    try:
        return np.frombuffer(struct.pack(f"{len(values)}d", *values), "float64")
    except struct.error:  # there is a gap
        return np.array(values, "float64")


def _text(values: list[Any]) -> npt.NDArray[Any]:
    column = np.empty(len(values), object)
    column[:] = [np.nan if value is None else value for value in values]
    return column
