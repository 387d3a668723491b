"""Records to documents and back, as `shapes` tells their form.

A BSON date holds milliseconds. The microseconds beyond are kept beside, under `micros` and the attribute's own name,
so that a date stays a date for every reader and the record comes back as it was.
"""

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from bson import ObjectId

from services.metadata.adapters.mongodb.shapes import NESTED, collection_of, shape_of
from services.metadata.domain.declarations import ENTITIES, Attribute, Declaration

Document = dict[str, Any]
Values = Mapping[str, Any]

ID = "_id"
MICROS = "micros"
OBJECT_ID = re.compile("[0-9a-f]{24}")
ABSENT = object()
"""Stands for a field that a document does not have."""
RESERVED = "$"
ESCAPE = "\uff04"
"""Stands before a name in a free document that begins with what the server gives a meaning to."""


def as_kept(value: Any) -> Any:
    """A free document in the form that the server takes whatever its names are."""
    if isinstance(value, dict):
        return {_escaped(name): as_kept(each) for name, each in value.items()}
    return [as_kept(each) for each in value] if isinstance(value, list) else value


def as_given(value: Any) -> Any:
    """A free document as it was before `as_kept`."""
    if isinstance(value, dict):
        return {name.removeprefix(ESCAPE): as_given(each) for name, each in value.items()}
    return [as_given(each) for each in value] if isinstance(value, list) else value


def _escaped(name: str) -> str:
    return ESCAPE + name if name.startswith((RESERVED, ESCAPE)) else name


@dataclasses.dataclass(frozen=True)
class Codec:
    """What becomes of one value on the way in and on the way out."""

    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


def _unchanged(value: Any) -> Any:
    return value


def object_id(value: str) -> Any:
    """An id that has the form of an ObjectId as one; any other as it is."""
    return ObjectId(value) if OBJECT_ID.fullmatch(value) else value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)


def _list(value: Any) -> list[Any]:
    return list(as_given(value))


PLAIN: dict[Any, Codec] = {
    str: Codec(_unchanged, _text),
    int: Codec(_unchanged, int),  # a Mongo shell writes whole numbers as doubles
    float: Codec(_unchanged, float),
    bool: Codec(_unchanged, bool),
    datetime: Codec(_unchanged, _unchanged),
    dict: Codec(as_kept, as_given),
    list: Codec(as_kept, _list),
}
ID_CODEC = Codec(object_id, _text)
SPLIT = Codec(str.split, " ".join)
BLANK = Codec(lambda value: value or None, _text)


def _word(kind: type[StrEnum], words: Mapping[str, str]) -> Codec:
    back = {ours: theirs for theirs, ours in words.items()}
    return Codec(lambda value: words.get(value, str(value)), lambda value: kind(back.get(value, value)))


def _message(kind: type[Any]) -> Codec:
    """A nested message, its fields under the names that readers know."""
    names = {each.name: NESTED.get(kind, {}).get(each.name, each.name) for each in dataclasses.fields(kind)}
    codecs = {each.name: PLAIN[each.type] for each in dataclasses.fields(kind)}

    def encode(value: Any) -> Document:
        return {theirs: codecs[ours].encode(getattr(value, ours)) for ours, theirs in names.items()}

    def decode(value: Document) -> Any:
        told = {ours: value[theirs] for ours, theirs in names.items() if value.get(theirs) is not None}
        return kind(**{ours: codecs[ours].decode(each) for ours, each in told.items()})

    return Codec(encode, decode)


def _messages(item: type[Any]) -> Codec:
    one = _message(item)
    return Codec(lambda value: [one.encode(each) for each in value], lambda value: [one.decode(each) for each in value])


def _is_message(kind: Any) -> bool:
    return dataclasses.is_dataclass(kind)


def _codec(declaration: Declaration, attribute: Attribute) -> Codec:
    shape = shape_of(declaration.name)
    is_id = attribute.name in ("id", "user_id") or attribute.rules.reference is not None
    if attribute.name in shape.split:
        return SPLIT
    if is_id and shape.object_ids:
        return ID_CODEC
    if attribute.name in shape.blank_is_null:
        return BLANK
    if _is_message(attribute.item):
        return _messages(attribute.item)
    if _is_message(attribute.type):
        return _message(attribute.type)
    if issubclass(attribute.type, StrEnum):
        return _word(attribute.type, shape.words.get(attribute.name, {}))
    return PLAIN[attribute.type]


@dataclasses.dataclass(frozen=True)
class Field:
    """Where an attribute is in a document, and in which form."""

    name: str
    path: str
    parts: tuple[str, ...]
    codec: Codec
    empty: Callable[[], Any]
    optional: bool
    omitted: bool
    """Whether it is left out when it is None, so that it does not count as a value that must be unique."""
    micros: str
    """Where the microseconds of a time are, if there are any; empty for all else."""

    def known(self, value: Any) -> Any:
        """The attribute's value from the document's, where that has one, or as if nothing had been given."""
        if value is None:
            return None if self.optional else self.empty()
        return self.codec.decode(value)


class Layout:
    """How the records of one entity are laid out in documents."""

    def __init__(self, declaration: Declaration) -> None:
        self.declaration = declaration
        self.shape = shape_of(declaration.name)
        self.collection = collection_of(declaration.name)
        self.compound = len(declaration.key) > 1
        self.fields = {name: self._field(each) for name, each in declaration.attributes.items()}
        self._shown = {each.attribute: each for each in self.shape.shown}
        self._all = list(self.fields.values())

    def _field(self, attribute: Attribute) -> Field:
        path = self._path(attribute.name)
        unique = any(attribute.name in names for names in self.declaration.unique)
        return Field(
            attribute.name,
            path,
            tuple(path.split(".")),
            _codec(self.declaration, attribute),
            attribute.empty,
            attribute.optional,
            unique and attribute.optional,
            f"{MICROS}.{attribute.name}" if attribute.type is datetime else "",
        )

    def _path(self, name: str) -> str:
        if name in self.declaration.key:
            return f"{ID}.{name}" if self.compound else ID
        return self.shape.fields.get(name, name)

    def encode(self, record: Any) -> Document:
        """The whole document of a record."""
        document: Document = {}
        for path, value in self._settings((each, getattr(record, each.name)) for each in self._all):
            if value is ABSENT:
                continue
            *outer, last = path.split(".")
            place = document
            for part in outer:
                place = place.setdefault(part, {})
            place[last] = value
        return document

    def changes(self, values: Values) -> Document:
        """The update that sets these attributes and leaves all else in the document as it is."""
        told = dict(self._settings((self.fields[name], value) for name, value in values.items()))
        present = {path: value for path, value in told.items() if value is not ABSENT}
        absent = {path: "" for path in told if path not in present}
        return {operator: paths for operator, paths in (("$set", present), ("$unset", absent)) if paths}

    def _settings(self, told: Iterator[tuple[Field, Any]]) -> Iterator[tuple[str, Any]]:
        for each, value in told:
            if each.micros:
                yield each.micros, (value and value.microsecond % 1000) or ABSENT
            if value is None:
                yield each.path, ABSENT if each.omitted else None
                continue
            yield each.path, each.codec.encode(value)
            if each.name in self._shown:
                shown = self._shown[each.name]
                yield shown.path, shown.render(value)

    def decode(self, document: Document) -> Any:
        """The record of a document. What the document does not have is as if nothing had been given."""
        micros = document.get(MICROS) or {}
        return self.declaration.kind(*[self._value(each, document, micros) for each in self._all])

    def _value(self, each: Field, document: Document, micros: Document) -> Any:
        value = _at(document, each.parts)
        if value is None:
            return self._missing(each, document)
        if not each.micros:
            return each.codec.decode(value)
        beyond = micros.get(each.name)
        return value.replace(microsecond=value.microsecond + int(beyond)) if beyond else value

    def _missing(self, each: Field, document: Document) -> Any:
        shown = self._shown.get(each.name)
        if shown and shown.read and (value := _at(document, tuple(shown.path.split(".")))) is not None:
            return shown.read(value)
        return each.known(None)

    def key(self, record: Any) -> Any:
        """The `_id` of a record."""
        if not self.compound:
            return self.fields["id"].codec.encode(record.id)
        return {name: self.fields[name].codec.encode(getattr(record, name)) for name in self.declaration.key}

    def ids(self, record_id: str) -> list[Any]:
        """What a record of this id may have as its `_id`: others may have written it as text, or as an ObjectId."""
        return list({record_id: None, object_id(record_id): None})


def _at(document: Document, parts: tuple[str, ...]) -> Any:
    value: Any = document
    for part in parts:
        value = value.get(part) if isinstance(value, dict) else None
    return value


def key_in_document(kind: type[Any], key: str) -> str:
    """What a key of a free document, or a field of a nested message, is called in the database."""
    return NESTED.get(kind, {}).get(key, key) if _is_message(kind) else _escaped(key)


LAYOUTS = {each.kind: Layout(each) for each in ENTITIES.values()}


def layout_named(entity: str) -> Layout:
    """The layout of an entity's documents."""
    return LAYOUTS[ENTITIES[entity].kind]
