"""Rows in JSON whose values are what they stand for already: they are prepared before pandas would have begun."""

from collections.abc import Collection
from itertools import chain
from operator import itemgetter
from typing import Any, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec.structs import astuple

Columns: TypeAlias = dict[str, npt.NDArray[Any]]
"""A column a feature, of numbers or texts; NaN where nothing is."""

TYPES: dict[str, Any] = {"number": float | None, "boolean": bool | None, "category": str | None}


class PlainRows:
    """Reads rows of a model's features; `others` are columns that may be there, too."""

    def __init__(self, features: list[dict[str, Any]], others: Collection[str]) -> None:
        self._names = [feature["name"] for feature in features]
        # Numbers first: of all rows they become one array at one stroke.
        ordered = sorted(features, key=lambda feature: feature["kind"] == "category")
        self._ordered = [feature["name"] for feature in ordered]
        self._numbers = sum(feature["kind"] != "category" for feature in features)
        self._decoder = _decoder(ordered, others)

    def columns(self, content: bytes) -> Columns | None:
        """Rows as `prepare` would make them; None where they or some value have to be looked at more closely."""
        try:
            rows = list(map(astuple, self._decoder.decode(content) if self._decoder else []))
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            return None
        if not rows:
            return None
        values = chain.from_iterable(map(itemgetter(slice(self._numbers)), rows))
        numbers = np.array(list(values), "float64").reshape(len(rows), self._numbers)
        columns: Columns = dict(zip(self._ordered, numbers.T, strict=False))
        for place, name in enumerate(self._ordered[self._numbers :], self._numbers):
            columns[name] = _texts([row[place] for row in rows])
        return {name: columns[name] for name in self._names}


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


def _texts(values: list[Any]) -> npt.NDArray[Any]:
    column = np.empty(len(values), object)
    column[:] = [np.nan if value is None else value for value in values]
    return column
