"""Rows in JSON whose values are what they stand for already: they are prepared before pandas would have begun."""

import struct
from collections.abc import Collection, Iterable, Iterator
from itertools import chain
from operator import itemgetter
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd
from msgspec.structs import astuple

from services.training.workloads.tabular.unwrapped import Matrix

TYPES: dict[str, Any] = {"number": float | None, "boolean": bool | None, "category": str | None}


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
        self._decoder = _decoder(ordered, others)

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
        return framed(self._names, self._numbers, np.concatenate(numbers), texts)

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


def framed(names: list[str], numeric: list[str], numbers: Matrix, texts: dict[str, list[Any]]) -> pd.DataFrame:
    """Columns of numbers, a row of the matrix each row, and of texts, None where there is none, in the order of the
    names."""
    if not texts:
        return pd.DataFrame(numbers, columns=names)
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


def _decoder(features: list[dict[str, Any]], others: Collection[str]) -> "msgspec.json.Decoder[list[Any]] | None":
    """What reads an object for each row with a member for each feature; None where a kind is more than its values."""
    if not all(feature["kind"] in TYPES and not feature.get("whole") for feature in features):
        return None
    names = [*(feature["name"] for feature in features), *others]
    renamed = {f"column_{place}": name for place, name in enumerate(names)}
    kinds = [(TYPES[feature["kind"]],) for feature in features] + [(msgspec.Raw, msgspec.Raw())] * len(others)
    fields = [(field, *kind) for field, kind in zip(renamed, kinds, strict=True)]
    try:  # gc: nothing in a row points back at it
        row = msgspec.defstruct("Row", fields, rename=renamed, forbid_unknown_fields=True, gc=False)
    except ValueError:  # a structure has no names with quotation marks
        return None
    return msgspec.json.Decoder(list[row])  # type: ignore[valid-type]


def _text(values: list[Any]) -> npt.NDArray[Any]:
    column = np.empty(len(values), object)
    column[:] = [np.nan if value is None else value for value in values]
    return column
